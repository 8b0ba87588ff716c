//! How a change of a store in memory reaches the watches that wait.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{OnceLock, PoisonError};
use std::time::Duration;

use super::Memory;
use crate::backend::{Moment, Waiting};
use crate::futex;

/// Whether watches notice a change by the version that it takes. Here it has to wake them, too.
pub(super) const BY_VERSIONS: bool = false;

#[derive(Default)]
pub(super) struct Watches {
    /// Incremented under the lock of the maps, before they may change.
    moment: AtomicU32,
    /// The number of watches. Changed under the lock.
    open: AtomicUsize,
    origin: OnceLock<u64>,
}

impl Watches {
    /// Begins another moment, under the lock. What is woken waits for the lock, so it finds the change.
    pub fn tell(&self) {
        self.moment.store(self.moment.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        if self.open.load(Ordering::Relaxed) > 0 {
            self.wake();
        }
    }

    pub fn origin(&self) -> u64 {
        *self.origin.get_or_init(|| RandomState::new().hash_one(0))
    }

    fn wake(&self) {
        futex::wake(&raw const self.moment, i32::MAX);
    }
}

impl Memory {
    /// The number of the present moment.
    pub(super) fn present(&self) -> u64 {
        self.watches.moment.load(Ordering::Acquire).into()
    }
}

impl Waiting for Memory {
    fn wait_for_change(&self, moment: Option<Moment>, time: Duration) {
        let Some(Moment([seen, ..])) = moment else { return };
        futex::wait((&raw const self.watches.moment).addr(), seen as u32, time);
    }

    fn wake_watches(&self) {
        self.watches.wake();
    }

    fn begin_watch(&self) {
        let _maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        self.watches.open.fetch_add(1, Ordering::Relaxed);
    }

    fn end_watch(&self) {
        let _maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        self.watches.open.fetch_sub(1, Ordering::Relaxed);
    }
}
