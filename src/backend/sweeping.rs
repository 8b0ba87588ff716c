//! When writes remove expired rows.
//!
//! Rows expire when a second begins, never within one, so one look in each second finds all that have. If it finds as
//! many as it may remove, there are more, and the writes that follow remove them. They take turns: removing 256 rows at
//! once takes half as long as removing 16 rows 16 times.

use crate::backend::SWEEP_PER_WRITE;

/// What the writes of a connection have removed, and have to remove.
#[derive(Debug, Default)]
pub(super) struct Sweeping {
    /// When a write last looked for expired rows.
    last_look: Option<i64>,
    /// Whether that look may have left some.
    has_more: bool,
    /// How many the writes since then would have removed.
    owed: u64,
}

impl Sweeping {
    /// How many rows are removed at once, at least.
    const CHUNK: u64 = 256;
    /// How many each write adds to that, besides one for each row that it puts with an expiration. That is more than it
    /// puts, so expired rows do not accumulate. Removing that many takes less than half as long as a put.
    pub const PER_WRITE: u64 = 4;

    pub fn last_look(&self) -> Option<i64> {
        self.last_look
    }

    /// Whether this is the first write in its second.
    pub fn is_first(&self, now: i64) -> bool {
        self.last_look != Some(now)
    }

    /// Whether a write that puts this many rows with an expiration removes expired ones.
    pub fn is_due(&self, now: i64, expiries: u64) -> bool {
        self.is_first(now) || (self.has_more && self.owed + Self::PER_WRITE + expiries >= Self::CHUNK)
    }

    pub fn quota(&self, now: i64, expiries: u64) -> u64 {
        self.owed + expiries + if self.is_first(now) { SWEEP_PER_WRITE } else { Self::PER_WRITE }
    }

    /// Notes a write that has removed none.
    pub fn put_off(&mut self, expiries: u64) {
        if self.has_more {
            self.owed += Self::PER_WRITE + expiries;
        }
    }

    pub fn done(&mut self, now: i64, has_more: bool) {
        *self = Sweeping { last_look: Some(now), has_more, owed: 0 };
    }
}
