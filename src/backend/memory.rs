//! The back end in memory: ordered maps behind one lock.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{
    Backend, Body, Each, Extent, Listed, Now, PAGE_BYTES, Put, Range, Removed, Rows, SWEEP_PER_WRITE, Step, Walk, Want,
    copy, copy_text, push,
};
use crate::error::{Error, Result};
use crate::hooks;
use crate::types::{Entry, KeyInfo, NamespaceStats};
use crate::version::{Version, Versions};

/// `None` once it is closed.
pub(crate) struct Memory(RwLock<Option<Maps>>);

struct Maps {
    /// No namespace is empty.
    namespaces: BTreeMap<String, BTreeMap<String, Entry>>,
    /// Exactly the rows that expire, as (expiration, namespace, key).
    ends: BTreeSet<(i64, String, String)>,
    versions: Versions,
}

impl Memory {
    pub(crate) fn new() -> Self {
        static STORES: AtomicU64 = AtomicU64::new(1);
        let versions = Versions::new(STORES.fetch_add(1, Ordering::Relaxed));
        Memory(RwLock::new(Some(Maps { namespaces: BTreeMap::new(), ends: BTreeSet::new(), versions })))
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
            let rows = maps.range(range);
            let rows: Box<dyn Iterator<Item = _>> = if walk.reverse { Box::new(rows.rev()) } else { Box::new(rows) };
            let (mut found, mut bytes) = (Listed::default(), 0);
            for (key, row) in rows.filter(|(_, row)| !is_gone(row.expiration, now)) {
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
        let mut maps = self.lock();
        let maps = maps.as_mut().ok_or_else(Error::closed)?;
        let now = now();
        let version = maps.versions.next();
        let mut change = Change { maps, now, version, undo: Vec::new() };
        if !body(&mut change)? {
            return Ok(None);
        }
        change.undo.clear();
        change.maps.sweep(SWEEP_PER_WRITE, now);
        Ok(Some(version))
    }

    fn sweep(&self, max: u64, now: i64) -> Result<u64> {
        Ok(self.lock().as_mut().ok_or_else(Error::closed)?.sweep(max, now))
    }

    /// The lock is fair enough.
    fn pause(&self) {}

    fn namespaces(&self, now: i64) -> Result<Vec<String>> {
        let stats = self.stats(now)?.into_iter();
        Ok(stats.filter(|namespace| namespace.live > 0).map(|namespace| namespace.name).collect())
    }

    fn stats(&self, now: i64) -> Result<Vec<NamespaceStats>> {
        let stats = |(name, keys): (&String, &BTreeMap<String, Entry>)| {
            let expired = keys.values().filter(|row| is_gone(row.expiration, now)).count() as u64;
            NamespaceStats { name: name.clone(), live: keys.len() as u64 - expired, expired }
        };
        self.read(|maps| Ok(maps.namespaces.iter().map(stats).collect()))
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
    /// What each changed key held before, as (namespace, key, entry), in the order of the changes.
    undo: Vec<(String, String, Option<Entry>)>,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        for (namespace, key, before) in self.undo.drain(..).rev() {
            self.maps.remove(&namespace, &key);
            if let Some(entry) = before {
                self.maps.insert(&namespace, &key, entry);
            }
        }
    }
}

impl Change<'_> {
    fn replace(&mut self, namespace: &str, key: &str, with: Option<Entry>) {
        let before = self.maps.remove(namespace, key);
        if let Some(entry) = with {
            self.maps.insert(namespace, key, entry);
        }
        self.undo.push((namespace.to_owned(), key.to_owned(), before));
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
        self.replace(namespace, put.key, Some(entry));
        hooks::panic_on(put.key);
        Ok(())
    }

    fn touch(&mut self, namespace: &str, key: &str, expiration: Option<i64>) -> Result<bool> {
        let mut entry = Entry::default();
        if !self.get(namespace, key, &mut entry)? {
            return Ok(false);
        }
        self.replace(namespace, key, Some(Entry { expiration, version: self.version, ..entry }));
        Ok(true)
    }

    fn delete(&mut self, namespace: &str, key: &str) -> Result<()> {
        self.replace(namespace, key, None);
        Ok(())
    }

    fn remove(&mut self, range: Range<'_>, step: Step) -> Result<Removed> {
        let (mut removed, mut bytes) = (Removed::default(), 0);
        let mut rows = Vec::new();
        for (key, row) in self.maps.range(range).take(step.rows) {
            if bytes >= step.bytes {
                break;
            }
            bytes += row.value.len() as u64;
            rows.push((key.clone(), is_gone(row.expiration, self.now)));
        }
        let last = rows.last().map(|(key, _)| key.clone());
        for (key, gone) in rows {
            self.replace(range.namespace, &key, None);
            removed.rows += 1;
            removed.live += u64::from(!gone);
        }
        removed.last = last;
        Ok(removed)
    }
}

impl Maps {
    fn live(&self, namespace: &str, key: &str, now: i64) -> Option<&Entry> {
        self.namespaces.get(namespace)?.get(key).filter(|row| !is_gone(row.expiration, now))
    }

    fn range(&self, range: Range<'_>) -> impl DoubleEndedIterator<Item = (&String, &Entry)> {
        // On an empty range BTreeMap::range would panic.
        let keys = self.namespaces.get(range.namespace).filter(|_| !range.is_empty());
        let bounds = (Bound::Included(range.from), range.below.map_or(Bound::Unbounded, Bound::Excluded));
        keys.into_iter().flat_map(move |keys| keys.range::<str, _>(bounds))
    }

    /// The key must not be there.
    fn insert(&mut self, namespace: &str, key: &str, entry: Entry) {
        if let Some(end) = entry.expiration {
            self.ends.insert((end, namespace.to_owned(), key.to_owned()));
        }
        match self.namespaces.get_mut(namespace) {
            Some(keys) => keys.insert(key.to_owned(), entry),
            None => self.namespaces.entry(namespace.to_owned()).or_default().insert(key.to_owned(), entry),
        };
    }

    fn remove(&mut self, namespace: &str, key: &str) -> Option<Entry> {
        let keys = self.namespaces.get_mut(namespace)?;
        let (key, row) = keys.remove_entry(key)?;
        if keys.is_empty() {
            self.namespaces.remove(namespace);
        }
        if let Some(end) = row.expiration {
            self.ends.remove(&(end, namespace.to_owned(), key));
        }
        Some(row)
    }

    fn sweep(&mut self, max: u64, now: i64) -> u64 {
        let mut removed = 0;
        while removed < max && self.ends.first().is_some_and(|(end, ..)| is_gone(Some(*end), now)) {
            if let Some((_, namespace, key)) = self.ends.pop_first() {
                self.remove(&namespace, &key);
                removed += 1;
            }
        }
        removed
    }
}

fn is_gone(expiration: Option<i64>, now: i64) -> bool {
    expiration.is_some_and(|end| now >= end)
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
