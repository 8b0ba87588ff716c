//! The time of a write.

use std::cell::Cell;

use crate::clock::Clock;

/// It is read when it is needed first: in WebAssembly, that takes as long as a search for a key.
pub(super) struct Now<'a> {
    clock: &'a Clock,
    read: Cell<Option<i64>>,
}

impl<'a> Now<'a> {
    pub fn of(clock: &'a Clock) -> Self {
        Now { clock, read: Cell::new(None) }
    }

    pub fn get(&self) -> i64 {
        self.read.get().unwrap_or_else(|| {
            let now = self.clock.now();
            self.read.set(Some(now));
            now
        })
    }
}
