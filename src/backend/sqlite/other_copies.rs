//! Other copies of SQLite in this process: finds one that has a file open.
//!
//! POSIX drops all locks of a process on a file when any descriptor for it is closed, so two copies of SQLite in one process
//! must not have the same file open ("How To Corrupt An SQLite Database File", 2.2.1). The C library and the Lua module are
//! such copies, as is a host's own SQLite. Before this copy opens a file for the first time, it looks for a descriptor of
//! the file among those of the process: one can only be another copy's. An [`OpenLock`] keeps another copy of this library
//! from opening the file between that check and the opening.

use std::fs::{File, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use super::registry::FileId;
use crate::error::{Code, Detail, Error, Result};

/// BUSY if a descriptor of this process is open for the file. To be called only while this copy has none.
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
/// The copies know nothing of each other, so they lock a file that both find: the folder of the process's own
/// descriptors. Each process has a folder of its own (in /proc an inode belongs to one process), and only this process,
/// its user's others and root can open it: nobody else can keep it locked. A file or folder beside the data would be
/// anyone's to lock. Where there is no /proc, copies do not exclude each other at this moment; a copy that has the file
/// open is found all the same.
pub(super) struct OpenLock(#[allow(dead_code)] Option<File>);

impl OpenLock {
    pub fn wait() -> OpenLock {
        /// An opening takes microseconds. A process that was cloned without its fork handlers may hold a copy of the
        /// lock for ever, and is not waited for.
        const LONGEST: Duration = Duration::from_secs(1);
        /// So many times it only lets others run.
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

/// A descriptor of this process for that file, if it has one. Where nobody lists them (another system, a chroot, no
/// descriptor left to read the list with) each that there may be is asked for.
#[cfg(unix)]
fn open_descriptor(id: FileId) -> Option<i32> {
    let is_it = |descriptor: &i32| super::descriptors::stat(*descriptor).is_some_and(|(found, _)| found == id);
    match std::fs::read_dir("/proc/self/fd") {
        Ok(list) => list.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).find(is_it),
        Err(_) => (0..descriptor_limit()).find(is_it),
    }
}

/// The first number that no descriptor has.
#[cfg(unix)]
fn descriptor_limit() -> i32 {
    /// More than this Linux gives nobody unless it was told to, and to ask for so many takes a tenth of a second.
    const MOST: i32 = 1 << 20;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit writes the struct, or leaves it as it is.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0;
    if known { i32::try_from(limit.rlim_cur).map_or(MOST, |limit| limit.min(MOST)) } else { MOST }
}

// Elsewhere locks belong to a handle and not to a process.
#[cfg(not(unix))]
fn open_descriptor(_: FileId) -> Option<i32> {
    None
}
