//! Entries: what was read.

use std::ptr;

use super::{free, set};
use crate::types::Entry;

/// A key and what it holds, as it was when it was read. One thread at a time may use it.
pub struct luat_kv_entry {
    key: String,
    value: Option<Vec<u8>>,
    metadata: Option<String>,
    expiration: Option<i64>,
    version: Option<VersionText>,
}

/// The size of a buffer for a version as text, in bytes: 16, and 1 for a NUL.
pub const LUAT_KV_VERSION_SIZE: usize = 17;

/// A version as text, kept for a view of it.
pub(super) type VersionText = [u8; LUAT_KV_VERSION_SIZE - 1];

impl luat_kv_entry {
    pub(super) fn of(entry: Entry) -> Self {
        let Entry { key, value, metadata, expiration, version } = entry;
        luat_kv_entry { key, value, metadata, expiration, version: Some(version.text()) }
    }

    /// A name and nothing else.
    pub(super) fn named(name: String) -> Self {
        luat_kv_entry { key: name, value: None, metadata: None, expiration: None, version: None }
    }
}

/// A view of bytes, and its length where that is wanted; NULL for none. No bytes at all are not NULL.
///
/// # Safety
/// `len` is NULL or good for a write.
pub(super) unsafe fn view(bytes: Option<&[u8]>, len: *mut usize) -> *const u8 {
    // SAFETY: `len` is NULL or good for a write, as promised.
    unsafe { set(len, bytes.map_or(0, <[u8]>::len)) };
    bytes.map_or(ptr::null(), <[u8]>::as_ptr)
}

/// Returns the key: bytes that live as long as the entry, without a NUL at their end. NULL for NULL. len is nullable.
///
/// # Safety
/// `entry` is NULL or live, `len` NULL or good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_entry_key(entry: *const luat_kv_entry, len: *mut usize) -> *const u8 {
    // SAFETY: the caller promises that `entry` is NULL or live, and `len` NULL or good for a write.
    unsafe { view(entry.as_ref().map(|entry| entry.key.as_bytes()), len) }
}

/// Returns the value: bytes that live as long as the entry, without a NUL at their end. NULL for NULL, and in a page
/// that was listed without LUAT_KV_LIST_VALUES; an empty value is not NULL. len is nullable.
///
/// # Safety
/// `entry` is NULL or live, `len` NULL or good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_entry_value(entry: *const luat_kv_entry, len: *mut usize) -> *const u8 {
    // SAFETY: the caller promises that `entry` is NULL or live, and `len` NULL or good for a write.
    unsafe { view(entry.as_ref().and_then(|entry| entry.value.as_deref()), len) }
}

/// Returns the metadata: JSON text that lives as long as the entry, without a NUL at its end. NULL where there is none,
/// and for NULL. len is nullable.
///
/// # Safety
/// `entry` is NULL or live, `len` NULL or good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_entry_metadata(entry: *const luat_kv_entry, len: *mut usize) -> *const u8 {
    // SAFETY: the caller promises that `entry` is NULL or live, and `len` NULL or good for a write.
    unsafe { view(entry.as_ref().and_then(|entry| entry.metadata.as_deref()).map(str::as_bytes), len) }
}

/// Returns when the entry is gone, in Unix seconds; 0: never, and for NULL.
///
/// # Safety
/// `entry` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_entry_expiration(entry: *const luat_kv_entry) -> i64 {
    // SAFETY: the caller promises that `entry` is NULL or live.
    unsafe { entry.as_ref() }.and_then(|entry| entry.expiration).unwrap_or(0)
}

/// Returns which write the entry comes from, for luat_kv_batch_check(): opaque text that lives as long as the entry,
/// without a NUL at its end. Each write of a key gives it another, though the value be the same. NULL for NULL, and for a
/// namespace's name. len is nullable.
///
/// # Safety
/// `entry` is NULL or live, `len` NULL or good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_entry_version(entry: *const luat_kv_entry, len: *mut usize) -> *const u8 {
    // SAFETY: the caller promises that `entry` is NULL or live, and `len` NULL or good for a write.
    unsafe { view(entry.as_ref().and_then(|entry| entry.version.as_ref()).map(VersionText::as_slice), len) }
}

/// Frees an entry that luat_kv_get_entry() or luat_kv_take() gave; NULL is harmless. Those of a page are the page's.
///
/// # Safety
/// `entry` is NULL or a live entry of luat_kv_get_entry() or luat_kv_take(), and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_entry_free(entry: *mut luat_kv_entry) {
    // SAFETY: the caller promises that `entry` is NULL or live, and that it is not used again.
    unsafe { free(entry) };
}
