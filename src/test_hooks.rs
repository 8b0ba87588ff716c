//! Faults that tests cause, in a library that was built for tests (feature `debug-hooks`). A shipped library has no
//! such hooks.

#[cfg(feature = "debug-hooks")]
pub(crate) use hooks::*;

#[cfg(feature = "debug-hooks")]
mod hooks {
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    /// Panics in the midst of an operation on the key that LUAT_KV_DEBUG_PANIC_KEY names.
    pub(crate) fn panic_on(key: &str) {
        if std::env::var_os("LUAT_KV_DEBUG_PANIC_KEY").is_some_and(|named| named == key) {
            panic!("provoked by LUAT_KV_DEBUG_PANIC_KEY");
        }
    }

    /// Between two steps that other threads and processes may come between: sleeps for a moment at times, once in as
    /// many times as LUAT_KV_DEBUG_DELAY says.
    pub(crate) fn delay() {
        static ONE_IN: OnceLock<u64> = OnceLock::new();
        let one_in = *ONE_IN.get_or_init(|| {
            std::env::var("LUAT_KV_DEBUG_DELAY").ok().and_then(|number| number.parse().ok()).unwrap_or(0)
        });
        if one_in > 0 {
            thread_local!(static BEGUN: Instant = Instant::now());
            let chance = BEGUN.with(Instant::elapsed).as_nanos() as u64;
            if (chance >> 4).is_multiple_of(one_in) {
                std::thread::sleep(Duration::from_micros(chance % 300));
            }
        }
    }
}

#[cfg(not(feature = "debug-hooks"))]
#[inline(always)]
pub(crate) fn panic_on(_key: &str) {}

#[cfg(all(not(feature = "debug-hooks"), any(not(target_family = "wasm"), feature = "internals")))]
#[inline(always)]
pub(crate) fn delay() {}
