//! Whether keys exist, and their removal.

use std::ffi::c_void;
use std::ptr;

use super::{
    LUAT_KV_NOT_FOUND, LUAT_KV_OK, handle, luat_kv_entry, luat_kv_error, luat_kv_namespace, luat_kv_status, required,
    set, text,
};

/// Reports whether a key exists, without reading its value.
///
/// key       UTF-8, not empty.
///
/// Statuses: OK: the key exists; NOT_FOUND; INVALID, IO, BUSY, CORRUPT, LIMIT, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_has(
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, {
        let found = handle(ns, "ns")?.0.has(text(key, key_len, "the key")?)?;
        Ok(if found { LUAT_KV_OK } else { LUAT_KV_NOT_FOUND })
    })
}

/// Removes a key. A missing key is not an error; luat_kv_remove() reports it.
///
/// key       UTF-8, not empty.
///
/// Statuses: OK; INVALID, IO, BUSY, CORRUPT, READONLY, LIMIT, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_delete(
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, {
        handle(ns, "ns")?.0.delete(text(key, key_len, "the key")?)?;
        Ok(LUAT_KV_OK)
    })
}

/// Like luat_kv_delete(), and reports whether the key existed.
///
/// key       UTF-8, not empty.
///
/// Statuses: OK: the key existed, and was removed; NOT_FOUND; INVALID, IO, BUSY, CORRUPT, READONLY, LIMIT, NOMEM.
/// Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_remove(
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, {
        let found = handle(ns, "ns")?.0.delete(text(key, key_len, "the key")?)?;
        Ok(if found { LUAT_KV_OK } else { LUAT_KV_NOT_FOUND })
    })
}

/// Removes a key and returns its entry, in one step: if several callers take the same key, one of them gets the entry.
///
/// key       UTF-8, not empty.
/// out       the entry. Free it with luat_kv_entry_free(). NULL unless the status is OK.
///
/// Statuses: OK; NOT_FOUND; INVALID, IO, BUSY, CORRUPT, READONLY, LIMIT, NOMEM. After an error the key is not removed.
/// Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_take(
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    out: *mut *mut luat_kv_entry,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(out, ptr::null_mut()), {
        let (namespace, out) = (handle(ns, "ns")?, required(out, "out")?);
        let key = text(key, key_len, "the key")?;
        let Some(entry) = namespace.0.take(key)? else { return Ok(LUAT_KV_NOT_FOUND) };
        out.write(Box::into_raw(Box::new(luat_kv_entry::of(entry))));
        Ok(LUAT_KV_OK)
    })
}
