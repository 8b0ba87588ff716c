//! Which database files this process has open, so that a second copy of SQLite in it is found and refused.
//!
//! POSIX drops all of a process's locks on a file when any descriptor for it is closed, so two copies of SQLite in one
//! process must not have the same file open ("How To Corrupt An SQLite Database File", 2.2.1). The C library and the Lua
//! module are such copies, as is a host's own SQLite. The first [`Registration`] of a file is refused while the process
//! has a descriptor for it that this copy does not know of. An [`OpenLock`] keeps another copy of this library from
//! opening the file between that check and the opening.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File, Metadata, TryLockError};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::descriptors::Descriptor;
use super::location::check_alone;
use super::reason;
use super::takeover::take_over;
use crate::error::{Code, Detail, Error, Result};

/// A file, whatever its name: device and inode.
pub(crate) type FileId = (u64, u64);

/// A file, also when its inode's number has been given to another one since.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub id: FileId,
    /// Where the file system knows it.
    created: Option<SystemTime>,
}

impl Identity {
    pub(super) fn of(file: &Metadata) -> Self {
        Identity { id: file_id(file), created: file.created().ok() }
    }
}

/// What this copy of SQLite has open.
pub(crate) struct Registry {
    /// How many connections have each database open.
    pub(super) databases: BTreeMap<FileId, usize>,
    /// The descriptors of these databases, of their logs, and of the logs' indexes.
    #[cfg_attr(not(unix), allow(dead_code))]
    pub(super) descriptors: Vec<Descriptor>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { databases: BTreeMap::new(), descriptors: Vec::new() });

/// Locked by calls, by a fork, and by [`descriptors`](super::descriptors) whenever SQLite opens or closes a file. Whoever
/// has locked it takes no other lock but that of drafts, within which it is not locked.
pub(super) fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to open a file with this copy of SQLite, until it is dropped.
pub(super) struct Registration(Identity);

impl Registration {
    /// Registers the file at `path`. The lock is to be kept until the file is open. A connection that `writes` takes over
    /// what another user has left in its way.
    pub(super) fn new(path: &Path, writes: bool) -> Result<(Registration, OpenLock)> {
        // Before the registry is locked: nobody else waits meanwhile.
        let lock = OpenLock::wait();
        let file = fs::metadata(path).map_err(|why| reason::io(&why))?;
        let identity = Identity::of(&file);
        let mut registry = registry();
        let first = !registry.databases.contains_key(&identity.id);
        if first && let Some(descriptor) = open_descriptor(identity.id) {
            return Err(Error::new(
                Code::Busy,
                format!(
                    "another library in this process has it open (descriptor {descriptor}); with two copies of \
                     SQLite on one file, each would drop the other's locks"
                ),
            )
            .with_detail(Detail::OpenInOtherLibrary));
        }
        check_alone(path, &file)?;
        if first {
            let taken = take_over(path);
            // A reader may do without: where it cannot, it says so itself.
            if writes {
                taken?;
            }
        }
        *registry.databases.entry(identity.id).or_insert(0) += 1;
        Ok((Registration(identity), lock))
    }

    pub(super) fn identity(&self) -> Identity {
        self.0
    }

    /// Is the registered file the one that this thread has opened just now, and still the one that the path leads to?
    pub(super) fn is_at(&self, path: &Path) -> bool {
        super::descriptors::opened().is_none_or(|opened| opened == self.0.id)
            && fs::metadata(path).is_ok_and(|found| file_id(&found) == self.0.id)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = registry().databases.entry(self.0.id) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Is this a database that this process has open, by whatever name, or a file that some database has beside it? The one
/// must not be opened and closed again, which would drop its locks; and neither is a place for anything else.
pub(super) fn is_taken(path: &Path) -> bool {
    let beside =
        |end| path.to_str().and_then(|name| name.strip_suffix(end)).is_some_and(|base| Path::new(base).exists());
    if ["-wal", "-shm", "-journal"].into_iter().any(beside) {
        return true;
    }
    let Ok(found) = fs::metadata(path) else { return false };
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let id = file_id(&found);
    registry().databases.contains_key(&id) || (Path::new(&log).exists() && open_descriptor(id).is_some())
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
    pub(super) fn wait() -> OpenLock {
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

#[cfg(unix)]
pub(super) fn file_id(file: &Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
}

/// A descriptor of this process for that file, if it has one. Where nobody lists them (another system, a chroot, no
/// descriptor left to read the list with) each that there may be is asked for.
#[cfg(unix)]
fn open_descriptor(id: FileId) -> Option<i32> {
    let is_it = |descriptor: &i32| super::descriptors::stat(*descriptor).is_some_and(|(found, _)| found == id);
    match fs::read_dir("/proc/self/fd") {
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

// Elsewhere locks belong to a handle and not to a process, and nobody forks.

#[cfg(not(unix))]
pub(super) fn file_id(_: &Metadata) -> FileId {
    (0, 0)
}

#[cfg(not(unix))]
fn open_descriptor(_: FileId) -> Option<i32> {
    None
}
