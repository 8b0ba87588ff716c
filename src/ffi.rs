//! The C interface: the `luat_kv_*` functions of `include/luat_kv.h`, one file a noun.
//!
//! `make header` generates the header from these files, including the comments, which are therefore written for C
//! programmers. The conventions of all functions are in the header's preamble, in `cbindgen.toml`. A panic never
//! unwinds into C: each body that can panic runs in `guard`.

#![allow(non_camel_case_types)]

#[cfg(all(feature = "sqlite", unix))]
use std::ffi::OsStr;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "sqlite")]
use std::path::Path;
use std::slice;

use crate::error::{Error, Result};
use crate::oom_reserve::{self, Usage};
use crate::utf8::from_utf8;

/// The body of a function: sets the outputs to their values after an error, and runs the rest in [`guard`].
///
/// `call!(error, { … })` or `call!(error, set(out, …), { … })`, only in an `unsafe fn` that requires of its callers
/// what the header requires: the body may rely on that.
macro_rules! call {
    ($error:expr, $body:block) => {
        call!($error, (), $body)
    };
    ($error:expr, $outputs:expr, $body:block) => {
        // SAFETY: the C caller promises what the header requires: a handle is NULL or live, and used by one thread at
        // a time if its type requires that; a pointer with a length is valid for reading that many bytes during the
        // call; an output is NULL or valid for a write. The helpers check what can be checked: NULL, lengths, UTF-8.
        #[allow(clippy::macro_metavars_in_unsafe, reason = "the macro is the body of an unsafe function")]
        unsafe {
            $outputs;
            $crate::ffi::guard($error, || $body)
        }
    };
}

// In the header's order.
mod error;

mod options;

mod store;

#[cfg(not(target_family = "wasm"))]
mod limits;

mod stats;

mod namespace;

mod presence;
mod range;

#[cfg(not(target_family = "wasm"))]
mod iter;

mod entry;
mod page;

mod batch;

#[cfg(any(feature = "sqlite", unix))]
mod transfer;

#[cfg(not(target_family = "wasm"))]
mod watch;

pub use batch::*;
pub use entry::*;
pub use error::*;
#[cfg(not(target_family = "wasm"))]
pub use iter::*;
#[cfg(not(target_family = "wasm"))]
pub use limits::*;
pub use namespace::*;
pub use options::*;
pub use page::*;
pub use presence::*;
pub use range::*;
pub use stats::*;
pub use store::*;
#[cfg(any(feature = "sqlite", unix))]
pub use transfer::*;
#[cfg(not(target_family = "wasm"))]
pub use watch::*;

/// The version of this interface, which is also the number in the name libluat_kv.so.0. It increases when programs have
/// to be compiled again. A program that loads the library with dlopen() must first compare it with
/// luat_kv_abi_version(). For a linked program, the loader has checked it.
pub const LUAT_KV_ABI_VERSION: u32 = 0;

/// Returns the LUAT_KV_ABI_VERSION that the library was built with. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn luat_kv_abi_version() -> u32 {
    LUAT_KV_ABI_VERSION
}

/// Returns the library's version, such as "0.1.0": static, never NULL. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn luat_kv_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no NUL"),
    };
    VERSION.as_ptr()
}

/// A view of bytes. data may be NULL if len is 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct luat_kv_bytes {
    /// The first byte.
    pub data: *const c_void,
    /// The number of bytes.
    pub len: usize,
}

/// Runs a function's body, and converts an error or a panic to its status and, unless `error` is NULL, an error object.
///
/// # Safety
/// `error` is NULL or valid for a write.
pub(crate) unsafe fn guard(
    error: *mut *mut luat_kv_error,
    body: impl FnOnce() -> Result<luat_kv_status>,
) -> luat_kv_status {
    // SAFETY: `error` is NULL or valid for a write, as promised.
    unsafe { set(error, std::ptr::null_mut()) };
    let outcome = oom_reserve::check().map(|()| catch_unwind(AssertUnwindSafe(body)));
    match outcome {
        Ok(Ok(Ok(status))) => status,
        // SAFETY: `error` is NULL or valid for a write, as promised.
        Ok(Ok(Err(failure))) | Err(failure) => unsafe { fail(error, &failure) },
        // SAFETY: `error` is NULL or valid for a write, as promised.
        Ok(Err(payload)) => unsafe { fail(error, &Error::panicked(&*payload)) },
    }
}

/// Returns the status of a failure. Writes an error object, unless `error` is NULL or there is no memory for it.
///
/// # Safety
/// `error` is NULL or valid for a write.
#[cold]
unsafe fn fail(error: *mut *mut luat_kv_error, failure: &Error) -> luat_kv_status {
    let status = status_of(failure.code());
    if !error.is_null() && oom_reserve::is_there() {
        // SAFETY: it is not NULL, so it is valid for a write, as promised.
        unsafe { set(error, luat_kv_error::boxed(status, failure)) };
    }
    status
}

#[cold]
fn is_null(what: &str) -> Error {
    Error::invalid(format!("{what} is NULL"))
}

/// Writes the handle of a new object. The object lasts, so it is an error if it was allocated from the reserve.
///
/// # Safety
/// `out` is valid for a write.
unsafe fn give<T>(out: *mut *mut T, make: impl FnOnce() -> Result<T>) -> Result<luat_kv_status> {
    let usage = Usage::now();
    let handle = Box::new(make()?);
    usage.check_unchanged()?;
    // SAFETY: `out` is valid for a write, as promised.
    unsafe { out.write(Box::into_raw(handle)) };
    Ok(LUAT_KV_OK)
}

/// Drops the object of a handle; NULL does nothing. A panic while dropping is caught.
///
/// # Safety
/// `handle` is NULL or came from `Box::into_raw`, and is not used again.
unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: it is not NULL, so it came from `Box::into_raw` and is not used again, as promised.
        let owned = unsafe { Box::from_raw(handle) };
        let _ = catch_unwind(AssertUnwindSafe(|| drop(owned)));
    }
}

/// Writes an output, unless it is NULL.
///
/// # Safety
/// `out` is NULL or valid for a write.
pub(crate) unsafe fn set<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: it is not NULL, so it is valid for a write, as promised.
        unsafe { out.write(value) };
    }
}

/// Returns a handle or an output. NULL is an error.
fn required<T>(pointer: *mut T, what: &str) -> Result<*mut T> {
    if pointer.is_null() { Err(is_null(what)) } else { Ok(pointer) }
}

/// Returns the object of a handle. NULL is an error.
///
/// # Safety
/// `pointer` is NULL or a live handle of that type.
pub(crate) unsafe fn handle<'a, T>(pointer: *const T, what: &str) -> Result<&'a T> {
    // SAFETY: `pointer` is NULL or a live handle, as promised.
    unsafe { pointer.as_ref() }.ok_or_else(|| is_null(what))
}

/// The same for an object that only one thread at a time may use.
///
/// # Safety
/// `pointer` is NULL or a live handle of that type, and no other thread uses it.
unsafe fn handle_mut<'a, T>(pointer: *mut T, what: &str) -> Result<&'a mut T> {
    // SAFETY: it is NULL, or a live handle that no other thread uses, as promised.
    unsafe { pointer.as_mut() }.ok_or_else(|| is_null(what))
}

/// Returns input bytes, for the duration of the call.
///
/// # Safety
/// `data` is NULL or valid for reading `len` bytes.
pub(crate) unsafe fn bytes<'a>(data: *const c_void, len: usize, what: &str) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(no_bytes(what, len));
    }
    if isize::try_from(len).is_err() {
        return Err(too_long(what, len));
    }
    // SAFETY: `data` is valid for reading `len` bytes, as promised; it is not NULL, and `len` fits an `isize`.
    Ok(unsafe { slice::from_raw_parts(data.cast(), len) })
}

#[cold]
fn no_bytes(what: &str, len: usize) -> Error {
    Error::invalid(format!("{what} is NULL and {len} bytes long"))
}

#[cold]
fn too_long(what: &str, len: usize) -> Error {
    Error::invalid(format!("the length of {what} is {len}, more than memory can hold"))
}

/// Returns input text, for the duration of the call.
///
/// # Safety
/// As [`bytes`].
pub(crate) unsafe fn text<'a>(data: *const c_void, len: usize, what: &str) -> Result<&'a str> {
    // SAFETY: `data` is NULL or valid for reading `len` bytes, as promised.
    let bytes = unsafe { bytes(data, len, what) }?;
    from_utf8(bytes).map_err(|why| Error::invalid(format!("{what} is not UTF-8: {why}")))
}

/// Returns an input path, for the duration of the call.
///
/// # Safety
/// `path` is NULL or a C string.
#[cfg(feature = "sqlite")]
unsafe fn path<'a>(path: *const c_char, what: &str) -> Result<&'a Path> {
    // SAFETY: NULL is an error before it is read, so it is a C string, as promised.
    let bytes = unsafe { CStr::from_ptr(required(path.cast_mut(), what)?) };
    #[cfg(unix)]
    return Ok(Path::new(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes.to_bytes())));
    #[cfg(not(unix))]
    return match bytes.to_str() {
        Ok(path) => Ok(Path::new(path)),
        Err(why) => Err(Error::invalid(format!("{what} is not UTF-8: {why}"))),
    };
}
