//! The WebAssembly exports: what a host in JavaScript needs besides the C interface, and what this needs of its host.
//!
//! A module exports the functions of `include/luat_kv.h` that need no files, and those below, which are in no header
//! since only web/ calls them. It imports its memory, and from `luat_kv` the time and random numbers. No input causes a
//! panic. If one happened, it would be a trap and end the instance.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr;

use crate::ffi::{LUAT_KV_OK, guard, handle, luat_kv_bytes, luat_kv_error, luat_kv_status, luat_kv_store, set};
use crate::oom_reserve::Usage;

mod compare;
mod read;

mod host {
    #[link(wasm_import_module = "luat_kv")]
    unsafe extern "C" {
        pub safe fn now() -> f64;
        pub safe fn random() -> i64;
    }
}

/// Unix seconds, with their fraction.
pub(crate) fn now() -> f64 {
    host::now()
}

/// 64 random bits.
pub(crate) fn random() -> u64 {
    host::random().cast_unsigned()
}

/// (The allocator aligns all memory to 8 bytes, which is enough for the structs of the header.)
fn layout(len: usize) -> Option<Layout> {
    Layout::array::<u8>(len.max(1)).ok()
}

/// Returns memory of `len` bytes, aligned for any struct of the header; NULL if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn luat_kv_wasm_alloc(len: usize) -> *mut u8 {
    let usage = Usage::now();
    // SAFETY: the layout has a size.
    let room = layout(len).map_or(ptr::null_mut(), |layout| unsafe { alloc(layout) });
    if usage.check_unchanged().is_err() {
        // SAFETY: it was allocated there.
        unsafe { luat_kv_wasm_free(room, len) };
        return ptr::null_mut();
    }
    room
}

/// Frees what luat_kv_wasm_alloc() or luat_kv_wasm_changes() returned. NULL is ignored.
///
/// # Safety
/// `room` is NULL or was returned there with this length, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_wasm_free(room: *mut u8, len: usize) {
    if let Some(layout) = layout(len).filter(|_| !room.is_null()) {
        // SAFETY: the caller has promised it.
        unsafe { dealloc(room, layout) };
    }
}

/// Returns the address of a word, which is not 0 if the store may have changed since the host set it to 0. It is valid
/// as long as the store. Returns NULL for NULL and for a closed store.
///
/// # Safety
/// `store` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_wasm_changed(store: *mut luat_kv_store) -> *mut u32 {
    // SAFETY: the caller has promised it.
    unsafe { store.as_ref() }.and_then(|store| store.store().changed().ok()).unwrap_or_default()
}

/// Takes a record of what has changed since the last one, or with `all` of everything. The host keeps the bytes, to
/// load them later, and frees them with luat_kv_wasm_free(). If nothing has changed, it returns no bytes and NULL. Many
/// changes take several records. Changes are noted from the first call on, which without `all` returns nothing.
///
/// # Safety
/// Pointers are NULL or valid for what is said above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_wasm_changes(
    store: *mut luat_kv_store,
    all: u32,
    out: *mut luat_kv_bytes,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the caller has promised it.
    unsafe {
        set(out, luat_kv_bytes { data: ptr::null(), len: 0 });
        guard(error, || {
            let record = handle(store, "store")?.store().record(all != 0)?;
            if !record.is_empty() {
                let len = record.len();
                set(out, luat_kv_bytes { data: Box::into_raw(record.into_boxed_slice()).cast(), len });
            }
            Ok(LUAT_KV_OK)
        })
    }
}

/// Applies records in their order. If they are damaged, it applies none; if memory runs out, a part of them. Loaded
/// records do not count as changes.
///
/// # Safety
/// Pointers are NULL or valid for what is said above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_wasm_load(
    store: *mut luat_kv_store,
    data: *const u8,
    len: usize,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    // SAFETY: the caller has promised it.
    unsafe {
        guard(error, || {
            handle(store, "store")?.store().load(crate::ffi::bytes(data.cast(), len, "the record")?)?;
            Ok(LUAT_KV_OK)
        })
    }
}
