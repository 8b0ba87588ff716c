//! The back end on a PostgreSQL server.
//!
//! | module | content |
//! | --- | --- |
//! | `libpq`, `wire` | the client library, which is loaded when it is needed; parameters and results |
//! | `hosts`, `connection`, `session` | the servers of a URL; a connection and its flights; what belongs to it |
//! | `call`, `pool`, `sockets` | deadlines and forks; the connections; what a child does with its parent's |
//! | `schema`, `sql` | the tables; all SQL |
//! | `read`, `write`, `attempt`, `rows`, `transaction`, `overlay`, `import` | the operations |
//! | `watching`, `polled` | what watches compare; how they learn that there is something to compare |
//! | `failure` | what a failure of the server means |
//!
//! A store has a few connections, each for one call at a time, besides one for each long call in progress (an export, an
//! import, stats, a count of many keys). Each call ends within the busy timeout, whether the server answers or not, and
//! repeats by itself what can be repeated; so `store` does not repeat it.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use self::attempt::Attempt;
use self::call::Call;
use self::connection::{Connection, Statement};
use self::failure::{Failure, Kind};
use self::hosts::Hosts;
use self::import::Importing;
use self::libpq::Libpq;
use self::polled::Polled;
use self::pool::Pools;
use self::schema::Rights;
use self::session::Session;
use super::{Backend, Each, Entries, Import, Outcome, Projection, Range, Removed, Scan, ScanPage, Step, Write};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::types::{Entry, NamespaceStats, OpenOptions};
use crate::url::watch_interval;

mod attempt;
mod call;
mod connection;
mod failure;
mod hosts;
mod import;
mod libpq;
mod overlay;
mod polled;
mod pool;
mod read;
mod rows;
mod schema;
mod session;
pub(crate) mod sockets;
mod sql;
mod transaction;
mod watching;
mod wire;
mod write;

pub(crate) struct Postgres {
    libpq: &'static Libpq,
    hosts: Hosts,
    rights: Rights,
    clock: Clock,
    timeout: Duration,
    pools: Pools,
    polled: Polled,
}

/// What a call does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Intent {
    Read,
    /// It may be repeated without harm.
    Change,
    Write,
}

impl Postgres {
    /// Opens a store on the server that a connection URI names, and creates its tables if they are missing, unless the
    /// options forbid it.
    pub(crate) fn open(url: &str, options: &OpenOptions) -> Result<Postgres> {
        let libpq = libpq::load()?;
        let (url, watch_interval) = watch_interval::split_off(url)?;
        let hosts = Hosts::parse(libpq, &url)?;
        let rights = Rights { readonly: options.readonly, create: options.create };
        let (clock, timeout, pools) = (options.clock.clone(), options.busy_timeout, Pools::new());
        let store = Postgres { libpq, hosts, rights, clock, timeout, pools, polled: Polled::every(watch_interval) };
        store.read(|_, _| Ok(()))?;
        Ok(store)
    }

    /// The present time, if it is set by hand. Otherwise that of the server counts.
    fn now(&self) -> Option<i64> {
        self.clock.by_hand()
    }

    fn check_writable(&self) -> Result<()> {
        match self.rights.readonly {
            true => Err(Error::new(Code::ReadOnly, "the store was opened for reading only")),
            false => Ok(()),
        }
    }

    /// Carries out a call with one of the connections of the store: see [`repeat`](Self::repeat).
    fn run<T>(
        &self,
        intent: Intent,
        act: impl FnMut(&mut Session, &mut Call, bool) -> Result<T, Failure>,
    ) -> Result<T> {
        let done = self.run_in_turn(intent, act);
        if intent != Intent::Read {
            self.polled.forget();
        }
        done
    }

    fn run_in_turn<T>(
        &self,
        intent: Intent,
        act: impl FnMut(&mut Session, &mut Call, bool) -> Result<T, Failure>,
    ) -> Result<T> {
        let mut call = Call::begin(self.timeout);
        let mut turn = self.pools.turn(&mut call, intent != Intent::Read)?;
        // Nothing was sent yet, so the call can be carried out by any session.
        if turn.is_extra()
            && let Err(failure) = self.connect(turn.session()?, &mut call, true)
        {
            turn.exchange(&mut call, failure.error)?;
        }
        self.repeat(intent, turn.session()?, &mut call, act)
    }

    /// Like [`run`](Self::run), with a connection for this call alone, which may take long.
    fn run_apart<T>(
        &self,
        intent: Intent,
        act: impl FnMut(&mut Session, &mut Call, bool) -> Result<T, Failure>,
    ) -> Result<T> {
        self.pools.check_open()?;
        let mut call = Call::begin(self.timeout);
        let mut session = Session::new()?;
        let done = self.repeat(intent, &mut session, &mut call, act);
        session.discard(); // within the gate
        if intent != Intent::Read {
            self.polled.forget();
        }
        done
    }

    /// Makes the connection of a session, if there is none.
    fn connect(&self, session: &mut Session, call: &mut Call, spares: bool) -> Result<(), Failure> {
        if session.is_connected() {
            return Ok(());
        }
        let begun = self.pools.epoch();
        let server = session.connect(call, self.libpq, &self.hosts, self.rights, spares)?;
        // Without a loss, another server is the right one only if the URL has the client look for it.
        let switches = !spares || self.hosts.names_primary;
        if self.pools.admit(session, begun, server, switches) {
            return Ok(());
        }
        session.discard();
        let message = "another connection to the server was lost while this one was made, or this one has reached another \
                       server";
        Err(Failure::new(Kind::Refused, Error::new(Code::Io, message)))
    }

    /// Repeats a call that failed because of others, or whose connection was lost, until its deadline. All attempts are
    /// those of one session, so no other call has its place in the ledger meanwhile. `act` is told whether the answer of
    /// an earlier attempt is missing.
    fn repeat<T>(
        &self,
        intent: Intent,
        session: &mut Session,
        call: &mut Call,
        mut act: impl FnMut(&mut Session, &mut Call, bool) -> Result<T, Failure>,
    ) -> Result<T> {
        let (mut attempt, mut repeated, mut failing) = (0, false, None::<Instant>);
        // The last failure that says more than that there was no answer in the end.
        let mut reason = None;
        loop {
            let mut sent = false;
            let done = self.connect(session, call, false).and_then(|()| {
                sent = true;
                act(session, call, repeated)
            });
            let Failure { kind, error, is_silent } = match done {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            if !is_silent {
                reason = Some(error.clone());
            }
            if matches!(kind, Kind::Lost | Kind::Refused) {
                if sent {
                    self.pools.lost(session);
                }
                session.discard();
                repeated |= sent && kind == Kind::Lost;
            }
            session.discard_if_flying();
            let passes = matches!(kind, Kind::Again | Kind::Lost | Kind::Refused | Kind::Created | Kind::Unprepared);
            // The deadline of an import begins anew with each of its portions.
            let is_over = failing.get_or_insert_with(Instant::now).elapsed() >= call.timeout();
            if !passes || is_over || !call.pause(attempt) {
                let mut error = reason.unwrap_or(error);
                // Where it could not even open the store, the error says more.
                if sent && error.io_kind() == Some(std::io::ErrorKind::PermissionDenied) {
                    error = error.because(match intent {
                        Intent::Read => "the role needs SELECT on the tables in the schema luat_kv",
                        _ => "the role needs SELECT, INSERT, UPDATE and DELETE on the tables in the schema luat_kv",
                    });
                }
                let is_open =
                    intent == Intent::Write && repeated && !matches!(error.code(), Code::Invalid | Code::Limit);
                return Err(if is_open { error.and_so("the write may have been made") } else { error });
            }
            attempt += 1;
        }
    }

    /// Carries out a read.
    fn read<T>(&self, mut act: impl FnMut(&mut Connection, &mut Call) -> Result<T, Failure>) -> Result<T> {
        self.run(Intent::Read, |session, call, _| act(session.connection()?, call))
    }

    /// Carries out a long read, which begins a transaction, with a connection for it alone.
    fn in_snapshot<T>(&self, mut act: impl FnMut(&mut Connection, &mut Call) -> Result<T, Failure>) -> Result<T> {
        self.run_apart(Intent::Read, |session, call, _| {
            session.in_transaction = true;
            act(session.connection()?, call)
        })
    }

    /// Carries out a write that has the same version, and so the same place in the ledger, in all attempts.
    fn write_once<T>(&self, mut act: impl FnMut(&mut Session, &mut Call, &Attempt) -> Result<T, Failure>) -> Result<T> {
        self.check_writable()?;
        let mut version = None;
        self.run(Intent::Write, |session, call, repeated| {
            session.check_writable()?;
            let version = *version.get_or_insert_with(|| session.versions.next());
            act(session, call, &Attempt { version, now: self.now(), repeated })
        })
    }

    /// Carries out a change that may be repeated without harm.
    fn change<T>(&self, mut act: impl FnMut(&mut Connection, &mut Call) -> Result<T, Failure>) -> Result<T> {
        self.check_writable()?;
        self.run(Intent::Change, |session, call, _| {
            session.check_writable()?;
            act(session.connection()?, call)
        })
    }
}

impl Backend for Postgres {
    fn get(&self, namespace: &str, key: &str, projection: Projection, _: i64, entry: &mut Entry) -> Result<bool> {
        attempt::check(namespace, key, &[])?;
        self.read(|connection, call| read::get(connection, call, (namespace, key), projection, self.now(), entry))
    }

    fn get_many(&self, namespace: &str, keys: &[&str], _: i64) -> Result<Vec<Entry>> {
        keys.iter().try_for_each(|key| attempt::check(namespace, key, &[]))?;
        self.read(|connection, call| read::get_many(connection, call, namespace, keys, self.now()))
    }

    fn list(&self, range: Range<'_>, scan: Scan, _: i64, entries: &mut dyn Entries) -> Result<ScanPage> {
        self.read(|connection, call| {
            entries.clear();
            read::list(connection, call, range, scan, self.now(), entries)
        })
    }

    fn count(&self, range: Range<'_>, _: i64) -> Result<u64> {
        if let Some(count) = self.read(|connection, call| read::count(connection, call, range, self.now()))? {
            return Ok(count);
        }
        let count = self.in_snapshot(|connection, call| {
            let now = read::begin_snapshot(connection, call, self.now())?;
            read::count_all(connection, call, range, now)
        })?;
        Ok(count.live)
    }

    fn scan(&self, namespace: &str, _: i64, each: &mut Each<'_>) -> Result<()> {
        let begun = Cell::new(false);
        self.in_snapshot(|connection, call| {
            let scanned = read::scan(connection, call, namespace, self.now(), &mut |call, entry| {
                begun.set(true);
                Ok(call.outside(|| each(entry))?)
            });
            match scanned {
                // What was passed on cannot be taken back.
                Err(failure) if begun.get() => Err(failure.error.into()),
                scanned => scanned,
            }
        })
    }

    fn write(&self, write: &mut Write<'_, '_>) -> Result<Outcome> {
        self.check_writable()?;
        /// What an operation costs besides its bytes, as the time for so many.
        const OP: usize = 4096;
        let mut bytes = 0;
        for op in &*write.ops {
            let value = match &op.action {
                super::Action::Put(content) | super::Action::Add(content) => content.value,
                _ => &[],
            };
            attempt::check(op.namespace, op.key, value)?;
            bytes += op.namespace.len() + op.key.len() + value.len() + OP;
        }
        self.write_once(|session, call, attempt| {
            call.allow(std::mem::take(&mut bytes));
            write::write(session, call, write, attempt)
        })
    }

    fn begin_import(&self) -> Result<Option<PathBuf>> {
        self.change(|_, _| Ok(()))?;
        Ok(Some(std::env::temp_dir()))
    }

    fn import(&self, _: &Clock, import: &mut Import<'_>) -> Result<()> {
        self.check_writable()?;
        let mut version = None;
        self.run_apart(Intent::Write, |session, call, _| {
            session.check_writable()?;
            let version = *version.get_or_insert_with(|| session.versions.next());
            let attempt = Attempt { version, now: self.now(), repeated: false };
            session.in_transaction = true;
            let connection = session.connection()?;
            let now = match transaction::begin(connection, call, &attempt) {
                Ok(now) => now,
                // Its commit was made, and only the answer was lost.
                Err(failure) if failure.kind == Kind::Done => return Ok(()),
                Err(failure) => return Err(failure),
            };
            let mut rows = Importing::new(connection, call, attempt, now);
            if let Err(error) = import(&mut rows) {
                return Err(rows.failed.take().unwrap_or_else(|| error.into()));
            }
            rows.commit()?;
            session.in_transaction = false;
            Ok(())
        })
    }

    fn remove(&self, range: Range<'_>, step: Step, _: &Clock) -> Result<Removed> {
        self.write_once(|session, call, attempt| write::remove(session.connection()?, call, range, step, attempt))
    }

    fn sweep(&self, max: u64, _: i64) -> Result<u64> {
        self.write_once(|session, call, attempt| write::sweep(session.connection()?, call, max, attempt))
    }

    /// Others can write whenever no call of theirs is in the way.
    fn pause(&self) {}

    fn namespaces(&self, _: i64) -> Result<Vec<String>> {
        self.read(|connection, call| read::namespaces(connection, call, self.now()))
    }

    fn stats(&self, _: i64) -> Result<Vec<NamespaceStats>> {
        self.in_snapshot(|connection, call| read::stats(connection, call, self.now()))
    }

    fn file_size(&self) -> Result<u64> {
        self.read(|connection, call| connection.ask(call, Statement::new(sql::SIZE, []))?.count(0, 0))
    }

    /// The server does this by itself.
    fn compact(&self) -> Result<()> {
        self.change(|_, _| Ok(()))
    }

    /// The server does this by itself.
    fn checkpoint(&self) -> Result<()> {
        self.change(|_, _| Ok(()))
    }

    fn backup(&self, _: &Path) -> Result<()> {
        self.pools.check_open()?;
        Err(Error::invalid(
            "a store on a PostgreSQL server is not a file: back it up with pg_dump --schema=luat_kv, or export its \
             namespaces",
        ))
    }

    fn close(&self) -> Result<()> {
        self.pools.close(&mut Call::begin(self.timeout))
    }
}
