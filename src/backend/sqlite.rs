//! The back end on disk: one SQLite file, one connection a store.
//!
//! What SQLite is asked stands in `schema`; whose connection it is (after a fork, after a close) in `link`; who
//! else in this process may have the file open in `claim`.

use std::path::Path;
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, TransactionBehavior};

use self::link::{Link, Session};
use super::{Backend, Change, Range, SWEEP_PER_WRITE};
use crate::error::{Code, Error, Result};
use crate::types::{Entry, KeyInfo, OpenOptions};

mod claim;
mod link;
mod schema;

pub(crate) struct Sqlite(Arc<Link>);

impl Sqlite {
    pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Self> {
        Link::open(path, options).map(Sqlite)
    }

    /// The database file, as an absolute path.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Backend for Sqlite {
    fn get(&self, namespace: &str, key: &str, now: i64, entry: &mut Entry) -> Result<bool> {
        self.0.with(|session| {
            let mut query = session.connection.prepare_cached(schema::GET)?;
            let mut rows = query.query((namespace, key, now))?;
            let Some(row) = rows.next()? else { return Ok(false) };
            read_value(row.get_ref(0)?, &mut entry.value)?;
            entry.metadata = text(row, 1)?;
            entry.expiration = row.get(2)?;
            Ok(true)
        })
    }

    fn write(&self, namespace: &str, changes: &[Change<'_>], now: i64) -> Result<()> {
        self.0.with(|session| {
            // One statement is a transaction of its own, and much the cheapest one.
            if let ([change], false) = (changes, session.may_sweep(now)) {
                return apply(&session.connection, namespace, change);
            }
            let transaction = session.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for change in changes {
                apply(&transaction, namespace, change)?;
            }
            let swept = sweep(&transaction, SWEEP_PER_WRITE, now)?;
            transaction.commit()?;
            session.swept(now, swept == SWEEP_PER_WRITE);
            Ok(())
        })
    }

    fn list(&self, range: Range<'_>, limit: usize, now: i64) -> Result<Vec<KeyInfo>> {
        // SQLite sorts any blob after every text.
        let below = ToSqlOutput::Borrowed(range.below.map_or(ValueRef::Blob(&[]), ValueRef::from));
        self.0.with(|session| {
            let mut query = session.connection.prepare_cached(schema::LIST)?;
            let mut rows = query.query((range.namespace, range.from, below, now, limit as i64))?;
            let mut keys = Vec::new();
            while let Some(row) = rows.next()? {
                let name = text(row, 0)?.unwrap_or_default();
                keys.push(KeyInfo { name, metadata: text(row, 1)?, expiration: row.get(2)? });
            }
            Ok(keys)
        })
    }

    fn sweep(&self, max: u64, now: i64) -> Result<u64> {
        self.0.with(|session| sweep(&session.connection, max, now))
    }

    fn close(&self) -> Result<()> {
        self.0.close()
    }
}

fn apply(connection: &Connection, namespace: &str, change: &Change<'_>) -> Result<()> {
    match *change {
        Change::Put { key, value, metadata, expiration } => {
            connection.prepare_cached(schema::PUT)?.execute((namespace, key, value, metadata, expiration))?
        }
        Change::Delete { key } => connection.prepare_cached(schema::DELETE)?.execute((namespace, key))?,
    };
    Ok(())
}

fn sweep(connection: &Connection, max: u64, now: i64) -> Result<u64> {
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    Ok(connection.prepare_cached(schema::SWEEP)?.execute((now, max))? as u64)
}

impl Session {
    /// Rows end when a second begins, never within one, so one look in each second finds all that have; while a look
    /// fills its quota there is more, and each write takes its share.
    fn may_sweep(&self, now: i64) -> bool {
        self.more_to_sweep || self.last_look != Some(now)
    }

    fn swept(&mut self, now: i64, more: bool) {
        self.last_look = Some(now);
        self.more_to_sweep = more;
    }
}

/// A value's bytes. Ours are blobs; other programs that write into the table may leave texts and numbers there.
fn read_value(stored: ValueRef<'_>, value: &mut Vec<u8>) -> Result<()> {
    let number;
    let bytes = match stored {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => bytes,
        ValueRef::Null => &[],
        ValueRef::Integer(whole) => {
            number = whole.to_string();
            number.as_bytes()
        }
        ValueRef::Real(real) => {
            number = real.to_string();
            number.as_bytes()
        }
    };
    value.clear();
    value.try_reserve_exact(bytes.len()).map_err(|_| Error::no_memory(bytes.len()))?;
    value.extend_from_slice(bytes);
    Ok(())
}

fn text(row: &Row<'_>, column: usize) -> Result<Option<String>> {
    Ok(row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from)?.map(str::to_owned))
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::*;
        let code = match &error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                DatabaseBusy | DatabaseLocked => Code::Busy,
                DatabaseCorrupt | NotADatabase => Code::Corrupt,
                ReadOnly => Code::ReadOnly,
                OutOfMemory => Code::NoMem,
                CannotOpen
                | DiskFull
                | FileLockingProtocolFailed
                | NoLargeFileSupport
                | PermissionDenied
                | SystemIoFailure => Code::Io,
                TooBig => Code::Limit,
                _ => Code::Internal,
            },
            // A row that holds what no key, metadata or expiration can be.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..) => Code::Corrupt,
            _ => Code::Internal,
        };
        Error::new(code, error.to_string())
    }
}
