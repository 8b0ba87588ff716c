//! Stores: opening, housekeeping, closing.

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;

#[cfg(feature = "sqlite")]
use super::path;
use super::{
    LUAT_KV_OK, free, give, handle, luat_kv_error, luat_kv_namespace, luat_kv_open_options, luat_kv_page,
    luat_kv_status, options, required, set, text,
};
use crate::error::Result;
use crate::store::Store;
use crate::types::OpenOptions;

/// A store: a database file, a PostgreSQL database, or memory, that contains namespaces. Any thread may use it at any time.
/// Close it with luat_kv_close().
pub struct luat_kv_store(pub(super) Store, CString);

#[cfg(target_family = "wasm")]
impl luat_kv_store {
    /// Returns the store of the handle.
    pub(crate) fn store(&self) -> &Store {
        &self.0
    }
}

/// The common part of the functions that open a store. `open` is called with the checked options.
///
/// # Safety
/// `options` is NULL or valid for reading as many bytes as its size says; `out` and `error` are NULL or valid for a
/// write.
unsafe fn open(
    options: *const luat_kv_open_options,
    out: *mut *mut luat_kv_store,
    error: *mut *mut luat_kv_error,
    open: impl FnOnce(&OpenOptions) -> Result<Store>,
) -> luat_kv_status {
    call!(error, set(out, ptr::null_mut()), {
        let out = required(out, "out")?;
        let options = options::read(options, "luat_kv_open_options")?.checked()?;
        give(out, || {
            let store = open(&options)?;
            // A path has no NUL.
            let path = CString::new(store.label()).unwrap_or_default();
            Ok(luat_kv_store(store, path))
        })
    })
}

/// Opens the database file at path. If it is missing, it is created with mode 0600, and its folders with 0700. Folders
/// that were created stay if the open fails. A file of Luat is converted, with all its contents, and Luat can go on
/// using it.
///
/// path      a C string: bytes in the system's encoding; UTF-8 on Windows.
/// options   NULL: the defaults.
/// out       the store. Close it with luat_kv_close(). NULL after an error.
/// error     nullable; an error object if the status is negative. Free it with luat_kv_error_free().
///
/// Statuses: OK; INVALID, also for "" and ":memory:"; IO, also for a folder or a pipe, and for a missing file with
/// LUAT_KV_OPEN_READONLY; BUSY, also if another library in this process has the file open, since two copies of SQLite
/// on one file would drop each other's locks; CORRUPT; READONLY; NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[cfg(feature = "sqlite")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_open(
    path: *const c_char,
    options: *const luat_kv_open_options,
    out: *mut *mut luat_kv_store,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the C caller promises what the header requires: `path` is NULL or a C string, and the other pointers are
    // as `open` requires.
    unsafe { open(options, out, error, |options| Store::open(self::path(path, "path")?, options)) }
}

/// Opens the store that a URL or a path names. The scheme of the URL chooses what it is.
///
/// "postgresql://user@host/database", also with "postgres:", is a PostgreSQL database. The URL is a connection URI of
/// libpq, such as "postgresql://user@db1,db2/site?target_session_attrs=read-write&sslmode=verify-full". In the user, the
/// password and the values of the query, reserved characters are encoded: "%40" is an @, "%2F" a slash. One parameter is
/// not libpq's: "watch_interval=10" lets watches ask the server every 10 ms, in place of 150 (5 to 10000).
///
/// "file:///srv/kv.db" and "file:kv.db" are database files, the second one in the working folder. "%20" is a space. Such
/// a URL names no other host and has no query. "memory:" is a new store, as luat_kv_open_memory() creates it. A text
/// without a scheme is the path of a database file, and so is "C:/kv.db". Any other scheme is INVALID, so a path with a
/// colon in its first part begins with "./".
///
/// The options are those of luat_kv_open(). With PostgreSQL, limits, busy_timeout_ms and LUAT_KV_OPEN_READONLY hold; the
/// server decides about durability, and there is no cache of values, so LUAT_KV_DURABILITY_FULL and a cache_size are
/// INVALID. The library loads libpq when it opens the first such URL. Keep the password in ~/.pgpass or PGPASSWORD, where
/// libpq finds it. If it is part of the URL, no message contains it, nor does the text of luat_kv_store_path().
///
/// url       a C string: UTF-8, or a path in the system's encoding.
/// options   NULL: the defaults.
/// out       the store. Close it with luat_kv_close(). NULL after an error.
///
/// Statuses: as luat_kv_open(); INVALID also for a URL that is malformed or has an unknown scheme, and for PostgreSQL
/// in a library that was built without it. With PostgreSQL also BUSY and IO for a server that does not answer within
/// busy_timeout_ms or refuses the connection, with its own words in the message. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[cfg(feature = "sqlite")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_open_url(
    url: *const c_char,
    options: *const luat_kv_open_options,
    out: *mut *mut luat_kv_store,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the C caller promises what the header requires: `url` is NULL or a C string, and the other pointers are
    // as `open` requires.
    unsafe { open(options, out, error, |options| Store::open_url(path(url, "url")?, options)) }
}

/// Opens the store of the Luat project that contains a folder. The environment variable LUAT_KV_DB is its URL or path,
/// as for luat_kv_open_url(). If that is not set, or empty, the project's root is the nearest folder upwards that has a
/// luat.toml, or else the folder itself. The store is then the one whose URL or path is the key kv.url of luat.toml, or
/// else the file "kv.db" in the folder that the key routing.data_dir names (default ".luat/data"). Paths are relative to
/// the root. Otherwise like luat_kv_open().
///
/// The luat.toml must belong to the process's user, to root, or to the owner of the folder, and neither it nor its
/// folder may be writable by everyone (unless the folder has the sticky bit). Symbolic links from there to the file,
/// and folders in a folder that is writable by everyone, must also belong to one of these users. Otherwise the status
/// is IO, unless the environment variable LUAT_KV_TRUSTED_PROJECT contains the project's root (folders are separated by
/// ":").
///
/// dir       a C string; NULL: the working directory.
///
/// Statuses: as luat_kv_open_url(); INVALID also for a luat.toml that cannot be parsed, with file and line in the
/// message. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[cfg(feature = "sqlite")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_open_project(
    dir: *const c_char,
    options: *const luat_kv_open_options,
    out: *mut *mut luat_kv_store,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the C caller promises what the header requires: `dir` is NULL or a C string, and the other pointers are
    // as `open` requires.
    unsafe {
        open(options, out, error, |options| {
            let dir = if dir.is_null() { None } else { Some(path(dir, "dir")?) };
            Store::open_project(dir, options)
        })
    }
}

/// Creates an empty store in memory, which is lost when it is closed. Of the options, only the limits have an effect,
/// and LUAT_KV_OPEN_READONLY is INVALID. Otherwise like luat_kv_open().
///
/// Statuses: OK; INVALID. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described at luat_kv_open().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_open_memory(
    options: *const luat_kv_open_options,
    out: *mut *mut luat_kv_store,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the C caller promises what the header requires: the pointers are as `open` requires.
    unsafe { open(options, out, error, Store::open_memory) }
}

/// Returns the database file's absolute path, or "memory", or the URL of the PostgreSQL database without its password:
/// UTF-8, NUL-terminated, valid as long as the store's handle. "" for NULL; never NULL. Thread-safe.
///
/// # Safety
/// `store` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_store_path(store: *const luat_kv_store) -> *const c_char {
    // SAFETY: the caller promises that `store` is NULL or live.
    unsafe { store.as_ref() }.map_or(c"", |store| store.1.as_c_str()).as_ptr()
}

/// Removes expired entries from the file, in steps between which others can write. It is never needed for correct
/// results: they do not contain expired entries, and each write removes a few.
///
/// max       the maximum number of entries; 0: all of them.
/// removed   nullable; the number of removed entries; 0 after an error.
///
/// Statuses: OK; INVALID, IO, BUSY, CORRUPT, READONLY, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
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

/// Rewrites the file without the space that removed entries have left. Meanwhile other calls that write wait, in this
/// process and others, at most for their busy timeout. It takes at most as much disk space as the used part of the
/// file, twice: once beside the file, for its log, and once for a temporary file (in the folder that SQLITE_TMPDIR
/// names, or else TMPDIR, or else in /var/tmp). The message of a full disk says how much that is. Does nothing in memory,
/// and with PostgreSQL, whose server does it by itself.
///
/// Statuses: OK; INVALID; IO, also for a full disk; BUSY, CORRUPT, READONLY, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_compact(store: *mut luat_kv_store, error: *mut *mut luat_kv_error) -> luat_kv_status {
    call!(error, {
        handle(store, "store")?.0.compact()?;
        Ok(LUAT_KV_OK)
    })
}

/// Moves the log beside the file into it. SQLite also does this by itself from time to time. Does nothing in memory, and
/// with PostgreSQL.
///
/// complete  nullable; 1 if all of the log was moved; 0 if another writer, or a reader of an older state, held back a
///           part of it, and after an error.
///
/// Statuses: OK; INVALID, IO, BUSY, CORRUPT, READONLY, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
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

/// Copies the whole store, as of one moment, into a new database file, which luat_kv_open() can open. Others can write
/// meanwhile. The copy has the mode 0600, and gets its name when it is complete and checked: a damaged store is
/// CORRUPT, and is not copied.
///
/// path      a C string, as for luat_kv_open(). Its folder must exist, and the file must not.
///
/// Statuses: OK; INVALID, also for a store in memory: use luat_kv_export(), and with PostgreSQL: use pg_dump; IO, also for a
/// full disk, and for an existing file; BUSY, CORRUPT, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[cfg(feature = "sqlite")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_backup(
    store: *mut luat_kv_store,
    path: *const c_char,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, {
        handle(store, "store")?.0.backup(self::path(path, "path")?)?;
        Ok(LUAT_KV_OK)
    })
}

/// Lists the names of all namespaces that have live keys, in byte order.
///
/// out       a page of entries whose key is the name, and which have nothing else. Free it with luat_kv_page_free().
///           NULL after an error.
///
/// Statuses: OK; INVALID, IO, BUSY, CORRUPT, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
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

/// Frees a store's handle; NULL does nothing. Namespaces that were opened from it can still be used, and the store
/// itself is closed with the last of them.
///
/// # Safety
/// `store` is NULL or a live store, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_close(store: *mut luat_kv_store) {
    // SAFETY: the caller promises that `store` is NULL or live, and that it is not used again.
    unsafe { free(store) };
}

/// Opens a namespace of a store: a separate set of keys. Nothing is written until a key is put.
///
/// name      UTF-8, not empty.
/// out       the namespace, which keeps the store open. Free it with luat_kv_namespace_free(). NULL after an error.
///
/// Statuses: OK; INVALID, LIMIT. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
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
