//! Files that get their name when they are complete: backups and exports.
//!
//! A draft is beside its target, as `.luat_kv.` and six characters, since SQLite opens a backup by its path, and since
//! an export may replace a file. It is removed when it is dropped. A killed process cannot do that, so the next draft
//! in the same folder removes those that no process is making any more:
//!
//! - The maker holds an flock on its draft for as long as it lives. The kernel drops it with the process. (SQLite's own
//!   locks are POSIX locks, which on a local file system never conflict with an flock.)
//! - A draft whose lock can be taken at once is removed, while that lock is held.
//! - A draft can be mistaken for an abandoned one before its maker has the lock. So once the maker has the lock, it
//!   checks that the name still leads to its file, and otherwise starts again.
//!
//! NFS and SMB implement an flock with locks that conflict with SQLite's, or with its writes. Drafts there are not
//! locked, and those of killed processes stay.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{folder, registry};

const PREFIX: &str = ".luat_kv.";
/// How many random letters and digits end its name.
const RANDOM: usize = 6;
/// The files that SQLite may have created beside a draft.
const SIDECARS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// The drafts that this process is making. Locked only within a call, so never during a fork.
static LIVE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn live() -> MutexGuard<'static, Vec<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file without a name of its own. It is removed unless it gets one.
pub(crate) struct Draft {
    file: File,
    path: PathBuf,
}

impl Draft {
    /// Makes a draft in a folder, after it has removed abandoned ones.
    pub(crate) fn within(folder: &Path) -> io::Result<Draft> {
        remove_abandoned(folder);
        Draft::new(folder)
    }

    /// Makes a draft beside a file, and does not look at others. An opening of a database uses this, since it must not
    /// touch other files.
    #[cfg(unix)]
    pub(crate) fn beside(path: &Path) -> io::Result<Draft> {
        Draft::new(folder_of(path))
    }

    fn new(folder: &Path) -> io::Result<Draft> {
        /// A name can be taken by chance, or by a process that removes abandoned drafts. Neither happens often.
        const ATTEMPTS: usize = 100;
        for _ in 0..ATTEMPTS {
            if let Some(draft) = Draft::attempt(folder.join(random_name()?))? {
                return Ok(draft);
            }
        }
        Err(io::Error::new(ErrorKind::AlreadyExists, "every name for a draft is taken"))
    }

    /// Makes a draft with this name. Returns `None` if the name is taken, or another process takes the draft for
    /// abandoned.
    fn attempt(path: PathBuf) -> io::Result<Option<Draft>> {
        let mut options = OpenOptions::new();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut live = live();
        let draft = match options.read(true).write(true).create_new(true).open(&path) {
            Err(why) if why.kind() == ErrorKind::AlreadyExists => return Ok(None),
            file => Draft { file: file?, path },
        };
        live.push(draft.path.clone());
        drop(live);
        let is_ours = !can_lock(&draft.file) || {
            // On a file system without locks, abandoned drafts cannot be told from live ones, so none are removed.
            let locked = !matches!(draft.file.try_lock(), Err(TryLockError::WouldBlock));
            locked && leads_to(&draft.path, &draft.file.metadata()?)
        };
        if is_ours {
            return Ok(Some(draft));
        }
        draft.forget();
        Ok(None)
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// The path, for SQLite, which must have closed the file before the draft gets its name.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Renames it to `target`, replacing any file of that name, and makes both durable.
    pub(crate) fn replace(self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, target)?;
        self.forget();
        folder::sync(folder_of(target))
    }

    /// Like [`replace`](Self::replace), but fails if the target exists. If the file cannot be made durable, it is
    /// removed again.
    pub(crate) fn create(self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        // SQLite leaves them, empty, if it cannot lock the file when it closes it.
        remove_sidecars(&self.path);
        rename_new(&self.path, target)?;
        self.forget();
        folder::sync(folder_of(target)).inspect_err(|_| {
            let _ = fs::remove_file(target);
        })
    }

    /// Takes its name away, so the file is gone when its descriptor is closed, also after a kill.
    pub(crate) fn into_unnamed(self) -> io::Result<File> {
        let file = self.file.try_clone()?;
        fs::remove_file(&self.path)?;
        self.forget();
        Ok(file)
    }

    /// Ends the draft without removing the file, which is another one's, or no longer a draft.
    fn forget(mut self) {
        let path = std::mem::take(&mut self.path);
        live().retain(|draft| *draft != path);
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            remove(&self.path);
            live().retain(|draft| *draft != self.path);
        }
    }
}

/// Removes the unfinished files of the backups and exports that this process is making. Those then fail, unless they
/// have just finished.
///
/// A program that ends on a signal calls this from a thread that waits for signals, not from a signal handler, and then
/// ends the process. Otherwise the next backup or export into the same folder removes the files.
pub fn remove_drafts() {
    live().iter().for_each(|draft| remove(draft));
}

/// Removes a draft and the files that SQLite has created beside it.
fn remove(draft: &Path) {
    remove_sidecars(draft);
    let _ = fs::remove_file(draft);
}

fn remove_sidecars(draft: &Path) {
    for end in SIDECARS {
        let mut beside = draft.as_os_str().to_owned();
        beside.push(end);
        let _ = fs::remove_file(Path::new(&beside));
    }
}

/// Removes the drafts of killed processes from a folder. Files that cannot be examined or removed stay.
fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let drafts: Vec<_> =
        entries.flatten().filter_map(|entry| draft_of(&entry.file_name()).map(str::to_owned)).collect();
    for name in drafts {
        let draft = folder.join(name);
        // Opening and closing a file drops all POSIX locks that this process has on it, so this process's own drafts
        // are skipped.
        let is_live = live().iter().any(|live| live.file_name() == draft.file_name());
        if is_live || registry::is_taken(&draft) {
            continue;
        }
        match fs::symlink_metadata(&draft) {
            Ok(found) if found.is_file() && is_removable(&found) => drop(remove_unless_locked(&draft)),
            // Only the files beside it were left.
            Err(why) if why.kind() == ErrorKind::NotFound => remove(&draft),
            _ => {}
        }
    }
}

fn remove_unless_locked(draft: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.read(true).open(draft)?;
    if can_lock(&file) && file.try_lock().is_ok() && leads_to(draft, &file.metadata()?) {
        remove(draft);
    }
    Ok(())
}

/// The name of the draft that a file is or belongs to.
fn draft_of(name: &OsStr) -> Option<&str> {
    let name = name.to_str()?;
    let draft = SIDECARS.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let random = draft.strip_prefix(PREFIX)?;
    (random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(draft)
}

fn random_name() -> io::Result<String> {
    const CHARACTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let random = getrandom::u64().map_err(|why| io::Error::other(why.to_string()))?;
    let letters = (0..RANDOM).map(|place| CHARACTERS[(random >> (5 * place)) as usize % CHARACTERS.len()] as char);
    Ok(PREFIX.chars().chain(letters).collect())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Renames a file unless there is one of that name.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rename_no_replace(from, to) {
        Err(why) if matches!(why.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => renamed,
    }
}

/// Makes the system call itself: the C library's function for it is newer than some supported systems.
#[cfg(target_os = "linux")]
fn rename_no_replace(from: &Path, to: &Path) -> io::Result<()> {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;
    let from = CString::new(from.as_os_str().as_bytes())?;
    let to = CString::new(to.as_os_str().as_bytes())?;
    let (here, flags) = (libc::AT_FDCWD, libc::RENAME_NOREPLACE);
    // SAFETY: both are C strings, which the kernel reads.
    match unsafe { libc::syscall(libc::SYS_renameat2, here, from.as_ptr(), here, to.as_ptr(), flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(target_os = "linux"))]
fn rename_no_replace(_: &Path, _: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn leads_to(path: &Path, file: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (file.dev(), file.ino()))
}

/// Elsewhere an open file cannot be removed.
#[cfg(not(unix))]
fn leads_to(path: &Path, _: &Metadata) -> bool {
    path.exists()
}

/// Whether the file belongs to this user, or this is root.
#[cfg(unix)]
fn is_removable(file: &Metadata) -> bool {
    // SAFETY: it takes nothing, and cannot fail.
    let user = unsafe { libc::geteuid() };
    user == 0 || std::os::unix::fs::MetadataExt::uid(file) == user
}

#[cfg(not(unix))]
fn is_removable(_: &Metadata) -> bool {
    true
}

/// Whether the file is on a file system where an flock does not conflict with other locks.
#[cfg(target_os = "linux")]
fn can_lock(file: &File) -> bool {
    use std::os::fd::AsRawFd;
    /// NFS, SMB, CIFS and SMB2, as in <linux/magic.h>.
    const OTHERS: [u32; 4] = [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42];
    let mut found = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: fstatfs writes the whole struct when it returns 0.
    let found = unsafe { (libc::fstatfs(file.as_raw_fd(), found.as_mut_ptr()) == 0).then(|| found.assume_init()) };
    found.is_some_and(|found| !OTHERS.contains(&(found.f_type as u32)))
}

#[cfg(not(target_os = "linux"))]
fn can_lock(_: &File) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_draft_gets_its_name_or_vanishes() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        drop(Draft::within(folder.path()).unwrap());
        assert!(names(folder.path()).is_empty());
        Draft::within(folder.path()).unwrap().create(&target).unwrap();
        let again = Draft::within(folder.path()).unwrap().create(&target).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
        Draft::within(folder.path()).unwrap().replace(&target).unwrap();
        assert_eq!(names(folder.path()), ["target"]);
        assert!(live().iter().all(|draft| !draft.starts_with(folder.path())));
    }

    #[test]
    fn abandoned_drafts_go_and_everything_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| fs::write(folder.path().join(name), "x").unwrap();
        for name in [".luat_kv.Gone42", ".luat_kv.Gone42-journal", ".luat_kv.alone1-wal", ".luat_kv.alone1-shm"] {
            file(name);
        }
        let others = [".luat_kv.", ".luat_kv.abc", ".luat_kv.abcdefg", ".luat_kv.abc.de", "kv.db", "luat_kv.abcdef"];
        others.iter().for_each(|name| file(name));
        fs::create_dir(folder.path().join(".luat_kv.folder")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("kv.db", folder.path().join(".luat_kv.linked")).unwrap();
        let first = Draft::within(folder.path()).unwrap();
        let second = Draft::within(folder.path()).unwrap();
        assert!(first.path().exists() && second.path().exists(), "a live one stays");
        drop((first, second));
        let mut expected: Vec<_> = others.into_iter().chain([".luat_kv.folder", ".luat_kv.linked"]).collect();
        expected.sort_unstable();
        assert_eq!(names(folder.path()), expected);
    }

    #[test]
    fn a_locked_draft_is_another_process_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".luat_kv.locked");
        let file = File::create(&path).unwrap();
        file.lock().unwrap();
        drop(Draft::within(folder.path()).unwrap());
        assert!(path.exists());
        drop(file);
        drop(Draft::within(folder.path()).unwrap());
        assert!(!path.exists());
    }

    /// If an flock kept SQLite out, a backup could not write to its own draft.
    #[test]
    fn sqlite_s_locks_and_the_draft_s_are_apart() {
        let folder = tempfile::tempdir().unwrap();
        let draft = Draft::within(folder.path()).unwrap();
        assert!(can_lock(&draft.file), "the tests' own file system is a local one");
        let other = File::open(draft.path()).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)), "the draft is locked");
        let connection = rusqlite::Connection::open(draft.path()).unwrap();
        connection
            .execute_batch("PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE t (x); INSERT INTO t VALUES (1)")
            .unwrap();
    }
}
