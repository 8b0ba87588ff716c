//! Why a call failed: what the system reported, who may access a file, and what can be done about it.
//!
//! SQLite reports that reading or opening failed, but not why. The system's reason is in `errno`. [`clear`] resets it
//! before SQLite is called, so a value that is found after a failure comes from that call. (SQLite's
//! `sqlite3_system_errno` reads the same `errno`, but only for failures that SQLite attributes to the system. It
//! reports an unreadable disk as a damaged file, and a refused lock as a busy one.)

use std::cell::Cell;
use std::io;
use std::path::Path;

use rusqlite::ffi;

use super::location::{BESIDE, beside, real};
use crate::error::{Code, Error};

#[cfg(any(target_os = "android", target_os = "openbsd", target_os = "netbsd"))]
use libc::__errno as errno;
#[cfg(any(target_os = "linux", target_os = "emscripten"))]
use libc::__errno_location as errno;
#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
use libc::__error as errno;

#[cfg(not(unix))]
use super::not_unix::libc::{self, errno};

thread_local! {
    /// Why a file could not be opened: the first such reason since [`clear`].
    static NOT_OPENED: Cell<i32> = const { Cell::new(0) };
}

/// Forgets earlier failures.
pub(super) fn clear() {
    set(0);
    NOT_OPENED.set(0);
}

/// Notes that a file could not be opened. SQLite then tries to open it for reading only, and the reason for that is
/// only that the file does not exist, not why it could not be created.
#[cfg(unix)] // `descriptors` is told of each file that SQLite opens
pub(super) fn not_opened() {
    if NOT_OPENED.get() == 0 {
        NOT_OPENED.set(errno_now());
    }
}

pub(super) fn set(number: i32) {
    // SAFETY: it is this thread's own variable.
    unsafe { *errno() = number };
}

/// The error number of the last system call that failed since [`clear`], or 0.
pub(super) fn last() -> i32 {
    match (errno_now(), NOT_OPENED.get()) {
        (libc::ENOENT, first) if first != 0 => first,
        (last, _) => last,
    }
}

fn errno_now() -> i32 {
    // SAFETY: it is this thread's own variable.
    unsafe { *errno() }
}

/// The system's message and advice: `No space left on device (os error 28); make room on the disk`.
fn said(number: i32) -> String {
    let word = io::Error::from_raw_os_error(number);
    match advice(number) {
        Some(advice) => format!("{word}; {advice}"),
        None => word.to_string(),
    }
}

fn advice(number: i32) -> Option<&'static str> {
    Some(match number {
        libc::ENOSPC => "make room on the disk",
        libc::EDQUOT => "the disk quota of this user or group is used up: make room, or have it raised",
        libc::EROFS => "the file system is mounted read-only",
        libc::EMFILE => "this process has too many files open: close some, or raise its limit (ulimit -n)",
        libc::ENFILE => "the system has too many files open: end some programs, or raise its limit (fs.file-max)",
        libc::ENOMEM => "the system has no memory left for this",
        libc::EFBIG => "the file may not become that large: see the process's limit (ulimit -f) and the file system's",
        libc::EIO => "the disk failed: see the system's log, and check the disk before it is trusted again",
        libc::ENOLCK => "the system has no lock for it: on a network file system the lock service may be down",
        _ => return None,
    })
}

/// A passing failure whose cause is why a file could at first not be opened, if that failed.
pub(super) fn because_not_opened(what: String) -> Error {
    let error = Error::passing(what);
    match NOT_OPENED.get() {
        0 => error,
        number => error.because(&said(number)).caused_by(io::Error::from_raw_os_error(number)),
    }
}

/// The error for a system call that failed with this `errno`.
fn failed(number: i32) -> Error {
    Error::new(Code::Io, said(number)).caused_by(io::Error::from_raw_os_error(number))
}

/// The error for a system call that this library has made.
pub(super) fn io(why: &io::Error) -> Error {
    match why.raw_os_error() {
        Some(number) => failed(number),
        None => Error::new(Code::Io, why.to_string()).caused_by(io::Error::from(why.kind())),
    }
}

/// The reason for not making a system call that is sure to fail: on Unix, its error number.
pub(super) fn foreseen(number: i32, kind: io::ErrorKind) -> io::Error {
    if cfg!(unix) { io::Error::from_raw_os_error(number) } else { kind.into() }
}

/// Whether such a failure is a matter of access rights.
pub(super) fn is_of_rights(number: i32) -> bool {
    matches!(number, libc::EACCES | libc::EPERM | libc::EROFS | libc::ENOENT)
}

/// Whether the same call is likely to succeed if it is tried again at once, or soon.
pub(super) fn is_momentary(number: i32) -> bool {
    matches!(number, libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EINTR)
}

/// Whether locks are not available. A lock that another process holds is EAGAIN or EACCES.
fn is_of_locks(number: i32) -> bool {
    matches!(number, libc::ENOLCK | libc::EIO | libc::EOPNOTSUPP | libc::ENOSYS | libc::ESTALE)
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let number = last();
        let code = code(&error);
        if code == Code::NoMem {
            return Error::no_reserve(); // a message would need memory
        }
        let extended = error.sqlite_error().map_or(0, |failure| failure.extended_code);
        if extended == ffi::SQLITE_READONLY_ROLLBACK {
            let why = "a write to it was cut short, and must be undone before it can be read: open it once for writing";
            return Error::new(Code::Io, why);
        }
        // SQLite's message for these, an attempt to write, would mislead the reader.
        if matches!(
            extended,
            ffi::SQLITE_READONLY_RECOVERY | ffi::SQLITE_READONLY_CANTLOCK | ffi::SQLITE_READONLY_CANTINIT
        ) {
            return Error::passing(format!(
                "its log must be set up again, which takes a user who may write the database and the files beside it: \
                 user {} may not; let such a user open it once",
                user()
            ));
        }
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) {
            // Only `schema::Steps` interrupts.
            return Error::new(Code::Corrupt, "the file is damaged: its pages lead back to one another");
        }
        match code {
            Code::Limit if error.to_string().contains("string or blob too big") => {
                let why = "a row of the table kv is over 513 MiB, which is more than this library reads or writes: delete \
                           that entry, or put a shorter value in its place";
                Error::new(code, why)
            }
            // This library's statements violate no constraint.
            Code::ReadOnly if extended & 0xff == ffi::SQLITE_CONSTRAINT => {
                let why = format!("another program gave the table kv a rule that forbids this write ({error})");
                Error::new(code, why)
            }
            // The last failure may be that of a look for an optional file.
            Code::Io if number == 0 || (number == libc::ENOENT && extended & 0xff == ffi::SQLITE_IOERR) => {
                Error::new(Code::Io, error.to_string())
            }
            Code::Io => failed(number).while_doing(error),
            Code::Corrupt if number == libc::EIO && extended != 0 => failed(number).while_doing("it could not be read"),
            Code::Busy if is_of_locks(number) => Error::passing(format!("it could not be locked: {}", said(number)))
                .caused_by(io::Error::from_raw_os_error(number)),
            code => Error::new(code, error.to_string()),
        }
    }
}

fn code(error: &rusqlite::Error) -> Code {
    use rusqlite::ErrorCode::*;
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            _ if failure.extended_code == ffi::SQLITE_IOERR_NOMEM => Code::NoMem,
            // That is the protocol by which processes share the log. It fails if others keep changing something.
            DatabaseBusy | DatabaseLocked | FileLockingProtocolFailed => Code::Busy,
            DatabaseCorrupt | NotADatabase => Code::Corrupt,
            ReadOnly | ConstraintViolation => Code::ReadOnly,
            OutOfMemory => Code::NoMem,
            CannotOpen | DiskFull | NoLargeFileSupport | PermissionDenied | SystemIoFailure => Code::Io,
            TooBig => Code::Limit,
            _ => Code::Internal,
        },
        // The row holds something that no key, metadata or expiration can be.
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..) => Code::Corrupt,
        _ => Code::Internal,
    }
}

/// Why this process may not read the file at `path`, or, if it `writes`, may not write it: the first obstacle. `None`
/// if there is none.
pub(super) fn rights(path: &Path, writes: bool) -> Option<String> {
    let path = &real(path);
    let folders: Vec<_> = path.ancestors().skip(1).collect();
    if let Some(folder) = folders.iter().rev().find(|folder| forbids(folder, libc::X_OK)) {
        return Some(refused("enter the folder", folder));
    }
    let folder = folders.first()?;
    if !path.exists() {
        // A folder further up may exist, in which the missing ones were to be created.
        let folder = folders.iter().find(|folder| folder.exists())?;
        return (writes && forbids(folder, libc::W_OK)).then(|| refused("write to the folder", folder));
    }
    if forbids(path, libc::R_OK) {
        return Some(refused("read", path));
    }
    if let Some(file) = BESIDE.map(|end| beside(path, end)).iter().find(|file| forbids(file, libc::R_OK)) {
        return Some(refused("read", file));
    }
    let files = std::iter::once(path.clone()).chain(BESIDE.map(|end| beside(path, end)));
    let file = files.filter(|file| writes && forbids(file, libc::W_OK)).map(|file| refused("write", &file)).next();
    file.or_else(|| {
        let why = || format!("{}, and SQLite keeps a log beside the file", refused("write to the folder", folder));
        (writes && forbids(folder, libc::W_OK)).then(why)
    })
}

/// Whether this process lacks a right (R_OK, W_OK, X_OK) to a file or folder. A missing file forbids nothing.
pub(super) fn forbids(path: &Path, what: i32) -> bool {
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()) else { return false };
    // SAFETY: the path ends with a NUL.
    let status = unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), what, libc::AT_EACCESS) };
    status != 0 && matches!(errno_now(), libc::EACCES | libc::EPERM | libc::EROFS)
}

/// `user 1002 may not write /srv/kv.db (owner 1001, mode 0640)`.
fn refused(what: &str, path: &Path) -> String {
    if errno_now() == libc::EROFS {
        return format!("{} is on a file system that is mounted read-only", path.display());
    }
    format!("user {} may not {what} {}{}", user(), path.display(), owner(path))
}

/// The user on whose behalf this process acts.
#[cfg(unix)]
pub(super) fn user() -> u32 {
    // SAFETY: it only returns a number.
    unsafe { libc::geteuid() }
}

#[cfg(not(unix))]
pub(super) fn user() -> String {
    std::env::var("USERNAME").unwrap_or_else(|_| "?".to_owned())
}

/// ` (owner 1001, mode 0640)`; empty if it is not known.
#[cfg(unix)]
pub(super) fn owner(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    match std::fs::metadata(path) {
        Ok(found) => format!(" (owner {}, mode {:04o})", found.uid(), found.mode() & 0o7777),
        Err(_) => String::new(),
    }
}

#[cfg(not(unix))]
pub(super) fn owner(_: &Path) -> String {
    String::new()
}
