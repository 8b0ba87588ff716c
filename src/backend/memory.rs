//! The back end in memory: ordered maps behind one lock.

use std::mem;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::maps::{Held, Maps, REMOVED, Row, shared};
use self::now::Now;
use self::slab::Id;
use self::waiting::Watches;
#[cfg(target_family = "wasm")]
pub(crate) use self::wasm::Seen;
use super::{
    Backend, Each, Entries, Import, Listed, Outcome, PAGE_BYTES, PEEKS, Peek, Peeked, Projection, Put, Range, Removed,
    SWEEP_PER_WRITE, Scan, ScanPage, Step, Transaction, Write, copy, copy_text, push,
};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::fork;
use crate::oom_reserve::{self, Usage};
use crate::test_hooks;
use crate::types::{Entry, Limits, NamespaceStats};
use crate::utf8::from_utf8;
use crate::version::{Version, Versions};
mod changes;
#[cfg_attr(target_family = "wasm", path = "memory/chained_index.rs")]
mod index;
mod maps;
mod now;
mod record;
mod slab;
#[cfg_attr(target_family = "wasm", path = "memory/no_waiting.rs")]
mod waiting;
#[cfg(target_family = "wasm")]
mod wasm;
#[cfg(any(not(target_family = "wasm"), feature = "internals"))]
mod watching;

pub(crate) struct Memory {
    /// `None` once it is closed.
    maps: RwLock<Option<Maps>>,
    /// Not 0 if the maps may have changed since a host in JavaScript set it to 0. It does so when it has emptied its
    /// cache, or has brought it up to date with its own write: see web/src/cache.js.
    changed: AtomicU32,
    watches: Watches,
}

impl Memory {
    pub(crate) fn new() -> Self {
        let beginning = beginning();
        let maps = RwLock::new(Some(Maps::new(Versions::new(beginning))));
        Memory { maps, changed: AtomicU32::new(1), watches: Watches::of(beginning) }
    }

    // A poisoned lock is still usable: a write that panics is undone while the panic unwinds.

    fn lock_to_read(&self) -> RwLockReadGuard<'_, Option<Maps>> {
        self.maps.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> RwLockWriteGuard<'_, Option<Maps>> {
        let maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        // Here, so that no way to change the maps can leave it out.
        self.changed.store(1, Ordering::Relaxed);
        self.watches.tell();
        maps
    }

    fn read<T>(&self, read: impl FnOnce(&Maps) -> Result<T>) -> Result<T> {
        read(self.lock_to_read().as_ref().ok_or_else(Error::closed)?)
    }

    /// Changes the maps, and sweeps. If `run` returns `None` or fails, changes nothing.
    fn change<T>(&self, clock: &Clock, run: impl FnOnce(&mut Change<'_>) -> Result<Option<T>>) -> Result<Option<T>> {
        self.with(|maps| {
            #[cfg(target_family = "wasm")]
            maps.keep_room_to_load();
            let now = Now::of(clock);
            let version = maps.versions.next();
            let mut change = Change::begin(maps, &now, version, true);
            let Some(answer) = run(&mut change)? else { return Ok(None) };
            let quota = SWEEP_PER_WRITE + change.expiries as u64;
            change.keep();
            maps.sweep(quota, || now.get());
            Ok(Some(answer))
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Maps) -> Result<T>) -> Result<T> {
        change(self.lock().as_mut().ok_or_else(Error::closed)?)
    }

    /// Like [`with`](Memory::with), for changes that take no version.
    fn change_unversioned<T>(&self, change: impl FnOnce(&mut Maps) -> Result<T>) -> Result<T> {
        self.with(|maps| {
            if waiting::BY_VERSIONS {
                maps.versions.next();
            }
            change(maps)
        })
    }
}

#[cfg(any(target_family = "wasm", fuzzing, test))]
impl Memory {
    /// Returns everything, or what has changed since the last record, as bytes for [`load`](Memory::load).
    pub(crate) fn record(&self, everything: bool) -> Result<Vec<u8>> {
        self.with(|maps| maps.record(everything))
    }

    /// Applies records in their order. If they are damaged, it applies none; if memory runs out, a part of them.
    pub(crate) fn load(&self, records: &[u8]) -> Result<()> {
        record::read(records, |_| Ok(()))?;
        self.change_unversioned(|maps| {
            #[cfg(target_family = "wasm")]
            maps.free_room_to_load();
            let clock = Clock::manual(0);
            let now = Now::of(&clock);
            // One by one, since undoing all of them together might need as much memory again.
            record::read(records, |told| {
                let mut change = Change::begin(maps, &now, Version::default(), false);
                change.load(told)?;
                change.keep();
                Ok(())
            })
        })
    }
}

/// The start of the versions of a store: unique in this process.
#[cfg(not(target_family = "wasm"))]
fn beginning() -> u64 {
    use std::sync::atomic::AtomicU64;
    static STORES: AtomicU64 = AtomicU64::new(1);
    STORES.fetch_add(1, Ordering::Relaxed)
}

/// Random, so that versions also differ from those of an earlier store whose records are loaded into this one.
#[cfg(target_family = "wasm")]
fn beginning() -> u64 {
    crate::wasm::random()
}

impl Backend for Memory {
    fn get(&self, namespace: &str, key: &str, projection: Projection, now: i64, entry: &mut Entry) -> Result<bool> {
        self.read(|maps| {
            test_hooks::panic_on(key);
            match maps.live(namespace, key, now) {
                Some(_) if projection == Projection::Nothing => Ok(true),
                Some(row) if projection == Projection::Value => copy_value(row, entry).map(|()| true),
                Some(row) => copy_entry(row, entry).map(|()| true),
                None => Ok(false),
            }
        })
    }

    #[inline]
    fn peek(&self, peek: &mut Peek<'_>) -> Option<Peeked> {
        if !PEEKS {
            return None;
        }
        let _entered = fork::enter();
        // Tests that provoke a panic expect it where it is caught.
        let maps = self.lock_to_read();
        let maps = maps.as_ref().filter(|_| !cfg!(feature = "debug-hooks"))?;
        let row = maps.row(peek.namespace, peek.key).filter(|row| !row.has_expired(peek.clock));
        let Some(value) = row.map(|row| &*row.value) else {
            // A wrong key is not merely missing. A key that is there was checked when it was stored.
            let is_right = from_utf8(peek.key).is_ok_and(|key| Limits::Default.key(key).is_ok());
            return is_right.then_some(Peeked::Missing);
        };
        // Only Lua knows values.
        if cfg!(feature = "internals") && peek.known == Some(value) {
            return Some(Peeked::Known);
        }
        if value.len() <= peek.to.len() {
            // SAFETY: there is room for the value, and a place that is written to is nowhere else in use.
            unsafe { value.as_ptr().copy_to_nonoverlapping(peek.to.as_mut_ptr().cast(), value.len()) };
        }
        Some(Peeked::Found(value.len()))
    }

    fn get_many(&self, namespace: &str, keys: &[&str], now: i64) -> Result<Vec<Entry>> {
        self.read(|maps| {
            let mut all = Vec::new();
            for row in keys.iter().filter_map(|key| maps.live(namespace, key, now)) {
                all.add(listed(row, true))?;
            }
            Ok(all)
        })
    }

    fn list(&self, range: Range<'_>, scan: Scan, now: i64, entries: &mut dyn Entries) -> Result<ScanPage> {
        self.read(|maps| {
            let mut rows = maps.range(range);
            let (mut found, mut bytes) = (ScanPage::default(), 0);
            while let Some(row) = if scan.reverse { rows.next_back() } else { rows.next() } {
                if row.is_gone(now) {
                    continue;
                }
                found.more = entries.len() == scan.limit || bytes >= PAGE_BYTES;
                if found.more {
                    break;
                }
                bytes += if scan.values { row.value.len() } else { 0 };
                entries.add(listed(row, scan.values))?;
            }
            Ok(found)
        })
    }

    fn count(&self, range: Range<'_>, now: i64) -> Result<u64> {
        self.read(|maps| Ok(maps.range(range).filter(|row| !row.is_gone(now)).count() as u64))
    }

    fn scan(&self, namespace: &str, now: i64, each: &mut Each<'_>) -> Result<()> {
        let all = Range { namespace, from: "", below: None };
        self.read(|maps| {
            let mut rows = maps.range(all).filter(|row| !row.is_gone(now));
            rows.try_for_each(|row| {
                let mut entry = Entry::default();
                copy_entry(row, &mut entry)?;
                entry.key = copy_text(&row.key)?;
                each(&entry)
            })
        })
    }

    fn write(&self, write: &mut Write<'_, '_>) -> Result<Outcome> {
        let clock = write.clock;
        let done = self.change(clock, |change| Ok(write.apply(change)?.then_some(change.version)))?;
        Ok(done.map_or(Outcome::Conflict, Outcome::Done))
    }

    fn import(&self, clock: &Clock, import: &mut Import<'_>) -> Result<()> {
        self.change(clock, |change| import(change).map(Some)).map(|_| ())
    }

    fn remove(&self, range: Range<'_>, step: Step, clock: &Clock) -> Result<Removed> {
        Ok(self.change(clock, |change| change.remove(range, step).map(Some))?.unwrap_or_default())
    }

    fn sweep(&self, max: u64, now: i64) -> Result<u64> {
        self.change_unversioned(|maps| Ok(maps.sweep(max, || now)))
    }

    /// A waiting thread gets the lock without this.
    fn pause(&self) {}

    fn namespaces(&self, now: i64) -> Result<Vec<String>> {
        self.read(|maps| {
            let mut names = Vec::new();
            for (name, mut rows) in maps.namespaces() {
                if rows.any(|row| !row.is_gone(now)) {
                    push(&mut names, copy_text(name)?)?;
                }
            }
            Ok(names)
        })
    }

    fn stats(&self, now: i64) -> Result<Vec<NamespaceStats>> {
        self.read(|maps| {
            let mut stats = Vec::new();
            for (name, rows) in maps.namespaces() {
                let (mut live, mut expired) = (0, 0);
                rows.for_each(|row| *(if row.is_gone(now) { &mut expired } else { &mut live }) += 1);
                push(&mut stats, NamespaceStats { name: copy_text(name)?, live, expired })?;
            }
            Ok(stats)
        })
    }

    fn file_size(&self) -> Result<u64> {
        self.read(|_| Ok(0))
    }

    fn compact(&self) -> Result<()> {
        self.read(|_| Ok(()))
    }

    fn checkpoint(&self) -> Result<()> {
        self.read(|_| Ok(()))
    }

    fn backup(&self, _: &Path) -> Result<()> {
        self.read(|_| Err(Error::invalid("a store in memory has no file to back up; export its namespaces")))
    }

    #[cfg(any(target_family = "wasm", fuzzing, test))]
    fn memory(&self) -> Option<&Memory> {
        Some(self)
    }

    fn close(&self) -> Result<()> {
        *self.lock() = None;
        Ok(())
    }
}

/// A write in progress. Dropping it undoes everything, unless `undo` was emptied.
struct Change<'a> {
    maps: &'a mut Maps,
    now: &'a Now<'a>,
    version: Version,
    /// Whether the changes belong in the next record.
    is_noted: bool,
    /// In the order of the changes.
    undo: Vec<Undo>,
    /// How many of the changed rows have an expiration.
    expiries: usize,
    usage: Usage,
}

enum Undo {
    Row {
        id: Id,
        /// What the key held before; `None` if it was not there.
        before: Option<Held>,
        /// Whether this change was the one that noted the key for the next record.
        is_noted: bool,
        /// Whether something has to be settled.
        is_open: bool,
    },
    /// A key without a row was noted for the next record.
    Note { namespace: Arc<str>, key: Arc<str> },
}

impl<'a> Change<'a> {
    fn begin(maps: &'a mut Maps, now: &'a Now<'a>, version: Version, is_noted: bool) -> Self {
        let undo = mem::take(&mut maps.undo);
        Change { maps, now, version, is_noted, undo, expiries: 0, usage: Usage::now() }
    }

    fn keep(mut self) {
        let mut undo = mem::take(&mut self.undo);
        for undo in undo.drain(..) {
            if let Undo::Row { id, is_open: true, .. } = undo {
                self.maps.settle(id);
            }
        }
        /// A single put needs one; the room for a large batch is not kept.
        const KEPT: usize = 16;
        if undo.capacity() <= KEPT {
            self.maps.undo = undo;
        }
    }
}

impl Drop for Change<'_> {
    /// Allocates nothing, since memory may be exhausted.
    fn drop(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Row { id, before, is_noted, .. } => self.take_back(id, before, is_noted),
                Undo::Note { namespace, key } => self.maps.changes.forget(&namespace, &key),
            }
        }
    }
}

impl Change<'_> {
    fn take_back(&mut self, id: Id, before: Option<Held>, is_noted: bool) {
        if is_noted {
            self.maps.forget_change(id);
        }
        match (before, self.maps.get_mut(id)) {
            (Some(before), Some(row)) => _ = row.replace(before),
            _ => self.maps.remove(id),
        }
    }

    fn put_row(&mut self, namespace: &str, key: &str, held: Held) -> Result<()> {
        if held.expiration.is_some() {
            self.maps.expect_expiries(self.expiries + 1)?;
            self.expiries += 1;
        }
        self.replace(namespace, key, held)?;
        self.usage.check_unchanged()
    }

    /// Returns whether there was a live row.
    fn remove_row(&mut self, namespace: &str, key: &str) -> Result<bool> {
        let is_live = self.maps.row(namespace, key.as_bytes()).map(|row| !row.is_gone(self.now.get()));
        if is_live.is_some() {
            let removed = Held { value: [].into(), metadata: None, expiration: Some(REMOVED), version: self.version };
            self.replace(namespace, key, removed)?;
        } else if self.is_noted && self.maps.changes.are_noted() {
            // Records may still contain the expired row. It must not return when the clock is set back.
            self.undoable()?;
            let (name, own) = (shared(namespace)?, shared(key)?);
            if self.maps.changes.note(namespace, key)? {
                self.undo.push(Undo::Note { namespace: name, key: own });
            }
        }
        oom_reserve::check().map(|()| is_live.unwrap_or(false))
    }

    /// First does everything that can fail, then what cannot fail or can be undone.
    fn replace(&mut self, namespace: &str, key: &str, held: Held) -> Result<()> {
        if let Some(id) = self.maps.find(namespace, key.as_bytes()) {
            return self.replace_row(id, held);
        }
        self.undoable()?;
        let is_open = held.expiration.is_some();
        let new = self.maps.prepare(namespace, key)?;
        let is_noted = self.is_noted && self.maps.changes.note(namespace, key)?;
        if let Err(full) = self.room_for_nodes() {
            if is_noted {
                self.maps.changes.forget(namespace, key);
            }
            return Err(full);
        }
        let id = self.maps.insert(new, held);
        self.undo.push(Undo::Row { id, before: None, is_noted, is_open });
        Ok(())
    }

    /// The same for a key that has a row.
    fn replace_row(&mut self, id: Id, held: Held) -> Result<()> {
        self.undoable()?;
        let is_open = held.expiration.is_some();
        let is_noted = self.is_noted && self.maps.note_change(id)?;
        if is_noted
            && held.expiration != Some(REMOVED)
            && let Err(full) = self.room_for_nodes()
        {
            self.maps.forget_change(id);
            return Err(full);
        }
        if let Some(row) = self.maps.get_mut(id) {
            let before = Some(row.replace(held));
            self.undo.push(Undo::Row { id, before, is_noted, is_open });
        }
        Ok(())
    }

    /// Checks that there is memory for a node that the maps may need for one more key, with a margin. Nodes stay
    /// allocated when the key is removed again, so they must not use the reserve.
    fn room_for_nodes(&self) -> Result<()> {
        const NODE: usize = 512;
        self.usage.check_unchanged().and_then(|()| oom_reserve::room(NODE))
    }

    /// Makes room to undo a change.
    fn undoable(&mut self) -> Result<()> {
        self.undo.try_reserve(1).map_err(|_| Error::no_memory(size_of_val(self.undo.as_slice())))
    }

    /// If memory does not suffice for a whole step, takes a shorter one.
    fn remove(&mut self, range: Range<'_>, step: Step) -> Result<Removed> {
        let (mut removed, mut bytes) = (Removed::default(), 0);
        let mut from = copy_text(range.from)?;
        while removed.rows < step.rows as u64 && bytes < step.bytes {
            let Some(row) = self.maps.range(Range { from: &from, ..range }).next() else { break };
            let (len, is_live) = (row.value.len() as u64, !row.is_gone(self.now.get()));
            let taken = copy_text(&row.key).and_then(|key| self.remove_row(range.namespace, &key).map(|_| key));
            let key = match taken {
                Err(_) if removed.rows > 0 => break,
                taken => taken?,
            };
            bytes += len;
            removed.rows += 1;
            removed.live += u64::from(is_live);
            from.clone_from(&key);
            from.push('\0'); // the very next key after it
            removed.last = Some(key);
        }
        Ok(removed)
    }

    #[cfg(any(target_family = "wasm", fuzzing, test))]
    fn load(&mut self, told: record::RecordItem<'_>) -> Result<()> {
        let owned = |row: record::RecordRow<'_>| held(row.value, row.metadata, row.expiration, row.version);
        match told.row {
            Some(row) => self.put_row(told.namespace, told.key, owned(row)?),
            None => self.remove_row(told.namespace, told.key).map(|_| ()),
        }
    }
}

impl Transaction for Change<'_> {
    fn now(&self) -> i64 {
        self.now.get()
    }

    fn get(&mut self, namespace: &str, key: &str, entry: &mut Entry) -> Result<bool> {
        match self.maps.live(namespace, key, self.now.get()) {
            Some(row) => copy_entry(row, entry).map(|()| true),
            None => Ok(false),
        }
    }

    fn version(&mut self, namespace: &str, key: &str) -> Result<Option<Version>> {
        Ok(self.maps.live(namespace, key, self.now.get()).map(|row| row.version))
    }

    fn put(&mut self, namespace: &str, put: Put<'_>) -> Result<()> {
        let held = held(put.value, put.metadata, put.expiration, self.version)?;
        self.put_row(namespace, put.key, held)?;
        test_hooks::panic_on(put.key);
        Ok(())
    }

    fn touch(&mut self, namespace: &str, key: &str, expiration: Option<i64>) -> Result<bool> {
        let Some(row) = self.maps.live(namespace, key, self.now.get()) else { return Ok(false) };
        let held = held(&row.value, row.metadata.as_deref(), expiration, self.version)?;
        self.put_row(namespace, key, held).map(|()| true)
    }

    fn delete(&mut self, namespace: &str, key: &str) -> Result<bool> {
        self.remove_row(namespace, key)
    }
}

/// Copies what a key is to hold.
fn held(value: &[u8], metadata: Option<&str>, expiration: Option<i64>, version: Version) -> Result<Held> {
    let mut copied = Vec::new();
    copy(value, &mut copied)?;
    let metadata = metadata.map(copy_text).transpose()?.map(String::into_boxed_str);
    Ok(Held { value: copied.into_boxed_slice(), metadata, expiration, version })
}

fn copy_value(row: &Row, entry: &mut Entry) -> Result<()> {
    copy(&row.value, entry.value.get_or_insert_default())
}

/// Copies everything except the key.
fn copy_entry(row: &Row, entry: &mut Entry) -> Result<()> {
    copy_value(row, entry)?;
    entry.metadata = row.metadata.as_deref().map(copy_text).transpose()?;
    (entry.expiration, entry.version) = (row.expiration(), row.version);
    Ok(())
}

fn listed(row: &Row, values: bool) -> Listed<'_> {
    let (value, metadata) = (values.then_some(&*row.value), row.metadata.as_deref());
    Listed { key: &row.key, value, metadata, expiration: row.expiration(), version: row.version }
}
