//! A store's connection: made, made again in the child of a fork, given up where its file was replaced, and closed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::access::{self, Access};
use super::location::{BESIDE, beside, checked, real};
use super::opened::OpenedFile;
use super::registry::Registration;
use super::schema::Guard;
use super::{Check, Stage, create, descriptors, reason, schema};
use crate::error::{Code, Error, Result};
use crate::fork::{self, ForkHandler};
use crate::types::{Durability, OpenOptions};
use crate::version::Versions;

pub(super) struct Link {
    /// Absolute: the working directory may change before the connection is made again.
    path: PathBuf,
    durability: Durability,
    readonly: bool,
    busy_timeout: Duration,
    file: OpenedFile,
    state: Mutex<State>,
}

enum State {
    Open(Box<Session>),
    /// The next use makes a connection again, after what is said here.
    Disconnected(&'static str),
    /// The file is not at its path any more, as every call is told.
    Lost(String),
    Closed,
}

/// An open connection with what is known about its file. The fields are dropped in this order.
pub(super) struct Session {
    pub connection: Connection,
    /// When a write last looked for expired rows.
    pub last_look: Option<i64>,
    /// Whether that look may have left some.
    pub more_to_sweep: bool,
    /// Opened for reading only, or a file that may not be written.
    readonly: bool,
    pub access: Access,
    pub guard: Box<Guard>,
    /// For what cannot be left to `store`, which waits between two tries.
    pub busy_timeout: Duration,
    /// For its writes: no other connection, of whichever process, gives the same ones.
    pub versions: Versions,
    /// When it was last looked whether the file is still at its path.
    checked: Seconds,
    _registration: Registration,
}

/// How far an opening has got.
struct Opening<'a> {
    /// Makes the file where it is missing.
    create: bool,
    check: Check<'a>,
    /// Dropped in this order.
    opened: Option<(Connection, Access, Registration, Box<Guard>)>,
    /// Whether no other copy of SQLite in this process has the file open. It would have it open however long it is waited
    /// for.
    registered: bool,
    /// How often it is tried again where the system failed for a moment.
    retries: usize,
}

const MEMBERS_CHANGED: &str = "others who use it came or went";

/// Pages kept in memory, in KiB; a negative number is SQLite's way to say so.
const CACHE: i64 = -16 * 1024;

/// What a WAL that had to grow (by one huge value, say) is cut back to.
const WAL_LEFT: i64 = 16 * 1024 * 1024;

impl Link {
    /// `waited` is the part of the busy timeout that is over. What fails for a moment is the caller's to try again.
    pub(super) fn open(path: &Path, options: &OpenOptions, check: Check<'_>, waited: Duration) -> Result<Arc<Link>> {
        fork::discard_inherited();
        if path.as_os_str().is_empty() {
            return Err(Error::invalid("the path is empty"));
        }
        let named = |error: Error| error.while_doing(format_args!("opening {}", path.display()));
        // SQLite counts milliseconds in an int.
        let busy_timeout = options.busy_timeout.min(Duration::from_millis(i32::MAX as u64));
        let link = Arc::new(Link {
            path: checked(path).map_err(named)?,
            durability: options.durability,
            readonly: options.readonly,
            busy_timeout,
            file: OpenedFile::default(),
            state: Mutex::new(State::Closed),
        });
        let left = busy_timeout.saturating_sub(waited);
        let session = link.connect(options.create && !options.readonly, check, left, false);
        *link.lock() = State::Open(Box::new(session.map_err(named)?));
        fork::register(link.clone());
        Ok(link)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The log, which SQLite names after the file itself where the path is a symbolic link.
    pub(super) fn wal(&self) -> PathBuf {
        beside(&real(&self.path), "-wal")
    }

    /// Does something with the connection, which is this call's alone until it returns.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        let mut state = self.usable(false)?;
        let State::Open(session) = &mut *state else { return Err(Error::closed()) };
        reason::clear();
        session.guard.steps.restart();
        let answer = act(session).map_err(|error| self.explained(schema::at_fault(&session.connection, error)));
        let answer = session.access.check().and(answer);
        if matches!(session.access, Access::Guest) && answer.as_ref().is_err_and(Error::is_passing) {
            *state = State::Disconnected(MEMBERS_CHANGED);
        }
        answer
    }

    /// Adds who may do what, where that is why it failed.
    fn explained(&self, error: Error) -> Error {
        let of_rights = match error.code() {
            Code::ReadOnly => true,
            Code::Io => reason::is_of_rights(reason::last()),
            _ => false,
        };
        match of_rights.then(|| reason::rights(&self.path, !self.readonly)).flatten() {
            Some(why) => Error::new(error.code(), format!("{}: {why}", error.message())),
            None => error,
        }
    }

    /// The state, with a connection where there can be one. Whether the file is still at its path is looked at once a
    /// second, or `now`.
    fn usable(&self, now: bool) -> Result<MutexGuard<'_, State>> {
        fork::discard_inherited();
        let mut state = self.lock();
        match &*state {
            State::Open(session) if !now && session.checked == Seconds::now() && session.access.holds() => {}
            _ => self.check(&mut state)?,
        }
        Ok(state)
    }

    /// Gives up a connection whose file is not at its path any more, and makes one in the child of a fork.
    #[cold]
    fn check(&self, state: &mut State) -> Result<()> {
        let connected = matches!(state, State::Open(_));
        if (connected || matches!(state, State::Disconnected(_)))
            && let Some(why) = self.file.problem(&self.path, connected)
            && let State::Open(session) = std::mem::replace(state, State::Lost(why))
        {
            session.without_checkpoint();
        }
        if matches!(state, State::Open(session) if !session.access.holds()) {
            *state = State::Disconnected("it was written to");
        }
        match state {
            State::Open(session) => session.checked = Seconds::now(),
            State::Disconnected(after) => {
                *state = State::Open(Box::new(self.connect_again(format_args!("again after {after}"), false)?));
            }
            State::Lost(why) => return Err(Error::new(Code::Io, why.as_str())),
            State::Closed => {}
        }
        Ok(())
    }

    /// A connection to the file that was opened first, and to no other.
    fn connect_again(&self, when: impl std::fmt::Display, connected: bool) -> Result<Session> {
        self.connect(false, &|_| Ok(()), Duration::ZERO, connected).map_err(|error| {
            let error = error.while_doing(format_args!("opening {} {when}", self.path.display()));
            match error.code() {
                // Likely since the process has another root folder now, or other rights.
                Code::Io | Code::ReadOnly => error.and_so(
                    "it takes the path and the rights that the store was opened with: keep them, or open the store later",
                ),
                _ => error,
            }
        })
    }

    /// The same for something that writes.
    pub(super) fn with_writable<T>(&self, act: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        self.with(|session| match session.readonly {
            true if self.readonly => Err(Error::new(Code::ReadOnly, "the store was opened for reading only")),
            true => Err(Error::new(Code::ReadOnly, "the file may not be written")),
            false => session.guard.may_write().and_then(|()| act(session)),
        })
    }

    /// Does something long on a second connection, which keeps no other call waiting.
    pub(super) fn with_another<T>(&self, act: impl FnOnce(&Session) -> Result<T>) -> Result<T> {
        let state = self.usable(true)?;
        if matches!(*state, State::Closed) {
            return Err(Error::closed());
        }
        drop(state);
        let session = self.connect_again("a second time", true)?;
        let answer = act(&session).map_err(|error| schema::at_fault(&session.connection, error));
        session.access.check().and(answer)
    }

    /// Closes for good. The last connection to the file takes its WAL into it and away.
    pub(super) fn close(&self) -> Result<()> {
        fork::discard_inherited();
        fork::unregister(self);
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Closed) {
            State::Open(session) if self.file.problem(&self.path, true).is_some() => session.without_checkpoint(),
            State::Open(session) => session.connection.close().map_err(|(_, error)| Error::from(error))?,
            State::Disconnected(_) | State::Lost(_) | State::Closed => {}
        }
        Ok(())
    }

    // A poisoned lock is used on: an interrupted transaction was rolled back as the panic passed it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits so long for others, with the connection that it has got; once it is open, the connection does not wait.
    /// What is passing is for the caller to try again, who then holds nothing. `connected` is whether the file is open
    /// already.
    fn connect(&self, create: bool, check: Check<'_>, busy_timeout: Duration, connected: bool) -> Result<Session> {
        let mut opening = Opening { create, check, opened: None, registered: false, retries: 2 };
        let deadline = Instant::now() + busy_timeout;
        while let Err(error) = self.attempt(connected, &mut opening) {
            if error.code() == Code::Io && opening.retries > 0 && reason::is_momentary(reason::last()) {
                opening.retries -= 1;
                opening.opened = None;
                continue;
            }
            let in_use = error.code() == Code::Busy && opening.registered && !error.is_passing();
            if !in_use || Instant::now() >= deadline {
                return Err(self.explained(error));
            }
            thread::sleep(Duration::from_millis(5));
        }
        let Some((connection, access, registration, guard)) = opening.opened else { return Err(Error::closed()) };
        // SQLite's own chance would not do: a process that forked into another namespace of process numbers may go on
        // with its parent's.
        let own = getrandom::u64().map_err(|why| Error::new(Code::Io, format!("random numbers: {why}")))?;
        let versions = Versions::new(own);
        let readonly = connection.is_readonly("main")?;
        let checked = Seconds::now();
        Ok(Session {
            connection,
            last_look: None,
            more_to_sweep: false,
            readonly,
            access,
            guard,
            busy_timeout: self.busy_timeout,
            versions,
            checked,
            _registration: registration,
        })
    }

    /// Goes on with opening the file, up to where somebody else is in the way.
    fn attempt(&self, connected: bool, opening: &mut Opening<'_>) -> Result<()> {
        reason::clear();
        let (connection, access, registration, guard) = match &mut opening.opened {
            Some(opened) => opened,
            none => none.insert(self.open_registered(opening.create, opening.check)?),
        };
        opening.registered = true;
        if !self.file.is(registration.identity(), connected) {
            return Err(Error::new(Code::Io, "it was replaced by another file while it was open"));
        }
        guard.steps.restart();
        let set_up = self.set_up(connection).map_err(|error| match error.code() {
            // What SQLite cannot make sense of is the file: a schema or a format that it does not know.
            Code::Internal => Error::new(Code::Corrupt, error.message()),
            // It must make something to be able to read, and may not.
            Code::ReadOnly => Error::new(Code::Io, error.message()),
            _ => error,
        });
        let done = match set_up {
            Ok(objection) => {
                guard.objection = objection;
                access.check_opened(&self.path, connection)
            }
            Err(error) => Err(access.failed(&self.path, error)),
        };
        if done.as_ref().is_err_and(Error::is_passing) || !access.holds() {
            opening.opened = None;
        }
        done
    }

    /// Registers the file and opens it.
    fn open_registered(
        &self,
        create: bool,
        check: Check<'_>,
    ) -> Result<(Connection, Access, Registration, Box<Guard>)> {
        descriptors::fill_standard();
        descriptors::install();
        for _ in 0..3 {
            if create {
                create::database(&self.path, self.durability, check)?;
            }
            let (registration, _lock) = Registration::new(&self.path, !self.readonly)?;
            descriptors::expect();
            let (mut connection, access) = access::open(&self.path, self.readonly, !self.busy_timeout.is_zero())?;
            // The path may have come to lead to another file between the two.
            if registration.is_at(&self.path) {
                check(Stage::Opened(registration.identity().id))?;
                let guard = Box::new(Guard::new(&mut connection, &real(&self.path))?);
                return Ok((connection, access, registration, guard));
            }
        }
        Err(Error::new(Code::Io, "it was replaced by another file, again and again, while it was being opened"))
    }

    /// Returns why the file may only be read, if so.
    fn set_up(&self, connection: &mut Connection) -> Result<Option<String>> {
        schema::harden(connection)?;
        connection.pragma_update(None, "cache_size", CACHE)?;
        let encoding: String = connection.pragma_query_value(None, "encoding", |row| row.get(0))?;
        if encoding != "UTF-8" {
            return Err(Error::new(
                Code::Corrupt,
                format!("its text is {encoding}, which sorts keys in another order"),
            ));
        }
        let objection = schema::recognize(connection)?;
        let readonly = connection.is_readonly("main")? || objection.is_some();
        let journal = if readonly { "journal_mode" } else { "journal_mode = WAL" };
        let journal: String = connection.query_row(&format!("PRAGMA {journal}"), (), |row| row.get(0))?;
        // Only with a WAL is NORMAL as safe as it is fast; some file systems cannot have one.
        let normal = self.durability == Durability::Normal && journal == "wal";
        connection.pragma_update(None, "synchronous", if normal { "NORMAL" } else { "FULL" })?;
        connection.query_row(&format!("PRAGMA journal_size_limit = {WAL_LEFT}"), (), |_| Ok(()))?;
        schema::prepare(connection, readonly)
    }
}

impl Session {
    /// Closes without a checkpoint, so that neither the file nor what lies beside it changes.
    fn without_checkpoint(self) {
        let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        let _ = self.connection.close();
    }
}

impl ForkHandler for Link {
    fn after_fork_in_child(&self) {
        let mut state = self.lock();
        if matches!(*state, State::Open(_))
            && let State::Open(session) = std::mem::replace(&mut *state, State::Disconnected("a fork"))
        {
            descriptors::detach(&session.connection);
            session.without_checkpoint();
        }
    }

    fn owns(&self, path: &Path) -> bool {
        let file = real(&self.path);
        path == file || BESIDE.iter().any(|end| path == beside(&file, end))
    }
}

/// A moment, exact to a second; there is no order between two.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seconds(i64);

impl Seconds {
    /// By the clock that is read the fastest: each call does it.
    #[cfg(target_os = "linux")]
    fn now() -> Self {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: it writes the struct, or leaves it as it is.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) };
        #[allow(clippy::unnecessary_cast)] // its type differs from system to system
        Seconds(now.tv_sec as i64)
    }

    #[cfg(not(target_os = "linux"))]
    fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Seconds(since.map_or(0, |since| since.as_secs() as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_is_what_sqlite_was_asked_for() {
        // SQLite's numbers: 1 is NORMAL, 2 is FULL.
        for (durability, synchronous) in [(Durability::Normal, 1), (Durability::Full, 2)] {
            let folder = tempfile::tempdir().unwrap();
            let options = OpenOptions { durability, ..OpenOptions::default() };
            let link = Link::open(&folder.path().join("kv.db"), &options, &|_| Ok(()), Duration::ZERO).unwrap();
            let asked = |name: &'static str| {
                link.with(|session| {
                    Ok(session.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0))?)
                })
            };
            assert_eq!(asked("synchronous"), Ok(synchronous));
            assert_eq!(asked("cache_size"), Ok(CACHE));
            assert_eq!(asked("journal_size_limit"), Ok(WAL_LEFT));
            link.close().unwrap();
        }
    }

    #[test]
    fn what_a_child_has_inherited_is_discarded_and_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let options = OpenOptions::default();
        let link = Link::open(&folder.path().join("kv.db"), &options, &|_| Ok(()), Duration::ZERO).unwrap();
        link.after_fork_in_child();
        assert!(matches!(*link.lock(), State::Disconnected(_)));
        assert!(link.with(|session| Ok(session.connection.is_autocommit())).unwrap());
        link.after_fork_in_child();
        link.close().unwrap();
        assert_eq!(link.with(|_| Ok(())), Err(Error::closed()));
    }
}
