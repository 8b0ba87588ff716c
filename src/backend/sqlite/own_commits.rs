//! Observes the commits of a connection: the header of the log's index just before, and the last frame of the log just
//! after.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::rc::Rc;

use rusqlite::ffi;

use super::wal_index::{Header, WalIndex};

/// Moves the log into the file when it has this many frames, as SQLite does by itself if there is no hook.
const AUTOCHECKPOINT: c_int = 1000;

/// Must be dropped after the connection.
pub(super) struct OwnCommits(Rc<Seen>);

// SAFETY: only the thread that uses the connection uses it, directly or in a hook of the connection.
unsafe impl Send for OwnCommits {}

struct Seen {
    index: WalIndex,
    before: Cell<Option<Header>>,
    last_frame: Cell<Option<u32>>,
}

/// A commit as it was observed.
pub(super) struct OwnCommit {
    /// The header when it began. Nothing was committed between it and this commit.
    pub before: Header,
    pub last_frame: u32,
}

impl OwnCommits {
    pub fn observe(connection: &rusqlite::Connection, index: WalIndex) -> OwnCommits {
        let seen = Rc::new(Seen { index, before: Cell::new(None), last_frame: Cell::new(None) });
        let context: *mut c_void = Rc::as_ptr(&seen).cast_mut().cast();
        // SAFETY: the connection is open, and what the hooks use is dropped after the connection.
        unsafe {
            ffi::sqlite3_commit_hook(connection.handle(), Some(begins), context);
            ffi::sqlite3_wal_hook(connection.handle(), Some(has_ended), context);
        }
        OwnCommits(seen)
    }

    /// Forgets the commits so far.
    pub fn forget(&self) {
        self.0.before.set(None);
        self.0.last_frame.set(None);
    }

    /// Returns the last commit.
    pub fn last(&self) -> Option<OwnCommit> {
        Some(OwnCommit { before: self.0.before.get()?, last_frame: self.0.last_frame.get()? })
    }
}

/// SQLite calls this when a commit begins. The connection has the lock for writing.
unsafe extern "C" fn begins(seen: *mut c_void) -> c_int {
    // SAFETY: it is what `observe` has set.
    let seen = unsafe { &*seen.cast::<Seen>() };
    seen.before.set(Some(seen.index.header()));
    seen.last_frame.set(None);
    0
}

/// SQLite calls this after a commit.
unsafe extern "C" fn has_ended(
    seen: *mut c_void,
    connection: *mut ffi::sqlite3,
    name: *const c_char,
    last_frame: c_int,
) -> c_int {
    // SAFETY: it is what `observe` has set.
    let seen = unsafe { &*seen.cast::<Seen>() };
    seen.last_frame.set(u32::try_from(last_frame).ok());
    if last_frame >= AUTOCHECKPOINT {
        // A failure prevents nothing: the next commit tries again.
        // SAFETY: SQLite allows this in the hook.
        unsafe {
            let passive = ffi::SQLITE_CHECKPOINT_PASSIVE;
            ffi::sqlite3_wal_checkpoint_v2(connection, name, passive, ptr::null_mut(), ptr::null_mut())
        };
    }
    ffi::SQLITE_OK
}
