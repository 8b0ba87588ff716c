//! A cache of rows that is coherent with all processes: a hit costs no call of SQLite, and is what a read of the file
//! would return.
//!
//! Each commit, of any process, changes the header of the log's index (see `wal_index`). The cache stands for one
//! header: it contains rows as of that state. A read compares the present header with it. docs/design.md, "The cache",
//! says step by step why that is right. What must hold here:
//!
//! 1. A row gets into the cache only under the header that was read before its SELECT and found unchanged after it.
//! 2. The cache moves to the header of an own commit only from the header just before that commit, and only after the
//!    rows that the commit changed were replaced or removed.
//! 3. To any other header it moves only while that is the present one, and forgets all rows before. So it never goes
//!    back to an older header: a read that has compared with a header finds no row that is older.
//! 4. Without a connection it stands for no header: then the same one may come back.
//! 5. A row that may have been removed because it had expired is not returned, whatever the clock shows.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

pub(crate) use self::admission::Prepared;
use self::admission::{Asked, Worth};
pub(super) use self::rows::{NewRow, Row};
use self::rows::{Record, Rows};
#[cfg(unix)]
use super::header_page::HeaderPage;
#[cfg(not(unix))]
use super::not_unix::HeaderPage;
use super::own_commits::OwnCommit;
use super::rows::Found;
use super::wal_index::{Header, Numbers, WalIndex};
use crate::backend::{Moment, Name, Peek, Peeked, Projection, copy_text, push};
use crate::error::Result;
use crate::futex;
use crate::shards::{Mine, SHARDS, Shard, Shards};
use crate::test_hooks;
use crate::types::{CacheStats, Entry};

mod admission;
mod rows;
mod words;

/// The rows of one file, for all stores of this process on it.
pub(super) struct Cache {
    /// How many reads were answered, for some of the threads.
    hits: Shards<AtomicU64>,
    /// The present header of the file.
    present: HeaderPage,
    /// Whether `present` shows an index.
    is_shown: AtomicBool,
    /// The header that the cache stands for.
    header: Numbers,
    /// The latest time at which rows that had expired were removed while the cache moved.
    swept: AtomicI64,
    /// Whether a write of this process is about to move the cache to its header. A read that finds another header
    /// meanwhile leaves the cache alone.
    is_moving: AtomicBool,
    /// How often the last connection was closed. A header may come back after that.
    disconnections: AtomicU64,
    /// Locked by whatever changes the above or adds rows. Counts the connections.
    changes: Mutex<usize>,
    worth: Worth,
    /// Made at the first miss.
    asked: OnceLock<Asked>,
    /// Made when the first row is added.
    rows: OnceLock<Rows>,
    misses: AtomicU64,
    drops: AtomicU64,
}

/// How often a process that writes without a pause wakes watches, and how often these look meanwhile.
pub(super) const SOON: Duration = Duration::from_millis(1);

/// A write in progress.
pub(super) struct Expected<'c>(&'c Cache);

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.0.is_moving.store(false, Relaxed);
    }
}

/// A connection whose file has a header. To be dropped before the connection closes.
pub(super) struct Connected(Arc<Cache>);

impl Default for Cache {
    fn default() -> Self {
        Cache {
            hits: Shards([const { Shard(AtomicU64::new(0)) }; SHARDS]),
            present: HeaderPage::default(),
            is_shown: AtomicBool::new(false),
            header: Header::NONE.0.map(AtomicU64::new),
            swept: AtomicI64::new(i64::MIN),
            is_moving: AtomicBool::new(false),
            disconnections: AtomicU64::new(0),
            changes: Mutex::new(0),
            worth: Worth::default(),
            asked: OnceLock::new(),
            rows: OnceLock::new(),
            misses: AtomicU64::new(0),
            drops: AtomicU64::new(0),
        }
    }
}

impl Cache {
    /// Reads a row as [`Backend::get`](crate::backend::Backend::get) does. Returns `None` if the file must be asked.
    pub fn get(
        &self,
        namespace: &str,
        key: &str,
        projection: Projection,
        now: i64,
        entry: &mut Entry,
    ) -> Option<Result<bool>> {
        let rows = self.present()?;
        let record = rows.find(&Name::new(namespace, key.as_bytes()))?;
        let answer = match record.is_live(now, self.swept.load(Acquire))? {
            false => Ok(false),
            true => read(&record, projection, entry)?.map(|()| true),
        };
        record.is_intact().then(|| self.hit(answer))
    }

    /// The same for [`Backend::peek`](crate::backend::Backend::peek). It locks nothing, so a fork need not wait for it.
    #[inline(always)]
    pub fn peek(&self, peek: &mut Peek<'_>, now: i64) -> Option<Peeked> {
        let rows = self.present()?;
        match rows.find_first(&peek.name()) {
            Some(record) => self.peek_at(&record, peek, now),
            None => self.peek_among(rows, peek, now),
        }
    }

    /// The same for a record that is not in the first place with its hash: apart, so that the usual way needs fewer
    /// registers.
    #[cold]
    #[inline(never)]
    fn peek_among(&self, rows: &Rows, peek: &mut Peek<'_>, now: i64) -> Option<Peeked> {
        self.peek_at(&rows.find(&peek.name())?, peek, now)
    }

    #[inline(always)]
    fn peek_at(&self, record: &Record<'_>, peek: &mut Peek<'_>, now: i64) -> Option<Peeked> {
        let peeked = match record.is_live(now, self.swept.load(Acquire))? {
            true if peek.known.is_some_and(|known| record.has_value(known)) => {
                record.is_intact().then_some(Peeked::Known)?
            }
            true => Peeked::Found(record.intact_value(peek.to)?),
            false => record.is_intact().then_some(Peeked::Missing)?,
        };
        Some(self.hit(peeked))
    }

    /// Returns the rows, if they are those of the present state of the file.
    #[inline(always)]
    fn present(&self) -> Option<&Rows> {
        let rows = self.rows.get()?;
        if !Header::is_same(self.present.numbers(), &self.header) {
            return None;
        }
        test_hooks::delay();
        Some(rows)
    }

    /// Reads rows as [`get`](Self::get) does, all as of one moment, or none.
    pub fn get_many(&self, namespace: &str, keys: &[&str], now: i64) -> Option<Result<Vec<Entry>>> {
        let rows = self.rows.get()?;
        let header = self.current()?;
        let (mut found, mut oldest, swept) = (Vec::new(), u64::MAX, self.swept.load(Acquire));
        for key in keys {
            let record = rows.find(&Name::new(namespace, key.as_bytes()))?;
            oldest = oldest.min(record.position);
            if !record.is_live(now, swept)? {
                continue;
            }
            let mut entry = Entry::default();
            let read = read(&record, Projection::Entry, &mut entry)?.and_then(|()| {
                entry.key = copy_text(key)?;
                push(&mut found, entry)
            });
            if let Err(error) = read {
                return rows.have(oldest).then_some(Err(error));
            }
        }
        // All are as of one header if it is still the same. (An own commit may have moved the cache to another one.)
        if self.current()? != header || !rows.have(oldest) {
            return None;
        }
        self.hits.at(Mine::get()).fetch_add(keys.len() as u64, Relaxed);
        Some(Ok(found))
    }

    /// Returns the header if it is the one that the cache stands for.
    fn current(&self) -> Option<Header> {
        let header = Header::read(self.present.numbers());
        let same = header.0.iter().zip(&self.header).all(|(now, then)| *now == then.load(Acquire));
        same.then_some(header)
    }

    /// Counts a read that the cache did not answer, and returns whether to [`add`](Self::add) what it finds. `size` is
    /// the size of the cache, in bytes, if this is the first one.
    pub fn missed(&self, namespace: &str, key: &str, size: u64) -> bool {
        self.misses.fetch_add(1, Relaxed);
        self.worth.adds() && self.asked.get_or_init(|| Asked::new(size)).again(&Name::new(namespace, key.as_bytes()))
    }

    /// Adds what a read has found, if the header is still the one from before the read. `size` is as for
    /// [`missed`](Self::missed).
    fn add(&self, index: WalIndex, before: Header, name: &Name<'_>, row: Option<&Row<'_>>, size: u64) {
        let _changes = self.lock();
        let header = index.header();
        test_hooks::delay();
        if header != before {
            return;
        }
        if self.header() != header {
            if self.is_moving.load(Relaxed) {
                return;
            }
            self.begin(header);
        }
        let rows = match self.rows.get() {
            Some(rows) => rows,
            None => match Rows::new(size) {
                Some(rows) => self.rows.get_or_init(|| rows),
                None => return, // there is no memory
            },
        };
        test_hooks::delay();
        rows.insert(name, row);
        self.worth.has_added();
    }

    pub fn stats(&self) -> CacheStats {
        let _changes = self.lock();
        CacheStats {
            hits: self.hits(),
            misses: self.misses.load(Relaxed),
            drops: self.drops.load(Relaxed),
            size: self.rows.get().map_or(0, Rows::size),
        }
    }

    fn hits(&self) -> u64 {
        self.hits.iter().map(|hits| hits.load(Relaxed)).sum()
    }

    #[inline(always)]
    fn hit<T>(&self, answer: T) -> T {
        self.hits.at(Mine::get()).fetch_add(1, Relaxed);
        answer
    }

    /// Notes that a write of this process begins, whose changed rows will be known, until this is dropped.
    pub fn expect(&self) -> Expected<'_> {
        self.is_moving.store(true, Relaxed);
        Expected(self)
    }

    /// If a write that was [expected](Self::expect) has committed, moves the cache to the header after it. `swept` is
    /// when the connection last removed expired rows; `changed`, the rows that the write may have changed, in order.
    pub fn moved<'a>(
        &self,
        commit: Option<(OwnCommit, WalIndex)>,
        swept: Option<i64>,
        changed: impl Iterator<Item = (Name<'a>, NewRow<'a>)>,
    ) {
        if let Some((OwnCommit { before, last_frame }, index)) = commit
            && let Some(rows) = self.rows.get()
        {
            let _changes = self.lock();
            let header = index.header();
            test_hooks::delay();
            if self.header() == before && header.follows(&before, last_frame) {
                // First, since the write may have swept what it had put.
                self.swept.fetch_max(swept.unwrap_or(i64::MIN), Release);
                for (name, row) in changed {
                    match row {
                        NewRow::Unknown => rows.remove(&name),
                        NewRow::Missing => rows.replace(&name, None),
                        NewRow::Row(row) => rows.replace(&name, Some(&row)),
                    }
                }
                test_hooks::delay();
                self.set_header(header);
            }
        }
    }

    /// The present state of the file, which another one follows with each commit of any process. `None` if no connection
    /// has a header.
    pub fn moment(&self) -> Option<Moment> {
        let header = self.is_shown.load(Relaxed).then(|| Header::read(self.present.numbers()))?;
        let [a, b, c, d, e, f] = header.0;
        // A process that is killed between the two copies has committed. The next read finds that they differ, and
        // recovers the index.
        let second = self.present.second_commits().load(Acquire);
        Some(Moment([a, b, c, d, e, f, self.disconnections.load(Acquire), second.into()]))
    }

    /// Waits for the commit of a process that [wakes](super::own_commits) those that wait here, or until `time` is over. A
    /// connection is not needed.
    pub fn wait_for_change(&self, moment: Option<Moment>, time: Duration) {
        // A commit changes this number first, and wakes those that wait after the header has changed, too.
        let number = self.present.second_commits();
        let seen = number.load(Acquire);
        if moment.is_none() || self.moment() == moment {
            futex::wait(ptr::from_ref(number).addr(), seen, time);
        }
    }

    /// Wakes all that wait there.
    pub fn wake_watches(&self) {
        futex::wake(self.present.second_commits(), i32::MAX);
    }

    /// Stands for the file of one more connection. `index` is the descriptor of the log's index. Without one, or without
    /// memory, the cache stays empty.
    pub fn connected(self: &Arc<Self>, index: Option<c_int>) -> Connected {
        let mut connections = self.lock();
        *connections += 1;
        if !self.is_shown.load(Relaxed) {
            self.is_shown.store(index.is_some_and(|index| self.present.show(index)), Relaxed);
        }
        Connected(self.clone())
    }

    fn disconnected(&self) {
        let mut connections = self.lock();
        *connections -= 1;
        if *connections == 0 {
            // Without a connection, a header may come back: a new log begins with none.
            self.begin(Header::NONE);
            self.disconnections.fetch_add(1, Release);
            self.present.hide();
            self.is_shown.store(false, Relaxed);
        }
    }

    /// Forgets all rows, and stands for this header from now on. A read that sees the header must not find the rows.
    fn begin(&self, header: Header) {
        self.rows.get().into_iter().for_each(Rows::clear);
        test_hooks::delay();
        if self.header() != Header::NONE {
            self.drops.fetch_add(1, Relaxed);
            self.worth.has_emptied(self.hits());
        }
        self.set_header(header);
    }

    fn header(&self) -> Header {
        Header(self.header.each_ref().map(|number| number.load(Relaxed)))
    }

    fn set_header(&self, header: Header) {
        self.header.iter().zip(header.0).for_each(|(number, new)| number.store(new, Release));
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.disconnected();
    }
}

/// Reads a row that is live. Returns `None` if the file must be asked.
fn read(record: &Record<'_>, projection: Projection, entry: &mut Entry) -> Option<Result<()>> {
    if projection == Projection::Nothing {
        return Some(Ok(()));
    }
    let value = record.value(entry.value.get_or_insert_default())?;
    if projection == Projection::Value || value.is_err() { Some(value) } else { record.describe(entry) }
}

/// A read of the file, whose rows are added to the cache if nothing was committed meanwhile.
pub(super) struct Adding<'a> {
    cache: &'a Cache,
    index: WalIndex,
    /// The header of the log's index when the read began.
    header: Header,
    size: u64,
}

impl<'a> Adding<'a> {
    /// Returns `None` if the store reads without a cache, or the connection has no header.
    pub fn begin(cache: &'a Cache, index: Option<WalIndex>, size: u64) -> Option<Self> {
        let index = index.filter(|_| size > 0 && cache.is_shown.load(Relaxed))?;
        let header = index.header();
        test_hooks::delay();
        Some(Adding { cache, index, header, size })
    }

    pub fn end(&self, namespace: &str, key: &str, found: Found, projection: Projection, entry: &Entry) {
        test_hooks::delay();
        let row = match found {
            Found::Missing => None,
            Found::Live(expiration) if projection != Projection::Nothing => {
                Some(Row::of(entry, expiration, projection))
            }
            _ => return,
        };
        let name = Name::new(namespace, key.as_bytes());
        self.cache.add(self.index, self.header, &name, row.as_ref(), self.size);
    }
}

#[cfg(test)]
mod tests;
