//! Room for small things when memory runs out.
//!
//! What is large is allocated so that it may fail, and then that is NOMEM. What is small (a message, a node of a map) is
//! allocated in the midst of things by code, of ours and of others', that cannot fail: a process ends there. Operating
//! systems hardly ever let that happen, but WebAssembly's memory has an end that a page may come to, and the instance
//! would be dead. So there a reserve is kept for what is small:
//!
//! - An allocation of up to [`SMALL`] bytes that finds nothing gets its memory out of the reserve, which then is broken.
//! - A call begins only if the reserve is whole, or can be made whole ([`check`]); else it is NOMEM.
//! - A change that was made while the reserve was broken is taken back ([`check`] again), and so leaves it whole.
//!
//! So one call has all of the reserve for its small things, which is far more than they come to.

use crate::error::{Error, Result};

/// Is there room for what is small?
#[inline]
pub(crate) fn is_there() -> bool {
    reserve::is_whole()
}

/// That there is room for what is small; else it is NOMEM.
#[inline]
pub(crate) fn check() -> Result<()> {
    if is_there() { Ok(()) } else { Err(Error::no_memory(0)) }
}

/// Elsewhere the system sees to it.
#[cfg(not(target_family = "wasm"))]
mod reserve {
    #[inline(always)]
    pub fn is_whole() -> bool {
        true
    }
}

#[cfg(target_family = "wasm")]
mod reserve {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

    const LEN: usize = 256 * 1024;
    /// The largest allocation that breaks the reserve.
    const SMALL: usize = 64 * 1024;
    const LAYOUT: Layout = match Layout::from_size_align(LEN, 8) {
        Ok(layout) => layout,
        Err(_) => panic!("a small power of two"),
    };

    /// NULL while it is broken. (There is one thread.)
    static RESERVE: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

    pub fn is_whole() -> bool {
        if RESERVE.load(Relaxed).is_null() {
            // SAFETY: the layout has a size.
            RESERVE.store(unsafe { System.alloc(LAYOUT) }, Relaxed);
        }
        !RESERVE.load(Relaxed).is_null()
    }

    /// Breaks the reserve, and answers whether there was one.
    fn gives_way() -> bool {
        let reserve = RESERVE.swap(ptr::null_mut(), Relaxed);
        if !reserve.is_null() {
            // SAFETY: it came from there, with this layout, and nobody else has it any more.
            unsafe { System.dealloc(reserve, LAYOUT) };
        }
        !reserve.is_null()
    }

    struct WithReserve;

    #[global_allocator]
    static ALLOCATOR: WithReserve = WithReserve;

    // SAFETY: all memory is the system allocator's, and goes back there.
    unsafe impl GlobalAlloc for WithReserve {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller's promise.
            unsafe {
                let memory = System.alloc(layout);
                match memory.is_null() && layout.size() <= SMALL && gives_way() {
                    true => System.alloc(layout),
                    false => memory,
                }
            }
        }

        unsafe fn realloc(&self, memory: *mut u8, layout: Layout, len: usize) -> *mut u8 {
            // SAFETY: the caller's promise; what could not be enlarged is still there.
            unsafe {
                let enlarged = System.realloc(memory, layout, len);
                match enlarged.is_null() && len <= SMALL && gives_way() {
                    true => System.realloc(memory, layout, len),
                    false => enlarged,
                }
            }
        }

        unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
            // SAFETY: the caller's promise.
            unsafe { System.dealloc(memory, layout) };
        }
    }
}
