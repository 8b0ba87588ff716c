//! Exports and imports: entries as text, in the format of Wrangler's bulk files or as JSON Lines of the same objects.
//!
//! Both handle one entry at a time, so a namespace of any size takes no more memory than its largest entry.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{BufWriter, Read, Write};
#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::str;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde::Serialize;
use serde_json::value::RawValue;

use self::records::{Field, Record, Records};
#[cfg(feature = "sqlite")]
use self::spool::Spool;

use crate::backend::{Content, Expires, Put, Transaction};
use crate::clock::Clock;
use crate::error::{Code, Error, Result, quoted};
use crate::namespace::Namespace;
use crate::types::{Entry, Format, Imported, Limits};

#[cfg(all(not(feature = "sqlite"), target_os = "wasi"))]
mod draft;
#[cfg(any(feature = "sqlite", target_os = "wasi"))]
mod file;
mod input;
mod records;
#[cfg(feature = "sqlite")]
mod spool;

/// An entry to be written, with the fields of a [`Record`].
#[derive(Serialize)]
struct Written<'a> {
    key: &'a str,
    value: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<bool>,
}

impl Namespace {
    /// Writes all live entries, as of one moment, and returns how many. Values that are not UTF-8 are written as
    /// base64. A fork of this process waits until this returns, so `to` must not fork or wait for a fork.
    pub fn export(&self, to: &mut dyn Write, format: Format) -> Result<u64> {
        self.export_with(to, format, &mut |_| {})
    }

    /// Like [`export`](Self::export), and calls `progress` after each entry with the number of entries so far.
    pub fn export_with(&self, to: &mut dyn Write, format: Format, progress: &mut dyn FnMut(u64)) -> Result<u64> {
        let inner = &*self.store().0;
        let now = inner.clock.now();
        let (mut out, mut count) = (BufWriter::new(to), 0_u64);
        let (open, between, close) = match format {
            Format::Json => ("[\n", ",\n", "\n]\n"),
            Format::JsonLines => ("", "\n", "\n"),
        };
        let written = Error::io;
        out.write_all(open.as_bytes()).map_err(written)?;
        let begun = Cell::new(false);
        inner.call_for_long(&begun, |backend| {
            backend.scan(self.name(), now, &mut |row| {
                begun.set(true);
                let record = Written::of(row)?;
                let before = if count > 0 { between } else { "" };
                out.write_all(before.as_bytes()).map_err(written)?;
                serde_json::to_writer(&mut out, &record).map_err(|why| written(why.into()))?;
                count += 1;
                progress(count);
                Ok(())
            })
        })?;
        let close = if count > 0 || format == Format::Json { close } else { "" };
        out.write_all(close.as_bytes()).and_then(|()| out.flush()).map_err(written)?;
        Ok(count)
    }

    /// Stores the entries of an export, in either format, in one transaction. An error tells where in the input it is,
    /// and then nothing was changed. Existing keys are skipped unless `replace` is set. Expired entries are skipped;
    /// with `replace` they remove the key. Others write while this reads (except in memory), and wait while it stores
    /// what it has read. Until then it keeps more than 2 MiB in a file beside the database, of about the size of the
    /// entries. A fork of this process waits until this returns, so `from` must not fork or wait for a fork.
    ///
    /// An entry is an object with a `key` and a `value`, and optionally `expiration`, `expiration_ttl`, `metadata` and
    /// `base64`. Other fields are ignored.
    pub fn import(&self, from: &mut dyn Read, replace: bool) -> Result<Imported> {
        self.import_with(from, replace, &mut |_| {})
    }

    /// Like [`import`](Self::import), and calls `ignored` with the name of each ignored field, each time that it
    /// occurs.
    pub fn import_with(&self, from: &mut dyn Read, replace: bool, ignored: &mut dyn FnMut(&str)) -> Result<Imported> {
        let inner = &*self.store().0;
        let task = Task { namespace: self.name(), limits: inner.limits, clock: &inner.clock, replace };
        #[cfg(feature = "sqlite")]
        let mut spool = None;
        let begun = Cell::new(false);
        let mut imported = Imported::default();
        inner.call_for_long(&begun, |backend| {
            #[cfg(feature = "sqlite")]
            if let Some(folder) = backend.begin_import()? {
                let spool = match &mut spool {
                    Some(spool) => spool,
                    empty => {
                        begun.set(true); // what was read cannot be read again
                        let read = task.spool(Records::begin(&mut *from, inner.limits, ignored)?, folder)?;
                        begun.set(false);
                        empty.insert(read)
                    }
                };
                return backend.import(&inner.clock, &mut |rows| {
                    imported = Imported::default();
                    spool.replay(&mut |item| task.store(rows, item, &mut imported))?;
                    let refused = rows.complete()?;
                    imported.stored -= refused;
                    imported.skipped += refused;
                    Ok(())
                });
            }
            backend.import(&inner.clock, &mut |rows| {
                begun.set(true);
                let mut records = Records::begin(&mut *from, inner.limits, ignored)?;
                let mut record = Record::default();
                while records.next(&mut record)? {
                    task.store(rows, &task.checked(&mut record)?, &mut imported)?;
                }
                Ok(())
            })
        })?;
        Ok(imported)
    }
}

impl<'a> Written<'a> {
    fn of(row: &'a Entry) -> Result<Self> {
        let (value, base64) = match str::from_utf8(row.value()) {
            Ok(text) => (text.into(), None),
            Err(_) => (to_base64(row.value())?.into(), Some(true)),
        };
        let metadata = row.metadata.as_deref().map(|metadata| one_line(&row.key, metadata)).transpose()?;
        Ok(Written { key: &row.key, value, expiration: row.expiration, metadata, base64 })
    }
}

/// A value may be large: if memory runs out, the result is an error.
fn to_base64(value: &[u8]) -> Result<String> {
    let len = value.len().div_ceil(3) * 4;
    let mut text = String::new();
    text.try_reserve_exact(len).map_err(|_| Error::no_memory(len))?;
    BASE64.encode_string(value, &mut text);
    Ok(text)
}

/// Returns the metadata unchanged, except that it is on one line. (A line break in a string would be an escape.)
fn one_line(key: &str, metadata: &str) -> Result<Box<RawValue>> {
    RawValue::from_string(metadata.replace(['\n', '\r'], " "))
        .map_err(|why| Error::new(Code::Corrupt, format!("the metadata of {} is not JSON: {why}", quoted(key))))
}

/// An import in progress.
struct Task<'a> {
    namespace: &'a str,
    limits: Limits,
    clock: &'a Clock,
    replace: bool,
}

/// An entry to be imported, which has been checked.
struct Item<'a> {
    /// The line of its key in the input.
    line: u64,
    key: &'a str,
    content: Content<'a>,
}

impl Task<'_> {
    #[cfg(feature = "sqlite")]
    fn spool<R: Read>(&self, mut records: Records<'_, R>, folder: PathBuf) -> Result<Spool> {
        let (mut spool, mut record) = (Spool::new(folder), Record::default());
        while records.next(&mut record)? {
            spool.push(&self.checked(&mut record)?)?;
        }
        Ok(spool)
    }

    /// Decodes the value, and checks everything.
    fn checked<'a>(&self, record: &'a mut Record) -> Result<Item<'a>> {
        let decoded = record.decode().and_then(|()| self.limits.value(&record.value));
        decoded.map_err(|error| record.place(Field::Value, error))?;
        let record = &*record;
        let key = &*record.key;
        let at = |field| move |error| record.place(field, error);
        self.limits.key(key).map_err(at(Field::Key))?;
        let metadata = record.metadata.as_deref();
        metadata.map_or(Ok(()), |metadata| self.limits.metadata(metadata)).map_err(at(Field::Metadata))?;
        match (record.expiration_ttl, record.expiration) {
            (Some(ttl), _) => self.limits.expiration_in(ttl, self.clock).map_err(at(Field::ExpirationTtl))?,
            // A short rest of a lifetime is not an error: the lifetime was long enough when it began.
            (None, Some(end)) => self.limits.expiration_at(end).map_err(at(Field::Expiration))?,
            (None, None) => 0,
        };
        let expires = Expires::new(record.expiration, record.expiration_ttl);
        let content = Content { value: &record.value, metadata, expires };
        Ok(Item { line: record.line(Field::Key), key, content })
    }

    fn store(&self, rows: &mut dyn Transaction, item: &Item<'_>, imported: &mut Imported) -> Result<()> {
        let Content { value, metadata, expires } = item.content;
        #[cfg(feature = "sqlite")]
        rows.lasts(if let Expires::After(ttl) = expires { Some(ttl) } else { None });
        let expiration = match expires {
            Expires::Never => Ok(None),
            Expires::At(end) => Ok(Some(end)),
            // A lifetime begins now, however long the import was read.
            Expires::After(ttl) => self.limits.expiration_in(ttl, self.clock).map(Some),
        };
        let stored = expiration
            .and_then(|expiration| self.put(rows, Put { key: item.key, value, metadata, expiration }))
            .map_err(|error| error.while_doing(format_args!("line {}, key {}", item.line, quoted(item.key))))?;
        *(if stored { &mut imported.stored } else { &mut imported.skipped }) += 1;
        Ok(())
    }

    fn put(&self, rows: &mut dyn Transaction, put: Put<'_>) -> Result<bool> {
        let expired = put.expiration.is_some_and(|end| end <= rows.now());
        match (expired, self.replace) {
            // The file determines what the key holds, and that has expired.
            (true, true) => rows.delete(self.namespace, put.key).map(|_| false),
            (true, false) => Ok(false),
            (false, true) => rows.put(self.namespace, put).map(|()| true),
            (false, false) => rows.add(self.namespace, put),
        }
    }
}
