//! Checks whether a project is trusted.
//!
//! The search for a project leaves the folder that it starts in, and may reach one that others can write to, such as
//! /tmp. A stranger's luat.toml there would send the data to a place that the stranger can read. So the files that
//! determine the place of the data must belong to this process's user, to root, or to the owner of the folder that the
//! search starts in, whose files are used anyway. (The last rule is for a project in a container that belongs to
//! another user number.) The owner of the database itself does not matter, since groups share databases.
//! owns the database itself does not matter, since groups share one.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use self::way::{Step, Way};
use crate::backend::sqlite::{FileId, Stage};
use crate::error::{Code, Error, Result};

mod way;

/// The environment variable with folders, separated as in PATH, whose projects are trusted whoever owns them.
const VARIABLE: &str = "LUAT_KV_TRUSTED_PROJECT";

const EVERYBODY_WRITES: u32 = 0o002;
const STICKY: u32 = 0o1000;

pub(super) struct Trust {
    /// The user of this process.
    user: u32,
    /// The folder that the search started in, and its owner.
    start: PathBuf,
    owner: u32,
}

impl Trust {
    pub fn from(start: &Path) -> io::Result<Self> {
        // SAFETY: it only returns a number.
        let user = unsafe { libc::geteuid() };
        Ok(Trust { user, owner: fs::metadata(start)?.uid(), start: start.to_owned() })
    }

    /// Checks that a luat.toml, which was opened, may determine where the data is.
    pub fn config(&self, root: &Path, config: &Path, file: &File) -> Result<()> {
        if is_allowed(root) {
            return Ok(());
        }
        let failed = |why: io::Error| Error::io(why).while_doing(config.display());
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

    /// Checks that no link on the way from the project's root to its database belongs to a stranger, and no folder
    /// inside of a folder that everybody may write to, and that the way leads to the file that was opened.
    ///
    /// A stranger may rename their own folders at any time. So each folder is kept open while the next name is looked
    /// up in it, and everything that was checked is on one way, which leads to the file at its end.
    pub fn way(&self, root: &Path, path: &Path, stage: Stage) -> Result<()> {
        if is_allowed(root) {
            return Ok(());
        }
        // A data folder outside of the root is reached from `/`.
        let (top, rest) = match path.strip_prefix(root) {
            Ok(rest) => (root, rest),
            Err(_) => (Path::new("/"), path),
        };
        let failed = |at: &Path, why: io::Error| Error::io(why).while_doing(at.display());
        let mut way = Way::new(top, rest).map_err(|why| failed(top, why))?;
        loop {
            let step = way.step().map_err(|why| failed(way.at(), why))?;
            let what = match step {
                Step::Link { user } if !self.trusts(user) => format!("a symbolic link that belongs to user {user}"),
                Step::Folder { user, is_open: true } if !self.trusts(user) => {
                    format!("in a folder that everybody may write to, and belongs to user {user}")
                }
                Step::Link { .. } | Step::Folder { .. } => continue,
                Step::Missing { is_last } => return missing(way.at(), is_last, stage),
                Step::End(id) => return end(way.at(), id, stage),
            };
            return Err(self.refused(root, &format!("{} is {what}", way.at().display())));
        }
    }

    fn trusts(&self, user: u32) -> bool {
        [self.user, 0, self.owner].contains(&user)
    }

    fn is_trusted(&self, file: &Metadata) -> bool {
        self.trusts(file.uid())
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

/// Handles a missing name, where the way ends.
fn missing(at: &Path, is_last: bool, stage: Stage) -> Result<()> {
    match stage {
        Stage::Begun => Ok(()),
        Stage::FoldersMade if is_last => Ok(()),
        Stage::FoldersMade | Stage::Opened(_) => Err(replaced(at, "moved or removed")),
    }
}

fn end(at: &Path, id: FileId, stage: Stage) -> Result<()> {
    match stage {
        Stage::Opened(opened) if id != opened => Err(replaced(at, "replaced")),
        _ => Ok(()),
    }
}

fn replaced(at: &Path, how: &str) -> Error {
    Error::new(Code::Io, format!("{} was {how} while the store was being opened", at.display()))
}

fn refused(root: &Path, what: &str) -> Error {
    let folder = root.display();
    Error::new(Code::Io, format!("{what}; if the project is to be trusted, set {VARIABLE}={folder}"))
}

/// Whether the environment names this folder, whose path contains no links.
fn is_allowed(root: &Path) -> bool {
    let Some(folders) = std::env::var_os(VARIABLE) else { return false };
    std::env::split_paths(&folders)
        .filter(|folder| folder.is_absolute())
        .any(|folder| fs::canonicalize(folder).is_ok_and(|folder| folder == root))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::super::{DATA_DIR, DATABASE, Place};
    use crate::store::Store;
    use crate::types::OpenOptions;

    use super::*;

    const STRANGER: u32 = 64_322;

    /// A project without a luat.toml, in a folder that everybody may write to, such as /tmp.
    fn project() -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let path = root.join(DATA_DIR).join(DATABASE);
        (folder, Place { path, trust: Some((Trust::from(&root).unwrap(), root)) })
    }

    /// Opens the store, with changes to the folders before each check that are reverted after it.
    fn opened(place: &Place, before: impl Fn(Stage), after: impl Fn(Stage)) -> Result<Store> {
        Store::open_checked(&place.path, &OpenOptions::default(), &|stage| {
            before(stage);
            let checked = place.check(stage);
            after(stage);
            checked
        })
    }

    fn rename(root: &Path, from: &str, to: &str) {
        fs::rename(root.join(from), root.join(to)).unwrap();
    }

    #[test]
    fn a_folder_that_is_taken_away_for_the_check_is_refused() {
        let (folder, place) = project();
        let root = folder.path();
        let to_opened = |from, to| {
            move |stage| {
                if matches!(stage, Stage::Opened(_)) {
                    rename(root, from, to)
                }
            }
        };
        let why = opened(&place, to_opened(".luat", "away"), to_opened("away", ".luat")).unwrap_err();
        assert!(why.message().ends_with("/.luat was moved or removed while the store was being opened"), "{why}");
        assert_eq!(fs::metadata(&place.path).unwrap().len(), 0, "nothing was stored in it");

        fs::remove_dir_all(root.join(".luat")).unwrap();
        let to_made = |from, to| {
            move |stage| {
                if stage == Stage::FoldersMade {
                    rename(root, from, to)
                }
            }
        };
        let why = opened(&place, to_made(".luat", "away"), to_made("away", ".luat")).unwrap_err();
        assert!(why.message().contains("/.luat was moved or removed"), "{why}");
        assert!(!place.path.exists(), "no file was made");
        opened(&place, |_| {}, |_| {}).unwrap();
    }

    #[test]
    fn another_folder_that_is_there_for_the_check_is_refused() {
        let (folder, place) = project();
        let root = folder.path();
        opened(&place, |_| {}, |_| {}).unwrap();
        rename(root, ".luat", "good");
        let swap = |from: &'static str, to: &'static str, in_place: &'static str| {
            move |stage| {
                if matches!(stage, Stage::Opened(_)) {
                    rename(root, from, to);
                    rename(root, in_place, from);
                }
            }
        };
        let back = |stage| {
            if matches!(stage, Stage::Opened(_)) {
                rename(root, ".luat", "good");
                rename(root, "other", ".luat");
            }
        };
        let why = opened(&place, swap(".luat", "other", "good"), back).unwrap_err();
        assert!(why.message().ends_with("/kv.db was replaced while the store was being opened"), "{why}");
        assert_eq!(fs::metadata(&place.path).unwrap().len(), 0, "nothing was stored in it");
        rename(root, ".luat", "bad");
        rename(root, "good", ".luat");
        let store = opened(&place, |_| {}, |_| {}).unwrap();
        store.namespace("a").unwrap().put("b", "c").unwrap();
    }

    #[test]
    fn a_strangers_folder_that_comes_after_the_first_check_is_refused() {
        let (folder, place) = project();
        let strange = folder.path().join(".luat/data");
        fs::create_dir_all(&strange).unwrap();
        place.check(Stage::Begun).unwrap();
        if !is_given(&folder.path().join(".luat")) {
            return;
        }
        for made in [false, true] {
            if made {
                fs::write(&place.path, "").unwrap();
            }
            let why = opened(&place, |_| {}, |_| {}).unwrap_err();
            assert!(why.message().contains("/.luat is in a folder that everybody may write to"), "{why}");
            assert_eq!(fs::read_dir(&strange).unwrap().count(), usize::from(made));
        }
        assert_eq!(fs::metadata(&place.path).unwrap().len(), 0);
    }

    #[test]
    fn the_targets_of_links_are_checked_too() {
        let (folder, place) = project();
        let root = folder.path();
        for name in ["links", "target", "target/data"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        std::os::unix::fs::symlink("links/./one", root.join(".luat")).unwrap();
        std::os::unix::fs::symlink("../links/../target", root.join("links/one")).unwrap();
        opened(&place, |_| {}, |_| {}).unwrap();
        assert!(root.join("target/data/kv.db").exists());
        std::os::unix::fs::symlink(fs::canonicalize(root.join("target")).unwrap(), root.join("links/two")).unwrap();
        rename(root, "links/two", "links/one");
        opened(&place, |_| {}, |_| {}).unwrap();
        if is_given(&root.join("target")) {
            let why = opened(&place, |_| {}, |_| {}).unwrap_err();
            assert!(why.message().contains("/target is in a folder that everybody may write to"), "{why}");
        }
        fs::remove_file(root.join("links/one")).unwrap();
        std::os::unix::fs::symlink("../.luat", root.join("links/one")).unwrap();
        let why = place.check(Stage::Begun).unwrap_err();
        assert!(why.message().contains("symbolic links"), "{why}");
    }

    /// Gives a folder to a stranger, which only root can. Returns whether it did.
    fn is_given(folder: &Path) -> bool {
        // SAFETY: it only returns a number.
        unsafe { libc::geteuid() == 0 && chown(folder, Some(STRANGER), Some(STRANGER)).is_ok() }
    }
}
