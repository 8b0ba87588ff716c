//! Creates the table, or moves the rows of an older one into it.
//!
//! Rows move in steps within one transaction: each step copies some rows and then removes them from the old table, so
//! that the next rows use the pages that become free. The file grows by no more than a step, and the log contains each
//! page once. To copy the whole table first would double the size of the file, and need three times its size meanwhile.

use rusqlite::Connection;

use super::guard::is_beyond_sqlite;
use super::layout::Layout;
use crate::error::{Code, Error, Result};

/// Whether a row is close to the longest that SQLite may write here (513 MiB, see `guard`). Reads no value.
macro_rules! is_too_long {
    () => {
        "(ifnull(octet_length(value), 0) + ifnull(octet_length(metadata), 0)
            + ifnull(octet_length(namespace), 0) + ifnull(octet_length(key), 0) > 537800000)"
    };
}

/// The primary key is a separate index, which is searched without reading values. The value is the last column: SQLite
/// reads a row from its start, so the columns before a long value are read without its overflow pages.
pub(super) const CREATE: &str = "CREATE TABLE kv (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    expiration INTEGER,
    version BLOB NOT NULL DEFAULT (randomblob(12)),
    metadata TEXT,
    value BLOB,
    PRIMARY KEY (namespace, key)
)";

/// The table in files of format 1.
pub(super) const CREATE_CLUSTERED: &str = "CREATE TABLE kv (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    expiration INTEGER,
    version BLOB NOT NULL DEFAULT (randomblob(12)),
    metadata TEXT,
    value BLOB,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID";

pub(super) const INDEX: &str = "CREATE INDEX kv_expiration ON kv (expiration) WHERE expiration IS NOT NULL";

/// For a table that stays as it is. A column that is added cannot have a random default, so a trigger sets it. A row
/// that is too long to be written has no version.
const ADD_VERSION: [&str; 3] = [
    "ALTER TABLE kv ADD COLUMN version BLOB",
    concat!("UPDATE kv SET version = randomblob(12) WHERE NOT ", is_too_long!()),
    TRIGGER,
];

/// Whether there is a row that cannot be copied.
const HAS_TOO_LONG: &str = concat!("SELECT EXISTS (SELECT 1 FROM main.kv WHERE ", is_too_long!(), ")");

/// For rows that Luat's statements insert, on Luat's connections. This library's statements set versions themselves,
/// and its connections run no triggers.
pub(super) const TRIGGER: &str = "CREATE TRIGGER kv_version AFTER INSERT ON kv WHEN NEW.version IS NULL BEGIN
         UPDATE kv SET version = randomblob(12) WHERE namespace = NEW.namespace AND key = NEW.key;
     END";

/// Whether every row can be moved.
pub(super) fn is_movable(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(HAS_TOO_LONG, (), |row| row.get::<_, bool>(0)).map(|has_too_long| !has_too_long)
}

/// Gives a file the table that the statements need. The caller has begun a transaction.
pub(super) fn convert(connection: &Connection, layout: Layout) -> Result<()> {
    match layout {
        Layout::Missing => connection.execute_batch(CREATE)?,
        Layout::Luat | Layout::Clustered => {
            if !set_aside(connection)? {
                // A clustered table needs nothing else.
                return if layout == Layout::Luat { convert(connection, Layout::AS_IT_IS) } else { Ok(()) };
            }
            connection.execute_batch(CREATE)?;
            move_rows(connection, layout == Layout::Clustered)?;
        }
        Layout::Compatible { versioned: false, .. } => {
            connection.execute_batch(&ADD_VERSION.join(";")).map_err(of_rules)?
        }
        Layout::Ours | Layout::Compatible { .. } => {}
    }
    match layout {
        Layout::Ours => Ok(()),
        _ => Ok(connection.execute_batch(&INDEX.replacen("INDEX", "INDEX IF NOT EXISTS", 1))?),
    }
}

/// Renames the old table, and removes its indexes. Returns whether SQLite can: to rename a table it parses the
/// definitions of all others.
fn set_aside(connection: &Connection) -> Result<bool> {
    connection.execute_batch("SAVEPOINT aside")?;
    match connection.execute_batch("ALTER TABLE kv RENAME TO kv_before") {
        Err(error) if is_beyond_sqlite(&error) => {
            connection.execute_batch("ROLLBACK TO aside; RELEASE aside")?;
            return Ok(false);
        }
        done => done?,
    }
    // While there is a savepoint, SQLite keeps a second copy of each changed page.
    connection.execute_batch("RELEASE aside")?;
    let query =
        "SELECT name FROM main.sqlite_master WHERE type = 'index' AND tbl_name = 'kv_before' AND sql IS NOT NULL";
    let mut indexes = connection.prepare(query)?;
    let names = indexes.query_map((), |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    for name in names {
        connection.execute_batch(&format!("DROP INDEX main.\"{}\"", name.replace('"', "\"\"")))?;
    }
    Ok(true)
}

/// Moves the rows of `kv_before` into `kv`, in the order of their keys, and removes the old table.
fn move_rows(connection: &Connection, versioned: bool) -> Result<()> {
    const ROWS: usize = 1000;
    const BYTES: u64 = 1024 * 1024;
    let version = if versioned { ", version" } else { "" };
    let first = "FROM kv_before ORDER BY namespace, key LIMIT ?1";
    let columns = format!("namespace, key, expiration{version}, metadata, value");
    let mut sizes = connection.prepare(&format!("SELECT coalesce(octet_length(value), 0) {first}"))?;
    let mut copy = connection.prepare(&format!("INSERT INTO kv ({columns}) SELECT {columns} {first}"))?;
    let mut remove = connection
        .prepare(&format!("DELETE FROM kv_before WHERE (namespace, key) IN (SELECT namespace, key {first})"))?;
    loop {
        let (mut count, mut bytes) = (0, 0);
        let mut rows = sizes.query((ROWS,))?;
        while bytes < BYTES
            && let Some(row) = rows.next()?
        {
            bytes += row.get::<_, u64>(0)?;
            count += 1;
        }
        drop(rows);
        if count == 0 {
            break;
        }
        if copy.execute((count,)).map_err(of_rules)? != count || remove.execute((count,))? != count {
            return Err(damaged("rows of its table kv are not where its primary key says"));
        }
    }
    drop((sizes, copy, remove));
    // Rows that cannot be reached by the primary key.
    if connection.query_row("SELECT EXISTS (SELECT 1 FROM kv_before NOT INDEXED)", (), |row| row.get(0))? {
        return Err(damaged("its table kv has rows that are not in its primary key"));
    }
    Ok(connection.execute_batch("DROP TABLE kv_before")?)
}

/// The error for rows that an undamaged table cannot contain.
fn of_rules(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => {
            damaged(&format!("its table kv breaks its own rules ({error})"))
        }
        _ => error.into(),
    }
}

fn damaged(how: &str) -> Error {
    Error::new(Code::Corrupt, format!("the file is damaged: {how}"))
}
