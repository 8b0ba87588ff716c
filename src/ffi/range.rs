//! Ranges of a namespace's keys: listing, counting, removing.

use std::ffi::c_void;
use std::ptr;

use super::{
    LUAT_KV_LIST_REVERSE, LUAT_KV_LIST_VALUES, LUAT_KV_OK, handle, luat_kv_bytes, luat_kv_error, luat_kv_list_options,
    luat_kv_namespace, luat_kv_page, luat_kv_status, options, required, set, text,
};
use crate::error::Result;
use crate::types::ListOptions;

/// Lists live keys, in byte order or reverse byte order, a page at a time.
///
/// options   NULL: the first 1000 keys.
/// out       the page. Free it with luat_kv_page_free(). NULL after an error.
///
/// Statuses: OK; INVALID, also for a malformed cursor, and for a cursor of another prefix or direction; LIMIT, also
/// for a limit, a prefix, or a bound of the range; IO, BUSY, CORRUPT, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_list(
    ns: *mut luat_kv_namespace,
    options: *const luat_kv_list_options,
    out: *mut *mut luat_kv_page,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(out, ptr::null_mut()), {
        let (namespace, out) = (handle(ns, "ns")?, required(out, "out")?);
        let options = options::read(options, "luat_kv_list_options")?;
        let page = namespace.0.list(&options.checked()?)?;
        out.write(Box::into_raw(Box::new(luat_kv_page::read(page)?)));
        Ok(LUAT_KV_OK)
    })
}

impl luat_kv_list_options {
    /// # Safety
    /// The bytes it refers to are valid during the call.
    pub(super) unsafe fn checked<'a>(&self) -> Result<ListOptions<'a>> {
        let known = LUAT_KV_LIST_REVERSE | LUAT_KV_LIST_VALUES;
        options::unused(self.flags & !known, "luat_kv_list_options.flags")?;
        options::unused(self.reserved, "luat_kv_list_options.reserved")?;
        // SAFETY: the bytes that the options refer to are valid during the call, as promised.
        let text = |from: luat_kv_bytes, what| unsafe { text(from.data, from.len, what) };
        let (stop, cursor) = (text(self.stop, "stop")?, text(self.cursor, "the cursor")?);
        Ok(ListOptions {
            prefix: text(self.prefix, "the prefix")?,
            start: text(self.start, "start")?,
            stop: (!stop.is_empty()).then_some(stop),
            limit: (self.limit != 0).then_some(self.limit.into()),
            cursor: (!cursor.is_empty()).then_some(cursor),
            reverse: self.flags & LUAT_KV_LIST_REVERSE != 0,
            values: self.flags & LUAT_KV_LIST_VALUES != 0,
        })
    }
}

/// Counts the live keys with a prefix, by reading all of them.
///
/// prefix    without wildcards; empty: all keys.
/// count     nullable; the number of keys; 0 after an error.
///
/// Statuses: OK; INVALID, LIMIT, IO, BUSY, CORRUPT, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_count(
    ns: *mut luat_kv_namespace,
    prefix: *const c_void,
    prefix_len: usize,
    count: *mut u64,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(count, 0), {
        let counted = handle(ns, "ns")?.0.count(text(prefix, prefix_len, "the prefix")?)?;
        set(count, counted);
        Ok(LUAT_KV_OK)
    })
}

/// Removes all keys with a prefix. It consists of many small transactions, between which others can write: after an
/// error the remaining keys are kept, and a key that is put meanwhile may be kept.
///
/// prefix    without wildcards. Empty is INVALID, since a variable may not be set: use luat_kv_clear() for all keys.
/// removed   nullable; the number of live keys that were removed; 0 after an error.
///
/// Statuses: OK; INVALID, LIMIT, IO, BUSY, CORRUPT, READONLY, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_delete_prefix(
    ns: *mut luat_kv_namespace,
    prefix: *const c_void,
    prefix_len: usize,
    removed: *mut u64,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(removed, 0), {
        let namespace = handle(ns, "ns")?;
        set(removed, namespace.0.delete_prefix(text(prefix, prefix_len, "the prefix")?)?);
        Ok(LUAT_KV_OK)
    })
}

/// Removes all keys of the namespace. Otherwise like luat_kv_delete_prefix().
///
/// removed   nullable; the number of live keys that were removed; 0 after an error.
///
/// Statuses: OK; INVALID, IO, BUSY, CORRUPT, READONLY, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_clear(
    ns: *mut luat_kv_namespace,
    removed: *mut u64,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(removed, 0), {
        let cleared = handle(ns, "ns")?.0.clear()?;
        set(removed, cleared);
        Ok(LUAT_KV_OK)
    })
}
