//! Watches of a store in memory, and how a change reaches those that wait.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{OnceLock, PoisonError};
use std::time::Duration;

use super::{Memory, Row, listed};
use crate::backend::{Comparison, Moment, Range, Stamp, Watched, Watching, copy};
use crate::error::Result;
use crate::futex;

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

    fn wake(&self) {
        futex::wake(&raw const self.moment, i32::MAX);
    }
}

impl Watching for Memory {
    fn compare(&self, namespace: &str, watched: &Watched<'_>, comparison: &mut Comparison<'_>) -> Result<()> {
        self.read(|maps| {
            let now = comparison.now;
            let mut see = |row: &Row| comparison.see(listed(row, false), Stamp::of(row.version));
            match *watched {
                Watched::Range { from, below } => {
                    let rows = maps.range(Range { namespace, from, below });
                    rows.filter(|row| !row.is_gone(now)).try_for_each(&mut see)?;
                }
                Watched::Keys(keys) => {
                    keys.iter().filter_map(|key| maps.live(namespace, key, now)).try_for_each(&mut see)?;
                }
            }
            comparison.end_rows()?;
            comparison.read_values(|key, value| match maps.live(namespace, key, now) {
                Some(row) => copy(&row.value, value),
                None => Ok(()),
            })
        })
    }

    fn origin(&self) -> u64 {
        *self.watches.origin.get_or_init(|| RandomState::new().hash_one(0))
    }

    fn moment(&self) -> Option<Moment> {
        Some(Moment([self.watches.moment.load(Ordering::Acquire).into(), 0, 0, 0, 0, 0, 0, 0]))
    }

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
