//! Stores: opening, housekeeping, closing.

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;

#[cfg(feature = "sqlite")]
use super::path;
use super::{
    LUAT_KV_OK, free, give, guard, handle, luat_kv_error, luat_kv_namespace, luat_kv_open_options, luat_kv_page,
    luat_kv_status, options, required, set, text,
};
use crate::error::Result;
use crate::store::Store;
use crate::types::OpenOptions;

/// A store: a database file, or memory, that holds namespaces. Any thread may use it at any time. Yours to close with
/// luat_kv_close().
pub struct luat_kv_store(pub(super) Store, CString);

#[cfg(target_family = "wasm")]
impl luat_kv_store {
    /// The store behind the handle.
    pub(crate) fn store(&self) -> &Store {
        &self.0
    }
}

/// What opening has in common: the output first, then the options.
unsafe fn open(
    options: *const luat_kv_open_options,
    out: *mut *mut luat_kv_store,
    error: *mut *mut luat_kv_error,
    open: impl FnOnce(&OpenOptions) -> Result<Store>,
) -> luat_kv_status {
    // SAFETY: the promises of the functions below.
    unsafe {
        set(out, ptr::null_mut());
        guard(error, || {
            let out = required(out, "out")?;
            let options = options::read(options, "luat_kv_open_options")?.checked()?;
            give(out, || {
                let store = open(&options)?;
                // No path has a NUL.
                let path = CString::new(store.label()).unwrap_or_default();
                Ok(luat_kv_store(store, path))
            })
        })
    }
}

/// Opens the database file at path, and makes it, with the folders it lies in, where it is missing (files with mode
/// 0600, folders with 0700). A file that Luat wrote is taken over with all that it holds, and Luat can go on using it.
///
/// path      a C string: bytes as the system has them; UTF-8 on Windows.
/// options   NULL: the defaults.
/// out       the store, yours to close with luat_kv_close(); NULL after an error.
/// error     nullable; an error object, yours to free, where the status is negative.
///
/// Statuses: OK; INVALID, also for "" and ":memory:"; IO, also for a folder or a pipe, and for a file that is missing
/// where LUAT_KV_OPEN_READONLY is set; BUSY, also when another library in this process has the file open, since two copies
/// of SQLite on one file would drop each other's locks; CORRUPT; READONLY; NOMEM. Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[cfg(feature = "sqlite")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_open(
    path: *const c_char,
    options: *const luat_kv_open_options,
    out: *mut *mut luat_kv_store,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the caller's promise.
    unsafe { open(options, out, error, |options| Store::open(self::path(path)?, options)) }
}

/// Opens the store of the Luat project that a folder lies in: the file that the environment variable LUAT_KV_DB names.
/// Where it is not set, or empty, the nearest folder upwards that has a luat.toml is the project's root, else the folder
/// itself; its key routing.data_dir (default ".luat/data") is relative to that, and the file in it is "kv.db". The rest is
/// as with luat_kv_open().
///
/// The luat.toml must belong to the process's user, to root, or to the owner of the folder, and not everybody may be
/// allowed to write to it; symbolic links from there to the file must belong to one of these too. Else it is IO, unless
/// the environment variable LUAT_KV_TRUSTED_PROJECT has the project's root (several folders are divided by ":").
///
/// dir       a C string; NULL: the working directory.
///
/// Statuses: as luat_kv_open(); INVALID also for a luat.toml that cannot be parsed, with file and line in the message.
/// Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[cfg(feature = "sqlite")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_open_project(
    dir: *const c_char,
    options: *const luat_kv_open_options,
    out: *mut *mut luat_kv_store,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the caller's promise.
    unsafe {
        open(options, out, error, |options| {
            let dir = if dir.is_null() { None } else { Some(path(dir)?) };
            Store::open_project(dir, options)
        })
    }
}

/// Makes a new, empty store in memory, which is gone when it closes. Of the options, only the limits matter, and
/// LUAT_KV_OPEN_READONLY is INVALID. The rest is as with luat_kv_open().
///
/// Statuses: OK; INVALID. Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said at luat_kv_open().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_open_memory(
    options: *const luat_kv_open_options,
    out: *mut *mut luat_kv_store,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the caller's promise.
    unsafe { open(options, out, error, Store::open_memory) }
}

/// Returns the database file's absolute path, or "memory": UTF-8 that ends in a NUL, and lives as long as the store's
/// handle. "" for NULL; never NULL itself. Thread-safe.
///
/// # Safety
/// `store` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_store_path(store: *const luat_kv_store) -> *const c_char {
    // SAFETY: the caller promises that `store` is NULL or live.
    unsafe { store.as_ref() }.map_or(c"", |store| store.1.as_c_str()).as_ptr()
}

/// Removes expired entries from the file, in steps that let others write in between. Nobody can see expired entries,
/// and writes remove them little by little, so this is never needed for correct results.
///
/// max       how many at most; 0: all of them.
/// removed   nullable; how many there were.
///
/// Statuses: OK; INVALID, IO, BUSY, CORRUPT, READONLY, NOMEM. Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_sweep(
    store: *mut luat_kv_store,
    max: u64,
    removed: *mut u64,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(removed, 0), {
        let count = handle(store, "store")?.0.sweep((max > 0).then_some(max))?;
        set(removed, count);
        Ok(LUAT_KV_OK)
    })
}

/// Writes the file anew, without the room that removed entries have left in it. Meanwhile it takes that much room again,
/// and other calls that write wait, in this process and others, at most for their busy timeout. In memory there is nothing
/// to do.
///
/// Statuses: OK; INVALID; IO, also for a disk that is full; BUSY, CORRUPT, READONLY, NOMEM. Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_compact(store: *mut luat_kv_store, error: *mut *mut luat_kv_error) -> luat_kv_status {
    call!(error, {
        handle(store, "store")?.0.compact()?;
        Ok(LUAT_KV_OK)
    })
}

/// Moves the log that lies beside the file into it. SQLite does so by itself, now and then; this is for a moment of your
/// choice. In memory there is nothing to do.
///
/// complete  nullable; 1 if all of the log is in the file, 0 if somebody who is reading an older state, or writing, held
///           some of it back, and after an error.
///
/// Statuses: OK; INVALID, IO, BUSY, CORRUPT, READONLY, NOMEM. Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_checkpoint(
    store: *mut luat_kv_store,
    complete: *mut c_int,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(complete, 0), {
        let all = handle(store, "store")?.0.checkpoint()?;
        set(complete, all.into());
        Ok(LUAT_KV_OK)
    })
}

/// Copies the whole store, as it is at one moment, into a new database file, which luat_kv_open() opens. Others can
/// write meanwhile. The copy, of mode 0600, gets its name when it is whole and was checked: a store that is damaged is
/// CORRUPT, and not copied.
///
/// path      a C string, as for luat_kv_open(). Its folder must be there, and the file must not.
///
/// Statuses: OK; INVALID, also for a store in memory, which has luat_kv_export() instead; IO, also for a disk that is
/// full, and for a file that is there; BUSY, CORRUPT, NOMEM. Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[cfg(feature = "sqlite")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_backup(
    store: *mut luat_kv_store,
    path: *const c_char,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, {
        handle(store, "store")?.0.backup(self::path(path)?)?;
        Ok(LUAT_KV_OK)
    })
}

/// Lists the names of the namespaces that have live keys, in byte order, all of them.
///
/// out       a page of entries whose key is the name, and which have nothing else; yours to free with
///           luat_kv_page_free(). NULL after an error.
///
/// Statuses: OK; INVALID, IO, BUSY, CORRUPT, NOMEM. Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_namespaces(
    store: *mut luat_kv_store,
    out: *mut *mut luat_kv_page,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(out, ptr::null_mut()), {
        let (store, out) = (handle(store, "store")?, required(out, "out")?);
        out.write(Box::into_raw(Box::new(luat_kv_page::named(store.0.namespaces()?)?)));
        Ok(LUAT_KV_OK)
    })
}

/// Gives a store's handle back; NULL is harmless. Namespaces that were opened from it go on working, and the store
/// itself closes with the last of them.
///
/// # Safety
/// `store` is NULL or a live store, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_close(store: *mut luat_kv_store) {
    // SAFETY: the caller promises that `store` is NULL or live, and that it is not used again.
    unsafe { free(store) };
}

/// Opens a namespace of a store: a set of keys of its own. Nothing is written until a key is put.
///
/// name      UTF-8, not empty.
/// out       the namespace, yours to free with luat_kv_namespace_free(); NULL after an error. It keeps the store open.
///
/// Statuses: OK; INVALID, LIMIT. Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_namespace_open(
    store: *mut luat_kv_store,
    name: *const c_void,
    name_len: usize,
    out: *mut *mut luat_kv_namespace,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(out, ptr::null_mut()), {
        let (store, out) = (handle(store, "store")?, required(out, "out")?);
        let name = text(name, name_len, "the namespace")?;
        give(out, || store.0.namespace(name).map(luat_kv_namespace))
    })
}
