//! Watches: waiting for changes.

use std::ffi::c_int;
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::namespace::texts;
use super::options::{self, Options, init};
use super::{
    LUAT_KV_OK, LUAT_KV_TIMEOUT, free, give, handle, luat_kv_bytes, luat_kv_error, luat_kv_namespace, luat_kv_page,
    luat_kv_status, required, set, text,
};
use crate::types::WatchOptions;
use crate::watch::Watch;

/// A watch, which tells what has changed. One thread at a time may wait with it. Free it with luat_kv_watch_free().
pub struct luat_kv_watch {
    watch: Watch,
    /// The last luat_kv_watch_token().
    token: Mutex<String>,
}

/// Return the new values too. For luat_kv_watch_options.flags.
pub const LUAT_KV_WATCH_VALUES: u32 = 1;
/// Begin with what is there: the first luat_kv_watch_next() returns every live key as LUAT_KV_CHANGE_PUT. A program that
/// keeps a copy of the keys needs no list then, and can miss nothing between that and the watch. For
/// luat_kv_watch_options.flags.
pub const LUAT_KV_WATCH_EXISTING: u32 = 2;

/// The key was stored, by any write that gave it a new version. From luat_kv_entry_change().
pub const LUAT_KV_CHANGE_PUT: u32 = 1;
/// The key was removed. From luat_kv_entry_change().
pub const LUAT_KV_CHANGE_DELETE: u32 = 2;
/// The key is not there any more because it has expired. This is told with the next change of the store, such as the write
/// that removes the row; a wait does not end with an expiry. From luat_kv_entry_change().
pub const LUAT_KV_CHANGE_EXPIRE: u32 = 3;

/// What to watch. Initialize it with luat_kv_watch_options_init(); 0 in a field means its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct luat_kv_watch_options {
    /// sizeof this struct, in the version that the program was compiled with.
    pub struct_size: u32,
    /// LUAT_KV_WATCH_... flags, or 0.
    pub flags: u32,
    /// Only keys with this prefix. There are no wildcards.
    pub prefix: luat_kv_bytes,
    /// Only these keys, at most 1000, whether they exist or not. NULL: those with the prefix.
    pub keys: *const luat_kv_bytes,
    /// The number of keys.
    pub key_count: usize,
    /// Go on from the luat_kv_watch_token() of an earlier watch of this namespace: the first luat_kv_watch_next() returns
    /// what has changed since then. If that one had other keys, or another prefix, keys that only this one has are reported
    /// as if they were new. Empty: from now on. Not with LUAT_KV_WATCH_EXISTING.
    pub since: luat_kv_bytes,
}

// SAFETY: it is `repr(C)`, has only integers and raw pointers, and begins with the size.
unsafe impl Options for luat_kv_watch_options {}

/// Initializes watch options with the defaults. size is sizeof *options in the program: the library may know more or
/// fewer fields. NULL does nothing.
///
/// # Safety
/// `options` is NULL or valid for writing `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_watch_options_init(options: *mut luat_kv_watch_options, size: usize) {
    // SAFETY: the caller promises that `options` is NULL or valid for writing `size` bytes.
    unsafe { init(options, size) };
}

/// Begins to watch keys: luat_kv_watch_next() returns what changes from now on, whoever changes it. What the keys hold
/// now is no change, unless LUAT_KV_WATCH_EXISTING is set: then it is what the first call returns. A program that keeps a
/// copy of the keys sets it. With a list of its own it could miss the removal of a key that was put just before the list
/// and removed just after.
///
/// A watch compares all its keys whenever the store has changed, which takes about a millisecond for 1000 keys, and
/// remembers the name of each. A prefix that many more keys begin with is better divided.
///
/// options   NULL: the whole namespace.
/// out       the watch, which keeps the store open. Free it with luat_kv_watch_free(). NULL after an error.
///
/// Statuses: OK; INVALID, also for keys beside a prefix, and a token of another store or namespace; LIMIT, also for more
/// than 1000 keys; IO, BUSY, CORRUPT, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_watch_open(
    ns: *mut luat_kv_namespace,
    options: *const luat_kv_watch_options,
    out: *mut *mut luat_kv_watch,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(out, ptr::null_mut()), {
        let (namespace, out) = (handle(ns, "ns")?, required(out, "out")?);
        let options = options::read(options, "luat_kv_watch_options")?;
        let flags = LUAT_KV_WATCH_VALUES | LUAT_KV_WATCH_EXISTING;
        options::unused(options.flags & !flags, "luat_kv_watch_options.flags")?;
        let keys = texts(options.keys, options.key_count)?;
        let prefix = text(options.prefix.data, options.prefix.len, "the prefix")?;
        let since = text(options.since.data, options.since.len, "since")?;
        let [values, existing] = [LUAT_KV_WATCH_VALUES, LUAT_KV_WATCH_EXISTING].map(|flag| options.flags & flag != 0);
        let options = WatchOptions { keys: &keys, prefix, existing, since, values };
        give(out, || Ok(luat_kv_watch { watch: namespace.0.watch(&options)?, token: Mutex::default() }))
    })
}

/// Returns the changes since the last call: for each key that has changed its latest state, in byte order of the keys.
/// Waits until there is one, but not longer than the timeout. The changes of one batch are returned together, unless the
/// watch has LUAT_KV_WATCH_VALUES and the values amount to more than 16 MiB; then the next call returns the others.
///
/// timeout_ms  in milliseconds; 0 does not wait; negative: until there is a change.
/// out         a page of entries, each with a luat_kv_entry_change(). Free it with luat_kv_page_free(). NULL unless the
///             status is OK.
///
/// Statuses: OK; TIMEOUT: nothing has changed; INVALID, also while another thread is in this function with the watch,
/// when the store is closed, and in the child of a fork, which has to open its own; LIMIT, IO, BUSY, CORRUPT, NOMEM.
/// After an error nothing is lost, and the call can be repeated. It waits for the store's busy timeout at most where
/// others use the database, also beyond the timeout.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_watch_next(
    watch: *mut luat_kv_watch,
    timeout_ms: i64,
    out: *mut *mut luat_kv_page,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(out, ptr::null_mut()), {
        let (watch, out) = (&handle(watch, "watch")?.watch, required(out, "out")?);
        let changes = watch.next(u64::try_from(timeout_ms).map_or(Duration::MAX, Duration::from_millis))?;
        if changes.is_empty() {
            return Ok(LUAT_KV_TIMEOUT);
        }
        match luat_kv_page::changed(changes) {
            Ok(page) => out.write(Box::into_raw(Box::new(page))),
            Err(error) => {
                watch.repeat();
                return Err(error);
            }
        }
        Ok(LUAT_KV_OK)
    })
}

/// Returns a token, from which a later watch goes on (luat_kv_watch_options.since), also in another process: after a
/// restart a program learns what has changed while it was not running. A token is never too old. It contains what the
/// watch knows of each key, in about 40 bytes and the part of the key that differs from the one before; so a program
/// with many keys saves one now and then, and not after each change. With an older token it is told more.
///
/// handled   with how many of the changes that the last luat_kv_watch_next() has returned the program is done, in their
///           order; SIZE_MAX: with all. The later watch returns the others again.
/// token     text, not NUL-terminated, valid until the next luat_kv_watch_token() with the watch, or
///           luat_kv_watch_free(). {NULL, 0} after an error.
///
/// Statuses: OK; INVALID while another thread is in luat_kv_watch_next() with the watch, and in the child of a fork;
/// NOMEM. The store may be closed.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_watch_token(
    watch: *mut luat_kv_watch,
    handled: usize,
    token: *mut luat_kv_bytes,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(token, luat_kv_bytes { data: ptr::null(), len: 0 }), {
        let (watch, out) = (handle(watch, "watch")?, required(token, "token")?);
        let token = watch.watch.token(handled)?;
        out.write(luat_kv_bytes { data: token.as_ptr().cast(), len: token.len() });
        *watch.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
        Ok(LUAT_KV_OK)
    })
}

/// Returns a descriptor for an event loop: it is readable when luat_kv_watch_next() may have something to return. That call
/// makes it unreadable again; with a timeout of 0 it does not wait. The descriptor may also be readable without a change.
/// It belongs to the watch, which closes it: only poll it. A thread of the library waits for changes as long as any watch
/// of the store has a descriptor.
///
/// fd        the descriptor; -1 where the system has none (only Linux has), and after an error.
///
/// Statuses: OK; INVALID, also when the store is closed, and in the child of a fork; IO, NOMEM.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_watch_fd(
    watch: *mut luat_kv_watch,
    fd: *mut c_int,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(fd, -1), {
        let (watch, fd) = (&handle(watch, "watch")?.watch, required(fd, "fd")?);
        #[cfg(unix)]
        fd.write(watch.descriptor()?.unwrap_or(-1));
        #[cfg(not(unix))]
        let _ = (watch, fd);
        Ok(LUAT_KV_OK)
    })
}

/// Frees a watch; NULL does nothing. No thread may wait with it.
///
/// # Safety
/// `watch` is NULL or live, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_watch_free(watch: *mut luat_kv_watch) {
    // SAFETY: the caller promises that `watch` is NULL or live, and that it is not used again.
    unsafe { free(watch) };
}
