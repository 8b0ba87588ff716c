//! Saves a write two of its six calls of the system for locks: it begins at a read mark as it is.
//!
//! A transaction reads the log up to the last frame. With a lock on one of four marks in shared memory it keeps others
//! from moving frames after that mark into the file. When a transaction begins after a commit, SQLite moves a mark to
//! the last frame: it locks the mark exclusively, and releases that lock. When a write begins, SQLite is told here that
//! another process has the lock (SQLITE_BUSY), if a mark is less than [`BEHIND`] frames behind. Why nothing is lost:
//!
//! 1. Others may have the lock of any mark at any time. SQLite then locks the last mark that is not after the last
//!    frame, and checks, with that lock, that neither the mark nor the header of the log has changed. What the
//!    transaction reads is the same, and others move fewer frames, so the file contains nothing newer than that.
//! 2. No other lock is refused. SQLite locks one mark exclusively in three places: where a transaction begins, in a
//!    checkpoint, and in a recovery. A checkpoint and a recovery take a lock of their own first, and a transaction
//!    that begins takes none before, or the lock for writing, if it has found the header incomplete. So [`Keeps`] ends
//!    with the first lock that is not refused. (To begin the log anew, SQLite locks all four marks at once, but a
//!    transaction has begun by then.)
//! 3. A refusal leaves SQLite a mark that it can use. It uses the last one, so that one is less than [`BEHIND`] frames
//!    behind. (If others move the marks or commit meanwhile, SQLite begins again, as it does without this.)
//!
//! What it costs: a checkpoint beside a write leaves up to 63 frames more in the log, also one that keeps writers away,
//! if another process tries to begin a write at that moment. A later checkpoint moves them.
//!
//! Reads move marks as before. After one of them has, those that follow find the mark at the last frame, and ask for no
//! other lock than theirs. If the mark stayed behind, SQLite would ask for all four in each of them, and be refused: a
//! read of 9300 instructions would take 330 more.

use std::cell::Cell;
use std::ffi::c_int;

use rusqlite::ffi;

use super::wal_index::WalIndex;

/// A mark that is this many frames behind is moved.
const BEHIND: u32 = 64;

/// The locks of the marks that can be moved, in SQLite's file format.
const LOCKS: std::ops::RangeInclusive<c_int> = 4..=7;

thread_local! {
    static KEPT: Cell<Option<WalIndex>> = const { Cell::new(None) };
}

/// The transaction that this thread begins next, while this exists, may begin at a mark as it is.
pub(super) struct Keeps(());

impl Keeps {
    /// The connection that the index belongs to is open meanwhile, and the next that this thread uses.
    pub fn of(index: WalIndex) -> Keeps {
        KEPT.set(Some(index));
        Keeps(())
    }
}

impl Drop for Keeps {
    fn drop(&mut self) {
        KEPT.set(None);
    }
}

/// Whether a lock that SQLite asks for is refused, so that the marks stay as they are.
pub(super) fn refuses(place: c_int, flags: c_int) -> bool {
    const ALONE: c_int = ffi::SQLITE_SHM_LOCK | ffi::SQLITE_SHM_EXCLUSIVE;
    let Some(index) = KEPT.get() else { return false };
    let moves_mark = flags == ALONE && LOCKS.contains(&place);
    let refuses = moves_mark && is_near(index);
    if !refuses {
        KEPT.set(None);
    }
    refuses
}

/// Whether the last mark that is not after the last frame is near it.
fn is_near(index: WalIndex) -> bool {
    let frames = index.header().frames();
    index.marks().iter().any(|mark| frames.checked_sub(*mark).is_some_and(|behind| behind < BEHIND))
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(thread_sanitizer)))]
mod tests;
