//! What a back end does: few, wide operations on rows.
//!
//! A back end keeps rows and knows when they end; it checks no limit and reads no clock (`now` is always a parameter).
//! Any thread may call it at any time, within [`fork::enter`](crate::fork::enter). A cache in front of one is a back end too: it answers [`Backend::get`] and passes
//! the rest on.

use crate::error::Result;
use crate::types::{Entry, KeyInfo};

pub(crate) mod memory;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;

/// One change to one key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'a> {
    /// Replaces everything that the key held.
    Put { key: &'a str, value: &'a [u8], metadata: Option<&'a str>, expiration: Option<i64> },
    /// Removes the key; a missing one is no error.
    Delete { key: &'a str },
}

/// The keys of one namespace from `from` on, below `below`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range<'a> {
    pub namespace: &'a str,
    pub from: &'a str,
    /// `None`: to the namespace's end.
    pub below: Option<&'a str>,
}

pub(crate) trait Backend: Send + Sync {
    /// Reads a live entry into `entry`, whose buffers are used again, and answers whether there was one. When there was
    /// none, `entry` is left in any state.
    fn get(&self, namespace: &str, key: &str, now: i64, entry: &mut Entry) -> Result<bool>;

    /// The one write path: makes all the changes or, on an error, none; and removes some of the rows that have expired.
    fn write(&self, namespace: &str, changes: &[Change<'_>], now: i64) -> Result<()>;

    /// The first `limit` live keys of a range, in byte order.
    fn list(&self, range: Range<'_>, limit: usize, now: i64) -> Result<Vec<KeyInfo>>;

    /// Removes up to `max` expired rows at once, and counts them; fewer than `max` are all there were.
    fn sweep(&self, max: u64, now: i64) -> Result<u64>;

    /// Lets go of everything. Every later call is [`Error::closed`](crate::Error), but for `close` itself.
    fn close(&self) -> Result<()>;
}

/// How many expired rows a write removes beside its own work: more than it can add, so the dead never pile up.
const SWEEP_PER_WRITE: u64 = 16;
