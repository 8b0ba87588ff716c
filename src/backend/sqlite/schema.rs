//! What SQLite is asked, and how a file comes to have our table.
//!
//! Luat's own table is `kv(namespace, key, value, metadata, expiration, PRIMARY KEY (namespace, key))`. Ours has the
//! same names, so that Luat's statements work on it, but is clustered on its key (a get is one descent into one tree),
//! keeps the value last (a list need not pass over it), and has a version for each row, given by chance where Luat's
//! statements give none. Every statement runs on both, once Luat's has been given a version.
//!
//! A file may come from anyone. Its schema is looked at (`layout`, `objections`) before any statement touches the table,
//! by a connection that runs nothing of what the file brings along (`guard`), and whose statements end (`steps`).

use std::hash::{DefaultHasher, Hash, Hasher};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, TransactionBehavior};

use self::layout::{Found, Layout};
use crate::error::{Code, Error, Result};

mod guard;
mod layout;
mod objections;
mod statements;
mod steps;
mod tokens;

pub(super) use self::guard::{Guard, check, harden, is_beyond_sqlite};
pub(super) use self::statements::*;
pub(super) use self::steps::Steps;

/// Whether a row comes close to the longest one that SQLite may write here (513 MiB, see `guard`). No value is read for it.
macro_rules! is_too_long {
    () => {
        "(ifnull(octet_length(value), 0) + ifnull(octet_length(metadata), 0)
            + ifnull(octet_length(namespace), 0) + ifnull(octet_length(key), 0) > 537800000)"
    };
}

const CREATE: &str = "CREATE TABLE kv (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    expiration INTEGER,
    version BLOB NOT NULL DEFAULT (randomblob(12)),
    metadata TEXT,
    value BLOB,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID";

const INDEX: &str = "CREATE INDEX kv_expiration ON kv (expiration) WHERE expiration IS NOT NULL";

const CLUSTER: [&str; 4] = [
    "ALTER TABLE kv RENAME TO kv_from_luat",
    CREATE,
    "INSERT INTO kv (namespace, key, expiration, metadata, value)
     SELECT namespace, key, expiration, metadata, value FROM kv_from_luat ORDER BY namespace, key",
    "DROP TABLE kv_from_luat",
];

/// For a table that stays as it is. A column that is added cannot be given by chance, so a trigger does it. A row that is
/// too long to be written has no version.
const ADD_VERSION: [&str; 3] = [
    "ALTER TABLE kv ADD COLUMN version BLOB",
    concat!("UPDATE kv SET version = randomblob(12) WHERE NOT ", is_too_long!()),
    TRIGGER,
];

/// Whether there is a row that cannot be copied.
const HAS_TOO_LONG: &str = concat!("SELECT EXISTS (SELECT 1 FROM main.kv WHERE ", is_too_long!(), ")");

/// For rows that Luat's statements insert, in its own connections. Ours gives each row its version, and runs no trigger.
const TRIGGER: &str = "CREATE TRIGGER kv_version AFTER INSERT ON kv WHEN NEW.version IS NULL BEGIN
         UPDATE kv SET version = randomblob(12) WHERE namespace = NEW.namespace AND key = NEW.key;
     END";

/// Stands before a table without versions in a store that may not add them.
const VIEW: &str = "CREATE TEMP VIEW kv AS SELECT namespace, key, expiration, metadata, value,
    luat_kv_version(value, metadata, expiration) AS version FROM main.kv";

/// Refuses a file that is not one of ours, before anything is changed about it. Returns why it may only be read, if so.
pub(super) fn recognize(connection: &Connection) -> Result<Option<String>> {
    look(connection).map(|found| found.objection)
}

/// The same while a store is open: by now there is a table, unless another program has removed it.
pub(super) fn recognize_now(connection: &Connection) -> Result<Option<String>> {
    let query =
        "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type IN ('table', 'view') AND lower(name) = 'kv')";
    match connection.query_row(query, (), |row| row.get(0))? {
        true => layout::find(connection).map(|found| found.objection),
        false => Err(Error::new(Code::Corrupt, "another program removed or renamed its table kv while it was open")),
    }
}

/// Whose fault it is when SQLite can make no sense of a statement: the file's, which another program or damage may have
/// changed so that none of ours fits any more, or else ours.
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

/// The layout as it is at one moment, whoever is changing it.
fn look(connection: &Connection) -> Result<Found> {
    layout::find(&*connection.unchecked_transaction()?)
}

/// Makes the table, or gives it what the statements need: all or nothing, whatever other processes do meanwhile. Returns
/// why it may only be read, if so.
pub(super) fn prepare(connection: &mut Connection, readonly: bool) -> Result<Option<String>> {
    let Found { layout, objection } = look(connection)?;
    match layout {
        Layout::Missing if readonly => {
            return Err(Error::new(Code::Corrupt, "it has no table kv, and is opened for reading only"));
        }
        Layout::Ours | Layout::Compatible { versioned: true, indexed: true } => return Ok(objection),
        Layout::Compatible { versioned: true, .. } if readonly || objection.is_some() => return Ok(objection),
        _ if readonly || objection.is_some() => return look_on(connection).map(|()| objection),
        _ => {}
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    let Found { mut layout, objection } = layout::find(&transaction)?;
    if objection.is_some() {
        drop(transaction);
        return prepare(connection, true);
    }
    if layout != Layout::Missing && layout != Layout::Ours {
        // What follows goes through all pages, and frees some: of a damaged file those of other tables, too.
        check(&transaction)?;
    }
    if layout == Layout::Luat && transaction.query_row(HAS_TOO_LONG, (), |row| row.get(0))? {
        layout = AS_IT_IS;
    }
    convert(&transaction, layout).map_err(|error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => {
            Error::new(Code::Corrupt, format!("the file is damaged: its table kv breaks its own rules ({error})"))
        }
        _ => error.into(),
    })?;
    transaction.commit()?;
    Ok(None)
}

/// The layout that Luat's table keeps where it cannot be made into ours.
const AS_IT_IS: Layout = Layout::Compatible { versioned: false, indexed: false };

fn convert(connection: &Connection, layout: Layout) -> rusqlite::Result<()> {
    match layout {
        Layout::Missing => connection.execute_batch(CREATE)?,
        Layout::Luat => {
            connection.execute_batch("SAVEPOINT luat")?;
            match connection.execute_batch(&CLUSTER.join(";")) {
                // To rename a table SQLite reads the indexes of all others.
                Err(error) if is_beyond_sqlite(&error) => {
                    connection.execute_batch("ROLLBACK TO luat; RELEASE luat")?;
                    return convert(connection, AS_IT_IS);
                }
                done => done?,
            }
            connection.execute_batch("RELEASE luat")?;
        }
        Layout::Compatible { versioned: false, .. } => connection.execute_batch(&ADD_VERSION.join(";"))?,
        Layout::Ours | Layout::Compatible { .. } => {}
    }
    match layout {
        Layout::Ours => Ok(()),
        _ => connection.execute_batch(&INDEX.replacen("INDEX", "INDEX IF NOT EXISTS", 1)),
    }
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
        let others = [GET, GET_VALUE, HAS, VERSION, COUNT, TOUCH, DELETE, DELETE_EXPIRED, SWEEP, MEASURE, REMOVE];
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
                connection
                    .query_row("SELECT count(*) FROM sqlite_schema WHERE sql LIKE '%INDEX%'", (), |row| row.get(0)),
                Ok(0)
            );
        }
    }
}
