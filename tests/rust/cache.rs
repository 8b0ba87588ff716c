//! The cache of values: what it returns is always what the file has, whoever wrote it.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use luat_kv::{Clock, Code, Format, Namespace, OpenOptions, PutOptions, Store};
use rusqlite::Connection;

const NOW: i64 = 1_700_000_000;

fn hits(store: &Store) -> u64 {
    store.stats().unwrap().cache.hits
}

/// Reads a key often enough for the cache to have it. Returns the value.
fn warm(n: &Namespace, key: &str) -> Option<Vec<u8>> {
    let mut value = None;
    for _ in 0..4 {
        value = n.get_entry(key).unwrap().map(|entry| entry.into_value());
    }
    value
}

fn open(path: &Path, cache_size: u64) -> Store {
    Store::open(path, &OpenOptions::new().cache_size(cache_size)).unwrap()
}

fn value(n: &Namespace, key: &str) -> Option<String> {
    n.get(key).unwrap().map(|value| String::from_utf8(value).unwrap())
}

/// A file, with a store that caches and one that does not.
fn with_both(test: impl FnOnce(&Path, &Namespace, &Namespace)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let [cached, plain] = [OpenOptions::DEFAULT_CACHE_SIZE, 0].map(|size| open(&path, size).namespace("n").unwrap());
    test(&path, &cached, &plain);
    assert!(hits(cached.store()) > 0);
}

#[test]
fn what_other_programs_write_is_seen_by_the_next_read() {
    with_both(|path, n, plain| {
        // The same SQLite as the store's, and closed after it: no lock is lost.
        let other = Connection::open(path).unwrap();
        n.put("k", "0").unwrap();
        n.put("other", "0").unwrap();
        let insert = "INSERT OR REPLACE INTO kv (namespace, key, value, metadata, expiration) VALUES";
        for statement in [
            // As Luat and the sqlite3 shell do.
            &format!("{insert} ('n', 'k', '1', NULL, NULL)"),
            "UPDATE kv SET value = '2' WHERE key = 'k'",
            "DELETE FROM kv WHERE key = 'k'",
            &format!("{insert} ('n', 'k', '3', '{{}}', 9999999999)"),
            "UPDATE kv SET expiration = 1 WHERE key = 'k'",
            "UPDATE kv SET expiration = NULL WHERE key = 'k'",
            "BEGIN; UPDATE kv SET value = '4' WHERE key = 'other'; UPDATE kv SET value = '5' WHERE key = 'k'; COMMIT",
            "BEGIN; UPDATE kv SET value = '6'; ROLLBACK",
            "PRAGMA wal_checkpoint(TRUNCATE)",
            "UPDATE kv SET value = '7' WHERE key = 'k'",
            "PRAGMA wal_checkpoint(RESTART)",
            "UPDATE kv SET value = '8' WHERE key = 'k'",
            "VACUUM",
            "DELETE FROM kv",
        ] {
            warm(n, "k");
            warm(n, "other");
            other.execute_batch(statement).unwrap();
            for key in ["k", "other"] {
                assert_eq!(value(n, key), value(plain, key), "{key} after {statement}");
                assert_eq!(n.has(key), plain.has(key), "{key} after {statement}");
                assert_eq!(n.get_many(&["k", "other"]), plain.get_many(&["k", "other"]), "after {statement}");
                assert_eq!(n.get_entry(key), plain.get_entry(key), "{key} after {statement}");
            }
        }
    });
}

#[test]
fn what_this_process_writes_is_seen_by_the_next_read() {
    type Act = fn(&Namespace);
    let acts: [(&str, Act); 15] = [
        ("put", |n| drop(n.put("k", "1"))),
        ("put with metadata", |n| drop(n.put_with("k", "1", &PutOptions::new().metadata("[1]").ttl(100)))),
        ("touch", |n| drop(n.touch("k", None, Some(50)))),
        ("touch for ever", |n| drop(n.touch("k", None, None))),
        ("incr", |n| drop(n.incr("k", 5))),
        ("delete", |n| drop(n.delete("k"))),
        ("add", |n| drop(n.add("k", "2"))),
        ("take", |n| drop(n.take("k"))),
        ("batch", |n| drop(n.store().batch().put(n, "k", "3").unwrap().delete(n, "other").unwrap().commit())),
        ("add after a batch", |n| drop(n.add("other", "4"))),
        ("import", |n| drop(n.import(&mut &br#"[{"key":"k","value":"5"}]"#[..], true))),
        ("delete_prefix", |n| drop(n.delete_prefix("k"))),
        ("add again", |n| drop(n.add("k", "6"))),
        ("compact", |n| n.store().compact().unwrap()),
        ("clear", |n| drop(n.clear())),
    ];
    with_both(|_, n, plain| {
        n.put("k", "0").unwrap();
        n.put("other", "0").unwrap();
        for (name, act) in acts {
            // By a store that reads with a cache, and by one that reads without.
            for writer in [n, plain] {
                warm(n, "k");
                warm(n, "other");
                act(writer);
                for key in ["k", "other"] {
                    assert_eq!(n.get_entry(key), plain.get_entry(key), "{key} after {name}");
                    assert_eq!(value(n, key), value(plain, key), "{key} after {name}");
                }
            }
        }
        let mut exported = Vec::new();
        n.export(&mut exported, Format::Json).unwrap();
        assert!(!exported.contains(&b'{'));
    });
}

#[test]
fn an_own_write_leaves_the_other_keys_in_the_cache() {
    with_both(|_, n, _| {
        n.put("k", "0").unwrap();
        n.put("other", "0").unwrap();
        warm(n, "k");
        warm(n, "other");
        let before = n.store().stats().unwrap().cache;
        n.put("k", "1").unwrap();
        assert_eq!(value(n, "other").as_deref(), Some("0"));
        let after = n.store().stats().unwrap().cache;
        assert_eq!((after.hits, after.drops), (before.hits + 1, before.drops));
    });
}

#[test]
fn entries_expire_to_the_second_and_the_clock_may_be_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(NOW);
    let options = OpenOptions::new().clock(clock.clone());
    let store = Store::open(folder.path().join("kv.db"), &options).unwrap();
    let n = store.namespace("n").unwrap();
    n.put_with("k", "v", &PutOptions::new().ttl(10)).unwrap();
    n.put("other", "v").unwrap();
    warm(&n, "k");
    for (time, is_there) in [(NOW + 9, true), (NOW + 10, false), (NOW + 9, true), (NOW + 10, false)] {
        clock.set(time);
        assert_eq!(n.has("k").unwrap(), is_there);
        assert_eq!(n.get("k").unwrap().is_some(), is_there);
    }
    // A write sweeps, so the entry is gone also if the clock is set back.
    warm(&n, "other");
    n.put("unrelated", "v").unwrap();
    clock.set(NOW);
    assert_eq!(n.get("k").unwrap(), None);
    assert_eq!(n.get_entry("k").unwrap(), None);
}

#[test]
fn a_readonly_store_has_a_cache_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let writer = open(&path, 0).namespace("n").unwrap();
    writer.put("k", "0").unwrap();
    // Another path, so another database of this process.
    let same = folder.path().join("..").join(folder.path().file_name().unwrap()).join("kv.db");
    let reader = Store::open(same, &OpenOptions::new().readonly(true)).unwrap().namespace("n").unwrap();
    for value in 1..10 {
        writer.put("k", value.to_string()).unwrap();
        assert_eq!(warm(&reader, "k"), Some(value.to_string().into_bytes()));
    }
}

#[test]
fn threads_see_each_write_that_was_acknowledged() {
    const WRITES: u64 = 3_000;
    with_both(|path, n, _| {
        let acknowledged = AtomicUsize::new(0);
        n.put("k", "0").unwrap();
        let other = Connection::open(path).unwrap();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut last = 0;
                    while last < WRITES as usize {
                        let before = acknowledged.load(Ordering::SeqCst);
                        let read: usize = value(n, "k").unwrap().parse().unwrap();
                        assert!(read >= before && read >= last, "{read} after {before} and {last}");
                        last = read;
                    }
                });
            }
            for write in 1..=WRITES {
                match write % 3 {
                    0 => drop(n.put("k", write.to_string()).unwrap()),
                    1 => drop(n.incr("k", 1).unwrap()),
                    // As another process.
                    _ => {
                        while other.execute("UPDATE kv SET value = ?1 WHERE key = 'k'", (write.to_string(),)).is_err() {
                        }
                    }
                }
                acknowledged.store(write as usize, Ordering::SeqCst);
            }
        });
    });
}

#[test]
fn a_replaced_file_is_noticed_in_spite_of_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let (path, new) = (folder.path().join("kv.db"), folder.path().join("new.db"));
    let n = open(&path, OpenOptions::DEFAULT_CACHE_SIZE).namespace("n").unwrap();
    n.put("k", "old").unwrap();
    warm(&n, "k");
    n.store().backup(&new).unwrap();
    fs::rename(&new, &path).unwrap();
    let begun = Instant::now();
    let error = loop {
        match n.get("k") {
            Ok(_) if begun.elapsed() < Duration::from_secs(60) => thread::sleep(Duration::from_millis(10)),
            found => break found.unwrap_err(),
        }
    };
    assert_eq!(error.code(), Code::Io, "{error}");
}

#[test]
fn a_store_may_read_without_a_cache() {
    let folder = tempfile::tempdir().unwrap();
    let n = open(&folder.path().join("kv.db"), 0).namespace("n").unwrap();
    n.put("k", "v").unwrap();
    for _ in 0..10 {
        n.get("k").unwrap();
        n.get_many(&["k"]).unwrap();
    }
    let stats = n.store().stats().unwrap().cache;
    assert_eq!((stats.hits, stats.misses, stats.size), (0, 0, 0));
}

#[test]
fn a_size_of_more_than_the_memory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions::new().cache_size(u64::MAX);
    let error = Store::open(folder.path().join("kv.db"), &options).unwrap_err();
    assert_eq!(error.code(), Code::Invalid);
    assert!(error.message().contains("cache_size is 18446744073709551615 bytes, more than the memory"), "{error}");
}
