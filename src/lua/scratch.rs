//! What a body leaves for its delivery.

use std::ffi::c_int;

use super::tape::Tape;
use crate::error::Error;
use crate::types::{Entry, Page, Stats};
use crate::version::Version;

/// What calls leave for their delivery, and memory that they use again.
#[derive(Default)]
pub(super) struct Scratch {
    /// While a delivery is under way.
    pub busy: bool,
    /// The entry that was read.
    pub entry: Entry,
    /// The page that was read, or the keys that were looked up.
    pub page: Page,
    /// What the store holds.
    pub stats: Stats,
    /// Text that was written: JSON, or a message.
    pub text: Vec<u8>,
    /// Metadata that was written as JSON.
    pub metadata: Vec<u8>,
    /// JSON that was read: of each key in order first the value, where it was asked for, then the metadata.
    pub tape: Tape,
}

/// Buffers that have grown beyond this, in bytes, are not kept from call to call.
const KEPT: usize = 256 * 1024;

impl Scratch {
    /// Ready for the next call.
    pub(super) fn rest(&mut self) {
        self.busy = false;
        for buffer in [self.entry.value.get_or_insert_default(), &mut self.text, &mut self.metadata] {
            buffer.clear();
            buffer.shrink_to(KEPT);
        }
        if !self.page.entries.is_empty() {
            self.page = Page::default();
        }
        if !self.stats.path.is_empty() || !self.stats.namespaces.is_empty() {
            self.stats = Stats::default();
        }
        self.tape.clear(KEPT);
    }

    /// Writes down what went wrong and lets go of it.
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

/// What a body wants delivered. It owns nothing: all else lies in the scratch, or on the stack.
#[derive(Clone, Copy)]
pub(super) enum Return {
    /// No results.
    Nothing,
    /// `count` nils.
    Nils(c_int),
    /// What stands at this index.
    At(c_int),
    /// Numbers.
    Count(u64),
    Counts(u64, u64),
    Sum(i64),
    /// True or false.
    Boolean(bool),
    /// The version of what was stored.
    Version(Version),
    /// True and the same.
    Stored(Version),
    /// The bytes of `scratch.entry.value`, or with `json` the first document of the tape.
    Value {
        json: bool,
    },
    /// The same, and a table of the entry's metadata, expiration and version.
    Entry {
        json: bool,
    },
    /// The table of `scratch.page`.
    Page(Values),
    /// A table from each key of `scratch.page` to its value or, `about` it, to a table.
    Found {
        json: bool,
        about: bool,
    },
    /// The walk at this index, as a generic `for` takes it.
    Walk(c_int),
    /// The first key of `scratch.page`, and its table.
    Step(Values),
    /// The names of `scratch.stats`' namespaces.
    Names,
    /// The table of `scratch.stats`.
    Stats,
    /// `scratch.text` as a string.
    Text,
    /// The tape's first document.
    Document,
    /// An error about an argument, in `scratch.text`.
    BadArgument(c_int),
    /// A failure, in `scratch.text`.
    Failed,
    /// A failure that may have come from what is open and in nobody's use: garbage is collected, and the body runs again.
    FailedWithGarbage,
    /// This argument, or the field `metadata` in it, is replaced by a plain copy, and the body runs again.
    Proxy {
        argument: c_int,
        metadata: bool,
    },
}

impl Return {
    /// Whether it is what was read, or a message: nothing is lost where it cannot be delivered, since an entry that is
    /// taken is still there then. The others hold all that they are.
    pub(super) fn is_in_scratch(self) -> bool {
        match self {
            Return::Nothing | Return::Nils(_) | Return::At(_) | Return::Count(_) | Return::Counts(..) => false,
            Return::Sum(_) | Return::Boolean(_) | Return::Proxy { .. } => false,
            Return::Version(_) | Return::Stored(_) => false,
            // A walk has memory of its own, which may lie in the reserve too.
            Return::Walk(_) => true,
            Return::Value { .. } | Return::Entry { .. } | Return::Page(_) | Return::Found { .. } => true,
            Return::Step(_) | Return::Names | Return::Stats | Return::Text | Return::Document => true,
            Return::BadArgument(_) | Return::Failed | Return::FailedWithGarbage => true,
        }
    }
}

/// Whether a list has values, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    None,
    Bytes,
    Json,
}

/// Why a body gave no answer.
pub(super) enum LuaError {
    /// Misuse, in Lua's own style: which argument, and what is wrong with it.
    Argument(c_int, String),
    /// The operation failed.
    Failed(Error),
    /// It failed, and is to be tried once more when garbage was collected.
    FailedWithGarbage(Error),
    /// A table in this argument, or in its field `metadata`, must be read through metamethods.
    Proxy { argument: c_int, metadata: bool },
}

impl From<Error> for LuaError {
    fn from(error: Error) -> Self {
        LuaError::Failed(error)
    }
}
