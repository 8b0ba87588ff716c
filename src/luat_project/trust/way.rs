//! Follows a path name by name, and keeps the folder open in which the next name is looked up.
//!
//! Renaming cannot combine parts of two ways: each name is looked up in the very folder that was returned before it.
//! The file at the end is not opened, since closing it would drop the locks that SQLite holds on it.

use std::ffi::{CStr, CString, OsString};
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use super::EVERYBODY_WRITES;
use crate::backend::sqlite::FileId;

/// Opens a folder or a link without any right to it, on systems that support it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const LOOK: i32 = libc::O_PATH | libc::O_CLOEXEC;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const LOOK: i32 = libc::O_RDONLY | libc::O_CLOEXEC;

/// The limit of Linux.
const LINKS: usize = 40;

/// How often a name is looked up again if it was replaced between two lookups.
const TRIES: usize = 10;

pub(super) struct Way {
    /// The current folder, and for messages the path of the name that was looked up last.
    folder: File,
    at: PathBuf,
    /// The remaining names, the next one last.
    rest: Vec<OsString>,
    links: usize,
}

/// What a name refers to, and the owner of that.
pub(super) enum Step {
    /// `is_open`: everybody may write to the folder that contains it.
    Folder {
        user: u32,
        is_open: bool,
    },
    Link {
        user: u32,
    },
    /// `is_last`: all folders on the way exist.
    Missing {
        is_last: bool,
    },
    /// The end of the way.
    End(FileId),
}

enum Found {
    Folder(File),
    Link(u32, PathBuf),
    Other(FileId),
}

impl Way {
    pub fn new(top: &Path, path: &Path) -> Result<Self> {
        let mut way = Way { folder: open_folder(top)?, at: top.to_owned(), rest: Vec::new(), links: 0 };
        way.add(path);
        Ok(way)
    }

    /// The path of what the last step found.
    pub fn at(&self) -> &Path {
        &self.at
    }

    pub fn step(&mut self) -> Result<Step> {
        let Some(name) = self.rest.pop() else { return Ok(Step::End(id(&self.folder)?)) };
        if name.is_empty() {
            // Goes back from a link to the folder that contains it.
            self.at.pop();
            return self.step();
        }
        if name == "/" {
            (self.folder, self.at) = (open_folder(Path::new("/"))?, PathBuf::from("/"));
            return self.step();
        }
        let above = self.folder.metadata()?;
        self.at.push(&name);
        match look(&self.folder, &CString::new(name.as_bytes())?) {
            Ok(Found::Folder(folder)) => {
                self.folder = folder;
                let user = self.folder.metadata()?.uid();
                // `..` was not created by a user.
                Ok(Step::Folder { user, is_open: name != ".." && above.mode() & EVERYBODY_WRITES != 0 })
            }
            Ok(Found::Link(user, target)) => {
                self.links += 1;
                if self.links > LINKS {
                    return Err(Error::from_raw_os_error(libc::ELOOP));
                }
                self.add(&target);
                // The caller gets the link's own path first.
                self.rest.push(OsString::new());
                Ok(Step::Link { user })
            }
            Ok(Found::Other(id)) if self.rest.is_empty() => Ok(Step::End(id)),
            Ok(Found::Other(_)) => Ok(Step::Missing { is_last: false }),
            Err(why) if why.kind() == ErrorKind::NotFound => Ok(Step::Missing { is_last: self.rest.is_empty() }),
            Err(why) => Err(why),
        }
    }

    fn add(&mut self, path: &Path) {
        let names = path.components().filter(|name| !matches!(name, Component::CurDir));
        self.rest.extend(names.rev().map(|name| name.as_os_str().to_owned()));
    }
}

fn look(folder: &File, name: &CStr) -> Result<Found> {
    let mut last = None;
    for _ in 0..TRIES {
        let found = stat(folder, name)?;
        let opened = match found.st_mode & libc::S_IFMT {
            libc::S_IFDIR => open_in(folder, name, libc::O_DIRECTORY).map(Found::Folder),
            libc::S_IFLNK => link(folder, name, &found),
            #[allow(clippy::unnecessary_cast)] // their types differ from system to system
            _ => return Ok(Found::Other((found.st_dev as u64, found.st_ino as u64))),
        };
        match opened {
            Ok(found) => return Ok(found),
            // It was replaced or removed after the lookup.
            Err(why) => last = Some(why),
        }
    }
    Err(last.unwrap_or_else(|| ErrorKind::NotFound.into()))
}

/// The owner and the target of a link, of the same link in any case.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn link(folder: &File, name: &CStr, _: &libc::stat) -> Result<Found> {
    let link = open_in(folder, name, 0)?;
    let found = link.metadata()?;
    match found.is_symlink() {
        true => Ok(Found::Link(found.uid(), target(&link, c"")?)),
        false => Err(ErrorKind::NotFound.into()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn link(folder: &File, name: &CStr, found: &libc::stat) -> Result<Found> {
    let target = target(folder, name)?;
    let again = stat(folder, name)?;
    match (again.st_dev, again.st_ino) == (found.st_dev, found.st_ino) {
        true => Ok(Found::Link(found.st_uid, target)),
        false => Err(ErrorKind::NotFound.into()),
    }
}

fn target(folder: &File, name: &CStr) -> Result<PathBuf> {
    let mut text = vec![0_u8; libc::PATH_MAX as usize];
    // SAFETY: the descriptor is open, the name is a C string, and the buffer has the length that is given.
    let len = unsafe { libc::readlinkat(folder.as_raw_fd(), name.as_ptr(), text.as_mut_ptr().cast(), text.len()) };
    text.truncate(usize::try_from(len).map_err(|_| Error::last_os_error())?);
    Ok(OsString::from_vec(text).into())
}

fn stat(folder: &File, name: &CStr) -> Result<libc::stat> {
    let mut found = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the descriptor is open, the name is a C string, and fstatat writes the whole struct when it returns 0.
    unsafe {
        match libc::fstatat(folder.as_raw_fd(), name.as_ptr(), found.as_mut_ptr(), libc::AT_SYMLINK_NOFOLLOW) {
            0 => Ok(found.assume_init()),
            _ => Err(Error::last_os_error()),
        }
    }
}

fn open_in(folder: &File, name: &CStr, flags: i32) -> Result<File> {
    // SAFETY: the descriptor is open, and the name is a C string.
    let opened = unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr(), LOOK | libc::O_NOFOLLOW | flags) };
    if opened < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: it was opened just now and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(opened) }.into())
}

fn open_folder(path: &Path) -> Result<File> {
    OpenOptions::new().read(true).custom_flags(LOOK | libc::O_DIRECTORY).open(path)
}

fn id(file: &File) -> Result<FileId> {
    file.metadata().map(|found| (found.dev(), found.ino()))
}
