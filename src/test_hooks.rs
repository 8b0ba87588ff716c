//! Faults that tests cause, in a library that was built for tests (feature `debug-hooks`). A shipped library has no
//! such hooks.

/// Panics in the midst of an operation on the key that LUAT_KV_DEBUG_PANIC_KEY names.
#[cfg(feature = "debug-hooks")]
pub(crate) fn panic_on(key: &str) {
    if std::env::var_os("LUAT_KV_DEBUG_PANIC_KEY").is_some_and(|named| named == key) {
        panic!("provoked by LUAT_KV_DEBUG_PANIC_KEY");
    }
}

#[cfg(not(feature = "debug-hooks"))]
#[inline(always)]
pub(crate) fn panic_on(_key: &str) {}
