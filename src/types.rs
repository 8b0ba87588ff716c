//! Plain data that is passed into a store and returned from it.

use std::time::Duration;

use crate::clock::Clock;
use crate::version::Version;

/// A set of limits, chosen when a store is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limits {
    /// Wide limits: keys of 4 KiB, values of 512 MiB.
    #[default]
    Default,
    /// The limits of Cloudflare Workers KV, so that an app that will run there fails early.
    Cloudflare,
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// The end of the process, also by SIGKILL. A power failure may lose the last writes, but never damages the file.
    #[default]
    Normal,
    /// Also a power failure. Each write costs an fsync.
    Full,
}

/// How to open a store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenOptions {
    /// The limits for keys, values and lifetimes.
    pub limits: Limits,
    /// What a write survives. Ignored in memory. With PostgreSQL the server decides, and `Full` is an error.
    pub durability: Durability,
    /// How long a call waits while another process writes, or another thread imports or compacts. Ignored in memory.
    pub busy_timeout: Duration,
    /// Open an existing database, and never write to it. Ignored in memory.
    pub readonly: bool,
    /// Create the database and its folders if they are missing. Ignored with `readonly` and in memory.
    pub create: bool,
    /// The source of the present time.
    pub clock: Clock,
    /// How much memory the cache of values may take, in bytes, at most the memory of the machine. 0: the store reads
    /// without one. A read of a value that it has does not use SQLite, and returns what any process has stored last, as
    /// every read does. The stores on one file share one cache, with the size of the first that reads. Ignored in
    /// memory. With PostgreSQL there is none, and a size other than 0 and the default is an error.
    pub cache_size: u64,
}

impl OpenOptions {
    /// The default of [`cache_size`](Self::cache_size): 16 MiB.
    pub const DEFAULT_CACHE_SIZE: u64 = 2_u64.pow(24);

    /// The default of [`busy_timeout`](Self::busy_timeout).
    pub const DEFAULT_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

    /// The default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`limits`](Self::limits).
    pub fn limits(self, limits: Limits) -> Self {
        OpenOptions { limits, ..self }
    }

    /// Sets [`durability`](Self::durability).
    pub fn durability(self, durability: Durability) -> Self {
        OpenOptions { durability, ..self }
    }

    /// Sets [`busy_timeout`](Self::busy_timeout).
    pub fn busy_timeout(self, busy_timeout: Duration) -> Self {
        OpenOptions { busy_timeout, ..self }
    }

    /// Sets [`readonly`](Self::readonly).
    pub fn readonly(self, readonly: bool) -> Self {
        OpenOptions { readonly, ..self }
    }

    /// Sets [`create`](Self::create).
    pub fn create(self, create: bool) -> Self {
        OpenOptions { create, ..self }
    }

    /// Sets [`cache_size`](Self::cache_size).
    pub fn cache_size(self, cache_size: u64) -> Self {
        OpenOptions { cache_size, ..self }
    }

    /// Sets [`clock`](Self::clock).
    pub fn clock(self, clock: Clock) -> Self {
        OpenOptions { clock, ..self }
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions {
            limits: Limits::default(),
            durability: Durability::default(),
            busy_timeout: Self::DEFAULT_BUSY_TIMEOUT,
            readonly: false,
            create: true,
            clock: Clock::system(),
            cache_size: Self::DEFAULT_CACHE_SIZE,
        }
    }
}

/// A key and what it holds, as a read, a list or [`take`](crate::Namespace::take) returns it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The stored bytes, unchanged. `None` in a list without [values](ListOptions::values).
    pub value: Option<Vec<u8>>,
    /// The metadata as JSON text, if there is any.
    pub metadata: Option<String>,
    /// When the entry expires, in Unix seconds; `None` if it does not expire.
    pub expiration: Option<i64>,
    /// The version of the write that stored the entry.
    pub version: Version,
}

impl Entry {
    /// The stored bytes; empty if they were not read.
    pub fn value(&self) -> &[u8] {
        self.value.as_deref().unwrap_or_default()
    }

    /// Returns the stored bytes, and drops the rest; empty if they were not read.
    pub fn into_value(self) -> Vec<u8> {
        self.value.unwrap_or_default()
    }
}

/// How to store a value. By default it does not expire and has no metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutOptions<'a> {
    /// When the entry expires, in Unix seconds: a time in the future, and not after the year 9999.
    pub expiration: Option<i64>,
    /// Seconds from now, at least 1. Overrides `expiration`, as with Cloudflare. It counts from the next full second,
    /// so the entry lives at least this long, and less than a second longer.
    pub expiration_ttl: Option<i64>,
    /// JSON text of any value except `null`.
    pub metadata: Option<&'a str>,
}

impl<'a> PutOptions<'a> {
    /// The default options.
    pub const fn new() -> Self {
        PutOptions { expiration: None, expiration_ttl: None, metadata: None }
    }

    /// Makes the entry expire this many seconds from now: sets [`expiration_ttl`](Self::expiration_ttl).
    pub fn ttl(self, seconds: impl Into<Option<i64>>) -> Self {
        PutOptions { expiration_ttl: seconds.into(), ..self }
    }

    /// Makes the entry expire at a time in Unix seconds: sets [`expiration`](Self::expiration).
    pub fn expires_at(self, seconds: impl Into<Option<i64>>) -> Self {
        PutOptions { expiration: seconds.into(), ..self }
    }

    /// Stores JSON text beside the value: sets [`metadata`](Self::metadata).
    pub fn metadata(self, json: impl Into<Option<&'a str>>) -> Self {
        PutOptions { metadata: json.into(), ..self }
    }
}

/// Options of [`Namespace::incr_with`](crate::Namespace::incr_with).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IncrOptions {
    /// The value that a missing key starts from.
    pub initial: i64,
    /// When a key that this call creates expires, in Unix seconds. An existing key keeps its expiration.
    pub expiration: Option<i64>,
    /// The same in seconds from now, at least 1. Overrides `expiration`.
    pub expiration_ttl: Option<i64>,
}

impl IncrOptions {
    /// The default options.
    pub const fn new() -> Self {
        IncrOptions { initial: 0, expiration: None, expiration_ttl: None }
    }

    /// Sets [`initial`](Self::initial).
    pub const fn initial(self, initial: i64) -> Self {
        IncrOptions { initial, ..self }
    }

    /// Makes a key that is created expire this many seconds from now: sets [`expiration_ttl`](Self::expiration_ttl).
    pub fn ttl(self, seconds: impl Into<Option<i64>>) -> Self {
        IncrOptions { expiration_ttl: seconds.into(), ..self }
    }

    /// Makes a key that is created expire at a time in Unix seconds: sets [`expiration`](Self::expiration).
    pub fn expires_at(self, seconds: impl Into<Option<i64>>) -> Self {
        IncrOptions { expiration: seconds.into(), ..self }
    }
}

/// Which keys to list. By default, a page has the first 1000 of the namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListOptions<'a> {
    /// Only keys that begin with this text. It has no wildcards.
    pub prefix: &'a str,
    /// Only this key and those after it in byte order, in either direction of the list.
    pub start: &'a str,
    /// Only keys before this one in byte order. Must not be empty.
    pub stop: Option<&'a str>,
    /// The maximum number of keys: of a [page](crate::Namespace::list), where `None` means 1000, or of a whole
    /// [scan](crate::Namespace::scan), where `None` means no limit.
    pub limit: Option<u64>,
    /// The [`Page::cursor`] of the previous page. It is valid for the same prefix and direction only.
    pub cursor: Option<&'a str>,
    /// From the last key to the first.
    pub reverse: bool,
    /// With the values. Such a page ends early once the values amount to 16 MiB.
    pub values: bool,
}

impl<'a> ListOptions<'a> {
    /// The default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`prefix`](Self::prefix).
    pub fn prefix(self, prefix: &'a str) -> Self {
        ListOptions { prefix, ..self }
    }

    /// Sets [`start`](Self::start).
    pub fn start(self, start: &'a str) -> Self {
        ListOptions { start, ..self }
    }

    /// Sets [`stop`](Self::stop).
    pub fn stop(self, stop: impl Into<Option<&'a str>>) -> Self {
        ListOptions { stop: stop.into(), ..self }
    }

    /// Sets [`limit`](Self::limit).
    pub fn limit(self, limit: impl Into<Option<u64>>) -> Self {
        ListOptions { limit: limit.into(), ..self }
    }

    /// Sets [`cursor`](Self::cursor).
    pub fn cursor(self, cursor: impl Into<Option<&'a str>>) -> Self {
        ListOptions { cursor: cursor.into(), ..self }
    }

    /// Sets [`reverse`](Self::reverse).
    pub fn reverse(self, reverse: bool) -> Self {
        ListOptions { reverse, ..self }
    }

    /// Sets [`values`](Self::values).
    pub fn values(self, values: bool) -> Self {
        ListOptions { values, ..self }
    }
}

/// One page of a list, in byte order of the keys, or in reverse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// Live entries, without their values unless the list asked for values.
    pub entries: Vec<Entry>,
    /// Where the next page begins; `None` if no live keys are left, which Workers KV calls `list_complete`.
    pub cursor: Option<String>,
}

/// What to watch. By default, the whole namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchOptions<'a> {
    /// Only these keys, at most 1000, whether they exist or not. Empty: those with the prefix.
    pub keys: &'a [&'a str],
    /// Only keys that begin with this text. It has no wildcards.
    pub prefix: &'a str,
    /// Begins with what is there: the first [`Watch::next`](crate::Watch::next) returns every live key as [`ChangeKind::Put`]. So a program that
    /// keeps a copy needs no list, and can miss nothing between that and the watch.
    pub existing: bool,
    /// Goes on from the [token](crate::Watch::token) of an earlier watch of this namespace: the first
    /// [`Watch::next`](crate::Watch::next) returns what has changed since then. If that one had other keys, or another
    /// prefix, keys that only this one has are reported as if they were new. Empty: from now on. Not with
    /// [`existing`](Self::existing).
    pub since: &'a str,
    /// With the new values. [`Watch::next`](crate::Watch::next) then returns some of the changes, and the next call the others, if the values
    /// amount to more than 16 MiB.
    pub values: bool,
}

impl<'a> WatchOptions<'a> {
    /// The default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`keys`](Self::keys).
    pub fn keys(self, keys: &'a [&'a str]) -> Self {
        WatchOptions { keys, ..self }
    }

    /// Sets [`prefix`](Self::prefix).
    pub fn prefix(self, prefix: &'a str) -> Self {
        WatchOptions { prefix, ..self }
    }

    /// Sets [`existing`](Self::existing).
    pub fn existing(self, existing: bool) -> Self {
        WatchOptions { existing, ..self }
    }

    /// Sets [`since`](Self::since).
    pub fn since(self, since: &'a str) -> Self {
        WatchOptions { since, ..self }
    }

    /// Sets [`values`](Self::values).
    pub fn values(self, values: bool) -> Self {
        WatchOptions { values, ..self }
    }
}

/// What has become of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeKind {
    /// It was stored: by a put, or any other write that gave it a new version.
    Put,
    /// It was removed.
    Delete,
    /// It is not there any more because it has expired. This is told with the next change of the store, such as the write
    /// that removes the row; a wait does not end with an expiry.
    Expire,
}

/// The latest state of a key that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// What has become of the key.
    pub kind: ChangeKind,
    /// The key and, after [`ChangeKind::Put`], what it holds. The value is `None` without [`WatchOptions::values`].
    pub entry: Entry,
}

/// What a namespace holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamespaceStats {
    /// The name of the namespace.
    pub name: String,
    /// The number of live keys.
    pub live: u64,
    /// The number of expired keys that have not been removed yet.
    pub expired: u64,
}

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// What [`Store::label`](crate::Store::label) returns.
    pub path: String,
    /// The size on disk in bytes, including the log; 0 in memory.
    pub file_size: u64,
    /// Every namespace that has keys, in byte order of the names.
    pub namespaces: Vec<NamespaceStats>,
    /// The cache of values, since this process has the file open; all 0 in memory.
    pub cache: CacheStats,
}

/// What a [cache](OpenOptions::cache_size) has done and contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// The number of keys that were read from the cache.
    pub hits: u64,
    /// The number of keys that were not in the cache, and were read by SQLite.
    pub misses: u64,
    /// How often the cache was emptied, because the file was written to in another way than by single writes of this
    /// process.
    pub drops: u64,
    /// The memory that the cache takes, in bytes.
    pub size: u64,
}

/// The format of an export. An import reads either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// One array, as Wrangler's `kv bulk put` reads it.
    #[default]
    Json,
    /// JSON Lines: the same objects, one on each line.
    JsonLines,
}

/// The result of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// The number of entries stored.
    pub stored: u64,
    /// The number of entries left out: expired ones and, unless they were to be replaced, those whose keys existed.
    pub skipped: u64,
}

#[cfg(any(feature = "sqlite", target_os = "wasi"))]
impl Format {
    /// The format for the name of a file: JSON Lines for `.jsonl` and `.ndjson`, otherwise JSON.
    pub fn of_file(path: impl AsRef<std::path::Path>) -> Format {
        match path.as_ref().extension().and_then(|extension| extension.to_str()) {
            Some("jsonl" | "ndjson") => Format::JsonLines,
            _ => Format::Json,
        }
    }
}
