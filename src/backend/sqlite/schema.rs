//! The SQL that runs, and how a file gets its table.
//!
//! Luat's table is `kv(namespace, key, value, metadata, expiration, PRIMARY KEY (namespace, key))`. This library's has
//! the same names, so that Luat's statements work on it, but has the value last, and a version for each row, which is
//! random if Luat's statements give none. Every statement runs on both, once Luat's table has versions, and on the
//! clustered table of older files. `format` defines the numbers in a file, and `convert` replaces an older table;
//! docs/design.md, "The file", describes all of it.
//!
//! A file may come from anyone. Its schema is checked (`layout`, `objections`) before any statement touches the table,
//! by a connection that executes nothing from the file (`guard`), and whose statements are sure to end (`steps`).

use std::hash::{DefaultHasher, Hash, Hasher};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, TransactionBehavior};

pub(super) use self::layout::Found;
use self::layout::Layout;
use super::prepared::PreparedConnection;
use crate::error::{Code, Error, Result};

mod convert;
mod format;
mod guard;
mod layout;
mod objections;
mod statements;
mod steps;
mod tokens;

pub(super) use self::guard::{Guard, check, harden, is_beyond_sqlite};
pub(super) use self::statements::*;
pub(super) use self::steps::Steps;

/// Hides a table without versions, in a store that may not add them.
const VIEW: &str = "CREATE TEMP VIEW kv AS SELECT namespace, key, expiration, metadata, value,
    luat_kv_version(value, metadata, expiration) AS version FROM main.kv";

/// Refuses a file that is not a store, before anything in it is changed. Reads the layout as of one moment, even if
/// others are changing it.
pub(super) fn recognize(connection: &Connection) -> Result<Found> {
    layout::find(&*connection.unchecked_transaction()?)
}

/// Like [`recognize`], while a store is open: the table exists by now, unless another program has removed it.
fn recognize_now(connection: &Connection) -> Result<Found> {
    let query =
        "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type IN ('table', 'view') AND lower(name) = 'kv')";
    match connection.query_row(query, (), |row| row.get(0))? {
        true => layout::find(connection),
        false => Err(Error::new(Code::Corrupt, "another program removed or renamed its table kv while it was open")),
    }
}

/// Chooses the statement that stores a row in the table as it is now. Returns whether the table has columns of other
/// programs.
pub(super) fn choose_put(connection: &PreparedConnection) -> Result<bool> {
    let found = recognize_now(connection)?;
    connection.set_put(&put(&found.foreign), found.is_ours())?;
    Ok(!found.foreign.is_empty())
}

/// Attributes an error of a statement that SQLite cannot prepare: to the file, if another program or damage has changed
/// it so that the statements no longer fit, or else to this library.
pub(super) fn at_fault(connection: &Connection, error: Error) -> Error {
    match error.code() {
        Code::Internal => match recognize_now(connection) {
            Ok(_) => error,
            Err(found) if found.code() == Code::Internal => Error::new(Code::Corrupt, found.message()),
            Err(found) => found,
        },
        _ => error,
    }
}

/// Creates the table, or adds what the statements need: all or nothing, whatever other processes do meanwhile. Returns
/// why the table may only be read, if so.
///
/// A table of an older format works as it is. If it cannot be converted, because the disk is full or the file is
/// damaged, it stays, and the next open tries again. Without `converts`, it stays if it works.
///
/// `found` is what [`recognize`] returned just before. If another process changes the table in between, it is as if it
/// did so after this returns, which the next write notices.
pub(super) fn prepare(
    connection: &mut Connection,
    found: Found,
    readonly: bool,
    converts: bool,
) -> Result<Option<String>> {
    if readonly || found.objection.is_some() {
        match found.layout {
            Layout::Missing => {
                return Err(Error::new(Code::Corrupt, "it has no table kv, and is opened for reading only"));
            }
            Layout::Luat | Layout::Compatible { versioned: false, .. } => look_on(connection)?,
            Layout::Ours | Layout::Clustered | Layout::Compatible { .. } => {}
        }
        return Ok(found.objection);
    }
    if found.is_settled() || (!converts && found.works()) {
        return Ok(None);
    }
    match bring_up(connection) {
        Ok(None) => Ok(None),
        // Another process was faster, and left a table that may only be read.
        Ok(Some(_)) => {
            let found = recognize(connection)?;
            prepare(connection, found, true, converts)
        }
        Err(error) if error.code() != Code::Busy && found.works() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Brings a file to this library's format in one transaction. Returns why it may only be read, if so.
fn bring_up(connection: &mut Connection) -> Result<Option<String>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    let found = layout::find(&transaction)?;
    if found.objection.is_some() {
        return Ok(found.objection);
    }
    let mut layout = found.layout;
    if layout.is_to_change() {
        // The conversion goes through all pages and frees some, which in a damaged file may be those of other tables.
        check(&transaction)?;
    }
    if matches!(layout, Layout::Luat | Layout::Clustered) && !convert::is_movable(&transaction)? {
        layout = if layout == Layout::Luat { Layout::AS_IT_IS } else { Layout::SETTLED };
    }
    convert::convert(&transaction, layout)?;
    if found.is_to_mark() {
        format::mark(&transaction)?;
    }
    transaction.commit()?;
    Ok(None)
}

/// Reads a table without versions as if it had them: each version is derived from the contents of the row.
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

    fn open(connection: &mut Connection) -> Result<Option<String>> {
        let found = recognize(connection)?;
        prepare(connection, found, false, true)
    }

    #[test]
    fn every_statement_descends_and_none_scans_or_sorts() {
        let mut connection = Connection::open_in_memory().unwrap();
        open(&mut connection).unwrap();
        let lists = [false, true].map(|reverse| [list(reverse, false), list(reverse, true), list_keys(reverse)]);
        let others = [
            GET,
            GET_VALUE,
            HAS,
            VERSION,
            WATCH,
            COUNT,
            TOUCH,
            DELETE,
            DELETE_EXPIRED,
            SWEEP,
            MEASURE,
            REMOVE,
            REMOVE_EXPIRED,
        ];
        // Luat creates an index that is the same as the primary key's.
        for more in ["SELECT 1", "CREATE INDEX idx_kv_namespace_key ON kv (namespace, key)"] {
            connection.execute_batch(more).unwrap();
            for sql in lists.concat().into_iter().chain(others) {
                let plan = plan(&connection, sql);
                assert!(!plan.contains("SCAN") && !plan.contains("B-TREE"), "{sql}\n{plan}");
                assert!(plan.contains("(namespace=? AND key"), "{sql}\n{plan}");
            }
        }
    }

    #[test]
    fn statistics_read_the_index_of_the_primary_key_and_the_expired_rows() {
        let mut connection = Connection::open_in_memory().unwrap();
        open(&mut connection).unwrap();
        let rows = plan(&connection, COUNT_ROWS);
        assert!(rows.contains("COVERING INDEX") && !rows.contains("B-TREE"), "{rows}");
        assert!(plan(&connection, EXPIRED).contains("SEARCH kv USING INDEX kv_expiration (expiration<?)"));
    }

    #[test]
    fn a_table_of_someone_elses_is_refused_and_untouched() {
        for table in ["kv (key TEXT PRIMARY KEY, value BLOB)", "kv (namespace, key, value, metadata, expiration)"] {
            let mut connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(&format!("CREATE TABLE {table}")).unwrap();
            assert_eq!(open(&mut connection).unwrap_err().code(), Code::Corrupt);
            assert_eq!(
                connection
                    .query_row("SELECT count(*) FROM sqlite_schema WHERE sql LIKE '%INDEX%'", (), |row| row.get(0)),
                Ok(0)
            );
        }
    }
}
