//! Statuses and error objects.

use std::borrow::Cow;
#[cfg(feature = "sqlite")]
use std::ffi::c_int;
use std::ffi::{CStr, CString, c_char};
use std::ptr;

use super::free;
use crate::error::{Code, Error};

/// The result of a call: LUAT_KV_OK, a positive outcome, or a negative error. A later library may return values that
/// are not listed here; their sign says which of these they are.
pub type luat_kv_status = i32;

/// Success.
pub const LUAT_KV_OK: luat_kv_status = 0;
/// The key is missing, or has expired.
pub const LUAT_KV_NOT_FOUND: luat_kv_status = 1;
/// A condition did not hold, and nothing was changed.
pub const LUAT_KV_CONFLICT: luat_kv_status = 2;
/// The buffer is too small, and was not written to. The needed length was returned.
pub const LUAT_KV_TOO_SMALL: luat_kv_status = 3;
/// Nothing has changed within the time.
pub const LUAT_KV_TIMEOUT: luat_kv_status = 4;
/// The request itself is wrong: it would fail again.
pub const LUAT_KV_INVALID: luat_kv_status = -1;
/// The operating system returned an error: no such folder, no permission, disk full, ... Or a PostgreSQL server did.
pub const LUAT_KV_IO: luat_kv_status = -2;
/// Another process or connection locked the database for longer than the busy timeout. Try again.
pub const LUAT_KV_BUSY: luat_kv_status = -3;
/// The file is not a database, is damaged, or is not a key-value store's.
pub const LUAT_KV_CORRUPT: luat_kv_status = -4;
/// A write to a store that was opened read-only, or to whose file writing is not permitted.
pub const LUAT_KV_READONLY: luat_kv_status = -5;
/// Something is longer, or a lifetime shorter, than the store's limits allow. Also for a call that reads a value over
/// 512 MiB, which only another program can have written.
pub const LUAT_KV_LIMIT: luat_kv_status = -6;
/// Memory ran out.
pub const LUAT_KV_NOMEM: luat_kv_status = -7;
/// A bug in the library was caught. The store can still be used. Please report it.
pub const LUAT_KV_PANIC: luat_kv_status = -8;
/// SQLite, or a PostgreSQL server, returned an unexpected result.
pub const LUAT_KV_INTERNAL: luat_kv_status = -9;

pub(super) fn status_of(code: Code) -> luat_kv_status {
    match code {
        Code::Invalid => LUAT_KV_INVALID,
        Code::Io => LUAT_KV_IO,
        Code::Busy => LUAT_KV_BUSY,
        Code::Corrupt => LUAT_KV_CORRUPT,
        Code::ReadOnly => LUAT_KV_READONLY,
        Code::Limit => LUAT_KV_LIMIT,
        Code::NoMem => LUAT_KV_NOMEM,
        Code::Panic => LUAT_KV_PANIC,
        Code::Internal => LUAT_KV_INTERNAL,
    }
}

/// Returns a status's name without its prefix, such as "BUSY": static, never NULL. "UNKNOWN" for a number that is not a
/// status. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn luat_kv_status_str(status: luat_kv_status) -> *const c_char {
    let name: &CStr = match status {
        LUAT_KV_OK => c"OK",
        LUAT_KV_NOT_FOUND => c"NOT_FOUND",
        LUAT_KV_CONFLICT => c"CONFLICT",
        LUAT_KV_TOO_SMALL => c"TOO_SMALL",
        LUAT_KV_TIMEOUT => c"TIMEOUT",
        LUAT_KV_INVALID => c"INVALID",
        LUAT_KV_IO => c"IO",
        LUAT_KV_BUSY => c"BUSY",
        LUAT_KV_CORRUPT => c"CORRUPT",
        LUAT_KV_READONLY => c"READONLY",
        LUAT_KV_LIMIT => c"LIMIT",
        LUAT_KV_NOMEM => c"NOMEM",
        LUAT_KV_PANIC => c"PANIC",
        LUAT_KV_INTERNAL => c"INTERNAL",
        _ => c"UNKNOWN",
    };
    name.as_ptr()
}

/// The reason why a call failed: a status and a message. Free it with luat_kv_error_free().
pub struct luat_kv_error {
    status: luat_kv_status,
    message: Cow<'static, CStr>,
    #[cfg(feature = "sqlite")]
    number: c_int,
}

/// The error for all callers when there is no memory, also not for an error object. It is never freed.
static OUT_OF_MEMORY: luat_kv_error = luat_kv_error {
    status: LUAT_KV_NOMEM,
    message: Cow::Borrowed(c"out of memory"),
    #[cfg(feature = "sqlite")]
    number: 0,
};

impl luat_kv_error {
    /// Returns an error object, which the caller frees with luat_kv_error_free() and does not write to.
    pub(super) fn boxed(status: luat_kv_status, failure: &Error) -> *mut luat_kv_error {
        let message = failure.message();
        if status == LUAT_KV_NOMEM && OUT_OF_MEMORY.message.to_bytes() == message.as_bytes() {
            return (&raw const OUT_OF_MEMORY).cast_mut();
        }
        let mut message = message.as_bytes().to_vec();
        message.retain(|byte| *byte != 0);
        let message = Cow::Owned(CString::new(message).unwrap_or_default());
        Box::into_raw(Box::new(luat_kv_error {
            status,
            message,
            #[cfg(feature = "sqlite")]
            number: failure.raw_os_error().unwrap_or(0),
        }))
    }
}

/// Returns an error's status, or LUAT_KV_OK for NULL.
///
/// # Safety
/// `error` is NULL or a live error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_error_status(error: *const luat_kv_error) -> luat_kv_status {
    // SAFETY: the caller promises that `error` is NULL or live.
    unsafe { error.as_ref() }.map_or(LUAT_KV_OK, |error| error.status)
}

/// Returns an error's message: one line of UTF-8, NUL-terminated, valid as long as the error. "" for NULL; never NULL.
///
/// # Safety
/// `error` is NULL or a live error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_error_message(error: *const luat_kv_error) -> *const c_char {
    // SAFETY: the caller promises that `error` is NULL or live.
    unsafe { error.as_ref() }.map_or(c"", |error| &error.message).as_ptr()
}

/// Returns the number of the system's error that caused an error: a constant of errno.h, such as ENOSPC, or of
/// GetLastError() on Windows. 0 if no system call failed, and for NULL.
///
/// # Safety
/// `error` is NULL or a live error.
#[cfg(feature = "sqlite")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_error_errno(error: *const luat_kv_error) -> c_int {
    // SAFETY: the caller promises that `error` is NULL or live.
    unsafe { error.as_ref() }.map_or(0, |error| error.number)
}

/// Frees an error; NULL does nothing.
///
/// # Safety
/// `error` is NULL or a live error, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_error_free(error: *mut luat_kv_error) {
    if !ptr::eq(error, &OUT_OF_MEMORY) {
        // SAFETY: the caller promises that `error` is NULL or live, and that it is not used again.
        unsafe { free(error) };
    }
}
