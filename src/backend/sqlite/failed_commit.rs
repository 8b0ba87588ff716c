//! Undoes a commit that failed after it was written to the log.
//!
//! A commit writes its frames to the log, the last of them marked as a commit. Then it syncs the log, and then
//! publishes the frames to other connections by the index in shared memory. If one of these last two steps fails,
//! SQLite returns an error and rolls back, and every connection sees the state before. But the frames are still in the
//! log, and complete. If every process ends before the next commit, the next process that opens the file finds them and
//! takes them for a commit. So the failed write would appear after all, perhaps in addition to its repetition.
//!
//! So before the error is returned, an empty change is committed. It overwrites the start of the failed frames. Since
//! each frame's checksum includes all frames before it, the rest of the failed frames becomes invalid. See
//! docs/design.md, "A commit that failed".

use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, ffi};

use super::vfs::Patience;
use crate::error::{Code, Error};

/// Makes sure that a failed write stays undone. Returns its error, which tells if that is not certain.
pub(super) fn take_back(connection: &Connection, busy_timeout: Duration, failed: Error) -> Error {
    if !may_be_in_log(connection) || connection.busy_timeout(busy_timeout).is_err() {
        return failed;
    }
    let patience = Patience::of(busy_timeout);
    // After the second try the frames are gone for every process, but perhaps not from the disk.
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

/// Whether the last call failed in one of the steps after the frames were written. If a write to the log fails, for
/// example on a full disk, the last frame, which is marked as the commit, is not complete.
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

/// Commits a change without effect: it sets the user version to its present value. Even so, SQLite writes a page.
///
/// If others have committed meanwhile, they have overwritten the failed frames, and this does no harm.
fn commit_nothing(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}

/// Like [`commit_nothing`], for a disk on which syncs keep failing. At the beginning of the log SQLite syncs its header
/// before it writes a frame, so it would never overwrite one.
fn commit_nothing_unsynced(connection: &Connection) -> rusqlite::Result<()> {
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    let committed = commit_nothing(connection);
    connection.pragma_update(None, "synchronous", synchronous)?;
    committed
}
