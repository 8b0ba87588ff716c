//! The back end in memory: ordered maps behind one lock.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Backend, Change, Range, SWEEP_PER_WRITE};
use crate::error::{Error, Result};
use crate::types::{Entry, KeyInfo};

/// `None` once it is closed.
pub(crate) struct Memory(RwLock<Option<Rows>>);

#[derive(Default)]
struct Rows {
    /// No namespace is empty.
    namespaces: BTreeMap<String, BTreeMap<String, Entry>>,
    /// Exactly the rows that expire, as (expiration, namespace, key).
    ends: BTreeSet<(i64, String, String)>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Memory(RwLock::new(Some(Rows::default())))
    }

    // A poisoned lock is used on: no operation below can panic half-way through its changes.

    fn read(&self) -> RwLockReadGuard<'_, Option<Rows>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> RwLockWriteGuard<'_, Option<Rows>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Memory {
    fn get(&self, namespace: &str, key: &str, now: i64, entry: &mut Entry) -> Result<bool> {
        let rows = self.read();
        let rows = rows.as_ref().ok_or_else(Error::closed)?;
        let Some(row) = rows.namespaces.get(namespace).and_then(|keys| keys.get(key)) else { return Ok(false) };
        if is_gone(row.expiration, now) {
            return Ok(false);
        }
        entry.value.clear();
        append(&mut entry.value, &row.value)?;
        entry.metadata.clone_from(&row.metadata);
        entry.expiration = row.expiration;
        Ok(true)
    }

    fn write(&self, namespace: &str, changes: &[Change<'_>], now: i64) -> Result<()> {
        // All that can fail comes first, so that a failed write has changed nothing.
        let made = changes.iter().map(Made::try_from).collect::<Result<Vec<_>>>()?;
        let mut rows = self.lock();
        let rows = rows.as_mut().ok_or_else(Error::closed)?;
        for change in made {
            match change {
                Made::Put(key, entry) => rows.put(namespace, key, entry),
                Made::Delete(key) => rows.remove(namespace, key),
            }
        }
        rows.sweep(SWEEP_PER_WRITE, now);
        Ok(())
    }

    fn list(&self, range: Range<'_>, limit: usize, now: i64) -> Result<Vec<KeyInfo>> {
        let rows = self.read();
        let rows = rows.as_ref().ok_or_else(Error::closed)?;
        let Some(keys) = rows.namespaces.get(range.namespace) else { return Ok(Vec::new()) };
        let below = range.below.map_or(Bound::Unbounded, Bound::Excluded);
        if range.below.is_some_and(|below| below <= range.from) {
            return Ok(Vec::new()); // an empty range, which BTreeMap::range would panic on
        }
        let live = keys
            .range::<str, _>((Bound::Included(range.from), below))
            .filter(|(_, row)| !is_gone(row.expiration, now))
            .take(limit)
            .map(|(key, row)| KeyInfo {
                name: key.clone(),
                metadata: row.metadata.clone(),
                expiration: row.expiration,
            });
        Ok(live.collect())
    }

    fn sweep(&self, max: u64, now: i64) -> Result<u64> {
        let mut rows = self.lock();
        Ok(rows.as_mut().ok_or_else(Error::closed)?.sweep(max, now))
    }

    fn close(&self) -> Result<()> {
        *self.lock() = None;
        Ok(())
    }
}

/// A change with its bytes copied, ready to be put in place.
enum Made<'a> {
    Put(&'a str, Entry),
    Delete(&'a str),
}

impl<'a> TryFrom<&Change<'a>> for Made<'a> {
    type Error = Error;

    fn try_from(change: &Change<'a>) -> Result<Self> {
        Ok(match *change {
            Change::Put { key, value, metadata, expiration } => {
                let mut copy = Vec::new();
                append(&mut copy, value)?;
                Made::Put(key, Entry { value: copy, metadata: metadata.map(str::to_owned), expiration })
            }
            Change::Delete { key } => Made::Delete(key),
        })
    }
}

impl Rows {
    fn put(&mut self, namespace: &str, key: &str, entry: Entry) {
        self.remove(namespace, key);
        if let Some(end) = entry.expiration {
            self.ends.insert((end, namespace.to_owned(), key.to_owned()));
        }
        match self.namespaces.get_mut(namespace) {
            Some(keys) => keys.insert(key.to_owned(), entry),
            None => self.namespaces.entry(namespace.to_owned()).or_default().insert(key.to_owned(), entry),
        };
    }

    fn remove(&mut self, namespace: &str, key: &str) {
        let Some(keys) = self.namespaces.get_mut(namespace) else { return };
        let Some((key, row)) = keys.remove_entry(key) else { return };
        if keys.is_empty() {
            self.namespaces.remove(namespace);
        }
        if let Some(end) = row.expiration {
            self.ends.remove(&(end, namespace.to_owned(), key));
        }
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

/// Copies a value, which may be large, without aborting the process when memory has run out.
fn append(to: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    to.try_reserve_exact(bytes.len()).map_err(|_| Error::no_memory(bytes.len()))?;
    to.extend_from_slice(bytes);
    Ok(())
}
