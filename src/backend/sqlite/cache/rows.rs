//! What the cache contains: rows by their names, up to a size, those that are read most.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

// By another name, since cbindgen takes types for each other that have the same.
use quick_cache::sync::Cache as Container;
use quick_cache::{DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter};

use crate::backend::{Projection, copy, copy_text};
use crate::error::Result;
use crate::shards::SHARDS;
use crate::types::Entry;
use crate::version::Version;

pub(super) type Rows = Container<Place, Arc<Cached>, Weight>;

/// A row as of an epoch.
pub(super) struct Cached {
    pub epoch: u64,
    /// `None`: there is no such row.
    pub row: Option<Row>,
}

/// What is known of a row.
pub(in super::super) struct Row {
    pub value: Box<[u8]>,
    pub expiration: Option<i64>,
    /// `None` if it was not read.
    pub rest: Option<(Option<Box<str>>, Version)>,
}

impl Row {
    /// What a read has found. Returns `None` if it is too large for a cache of this size, or for the memory.
    pub fn of(entry: &Entry, expiration: Option<i64>, projection: Projection, size: u64) -> Option<Row> {
        let metadata = entry.metadata.as_deref().filter(|_| projection == Projection::Entry);
        let len = entry.value().len() + metadata.map_or(0, str::len);
        if len as u64 > size / LARGEST {
            return None;
        }
        let mut value = Vec::new();
        copy(entry.value(), &mut value).ok()?;
        let rest = match projection {
            Projection::Entry => {
                let metadata = metadata.map(copy_text).transpose().ok()?;
                Some((metadata.map(String::into_boxed_str), entry.version))
            }
            _ => None,
        };
        Some(Row { value: value.into_boxed_slice(), expiration, rest })
    }

    /// Returns `None` if the file must be asked.
    pub fn has_expired(&self, now: i64, swept: i64) -> Option<bool> {
        match self.expiration {
            Some(end) if end <= now => Some(true),
            // The clock was set back, and the row may be gone.
            Some(end) if end <= swept => None,
            _ => Some(false),
        }
    }

    /// Sets the fields of an entry besides the key and the value. Returns `None` if the file must be asked.
    pub fn describe(&self, entry: &mut Entry) -> Option<Result<()>> {
        let (metadata, version) = self.rest.as_ref()?;
        let metadata = metadata.as_deref().map(copy_text).transpose();
        (entry.expiration, entry.version) = (self.expiration, *version);
        Some(metadata.map(|metadata| entry.metadata = metadata))
    }

    fn len(&self) -> usize {
        let metadata = self.rest.as_ref().and_then(|(metadata, _)| metadata.as_ref());
        self.value.len() + metadata.map_or(0, |metadata| metadata.len())
    }
}

/// A row takes at most this part of the cache's size.
const LARGEST: u64 = 128;

/// What a row takes besides its texts: headers of allocations, and its places in lists and tables.
const OVERHEAD: usize = 256;

impl Cached {
    fn len(&self) -> usize {
        self.row.as_ref().map_or(0, Row::len)
    }
}

/// Which keys were asked for lately. A key is added to the cache at its second miss: most keys that a walk through the
/// whole store reads, it reads once, and to add one costs a quarter of its read.
pub(super) struct Asked {
    hasher: DefaultHashBuilder,
    /// A part of the hash of the last key at each place; a few keys are taken for each other.
    marks: Box<[AtomicU8]>,
}

impl Asked {
    /// About as many places as a cache of this size has rows.
    pub fn new(size: u64) -> Asked {
        const MOST: u64 = 1 << 20;
        let places = (size / OVERHEAD as u64).clamp(1, MOST).next_power_of_two() as usize;
        let mut marks = Vec::new();
        // Without memory for them, no key was asked for.
        if marks.try_reserve_exact(places).is_ok() {
            marks.resize_with(places, || AtomicU8::new(0));
        }
        Asked { hasher: DefaultHashBuilder::default(), marks: marks.into_boxed_slice() }
    }

    /// Notes a key, and returns whether it was noted before.
    pub fn again(&self, name: &Name<'_>) -> bool {
        let hash = self.hasher.hash_one(name);
        let mark = (hash >> 56) as u8 | 1; // 0 is no key
        let place = hash as usize & self.marks.len().wrapping_sub(1);
        self.marks.get(place).is_some_and(|last| {
            last.load(Relaxed) == mark || {
                last.store(mark, Relaxed);
                false
            }
        })
    }
}

/// Makes an empty container for this many bytes.
pub(super) fn new_rows(size: u64) -> Rows {
    let rows = usize::try_from(size).unwrap_or(usize::MAX) / (2 * OVERHEAD);
    let mut options = OptionsBuilder::new();
    let options = options.shards(SHARDS).estimated_items_capacity(rows).weight_capacity(size).build();
    let options = options.unwrap_or_else(|_| unreachable!("all of them are set"));
    Container::with_options(options, Weight, Default::default(), Default::default())
}

#[derive(Clone)]
pub(super) struct Weight;

impl Weighter<Place, Arc<Cached>> for Weight {
    fn weight(&self, place: &Place, cached: &Arc<Cached>) -> u64 {
        (OVERHEAD + place.names.len() + cached.len()) as u64
    }
}

/// The name of a row: the key, and after it the namespace.
#[derive(PartialEq, Eq)]
pub(super) struct Place {
    names: Box<[u8]>,
    key: usize,
}

/// The same, of a caller.
pub(super) struct Name<'a> {
    pub namespace: &'a str,
    pub key: &'a [u8],
}

impl Place {
    /// Returns `None` if there is no memory for it.
    pub fn new(namespace: &str, key: &str) -> Option<Place> {
        let mut names = Vec::new();
        names.try_reserve_exact(key.len() + namespace.len()).ok()?;
        names.extend_from_slice(key.as_bytes());
        names.extend_from_slice(namespace.as_bytes());
        Some(Place { names: names.into_boxed_slice(), key: key.len() })
    }
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (key, namespace) = self.names.split_at(self.key);
        state.write(key);
        state.write(namespace);
    }
}

impl Hash for Name<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.key);
        state.write(self.namespace.as_bytes());
    }
}

impl Equivalent<Place> for Name<'_> {
    fn equivalent(&self, place: &Place) -> bool {
        let (key, namespace) = place.names.split_at(place.key);
        key == self.key && namespace == self.namespace.as_bytes()
    }
}
