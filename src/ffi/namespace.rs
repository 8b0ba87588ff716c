//! Namespaces: get, put, delete, list.

use std::ptr;

use super::{
    LUAT_KV_NOT_FOUND, LUAT_KV_OK, LUAT_KV_TOO_SMALL, bytes, free, guard, handle, luat_kv_entry, luat_kv_error,
    luat_kv_list_options, luat_kv_page, luat_kv_put_options, luat_kv_status, options, required, set, text,
};
use crate::error::{Error, Result};
use crate::namespace::Namespace;
use crate::types::{ListOptions, PutOptions};

/// A set of keys within a store. Any thread may use it at any time. Yours to free with luat_kv_namespace_free().
pub struct luat_kv_namespace(pub(super) Namespace);

/// Frees a namespace's handle; NULL is harmless. What it holds stays in the store.
///
/// # Safety
/// `ns` is NULL or a live namespace, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_namespace_free(ns: *mut luat_kv_namespace) {
    // SAFETY: the caller's promise.
    unsafe { free(ns) };
}

/// Copies a value into a buffer of yours.
///
/// key       UTF-8, not empty.
/// dst, cap  the buffer and its size; NULL with 0 asks for the length alone.
/// len       the value's length; 0 unless the status is OK or TOO_SMALL.
///
/// Statuses: OK; NOT_FOUND; TOO_SMALL: nothing was copied, and len tells how much room it takes; INVALID, IO, BUSY,
/// CORRUPT, LIMIT, NOMEM. Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_get(
    ns: *mut luat_kv_namespace,
    key: *const u8,
    key_len: usize,
    dst: *mut u8,
    cap: usize,
    len: *mut usize,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the caller's promise; `dst` has room for `cap` bytes, and the value is no longer.
    unsafe {
        set(len, 0);
        guard(error, || {
            let (namespace, len) = (handle(ns, "ns")?, required(len, "len")?);
            if dst.is_null() && cap > 0 {
                return Err(Error::invalid(format!("dst is NULL and cap {cap}")));
            }
            let Some(value) = namespace.0.get(text(key, key_len, "the key")?)? else { return Ok(LUAT_KV_NOT_FOUND) };
            len.write(value.len());
            if value.len() > cap {
                return Ok(LUAT_KV_TOO_SMALL);
            }
            if !value.is_empty() {
                ptr::copy_nonoverlapping(value.as_ptr(), dst, value.len());
            }
            Ok(LUAT_KV_OK)
        })
    }
}

/// Reads a value with its metadata and expiration.
///
/// key       UTF-8, not empty.
/// out       the entry, yours to free with luat_kv_entry_free(); NULL unless the status is OK.
///
/// Statuses: OK; NOT_FOUND; INVALID, IO, BUSY, CORRUPT, LIMIT, NOMEM. Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_get_entry(
    ns: *mut luat_kv_namespace,
    key: *const u8,
    key_len: usize,
    out: *mut *mut luat_kv_entry,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the caller's promise.
    unsafe {
        set(out, ptr::null_mut());
        guard(error, || {
            let (namespace, out) = (handle(ns, "ns")?, required(out, "out")?);
            let key = text(key, key_len, "the key")?;
            let Some(entry) = namespace.0.get_entry(key)? else { return Ok(LUAT_KV_NOT_FOUND) };
            out.write(Box::into_raw(Box::new(luat_kv_entry::read(key, entry))));
            Ok(LUAT_KV_OK)
        })
    }
}

/// Stores a value, and replaces all that the key held before: value, metadata and expiration.
///
/// key       UTF-8, not empty.
/// value     any bytes; empty is a value too.
/// options   NULL: for ever, without metadata.
///
/// Statuses: OK; INVALID, also for metadata that is not JSON, and an expiration that is past; LIMIT, also for a lifetime
/// that is too short; IO, BUSY, CORRUPT, READONLY, NOMEM. After an error the key holds what it held. Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_put(
    ns: *mut luat_kv_namespace,
    key: *const u8,
    key_len: usize,
    value: *const u8,
    value_len: usize,
    options: *const luat_kv_put_options,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the caller's promise.
    unsafe {
        guard(error, || {
            let namespace = handle(ns, "ns")?;
            let key = text(key, key_len, "the key")?;
            let value = bytes(value, value_len, "the value")?;
            let options = options::read(options, "luat_kv_put_options")?;
            namespace.0.put(key, value, &options.checked()?)?;
            Ok(LUAT_KV_OK)
        })
    }
}

impl luat_kv_put_options {
    /// # Safety
    /// The bytes it refers to are good for the call.
    unsafe fn checked<'a>(&self) -> Result<PutOptions<'a>> {
        options::unused(self.flags, "luat_kv_put_options.flags")?;
        // SAFETY: the caller's promise.
        let metadata = unsafe { text(self.metadata.data, self.metadata.len, "the metadata") }?;
        Ok(PutOptions {
            expiration: (self.expiration != 0).then_some(self.expiration),
            expiration_ttl: (self.expiration_ttl != 0).then_some(self.expiration_ttl),
            metadata: (!metadata.is_empty()).then_some(metadata),
        })
    }
}

/// Removes a key. That it is missing is no error.
///
/// key       UTF-8, not empty.
///
/// Statuses: OK; INVALID, IO, BUSY, CORRUPT, READONLY, LIMIT, NOMEM. Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_delete(
    ns: *mut luat_kv_namespace,
    key: *const u8,
    key_len: usize,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the caller's promise.
    unsafe {
        guard(error, || {
            handle(ns, "ns")?.0.delete(text(key, key_len, "the key")?)?;
            Ok(LUAT_KV_OK)
        })
    }
}

/// Lists live keys, in byte order, a page at a time.
///
/// options   NULL: the first 1000 keys.
/// out       the page, yours to free with luat_kv_page_free(); NULL after an error.
///
/// Statuses: OK; INVALID, also for a malformed cursor; LIMIT, for a limit or a prefix; IO, BUSY, CORRUPT, NOMEM.
/// Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_list(
    ns: *mut luat_kv_namespace,
    options: *const luat_kv_list_options,
    out: *mut *mut luat_kv_page,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the caller's promise.
    unsafe {
        set(out, ptr::null_mut());
        guard(error, || {
            let (namespace, out) = (handle(ns, "ns")?, required(out, "out")?);
            let options = options::read(options, "luat_kv_list_options")?;
            let page = namespace.0.list(&options.checked()?)?;
            out.write(Box::into_raw(Box::new(luat_kv_page::read(page))));
            Ok(LUAT_KV_OK)
        })
    }
}

impl luat_kv_list_options {
    /// # Safety
    /// The bytes it refers to are good for the call.
    unsafe fn checked<'a>(&self) -> Result<ListOptions<'a>> {
        options::unused(self.flags, "luat_kv_list_options.flags")?;
        options::unused(self.reserved, "luat_kv_list_options.reserved")?;
        // SAFETY: the caller's promise.
        let (prefix, cursor) = unsafe {
            (
                text(self.prefix.data, self.prefix.len, "the prefix")?,
                text(self.cursor.data, self.cursor.len, "the cursor")?,
            )
        };
        Ok(ListOptions {
            prefix,
            limit: (self.limit != 0).then_some(self.limit.into()),
            cursor: (!cursor.is_empty()).then_some(cursor),
            ..ListOptions::default()
        })
    }
}
