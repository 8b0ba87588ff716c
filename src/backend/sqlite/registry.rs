//! The database files that this copy of SQLite has open in this process. The first [`Registration`] of a file is
//! refused while another copy of SQLite has it open: see [`other_copies`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, Metadata};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::descriptors::Descriptor;
use super::location::check_alone;
use super::other_copies::{self, OpenLock};
use super::reason;
use super::takeover::take_over;
use crate::error::Result;

/// Identifies a file, whatever its name: device and inode.
pub(crate) type FileId = (u64, u64);

/// Identifies a file even if the number of its inode has since been given to another file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub id: FileId,
    /// The time of creation, if the file system records it.
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

/// Locked by calls, by a fork, and by [`descriptors`](super::descriptors) whenever SQLite opens or closes a file. A
/// holder of this lock takes no other lock except that of drafts, whose holders do not take this one.
pub(super) fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to open a file with this copy of SQLite, until it is dropped.
pub(super) struct Registration(Identity);

impl Registration {
    /// Registers the file at `path`. The caller keeps the lock until the file is open. A connection that `writes` takes
    /// over files that another user has left in its way.
    pub(super) fn new(path: &Path, writes: bool) -> Result<(Registration, OpenLock)> {
        // Before the registry is locked, so that no other thread has to wait meanwhile.
        let lock = OpenLock::wait();
        let file = fs::metadata(path).map_err(|why| reason::io(&why))?;
        let identity = Identity::of(&file);
        let mut registry = registry();
        let first = !registry.databases.contains_key(&identity.id);
        if first {
            other_copies::check(identity.id)?;
        }
        check_alone(path, &file)?;
        if first {
            let taken = take_over(path);
            // A reader may not need them; if it does, it reports that itself.
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

    /// Whether the registered file is the one that this thread has just opened, and the path still leads to it.
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

/// Whether this is a database that this process has open, under any name, or a file beside a database. An open database
/// must not be opened and closed again, which would drop its locks, and neither file may be overwritten by anything
/// else.
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
    registry().databases.contains_key(&id) || (Path::new(&log).exists() && other_copies::check(id).is_err())
}

#[cfg(unix)]
pub(super) fn file_id(file: &Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
}

#[cfg(not(unix))]
pub(super) fn file_id(_: &Metadata) -> FileId {
    (0, 0)
}
