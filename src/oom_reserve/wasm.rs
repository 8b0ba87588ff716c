//! WebAssembly's reserve: the system's allocator, and a fixed area that is used when it fails.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const LEN: usize = 512 * 1024;
/// The largest allocation that is made in the area.
const SMALL: usize = 64 * 1024;
const ALIGN: usize = 16;

#[repr(align(16))]
struct Place(UnsafeCell<[u8; LEN]>);

// SAFETY: the area is only handed out in parts that do not overlap.
unsafe impl Sync for Place {}

static PLACE: Place = Place(UnsafeCell::new([0; LEN]));
/// Where the free part of the area begins. Everything before it is in use, or lies below something that is.
static TOP: AtomicUsize = AtomicUsize::new(0);
/// The number of allocations in the area. When the last one is freed, the whole area is free.
static COUNT: AtomicUsize = AtomicUsize::new(0);
static TOUCHED: AtomicUsize = AtomicUsize::new(0);
// (There is only one thread: atomics are used because safe Rust requires them for a static.)

pub fn has_half() -> bool {
    TOP.load(Relaxed) <= LEN / 2
}

pub fn is_free(len: usize) -> bool {
    let Ok(layout) = Layout::from_size_align(len.max(1), 1) else { return false };
    // SAFETY: the layout has a size, and the memory is freed with the same layout.
    unsafe {
        let memory = System.alloc(layout);
        // Compilers know C's malloc. They omit it where nothing uses the memory, as if it had succeeded.
        #[cfg(target_os = "wasi")]
        let memory = std::hint::black_box(memory);
        if !memory.is_null() {
            System.dealloc(memory, layout);
        }
        !memory.is_null()
    }
}

pub fn touched() -> usize {
    TOUCHED.load(Relaxed)
}

/// The offset of memory within the area; `None` if it is outside.
fn offset_of(memory: *const u8) -> Option<usize> {
    let offset = memory.addr().wrapping_sub(PLACE.0.get().addr());
    (offset < LEN).then_some(offset)
}

fn take(layout: Layout) -> *mut u8 {
    let start = TOP.load(Relaxed);
    let end = start + layout.size().next_multiple_of(ALIGN);
    if layout.size() > SMALL || layout.align() > ALIGN || end > LEN {
        return ptr::null_mut();
    }
    TOP.store(end, Relaxed);
    COUNT.store(COUNT.load(Relaxed) + 1, Relaxed);
    TOUCHED.store(touched().wrapping_add(1), Relaxed);
    // SAFETY: the offset is within the area.
    unsafe { PLACE.0.get().cast::<u8>().add(start) }
}

fn give_back(offset: usize, layout: Layout) {
    let count = COUNT.load(Relaxed) - 1;
    COUNT.store(count, Relaxed);
    let is_topmost = offset + layout.size().next_multiple_of(ALIGN) == TOP.load(Relaxed);
    if count == 0 {
        TOP.store(0, Relaxed);
    } else if is_topmost {
        TOP.store(offset, Relaxed);
    }
}

struct WithReserve;

#[global_allocator]
static ALLOCATOR: WithReserve = WithReserve;

// SAFETY: memory comes from the system allocator and returns to it, or it is a part of the area that nothing else uses.
unsafe impl GlobalAlloc for WithReserve {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller has promised it.
        let memory = unsafe { System.alloc(layout) };
        if memory.is_null() { take(layout) } else { memory }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        match offset_of(memory) {
            Some(offset) => give_back(offset, layout),
            // SAFETY: the caller has promised it.
            None => unsafe { System.dealloc(memory, layout) },
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        if offset_of(memory).is_none() {
            // SAFETY: the caller has promised it.
            let moved = unsafe { System.realloc(memory, layout, len) };
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: the caller has promised it. The two do not overlap, since both are allocated.
        unsafe {
            let Ok(wanted) = Layout::from_size_align(len, layout.align()) else { return ptr::null_mut() };
            let moved = self.alloc(wanted);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(memory, moved, layout.size().min(len));
                self.dealloc(memory, layout);
            }
            moved
        }
    }
}
