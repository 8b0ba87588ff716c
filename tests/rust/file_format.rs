//! The format that a file declares, and the use of files of older and later formats.
//!
//! The connections here use the same copy of SQLite as the store.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use luat_kv::{Clock, Code, Entry, ListOptions, Namespace, Store};
use rusqlite::Connection;

use self::database::{NOW, file, open, options, query};

mod database;

/// A file as a library of format 1 makes it.
const FORMAT_1: &str = "PRAGMA journal_mode = WAL;
    CREATE TABLE kv (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    expiration INTEGER,
    version BLOB NOT NULL DEFAULT (randomblob(12)),
    metadata TEXT,
    value BLOB,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
    CREATE INDEX kv_expiration ON kv (expiration) WHERE expiration IS NOT NULL;";

const ROWS: &str = "INSERT INTO kv (namespace, key, value, metadata, expiration) VALUES
    ('n', 'a', x'6f6e65', '{\"a\":1}', NULL), ('n', 'b', 'text', NULL, 1700000100), ('n', 'dead', x'00', NULL, 1),
    ('n', 'large', zeroblob(100000), '[1]', 1700000200), ('n', 'null', NULL, NULL, NULL), ('other', 'a', 42, NULL, NULL);";

const ALL: &str = "SELECT group_concat(hex(namespace) || quote(key) || quote(value) || typeof(value)
        || ifnull(metadata, '-') || ifnull(expiration, '-') || hex(version))
    FROM (SELECT * FROM kv ORDER BY namespace, key)";
const IS_CLUSTERED: &str = "SELECT wr FROM pragma_table_list WHERE name = 'kv'";
const NUMBERS: &str = "SELECT application_id || ' ' || user_version FROM pragma_application_id, pragma_user_version";
const MARKED: &str = "1282755414 20101";

fn put(namespace: &Namespace, key: &str, value: &[u8]) -> Result<(), luat_kv::Error> {
    namespace.put(key, value).map(|_| ())
}

fn names(namespace: &Namespace) -> Vec<String> {
    namespace.list(&ListOptions::default()).unwrap().entries.into_iter().map(|key| key.key).collect()
}

#[test]
fn a_new_file_says_its_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let store = open(&path);
    put(&store.namespace("n").unwrap(), "k", b"v").unwrap();
    store.compact().unwrap();
    let copy = folder.path().join("copy.db");
    store.backup(&copy).unwrap();
    store.close().unwrap();
    for path in [path, copy] {
        assert_eq!(query::<String>(&path, NUMBERS), MARKED);
        assert_eq!(query::<i64>(&path, IS_CLUSTERED), 0);
    }
}

#[test]
fn a_file_of_format_1_is_taken_over_with_all_that_it_holds() {
    for more in ["", "CREATE INDEX idx_kv_namespace_key ON kv (namespace, key);"] {
        let (_folder, path) = file(&[FORMAT_1, more, ROWS].concat());
        let before: String = query(&path, ALL);
        open(&path).close().unwrap();
        assert_eq!(query::<String>(&path, ALL), before);
        assert_eq!(query::<i64>(&path, IS_CLUSTERED), 0, "{more}");
        assert_eq!(query::<String>(&path, NUMBERS), MARKED);
        assert_eq!(query::<String>(&path, "PRAGMA integrity_check"), "ok");
        assert_eq!(query::<i64>(&path, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'kv_before'"), 0);
        let n = open(&path).namespace("n").unwrap();
        assert_eq!(names(&n), ["a", "b", "large", "null"]);
        let Entry { value, metadata, expiration, .. } = n.get_entry("large").unwrap().unwrap();
        assert!(value.unwrap() == [0; 100_000]);
        assert_eq!((metadata.as_deref(), expiration), (Some("[1]"), Some(NOW + 200)));
    }
}

#[test]
fn a_file_of_format_1_is_read_without_being_changed() {
    let (_folder, path) = file(&[FORMAT_1, ROWS].concat());
    let before = fs::read(&path).unwrap();
    let store = Store::open(&path, &options().readonly(true)).unwrap();
    let n = store.namespace("n").unwrap();
    assert_eq!(names(&n), ["a", "b", "large", "null"]);
    assert_eq!(n.count("").unwrap(), 4);
    assert_eq!(n.get("a").unwrap().as_deref(), Some(&b"one"[..]));
    store.close().unwrap();
    assert!(before == fs::read(&path).unwrap());
}

/// Its statements were prepared for the old table.
#[test]
fn a_store_goes_on_while_another_one_takes_the_file_over() {
    let (_folder, path) = file(&[FORMAT_1, ROWS].concat());
    let reader = Store::open(&path, &options().readonly(true)).unwrap();
    let n = reader.namespace("n").unwrap();
    let before = (n.get_entry("a").unwrap(), names(&n), n.count("").unwrap());
    let writer = open(&path);
    assert_eq!(query::<i64>(&path, IS_CLUSTERED), 0);
    assert_eq!((n.get_entry("a").unwrap(), names(&n), n.count("").unwrap()), before);
    put(&writer.namespace("n").unwrap(), "new", b"v").unwrap();
    assert_eq!(n.get("new").unwrap().as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_file_of_format_1_that_another_program_writes_is_used_as_it_is() {
    for milliseconds in [0, 20] {
        let (_folder, path) = file(&[FORMAT_1, ROWS].concat());
        // It makes the file known, so that the other connection does not count as another copy of SQLite.
        let reader = Store::open(&path, &options().readonly(true)).unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE; DELETE FROM kv WHERE key = 'b'").unwrap();
        let store = Store::open(&path, &options().busy_timeout(Duration::from_millis(milliseconds))).unwrap();
        let n = store.namespace("n").unwrap();
        assert_eq!(names(&n), ["a", "b", "large", "null"]);
        assert_eq!(put(&n, "new", b"v").unwrap_err().code(), Code::Busy);
        other.execute_batch("COMMIT").unwrap();
        put(&n, "new", b"v").unwrap();
        assert_eq!(names(&n), ["a", "large", "new", "null"]);
        // Another connection, for a read beside an import, leaves it as it is too.
        let line = &mut &b"{\"key\":\"imported\",\"value\":\"v\"}\n"[..];
        n.import(line, false).unwrap();
        store.close().unwrap();
        reader.close().unwrap();
        drop(other);
        assert_eq!(query::<i64>(&path, IS_CLUSTERED), 1);
        let n = open(&path).namespace("n").unwrap();
        assert_eq!(query::<i64>(&path, IS_CLUSTERED), 0, "a later open takes it over");
        assert_eq!(names(&n), ["a", "imported", "large", "new", "null"]);
    }
}

#[test]
fn what_another_program_added_to_a_table_of_format_1_is_kept() {
    for more in [
        "ALTER TABLE kv ADD COLUMN tenant TEXT DEFAULT 'x'",
        "CREATE INDEX by_metadata ON kv (metadata)",
        "CREATE VIEW live AS SELECT key FROM kv",
        "CREATE TRIGGER t AFTER DELETE ON kv BEGIN SELECT 1; END",
        "CREATE TABLE note (n, k, FOREIGN KEY (n, k) REFERENCES kv (namespace, key))",
    ] {
        let (_folder, path) = file(&[FORMAT_1, ROWS, more].concat());
        let schema = "SELECT group_concat(sql, ';') FROM sqlite_schema";
        let before: (String, String) = (query(&path, ALL), query(&path, schema));
        let store = open(&path);
        let n = store.namespace("n").unwrap();
        assert_eq!(names(&n), ["a", "b", "large", "null"], "{more}");
        store.close().unwrap();
        assert_eq!((query(&path, ALL), query(&path, schema)), before, "{more}");
        put(&open(&path).namespace("n").unwrap(), "new", b"v").unwrap();
        assert_eq!(query::<String>(&path, "PRAGMA integrity_check"), "ok");
    }
}

#[test]
fn a_large_file_is_taken_over_in_twice_its_room() {
    let luat = "CREATE TABLE kv (
            namespace TEXT, key TEXT, value BLOB, metadata TEXT, expiration INTEGER, PRIMARY KEY (namespace, key));";
    for (table, size, count) in [(FORMAT_1, 20_000, 1500), (luat, 20_000, 1500), (FORMAT_1, 3_000_000, 10)] {
        let rows = format!(
            "INSERT INTO kv (namespace, key, value) WITH RECURSIVE n (i) AS
             (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT 'n', i * 7919 % 10007, randomblob({size}) FROM n;"
        );
        let (_folder, path) = file(&[table, &rows].concat());
        let len = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        let before = len(&path);
        assert!(before > 25_000_000);
        let store = open(&path);
        let log = len(&path.with_extension("db-wal"));
        store.close().unwrap();
        // The log is largest before it is reset, and the file after that.
        let room = len(&path) + log;
        assert!(room <= before * 2 + before / 50 + 2 * (size + 1024 * 1024), "{room} for {before}");
        assert!(len(&path) <= before + before / 50 + size + 1024 * 1024, "{} for {before}", len(&path));
        assert_eq!(query::<i64>(&path, "SELECT count(*) FROM kv"), i64::from(count));
        assert_eq!(query::<String>(&path, "PRAGMA integrity_check"), "ok");
    }
}

#[test]
fn a_damaged_file_of_format_1_is_used_as_before() {
    let rows = "INSERT INTO kv (namespace, key, value) WITH RECURSIVE n (i) AS
        (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT 'n', printf('%06d', i), zeroblob(100) FROM n;";
    let (_folder, path) = file(&[FORMAT_1, rows, "PRAGMA journal_mode = DELETE;"].concat());
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let n = open(&path).namespace("n").unwrap();
    assert_eq!(n.get("000001").unwrap().as_deref(), Some(&[0; 100][..]));
    put(&n, "000001", b"v").unwrap();
    assert_eq!(n.list(&ListOptions::new().limit(10_000)).unwrap_err().code(), Code::Corrupt);
    assert_eq!(query::<i64>(&path, IS_CLUSTERED), 1);
}

#[test]
fn a_row_that_its_primary_key_does_not_lead_to_is_not_lost() {
    let luat = "CREATE TABLE kv (
            namespace TEXT, key TEXT, value BLOB, metadata TEXT, expiration INTEGER, PRIMARY KEY (namespace, key));";
    // It exchanges its rows with another table, so its primary key lacks one row.
    let swapped = "CREATE TABLE t (namespace TEXT, key TEXT, value BLOB, metadata TEXT, expiration INTEGER);
        INSERT INTO t VALUES ('n', 'a', 'v', NULL, NULL), ('n', 'b', 'v', NULL, NULL);
        INSERT INTO kv VALUES ('n', 'a', 'v', NULL, NULL);
        PRAGMA writable_schema = ON;
        UPDATE sqlite_schema
        SET rootpage = (SELECT sum(rootpage) FROM sqlite_schema WHERE name IN ('kv', 't')) - rootpage
        WHERE name IN ('kv', 't');";
    let (_folder, path) = file(&[luat, swapped].concat());
    let error = Store::open(&path, &options()).unwrap_err();
    assert_eq!(error.code(), Code::Corrupt, "{error}");
    assert!(error.message().contains("the file is damaged"), "{error}");
    assert_eq!(query::<i64>(&path, "SELECT count(*) FROM kv NOT INDEXED"), 2);
}

/// Marks a file as a later library would, which may have added something.
fn later(user_version: i64, more: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let store = open(&path);
    put(&store.namespace("n").unwrap(), "k", b"v").unwrap();
    store.close().unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(&format!("PRAGMA user_version = {user_version}; {more}")).unwrap();
    (folder, path)
}

#[test]
fn a_file_of_a_later_format_is_read_and_written_if_it_says_so() {
    let (_folder, path) =
        later(30_201, "ALTER TABLE kv ADD COLUMN kind TEXT DEFAULT 'none'; UPDATE kv SET kind = 'json'");
    let n = open(&path).namespace("n").unwrap();
    assert_eq!(n.get("k").unwrap().as_deref(), Some(&b"v"[..]));
    put(&n, "k", b"w").unwrap();
    assert_eq!(query::<String>(&path, "SELECT value || ' ' || kind FROM kv"), "w none");
    assert_eq!(query::<i64>(&path, "PRAGMA user_version"), 30_201, "it stays as it is");
}

#[test]
fn a_file_of_a_later_format_is_not_written_if_it_says_so() {
    for more in ["", "ALTER TABLE kv ADD COLUMN kind TEXT", "CREATE INDEX by_key ON kv (key)"] {
        let (_folder, path) = later(40_301, more);
        let before = fs::read(&path).unwrap();
        let store = open(&path);
        let n = store.namespace("n").unwrap();
        assert_eq!(n.get("k").unwrap().as_deref(), Some(&b"v"[..]));
        let error = put(&n, "k", b"w").unwrap_err();
        assert_eq!(error.code(), Code::ReadOnly);
        let why = "its format is 4, which libraries of format 3 and later write; this library is of format 2";
        assert!(error.message().contains("kv.db") && error.message().contains(why), "{error}");
        store.close().unwrap();
        assert!(before == fs::read(&path).unwrap());
    }
}

#[test]
fn a_file_of_a_later_format_is_not_read_if_it_says_so() {
    let (_folder, path) = later(40_303, "");
    let before = fs::read(&path).unwrap();
    for readonly in [false, true] {
        let error = Store::open(&path, &options().readonly(readonly)).unwrap_err();
        assert_eq!(error.code(), Code::Corrupt);
        let why = "its format is 4, which libraries of format 3 and later read; this library is of format 2";
        assert!(error.message().contains("kv.db") && error.message().contains(why), "{error}");
    }
    assert!(before == fs::read(&path).unwrap());
}

#[test]
fn a_format_that_comes_while_the_store_is_open_is_heeded_in_the_next_second() {
    let (_folder, path) = later(20_101, "");
    let clock = Clock::manual(NOW);
    let n = Store::open(&path, &options().clock(clock.clone())).unwrap().namespace("n").unwrap();
    put(&n, "k", b"w").unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("ALTER TABLE kv ADD COLUMN kind TEXT; PRAGMA user_version = 40301").unwrap();
    clock.set(NOW + 1);
    let error = put(&n, "k", b"x").unwrap_err();
    assert_eq!(error.code(), Code::ReadOnly, "{error}");
    assert_eq!(n.get("k").unwrap().as_deref(), Some(&b"w"[..]));
}

#[test]
fn a_format_that_comes_without_a_change_of_the_schema_is_heeded_too() {
    let (_folder, path) = later(20_101, "");
    let clock = Clock::manual(NOW);
    let n = Store::open(&path, &options().clock(clock.clone())).unwrap().namespace("n").unwrap();
    put(&n, "k", b"w").unwrap();
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 40301").unwrap();
    clock.set(NOW + 1);
    assert_eq!(put(&n, "k", b"x").unwrap_err().code(), Code::ReadOnly);
    assert_eq!(n.get("k").unwrap().as_deref(), Some(&b"w"[..]));
}

#[test]
fn a_sweep_and_a_compaction_heed_a_format_that_came_since_the_open() {
    type Call = fn(&Store) -> luat_kv::Result<()>;
    let calls: [Call; 2] = [|store| store.sweep(None).map(|_| ()), Store::compact];
    for call in calls {
        for (user_version, code) in [(40_301, Code::ReadOnly), (40_303, Code::Corrupt)] {
            let (_folder, path) = later(20_101, "");
            let store = open(&path);
            let other = Connection::open(&path).unwrap();
            other.execute_batch(&format!("PRAGMA user_version = {user_version}")).unwrap();
            assert_eq!(call(&store).unwrap_err().code(), code, "{user_version}");
        }
    }
}

#[test]
fn a_further_open_heeds_a_format_that_came_since_the_first_one() {
    let (_folder, path) = later(20_101, "");
    let first = open(&path);
    let first = first.namespace("n").unwrap();
    put(&first, "k", b"w").unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("PRAGMA user_version = 40301").unwrap();
    // In the second of that write.
    let second = open(&path).namespace("n").unwrap();
    assert_eq!(second.get("k").unwrap().as_deref(), Some(&b"w"[..]));
    for n in [second, first.clone()] {
        let error = put(&n, "k", b"x").unwrap_err();
        assert_eq!(error.code(), Code::ReadOnly, "{error}");
        assert!(error.message().contains("its format is 4"), "{error}");
    }
    other.execute_batch("PRAGMA user_version = 40303").unwrap();
    for readonly in [false, true] {
        let error = Store::open(&path, &options().readonly(readonly)).unwrap_err();
        assert_eq!(error.code(), Code::Corrupt, "{error}");
        assert!(error.message().contains("which libraries of format 3 and later read"), "{error}");
    }
    other.execute_batch("PRAGMA user_version = 20101").unwrap();
    put(&open(&path).namespace("n").unwrap(), "k", b"x").unwrap();
    put(&first, "k", b"y").unwrap();
}

#[test]
fn a_put_leaves_nothing_of_the_value_before_in_columns_of_another_program() {
    let column = "ALTER TABLE kv ADD COLUMN \"the \"\"kind\" TEXT DEFAULT 'none';
        ALTER TABLE kv ADD COLUMN size INTEGER AS (length(value)) VIRTUAL;
        UPDATE kv SET \"the \"\"kind\" = 'json'";
    let kind = "SELECT \"the \"\"kind\" || ' ' || size FROM kv WHERE key = 'k'";
    // After many puts of a row, the next one tries to overwrite it.
    for (table, puts) in [(FORMAT_1, 1), ("", 1), ("", 40)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kv.db");
        if !table.is_empty() {
            Connection::open(&path).unwrap().execute_batch(table).unwrap();
        }
        let store = open(&path);
        let n = store.namespace("n").unwrap();
        (0..puts).for_each(|_| put(&n, "k", b"{}").unwrap());
        // While the store is open, within the same second.
        let other = Connection::open(&path).unwrap();
        other.execute_batch(column).unwrap();
        put(&n, "k", b"text").unwrap();
        assert_eq!(query::<String>(&path, kind), "none 4");
        // Also each later write, although the schema does not change again.
        other.execute_batch("UPDATE kv SET \"the \"\"kind\" = 'text'").unwrap();
        put(&n, "k", b"longer").unwrap();
        assert_eq!(query::<String>(&path, kind), "none 6");
        put(&n, "k", b"text").unwrap();
        store.close().unwrap();
        other.execute_batch("UPDATE kv SET \"the \"\"kind\" = 'text'").unwrap();
        drop(other);
        // Also in a store that finds it at its open.
        let store = open(&path);
        let n = store.namespace("n").unwrap();
        n.touch("k", Some(NOW + 10), None).unwrap();
        assert_eq!(query::<String>(&path, kind), "text 4", "the value is the same");
        put(&n, "k", b"").unwrap();
        assert_eq!(query::<String>(&path, kind), "none 0");
        // Also an import over an expired row.
        let other = Connection::open(&path).unwrap();
        other.execute_batch("UPDATE kv SET \"the \"\"kind\" = 'text', expiration = 5").unwrap();
        let imported = n.import(&mut &br#"{"key":"k","value":"imported"}"#[..], false).unwrap();
        assert_eq!(imported.stored, 1);
        assert_eq!(query::<String>(&path, kind), "none 8");
    }
}

#[test]
fn numbers_of_another_program_stay_as_they_are() {
    for (numbers, table) in [
        ("PRAGMA user_version = 7", FORMAT_1),
        ("PRAGMA application_id = 42", FORMAT_1),
        ("PRAGMA application_id = 42; PRAGMA user_version = 20101", FORMAT_1),
        ("CREATE TABLE users (id INTEGER PRIMARY KEY)", FORMAT_1),
    ] {
        let (_folder, path) = file(&[table, ROWS, numbers].concat());
        let before: String = query(&path, NUMBERS);
        let store = open(&path);
        let n = store.namespace("n").unwrap();
        put(&n, "k", b"v").unwrap();
        assert_eq!(names(&n), ["a", "b", "k", "large", "null"]);
        store.close().unwrap();
        assert_eq!(query::<String>(&path, NUMBERS), before, "{numbers}");
    }
}

#[test]
fn an_empty_file_of_another_program_is_refused() {
    let (_folder, path) = file("PRAGMA application_id = 42");
    let before = fs::read(&path).unwrap();
    let error = Store::open(&path, &options()).unwrap_err();
    assert_eq!(error.code(), Code::Corrupt);
    assert!(error.message().contains("another program's database: it has the application_id 42"), "{error}");
    assert!(before == fs::read(&path).unwrap());
}

#[test]
fn a_file_that_stays_as_it_is_is_marked_once() {
    let (_folder, path) = file(&[FORMAT_1, ROWS, "CREATE VIEW live AS SELECT key FROM kv"].concat());
    open(&path).close().unwrap();
    assert_eq!(query::<String>(&path, NUMBERS), MARKED);
    let before = fs::read(&path).unwrap();
    open(&path).close().unwrap();
    assert!(before == fs::read(&path).unwrap());
}
