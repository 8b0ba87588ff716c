//! The output of a command: JSON for programs, tables for people, and tab-separated lines otherwise.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use console::{Alignment, Term, pad_str, style, truncate_str};
use luat_kv::{Clock, Entry};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::ser::Formatter;
use serde_json::value::RawValue;

use crate::fail::Fail;
use crate::text::{json_escaped, quoted, show};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Json,
    Plain,
    Terminal,
}

pub struct Output {
    to: BufWriter<StdoutLock<'static>>,
    pub style: Style,
    now: i64,
}

impl Output {
    pub fn new(json: bool) -> Self {
        let style = match (json, io::stdout().is_terminal()) {
            (true, _) => Style::Json,
            (false, true) => Style::Terminal,
            (false, false) => Style::Plain,
        };
        Output { to: BufWriter::new(io::stdout().lock()), style, now: Clock::system().now() }
    }

    /// Prints bytes unchanged.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)
    }

    pub fn writer(&mut self) -> &mut dyn Write {
        &mut self.to
    }

    pub fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.to, "{text}")
    }

    /// Prints a line of JSON, which may appear on a terminal.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut self.to, Harmless))?;
        self.to.write_all(b"\n")
    }

    /// Prints a few named results: one JSON object, or one name and value on each line.
    pub fn facts(&mut self, facts: &[(&str, Value)]) -> io::Result<()> {
        if self.style == Style::Json {
            return self.json(&Object(facts));
        }
        let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in facts {
            let value = match value {
                Value::String(text) => show(text.as_bytes()),
                other => other.to_string().into(),
            };
            match self.style {
                Style::Terminal => writeln!(self.to, "{}  {value}", style(format!("{name:width$}")).bold())?,
                _ => writeln!(self.to, "{name}\t{value}")?,
            }
        }
        Ok(())
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    /// When an entry expires, in this format.
    pub fn expiration(&self, expiration: Option<i64>) -> String {
        match (expiration, self.style) {
            (None, _) => String::new(),
            (Some(end), Style::Terminal) => {
                let left = end.saturating_sub(self.now);
                let units = [(24 * 60 * 60, "days"), (60 * 60, "hours"), (60, "minutes")];
                let (unit, name) = units.into_iter().find(|(unit, _)| left >= 2 * unit).unwrap_or((1, "seconds"));
                format!("in {} {name}", (left + unit / 2) / unit)
            }
            (Some(end), _) => end.to_string(),
        }
    }
}

/// Compact JSON in which characters that could control a terminal are escaped.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, to: &mut W, fragment: &str) -> io::Result<()> {
        to.write_all(json_escaped(fragment).as_bytes())
    }

    fn write_raw_fragment<W: Write + ?Sized>(&mut self, to: &mut W, fragment: &str) -> io::Result<()> {
        to.write_all(json_escaped(fragment).as_bytes())
    }
}

/// An object whose fields keep their order. `serde_json::Map` would sort them.
struct Object<'a>(&'a [(&'a str, Value)]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Rows in columns, which arrive page by page: the first page sets the widths, and later ones only increase them.
pub struct Table<'a> {
    head: &'a [&'a str],
    widths: Vec<usize>,
}

impl<'a> Table<'a> {
    pub fn new(head: &'a [&'a str]) -> Self {
        Table { head, widths: Vec::new() }
    }

    pub fn page(&mut self, rows: &[Vec<String>], out: &mut Output) -> io::Result<()> {
        if out.style != Style::Terminal {
            return rows.iter().try_for_each(|row| out.line(&row.join("\t")));
        }
        let first = self.widths.is_empty();
        if first {
            self.widths = self.head.iter().map(|name| name.len()).collect();
        }
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(console::measure_text_width(cell));
            }
        }
        let room = Term::stdout().size_checked().map_or(usize::MAX, |(_, columns)| usize::from(columns));
        if first {
            let head: Vec<_> = self.head.iter().map(|name| (*name).to_owned()).collect();
            out.line(&style(self.layout(&head, room)).bold().underlined().to_string())?;
        }
        for row in rows {
            out.line(&self.layout(row, room))?;
        }
        Ok(())
    }

    /// The first cell, which names the row, is never truncated; the others may be. A long name shifts only its own row.
    fn layout(&self, row: &[String], room: usize) -> String {
        const GAP: usize = 2;
        let mut text = String::new();
        let mut used = 0;
        for (at, (cell, width)) in row.iter().zip(&self.widths).enumerate() {
            if at == 0 {
                text += &pad_str(cell, (*width).min(room / 2), Alignment::Left, None);
            } else {
                let left = room.saturating_sub(used + GAP);
                text.extend(std::iter::repeat_n(' ', GAP));
                text += &pad_str(&truncate_str(cell, left, "…"), (*width).min(left), Alignment::Left, None);
            }
            used = console::measure_text_width(&text);
        }
        text.truncate(text.trim_end().len());
        text
    }
}

/// An entry as JSON: the fields of an export, and its version.
#[derive(Serialize)]
pub struct Record<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<bool>,
    version: String,
}

impl<'a> Record<'a> {
    pub fn of(entry: &'a Entry) -> Result<Self, Fail> {
        let (value, base64) = match entry.value.as_deref().map(str::from_utf8) {
            None => (None, None),
            Some(Ok(text)) => (Some(text.into()), None),
            Some(Err(_)) => (entry.value.as_deref().map(|bytes| BASE64.encode(bytes).into()), Some(true)),
        };
        let metadata = entry.metadata.as_deref().map(|text| RawValue::from_string(one_line(text))).transpose();
        let metadata = metadata
            .map_err(|why| Fail::Failed(format!("the metadata of {} is not JSON: {why}", quoted(&entry.key))))?;
        let (key, expiration, version) = (&*entry.key, entry.expiration, entry.version.to_string());
        Ok(Record { key, value, expiration, metadata, base64, version })
    }
}

/// A line break in JSON is always white space: in a string it is an escape.
fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}
