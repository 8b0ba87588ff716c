//! The time, real or set by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Where a store reads the time from, in whole Unix seconds.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock, as C's `time()` and Lua's `os.time()` read it.
    pub fn system() -> Self {
        Clock(None)
    }

    /// A clock that stands at `now` until it is [`set`](Clock::set): for tests, and for hosts that have a time of
    /// their own. Clones show the same time.
    pub fn manual(now: i64) -> Self {
        Clock(Some(Arc::new(AtomicI64::new(now))))
    }

    /// Moves a manual clock, forwards or back; does nothing to the system's.
    pub fn set(&self, now: i64) {
        if let Some(time) = &self.0 {
            time.store(now, Ordering::Relaxed);
        }
    }

    /// Unix seconds, rounded down.
    pub fn now(&self) -> i64 {
        match &self.0 {
            Some(time) => time.load(Ordering::Relaxed),
            None => system_seconds(),
        }
    }

    /// Unix seconds, rounded up: where lifetimes begin, so that none is cut short.
    ///
    /// On Unix this reads the fine clock, and [`now`](Clock::now) one that may lag it by a tick. So an entry lives for
    /// its whole lifetime by the fine clock, and may be seen for a tick longer.
    pub(crate) fn now_rounded_up(&self) -> i64 {
        match &self.0 {
            Some(time) => time.load(Ordering::Relaxed),
            None => system_seconds_rounded_up(),
        }
    }
}

/// What C's `time()` says, as Lua's `os.time()` does. It may lag the finer clocks by a tick of the kernel's timer, and a
/// host that reads it before and after a call must never find this store's seconds outside of its own.
#[cfg(unix)]
fn system_seconds() -> i64 {
    // SAFETY: a null pointer is allowed: the time is the returned value.
    let seconds = unsafe { libc::time(std::ptr::null_mut()) };
    // `time_t` has 32 bits on some targets.
    #[allow(clippy::useless_conversion)]
    i64::from(seconds)
}

/// What the host says.
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

/// 0 on a machine whose clock stands before 1970: every expiration is far ahead, and nothing is lost.
#[cfg(not(target_family = "wasm"))]
fn since_1970() -> std::time::Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}
