//! A reserve of memory for small allocations when all other memory is used.
//!
//! Large allocations are fallible, and a failure is NOMEM. Small ones (a message, a node of a map) are made throughout
//! this library and its dependencies by code that cannot fail; if there is no memory, the process aborts. On operating
//! systems that is very rare, but WebAssembly's memory has a limit that a page may reach, and the instance would be
//! unusable. So there, a reserve is set aside for use within one call at a time:
//!
//! - An allocation of up to `SMALL` bytes for which there is no other memory uses the reserve.
//! - Half of the reserve is for allocations that cannot fail. A fallible one fails instead of leaving less than half
//!   ([`check`]), and a call starts only if half is left. That is far more than one call's small allocations need.
//! - A put that has used the reserve is undone ([`Usage`]). So nothing stays in the reserve, except for notes of
//!   deletions, which themselves free memory.

use crate::error::{Error, Result};

/// Whether there is room for small allocations.
#[inline]
pub fn is_there() -> bool {
    reserve::has_half()
}

/// Returns NOMEM unless there is room for small allocations.
#[cfg_attr(target_family = "wasm", inline(never))]
pub fn check() -> Result<()> {
    if is_there() { Ok(()) } else { Err(Error::no_reserve()) }
}

/// Checks that this many bytes are free outside of the reserve, for code that allocates in small steps and cannot fail.
pub(crate) fn room(len: usize) -> Result<()> {
    if reserve::is_free(len) { Ok(()) } else { Err(Error::no_memory(len)) }
}

/// A moment, by how often the reserve had been used until then.
#[derive(Clone, Copy)]
pub struct Usage(usize);

impl Usage {
    #[inline]
    pub fn now() -> Self {
        Usage(reserve::touched())
    }

    /// Checks that the reserve was not used since then.
    #[cfg_attr(target_family = "wasm", inline(never))]
    pub fn check_unchanged(self) -> Result<()> {
        if reserve::touched() == self.0 { Ok(()) } else { Err(Error::no_reserve()) }
    }
}

/// Other targets have no reserve: docs/design.md says why.
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
