//! Batches: changes that happen together or not at all.

use std::ffi::c_void;
use std::ptr;

use super::entry::{VersionText, view};
use super::{
    LUAT_KV_CONFLICT, LUAT_KV_OK, bytes, free, give, handle, handle_mut, luat_kv_error, luat_kv_incr_options,
    luat_kv_namespace, luat_kv_put_options, luat_kv_status, luat_kv_store, options, required, set, text,
};
use crate::batch::Batch;

/// Changes to one or more namespaces of one store, gathered and then made in one transaction, in their order. One thread
/// at a time may use it. Yours to free with luat_kv_batch_free().
pub struct luat_kv_batch {
    batch: Batch,
    version: Option<VersionText>,
}

/// Begins a batch, empty as yet. Nothing is written, and nobody waits, until it is committed.
///
/// out       the batch, yours to free with luat_kv_batch_free(); NULL after an error. It keeps the store open.
///
/// Statuses: OK; INVALID. Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
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

/// Adds a condition: the batch is to change something only if a key still has this version, that is if nobody has
/// written it since. It sees what the batch itself has changed before.
///
/// ns        a namespace of the batch's store.
/// key       UTF-8, not empty.
/// version   what luat_kv_entry_version() or luat_kv_batch_version() gave; NULL with 0: the key must be missing.
///
/// Statuses: OK; INVALID, also for a malformed version, for a namespace of another store, and after a commit; LIMIT.
/// After an error the batch is as it was.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
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

/// Adds what luat_kv_put() does. The value is copied; a lifetime begins with the commit.
///
/// ns        a namespace of the batch's store.
/// key       UTF-8, not empty.
/// value     any bytes; empty is a value too.
/// options   NULL: for ever, without metadata.
///
/// Statuses: OK; INVALID, LIMIT, as luat_kv_put(); INVALID also for a namespace of another store, and after a commit;
/// NOMEM. After an error the batch is as it was.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
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

/// Adds what luat_kv_delete() does.
///
/// ns        a namespace of the batch's store.
/// key       UTF-8, not empty.
///
/// Statuses: OK; INVALID, also for a namespace of another store, and after a commit; LIMIT. After an error the batch is
/// as it was.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
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

/// Adds what luat_kv_incr() does. What cannot be counted fails the commit.
///
/// ns        a namespace of the batch's store.
/// key       UTF-8, not empty.
/// by        what to add; it may be negative.
/// options   NULL: a missing key counts from 0, and is created for ever.
///
/// Statuses: OK; INVALID, also for an expiration that is past, for a namespace of another store, and after a commit;
/// LIMIT. After an error the batch is as it was.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
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

/// Makes all the changes of a batch, or none of them. OK and CONFLICT are the end of it: all it can do then is tell its
/// version and be freed. After an error it is as it was, and can be committed again.
///
/// Statuses: OK; CONFLICT: a condition did not hold, and nothing was changed; INVALID, also for what cannot be counted,
/// for an expiration that has come meanwhile, and after a commit; LIMIT, also for a lifetime that is too short by now;
/// IO, BUSY, CORRUPT, READONLY, NOMEM.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
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

/// Returns the version that all entries have which the batch stored, for luat_kv_batch_check(): opaque text that lives
/// as long as the batch, without a NUL at its end. NULL unless the commit was OK, and for NULL. len is nullable.
///
/// # Safety
/// `batch` is NULL or live, `len` NULL or good for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_batch_version(batch: *const luat_kv_batch, len: *mut usize) -> *const u8 {
    // SAFETY: the caller promises that `batch` is NULL or live, and `len` NULL or good for a write.
    unsafe { view(batch.as_ref().and_then(|batch| batch.version.as_ref()).map(VersionText::as_slice), len) }
}

/// Frees a batch; NULL is harmless. What was not committed is forgotten.
///
/// # Safety
/// `batch` is NULL or live, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_batch_free(batch: *mut luat_kv_batch) {
    // SAFETY: the caller promises that `batch` is NULL or live, and that it is not used again.
    unsafe { free(batch) };
}
