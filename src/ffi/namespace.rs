//! Namespaces: operations on single keys, and bulk reads.

use std::ffi::{c_char, c_void};
use std::{ptr, slice};

use super::{
    LUAT_KV_CONFLICT, LUAT_KV_NOT_FOUND, LUAT_KV_OK, LUAT_KV_TOO_SMALL, LUAT_KV_VERSION_SIZE, bytes, free, handle,
    luat_kv_bytes, luat_kv_entry, luat_kv_error, luat_kv_incr_options, luat_kv_page, luat_kv_put_options,
    luat_kv_status, options, required, set, text,
};
use crate::backend::{Peeked, Projection};
use crate::error::{Error, Result};
use crate::namespace::Namespace;
use crate::types::{Entry, IncrOptions, PutOptions};
use crate::version::Version;

/// A set of keys within a store. Any thread may use it at any time. Free it with luat_kv_namespace_free().
pub struct luat_kv_namespace(pub(super) Namespace);

#[cfg(target_family = "wasm")]
impl luat_kv_namespace {
    /// Returns the namespace of the handle.
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.0
    }
}

/// Frees a namespace's handle; NULL does nothing. The namespace's keys stay in the store.
///
/// # Safety
/// `ns` is NULL or a live namespace, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_namespace_free(ns: *mut luat_kv_namespace) {
    // SAFETY: the caller promises that `ns` is NULL or live, and that it is not used again.
    unsafe { free(ns) };
}

/// Copies a value into a buffer.
///
/// key       UTF-8, not empty.
/// dst, cap  the buffer and its size; NULL with 0 returns only the length. Its contents are unspecified unless the status
///           is OK.
/// len       the value's length; 0 unless the status is OK or TOO_SMALL.
///
/// Statuses: OK; NOT_FOUND; TOO_SMALL: the value was not copied, and len is the needed size; INVALID, IO, BUSY, CORRUPT,
/// LIMIT, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_get(
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    dst: *mut u8,
    cap: usize,
    len: *mut usize,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(len, 0), {
        let (namespace, len) = (handle(ns, "ns")?, required(len, "len")?);
        let found = match peek(namespace, bytes(key, key_len, "the key")?, dst, cap)? {
            Some(Peeked::Found(len)) => len,
            Some(Peeked::Missing | Peeked::Known) => return Ok(LUAT_KV_NOT_FOUND),
            None => {
                let Some(value) = read(namespace, text(key, key_len, "the key")?)? else {
                    return Ok(LUAT_KV_NOT_FOUND);
                };
                if !value.is_empty() && value.len() <= cap {
                    // The caller promises that `dst` is valid for writing `cap` bytes, and the value has no more.
                    ptr::copy_nonoverlapping(value.as_ptr(), dst, value.len());
                }
                value.len()
            }
        };
        len.write(found);
        Ok(if found <= cap { LUAT_KV_OK } else { LUAT_KV_TOO_SMALL })
    })
}

/// Copies a value if the back end has it at hand.
///
/// # Safety
/// `dst` is valid for writing `cap` bytes.
#[inline(always)]
unsafe fn peek(namespace: &luat_kv_namespace, key: &[u8], dst: *mut u8, cap: usize) -> Result<Option<Peeked>> {
    if dst.is_null() {
        return peek_len(namespace, key, cap);
    }
    // No memory has more bytes than fit an isize. And the key may be read again after something was copied.
    let overlap = key.as_ptr() < dst.wrapping_add(cap) && dst.cast_const() < key.as_ptr().wrapping_add(key.len());
    if cap > isize::MAX as usize || overlap {
        return Ok(None);
    }
    // SAFETY: it is valid for writing, and nothing that is read meanwhile is in it.
    let to = unsafe { slice::from_raw_parts_mut(dst.cast(), cap) };
    Ok(namespace.0.peek(key, None, to))
}

#[cold]
fn peek_len(namespace: &luat_kv_namespace, key: &[u8], cap: usize) -> Result<Option<Peeked>> {
    match cap {
        0 => Ok(namespace.0.peek(key, None, &mut [])),
        cap => Err(Error::invalid(format!("dst is NULL and cap {cap}"))),
    }
}

/// Reads a value that the back end does not have at hand.
#[cold]
fn read(namespace: &luat_kv_namespace, key: &str) -> Result<Option<Vec<u8>>> {
    let mut entry = Entry::default();
    let is_there = namespace.0.read_what(key, Projection::Value, &mut entry)?;
    Ok(is_there.then(|| entry.into_value()))
}

/// Reads a value with its metadata, expiration and version.
///
/// key       UTF-8, not empty.
/// out       the entry. Free it with luat_kv_entry_free(). NULL unless the status is OK.
///
/// Statuses: OK; NOT_FOUND; INVALID, IO, BUSY, CORRUPT, LIMIT, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_get_entry(
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    out: *mut *mut luat_kv_entry,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(out, ptr::null_mut()), {
        let (namespace, out) = (handle(ns, "ns")?, required(out, "out")?);
        let key = text(key, key_len, "the key")?;
        let Some(entry) = namespace.0.get_entry(key)? else { return Ok(LUAT_KV_NOT_FOUND) };
        out.write(Box::into_raw(Box::new(luat_kv_entry::of(entry))));
        Ok(LUAT_KV_OK)
    })
}

/// Reads many values at once, with their metadata, expiration and version, all as of one moment.
///
/// keys      an array of count keys, each UTF-8 and not empty, in any order.
/// count     1 to 10 000; with LUAT_KV_LIMITS_CLOUDFLARE, to 100.
/// out       a page with an entry for each key that exists, in byte order and each once, without a cursor. It may be
///           empty. Free it with luat_kv_page_free(). NULL after an error.
///
/// Statuses: OK; INVALID; LIMIT, also for too many keys; IO, BUSY, CORRUPT, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_get_many(
    ns: *mut luat_kv_namespace,
    keys: *const luat_kv_bytes,
    count: usize,
    out: *mut *mut luat_kv_page,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(out, ptr::null_mut()), {
        let (namespace, out) = (handle(ns, "ns")?, required(out, "out")?);
        let found = namespace.0.get_many(&texts(keys, count)?)?;
        out.write(Box::into_raw(Box::new(luat_kv_page::found(found)?)));
        Ok(LUAT_KV_OK)
    })
}

/// Returns keys, for the duration of the call.
///
/// # Safety
/// `keys` is NULL or valid for reading `count` views, and these for their bytes.
pub(super) unsafe fn texts<'a>(keys: *const luat_kv_bytes, count: usize) -> Result<Vec<&'a str>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let keys = required(keys.cast_mut(), "keys")?;
    let len = count.checked_mul(size_of::<luat_kv_bytes>()).filter(|len| isize::try_from(*len).is_ok());
    let len = len.ok_or_else(|| Error::invalid(format!("count is {count}, more than memory can hold")))?;
    let mut texts = Vec::new();
    texts.try_reserve_exact(count).map_err(|_| Error::no_memory(len))?;
    for place in 0..count {
        // SAFETY: `keys` is not NULL, so it is valid for reading `count` views, and each for its bytes, as promised.
        texts.push(unsafe {
            let key = keys.add(place).read_unaligned();
            text(key.data, key.len, "a key")?
        });
    }
    Ok(texts)
}

/// Stores a value, and replaces everything that the key held: value, metadata and expiration.
///
/// key       UTF-8, not empty.
/// value     any bytes; empty is a value too.
/// options   NULL: without expiration and metadata.
///
/// Statuses: OK; INVALID, also for metadata that is not JSON, and an expiration in the past; LIMIT, also for a lifetime
/// that is too short; IO, BUSY, CORRUPT, READONLY, NOMEM. After an error the key is unchanged. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_put(
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    options: *const luat_kv_put_options,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, {
        let (namespace, key, value, options) = to_store(ns, key, key_len, value, value_len, options)?;
        namespace.put_with(key, value, &options)?;
        Ok(LUAT_KV_OK)
    })
}

/// Stores a value if the key is missing. Otherwise like luat_kv_put().
///
/// Statuses: as luat_kv_put(); CONFLICT: the key exists, and is not changed. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described at luat_kv_put().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_add(
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    options: *const luat_kv_put_options,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, {
        let (namespace, key, value, options) = to_store(ns, key, key_len, value, value_len, options)?;
        let added = namespace.add_with(key, value, &options)?.is_some();
        Ok(if added { LUAT_KV_OK } else { LUAT_KV_CONFLICT })
    })
}

/// Like luat_kv_put(), and returns the version of the new entry, as luat_kv_entry_version() does, for
/// luat_kv_batch_check().
///
/// version   nullable; a buffer of LUAT_KV_VERSION_SIZE bytes for the version and a NUL. An empty string after an
///           error.
///
/// Statuses: as luat_kv_put(). Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above and at luat_kv_put().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_put_versioned(
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    options: *const luat_kv_put_options,
    version: *mut c_char,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set_version(version, None), {
        let (namespace, key, value, options) = to_store(ns, key, key_len, value, value_len, options)?;
        set_version(version, Some(namespace.put_with(key, value, &options)?));
        Ok(LUAT_KV_OK)
    })
}

/// Like luat_kv_add(), and returns the version of the new entry.
///
/// version   nullable; a buffer of LUAT_KV_VERSION_SIZE bytes for the version and a NUL. An empty string unless the
///           status is OK.
///
/// Statuses: as luat_kv_add(). Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above and at luat_kv_put().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_add_versioned(
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    options: *const luat_kv_put_options,
    version: *mut c_char,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set_version(version, None), {
        let (namespace, key, value, options) = to_store(ns, key, key_len, value, value_len, options)?;
        let added = namespace.add_with(key, value, &options)?;
        set_version(version, added);
        Ok(if added.is_some() { LUAT_KV_OK } else { LUAT_KV_CONFLICT })
    })
}

/// Returns the arguments of the four functions above.
///
/// # Safety
/// As luat_kv_put().
unsafe fn to_store<'a>(
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    options: *const luat_kv_put_options,
) -> Result<(&'a Namespace, &'a str, &'a [u8], PutOptions<'a>)> {
    // SAFETY: `ns` is NULL or live, `key` and `value` are valid for reading as many bytes as their lengths, and
    // `options` is NULL or valid for reading as many bytes as its size says, as promised.
    unsafe {
        let namespace = handle(ns, "ns")?;
        let key = text(key, key_len, "the key")?;
        let value = bytes(value, value_len, "the value")?;
        let options = options::read(options, "luat_kv_put_options")?;
        Ok((&namespace.0, key, value, options.checked()?))
    }
}

/// Writes a version as a C string; an empty one for `None`.
///
/// # Safety
/// `to` is NULL or valid for writing LUAT_KV_VERSION_SIZE bytes.
unsafe fn set_version(to: *mut c_char, version: Option<Version>) {
    let mut text = [0; LUAT_KV_VERSION_SIZE];
    if let Some(version) = version {
        text[..LUAT_KV_VERSION_SIZE - 1].copy_from_slice(&version.text());
    }
    // SAFETY: `to` is NULL or valid for writing as many bytes as `text` has, as promised.
    unsafe { set(to.cast(), text) };
}

impl luat_kv_put_options {
    /// # Safety
    /// The bytes it refers to are valid during the call.
    pub(super) unsafe fn checked<'a>(&self) -> Result<PutOptions<'a>> {
        options::unused(self.flags, "luat_kv_put_options.flags")?;
        // SAFETY: the bytes that the options refer to are valid during the call, as promised.
        let metadata = unsafe { text(self.metadata.data, self.metadata.len, "the metadata") }?;
        Ok(PutOptions {
            expiration: options::seconds(self.expiration),
            expiration_ttl: options::seconds(self.expiration_ttl),
            metadata: (!metadata.is_empty()).then_some(metadata),
        })
    }
}

/// Sets or removes the expiration of a key. The value and the metadata are kept. The version changes, as with every
/// write.
///
/// key             UTF-8, not empty.
/// expiration      in Unix seconds, in the future; 0 means never.
/// expiration_ttl  the same in seconds from now, at least 1; it takes precedence over expiration. 0 means none.
///
/// Statuses: OK; NOT_FOUND; INVALID, also for an expiration in the past; LIMIT, also for a lifetime that is too short;
/// IO, BUSY, CORRUPT, READONLY, NOMEM. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_touch(
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    expiration: i64,
    expiration_ttl: i64,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, {
        let namespace = handle(ns, "ns")?;
        let key = text(key, key_len, "the key")?;
        let touched = namespace.0.touch(key, options::seconds(expiration), options::seconds(expiration_ttl))?;
        Ok(if touched { LUAT_KV_OK } else { LUAT_KV_NOT_FOUND })
    })
}

/// Adds to the integer that a key holds as decimal text, such as "42", in one step. A missing key is created; an
/// existing key keeps its metadata and expiration.
///
/// key       UTF-8, not empty.
/// by        the number to add; it may be negative.
/// options   NULL: a missing key starts at 0, and never expires.
/// sum       nullable; the number that the key then holds; 0 after an error.
///
/// Statuses: OK; INVALID, also for a value that is not an integer of 64 bits, for a sum that would overflow one, and
/// for an expiration in the past; LIMIT, also for a lifetime that is too short; IO, BUSY, CORRUPT, READONLY, NOMEM.
/// After an error the key is unchanged. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_incr(
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    by: i64,
    options: *const luat_kv_incr_options,
    sum: *mut i64,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(sum, 0), {
        let namespace = handle(ns, "ns")?;
        let key = text(key, key_len, "the key")?;
        let options = options::read(options, "luat_kv_incr_options")?;
        set(sum, namespace.0.incr_with(key, by, &options.checked()?)?);
        Ok(LUAT_KV_OK)
    })
}

impl luat_kv_incr_options {
    pub(super) fn checked(&self) -> Result<IncrOptions> {
        options::unused(self.flags, "luat_kv_incr_options.flags")?;
        Ok(IncrOptions {
            initial: self.initial,
            expiration: options::seconds(self.expiration),
            expiration_ttl: options::seconds(self.expiration_ttl),
        })
    }
}
