//! Memory for small allocations when there is no other left.
//!
//! What is large is allocated so that it may fail, and then that is NOMEM. What is small (a message, a node of a map) is
//! allocated in the midst of things by code, of ours and of others', that cannot fail: a process ends there. Operating
//! systems hardly ever let that happen, but WebAssembly's memory has an end that a page may come to, and the instance
//! would be dead. So there a reserve is set apart, for one call at a time:
//!
//! - An allocation of up to `SMALL` bytes for which there is no memory gets it from the reserve.
//! - Half of the reserve is for those that cannot fail: one that can does, rather than leave less ([`check`]), and a call
//!   begins only where there is that much. It is far more than the small things of one call come to.
//! - A put for which the reserve was touched is taken back ([`Usage`]). So nothing that stays lies there, but for what is
//!   noted of deletions, which themselves give room.

use crate::error::{Error, Result};

/// Is there room for what is small?
#[inline]
pub(crate) fn is_there() -> bool {
    reserve::has_half()
}

/// That there is room for what is small; else it is NOMEM.
#[cfg_attr(target_family = "wasm", inline(never))]
pub(crate) fn check() -> Result<()> {
    if is_there() { Ok(()) } else { Err(Error::no_reserve()) }
}

/// That so many bytes are free beside the reserve, for what is going to allocate them bit by bit and cannot fail.
pub(crate) fn room(len: usize) -> Result<()> {
    if reserve::is_free(len) { Ok(()) } else { Err(Error::no_memory(len)) }
}

/// How often the reserve had been touched at some moment.
#[derive(Clone, Copy)]
pub(crate) struct Usage(usize);

impl Usage {
    pub(crate) fn now() -> Self {
        Usage(reserve::touched())
    }

    /// That it was not touched since.
    #[cfg_attr(target_family = "wasm", inline(never))]
    pub(crate) fn check_unchanged(self) -> Result<()> {
        if reserve::touched() == self.0 { Ok(()) } else { Err(Error::no_reserve()) }
    }
}

/// Elsewhere there is none: docs/design.md says why.
#[cfg(not(target_family = "wasm"))]
mod native {
    #[inline(always)]
    pub fn has_half() -> bool {
        true
    }

    #[inline(always)]
    pub fn is_free(_: usize) -> bool {
        true
    }

    #[inline(always)]
    pub fn touched() -> usize {
        0
    }
}

#[cfg(target_family = "wasm")]
mod wasm;

#[cfg(not(target_family = "wasm"))]
use native as reserve;
#[cfg(target_family = "wasm")]
use wasm as reserve;
