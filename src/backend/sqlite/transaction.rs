//! A write under way: what its operations do to the rows.

use rusqlite::{CachedStatement, StatementStatus, TransactionBehavior};

use super::connection::Connection;
use super::failed_commit;
use super::rows::{self, LONGEST_NAME, below};
use super::schema::{self, Guard};
use crate::backend::{Projection, Put, Range, Removed, SWEEP_PER_WRITE, Step, Transaction};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::hooks;
use crate::types::Entry;
use crate::version::Version;

impl Connection {
    /// Changes rows in a transaction, and sweeps; or where `run` answers `None` or fails, changes nothing. What is one
    /// statement is a transaction of its own, and much the cheapest one.
    pub(super) fn change<T>(
        &mut self,
        clock: &Clock,
        is_one_statement: bool,
        run: impl FnOnce(&mut Change<'_>) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let (version, now) = (self.versions.next(), clock.now());
        let sweeps = self.may_sweep(now);
        if is_one_statement && !sweeps {
            let done = run(&mut Change::new(&self.sqlite, &self.guard, now, version));
            return done.map_err(|failed| self.take_back(failed));
        }
        let transaction = self.sqlite.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = clock.now();
        if sweeps {
            self.guard.look_again(&transaction)?;
        }
        let Some(answer) = run(&mut Change::new(&transaction, &self.guard, now, version))? else {
            return Ok(None);
        };
        let swept = if sweeps { sweep(&transaction, SWEEP_PER_WRITE, now)? } else { 0 };
        transaction.commit().map_err(|failed| self.take_back(failed.into()))?;
        if sweeps {
            self.swept(now, swept == SWEEP_PER_WRITE);
        }
        Ok(Some(answer))
    }

    fn take_back(&mut self, failed: Error) -> Error {
        failed_commit::take_back(&mut self.sqlite, self.busy_timeout, failed)
    }

    /// Rows end when a second begins, never within one, so one look in each second finds all that have; while a look
    /// fills its quota there is more, and each write takes its share.
    fn may_sweep(&self, now: i64) -> bool {
        self.more_to_sweep || self.last_look != Some(now)
    }

    fn swept(&mut self, now: i64, more: bool) {
        self.last_look = Some(now);
        self.more_to_sweep = more;
    }
}

/// Removes up to `max` expired rows, and counts them.
pub(super) fn sweep(sqlite: &rusqlite::Connection, max: u64, now: i64) -> Result<u64> {
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    Ok(sqlite.prepare_cached(schema::SWEEP)?.execute((now, max))? as u64)
}

/// A write under way, within a transaction or as the only statement of its own.
pub(super) struct Change<'a> {
    sqlite: &'a rusqlite::Connection,
    guard: &'a Guard,
    now: i64,
    pub(super) version: Version,
    putting: Option<Putting<'a>>,
}

/// The statement that most changes of a large batch are: not looked up for each, and with what they have in common
/// bound to it, which is its version and the namespace.
struct Putting<'a> {
    statement: CachedStatement<'a>,
    namespace: String,
}

impl<'a> Change<'a> {
    fn new(sqlite: &'a rusqlite::Connection, guard: &'a Guard, now: i64, version: Version) -> Self {
        Change { sqlite, guard, now, version, putting: None }
    }

    /// Puts a row once more where the schema has changed since the statement was chosen, and the table has other columns:
    /// what another program has in them is not to stay.
    #[cold]
    fn put_into_new_columns(&self, namespace: &str, put: Put<'_>) -> Result<()> {
        let statement = schema::put_now(self.sqlite)?;
        if statement != self.guard.put() {
            let row = (namespace, self.version.as_bytes(), put.key, put.value, put.metadata, put.expiration);
            self.sqlite.execute(&statement, row)?;
        }
        Ok(())
    }

    /// Removes the first rows of a range, the expired ones too.
    pub(super) fn remove(&mut self, range: Range<'_>, step: Step) -> Result<Removed> {
        self.guard.steps.restart();
        let mut query = self.sqlite.prepare_cached(schema::MEASURE)?;
        let (mut removed, mut bytes) = (Removed::default(), 0);
        {
            let mut rows = query.query((range.namespace, range.from, below(&range), self.now, step.rows as i64))?;
            while bytes < step.bytes
                && let Some(row) = rows.next()?
            {
                bytes += row.get::<_, u64>(1)?;
                removed.live += u64::from(row.get::<_, bool>(2)?);
                removed.rows += 1;
                removed.last = rows::text(row, 0, LONGEST_NAME)?;
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
        self.guard.steps.restart();
        rows::get(self.sqlite, namespace, key, Projection::Entry, self.now, entry)
    }

    fn version(&mut self, namespace: &str, key: &str) -> Result<Option<Version>> {
        self.guard.steps.restart();
        let mut query = self.sqlite.prepare_cached(schema::VERSION)?;
        let mut found = query.query((namespace, key))?;
        match found.next()? {
            Some(row) if rows::is_live(row, 1, self.now)? => rows::version(row, 0).map(Some),
            _ => Ok(None),
        }
    }

    fn put(&mut self, namespace: &str, put: Put<'_>) -> Result<()> {
        self.guard.steps.restart();
        let putting = match &mut self.putting {
            Some(putting) if putting.namespace == namespace => putting,
            putting => {
                // The one before goes back to the cache first.
                *putting = None;
                let mut statement = self.sqlite.prepare_cached(self.guard.put())?;
                statement.raw_bind_parameter(1, namespace)?;
                statement.raw_bind_parameter(2, self.version.as_bytes())?;
                putting.insert(Putting { statement, namespace: namespace.to_owned() })
            }
        };
        let statement = &mut putting.statement;
        statement.raw_bind_parameter(3, put.key)?;
        statement.raw_bind_parameter(4, put.value)?;
        statement.raw_bind_parameter(5, put.metadata)?;
        statement.raw_bind_parameter(6, put.expiration)?;
        hooks::panic_on(put.key);
        statement.raw_execute()?;
        match statement.reset_status(StatementStatus::RePrepare) {
            0 => Ok(()),
            _ => self.put_into_new_columns(namespace, put),
        }
    }

    fn touch(&mut self, namespace: &str, key: &str, expiration: Option<i64>) -> Result<bool> {
        self.guard.steps.restart();
        let row = (namespace, key, expiration, self.version.as_bytes(), self.now);
        Ok(self.sqlite.prepare_cached(schema::TOUCH)?.execute(row)? > 0)
    }

    fn delete(&mut self, namespace: &str, key: &str) -> Result<bool> {
        self.guard.steps.restart();
        let row = (namespace, key, self.now);
        let is_live = self.sqlite.prepare_cached(schema::DELETE)?.execute(row)? > 0;
        if !is_live {
            self.sqlite.prepare_cached(schema::DELETE_EXPIRED)?.execute(row)?;
        }
        Ok(is_live)
    }
}
