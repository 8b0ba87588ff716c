//! JSON that was read: a flat tape of parts, filled in a body and pushed onto Lua's stack in the delivery.

use std::ffi::c_int;
use std::slice;

use super::encode::MAX_DEPTH;
use super::ffi;
use super::stack::{State, Upvalue, push_array, push_bytes, push_int};
use crate::Result;
use crate::internals::{OutOfMemory, Part, Sink, read_json};

/// One or more documents, in parts that own no memory.
#[derive(Default)]
pub(super) struct Tape {
    tokens: Vec<Token>,
    /// Strings that had escapes, one after another.
    unescaped: Vec<u8>,
    /// The positions of the arrays and objects that are still open.
    open: Vec<usize>,
}

#[derive(Clone, Copy)]
enum Token {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// So many values follow.
    Array(usize),
    /// So many pairs of a string and a value follow.
    Object(usize),
    /// A string in the text that was read.
    Text(*const u8, usize),
    /// A string in `Tape::unescaped`.
    Unescaped(usize, usize),
}

// The text that a tape was read from does not move until the delivery is over: it is an argument of the call, or in the
// scratch's entry, page or changes. `Token::Text` relies on that.

impl Tape {
    /// Reads one more document. The text must not move until the delivery is over.
    pub(super) fn read(&mut self, text: &[u8]) -> Result<()> {
        read_json(text, self)
    }

    /// Returns a reader at the first document.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { tokens: self.tokens.iter(), unescaped: &self.unescaped }
    }

    /// Whether nothing was read since it was emptied.
    pub(super) fn is_clear(&self) -> bool {
        self.tokens.is_empty() && self.unescaped.is_empty() && self.open.is_empty()
    }

    /// Empties it, and keeps at most this many bytes of memory.
    pub(super) fn clear(&mut self, kept: usize) {
        self.tokens.clear();
        self.tokens.shrink_to(kept / size_of::<Token>());
        self.unescaped.clear();
        self.unescaped.shrink_to(kept);
        self.open.clear();
    }

    #[inline(always)]
    fn push(&mut self, token: Token) -> Result<(), OutOfMemory> {
        if self.tokens.len() == self.tokens.capacity() {
            self.tokens.try_reserve(1).map_err(|_| OutOfMemory)?;
        }
        self.tokens.push(token);
        Ok(())
    }
}

impl<'t> Sink<'t> for Tape {
    #[inline(always)]
    fn part(&mut self, part: Part) -> Result<(), OutOfMemory> {
        match part {
            Part::Null => self.push(Token::Null),
            Part::Bool(value) => self.push(Token::Bool(value)),
            Part::Int(value) => self.push(Token::Int(value)),
            Part::Float(value) => self.push(Token::Float(value)),
            Part::Array | Part::Object => {
                self.open.push(self.tokens.len());
                self.push(if part == Part::Array { Token::Array(0) } else { Token::Object(0) })
            }
            Part::End { len } => {
                let begun = self.open.pop().and_then(|place| self.tokens.get_mut(place));
                if let Some(Token::Array(count) | Token::Object(count)) = begun {
                    *count = len;
                }
                Ok(())
            }
        }
    }

    #[inline(always)]
    fn borrowed(&mut self, text: &'t str) -> Result<(), OutOfMemory> {
        self.push(Token::Text(text.as_ptr(), text.len()))
    }

    fn copied(&mut self, text: &str) -> Result<(), OutOfMemory> {
        let start = self.unescaped.len();
        self.unescaped.try_reserve(text.len()).map_err(|_| OutOfMemory)?;
        self.unescaped.extend_from_slice(text.as_bytes());
        self.push(Token::Unescaped(start, text.len()))
    }

    fn len(&self) -> [usize; 3] {
        [self.tokens.len(), self.unescaped.len(), self.open.len()]
    }

    fn truncate(&mut self, [tokens, unescaped, open]: [usize; 3]) {
        self.tokens.truncate(tokens);
        self.unescaped.truncate(unescaped);
        self.open.truncate(open);
    }
}

/// Pushes the documents of a tape, one after another. Part of the delivery: owns nothing, and cannot panic.
pub(super) struct Reader<'a> {
    tokens: slice::Iter<'a, Token>,
    unescaped: &'a [u8],
}

impl Reader<'_> {
    /// Pushes the next document; one that is only `null` becomes nil. Can raise an error.
    ///
    /// # Safety
    /// Must be called in a delivery, while the text that was read has not moved.
    pub(super) unsafe fn push_document(&mut self, l: State) {
        // SAFETY: the caller has promised it.
        unsafe {
            match self.tokens.as_slice().first() {
                Some(Token::Null) | None => {
                    self.tokens.next();
                    ffi::lua_pushnil(l);
                }
                Some(Token::Array(_) | Token::Object(_)) => {
                    // A table, a key and a value for each level.
                    ffi::luaL_checkstack(l, 3 * MAX_DEPTH as c_int, c"JSON".as_ptr());
                    self.push_value(l);
                }
                Some(_) => self.push_value(l),
            }
        }
    }

    /// Like [`push_document`](Reader::push_document), within a table: a key whose document is `null` must not look
    /// missing.
    ///
    /// # Safety
    /// As [`push_document`](Reader::push_document).
    pub(super) unsafe fn push_within(&mut self, l: State) {
        // SAFETY: the caller has promised it.
        unsafe {
            match self.tokens.as_slice().first() {
                Some(Token::Null) => self.push_value(l),
                _ => self.push_document(l),
            }
        }
    }

    fn unescaped(&self, start: usize, len: usize) -> &[u8] {
        self.unescaped.get(start..).and_then(|rest| rest.get(..len)).unwrap_or_default()
    }

    unsafe fn push_value(&mut self, l: State) {
        // SAFETY: as in `push_document`. A table that is being filled is directly below the key and the value.
        unsafe {
            match self.tokens.next().copied() {
                Some(Token::Null) | None => ffi::lua_pushvalue(l, Upvalue::Null.index()),
                Some(Token::Bool(value)) => ffi::lua_pushboolean(l, c_int::from(value)),
                Some(Token::Int(value)) => push_int(l, value),
                Some(Token::Float(value)) => ffi::lua_pushnumber(l, value),
                Some(Token::Text(start, len)) => push_bytes(l, slice::from_raw_parts(start, len)),
                Some(Token::Unescaped(start, len)) => push_bytes(l, self.unescaped(start, len)),
                Some(Token::Array(len)) => {
                    push_array(l, len);
                    for place in 1..=len {
                        self.push_value(l);
                        ffi::lua_rawseti(l, -2, place as ffi::lua_Integer);
                    }
                }
                Some(Token::Object(len)) => {
                    ffi::lua_createtable(l, 0, c_int::try_from(len).unwrap_or(0));
                    for _ in 0..len {
                        match self.tokens.next() {
                            Some(Token::Text(start, len)) => push_bytes(l, slice::from_raw_parts(*start, *len)),
                            Some(Token::Unescaped(start, len)) => push_bytes(l, self.unescaped(*start, *len)),
                            _ => return, // an object has only strings for keys
                        }
                        self.push_value(l);
                        ffi::lua_rawset(l, -3);
                    }
                }
            }
        }
    }
}
