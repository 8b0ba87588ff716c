//! Whether the path of a store still leads to the file that was opened.
//!
//! A file that was removed or replaced goes on working for those that have it open, and is gone when the last of them
//! closes it; everybody else uses the new one. So a store that finds this out refuses every further call.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::registry::{FileId, Identity, file_id};
use super::{descriptors, reason};
use crate::error::{Code, Error};

/// The file of a database: where it is, and which one was found there when it was opened first.
pub(super) struct OpenedFile {
    /// Absolute: the working directory may change before a connection is made again.
    path: PathBuf,
    readonly: bool,
    first: OnceLock<(Identity, View)>,
}

impl OpenedFile {
    pub(super) fn new(path: PathBuf, readonly: bool) -> Self {
        OpenedFile { path, readonly, first: OnceLock::new() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its connections are to read only.
    pub(super) fn readonly(&self) -> bool {
        self.readonly
    }

    /// Adds who may do what, where that is why something failed.
    pub(super) fn explained(&self, error: Error) -> Error {
        let of_rights = match error.code() {
            Code::ReadOnly => true,
            Code::Io => reason::is_of_rights(reason::last()),
            _ => false,
        };
        match of_rights.then(|| reason::rights(&self.path, !self.readonly)).flatten() {
            Some(why) => Error::new(error.code(), format!("{}: {why}", error.message())),
            None => error,
        }
    }

    /// Whether this is the file that was opened first, which it is the first time. While that one is `connected`, its
    /// inode's number is given to no other; otherwise it is told by its time of creation too.
    pub(super) fn is(&self, found: Identity, connected: bool) -> bool {
        let (file, _) = self.first.get_or_init(|| (found, View::now()));
        if connected { found.id == file.id } else { found == *file }
    }

    /// Whether the path leads to the file that was opened first.
    pub(super) fn is_in_place(&self, connected: bool) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| self.is(Identity::of(&found), connected))
    }

    /// What has become of the file, if it is not the one at the path any more.
    pub(super) fn problem(&self, connected: bool) -> Option<String> {
        let (file, view) = self.first.get()?;
        let found = fs::metadata(&self.path).map(|found| Identity::of(&found));
        let in_place = found.as_ref().is_ok_and(|found| self.is(*found, connected));
        let was = match (descriptors::without_a_name(file.id), found) {
            (None, _) if in_place => return None,
            (Some(log @ ("-wal" | "-shm")), _) if in_place => {
                return Some(format!(
                    "its {log} file was removed or replaced while it was open, so other processes do not see what is \
                     written here; close the store, and open it again"
                ));
            }
            (Some(_), Ok(_)) => "replaced by another file",
            (Some(_), Err(_)) => "removed",
            // The file still has a name, and the path may lead elsewhere only since this process has another root folder
            // or other mounts, or lacks the rights to look.
            (None, _) if !view.is_same() => return None,
            (None, Ok(_)) => "replaced by another file",
            (None, Err(why)) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                "moved or removed"
            }
            (None, Err(_)) => return None,
        };
        Some(format!(
            "it was {was} while it was open, so nothing more is read from it or stored in it; close the store, and open it \
             again for what is at the path now"
        ))
    }
}

/// What decides where an absolute path leads.
struct View {
    root: Option<FileId>,
    /// The namespace of mounts, which may not be known.
    mounts: Option<FileId>,
}

impl View {
    fn now() -> Self {
        let id = |path| fs::metadata(path).ok().map(|found| file_id(&found));
        View { root: id("/"), mounts: id("/proc/self/ns/mnt") }
    }

    fn is_same(&self) -> bool {
        let now = View::now();
        self.root == now.root && self.mounts.zip(now.mounts).is_none_or(|(then, now)| then == now)
    }
}
