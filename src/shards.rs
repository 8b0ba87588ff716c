//! Copies of a value, each for some of the threads. Where every call locks a value or counts in it, cores would pass
//! one copy to each other all the time, and several threads would not be faster than one.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// How many copies there are. More threads than these share them.
pub(crate) const SHARDS: usize = 16;

/// Aligned so that no two copies are in the same line of a core's cache, or in two lines that are fetched together.
#[repr(align(128))]
pub(crate) struct Shard<T>(pub T);

pub(crate) struct Shards<T>(pub [Shard<T>; SHARDS]);

/// Which copies are this thread's.
#[derive(Clone, Copy)]
pub(crate) struct Mine(usize);

impl Mine {
    #[inline(always)]
    pub fn get() -> Mine {
        match OF_THREADS[place(this_thread())].load(Ordering::Relaxed) {
            0 => next(),
            number => Mine(number.into()),
        }
    }
}

/// The copies of each thread, by a hash of what identifies it; 0 if it has none yet. Few threads have the same hash, and
/// those share copies. (A thread-local variable of a shared library takes twice as many instructions.)
static OF_THREADS: [AtomicU8; PLACES] = [const { AtomicU8::new(0) }; PLACES];

const PLACES: usize = 1 << 10;

#[inline]
fn place(thread: usize) -> usize {
    /// 2 to the power of the number of bits, divided by the golden ratio.
    const SPREAD: usize = (0x9E37_79B9_7F4A_7C15_u64 >> (u64::BITS - usize::BITS)) as usize;
    // On Unix it is an address, most often at the end of the thread's stack, and no two are within 64 KiB.
    (thread >> 16).wrapping_mul(SPREAD) >> (usize::BITS - PLACES.ilog2())
}

#[cold]
fn next() -> Mine {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // Not 0, which is no number yet.
    let number = SHARDS + NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    OF_THREADS[place(this_thread())].store(number as u8, Ordering::Relaxed);
    Mine(number)
}

#[cfg(unix)]
#[inline]
fn this_thread() -> usize {
    // SAFETY: it only returns what identifies this thread.
    unsafe { libc::pthread_self() as usize }
}

#[cfg(not(unix))]
fn this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static THIS: usize = NEXT.fetch_add(1, Ordering::Relaxed) << 16);
    THIS.with(|this| *this)
}

impl<T> Shards<T> {
    #[inline]
    pub fn at(&self, mine: Mine) -> &T {
        &self.0[mine.0 % SHARDS].0
    }

    #[cfg(feature = "sqlite")]
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|shard| &shard.0)
    }
}
