//! Every SQL text, and how a file comes to have our table.
//!
//! Luat's own table is `kv(namespace, key, value, metadata, expiration, PRIMARY KEY (namespace, key))`. Ours has the
//! same names, so that Luat's statements work on it, but is clustered on its key (a get is one descent into one tree),
//! keeps the value last (a list need not pass over it), and has a version for each row, given by chance where Luat's
//! statements give none. Every statement here runs on both, once Luat's has been given a version.

use std::hash::{DefaultHasher, Hash, Hasher};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::error::{Code, Error, Result};

// `+expiration` keeps the planner on the primary key.

pub(super) const GET: &str = "SELECT value, metadata, expiration, version FROM kv
    WHERE namespace = ?1 AND key = ?2 AND (+expiration IS NULL OR +expiration > ?3)";

pub(super) const GET_VALUE: &str = "SELECT value FROM kv
    WHERE namespace = ?1 AND key = ?2 AND (+expiration IS NULL OR +expiration > ?3)";

pub(super) const VERSION: &str = "SELECT version FROM kv
    WHERE namespace = ?1 AND key = ?2 AND (+expiration IS NULL OR +expiration > ?3)";

macro_rules! list {
    ($value:literal, $order:literal) => {
        concat!(
            "SELECT key, metadata, expiration, version",
            $value,
            " FROM kv WHERE namespace = ?1 AND key >= ?2 AND key < ?3 AND (+expiration IS NULL OR +expiration > ?4)
             ORDER BY key ",
            $order,
            " LIMIT ?5"
        )
    };
}

/// The live keys of a range. The fifth column is the value.
pub(super) const fn list(reverse: bool, values: bool) -> &'static str {
    match (reverse, values) {
        (false, false) => list!("", "ASC"),
        (false, true) => list!(", value", "ASC"),
        (true, false) => list!("", "DESC"),
        (true, true) => list!(", value", "DESC"),
    }
}

pub(super) const COUNT: &str = "SELECT count(*) FROM kv
    WHERE namespace = ?1 AND key >= ?2 AND key < ?3 AND (+expiration IS NULL OR +expiration > ?4)";

pub(super) const PUT: &str = "INSERT INTO kv (namespace, version, key, value, metadata, expiration)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, metadata = excluded.metadata,
        expiration = excluded.expiration, version = excluded.version";

pub(super) const TOUCH: &str = "UPDATE kv SET expiration = ?3, version = ?4
    WHERE namespace = ?1 AND key = ?2 AND (+expiration IS NULL OR +expiration > ?5)";

pub(super) const DELETE: &str = "DELETE FROM kv WHERE namespace = ?1 AND key = ?2";

pub(super) const SWEEP: &str = "DELETE FROM kv WHERE (namespace, key) IN
    (SELECT namespace, key FROM kv WHERE expiration <= ?1 ORDER BY expiration LIMIT ?2)";

/// The first rows of a range, live or not: how large each is, and whether it lives. Reads no values.
pub(super) const MEASURE: &str = "SELECT key, coalesce(octet_length(value), 0), expiration IS NULL OR expiration > ?4
    FROM kv WHERE namespace = ?1 AND key >= ?2 AND key < ?3 ORDER BY key LIMIT ?5";

pub(super) const REMOVE: &str = "DELETE FROM kv WHERE namespace = ?1 AND key >= ?2 AND key <= ?3";

/// From one namespace's name straight to the next.
pub(super) const NAMESPACES: &str = "WITH RECURSIVE names (name) AS (
        SELECT min(namespace) FROM kv
        UNION ALL SELECT (SELECT min(namespace) FROM kv WHERE namespace > name) FROM names WHERE name IS NOT NULL)
    SELECT name FROM names WHERE name IS NOT NULL
        AND EXISTS (SELECT 1 FROM kv WHERE namespace = name AND (+expiration IS NULL OR +expiration > ?1))";

pub(super) const STATS: &str = "SELECT namespace, sum(expiration IS NULL OR expiration > ?1),
        sum(expiration IS NOT NULL AND expiration <= ?1)
    FROM kv WHERE namespace IS NOT NULL GROUP BY namespace ORDER BY namespace";

const CREATE: &str = "CREATE TABLE kv (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    expiration INTEGER,
    version BLOB NOT NULL DEFAULT (randomblob(12)),
    metadata TEXT,
    value BLOB,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID";

const INDEX: &str = "CREATE INDEX IF NOT EXISTS kv_expiration ON kv (expiration) WHERE expiration IS NOT NULL";

const CLUSTER: [&str; 4] = [
    "ALTER TABLE kv RENAME TO kv_from_luat",
    CREATE,
    "INSERT INTO kv (namespace, key, expiration, metadata, value)
     SELECT namespace, key, expiration, metadata, value FROM kv_from_luat ORDER BY namespace, key",
    "DROP TABLE kv_from_luat",
];

/// For a table that stays as it is. A column that is added cannot be given by chance, so a trigger does it.
const ADD_VERSION: [&str; 3] = [
    "ALTER TABLE kv ADD COLUMN version BLOB",
    "UPDATE kv SET version = randomblob(12)",
    "CREATE TRIGGER kv_version AFTER INSERT ON kv WHEN NEW.version IS NULL BEGIN
         UPDATE kv SET version = randomblob(12) WHERE namespace = NEW.namespace AND key = NEW.key;
     END",
];

/// Stands before a table without versions in a store that may not add them.
const VIEW: &str = "CREATE TEMP VIEW kv AS SELECT namespace, key, expiration, metadata, value,
    luat_kv_version(value, metadata, expiration) AS version FROM main.kv";

/// The table as it stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Missing,
    /// Ours, index and all.
    Ours,
    /// One with something that is not ours to rewrite (a column or a trigger more): it stays as it is, and gains what
    /// the statements need.
    Compatible {
        versioned: bool,
        indexed: bool,
    },
    /// Luat's, or ours of before there were versions, and nothing but that.
    Luat,
}

/// Sees to it that the table is there, and ours. All or nothing, whoever else is at it.
pub(super) fn prepare(connection: &mut Connection, readonly: bool) -> Result<()> {
    match layout(connection)? {
        Layout::Ours | Layout::Compatible { versioned: true, indexed: true } => return Ok(()),
        Layout::Missing if readonly => {
            return Err(Error::new(Code::Corrupt, "it has no table kv, and is opened for reading only"));
        }
        Layout::Compatible { versioned: true, .. } if readonly => return Ok(()),
        _ if readonly => return look_on(connection),
        _ => {}
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    match layout(&transaction)? {
        Layout::Missing => transaction.execute_batch(CREATE)?,
        Layout::Luat => transaction.execute_batch(&CLUSTER.join(";"))?,
        Layout::Compatible { versioned: false, .. } => transaction.execute_batch(&ADD_VERSION.join(";"))?,
        Layout::Ours | Layout::Compatible { .. } => {}
    }
    transaction.execute_batch(INDEX)?;
    transaction.commit()?;
    Ok(())
}

/// Reads a table without versions as if it had them: each is made of what the row holds.
fn look_on(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("luat_kv_version", 3, flags, |row| {
        let [_, _, _, _, high @ ..] = hash(row, 0).to_be_bytes();
        Ok([&high[..], &hash(row, 1).to_be_bytes()].concat())
    })?;
    connection.execute_batch(VIEW)?;
    Ok(())
}

fn hash(row: &Context<'_>, salt: u8) -> u64 {
    let mut hash = DefaultHasher::new();
    salt.hash(&mut hash);
    for place in 0..row.len() {
        let stored = row.get_raw(place);
        std::mem::discriminant(&stored.data_type()).hash(&mut hash);
        match stored {
            ValueRef::Null => {}
            ValueRef::Integer(whole) => whole.hash(&mut hash),
            ValueRef::Real(real) => real.to_bits().hash(&mut hash),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.hash(&mut hash),
        }
    }
    hash.finish()
}

fn layout(connection: &Connection) -> Result<Layout> {
    let clustered: Option<bool> = connection
        .query_row("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = 'kv'", (), |row| row.get(0))
        .optional()?;
    let Some(clustered) = clustered else { return Ok(Layout::Missing) };
    let columns = columns(connection)?;
    let has = |name: &str, key: i64| columns.iter().any(|column| column.0 == name && column.1 == key);
    let keys = columns.iter().filter(|column| column.1 > 0).count();
    let ours = has("value", 0) && has("metadata", 0) && has("expiration", 0);
    if !(has("namespace", 1) && has("key", 2) && keys == 2 && ours) {
        return Err(Error::new(Code::Corrupt, "its table kv is not a key-value store's"));
    }
    let object = "SELECT count(*) FROM main.sqlite_schema WHERE tbl_name = 'kv' AND name = ";
    let indexed = count(connection, &format!("{object}'kv_expiration'"))? == 1;
    let filled = columns.iter().any(|column| column.0 == "version" && column.2.as_deref() == Some("randomblob(12)"));
    let versioned = filled || count(connection, &format!("{object}'kv_version'"))? == 1;
    if has("version", 0) && !versioned {
        return Err(Error::new(Code::Corrupt, "its table kv has a column version that is not this library's"));
    }
    Ok(if clustered && filled && indexed {
        Layout::Ours
    } else if !versioned && columns.len() == 5 && !has_more(connection)? {
        Layout::Luat
    } else {
        Layout::Compatible { versioned, indexed }
    })
}

/// Each column's name, its place in the primary key, counted from 1 (0 is none), and its default.
fn columns(connection: &Connection) -> Result<Vec<(String, i64, Option<String>)>> {
    let mut query = connection.prepare("SELECT name, pk, dflt_value FROM pragma_table_info('kv')")?;
    let columns = query.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(columns.collect::<rusqlite::Result<_>>()?)
}

/// Is there anything about the table that a new one in its place would lack: an index or trigger of someone's, or a row
/// that its primary key must refuse?
fn has_more(connection: &Connection) -> Result<bool> {
    let objects = "SELECT count(*) FROM sqlite_schema WHERE tbl_name = 'kv' AND sql IS NOT NULL
        AND name NOT IN ('kv', 'kv_expiration', 'idx_kv_namespace_key')";
    let rows = "SELECT count(*) FROM kv WHERE namespace IS NULL OR key IS NULL";
    Ok(count(connection, objects)? + count(connection, rows)? > 0)
}

fn count(connection: &Connection, query: &str) -> Result<i64> {
    Ok(connection.query_row(query, (), |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The steps of a statement's plan.
    fn plan(connection: &Connection, sql: &str) -> String {
        let mut query = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let none = vec![rusqlite::types::Null; query.parameter_count()];
        let steps = query.query_map(rusqlite::params_from_iter(none), |row| row.get::<_, String>(3)).unwrap();
        steps.collect::<rusqlite::Result<Vec<_>>>().unwrap().join("; ")
    }

    #[test]
    fn every_statement_descends_and_none_scans_or_sorts() {
        let mut connection = Connection::open_in_memory().unwrap();
        prepare(&mut connection, false).unwrap();
        let lists = [list(false, false), list(false, true), list(true, false), list(true, true)];
        let others = [GET, GET_VALUE, VERSION, COUNT, TOUCH, DELETE, SWEEP, MEASURE, REMOVE];
        for sql in lists.into_iter().chain(others) {
            let plan = plan(&connection, sql);
            assert!(!plan.contains("SCAN") && !plan.contains("B-TREE"), "{sql}\n{plan}");
            assert!(plan.contains("PRIMARY KEY (namespace=? AND key"), "{sql}\n{plan}");
        }
    }

    #[test]
    fn a_table_of_someone_elses_is_refused_and_untouched() {
        for table in ["kv (key TEXT PRIMARY KEY, value BLOB)", "kv (namespace, key, value, metadata, expiration)"] {
            let mut connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(&format!("CREATE TABLE {table}")).unwrap();
            assert_eq!(prepare(&mut connection, false).unwrap_err().code(), Code::Corrupt);
            assert_eq!(
                count(&connection, "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND sql != ''").unwrap(),
                0
            );
        }
    }
}
