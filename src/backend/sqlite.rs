//! The back end on disk: one SQLite file, one connection a store.
//!
//! What SQLite is asked stands in `schema`; whose connection it is (after a fork, after a close) in `link`; what this
//! process has open in `registry` and `descriptors`; where the file may lie in `location`, how it is made in `create`, and
//! whether it is still at its path in `opened`; who may write it in `access` and `takeover`; how SQLite reaches the system
//! in `vfs`, and what the system said when it failed in `reason`; what is done to the file as a whole in `file`; what
//! a write does in `transaction`, and after a commit that failed in `failed_commit`; what is read of a row in `rows`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use self::link::Link;
use self::rows::{USUAL, below, get, in_order, key_info, namespace_after};
use self::transaction::sweep;
use super::{
    Backend, Each, Import, Outcome, PAGE_BYTES, Projection, Range, Removed, Scan, ScanPage, Step, Write, push,
};
use crate::clock::Clock;
use crate::error::Result;
use crate::types::{Entry, KeyInfo, NamespaceStats, OpenOptions};

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
mod rows;
mod schema;
mod takeover;
mod transaction;
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
    fn get(&self, namespace: &str, key: &str, projection: Projection, now: i64, entry: &mut Entry) -> Result<bool> {
        self.0.with(|session| get(&session.connection, namespace, key, projection, now, entry))
    }

    fn get_many(&self, namespace: &str, keys: &[&str], now: i64) -> Result<Vec<KeyInfo>> {
        self.0.with(|session| {
            let snapshot = session.connection.transaction()?;
            let (mut found, mut entry) = (Vec::new(), Entry::default());
            for key in keys {
                session.guard.steps.restart();
                if get(&snapshot, namespace, key, Projection::Entry, now, &mut entry)? {
                    let Entry { value, metadata, expiration, version } = std::mem::take(&mut entry);
                    let (name, value) = ((*key).to_owned(), Some(value));
                    push(&mut found, KeyInfo { name, metadata, expiration, version, value })?;
                }
            }
            Ok(found)
        })
    }

    fn list(&self, range: Range<'_>, scan: Scan, now: i64) -> Result<ScanPage> {
        self.0.with(|session| {
            let mut query = session.connection.prepare_cached(schema::list(scan.reverse, scan.values))?;
            // One more than asked for tells whether anything live is left.
            let limit = scan.limit as i64 + 1;
            let mut rows = query.query((range.namespace, range.from, below(&range), now, limit))?;
            let (mut found, mut bytes) = (ScanPage::default(), 0);
            while let Some(row) = rows.next()? {
                found.more = found.keys.len() == scan.limit || bytes >= PAGE_BYTES;
                if found.more {
                    break;
                }
                let key = key_info(row, scan.values)?;
                if let Some(last) = found.keys.last() {
                    let (before, after) = if scan.reverse { (&key, last) } else { (last, &key) };
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

    fn write(&self, write: &mut Write<'_, '_>) -> Result<Outcome> {
        self.0.with_writable(|session| {
            let (clock, is_one_step) = (write.clock, write.is_one_step());
            let done =
                session.change(clock, is_one_step, |change| Ok(write.apply(change)?.then_some(change.version)))?;
            Ok(done.map_or(Outcome::Conflict, Outcome::Done))
        })
    }

    fn import(&self, clock: &Clock, import: &mut Import<'_>) -> Result<()> {
        self.0.with_writable(|session| session.change(clock, false, |change| import(change).map(Some)).map(|_| ()))
    }

    fn remove(&self, range: Range<'_>, step: Step, clock: &Clock) -> Result<Removed> {
        self.0.with_writable(|session| {
            let removed = session.change(clock, false, |change| {
                let removed = change.remove(range, step)?;
                Ok((removed.rows > 0).then_some(removed))
            })?;
            Ok(removed.unwrap_or_default())
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
