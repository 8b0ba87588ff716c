//! Observes the commits of a connection: the header of the log's index just before, and the last frame of the log just
//! after. Moves the log to the disk, and into the file, when that is due.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::rc::Rc;
use std::time::Instant;

use rusqlite::ffi;

use super::autocheckpoint::Autocheckpoint;
use super::cache;
#[cfg(target_os = "linux")]
use super::early_writeback;
use super::registry::FileId;
use super::slice::Slice;
use super::wal_index::{Header, WalIndex};
use crate::futex;

/// Must be dropped after the connection.
pub(super) struct OwnCommits(Rc<Seen>);

// SAFETY: only the thread that uses the connection uses it, directly or in a hook of the connection.
unsafe impl Send for OwnCommits {}

struct Seen {
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    database: FileId,
    index: WalIndex,
    before: Cell<Option<Header>>,
    last_frame: Cell<Option<u32>>,
    /// The number of the last commit.
    commits: Cell<u32>,
    slice: Slice,
    /// When watches were last woken.
    told: Cell<Instant>,
    autocheckpoint: Autocheckpoint,
}

/// A commit as it was observed.
pub(super) struct OwnCommit {
    /// The header when it began. Nothing was committed between it and this commit.
    pub before: Header,
    pub last_frame: u32,
}

impl OwnCommits {
    pub fn observe(connection: &rusqlite::Connection, database: FileId, index: WalIndex) -> OwnCommits {
        let seen = Rc::new(Seen {
            database,
            index,
            before: Cell::new(None),
            last_frame: Cell::new(None),
            commits: Cell::new(0),
            slice: Slice::new(index),
            told: Cell::new(Instant::now()),
            autocheckpoint: Autocheckpoint::default(),
        });
        let context: *mut c_void = Rc::as_ptr(&seen).cast_mut().cast();
        // SAFETY: the connection is open, and what the hooks use is dropped after the connection.
        unsafe {
            ffi::sqlite3_commit_hook(connection.handle(), Some(begins), context);
            ffi::sqlite3_wal_hook(connection.handle(), Some(has_ended), context);
        }
        OwnCommits(seen)
    }

    /// The slices of the connection, which the hook that is called after a commit uses too.
    pub fn slice(&self) -> &Slice {
        &self.0.slice
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

impl Seen {
    /// Wakes those that watch, which have no other way to learn of a commit at once. If this process writes without a
    /// pause, does so once in a millisecond: a watch looks as often for a while after it was woken.
    fn tell_watches(&self) {
        if !self.slice.follows() || self.told.get().elapsed() >= cache::SOON {
            self.told.set(Instant::now());
            futex::wake(self.index.second_commits().as_ptr(), i32::MAX);
        }
    }
}

/// SQLite calls this when a commit begins. The connection has the lock for writing.
unsafe extern "C" fn begins(seen: *mut c_void) -> c_int {
    // SAFETY: it is what `observe` has set.
    let seen = unsafe { &*seen.cast::<Seen>() };
    let header = seen.index.header();
    seen.slice.commits_after(header.commits());
    seen.before.set(Some(header));
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
    let last_frame = seen.last_frame.get().unwrap_or(0);
    let (frames, commits) = seen.before.get().map_or((0, 0), |before| (before.frames(), before.commits()));
    let added = last_frame.checked_sub(frames).unwrap_or(last_frame);
    let is_alone = seen.commits.replace(commits.wrapping_add(1)) == commits;
    seen.tell_watches();
    #[cfg(target_os = "linux")]
    early_writeback::begin(seen.database, last_frame - added, last_frame, seen.index.header().page_size());
    if let Some(mode) = seen.autocheckpoint.due(last_frame, added, seen.index.moved(), is_alone) {
        if mode == ffi::SQLITE_CHECKPOINT_PASSIVE {
            // The lock for writing is free by now, and a checkpoint may wait for the disk.
            seen.slice.wake_early();
        }
        // A failure prevents nothing: another commit tries again.
        // SAFETY: SQLite allows this in the hook.
        unsafe { ffi::sqlite3_wal_checkpoint_v2(connection, name, mode, ptr::null_mut(), ptr::null_mut()) };
    }
    ffi::SQLITE_OK
}
