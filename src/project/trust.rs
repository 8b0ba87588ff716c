//! Whose project it may be.
//!
//! The search for a project leaves the folder that it begins in, and may come to one that others can write to, such as
//! /tmp. A stranger's luat.toml there would send the store to where its owner reads it. So what decides on the place of
//! the data has to belong to this process's user, to root, or to the owner of the folder that the search begins in: that
//! one's files are used anyway. (The last is for a project that lies in a container under another user's number.) Who
//! owns the database itself does not matter, since groups share one.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::error::{Code, Error, Result};

/// The environment variable with folders, divided as in PATH, whose projects are trusted whoever owns them.
const VARIABLE: &str = "LUAT_KV_TRUSTED_PROJECT";

const EVERYBODY_WRITES: u32 = 0o002;
const STICKY: u32 = 0o1000;

pub(super) struct Trust {
    /// This process's user.
    user: u32,
    /// The folder that the search began in, and its owner.
    start: PathBuf,
    owner: u32,
}

impl Trust {
    pub fn from(start: &Path) -> io::Result<Self> {
        // SAFETY: it only answers a number.
        let user = unsafe { libc::geteuid() };
        Ok(Trust { user, owner: fs::metadata(start)?.uid(), start: start.to_owned() })
    }

    /// That a luat.toml, which was opened, says where the data is to be.
    pub fn config(&self, root: &Path, config: &Path, file: &File) -> Result<()> {
        if is_allowed(root) {
            return Ok(());
        }
        let failed = |why: io::Error| Error::new(Code::Io, format!("{}: {why}", config.display()));
        let (link, found) = (fs::symlink_metadata(config).map_err(failed)?, file.metadata().map_err(failed)?);
        for file in [&link, &found] {
            if !self.is_trusted(file) {
                return Err(self.refused(root, &format!("{} belongs to user {}", config.display(), file.uid())));
            }
        }
        if found.mode() & EVERYBODY_WRITES != 0 {
            return Err(refused(root, &format!("everybody may write to {}", config.display())));
        }
        let folder = fs::metadata(root).map_err(failed)?;
        if folder.mode() & (EVERYBODY_WRITES | STICKY) == EVERYBODY_WRITES {
            let what = format!("everybody may replace {}, since everybody may write to its folder", config.display());
            return Err(refused(root, &what));
        }
        Ok(())
    }

    /// That no link, and in a folder that everybody may write to no folder, on the way from the project's root to its
    /// database is a stranger's.
    pub fn way(&self, root: &Path, path: &Path) -> Result<()> {
        if is_allowed(root) {
            return Ok(());
        }
        // A data folder elsewhere is reached from the top.
        let (mut at, rest) = match path.strip_prefix(root) {
            Ok(rest) => (root.to_owned(), rest),
            Err(_) => (PathBuf::new(), path),
        };
        for part in rest.components() {
            let above = fs::metadata(&at).ok();
            at.push(part);
            if !matches!(part, Component::Normal(_)) {
                continue;
            }
            let found = match fs::symlink_metadata(&at) {
                Ok(found) => found,
                Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
                Err(why) => return Err(Error::new(Code::Io, format!("{}: {why}", at.display()))),
            };
            if self.is_trusted(&found) {
                continue;
            }
            let is_open = above.is_some_and(|above| above.mode() & EVERYBODY_WRITES != 0);
            let what = match (found.is_symlink(), found.is_dir() && is_open) {
                (true, _) => "a symbolic link that belongs to user",
                (false, true) => "in a folder that everybody may write to, and belongs to user",
                (false, false) => continue,
            };
            return Err(self.refused(root, &format!("{} is {what} {}", at.display(), found.uid())));
        }
        Ok(())
    }

    fn is_trusted(&self, file: &Metadata) -> bool {
        [self.user, 0, self.owner].contains(&file.uid())
    }

    fn refused(&self, root: &Path, what: &str) -> Error {
        let Trust { user, start, owner } = self;
        let whose = format!(
            "{what}, which is not this process's user ({user}), root, or the owner of {} ({owner})",
            start.display()
        );
        refused(root, &whose)
    }
}

fn refused(root: &Path, what: &str) -> Error {
    let folder = root.display();
    Error::new(Code::Io, format!("{what}; if the project is to be trusted, set {VARIABLE}={folder}"))
}

/// Did the environment name this folder, which has no links in it?
fn is_allowed(root: &Path) -> bool {
    let Some(folders) = std::env::var_os(VARIABLE) else { return false };
    std::env::split_paths(&folders)
        .filter(|folder| folder.is_absolute())
        .any(|folder| fs::canonicalize(folder).is_ok_and(|folder| folder == root))
}
