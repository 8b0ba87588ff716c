//! Every SQL text, and how a file comes to have our table.
//!
//! Luat's own table is `kv(namespace, key, value, metadata, expiration, PRIMARY KEY (namespace, key))`. Ours has the
//! same names, so that Luat's statements work on it, but is clustered on its key (a get is one descent into one tree),
//! keeps the value last (a list need not pass over it), and has a version for each row, given by chance where Luat's
//! statements give none. Every statement here runs on both, once Luat's has been given a version.

use std::hash::{DefaultHasher, Hash, Hasher};

use rusqlite::config::DbConfig;
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

/// In a table that is not ours a name may be NULL, which no comparison finds again.
pub(super) const SWEEP: &str = "DELETE FROM kv WHERE (namespace, key) IN
    (SELECT namespace, key FROM kv WHERE expiration <= ?1 AND namespace IS NOT NULL AND key IS NOT NULL
     ORDER BY expiration LIMIT ?2)";

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
    /// One with something that is not ours to rewrite (a column more, or a view that speaks of it): it stays as it is,
    /// and gains what the statements need.
    Compatible {
        versioned: bool,
        indexed: bool,
    },
    /// Luat's, or ours of before there were versions, and nothing but that.
    Luat,
}

/// Refuses a file that is none of ours, before anything is changed about it.
pub(super) fn recognize(connection: &Connection) -> Result<()> {
    look(connection).map(|_| ())
}

/// The layout as it is at one moment, whoever is changing it.
fn look(connection: &Connection) -> Result<Layout> {
    layout(&*connection.unchecked_transaction()?)
}

/// Sees to it that the table is there, and ours. All or nothing, whoever else is at it.
pub(super) fn prepare(connection: &mut Connection, readonly: bool) -> Result<()> {
    match look(connection)? {
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
        Layout::Compatible { versioned: false, .. } => add_version(&transaction)?,
        Layout::Ours | Layout::Compatible { .. } => {}
    }
    transaction.execute_batch(INDEX)?;
    transaction.commit()?;
    Ok(())
}

/// Giving the rows their first version is no change that a trigger of someone's should hear of.
fn add_version(connection: &Connection) -> Result<()> {
    let triggers = DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    connection.set_db_config(triggers, false)?;
    let added = connection.execute_batch(&ADD_VERSION.join(";"));
    connection.set_db_config(triggers, true)?;
    Ok(added?)
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
    let table = "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = 'kv' COLLATE NOCASE";
    let clustered: Option<bool> = connection.query_row(table, (), |row| row.get(0)).optional()?;
    let Some(clustered) = clustered else {
        let tables =
            "SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite^_%' ESCAPE '^'";
        return match count(connection, tables)? {
            0 => Ok(Layout::Missing),
            _ => Err(Error::new(Code::Corrupt, "it is another program's database: it has tables, but no table kv")),
        };
    };
    let columns = columns(connection)?;
    let find = |name: &str| columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    let has = |name: &str, key: i64| find(name).is_some_and(|column| column.key == key && !column.hidden);
    let keys = columns.iter().filter(|column| column.key > 0).count();
    let ours = has("value", 0) && has("metadata", 0) && has("expiration", 0);
    if !(has("namespace", 1) && has("key", 2) && keys == 2 && ours) {
        return Err(Error::new(Code::Corrupt, "its table kv is not a key-value store's"));
    }
    let object = "SELECT count(*) FROM main.sqlite_schema WHERE tbl_name = 'kv' COLLATE NOCASE AND name = ";
    let indexed = count(connection, &format!("{object}'kv_expiration'"))? == 1;
    let filled = find("version").is_some_and(|column| column.default.as_deref() == Some("randomblob(12)"));
    let versioned = filled || count(connection, &format!("{object}'kv_version'"))? == 1;
    if find("version").is_some() && !versioned {
        return Err(Error::new(Code::Corrupt, "its table kv has a column version that is not this library's"));
    }
    Ok(if clustered && filled && indexed {
        Layout::Ours
    } else if !versioned && is_luats(&columns) && !has_more(connection)? {
        Layout::Luat
    } else {
        Layout::Compatible { versioned, indexed }
    })
}

struct Column {
    name: String,
    kind: String,
    default: Option<String>,
    /// Its place in the primary key, counted from 1; 0 is none.
    key: i64,
    /// Generated, that is: nobody can write it.
    hidden: bool,
}

fn columns(connection: &Connection) -> Result<Vec<Column>> {
    let mut query = connection.prepare("SELECT name, type, dflt_value, pk, hidden FROM pragma_table_xinfo('kv')")?;
    let columns = query.query_map((), |row| {
        let (name, kind, default) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Column { name, kind, default, key: row.get(3)?, hidden: row.get(4)? })
    })?;
    Ok(columns.collect::<rusqlite::Result<_>>()?)
}

/// Luat's columns and no others; of its types, too, so that a row moves into our table as it is.
fn is_luats(columns: &[Column]) -> bool {
    columns.len() == 5
        && columns.iter().all(|column| {
            let kind = match column.name.as_str() {
                "value" => "BLOB",
                "expiration" => "INTEGER",
                _ => "TEXT",
            };
            column.kind == kind && column.default.is_none()
        })
}

/// Is there anything that a new table in the place of this one would lack or break? That is a row which its primary key
/// must refuse, a rule that it has not, and whatever else in the file speaks of the table: a foreign key, a view, an
/// index, or a trigger, be it another table's.
fn has_more(connection: &Connection) -> Result<bool> {
    let objects = "SELECT count(*) FROM main.sqlite_schema WHERE sql LIKE '%kv%'
        AND NOT (name = 'kv' AND sql NOT LIKE '%check%' AND sql NOT LIKE '%references%')
        AND name NOT IN ('kv_expiration', 'idx_kv_namespace_key')";
    // Renaming a table reads all views and triggers, and fails where it cannot make sense of one.
    let fragile = "SELECT count(*) FROM main.sqlite_schema WHERE type IN ('view', 'trigger')";
    let rows = "SELECT count(*) FROM kv WHERE namespace IS NULL OR key IS NULL";
    Ok(count(connection, objects)? + count(connection, fragile)? + count(connection, rows)? > 0)
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
