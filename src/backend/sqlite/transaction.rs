//! A write in progress: what its operations do to the rows.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Transaction as SqliteTransaction, TransactionBehavior};

use super::connection::Connection;
use super::failed_commit;
use super::overwriting::Overwriting;
use super::prepared::{Kept, PreparedConnection};
use super::rows::{self, Found, LONGEST_NAME, below};
use super::schema::{self, Steps};
use crate::backend::sweeping::Sweeping;
use crate::backend::{Projection, Put, Range, Removed, Step, Transaction, copy_text};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::test_hooks;
use crate::types::Entry;
use crate::version::Version;

impl Connection {
    /// Changes rows in a transaction, and sweeps. If `run` returns `None` or fails, changes nothing. One statement needs no
    /// explicit transaction, which costs much less; nor does a put, whose first statement may change nothing.
    pub(super) fn change<T>(
        &mut self,
        clock: &Clock,
        is_one_statement: bool,
        run: impl FnOnce(&mut Change<'_>) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let (version, now) = (self.versions.next(), clock.now());
        if is_one_statement && !self.sweeping.is_due(now, 0) {
            let mut change = self.begin(now, version);
            let done = run(&mut change);
            let expiries = change.expiries;
            self.sweeping.put_off(expiries);
            return done.map_err(|failed| self.take_back(failed));
        }
        let transaction = SqliteTransaction::new_unchecked(&self.sqlite, TransactionBehavior::Immediate)?;
        let now = clock.now();
        if self.sweeping.is_first(now) {
            self.guard.look_again(&self.sqlite)?;
        }
        let mut change = self.begin(now, version);
        let Some(answer) = run(&mut change)? else {
            return Ok(None);
        };
        let expiries = change.expiries;
        let quota = self.sweeping.is_due(now, expiries).then(|| self.sweeping.quota(now, expiries));
        let swept = quota.map_or(Ok(0), |quota| sweep(&transaction, quota, now))?;
        transaction.commit().map_err(|failed| self.take_back(failed.into()))?;
        match quota {
            Some(quota) => self.sweeping.done(now, swept == quota),
            None => self.sweeping.put_off(expiries),
        }
        Ok(Some(answer))
    }

    /// Carries out several changes in one transaction, and sweeps. `run` carries out one of them, so that it has changed
    /// all or nothing, and returns how many rows it has put that have an expiration. Returns false if a failure of one
    /// has ended the transaction: then nothing was changed.
    pub(super) fn change_all(
        &mut self,
        clock: &Clock,
        count: usize,
        run: &mut dyn FnMut(&PreparedConnection, Change<'_>, usize) -> u64,
    ) -> Result<bool> {
        let transaction = SqliteTransaction::new_unchecked(&self.sqlite, TransactionBehavior::Immediate)?;
        let now = clock.now();
        if self.sweeping.is_first(now) {
            self.guard.look_again(&self.sqlite)?;
        }
        // One of the writes counts in any case.
        let mut expiries = Sweeping::PER_WRITE * (count as u64).saturating_sub(1);
        for index in 0..count {
            let version = self.versions.next();
            expiries += run(&self.sqlite, self.begin(now, version), index);
            if self.sqlite.is_autocommit() {
                return Ok(false);
            }
        }
        let quota = self.sweeping.is_due(now, expiries).then(|| self.sweeping.quota(now, expiries));
        let swept = quota.map_or(Ok(0), |quota| sweep(&transaction, quota, now))?;
        transaction.commit().map_err(|failed| self.take_back(failed.into()))?;
        match quota {
            Some(quota) => self.sweeping.done(now, swept == quota),
            None => self.sweeping.put_off(expiries),
        }
        Ok(true)
    }

    /// Removes up to `max` expired rows, and counts them.
    pub(super) fn sweep(&mut self, max: u64, now: i64) -> Result<u64> {
        let transaction = SqliteTransaction::new_unchecked(&self.sqlite, TransactionBehavior::Immediate)?;
        self.guard.look_again(&self.sqlite)?;
        let swept = sweep(&transaction, max, now)?;
        transaction.commit().map_err(|failed| self.take_back(failed.into()))?;
        Ok(swept)
    }

    fn begin(&self, now: i64, version: Version) -> Change<'_> {
        Change { sqlite: &self.sqlite, steps: &self.guard.steps, now, version, expiries: 0 }
    }

    fn take_back(&self, failed: Error) -> Error {
        failed_commit::take_back(&self.sqlite, self.busy_timeout, failed)
    }
}

fn sweep(sqlite: &rusqlite::Connection, max: u64, now: i64) -> Result<u64> {
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    Ok(sqlite.prepare_cached(schema::SWEEP)?.execute((now, max))? as u64)
}

/// A write in progress, within a transaction or as its only statement.
pub(super) struct Change<'a> {
    sqlite: &'a PreparedConnection,
    steps: &'a Steps,
    pub(super) now: i64,
    pub(super) version: Version,
    /// How many rows it has put that have an expiration.
    pub(super) expiries: u64,
}

impl Change<'_> {
    /// Removes the first rows of a range: all of them, or those that have expired.
    pub(super) fn remove(&mut self, range: Range<'_>, step: Step, expired_only: bool) -> Result<Removed> {
        self.steps.restart();
        let mut query = self.sqlite.prepare_cached(schema::MEASURE)?;
        let (mut removed, mut bytes) = (Removed::default(), 0);
        {
            let mut rows = query.query((
                range.namespace,
                range.from,
                ToSqlOutput::Borrowed(below(&range)),
                self.now,
                step.rows as i64,
            ))?;
            while bytes < step.bytes
                && let Some(row) = rows.next()?
            {
                let is_live: bool = row.get(2)?;
                if !is_live || !expired_only {
                    bytes += row.get::<_, u64>(1)?;
                    removed.live += u64::from(is_live);
                    removed.rows += 1;
                }
                removed.last = rows::text(row.get_ref(0)?, LONGEST_NAME)?.map(copy_text).transpose()?;
            }
        }
        let (Range { namespace, from, .. }, now) = (range, self.now);
        match &removed.last {
            Some(last) if expired_only => {
                self.sqlite.prepare_cached(schema::REMOVE_EXPIRED)?.execute((namespace, from, last, now))?
            }
            Some(last) => self.sqlite.prepare_cached(schema::REMOVE)?.execute((namespace, from, last))?,
            None => 0,
        };
        Ok(removed)
    }
}

impl Change<'_> {
    /// Stores a row, by [`Kept::Put`], [`Kept::Overwrite`] or [`Kept::Add`]. Returns whether it did.
    fn store(&mut self, kept: Kept, namespace: &str, put: Put<'_>) -> Result<bool> {
        self.steps.restart();
        test_hooks::panic_on(put.key);
        let row = [
            namespace.into(),
            self.version.as_bytes().as_slice().into(),
            put.key.into(),
            put.value.into(),
            put.metadata.into(),
            put.expiration.map_or(ValueRef::Null, ValueRef::Integer),
            ValueRef::Integer(self.now),
        ];
        let parameters = match kept {
            Kept::Overwrite => &row[..row.len() - 2],
            Kept::Add => &row[..],
            _ => &row[..row.len() - 1],
        };
        let mut execution = self.sqlite.run(kept, parameters)?;
        execution.step()?;
        let (stored, is_new) = (self.sqlite.changes() > 0, execution.was_prepared_anew());
        drop(execution);
        if stored {
            self.expiries += u64::from(put.expiration.is_some());
        }
        // The table may have got columns of another program, whose values must not stay.
        if is_new && schema::choose_put(self.sqlite)? && stored {
            self.sqlite.run(Kept::Put, &row[..row.len() - 1])?.execute()?;
        }
        Ok(stored)
    }
}

impl Transaction for Change<'_> {
    fn now(&self) -> i64 {
        self.now
    }

    fn get(&mut self, namespace: &str, key: &str, entry: &mut Entry) -> Result<bool> {
        self.steps.restart();
        rows::get(self.sqlite, namespace, key, Projection::Entry, self.now, entry).map(Found::is_live)
    }

    fn version(&mut self, namespace: &str, key: &str) -> Result<Option<Version>> {
        self.steps.restart();
        rows::version_of(self.sqlite, namespace, key, self.now)
    }

    fn put(&mut self, namespace: &str, put: Put<'_>) -> Result<()> {
        let overwriting = &self.sqlite.overwriting;
        if put.expiration.is_none() && overwriting.is_likely() {
            if self.store(Kept::Overwrite, namespace, put)? {
                return Ok(());
            }
            overwriting.failed();
        }
        Overwriting::begin(self.sqlite);
        self.store(Kept::Put, namespace, put)?;
        overwriting.end(self.sqlite);
        Ok(())
    }

    fn add(&mut self, namespace: &str, put: Put<'_>) -> Result<bool> {
        self.store(Kept::Add, namespace, put)
    }

    fn touch(&mut self, namespace: &str, key: &str, expiration: Option<i64>) -> Result<bool> {
        self.steps.restart();
        let row = [
            namespace.into(),
            key.into(),
            expiration.map_or(ValueRef::Null, ValueRef::Integer),
            self.version.as_bytes().as_slice().into(),
            ValueRef::Integer(self.now),
        ];
        self.sqlite.run(Kept::Touch, &row)?.execute().map_err(|error| rows::of_long_row(error, key))
    }

    fn delete(&mut self, namespace: &str, key: &str) -> Result<bool> {
        self.steps.restart();
        let row = [namespace.into(), key.into(), ValueRef::Integer(self.now)];
        let is_live = self.sqlite.run(Kept::Delete, &row)?.execute()?;
        if !is_live {
            self.sqlite.run(Kept::DeleteExpired, &row)?.execute()?;
        }
        Ok(is_live)
    }
}
