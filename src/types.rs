//! Plain data that goes in and out of a store.

use std::time::Duration;

use crate::clock::Clock;
use crate::version::Version;

/// A set of limits, chosen when a store is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limits {
    /// Wide ones: keys of 4 KiB, values of 512 MiB.
    #[default]
    Default,
    /// Those of Cloudflare Workers KV, so that an app which must later run there fails here first.
    Cloudflare,
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The death of the process, also by SIGKILL. A power cut may lose the last moments; it never harms the file.
    #[default]
    Normal,
    /// The power cut too, for an fsync with each write.
    Full,
}

/// How to open a store.
#[derive(Clone, Debug)]
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

/// What a key holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The stored bytes, unchanged.
    pub value: Vec<u8>,
    /// The metadata as JSON text, where there is any.
    pub metadata: Option<String>,
    /// Unix seconds at which the entry is gone, where it expires at all.
    pub expiration: Option<i64>,
    /// Which write it comes from.
    pub version: Version,
}

/// How to store a value. The default keeps it for ever, without metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutOptions<'a> {
    /// Unix seconds, in the future, and not after the year 9999.
    pub expiration: Option<i64>,
    /// Seconds from now, at least 1. Wins over `expiration`, as with Cloudflare. It counts from the next full second, so
    /// that the entry lives for at least as long, and for less than a second more.
    pub expiration_ttl: Option<i64>,
    /// JSON text of any value but `null`.
    pub metadata: Option<&'a str>,
}

/// How to count: see [`Namespace::incr`](crate::Namespace::incr).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IncrOptions {
    /// What a missing key counts from.
    pub initial: i64,
    /// When a key that is created here is gone, in Unix seconds. One that is there keeps its own expiration.
    pub expiration: Option<i64>,
    /// The same in seconds from now, at least 1. Wins over `expiration`.
    pub expiration_ttl: Option<i64>,
}

/// Which keys to list. The default is the first 1000 of the namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// A key that was listed or looked up, with what is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyInfo {
    /// The key.
    pub name: String,
    /// The metadata as JSON text, where there is any.
    pub metadata: Option<String>,
    /// Unix seconds at which the entry is gone, where it expires at all.
    pub expiration: Option<i64>,
    /// Which write it comes from.
    pub version: Version,
    /// The value, where values were asked for.
    pub value: Option<Vec<u8>>,
}

/// One page of a list, in byte order of the keys, or the reverse of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Live keys.
    pub keys: Vec<KeyInfo>,
    /// Where the next page begins; `None` when nothing live is left, which is what Workers KV calls `list_complete`.
    pub cursor: Option<String>,
}

/// What a namespace holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
pub enum Format {
    /// One array, as Wrangler's `kv bulk put` takes it.
    #[default]
    Json,
    /// JSON Lines: the same objects, each on a line of its own.
    JsonLines,
}

/// What an import came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
