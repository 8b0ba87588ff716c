//! Takes back a commit that failed when it was already in the log.
//!
//! A commit writes its frames to the log, the last of them with the checkpoint of a commit, then syncs the log, then tells the
//! other connections by the index in shared memory. If one of the last two steps fails, SQLite returns an error and rolls
//! back. All who have the file open then see the state before. But the frames are still in the log, and whole: if
//! every process ends before the next commit, the next one to open the file finds them and takes them for a commit.
//! The write would appear after all, perhaps beside its repetition.
//!
//! So before the error is returned, an empty change is committed. It goes where the failed frames begin, and each frame's
//! checksum includes all frames before it: what is left of the failed frames is not valid any more. See
//! docs/design.md, "A commit that failed".

use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, ffi};

use super::vfs::Patience;
use crate::error::{Code, Error};

/// Makes sure that a write which failed stays undone. Returns its error, which says so where that is not certain.
pub(super) fn take_back(connection: &Connection, busy_timeout: Duration, failed: Error) -> Error {
    if !may_be_in_log(connection) || connection.busy_timeout(busy_timeout).is_err() {
        return failed;
    }
    let patience = Patience::of(busy_timeout);
    // With the second try the frames are gone for every process, though perhaps not from the disk.
    let what = match commit_nothing(connection) {
        Ok(()) => "",
        Err(_) if commit_nothing_unsynced(connection).is_ok() => "the write may still appear after a power cut",
        Err(_) => "the write may still appear after a crash",
    };
    drop(patience);
    let _ = connection.busy_timeout(Duration::ZERO);
    match failed.code() {
        Code::Io if !what.is_empty() => failed.followed_by(format_args!("; {what}")),
        _ => failed,
    }
}

/// Did the last call fail in one of the steps after the frames were written? Where a write itself failed, a full disk
/// among others, the frame with the checkpoint of the commit, which is the last one, is not whole.
fn may_be_in_log(connection: &Connection) -> bool {
    // SAFETY: the handle is the connection's own, which is open.
    let code = unsafe { ffi::sqlite3_extended_errcode(connection.handle()) };
    matches!(
        code,
        ffi::SQLITE_IOERR_FSYNC
            | ffi::SQLITE_IOERR_SHMMAP
            | ffi::SQLITE_IOERR_SHMSIZE
            | ffi::SQLITE_IOERR_NOMEM
            | ffi::SQLITE_NOMEM
    )
}

/// Commits a change that changes nothing: the user version is set to what it is. It is a page of its own all the same.
///
/// Where others have committed meanwhile, they have overwritten the failed frames, and this does no harm.
fn commit_nothing(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}

/// The same for a disk that goes on failing to sync. At the beginning of the log SQLite syncs its header before it writes
/// a frame, and would not get to overwrite one.
fn commit_nothing_unsynced(connection: &Connection) -> rusqlite::Result<()> {
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    let committed = commit_nothing(connection);
    connection.pragma_update(None, "synchronous", synchronous)?;
    committed
}
