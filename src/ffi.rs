//! The C interface: the `luat_kv_*` functions of `include/luat_kv.h`, one file a noun.
//!
//! The header is generated from here (`make header`), comments and all, so what they say is written for a C programmer.
//! Conventions that hold for every function stand in the header's preamble, in `cbindgen.toml`. No panic leaves a
//! function: each body that can do anything runs in `guard`.

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

/// The body of a function: sets the outputs to what they are after an error, and runs the rest in [`guard`].
///
/// `call!(error, { … })` or `call!(error, set(out, …), { … })`, only in an `unsafe extern "C" fn`: the body may rely on
/// what the function's comment and the header's preamble ask of a caller.
macro_rules! call {
    ($error:expr, $body:block) => {
        call!($error, (), $body)
    };
    ($error:expr, $outputs:expr, $body:block) => {
        // SAFETY: the C caller promises what the header says: a handle is NULL or live, and used by one thread at a
        // time where the header asks for that; a pointer with a length is good for reading that many bytes during the
        // call; an output is NULL or good for a write. The helpers check what can be checked: NULL, lengths, UTF-8.
        #[allow(clippy::macro_metavars_in_unsafe, reason = "the macro stands for the body of an unsafe function")]
        unsafe {
            $outputs;
            $crate::ffi::guard($error, || $body)
        }
    };
}

// In the order in which the header tells of them.
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

/// The version of this interface, which is also the number in the name libluat_kv.so.0. It goes up when a program that
/// was compiled before has to be compiled again. Who loads the library by hand, with dlopen(), compares it with
/// luat_kv_abi_version() first; else the loader has seen to it.
pub const LUAT_KV_ABI_VERSION: u32 = 0;

/// Returns the LUAT_KV_ABI_VERSION that the library was built with. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn luat_kv_abi_version() -> u32 {
    LUAT_KV_ABI_VERSION
}

/// Returns the library's version, as in "0.1.0": static, never NULL. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn luat_kv_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no NUL"),
    };
    VERSION.as_ptr()
}

/// A borrowed view of bytes; data may be NULL where len is 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct luat_kv_bytes {
    /// The first byte.
    pub data: *const c_void,
    /// How many there are.
    pub len: usize,
}

/// Runs a function's body, and turns an error or a panic into its status, with an error object where one is wanted.
///
/// # Safety
/// `error` is NULL or good for a write.
pub(crate) unsafe fn guard(
    error: *mut *mut luat_kv_error,
    body: impl FnOnce() -> Result<luat_kv_status>,
) -> luat_kv_status {
    // SAFETY: `error` is NULL or good for a write, as promised.
    unsafe { set(error, std::ptr::null_mut()) };
    let outcome = oom_reserve::check().map(|()| catch_unwind(AssertUnwindSafe(body)));
    match outcome {
        Ok(Ok(Ok(status))) => status,
        // SAFETY: `error` is NULL or good for a write, as promised.
        Ok(Ok(Err(failure))) | Err(failure) => unsafe { fail(error, &failure) },
        // SAFETY: `error` is NULL or good for a write, as promised.
        Ok(Err(payload)) => unsafe { fail(error, &Error::panicked(&*payload)) },
    }
}

/// Returns the status of a failure, with an error object where one is wanted and has room.
///
/// # Safety
/// `error` is NULL or good for a write.
#[cold]
unsafe fn fail(error: *mut *mut luat_kv_error, failure: &Error) -> luat_kv_status {
    let status = status_of(failure.code());
    if !error.is_null() && oom_reserve::is_there() {
        // SAFETY: it is not NULL, so it is good for a write, as promised.
        unsafe { set(error, luat_kv_error::boxed(status, failure)) };
    }
    status
}

#[cold]
fn is_null(what: &str) -> Error {
    Error::invalid(format!("{what} is NULL"))
}

/// Gives out a handle of what lasts, and so must not lie in the reserve.
///
/// # Safety
/// `out` is good for a write.
unsafe fn give<T>(out: *mut *mut T, make: impl FnOnce() -> Result<T>) -> Result<luat_kv_status> {
    let usage = Usage::now();
    let handle = Box::new(make()?);
    usage.check_unchanged()?;
    // SAFETY: `out` is good for a write, as promised.
    unsafe { out.write(Box::into_raw(handle)) };
    Ok(LUAT_KV_OK)
}

/// Takes a handle back and drops it; NULL is harmless. A panic while dropping ends here.
///
/// # Safety
/// `handle` is NULL or came from `Box::into_raw`, and is not used again.
unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: it is not NULL, so it came from `Box::into_raw`, and nobody uses it again, as promised.
        let owned = unsafe { Box::from_raw(handle) };
        let _ = catch_unwind(AssertUnwindSafe(|| drop(owned)));
    }
}

/// Writes an output, if it is wanted.
///
/// # Safety
/// `out` is NULL or good for a write.
pub(crate) unsafe fn set<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: it is not NULL, so it is good for a write, as promised.
        unsafe { out.write(value) };
    }
}

/// A handle or a required output that must not be NULL.
fn required<T>(pointer: *mut T, what: &str) -> Result<*mut T> {
    if pointer.is_null() { Err(is_null(what)) } else { Ok(pointer) }
}

/// The handle behind a pointer.
///
/// # Safety
/// `pointer` is NULL or a live handle of that type.
pub(crate) unsafe fn handle<'a, T>(pointer: *const T, what: &str) -> Result<&'a T> {
    // SAFETY: the caller promises that `pointer` is NULL or live.
    unsafe { pointer.as_ref() }.ok_or_else(|| is_null(what))
}

/// The same for a handle that one thread at a time has to itself.
///
/// # Safety
/// `pointer` is NULL or a live handle of that type, and no other thread uses it.
unsafe fn handle_mut<'a, T>(pointer: *mut T, what: &str) -> Result<&'a mut T> {
    // SAFETY: it is NULL, or a live handle that no other thread uses, as promised.
    unsafe { pointer.as_mut() }.ok_or_else(|| is_null(what))
}

/// Input bytes, for as long as the call.
///
/// # Safety
/// `data` is NULL or good for reading `len` bytes.
pub(crate) unsafe fn bytes<'a>(data: *const c_void, len: usize, what: &str) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Error::invalid(format!("{what} is NULL and {len} bytes long")));
    }
    if isize::try_from(len).is_err() {
        return Err(Error::invalid(format!("the length of {what} is {len}, more than memory can hold")));
    }
    // SAFETY: the caller's promise, and the checks above.
    Ok(unsafe { slice::from_raw_parts(data.cast(), len) })
}

/// Input text, for as long as the call.
///
/// # Safety
/// As [`bytes`].
unsafe fn text<'a>(data: *const c_void, len: usize, what: &str) -> Result<&'a str> {
    // SAFETY: `data` is NULL or good for reading `len` bytes, as promised.
    let bytes = unsafe { bytes(data, len, what) }?;
    std::str::from_utf8(bytes).map_err(|why| Error::invalid(format!("{what} is not UTF-8: {why}")))
}

/// An input path, for as long as the call.
///
/// # Safety
/// `path` is NULL or a C string.
#[cfg(feature = "sqlite")]
unsafe fn path<'a>(path: *const c_char) -> Result<&'a Path> {
    // SAFETY: it is a C string, as promised, since NULL is an error before it is read.
    let bytes = unsafe { CStr::from_ptr(required(path.cast_mut(), "path")?) };
    #[cfg(unix)]
    return Ok(Path::new(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes.to_bytes())));
    #[cfg(not(unix))]
    return match bytes.to_str() {
        Ok(path) => Ok(Path::new(path)),
        Err(why) => Err(Error::invalid(format!("path is not UTF-8: {why}"))),
    };
}
