//! Imports into a store on disk, which read their input before they take the lock for writing.

use std::io::{self, Read};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use luat_kv::{Clock, Imported, ListOptions, Namespace, OpenOptions, PutOptions, Store};

const NOW: i64 = 1_700_000_000;

fn import(n: &Namespace, text: impl AsRef<[u8]>, replace: bool) -> luat_kv::Result<(u64, u64)> {
    n.import(&mut text.as_ref(), replace).map(|Imported { stored, skipped, .. }| (stored, skipped))
}

#[test]
fn an_import_stores_over_what_has_expired_and_skips_what_is_live() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(NOW);
    let options = OpenOptions::new().clock(clock.clone());
    let disk = Store::open(folder.path().join("kv.db"), &options).unwrap();
    for store in [disk, Store::open_memory(&options).unwrap()] {
        clock.set(NOW);
        let n = store.namespace("n").unwrap();
        n.put_with("expired", b"old", &PutOptions::new().ttl(5).metadata("1")).unwrap();
        n.put_with("live", b"old", &PutOptions::new().ttl(50)).unwrap();
        n.put("stays", b"old").unwrap();
        clock.set(NOW + 10);
        let text = ["expired", "live", "stays", "new", "new"].map(|key| format!(r#"{{"key":"{key}","value":"new"}}"#));
        assert_eq!(import(&n, text.concat(), false).unwrap(), (2, 3));
        for (key, value) in [("expired", "new"), ("live", "old"), ("stays", "old"), ("new", "new")] {
            assert_eq!(n.get(key).unwrap().as_deref(), Some(value.as_bytes()), "{key}");
        }
        let entry = n.get_entry("expired").unwrap().unwrap();
        assert_eq!((entry.expiration, entry.metadata), (None, None));
    }
}

/// A text that calls a function before each read.
struct Meanwhile<'a, F>(&'a [u8], F);

impl<F: FnMut()> Read for Meanwhile<'_, F> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        (self.1)();
        self.0.read(to)
    }
}

#[test]
fn others_write_while_an_import_reads() {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions::new().clock(Clock::manual(NOW)).busy_timeout(Duration::ZERO);
    let path = folder.path().join("kv.db");
    let n = Store::open(&path, &options).unwrap().namespace("n").unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    let mut reads = 0;
    let mut text = Meanwhile(br#"{"key":"a","value":"imported"}{"key":"b","value":"imported"}"#, || {
        reads += 1;
        n.put("a", b"put").unwrap();
        other.execute("INSERT OR REPLACE INTO kv (namespace, key, value) VALUES ('n', 'c', 'theirs')", ()).unwrap();
        assert_eq!(n.get("b").unwrap(), None);
    });
    let Imported { stored, skipped, .. } = n.import(&mut text, false).unwrap();
    assert_eq!((stored, skipped), (1, 1));
    assert!(reads > 1);
    for (key, value) in [("a", "put"), ("b", "imported"), ("c", "theirs")] {
        assert_eq!(n.get(key).unwrap().as_deref(), Some(value.as_bytes()));
    }
}

#[test]
fn a_lifetime_in_an_import_begins_when_it_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(NOW);
    let options = OpenOptions::new().clock(clock.clone());
    let n = Store::open(folder.path().join("kv.db"), &options).unwrap().namespace("n").unwrap();
    let text = br#"{"key":"a","value":"","expiration_ttl":50}{"key":"b","value":"","expiration":1700000050}"#;
    let mut now = NOW;
    let mut text = Meanwhile(text, || {
        now += 100;
        clock.set(now);
    });
    let imported = n.import(&mut text, false).unwrap();
    assert_eq!((imported.stored, imported.skipped), (1, 1));
    assert_eq!(n.get_entry("a").unwrap().unwrap().expiration, Some(now + 50));
}

/// More than what is kept in memory.
#[test]
fn a_large_import_is_complete_or_leaves_nothing() {
    const VALUE: usize = 300_000;
    let folder = tempfile::tempdir().unwrap();
    let n = Store::open(folder.path().join("kv.db"), &OpenOptions::new()).unwrap().namespace("n").unwrap();
    let mut text = String::new();
    for i in 0..30 {
        let value = "v".repeat(if i % 3 == 0 { VALUE } else { i });
        let more = ["", r#","metadata":[1, 2]"#, r#","expiration":99999999999"#][i % 3];
        text += &format!("{{\"key\":\"{i:02}\",\"value\":\"{value}\"{more}}}\n");
    }
    let error = import(&n, format!("{text}{{\"key\":1}}"), false).unwrap_err();
    assert!(error.message().contains("line 31"), "{error}");
    assert_eq!(n.count("").unwrap(), 0);
    assert_eq!(import(&n, &text, false).unwrap(), (30, 0));
    for (i, entry) in n.scan(&ListOptions::new().values(true)).enumerate() {
        let entry = entry.unwrap();
        let metadata = [None, Some("[1, 2]"), None][i % 3];
        let expiration = [None, None, Some(99_999_999_999)][i % 3];
        assert_eq!(entry.key, format!("{i:02}"));
        assert_eq!((entry.metadata.as_deref(), entry.expiration), (metadata, expiration));
        assert_eq!(entry.value(), "v".repeat(if i % 3 == 0 { VALUE } else { i }).as_bytes());
    }
    let names = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| name.starts_with("kv.db")), "the file of what was read is gone");
}

#[test]
fn an_import_that_finds_the_database_in_use_is_repeated_without_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let options = OpenOptions::new().busy_timeout(Duration::from_secs(24 * 3600));
    let n = Store::open(&path, &options).unwrap().namespace("n").unwrap();
    let other = Mutex::new(rusqlite::Connection::open(&path).unwrap());
    let execute = &|sql| other.lock().unwrap().execute_batch(sql).unwrap();
    let (mut reads, (begun, has_begun)) = (0, mpsc::channel());
    thread::scope(|scope| {
        scope.spawn(move || {
            has_begun.recv().unwrap();
            thread::sleep(Duration::from_millis(50)); // so that the import most likely waits
            execute("COMMIT");
        });
        let mut text = Meanwhile(br#"{"key":"a","value":"imported"}"#, || {
            reads += 1;
            if reads == 1 {
                execute("BEGIN IMMEDIATE");
                begun.send(()).unwrap();
            }
        });
        assert_eq!(n.import(&mut text, false).unwrap().stored, 1);
    });
}
