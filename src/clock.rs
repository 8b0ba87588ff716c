//! The time, real or set by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where a store reads the time from, in whole Unix seconds.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock.
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
}

fn system_seconds() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        // A machine whose clock stands before 1970: every expiration is far ahead, and nothing is lost.
        Err(_) => 0,
    }
}
