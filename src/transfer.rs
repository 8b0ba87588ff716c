//! Exports and imports: entries as text, in the form of Wrangler's bulk files or as JSON Lines of the same objects.
//!
//! Both ways one entry at a time, so that a namespace of any size takes no more memory than its largest entry.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::str;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::backend::{Extent, Put, Rows};
use crate::clock::Clock;
use crate::error::{Code, Error, Result, quoted};
use crate::namespace::Namespace;
use crate::types::{Format, Imported, KeyInfo, Limits};

#[cfg(any(feature = "sqlite", target_os = "wasi"))]
mod file;

/// An entry, in the fields of <https://developers.cloudflare.com/kv/reference/kv-commands/#kv-bulk-put>.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record<'a> {
    key: Cow<'a, str>,
    value: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expiration: Option<i64>,
    #[serde(default, skip_serializing)]
    expiration_ttl: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<Cow<'a, RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<bool>,
}

impl Namespace {
    /// Writes all live entries, as they are at one moment, and counts them. Values that are no UTF-8 go as base64.
    pub fn export(&self, to: &mut dyn Write, format: Format) -> Result<u64> {
        let inner = &*self.store().0;
        let now = inner.clock.now();
        let (mut out, mut count) = (BufWriter::new(to), 0_u64);
        let (open, between, close) = match format {
            Format::Json => ("[\n", ",\n", "\n]\n"),
            Format::JsonLines => ("", "\n", "\n"),
        };
        let written = |why: io::Error| Error::new(Code::Io, why.to_string());
        out.write_all(open.as_bytes()).map_err(written)?;
        let begun = Cell::new(false);
        inner.call_for_long(&begun, |backend| {
            backend.scan(self.name(), now, &mut |row| {
                begun.set(true);
                let record = Record::of(row)?;
                let before = if count > 0 { between } else { "" };
                out.write_all(before.as_bytes()).map_err(written)?;
                serde_json::to_writer(&mut out, &record).map_err(|why| written(why.into()))?;
                count += 1;
                Ok(())
            })
        })?;
        let close = if count > 0 || format == Format::Json { close } else { "" };
        out.write_all(close.as_bytes()).and_then(|()| out.flush()).map_err(written)?;
        Ok(count)
    }

    /// Stores the entries of an export, in whichever of its forms, in one transaction: after an error, which says where
    /// it is, all is as it was. Keys that are there already are left alone unless `replace` is set, and entries that
    /// have expired are left out. While this reads, other writers wait.
    pub fn import(&self, from: &mut dyn Read, replace: bool) -> Result<Imported> {
        let inner = &*self.store().0;
        let task = Task { namespace: self.name(), limits: inner.limits, clock: &inner.clock, replace };
        let mut imported = Imported::default();
        let begun = Cell::new(false);
        inner.call_for_long(&begun, |backend| {
            backend.write(&|| inner.clock.now(), Extent::Any, &mut |rows| {
                begun.set(true); // what was read cannot be read again
                imported = task.run(rows, from)?;
                Ok(true)
            })
        })?;
        Ok(imported)
    }
}

impl<'a> Record<'a> {
    fn of(row: &'a KeyInfo) -> Result<Self> {
        let value = row.value.as_deref().unwrap_or_default();
        let (value, base64) = match str::from_utf8(value) {
            Ok(text) => (text.into(), None),
            Err(_) => (to_base64(value)?.into(), Some(true)),
        };
        let metadata = row.metadata.as_deref().map(|metadata| one_line(&row.name, metadata)).transpose()?;
        let (key, expiration) = (row.name.as_str().into(), row.expiration);
        Ok(Record { key, value, expiration, expiration_ttl: None, metadata, base64 })
    }

    fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        match self.base64 {
            Some(true) => match BASE64.decode(&*self.value) {
                Ok(bytes) => Ok(bytes.into()),
                Err(why) => {
                    Err(Error::invalid(format!("the value is not base64: {}", why.to_string().trim_end_matches('.'))))
                }
            },
            _ => Ok(self.value.as_bytes().into()),
        }
    }
}

/// A value may be large: if memory runs out, that is an error.
fn to_base64(value: &[u8]) -> Result<String> {
    let len = value.len().div_ceil(3) * 4;
    let mut text = String::new();
    text.try_reserve_exact(len).map_err(|_| Error::no_memory(len))?;
    BASE64.encode_string(value, &mut text);
    Ok(text)
}

/// Metadata as it is, but on one line. (A line break within a string would be an escape.)
fn one_line<'a>(key: &str, metadata: &str) -> Result<Cow<'a, RawValue>> {
    match RawValue::from_string(metadata.replace(['\n', '\r'], " ")) {
        Ok(raw) => Ok(Cow::Owned(raw)),
        Err(why) => Err(Error::new(Code::Corrupt, format!("the metadata of {} is not JSON: {why}", quoted(key)))),
    }
}

/// An import under way.
struct Task<'a> {
    namespace: &'a str,
    limits: Limits,
    clock: &'a Clock,
    replace: bool,
}

impl Task<'_> {
    fn run(&self, rows: &mut dyn Rows, from: &mut dyn Read) -> Result<Imported> {
        let line = Cell::new(1);
        let (is_array, input) = begin(BufReader::new(from))?;
        let mut imported = Imported::default();
        // What goes wrong with an entry must get out through serde's own errors.
        let mut failed = None;
        let mut each = |record: Record<'_>| match self.store(rows, &record) {
            Ok(stored) => {
                *(if stored { &mut imported.stored } else { &mut imported.skipped }) += 1;
                Ok(())
            }
            Err(error) => {
                failed = Some(error.while_doing(format_args!("line {}, key {}", line.get(), quoted(&record.key))));
                Err(())
            }
        };
        let mut reader = serde_json::Deserializer::from_reader(Lines { input, line: &line });
        let read = match is_array {
            true => reader.deserialize_seq(Items(&mut each)).and_then(|()| reader.end()),
            false => {
                reader.into_iter::<Object>().try_for_each(|record| each(record?.0).map_err(|()| de::Error::custom("")))
            }
        };
        match (failed, read) {
            (Some(error), _) => Err(error),
            (None, Err(why)) => Err(unreadable(&why)),
            (None, Ok(())) => Ok(imported),
        }
    }

    /// Answers whether the entry was stored.
    fn store(&self, rows: &mut dyn Rows, record: &Record<'_>) -> Result<bool> {
        let (key, value) = (&*record.key, record.bytes()?);
        self.limits.key(key)?;
        self.limits.value(&value)?;
        let metadata = record.metadata.as_ref().map(|metadata| metadata.get());
        metadata.map_or(Ok(()), |metadata| self.limits.metadata(metadata))?;
        let expiration = match (record.expiration_ttl, record.expiration) {
            (Some(ttl), _) => Some(self.limits.expiration_in(ttl, self.clock)?),
            // However little time is left of a lifetime, it was long enough when it began.
            (None, Some(at)) => Some(self.limits.expiration_at(at)?),
            (None, None) => None,
        };
        let expired = expiration.is_some_and(|end| end <= rows.now());
        if expired || (!self.replace && rows.version(self.namespace, key)?.is_some()) {
            return Ok(false);
        }
        rows.put(self.namespace, Put { key, value: &value, metadata, expiration })?;
        Ok(true)
    }
}

fn unreadable(why: &serde_json::Error) -> Error {
    if why.is_io() {
        return Error::new(Code::Io, why.to_string());
    }
    let (line, column, text) = (why.line(), why.column(), why.to_string());
    let what = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    Error::invalid(format!("line {line}, column {column}: {what}"))
}

/// An array of entries, handed on one by one.
struct Items<F>(F);

impl<'t, F: FnMut(Record<'_>) -> Result<(), ()>> Visitor<'t> for Items<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of entries")
    }

    fn visit_seq<A: SeqAccess<'t>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(record) = items.next_element::<Object>()? {
            (self.0)(record.0).map_err(|()| de::Error::custom(""))?;
        }
        Ok(())
    }
}

/// A record that is an object, as it must be: serde would take an array of its fields, too.
struct Object(Record<'static>);

impl<'t> Deserialize<'t> for Object {
    fn deserialize<D: Deserializer<'t>>(reader: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'t> Visitor<'t> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an entry, which is an object")
            }

            fn visit_map<A: MapAccess<'t>>(self, fields: A) -> Result<Object, A::Error> {
                Record::deserialize(MapAccessDeserializer::new(fields)).map(Object)
            }
        }
        reader.deserialize_map(Fields)
    }
}

/// Does the input begin, after any white space, with an array? A byte order mark is taken away.
fn begin(mut input: impl BufRead) -> Result<(bool, impl Read)> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    const DATABASE: &[u8] = b"SQLite format 3\0";
    /// White space that goes on for longer is kept no more.
    const BLANK: usize = 1024 * 1024;
    let (mut read, mut first) = (Vec::new(), None);
    for byte in input.by_ref().bytes() {
        let byte = byte.map_err(|why| Error::new(Code::Io, why.to_string()))?;
        read.push(byte);
        if read == MARK {
            (read, first) = (Vec::new(), None);
            continue;
        }
        first = first.or((!byte.is_ascii_whitespace()).then_some(byte));
        if read == DATABASE {
            return Err(Error::invalid("this is a SQLite database, not an export"));
        }
        if first.is_some() && !MARK.starts_with(&read) && !DATABASE.starts_with(&read) {
            break;
        }
        if read.len() > BLANK {
            return Err(Error::invalid("it begins with more than a MiB of white space"));
        }
    }
    Ok((first == Some(b'['), io::Cursor::new(read).chain(input)))
}

/// Input that counts its lines as they are read. serde_json reads byte by byte, so it is never ahead by more than one.
struct Lines<'a, R> {
    input: R,
    line: &'a Cell<u64>,
}

impl<R: Read> Read for Lines<'_, R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let len = self.input.read(to)?;
        let ends = to.iter().take(len).filter(|byte| **byte == b'\n').count();
        self.line.set(self.line.get() + ends as u64);
        Ok(len)
    }
}
