//! A connection: how it is opened and set up, and what is known about its file.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;

use super::access::{self, Access};
use super::cache::{Cache, Connected};
use super::location::real;
use super::opened::OpenedFile;
use super::own_commits::OwnCommits;
use super::prepared::PreparedConnection;
use super::registry::Registration;
use super::schema::Guard;
use super::wal_index::WalIndex;
use super::{Check, Stage, create, descriptors, reason, schema};
use crate::backend::sweeping::Sweeping;
use crate::error::{Code, Error, Result};
use crate::types::Durability;
use crate::version::Versions;

/// An open connection with what is known about its file. The fields are dropped in this order.
pub(super) struct Connection {
    connected: Option<Connected>,
    pub sqlite: PreparedConnection,
    pub sweeping: Sweeping,
    /// Whether it was opened for reading only, or its file must not be written.
    pub readonly: bool,
    pub access: Access,
    pub guard: Box<Guard>,
    /// The busy timeout of the store that uses it now, for waits that cannot be left to `store`.
    pub busy_timeout: Duration,
    /// The versions of its writes. No other connection, in any process, produces the same ones.
    pub versions: Versions,
    /// Why it is no longer usable: it is closed without a checkpoint after this use.
    pub broken: Option<&'static str>,
    /// What its commits survive. `None` if there is no log: commits are then always synced.
    durability: Option<Durability>,
    /// The header of the index of the log, if there is a log, and memory that is shared with its other users.
    pub index: Option<WalIndex>,
    pub own_commits: Option<OwnCommits>,
    registration: Registration,
}

/// How to open a connection.
#[derive(Clone, Copy)]
pub(super) struct Opening<'a> {
    /// Create the file if it is missing.
    pub create: bool,
    pub check: Check<'a>,
    pub durability: Durability,
    /// The busy timeout of the store that opens it.
    pub busy_timeout: Duration,
    /// How long to wait for others while it opens. The caller retries failures that are passing.
    pub wait: Duration,
    /// Whether this process already has the file open, by the same [`OpenedFile`].
    pub connected: bool,
    /// Whether to convert a table of an older format that could be used as it is.
    pub converts: bool,
}

/// A file that is open but not set up yet. The fields are dropped in this order.
struct Opened {
    sqlite: rusqlite::Connection,
    access: Access,
    registration: Registration,
    guard: Box<Guard>,
}

/// The page cache of a connection, in KiB; SQLite expects a negative number for that unit.
pub(super) const CACHE: i64 = -16 * 1024;

/// The size to which the WAL is truncated after it had to grow, by a huge value for example. Among several processes
/// that write without a pause it becomes about as long: see `autocheckpoint`.
pub(super) const WAL_LEFT: i64 = 64 * 1024 * 1024;

impl Opening<'_> {
    /// Opens a file that exists, and that this process has had open before.
    pub fn again(durability: Durability, busy_timeout: Duration, connected: bool) -> Self {
        let (check, wait): (Check<'_>, _) = (&|_| Ok(()), Duration::ZERO);
        Opening { create: false, check, durability, busy_timeout, wait, connected, converts: false }
    }
}

impl Connection {
    /// Waits for others while it opens. The open connection does not wait.
    pub fn open(file: &OpenedFile, mut opening: Opening<'_>) -> Result<Connection> {
        /// How often it is tried again after a momentary failure of the system.
        const RETRIES: usize = 2;
        let deadline = Instant::now() + opening.wait;
        let (mut opened, mut registered, mut retries) = (None, false, RETRIES);
        loop {
            match attempt(file, opening, &mut opened, &mut registered) {
                Ok((done, durability)) => return Connection::new(done, durability, opening.busy_timeout),
                Err(error) if error.code() == Code::Io && retries > 0 && reason::is_momentary(reason::last()) => {
                    retries -= 1;
                    opened = None;
                }
                // Another copy of SQLite in this process has it open, so waiting does not help.
                Err(error) if error.code() != Code::Busy || !registered || error.is_passing() => {
                    return Err(file.explained(error));
                }
                // Others may only be in the way of a conversion.
                Err(_) if Instant::now() >= deadline && opening.converts => opening.converts = false,
                Err(error) if Instant::now() >= deadline => return Err(file.explained(error)),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Opens the file that was opened first, and no other.
    pub fn open_again(file: &OpenedFile, opening: Opening<'_>, when: impl fmt::Display) -> Result<Connection> {
        Connection::open(file, opening).map_err(|error| {
            let error = error.while_doing(format_args!("opening {} {when}", file.path().display()));
            match error.code() {
                _ if error.raw_os_error().is_some_and(reason::is_momentary) => error,
                // Likely because the process has another root folder or other rights now.
                Code::Io | Code::ReadOnly => error.and_so(
                    "it takes the path and the rights that the store was opened with: keep them, or open the store later",
                ),
                _ => error,
            }
        })
    }

    fn new(opened: Opened, durability: Option<Durability>, busy_timeout: Duration) -> Result<Connection> {
        let Opened { sqlite, access, registration, guard } = opened;
        // SQLite's own random numbers are not unique: a process that was forked into another PID namespace may continue
        // its parent's sequence.
        let own = getrandom::u64().map_err(|why| Error::new(Code::Io, format!("random numbers: {why}")))?;
        let index = durability.and_then(|_| WalIndex::of(&sqlite));
        Ok(Connection {
            connected: None,
            index,
            own_commits: index.map(|index| OwnCommits::observe(&sqlite, registration.identity().id, index)),
            readonly: sqlite.is_readonly("main")?,
            sqlite: PreparedConnection::new(sqlite),
            sweeping: Sweeping::default(),
            access,
            guard,
            busy_timeout,
            versions: Versions::new(own),
            broken: None,
            durability,
            registration,
        })
    }

    /// Lets a cache stand for the file, as long as this is open.
    pub fn connect(&mut self, cache: &Arc<Cache>) {
        let index = || descriptors::of_index(self.registration.identity().id);
        self.connected = self.index.map(|_| cache.connected(index()));
    }

    /// Sets what its commits survive from now on.
    pub fn set_durability(&mut self, durability: Durability) -> Result<()> {
        if self.durability.is_some_and(|now| now != durability) {
            synchronous(&self.sqlite, durability)?;
            self.durability = Some(durability);
        }
        Ok(())
    }

    /// Checks that the table may still be written, as of one moment.
    pub fn look_again(&mut self) -> Result<()> {
        let _moment = self.sqlite.unchecked_transaction()?;
        self.guard.look_again(&self.sqlite)
    }

    /// Closes it. The last connection to the file moves the log into the file and removes the log.
    pub fn close(self) -> Result<()> {
        drop(self.connected);
        Ok(self.sqlite.close()?)
    }

    /// Closes it without a checkpoint, so that neither the file nor the files beside it change.
    pub fn close_without_checkpoint(self) {
        drop(self.connected);
        let _ = self.sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        let _ = self.sqlite.close();
    }
}

/// Continues to open the file until another user of the file is in the way.
fn attempt(
    file: &OpenedFile,
    opening: Opening<'_>,
    kept: &mut Option<Opened>,
    registered: &mut bool,
) -> Result<(Opened, Option<Durability>)> {
    reason::clear();
    let mut opened = match kept.take() {
        Some(opened) => opened,
        None => open_registered(file, opening)?,
    };
    *registered = true;
    if !file.is(opened.registration.identity(), opening.connected) {
        return Err(Error::new(Code::Io, "it was replaced by another file while it was open"));
    }
    opened.guard.steps.restart();
    let set_up = set_up(&mut opened.sqlite, &mut opened.guard, opening).map_err(|error| match error.code() {
        // If SQLite does not understand something, it is the file: a schema or a format that it does not know.
        Code::Internal => error.with_code(Code::Corrupt),
        // SQLite would have to create a file to be able to read, and may not.
        Code::ReadOnly => error.with_code(Code::Io),
        _ => error,
    });
    let done = match set_up {
        Ok(durability) => opened.access.check_opened(file.path(), &opened.sqlite).map(|()| durability),
        Err(error) => Err(opened.access.failed(file.path(), error)),
    };
    match done {
        Ok(durability) if opened.access.holds() => Ok((opened, durability)),
        Ok(_) => Err(opened.access.check().err().unwrap_or_else(Error::closed)),
        Err(error) => {
            if !error.is_passing() && opened.access.holds() {
                *kept = Some(opened);
            }
            Err(error)
        }
    }
}

/// Registers the file and opens it.
fn open_registered(file: &OpenedFile, opening: Opening<'_>) -> Result<Opened> {
    descriptors::fill_standard();
    descriptors::install();
    let path = file.path();
    for _ in 0..3 {
        if opening.create {
            create::database(path, opening.check)?;
        }
        let (registration, _lock) = Registration::new(path, !file.readonly())?;
        descriptors::expect();
        let (mut sqlite, access) = access::open(path, file.readonly(), !opening.busy_timeout.is_zero())?;
        // The path may lead to another file since the registration.
        if registration.is_at(path) {
            (opening.check)(Stage::Opened(registration.identity().id))?;
            let guard = Box::new(Guard::new(&mut sqlite, &real(path))?);
            return Ok(Opened { sqlite, access, registration, guard });
        }
    }
    Err(Error::new(Code::Io, "it was replaced by another file, again and again, while it was being opened"))
}

/// Returns the durability if it can be chosen.
fn set_up(sqlite: &mut rusqlite::Connection, guard: &mut Guard, opening: Opening<'_>) -> Result<Option<Durability>> {
    let Opening { durability, converts, .. } = opening;
    schema::harden(sqlite)?;
    sqlite.pragma_update(None, "cache_size", CACHE)?;
    let encoding: String = sqlite.pragma_query_value(None, "encoding", |row| row.get(0))?;
    if encoding != "UTF-8" {
        return Err(Error::new(Code::Corrupt, format!("its text is {encoding}, which sorts keys in another order")));
    }
    guard.note_format(sqlite)?;
    let found = schema::recognize(sqlite)?;
    let readonly = found.objection.is_some() || sqlite.is_readonly("main")?;
    let journal = if readonly { "journal_mode" } else { "journal_mode = WAL" };
    let journal: String = sqlite.query_row(&format!("PRAGMA {journal}"), (), |row| row.get(0))?;
    // NORMAL is safe and fast only with a WAL. Some file systems do not support one.
    let has_wal = journal == "wal";
    synchronous(sqlite, if has_wal { durability } else { Durability::Full })?;
    sqlite.query_row(&format!("PRAGMA journal_size_limit = {WAL_LEFT}"), (), |_| Ok(()))?;
    guard.objection = schema::prepare(sqlite, found, readonly, converts)?;
    Ok(has_wal.then_some(durability))
}

fn synchronous(sqlite: &rusqlite::Connection, durability: Durability) -> Result<()> {
    let name = if durability == Durability::Normal { "NORMAL" } else { "FULL" };
    Ok(sqlite.pragma_update(None, "synchronous", name)?)
}
