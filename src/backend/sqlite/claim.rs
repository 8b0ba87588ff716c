//! A second SQLite in one process: found and refused.
//!
//! POSIX drops all of a process's locks on a file when any descriptor for it is closed, so two copies of SQLite in one
//! process must not have the same file open ("How To Corrupt An SQLite Database File", 2.2.1). The C library and the Lua
//! module are such copies, as is a host's own SQLite. The first [`Claim`] on a file is refused while the process has a
//! descriptor for it that this copy does not know of. That none appears between the look and the opening is seen to by
//! a lock on the file's folder, which two copies of this library in one process take in turn.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};

/// A file, whatever its name: device and inode.
type FileId = (u64, u64);

/// How many connections of this copy of SQLite have each file open. Locked only within a call, so never during a fork.
static CLAIMS: Mutex<BTreeMap<FileId, usize>> = Mutex::new(BTreeMap::new());

fn claims() -> MutexGuard<'static, BTreeMap<FileId, usize>> {
    CLAIMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to open a file with this copy of SQLite, until it is dropped.
pub(super) struct Claim(FileId);

/// While this lives, no other copy of this library opens a file in the same folder.
pub(super) struct Turn(#[allow(dead_code)] Option<File>);

impl Claim {
    /// Claims the file at `path`, which is first made, readable for its owner only, if it is missing and `create` is
    /// set. The turn is to be kept until the file is open.
    pub(super) fn new(path: &Path, create: bool) -> Result<(Claim, Turn)> {
        let io = |why: std::io::Error| Error::new(Code::Io, why.to_string());
        let mut claims = claims();
        if create {
            make_file(path).map_err(io)?;
        }
        let file = fs::metadata(path).map_err(io)?;
        let id = file_id(&file);
        let first = !claims.contains_key(&id);
        let turn = if first { Turn::wait(path) } else { Turn(None) };
        if first && let Some(descriptor) = open_descriptor(id) {
            return Err(Error::new(
                Code::Busy,
                format!(
                    "another library in this process has it open (descriptor {descriptor}); with two copies of \
                     SQLite on one file, each would drop the other's locks"
                ),
            ));
        }
        let names = name_count(&file);
        if names > 1 {
            return Err(Error::new(
                Code::Io,
                format!(
                    "it has {names} names (hard links), and SQLite would keep a log for each, which loses what was \
                     written; remove the other names, or make the file a copy of its own"
                ),
            ));
        }
        *claims.entry(id).or_insert(0) += 1;
        Ok((Claim(id), turn))
    }
}

/// Is this a database that this process has open, by whatever name, or a file that some database has beside it? The one
/// must not be opened and closed again, which would drop its locks; and neither is a place for anything else.
pub(crate) fn is_taken(path: &Path) -> bool {
    let beside =
        |end| path.to_str().and_then(|name| name.strip_suffix(end)).is_some_and(|base| Path::new(base).exists());
    if ["-wal", "-shm", "-journal"].into_iter().any(beside) {
        return true;
    }
    let Ok(found) = fs::metadata(path) else { return false };
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let id = file_id(&found);
    claims().contains_key(&id) || (Path::new(&log).exists() && open_descriptor(id).is_some())
}

impl Turn {
    /// Others hold it for the moment that an opening takes. One who keeps it for longer is no copy of this library, and
    /// not waited for; nor is a folder that cannot be locked.
    fn wait(path: &Path) -> Turn {
        let deadline = Instant::now() + Duration::from_secs(1);
        let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) else { return Turn(None) };
        loop {
            match folder.try_lock() {
                Ok(()) => return Turn(Some(folder)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                Err(_) => return Turn(None),
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = claims().entry(self.0) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Makes the file if there is none. One that exists is not touched: closing it again would drop this process's locks.
fn make_file(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.write(true).create_new(true).open(path) {
        Err(why) if why.kind() != ErrorKind::AlreadyExists => Err(why),
        // A link to a file that is missing.
        Err(_) if !fs::exists(path)? => options.create_new(false).create(true).open(path).map(|_| ()),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn file_id(file: &fs::Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
}

#[cfg(unix)]
fn name_count(file: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(file)
}

/// A descriptor of this process for that file, if it has one. Where nobody lists them (another system, a chroot, no
/// descriptor left to read the list with) each that there may be is asked for.
#[cfg(unix)]
fn open_descriptor(id: FileId) -> Option<i32> {
    let is_it = |descriptor: &i32| descriptor_id(*descriptor) == Some(id);
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

#[cfg(unix)]
fn descriptor_id(descriptor: i32) -> Option<FileId> {
    let mut found = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstat writes the whole struct when it answers 0, and takes any number for a descriptor.
    let found = unsafe { (libc::fstat(descriptor, found.as_mut_ptr()) == 0).then(|| found.assume_init()) }?;
    #[allow(clippy::unnecessary_cast)] // their types differ from system to system
    Some((found.st_dev as u64, found.st_ino as u64))
}

// Elsewhere locks belong to a handle and not to a process, and nobody forks.

#[cfg(not(unix))]
fn file_id(_: &fs::Metadata) -> FileId {
    (0, 0)
}

#[cfg(not(unix))]
fn name_count(_: &fs::Metadata) -> u64 {
    1
}

#[cfg(not(unix))]
fn open_descriptor(_: FileId) -> Option<i32> {
    None
}
