//! Detects another copy of SQLite in this process that has a file open.
//!
//! POSIX drops all locks of a process on a file when any descriptor for it is closed, so two copies of SQLite in one
//! process must not have the same file open ("How To Corrupt An SQLite Database File", 2.2.1). The C library and the
//! Lua module are such copies, and so is a host's own SQLite. Before this copy opens a file for the first time, it
//! looks for a descriptor of the file among those of the process: it can only be another copy's. An [`OpenLock`] keeps
//! another copy of this library from opening the file between that check and the opening.

use std::fs::{File, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use super::registry::FileId;
use crate::error::{Code, Detail, Error, Result};

/// Returns BUSY if a descriptor of this process is open for the file. To be called only while this copy has none.
pub(super) fn check(id: FileId) -> Result<()> {
    let Some(descriptor) = open_descriptor(id) else { return Ok(()) };
    let why = format!(
        "another library in this process has it open (descriptor {descriptor}); with two copies of SQLite on one file, \
         each would drop the other's locks"
    );
    Err(Error::new(Code::Busy, why).with_detail(Detail::OpenInOtherLibrary))
}

/// While this lives, no other copy of this library in this process, and no other thread, opens a database.
///
/// The copies do not know each other, so they lock a file that all of them find: the folder of the process's own
/// descriptors. Each process has its own (in /proc an inode belongs to one process), and only this process, others of
/// its user and root can open it, so other users cannot keep it locked. A file or folder beside the data could be
/// locked by anyone. Without /proc, copies do not exclude each other at this moment, but a copy that has the file open
/// is still detected.
pub(super) struct OpenLock(#[allow(dead_code)] Option<File>);

impl OpenLock {
    pub fn wait() -> OpenLock {
        /// An opening takes microseconds. A process that was cloned without its fork handlers may hold a copy of the
        /// lock for ever, so the wait is limited.
        const LONGEST: Duration = Duration::from_secs(1);
        /// The first tries only yield to other threads.
        const YIELDS: usize = 20;
        let begun = Instant::now();
        let Ok(folder) = File::open("/proc/self/fd") else { return OpenLock(None) };
        for tries in 0.. {
            match folder.try_lock() {
                Ok(()) => return OpenLock(Some(folder)),
                Err(TryLockError::WouldBlock) if tries < YIELDS => thread::yield_now(),
                Err(TryLockError::WouldBlock) if begun.elapsed() < LONGEST => thread::sleep(Duration::from_millis(1)),
                Err(_) => break,
            }
        }
        OpenLock(None)
    }
}

/// Returns a descriptor of this process for the file, if there is one. If the descriptors cannot be listed (on another
/// system, in a chroot, or if none is left to read the list with), each possible number is tried.
#[cfg(unix)]
fn open_descriptor(id: FileId) -> Option<i32> {
    let is_it = |descriptor: &i32| super::descriptors::stat(*descriptor).is_some_and(|(found, _)| found == id);
    match std::fs::read_dir("/proc/self/fd") {
        Ok(list) => list.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).find(is_it),
        Err(_) => (0..descriptor_limit()).find(is_it),
    }
}

/// The lowest number that no descriptor can have.
#[cfg(unix)]
fn descriptor_limit() -> i32 {
    /// Linux allows no more unless it is configured to, and to try this many takes a tenth of a second.
    const MOST: i32 = 1 << 20;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit writes the struct, or leaves it unchanged.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0;
    if known { i32::try_from(limit.rlim_cur).map_or(MOST, |limit| limit.min(MOST)) } else { MOST }
}

// Elsewhere locks belong to a handle and not to a process.
#[cfg(not(unix))]
fn open_descriptor(_: FileId) -> Option<i32> {
    None
}
