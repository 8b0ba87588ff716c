//! Features of a store in Rust besides the model's operations: opening, sweeping, sharing, closing.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use luat_kv::{Clock, Code, IncrOptions, Limits, ListOptions, OpenOptions, PutOptions, Store, Version};

const NOW: i64 = 1_700_000_000;

/// The last expiration that Workers KV accepts.
const LAST: i64 = i32::MAX as i64;

fn ttl(seconds: i64) -> PutOptions<'static> {
    PutOptions::new().ttl(seconds)
}

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

/// The number of expired rows that are still stored.
fn swept(store: &Store) -> u64 {
    store.sweep(None).unwrap()
}

#[test]
fn writes_remove_the_expired_and_a_sweep_the_rest() {
    both(|store, clock| {
        let n = store.namespace("n").unwrap();
        for i in 0..100 {
            n.put_with(&format!("k{i:03}"), b"v", &ttl(10)).unwrap();
        }
        n.put_with("later", b"v", &ttl(100)).unwrap();
        clock.set(NOW + 10);
        n.delete("nothing").unwrap();
        assert_eq!(store.sweep(Some(2)).unwrap(), 2);
        assert_eq!(store.stats().unwrap().namespaces[0].expired, 100 - 16 - 2);
        // The back ends remove them in steps of different sizes.
        for _ in 0..64 {
            n.delete("nothing").unwrap();
        }
        assert_eq!(swept(&store), 0);
        for i in 0..100 {
            n.put_with(&format!("k{i:03}"), b"v", &ttl(10)).unwrap();
        }
        clock.set(NOW + 20);
        n.delete("nothing").unwrap();
        assert_eq!(swept(&store), 100 - 16);
        assert_eq!(n.list(&ListOptions::default()).unwrap().entries.len(), 1);
    });
}

/// Puts `k00000` to `k19999`, of which each thousandth stays and the others have expired.
fn put_mostly_expired(store: &Store, clock: &Clock) {
    let n = store.namespace("n").unwrap();
    for thousand in 0..20 {
        let mut batch = store.batch();
        batch.put(&n, &format!("k{:05}", thousand * 1000), b"v").unwrap();
        for i in 1..1000 {
            batch.put_with(&n, &format!("k{:05}", thousand * 1000 + i), b"v", &ttl(10)).unwrap();
        }
        batch.commit().unwrap();
    }
    clock.set(NOW + 10);
}

const EXPIRED: u64 = 20_000 - 20;

fn expired(store: &Store) -> u64 {
    store.stats().unwrap().namespaces.iter().map(|namespace| namespace.expired).sum()
}

#[test]
fn a_list_removes_the_many_expired_entries_that_it_has_passed() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(NOW);
    let options = OpenOptions::new().clock(clock.clone());
    let store = Store::open(folder.path().join("kv.db"), &options).unwrap();
    let n = store.namespace("n").unwrap();
    put_mostly_expired(&store, &clock);
    assert_eq!(n.list(&ListOptions::new().limit(2)).unwrap().entries.len(), 2);
    assert_eq!(expired(&store), EXPIRED, "a short list leaves them");
    let last = n.list(&ListOptions::new().reverse(true).limit(10)).unwrap();
    assert_eq!(last.entries.last().unwrap().key, "k10000");
    let left = expired(&store);
    // Each step is a write, so some others go too.
    assert!((9000..=10_000).contains(&left), "{left} are left");
    let reader = Store::open(folder.path().join("kv.db"), &options.clone().readonly(true)).unwrap();
    assert_eq!(reader.namespace("n").unwrap().list(&ListOptions::new()).unwrap().entries.len(), 20);
    assert_eq!(expired(&store), left, "a store that only reads leaves them");
    let all = ListOptions::new();
    let keys: Vec<_> = n.scan(&all).map(|entry| entry.unwrap().key).collect();
    assert_eq!(keys, (0..20).map(|thousand| format!("k{thousand:02}000")).collect::<Vec<_>>());
    assert_eq!(expired(&store), 0);
    assert_eq!(n.count("").unwrap(), 20);
}

#[test]
fn a_list_does_not_wait_until_it_can_remove_the_expired_entries() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let clock = Clock::manual(NOW);
    let options = OpenOptions::new().clock(clock.clone()).busy_timeout(Duration::from_secs(24 * 3600));
    let store = Store::open(&path, &options).unwrap();
    put_mostly_expired(&store, &clock);
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(store.namespace("n").unwrap().list(&ListOptions::new()).unwrap().entries.len(), 20);
    assert_eq!(expired(&store), EXPIRED);
}

#[test]
fn a_batch_removes_as_many_of_the_expired_as_it_adds() {
    const KEYS: u64 = 100;
    both(|store, clock| {
        let n = store.namespace("n").unwrap();
        for second in 0..5 {
            clock.set(NOW + 10 * second);
            let mut batch = store.batch();
            for key in 0..KEYS {
                batch.put_with(&n, &format!("{second}:{key}"), b"v", &ttl(5)).unwrap();
            }
            batch.commit().unwrap();
        }
        clock.set(NOW + 100);
        assert_eq!(swept(&store), KEYS, "those of the last batch");
    });
}

#[test]
fn expired_entries_are_found_in_whichever_second_they_end() {
    both(|store, clock| {
        let n = store.namespace("n").unwrap();
        for end in 1..=5 {
            n.put_with(&format!("k{end}"), b"v", &ttl(end)).unwrap();
        }
        for end in 1..=5 {
            clock.set(NOW + end);
            n.put("other", b"v").unwrap();
            assert_eq!(swept(&store), 0, "the write of second {end} has removed what ended in it");
        }
    });
}

#[test]
fn a_new_life_of_a_key_does_not_end_with_its_old_one() {
    both(|store, clock| {
        let n = store.namespace("n").unwrap();
        n.put_with("k", b"old", &ttl(5)).unwrap();
        n.put("k", b"new").unwrap();
        n.put_with("l", b"old", &ttl(5)).unwrap();
        n.put_with("l", b"new", &ttl(50)).unwrap();
        clock.set(NOW + 20);
        n.delete("nothing").unwrap();
        assert_eq!(swept(&store), 0);
        assert_eq!(n.get("k").unwrap().as_deref(), Some(&b"new"[..]));
        assert_eq!(n.get("l").unwrap().as_deref(), Some(&b"new"[..]));
    });
}

#[test]
fn a_store_returns_the_limits_that_it_was_opened_with() {
    let limits = |options: &OpenOptions| Store::open_memory(options).unwrap().limits();
    assert_eq!(limits(&OpenOptions::new()), Limits::Default);
    assert_eq!(limits(&OpenOptions::new().limits(Limits::Cloudflare)), Limits::Cloudflare);
}

#[test]
fn limits_say_no_on_their_far_side_only() {
    let options = OpenOptions::new().limits(Limits::Cloudflare).clock(Clock::manual(NOW));
    let n = Store::open_memory(&options).unwrap().namespace("n").unwrap();
    let code = |result: luat_kv::Result<Version>| result.map(|_| ()).map_err(|error| error.code());
    assert_eq!(code(n.put_with("k", b"v", &ttl(60))), Ok(()));
    assert_eq!(code(n.put_with("k", b"v", &ttl(59))), Err(Code::Limit));
    assert_eq!(code(n.put_with("k", b"v", &ttl(0))), Err(Code::Invalid));
    // The option has another name in each language.
    for (seconds, message) in [
        (-1, "the lifetime is -1 seconds; it is at least 1"),
        (59, "the lifetime is 59 seconds; the limit is 60 at least"),
    ] {
        assert_eq!(n.put_with("k", b"v", &ttl(seconds)).unwrap_err().message(), message);
    }
    for (ahead, expected) in [(60, Ok(())), (59, Err(Code::Limit)), (0, Err(Code::Invalid))] {
        let options = PutOptions::new().expires_at(NOW + ahead);
        assert_eq!(code(n.put_with("k", b"v", &options)), expected);
    }
    assert_eq!(code(n.put("..", b"v")), Err(Code::Invalid));
    assert_eq!(code(n.put("...", b"v")), Ok(()));
    assert_eq!(code(n.put_with("k", b"v", &ttl(i64::MAX))), Err(Code::Invalid));
    for (at, expected) in [(LAST, Ok(())), (LAST + 1, Err(Code::Limit)), (NOW * 1000, Err(Code::Invalid))] {
        let options = PutOptions::new().expires_at(at);
        assert_eq!(code(n.put_with("k", b"v", &options)), expected, "{at}");
    }
    assert_eq!(code(n.put_with("k", b"v", &ttl(LAST - NOW))), Ok(()));
    assert_eq!(code(n.put_with("k", b"v", &ttl(LAST - NOW + 1))), Err(Code::Limit));
}

/// The time at which lifetimes begin, by the system's precise clock.
fn next_second() -> i64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    (now.as_secs() + u64::from(now.subsec_nanos() > 0)) as i64
}

#[test]
fn no_lifetime_is_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    let on_disk = Store::open(folder.path().join("kv.db"), &OpenOptions::default()).unwrap();
    for store in [on_disk, Store::open_memory(&OpenOptions::default()).unwrap()] {
        let n = store.namespace("n").unwrap();
        let incr = IncrOptions::new().ttl(10);
        let before = next_second();
        n.put_with("put", b"1", &ttl(10)).unwrap();
        assert!(n.add_with("add", b"1", &ttl(10)).unwrap().is_some());
        n.incr_with("incr", 1, &incr).unwrap();
        n.put("touch", b"1").unwrap();
        assert!(n.touch("touch", None, Some(10)).unwrap());
        let mut batch = store.batch();
        batch.put_with(&n, "batch put", b"1", &ttl(10)).unwrap().incr_with(&n, "batch incr", 1, &incr).unwrap();
        assert!(batch.commit().unwrap().is_some());
        n.import(&mut &br#"{"key":"import","value":"1","expiration_ttl":10}"#[..], false).unwrap();
        let after = next_second();
        let page = n.list(&ListOptions::default()).unwrap();
        assert_eq!(page.entries.len(), 7);
        for key in page.entries {
            let end = key.expiration.unwrap();
            assert!((before + 10..=after + 10).contains(&end), "{}: {before} {end} {after}", key.key);
        }
    }
}

#[test]
fn a_clock_that_stands_on_a_full_second_is_not_rounded() {
    both(|store, clock| {
        let n = store.namespace("n").unwrap();
        n.put_with("k", b"v", &ttl(1)).unwrap();
        assert_eq!(n.get_entry("k").unwrap().unwrap().expiration, Some(NOW + 1));
        clock.set(NOW + 1);
        assert_eq!(n.get("k").unwrap(), None);
    });
}

#[test]
fn milliseconds_are_no_expiration() {
    /// The end of the year 9999.
    const END: i64 = 253_402_300_799;
    both(|store, _| {
        let n = store.namespace("n").unwrap();
        let at = |at| PutOptions::new().expires_at(at);
        n.put_with("k", b"v", &at(END)).unwrap();
        n.put_with("k", b"v", &ttl(END - NOW)).unwrap();
        for options in [at(END + 1), at(NOW * 1000), at(i64::MAX), ttl(END - NOW + 1), ttl(i64::MAX)] {
            let error = n.put_with("k", b"new", &options).unwrap_err();
            assert_eq!(error.code(), Code::Invalid);
            assert!(error.message().contains("9999") && error.message().contains("milliseconds"), "{error}");
        }
        let error = n.touch("k", Some(NOW * 1000), None).unwrap_err();
        assert!(error.message().contains("milliseconds"), "{error}");
        let line = format!(r#"{{"key":"k","value":"new","expiration":{NOW}000}}"#);
        let error = n.import(&mut line.as_bytes(), true).unwrap_err();
        assert!(error.message().starts_with("line 1, key \"k\": expiration"), "{error}");
        assert_eq!(n.get("k").unwrap().as_deref(), Some(&b"v"[..]));
    });
}

#[test]
fn an_empty_stop_and_an_empty_cursor_are_errors() {
    both(|store, _| {
        let n = store.namespace("n").unwrap();
        n.put("a", b"v").unwrap();
        for reverse in [false, true] {
            let options = ListOptions::new().reverse(reverse);
            let error = n.list(&options.stop("")).unwrap_err();
            assert_eq!(error.code(), Code::Invalid);
            assert!(error.message().starts_with("stop is empty"), "{error}");
            let error = n.list(&options.cursor("")).unwrap_err();
            assert_eq!(error.code(), Code::Invalid);
            assert!(error.message().contains("cursor"), "{error}");
            assert_eq!(n.list(&options).unwrap().entries.len(), 1);
        }
    });
}

#[test]
fn a_closed_store_is_closed_for_all_its_handles() {
    both(|store, _| {
        let n = store.namespace("n").unwrap();
        store.close().unwrap();
        store.clone().close().unwrap();
        for error in [
            store.namespace("other").unwrap_err(),
            n.get("k").unwrap_err(),
            n.put("k", b"v").unwrap_err(),
            n.delete("k").unwrap_err(),
            n.list(&ListOptions::default()).unwrap_err(),
            store.sweep(None).unwrap_err(),
        ] {
            assert_eq!((error.code(), error.message()), (Code::Invalid, "the store is closed"));
        }
    });
}

#[test]
fn a_closed_store_leaves_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("kv.db"), &OpenOptions::default()).unwrap();
    let n = store.namespace("n").unwrap();
    n.put("k", b"v").unwrap();
    drop(store);
    assert_eq!(n.get("k").unwrap().as_deref(), Some(&b"v"[..]), "a namespace keeps its store open");
    drop(n);
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["kv.db"]);
}

#[cfg(unix)]
#[test]
fn a_files_log_is_counted_by_whichever_name() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("kv.db"), folder.path().join("link.db"));
    std::os::unix::fs::symlink("kv.db", &other).unwrap();
    let (store, same) = (Store::open(&path, &OpenOptions::default()), Store::open(&other, &OpenOptions::default()));
    let (store, same) = (store.unwrap(), same.unwrap());
    store.namespace("n").unwrap().put("k", b"v").unwrap();
    assert_eq!(same.stats().unwrap().file_size, store.stats().unwrap().file_size);
}

#[test]
fn many_stores_make_one_file_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/kv.db");
    thread::scope(|scope| {
        for i in 0..8 {
            let path = &path;
            scope.spawn(move || {
                let n = Store::open(path, &OpenOptions::default()).unwrap().namespace("n").unwrap();
                for j in 0..50 {
                    n.put(&format!("{i}-{j}"), b"v").unwrap();
                }
            });
        }
    });
    let n = Store::open(&path, &OpenOptions::default()).unwrap().namespace("n").unwrap();
    assert_eq!(n.list(&ListOptions::new().limit(1000)).unwrap().entries.len(), 400);
}

#[test]
fn a_busy_database_is_waited_for_and_then_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let timeout = Duration::from_millis(200);
    let store = Store::open(&path, &OpenOptions::new().busy_timeout(timeout)).unwrap();
    let n = store.namespace("n").unwrap();
    n.put("k", b"old").unwrap();
    // The same SQLite as the store's, and closed after it: no lock is lost.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    assert_eq!(n.put("k", b"new").unwrap_err().code(), Code::Busy);
    assert!(begun.elapsed() >= timeout);
    assert_eq!(n.get("k").unwrap().as_deref(), Some(&b"old"[..]), "who writes keeps nobody from reading");
    other.execute_batch("ROLLBACK").unwrap();
    n.put("k", b"new").unwrap();
    drop((n, store));
}

#[test]
fn a_writer_that_waits_for_the_database_blocks_no_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    // Longer than any machine needs for the rest of this test.
    let timeout = Duration::from_secs(600);
    let store = Store::open(&path, &OpenOptions::new().busy_timeout(timeout)).unwrap();
    let n = store.namespace("n").unwrap();
    n.put("k", b"v").unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| n.put("k", b"new").unwrap());
        }
        thread::sleep(Duration::from_millis(100));
        // If a waiting writer held the connection, this read would return only after the writers had failed.
        assert_eq!(n.get("k").unwrap().as_deref(), Some(&b"v"[..]));
        other.execute_batch("ROLLBACK").unwrap();
    });
    assert_eq!(n.get("k").unwrap().as_deref(), Some(&b"new"[..]));
    drop((n, store));
}

#[test]
fn a_write_decides_by_the_time_when_it_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let clock = Clock::manual(NOW);
    let options = OpenOptions::new().clock(clock.clone());
    let n = Store::open(&path, &options).unwrap().namespace("n").unwrap();
    for key in ["added", "touched", "counted"] {
        n.put_with(key, b"1", &ttl(10)).unwrap();
    }
    // The same SQLite as the store's, and closed after it: no lock is lost.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let waiting = [
            scope.spawn(|| assert!(n.add_with("added", b"2", &ttl(5)).unwrap().is_some(), "the old one had expired")),
            scope.spawn(|| assert!(!n.touch("touched", None, Some(5)).unwrap(), "it had expired")),
            scope.spawn(|| {
                let options = IncrOptions::new().ttl(5);
                assert_eq!(n.incr_with("counted", 1, &options).unwrap(), 1, "it begins anew");
            }),
            scope.spawn(|| {
                n.put_with("put", b"2", &ttl(5)).unwrap();
            }),
            scope.spawn(|| {
                let mut batch = n.store().batch();
                batch.check(&n, "added too", None).unwrap().put_with(&n, "batch", b"2", &ttl(5)).unwrap();
                assert!(batch.commit().unwrap().is_some());
            }),
        ];
        thread::sleep(Duration::from_millis(200));
        clock.set(NOW + 20);
        other.execute_batch("ROLLBACK").unwrap();
        waiting.into_iter().for_each(|waiting| waiting.join().unwrap());
    });
    for key in ["added", "counted", "put", "batch"] {
        assert_eq!(n.get_entry(key).unwrap().unwrap().expiration, Some(NOW + 25), "{key}");
    }
    assert_eq!(n.get("touched").unwrap(), None);
    drop(n);
}

#[test]
fn an_empty_prefix_removes_nothing() {
    both(|store, _| {
        let n = store.namespace("n").unwrap();
        n.put("k", b"v").unwrap();
        let error = n.delete_prefix("").unwrap_err();
        assert_eq!(error.code(), Code::Invalid);
        assert_eq!(error.message(), "the prefix is empty; to remove all keys, clear the namespace");
        assert_eq!((n.count("").unwrap(), n.clear().unwrap(), n.count("").unwrap()), (1, 1, 0));
    });
}

#[test]
fn a_long_removal_ends_while_others_go_on_filling() {
    both(|store, _| {
        let n = store.namespace("n").unwrap();
        n.put("p", b"v").unwrap();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for i in 0.. {
                    n.put(&format!("p{i:09}"), b"v").unwrap();
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            while n.count("p").unwrap() < 100 {}
            assert!(n.delete_prefix("p").unwrap() >= 100);
            over.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn a_write_that_was_cut_short_is_undone_before_the_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (path, journal) = (folder.path().join("kv.db"), folder.path().join("kv.db-journal"));
    let other = rusqlite::Connection::open(folder.path().join("other.db")).unwrap();
    // A very small cache, so that the file is written to before the end, as if the process died here.
    let table = "CREATE TABLE kv (namespace, key, value, metadata, expiration, PRIMARY KEY (namespace, key))";
    other.execute_batch(&format!("PRAGMA cache_size = 1; {table}; BEGIN")).unwrap();
    for key in 0..100 {
        other.execute("INSERT INTO kv VALUES ('n', ?1, zeroblob(4000), NULL, NULL)", (key.to_string(),)).unwrap();
    }
    fs::copy(folder.path().join("other.db"), &path).unwrap();
    fs::copy(folder.path().join("other.db-journal"), &journal).unwrap();
    drop(other);
    let error = Store::open(&path, &OpenOptions::new().readonly(true)).unwrap_err();
    assert_eq!(error.code(), Code::Io);
    assert!(error.message().contains("open it once for writing"), "{error}");
    Store::open(&path, &OpenOptions::default()).unwrap().close().unwrap();
    assert!(!journal.exists());
    Store::open(&path, &OpenOptions::new().readonly(true)).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_sqlite_cannot_make_sense_of_any_more_is_damaged() {
    use std::os::unix::fs::FileExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let store = Store::open(&path, &OpenOptions::default()).unwrap();
    let n = store.namespace("n").unwrap();
    n.put("k", b"v").unwrap();
    store.checkpoint().unwrap();
    // After its commit the store reads the file again.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; UPDATE kv SET value = x'01'").unwrap();
    // In the header: the number of schema changes, and the format, which is from 1 to 4.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0, 0, 0, 99, 0, 0, 0, 99], 40).unwrap();
    other.execute_batch("COMMIT").unwrap();
    let put = n.put("k", b"v");
    let export = n.export(&mut std::io::sink(), luat_kv::Format::Json);
    let backup = store.backup(path.with_extension("copy"));
    for error in [n.get("k").unwrap_err(), put.unwrap_err(), export.unwrap_err(), backup.unwrap_err()] {
        assert_eq!(error.code(), Code::Corrupt, "{error}");
        assert!(error.message().contains("unsupported file format"), "{error}");
    }
}

#[test]
fn a_store_that_is_not_to_be_made_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/kv.db");
    let options = OpenOptions::new().create(false);
    let error = Store::open(&path, &options).unwrap_err();
    assert_eq!(error.code(), Code::Io);
    assert!(!folder.path().join("new").exists());
    Store::open(&path, &OpenOptions::default()).unwrap();
    let store = Store::open(&path, &options).unwrap();
    store.namespace("a").unwrap().put("b", b"1").unwrap();
}

#[test]
fn a_file_that_something_else_in_the_process_has_open_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let first = Store::open(&path, &OpenOptions::default()).unwrap();
    let second = Store::open(&path, &OpenOptions::default()).unwrap();
    first.close().unwrap();
    second.close().unwrap();
    let file = fs::File::open(&path).unwrap();
    let error = Store::open(&path, &OpenOptions::default()).unwrap_err();
    assert_eq!(error.code(), Code::Busy);
    assert!(error.message().contains("another library in this process"), "{error}");
    drop(file);
    Store::open(&path, &OpenOptions::default()).unwrap();
}
