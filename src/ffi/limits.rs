//! The limits of a store.

use super::luat_kv_store;
use super::options::{self, Options};
use crate::types::Limits;

/// The limits of a store, which luat_kv_store_limits() writes. Lengths are in bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct luat_kv_limits {
    /// sizeof this struct, in the version that the program was compiled with.
    pub struct_size: u32,
    /// The maximum length of a key, a namespace's name, prefix, start and stop.
    pub max_key_len: u32,
    /// The maximum length of metadata.
    pub max_metadata_len: u32,
    /// The maximum number of keys of luat_kv_get_many().
    pub max_keys: u32,
    /// The maximum number of keys in a page of luat_kv_list().
    pub max_page_len: u32,
    /// The minimum lifetime, in seconds.
    pub min_ttl: u32,
    /// The maximum length of a value.
    pub max_value_len: u64,
    /// The maximum expiration, in Unix seconds.
    pub max_expiration: i64,
}

// SAFETY: it is `repr(C)`, has only integers, and begins with the size.
unsafe impl Options for luat_kv_limits {}

impl From<Limits> for luat_kv_limits {
    fn from(limits: Limits) -> Self {
        luat_kv_limits {
            struct_size: 0,
            max_key_len: limits.name_len() as u32,
            max_metadata_len: limits.metadata_len() as u32,
            max_keys: limits.keys_len() as u32,
            max_page_len: limits.page_len() as u32,
            min_ttl: limits.ttl() as u32,
            max_value_len: limits.value_len() as u64,
            max_expiration: limits.last_expiration(),
        }
    }
}

/// Writes the limits that a store was opened with. Thread-safe.
///
/// store     NULL: the limits of LUAT_KV_LIMITS_DEFAULT.
/// limits    the struct that is written; NULL does nothing. A field that the library does not know is 0.
/// size      sizeof *limits in the program: the library may know more or fewer fields.
///
/// # Safety
/// `store` is NULL or live, `limits` NULL or valid for writing `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_store_limits(store: *const luat_kv_store, limits: *mut luat_kv_limits, size: usize) {
    // SAFETY: the caller promises that `store` is NULL or live.
    let known = unsafe { store.as_ref() }.map_or(Limits::Default, |store| store.0.limits());
    // SAFETY: the caller promises that `limits` is NULL or valid for writing `size` bytes.
    unsafe { options::write(limits, size, &known.into()) };
}
