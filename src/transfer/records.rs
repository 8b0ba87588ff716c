//! The entries of an import, one at a time: Wrangler's bulk files, and JSON Lines of the same objects.

use std::io::Read;
use std::str;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;

use super::input::{Input, Target};
use crate::error::{Error, Result, quoted};
use crate::types::Limits;

/// The fields of <https://developers.cloudflare.com/kv/reference/kv-commands/#kv-bulk-put>.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Key,
    Value,
    Expiration,
    ExpirationTtl,
    Metadata,
    Base64,
}

const FIELDS: [(&str, Field); 6] = [
    ("key", Field::Key),
    ("value", Field::Value),
    ("expiration", Field::Expiration),
    ("expiration_ttl", Field::ExpirationTtl),
    ("metadata", Field::Metadata),
    ("base64", Field::Base64),
];

/// The longest name of an unknown field.
const NAME_LEN: usize = 4096;

/// The longest number, in characters.
const NUMBER_LEN: usize = 64;

/// An entry as it was read. Its value may still be base64.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub key: String,
    pub value: Vec<u8>,
    pub expiration: Option<i64>,
    pub expiration_ttl: Option<i64>,
    pub metadata: Option<String>,
    base64: bool,
    /// The line of each field; 0 where it is missing.
    lines: [u64; FIELDS.len()],
}

impl Record {
    fn clear(&mut self) {
        /// A larger buffer is not kept for the next value.
        const KEPT: usize = 1024 * 1024;
        let mut value = std::mem::take(&mut self.value);
        value.clear();
        value.shrink_to(KEPT);
        *self = Record { value, ..Record::default() };
    }

    /// Decodes the value if it is base64.
    pub fn decode(&mut self) -> Result<()> {
        match self.base64 {
            true if !decode(&mut self.value) => Err(Error::invalid("the value is not base64")),
            _ => Ok(()),
        }
    }

    /// The line of a field; 0 if it is missing.
    pub fn line(&self, field: Field) -> u64 {
        self.lines[field as usize]
    }

    /// Adds the line of the field and the key to an error.
    pub fn place(&self, field: Field, error: Error) -> Error {
        error.while_doing(format_args!("line {}, key {}", self.line(field), quoted(&self.key)))
    }
}

/// Decodes base64 in place, ignoring white space. Returns whether the text is base64.
fn decode(text: &mut Vec<u8>) -> bool {
    const CHARACTERS: usize = 1024;
    let mut bytes = [0; CHARACTERS / 4 * 3];
    text.retain(|byte| !byte.is_ascii_whitespace());
    let (mut from, mut to) = (0, 0);
    while from < text.len() {
        let end = text.len().min(from + CHARACTERS);
        let Ok(len) = BASE64.decode_slice(&text[from..end], &mut bytes) else { return false };
        // Padding is allowed only at the end.
        if end < text.len() && len < bytes.len() {
            return false;
        }
        text[to..to + len].copy_from_slice(&bytes[..len]);
        (from, to) = (end, to + len);
    }
    text.truncate(to);
    true
}

/// Reads the entries.
pub(super) struct Records<'u, R> {
    input: Input<R>,
    limits: Limits,
    /// Receives the names of unknown fields.
    unknown: &'u mut dyn FnMut(&str),
    is_array: bool,
    is_first: bool,
    name: Vec<u8>,
}

impl<'u, R: Read> Records<'u, R> {
    pub fn begin(from: R, limits: Limits, unknown: &'u mut dyn FnMut(&str)) -> Result<Self> {
        let mut input = Input::new(from);
        // A byte order mark.
        input.take(b"\xef\xbb\xbf")?;
        let is_array = match input.space()? {
            None => return Err(Error::invalid("it is empty, which is no export: one without entries is []")),
            Some(b'S') if input.take(b"SQLite format 3\0")? => {
                return Err(Error::invalid("this is a SQLite database, not an export"));
            }
            Some(b'[') => input.take(b"[")?,
            Some(_) => false,
        };
        Ok(Records { input, limits, unknown, is_array, is_first: true, name: Vec::new() })
    }

    /// Reads the next entry. Returns false if there are no more.
    pub fn next(&mut self, record: &mut Record) -> Result<bool> {
        let next = self.input.space()?;
        if self.is_array {
            match next {
                Some(b']') => {
                    self.input.take(b"]")?;
                    return match self.input.space()? {
                        None => Ok(false),
                        Some(_) => Err(self.input.wrong("there is more behind the array")),
                    };
                }
                _ if self.is_first => {}
                _ => {
                    self.input.expect(b',', "`,` or `]`")?;
                    self.input.space()?;
                }
            }
        } else if next.is_none() {
            return Ok(false);
        }
        self.is_first = false;
        record.clear();
        self.record(record).map(|()| true)
    }

    fn record(&mut self, record: &mut Record) -> Result<()> {
        self.input.expect(b'{', "an entry, which is an object")?;
        if self.input.space()? != Some(b'}') {
            loop {
                self.field(record)?;
                if self.input.space()? != Some(b',') {
                    break;
                }
                self.input.take(b",")?;
                self.input.space()?;
            }
        }
        if self.input.peek()? == Some(b'}') {
            for (name, field) in [("key", Field::Key), ("value", Field::Value)] {
                if record.lines[field as usize] == 0 {
                    return Err(self.input.wrong(&format!("missing field `{name}`")));
                }
            }
        }
        self.input.expect(b'}', "`,` or `}`")
    }

    fn field(&mut self, record: &mut Record) -> Result<()> {
        self.name.clear();
        self.input.string(Some(Target { to: &mut self.name, limit: NAME_LEN, what: "the name of a field" }))?;
        let Some((name, field)) = FIELDS.iter().find(|(name, _)| name.as_bytes() == self.name) else {
            (self.unknown)(&String::from_utf8_lossy(&self.name));
            self.input.colon()?;
            return self.input.value();
        };
        if record.lines[*field as usize] > 0 {
            return Err(self.input.wrong(&format!("duplicate field `{name}`")));
        }
        self.input.colon()?;
        record.lines[*field as usize] = self.input.line();
        match field {
            Field::Key => {
                let mut key = Vec::new();
                self.text(name, "the key", &mut key, self.limits.name_len())?;
                record.key = String::from_utf8(key).map_err(|_| self.input.wrong("the key is not UTF-8"))?;
            }
            Field::Value => {
                self.text(name, "the value", &mut record.value, text_len(self.limits.value_len()))?;
                if str::from_utf8(&record.value).is_err() {
                    return Err(self.input.wrong("the value is not UTF-8"));
                }
            }
            Field::Expiration => record.expiration = self.whole(name)?,
            Field::ExpirationTtl => record.expiration_ttl = self.whole(name)?,
            Field::Metadata => {
                let text = self.input.text_of_value(self.limits.metadata_len(), "the metadata")?;
                record.metadata = (text != "null").then_some(text);
            }
            Field::Base64 => record.base64 = self.boolean(name)?,
        }
        Ok(())
    }

    fn text(&mut self, name: &str, what: &str, to: &mut Vec<u8>, limit: usize) -> Result<()> {
        match self.input.peek()? {
            Some(b'"') => self.input.string(Some(Target { to, limit, what })),
            Some(_) => Err(self.input.wrong(&format!("`{name}` must be a string"))),
            None => Err(self.input.unexpected("a string")),
        }
    }

    /// A whole number, such as 3600 or 3600.0; `None` for null.
    fn whole(&mut self, name: &str) -> Result<Option<i64>> {
        let text = self.input.text_of_value(NUMBER_LEN, "a number")?;
        if text == "null" {
            return Ok(None);
        }
        // Beyond 2⁵³ a number with a decimal point is not exact.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let float = || text.parse().ok().filter(|number: &f64| number.fract() == 0.0 && number.abs() <= EXACT);
        match text.parse().ok().or_else(|| float().map(|number| number as i64)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.input.wrong(&format!("`{name}` must be a whole number of 64 bits"))),
        }
    }

    fn boolean(&mut self, name: &str) -> Result<bool> {
        match &*self.input.text_of_value(NUMBER_LEN, "a boolean")? {
            "true" => Ok(true),
            "false" | "null" => Ok(false),
            _ => Err(self.input.wrong(&format!("`{name}` must be a boolean"))),
        }
    }
}

/// The maximum length in text of a value of this many bytes: base64 with line breaks.
fn text_len(len: usize) -> usize {
    len / 2 * 3 + 4096
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_in_place_whatever_its_length() {
        for len in (0..20).chain([766, 767, 768, 769, 770, 1535, 1536, 1537, 100_000]) {
            let bytes: Vec<_> = (0..len).map(|at: u32| (at * 7) as u8).collect();
            let text = BASE64.encode(&bytes);
            let wrapped: Vec<_> = text.as_bytes().chunks(76).collect();
            for mut text in [text.clone().into_bytes(), wrapped.join(&b"\r\n"[..]), format!(" {text}\n").into_bytes()] {
                assert!(decode(&mut text));
                assert_eq!(text, bytes);
            }
        }
    }

    #[test]
    fn what_is_not_base64_is_found() {
        let long = "AAAA".repeat(255);
        let padded_within = [long.as_str(), "AA==", "AAAA"].concat();
        for text in ["!", "QQ", "QR==", "QQ==QQ==", "Q===", "====", "QUJD-_", &padded_within] {
            assert!(!decode(&mut text.as_bytes().to_vec()), "{text}");
        }
    }
}
