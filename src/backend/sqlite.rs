//! The back end on disk: one SQLite file, one connection a store.
//!
//! What SQLite is asked stands in `schema`; whose connection it is (after a fork, after a close) in `link`; what this
//! process has open in `registry` and `descriptors`; where the file may lie in `location`, how it is made in `create`, and
//! whether it is still at its path in `opened`; who may write it in `access` and `takeover`; how SQLite reaches the system
//! in `vfs`, and what the system said when it failed in `reason`; what is done to the file as a whole in `file`; what
//! happens after a commit that failed in `failed_commit`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{CachedStatement, Connection, Row, TransactionBehavior};

use self::link::{Link, Session};
use self::schema::Steps;
use super::{
    Backend, Body, Each, Extent, Listed, Now, PAGE_BYTES, Put, Range, Removed, Rows, SWEEP_PER_WRITE, Step, Walk, Want,
    copy, copy_text, push,
};
use crate::error::{Code, Error, Result, quoted};
use crate::hooks;
use crate::types::{Entry, KeyInfo, NamespaceStats, OpenOptions};
use crate::version::Version;

mod access;
mod create;
#[cfg(unix)]
pub(crate) mod descriptors;
mod failed_commit;
mod file;
mod link;
mod location;
mod opened;
mod reason;
mod registry;
mod schema;
mod takeover;
mod vfs;

#[cfg(unix)]
pub(crate) use registry::Registry;
/// Elsewhere nobody forks, and an open file can be neither removed nor replaced.
#[cfg(not(unix))]
mod descriptors {
    pub(super) enum Descriptor {}

    pub(super) fn fill_standard() {}

    pub(super) fn install() {}

    pub(super) fn expect() {}

    pub(super) fn opened() -> Option<super::registry::FileId> {
        None
    }

    pub(super) fn without_a_name(_: super::registry::FileId) -> Option<&'static str> {
        None
    }

    pub(super) fn detach(_: &rusqlite::Connection) {}
}

pub(crate) use registry::{FileId, is_taken};

/// How far the opening of a file has got when it is [checked](Check).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing has been made or opened.
    Begun,
    /// The folders are there. The file may be missing, and is made next.
    FoldersMade,
    /// This file was opened. Nothing has been read from it or stored in it.
    Opened(FileId),
}

/// Where the caller decides whether the path leads to a place that is trusted. An error ends the opening.
pub(crate) type Check<'a> = &'a dyn Fn(Stage) -> Result<()>;

pub(crate) struct Sqlite(Arc<Link>);

impl Sqlite {
    /// `waited` is the part of the busy timeout that is over. An error that is passing is to be tried again.
    pub(crate) fn open(path: &Path, options: &OpenOptions, check: Check<'_>, waited: Duration) -> Result<Self> {
        Link::open(path, options, check, waited).map(Sqlite)
    }

    /// The database file, as an absolute path.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Backend for Sqlite {
    fn get(&self, namespace: &str, key: &str, want: Want, now: i64, entry: &mut Entry) -> Result<bool> {
        self.0.with(|session| get(&session.connection, namespace, key, want, now, entry))
    }

    fn get_many(&self, namespace: &str, keys: &[&str], now: i64) -> Result<Vec<KeyInfo>> {
        self.0.with(|session| {
            let snapshot = session.connection.transaction()?;
            let (mut found, mut entry) = (Vec::new(), Entry::default());
            for key in keys {
                session.guard.steps.restart();
                if get(&snapshot, namespace, key, Want::Entry, now, &mut entry)? {
                    let Entry { value, metadata, expiration, version } = std::mem::take(&mut entry);
                    let (name, value) = ((*key).to_owned(), Some(value));
                    push(&mut found, KeyInfo { name, metadata, expiration, version, value })?;
                }
            }
            Ok(found)
        })
    }

    fn list(&self, range: Range<'_>, walk: Walk, now: i64) -> Result<Listed> {
        self.0.with(|session| {
            let mut query = session.connection.prepare_cached(schema::list(walk.reverse, walk.values))?;
            // One more than asked for tells whether anything live is left.
            let limit = walk.limit as i64 + 1;
            let mut rows = query.query((range.namespace, range.from, below(&range), now, limit))?;
            let (mut found, mut bytes) = (Listed::default(), 0);
            while let Some(row) = rows.next()? {
                found.more = found.keys.len() == walk.limit || bytes >= PAGE_BYTES;
                if found.more {
                    break;
                }
                let key = key_info(row, walk.values)?;
                if let Some(last) = found.keys.last() {
                    let (before, after) = if walk.reverse { (&key, last) } else { (last, &key) };
                    in_order(&before.name, &after.name)?;
                }
                let described = key.name.len() + key.metadata.as_ref().map_or(0, String::len);
                bytes += key.value.as_ref().map_or(0, Vec::len) + described.saturating_sub(USUAL);
                push(&mut found.keys, key)?;
            }
            Ok(found)
        })
    }

    fn count(&self, range: Range<'_>, now: i64) -> Result<u64> {
        self.0.with(|session| {
            let mut query = session.connection.prepare_cached(schema::COUNT)?;
            Ok(query.query_row((range.namespace, range.from, below(&range), now), |row| row.get(0))?)
        })
    }

    /// On a connection of its own, so that this store's other calls go on meanwhile.
    fn scan(&self, namespace: &str, now: i64, each: &mut Each<'_>) -> Result<()> {
        self.0.with_another(|session| {
            let range = Range { namespace, from: "", below: None };
            let mut query = session.connection.prepare(schema::list(false, true))?;
            let mut rows = query.query((namespace, "", below(&range), now, -1))?;
            let mut last: Option<String> = None;
            while let Some(row) = rows.next()? {
                let key = key_info(row, true)?;
                last.map_or(Ok(()), |last| in_order(&last, &key.name))?;
                each(&key)?;
                last = Some(key.name);
            }
            Ok(())
        })
    }

    fn write(&self, clock: Now<'_>, extent: Extent, body: &mut Body<'_>) -> Result<Option<Version>> {
        self.0.with_writable(|session| {
            let (version, now) = (session.versions.next(), clock());
            // One statement is a transaction of its own, and much the cheapest one.
            let sweeps = session.may_sweep(now);
            if extent == Extent::OneChange && !sweeps {
                let done = body(&mut Change::new(&session.connection, &session.guard.steps, now, version));
                return Ok(done.map_err(|failed| session.take_back(failed))?.then_some(version));
            }
            let transaction = session.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let now = clock();
            if sweeps {
                session.guard.look_again(&transaction)?;
            }
            if !body(&mut Change::new(&transaction, &session.guard.steps, now, version))? {
                return Ok(None);
            }
            let swept = if sweeps { sweep(&transaction, SWEEP_PER_WRITE, now)? } else { 0 };
            transaction.commit().map_err(|failed| session.take_back(failed.into()))?;
            if sweeps {
                session.swept(now, swept == SWEEP_PER_WRITE);
            }
            Ok(Some(version))
        })
    }

    fn sweep(&self, max: u64, now: i64) -> Result<u64> {
        self.0.with_writable(|session| sweep(&session.connection, max, now))
    }

    fn pause(&self) {
        // SQLite's waiters are not woken; they look again after 1, 2, 5, 10, … milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(8));
    }

    fn namespaces(&self, now: i64) -> Result<Vec<String>> {
        self.0.with(|session| {
            let mut query = session.connection.prepare_cached(schema::NAMESPACES)?;
            let (mut rows, mut names) = (query.query((now,))?, Vec::<String>::new());
            while let Some(row) = rows.next()? {
                let name = namespace_after(names.last().map(String::as_str), row)?;
                push(&mut names, name)?;
            }
            Ok(names)
        })
    }

    fn stats(&self, now: i64) -> Result<Vec<NamespaceStats>> {
        self.0.with(|session| {
            let mut query = session.connection.prepare_cached(schema::STATS)?;
            let (mut rows, mut stats) = (query.query((now,))?, Vec::<NamespaceStats>::new());
            while let Some(row) = rows.next()? {
                let name = namespace_after(stats.last().map(|stats| &*stats.name), row)?;
                push(&mut stats, NamespaceStats { name, live: row.get(1)?, expired: row.get(2)? })?;
            }
            Ok(stats)
        })
    }

    fn file_size(&self) -> Result<u64> {
        file::size(&self.0)
    }

    fn compact(&self) -> Result<()> {
        file::compact(&self.0)
    }

    fn checkpoint(&self) -> Result<()> {
        self.0.with_writable(|session| file::checkpoint(&session.connection))
    }

    fn backup(&self, to: &Path) -> Result<()> {
        file::backup(&self.0, to)
    }

    fn close(&self) -> Result<()> {
        self.0.close()
    }
}

/// A write under way, within a transaction or as the only statement of its own.
struct Change<'a> {
    connection: &'a Connection,
    steps: &'a Steps,
    now: i64,
    version: Version,
    putting: Option<Putting<'a>>,
}

/// The statement that most changes of a large batch are: not looked up for each, and with what they have in common
/// bound to it, which is its version and the namespace.
struct Putting<'a> {
    statement: CachedStatement<'a>,
    namespace: String,
}

impl<'a> Change<'a> {
    fn new(connection: &'a Connection, steps: &'a Steps, now: i64, version: Version) -> Self {
        Change { connection, steps, now, version, putting: None }
    }
}

impl Rows for Change<'_> {
    fn now(&self) -> i64 {
        self.now
    }

    fn get(&mut self, namespace: &str, key: &str, entry: &mut Entry) -> Result<bool> {
        self.steps.restart();
        get(self.connection, namespace, key, Want::Entry, self.now, entry)
    }

    fn version(&mut self, namespace: &str, key: &str) -> Result<Option<Version>> {
        self.steps.restart();
        let mut query = self.connection.prepare_cached(schema::VERSION)?;
        let mut rows = query.query((namespace, key, self.now))?;
        rows.next()?.map(|row| version(row, 0)).transpose()
    }

    fn put(&mut self, namespace: &str, put: Put<'_>) -> Result<()> {
        self.steps.restart();
        let putting = match &mut self.putting {
            Some(putting) if putting.namespace == namespace => putting,
            putting => {
                // The one before goes back to the cache first.
                *putting = None;
                let mut statement = self.connection.prepare_cached(schema::PUT)?;
                statement.raw_bind_parameter(1, namespace)?;
                statement.raw_bind_parameter(2, self.version.as_bytes())?;
                putting.insert(Putting { statement, namespace: namespace.to_owned() })
            }
        };
        let statement = &mut putting.statement;
        statement.raw_bind_parameter(3, put.key)?;
        statement.raw_bind_parameter(4, put.value)?;
        statement.raw_bind_parameter(5, put.metadata)?;
        statement.raw_bind_parameter(6, put.expiration)?;
        hooks::panic_on(put.key);
        statement.raw_execute()?;
        Ok(())
    }

    fn touch(&mut self, namespace: &str, key: &str, expiration: Option<i64>) -> Result<bool> {
        self.steps.restart();
        let row = (namespace, key, expiration, self.version.as_bytes(), self.now);
        Ok(self.connection.prepare_cached(schema::TOUCH)?.execute(row)? > 0)
    }

    fn delete(&mut self, namespace: &str, key: &str) -> Result<()> {
        self.steps.restart();
        self.connection.prepare_cached(schema::DELETE)?.execute((namespace, key))?;
        Ok(())
    }

    fn remove(&mut self, range: Range<'_>, step: Step) -> Result<Removed> {
        self.steps.restart();
        let mut query = self.connection.prepare_cached(schema::MEASURE)?;
        let (mut removed, mut bytes) = (Removed::default(), 0);
        {
            let mut rows = query.query((range.namespace, range.from, below(&range), self.now, step.rows as i64))?;
            while bytes < step.bytes
                && let Some(row) = rows.next()?
            {
                bytes += row.get::<_, u64>(1)?;
                removed.live += u64::from(row.get::<_, bool>(2)?);
                removed.rows += 1;
                removed.last = text(row, 0, LONGEST_NAME)?;
            }
        }
        if let Some(last) = &removed.last {
            self.connection.prepare_cached(schema::REMOVE)?.execute((range.namespace, range.from, last))?;
        }
        Ok(removed)
    }
}

fn get(connection: &Connection, namespace: &str, key: &str, want: Want, now: i64, entry: &mut Entry) -> Result<bool> {
    let mut query = connection.prepare_cached(if want == Want::Value { schema::GET_VALUE } else { schema::GET })?;
    let mut rows = query.query((namespace, key, now))?;
    let row = rows.next().map_err(|error| match Error::from(error) {
        error if error.code() == Code::Limit => of_row(error, key.as_bytes()),
        error => error,
    })?;
    hooks::panic_on(key);
    let Some(row) = row else { return Ok(false) };
    read_value(row.get_ref(0)?, &mut entry.value)?;
    if want == Want::Entry {
        (entry.metadata, entry.expiration, entry.version) =
            described(row, 1).map_err(|error| of_row(error, key.as_bytes()))?;
    }
    Ok(true)
}

fn sweep(connection: &Connection, max: u64, now: i64) -> Result<u64> {
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    Ok(connection.prepare_cached(schema::SWEEP)?.execute((now, max))? as u64)
}

impl Session {
    fn take_back(&mut self, failed: Error) -> Error {
        failed_commit::take_back(&mut self.connection, self.busy_timeout, failed)
    }

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

/// The end of a range, for a comparison: SQLite sorts any blob after every text.
fn below<'a>(range: &Range<'a>) -> ToSqlOutput<'a> {
    range.below.map_or(ToSqlOutput::Owned(Value::Blob(Vec::new())), |below| ToSqlOutput::Borrowed(below.into()))
}

/// A row of [`schema::list`].
fn key_info(row: &Row<'_>, values: bool) -> Result<KeyInfo> {
    let key = row.get_ref(0)?.as_bytes_or_null().map_err(rusqlite::Error::from)?.unwrap_or_default();
    let name = text(row, 0, LONGEST_NAME).map_err(|error| of_row(error, key))?.unwrap_or_default();
    let (metadata, expiration, version) = described(row, 1).map_err(|error| of_row(error, key))?;
    let mut value = None;
    if values {
        read_value(row.get_ref(4)?, value.insert(Vec::new()))?;
    }
    Ok(KeyInfo { name, metadata, expiration, version, value })
}

/// What is wrong with a row, and which one it is. A key that is too long for a message, or for memory, is cut.
fn of_row(error: Error, key: &[u8]) -> Error {
    /// More than a message shows.
    const SHOWN: usize = 1024;
    error.while_doing(format_args!("key {}", quoted(&String::from_utf8_lossy(&key[..key.len().min(SHOWN)]))))
}

/// No two keys are the same. Where they are not in order, pages lead back to one another.
fn in_order(before: &str, after: &str) -> Result<()> {
    match before < after {
        true => Ok(()),
        false => {
            Err(of_row(Error::new(Code::Corrupt, "the file is damaged: its keys are not in order"), after.as_bytes()))
        }
    }
}

/// The name that a row begins with. It sorts after the one before it, but where pages lead back to one another.
fn namespace_after(last: Option<&str>, row: &Row<'_>) -> Result<String> {
    let stored = row.get_ref(0)?.as_bytes_or_null().map_err(rusqlite::Error::from)?.unwrap_or_default();
    let of_name = |error: Error| {
        let shown = String::from_utf8_lossy(&stored[..stored.len().min(1024)]);
        error.while_doing(format_args!("namespace {}", quoted(&shown)))
    };
    if last.is_some_and(|last| last.as_bytes() >= stored) {
        return Err(of_name(Error::new(Code::Corrupt, "the file is damaged: its namespaces are not in order")));
    }
    Ok(text(row, 0, LONGEST_NAME).map_err(of_name)?.unwrap_or_default())
}

/// A row's metadata, expiration and version, from this column on. Other programs' rows may have an empty text for no
/// metadata, and end within a second: they are gone when it is over, as the queries see it.
fn described(row: &Row<'_>, first: usize) -> Result<(Option<String>, Option<i64>, Version)> {
    let metadata = text(row, first, LONGEST_METADATA)?.filter(|metadata| !metadata.is_empty());
    let expiration = match row.get_ref(first + 1)? {
        ValueRef::Real(real) => Some(real.ceil() as i64),
        _ => row.get(first + 1)?,
    };
    Ok((metadata, expiration, version(row, first + 2)?))
}

/// Another program's row may have none, if it was too long to be given one.
fn version(row: &Row<'_>, column: usize) -> Result<Version> {
    if row.get_ref(column)? == ValueRef::Null {
        return Ok(Version::default());
    }
    row.get(column).map(Version::from_bytes).map_err(Error::from)
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
    copy(bytes, value)
}

/// The longest key or namespace that is read. Limits hold for what is written; but what is read is copied more than once
/// on its way, and a file may hold anything.
const LONGEST_NAME: usize = 1024 * 1024;

/// The same for metadata.
const LONGEST_METADATA: usize = 16 * 1024 * 1024;

/// What is longer than this library writes makes a page full, as values do.
const USUAL: usize = 128 * 1024;

/// A text, which is measured before it is copied.
fn text(row: &Row<'_>, column: usize, longest: usize) -> Result<Option<String>> {
    let stored = row.get_ref(column)?;
    if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = stored
        && bytes.len() > longest
    {
        let len = bytes.len();
        return Err(Error::new(Code::Corrupt, format!("it has a text of {len} bytes; at most {longest} are read")));
    }
    stored.as_str_or_null().map_err(rusqlite::Error::from)?.map(copy_text).transpose()
}
