//! A database that this process has open: one for all stores on a file, with the connections that they share.
//!
//! Two stores share a database if they were opened by the same path, and that path still leads to the same file. What
//! belongs to one store (its limits, clock, busy timeout, durability, whether it only reads) comes with each call, as a
//! [`Caller`]. A read-only store shares the database of a store that writes, but not the other way round.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::access::Access;
use super::cache::Cache;
use super::commits;
use super::connection::{Connection, Opening};
use super::group::{Group, Job};
use super::location::{BESIDE, beside, check_alone, real};
#[cfg(not(unix))]
use super::not_unix::libc;
use super::opened::OpenedFile;
use super::pool::{Pool, Use};
use super::prepared::PreparedConnection;
use super::read_mark::Keeps;
use super::{Check, Stage, create, descriptors, reason, registry, schema, writes};
use crate::backend::Outcome;
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::types::Durability;

pub(super) struct Database {
    file: OpenedFile,
    pool: Pool,
    pub cache: Arc<Cache>,
    /// The writes of threads that meet.
    pub group: Group,
    /// See [`rights`].
    rights: [bool; 2],
    /// What became of the file, if it is not at its path any more: every call fails with this.
    lost: OnceLock<String>,
    /// When the path was last checked; see [`seconds`].
    checked: AtomicI64,
    /// Whether the names of the file and its folders were synced, as full durability requires.
    synced: AtomicBool,
    /// Whether an open has found that the file has another format now.
    has_new_format: AtomicBool,
}

/// The store that makes a call.
#[derive(Clone, Copy)]
pub(super) struct Caller {
    pub readonly: bool,
    pub durability: Durability,
    pub busy_timeout: Duration,
    /// The size of the cache in bytes; 0 if this store does not use it.
    pub cache_size: u64,
}

const MEMBERS_CHANGED: &str = "others who use it came or went";

/// The page cache of a connection that only reads, in KiB, as SQLite expects it.
const READER_CACHE: i64 = -4 * 1024;

impl Database {
    /// Opens the file. `waited` is the part of the busy timeout that is over. The caller retries failures that are
    /// passing.
    pub fn open(path: PathBuf, caller: Caller, create: bool, check: Check<'_>, waited: Duration) -> Result<Database> {
        let file = OpenedFile::new(path, caller.readonly);
        let Caller { readonly, durability, busy_timeout, .. } = caller;
        let wait = busy_timeout.saturating_sub(waited);
        let create = create && !readonly;
        let opening = Opening { create, check, durability, busy_timeout, wait, connected: false, converts: true };
        let cache = Arc::<Cache>::default();
        let mut writer = Connection::open(&file, opening)?;
        writer.connect(&cache);
        let synced = !readonly && durability == Durability::Full;
        if synced {
            create::sync_names(file.path())?;
        }
        Ok(Database {
            rights: rights(file.path()),
            file,
            pool: Pool::new(writer),
            cache,
            group: Group::default(),
            lost: OnceLock::new(),
            checked: AtomicI64::new(seconds()),
            synced: AtomicBool::new(synced),
            has_new_format: AtomicBool::new(false),
        })
    }

    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Whether its connections only read.
    pub fn readonly(&self) -> bool {
        self.file.readonly()
    }

    /// The path of the log. If the path of the database is a symbolic link, SQLite names the log after the file itself.
    pub fn wal(&self) -> PathBuf {
        beside(&real(self.path()), "-wal")
    }

    /// Whether this is its file, or one beside it. The path is canonical.
    pub fn owns(&self, path: &Path) -> bool {
        let file = real(self.path());
        path == file || BESIDE.iter().any(|end| path == beside(&file, end))
    }

    /// Whether another store that is opened by this path can share it. It cannot if the path leads to another file by
    /// now, as after a change of the root folder or of mounts, which leaves the stores that are open alone. Nor can it
    /// if the process has other rights now: it would read or write what the system refuses.
    pub fn is_for(&self, path: &Path, readonly: bool) -> bool {
        if self.path() != path || self.lost.get().is_some() {
            return false;
        }
        if !self.file.is_in_place(self.pool.is_connected()) {
            let _ = self.look(true); // so that its stores stop using the file now
            return false;
        }
        self.rights == rights(path) && (readonly || !self.readonly())
    }

    /// Prepares it for one more store, with the checks that opening the file would make.
    pub fn join(&self, caller: Caller, check: Check<'_>) -> Result<()> {
        if !self.pool.is_connected() {
            self.read(&caller, false, |_| Ok(()))?;
        }
        let found = std::fs::metadata(self.path()).map_err(|why| reason::io(&why))?;
        check_alone(self.path(), &found)?;
        check(Stage::FoldersMade)?;
        check(Stage::Opened(registry::file_id(&found)))?;
        let full = !caller.readonly && caller.durability == Durability::Full;
        if full && !self.synced.load(Ordering::Acquire) {
            create::sync_names(self.path())?;
            self.synced.store(true, Ordering::Release);
        }
        self.compare_format()
    }

    /// Compares the format of the file again, if a connection is free: another program may have changed it. If this
    /// library may not write the file any more, the next write says so.
    fn compare_format(&self) -> Result<()> {
        let compare = |connection: &mut Connection| match connection.access.holds() {
            true => self.act(connection, |connection| connection.guard.has_new_format(&connection.sqlite)),
            false => Ok(false),
        };
        match self.pool.with_idle(compare) {
            None | Some(Ok(false)) => Ok(()),
            // Others are in the way now.
            Some(Err(error)) if error.code() == Code::Busy => Ok(()),
            Some(found) => {
                self.has_new_format.store(true, Ordering::Release);
                found.map(|_| ())
            }
        }
    }

    /// Reads, with a connection that this call has to itself until it returns.
    pub fn read<T>(&self, caller: &Caller, is_long: bool, act: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        self.with(caller, if is_long { Use::LongRead } else { Use::Read }, act)
    }

    /// Writes, with the one connection for writing.
    pub fn write<T>(
        &self,
        caller: &Caller,
        is_long: bool,
        act: impl FnOnce(&mut Connection) -> Result<T>,
    ) -> Result<T> {
        if caller.readonly {
            self.look(false)?;
            return Err(Error::new(Code::ReadOnly, "the store was opened for reading only"));
        }
        self.with(caller, if is_long { Use::LongWrite } else { Use::Write }, |connection| {
            if connection.readonly {
                return Err(Error::new(Code::ReadOnly, "the file may not be written"));
            }
            if self.has_new_format.load(Ordering::Acquire) {
                connection.look_again()?;
                self.has_new_format.store(false, Ordering::Release);
            }
            connection.guard.may_write()?;
            connection.busy_timeout = caller.busy_timeout;
            connection.set_durability(caller.durability)?;
            let Some(own) = &connection.own_commits else { return act(connection) };
            if !own.slice().begin(caller.busy_timeout) {
                return Err(Error::new(Code::Busy, "other processes write"));
            }
            let keeps = connection.index.map(Keeps::of);
            let done = act(connection);
            drop(keeps);
            connection.own_commits.iter().for_each(|own| own.slice().end(done.is_ok()));
            done
        })
    }

    /// Carries out the write of a job that leads, and those that wait beside it, within [`write`](Self::write).
    pub fn carry_out(&self, connection: &mut Connection, job: &Job) -> Result<Outcome> {
        let explain = |sqlite: &PreparedConnection, error| self.file.explained(schema::at_fault(sqlite, error));
        writes::carry_out(&self.cache, connection, job, self.group.others(job), &explain)
    }

    /// Reads for any length of time, with a connection that is opened for this call.
    pub fn read_apart<T>(&self, caller: &Caller, act: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.look(true)?;
        let connection = self.connect(caller, true, "a second time")?;
        let answer = act(&connection).map_err(|error| schema::at_fault(&connection.sqlite, error));
        connection.access.check().and(answer)
    }

    fn with<T>(&self, caller: &Caller, purpose: Use, act: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        commits::forget();
        self.look(false)?;
        let connect = |after: Option<&str>| match after {
            Some(after) => {
                self.look(true)?;
                self.connect(caller, false, format_args!("again after {after}"))
            }
            None => {
                let reader = self.connect(caller, true, "a second time")?;
                reader.sqlite.pragma_update(None, "cache_size", READER_CACHE)?;
                Ok(reader)
            }
        };
        self.pool.with(purpose, connect, |connection| {
            if !connection.access.holds() {
                // A broken connection stays if no other can be opened.
                let again = self.connect(caller, true, "again after it was written to")?;
                std::mem::replace(connection, again).close_without_checkpoint();
            }
            let answer = self.act(connection, act);
            if self.lost.get().is_some() {
                connection.broken = Some("its file was lost");
            }
            answer
        })
    }

    fn act<T>(&self, connection: &mut Connection, act: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        reason::clear();
        connection.guard.steps.restart();
        let answer = act(connection).map_err(|error| self.file.explained(schema::at_fault(&connection.sqlite, error)));
        let answer = connection.access.check().and(answer);
        if matches!(connection.access, Access::Guest) && answer.as_ref().is_err_and(Error::is_passing) {
            connection.broken = Some(MEMBERS_CHANGED);
        }
        answer
    }

    /// `connected` tells whether there is another connection.
    fn connect(&self, caller: &Caller, connected: bool, when: impl Display) -> Result<Connection> {
        let opening = Opening::again(caller.durability, caller.busy_timeout, connected);
        let mut connection = Connection::open_again(&self.file, opening, when)?;
        connection.connect(&self.cache);
        Ok(connection)
    }

    /// Whether the file was still at its path in this second.
    #[inline]
    pub fn is_seen(&self, second: i64) -> bool {
        self.checked.load(Ordering::Relaxed) == second && self.lost.get().is_none()
    }

    /// Checks that the file is still at its path, once a second, or at once with `now`.
    pub fn look(&self, now: bool) -> Result<()> {
        let second = seconds();
        if !now && self.is_seen(second) {
            return Ok(());
        }
        if self.lost.get().is_none() {
            match self.file.problem(self.pool.is_connected()) {
                None => {
                    self.checked.store(second, Ordering::Relaxed);
                    return Ok(());
                }
                Some(why) => drop(self.lost.set(why)),
            }
        }
        self.pool.disconnect("the end").into_iter().for_each(Connection::close_without_checkpoint);
        Err(Error::new(Code::Io, self.lost.get().map_or("", String::as_str)))
    }

    /// Closes it for good. The last connection to the file, in any process, moves the log into the file and removes the
    /// log.
    pub fn close(&self) -> Result<()> {
        let lost = self.look(true).is_err();
        let mut closed = Ok(());
        for connection in self.pool.close() {
            if lost {
                connection.close_without_checkpoint();
            } else {
                closed = closed.and(connection.close());
            }
        }
        closed
    }

    /// In the child of a fork: discards what the child has inherited. No call is in progress.
    pub fn discard_inherited(&self) {
        for connection in self.pool.disconnect("a fork") {
            descriptors::detach(&connection.sqlite);
            connection.close_without_checkpoint();
        }
    }
}

/// Whether this process may read the file, and write it, as the user that it is at this moment.
fn rights(path: &Path) -> [bool; 2] {
    [libc::R_OK, libc::W_OK].map(|right| !reason::forbids(path, right))
}

/// Seconds by the clock that is read the fastest, since each call reads it. They only tell whether one has passed.
fn seconds() -> i64 {
    Clock::system().now()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::thread;

    use super::super::connection::{CACHE, WAL_LEFT};
    use super::*;

    const CALLER: Caller =
        Caller { readonly: false, durability: Durability::Normal, busy_timeout: Duration::ZERO, cache_size: 0 };

    fn open(folder: &Path, durability: Durability) -> (Database, Caller) {
        let caller = Caller { durability, ..CALLER };
        (Database::open(folder.join("kv.db"), caller, true, &|_| Ok(()), Duration::ZERO).unwrap(), caller)
    }

    fn asked(connection: &Connection, name: &str) -> i64 {
        connection.sqlite.pragma_query_value(None, name, |row| row.get(0)).unwrap()
    }

    #[test]
    fn durability_is_the_caller_s() {
        // SQLite's numbers: 1 is NORMAL, 2 is FULL.
        let numbers = [(Durability::Normal, 1), (Durability::Full, 2)];
        for (durability, synchronous) in numbers {
            let folder = tempfile::tempdir().unwrap();
            let (database, caller) = open(folder.path(), durability);
            database
                .write(&caller, false, |connection| {
                    assert_eq!(asked(connection, "synchronous"), synchronous);
                    assert_eq!(asked(connection, "cache_size"), CACHE);
                    assert_eq!(asked(connection, "journal_size_limit"), WAL_LEFT);
                    Ok(())
                })
                .unwrap();
            for (other, synchronous) in numbers {
                let caller = Caller { durability: other, ..caller };
                let now = database.write(&caller, false, |connection| Ok(asked(connection, "synchronous")));
                assert_eq!(now, Ok(synchronous));
            }
            database.close().unwrap();
        }
    }

    #[test]
    fn what_a_child_has_inherited_is_discarded_and_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let (database, caller) = open(folder.path(), Durability::Normal);
        database.discard_inherited();
        assert!(!database.pool.is_connected());
        assert!(database.read(&caller, false, |connection| Ok(connection.sqlite.is_autocommit())).unwrap());
        assert!(database.pool.is_connected());
        database.discard_inherited();
        database.close().unwrap();
        assert!(!database.pool.is_connected());
    }

    /// Identifies the connection of a call by SQLite's handle.
    fn handle(connection: &Connection) -> usize {
        // SAFETY: it is only compared.
        unsafe { connection.sqlite.handle() as usize }
    }

    #[test]
    fn a_read_beside_a_write_has_a_connection_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (database, caller) = open(folder.path(), Durability::Normal);
        let alone = database.read(&caller, true, |connection| Ok(handle(connection))).unwrap();
        database
            .write(&caller, true, |writer| {
                assert_eq!(handle(writer), alone, "one thread, one after the other: one connection");
                let reader = database.read(&caller, false, |reader| Ok(handle(reader)))?;
                assert_ne!(reader, alone);
                assert_eq!(database.read(&caller, true, |again| Ok(handle(again))), Ok(reader));
                // Another writer gets an error meanwhile, even in the same thread.
                let error = database.write(&caller, false, |_| Ok(())).unwrap_err();
                assert_eq!(error.code(), Code::Busy);
                Ok(())
            })
            .unwrap();
        assert_eq!(database.read(&caller, true, |connection| Ok(handle(connection))), Ok(alone));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let long = database.read(&caller, true, |connection| Ok(handle(connection)));
                assert_ne!(long, Ok(alone), "with a second thread, what is long leaves the writer alone");
            });
        });
        database.close().unwrap();
    }

    #[test]
    fn a_call_that_waits_for_a_connection_fails_when_the_database_closes() {
        const FOR_EVER: Duration = Duration::from_secs(60);
        let folder = tempfile::tempdir().unwrap();
        let (database, caller) = open(folder.path(), Durability::Normal);
        let database = Arc::new(database);
        let begin = |call: fn(&Database, Caller) -> Result<()>| {
            let (database, (sender, answer)) = (database.clone(), mpsc::channel());
            thread::spawn(move || sender.send(call(&database, caller)));
            answer
        };
        let write: fn(&Database, Caller) -> Result<()> = |database, caller| database.write(&caller, false, |_| Ok(()));
        let in_use = database.write(&caller, false, |_| {
            let before = begin(write);
            let closer = begin(|database, _| database.close());
            while !database.pool.is_closed() {
                thread::yield_now();
            }
            // The connection that it would wait for is still in use.
            assert_eq!(begin(write).recv_timeout(FOR_EVER), Ok(Err(Error::closed())));
            Ok((before, closer))
        });
        let (before, closer) = in_use.unwrap();
        assert_eq!(before.recv_timeout(FOR_EVER), Ok(Err(Error::closed())));
        assert_eq!(closer.recv_timeout(FOR_EVER), Ok(Ok(())));
        assert!(!database.pool.is_connected());
    }

    #[test]
    fn what_is_closed_in_the_midst_of_something_long_closes_when_that_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let (database, caller) = open(folder.path(), Durability::Normal);
        database.write(&caller, true, |_| database.close()).unwrap();
        assert!(!database.pool.is_connected());
    }
}
