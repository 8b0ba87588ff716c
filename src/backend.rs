//! What a back end does: few, wide operations on rows.
//!
//! A back end keeps rows and knows when they end; it checks no limit and reads no clock (`now` is always a parameter; a
//! write is given a clock, since it may have to wait first). A change is data, a [`Write`], and what its operations mean is
//! said once for all back ends, in `write`. Any thread may call a back end at any time, within
//! [`fork::enter`](crate::fork::enter). A cache in front of one is a back end too: it returns [`Backend::get`] and passes
//! the rest on.
//!
//! A back end waits for nobody: what others keep it from doing is BUSY at once, has changed nothing, and is tried again
//! by `store`, which lets go of everything meanwhile. Only opening waits by itself.

use std::path::Path;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::oom_reserve;
use crate::types::{Entry, NamespaceStats};

pub(crate) mod memory;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
mod write;

pub(crate) use write::{Action, Content, Expires, Op, Outcome, Transaction, Write};

/// What is to be read of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Projection {
    /// Only whether it is there; the entry's fields are left as they were.
    Nothing,
    /// The value alone; the entry's other fields are left as they were.
    Value,
    /// All of it.
    Entry,
}

/// The keys of one namespace from `from` on, below `below`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range<'a> {
    pub namespace: &'a str,
    pub from: &'a str,
    /// `None`: to the namespace's end.
    pub below: Option<&'a str>,
}

/// How to go through a range.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scan {
    /// From the last key to the first.
    pub reverse: bool,
    /// With the values.
    pub values: bool,
    /// At most so many keys.
    pub limit: usize,
}

/// A page with values is full when they come to this many bytes: it never holds much more than that and one value.
pub(crate) const PAGE_BYTES: usize = 16 * 1024 * 1024;

/// What a scan found.
#[derive(Debug, Default)]
pub(crate) struct ScanPage {
    pub entries: Vec<Entry>,
    /// Whether live keys are left in the range.
    pub more: bool,
}

/// Something to do with each row that is read.
pub(crate) type Each<'a> = dyn FnMut(&Entry) -> Result<()> + 'a;

/// A long import, which stores entries one by one as it reads them.
pub(crate) type Import<'a> = dyn FnMut(&mut dyn Transaction) -> Result<()> + 'a;

/// A row to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Put<'a> {
    pub key: &'a str,
    pub value: &'a [u8],
    pub metadata: Option<&'a str>,
    pub expiration: Option<i64>,
}

/// How much one step of a long removal takes at most, so that others can write in between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub rows: usize,
    /// Of values. A step takes one row at least.
    pub bytes: u64,
}

/// What such a step took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Removed {
    pub rows: u64,
    /// Those that had not expired.
    pub live: u64,
    /// The last of them, where there may be more in the range.
    pub last: Option<String>,
}

pub(crate) trait Backend: Send + Sync {
    /// Reads a live entry into `entry`, whose buffers are used again, and returns whether there was one. When there was
    /// none, `entry` is left in any state.
    fn get(&self, namespace: &str, key: &str, projection: Projection, now: i64, entry: &mut Entry) -> Result<bool>;

    /// The live ones among these keys, in their order, with their values: all as they are at one moment.
    fn get_many(&self, namespace: &str, keys: &[&str], now: i64) -> Result<Vec<Entry>>;

    /// The first live keys of a range, or with `reverse` the last ones.
    fn list(&self, range: Range<'_>, scan: Scan, now: i64) -> Result<ScanPage>;

    /// How many live keys a range has.
    fn count(&self, range: Range<'_>, now: i64) -> Result<u64>;

    /// Goes through all live rows of a namespace, as they are at one moment, with their values, one at a time.
    fn scan(&self, namespace: &str, now: i64, each: &mut Each<'_>) -> Result<()>;

    /// Carries out all operations of a write, in their order, or where a check does not hold or one fails, none of
    /// them. It also removes some of the rows that have expired.
    fn write(&self, write: &mut Write<'_, '_>) -> Result<Outcome>;

    /// Stores what an import reads, or where it fails, nothing. Other writers wait.
    fn import(&self, clock: &Clock, import: &mut Import<'_>) -> Result<()>;

    /// Removes the first rows of a range, the expired ones too: one step of a long removal.
    fn remove(&self, range: Range<'_>, step: Step, clock: &Clock) -> Result<Removed>;

    /// Removes up to `max` expired rows at once, and counts them; fewer than `max` are all there were.
    fn sweep(&self, max: u64, now: i64) -> Result<u64>;

    /// Lets who waits to write do so, between two steps of something long.
    fn pause(&self);

    /// The names of the namespaces that have a live key, in byte order.
    fn namespaces(&self, now: i64) -> Result<Vec<String>>;

    /// Every namespace that has rows, in byte order of their names.
    fn stats(&self, now: i64) -> Result<Vec<NamespaceStats>>;

    /// How many bytes it takes on disk.
    fn file_size(&self) -> Result<u64>;

    /// Gives back to the system what deleted rows have left.
    fn compact(&self) -> Result<()>;

    /// Moves what is in the log into the file itself. It is BUSY where others hold some of it back.
    fn checkpoint(&self) -> Result<()>;

    /// Copies everything, as it is at one moment, into a new file.
    fn backup(&self, to: &Path) -> Result<()>;

    /// The maps of a store in memory, whose contents can be taken as records: see `memory::record`.
    #[cfg(any(target_family = "wasm", fuzzing, test))]
    fn memory(&self) -> Option<&memory::Memory> {
        None
    }

    /// Lets go of everything. Every later call is [`Error::closed`](crate::Error), but for `close` itself.
    fn close(&self) -> Result<()>;
}

/// How many expired rows a write removes beside its own work: more than it can add, so the dead never pile up.
const SWEEP_PER_WRITE: u64 = 16;

// What grows with what is stored must not abort the process when memory runs out.

fn copy(bytes: &[u8], to: &mut Vec<u8>) -> Result<()> {
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

fn push<T>(list: &mut Vec<T>, item: T) -> Result<()> {
    list.try_reserve(1).map_err(|_| Error::no_memory(size_of_val(list.as_slice())))?;
    list.push(item);
    Ok(())
}
