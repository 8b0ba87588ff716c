//! Databases that were crafted to do harm: by their schema, their pages, or the size of their contents.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use luat_kv::{OpenOptions, Store};
use rusqlite::Connection;
use tempfile::TempDir;

use super::child::{Limits, Report, exercise, finish, start};
use super::pages::Pages;
use crate::support::Run;

/// Luat's own table.
const LUAT: &str = "CREATE TABLE kv (
        namespace TEXT, key TEXT, value BLOB, metadata TEXT, expiration INTEGER, PRIMARY KEY (namespace, key));
    CREATE INDEX idx_kv_namespace_key ON kv (namespace, key);";

const ROWS: &str = "INSERT INTO kv (namespace, key, value, metadata, expiration) VALUES
    ('n', 'a', CAST('one' AS BLOB), NULL, NULL), ('n', 'b', CAST('two' AS BLOB), '{}', 4102444800),
    ('n', 'dead', x'00', NULL, 1), ('other', 'a', x'00', NULL, NULL);";

/// The expected results of a child.
enum Expect {
    /// Everything works: reads and writes.
    Usable,
    /// Reads work, and writes are READONLY with this text in the message.
    ReadOnly(&'static str),
    /// The open fails: CORRUPT with this text in the message.
    Refused(&'static str),
    /// These operations are CORRUPT; all others may work or fail.
    Corrupt(&'static [&'static str]),
}

pub fn suite(run: &mut Run) -> ExitCode {
    let mut files = 0;
    for (name, craft, expect) in schemas().into_iter().chain(trees()) {
        let limits = Limits::default();
        let children = ["read", "write"].map(|role| {
            let (folder, path) = file(&craft);
            (role, start(role, &path, limits), path, folder)
        });
        for (role, child, path, _folder) in children {
            let report = finish(child, limits);
            for complaint in complaints(&report, &expect, role == "read") {
                run.complain(format_args!("{name}, {role}: {complaint}"));
            }
            if role == "write"
                && let Expect::Usable = expect
            {
                untouched(run, &path);
            }
            files += 1;
        }
        run.test(name);
    }
    large(run);
    run.done(&format!("{files} files"))
}

/// How to make a file, starting from one of this library's or one of Luat's.
struct Craft {
    luats: bool,
    sql: String,
    /// A definition that replaces another: the name, and the new text.
    edit: Option<(&'static str, String)>,
    /// The tree whose pages are made endless.
    endless: Option<&'static str>,
}

fn ours(sql: &str) -> Craft {
    Craft { luats: false, sql: sql.to_owned(), edit: None, endless: None }
}

fn luats(sql: &str) -> Craft {
    Craft { luats: true, ..ours(sql) }
}

fn edited(craft: Craft, name: &'static str, definition: &str) -> Craft {
    Craft { edit: Some((name, definition.to_owned())), ..craft }
}

fn file(craft: &Craft) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kv.db");
    if !craft.luats {
        // Small pages make deep trees.
        let small = Connection::open(&path).expect("a database");
        small.execute_batch("PRAGMA page_size = 512; VACUUM").expect("small pages");
        drop(small);
        let store = Store::open(&path, &OpenOptions::default()).expect("a store");
        store.namespace("n").expect("a name").put("z", b"last").expect("a row");
        store.close().expect("closed");
    }
    let connection = Connection::open(&path).expect("a database");
    let start = if craft.luats { ["PRAGMA page_size = 512;", LUAT, ROWS].concat() } else { ROWS.to_owned() };
    connection.execute_batch("PRAGMA synchronous = OFF").expect("no syncs");
    connection.execute_batch(&start).expect("rows");
    let sql = format!("BEGIN; {}; COMMIT", craft.sql);
    if sql.contains("fts5") {
        // The library's SQLite is built without it.
        let shell = Command::new("sqlite3").arg(&path).arg(&sql).output().expect("sqlite3");
        assert!(shell.status.success(), "{shell:?}");
    } else {
        connection.execute_batch(&sql).unwrap_or_else(|why| panic!("{why}: {sql}"));
    }
    if let Some((name, definition)) = &craft.edit {
        connection.execute_batch("PRAGMA writable_schema = ON").expect("a schema to write");
        let changed = connection.execute("UPDATE sqlite_schema SET sql = ?2 WHERE name = ?1", (name, definition));
        assert_eq!(changed, Ok(1), "{name}");
    }
    let root = craft.endless.map(|name| {
        let root =
            connection.query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", (name,), |row| row.get(0));
        root.expect("a tree")
    });
    // There must be no log that would hide the changes to the pages.
    connection.execute_batch("PRAGMA journal_mode = DELETE").expect("no log");
    connection.close().expect("closed");
    if let Some(root) = root {
        let mut pages = Pages::read(&path);
        let levels = pages.make_endless(root);
        assert!(levels >= 5, "{levels} levels");
        pages.write();
    }
    (folder, path)
}

fn complaints(report: &Report, expect: &Expect, readonly: bool) -> Vec<String> {
    let mut complaints: Vec<String> = report.problem().into_iter().collect();
    let is_write = |operation: &str| {
        ["put", "put again", "incr", "touch", "batch", "delete", "import", "sweep", "delete_prefix"]
            .contains(&operation)
            || ["checkpoint", "compact", "clear"].contains(&operation)
    };
    let right = [("get", "OK one"), ("get other case", "OK nothing"), ("namespaces", "OK 2"), ("stats", "OK 2")];
    match expect {
        Expect::Usable | Expect::ReadOnly(_) => {
            for (operation, answer) in right {
                if report.answer(operation) != answer {
                    complaints.push(format!("{operation}: {} instead of {answer}", report.answer(operation)));
                }
            }
            for (operation, answer) in report.answers() {
                let refused = matches!(expect, Expect::ReadOnly(_)) && is_write(operation);
                if !refused && !answer.starts_with("OK") {
                    complaints.push(format!("{operation}: {answer}"));
                }
                if let Expect::ReadOnly(why) = expect
                    && refused
                    && !(answer.starts_with("READONLY: ") && answer.contains(why))
                {
                    complaints.push(format!("{operation}: {answer} instead of READONLY: {why}"));
                }
            }
            if matches!(expect, Expect::Usable) && !readonly && report.answer("get new") != "OK value" {
                complaints.push(format!("get new: {}", report.answer("get new")));
            }
        }
        Expect::Refused(why) => {
            let open = report.answer("open");
            if !(open.starts_with("CORRUPT: ") && open.contains(why)) {
                complaints.push(format!("open: {open} instead of CORRUPT: {why}"));
            }
        }
        Expect::Corrupt(operations) => {
            for operation in *operations {
                let answer = report.answer(operation);
                if !(answer.starts_with("CORRUPT") || readonly && is_write(operation)) {
                    complaints.push(format!("{operation}: {answer:?} instead of CORRUPT"));
                }
            }
        }
    }
    complaints
}

/// No trigger of the file has run, and the file is intact.
fn untouched(run: &mut Run, path: &Path) {
    let connection = Connection::open(path).expect("a database");
    let question = "SELECT count(*) FROM kv WHERE namespace = 'stolen'";
    let stolen: i64 = connection.query_row(question, (), |row| row.get(0)).expect("a count");
    if stolen > 0 {
        run.complain(format_args!("{stolen} rows were copied by a trigger"));
    }
}

type Case = (&'static str, Craft, Expect);

/// An endless query, and one value that takes a lot of memory.
const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT";
const HUGE: &str = "length(hex(zeroblob(400000000)))";

fn schemas() -> Vec<Case> {
    let columns = "namespace TEXT, key TEXT, value BLOB, metadata TEXT, expiration INTEGER";
    let kv = |more: &str| format!("CREATE TABLE kv ({columns}{more}, PRIMARY KEY (namespace, key))");
    let remade = |table: &str| luats(&format!("DROP TABLE kv; {table}; {ROWS}"));
    let mut cases = vec![
        ("views of the names that pragmas have", ours(&shadows()), Expect::Usable),
        ("views of the names that pragmas have, in Luat's file", luats(&shadows()), Expect::Usable),
        (
            "a trigger that copies into another namespace",
            ours(&trigger(
                "INSERT OR IGNORE INTO kv (namespace, key, value)
            VALUES ('stolen', NEW.key, NEW.value)",
            )),
            Expect::Usable,
        ),
        ("a trigger that makes nothing of a write", ours(&trigger("SELECT RAISE(IGNORE)")), Expect::Usable),
        ("a trigger that never ends", luats(&trigger(&format!("{ENDLESS} max(i) FROM n"))), Expect::Usable),
        ("a check", remade(&kv(&format!(", CHECK ({HUGE} > 0)")).replace(HUGE, "1")), Expect::ReadOnly("CHECK")),
        ("a costly check", edited(luats(""), "kv", &kv(&format!(", CHECK ({HUGE} > 0)"))), Expect::ReadOnly("CHECK")),
        ("a costly default", luats(&format!("ALTER TABLE kv ADD COLUMN x TEXT; {ROWS_MORE}")), Expect::Usable),
    ];
    cases.extend([
        (
            "a costly default value",
            edited(luats(""), "kv", &kv(&format!(", x DEFAULT ({HUGE})"))),
            Expect::ReadOnly("a default value"),
        ),
        (
            "a costly generated value",
            edited(luats("ALTER TABLE kv ADD COLUMN x AS (1)"), "kv", &kv(&format!(", x AS ({HUGE})"))),
            Expect::ReadOnly("a generated value"),
        ),
        (
            "an index on a costly expression",
            edited(ours("CREATE INDEX i ON kv (length(value))"), "i", &format!("CREATE INDEX i ON kv ({HUGE})")),
            Expect::ReadOnly("index \"i\""),
        ),
        (
            "an index with a costly condition",
            edited(
                luats("CREATE INDEX i ON kv (key) WHERE length(value) > 0"),
                "i",
                &format!("CREATE INDEX i ON kv (key) WHERE {HUGE} > 0"),
            ),
            Expect::ReadOnly("index \"i\""),
        ),
        ("a UNIQUE index on values", ours("CREATE UNIQUE INDEX i ON kv (value) WHERE value <> x'00'"), Expect::ReadOnly("index \"i\"")),
        (
            "an index of another program's collation",
            edited(
                luats("CREATE INDEX i ON kv (metadata COLLATE NOCASE)"),
                "i",
                "CREATE INDEX i ON kv (metadata COLLATE foreign_collation)",
            ),
            Expect::ReadOnly("foreign_collation"),
        ),
        (
            "an index kv_expiration on something else",
            edited(ours(""), "kv_expiration", "CREATE INDEX kv_expiration ON kv (value) WHERE expiration IS NOT NULL"),
            Expect::ReadOnly("kv_expiration"),
        ),
        (
            "a rule that drops writes",
            edited(luats(""), "kv", &kv("").replace("value BLOB", "value BLOB NOT NULL ON CONFLICT IGNORE")),
            Expect::ReadOnly("ON CONFLICT"),
        ),
        (
            "keys of another collation",
            remade(&kv("").replace("key TEXT,", "key TEXT COLLATE NOCASE,")),
            Expect::Refused("NOCASE"),
        ),
        ("keys that are numbers", remade(&kv("").replace("key TEXT,", "key INTEGER,")), Expect::Refused("INTEGER")),
        (
            "a version that is not given",
            luats("ALTER TABLE kv ADD COLUMN version BLOB; CREATE TRIGGER kv_version AFTER INSERT ON kv BEGIN SELECT 1; END"),
            Expect::Refused("version"),
        ),
        (
            "a view in the place of the table",
            luats(&format!("DROP TABLE kv; CREATE VIEW kv AS {ENDLESS} 'n' AS namespace, i AS key, '' AS value, '' AS metadata,
                NULL AS expiration FROM n")),
            Expect::Refused("kv"),
        ),
        (
            "a virtual table in the place of the table",
            luats("DROP TABLE kv; CREATE VIRTUAL TABLE kv USING fts5 (namespace, key, value, metadata, expiration)"),
            Expect::Refused("kv"),
        ),
        (
            "what programs add with reason",
            luats("ALTER TABLE kv ADD COLUMN tenant TEXT DEFAULT 'x';
                ALTER TABLE kv ADD COLUMN made TEXT DEFAULT NULL;
                ALTER TABLE kv ADD COLUMN author TEXT AS (json_extract(metadata, '$.author')) VIRTUAL;
                CREATE INDEX by_author ON kv (author) WHERE author IS NOT NULL;
                CREATE TABLE note (n, k, FOREIGN KEY (n, k) REFERENCES kv (namespace, key) ON DELETE CASCADE);
                CREATE VIRTUAL TABLE words USING fts5 (word);
                CREATE VIEW live AS SELECT key FROM kv"),
            Expect::Usable,
        ),
        ("many tables", ours(&(0..5000).map(|i| format!("CREATE TABLE t{i} (x);")).collect::<String>()),
            Expect::Refused("too many schema objects")),
        ("a view of views", ours(&bomb()), Expect::Usable),
    ]);
    cases
}

const ROWS_MORE: &str = "INSERT INTO kv (namespace, key, value) VALUES ('n', 'c', 'three')";

/// Views by which a file would answer questions about itself, if table-valued functions were used.
fn shadows() -> String {
    let endless = |name: &str, columns: &str| format!("CREATE VIEW {name} AS {ENDLESS} {columns} FROM n;");
    [
        endless(
            "pragma_table_list",
            "'main' AS schema, 'kv' AS name, 'table' AS type, 5 AS ncol, i AS wr, 0 AS strict",
        ),
        endless(
            "pragma_table_xinfo",
            "i AS cid, 'x' AS name, '' AS type, 0 AS 'notnull', NULL AS dflt_value, 0 AS pk, 0 AS hidden",
        ),
        endless("pragma_table_info", "i AS cid"),
        endless("pragma_index_list", "i AS seq"),
    ]
    .concat()
}

fn trigger(does: &str) -> String {
    ["INSERT", "UPDATE", "DELETE"]
        .iter()
        .filter(|event| **event == "INSERT" || !does.contains("NEW"))
        .map(|event| format!("CREATE TRIGGER on_{event} BEFORE {event} ON kv BEGIN {does}; END;"))
        .collect()
}

/// Views that each refer twice to the one before: to resolve the last one never ends.
fn bomb() -> String {
    let first = "CREATE VIEW v0 AS SELECT 1 AS x;".to_owned();
    let more = (1..40).map(|i| format!("CREATE VIEW v{i} AS SELECT a.x FROM v{j} a, v{j} b;", j = i - 1));
    [first].into_iter().chain(more).collect()
}

/// Trees whose pages form cycles.
fn trees() -> Vec<Case> {
    let rows = "INSERT INTO kv (namespace, key, value, expiration)
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
        SELECT 'n', 'k' || i, 'v', 1 FROM n;";
    let endless = |craft: Craft, name| Craft { endless: Some(name), ..craft };
    vec![
        (
            "a table without an end",
            endless(ours(rows), "kv"),
            Expect::Corrupt(&["count", "list", "stats", "export", "backup", "compact"]),
        ),
        (
            "an index on expiration without an end",
            endless(ours(rows), "kv_expiration"),
            Expect::Corrupt(&["backup", "compact"]),
        ),
        ("a table of Luat's without an end", endless(luats(rows), "kv"), Expect::Corrupt(&[])),
        ("a primary key of Luat's without an end", endless(luats(rows), "sqlite_autoindex_kv_1"), Expect::Corrupt(&[])),
    ]
}

/// Names and keys of which two copies do not fit in memory.
fn large(run: &mut Run) {
    let size = 60_000_000;
    // SQLite itself makes three copies of a name.
    let limits = Limits { space: 300, memory: 300, time: 120 };
    for (name, row, operations) in [
        (
            "a key of 60 MB that is not UTF-8",
            format!("'n', CAST(zeroblob({size}) || x'ff' AS TEXT)"),
            &["list", "export"][..],
        ),
        ("a key of 60 MB", format!("'n', CAST(zeroblob({size}) AS TEXT)"), &["list", "export"]),
        ("a namespace of 60 MB", format!("CAST(zeroblob({size}) || 'x' AS TEXT), 'k'"), &["stats", "namespaces"]),
    ] {
        let (_folder, path) = file(&luats(&format!("INSERT INTO kv (namespace, key) VALUES ({row})")));
        let report = exercise("read", &path, limits);
        for operation in operations {
            let answer = report.answer(operation);
            if !["LIMIT: ", "CORRUPT: ", "NOMEM: "].iter().any(|code| answer.starts_with(code)) || answer.len() > 1000 {
                run.complain(format_args!("{name}: {operation}: {:?}", answer.get(..200).unwrap_or(answer)));
            }
        }
        if report.answer("get") != "OK one" {
            run.complain(format_args!("{name}: get: {}", report.answer("get")));
        }
        if let Some(problem) = report.problem() {
            run.complain(format_args!("{name}: {problem}"));
        }
        run.test(name);
    }
}
