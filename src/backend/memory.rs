//! The back end in memory: ordered maps behind one lock.

use std::mem;
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::maps::{Maps, Place, boxed, is_gone};
use super::{
    Backend, Body, Each, Extent, Listed, Now, PAGE_BYTES, Put, Range, Removed, Rows, SWEEP_PER_WRITE, Step, Walk, Want,
    copy, copy_text, push,
};
use crate::error::{Error, Result};
use crate::headroom::Mark;
use crate::hooks;
use crate::types::{Entry, KeyInfo, NamespaceStats};
use crate::version::{Version, Versions};

mod by_namespace;
mod changes;
mod maps;
mod record;

/// `None` once it is closed.
pub(crate) struct Memory(RwLock<Option<Maps>>);

impl Memory {
    pub(crate) fn new() -> Self {
        Memory(RwLock::new(Some(Maps::new(Versions::new(beginning())))))
    }

    // A poisoned lock is used on: a write that panics is undone as the panic passes it.

    fn lock_to_read(&self) -> RwLockReadGuard<'_, Option<Maps>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> RwLockWriteGuard<'_, Option<Maps>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, read: impl FnOnce(&Maps) -> Result<T>) -> Result<T> {
        read(self.lock_to_read().as_ref().ok_or_else(Error::closed)?)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Maps) -> Result<T>) -> Result<T> {
        change(self.lock().as_mut().ok_or_else(Error::closed)?)
    }
}

/// Where a store's versions begin: nowhere that another store in this process has.
#[cfg(not(target_family = "wasm"))]
fn beginning() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static STORES: AtomicU64 = AtomicU64::new(1);
    STORES.fetch_add(1, Ordering::Relaxed)
}

/// Nor where a store of yesterday's had, whose records are loaded today.
#[cfg(target_family = "wasm")]
fn beginning() -> u64 {
    crate::wasm::random()
}

impl Backend for Memory {
    fn get(&self, namespace: &str, key: &str, _: Want, now: i64, entry: &mut Entry) -> Result<bool> {
        self.read(|maps| {
            hooks::panic_on(key);
            match maps.live(namespace, key, now) {
                Some(row) => copy_entry(row, entry).map(|()| true),
                None => Ok(false),
            }
        })
    }

    fn get_many(&self, namespace: &str, keys: &[&str], now: i64) -> Result<Vec<KeyInfo>> {
        self.read(|maps| {
            let found = keys.iter().filter_map(|key| Some((*key, maps.live(namespace, key, now)?)));
            let mut all = Vec::new();
            for (key, row) in found {
                push(&mut all, info(key, row, true)?)?;
            }
            Ok(all)
        })
    }

    fn list(&self, range: Range<'_>, walk: Walk, now: i64) -> Result<Listed> {
        self.read(|maps| {
            let mut rows = maps.range(range);
            let (mut found, mut bytes) = (Listed::default(), 0);
            while let Some((key, row)) = if walk.reverse { rows.next_back() } else { rows.next() } {
                if is_gone(row.expiration, now) {
                    continue;
                }
                found.more = found.keys.len() == walk.limit || bytes >= PAGE_BYTES;
                if found.more {
                    break;
                }
                bytes += if walk.values { row.value.len() } else { 0 };
                push(&mut found.keys, info(key, row, walk.values)?)?;
            }
            Ok(found)
        })
    }

    fn count(&self, range: Range<'_>, now: i64) -> Result<u64> {
        self.read(|maps| Ok(maps.range(range).filter(|(_, row)| !is_gone(row.expiration, now)).count() as u64))
    }

    fn scan(&self, namespace: &str, now: i64, each: &mut Each<'_>) -> Result<()> {
        let all = Range { namespace, from: "", below: None };
        self.read(|maps| {
            let mut rows = maps.range(all).filter(|(_, row)| !is_gone(row.expiration, now));
            rows.try_for_each(|(key, row)| each(&info(key, row, true)?))
        })
    }

    fn write(&self, now: Now<'_>, _: Extent, body: &mut Body<'_>) -> Result<Option<Version>> {
        self.with(|maps| {
            let now = now();
            let version = maps.versions.next();
            let mut change = Change::begin(maps, now, version, true);
            if !body(&mut change)? {
                return Ok(None);
            }
            change.keep();
            maps.sweep(SWEEP_PER_WRITE, now);
            Ok(Some(version))
        })
    }

    fn sweep(&self, max: u64, now: i64) -> Result<u64> {
        self.with(|maps| Ok(maps.sweep(max, now)))
    }

    /// The lock is fair enough.
    fn pause(&self) {}

    fn namespaces(&self, now: i64) -> Result<Vec<String>> {
        self.read(|maps| {
            let live = |keys: &maps::Keys| keys.values().any(|row| !is_gone(row.expiration, now));
            let mut names = Vec::new();
            for (name, _) in maps.namespaces.iter().filter(|(_, keys)| live(keys)) {
                names.try_reserve(1).map_err(|_| Error::no_memory(size_of_val(names.as_slice())))?;
                names.push(copy_text(name)?);
            }
            Ok(names)
        })
    }

    fn stats(&self, now: i64) -> Result<Vec<NamespaceStats>> {
        self.read(|maps| {
            let mut stats = Vec::new();
            let count = maps.namespaces.len();
            stats.try_reserve_exact(count).map_err(|_| Error::no_memory(count * size_of::<NamespaceStats>()))?;
            for (name, keys) in &maps.namespaces {
                let expired = keys.values().filter(|row| is_gone(row.expiration, now)).count() as u64;
                stats.push(NamespaceStats { name: copy_text(name)?, live: keys.len() as u64 - expired, expired });
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

    #[cfg(any(target_family = "wasm", test))]
    fn record(&self, everything: bool) -> Result<Vec<u8>> {
        self.with(|maps| maps.record(everything))
    }

    #[cfg(any(target_family = "wasm", test))]
    fn load(&self, records: &[u8]) -> Result<()> {
        record::read(records, |_| Ok(()))?;
        self.with(|maps| {
            let mut change = Change::begin(maps, 0, Version::default(), false);
            record::read(records, |told| change.load(told))?;
            change.keep();
            Ok(())
        })
    }

    fn close(&self) -> Result<()> {
        *self.lock() = None;
        Ok(())
    }
}

/// A write under way. Unless `undo` was emptied, dropping it takes everything back.
struct Change<'a> {
    maps: &'a mut Maps,
    now: i64,
    version: Version,
    /// Whether the changes are to be in the next record.
    is_noted: bool,
    /// What each changed key held before, in the order of the changes.
    undo: Vec<(Place, Option<Box<Entry>>)>,
    mark: Mark,
}

impl<'a> Change<'a> {
    fn begin(maps: &'a mut Maps, now: i64, version: Version, is_noted: bool) -> Self {
        Change { maps, now, version, is_noted, undo: Vec::new(), mark: Mark::now() }
    }

    fn keep(mut self) {
        self.undo.clear();
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        for (place, before) in self.undo.drain(..).rev() {
            self.maps.remove(&place.namespace, &place.key);
            // (Its end is still among the ends, which forget none during a write.)
            if let Some(entry) = before {
                self.maps.insert(&place.namespace, place.key, entry);
            }
        }
    }
}

impl Change<'_> {
    /// First everything that can fail, then what cannot, or not without being undone.
    fn put_row(&mut self, namespace: &str, key: &str, entry: Entry) -> Result<()> {
        let place = self.undoable(namespace, key)?;
        if self.is_noted {
            self.maps.changes.note(namespace, key)?;
        }
        self.maps.ends(namespace, key, &entry)?;
        match self.maps.row_mut(namespace, key) {
            Some(row) => {
                let before = mem::replace(row, Box::new(entry));
                self.undo.push((place, Some(before)));
            }
            None => {
                self.maps.insert(namespace, boxed(key)?, Box::new(entry));
                self.undo.push((place, None));
            }
        }
        self.mark.check()
    }

    fn remove_row(&mut self, namespace: &str, key: &str) -> Result<()> {
        let place = self.undoable(namespace, key)?;
        if let Some((key, before)) = self.maps.remove(namespace, key) {
            self.undo.push((place, Some(before)));
            if self.is_noted {
                self.maps.changes.note_removed(namespace, key);
            }
        }
        Ok(())
    }

    /// Room to undo a change.
    fn undoable(&mut self, namespace: &str, key: &str) -> Result<Place> {
        self.undo.try_reserve(1).map_err(|_| Error::no_memory(size_of_val(self.undo.as_slice())))?;
        Place::of(namespace, key)
    }

    #[cfg(any(target_family = "wasm", test))]
    fn load(&mut self, told: record::Told<'_>) -> Result<()> {
        let entry = |row: record::ToldRow<'_>| -> Result<Entry> {
            let mut value = Vec::new();
            copy(row.value, &mut value)?;
            let metadata = row.metadata.map(copy_text).transpose()?;
            Ok(Entry { value, metadata, expiration: row.expiration, version: row.version })
        };
        match told.row {
            Some(row) => self.put_row(told.namespace, told.key, entry(row)?),
            None => self.remove_row(told.namespace, told.key),
        }
    }
}

impl Rows for Change<'_> {
    fn now(&self) -> i64 {
        self.now
    }

    fn get(&mut self, namespace: &str, key: &str, entry: &mut Entry) -> Result<bool> {
        match self.maps.live(namespace, key, self.now) {
            Some(row) => copy_entry(row, entry).map(|()| true),
            None => Ok(false),
        }
    }

    fn version(&mut self, namespace: &str, key: &str) -> Result<Option<Version>> {
        Ok(self.maps.live(namespace, key, self.now).map(|row| row.version))
    }

    fn put(&mut self, namespace: &str, put: Put<'_>) -> Result<()> {
        let mut value = Vec::new();
        copy(put.value, &mut value)?;
        let metadata = put.metadata.map(copy_text).transpose()?;
        let entry = Entry { value, metadata, expiration: put.expiration, version: self.version };
        self.put_row(namespace, put.key, entry)?;
        hooks::panic_on(put.key);
        Ok(())
    }

    fn touch(&mut self, namespace: &str, key: &str, expiration: Option<i64>) -> Result<bool> {
        let mut entry = Entry::default();
        if !self.get(namespace, key, &mut entry)? {
            return Ok(false);
        }
        self.put_row(namespace, key, Entry { expiration, version: self.version, ..entry }).map(|()| true)
    }

    fn delete(&mut self, namespace: &str, key: &str) -> Result<()> {
        self.remove_row(namespace, key)
    }

    fn remove(&mut self, range: Range<'_>, step: Step) -> Result<Removed> {
        let (mut removed, mut bytes) = (Removed::default(), 0);
        let mut rows = Vec::new();
        for (key, row) in self.maps.range(range).take(step.rows) {
            if bytes >= step.bytes {
                break;
            }
            bytes += row.value.len() as u64;
            rows.push((boxed(key)?, is_gone(row.expiration, self.now)));
        }
        for (key, gone) in &rows {
            self.remove_row(range.namespace, key)?;
            removed.rows += 1;
            removed.live += u64::from(!gone);
        }
        removed.last = rows.pop().map(|(key, _)| key.into());
        Ok(removed)
    }
}

fn copy_entry(row: &Entry, entry: &mut Entry) -> Result<()> {
    copy(&row.value, &mut entry.value)?;
    entry.metadata = row.metadata.as_deref().map(copy_text).transpose()?;
    (entry.expiration, entry.version) = (row.expiration, row.version);
    Ok(())
}

fn info(key: &str, row: &Entry, values: bool) -> Result<KeyInfo> {
    let mut value = None;
    if values {
        copy(&row.value, value.insert(Vec::new()))?;
    }
    let metadata = row.metadata.as_deref().map(copy_text).transpose()?;
    let (name, expiration, version) = (copy_text(key)?, row.expiration, row.version);
    Ok(KeyInfo { name, metadata, expiration, version, value })
}
