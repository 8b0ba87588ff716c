//! The descriptors that SQLite has open for databases, and how the child of a fork handles them.
//!
//! SQLite keeps the POSIX locks of its process on a file in one record in memory, which all connections to that file
//! share. A forked child inherits that memory, but not the locks. A connection that it opened beside an inherited one
//! would share that record, and rely on locks that the child does not hold. Once the parent is gone, other processes
//! could then reset the log while the child uses it ("How To Corrupt An SQLite Database File", 2.6). So a child closes
//! all inherited connections before it opens one of its own. Closing them affects only the child's own memory: there is
//! no checkpoint, no unlock, and no descriptor is closed.
//!
//! Descriptors are not closed at that point, the child's first use of any store, because the program may have closed
//! all descriptors before it, as daemons do. Its own files and sockets may have their numbers now, and SQLite would
//! unlock and close those. So the child closes the inherited descriptors in its fork handler, before the program
//! continues; at that time they are certainly this library's. This costs one call of fstat(2) and one of close(2) for
//! each descriptor: three for a file, and two for each further connection to it. Nothing else happens between a fork
//! and an exec. (It also keeps children from holding files open that the parent has closed.) When the inherited
//! connections are discarded later, SQLite's calls of close(2) are skipped.
//!
//! For both, the two system calls by which SQLite opens and closes files go through functions in this file; SQLite has
//! an interface for that ([`sqlite3_vfs::xSetSystemCall`](ffi::sqlite3_vfs)). Only files of registered databases, their
//! logs and the logs' indexes are recorded. Other files are passed through, since a Rust program may use the same copy
//! of SQLite for its own.

use std::cell::Cell;
use std::ffi::{CStr, OsStr, c_char, c_int};
use std::mem::{MaybeUninit, transmute};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::{MutexGuard, Once, OnceLock};

use rusqlite::{Connection, ffi};

use super::reason;
use super::registry::{FileId, Registry, file_id, registry};

/// An open descriptor.
pub(super) struct Descriptor {
    number: c_int,
    id: FileId,
    /// The database that the file, log or index belongs to.
    database: FileId,
    /// What follows the database's path in its path: nothing, `-wal` or `-shm`.
    ending: &'static str,
    /// Whether it had a name when it was opened. Some file systems do not count names.
    named: bool,
}

type Open = unsafe extern "C" fn(*const c_char, c_int, c_int) -> c_int;
type Close = unsafe extern "C" fn(c_int) -> c_int;

/// SQLite's own functions.
static ORIGINAL: OnceLock<(Open, Close)> = OnceLock::new();

thread_local! {
    /// Whether this thread is discarding inherited connections.
    static DISCARDS: Cell<bool> = const { Cell::new(false) };

    /// The first file that this thread has opened since [`expect`].
    static OPENED: Cell<Option<FileId>> = const { Cell::new(None) };
}

/// Starts to record SQLite's descriptors.
pub(super) fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // SAFETY: SQLite's default VFS lives as long as the process. The functions have the types that SQLite's source
        // gives to the calls of these names, and are as safe to call as those.
        unsafe {
            let vfs = ffi::sqlite3_vfs_find(ptr::null());
            let Some(vfs) = vfs.as_mut() else { return };
            let (Some(get), Some(set)) = (vfs.xGetSystemCall, vfs.xSetSystemCall) else { return };
            let (Some(old_open), Some(old_close)) = (get(vfs, c"open".as_ptr()), get(vfs, c"close".as_ptr())) else {
                return;
            };
            let original = (
                transmute::<unsafe extern "C" fn(), Open>(old_open),
                transmute::<unsafe extern "C" fn(), Close>(old_close),
            );
            if ORIGINAL.set(original).is_ok() {
                set(vfs, c"open".as_ptr(), Some(transmute::<Open, unsafe extern "C" fn()>(open)));
                set(vfs, c"close".as_ptr(), Some(transmute::<Close, unsafe extern "C" fn()>(close)));
            }
        }
    });
}

/// Announces that this thread opens a database next.
pub(super) fn expect() {
    OPENED.set(None);
}

/// The database that this thread has opened since [`expect`]. `None` if SQLite has reused a descriptor that it had kept
/// for the locks of the same file.
pub(super) fn opened() -> Option<FileId> {
    OPENED.get()
}

/// Opens /dev/null for each of the descriptors 0 to 2 that the process has closed. SQLite does so too if a database
/// gets such a number, but only after it has opened the database under that number: output of another thread at that
/// moment would be written into the file.
pub(super) fn fill_standard() {
    for number in 0..=2 {
        // SAFETY: it accepts any number.
        if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
            // SAFETY: the path is a C string. The lowest free number is given, which is this one.
            unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY) };
        }
    }
}

unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    let Some((original, _)) = ORIGINAL.get() else { return -1 };
    // SAFETY: the caller makes the promises of SQLite's own function.
    let number = unsafe { original(path, flags, mode) };
    if number >= 0 {
        // SAFETY: the path that was just opened is a C string.
        record(number, unsafe { CStr::from_ptr(path) }.to_bytes());
    } else {
        reason::not_opened();
    }
    number
}

unsafe extern "C" fn close(number: c_int) -> c_int {
    let Some((_, original)) = ORIGINAL.get() else { return -1 };
    if DISCARDS.get() {
        return 0;
    }
    // Before another thread can get the same number.
    registry().descriptors.retain(|descriptor| descriptor.number != number);
    // SAFETY: the caller makes the promises of SQLite's own function.
    unsafe { original(number) }
}

fn record(number: c_int, path: &[u8]) {
    let Some((id, names)) = stat(number) else { return };
    if OPENED.get().is_none() {
        OPENED.set(Some(id));
    }
    let beside = ["-wal", "-shm"].into_iter().find_map(|ending| Some((path.strip_suffix(ending.as_bytes())?, ending)));
    let (database, ending) = match beside {
        Some((base, ending)) => match std::fs::metadata(Path::new(OsStr::from_bytes(base))) {
            Ok(found) => (file_id(&found), ending),
            Err(_) => return,
        },
        None => (id, ""),
    };
    let mut registry = registry();
    // If memory is exhausted, the child keeps the descriptor open, which does no harm.
    if registry.databases.contains_key(&database) && registry.descriptors.try_reserve(1).is_ok() {
        registry.descriptors.push(Descriptor { number, id, database, ending, named: names > 0 });
    }
}

/// Returns the file of a descriptor, and how many names that file has.
pub(super) fn stat(number: c_int) -> Option<(FileId, u64)> {
    let mut found = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstat writes the whole struct when it returns 0, and takes any number for a descriptor.
    let found = unsafe { (libc::fstat(number, found.as_mut_ptr()) == 0).then(|| found.assume_init()) }?;
    #[allow(clippy::unnecessary_cast)] // their types differ from system to system
    Some(((found.st_dev as u64, found.st_ino as u64), found.st_nlink as u64))
}

/// Returns the ending of a file of this database that is open and no longer has a name.
pub(super) fn without_a_name(database: FileId) -> Option<&'static str> {
    let registry = registry();
    let ours = registry.descriptors.iter().filter(|descriptor| descriptor.database == database && descriptor.named);
    // If both the file and its log have lost their names, this reports the file.
    let lost = ours.filter(|descriptor| stat(descriptor.number) == Some((descriptor.id, 0)));
    lost.map(|descriptor| descriptor.ending).min()
}

/// Returns a descriptor of this database's log, if one is open. Another thread may close it at any time.
#[cfg(target_os = "linux")]
pub(super) fn of_log(database: FileId) -> Option<c_int> {
    with_ending(database, "-wal")
}

/// Returns the descriptor of the index of this database's log. SQLite has one for all connections of the process, and
/// closes it with the last one.
pub(super) fn of_index(database: FileId) -> Option<c_int> {
    with_ending(database, "-shm")
}

fn with_ending(database: FileId, ending: &str) -> Option<c_int> {
    let registry = registry();
    let mut ours = registry.descriptors.iter().filter(|descriptor| descriptor.database == database);
    ours.find(|descriptor| descriptor.ending == ending).map(|descriptor| descriptor.number)
}

/// Held from before a fork until after it, so that the child finds the registry in a consistent state.
pub(crate) fn before_fork() -> MutexGuard<'static, Registry> {
    registry()
}

/// In the child's fork handler: closes the descriptors. (It allocates and frees nothing.)
pub(crate) fn after_fork_in_child(registry: &mut Registry) {
    for Descriptor { number, id, .. } in registry.descriptors.drain(..) {
        // The program may also have closed these descriptors before the fork.
        if stat(number).is_some_and(|(found, _)| found == id) {
            // SAFETY: the connections that had this descriptor are discarded before anything uses them again.
            unsafe { libc::close(number) };
        }
    }
}

/// Marks that connections from before a fork are being closed, which then only frees memory.
pub(crate) struct Discard(());

impl Discard {
    pub(crate) fn begin() -> Self {
        DISCARDS.set(true);
        // SQLite restarts its random numbers when it sees another process number. A child that is the first process of
        // a PID namespace may have the same number as its parent.
        // SAFETY: without a buffer, it resets the generator and does nothing else.
        unsafe { ffi::sqlite3_randomness(0, ptr::null_mut()) };
        Discard(())
    }
}

impl Drop for Discard {
    fn drop(&mut self) {
        DISCARDS.set(false);
    }
}

/// Detaches a connection from its descriptor, so that closing the connection unlocks nothing. To be called while a
/// [`Discard`] lives.
pub(super) fn detach(connection: &Connection) {
    // SAFETY: the connection is open. SQLite closes the descriptor by `close` above, which skips it, and then has -1 in
    // its place. Every system call on -1 fails without effect.
    unsafe {
        let handle = connection.handle();
        ffi::sqlite3_file_control(handle, c"main".as_ptr(), ffi::SQLITE_FCNTL_NULL_IO, ptr::null_mut());
    }
}
