//! The rows that a transaction has locked, and what becomes of them before they are stored.

use super::failure::Failure;
use super::rows::Row;
use super::wire::Rows;
use crate::backend::{Put, Transaction, copy, copy_text};
use crate::error::Result;
use crate::types::Entry;
use crate::version::Version;

pub(super) struct Overlay<'a> {
    /// In their order.
    keys: &'a [(&'a str, &'a str)],
    rows: Vec<Held>,
    now: i64,
    version: Version,
}

#[derive(Default)]
struct Held {
    /// `None` if the key has no row, or is to have none.
    entry: Option<Entry>,
    /// Whether the row is there only to be locked, or was changed.
    is_placed: bool,
    is_changed: bool,
}

impl<'a> Overlay<'a> {
    pub fn new(keys: &'a [(&'a str, &'a str)], now: i64, version: Version) -> Self {
        let rows = keys.iter().map(|_| Held::default()).collect();
        Overlay { keys, rows, now, version }
    }

    /// Takes over a row that was locked.
    pub fn read(&mut self, rows: &Rows, row: usize) -> Result<(), Failure> {
        let number = rows.count(row, 0)? as usize;
        let Some(held) = number.checked_sub(1).and_then(|at| self.rows.get_mut(at)) else { return Ok(()) };
        let mut entry = Entry::default();
        super::read::read_entry(rows, row, 1, &mut entry)?;
        held.is_placed = entry.version == self.version;
        held.entry = Some(entry);
        Ok(())
    }

    fn held(&mut self, namespace: &str, key: &str) -> &mut Held {
        // Every key of the write is here.
        let at = self.keys.binary_search(&(namespace, key)).unwrap_or_default();
        &mut self.rows[at]
    }

    fn live(&mut self, namespace: &str, key: &str) -> Option<&mut Entry> {
        let now = self.now;
        let entry = self.held(namespace, key).entry.as_mut();
        entry.filter(|entry| entry.expiration.is_none_or(|end| now < end))
    }

    /// The rows to store, in the order of the keys.
    pub fn puts(&self) -> Vec<Row<'_>> {
        let all = self.keys.iter().zip(&self.rows).filter(|(_, held)| held.is_changed);
        all.filter_map(|((namespace, key), held)| {
            let entry = held.entry.as_ref()?;
            let (metadata, value) = (entry.metadata.as_deref(), entry.value());
            Some(Row { namespace, key, ttl: None, at: entry.expiration, metadata, value })
        })
        .collect()
    }

    /// The rows to remove.
    pub fn deletes(&self) -> Vec<(&'a str, &'a str)> {
        let is_gone = |held: &Held| if held.is_changed { held.entry.is_none() } else { held.is_placed };
        self.keys.iter().zip(&self.rows).filter(|(_, held)| is_gone(held)).map(|(key, _)| *key).collect()
    }
}

impl Transaction for Overlay<'_> {
    fn now(&self) -> i64 {
        self.now
    }

    fn get(&mut self, namespace: &str, key: &str, entry: &mut Entry) -> Result<bool> {
        let Some(found) = self.live(namespace, key) else { return Ok(false) };
        copy(found.value(), entry.value.get_or_insert_default())?;
        entry.metadata = found.metadata.as_deref().map(copy_text).transpose()?;
        (entry.expiration, entry.version) = (found.expiration, found.version);
        Ok(true)
    }

    fn version(&mut self, namespace: &str, key: &str) -> Result<Option<Version>> {
        Ok(self.live(namespace, key).map(|entry| entry.version))
    }

    fn put(&mut self, namespace: &str, put: Put<'_>) -> Result<()> {
        let mut value = Vec::new();
        copy(put.value, &mut value)?;
        let metadata = put.metadata.map(copy_text).transpose()?;
        let version = self.version;
        let held = self.held(namespace, put.key);
        let entry = Entry { value: Some(value), metadata, expiration: put.expiration, version, ..Entry::default() };
        (held.entry, held.is_changed) = (Some(entry), true);
        Ok(())
    }

    fn touch(&mut self, namespace: &str, key: &str, expiration: Option<i64>) -> Result<bool> {
        let version = self.version;
        let Some(entry) = self.live(namespace, key) else { return Ok(false) };
        (entry.expiration, entry.version) = (expiration, version);
        self.held(namespace, key).is_changed = true;
        Ok(true)
    }

    fn delete(&mut self, namespace: &str, key: &str) -> Result<bool> {
        let was_live = self.live(namespace, key).is_some();
        let held = self.held(namespace, key);
        (held.entry, held.is_changed) = (None, true);
        Ok(was_live)
    }
}
