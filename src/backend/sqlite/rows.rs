//! Rows as they are read: of whatever another program, or damage, may have left in the file.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Row};

use super::schema;
use crate::backend::{Projection, Range, copy, copy_text};
use crate::error::{Code, Error, Result, quoted};
use crate::hooks;
use crate::types::{Entry, KeyInfo};
use crate::version::Version;

/// Reads a live row into `entry`, and answers whether there was one.
pub(super) fn get(
    connection: &Connection,
    namespace: &str,
    key: &str,
    projection: Projection,
    now: i64,
    entry: &mut Entry,
) -> Result<bool> {
    let (sql, expiration) = match projection {
        Projection::Nothing => (schema::HAS, 0),
        Projection::Value => (schema::GET_VALUE, 1),
        Projection::Entry => (schema::GET, 1),
    };
    let mut query = connection.prepare_cached(sql)?;
    let mut rows = query.query((namespace, key))?;
    let row = rows.next().map_err(|error| match Error::from(error) {
        error if error.code() == Code::Limit => of_row(error, key.as_bytes()),
        error => error,
    })?;
    hooks::panic_on(key);
    let Some(row) = row else { return Ok(false) };
    if !is_live(row, expiration, now)? {
        return Ok(false);
    }
    match projection {
        Projection::Nothing => {}
        Projection::Value => read_value(row.get_ref(0)?, &mut entry.value)?,
        Projection::Entry => {
            (entry.metadata, entry.expiration, entry.version) =
                described(row, 0).map_err(|error| of_row(error, key.as_bytes()))?;
            read_value(row.get_ref(3)?, &mut entry.value)?;
        }
    }
    Ok(true)
}

/// Whether a row lives that has this expiration, as `expiration IS NULL OR expiration > now` says it in SQL: a text or a
/// blob is greater than every number.
pub(super) fn is_live(row: &Row<'_>, expiration: usize, now: i64) -> Result<bool> {
    Ok(match row.get_ref(expiration)? {
        ValueRef::Integer(whole) => whole > now,
        ValueRef::Real(real) => real > now as f64,
        ValueRef::Null | ValueRef::Text(_) | ValueRef::Blob(_) => true,
    })
}

/// The end of a range, for a comparison: SQLite sorts any blob after every text.
pub(super) fn below<'a>(range: &Range<'a>) -> ToSqlOutput<'a> {
    range.below.map_or(ToSqlOutput::Owned(Value::Blob(Vec::new())), |below| ToSqlOutput::Borrowed(below.into()))
}

/// A row of [`schema::list`].
pub(super) fn key_info(row: &Row<'_>, values: bool) -> Result<KeyInfo> {
    let key = row.get_ref(0)?.as_bytes_or_null().map_err(rusqlite::Error::from)?.unwrap_or_default();
    let name = text(row, 0, LONGEST_NAME).map_err(|error| of_row(error, key))?.unwrap_or_default();
    let (metadata, expiration, version) = described(row, 1).map_err(|error| of_row(error, key))?;
    let mut value = None;
    if values {
        read_value(row.get_ref(4)?, value.insert(Vec::new()))?;
    }
    Ok(KeyInfo { name, metadata, expiration, version, value })
}

/// What is wrong with a row, and which one it is. A key that is too long for a message, or for memory, is cut.
fn of_row(error: Error, key: &[u8]) -> Error {
    /// More than a message shows.
    const SHOWN: usize = 1024;
    error.while_doing(format_args!("key {}", quoted(&String::from_utf8_lossy(&key[..key.len().min(SHOWN)]))))
}

/// No two keys are the same. Where they are not in order, pages lead back to one another.
pub(super) fn in_order(before: &str, after: &str) -> Result<()> {
    match before < after {
        true => Ok(()),
        false => {
            Err(of_row(Error::new(Code::Corrupt, "the file is damaged: its keys are not in order"), after.as_bytes()))
        }
    }
}

/// The name that a row begins with. It sorts after the one before it, but where pages lead back to one another.
pub(super) fn namespace_after(last: Option<&str>, row: &Row<'_>) -> Result<String> {
    let stored = row.get_ref(0)?.as_bytes_or_null().map_err(rusqlite::Error::from)?.unwrap_or_default();
    let of_name = |error: Error| {
        let shown = String::from_utf8_lossy(&stored[..stored.len().min(1024)]);
        error.while_doing(format_args!("namespace {}", quoted(&shown)))
    };
    if last.is_some_and(|last| last.as_bytes() >= stored) {
        return Err(of_name(Error::new(Code::Corrupt, "the file is damaged: its namespaces are not in order")));
    }
    Ok(text(row, 0, LONGEST_NAME).map_err(of_name)?.unwrap_or_default())
}

/// A row's metadata, expiration and version, from this column on. Other programs' rows may have an empty text for no
/// metadata, and end within a second: they are gone when it is over, as the queries see it.
fn described(row: &Row<'_>, first: usize) -> Result<(Option<String>, Option<i64>, Version)> {
    let metadata = text(row, first, LONGEST_METADATA)?.filter(|metadata| !metadata.is_empty());
    let expiration = match row.get_ref(first + 1)? {
        ValueRef::Real(real) => Some(real.ceil() as i64),
        _ => row.get(first + 1)?,
    };
    Ok((metadata, expiration, version(row, first + 2)?))
}

/// Another program's row may have none, if it was too long to be given one.
pub(super) fn version(row: &Row<'_>, column: usize) -> Result<Version> {
    if row.get_ref(column)? == ValueRef::Null {
        return Ok(Version::default());
    }
    row.get(column).map(Version::from_bytes).map_err(Error::from)
}

/// A value's bytes. Ours are blobs; other programs that write into the table may leave texts and numbers there.
fn read_value(stored: ValueRef<'_>, value: &mut Vec<u8>) -> Result<()> {
    let number;
    let bytes = match stored {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => bytes,
        ValueRef::Null => &[],
        ValueRef::Integer(whole) => {
            number = whole.to_string();
            number.as_bytes()
        }
        ValueRef::Real(real) => {
            number = real.to_string();
            number.as_bytes()
        }
    };
    copy(bytes, value)
}

/// The longest key or namespace that is read. Limits hold for what is written; but what is read is copied more than once
/// on its way, and a file may hold anything.
pub(super) const LONGEST_NAME: usize = 1024 * 1024;

/// The same for metadata.
const LONGEST_METADATA: usize = 16 * 1024 * 1024;

/// What is longer than this library writes makes a page full, as values do.
pub(super) const USUAL: usize = 128 * 1024;

/// A text, which is measured before it is copied.
pub(super) fn text(row: &Row<'_>, column: usize, longest: usize) -> Result<Option<String>> {
    let stored = row.get_ref(column)?;
    if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = stored
        && bytes.len() > longest
    {
        let len = bytes.len();
        return Err(Error::new(Code::Corrupt, format!("it has a text of {len} bytes; at most {longest} are read")));
    }
    stored.as_str_or_null().map_err(rusqlite::Error::from)?.map(copy_text).transpose()
}
