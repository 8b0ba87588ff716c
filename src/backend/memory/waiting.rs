//! How a change of a store in memory reaches the watches that wait.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use super::Memory;
use crate::backend::{Moment, Waiting};
use crate::fork;
use crate::futex;

/// Whether watches notice a change by the version that it takes. Here it has to wake them, too.
pub(super) const BY_VERSIONS: bool = false;

pub(super) struct Watches {
    /// The number of the store in this process.
    store: u64,
    /// Incremented under the lock of the maps, before they may change.
    moment: AtomicU32,
    /// The number of watches. Changed under the lock.
    open: AtomicUsize,
}

impl Watches {
    pub fn of(store: u64) -> Self {
        Watches { store, moment: AtomicU32::new(0), open: AtomicUsize::new(0) }
    }

    /// Begins another moment, under the lock. What is woken waits for the lock, so it finds the change.
    pub fn tell(&self) {
        self.moment.store(self.moment.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        if self.open.load(Ordering::Relaxed) > 0 {
            self.wake();
        }
    }

    /// In the child of a fork it is another one: the versions of the child's copy are those of the parent, and of the
    /// copies of other children.
    pub fn origin(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (fork::process(), self.store).hash(&mut hasher);
        hasher.finish()
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
