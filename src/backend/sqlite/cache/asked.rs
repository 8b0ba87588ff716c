//! Which keys were asked for lately, and the names of rows.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use hashbrown::DefaultHashBuilder;

use super::words::{WORD, zeroed};

/// The name of a row.
#[derive(Clone, Copy)]
pub(in super::super) struct Name<'a> {
    pub namespace: &'a str,
    pub key: &'a [u8],
}

/// Names that are divided in another way have the same hash, and are compared.
impl Hash for Name<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.key);
        state.write(self.namespace.as_bytes());
    }
}

/// A key is added to the cache at its second miss: most keys that a walk through the whole store reads, it reads once.
pub(super) struct Asked {
    hasher: DefaultHashBuilder,
    /// Parts of the hashes of the last eight keys at each place; a few keys are taken for each other.
    marks: Box<[AtomicU64]>,
    /// How many keys were not asked for before. Keys that share a place could displace each other for ever, so every
    /// sixteenth is added at once.
    others: AtomicU64,
}

impl Asked {
    /// About as many marks as a cache of this size has rows.
    pub fn new(size: u64) -> Asked {
        let marks = zeroed(Asked::places(size)).unwrap_or_default(); // without memory for them, no key was asked for
        Asked { hasher: DefaultHashBuilder::default(), marks, others: AtomicU64::new(0) }
    }

    fn places(size: u64) -> usize {
        const USUAL: u64 = 256;
        const MOST: u64 = 1 << 17;
        (size / (USUAL * WORD as u64)).clamp(1, MOST).next_power_of_two() as usize
    }

    /// How many bytes it takes.
    pub fn len(size: u64) -> usize {
        Asked::places(size) * WORD
    }

    /// Notes a key, and returns whether to add it.
    pub fn again(&self, name: &Name<'_>) -> bool {
        let hash = self.hasher.hash_one(name);
        let mark = (hash >> 56) as u8 | 1; // 0 is no key
        let place = hash as usize & self.marks.len().wrapping_sub(1);
        self.marks.get(place).is_some_and(|marks| {
            let known = marks.load(Relaxed);
            known.to_le_bytes().contains(&mark) || {
                marks.store(known << 8 | u64::from(mark), Relaxed);
                self.others.fetch_add(1, Relaxed) % 16 == 15
            }
        })
    }
}
