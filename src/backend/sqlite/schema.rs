//! Every SQL text, and how a file comes to have our table.
//!
//! Luat's own table is `kv(namespace, key, value, metadata, expiration, PRIMARY KEY (namespace, key))`. Ours has the
//! same names, so that Luat's statements work on it, but is clustered on its key (a get is one descent into one tree)
//! and keeps the value last (a list need not pass over it). Every statement here runs on both.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::error::{Code, Error, Result};

// `+expiration` keeps the planner on the primary key.
pub(super) const GET: &str = "SELECT value, metadata, expiration FROM kv
    WHERE namespace = ?1 AND key = ?2 AND (+expiration IS NULL OR +expiration > ?3)";

pub(super) const LIST: &str = "SELECT key, metadata, expiration FROM kv
    WHERE namespace = ?1 AND key >= ?2 AND key < ?3 AND (+expiration IS NULL OR +expiration > ?4)
    ORDER BY key LIMIT ?5";

pub(super) const PUT: &str = "INSERT INTO kv (namespace, key, value, metadata, expiration) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (namespace, key) DO UPDATE
    SET value = excluded.value, metadata = excluded.metadata, expiration = excluded.expiration";

pub(super) const DELETE: &str = "DELETE FROM kv WHERE namespace = ?1 AND key = ?2";

pub(super) const SWEEP: &str = "DELETE FROM kv WHERE (namespace, key) IN
    (SELECT namespace, key FROM kv WHERE expiration <= ?1 ORDER BY expiration LIMIT ?2)";

const CREATE: &str = "CREATE TABLE kv (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    expiration INTEGER,
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

/// The table as it stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Missing,
    /// Ours, index and all.
    Ours,
    /// One that every statement works on, but with something that is not ours to rewrite (a column or a trigger more):
    /// it stays as it is and only gains the index.
    Compatible {
        indexed: bool,
    },
    /// Luat's, and nothing but that.
    Luat,
}

/// Sees to it that the table is there, and ours. All or nothing, whoever else is at it.
pub(super) fn prepare(connection: &mut Connection, readonly: bool) -> Result<()> {
    match layout(connection)? {
        Layout::Ours | Layout::Compatible { indexed: true } => return Ok(()),
        Layout::Missing if readonly => {
            return Err(Error::new(Code::Corrupt, "it has no table kv, and is opened for reading only"));
        }
        _ if readonly => return Ok(()),
        _ => {}
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    match layout(&transaction)? {
        Layout::Missing => transaction.execute_batch(CREATE)?,
        Layout::Luat => transaction.execute_batch(&CLUSTER.join(";"))?,
        Layout::Ours | Layout::Compatible { .. } => {}
    }
    transaction.execute_batch(INDEX)?;
    transaction.commit()?;
    Ok(())
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
    let indexed = count(connection, "SELECT count(*) FROM sqlite_schema WHERE name = 'kv_expiration'")? == 1;
    Ok(if clustered && indexed {
        Layout::Ours
    } else if !clustered && columns.len() == 5 && !has_more(connection)? {
        Layout::Luat
    } else {
        Layout::Compatible { indexed }
    })
}

/// Each column's name and its place in the primary key, counted from 1; 0 is none.
fn columns(connection: &Connection) -> Result<Vec<(String, i64)>> {
    let mut query = connection.prepare("SELECT name, pk FROM pragma_table_info('kv')")?;
    let columns = query.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
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
        for sql in [GET, LIST, DELETE, SWEEP] {
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
