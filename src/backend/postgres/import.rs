//! An import: rows that are stored in portions, within one transaction.

use std::collections::BTreeMap;

use super::attempt::{Attempt, check};
use super::call::Call;
use super::connection::{Connection, Statement};
use super::failure::Failure;
use super::rows::{Row, Store, delete_all, lock, put_all};
use super::sql;
use crate::backend::{Projection, Put, Transaction, copy, copy_text};
use crate::error::{Error, Result};
use crate::types::Entry;
use crate::version::Version;

/// What a portion has, at most.
const ROWS: usize = 1000;
const BYTES: usize = 1024 * 1024;

pub(super) struct Importing<'a> {
    pub connection: &'a mut Connection,
    pub call: &'a mut Call,
    pub attempt: Attempt,
    pub now: i64,
    /// What is not sent yet, in the order of the keys.
    waiting: BTreeMap<(String, String), Change>,
    bytes: usize,
    /// The lifetime of the entry that comes next.
    ttl: Option<i64>,
    /// How many of what was to be added was not, since the keys had entries.
    refused: u64,
    /// Why the transaction has ended.
    pub failed: Option<Failure>,
}

struct Change {
    /// `None` removes the key.
    entry: Option<Entry>,
    /// Only if the key has no live entry.
    adds: bool,
    /// The lifetime, which begins when the row is locked.
    ttl: Option<i64>,
}

impl<'a> Importing<'a> {
    pub fn new(connection: &'a mut Connection, call: &'a mut Call, attempt: Attempt, now: i64) -> Self {
        let waiting = BTreeMap::new();
        Importing { connection, call, attempt, now, waiting, bytes: 0, ttl: None, refused: 0, failed: None }
    }

    fn change(&mut self, namespace: &str, key: &str, entry: Option<Entry>, adds: bool) -> Result<()> {
        let value = entry.as_ref().map_or(&[][..], Entry::value);
        check(namespace, key, value)?;
        let name = (copy_text(namespace)?, copy_text(key)?);
        let (len, full) = (value.len(), self.waiting.len() >= ROWS || self.bytes + value.len() > BYTES);
        // A statement changes a row once.
        if full || self.waiting.contains_key(&name) {
            self.flush()?;
        }
        self.bytes += len;
        let ttl = self.ttl.take();
        self.waiting.insert(name, Change { entry, adds, ttl });
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.call.restart();
        self.call.allow(self.bytes);
        self.send().map_err(|failure| {
            let error = failure.error.clone();
            self.failed = Some(failure);
            error
        })
    }

    fn send(&mut self) -> Result<(), Failure> {
        let mut statements = Vec::new();
        let rows = |adds: bool| -> Vec<Row<'_>> {
            let all = self.waiting.iter().filter(|(_, change)| change.adds == adds);
            all.filter_map(|((namespace, key), change)| {
                let entry = change.entry.as_ref()?;
                let (metadata, value) = (entry.metadata.as_deref(), entry.value());
                let at = entry.expiration.filter(|_| change.ttl.is_none());
                Some(Row { namespace, key, ttl: change.ttl, at, metadata, value })
            })
            .collect()
        };
        let (puts, adds) = (rows(false), rows(true));
        let gone = self.waiting.iter().filter(|(_, change)| change.entry.is_none());
        let gone: Vec<_> = gone.map(|((namespace, key), _)| (&**namespace, &**key)).collect();
        // In a statement of its own, so that the lifetimes begin afterwards.
        let lasting = self.waiting.iter().filter(|(_, change)| change.ttl.is_some());
        let lasting: Vec<_> = lasting.map(|((namespace, key), _)| (&**namespace, &**key)).collect();
        if !lasting.is_empty() {
            statements.push(lock(&lasting, &self.attempt)?);
        }
        put_all(&mut statements, &puts, &self.attempt, Store::Put, None)?;
        delete_all(&mut statements, &gone)?;
        let before = statements.len();
        put_all(&mut statements, &adds, &self.attempt, Store::Add, None)?;
        let answers = self.connection.fly(self.call, &statements)?;
        let stored: u64 = answers.iter().skip(before).map(|rows| rows.changed()).sum();
        self.refused += adds.len() as u64 - stored;
        self.waiting.clear();
        self.bytes = 0;
        Ok(())
    }

    /// Copies what a key is to hold.
    fn entry(put: Put<'_>) -> Result<Entry> {
        let (mut value, metadata) = (Vec::new(), put.metadata.map(copy_text).transpose()?);
        copy(put.value, &mut value)?;
        Ok(Entry { value: Some(value), metadata, expiration: put.expiration, ..Entry::default() })
    }

    pub fn commit(&mut self) -> Result<(), Failure> {
        self.connection.ask(self.call, Statement::new(sql::COMMIT, [])).map(drop)
    }
}

impl Transaction for Importing<'_> {
    fn now(&self) -> i64 {
        self.now
    }

    fn get(&mut self, namespace: &str, key: &str, entry: &mut Entry) -> Result<bool> {
        self.flush()?;
        let now = Some(self.now);
        super::read::get(self.connection, self.call, (namespace, key), Projection::Entry, now, entry)
            .map_err(|failure| failure.error)
    }

    fn version(&mut self, namespace: &str, key: &str) -> Result<Option<Version>> {
        let mut entry = Entry::default();
        Ok(self.get(namespace, key, &mut entry)?.then_some(entry.version))
    }

    fn lasts(&mut self, ttl: Option<i64>) {
        self.ttl = ttl;
    }

    fn put(&mut self, namespace: &str, put: Put<'_>) -> Result<()> {
        let entry = Self::entry(put)?;
        self.change(namespace, put.key, Some(entry), false)
    }

    /// What is not stored is counted by [`complete`](Transaction::complete).
    fn add(&mut self, namespace: &str, put: Put<'_>) -> Result<bool> {
        let entry = Self::entry(put)?;
        self.change(namespace, put.key, Some(entry), true).map(|()| true)
    }

    fn touch(&mut self, namespace: &str, key: &str, expiration: Option<i64>) -> Result<bool> {
        let mut entry = Entry::default();
        if !self.get(namespace, key, &mut entry)? {
            return Ok(false);
        }
        entry.expiration = expiration;
        self.change(namespace, key, Some(entry), false).map(|()| true)
    }

    fn delete(&mut self, namespace: &str, key: &str) -> Result<bool> {
        // What an import removes has expired by its own time, so nobody asks whether it was there.
        self.change(namespace, key, None, false).map(|()| false)
    }

    fn complete(&mut self) -> Result<u64> {
        if let Some(failed) = &self.failed {
            return Err(Error::clone(&failed.error));
        }
        self.flush()?;
        Ok(std::mem::take(&mut self.refused))
    }
}
