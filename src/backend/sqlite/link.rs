//! A store's connection: made, given up before a fork, made again on its next use, and closed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::claim::Claim;
use super::schema;
use crate::error::{Code, Error, Result};
use crate::folder;
use crate::fork::{self, Part};
use crate::types::{Durability, OpenOptions};
use crate::version::Versions;

pub(super) struct Link {
    /// Absolute: the working directory may change before the connection is made again.
    path: PathBuf,
    durability: Durability,
    readonly: bool,
    busy_timeout: Duration,
    state: Mutex<State>,
}

enum State {
    Open(Session),
    /// Given up before a fork. Parent and child each make their own on the next use.
    Parted,
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
    /// For what cannot be left to `store`, which waits between two tries.
    pub busy_timeout: Duration,
    /// For its writes: no other connection, of whichever process, gives the same ones.
    pub versions: Versions,
    _claim: Claim,
}

/// Pages kept in memory, in KiB; a negative number is SQLite's way to say so.
const CACHE: i64 = -16 * 1024;

/// What a WAL that had to grow (by one huge value, say) is cut back to.
const WAL_LEFT: i64 = 16 * 1024 * 1024;

impl Link {
    pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Arc<Link>> {
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
            state: Mutex::new(State::Parted),
        });
        *link.lock() = State::Open(link.connect(!options.readonly, busy_timeout).map_err(named)?);
        fork::watch(link.clone());
        Ok(link)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The log, which SQLite names after the file itself where the path is a symbolic link.
    pub(super) fn wal(&self) -> PathBuf {
        let mut wal = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone()).into_os_string();
        wal.push("-wal");
        wal.into()
    }

    /// Does something with the connection, which is this call's alone until it returns.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        let mut state = self.lock();
        if matches!(*state, State::Parted) {
            let session = self.connect(false, Duration::ZERO);
            *state = State::Open(session.map_err(|error| {
                error.while_doing(format_args!("opening {} again after a fork", self.path.display()))
            })?);
        }
        match &mut *state {
            State::Open(session) => act(session),
            State::Parted | State::Closed => Err(Error::closed()),
        }
    }

    /// The same for something that writes.
    pub(super) fn with_writable<T>(&self, act: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        self.with(|session| match session.readonly {
            true => {
                Err(Error::new(Code::ReadOnly, "the store is opened for reading only, or its file may not be written"))
            }
            false => act(session),
        })
    }

    /// A second connection, for something long that shall keep no other call waiting.
    pub(super) fn another(&self) -> Result<Session> {
        self.with(|_| Ok(()))?;
        self.connect(false, Duration::ZERO)
    }

    /// Closes for good. The last connection to the file takes its WAL into it and away.
    pub(super) fn close(&self) -> Result<()> {
        fork::forget(self);
        let state = std::mem::replace(&mut *self.lock(), State::Closed);
        match state {
            State::Open(session) => session.connection.close().map_err(|(_, error)| error.into()),
            // The connection went without the WAL, before the fork. This may be the last chance to tidy up; if it
            // fails, nothing is lost.
            State::Parted if !self.readonly && self.wal().exists() => {
                if let Ok(session) = self.connect(false, Duration::ZERO) {
                    let _ = session.connection.close();
                }
                Ok(())
            }
            State::Parted | State::Closed => Ok(()),
        }
    }

    // A poisoned lock is used on: an interrupted transaction was rolled back as the panic passed it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits so long for others; once it is open, the connection does not.
    fn connect(&self, create: bool, busy_timeout: Duration) -> Result<Session> {
        if create && let Some(folder) = self.path.parent() {
            self.make_folders(folder).map_err(|why| Error::new(Code::Io, format!("{}: {why}", folder.display())))?;
        }
        let (claim, turn) = Claim::new(&self.path, create)?;
        if create && self.durability == Durability::Full {
            self.sync_entry().map_err(|why| Error::new(Code::Io, format!("syncing its folder: {why}")))?;
        }
        // Locking is ours (NO_MUTEX); the path is no URI, and a missing file is none of SQLite's to make.
        let access = if self.readonly { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
        let mut connection = Connection::open_with_flags(&self.path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        drop(turn);
        connection.busy_timeout(busy_timeout)?;
        // SQLite does not wait, but says BUSY at once, where two processes make or convert one file together.
        let deadline = Instant::now() + busy_timeout;
        loop {
            match self.set_up(&mut connection) {
                Err(error) if error.code() == Code::Busy && Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) if self.readonly && error.code() == Code::ReadOnly => {
                    let why =
                        "to read it beside its writers, SQLite has to make a -shm file in its folder, and may not";
                    return Err(Error::new(Code::Io, why));
                }
                // What SQLite cannot make sense of is the file: a schema or a format that it does not know.
                Err(error) if error.code() == Code::Internal => {
                    return Err(Error::new(Code::Corrupt, error.message()));
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        // SQLite's own chance would not do: a process that forked into another namespace of process numbers may go on
        // with its parent's.
        let own = getrandom::u64().map_err(|why| Error::new(Code::Io, format!("random numbers: {why}")))?;
        let versions = Versions::new(own);
        let readonly = connection.is_readonly("main")?;
        connection.busy_timeout(Duration::ZERO)?;
        Ok(Session {
            connection,
            last_look: None,
            more_to_sweep: false,
            readonly,
            busy_timeout: self.busy_timeout,
            versions,
            _claim: claim,
        })
    }

    /// Folders come before the file, and are durable before it is there: a process that finds the file need not sync
    /// them too before it promises to keep a write.
    fn make_folders(&self, folder: &Path) -> std::io::Result<()> {
        let is_new = !self.path.exists();
        make_folders(folder)?;
        if is_new && self.durability == Durability::Full { folder::sync_with_parents(folder) } else { Ok(()) }
    }

    /// Makes the file's own name durable. SQLite does so for its log, not for the file.
    fn sync_entry(&self) -> std::io::Result<()> {
        let file = fs::canonicalize(&self.path)?;
        file.parent().map_or(Ok(()), folder::sync)
    }

    fn set_up(&self, connection: &mut Connection) -> Result<()> {
        // What a file's schema says runs with no more rights than a stranger's SQL.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        // Nor do other tables' foreign keys, if they refer to ours, delete their rows or keep us from deleting ours.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
        connection.pragma_update(None, "cache_size", CACHE)?;
        let encoding: String = connection.pragma_query_value(None, "encoding", |row| row.get(0))?;
        if encoding != "UTF-8" {
            return Err(Error::new(
                Code::Corrupt,
                format!("its text is {encoding}, which sorts keys in another order"),
            ));
        }
        schema::recognize(connection)?;
        let readonly = connection.is_readonly("main")?;
        let journal = if readonly { "journal_mode" } else { "journal_mode = WAL" };
        let journal: String = connection.query_row(&format!("PRAGMA {journal}"), (), |row| row.get(0))?;
        // Only with a WAL is NORMAL as safe as it is fast; some file systems cannot have one.
        let normal = self.durability == Durability::Normal && journal == "wal";
        connection.pragma_update(None, "synchronous", if normal { "NORMAL" } else { "FULL" })?;
        connection.query_row(&format!("PRAGMA journal_size_limit = {WAL_LEFT}"), (), |_| Ok(()))?;
        schema::prepare(connection, readonly)
    }
}

impl Part for Link {
    /// Without the checkpoint: a fork should not wait for one.
    fn part(&self) {
        let mut state = self.lock();
        if let State::Open(session) = &*state {
            let _ = session.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            *state = State::Parted;
        }
    }

    fn owns(&self, path: &Path) -> bool {
        let file = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        ["", "-wal", "-shm", "-journal"].iter().any(|end| {
            let mut beside = file.clone().into_os_string();
            beside.push(end);
            path == Path::new(&beside)
        })
    }
}

/// An absolute path that SQLite can only take for a file's.
fn checked(path: &Path) -> Result<PathBuf> {
    if path.as_os_str() == ":memory:" {
        return Err(Error::invalid(
            "that is no file; a store in memory opens with `memory = true` (C: luat_kv_open_memory)",
        ));
    }
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(Error::invalid("the path has a NUL in it"));
    }
    let path = std::path::absolute(path).map_err(|why| Error::new(Code::Io, why.to_string()))?;
    /// SQLite's own limit, less the longest ending that it appends: `-journal`.
    const LONGEST: usize = 512 - 8;
    let len = path.as_os_str().len();
    if len > LONGEST {
        return Err(Error::invalid(format!("the path is {len} bytes long, and SQLite takes {LONGEST} at most")));
    }
    match fs::metadata(&path) {
        Ok(found) if found.is_dir() => Err(Error::new(Code::Io, "it is a folder")),
        Ok(found) if !found.is_file() => Err(Error::new(Code::Io, "it is not a regular file")),
        // SQLite would take it for an empty one.
        Ok(found) if (1..100).contains(&found.len()) => {
            Err(Error::new(Code::Corrupt, "it is too short for a database"))
        }
        // What is missing can be made; what else is wrong shows when it is opened.
        _ => Ok(path),
    }
}

fn make_folders(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
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
            let link = Link::open(&folder.path().join("kv.db"), &options).unwrap();
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
    fn a_link_that_was_parted_comes_back_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let link = Link::open(&folder.path().join("kv.db"), &OpenOptions::default()).unwrap();
        link.part();
        assert!(matches!(*link.lock(), State::Parted));
        assert!(link.with(|session| Ok(session.connection.is_autocommit())).unwrap());
        link.part();
        link.close().unwrap();
        assert_eq!(link.with(|_| Ok(())), Err(Error::closed()));
    }
}
