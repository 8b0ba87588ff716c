//! The descriptors that SQLite has for our databases, and what becomes of them in the child of a fork.
//!
//! SQLite keeps in memory which POSIX locks its process holds on which file, one record a file that all connections
//! share. A forked child inherits that memory but not the locks. A connection that it opened beside an inherited one
//! would join that record and believe in locks that the child does not hold; once the parent is gone, other processes
//! could then reset the log under it ("How To Corrupt An SQLite Database File", 2.6). So a child closes all inherited
//! connections before it makes one of its own, and closes them without effect on anything but its own memory: without a
//! checkpoint, without an unlock, without closing a descriptor.
//!
//! Why without closing a descriptor: between the fork and that moment, which is the child's first use of any store, the
//! program may have closed all descriptors, as daemons do, and its own files and sockets may have their numbers now.
//! SQLite would unlock and close those. So the child closes the inherited descriptors in its fork handler, before the
//! program runs on: there they are certainly ours. That costs three calls of close(2) a store, and nothing else is done
//! between a fork and an exec. (It also keeps children from holding files open that the parent has closed.) Later, when
//! the inherited connections are discarded, SQLite's calls of close(2) are left out.
//!
//! For both, the two system calls by which SQLite opens and closes files go through functions of ours; SQLite has an
//! interface for that ([`sqlite3_vfs::xSetSystemCall`](ffi::sqlite3_vfs)). Files that are not a registered database's,
//! its log's or the index's are passed through and not recorded: a Rust program may use the same copy of SQLite for
//! files of its own.

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
    /// The database whose file, log or index it is.
    database: FileId,
    /// What its path has after the database's: nothing, `-wal` or `-shm`.
    ending: &'static str,
    /// Whether it had a name when it was opened. There are file systems that do not count names.
    named: bool,
}

type Open = unsafe extern "C" fn(*const c_char, c_int, c_int) -> c_int;
type Close = unsafe extern "C" fn(c_int) -> c_int;

/// SQLite's own.
static ORIGINAL: OnceLock<(Open, Close)> = OnceLock::new();

thread_local! {
    /// Whether this thread discards inherited connections.
    static DISCARDS: Cell<bool> = const { Cell::new(false) };

    /// The file that this thread has opened first since [`expect`].
    static OPENED: Cell<Option<FileId>> = const { Cell::new(None) };
}

/// From now on, SQLite's descriptors are recorded.
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

/// This thread opens a database next.
pub(super) fn expect() {
    OPENED.set(None);
}

/// The database that this thread has opened since [`expect`]. `None` where SQLite has used a descriptor again that it had
/// kept for the locks of the same file.
pub(super) fn opened() -> Option<FileId> {
    OPENED.get()
}

/// Opens /dev/null for each of the descriptors 0 to 2 that the process has closed. SQLite does so when it is given such a
/// number for a database, but then has had the file open by it: what another thread prints at that moment is in the file.
pub(super) fn fill_standard() {
    for number in 0..=2 {
        // SAFETY: it takes any number for a descriptor.
        if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
            // SAFETY: the path is a C string. The lowest free number is given, which is this one.
            unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY) };
        }
    }
}

unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    let Some((original, _)) = ORIGINAL.get() else { return -1 };
    // SAFETY: the caller's promise is that for SQLite's own function.
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
    // Before its number can be given to another thread.
    registry().descriptors.retain(|descriptor| descriptor.number != number);
    // SAFETY: the caller's promise is that for SQLite's own function.
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
    // Where memory is out, the child keeps the descriptor open, which is no more than untidy.
    if registry.databases.contains_key(&database) && registry.descriptors.try_reserve(1).is_ok() {
        registry.descriptors.push(Descriptor { number, id, database, ending, named: names > 0 });
    }
}

/// Which file a descriptor is for, and how many names that file has.
pub(super) fn stat(number: c_int) -> Option<(FileId, u64)> {
    let mut found = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstat writes the whole struct when it returns 0, and takes any number for a descriptor.
    let found = unsafe { (libc::fstat(number, found.as_mut_ptr()) == 0).then(|| found.assume_init()) }?;
    #[allow(clippy::unnecessary_cast)] // their types differ from system to system
    Some(((found.st_dev as u64, found.st_ino as u64), found.st_nlink as u64))
}

/// The ending of a file of this database that is open and has no name any more.
pub(super) fn without_a_name(database: FileId) -> Option<&'static str> {
    let registry = registry();
    let ours = registry.descriptors.iter().filter(|descriptor| descriptor.database == database && descriptor.named);
    // The file itself before its log, if it is both.
    let lost = ours.filter(|descriptor| stat(descriptor.number) == Some((descriptor.id, 0)));
    lost.map(|descriptor| descriptor.ending).min()
}

/// Held from before a fork until after it, so that the child finds the registry whole.
pub(crate) fn before_fork() -> MutexGuard<'static, Registry> {
    registry()
}

/// In the child's fork handler: closes the descriptors. (It allocates and frees nothing.)
pub(crate) fn after_fork_in_child(registry: &mut Registry) {
    for Descriptor { number, id, .. } in registry.descriptors.drain(..) {
        // A program that closes descriptors that are not its own may have done so before the fork, too.
        if stat(number).is_some_and(|(found, _)| found == id) {
            // SAFETY: the connections whose descriptor it is use it no more: they are discarded first.
            unsafe { libc::close(number) };
        }
    }
}

/// Closes connections that a fork has brought into this process: only memory is freed.
pub(crate) struct Discard(());

impl Discard {
    pub(crate) fn begin() -> Self {
        DISCARDS.set(true);
        // SQLite begins its random numbers anew where it sees another process number. A child that is the first process
        // of a namespace may have its parent's.
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

/// Takes a connection's descriptor from it, so that closing it unlocks nothing. To be called while a [`Discard`] lives.
pub(super) fn detach(connection: &Connection) {
    // SAFETY: the connection is open. SQLite closes the descriptor by `close` above, which leaves it alone, and has -1 in
    // its place from then on, on which every system call fails without effect.
    unsafe {
        let handle = connection.handle();
        ffi::sqlite3_file_control(handle, c"main".as_ptr(), ffi::SQLITE_FCNTL_NULL_IO, ptr::null_mut());
    }
}
