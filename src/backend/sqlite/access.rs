//! How a database is opened: by a member, who may write it, or by a guest.
//!
//! SQLite makes a log and shared memory for everybody who opens a database, and they belong to whoever made them. If a
//! guest made them, members could not write any more. So a guest makes nothing:
//!
//! - While the log holds something, a guest reads the log and the shared memory that members have made.
//! - Otherwise all data is in the file itself, and a guest reads that alone, without a lock (SQLite's `immutable`). What
//!   it reads counts only if no member has come meanwhile: then the file is unchanged and the log is still empty. This
//!   needs nothing beside the file, so it also works on a file system that is mounted read-only.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags};

use super::location::{beside, real};
#[cfg(not(unix))]
use super::not_unix::libc;
use super::registry::file_id;
use super::{reason, takeover, vfs};
use crate::error::{Code, Error, Result};

/// What must hold for what a connection reads, and for its writes.
pub(super) enum Access {
    Member {
        readonly: bool,
    },
    /// Reads beside members.
    Guest,
    /// Reads the file alone.
    Snapshot(Box<Snapshot>),
}

/// Opens the file. Nothing of it has been read yet. `may_wait` is whether the caller tries again what fails for a moment.
pub(super) fn open(path: &Path, readonly: bool, may_wait: bool) -> Result<(Connection, Access)> {
    reason::clear();
    let real = real(path);
    let folder = real.parent().unwrap_or(Path::new("/"));
    let guest = reason::forbids(&real, libc::W_OK) || (readonly && reason::forbids(folder, libc::W_OK));
    if !guest {
        // Locking is ours (NO_MUTEX); the path is no URI, and a missing file is not SQLite's to make.
        let write = if readonly { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
        return Ok((connect(path, write, false)?, Access::Member { readonly }));
    }
    if reason::forbids(&real, libc::R_OK)
        && let Some(why) = reason::rights(&real, false)
    {
        reason::clear(); // all is said
        return Err(Error::new(Code::Io, why));
    }
    let snapshot = Snapshot::take(real.clone(), may_wait)?;
    let uri = uri(&real, if snapshot.is_some() { "immutable=1" } else { "readonly_shm=1" });
    let read = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Ok((connect(&uri, read, true)?, snapshot.map_or(Access::Guest, |snapshot| Access::Snapshot(Box::new(snapshot)))))
}

/// A connection through our VFS, which waits for nobody.
pub(super) fn connect(path: &Path, flags: OpenFlags, guest: bool) -> Result<Connection> {
    reason::clear();
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match vfs::name(guest) {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs),
        None => Connection::open_with_flags(path, flags),
    }
    .map_err(|error| match error {
        // The message would end with the path, or with the URI that a guest opens. Whoever called names the file.
        rusqlite::Error::SqliteFailure(failure, Some(_)) if failure.code == rusqlite::ErrorCode::CannotOpen => {
            rusqlite::Error::SqliteFailure(failure, Some("unable to open database file".to_owned()))
        }
        error => error,
    })?;
    connection.busy_timeout(Duration::ZERO)?;
    Ok(connection)
}

impl Access {
    /// Is what was read right, and can it be read on? Otherwise the connection is of no use any more.
    pub(super) fn holds(&self) -> bool {
        match self {
            Access::Snapshot(snapshot) => snapshot.holds(),
            Access::Member { .. } | Access::Guest => true,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        match self.holds() {
            true => Ok(()),
            false => Err(Error::new(Code::Busy, "it was written to while it was read")),
        }
    }

    /// The error of an opening. Members may have come or gone in the midst of it, and then it is tried again: what a guest
    /// was to read beside them is gone with the last of them, and what it reads alone looks damaged while it is written.
    pub(super) fn failed(&self, path: &Path, error: Error) -> Error {
        let why = reason::last();
        let has_members = || is_used(&beside(&real(path), "-wal")) && beside(&real(path), "-shm").exists();
        let error = match self {
            Access::Guest if error.code() == Code::Io && !has_members() => Error::passing(error.message()),
            _ => self.check().err().unwrap_or(error),
        };
        reason::set(why); // what was looked at here is not what failed
        error
    }

    /// Is a connection that is set up what it was opened for? One that a member writes through may not be one that only
    /// reads since something failed for a moment, or since another user made what lies beside the file.
    pub(super) fn check_opened(&self, path: &Path, connection: &Connection) -> Result<()> {
        match self {
            Access::Member { readonly: false } => {}
            _ => return self.check(),
        }
        takeover::check(path)?;
        let journal: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        let file = match () {
            () if connection.is_readonly("main")? => path.to_path_buf(),
            () if journal == "wal" && vfs::reads_only(connection) => beside(&real(path), "-shm"),
            () => return Ok(()),
        };
        Err(Error::passing(format!(
            "{} could be opened for reading only, although user {} may write it{}{}",
            file.display(),
            reason::user(),
            reason::owner(&file),
            reason::because_not_opened()
        )))
    }
}

/// The file as it was found when nobody was writing it.
pub(super) struct Snapshot {
    path: PathBuf,
    stamp: Stamp,
}

/// Everything that a change of a file changes.
#[derive(PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Snapshot {
    /// `None`: the log holds something, or a write was cut short.
    fn take(path: PathBuf, may_wait: bool) -> Result<Option<Snapshot>> {
        if is_used(&beside(&path, "-journal")) {
            return Ok(None);
        }
        if is_used(&beside(&path, "-wal")) {
            return match beside(&path, "-shm").exists() {
                true => Ok(None),
                // For a moment that is so when a member opens it.
                false => Err(Error::passing(format!(
                    "its log holds changes, but {} is missing, which only a user who may write the database can \
                     make: user {} may not; let such a user open it once",
                    beside(&path, "-shm").display(),
                    reason::user()
                ))),
            };
        }
        let stamp = Stamp::of(&path).map_err(|why| reason::io(&why))?;
        match (stamp.too_young(), may_wait) {
            (None, _) => Ok(Some(Snapshot { path, stamp })),
            // Nothing is wrong with a file that was changed once.
            (Some(tick), false) => Err(Error::new(Code::Busy, format!("it was changed less than {tick:?} ago"))),
            (Some(tick), true) => Err(Error::passing(format!(
                "whenever it was looked at, it had been changed less than {tick:?} before: user {} may not write it, and \
                 cannot read it while it is being changed all the time",
                reason::user()
            ))),
        }
    }

    fn holds(&self) -> bool {
        !is_used(&beside(&self.path, "-wal"))
            && !is_used(&beside(&self.path, "-journal"))
            && Stamp::of(&self.path).is_ok_and(|stamp| stamp == self.stamp)
    }
}

fn is_used(log: &Path) -> bool {
    fs::metadata(log).is_ok_and(|found| found.len() > 0)
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let found = fs::metadata(path)?;
        let (modified, changed) = times(&found)?;
        Ok(Stamp { file: file_id(&found), len: found.len(), modified, changed })
    }

    /// A later change could have the same time: it may come within the same tick of the file system's clock, which is
    /// then returned.
    fn too_young(&self) -> Option<Duration> {
        /// Kernels have up to 10 ms; some file systems whole seconds, or two of them.
        const TICKS: [Duration; 2] = [Duration::from_millis(30), Duration::from_millis(2100)];
        let tick = TICKS[usize::from(self.changed.1 == 0 && self.modified.1 == 0)];
        let since = |(seconds, nanos): (i64, i64)| {
            let time = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?);
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + time).ok()
        };
        [self.changed, self.modified].into_iter().filter_map(since).any(|age| age < tick).then_some(tick)
    }
}

/// When a file was modified and when it was changed, each as seconds and nanoseconds.
#[cfg(unix)]
fn times(found: &fs::Metadata) -> std::io::Result<((i64, i64), (i64, i64))> {
    use std::os::unix::fs::MetadataExt;
    Ok(((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec())))
}

#[cfg(not(unix))]
fn times(found: &fs::Metadata) -> std::io::Result<((i64, i64), (i64, i64))> {
    let since = found.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let modified = (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()));
    Ok((modified, modified))
}

/// The path as SQLite's URI with one parameter. SQLite decodes `%` and two digits to a byte, whatever it is.
fn uri(path: &Path, parameter: &str) -> PathBuf {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push('?');
    uri.push_str(parameter);
    uri.into()
}
