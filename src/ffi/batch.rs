//! Batches: changes that are applied together or not at all.

use std::ffi::c_void;
use std::ptr;

use super::entry::{VersionText, view};
use super::{
    LUAT_KV_CONFLICT, LUAT_KV_OK, bytes, free, give, handle, handle_mut, luat_kv_error, luat_kv_incr_options,
    luat_kv_namespace, luat_kv_put_options, luat_kv_status, luat_kv_store, options, required, set, text,
};
use crate::batch::Batch;

/// Changes to one or more namespaces of one store, which a commit applies in their order, in one transaction. One
/// thread at a time may use a batch. Free it with luat_kv_batch_free().
pub struct luat_kv_batch {
    batch: Batch,
    version: Option<VersionText>,
}

/// Begins an empty batch. Until it is committed, nothing is written, and no other call has to wait.
///
/// out       the batch, which keeps the store open. Free it with luat_kv_batch_free(). NULL after an error.
///
/// Statuses: OK; INVALID. Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_batch_open(
    store: *mut luat_kv_store,
    out: *mut *mut luat_kv_batch,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(out, ptr::null_mut()), {
        let (store, out) = (handle(store, "store")?, required(out, "out")?);
        give(out, || Ok(luat_kv_batch { batch: store.0.batch(), version: None }))
    })
}

/// Adds a condition: the batch is applied only if a key still has this version, so only if it was not written since.
/// The condition takes earlier changes of the same batch into account.
///
/// ns        a namespace of the batch's store.
/// key       UTF-8, not empty.
/// version   from luat_kv_entry_version() or luat_kv_batch_version(); NULL with 0: the key must be missing.
///
/// Statuses: OK; INVALID, also for a malformed version, for a namespace of another store, and after a commit; LIMIT.
/// After an error the batch is unchanged.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_batch_check(
    batch: *mut luat_kv_batch,
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    version: *const c_void,
    version_len: usize,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, {
        let (batch, namespace) = (handle_mut(batch, "batch")?, handle(ns, "ns")?);
        let key = text(key, key_len, "the key")?;
        let version = text(version, version_len, "the version")?;
        let version = (!version.is_empty()).then(|| version.parse()).transpose()?;
        batch.batch.check(&namespace.0, key, version)?;
        Ok(LUAT_KV_OK)
    })
}

/// Adds a luat_kv_put(). The value is copied; a lifetime begins with the commit.
///
/// ns        a namespace of the batch's store.
/// key       UTF-8, not empty.
/// value     any bytes; empty is a value too.
/// options   NULL: for ever, without metadata.
///
/// Statuses: OK; INVALID, LIMIT, as luat_kv_put(); INVALID also for a namespace of another store, and after a commit;
/// NOMEM. After an error the batch is unchanged.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_batch_put(
    batch: *mut luat_kv_batch,
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    options: *const luat_kv_put_options,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, {
        let (batch, namespace) = (handle_mut(batch, "batch")?, handle(ns, "ns")?);
        let key = text(key, key_len, "the key")?;
        let value = bytes(value, value_len, "the value")?;
        let options = options::read(options, "luat_kv_put_options")?;
        batch.batch.put_with(&namespace.0, key, value, &options.checked()?)?;
        Ok(LUAT_KV_OK)
    })
}

/// Adds a luat_kv_delete().
///
/// ns        a namespace of the batch's store.
/// key       UTF-8, not empty.
///
/// Statuses: OK; INVALID, also for a namespace of another store, and after a commit; LIMIT. After an error the batch is
/// unchanged.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_batch_delete(
    batch: *mut luat_kv_batch,
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, {
        let (batch, namespace) = (handle_mut(batch, "batch")?, handle(ns, "ns")?);
        batch.batch.delete(&namespace.0, text(key, key_len, "the key")?)?;
        Ok(LUAT_KV_OK)
    })
}

/// Adds a luat_kv_incr(). If the key's value is not an integer, the commit fails.
///
/// ns        a namespace of the batch's store.
/// key       UTF-8, not empty.
/// by        the number to add; it may be negative.
/// options   NULL: a missing key starts at 0, and never expires.
///
/// Statuses: OK; INVALID, also for an expiration in the past, for a namespace of another store, and after a commit;
/// LIMIT. After an error the batch is unchanged.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_batch_incr(
    batch: *mut luat_kv_batch,
    ns: *mut luat_kv_namespace,
    key: *const c_void,
    key_len: usize,
    by: i64,
    options: *const luat_kv_incr_options,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, {
        let (batch, namespace) = (handle_mut(batch, "batch")?, handle(ns, "ns")?);
        let key = text(key, key_len, "the key")?;
        let options = options::read(options, "luat_kv_incr_options")?;
        batch.batch.incr_with(&namespace.0, key, by, &options.checked()?)?;
        Ok(LUAT_KV_OK)
    })
}

/// Applies all changes of a batch, or none of them. After OK and CONFLICT, a batch can only return its version and be
/// freed. After an error it is unchanged, and can be committed again.
///
/// Statuses: OK; CONFLICT: a condition did not hold, and nothing was changed; INVALID, also for an increment of a value
/// that is not an integer, for an expiration that is in the past by now, and after a commit; LIMIT, also for a lifetime
/// that is too short by now; IO, BUSY, CORRUPT, READONLY, NOMEM.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_batch_commit(
    batch: *mut luat_kv_batch,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, {
        let batch = handle_mut(batch, "batch")?;
        let Some(version) = batch.batch.commit()? else { return Ok(LUAT_KV_CONFLICT) };
        batch.version = Some(version.text());
        Ok(LUAT_KV_OK)
    })
}

/// Returns the version of all entries that the batch stored, for luat_kv_batch_check(): opaque text, not
/// NUL-terminated, valid as long as the batch. NULL unless the commit was OK, and for NULL. len is nullable.
///
/// # Safety
/// `batch` is NULL or live, `len` NULL or valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_batch_version(batch: *const luat_kv_batch, len: *mut usize) -> *const u8 {
    // SAFETY: the caller promises that `batch` is NULL or live, and `len` NULL or valid for a write.
    unsafe { view(batch.as_ref().and_then(|batch| batch.version.as_ref()).map(VersionText::as_slice), len) }
}

/// Frees a batch; NULL does nothing. A batch that was not committed is discarded.
///
/// # Safety
/// `batch` is NULL or live, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_batch_free(batch: *mut luat_kv_batch) {
    // SAFETY: the caller promises that `batch` is NULL or live, and that it is not used again.
    unsafe { free(batch) };
}
