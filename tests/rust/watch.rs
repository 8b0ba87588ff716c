//! Watches in Rust: what they report, how they wait, and what they refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use luat_kv::{
    Change, ChangeKind, Clock, Code, ListOptions, Namespace, OpenOptions, PutOptions, Store, Watch, WatchOptions,
};

const NOW: i64 = 1_700_000_000;
const FOR_EVER: Duration = Duration::from_secs(60);

/// A store on disk and one in memory, with the same clock.
fn both(test: impl Fn(Store, Clock)) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(NOW);
    let options = OpenOptions::new().clock(clock.clone());
    test(Store::open(folder.path().join("kv.db"), &options).unwrap(), clock);
    let clock = Clock::manual(NOW);
    let options = OpenOptions::new().clock(clock.clone());
    test(Store::open_memory(&options).unwrap(), clock);
}

/// What a watch reports without waiting: `+key` for a put, `-key` for a removal, `!key` for an expiry.
fn now(watch: &Watch) -> String {
    let changes = watch.next(Duration::ZERO).unwrap();
    changes.iter().map(told).collect::<Vec<_>>().join(" ")
}

fn told(change: &Change) -> String {
    let sign = match change.kind {
        ChangeKind::Put => '+',
        ChangeKind::Delete => '-',
        ChangeKind::Expire => '!',
        _ => '?',
    };
    format!("{sign}{}", change.entry.key)
}

#[test]
fn each_write_is_reported_once_with_what_the_key_holds() {
    both(|store, _| {
        let n = store.namespace("n").unwrap();
        n.put("before", "1").unwrap();
        let watch = n.watch(&WatchOptions::new().values(true)).unwrap();
        assert_eq!(now(&watch), "");
        let options = PutOptions::new().ttl(60).metadata(r#"{"a":1}"#);
        let version = n.put_with("key", "value", &options).unwrap();
        let [Change { kind: ChangeKind::Put, entry, .. }] = &watch.next(Duration::ZERO).unwrap()[..] else { panic!() };
        assert_eq!((entry, entry.version), (&n.get_entry("key").unwrap().unwrap(), version));
        assert_eq!((entry.value(), entry.expiration), (&b"value"[..], Some(NOW + 60)));
        assert_eq!(now(&watch), "");
        n.put("key", "value").unwrap(); // the same value is a change, too
        assert_eq!(now(&watch), "+key");
        assert!(n.touch("key", None, Some(10)).unwrap());
        assert_eq!(now(&watch), "+key");
        n.incr("count", 5).unwrap();
        n.delete("before").unwrap();
        n.delete("missing").unwrap();
        assert_eq!(now(&watch), "-before +count");
        n.clear().unwrap();
        assert_eq!(now(&watch), "-count -key");
    });
}

#[test]
fn what_is_not_watched_is_not_reported() {
    both(|store, _| {
        let n = store.namespace("n").unwrap();
        let by_keys = n.watch(&WatchOptions::new().keys(&["b", "missing", "a", "b"])).unwrap();
        let by_prefix = n.watch(&WatchOptions::new().prefix("user:")).unwrap();
        for key in ["a", "aa", "b", "user", "user:1", "user:2", "user;"] {
            n.put(key, key).unwrap();
        }
        store.namespace("m").unwrap().put("user:3", "").unwrap();
        let changes = by_keys.next(Duration::ZERO).unwrap();
        assert_eq!(changes.iter().map(told).collect::<Vec<_>>(), ["+a", "+b"]);
        assert_eq!(changes[0].entry.value, None);
        assert_eq!(now(&by_prefix), "+user:1 +user:2");
        n.delete("user:1").unwrap();
        n.put("missing", "").unwrap();
        assert_eq!((now(&by_keys), now(&by_prefix)), ("+missing".into(), "-user:1".into()));
    });
}

#[test]
fn a_watch_can_begin_with_what_is_there() {
    both(|store, _| {
        let n = store.namespace("n").unwrap();
        ["a", "b", "x"].iter().for_each(|key| _ = n.put(key, *key).unwrap());
        let watch = n.watch(&WatchOptions::new().existing(true).values(true)).unwrap();
        let by_keys = n.watch(&WatchOptions::new().existing(true).keys(&["b", "none"])).unwrap();
        n.delete("a").unwrap();
        let changes = watch.next(FOR_EVER).unwrap();
        assert_eq!(
            changes.iter().map(|change| change.entry.clone()).collect::<Vec<_>>(),
            [n.get_entry("b").unwrap().unwrap(), n.get_entry("x").unwrap().unwrap(),]
        );
        // A key that comes and goes before the first call was never there.
        assert_eq!((now(&watch), now(&by_keys)), (String::new(), "+b".into()));
        n.delete("b").unwrap();
        assert_eq!((now(&watch), now(&by_keys)), ("-b".into(), "-b".into()));
    });
}

#[test]
fn a_watch_that_waits_notices_that_its_file_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let store = Store::open(&path, &OpenOptions::new()).unwrap();
    let n = store.namespace("n").unwrap();
    let watch = n.watch(&WatchOptions::new()).unwrap();
    #[cfg(target_os = "linux")]
    let descriptor = {
        let descriptor = watch.descriptor().unwrap().unwrap();
        assert_eq!(now(&watch), "");
        descriptor
    };
    std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    let fails = |error: luat_kv::Error| {
        assert_eq!(error.code(), Code::Io);
        assert!(error.message().starts_with(path.to_str().unwrap()), "{}", error.message());
    };
    #[cfg(target_os = "linux")]
    assert!(is_readable(descriptor, FOR_EVER));
    fails(watch.next(FOR_EVER).unwrap_err());
    #[cfg(target_os = "linux")]
    assert!(is_readable(descriptor, FOR_EVER));
    fails(watch.next(FOR_EVER).unwrap_err());
    fails(n.watch(&WatchOptions::new()).unwrap_err());
}

#[test]
fn a_watch_goes_on_from_a_token() {
    both(|store, clock| {
        let n = store.namespace("n").unwrap();
        let ttl = PutOptions::new().ttl(60);
        ["a", "b", "c", "e"].iter().for_each(|key| _ = n.put(key, "1").unwrap());
        n.put_with("d", "1", &ttl).unwrap();
        let watch = n.watch(&WatchOptions::new()).unwrap();
        let first = watch.token(usize::MAX).unwrap();
        let since = |token: &str| now(&n.watch(&WatchOptions::new().since(token)).unwrap());
        assert_eq!(since(&first), "");
        n.delete("a").unwrap();
        n.put("b", "2").unwrap();
        n.put("f", "1").unwrap();
        clock.set(NOW + 60);
        assert_eq!(since(&first), "-a +b !d +f");
        assert_eq!(now(&watch), "-a +b !d +f");
        // What was returned may be handled, or not.
        let [before, some, after] = [0, 2, 4].map(|handled| watch.token(handled).unwrap());
        let told = [&before, &some, &after].map(|token| since(token));
        assert_eq!(told, ["-a +b !d +f", "!d +f", ""]);
        n.delete("e").unwrap();
        assert_eq!((since(&before), since(&after)), ("-a +b !d -e +f".into(), "-e".into()));
        // The token of a watch that goes on from one is no other.
        let again = n.watch(&WatchOptions::new().since(&after)).unwrap();
        assert_eq!((again.token(usize::MAX).unwrap(), now(&again)), (after.clone(), "-e".into()));
        // A token is there after the store was closed.
        store.close().unwrap();
        assert_eq!(again.token(0).unwrap(), after);
    });
}

#[test]
fn a_token_serves_a_watch_of_other_keys() {
    both(|store, _| {
        let n = store.namespace("n").unwrap();
        ["a:1", "a:2", "b:1"].iter().for_each(|key| _ = n.put(key, "").unwrap());
        let token = n.watch(&WatchOptions::new().prefix("a:")).unwrap().token(usize::MAX).unwrap();
        n.delete("a:2").unwrap();
        let by = |options: WatchOptions<'_>| now(&n.watch(&options.since(&token)).unwrap());
        assert_eq!(by(WatchOptions::new()), "-a:2 +b:1");
        assert_eq!(by(WatchOptions::new().prefix("b")), "+b:1");
        assert_eq!(by(WatchOptions::new().keys(&["a:1", "a:2"])), "-a:2");
    });
}

#[test]
fn a_token_outlives_the_process_and_its_store() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::open(folder.path().join("kv.db"), &OpenOptions::new()).unwrap().namespace("n").unwrap();
    let token = {
        let n = open();
        ["a", "b"].iter().for_each(|key| _ = n.put(key, "1").unwrap());
        n.watch(&WatchOptions::new()).unwrap().token(usize::MAX).unwrap()
    };
    open().put("a", "2").unwrap();
    open().put("c", "1").unwrap();
    open().delete("b").unwrap();
    let watch = open().watch(&WatchOptions::new().since(&token).values(true)).unwrap();
    let changes = watch.next(Duration::ZERO).unwrap();
    assert_eq!(changes.iter().map(told).collect::<Vec<_>>(), ["+a", "-b", "+c"]);
    assert_eq!(changes[0].entry.value(), b"2");
}

#[test]
fn a_token_contains_whatever_other_programs_have_stored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let n = Store::open(&path, &OpenOptions::new()).unwrap().namespace("n").unwrap();
    let token = || n.watch(&WatchOptions::new()).unwrap().token(usize::MAX).unwrap();
    let before = token();
    let sql =
        "INSERT INTO kv (namespace, key, value) VALUES ('n', '', 'no key'), ('n', char(0, 1), 2), ('n', 'a', 1e9)";
    assert!(std::process::Command::new("sqlite3").arg(&path).arg(sql).status().unwrap().success());
    let since = |token: &str| now(&n.watch(&WatchOptions::new().since(token)).unwrap());
    assert_eq!((since(&before), since(&token())), ("+ +\0\u{1} +a".into(), String::new()));
}

#[test]
fn a_token_can_be_had_beside_a_thread_that_waits() {
    both(|store, _| {
        let n = &store.namespace("n").unwrap();
        (0..2000).for_each(|i| _ = n.put(&i.to_string(), "").unwrap());
        let watch = &n.watch(&WatchOptions::new()).unwrap();
        let is_over = &AtomicBool::new(false);
        thread::scope(|scope| {
            // Two of them, since neither must refuse the other.
            let tokens = [(); 2].map(|()| {
                scope.spawn(|| {
                    let mut count = 0;
                    while !is_over.load(Ordering::Acquire) {
                        match watch.token(usize::MAX) {
                            Ok(_) => count += 1,
                            Err(error) => assert_eq!(error.code(), Code::Invalid),
                        }
                    }
                    count
                })
            });
            for i in 0..100 {
                n.put("key", i.to_string()).unwrap();
                let told = watch.next(FOR_EVER).map(|changes| changes.len());
                if told.is_err() || i == 99 {
                    is_over.store(true, Ordering::Release);
                }
                assert_eq!(told, Ok(1));
                thread::sleep(Duration::from_millis(1));
            }
            tokens.into_iter().for_each(|token| assert!(token.join().unwrap() > 0));
        });
    });
}

#[test]
fn a_token_is_refused_where_it_means_nothing() {
    both(|store, _| {
        let n = store.namespace("n").unwrap();
        let token = n.watch(&WatchOptions::new()).unwrap().token(usize::MAX).unwrap();
        let refused = |n: &Namespace, options: WatchOptions<'_>| {
            let error = n.watch(&options).unwrap_err();
            assert_eq!(error.code(), Code::Invalid);
            error.message().to_owned()
        };
        let with = WatchOptions::new();
        assert!(refused(&n, with.since("x")).contains("malformed"));
        assert!(refused(&n, with.since(&token[1..])).contains("malformed"));
        assert!(refused(&n, with.since(&token).existing(true)).contains("either"));
        assert!(refused(&store.namespace("m").unwrap(), with.since(&token)).contains("namespace \"n\""));
        let other = Store::open_memory(&OpenOptions::new()).unwrap().namespace("n").unwrap();
        assert!(refused(&other, with.since(&token)).contains("another store"));
    });
}

#[test]
fn changes_between_two_calls_become_one() {
    both(|store, _| {
        let n = store.namespace("n").unwrap();
        n.put("old", "").unwrap();
        let watch = n.watch(&WatchOptions::new().values(true)).unwrap();
        for i in 0..100 {
            n.put("a", i.to_string()).unwrap();
        }
        n.put("short", "").unwrap();
        n.delete("short").unwrap();
        n.delete("old").unwrap();
        n.put("old", "new").unwrap();
        let changes = watch.next(Duration::ZERO).unwrap();
        let values: Vec<_> = changes.iter().map(|change| (told(change), change.entry.value())).collect();
        assert_eq!(values, [("+a".into(), &b"99"[..]), ("+old".into(), b"new")]);
    });
}

#[test]
fn an_expiry_is_told_from_a_removal() {
    both(|store, clock| {
        let n = store.namespace("n").unwrap();
        for key in ["deleted", "gone", "kept", "replaced"] {
            n.put_with(key, "", &PutOptions::new().ttl(10)).unwrap();
        }
        let watch = n.watch(&WatchOptions::new()).unwrap();
        n.delete("deleted").unwrap();
        n.touch("kept", None, None).unwrap();
        assert_eq!(now(&watch), "-deleted +kept");
        clock.set(NOW + 100);
        n.put("replaced", "").unwrap();
        assert_eq!(now(&watch), "!gone +replaced");
        store.sweep(None).unwrap();
        assert_eq!(now(&watch), "");
    });
}

#[test]
fn a_watch_waits_for_the_change() {
    both(|store, _| {
        let n = &store.namespace("n").unwrap();
        let watch = n.watch(&WatchOptions::new()).unwrap();
        let begun = Instant::now();
        assert_eq!(watch.next(Duration::from_millis(30)).unwrap(), []);
        assert!(begun.elapsed() >= Duration::from_millis(30));
        thread::scope(|scope| {
            let waits = scope.spawn(|| watch.next(Duration::MAX).unwrap());
            thread::sleep(Duration::from_millis(20)); // most likely it waits now
            store.namespace("other").unwrap().put("key", "").unwrap();
            thread::sleep(Duration::from_millis(20));
            assert!(!waits.is_finished());
            n.put("key", "").unwrap();
            assert_eq!(waits.join().unwrap().iter().map(told).collect::<Vec<_>>(), ["+key"]);
        });
    });
}

/// Two keys that each batch sets to the same number.
fn put_pair(n: &Namespace, number: u32) {
    let mut batch = n.store().batch();
    let number = number.to_string();
    batch.put(n, "a", &number).unwrap();
    batch.put(n, "b", &number).unwrap();
    batch.commit().unwrap();
}

#[test]
fn what_one_batch_has_changed_comes_together() {
    both(|store, _| {
        let n = &store.namespace("n").unwrap();
        let watch = n.watch(&WatchOptions::new().values(true)).unwrap();
        let is_over = &AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(move || {
                (0..2000).for_each(|number| put_pair(n, number));
                is_over.store(true, Ordering::Release);
            });
            let mut last = Vec::new();
            loop {
                let over = is_over.load(Ordering::Acquire);
                let changes = watch.next(Duration::ZERO).unwrap();
                if let [a, b] = &changes[..] {
                    assert_eq!(a.entry.value(), b.entry.value());
                    last = a.entry.value().to_owned();
                } else {
                    assert_eq!(changes, []);
                    if over {
                        break;
                    }
                }
            }
            assert_eq!(last, b"1999");
        });
    });
}

#[test]
fn a_watch_that_follows_all_changes_ends_with_what_the_store_holds() {
    both(|store, _| {
        let n = &store.namespace("n").unwrap();
        (0..20).for_each(|i| _ = n.put(&format!("k{i:02}"), "0").unwrap());
        let watch = n.watch(&WatchOptions::new().prefix("k").existing(true).values(true)).unwrap();
        let mut copy = BTreeMap::new();
        let writers = AtomicBool::new(true);
        thread::scope(|scope| {
            let threads = [7_u64, 11].map(|step| {
                scope.spawn(move || {
                    for i in 0..1500 {
                        let key = format!("k{:02}", i * step % 30);
                        match i % 3 {
                            0 => _ = n.delete(&key).unwrap(),
                            _ => _ = n.put(&key, i.to_string()).unwrap(),
                        }
                    }
                })
            });
            let follows = scope.spawn(|| {
                loop {
                    let wrote = writers.load(Ordering::Acquire);
                    let changes = watch.next(Duration::from_millis(5)).unwrap();
                    for Change { kind, entry, .. } in changes.iter().cloned() {
                        match kind {
                            ChangeKind::Put => _ = copy.insert(entry.key.clone(), entry),
                            _ => assert!(copy.remove(&entry.key).is_some(), "{} was not there", entry.key),
                        }
                    }
                    if changes.is_empty() && !wrote {
                        return;
                    }
                }
            });
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            writers.store(false, Ordering::Release);
            follows.join().unwrap();
        });
        let page = n.list(&ListOptions::new().values(true)).unwrap();
        assert_eq!(copy.into_values().collect::<Vec<_>>(), page.entries);
    });
}

#[test]
fn writes_of_other_programs_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let store = Store::open(&path, &OpenOptions::new()).unwrap();
    let n = store.namespace("n").unwrap();
    ["a", "b", "c"].iter().for_each(|key| _ = n.put(key, "old").unwrap());
    let watch = n.watch(&WatchOptions::new().values(true)).unwrap();
    let seen = |sql: &str| {
        let shell = std::process::Command::new("sqlite3").arg(&path).arg(sql).status().unwrap();
        assert!(shell.success());
        watch.next(FOR_EVER).unwrap().iter().map(told).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(seen("UPDATE kv SET value = 'new' WHERE key = 'a'"), "+a");
    assert_eq!(seen("INSERT OR REPLACE INTO kv (namespace, key, value) VALUES ('n', 'b', 'old')"), "+b");
    assert_eq!(seen("UPDATE kv SET metadata = '1' WHERE key = 'b'"), "+b");
    assert_eq!(seen("DELETE FROM kv WHERE key = 'a'; UPDATE kv SET expiration = 1e10 WHERE key = 'c'"), "-a +c");
    assert_eq!(seen("VACUUM; INSERT INTO kv (namespace, key, value) VALUES ('n', 'd', '')"), "+d");
}

#[test]
fn a_store_that_only_reads_can_watch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let n = Store::open(&path, &OpenOptions::new()).unwrap().namespace("n").unwrap();
    let reader = Store::open(&path, &OpenOptions::new().readonly(true)).unwrap();
    let watch = reader.namespace("n").unwrap().watch(&WatchOptions::new()).unwrap();
    n.put("key", "").unwrap();
    assert_eq!(now(&watch), "+key");
}

#[test]
fn a_watch_follows_the_store_through_a_life_without_connections() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let store = Store::open(&path, &OpenOptions::new()).unwrap();
    let n = store.namespace("n").unwrap();
    let watch = n.watch(&WatchOptions::new()).unwrap();
    for i in 0..3 {
        // The log begins anew.
        n.put(&format!("{i}"), "").unwrap();
        assert!(store.checkpoint().unwrap());
        assert_eq!(now(&watch), format!("+{i}"));
        store.compact().unwrap();
        assert_eq!(now(&watch), "");
    }
}

#[test]
fn wrong_requests_are_refused_and_change_nothing() {
    both(|store, _| {
        let n = store.namespace("n").unwrap();
        let refused = |options: &WatchOptions<'_>| {
            let error = n.watch(options).unwrap_err();
            (error.code(), error.message().to_owned())
        };
        let many: BTreeSet<String> = (0..1001).map(|i| i.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(n.watch(&WatchOptions::new().keys(&many[..1000])).is_ok());
        let too_many = (Code::Limit, "1001 keys were to be watched; the limit is 1000".into());
        assert_eq!(refused(&WatchOptions::new().keys(&many)), too_many);
        let both = (Code::Invalid, "a watch has either keys or a prefix".into());
        assert_eq!(refused(&WatchOptions::new().keys(&["a"]).prefix("b")), both);
        assert_eq!(refused(&WatchOptions::new().keys(&["a", ""])), (Code::Invalid, "the key is empty".into()));
        assert_eq!(refused(&WatchOptions::new().prefix(&"x".repeat(5000))).0, Code::Limit);
        let watch = &n.watch(&WatchOptions::new()).unwrap();
        thread::scope(|scope| {
            const SECOND: &str = "another thread waits with this watch; each needs its own";
            let waits = scope.spawn(|| {
                loop {
                    match watch.next(FOR_EVER) {
                        Err(error) if error.message() == SECOND => thread::yield_now(), // the other one was faster
                        answer => break answer,
                    }
                }
            });
            let second = loop {
                match watch.next(Duration::ZERO) {
                    Ok(changes) => assert_eq!(changes, []), // the other one does not wait yet
                    Err(error) => break error,
                }
            };
            assert_eq!(second.message(), SECOND);
            store.close().unwrap();
            assert_eq!(waits.join().unwrap().unwrap_err().message(), "the store is closed");
        });
        assert_eq!(watch.next(FOR_EVER).unwrap_err().code(), Code::Invalid);
        assert_eq!(refused(&WatchOptions::new()).1, "the store is closed");
    });
}

#[cfg(target_os = "linux")]
fn is_readable(number: std::ffi::c_int, time: Duration) -> bool {
    let mut polled = libc::pollfd { fd: number, events: libc::POLLIN, revents: 0 };
    // SAFETY: it is one descriptor.
    let count = unsafe { libc::poll(&mut polled, 1, time.as_millis() as i32) };
    count == 1 && polled.revents == libc::POLLIN
}

#[test]
#[cfg(target_os = "linux")]
fn a_descriptor_becomes_readable_with_a_change() {
    let threads = || {
        std::fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
            let name = std::fs::read_to_string(task.ok()?.path().join("comm")).ok()?;
            (name.trim_end() == "luat_kv watch").then_some(())
        })
    };
    // One after the other: other tests count no threads of this name.
    both(|store, _| {
        let n = store.namespace("n").unwrap();
        let [first, second] = [(); 2].map(|()| n.watch(&WatchOptions::new()).unwrap());
        let number = first.descriptor().unwrap().unwrap();
        assert_eq!(first.descriptor().unwrap(), Some(number));
        let other = second.descriptor().unwrap().unwrap();
        assert!(is_readable(number, Duration::ZERO));
        assert_eq!((now(&first), now(&second)), (String::new(), String::new()));
        for i in 0..20 {
            let key = i.to_string();
            n.put(&key, "").unwrap();
            assert!(is_readable(number, FOR_EVER) && is_readable(other, FOR_EVER));
            assert_eq!((now(&first), now(&second)), (format!("+{key}"), format!("+{key}")));
        }
        assert_eq!(threads().count(), 1);
        drop(second);
        n.put("more", "").unwrap();
        assert!(is_readable(number, FOR_EVER));
        drop(first);
        assert_eq!(threads().count(), 0);
        // A watch may get the first descriptor while another one loses the last.
        for _ in 0..300 {
            let last = n.watch(&WatchOptions::new()).unwrap();
            assert!(last.descriptor().unwrap().is_some());
            thread::scope(|scope| {
                let drops = scope.spawn(|| drop(last));
                let first = n.watch(&WatchOptions::new()).unwrap();
                assert!(first.descriptor().unwrap().is_some());
                drops.join().unwrap();
            });
        }
        assert_eq!(threads().count(), 0);
        // Its end is a reason to ask, too.
        let last = n.watch(&WatchOptions::new()).unwrap();
        let number = last.descriptor().unwrap().unwrap();
        while is_readable(number, Duration::from_millis(10)) {
            assert_eq!(now(&last), "");
        }
        store.close().unwrap();
        assert!(is_readable(number, FOR_EVER));
        assert_eq!(last.next(FOR_EVER).unwrap_err().message(), "the store is closed");
        assert_eq!(last.descriptor().unwrap_err().code(), Code::Invalid);
    });
    both(|store, _| a_descriptor_stays_readable_while_a_call_has_left_something(&store));
    both(|store, _| a_descriptor_tells_of_many_changes_a_thousand_times_a_second_at_most(&store));
}

#[cfg(target_os = "linux")]
fn a_descriptor_stays_readable_while_a_call_has_left_something(store: &Store) {
    let n = store.namespace("n").unwrap();
    let watch = n.watch(&WatchOptions::new().values(true)).unwrap();
    let number = watch.descriptor().unwrap().unwrap();
    let value = vec![0; 17 << 20];
    ["a", "b", "c"].iter().for_each(|key| _ = n.put(key, &value).unwrap());
    // When the thread has told of these puts, only the watch itself makes it readable.
    while is_readable(number, Duration::from_millis(200)) {
        let mut count = [0_u8; 8];
        // SAFETY: there is room for the number.
        unsafe { libc::read(number, count.as_mut_ptr().cast(), count.len()) };
    }
    for (key, is_last) in [("+a", false), ("+b", false), ("+c", true)] {
        assert_eq!(now(&watch), key);
        assert_eq!(is_readable(number, Duration::ZERO), !is_last);
    }
}

#[cfg(target_os = "linux")]
fn a_descriptor_tells_of_many_changes_a_thousand_times_a_second_at_most(store: &Store) {
    let n = &store.namespace("n").unwrap();
    let watch = n.watch(&WatchOptions::new().keys(&["mine"])).unwrap();
    let number = watch.descriptor().unwrap().unwrap();
    let is_over = &AtomicBool::new(false);
    thread::scope(|scope| {
        let writes = scope.spawn(move || {
            let mut count = 0;
            while !is_over.load(Ordering::Acquire) {
                n.put("other", "").unwrap();
                count += 1;
            }
            count
        });
        let (begun, mut told) = (Instant::now(), 0);
        while begun.elapsed() < Duration::from_millis(300) {
            if is_readable(number, Duration::from_millis(10)) {
                assert_eq!(now(&watch), "");
                told += 1;
            }
        }
        let most = begun.elapsed().as_millis() + 2; // it is readable at first, and when the thread begins
        is_over.store(true, Ordering::Release);
        assert!(told <= most, "told {told} times of {} writes", writes.join().unwrap());
    });
}
