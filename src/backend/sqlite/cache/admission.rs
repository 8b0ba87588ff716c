//! Which rows are added to the cache: those of keys that were asked for before, while hits make up for the work.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::LazyLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use hashbrown::DefaultHashBuilder;

use super::words::{WORD, last_word, zeroed};
use crate::backend::Name;

/// What is computed of the name of a namespace, once for all reads by a handle of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prepared {
    hash: u64,
    /// The word of the last bytes.
    pub(super) last: u64,
}

impl Prepared {
    pub fn of(namespace: &str) -> Prepared {
        static HASHER: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);
        Prepared { hash: HASHER.hash_one(namespace.as_bytes()), last: last_word(namespace.as_bytes()) }
    }
}

impl<'a> Name<'a> {
    pub fn new(namespace: &'a str, key: &'a [u8]) -> Name<'a> {
        Name { namespace, key, prepared: Prepared::of(namespace) }
    }
}

/// Names that have the same hash are compared.
impl Hash for Name<'_> {
    #[inline(always)]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.key);
        state.write_u64(self.prepared.hash);
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

/// Whether rows are added at all. Where other processes commit all the time, the cache is emptied before it has answered
/// anything, and a read that adds its row takes a quarter longer.
#[derive(Default)]
pub(super) struct Worth {
    /// How many hits there were when the cache was last emptied, and how many rows were added since.
    hits: AtomicU64,
    added: AtomicU64,
    /// For how many misses nothing is added, and how many of them are left.
    pause: AtomicU64,
    left: AtomicU64,
    /// Whether the cache has been in a pause since it was last emptied, which then says nothing.
    has_paused: AtomicBool,
}

impl Worth {
    const SHORTEST: u64 = 16;
    const LONGEST: u64 = 4096;

    /// Whether to add what a miss reads.
    pub fn adds(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        self.left.load(Relaxed) == 0 || self.left.fetch_update(Relaxed, Relaxed, one_less).is_err()
    }

    pub fn has_added(&self) {
        self.added.fetch_add(1, Relaxed);
    }

    /// Notes that the cache is emptied after so many hits in all. Without enough of them, makes a pause, which is longer
    /// each time. One thread at a time calls this.
    pub fn has_emptied(&self, hits: u64) {
        let added = self.added.swap(0, Relaxed);
        let gained = hits.saturating_sub(self.hits.swap(hits, Relaxed));
        if !self.has_paused.swap(false, Relaxed) && added > 0 {
            let pause = match 4 * gained < added {
                true => (2 * self.pause.load(Relaxed)).clamp(Self::SHORTEST, Self::LONGEST),
                false => 0,
            };
            self.pause.store(pause, Relaxed);
            self.left.store(pause, Relaxed);
            self.has_paused.store(pause > 0, Relaxed);
        }
    }
}
