//! The present time, from the system or set by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The source of the present time, in whole Unix seconds.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock, as C's `time()` and Lua's `os.time()` read it.
    pub fn system() -> Self {
        Clock(None)
    }

    /// A clock that stays at `now` until it is [`set`](Clock::set): for tests, and for hosts with their own time.
    /// Clones show the same time.
    pub fn manual(now: i64) -> Self {
        Clock(Some(Arc::new(AtomicI64::new(now))))
    }

    /// Moves a manual clock, forwards or back. Does nothing to the system's clock.
    pub fn set(&self, now: i64) {
        if let Some(time) = &self.0 {
            time.store(now, Ordering::Relaxed);
        }
    }

    /// The present time in Unix seconds, rounded down.
    pub fn now(&self) -> i64 {
        match &self.0 {
            Some(time) => time.load(Ordering::Relaxed),
            None => system_seconds(),
        }
    }

    /// The time, if it is set by hand.
    #[cfg(all(feature = "postgres", unix))]
    pub(crate) fn by_hand(&self) -> Option<i64> {
        self.0.as_ref().map(|time| time.load(Ordering::Relaxed))
    }

    /// The same, and the system's time.
    #[cfg(feature = "sqlite")]
    pub(crate) fn now_and_system(&self) -> (i64, i64) {
        let system = system_seconds();
        (self.0.as_ref().map_or(system, |time| time.load(Ordering::Relaxed)), system)
    }

    /// The present time in Unix seconds, rounded up. Lifetimes begin then, so that none is too short.
    ///
    /// On Unix this reads the precise clock, and [`now`](Clock::now) one that may lag behind it by a tick. So an entry
    /// lives for its whole lifetime by the precise clock, and may be visible for a tick longer.
    pub(crate) fn now_rounded_up(&self) -> i64 {
        match &self.0 {
            Some(time) => time.load(Ordering::Relaxed),
            None => system_seconds_rounded_up(),
        }
    }
}

/// The time of C's `time()`, as in Lua's `os.time()`. It may lag behind the precise clock by a tick of the kernel's
/// timer. A host that reads it before and after a call must never find this store's time outside of that interval.
#[cfg(unix)]
fn system_seconds() -> i64 {
    // SAFETY: a null pointer is allowed; the result is the returned value.
    let seconds = unsafe { libc::time(std::ptr::null_mut()) };
    // `time_t` has 32 bits on some targets.
    #[allow(clippy::useless_conversion)]
    i64::from(seconds)
}

/// The host's time.
#[cfg(target_family = "wasm")]
fn system_seconds() -> i64 {
    crate::wasm::now().floor() as i64
}

#[cfg(target_family = "wasm")]
fn system_seconds_rounded_up() -> i64 {
    crate::wasm::now().ceil() as i64
}

#[cfg(not(any(unix, target_family = "wasm")))]
fn system_seconds() -> i64 {
    i64::try_from(since_1970().as_secs()).unwrap_or(i64::MAX)
}

#[cfg(not(target_family = "wasm"))]
fn system_seconds_rounded_up() -> i64 {
    let since = since_1970();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX).saturating_add(i64::from(since.subsec_nanos() > 0))
}

/// Returns 0 if the machine's clock is before 1970: then no entry expires, and nothing is lost.
#[cfg(not(target_family = "wasm"))]
fn since_1970() -> std::time::Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}
