//! Plain data that goes in and out of a store.

use std::time::Duration;

use crate::clock::Clock;
use crate::version::Version;

/// A set of limits, chosen when a store is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limits {
    /// Wide ones: keys of 4 KiB, values of 512 MiB.
    #[default]
    Default,
    /// Those of Cloudflare Workers KV, so that an app which must later run there fails here first.
    Cloudflare,
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// The death of the process, also by SIGKILL. A power cut may lose the last moments; it never harms the file.
    #[default]
    Normal,
    /// The power cut too, for an fsync with each write.
    Full,
}

/// How to open a store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenOptions {
    /// What keys, values and lifetimes may be.
    pub limits: Limits,
    /// What a write survives. Without meaning in memory.
    pub durability: Durability,
    /// How long a call waits while another process writes, or another thread imports or compacts. Without meaning in
    /// memory.
    pub busy_timeout: Duration,
    /// Open a database that exists, and never write to it. Without meaning in memory.
    pub readonly: bool,
    /// Make the database, and the folders it lies in, where it is missing. Without meaning with `readonly` and in memory.
    pub create: bool,
    /// Where the time comes from.
    pub clock: Clock,
}

impl OpenOptions {
    /// The busy timeout unless another is given.
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
        }
    }
}

/// A key with what it holds, as a read, a list or [`take`](crate::Namespace::take) returns it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The stored bytes, unchanged. `None` in a list without [values](ListOptions::values).
    pub value: Option<Vec<u8>>,
    /// The metadata as JSON text, where there is any.
    pub metadata: Option<String>,
    /// Unix seconds at which the entry is gone, where it expires at all.
    pub expiration: Option<i64>,
    /// Which write it comes from.
    pub version: Version,
}

impl Entry {
    /// The stored bytes; empty where they were not asked for.
    pub fn value(&self) -> &[u8] {
        self.value.as_deref().unwrap_or_default()
    }

    /// The stored bytes without the rest; empty where they were not asked for.
    pub fn into_value(self) -> Vec<u8> {
        self.value.unwrap_or_default()
    }
}

/// How to store a value. The default keeps it for ever, without metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutOptions<'a> {
    /// Unix seconds, in the future, and not after the year 9999.
    pub expiration: Option<i64>,
    /// Seconds from now, at least 1. Wins over `expiration`, as with Cloudflare. It counts from the next full second, so
    /// that the entry lives for at least as long, and for less than a second more.
    pub expiration_ttl: Option<i64>,
    /// JSON text of any value but `null`.
    pub metadata: Option<&'a str>,
}

impl<'a> PutOptions<'a> {
    /// The default options.
    pub const fn new() -> Self {
        PutOptions { expiration: None, expiration_ttl: None, metadata: None }
    }

    /// Lets the entry expire this many seconds from now: sets [`expiration_ttl`](Self::expiration_ttl).
    pub fn ttl(self, seconds: impl Into<Option<i64>>) -> Self {
        PutOptions { expiration_ttl: seconds.into(), ..self }
    }

    /// Lets the entry expire at a time in Unix seconds: sets [`expiration`](Self::expiration).
    pub fn expires_at(self, seconds: impl Into<Option<i64>>) -> Self {
        PutOptions { expiration: seconds.into(), ..self }
    }

    /// Stores JSON text beside the value: sets [`metadata`](Self::metadata).
    pub fn metadata(self, json: impl Into<Option<&'a str>>) -> Self {
        PutOptions { metadata: json.into(), ..self }
    }
}

/// How to count: see [`Namespace::incr`](crate::Namespace::incr).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IncrOptions {
    /// What a missing key counts from.
    pub initial: i64,
    /// When a key that is created here is gone, in Unix seconds. One that is there keeps its own expiration.
    pub expiration: Option<i64>,
    /// The same in seconds from now, at least 1. Wins over `expiration`.
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

    /// Lets a key that is created expire this many seconds from now: sets [`expiration_ttl`](Self::expiration_ttl).
    pub fn ttl(self, seconds: impl Into<Option<i64>>) -> Self {
        IncrOptions { expiration_ttl: seconds.into(), ..self }
    }

    /// Lets a key that is created expire at a time in Unix seconds: sets [`expiration`](Self::expiration).
    pub fn expires_at(self, seconds: impl Into<Option<i64>>) -> Self {
        IncrOptions { expiration: seconds.into(), ..self }
    }
}

/// Which keys to list. The default is the first 1000 of the namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListOptions<'a> {
    /// Only keys that begin with this; every character stands for itself.
    pub prefix: &'a str,
    /// Only keys from here on, itself included, in byte order, whichever way the list goes.
    pub start: &'a str,
    /// Only keys before this one. It is not empty.
    pub stop: Option<&'a str>,
    /// At most this many; `None` is 1000.
    pub limit: Option<u64>,
    /// Where the previous page ended: its [`Page::cursor`]. It goes with the same prefix and direction only.
    pub cursor: Option<&'a str>,
    /// From the last key to the first.
    pub reverse: bool,
    /// With the values. Such a page ends early when they come to 16 MiB.
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

/// One page of a list, in byte order of the keys, or the reverse of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// Live entries; without their values unless the list asked for them.
    pub entries: Vec<Entry>,
    /// Where the next page begins; `None` when nothing live is left, which is what Workers KV calls `list_complete`.
    pub cursor: Option<String>,
}

/// What a namespace holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamespaceStats {
    /// Its name.
    pub name: String,
    /// How many keys are to be seen.
    pub live: u64,
    /// How many have expired, and are still to be swept away.
    pub expired: u64,
}

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The database file's absolute path, or `memory`.
    pub path: String,
    /// How many bytes it takes on disk, its log included; 0 in memory.
    pub file_size: u64,
    /// Every namespace that has keys, in byte order of their names.
    pub namespaces: Vec<NamespaceStats>,
}

/// How an export is laid out. Both can be imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// One array, as Wrangler's `kv bulk put` takes it.
    #[default]
    Json,
    /// JSON Lines: the same objects, each on a line of its own.
    JsonLines,
}

/// What an import came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// How many entries were stored.
    pub stored: u64,
    /// How many were left out: those that have expired and, unless they were to be replaced, those that were there.
    pub skipped: u64,
}

#[cfg(any(feature = "sqlite", target_os = "wasi"))]
impl Format {
    /// What a file's name asks for: `.jsonl` and `.ndjson` are JSON Lines.
    pub fn of_file(path: impl AsRef<std::path::Path>) -> Format {
        match path.as_ref().extension().and_then(|extension| extension.to_str()) {
            Some("jsonl" | "ndjson") => Format::JsonLines,
            _ => Format::Json,
        }
    }
}
