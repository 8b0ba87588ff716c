//! How this library's connections call the system: by SQLite's own VFS, with some methods replaced.
//!
//! - `xSleep`: SQLite repeats some steps up to a hundred times and sleeps in between, for ten seconds in all, whatever
//!   the busy timeout is. The replacement does not sleep, so the step fails at once. `store` then repeats the whole
//!   call until the busy timeout is over, and holds no lock while it waits. (For calls that cannot be repeated see
//!   [`Patience`].)
//! - `xOpen`: SQLite opens a file for reading only if the first attempt fails for any reason, even a momentary one (too
//!   many open files), and the file stays read-only. The replacement reports the failure instead, unless the file must
//!   not be written. It neither creates a guest's log nor opens it for writing (see `access`).
//! - `xShmBarrier`, a method of an open file: besides the barrier, SQLite's own takes and releases a mutex of the whole
//!   process "for redundancy", in each read and three times in each write. The replacement is the barrier alone.
//! - `xShmLock`, another one: see [`read_mark`].
//! - The methods of an open log: see [`log_file`].
//!
//! The VFSs are registered under their own names, so other users of the same copy of SQLite do not get them.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::fence;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ffi};

#[cfg(not(unix))]
use super::not_unix::libc;
use super::{log_file, read_mark, reason};

/// SQLite's own VFS, and the two that this library registers.
struct Registered {
    base: *mut ffi::sqlite3_vfs,
    open: Open,
    size: log_file::Size,
}

type Open = unsafe extern "C" fn(
    *mut ffi::sqlite3_vfs,
    ffi::sqlite3_filename,
    *mut ffi::sqlite3_file,
    c_int,
    *mut c_int,
) -> c_int;

// SAFETY: SQLite's VFS lives as long as the process, and any thread may use it.
unsafe impl Send for Registered {}
// SAFETY: as above.
unsafe impl Sync for Registered {}

const MEMBER: &CStr = c"luat_kv";
const GUEST: &CStr = c"luat_kv-guest";

/// The name of the VFS for a member or a guest. `None` if this copy of SQLite does not have its usual VFS: the program
/// then has its own, which is used unchanged.
pub(super) fn name(guest: bool) -> Option<&'static CStr> {
    registered().map(|_| if guest { GUEST } else { MEMBER })
}

fn registered() -> Option<&'static Registered> {
    static REGISTERED: OnceLock<Option<Registered>> = OnceLock::new();
    // SAFETY: the default VFS lives as long as the process, and its name is a C string.
    REGISTERED.get_or_init(|| unsafe { register(ffi::sqlite3_vfs_find(ptr::null())) }).as_ref()
}

/// # Safety
/// `base` is NULL or a VFS that lives as long as the process.
unsafe fn register(base: *mut ffi::sqlite3_vfs) -> Option<Registered> {
    // SAFETY: the caller has promised it.
    let found = unsafe { base.as_ref() }?;
    // SAFETY: each VFS has a name that lives as long as the VFS.
    if !unsafe { CStr::from_ptr(found.zName) }.to_bytes().starts_with(b"unix") {
        return None;
    }
    let open = found.xOpen?;
    let size = log_file::Size::behind(found.szOsFile)?;
    for (name, open) in [(MEMBER, member_open as Open), (GUEST, guest_open as Open)] {
        let vfs = ffi::sqlite3_vfs {
            zName: name.as_ptr(),
            pNext: ptr::null_mut(),
            xOpen: Some(open),
            xSleep: Some(sleep),
            szOsFile: size.whole,
            ..*found
        };
        // SAFETY: it is never freed. SQLite's methods use no fields of a VFS other than those copied here.
        if unsafe { ffi::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 0) } != ffi::SQLITE_OK {
            return None;
        }
    }
    Some(Registered { base, open, size })
}

thread_local! {
    /// Until when this thread may sleep within SQLite.
    static PATIENCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// While this exists, SQLite sleeps by itself on this thread, but no longer than the given time in all.
pub(super) struct Patience(());

impl Patience {
    pub(super) fn of(time: Duration) -> Self {
        PATIENCE.set(Instant::now().checked_add(time));
        Patience(())
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        PATIENCE.set(None);
    }
}

unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    let left = PATIENCE.get().map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
    let asked = Duration::from_micros(u64::try_from(microseconds).unwrap_or(0));
    if !left.is_zero() {
        std::thread::sleep(asked.min(left));
    }
    microseconds
}

unsafe extern "C" fn guest_open(
    vfs: *mut ffi::sqlite3_vfs,
    path: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    opened: *mut c_int,
) -> c_int {
    let flags = match flags & ffi::SQLITE_OPEN_WAL != 0 {
        true => flags & !(ffi::SQLITE_OPEN_CREATE | ffi::SQLITE_OPEN_READWRITE) | ffi::SQLITE_OPEN_READONLY,
        false => flags,
    };
    // SAFETY: SQLite's promises to this method are those that the next one needs.
    unsafe { member_open(vfs, path, file, flags, opened) }
}

unsafe extern "C" fn member_open(
    _: *mut ffi::sqlite3_vfs,
    path: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    opened: *mut c_int,
) -> c_int {
    let Some(Registered { base, open, size }) = registered() else { return ffi::SQLITE_CANTOPEN };
    let kept = flags & (ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_WAL) != 0;
    let mut got = 0;
    // SAFETY: the arguments are those that SQLite passes to this method, and this is the VFS that the method belongs
    // to.
    let status = unsafe { open(*base, path, file, flags, &mut got) };
    let downgraded = status == ffi::SQLITE_OK
        && kept
        && flags & ffi::SQLITE_OPEN_READWRITE != 0
        && got & ffi::SQLITE_OPEN_READONLY != 0;
    let why = reason::last();
    // SAFETY: the path of a file that was just opened is a C string.
    if downgraded && unsafe { may_write(path) } {
        // SAFETY: it was opened by `open`. A file without methods is not open.
        unsafe {
            if let Some(close) = (*file).pMethods.as_ref().and_then(|methods| methods.xClose) {
                close(file);
            }
            (*file).pMethods = ptr::null();
        }
        reason::set(why);
        return ffi::SQLITE_CANTOPEN;
    }
    if status == ffi::SQLITE_OK && flags & ffi::SQLITE_OPEN_MAIN_DB != 0 {
        // SAFETY: it was opened just now, so it has methods, and nothing else uses it yet.
        unsafe { replace_methods(&mut *file) };
    }
    if status == ffi::SQLITE_OK && flags & ffi::SQLITE_OPEN_WAL != 0 {
        // SAFETY: as above, and files of these VFSs have this size.
        unsafe { log_file::hold_back_headers(file, *size) };
    }
    if !opened.is_null() {
        // SAFETY: it is NULL, or SQLite's variable.
        unsafe { *opened = got };
    }
    status
}

/// The methods of the first database, and those that replace them.
struct Replaced(*const ffi::sqlite3_io_methods, ffi::sqlite3_io_methods);

// SAFETY: SQLite's methods are constants, which any thread may use.
unsafe impl Send for Replaced {}
// SAFETY: as above.
unsafe impl Sync for Replaced {}

static REPLACED: OnceLock<Replaced> = OnceLock::new();

/// # Safety
/// `file` is open, by SQLite's VFS.
unsafe fn replace_methods(file: &mut ffi::sqlite3_file) {
    // SAFETY: an open file has methods, which SQLite's VFS never frees.
    let found = unsafe { &*file.pMethods };
    // A later version may have methods that would not be copied.
    // ThreadSanitizer sees an order in the mutex, and none in a barrier.
    if found.iVersion == 3 && cfg!(all(target_os = "linux", not(thread_sanitizer))) {
        let Replaced(base, methods) = REPLACED.get_or_init(|| {
            Replaced(found, ffi::sqlite3_io_methods { xShmBarrier: Some(barrier), xShmLock: Some(lock), ..*found })
        });
        // SQLite has other methods for a file without locks.
        if ptr::eq(*base, found) {
            file.pMethods = methods;
        }
    }
}

unsafe extern "C" fn barrier(_: *mut ffi::sqlite3_file) {
    fence(SeqCst);
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, place: c_int, count: c_int, flags: c_int) -> c_int {
    if read_mark::refuses(place, flags) {
        return ffi::SQLITE_BUSY;
    }
    // SAFETY: SQLite's methods are never freed, and it calls this for a file that it has opened.
    match REPLACED.get().and_then(|replaced| unsafe { (*replaced.0).xShmLock }) {
        // SAFETY: the arguments are those that SQLite passes to this method.
        Some(lock) => unsafe { lock(file, place, count, flags) },
        None => ffi::SQLITE_IOERR_SHMLOCK,
    }
}

/// # Safety
/// `path` is a C string.
unsafe fn may_write(path: *const c_char) -> bool {
    // SAFETY: the caller's promise.
    unsafe { libc::faccessat(libc::AT_FDCWD, path, libc::W_OK, libc::AT_EACCESS) == 0 }
}

/// Whether a connection with a WAL has its shared memory mapped for reading only. Such a connection can never write.
pub(super) fn reads_only(connection: &Connection) -> bool {
    registered().is_some() && wal_index(connection).is_err_and(|status| status & 0xff == ffi::SQLITE_READONLY)
}

/// Returns the start of the index of the log, in memory that is shared by all processes and mapped for as long as the
/// connection is open. The connection must have a WAL and have used it. Otherwise, returns SQLite's status.
pub(super) fn wal_index(connection: &Connection) -> Result<NonNull<c_void>, c_int> {
    /// The region that SQLite has already mapped. Its size is part of SQLite's file format.
    const FIRST: (c_int, c_int) = (0, 32 * 1024);
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    let mut mapped = ptr::null_mut();
    // SAFETY: the connection is open and used by this thread only. Its file lives as long as the connection and has the
    // methods of its VFS. Mapping a region that is already mapped changes nothing.
    let status = unsafe {
        let out = (&raw mut file).cast();
        ffi::sqlite3_file_control(connection.handle(), c"main".as_ptr(), ffi::SQLITE_FCNTL_FILE_POINTER, out);
        match file.as_ref().and_then(|file| file.pMethods.as_ref()) {
            Some(methods) if methods.iVersion >= 2 => {
                methods.xShmMap.map_or(ffi::SQLITE_ERROR, |map| map(file, FIRST.0, FIRST.1, 0, &mut mapped))
            }
            _ => ffi::SQLITE_ERROR,
        }
    };
    match NonNull::new(mapped.cast::<c_void>()) {
        Some(mapped) if status == ffi::SQLITE_OK => Ok(mapped),
        _ => Err(status),
    }
}
