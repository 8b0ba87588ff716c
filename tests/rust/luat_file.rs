//! Files that Luat wrote, and Luat's own statements on this library's files.
//!
//! The connections here use the same copy of SQLite as the store, but are separate from the store's, and are closed
//! before it opens: two libraries on one file in one process are refused.

use std::path::Path;

use luat_kv::{Clock, Code, ListOptions, Namespace, PutOptions, Store, Version};
use rusqlite::Connection;

use self::database::{NOW, file, open, options, query};

mod database;

/// Luat's own schema.
const LUAT: &str = "CREATE TABLE IF NOT EXISTS kv (
        namespace TEXT, key TEXT, value BLOB, metadata TEXT, expiration INTEGER, PRIMARY KEY (namespace, key));
    CREATE INDEX IF NOT EXISTS idx_kv_namespace_key ON kv (namespace, key);";

/// Value, metadata and expiration.
type Held = (Vec<u8>, Option<String>, Option<i64>);

fn held(value: &[u8], metadata: Option<&str>, expiration: Option<i64>) -> Option<Held> {
    Some((value.into(), metadata.map(str::to_owned), expiration))
}

/// Returns the contents of a key. Checks only that the version is one.
fn entry(namespace: &Namespace, key: &str) -> Option<Held> {
    let entry = namespace.get_entry(key).unwrap()?;
    assert_ne!(entry.version, Version::default());
    assert_eq!(entry.key, key);
    Some((entry.value.unwrap(), entry.metadata, entry.expiration))
}

/// Luat's table has this column in the middle, this library's at the end.
const PLACE_OF_VALUE: &str = "SELECT cid FROM pragma_table_info('kv') WHERE name = 'value'";

const ROWS: &str = "INSERT INTO kv VALUES
    ('blog', 'post:1', CAST('{\"title\":\"One\"}' AS BLOB), '{\"author\":\"alice\"}', NULL),
    ('blog', 'post:2', 'as text', NULL, 1700000100),
    ('blog', 'gone', x'00', NULL, 1699999999),
    ('blog', 'null', NULL, NULL, NULL),
    ('blog', 'number', 42, NULL, NULL),
    ('other', 'post:1', x'00ff', 'false', NULL);";

fn expect_rows(store: &Store) {
    let blog = store.namespace("blog").unwrap();
    assert_eq!(entry(&blog, "post:1"), held(b"{\"title\":\"One\"}", Some("{\"author\":\"alice\"}"), None));
    assert_eq!(entry(&blog, "post:2"), held(b"as text", None, Some(NOW + 100)));
    assert_eq!(blog.get("gone").unwrap(), None);
    assert_eq!(blog.get("null").unwrap().as_deref(), Some(&b""[..]));
    assert_eq!(blog.get("number").unwrap().as_deref(), Some(&b"42"[..]));
    assert_eq!(entry(&store.namespace("other").unwrap(), "post:1"), held(&[0, 255], Some("false"), None));
    let keys = blog.list(&ListOptions::default()).unwrap().entries;
    assert_eq!(keys.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["null", "number", "post:1", "post:2"]);
}

#[test]
fn a_file_of_luats_opens_with_nothing_lost() {
    let (_folder, path) = file(&[LUAT, ROWS].concat());
    let store = open(&path);
    expect_rows(&store);
    store.close().unwrap();
    assert_eq!(query::<i64>(&path, "SELECT count(*) FROM kv"), 6, "not even the expired row, until a write sweeps it");
    assert_eq!(query::<String>(&path, "PRAGMA integrity_check"), "ok");
    assert_eq!(query::<i64>(&path, PLACE_OF_VALUE), 5, "the table is this library's");
    expect_rows(&open(&path));
}

#[test]
fn a_file_of_luats_can_be_read_without_being_changed() {
    let (_folder, path) = file(&[LUAT, ROWS].concat());
    let before = std::fs::read(&path).unwrap();
    let store = Store::open(&path, &options().readonly(true)).unwrap();
    expect_rows(&store);
    let put = store.namespace("blog").unwrap().put("k", b"v");
    assert_eq!(put.unwrap_err().code(), Code::ReadOnly);
    store.close().unwrap();
    assert!(before == std::fs::read(&path).unwrap());
}

#[test]
fn what_a_new_table_would_lose_keeps_the_old_one() {
    for more in [
        "ALTER TABLE kv ADD COLUMN tenant TEXT DEFAULT 'x'",
        "CREATE TRIGGER t AFTER DELETE ON kv BEGIN SELECT 1; END",
        "INSERT INTO kv VALUES (NULL, 'k', 'v', NULL, NULL)",
        "ALTER TABLE kv ADD COLUMN author TEXT GENERATED ALWAYS AS (metadata) VIRTUAL",
        "CREATE TABLE kv_from_luat (x)",
        "CREATE VIEW live AS SELECT key FROM KV",
        "CREATE TABLE note (n, k, FOREIGN KEY (n, k) REFERENCES Kv (namespace, key) ON DELETE CASCADE)",
        "CREATE TABLE audit (x); CREATE TRIGGER t AFTER INSERT ON audit BEGIN DELETE FROM kv; END",
        "CREATE VIEW broken AS SELECT word FROM nowhere",
    ] {
        let (_folder, path) = file(&[LUAT, ROWS, more].concat());
        let store = open(&path);
        expect_rows(&store);
        let blog = store.namespace("blog").unwrap();
        blog.put_with("post:3", b"three", &PutOptions::new().ttl(50)).unwrap();
        assert_eq!(blog.get("post:3").unwrap().as_deref(), Some(&b"three"[..]));
        store.close().unwrap();
        assert_eq!(query::<i64>(&path, PLACE_OF_VALUE), 2, "{more}");
        assert_eq!(query::<i64>(&path, "SELECT count(*) FROM sqlite_schema WHERE name = 'kv_expiration'"), 1);
    }
}

#[test]
fn nothing_else_in_the_file_is_hurt() {
    for (more, question) in [
        (
            "CREATE TABLE note (n, k, words, FOREIGN KEY (n, k) REFERENCES kv (namespace, key) ON DELETE CASCADE);
             INSERT INTO note VALUES ('blog', 'post:1', 'precious')",
            "SELECT words || (SELECT count(*) FROM pragma_foreign_key_check) FROM note",
        ),
        (
            "CREATE TABLE note (n, k, words, FOREIGN KEY (n, k) REFERENCES kv (namespace, key));
             INSERT INTO note VALUES ('blog', 'gone', 'precious')",
            "SELECT words FROM note",
        ),
        ("CREATE VIEW live AS SELECT key FROM kv", "SELECT group_concat(key) FROM (SELECT key FROM live ORDER BY 1)"),
        (
            "CREATE TABLE seen (n); INSERT INTO seen VALUES (0);
             CREATE TRIGGER t AFTER UPDATE ON kv BEGIN UPDATE seen SET n = n + 1; END",
            "SELECT CAST(n AS TEXT) FROM seen",
        ),
        ("CREATE TABLE kv_from_luat (x); INSERT INTO kv_from_luat VALUES ('kept')", "SELECT x FROM kv_from_luat"),
    ] {
        let (_folder, path) = file(&[LUAT, ROWS, more].concat());
        let before: String = query(&path, question);
        let store = open(&path);
        expect_rows(&store);
        store.close().unwrap();
        assert_eq!(query::<String>(&path, question), before, "{more}");
        // It does not prevent this library's writes: the expired row can be swept.
        assert_eq!(open(&path).sweep(None).unwrap(), 1, "{more}");
    }
}

#[test]
fn a_table_of_another_case_is_the_same_one() {
    let (_folder, path) = file(&[&LUAT.replace("EXISTS kv", "EXISTS KV"), ROWS].concat());
    for _ in 0..2 {
        expect_rows(&open(&path));
    }
    assert_eq!(query::<i64>(&path, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"), 1);
}

#[test]
fn rows_are_taken_over_exactly() {
    let sql = LUAT.replace("metadata TEXT, expiration INTEGER", "metadata, expiration");
    let (_folder, path) = file(&[&sql, "INSERT INTO kv VALUES ('n', 'k', 1.5, 5, '7')"].concat());
    let row = "SELECT quote(value) || quote(metadata) || quote(expiration) FROM kv";
    let before: String = query(&path, row);
    open(&path).close().unwrap();
    assert_eq!(query::<String>(&path, row), before);
}

#[test]
fn expired_rows_without_a_name_do_not_hold_up_the_others() {
    let nameless = "INSERT INTO kv VALUES (NULL, 'k', 'v', NULL, 1), ('n', NULL, 'v', NULL, 2);".repeat(10);
    let (_folder, path) = file(&[LUAT, ROWS, &nameless].concat());
    open(&path).namespace("n").unwrap().put("k", b"v").unwrap();
    assert_eq!(query::<i64>(&path, "SELECT count(*) FROM kv WHERE key = 'gone'"), 0);
}

#[test]
fn luats_statements_work_on_a_file_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    let put = |store: &Store| {
        let options = PutOptions::new().metadata("[1]").ttl(100);
        store.namespace("n").unwrap().put_with("ours", b"1", &options).unwrap();
    };
    let store = open(&path);
    put(&store);
    store.close().unwrap();

    let luat = Connection::open(&path).unwrap();
    luat.execute_batch(LUAT).unwrap();
    let row: (Vec<u8>, String, i64) = luat
        .query_row("SELECT value, metadata, expiration FROM kv WHERE namespace = ? AND key = ?", ("n", "ours"), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(row, (b"1".to_vec(), "[1]".to_owned(), NOW + 100));
    let insert = "INSERT OR REPLACE INTO kv (namespace, key, value, metadata, expiration) VALUES (?, ?, ?, ?, ?)";
    luat.execute(insert, ("n", "luats", b"2", None::<String>, None::<i64>)).unwrap();
    luat.execute(insert, ("n", "ours", b"3", Some("{}"), Some(NOW + 5))).unwrap();
    luat.execute("DELETE FROM kv WHERE namespace = ? AND key = ?", ("n", "nothing")).unwrap();
    luat.close().unwrap();

    let store = open(&path);
    let n = store.namespace("n").unwrap();
    assert_eq!(n.get("luats").unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(entry(&n, "ours"), held(b"3", Some("{}"), Some(NOW + 5)));
    put(&store);
    assert_eq!(n.get("ours").unwrap().as_deref(), Some(&b"1"[..]));
}

#[test]
fn odd_rows_are_read_as_they_are_meant() {
    let rows = "INSERT INTO kv VALUES ('n', 'a', 'v', '', NULL), ('n', 'b', 'v', NULL, 1700000100.25),
        ('n', 'c', 'v', NULL, 1700000000.5), ('n', 'd', 'v', NULL, 1700000000.0)";
    let (_folder, path) = file(&[LUAT, rows].concat());
    let n = open(&path).namespace("n").unwrap();
    assert_eq!(entry(&n, "a"), held(b"v", None, None));
    assert_eq!(entry(&n, "b"), held(b"v", None, Some(NOW + 101)));
    assert_eq!(entry(&n, "c"), held(b"v", None, Some(NOW + 1)));
    assert_eq!(entry(&n, "d"), None);
    let keys = n.list(&ListOptions::default()).unwrap().entries;
    let found: Vec<_> = keys.iter().map(|entry| (entry.key.as_str(), &entry.metadata, entry.expiration)).collect();
    assert_eq!(found, [("a", &None, None), ("b", &None, Some(NOW + 101)), ("c", &None, Some(NOW + 1))]);
}

#[test]
fn what_is_wrong_with_a_row_is_told_with_its_key() {
    for (row, key) in [
        ("'soon', 'v', NULL, 'soon'", "\"soon\""),
        ("'bytes', 'v', x'ff', NULL", "\"bytes\""),
        ("CAST(x'61ff' AS TEXT), 'v', NULL, NULL", "\"a\u{fffd}\""),
    ] {
        let (_folder, path) = file(&format!("{LUAT} INSERT INTO kv VALUES ('n', {row})"));
        let n = open(&path).namespace("n").unwrap();
        let error = n.list(&ListOptions::default()).unwrap_err();
        assert_eq!(error.code(), Code::Corrupt);
        assert!(error.message().contains(&format!("kv.db: key {key}: ")), "{error}");
        if let Err(error) = n.get_entry(key.trim_matches('"')) {
            assert!(error.message().contains(&format!("kv.db: key {key}: ")), "{error}");
        }
    }
}

#[test]
fn a_table_that_needs_sql_of_its_own_can_only_be_read() {
    let check = "CHECK (length(value) < 100), PRIMARY KEY";
    let (_folder, path) = file(&[&LUAT.replace("PRIMARY KEY", check), ROWS].concat());
    let before = std::fs::read(&path).unwrap();
    let store = open(&path);
    expect_rows(&store);
    let error = store.namespace("blog").unwrap().put("k", b"v").unwrap_err();
    assert_eq!(error.code(), Code::ReadOnly);
    assert!(error.message().contains("its table kv has a CHECK constraint"), "{error}");
    store.close().unwrap();
    assert!(before == std::fs::read(&path).unwrap());
}

/// A table whose columns are in another order.
const NAMED: &str = "kv (namespace, key, value, metadata, expiration) VALUES";

/// SQL that gives a table or an index a collation that only another program has.
const FOREIGN: &str = "PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET sql = replace(sql, 'NOCASE', 'foreign_collation');";

#[test]
fn what_only_another_program_can_read_beside_the_table_hurts_nobody() {
    let other = "CREATE TABLE o (a TEXT COLLATE NOCASE); CREATE INDEX oi ON o (a); INSERT INTO o VALUES ('a');";
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("kv.db");
    open(&ours).close().unwrap();
    Connection::open(&ours)
        .unwrap()
        .execute_batch(&[ROWS, other, FOREIGN].concat().replace("kv VALUES", NAMED))
        .unwrap();
    let (_folder, luats) = file(&[LUAT, ROWS, other, FOREIGN].concat());
    for path in [ours, luats] {
        let store = open(&path);
        expect_rows(&store);
        store.namespace("n").unwrap().put("k", b"v").unwrap();
        let copy = path.with_extension("copy");
        store.backup(&copy).unwrap();
        assert_eq!(open(&copy).namespace("n").unwrap().get("k").unwrap().as_deref(), Some(&b"v"[..]));
        let error = store.compact().unwrap_err();
        assert_eq!(error.code(), Code::ReadOnly, "{error}");
        assert!(error.message().contains("foreign_collation"), "{error}");
        expect_rows(&store);
    }
}

#[test]
fn a_damaged_table_beside_one_that_only_another_program_can_read_is_told() {
    let other = "CREATE TABLE o (a TEXT COLLATE NOCASE); CREATE INDEX oi ON o (a);";
    let rows = "INSERT INTO kv (namespace, key, value) WITH RECURSIVE n (i) AS
        (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT 'n', i, zeroblob(100) FROM n;";
    let index = "CREATE INDEX foreign_index ON kv (metadata COLLATE NOCASE);";
    for more in ["", index] {
        let (_folder, path) = file(&[LUAT, rows, other, more, FOREIGN].concat());
        let mut bytes = std::fs::read(&path).unwrap();
        // A page of the table's rows: its zeros are nowhere else.
        let zeros = bytes.windows(90).position(|part| part == [0; 90]).unwrap();
        let page = (zeros + 40 * 4096) / 4096 * 4096;
        bytes[page..page + 4096].fill(0xa5);
        std::fs::write(&path, bytes).unwrap();
        let store = Store::open(&path, &options().readonly(true)).unwrap();
        let error = store.backup(path.with_extension("copy")).unwrap_err();
        assert_eq!(error.code(), Code::Corrupt, "{error}");
        assert!(!error.message().contains("***"), "{error}");
    }
}

#[test]
fn a_table_whose_indexes_forbid_writes_can_only_be_read() {
    let unique = LUAT.replace("value BLOB", "value BLOB UNIQUE");
    for (table, more, named) in [
        (LUAT, "CREATE UNIQUE INDEX once ON kv (value)", "its index \"once\" is UNIQUE"),
        (&unique, "", "UNIQUE rule on \"value\""),
        (
            LUAT,
            &["CREATE INDEX theirs ON kv (metadata COLLATE NOCASE);", FOREIGN].concat(),
            "no such collation sequence: foreign_collation",
        ),
    ] {
        let (_folder, path) = file(&[table, ROWS, more].concat());
        let store = open(&path);
        expect_rows(&store);
        let error = store.namespace("n").unwrap().put("k", b"v").unwrap_err();
        assert_eq!(error.code(), Code::ReadOnly, "{error}");
        assert!(error.message().contains("kv.db") && error.message().contains(named), "{error}");
        store.backup(path.with_extension("copy")).unwrap();
    }
}

#[test]
fn a_rule_that_comes_while_the_store_is_open_is_named() {
    let (_folder, path) = file(&[LUAT, ROWS].concat());
    let n = open(&path).namespace("n").unwrap();
    n.put("k", b"v").unwrap();
    // Within the same second the schema is not checked again.
    Connection::open(&path).unwrap().execute_batch("CREATE UNIQUE INDEX once ON kv (value)").unwrap();
    let error = n.put("k2", b"v").unwrap_err();
    assert_eq!(error.code(), Code::ReadOnly, "{error}");
    assert!(error.message().contains("kv.db: another program gave the table kv a rule"), "{error}");
    assert!(error.message().contains("UNIQUE constraint failed: kv.value"), "{error}");
}

#[test]
fn a_table_that_goes_away_while_the_store_is_open_is_told() {
    for (sql, why) in [
        ("DROP TABLE kv", "removed or renamed"),
        ("ALTER TABLE kv RENAME TO elsewhere", "removed or renamed"),
        ("ALTER TABLE kv RENAME TO t; CREATE VIEW kv AS SELECT * FROM t", "its kv is not a table"),
        ("ALTER TABLE kv RENAME COLUMN value TO worth", "its table kv is not a key-value store's"),
    ] {
        let (_folder, path) = file(&[LUAT, ROWS].concat());
        let blog = open(&path).namespace("blog").unwrap();
        blog.put("k", b"v").unwrap();
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        for _ in 0..2 {
            let put = blog.put("k", b"v");
            for error in [blog.get("post:1").unwrap_err(), put.unwrap_err()] {
                assert_eq!(error.code(), Code::Corrupt, "{sql}: {error}");
                assert!(error.message().contains("kv.db: ") && error.message().contains(why), "{sql}: {error}");
            }
        }
    }
}

#[test]
fn a_row_that_is_too_long_leaves_the_rest_and_can_be_deleted() {
    let long = "INSERT INTO kv VALUES ('n', 'big', zeroblob(540000000), NULL, NULL), ('n', 'small', 'v', NULL, NULL);";
    let (_folder, path) = file(&[LUAT, ROWS, long].concat());
    for _ in 0..2 {
        let store = open(&path);
        expect_rows(&store);
        let n = store.namespace("n").unwrap();
        n.put("new", b"v").unwrap();
        let names: Vec<_> =
            n.list(&ListOptions::default()).unwrap().entries.into_iter().map(|entry| entry.key).collect();
        assert_eq!(names, ["big", "new", "small"]);
        let error = n.get("big").unwrap_err();
        assert_eq!(error.code(), Code::Limit);
        assert!(error.message().contains("key \"big\": a row of the table kv is over 513 MiB"), "{error}");
    }
    every_call_that_reads_it_names_it(&path);
    let store = open(&path);
    let n = store.namespace("n").unwrap();
    n.delete("big").unwrap();
    assert_eq!(n.count("").unwrap(), 2);
    store.compact().unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 1_000_000);
}

/// "big" is a row that is too long, and beside it are "new" and "small".
fn every_call_that_reads_it_names_it(path: &Path) {
    let store = open(path);
    let n = store.namespace("n").unwrap();
    let all = ListOptions::new().values(true);
    for (what, error) in [
        ("list", n.list(&all).unwrap_err()),
        ("list in reverse", n.list(&all.reverse(true)).unwrap_err()),
        ("list from it on", n.list(&all.start("bif")).unwrap_err()),
        ("list to it", n.list(&all.reverse(true).stop("new")).unwrap_err()),
        ("scan", n.scan(&all).next().unwrap().unwrap_err()),
        ("export", n.export(&mut std::io::sink(), luat_kv::Format::Json).unwrap_err()),
        ("get_many", n.get_many(&["big", "small"]).unwrap_err()),
        ("touch", n.touch("big", None, Some(60)).unwrap_err()),
        ("incr", n.incr("big", 1).unwrap_err()),
        ("take", n.take("big").unwrap_err()),
    ] {
        assert_eq!(error.code(), Code::Limit, "{what}: {error}");
        assert!(error.message().contains("key \"big\": a row of the table kv is over 513 MiB"), "{what}: {error}");
    }
    assert_eq!(n.list(&all.start("c")).unwrap().entries.len(), 2);
}

#[test]
fn a_schema_that_changes_while_the_store_is_open_is_looked_at_again() {
    let (_folder, path) = file(&[LUAT, ROWS].concat());
    let clock = Clock::manual(NOW);
    let store = Store::open(&path, &options().clock(clock.clone())).unwrap();
    let blog = store.namespace("blog").unwrap();
    let put = |key: &str| blog.put(key, b"v");
    put("before").unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("ALTER TABLE kv ADD COLUMN fine TEXT DEFAULT 'x'").unwrap();
    clock.set(NOW + 1);
    put("after").unwrap();
    other.execute_batch("ALTER TABLE kv ADD COLUMN x CHECK (x IS NULL)").unwrap();
    clock.set(NOW + 2);
    assert_eq!(put("refused").unwrap_err().code(), Code::ReadOnly);
    assert_eq!(blog.get("after").unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(blog.get("refused").unwrap(), None);
}

/// A query that takes long for the size of an undamaged file is not mistaken for an endless one: rows can hardly be
/// smaller.
#[test]
fn many_small_rows_are_no_damage() {
    const ROWS: u64 = 200_000;
    let rows = format!(
        "INSERT INTO kv (namespace, key, expiration) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         SELECT 'n', i, iif(i % 2, NULL, 1) FROM n"
    );
    for more in ["", "CREATE VIEW v AS SELECT 1;"] {
        let (_folder, path) = file(&[LUAT, more, &rows].concat());
        let store = open(&path);
        let n = store.namespace("n").unwrap();
        assert_eq!(n.count("").unwrap(), ROWS / 2);
        assert_eq!(store.stats().unwrap().namespaces[0].expired, ROWS / 2);
        assert_eq!(store.sweep(None).unwrap(), ROWS / 2);
        store.compact().unwrap();
        assert_eq!(n.export(&mut std::io::sink(), luat_kv::Format::Json).unwrap(), ROWS / 2);
        assert_eq!(n.clear().unwrap(), ROWS / 2);
    }
}

#[test]
fn triggers_fire_for_other_programs_and_not_for_this_library() {
    let trigger =
        "CREATE TABLE seen (key); CREATE TRIGGER t AFTER INSERT ON kv BEGIN INSERT INTO seen VALUES (NEW.key); END;";
    let (_folder, path) = file(&[LUAT, trigger].concat());
    let store = open(&path);
    store.namespace("n").unwrap().put("ours", b"v").unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("INSERT OR REPLACE INTO kv (namespace, key, value) VALUES ('n', 'theirs', 'v')").unwrap();
    assert_eq!(query::<String>(&path, "SELECT group_concat(key) FROM seen"), "theirs");
    // The library's own trigger gave that row a version.
    assert_eq!(entry(&store.namespace("n").unwrap(), "theirs").unwrap().0, b"v");
}

#[test]
fn another_programs_database_is_refused_and_left_as_it_was() {
    let (_folder, path) =
        file("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO users VALUES (1, 'a')");
    let before = std::fs::read(&path).unwrap();
    for readonly in [false, true] {
        let error = Store::open(&path, &options().readonly(readonly)).unwrap_err();
        assert_eq!(error.code(), Code::Corrupt);
        assert!(error.message().contains("another program's database"), "{error}");
    }
    assert!(before == std::fs::read(&path).unwrap());
}

#[test]
fn a_damaged_store_is_not_backed_up() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("kv.db"), folder.path().join("copy.db"));
    let store = open(&path);
    let n = store.namespace("n").unwrap();
    for i in 0..2000 {
        n.put(&format!("key{i}"), [b'v'; 100]).unwrap();
    }
    store.close().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let store = open(&path);
    let error = store.backup(&copy).unwrap_err();
    assert_eq!(error.code(), Code::Corrupt, "{error}");
    assert_eq!(
        std::fs::read_dir(folder.path())
            .unwrap()
            .filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                !name.to_str().unwrap().starts_with("kv.db")
            })
            .count(),
        0,
        "nothing of it is left"
    );
    let error = store.namespace("n").unwrap().list(&ListOptions::new().limit(10_000)).unwrap_err();
    assert!(error.message().contains("kv.db"), "it is told which file is damaged: {error}");
}

#[test]
fn a_row_that_nobody_should_have_written_is_told_and_leaves_the_rest() {
    let (_folder, path) =
        file(&[LUAT, "INSERT INTO kv VALUES ('n', 'bad', 'v', x'ff', NULL), ('n', 'good', 'v', NULL, NULL)"].concat());
    let store = open(&path);
    let n = store.namespace("n").unwrap();
    assert_eq!(n.get_entry("bad").unwrap_err().code(), Code::Corrupt);
    assert_eq!(n.get("good").unwrap().as_deref(), Some(&b"v"[..]));
    n.delete("bad").unwrap();
    assert_eq!(n.list(&ListOptions::default()).unwrap().entries.len(), 1);
}
