//! The results that a body passes to its delivery.

use std::ffi::{c_int, c_void};
use std::ptr;

use super::returned::Returned;
use super::rows::Rows;
use super::stack::{HAS_INTEGERS, METATABLES};
use super::tape::Tape;
use super::watch::Shown;
use crate::{Entry, Error, Page, Stats, Version};

/// The results that a body passes to its delivery, and memory that calls reuse.
pub(super) struct Scratch {
    /// Set during a delivery that needs the scratch.
    pub busy: bool,
    /// The addresses of the metatables of this instance's handles, from [`Upvalue::Store`](super::stack::Upvalue::Store) on. They are upvalues of
    /// each function that has this scratch, so they stay where they are. Null until its first call.
    pub metatables: [*const c_void; METATABLES],
    /// The entry that was read.
    pub entry: Entry,
    /// The page that was read, in one buffer.
    pub rows: Rows,
    /// The cursor of that page, or the keys that were looked up, or the one that a loop has reached.
    pub page: Page,
    /// The names of namespaces.
    pub names: Vec<String>,
    /// The statistics of the store.
    pub stats: Stats,
    /// Text that was written: JSON, or a message.
    pub text: Vec<u8>,
    /// Metadata that was written as JSON.
    pub metadata: Vec<u8>,
    /// The keys that `get` has read.
    pub returned: Returned,
    /// JSON that was read: for each key in order the value, if it was wanted, and then the metadata.
    pub tape: Tape,
    /// The changes that a watch returns. They are taken out of here when they were pushed.
    pub shown: Option<Shown>,
}

/// Buffers larger than this, in bytes, are not kept between calls.
const KEPT: usize = 256 * 1024;

#[inline(always)]
fn empty(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > KEPT {
        buffer.shrink_to(KEPT);
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch {
            busy: false,
            metatables: [ptr::null(); METATABLES],
            entry: Entry::default(),
            rows: Rows::default(),
            page: Page::default(),
            names: Vec::new(),
            stats: Stats::default(),
            text: Vec::new(),
            metadata: Vec::new(),
            returned: Returned::default(),
            tape: Tape::default(),
            shown: None,
        }
    }
}

impl Scratch {
    /// Whether a call can use it.
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        !self.busy && !self.metatables[0].is_null()
    }

    /// Prepares it for the next call.
    #[inline]
    pub(super) fn rest(&mut self) {
        self.busy = false;
        if let Some(value) = &mut self.entry.value {
            empty(value);
        }
        empty(&mut self.text);
        empty(&mut self.metadata);
        if !self.rows.is_empty() || !self.page.entries.is_empty() {
            self.rows.shrink(KEPT);
            self.page = Page::default();
        }
        if !self.names.is_empty() || !self.stats.path.is_empty() {
            (self.names, self.stats) = (Vec::new(), Stats::default());
        }
        if !self.tape.is_clear() {
            self.tape.clear(KEPT);
        }
    }

    /// Stores the message of an error, and drops the error.
    pub(super) fn keep(&mut self, fault: LuaError) -> Return {
        self.text.clear();
        match fault {
            LuaError::Argument(index, message) => {
                self.text.extend_from_slice(message.as_bytes());
                self.text.retain(|byte| *byte != 0);
                self.text.push(0); // Lua takes it as a C string
                Return::BadArgument(index)
            }
            LuaError::Failed(error) => {
                self.text.extend_from_slice(format!("luat_kv: {error}").as_bytes());
                Return::Failed
            }
            LuaError::FailedWithGarbage(error) => {
                self.keep(LuaError::Failed(error));
                Return::FailedWithGarbage
            }
            LuaError::Proxy { argument, metadata } => Return::Proxy { argument, metadata },
        }
    }
}

/// The result of a body. It owns nothing: all else is in the scratch or on the stack.
#[derive(Clone, Copy)]
pub(super) enum Return {
    /// No results.
    Nothing,
    /// `count` nils.
    Nils(c_int),
    /// The value at this index.
    At(c_int),
    /// Numbers.
    Count(u64),
    Counts(u64, u64),
    Sum(i64),
    /// True or false.
    Boolean(bool),
    /// The version of what was stored.
    Version(Version),
    /// True and the version of what was stored.
    Stored(Version),
    /// The bytes of `scratch.entry.value`, or with `json` the first document of the tape.
    Value {
        json: bool,
    },
    /// Like `Value`, and a table of the entry's metadata, expiration and version.
    Entry {
        json: bool,
    },
    /// The table of `scratch.rows`.
    Page(Values),
    /// A table from each key of `scratch.page` to its value or, with `about`, to a table.
    Found {
        json: bool,
        about: bool,
    },
    /// An array of the tables of `scratch.shown`.
    Changes {
        json: bool,
    },
    /// The table of the only change in `scratch.shown`.
    Change {
        json: bool,
    },
    /// The iterator or the watch at this index, as a generic `for` takes it.
    Walk(c_int),
    /// The first key of `scratch.page`, and its table.
    Step(Values),
    /// The names of `scratch.stats`' namespaces.
    Names,
    /// The table of `scratch.stats`.
    Stats,
    /// `scratch.text` as a string.
    Text,
    /// The first document of the tape.
    Document,
    /// An error about an argument; the message is in `scratch.text`.
    BadArgument(c_int),
    /// A failure; the message is in `scratch.text`.
    Failed,
    /// A failure that unused open objects may have caused: garbage is collected, and the body runs again.
    FailedWithGarbage,
    /// This argument, or its field `metadata`, is replaced by a plain copy, and the body runs again.
    Proxy {
        argument: c_int,
        metadata: bool,
    },
}

impl Return {
    /// Whether the scratch must stay as it is until the delivery is over, or until the body has run again.
    #[inline(always)]
    pub(super) fn needs_scratch(self) -> bool {
        self.is_in_scratch() || matches!(self, Return::Proxy { .. })
    }

    /// Whether something is removed when the result was pushed: see [`call_and_remove`](super::call::call_and_remove).
    pub(super) fn is_removed(self) -> bool {
        matches!(self, Return::Entry { .. } | Return::Changes { .. } | Return::Change { .. })
    }

    /// Whether the body may have another result if it runs again.
    pub(super) fn asks_to_repeat(self) -> bool {
        matches!(self, Return::FailedWithGarbage | Return::Proxy { .. })
    }

    /// Whether Lua copies the result before its collector, or anything else, can run: since 5.3 `lua_pushlstring`
    /// collects when it has copied. The buffer is small enough to stay as it is until the next call.
    #[inline(always)]
    pub(super) fn is_copied_at_once(self, scratch: &Scratch) -> bool {
        let kept = |value: &Vec<u8>| value.capacity() <= KEPT;
        HAS_INTEGERS && matches!(self, Return::Value { json: false }) && scratch.entry.value.as_ref().is_some_and(kept)
    }

    /// Whether the result is in the scratch: what was read, or a message. Nothing is lost if it cannot be delivered,
    /// since an entry that is taken still exists then. The other results are complete in themselves.
    pub(super) fn is_in_scratch(self) -> bool {
        match self {
            Return::Nothing | Return::Nils(_) | Return::At(_) | Return::Count(_) | Return::Counts(..) => false,
            Return::Sum(_) | Return::Boolean(_) | Return::Proxy { .. } => false,
            Return::Version(_) | Return::Stored(_) => false,
            Return::Changes { .. } | Return::Change { .. } => true,
            // An iterator has its own memory, which may also use the reserve.
            Return::Walk(_) => true,
            Return::Value { .. } | Return::Entry { .. } | Return::Page(_) | Return::Found { .. } => true,
            Return::Step(_) | Return::Names | Return::Stats | Return::Text | Return::Document => true,
            Return::BadArgument(_) | Return::Failed | Return::FailedWithGarbage => true,
        }
    }
}

/// Whether a list has values, and of which type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    None,
    Bytes,
    Json,
}

/// Why a body has no result.
pub(super) enum LuaError {
    /// Misuse, reported as Lua does: which argument, and what is wrong with it.
    Argument(c_int, String),
    /// The operation failed.
    Failed(Error),
    /// The operation failed, and is tried once more after garbage was collected.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
    FailedWithGarbage(Error),
    /// A table in this argument, or in its field `metadata`, must be read through metamethods.
    Proxy { argument: c_int, metadata: bool },
}

impl From<Error> for LuaError {
    fn from(error: Error) -> Self {
        LuaError::Failed(error)
    }
}
