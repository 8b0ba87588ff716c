//! Where a database may lie, and where it would lose data.
//!
//! SQLite keeps a log and shared memory beside the database, under names derived from its name. Two processes share
//! them only if both reach the database through the same folder. A second hard link, or a mount of the file alone, puts
//! the file into a second folder, and so gives it a second log.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

#[cfg(not(unix))]
use super::not_unix::libc;
use super::reason;
use crate::error::{Code, Error, Result};
use crate::limits;

/// The endings that SQLite appends to the name of a database for the files beside it.
pub(super) const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Returns the absolute path, if SQLite can take it for nothing but the path of a file.
pub(super) fn checked(path: &Path) -> Result<PathBuf> {
    if path.as_os_str() == ":memory:" {
        return Err(Error::invalid(
            "that is no file; a store in memory opens with `memory = true` (C: luat_kv_open_memory)",
        ));
    }
    limits::path(path)?;
    let path = std::path::absolute(path).map_err(Error::io)?;
    /// SQLite's own limit, minus the longest ending that it appends, `-journal`.
    const LONGEST: usize = 512 - 8;
    let len = path.as_os_str().len();
    if len > LONGEST {
        return Err(Error::invalid(format!("the path is {len} bytes long, and SQLite takes {LONGEST} at most")));
    }
    match fs::metadata(&path) {
        Ok(found) if found.is_dir() => Err(reason::io(&reason::foreseen(libc::EISDIR, ErrorKind::IsADirectory))),
        Ok(found) if !found.is_file() => Err(Error::new(Code::Io, "it is not a regular file")),
        // SQLite would treat it as an empty database.
        Ok(found) if (1..100).contains(&found.len()) => {
            Err(Error::new(Code::Corrupt, "it is too short for a database"))
        }
        // A missing file can be created. Other problems show when it is opened.
        _ => Ok(path),
    }
}

/// Refuses a file whose log would be in a place that not all of its users share.
pub(super) fn check_alone(path: &Path, file: &fs::Metadata) -> Result<()> {
    let names = name_count(file);
    if names > 1 {
        return Err(Error::new(
            Code::Io,
            format!(
                "it has {names} names (hard links), and SQLite would keep a log for each, which loses what was \
                 written; remove the other names, or make the file a copy of its own"
            ),
        ));
    }
    let path = real(path);
    if is_mounted(&path) {
        return Err(Error::new(
            Code::Io,
            "the file is mounted by itself, so its log would lie outside of the mount, and what is written would be \
             lost; mount the folder that it lies in instead",
        ));
    }
    match BESIDE.map(|end| beside(&path, end)).iter().find(|beside| is_mounted(beside)) {
        None => Ok(()),
        Some(mounted) => Err(Error::new(
            Code::Io,
            format!("{} is mounted by itself; mount the folder that it lies in instead", mounted.display()),
        )),
    }
}

/// The path of the file itself if the path is a symbolic link: SQLite names the files beside it after that.
pub(super) fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// The path of a file that SQLite keeps beside this one, whose path is [`real`].
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

#[cfg(unix)]
fn name_count(file: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(file)
}

#[cfg(not(unix))]
fn name_count(_: &fs::Metadata) -> u64 {
    1
}

/// Whether this file is the root of a mount. The path is [`real`].
#[cfg(target_os = "linux")]
fn is_mounted(path: &Path) -> bool {
    asked(path).unwrap_or_else(|| {
        // The kernel is older, or a sandbox has no statx.
        fs::read("/proc/self/mountinfo").is_ok_and(|mounts| is_listed(&mounts, path))
    })
}

#[cfg(not(target_os = "linux"))]
fn is_mounted(_: &Path) -> bool {
    false
}

/// Asks the kernel. `None` if the kernel does not tell.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn asked(path: &Path) -> Option<bool> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut found = std::mem::MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the path ends with a NUL, and statx writes only to the struct, for which all zeros are valid.
    let (status, found) =
        unsafe { (libc::statx(libc::AT_FDCWD, path.as_ptr(), 0, 0, found.as_mut_ptr()), found.assume_init()) };
    if status != 0 {
        let missing = std::io::Error::last_os_error().kind() == std::io::ErrorKind::NotFound;
        return missing.then_some(false);
    }
    let root = libc::STATX_ATTR_MOUNT_ROOT as u64;
    (found.stx_attributes_mask & root != 0).then_some(found.stx_attributes & root != 0)
}

#[cfg(all(target_os = "linux", not(target_env = "gnu")))]
fn asked(_: &Path) -> Option<bool> {
    None
}

/// Whether the path is a mount point in this list, which has the format of /proc/self/mountinfo.
#[cfg(target_os = "linux")]
fn is_listed(mounts: &[u8], path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let path = path.as_os_str().as_bytes();
    mounts
        .split(|byte| *byte == b'\n')
        .any(|line| line.split(|byte| *byte == b' ').nth(4).is_some_and(|point| unescaped(point) == path))
}

/// Spaces, tabs, line breaks and backslashes are written as `\` and three octal digits.
#[cfg(target_os = "linux")]
fn unescaped(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    while let [first, rest @ ..] = text {
        text = match rest {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] if *first == b'\\' => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest
            }
            _ => {
                bytes.push(*first);
                rest
            }
        };
    }
    bytes
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_found_in_the_list_by_its_unescaped_path() {
        let mounts = b"36 35 98:0 /h/kv.db /srv/a\\040b\\134c/kv.db rw shared:1 - ext4 /dev/sda1 rw\n\
                       37 35 98:0 / /data rw - ext4 /dev/sda1 rw\n";
        for (path, listed) in [
            ("/srv/a b\\c/kv.db", true),
            ("/data", true),
            ("/h/kv.db", false),
            ("/srv/a b\\c", false),
            ("/data/kv.db", false),
            ("/", false),
        ] {
            assert_eq!(is_listed(mounts, Path::new(path)), listed, "{path}");
        }
    }

    #[test]
    fn the_kernel_and_the_list_agree() {
        let mounts = fs::read("/proc/self/mountinfo").unwrap();
        for path in ["/proc", "/proc/self/mountinfo", "/proc/version", "/etc/passwd"] {
            let path = Path::new(path);
            if let Some(answer) = asked(path) {
                assert_eq!(answer, is_listed(&mounts, &real(path)), "{}", path.display());
            }
        }
        assert!(!asked(Path::new("/proc/no such file")).unwrap_or(false));
    }
}
