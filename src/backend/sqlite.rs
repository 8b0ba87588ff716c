//! The back end on disk: SQLite files.
//!
//! | module | content |
//! | --- | --- |
//! | `databases`, `database`, `pool`, `connection` | open databases, one for each file; their connections |
//! | `schema`, `prepared` | the SQL; the statements that stay prepared |
//! | `cache`, `wal_index`, `own_commits` | rows that reads need not ask SQLite for; how they stay those of the file |
//! | `autocheckpoint` | when a commit moves the log into the file |
//! | `commits`, `slice` | waiting for the commit of another process; sharing a file with those that wait |
//! | `watching` | what watches compare, and how they wait |
//! | `writes`, `group` | carrying out writes, alone or several threads' in one transaction |
//! | `rows`, `transaction`, `failed_commit` | reading a row; applying a write; recovery from a commit that failed |
//! | `file`, `draft`, `folder` | operations on the whole file; files named when complete; folder syncs |
//! | `location`, `create`, `opened` | where a file may be; how it is created; whether it is still at its path |
//! | `registry`, `other_copies`, `descriptors`, `fork` | open files, here and in other copies of SQLite; forks |
//! | `access`, `takeover` | who may read and write the file; a log that another user left |
//! | `vfs`, `log_file`, `read_mark`, `reason` | how SQLite calls the system; what it reported when a call failed |

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::types::ToSqlOutput;

use self::cache::Adding;
use self::connection::Connection;
use self::database::{Caller, Database};
use self::rows::{USUAL, below, get, in_order, list, listed, namespace_after, of_long_row_after};
use super::{
    Backend, Each, Entries, Import, Outcome, PAGE_BYTES, Peek, Peeked, Projection, Range, Removed, Scan, ScanPage,
    Step, Write, push,
};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::types::{CacheStats, Durability, Entry, NamespaceStats, OpenOptions};

mod access;
mod autocheckpoint;
mod cache;
mod commits;
mod connection;
mod create;
mod database;
mod databases;
#[cfg(unix)]
mod descriptors;
mod draft;
#[cfg(target_os = "linux")]
mod early_writeback;
mod failed_commit;
mod file;
mod folder;
#[cfg(unix)]
pub(crate) mod fork;
mod group;
#[cfg(unix)]
mod header_page;
mod location;
mod log_file;
#[cfg(not(unix))]
mod not_unix;
mod opened;
mod other_copies;
mod overwriting;
mod own_commits;
mod pool;
mod prepared;
mod read_mark;
mod reason;
mod registry;
mod rows;
mod schema;
mod slice;
#[cfg(unix)]
mod takeover;
mod transaction;
mod vfs;
mod wal_index;
mod watching;
mod writes;

#[cfg(not(unix))]
use not_unix::{descriptors, fork, takeover};

pub(crate) use cache::Prepared;
pub(crate) use draft::Draft;
pub use draft::remove_drafts;
pub(crate) use registry::FileId;

/// Whether this is a file of a database, or one beside it, that this process has open or will open again. The path is
/// canonical. The caller is within a call.
pub(crate) fn is_taken(path: &Path) -> bool {
    databases::is_held(path) || registry::is_taken(path)
}

/// How far the opening of a file has got when it is [checked](Check).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing has been made or opened.
    Begun,
    /// The folders exist. The file may be missing, and is created next.
    FoldersMade,
    /// This file was opened. Nothing has been read from it or stored in it.
    Opened(FileId),
}

/// Lets the caller decide whether the path leads to a trusted place. An error ends the opening.
pub(crate) type Check<'a> = &'a dyn Fn(Stage) -> Result<()>;

/// The state of one store: its database and its options.
pub(crate) struct Sqlite {
    database: Arc<Database>,
    caller: Caller,
    closed: AtomicBool,
}

impl Sqlite {
    /// `waited` is the part of the busy timeout that is over. The caller retries an error that is passing.
    pub(crate) fn open(path: &Path, options: &OpenOptions, check: Check<'_>, waited: Duration) -> Result<Self> {
        databases::discard_inherited();
        // What it needs is made once in a process: here, since no fork happens meanwhile.
        Prepared::of("");
        if path.as_os_str().is_empty() {
            return Err(Error::invalid("the path is empty"));
        }
        let named = |error: Error| error.while_doing(format_args!("opening {}", path.display()));
        // SQLite counts milliseconds in an int.
        let busy_timeout = options.busy_timeout.min(Duration::from_millis(i32::MAX as u64));
        let OpenOptions { readonly, durability, cache_size, .. } = *options;
        check_memory("cache_size", cache_size)?;
        let caller = Caller { readonly, durability, busy_timeout, cache_size };
        let absolute = location::checked(path).map_err(named)?;
        let database = databases::open(absolute, caller, options.create, check, waited).map_err(named)?;
        Ok(Sqlite { database, caller, closed: AtomicBool::new(false) })
    }

    /// The absolute path of the database file.
    pub(crate) fn path(&self) -> &Path {
        self.database.path()
    }

    /// Returns the database, ready for use.
    fn database(&self) -> Result<&Database> {
        databases::discard_inherited();
        if self.closed.load(Ordering::Acquire) { Err(Error::closed()) } else { Ok(&self.database) }
    }

    fn read_long<T>(&self, act: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        self.database()?.read(&self.caller, true, act)
    }

    fn read_apart<T>(&self, act: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.database()?.read_apart(&self.caller, act)
    }

    fn change<T>(&self, act: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        self.database()?.write(&self.caller, false, act)
    }

    fn remove_some(&self, range: Range<'_>, step: Step, clock: &Clock, expired_only: bool) -> Result<Removed> {
        self.change(|connection| {
            let removed = connection.change(clock, false, |change| {
                let removed = change.remove(range, step, expired_only)?;
                Ok(removed.last.is_some().then_some(removed))
            })?;
            Ok(removed.unwrap_or_default())
        })
    }

    fn change_long<T>(&self, act: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        self.database()?.write(&self.caller, true, act)
    }
}

/// More instructions of SQLite's virtual machine than a list takes for a row.
const INSTRUCTIONS: usize = 32;

/// A list that has taken as many instructions more as for this number of rows has passed some thousands of expired
/// ones, which takes about a millisecond.
const PASSED: usize = 1000;

/// Refuses a number of bytes that is more than the machine's memory.
fn check_memory(what: &str, bytes: u64) -> Result<()> {
    match memory() {
        Some(memory) if bytes > memory => Err(Error::invalid(format!(
            "{what} is {bytes} bytes, more than the memory of this machine, which is {memory} bytes"
        ))),
        _ => Ok(()),
    }
}

/// The size of the machine's memory in bytes.
#[cfg(unix)]
fn memory() -> Option<u64> {
    // SAFETY: it only reads numbers of the system.
    let (pages, size) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    u64::try_from(pages).ok()?.checked_mul(u64::try_from(size).ok()?)
}

#[cfg(not(unix))]
fn memory() -> Option<u64> {
    Some(isize::MAX as u64)
}

impl Backend for Sqlite {
    fn get(&self, namespace: &str, key: &str, projection: Projection, now: i64, entry: &mut Entry) -> Result<bool> {
        let database = self.database()?;
        let size = self.caller.cache_size;
        if size > 0 {
            database.look(false)?;
            if let Some(found) = database.cache.get(namespace, key, projection, now, entry) {
                return found;
            }
        }
        let adds = size > 0 && database.cache.missed(namespace, key, size);
        database.read(&self.caller, false, |connection| {
            let adding = adds.then(|| Adding::begin(&database.cache, connection.index, size)).flatten();
            let found = get(&connection.sqlite, namespace, key, projection, now, entry)?;
            adding.iter().for_each(|adding| adding.end(namespace, key, found, projection, entry));
            Ok(found.is_live())
        })
    }

    fn peek(&self, peek: &mut Peek<'_>) -> Option<Peeked> {
        // This runs outside of the gates, so it must not discard inherited connections. The `get` that follows does.
        if self.caller.cache_size == 0 || fork::has_inherited() || self.closed.load(Ordering::Acquire) {
            return None;
        }
        let (now, second) = peek.clock.now_and_system();
        if self.database.is_seen(second) { self.database.cache.peek(peek, now) } else { None }
    }

    fn get_many(&self, namespace: &str, keys: &[&str], now: i64) -> Result<Vec<Entry>> {
        let database = self.database()?;
        let size = self.caller.cache_size;
        if size > 0 {
            database.look(false)?;
            if let Some(found) = database.cache.get_many(namespace, keys, now) {
                return found;
            }
        }
        database.read(&self.caller, true, |connection| {
            let adding = Adding::begin(&database.cache, connection.index, size);
            let cache = &database.cache;
            let _snapshot = connection.sqlite.unchecked_transaction()?;
            let (mut found, mut entry) = (Vec::new(), Entry::default());
            for key in keys {
                connection.guard.steps.restart();
                let row = get(&connection.sqlite, namespace, key, Projection::Entry, now, &mut entry)?;
                if let Some(adding) = &adding
                    && cache.missed(namespace, key, size)
                {
                    adding.end(namespace, key, row, Projection::Entry, &entry);
                }
                if row.is_live() {
                    entry.key = (*key).to_owned();
                    push(&mut found, std::mem::take(&mut entry))?;
                }
            }
            Ok(found)
        })
    }

    fn list(&self, range: Range<'_>, scan: Scan, now: i64, entries: &mut dyn Entries) -> Result<ScanPage> {
        self.read_long(|connection| {
            // One more than asked for shows whether live keys are left.
            let limit = scan.limit as i64 + 1;
            let mut rows = list(&connection.sqlite, &range, [scan.reverse, scan.values], now, limit)?;
            let (mut found, mut bytes, mut number) = (ScanPage::default(), 0, Vec::new());
            loop {
                let of_row = |error| {
                    let last = entries.last_key().and_then(|last| std::str::from_utf8(last).ok());
                    of_long_row_after(&connection.sqlite, error, &range, scan.reverse, last, now)
                };
                if !rows.step().map_err(of_row)? {
                    break;
                }
                found.more = entries.len() == scan.limit || bytes >= PAGE_BYTES;
                if found.more {
                    break;
                }
                let entry = listed(&rows, scan.values, &mut number)?;
                if let Some(last) = entries.last_key() {
                    let key = entry.key.as_bytes();
                    let (before, after) = if scan.reverse { (key, last) } else { (last, key) };
                    in_order(before, after)?;
                }
                let described = entry.key.len() + entry.metadata.map_or(0, str::len);
                bytes += entry.value.unwrap_or_default().len() + described.saturating_sub(USUAL);
                entries.add(entry)?;
            }
            found.passed_expired = rows.instructions() as usize > INSTRUCTIONS * (entries.len() + PASSED);
            Ok(found)
        })
    }

    fn count(&self, range: Range<'_>, now: i64) -> Result<u64> {
        self.read_long(|connection| {
            let mut query = connection.sqlite.prepare_cached(schema::COUNT)?;
            Ok(query.query_row((range.namespace, range.from, ToSqlOutput::Borrowed(below(&range)), now), |row| {
                row.get(0)
            })?)
        })
    }

    /// Uses a connection of its own, since the caller's `each` may take any time.
    fn scan(&self, namespace: &str, now: i64, each: &mut Each<'_>) -> Result<()> {
        self.read_apart(|connection| {
            let range = Range { namespace, from: "", below: None };
            let mut rows = list(&connection.sqlite, &range, [false, true], now, -1)?;
            let (mut last, mut number): (Option<String>, _) = (None, Vec::new());
            while rows
                .step()
                .map_err(|error| of_long_row_after(&connection.sqlite, error, &range, false, last.as_deref(), now))?
            {
                let mut found = Vec::new();
                found.add(listed(&rows, true, &mut number)?)?;
                let Some(entry) = found.pop() else { break };
                last.map_or(Ok(()), |last| in_order(last.as_bytes(), entry.key.as_bytes()))?;
                each(&entry)?;
                last = Some(entry.key);
            }
            Ok(())
        })
    }

    fn write(&self, write: &mut Write<'_, '_>) -> Result<Outcome> {
        let (database, caller) = (self.database()?, &self.caller);
        // Without a sync, a commit takes less time than it takes to wake another thread.
        if caller.readonly || caller.durability == Durability::Normal {
            return database.write(caller, false, |connection| writes::alone(&database.cache, connection, write));
        }
        database.group.run(write, |job| database.write(caller, false, |connection| database.carry_out(connection, job)))
    }

    fn begin_import(&self) -> Result<Option<PathBuf>> {
        self.change(|_| Ok(()))?;
        Ok(Some(self.path().parent().unwrap_or(Path::new("/")).to_owned()))
    }

    fn import(&self, clock: &Clock, import: &mut Import<'_>) -> Result<()> {
        self.change_long(|connection| connection.change(clock, false, |change| import(change).map(Some)).map(|_| ()))
    }

    fn remove(&self, range: Range<'_>, step: Step, clock: &Clock) -> Result<Removed> {
        self.remove_some(range, step, clock, false)
    }

    fn remove_expired(&self, range: Range<'_>, step: Step, clock: &Clock) -> Result<Removed> {
        self.remove_some(range, step, clock, true)
    }

    fn sweep(&self, max: u64, now: i64) -> Result<u64> {
        self.change(|connection| connection.sweep(max, now))
    }

    fn pause(&self) {
        commits::give_way();
    }

    fn wait(&self, step: Duration, left: Duration) -> bool {
        commits::wait(step, left)
    }

    fn end_waits(&self) {
        commits::end_call();
    }

    fn namespaces(&self, now: i64) -> Result<Vec<String>> {
        self.read_long(|connection| {
            let mut query = connection.sqlite.prepare_cached(schema::NAMESPACES)?;
            let (mut rows, mut names) = (query.query((now,))?, Vec::<String>::new());
            while let Some(row) = rows.next()? {
                let name = namespace_after(names.last().map(String::as_str), row)?;
                push(&mut names, name)?;
            }
            Ok(names)
        })
    }

    fn stats(&self, now: i64) -> Result<Vec<NamespaceStats>> {
        self.read_long(|connection| {
            let _snapshot = connection.sqlite.unchecked_transaction()?;
            let mut query = connection.sqlite.prepare_cached(schema::COUNT_ROWS)?;
            let (mut rows, mut stats) = (query.query(())?, Vec::<NamespaceStats>::new());
            while let Some(row) = rows.next()? {
                let name = namespace_after(stats.last().map(|stats| &*stats.name), row)?;
                push(&mut stats, NamespaceStats { name, live: row.get(1)?, expired: 0 })?;
            }
            connection.guard.steps.restart();
            let mut query = connection.sqlite.prepare_cached(schema::EXPIRED)?;
            let mut rows = query.query((now,))?;
            while let Some(row) = rows.next()? {
                let name = row.get_ref(0)?.as_bytes_or_null().map_err(rusqlite::Error::from)?.unwrap_or_default();
                // A name is missing only in a damaged file, or is NULL in another program's table.
                if let Ok(at) = stats.binary_search_by(|stats| stats.name.as_bytes().cmp(name)) {
                    stats[at].live = stats[at].live.saturating_sub(1);
                    stats[at].expired += 1;
                }
            }
            Ok(stats)
        })
    }

    fn cache(&self) -> CacheStats {
        self.database.cache.stats()
    }

    fn file_size(&self) -> Result<u64> {
        file::size(self.database()?)
    }

    fn compact(&self) -> Result<()> {
        let mut room = 0;
        let compacted = self.change_long(|connection| file::compact(connection, &mut room));
        compacted.map_err(|error| match error.code() {
            Code::Busy if !error.is_passing() => error, // `store` names the file
            _ => file::without_room(error, room).while_doing(format_args!("compacting {}", self.path().display())),
        })
    }

    fn checkpoint(&self) -> Result<()> {
        self.change(|connection| file::checkpoint(&connection.sqlite))
    }

    fn backup(&self, to: &Path) -> Result<()> {
        file::backup(to, |draft| self.read_apart(|connection| file::copy(&connection.sqlite, draft)))
    }

    fn close(&self) -> Result<()> {
        databases::discard_inherited();
        if self.closed.swap(true, Ordering::AcqRel) { Ok(()) } else { databases::release(&self.database) }
    }
}
