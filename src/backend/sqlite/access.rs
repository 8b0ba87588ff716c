//! How a database is opened: by a member, which may write it, or by a guest, which may not.
//!
//! SQLite creates a log and shared memory when a process opens a database, and they belong to that process's user. If a
//! guest created them, members could not write any more. So a guest creates nothing:
//!
//! - While the log has contents, a guest reads the log and the shared memory that members have created.
//! - Otherwise all data is in the file itself, and a guest reads only the file, without a lock (SQLite's `immutable`).
//!   The data it reads is valid only if no member has written meanwhile: the file must be unchanged and the log still
//!   empty. This needs nothing beside the file, so it also works on a read-only file system.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags};

use super::location::{beside, real};
#[cfg(not(unix))]
use super::not_unix::libc;
use super::registry::file_id;
use super::{reason, takeover, vfs};
use crate::error::{Code, Error, Result};

/// The condition under which a connection's reads are valid, and its writes possible.
pub(super) enum Access {
    Member {
        readonly: bool,
    },
    /// Reads beside members.
    Guest,
    /// Reads only the file.
    Snapshot(Box<Snapshot>),
}

/// Opens the file, but reads nothing from it yet. `may_wait` tells whether the caller retries a failure that is
/// passing.
pub(super) fn open(path: &Path, readonly: bool, may_wait: bool) -> Result<(Connection, Access)> {
    reason::clear();
    let real = real(path);
    let folder = real.parent().unwrap_or(Path::new("/"));
    let guest = reason::forbids(&real, libc::W_OK) || (readonly && reason::forbids(folder, libc::W_OK));
    if !guest {
        // NO_MUTEX: this library does the locking. The path is not a URI, and SQLite must not create a missing file.
        let write = if readonly { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
        return Ok((connect(path, write, false)?, Access::Member { readonly }));
    }
    if reason::forbids(&real, libc::R_OK)
        && let Some(why) = reason::rights(&real, false)
    {
        reason::clear(); // `why` already says who may read it
        return Err(reason::io(&reason::foreseen(libc::EACCES, ErrorKind::PermissionDenied)).because(&why));
    }
    let snapshot = Snapshot::take(real.clone(), may_wait)?;
    let uri = uri(&real, if snapshot.is_some() { "immutable=1" } else { "readonly_shm=1" });
    let read = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Ok((connect(&uri, read, true)?, snapshot.map_or(Access::Guest, |snapshot| Access::Snapshot(Box::new(snapshot)))))
}

/// Opens a connection through this library's VFS, which does not wait for others.
pub(super) fn connect(path: &Path, flags: OpenFlags, guest: bool) -> Result<Connection> {
    reason::clear();
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match vfs::name(guest) {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs),
        None => Connection::open_with_flags(path, flags),
    }
    .map_err(|error| match error {
        // The message would end with the path, or with the URI that a guest opens. The caller names the file instead.
        rusqlite::Error::SqliteFailure(failure, Some(_)) if failure.code == rusqlite::ErrorCode::CannotOpen => {
            rusqlite::Error::SqliteFailure(failure, Some("unable to open database file".to_owned()))
        }
        error => error,
    })?;
    connection.busy_timeout(Duration::ZERO)?;
    Ok(connection)
}

impl Access {
    /// Whether the data that was read is valid, and more can be read. Otherwise the connection is no longer usable.
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

    /// Converts an error of an opening. If members came or went meanwhile, the opening is tried again: the files that a
    /// guest was to read beside them disappear with the last member, and a file that is read alone looks damaged while
    /// it is written.
    pub(super) fn failed(&self, path: &Path, error: Error) -> Error {
        let why = reason::last();
        let has_members = || has_changes(&beside(&real(path), "-wal")) && beside(&real(path), "-shm").exists();
        let error = match self {
            // A file that was missing may be there again.
            Access::Guest if error.raw_os_error() == Some(libc::ENOENT) => error.into_passing(),
            Access::Guest if error.code() == Code::Io && !has_members() => error.into_passing(),
            _ => self.check().err().unwrap_or(error),
        };
        reason::set(why); // the checks above have replaced the reason
        error
    }

    /// Checks that a connection provides what it was opened for. A member's connection can turn out to be read-only,
    /// since something failed for a moment, or since another user created the files beside the database.
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
        Err(reason::because_not_opened(format!(
            "{} could be opened for reading only, although user {} may write it{}",
            file.display(),
            reason::user(),
            reason::owner(&file)
        )))
    }
}

/// The state of the file at a moment when it was not being written.
pub(super) struct Snapshot {
    path: PathBuf,
    stamp: Stamp,
}

/// Everything that changes when a file is changed.
#[derive(PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Snapshot {
    /// Returns `None` if the log has contents or a write was interrupted.
    fn take(path: PathBuf, may_wait: bool) -> Result<Option<Snapshot>> {
        if is_used(&beside(&path, "-journal")) {
            return Ok(None);
        }
        if has_changes(&beside(&path, "-wal")) {
            return match beside(&path, "-shm").exists() {
                true => Ok(None),
                // This also happens for a moment when a member opens it.
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
            // A file that was changed once is not an error.
            (Some(tick), false) => Err(Error::new(Code::Busy, format!("it was changed less than {tick:?} ago"))),
            (Some(tick), true) => Err(Error::passing(format!(
                "whenever it was looked at, it had been changed less than {tick:?} before: user {} may not write it, and \
                 cannot read it while it is being changed all the time",
                reason::user()
            ))),
        }
    }

    fn holds(&self) -> bool {
        !has_changes(&beside(&self.path, "-wal"))
            && !is_used(&beside(&self.path, "-journal"))
            && Stamp::of(&self.path).is_ok_and(|stamp| stamp == self.stamp)
    }
}

/// Whether the log has more than its header, which is 32 bytes. A writer that is killed between the header and the first
/// change leaves a log that no guest can read beside the shared memory: SQLite waits for a writer to go on.
fn has_changes(log: &Path) -> bool {
    fs::metadata(log).is_ok_and(|found| found.len() > 32)
}

fn is_used(journal: &Path) -> bool {
    fs::metadata(journal).is_ok_and(|found| found.len() > 0)
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let found = fs::metadata(path)?;
        let (modified, changed) = times(&found)?;
        Ok(Stamp { file: file_id(&found), len: found.len(), modified, changed })
    }

    /// Whether a later change could have the same time, within the same tick of the file system's clock. Returns that
    /// tick.
    fn too_young(&self) -> Option<Duration> {
        /// Kernels have ticks of up to 10 ms; some file systems, of one or two seconds.
        const TICKS: [Duration; 2] = [Duration::from_millis(30), Duration::from_millis(2100)];
        let tick = TICKS[usize::from(self.changed.1 == 0 && self.modified.1 == 0)];
        let since = |(seconds, nanos): (i64, i64)| {
            let time = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?);
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + time).ok()
        };
        [self.changed, self.modified].into_iter().filter_map(since).any(|age| age < tick).then_some(tick)
    }
}

/// The times of the last modification and of the last change of the inode, each as seconds and nanoseconds.
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

/// The path as a URI for SQLite, with one parameter. SQLite decodes `%` and two digits to any byte.
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
