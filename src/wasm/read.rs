//! Reads a key in one call and without an object, for which JavaScript would need several calls; and replaces the value
//! of a key that was read.

use std::ffi::c_void;
use std::ptr;

use crate::backend::memory::Seen;
use crate::ffi::{
    LUAT_KV_NOT_FOUND, LUAT_KV_OK, LUAT_KV_TOO_SMALL, bytes, guard, handle, luat_kv_error, luat_kv_namespace,
    luat_kv_status, luat_kv_store, set, text,
};

/// The parts of an entry that are not in the buffer. web/src/read.js has the same offsets.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct luat_kv_wasm_entry {
    /// Unix seconds; 0 for never. For a missing key, not 0 if there is an entry that has expired.
    expiration: f64,
    value_len: usize,
    /// `usize::MAX` if there is no metadata.
    metadata_len: usize,
    /// The number of the row, for luat_kv_wasm_replace().
    row: u32,
    unused: u32,
    /// The text, without a NUL; zeros unless it was asked for.
    version: [u8; 16],
}

const NONE: luat_kv_wasm_entry = luat_kv_wasm_entry {
    expiration: 0.0,
    value_len: 0,
    metadata_len: usize::MAX,
    row: u32::MAX,
    unused: 0,
    version: [0; 16],
};

/// Copies a value into a buffer, and with `whole` the metadata after it.
///
/// Statuses: OK; NOT_FOUND; TOO_SMALL: nothing was copied, and the buffer needs the sum of both lengths; INVALID,
/// NOMEM.
///
/// # Safety
/// Each pointer is NULL or valid for what is said above; `dst` for `cap` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_wasm_read(
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    whole: u32,
    dst: *mut u8,
    cap: usize,
    out: *mut luat_kv_wasm_entry,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the caller has promised it.
    unsafe {
        set(out, NONE);
        guard(error, || {
            let key = text(key, key_len, "the key")?;
            let found = handle(ns, "ns")?.namespace().see(key, |row| {
                let (entry, status) = read(&row, whole != 0, dst, cap);
                set(out, entry);
                status
            })?;
            Ok(found.unwrap_or(LUAT_KV_NOT_FOUND))
        })
    }
}

/// # Safety
/// `dst` is valid for writing `cap` bytes.
unsafe fn read(row: &Seen<'_>, whole: bool, dst: *mut u8, cap: usize) -> (luat_kv_wasm_entry, luat_kv_status) {
    let expiration = row.expiration().map_or(0.0, |end| end as f64);
    let mut entry = luat_kv_wasm_entry { expiration, row: row.id, ..NONE };
    if row.has_expired {
        return (entry, LUAT_KV_NOT_FOUND);
    }
    let (value, mut metadata) = (row.value(), "");
    entry.value_len = value.len();
    if whole {
        entry.version = row.version().text();
        if let Some(text) = row.metadata() {
            metadata = text;
            entry.metadata_len = metadata.len();
        }
    }
    if value.len() > cap || metadata.len() > cap - value.len() {
        return (entry, LUAT_KV_TOO_SMALL);
    }
    // SAFETY: both fit, so the destination is valid for writing them, as promised. It belongs to the host, so it does
    // not overlap the row.
    unsafe {
        ptr::copy_nonoverlapping(value.as_ptr(), dst, value.len());
        ptr::copy_nonoverlapping(metadata.as_ptr(), dst.add(value.len()), metadata.len());
    }
    (entry, LUAT_KV_OK)
}

/// Stores a value like luat_kv_put_versioned() without options, for a key that luat_kv_wasm_read() has found. Its row
/// must not expire, and nothing but such calls may have changed the store since. So the key need not be passed again.
///
/// version   16 bytes for the version's text, without a NUL.
///
/// Statuses: OK; INVALID: the row does not exist or expires; LIMIT, NOMEM. After an error, nothing has changed.
///
/// # Safety
/// Each pointer is NULL or valid for what is said above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_wasm_replace(
    store: *mut luat_kv_store,
    row: u32,
    value: *const c_void,
    value_len: usize,
    version: *mut [u8; 16],
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the caller has promised it.
    unsafe {
        guard(error, || {
            let value = bytes(value, value_len, "the value")?;
            set(version, handle(store, "store")?.store().replace(row, value)?.text());
            Ok(LUAT_KV_OK)
        })
    }
}
