//! Exports and imports: a namespace as text.

#[cfg(feature = "sqlite")]
use std::ffi::c_char;
#[cfg(unix)]
use std::ffi::c_int;
#[cfg(unix)]
use std::fs::File;
#[cfg(unix)]
use std::mem::ManuallyDrop;

#[cfg(feature = "sqlite")]
use super::path;
use super::{LUAT_KV_OK, guard, handle, luat_kv_error, luat_kv_namespace, luat_kv_status, options, set};
use crate::error::{Error, Result};
use crate::namespace::Namespace;
use crate::types::{Format, Imported};

/// One JSON array, as Wrangler's `kv bulk put` takes it. For luat_kv_export().
pub const LUAT_KV_FORMAT_JSON: u32 = 0;
/// JSON Lines: the same objects, each on a line of its own. For luat_kv_export().
pub const LUAT_KV_FORMAT_JSON_LINES: u32 = 1;

/// Replace what keys that are there already hold, rather than leave them alone. For luat_kv_import().
pub const LUAT_KV_IMPORT_REPLACE: u32 = 1;

/// What exporting has in common.
unsafe fn export(
    ns: *mut luat_kv_namespace,
    format: u32,
    count: *mut u64,
    error: *mut *mut luat_kv_error,
    export: impl FnOnce(&Namespace, Format) -> Result<u64>,
) -> luat_kv_status {
    // SAFETY: the promises of the functions below.
    unsafe {
        set(count, 0);
        guard(error, || {
            let namespace = handle(ns, "ns")?;
            let format = match format {
                LUAT_KV_FORMAT_JSON => Format::Json,
                LUAT_KV_FORMAT_JSON_LINES => Format::JsonLines,
                other => return Err(Error::invalid(format!("format is {other}, which is none"))),
            };
            set(count, export(&namespace.0, format)?);
            Ok(LUAT_KV_OK)
        })
    }
}

/// What importing has in common.
unsafe fn import(
    ns: *mut luat_kv_namespace,
    flags: u32,
    stored: *mut u64,
    skipped: *mut u64,
    error: *mut *mut luat_kv_error,
    import: impl FnOnce(&Namespace, bool) -> Result<Imported>,
) -> luat_kv_status {
    // SAFETY: the promises of the functions below.
    unsafe {
        set(stored, 0);
        set(skipped, 0);
        guard(error, || {
            let namespace = handle(ns, "ns")?;
            options::unused(flags & !LUAT_KV_IMPORT_REPLACE, "flags")?;
            let imported = import(&namespace.0, flags & LUAT_KV_IMPORT_REPLACE != 0)?;
            set(stored, imported.stored);
            set(skipped, imported.skipped);
            Ok(LUAT_KV_OK)
        })
    }
}

/// A descriptor of the caller's, which stays the caller's.
///
/// # Safety
/// `fd` is negative, or is not closed before the file was used.
#[cfg(unix)]
unsafe fn borrowed(fd: c_int) -> Result<ManuallyDrop<File>> {
    if fd < 0 {
        return Err(Error::invalid(format!("fd is {fd}, which is no descriptor")));
    }
    // SAFETY: the caller's promise; it is never dropped, and so not closed.
    Ok(ManuallyDrop::new(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) }))
}

/// Writes all live entries of a namespace, as they are at one moment, to a file of JSON. Each entry is an object with
/// the fields of Wrangler's bulk files: key, value, and where there are any expiration (Unix seconds), metadata (whose
/// line breaks become spaces), and base64, which is true where the value is no UTF-8 and so stands there as base64.
/// Others can write meanwhile, but in memory they wait.
///
/// path      a C string, as for luat_kv_open(). The file, of mode 0600, gets its name, in place of any other, when it is
///           whole; what is no regular file (a pipe, a terminal) is written to as it is. A database that is open in this
///           process is INVALID.
/// format    a LUAT_KV_FORMAT_... number.
/// count     nullable; how many entries there are; 0 after an error.
///
/// Statuses: OK; INVALID; IO, also for a disk that is full; BUSY, CORRUPT, NOMEM. Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[cfg(feature = "sqlite")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_export(
    ns: *mut luat_kv_namespace,
    path: *const c_char,
    format: u32,
    count: *mut u64,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the caller's promise.
    unsafe { export(ns, format, count, error, |namespace, format| namespace.export_file(self::path(path)?, format)) }
}

/// Stores the entries of an export in a namespace, in one transaction: after an error, whose message tells the line, all
/// is as it was. The format is found out; a file with nothing in it is INVALID. An entry that has expired is left out,
/// and with LUAT_KV_IMPORT_REPLACE it removes its key. expiration_ttl, in seconds, may stand in place of expiration; other
/// fields than these and those of luat_kv_export() are ignored. What is longer than its limit is LIMIT before it is read
/// whole. While this runs, other calls that write wait, in this process and others, at most for their busy timeout.
///
/// path      a C string, as for luat_kv_open().
/// flags     LUAT_KV_IMPORT_REPLACE, or 0: keys that are there already are left alone.
/// stored    nullable; how many entries were stored; 0 after an error.
/// skipped   nullable; how many were left out, for either reason; 0 after an error.
///
/// Statuses: OK; INVALID, also for what is no export; LIMIT; IO, also for a disk that is full; BUSY, CORRUPT, READONLY,
/// NOMEM. Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[cfg(feature = "sqlite")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_import(
    ns: *mut luat_kv_namespace,
    path: *const c_char,
    flags: u32,
    stored: *mut u64,
    skipped: *mut u64,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the caller's promise.
    unsafe {
        import(ns, flags, stored, skipped, error, |namespace, replace| {
            namespace.import_file(self::path(path)?, replace)
        })
    }
}

/// As luat_kv_export(), to a descriptor: a file, a pipe, a socket. On Unix only.
///
/// fd        open for writing, and blocking. It is written to from where it stands, and stays open and yours. After an
///           error it may have got a part. As with any write, SIGPIPE is raised where nobody reads any more; who reads
///           must not wait for a call on this store.
///
/// Statuses: as luat_kv_export(). Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[cfg(unix)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_export_fd(
    ns: *mut luat_kv_namespace,
    fd: c_int,
    format: u32,
    count: *mut u64,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the caller's promise.
    unsafe { export(ns, format, count, error, |namespace, format| namespace.export(&mut *borrowed(fd)?, format)) }
}

/// As luat_kv_import(), from a descriptor: a file, a pipe, a socket. On Unix only.
///
/// fd        open for reading, and blocking. It is read from where it stands to its end, and stays open and yours. Who
///           feeds a pipe must not wait for a call on this store.
///
/// Statuses: as luat_kv_import(). Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[cfg(unix)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_import_fd(
    ns: *mut luat_kv_namespace,
    fd: c_int,
    flags: u32,
    stored: *mut u64,
    skipped: *mut u64,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the caller's promise.
    unsafe {
        import(ns, flags, stored, skipped, error, |namespace, replace| namespace.import(&mut *borrowed(fd)?, replace))
    }
}
