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
//! 4. The memory of the header is read only while a connection has it mapped.
//! 5. A row that may have been removed because it had expired is not returned, whatever the clock shows.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

pub(crate) use self::admission::Prepared;
use self::admission::{Asked, Worth};
pub(super) use self::rows::{NewRow, Row};
use self::rows::{Record, Rows};
use super::own_commits::OwnCommit;
use super::rows::Found;
use super::wal_index::{Header, WalIndex};
use crate::backend::{Name, Peek, Peeked, Projection, copy_text, push};
use crate::error::Result;
use crate::shards::{Mine, SHARDS, Shard, Shards};
use crate::test_hooks;
use crate::types::{CacheStats, Entry};

mod admission;
mod rows;
mod words;

/// The rows of one file, for all stores of this process on it.
pub(super) struct Cache {
    threads: Shards<Thread>,
    /// Whether the threads have the header.
    is_attached: AtomicBool,
    /// How many connections have the header mapped.
    mappings: AtomicUsize,
    header: [AtomicU64; 6],
    /// The latest time at which rows that had expired were removed while the cache moved.
    swept: AtomicI64,
    /// Whether a write of this process is about to move the cache to its header. A read that finds another header
    /// meanwhile leaves the cache alone.
    is_moving: AtomicBool,
    /// Locked by whatever changes the above or adds rows.
    changes: Mutex<()>,
    worth: Worth,
    /// Made at the first miss.
    asked: OnceLock<Asked>,
    /// Made when the first row is added.
    rows: OnceLock<Rows>,
    misses: AtomicU64,
    drops: AtomicU64,
}

/// What a read needs, for some of the threads.
#[derive(Default)]
struct Thread {
    index: RwLock<Option<WalIndex>>,
    hits: AtomicU64,
}

/// A write in progress.
pub(super) struct Expected<'c>(&'c Cache);

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.0.is_moving.store(false, Relaxed);
    }
}

/// A connection that has the header mapped. To be dropped before the connection closes.
pub(super) struct Mapping(Arc<Cache>);

impl Default for Cache {
    fn default() -> Self {
        Cache {
            threads: Shards([const { Shard(Thread { index: RwLock::new(None), hits: AtomicU64::new(0) }) }; SHARDS]),
            is_attached: AtomicBool::new(false),
            mappings: AtomicUsize::new(0),
            header: Header::NONE.0.map(AtomicU64::new),
            swept: AtomicI64::new(i64::MIN),
            is_moving: AtomicBool::new(false),
            changes: Mutex::new(()),
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
        let (thread, rows) = self.present(Mine::get())?;
        let record = rows.find(&Name::new(namespace, key.as_bytes()))?;
        let answer = match record.is_live(now, self.swept.load(Acquire))? {
            false => Ok(false),
            true => read(&record, projection, entry)?.map(|()| true),
        };
        record.is_intact().then(|| thread.hit(answer))
    }

    /// The same for [`Backend::peek`](crate::backend::Backend::peek).
    #[inline(always)]
    pub fn peek(&self, peek: &mut Peek<'_>, now: i64) -> Option<Peeked> {
        let (thread, rows) = self.present(peek.mine)?;
        match rows.find_first(&peek.name) {
            Some(record) => self.peek_at(thread, &record, peek, now),
            None => self.peek_among(thread, rows, peek, now),
        }
    }

    /// The same for a record that is not in the first place with its hash: apart, so that the usual way needs fewer
    /// registers.
    #[cold]
    #[inline(never)]
    fn peek_among(&self, thread: &Thread, rows: &Rows, peek: &mut Peek<'_>, now: i64) -> Option<Peeked> {
        self.peek_at(thread, &rows.find(&peek.name)?, peek, now)
    }

    #[inline(always)]
    fn peek_at(&self, thread: &Thread, record: &Record<'_>, peek: &mut Peek<'_>, now: i64) -> Option<Peeked> {
        let peeked = match record.is_live(now, self.swept.load(Acquire))? {
            true if peek.known.is_some_and(|known| record.has_value(known)) => {
                record.is_intact().then_some(Peeked::Known)?
            }
            true => Peeked::Found(record.intact_value(peek.to)?),
            false => record.is_intact().then_some(Peeked::Missing)?,
        };
        Some(thread.hit(peeked))
    }

    /// Returns the rows, if they are those of the present state of the file.
    #[inline(always)]
    fn present(&self, mine: Mine) -> Option<(&Thread, &Rows)> {
        let rows = self.rows.get()?;
        let thread = self.threads.at(mine);
        let index = thread.index.read().unwrap_or_else(PoisonError::into_inner);
        let is_present = (*index)?.has(&self.header);
        drop(index);
        if !is_present {
            return None;
        }
        test_hooks::delay();
        Some((thread, rows))
    }

    /// Reads rows as [`get`](Self::get) does, all as of one moment, or none.
    pub fn get_many(&self, namespace: &str, keys: &[&str], now: i64) -> Option<Result<Vec<Entry>>> {
        let rows = self.rows.get()?;
        let thread = self.threads.at(Mine::get());
        let header = self.current(thread)?;
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
        if self.current(thread)? != header || !rows.have(oldest) {
            return None;
        }
        thread.hits.fetch_add(keys.len() as u64, Relaxed);
        Some(Ok(found))
    }

    /// Returns the header if it is the one that the cache stands for.
    #[inline(always)]
    fn current(&self, thread: &Thread) -> Option<Header> {
        let index = thread.index.read().unwrap_or_else(PoisonError::into_inner);
        let header = (*index)?.header();
        drop(index);
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
        self.threads.iter().map(|thread| thread.hits.load(Relaxed)).sum()
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

    /// Lets the cache use the memory that a connection has mapped.
    pub fn map(self: &Arc<Self>) -> Mapping {
        self.mappings.fetch_add(1, AcqRel);
        Mapping(self.clone())
    }

    /// Lets reads compare the header, as long as a [`Mapping`] is left. The connection is open, and has one.
    pub fn attach(&self, index: WalIndex) {
        if !self.is_attached.load(Acquire) {
            let _changes = self.lock();
            self.threads.iter().for_each(|thread| set(&thread.index, Some(index)));
            self.is_attached.store(true, Release);
        }
    }

    /// Waits until no read uses the memory, and lets none use it.
    fn detach(&self) {
        let _changes = self.lock();
        self.is_attached.store(false, Release);
        self.threads.iter().for_each(|thread| set(&thread.index, None));
        // While no connection is open, headers may repeat: a new log begins with none.
        self.begin(Header::NONE);
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

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.0.mappings.fetch_sub(1, AcqRel) == 1 {
            self.0.detach();
        }
    }
}

impl Thread {
    #[inline]
    fn hit<T>(&self, answer: T) -> T {
        self.hits.fetch_add(1, Relaxed);
        answer
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

fn set(index: &RwLock<Option<WalIndex>>, to: Option<WalIndex>) {
    *index.write().unwrap_or_else(PoisonError::into_inner) = to;
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
        let index = index.filter(|_| size > 0)?;
        cache.attach(index);
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
