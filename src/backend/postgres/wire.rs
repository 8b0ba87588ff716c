//! Parameters and results in PostgreSQL's binary formats.

use std::ffi::{CStr, c_char, c_int};
use std::slice;

use super::failure::Failure;
use super::libpq::{self, Libpq, ResultPtr};
use crate::error::{Code, Error};
use crate::version::Version;

// The numbers of types (`pg_type.oid`).
const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const INT8: u32 = 20;
const TEXT: u32 = 25;
const BOOLS: u32 = 1000;
const BYTEAS: u32 = 1001;
const TEXTS: u32 = 1009;
const INT8S: u32 = 1016;

/// A parameter of a statement.
pub(super) enum Param<'a> {
    Bytes(&'a [u8]),
    Text(Option<&'a str>),
    /// A number or a flag.
    Number([u8; 8]),
    NoNumber,
    Bool([u8; 1]),
    /// With the number of its type.
    Owned(u32, Vec<u8>),
}

impl Param<'_> {
    pub fn number(number: impl Into<Option<i64>>) -> Self {
        number.into().map_or(Param::NoNumber, |number| Param::Number(number.to_be_bytes()))
    }

    pub fn bool(is: bool) -> Self {
        Param::Bool([u8::from(is)])
    }

    pub fn text(text: Vec<u8>) -> Self {
        Param::Owned(TEXT, text)
    }

    pub fn oid(&self) -> u32 {
        match self {
            Param::Bytes(_) => BYTEA,
            Param::Text(_) => TEXT,
            Param::Number(_) | Param::NoNumber => INT8,
            Param::Bool(_) => BOOL,
            Param::Owned(oid, _) => *oid,
        }
    }

    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Param::Bytes(bytes) => Some(bytes),
            Param::Text(text) => text.map(str::as_bytes),
            Param::Number(bytes) => Some(bytes),
            Param::NoNumber => None,
            Param::Bool(bytes) => Some(bytes),
            Param::Owned(_, bytes) => Some(bytes),
        }
    }
}

/// An array of one dimension. Memory may run out, since a batch has any number of values.
fn array<'a>(
    oid: u32,
    element: u32,
    items: impl Iterator<Item = Option<&'a [u8]>> + Clone,
) -> Result<Param<'static>, Failure> {
    let (mut len, mut size) = (0_usize, 20);
    for item in items.clone() {
        len += 1;
        size += 4 + item.map_or(0, <[u8]>::len);
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| Error::no_memory(size))?;
    let count = i32::try_from(len).map_err(|_| Error::no_memory(size))?;
    for number in [i32::from(len > 0), 1, element as i32, count, 1] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    if len == 0 {
        bytes.truncate(12);
    }
    for item in items {
        let size = item.map_or(-1, |item| item.len() as i32);
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(item.unwrap_or_default());
    }
    Ok(Param::Owned(oid, bytes))
}

pub(super) fn byte_strings<'a>(items: impl Iterator<Item = &'a [u8]> + Clone) -> Result<Param<'static>, Failure> {
    array(BYTEAS, BYTEA, items.map(Some))
}

pub(super) fn texts<'a>(items: impl Iterator<Item = Option<&'a str>> + Clone) -> Result<Param<'static>, Failure> {
    array(TEXTS, TEXT, items.map(|item| item.map(str::as_bytes)))
}

pub(super) fn numbers(items: &[Option<i64>]) -> Result<Param<'static>, Failure> {
    let bytes: Vec<_> = items.iter().map(|item| item.map(i64::to_be_bytes)).collect();
    array(INT8S, INT8, bytes.iter().map(|item| item.as_ref().map(|bytes| &bytes[..])))
}

pub(super) fn bools(items: &[bool]) -> Result<Param<'static>, Failure> {
    let bytes: Vec<_> = items.iter().map(|item| [u8::from(*item)]).collect();
    array(BOOLS, BOOL, bytes.iter().map(|item| Some(&item[..])))
}

/// The result of a statement.
pub(super) struct Rows {
    libpq: &'static Libpq,
    result: *mut ResultPtr,
}

impl Rows {
    /// # Safety
    ///
    /// `result` is a result of this libpq that nothing else frees.
    pub unsafe fn new(libpq: &'static Libpq, result: *mut ResultPtr) -> Self {
        Rows { libpq, result }
    }

    pub fn status(&self) -> c_int {
        // SAFETY: the result is live.
        unsafe { (self.libpq.result_status)(self.result) }
    }

    /// The failure that the result is, in the server's words.
    pub fn failure(&self) -> Failure {
        let mut message = self.field(libpq::PRIMARY).unwrap_or_else(|| "the server gave no reason".to_owned());
        for more in [libpq::DETAIL, libpq::HINT].into_iter().filter_map(|field| self.field(field)) {
            message = format!("{message} ({more})");
        }
        let [state, table] = [libpq::SQLSTATE, libpq::TABLE].map(|field| self.field(field).unwrap_or_default());
        Failure::answered(&state, message, &table)
    }

    /// A field of an error.
    fn field(&self, field: c_int) -> Option<String> {
        // SAFETY: the result is live, and its fields end with a NUL.
        let text = unsafe { (self.libpq.result_error_field)(self.result, field) };
        // SAFETY: the same.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    }

    pub fn len(&self) -> usize {
        // SAFETY: the result is live.
        let rows = unsafe { (self.libpq.n_tuples)(self.result) };
        usize::try_from(rows).unwrap_or(0)
    }

    /// How many rows the statement has changed.
    pub fn changed(&self) -> u64 {
        // SAFETY: the result is live, and the text ends with a NUL.
        let text = unsafe { CStr::from_ptr((self.libpq.cmd_tuples)(self.result)) };
        text.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// The bytes of a column; `None` for NULL. The row exists.
    pub fn bytes(&self, row: usize, column: usize) -> Option<&[u8]> {
        let (row, column) = (row as c_int, column as c_int);
        // SAFETY: the result is live. libpq checks the row and the column, and returns NULL if they do not exist.
        unsafe {
            if (self.libpq.get_is_null)(self.result, row, column) != 0 {
                return None;
            }
            let (start, len) =
                ((self.libpq.get_value)(self.result, row, column), (self.libpq.get_length)(self.result, row, column));
            (!start.is_null()).then(|| slice::from_raw_parts(start.cast::<u8>(), len as usize))
        }
    }

    pub fn number(&self, row: usize, column: usize) -> Result<Option<i64>, Failure> {
        let Some(bytes) = self.bytes(row, column) else { return Ok(None) };
        let number = match bytes.len() {
            8 => bytes.try_into().ok().map(i64::from_be_bytes),
            4 => bytes.try_into().ok().map(i32::from_be_bytes).map(i64::from),
            _ => None,
        };
        number.map(Some).ok_or_else(|| unexpected("a number has another type").into())
    }

    /// A number that is never NULL.
    pub fn count(&self, row: usize, column: usize) -> Result<u64, Failure> {
        let number = self.number(row, column)?.and_then(|number| u64::try_from(number).ok());
        number.ok_or_else(|| unexpected("a count is missing").into())
    }

    pub fn is(&self, row: usize, column: usize) -> bool {
        self.bytes(row, column) == Some(&[1])
    }

    pub fn text(&self, row: usize, column: usize) -> Result<Option<&str>, Failure> {
        let Some(bytes) = self.bytes(row, column) else { return Ok(None) };
        std::str::from_utf8(bytes).map(Some).map_err(|_| {
            Error::new(Code::Corrupt, "a row has text that is not UTF-8, which another program has stored").into()
        })
    }

    pub fn version(&self, row: usize, column: usize) -> Result<Version, Failure> {
        let bytes = self.bytes(row, column).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Version::from_bytes).ok_or_else(|| {
            Error::new(Code::Corrupt, "a row has no version of 12 bytes; another program has stored it").into()
        })
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        // SAFETY: nothing else frees the result.
        unsafe { (self.libpq.clear)(self.result) }
    }
}

/// The answer of the server is not what its statement returns.
fn unexpected(what: &str) -> Error {
    Error::new(Code::Internal, format!("an answer of the server is not as expected: {what}"))
}

/// The pointer and the length that libpq takes for a parameter.
pub(super) fn raw(param: &Param<'_>) -> (*const c_char, c_int) {
    // A parameter of no bytes is not NULL.
    const EMPTY: &CStr = c"";
    match param.bytes() {
        None => (std::ptr::null(), 0),
        Some([]) => (EMPTY.as_ptr(), 0),
        Some(bytes) => (bytes.as_ptr().cast(), bytes.len() as c_int),
    }
}
