//! The memory that the cache of values takes. (This is a program of its own, since it counts all memory.)

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use luat_kv::{OpenOptions, Store};

/// Counts the memory that is in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it only counts what it passes on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_cache_stays_within_its_size() {
    const SIZE: u64 = 8 * 1024 * 1024;
    const KEYS: u32 = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("kv.db"), &OpenOptions::new().cache_size(SIZE)).unwrap();
    let n = store.namespace("n").unwrap();
    for first in (0..KEYS).step_by(10_000) {
        let mut batch = store.batch();
        for key in first..first + 10_000 {
            batch.put(&n, &key.to_string(), "a value of some bytes").unwrap();
        }
        batch.commit().unwrap();
    }
    let before = IN_USE.load(Ordering::Relaxed);
    let mut entry = luat_kv::Entry::default();
    for key in 0..KEYS {
        // It gets into the cache when it is asked for again.
        for _ in 0..2 {
            n.read_value(&key.to_string(), &mut entry).unwrap();
        }
    }
    drop(entry);
    let taken = (IN_USE.load(Ordering::Relaxed) - before) as u64;
    let size = store.stats().unwrap().cache.size;
    assert!(size > SIZE / 2 && taken <= SIZE, "{taken} bytes, of which {size} are rows");
}
