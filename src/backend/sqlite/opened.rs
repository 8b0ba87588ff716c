//! Checks whether the path of a store still leads to the file that was opened.
//!
//! A file that was removed or replaced keeps working for the processes that have it open, and is gone when the last of
//! them closes it; all others use the new file. So a store that detects this refuses every further call.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::registry::{FileId, Identity, file_id};
use super::{descriptors, reason};
use crate::error::{Code, Error};

/// The file of a database: its path, and the identity of the file that was found there when it was first opened.
pub(super) struct OpenedFile {
    /// Absolute, since the working directory may change before a connection is opened again.
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

    /// Adds who may access the file, if that is why something failed.
    pub(super) fn explained(&self, error: Error) -> Error {
        let of_rights = match error.code() {
            Code::ReadOnly => true,
            Code::Io => reason::is_of_rights(reason::last()),
            _ => false,
        };
        match of_rights.then(|| reason::rights(&self.path, !self.readonly)).flatten() {
            Some(why) => error.because(&why),
            None => error,
        }
    }

    /// Whether this is the file that was opened first; the first call always returns true. While that file is
    /// `connected`, its inode's number belongs to no other file. Otherwise the time of creation is compared too.
    pub(super) fn is(&self, found: Identity, connected: bool) -> bool {
        let (file, _) = self.first.get_or_init(|| (found, View::now()));
        if connected { found.id == file.id } else { found == *file }
    }

    /// Whether the path leads to the file that was opened first, and it, its log and its index still have names.
    pub(super) fn is_in_place(&self, connected: bool) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| {
            let found = Identity::of(&found);
            self.is(found, connected) && descriptors::without_a_name(found.id).is_none()
        })
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
            (Some(_), Ok(_)) => REPLACED,
            (Some(_), Err(_)) => "removed",
            // The file still has a name. The path may lead elsewhere only because this process now has another root
            // folder or other mounts, or lacks the rights to look.
            (None, _) if !view.is_same() => return None,
            (None, Ok(_)) => REPLACED,
            (None, Err(why)) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                "moved or removed"
            }
            (None, Err(_)) => return None,
        };
        // SQLite would replay such a log into the new file.
        let first = if was == REPLACED { ", remove a -wal file that is left of the old one," } else { "," };
        Some(format!(
            "it was {was} while it was open, so nothing more is read from it or stored in it; close the store{first} and \
             open it again for what is at the path now"
        ))
    }
}

const REPLACED: &str = "replaced by another file";

/// What determines where an absolute path leads.
struct View {
    root: Option<FileId>,
    /// The mount namespace; `None` if it is not known.
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
