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
use super::{LUAT_KV_OK, handle, luat_kv_error, luat_kv_namespace, luat_kv_status, options, set};
#[cfg(unix)]
use crate::error::Error;
use crate::error::Result;
use crate::namespace::Namespace;
use crate::types::{Format, Imported};

/// One JSON array, as for Wrangler's `kv bulk put`. For luat_kv_export().
pub const LUAT_KV_FORMAT_JSON: u32 = 0;
/// JSON Lines: the same objects, one per line. For luat_kv_export().
pub const LUAT_KV_FORMAT_JSON_LINES: u32 = 1;

/// Replace existing keys. By default they are skipped. For luat_kv_import().
pub const LUAT_KV_IMPORT_REPLACE: u32 = 1;

/// The common part of the functions that export. `export` is called with the checked arguments.
///
/// # Safety
/// `ns` is NULL or a live namespace; `count` and `error` are NULL or valid for a write.
unsafe fn export(
    ns: *mut luat_kv_namespace,
    format: u32,
    count: *mut u64,
    error: *mut *mut luat_kv_error,
    export: impl FnOnce(&Namespace, Format) -> Result<u64>,
) -> luat_kv_status {
    call!(error, set(count, 0), {
        let namespace = handle(ns, "ns")?;
        let format = match format {
            LUAT_KV_FORMAT_JSON => Format::Json,
            LUAT_KV_FORMAT_JSON_LINES => Format::JsonLines,
            other => return Err(options::unknown(other, "format")),
        };
        set(count, export(&namespace.0, format)?);
        Ok(LUAT_KV_OK)
    })
}

/// The common part of the functions that import. `import` is called with the checked arguments.
///
/// # Safety
/// `ns` is NULL or a live namespace; `stored`, `skipped` and `error` are NULL or valid for a write.
unsafe fn import(
    ns: *mut luat_kv_namespace,
    flags: u32,
    stored: *mut u64,
    skipped: *mut u64,
    error: *mut *mut luat_kv_error,
    import: impl FnOnce(&Namespace, bool) -> Result<Imported>,
) -> luat_kv_status {
    call!(
        error,
        {
            set(stored, 0);
            set(skipped, 0)
        },
        {
            let namespace = handle(ns, "ns")?;
            options::unused(flags & !LUAT_KV_IMPORT_REPLACE, "flags")?;
            let imported = import(&namespace.0, flags & LUAT_KV_IMPORT_REPLACE != 0)?;
            set(stored, imported.stored);
            set(skipped, imported.skipped);
            Ok(LUAT_KV_OK)
        }
    )
}

/// Returns a file for a descriptor of the caller. It does not close the descriptor.
///
/// # Safety
/// `fd` is negative, or stays open as long as the file is used.
#[cfg(unix)]
unsafe fn borrowed(fd: c_int) -> Result<ManuallyDrop<File>> {
    if fd < 0 {
        return Err(Error::invalid(format!("fd is {fd}, which is not a descriptor")));
    }
    // SAFETY: `fd` is not negative, so it stays open as long as the file is used, as promised; the file is never
    // dropped, so it does not close it.
    Ok(ManuallyDrop::new(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) }))
}

/// Writes all live entries of a namespace, as of one moment, to a JSON file. Each entry is an object with the fields of
/// Wrangler's bulk files: key, value and, if there are any, expiration (Unix seconds) and metadata (line breaks in it
/// become spaces). The field base64 is true if the value is not UTF-8, and therefore written as base64. Others can
/// write meanwhile, except in memory, where they wait.
///
/// path      a C string, as for luat_kv_open(). The file has the mode 0600. It gets its name when it is complete, and
///           replaces an existing file; but an existing file that is not regular (a pipe, a terminal) is written
///           directly. A database that is open in this process is INVALID.
/// format    a LUAT_KV_FORMAT_... number.
/// count     nullable; the number of entries; 0 after an error.
///
/// Statuses: OK; INVALID; LIMIT; IO, also for a full disk; BUSY, CORRUPT, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[cfg(feature = "sqlite")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_export(
    ns: *mut luat_kv_namespace,
    path: *const c_char,
    format: u32,
    count: *mut u64,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the C caller promises what the header requires: `path` is NULL or a C string, and the other pointers are
    // as `export` requires.
    unsafe {
        export(ns, format, count, error, |namespace, format| namespace.export_file(self::path(path, "path")?, format))
    }
}

/// Stores the entries of an export in a namespace, in one transaction: after an error, whose message contains the line,
/// nothing is changed. The format is detected; an empty file is INVALID. An expired entry is skipped; with
/// LUAT_KV_IMPORT_REPLACE it removes its key. An entry may have expiration_ttl, in seconds, instead of expiration.
/// Fields other than this and those of luat_kv_export() are ignored. A field that exceeds its limit is LIMIT before all
/// of it is read. Others can write while this reads, except in memory. Once all is read, it is stored; meanwhile other
/// calls that write wait, in this process and others, at most for their busy timeout. More than 2 MiB of entries are
/// kept in a file without a name beside the database until then.
///
/// path      a C string, as for luat_kv_open().
/// flags     LUAT_KV_IMPORT_REPLACE, or 0: existing keys are skipped.
/// stored    nullable; the number of stored entries; 0 after an error.
/// skipped   nullable; the number of skipped entries, expired or existing; 0 after an error.
///
/// Statuses: OK; INVALID, also for a file that is not an export; LIMIT; IO, also for a full disk; BUSY, CORRUPT,
/// READONLY, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
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
    // SAFETY: the C caller promises what the header requires: `path` is NULL or a C string, and the other pointers are
    // as `import` requires.
    unsafe {
        import(ns, flags, stored, skipped, error, |namespace, replace| {
            namespace.import_file(self::path(path, "path")?, replace)
        })
    }
}

/// Like luat_kv_export(), to a descriptor: a file, a pipe, a socket. Only on Unix.
///
/// fd        open for writing, and blocking. It is written from its current position, and stays open. After an error, a
///           part may have been written. As with any write, SIGPIPE is raised if a pipe has no reader; a reader must
///           not wait for a call on this store.
///
/// Statuses: as luat_kv_export(). Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[cfg(unix)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_export_fd(
    ns: *mut luat_kv_namespace,
    fd: c_int,
    format: u32,
    count: *mut u64,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the C caller promises what the header requires: `fd` stays open during the call, and the pointers are as
    // `export` requires.
    unsafe { export(ns, format, count, error, |namespace, format| namespace.export(&mut *borrowed(fd)?, format)) }
}

/// Like luat_kv_import(), from a descriptor: a file, a pipe, a socket. Only on Unix.
///
/// fd        open for reading, and blocking. It is read from its current position to its end, and stays open. A writer
///           to a pipe must not wait for a call on this store.
///
/// Statuses: as luat_kv_import(). Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
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
    // SAFETY: the C caller promises what the header requires: `fd` stays open during the call, and the pointers are as
    // `import` requires.
    unsafe {
        import(ns, flags, stored, skipped, error, |namespace, replace| namespace.import(&mut *borrowed(fd)?, replace))
    }
}
