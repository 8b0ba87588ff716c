//! Creates the database file and its folders.
//!
//! What root creates in another user's folder is given to that user, so that a server that is started as root and then
//! drops its rights can open it again. SQLite gives the log and its index the same owner. In doing so, root follows no
//! links, and changes the owner only of what it has created itself.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Result};
use std::path::Path;

use super::location::real;
#[cfg(not(unix))]
use super::not_unix::libc;
use super::other_copies::OpenLock;
use super::{Check, Stage, folder, reason};
use crate::error;

/// Creates the file and those of its folders that are missing, readable for their owner only.
pub(super) fn database(path: &Path, check: Check<'_>) -> error::Result<()> {
    let io = |why: std::io::Error| reason::io(&why);
    let above = path.parent().unwrap_or(path);
    folders(above).map_err(|why| io(why).while_doing(above.display()))?;
    check(Stage::FoldersMade)?;
    file(path).map_err(io)
}

/// Makes the names of the file and its folders durable, whoever created them: a process whose writes need not survive a
/// power failure does not sync them. SQLite syncs the name of its log, but not that of the file.
pub(super) fn sync_names(path: &Path) -> error::Result<()> {
    let sync = |path: &Path| path.parent().map_or(Ok(()), folder::sync_with_parents);
    // If the path leads through links, the folders of both are needed.
    let real = real(path);
    let synced = sync(path).and_then(|()| if real == path { Ok(()) } else { sync(&real) });
    synced.map_err(|why| reason::io(&why).while_doing("syncing its folders"))
}

/// Creates the file if there is none. An existing file is not opened: closing it again would drop this process's locks
/// on it.
fn file(path: &Path) -> Result<()> {
    /// The limit of Linux.
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match new_file_alone(&path) {
            Err(why) if why.kind() != ErrorKind::AlreadyExists => return Err(why),
            // A link to a missing file: that file is created.
            Err(_) if !fs::exists(&path)? => {
                let target = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("/")).join(target);
            }
            _ => return Ok(()),
        }
    }
    Err(std::io::Error::other("too many levels of symbolic links"))
}

/// While the new file is open here, another thread must not mistake its descriptor for one of another library.
fn new_file_alone(path: &Path) -> Result<()> {
    let _lock = (!path.exists()).then(OpenLock::wait);
    new_file(path)
}

fn new_file(path: &Path) -> Result<()> {
    #[cfg(unix)]
    if as_root::is_root() {
        return as_root::new_file(path);
    }
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.write(true).create_new(true).open(path).map(|_| ())
}

/// Creates the folder and its missing parents.
fn folders(folder: &Path) -> Result<()> {
    if fs::metadata(folder).is_ok_and(|found| found.is_dir()) {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        folders(above)?;
    }
    match new_folder(folder) {
        Err(why) if why.kind() == ErrorKind::AlreadyExists => match fs::metadata(folder)?.is_dir() {
            true => Ok(()), // another process was faster
            false => Err(reason::foreseen(libc::ENOTDIR, ErrorKind::NotADirectory)),
        },
        made => made,
    }
}

fn new_folder(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    if as_root::is_root() {
        return as_root::new_folder(folder);
    }
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Uses descriptors: the owner of the parent folder may replace any name meanwhile.
#[cfg(unix)]
mod as_root {
    use std::ffi::{CString, c_int};
    use std::fs::{File, OpenOptions};
    use std::io::{Error, Result};
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
    use std::path::Path;

    pub(super) fn is_root() -> bool {
        // SAFETY: it cannot fail.
        unsafe { libc::geteuid() == 0 }
    }

    pub(super) fn new_file(path: &Path) -> Result<()> {
        let (folder, name) = split(path)?;
        let made = open_in(&folder, &name, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL)?;
        give(&made, &folder)
    }

    pub(super) fn new_folder(path: &Path) -> Result<()> {
        let (folder, name) = split(path)?;
        // SAFETY: the descriptor is open, and the name is a C string.
        if unsafe { libc::mkdirat(folder.as_raw_fd(), name.as_ptr(), 0o700) } != 0 {
            return Err(Error::last_os_error());
        }
        // mkdirat returns no descriptor, and the name may belong to another folder that was moved there meanwhile. So a
        // link is not followed, and a folder that is not empty was not created just now.
        let made = open_in(&folder, &name, libc::O_RDONLY | libc::O_DIRECTORY)?;
        if File::metadata(&made)?.uid() == 0 && is_empty(&made)? { give(&made, &folder) } else { Ok(()) }
    }

    /// Returns the folder, opened, and the name in it.
    fn split(path: &Path) -> Result<(File, CString)> {
        let missing = || Error::from_raw_os_error(libc::ENOENT);
        let name = CString::new(path.file_name().ok_or_else(missing)?.as_bytes())?;
        let folder = path.parent().ok_or_else(missing)?;
        Ok((OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(folder)?, name))
    }

    fn open_in(folder: &File, name: &CString, flags: c_int) -> Result<File> {
        let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: the descriptor is open, the name is a C string, and the mode is there for a file that is made.
        let opened = unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr(), flags, 0o600 as libc::c_uint) };
        if opened < 0 {
            return Err(Error::last_os_error());
        }
        // SAFETY: it was opened just now and has no other owner.
        Ok(unsafe { OwnedFd::from_raw_fd(opened) }.into())
    }

    /// Gives the new file or folder to the owner of the folder that contains it.
    fn give(made: &File, folder: &File) -> Result<()> {
        let owner = folder.metadata()?;
        if owner.uid() != 0 {
            // Root may lack the right, in a user namespace or without the capability. Then it stays root's.
            let _ = fchown(made, Some(owner.uid()), Some(owner.gid()));
        }
        Ok(())
    }

    fn is_empty(folder: &File) -> Result<bool> {
        let copy = folder.try_clone()?;
        // SAFETY: the stream takes the descriptor over, and closes it.
        unsafe {
            let stream = libc::fdopendir(std::os::fd::IntoRawFd::into_raw_fd(copy));
            if stream.is_null() {
                return Err(Error::last_os_error());
            }
            // Each folder has `.` and `..`.
            let count = (0..3).take_while(|_| !libc::readdir(stream).is_null()).count();
            libc::closedir(stream);
            Ok(count < 3)
        }
    }
}
