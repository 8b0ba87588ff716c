//! Files of another user beside a database that this process may write.
//!
//! The process that opens a database first creates its log and its shared memory, which belong to that process's user.
//! If that user may only read the database (with another library or the sqlite3 shell), the users that may write it
//! cannot write these files, and SQLite then only reads. When no process has the database open, they are removed here,
//! and the log is copied if it has contents.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::location::{beside, real};
use super::reason;
use crate::error::{Error, Result};

/// Removes or replaces the files that this process may not write, beside a database that it may write. The caller makes
/// sure that this process has no descriptor for the database and gets none meanwhile, since this would drop its locks.
pub(super) fn take_over(path: &Path) -> Result<()> {
    let path = real(path);
    let (log, index) = (beside(&path, "-wal"), beside(&path, "-shm"));
    if reason::forbids(&path, libc::W_OK) || foreign(&path).is_none() {
        return Ok(());
    }
    let _locked = lock(&path)?;
    let Some(file) = foreign(&path) else { return Ok(()) };
    let done = replace(&path, &log).and_then(|()| remove(&index));
    done.map_err(|why| told(&path, &file, &format!("taking it over failed: {why}; {}", cure(&file))).caused_by(why))
}

/// Returns an error for a file beside the database that this process may not write, if there is one.
pub(super) fn check(path: &Path) -> Result<()> {
    let path = real(path);
    match foreign(&path) {
        None => Ok(()),
        Some(file) => Err(told(&path, &file, &cure(&file))),
    }
}

/// What a person can do. A log may contain writes that exist nowhere else, so the advice never is to remove one that is
/// not empty.
fn cure(file: &Path) -> String {
    let found = fs::symlink_metadata(file);
    let is_log = file.as_os_str().as_encoded_bytes().ends_with(b"-wal");
    match found {
        Ok(found) if is_log && found.is_file() && found.len() > 0 => format!(
            "do not remove it, since it may hold what was written last; let user {} open and close the database, or \
             change the file's owner or mode",
            found.uid()
        ),
        _ => "remove it when no process has the database open".to_owned(),
    }
}

fn foreign(path: &Path) -> Option<PathBuf> {
    ["-wal", "-shm"].map(|end| beside(path, end)).into_iter().find(|file| reason::forbids(file, libc::W_OK))
}

/// Passing: the process that has the database open may close it before the busy timeout is over.
fn told(path: &Path, file: &Path, cure: &str) -> Error {
    let owner = |path: &Path| fs::metadata(path).map_or_else(|_| "?".to_owned(), |found| found.uid().to_string());
    Error::passing(format!(
        "user {} may not write {}{}, which another user has made for a database of user {}; {cure}",
        reason::user(),
        file.display(),
        reason::owner(file),
        owner(path)
    ))
}

/// Proves that no process has the database open, and keeps others from opening it, with the lock that SQLite takes to
/// remove a log: every reader of the log holds a shared lock on these bytes from its first read until it closes the
/// database.
fn lock(path: &Path) -> Result<File> {
    /// SQLite's `PENDING_BYTE`, up to the end of its `SHARED_SIZE`.
    const BYTES: (libc::off_t, libc::off_t) = (0x4000_0000, 512);
    let options = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path);
    let file = options.map_err(|why| reason::io(&why))?;
    // SAFETY: a struct of numbers, which may all be 0.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    #[allow(clippy::unnecessary_cast)] // their types differ from system to system
    {
        range.l_type = libc::F_WRLCK as libc::c_short;
        range.l_whence = libc::SEEK_SET as libc::c_short;
    }
    (range.l_start, range.l_len) = BYTES;
    // SAFETY: the descriptor is open, and F_SETLK reads the struct.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &range) } == 0 {
        return Ok(file);
    }
    let why = io::Error::last_os_error();
    if !matches!(why.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) {
        return Err(reason::io(&why));
    }
    // SAFETY: as above.
    let found = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut range) };
    let holder = match found == 0 && range.l_pid > 0 {
        true => format!("process {}", range.l_pid),
        false => "another process".to_owned(),
    };
    let file = foreign(path).unwrap_or_else(|| path.to_path_buf());
    let cure =
        format!("{holder} has the database open: once that is closed, opening the database here removes the file");
    Err(told(path, &file, &cure))
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Replaces the log with a copy that belongs to this process's user. An empty log is removed.
fn replace(path: &Path, log: &Path) -> io::Result<()> {
    if !reason::forbids(log, libc::W_OK) {
        return Ok(());
    }
    // Anyone who may write to the folder may have put any file here. SQLite does not follow a link to a log either. A
    // file that is not a log must not be copied to where others can read it.
    let found = fs::symlink_metadata(log)?;
    if !found.is_file() || found.nlink() > 1 {
        return Err(io::Error::other("it is not a regular file of one name"));
    }
    if found.len() == 0 {
        return remove(log); // also one that may not be read
    }
    let mut from = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(log)?;
    if (from.metadata()?.dev(), from.metadata()?.ino()) != (found.dev(), found.ino()) {
        return Err(io::Error::other("it is being replaced"));
    }
    if !is_log(&mut from)? {
        return remove(log);
    }
    let mut copy = Draft::beside(path)?;
    io::copy(&mut from, copy.file())?;
    copy.file().set_permissions(fs::metadata(path)?.permissions())?;
    copy.replace(log)
}

/// Whether it begins as a log does. SQLite treats any other file as an empty log. Leaves the file at its start.
fn is_log(file: &mut File) -> io::Result<bool> {
    /// The two kinds differ in the byte order that their checksums use.
    const MAGIC: [[u8; 4]; 2] = [0x377f_0682_u32.to_be_bytes(), 0x377f_0683_u32.to_be_bytes()];
    let mut begin = Vec::new();
    file.by_ref().take(4).read_to_end(&mut begin)?;
    file.rewind()?;
    Ok(MAGIC.iter().any(|magic| magic[..] == begin[..]))
}
