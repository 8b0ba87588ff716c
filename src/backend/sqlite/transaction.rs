//! A write in progress: what its operations do to the rows.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Transaction as SqliteTransaction, TransactionBehavior};

use super::connection::Connection;
use super::failed_commit;
use super::prepared::{Kept, PreparedConnection};
use super::rows::{self, Found, LONGEST_NAME, below};
use super::schema::{self, Steps};
use crate::backend::{Projection, Put, Range, Removed, SWEEP_PER_WRITE, Step, Transaction};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::test_hooks;
use crate::types::Entry;
use crate::version::Version;

impl Connection {
    /// Changes rows in a transaction, and sweeps. If `run` returns `None` or fails, changes nothing. A change of one
    /// statement needs no explicit transaction, which costs much less.
    pub(super) fn change<T>(
        &mut self,
        clock: &Clock,
        is_one_statement: bool,
        run: impl FnOnce(&mut Change<'_>) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let (version, now) = (self.versions.next(), clock.now());
        let sweeps = self.may_sweep(now);
        if is_one_statement && !sweeps {
            let done = run(&mut self.begin(now, version));
            return done.map_err(|failed| self.take_back(failed));
        }
        let transaction = SqliteTransaction::new_unchecked(&self.sqlite, TransactionBehavior::Immediate)?;
        let now = clock.now();
        if sweeps {
            self.guard.look_again(&self.sqlite)?;
        }
        let mut change = self.begin(now, version);
        let Some(answer) = run(&mut change)? else {
            return Ok(None);
        };
        let quota = SWEEP_PER_WRITE + change.expiries;
        let swept = if sweeps { sweep(&transaction, quota, now)? } else { 0 };
        transaction.commit().map_err(|failed| self.take_back(failed.into()))?;
        if sweeps {
            self.swept(now, swept == quota);
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
        let sweeps = self.may_sweep(now);
        if sweeps {
            self.guard.look_again(&self.sqlite)?;
        }
        let mut expiries = 0;
        for index in 0..count {
            let version = self.versions.next();
            expiries += run(&self.sqlite, self.begin(now, version), index);
            if self.sqlite.is_autocommit() {
                return Ok(false);
            }
        }
        let quota = SWEEP_PER_WRITE * count as u64 + expiries;
        let swept = if sweeps { sweep(&transaction, quota, now)? } else { 0 };
        transaction.commit().map_err(|failed| self.take_back(failed.into()))?;
        if sweeps {
            self.swept(now, swept == quota);
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

    /// Rows expire when a second begins, never within one, so one look in each second finds all that have. If a look
    /// reaches its quota there are more, and each write removes its share.
    fn may_sweep(&self, now: i64) -> bool {
        self.more_to_sweep || self.last_look != Some(now)
    }

    fn swept(&mut self, now: i64, more: bool) {
        self.last_look = Some(now);
        self.more_to_sweep = more;
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
    /// Removes the first rows of a range, including expired ones.
    pub(super) fn remove(&mut self, range: Range<'_>, step: Step) -> Result<Removed> {
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
                bytes += row.get::<_, u64>(1)?;
                removed.live += u64::from(row.get::<_, bool>(2)?);
                removed.rows += 1;
                removed.last = rows::text(row.get_ref(0)?, LONGEST_NAME)?;
            }
        }
        if let Some(last) = &removed.last {
            self.sqlite.prepare_cached(schema::REMOVE)?.execute((range.namespace, range.from, last))?;
        }
        Ok(removed)
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
        self.steps.restart();
        self.expiries += u64::from(put.expiration.is_some());
        test_hooks::panic_on(put.key);
        let row = [
            namespace.into(),
            self.version.as_bytes().into(),
            put.key.into(),
            put.value.into(),
            put.metadata.into(),
            put.expiration.map_or(ValueRef::Null, ValueRef::Integer),
        ];
        let mut execution = self.sqlite.run(Kept::Put, &row)?;
        execution.step()?;
        if !execution.was_prepared_anew() {
            return Ok(());
        }
        // The table may have got columns of another program, whose values must not stay.
        drop(execution);
        match schema::choose_put(self.sqlite)? {
            true => self.sqlite.run(Kept::Put, &row)?.execute().map(|_| ()),
            false => Ok(()),
        }
    }

    fn touch(&mut self, namespace: &str, key: &str, expiration: Option<i64>) -> Result<bool> {
        self.steps.restart();
        let row = [
            namespace.into(),
            key.into(),
            expiration.map_or(ValueRef::Null, ValueRef::Integer),
            self.version.as_bytes().into(),
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
