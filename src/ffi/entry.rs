//! Entries: the results of reads.

use std::ptr;

#[cfg(not(target_family = "wasm"))]
use super::{LUAT_KV_CHANGE_DELETE, LUAT_KV_CHANGE_EXPIRE, LUAT_KV_CHANGE_PUT};
use super::{free, set};
use crate::types::Entry;
#[cfg(not(target_family = "wasm"))]
use crate::types::{Change, ChangeKind};

/// A key and its contents, at the time when they were read. One thread at a time may use an entry. Free it with
/// luat_kv_entry_free(), unless it belongs to a page or an iterator.
pub struct luat_kv_entry {
    key: String,
    value: Option<Vec<u8>>,
    metadata: Option<String>,
    expiration: Option<i64>,
    version: Option<VersionText>,
    /// A LUAT_KV_CHANGE_... number, or 0.
    #[cfg(not(target_family = "wasm"))]
    change: u32,
}

/// The size of a buffer for a version as text, in bytes: 16, and 1 for the NUL.
pub const LUAT_KV_VERSION_SIZE: usize = 17;

/// A version as text, stored so that a view of it can be returned.
pub(super) type VersionText = [u8; LUAT_KV_VERSION_SIZE - 1];

impl luat_kv_entry {
    pub(super) fn of(entry: Entry) -> Self {
        let Entry { key, value, metadata, expiration, version } = entry;
        luat_kv_entry {
            key,
            value,
            metadata,
            expiration,
            version: Some(version.text()),
            #[cfg(not(target_family = "wasm"))]
            change: 0,
        }
    }

    #[cfg(not(target_family = "wasm"))]
    pub(super) fn changed(Change { kind, entry }: Change) -> Self {
        let change = match kind {
            ChangeKind::Put => LUAT_KV_CHANGE_PUT,
            ChangeKind::Delete => return Self { change: LUAT_KV_CHANGE_DELETE, ..Self::named(entry.key) },
            ChangeKind::Expire => return Self { change: LUAT_KV_CHANGE_EXPIRE, ..Self::named(entry.key) },
        };
        Self { change, ..Self::of(entry) }
    }

    /// An entry that is only a name.
    pub(super) fn named(name: String) -> Self {
        luat_kv_entry {
            key: name,
            value: None,
            metadata: None,
            expiration: None,
            version: None,
            #[cfg(not(target_family = "wasm"))]
            change: 0,
        }
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
/// LUAT_KV_LIST_VALUES or watched without LUAT_KV_WATCH_VALUES; an empty value is not NULL. len is nullable.
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

/// Returns what has become of a key, as one of LUAT_KV_CHANGE_..., if the entry is from luat_kv_watch_next(). Otherwise, and
/// for NULL, 0. A later library may return numbers that are not listed here. After LUAT_KV_CHANGE_PUT the entry contains
/// what the key holds, and otherwise nothing but the key.
///
/// # Safety
/// `entry` is NULL or live.
#[cfg(not(target_family = "wasm"))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_entry_change(entry: *const luat_kv_entry) -> u32 {
    // SAFETY: the caller promises that `entry` is NULL or live.
    unsafe { entry.as_ref() }.map_or(0, |entry| entry.change)
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
