//! The results that a body passes to its delivery.

use std::ffi::c_int;

use super::tape::Tape;
use crate::error::Error;
use crate::types::{Entry, Page, Stats};
use crate::version::Version;

/// The results that a body passes to its delivery, and memory that calls reuse.
#[derive(Default)]
pub(super) struct Scratch {
    /// Set during a delivery.
    pub busy: bool,
    /// The entry that was read.
    pub entry: Entry,
    /// The page that was read, or the keys that were looked up.
    pub page: Page,
    /// The statistics of the store.
    pub stats: Stats,
    /// Text that was written: JSON, or a message.
    pub text: Vec<u8>,
    /// Metadata that was written as JSON.
    pub metadata: Vec<u8>,
    /// JSON that was read: for each key in order the value, if it was wanted, and then the metadata.
    pub tape: Tape,
}

/// Buffers larger than this, in bytes, are not kept between calls.
const KEPT: usize = 256 * 1024;

impl Scratch {
    /// Prepares it for the next call.
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
    /// The table of `scratch.page`.
    Page(Values),
    /// A table from each key of `scratch.page` to its value or, with `about`, to a table.
    Found {
        json: bool,
        about: bool,
    },
    /// The iterator at this index, as a generic `for` takes it.
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
    /// Whether the result is in the scratch: what was read, or a message. Nothing is lost if it cannot be delivered,
    /// since an entry that is taken still exists then. The other results are complete in themselves.
    pub(super) fn is_in_scratch(self) -> bool {
        match self {
            Return::Nothing | Return::Nils(_) | Return::At(_) | Return::Count(_) | Return::Counts(..) => false,
            Return::Sum(_) | Return::Boolean(_) | Return::Proxy { .. } => false,
            Return::Version(_) | Return::Stored(_) => false,
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
    FailedWithGarbage(Error),
    /// A table in this argument, or in its field `metadata`, must be read through metamethods.
    Proxy { argument: c_int, metadata: bool },
}

impl From<Error> for LuaError {
    fn from(error: Error) -> Self {
        LuaError::Failed(error)
    }
}
