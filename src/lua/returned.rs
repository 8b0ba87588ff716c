//! Short values that `get` has returned, as strings of Lua, to be returned again. To make a string takes longer than to
//! read its bytes from the store.
//!
//! A string is returned again only if it is equal to the value that was just read. So what is kept here may be old, or
//! that of another store. It is kept from the second time on that its key is read, so that keys that are read once take
//! no memory and hardly any time. On WebAssembly none is kept, since a page may give the module little memory. No Lua
//! code can reach the table: it is an upvalue.

use super::ffi;
use super::stack::{KEEPS_RETURNED, State, Upvalue, string_at};

/// A longer key, or a longer value, is not kept. With [`MOST`] and what Lua takes for a string and its place in a
/// table, this is about 2.5 MB for a Lua state that reads thousands of keys again and again.
const LONGEST_KEY: usize = 64;
const LONGEST_VALUE: usize = 512;

/// How many values are kept. When there are more, all are forgotten.
const MOST: usize = 4096;

/// The number of marks, of two bits each. A key whose string has the address of one that is gone has its mark, and a few
/// keys share one. That keeps a value too early, and nothing else.
const MARKS: usize = 4 * MOST;
const MARKS_PER_WORD: usize = 32;

/// The bits of a mark: the key was read, and its value was kept.
const READ: u64 = 1;
const KEPT: u64 = 2;

/// The keys that were read. The table of the values is [`Upvalue::Returned`].
#[derive(Default)]
pub(super) struct Returned {
    /// The marks of the keys. Empty until a key is read.
    marks: Vec<u64>,
    /// How many were set since they were cleared.
    marked: usize,
    /// How many values were kept since the table was made.
    kept: usize,
}

/// What is known of a key that is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Nothing,
    /// It was read before, and its value may be kept.
    Read,
    /// Its value was kept.
    Kept,
}

impl Returned {
    /// Notes that a key is read.
    #[inline(always)]
    pub fn read(&mut self, key: &[u8]) -> Known {
        if !KEEPS_RETURNED {
            return Known::Nothing;
        }
        let (word, shift) = place(key);
        let Some(marks) = self.marks.get_mut(word) else { return self.begin() };
        match *marks >> shift & (READ | KEPT) {
            0 => {
                *marks |= READ << shift;
                self.marked += 1;
                if self.marked > MOST {
                    self.forget_marks();
                }
                Known::Nothing
            }
            READ => Known::Read,
            _ => Known::Kept,
        }
    }

    #[cold]
    fn forget_marks(&mut self) {
        self.marks.fill(0);
        self.marked = 0;
    }

    #[cold]
    fn begin(&mut self) -> Known {
        const WORDS: usize = MARKS / MARKS_PER_WORD;
        // Without memory, nothing is kept.
        if self.marks.try_reserve_exact(WORDS).is_ok() {
            self.marks.resize(WORDS, 0);
        }
        Known::Nothing
    }

    /// Keeps the value on top of the stack, of this length, for the key at index 2. Can raise an error.
    ///
    /// # Safety
    /// The caller owns nothing that needs dropping.
    pub unsafe fn keep(&mut self, l: State, len: usize) {
        // SAFETY: any index is valid.
        let Some(key) = (unsafe { string_at(l, 2) }).filter(|key| key.len() <= LONGEST_KEY) else { return };
        if len > LONGEST_VALUE {
            return;
        }
        // SAFETY: the table is an upvalue, and has only strings. A C function has LUA_MINSTACK slots.
        unsafe {
            if self.kept == MOST {
                self.kept = 0;
                ffi::lua_createtable(l, 0, 0);
                ffi::lua_replace(l, Upvalue::Returned.index());
            }
            self.kept += 1;
            ffi::lua_pushvalue(l, 2);
            ffi::lua_pushvalue(l, -2);
            ffi::lua_rawset(l, Upvalue::Returned.index());
        }
        let (word, shift) = place(key);
        if let Some(marks) = self.marks.get_mut(word) {
            *marks |= KEPT << shift;
        }
    }
}

/// The place of a key's mark: the word, and the number of its lower bit.
#[inline(always)]
fn place(key: &[u8]) -> (usize, usize) {
    // Addresses differ in few bits, and this spreads them: 2⁶⁴ divided by the golden ratio.
    let hash = (key.as_ptr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mark = (hash >> (u64::BITS - MARKS.ilog2())) as usize;
    (mark / MARKS_PER_WORD, mark % MARKS_PER_WORD * 2)
}

/// Pushes the value that is kept for the key at index 2, or nil, and returns its bytes, which are valid as long as it is
/// on the stack.
///
/// # Safety
/// The stack has a free slot.
#[inline(always)]
pub(super) unsafe fn push_known<'a>(l: State) -> Option<&'a [u8]> {
    let mut len = 0;
    // SAFETY: the table is an upvalue, and has only strings. Of nil, lua_tolstring returns NULL.
    unsafe {
        ffi::lua_pushvalue(l, 2);
        ffi::lua_rawget(l, Upvalue::Returned.index());
        let start = ffi::lua_tolstring(l, -1, &mut len);
        (!start.is_null()).then(|| std::slice::from_raw_parts(start.cast(), len))
    }
}
