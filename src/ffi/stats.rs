//! Stats: the contents of a store in numbers.

use std::ffi::{CString, c_char};
use std::ptr;

use super::entry::view;
#[cfg(not(target_family = "wasm"))]
use super::options;
use super::options::Options;
use super::{LUAT_KV_OK, free, handle, luat_kv_error, luat_kv_status, luat_kv_store, required, set};
#[cfg(not(target_family = "wasm"))]
use crate::types::CacheStats;
use crate::types::{NamespaceStats, Stats};

/// The contents of a store in numbers. One thread at a time may use them. Free them with luat_kv_stats_free().
pub struct luat_kv_stats {
    path: CString,
    stats: Stats,
}

/// Counts the entries of a store, by reading all of them.
///
/// out       the stats. Free them with luat_kv_stats_free(). NULL after an error.
///
/// Statuses: OK; INVALID, IO, BUSY, CORRUPT, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_stats_read(
    store: *mut luat_kv_store,
    out: *mut *mut luat_kv_stats,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(out, ptr::null_mut()), {
        let (store, out) = (handle(store, "store")?, required(out, "out")?);
        let mut stats = store.0.stats()?;
        // A path has no NUL.
        let path = CString::new(std::mem::take(&mut stats.path)).unwrap_or_default();
        out.write(Box::into_raw(Box::new(luat_kv_stats { path, stats })));
        Ok(LUAT_KV_OK)
    })
}

/// Returns the text of luat_kv_store_path(): UTF-8, NUL-terminated, valid as long as the stats. "" for NULL; never NULL.
///
/// # Safety
/// `stats` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_stats_path(stats: *const luat_kv_stats) -> *const c_char {
    // SAFETY: the caller promises that `stats` is NULL or live.
    unsafe { stats.as_ref() }.map_or(c"", |stats| stats.path.as_c_str()).as_ptr()
}

/// Returns the size of the database file on disk in bytes, including the log beside it; 0 in memory, and for NULL.
///
/// # Safety
/// `stats` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_stats_file_size(stats: *const luat_kv_stats) -> u64 {
    // SAFETY: the caller promises that `stats` is NULL or live.
    unsafe { stats.as_ref() }.map_or(0, |stats| stats.stats.file_size)
}

/// Returns the number of namespaces that have keys, including expired ones; 0 for NULL.
///
/// # Safety
/// `stats` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_stats_len(stats: *const luat_kv_stats) -> usize {
    // SAFETY: the caller promises that `stats` is NULL or live.
    unsafe { stats.as_ref() }.map_or(0, |stats| stats.stats.namespaces.len())
}

/// The namespace at an index.
///
/// # Safety
/// `stats` is NULL or live, for as long as the result is used.
unsafe fn at<'a>(stats: *const luat_kv_stats, index: usize) -> Option<&'a NamespaceStats> {
    // SAFETY: the caller promises that `stats` is NULL or live.
    unsafe { stats.as_ref() }.and_then(|stats| stats.stats.namespaces.get(index))
}

/// Returns the name of the namespace at an index from 0, in byte order: text, not NUL-terminated, valid as long as the
/// stats. NULL beyond the end, and for NULL. len is nullable.
///
/// # Safety
/// `stats` is NULL or live, `len` NULL or valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_stats_name(stats: *const luat_kv_stats, index: usize, len: *mut usize) -> *const u8 {
    // SAFETY: the caller promises that `stats` is NULL or live, and `len` NULL or valid for a write.
    unsafe { view(at(stats, index).map(|namespace| namespace.name.as_bytes()), len) }
}

/// Returns the number of live keys of the namespace at an index; 0 beyond the end, and for NULL.
///
/// # Safety
/// `stats` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_stats_live(stats: *const luat_kv_stats, index: usize) -> u64 {
    // SAFETY: the caller promises that `stats` is NULL or live.
    unsafe { at(stats, index) }.map_or(0, |namespace| namespace.live)
}

/// Returns the number of expired keys of the namespace at an index that have not been swept yet; 0 beyond the end, and
/// for NULL.
///
/// # Safety
/// `stats` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_stats_expired(stats: *const luat_kv_stats, index: usize) -> u64 {
    // SAFETY: the caller promises that `stats` is NULL or live.
    unsafe { at(stats, index) }.map_or(0, |namespace| namespace.expired)
}

/// What the cache of a store has done and contains, which luat_kv_stats_cache() writes. All 0 for a store in memory.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct luat_kv_cache_stats {
    /// sizeof this struct, in the version that the program was compiled with.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// The number of keys that were read from the cache, since this process has the file open.
    pub hits: u64,
    /// The number of keys that were not in the cache, and were read by SQLite.
    pub misses: u64,
    /// How often the cache was emptied, because the file was written to in another way than by single writes of this
    /// process.
    pub drops: u64,
    /// The memory that the cache takes, in bytes.
    pub size: u64,
}

// SAFETY: it is `repr(C)`, has only integers, and begins with the size.
unsafe impl Options for luat_kv_cache_stats {}

/// Writes the figures of the cache.
///
/// stats     NULL: all 0.
/// cache     the struct that is written; NULL does nothing. A field that the library does not know is 0.
/// size      sizeof *cache in the program: the library may know more or fewer fields.
///
/// # Safety
/// `stats` is NULL or live, `cache` NULL or valid for writing `size` bytes.
#[cfg(not(target_family = "wasm"))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_stats_cache(
    stats: *const luat_kv_stats,
    cache: *mut luat_kv_cache_stats,
    size: usize,
) {
    // SAFETY: the caller promises that `stats` is NULL or live.
    let figures = unsafe { stats.as_ref() }.map_or_else(CacheStats::default, |stats| stats.stats.cache);
    let known = luat_kv_cache_stats {
        struct_size: 0,
        reserved: 0,
        hits: figures.hits,
        misses: figures.misses,
        drops: figures.drops,
        size: figures.size,
    };
    // SAFETY: the caller promises that `cache` is NULL or valid for writing `size` bytes.
    unsafe { options::write(cache, size, &known) };
}

/// Frees stats; NULL does nothing.
///
/// # Safety
/// `stats` is NULL or live, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_stats_free(stats: *mut luat_kv_stats) {
    // SAFETY: the caller promises that `stats` is NULL or live, and that it is not used again.
    unsafe { free(stats) };
}
