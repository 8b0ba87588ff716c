//! Entries: the results of reads.

use std::ptr;

use super::{free, set};
use crate::types::Entry;

/// A key and its contents, at the time when they were read. One thread at a time may use an entry. Free it with
/// luat_kv_entry_free(), unless it belongs to a page or an iterator.
pub struct luat_kv_entry {
    key: String,
    value: Option<Vec<u8>>,
    metadata: Option<String>,
    expiration: Option<i64>,
    version: Option<VersionText>,
}

/// The size of a buffer for a version as text, in bytes: 16, and 1 for the NUL.
pub const LUAT_KV_VERSION_SIZE: usize = 17;

/// A version as text, stored so that a view of it can be returned.
pub(super) type VersionText = [u8; LUAT_KV_VERSION_SIZE - 1];

impl luat_kv_entry {
    pub(super) fn of(entry: Entry) -> Self {
        let Entry { key, value, metadata, expiration, version } = entry;
        luat_kv_entry { key, value, metadata, expiration, version: Some(version.text()) }
    }

    /// An entry that is only a name.
    pub(super) fn named(name: String) -> Self {
        luat_kv_entry { key: name, value: None, metadata: None, expiration: None, version: None }
    }
}

/// Returns a view of bytes, and writes its length unless `len` is NULL. `None` is NULL; empty bytes are not.
///
/// # Safety
/// `len` is NULL or valid for a write.
pub(super) unsafe fn view(bytes: Option<&[u8]>, len: *mut usize) -> *const u8 {
    // SAFETY: `len` is NULL or valid for a write, as promised.
    unsafe { set(len, bytes.map_or(0, <[u8]>::len)) };
    bytes.map_or(ptr::null(), <[u8]>::as_ptr)
}

/// Returns the key: text, not NUL-terminated, valid as long as the entry. NULL for NULL. len is nullable.
///
/// # Safety
/// `entry` is NULL or live, `len` NULL or valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_entry_key(entry: *const luat_kv_entry, len: *mut usize) -> *const u8 {
    // SAFETY: the caller promises that `entry` is NULL or live, and `len` NULL or valid for a write.
    unsafe { view(entry.as_ref().map(|entry| entry.key.as_bytes()), len) }
}

/// Returns the value: bytes, valid as long as the entry. NULL for NULL, and in a page that was listed without
/// LUAT_KV_LIST_VALUES; an empty value is not NULL. len is nullable.
///
/// # Safety
/// `entry` is NULL or live, `len` NULL or valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_entry_value(entry: *const luat_kv_entry, len: *mut usize) -> *const u8 {
    // SAFETY: the caller promises that `entry` is NULL or live, and `len` NULL or valid for a write.
    unsafe { view(entry.as_ref().and_then(|entry| entry.value.as_deref()), len) }
}

/// Returns the metadata: JSON text, not NUL-terminated, valid as long as the entry. NULL if there is none, and for
/// NULL. len is nullable.
///
/// # Safety
/// `entry` is NULL or live, `len` NULL or valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_entry_metadata(entry: *const luat_kv_entry, len: *mut usize) -> *const u8 {
    // SAFETY: the caller promises that `entry` is NULL or live, and `len` NULL or valid for a write.
    unsafe { view(entry.as_ref().and_then(|entry| entry.metadata.as_deref()).map(str::as_bytes), len) }
}

/// Returns when the entry expires, in Unix seconds; 0 means never. 0 for NULL.
///
/// # Safety
/// `entry` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_entry_expiration(entry: *const luat_kv_entry) -> i64 {
    // SAFETY: the caller promises that `entry` is NULL or live.
    unsafe { entry.as_ref() }.and_then(|entry| entry.expiration).unwrap_or(0)
}

/// Returns the entry's version, which identifies the write that stored it, for luat_kv_batch_check(): opaque text, not
/// NUL-terminated, valid as long as the entry. Each write of a key has a different one, even with the same value. NULL
/// for NULL, and for an entry of luat_kv_namespaces(). len is nullable.
///
/// # Safety
/// `entry` is NULL or live, `len` NULL or valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_entry_version(entry: *const luat_kv_entry, len: *mut usize) -> *const u8 {
    // SAFETY: the caller promises that `entry` is NULL or live, and `len` NULL or valid for a write.
    unsafe { view(entry.as_ref().and_then(|entry| entry.version.as_ref()).map(VersionText::as_slice), len) }
}

/// Frees an entry of luat_kv_get_entry() or luat_kv_take(); NULL does nothing. An entry of a page or an iterator is
/// freed with it.
///
/// # Safety
/// `entry` is NULL or a live entry of luat_kv_get_entry() or luat_kv_take(), and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_entry_free(entry: *mut luat_kv_entry) {
    // SAFETY: the caller promises that `entry` is NULL or live, and that it is not used again.
    unsafe { free(entry) };
}
