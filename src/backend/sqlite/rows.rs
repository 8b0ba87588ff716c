//! Reads rows, which may contain anything that another program or damage has left in the file.

use rusqlite::Row;
use rusqlite::types::{FromSql, ToSqlOutput, ValueRef};

use super::prepared::{Execution, Kept, PreparedConnection};
use super::schema;
use crate::backend::{Listed, Projection, Range, copy, copy_text};
use crate::error::{Code, Error, Result, quoted};
use crate::test_hooks;
use crate::types::Entry;
use crate::utf8::from_utf8;
use crate::version::Version;

/// What was found of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Missing,
    Expired,
    /// It is live, and expires at this time, if at all.
    Live(Option<i64>),
    /// It is live. Its expiration is no whole number, so another program has written it.
    Unusual,
}

impl Found {
    pub fn is_live(self) -> bool {
        matches!(self, Found::Live(_) | Found::Unusual)
    }
}

/// Reads a live row, except for its key, into `entry`.
pub(super) fn get(
    connection: &PreparedConnection,
    namespace: &str,
    key: &str,
    projection: Projection,
    now: i64,
    entry: &mut Entry,
) -> Result<Found> {
    let (statement, expiration) = match projection {
        Projection::Nothing => (Kept::Has, 0),
        Projection::Value => (Kept::GetValue, 1),
        Projection::Entry => (Kept::Get, 1),
    };
    let mut row = connection.run(statement, &[namespace.into(), key.into()])?;
    let is_there = row.step().map_err(|error| of_long_row(error, key))?;
    test_hooks::panic_on(key);
    if !is_there {
        return Ok(Found::Missing);
    }
    let found = match row.column(expiration) {
        expiration if !is_live(expiration, now) => return Ok(Found::Expired),
        ValueRef::Null => Found::Live(None),
        ValueRef::Integer(end) => Found::Live(Some(end)),
        _ => Found::Unusual,
    };
    match projection {
        Projection::Nothing => {}
        Projection::Value => read_value(row.column(0), entry.value.get_or_insert_default())?,
        Projection::Entry => {
            let (metadata, expiration, version) = described([row.column(0), row.column(1), row.column(2)])
                .map_err(|error| of_row(error, key.as_bytes()))?;
            (entry.metadata, entry.expiration) = (metadata.map(copy_text).transpose()?, expiration);
            entry.version = version;
            read_value(row.column(3), entry.value.get_or_insert_default())?;
        }
    }
    Ok(found)
}

/// Returns the version of a live row.
pub(super) fn version_of(
    connection: &PreparedConnection,
    namespace: &str,
    key: &str,
    now: i64,
) -> Result<Option<Version>> {
    let mut row = connection.run(Kept::Version, &[namespace.into(), key.into()])?;
    match row.step().map_err(|error| of_long_row(error, key))? && is_live(row.column(1), now) {
        true => version(row.column(0)).map(Some),
        false => Ok(None),
    }
}

/// Whether a row with this expiration is live: the same as `expiration IS NULL OR expiration > now` in SQL, where a
/// text or a blob is greater than every number.
fn is_live(expiration: ValueRef<'_>, now: i64) -> bool {
    match expiration {
        ValueRef::Integer(whole) => whole > now,
        ValueRef::Real(real) => real > now as f64,
        ValueRef::Null | ValueRef::Text(_) | ValueRef::Blob(_) => true,
    }
}

/// The end of a range, for a comparison: in SQLite any blob sorts after every text.
pub(super) fn below<'a>(range: &Range<'a>) -> ValueRef<'a> {
    range.below.map_or(ValueRef::Blob(b""), ValueRef::from)
}

/// Begins a list of at most `limit` rows; a negative `limit` means all.
pub(super) fn list<'c, 'b>(
    connection: &'c PreparedConnection,
    range: &Range<'b>,
    [reverse, values]: [bool; 2],
    now: i64,
    limit: i64,
) -> Result<Execution<'c, 'b>> {
    let parameters =
        [range.namespace.into(), range.from.into(), below(range), ValueRef::Integer(now), ValueRef::Integer(limit)];
    connection.run(Kept::list(reverse, values), &parameters)
}

/// Reads a row of a [`list`]. A value that is a number is written as text into `number`.
pub(super) fn listed<'r>(row: &'r Execution<'_, '_>, values: bool, number: &'r mut Vec<u8>) -> Result<Listed<'r>> {
    let name = row.column(0);
    let bytes = name.as_bytes_or_null().map_err(rusqlite::Error::from)?.unwrap_or_default();
    let of_this = |error| of_row(error, bytes);
    let key = text(name, LONGEST_NAME).map_err(of_this)?.unwrap_or_default();
    let metadata = row.column(1);
    let (metadata, expiration, version) = described([metadata, row.column(2), row.column(3)]).map_err(of_this)?;
    let value = match values {
        true => Some(value_bytes(row.column(4), number)),
        false => None,
    };
    Ok(Listed { key, value, metadata, expiration, version })
}

/// Adds the key of a row that is too long, which SQLite does not name.
pub(super) fn of_long_row(error: Error, key: &str) -> Error {
    if error.code() == Code::Limit { of_row(error, key.as_bytes()) } else { error }
}

/// The same for a list that failed at the row after `last`. Looks for the key of that row without reading the rest.
pub(super) fn of_long_row_after(
    connection: &rusqlite::Connection,
    error: Error,
    range: &Range<'_>,
    reverse: bool,
    last: Option<&str>,
    now: i64,
) -> Error {
    if error.code() != Code::Limit {
        return error;
    }
    let after = last.map(|last| format!("{last}\0")).unwrap_or_default();
    let rest = match reverse {
        true => Range { below: last.or(range.below), ..*range },
        false => Range { from: range.from.max(&after), ..*range },
    };
    let key = connection.prepare(schema::list_keys(reverse)).and_then(|mut query| {
        query.query_row((rest.namespace, rest.from, ToSqlOutput::Borrowed(below(&rest)), now, 1), |row| {
            Ok(row.get_ref(0)?.as_bytes_or_null()?.unwrap_or_default().to_vec())
        })
    });
    match key {
        Ok(key) => of_row(error, &key),
        Err(_) => error, // its key is too long, too
    }
}

/// Adds which row an error is about. A key that is too long for a message, or for memory, is truncated.
fn of_row(error: Error, key: &[u8]) -> Error {
    /// The longest part of a key that a message shows.
    const SHOWN: usize = 1024;
    error.while_doing(format_args!("key {}", quoted(&String::from_utf8_lossy(&key[..key.len().min(SHOWN)]))))
}

/// Fails unless the keys are in order. They are out of order, or repeat, if pages of a damaged file form a cycle.
pub(super) fn in_order(before: &[u8], after: &[u8]) -> Result<()> {
    match before < after {
        true => Ok(()),
        false => Err(of_row(Error::new(Code::Corrupt, "the file is damaged: its keys are not in order"), after)),
    }
}

/// The name at the start of a row. It sorts after the one before it, unless pages form a cycle.
pub(super) fn namespace_after(last: Option<&str>, row: &Row<'_>) -> Result<String> {
    let stored = row.get_ref(0)?.as_bytes_or_null().map_err(rusqlite::Error::from)?.unwrap_or_default();
    let of_name = |error: Error| {
        let shown = String::from_utf8_lossy(&stored[..stored.len().min(1024)]);
        error.while_doing(format_args!("namespace {}", quoted(&shown)))
    };
    if last.is_some_and(|last| last.as_bytes() >= stored) {
        return Err(of_name(Error::new(Code::Corrupt, "the file is damaged: its namespaces are not in order")));
    }
    copy_text(text(row.get_ref(0)?, LONGEST_NAME).map_err(of_name)?.unwrap_or_default())
}

/// A row's metadata, expiration and version. Rows of other programs may have an empty text for no metadata, and may
/// expire within a second: they expire when the second is over, as in the queries.
#[inline(always)]
fn described<'r>([metadata, expiration, stored]: [ValueRef<'r>; 3]) -> Result<(Option<&'r str>, Option<i64>, Version)> {
    let metadata = text(metadata, LONGEST_METADATA)?.filter(|metadata| !metadata.is_empty());
    let expiration = match expiration {
        ValueRef::Real(real) => Some(real.ceil() as i64),
        _ => expiration.as_i64_or_null().map_err(rusqlite::Error::from)?,
    };
    Ok((metadata, expiration, version(stored)?))
}

/// A row of another program may have no version, if it was too long to be given one.
#[inline(always)]
fn version(stored: ValueRef<'_>) -> Result<Version> {
    match stored {
        ValueRef::Blob(blob) if blob.len() == size_of::<Version>() => {
            Ok(blob.try_into().map(Version::from_bytes).unwrap_or_default())
        }
        ValueRef::Null => Ok(Version::default()),
        _ => Ok(FromSql::column_result(stored).map(Version::from_bytes).map_err(rusqlite::Error::from)?),
    }
}

/// Copies the bytes of a value.
fn read_value(stored: ValueRef<'_>, value: &mut Vec<u8>) -> Result<()> {
    match stored {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => copy(bytes, value),
        _ => {
            value_bytes(stored, value);
            Ok(())
        }
    }
}

/// The bytes of a value. This library stores blobs; other programs that write to the table may store texts and numbers.
/// A number is written into `number`.
fn value_bytes<'r>(stored: ValueRef<'r>, number: &'r mut Vec<u8>) -> &'r [u8] {
    *number = match stored {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => return bytes,
        ValueRef::Null => Vec::new(),
        ValueRef::Integer(whole) => whole.to_string().into_bytes(),
        ValueRef::Real(real) => real.to_string().into_bytes(),
    };
    number
}

/// The longest key or namespace that is read. Limits apply to what is written, but a file may contain anything, and
/// what is read is copied more than once on its way.
pub(super) const LONGEST_NAME: usize = 1024 * 1024;

/// The same for metadata.
const LONGEST_METADATA: usize = 16 * 1024 * 1024;

/// Names that are longer than this library writes count towards the size of a page, as values do.
pub(super) const USUAL: usize = 128 * 1024;

/// Returns a text, unless it is too long to be copied.
#[inline(always)]
pub(super) fn text(stored: ValueRef<'_>, longest: usize) -> Result<Option<&str>> {
    match stored {
        ValueRef::Null => return Ok(None),
        ValueRef::Text(bytes) if bytes.len() <= longest => {
            if let Ok(text) = from_utf8(bytes) {
                return Ok(Some(text));
            }
        }
        _ => {}
    }
    no_text(stored, longest)
}

#[cold]
fn no_text<T>(stored: ValueRef<'_>, longest: usize) -> Result<Option<T>> {
    if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = stored
        && bytes.len() > longest
    {
        let len = bytes.len();
        return Err(Error::new(Code::Corrupt, format!("it has a text of {len} bytes; at most {longest} are read")));
    }
    stored.as_str_or_null().map_err(rusqlite::Error::from)?;
    Ok(None)
}
