//! The error type of the whole library. Its codes are the C interface's statuses and the words in Lua's messages.

use std::fmt;
use std::io;
#[cfg(feature = "sqlite")]
use std::sync::Arc;

/// The kind of a failure, which determines what a caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The request is wrong, and would fail again. Also the use of a closed store.
    Invalid,
    /// The operating system refused: no such folder, no permission, disk full, … [`Error::io_kind`] tells which. Or a
    /// PostgreSQL server refused or cannot be reached.
    Io,
    /// Another process or connection held the database for longer than the busy timeout. Try again.
    Busy,
    /// The file is not a database, is damaged, or contains a row that this library cannot have written.
    Corrupt,
    /// A write to a store that was opened for reading, or whose file must not be written.
    ReadOnly,
    /// Something is longer, or a lifetime shorter, than the store's limits allow. Also for a call that reads a value
    /// over 512 MiB, which only another program can have written.
    Limit,
    /// Memory is exhausted.
    NoMem,
    /// A bug in this library was caught before it reached the caller's code. The store remains usable.
    Panic,
    /// SQLite returned something that this library does not expect.
    Internal,
}

impl Code {
    /// The name of the code, as in Lua's messages: `"BUSY"`.
    pub const fn name(self) -> &'static str {
        match self {
            Code::Invalid => "INVALID",
            Code::Io => "IO",
            Code::Busy => "BUSY",
            Code::Corrupt => "CORRUPT",
            Code::ReadOnly => "READONLY",
            Code::Limit => "LIMIT",
            Code::NoMem => "NOMEM",
            Code::Panic => "PANIC",
            Code::Internal => "INTERNAL",
        }
    }
}

/// Details that the code does not tell, and that a program may want to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Detail {
    /// INVALID: [`incr`](crate::Namespace::incr) found a value that is not a 64-bit integer, or the sum would overflow
    /// one.
    NotInteger,
    /// BUSY: another copy of SQLite in this process has the file open. Waiting does not help.
    OpenInOtherLibrary,
}

/// A failed operation: a [`Code`] for programs and a message for people. A failed operation has changed nothing.
///
/// It is as small as a pointer, since every result may contain one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(
    /// `None`: memory is exhausted, and there may be none for a message.
    Option<Box<Failure>>,
);

#[derive(Clone, Debug)]
struct Failure {
    code: Code,
    message: String,
    detail: Option<Detail>,
    /// See [`Error::passing`].
    #[cfg(feature = "sqlite")]
    passing: bool,
    /// The failed system call, if there was one.
    #[cfg(feature = "sqlite")]
    source: Option<Arc<io::Error>>,
}

/// Compares code and message. The message includes that of the source.
impl PartialEq for Failure {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code && self.message == other.message
    }
}

impl Eq for Failure {}

/// The result of every operation of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    #[cold]
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        let message = one_line(message.into());
        Error(Some(Box::new(Failure {
            code,
            message,
            detail: None,
            #[cfg(feature = "sqlite")]
            passing: false,
            #[cfg(feature = "sqlite")]
            source: None,
        })))
    }

    /// The error for a failed system call, with the system's message.
    #[cold]
    pub(crate) fn io(why: io::Error) -> Self {
        let error = Error::new(Code::Io, why.to_string());
        #[cfg(feature = "sqlite")]
        let error = error.caused_by(why);
        error
    }

    /// Keeps the failed system call as the error's source.
    #[cfg(feature = "sqlite")]
    pub(crate) fn caused_by(mut self, why: io::Error) -> Self {
        if let Some(failure) = &mut self.0 {
            failure.source = Some(Arc::new(why));
        }
        self
    }

    /// The error for a refusal by the system that may be over in a moment: BUSY while there is time to try again, and
    /// finally IO (see [`Error::given_up`]).
    #[cold]
    #[cfg(feature = "sqlite")]
    pub(crate) fn passing(message: impl Into<String>) -> Self {
        Error::new(Code::Busy, message).into_passing()
    }

    /// The same failure, if it may be over in a moment: see [`Error::passing`].
    #[cold]
    #[cfg(feature = "sqlite")]
    pub(crate) fn into_passing(mut self) -> Self {
        if let Some(failure) = &mut self.0 {
            (failure.code, failure.passing) = (Code::Busy, true);
        }
        self
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn is_passing(&self) -> bool {
        self.0.as_ref().is_some_and(|failure| failure.passing)
    }

    /// The error of an operation that is no longer retried.
    #[cfg(feature = "sqlite")]
    pub(crate) fn given_up(mut self) -> Self {
        if let Some(failure) = self.0.as_mut().filter(|failure| failure.passing) {
            (failure.code, failure.passing) = (Code::Io, false);
        }
        self
    }

    #[cold]
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Error::new(Code::Invalid, message)
    }

    pub(crate) fn closed() -> Self {
        Error::invalid("the store is closed")
    }

    /// The message does not contain the number of bytes, since it would need memory.
    #[cold]
    pub(crate) fn no_memory(_bytes: usize) -> Self {
        Error(None)
    }

    /// For when there may be no memory for a message either.
    pub(crate) fn no_reserve() -> Self {
        Error(None)
    }

    /// The error for a caught panic, from its payload.
    pub(crate) fn panicked(payload: &(dyn std::any::Any + Send)) -> Self {
        let what = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Error::new(Code::Panic, format!("a bug in luat_kv: {what}"))
    }

    /// Adds an explanation to the message.
    #[cfg(feature = "sqlite")]
    pub(crate) fn because(mut self, why: &str) -> Self {
        if let Some(failure) = &mut self.0 {
            failure.message = one_line(format!("{}: {why}", failure.message));
        }
        self
    }

    /// Puts in front what was being done: `opening /srv/kv.db: disk I/O error`.
    #[cold]
    pub(crate) fn while_doing(mut self, what: impl fmt::Display) -> Self {
        if let Some(failure) = &mut self.0 {
            failure.message = one_line(format!("{what}: {}", failure.message));
        }
        self
    }

    /// Adds at the end what can be done about it.
    #[cold]
    #[cfg(feature = "sqlite")]
    pub(crate) fn and_so(self, what: &str) -> Self {
        self.followed_by(format_args!(" ({what})"))
    }

    /// Adds to the end of the message.
    #[cold]
    #[cfg(feature = "sqlite")]
    pub(crate) fn followed_by(mut self, what: impl fmt::Display) -> Self {
        if let Some(failure) = &mut self.0 {
            failure.message = one_line(format!("{}{what}", failure.message));
        }
        self
    }

    #[cold]
    pub(crate) fn with_detail(mut self, detail: Detail) -> Self {
        if let Some(failure) = &mut self.0 {
            failure.detail = Some(detail);
        }
        self
    }

    /// The same failure under another code.
    #[cold]
    #[cfg(feature = "sqlite")]
    pub(crate) fn with_code(mut self, code: Code) -> Self {
        if let Some(failure) = &mut self.0 {
            failure.code = code;
        }
        self
    }

    /// The kind of failure.
    pub fn code(&self) -> Code {
        self.0.as_ref().map_or(Code::NoMem, |failure| failure.code)
    }

    /// More than the code tells, for a few errors.
    pub fn detail(&self) -> Option<Detail> {
        self.0.as_ref()?.detail
    }

    /// One line for people, without the code.
    pub fn message(&self) -> &str {
        self.0.as_ref().map_or("out of memory", |failure| &failure.message)
    }

    /// The kind of the failed system call, if there was one: `NotFound` for a database that is missing and may not be
    /// created, `StorageFull` for a full disk. The [source](std::error::Error::source) is that `io::Error`.
    #[cfg(feature = "sqlite")]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        self.failed_call().map(io::Error::kind)
    }

    /// The error number of that system call, its `errno`.
    #[cfg(feature = "sqlite")]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.failed_call().and_then(io::Error::raw_os_error)
    }

    #[cfg(feature = "sqlite")]
    fn failed_call(&self) -> Option<&io::Error> {
        self.0.as_ref()?.source.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code().name(), self.message())
    }
}

impl std::error::Error for Error {
    #[cfg(feature = "sqlite")]
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.failed_call().map(|why| why as _)
    }
}

/// Removes line breaks, which paths and SQL can contain, and other characters that control a terminal.
fn one_line(message: String) -> String {
    if message.contains(char::is_control) { escaped(&message, char::is_control) } else { message }
}

/// Quotes a key or name from a caller for a message. Invisible characters are escaped, and a long text is truncated.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let (shown, rest) = match text.char_indices().nth(LONGEST) {
        None => (text, ""),
        Some((end, _)) => (&text[..end], "…"),
    };
    let shown = escaped(shown, |character| is_unseen(character) || matches!(character, '"' | '\\'));
    format!("\"{shown}\"{rest}")
}

/// Whether a character is invisible, or changes how others are shown. (lua/luat_kv_ffi/text.lua has the same.)
fn is_unseen(character: char) -> bool {
    /// Outside of ASCII: the first and the last of each range.
    const UNSEEN: [(u32, u32); 18] = [
        (0x80, 0xa0),
        (0xad, 0xad),
        (0x34f, 0x34f),
        (0x61c, 0x61c),
        (0x115f, 0x1160),
        (0x17b4, 0x17b5),
        (0x180b, 0x180f),
        (0x2000, 0x200f),
        (0x2028, 0x202f),
        (0x205f, 0x206f),
        (0x3000, 0x3000),
        (0xe000, 0xf8ff),
        (0xfe00, 0xfe0f),
        (0xfeff, 0xfeff),
        (0xfff0, 0xfffb),
        (0xfffe, 0xffff),
        (0xe0000, 0xe0fff),
        (0xf0000, 0x10ffff),
    ];
    let code = u32::from(character);
    character.is_ascii_control() || UNSEEN.iter().any(|(first, last)| (*first..=*last).contains(&code))
}

/// Escapes some characters of a text as in a Rust literal. (`{:?}` would escape all unprintable characters, but add
/// Unicode's tables for that.)
fn escaped(text: &str, is_special: impl Fn(char) -> bool) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match is_special(character) {
            true if character == '\0' => escaped.push_str("\\0"),
            true if character.is_ascii() => escaped.extend(character.escape_default()),
            true => escaped.extend(character.escape_unicode()),
            false => escaped.push(character),
        }
    }
    escaped
}
