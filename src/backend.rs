//! The interface of a back end: a few operations on rows.
//!
//! A back end keeps rows and their expirations. Its arguments have been checked; only lifetimes are checked again, by
//! the module `write`, when the back end has the rows. The time is a parameter, `now`. (A change that may have to wait
//! first gets the clock instead.) A change is data, a [`Write`]; the module `write` defines what its operations mean,
//! for all back ends. Any thread may call a back end at any time, within a gate of [`fork`](crate::fork). A cache
//! in front of a back end would be a back end too: it would answer [`Backend::get`] and forward the other calls.
//!
//! A back end does not wait for another process, an import or compacting. A call that they prevent returns BUSY at once
//! and has changed nothing; `store` repeats it, and holds nothing in between. Short calls of this process take turns.
//! Only opening waits by itself.

use std::mem::MaybeUninit;
use std::path::Path;
#[cfg(feature = "sqlite")]
use std::path::PathBuf;
#[cfg(not(target_family = "wasm"))]
use std::time::Duration;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::oom_reserve;
use crate::types::{CacheStats, Entry, NamespaceStats};

#[cfg(any(not(target_family = "wasm"), feature = "internals"))]
mod comparison;
pub(crate) mod memory;
mod page;
#[cfg(all(feature = "postgres", unix))]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
#[cfg(feature = "sqlite")]
mod sweeping;
#[cfg_attr(target_family = "wasm", path = "backend/no_waiting.rs")]
mod waiting;
#[cfg_attr(all(target_family = "wasm", not(feature = "internals")), path = "backend/no_watching.rs")]
mod watching;
mod write;

#[cfg(any(not(target_family = "wasm"), feature = "internals"))]
pub(crate) use comparison::*;
pub use page::{Entries, Listed};
pub(crate) use waiting::*;
pub(crate) use watching::*;
pub(crate) use write::{Action, Content, Expires, Op, Outcome, Transaction, Write};

/// What to read of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Projection {
    /// Only whether it exists; the entry's fields are left as they were.
    Nothing,
    /// The value alone; the entry's other fields are left as they were.
    Value,
    /// The whole entry.
    Entry,
}

/// The keys of one namespace from `from` on and before `below`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range<'a> {
    pub namespace: &'a str,
    pub from: &'a str,
    /// `None`: to the end of the namespace.
    pub below: Option<&'a str>,
}

/// How to go through a range.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scan {
    /// From the last key to the first.
    pub reverse: bool,
    /// With the values.
    pub values: bool,
    /// The maximum number of keys.
    pub limit: usize,
}

/// A page with values is full when they amount to this many bytes, so it never holds much more than that and one value.
pub(crate) const PAGE_BYTES: usize = 16 * 1024 * 1024;

/// How a list ended.
#[derive(Debug, Default)]
pub(crate) struct ScanPage {
    /// Whether the range has more live keys.
    pub more: bool,
    /// Whether so many expired rows were passed that it is worth removing them.
    #[cfg(feature = "sqlite")]
    pub passed_expired: bool,
}

/// The name of a row.
#[cfg(feature = "sqlite")]
#[derive(Clone, Copy)]
pub(crate) struct Name<'a> {
    pub namespace: &'a str,
    pub key: &'a [u8],
    /// What was prepared of the namespace.
    pub prepared: sqlite::Prepared,
}

/// Whether any back end peeks. JavaScript reads in another way, and its module is to be small.
pub(crate) const PEEKS: bool = cfg!(any(not(target_family = "wasm"), feature = "internals"));

/// What [`Backend::peek`] is asked for.
pub(crate) struct Peek<'a> {
    pub namespace: &'a str,
    /// It may be invalid UTF-8. No such key is in a cache.
    pub key: &'a [u8],
    /// As in [`Name`].
    #[cfg(feature = "sqlite")]
    pub prepared: &'a sqlite::Prepared,
    pub clock: &'a Clock,
    /// A value that is not copied if it is the one of the key.
    pub known: Option<&'a [u8]>,
    /// Where the value goes, if there is room for it.
    pub to: &'a mut [MaybeUninit<u8>],
}

#[cfg(feature = "sqlite")]
impl<'a> Peek<'a> {
    #[inline(always)]
    fn name(&self) -> Name<'a> {
        Name { namespace: self.namespace, key: self.key, prepared: *self.prepared }
    }
}

/// The answer of [`Backend::peek`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peeked {
    /// The value is equal to the one that the caller knows.
    Known,
    /// There is no live entry.
    Missing,
    /// The length of the value. It was copied, unless the place is shorter; then nothing was.
    Found(usize),
}

/// A callback for each row that is read.
pub(crate) type Each<'a> = dyn FnMut(&Entry) -> Result<()> + 'a;

/// A long import, which stores entries one by one as it reads them.
pub(crate) type Import<'a> = dyn FnMut(&mut dyn Transaction) -> Result<()> + 'a;

/// A row to store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Put<'a> {
    pub key: &'a str,
    pub value: &'a [u8],
    pub metadata: Option<&'a str>,
    pub expiration: Option<i64>,
}

/// The maximum for one step of a long removal, so that others can write between steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub rows: usize,
    /// The total size of the values. A step takes at least one row.
    pub bytes: u64,
}

/// The result of such a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Removed {
    pub rows: u64,
    /// The number of rows that had not expired.
    pub live: u64,
    /// The key of the last row, if the range may have more.
    pub last: Option<String>,
}

pub(crate) trait Backend: Watching + Waiting + Send + Sync {
    /// Reads a live entry into `entry`, whose buffers are reused. Returns whether there was one; if not, the contents
    /// of `entry` are unspecified.
    fn get(&self, namespace: &str, key: &str, projection: Projection, now: i64, entry: &mut Entry) -> Result<bool>;

    /// Copies the value of a live entry, if the back end knows it without any work that could fail. Returns `None` if the
    /// caller has to [`get`](Self::get) it. Called outside of a gate.
    fn peek(&self, _: &mut Peek<'_>) -> Option<Peeked> {
        None
    }

    /// Returns the live entries among these keys, in the order of the keys, with their values, all as of one moment.
    fn get_many(&self, namespace: &str, keys: &[&str], now: i64) -> Result<Vec<Entry>>;

    /// Collects the first live keys of a range, or the last ones with `reverse`. `entries` is empty.
    fn list(&self, range: Range<'_>, scan: Scan, now: i64, entries: &mut dyn Entries) -> Result<ScanPage>;

    /// Counts the live keys of a range.
    fn count(&self, range: Range<'_>, now: i64) -> Result<u64>;

    /// Calls `each` for all live rows of a namespace, one at a time, with their values, all as of one moment.
    fn scan(&self, namespace: &str, now: i64, each: &mut Each<'_>) -> Result<()>;

    /// Carries out all operations of a write in their order. If a check does not hold or an operation fails, it carries
    /// out none. It also removes some of the expired rows.
    fn write(&self, write: &mut Write<'_, '_>) -> Result<Outcome>;

    /// Returns the folder where an import may keep what it reads until all is read, so that others can write meanwhile;
    /// `None` if it reads within [`import`](Self::import). Fails if the store cannot be written.
    #[cfg(feature = "sqlite")]
    fn begin_import(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    /// Stores what an import reads, or nothing if the import fails. Other writers wait.
    fn import(&self, clock: &Clock, import: &mut Import<'_>) -> Result<()>;

    /// Removes the first rows of a range, including expired ones: one step of a long removal.
    fn remove(&self, range: Range<'_>, step: Step, clock: &Clock) -> Result<Removed>;

    /// Removes the expired ones of the first rows of a range: one step after a list that has passed many of them. Does
    /// nothing in a back end in which they do not make lists slow.
    #[cfg(feature = "sqlite")]
    fn remove_expired(&self, _: Range<'_>, _: Step, _: &Clock) -> Result<Removed> {
        Ok(Removed::default())
    }

    /// Removes up to `max` expired rows in one step and counts them. A count below `max` means that none are left.
    fn sweep(&self, max: u64, now: i64) -> Result<u64>;

    /// Lets waiting writers proceed, between two steps of a long operation.
    fn pause(&self);

    /// Waits before a call of this thread that was BUSY is repeated: until others have written, if the back end notices
    /// that, or about as long as `step`, but not longer than `left`. Returns whether the next step may be longer.
    #[cfg(not(target_family = "wasm"))]
    fn wait(&self, step: Duration, left: Duration) -> bool {
        std::thread::sleep(step.min(left));
        true
    }

    /// Ends a call of this thread that has waited.
    #[cfg(not(target_family = "wasm"))]
    fn end_waits(&self) {}

    /// Returns the names of the namespaces that have a live key, in byte order.
    fn namespaces(&self, now: i64) -> Result<Vec<String>>;

    /// Returns every namespace that has rows, in byte order of the names.
    fn stats(&self, now: i64) -> Result<Vec<NamespaceStats>>;

    /// Returns the figures of the cache, if there is one.
    fn cache(&self) -> CacheStats {
        CacheStats::default()
    }

    /// Returns the size on disk in bytes.
    fn file_size(&self) -> Result<u64>;

    /// Returns the space of deleted rows to the system.
    fn compact(&self) -> Result<()>;

    /// Moves the contents of the log into the file. Returns BUSY if others hold some of it back.
    fn checkpoint(&self) -> Result<()>;

    /// Copies everything, as of one moment, into a new file.
    fn backup(&self, to: &Path) -> Result<()>;

    /// The maps of a store in memory, whose contents can be written as records: see `memory::record`.
    #[cfg(any(target_family = "wasm", fuzzing, test))]
    fn memory(&self) -> Option<&memory::Memory> {
        None
    }

    /// Releases everything. Every later call, except `close` itself, returns [`Error::closed`](crate::Error).
    fn close(&self) -> Result<()>;
}

/// How many expired rows a write removes, besides one for each row that it puts with an expiration. That is more than
/// it adds, so expired rows do not accumulate.
const SWEEP_PER_WRITE: u64 = 16;

// If memory runs out, an allocation whose size depends on stored data must not abort the process.

#[inline]
pub(crate) fn copy(bytes: &[u8], to: &mut Vec<u8>) -> Result<()> {
    to.clear();
    to.try_reserve_exact(bytes.len()).map_err(|_| Error::no_memory(bytes.len()))?;
    to.extend_from_slice(bytes);
    oom_reserve::check()
}

pub(crate) fn copy_text(text: &str) -> Result<String> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).map_err(|_| Error::no_memory(text.len()))?;
    copy.push_str(text);
    oom_reserve::check().map(|()| copy)
}

pub(crate) fn push<T>(list: &mut Vec<T>, item: T) -> Result<()> {
    list.try_reserve(1).map_err(|_| Error::no_memory(size_of_val(list.as_slice())))?;
    list.push(item);
    Ok(())
}
