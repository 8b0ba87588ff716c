//! What tests provoke, in a library that was built for them (feature `debug-hooks`): bugs, which a library that is
//! shipped has none of that anybody could call at will.

/// Panics where the key is the one that LUAT_KV_DEBUG_PANIC_KEY names, in the midst of an operation on it.
#[cfg(feature = "debug-hooks")]
pub(crate) fn panic_on(key: &str) {
    if std::env::var_os("LUAT_KV_DEBUG_PANIC_KEY").is_some_and(|named| named == key) {
        panic!("provoked by LUAT_KV_DEBUG_PANIC_KEY");
    }
}

#[cfg(not(feature = "debug-hooks"))]
#[inline(always)]
pub(crate) fn panic_on(_key: &str) {}
