//! Reads JSON text from a file or a pipe in pieces, and keeps track of the line.
//!
//! This does not use serde_json's reader, because lengths are checked while the text arrives: a string is stored only
//! up to its limit, and running out of memory is an error. serde_json returns a string when it is complete, and aborts
//! the process if there is no memory for it.

use std::io::{BufRead, BufReader, ErrorKind, Read};

use crate::error::{Code, Error, Result};
use crate::json::{MAX_DEPTH, plain_len};

/// Where a string is stored, and how long it may be.
pub(super) struct Target<'a> {
    pub to: &'a mut Vec<u8>,
    pub limit: usize,
    /// The name of the string in a message.
    pub what: &'a str,
}

impl Target<'_> {
    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let Target { to, limit, what } = self;
        if to.len() + bytes.len() > *limit {
            let message = format!("{what} is more than {limit} bytes long; the limit is {limit}");
            return Err(Error::new(Code::Limit, message));
        }
        // Doubles the capacity or, if there is no memory for that, adds only what is needed.
        if to.try_reserve(bytes.len()).is_err() {
            to.try_reserve_exact(bytes.len()).map_err(|_| Error::no_memory(to.len() + bytes.len()))?;
        }
        to.extend_from_slice(bytes);
        Ok(())
    }
}

/// The text of a value, up to a limit.
struct Kept {
    text: Vec<u8>,
    limit: usize,
    what: &'static str,
}

pub(super) struct Input<R> {
    from: BufReader<R>,
    line: u64,
    column: u64,
    /// A copy of the text that is read, if it is wanted.
    kept: Option<Kept>,
}

fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

impl<R: Read> Input<R> {
    pub fn new(from: R) -> Self {
        Input { from: BufReader::new(from), line: 1, column: 1, kept: None }
    }

    /// The line of the next byte.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// An error at the next byte.
    #[cold]
    pub fn wrong(&self, what: &str) -> Error {
        self.at(Error::invalid(what))
    }

    #[cold]
    fn at(&self, error: Error) -> Error {
        error.while_doing(format_args!("line {}, column {}", self.line, self.column))
    }

    /// Returns the next bytes; none at the end.
    fn some(&mut self) -> Result<&[u8]> {
        // This calls the reader twice, since a slice that is returned from within a loop would stay borrowed for the
        // loop.
        while self.from.buffer().is_empty() {
            match self.from.fill_buf() {
                Ok(_) => break,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => return Err(Error::io(why)),
            }
        }
        Ok(self.from.buffer())
    }

    /// Returns the next byte without consuming it; `None` at the end.
    pub fn peek(&mut self) -> Result<Option<u8>> {
        match self.from.buffer().first() {
            Some(byte) => Ok(Some(*byte)),
            None => Ok(self.some()?.first().copied()),
        }
    }

    /// Consumes this many bytes of what was seen last, which contain no line break. In JSON only white space has some.
    #[inline]
    fn skip(&mut self, len: usize) -> Result<()> {
        if self.kept.is_some() {
            self.keep(len)?;
        }
        self.column += len as u64;
        self.from.consume(len);
        Ok(())
    }

    /// Copies this many of the next bytes.
    fn keep(&mut self, len: usize) -> Result<()> {
        let (Some(bytes), Some(Kept { text, limit, what })) = (self.from.buffer().get(..len), &mut self.kept) else {
            return Ok(());
        };
        let pushed = Target { to: text, limit: *limit, what }.push(bytes);
        pushed.map_err(|error| error.while_doing(format_args!("line {}, column {}", self.line, self.column)))
    }

    /// Skips white space, and returns the byte after it.
    #[inline]
    pub fn space(&mut self) -> Result<Option<u8>> {
        match self.from.buffer().first() {
            Some(byte) if !is_space(byte) => Ok(Some(*byte)),
            _ => self.skip_space(),
        }
    }

    fn skip_space(&mut self) -> Result<Option<u8>> {
        loop {
            let bytes = self.some()?;
            let len = bytes.iter().take_while(|byte| is_space(byte)).count();
            let next = bytes.get(len).copied();
            let is_end = bytes.is_empty();
            let lines = bytes[..len].iter().filter(|byte| **byte == b'\n').count();
            let after = bytes[..len].iter().rposition(|byte| *byte == b'\n').map(|last| len - last);
            self.skip(len)?;
            if let Some(after) = after {
                (self.line, self.column) = (self.line + lines as u64, after as u64);
            }
            if next.is_some() || is_end {
                return Ok(next);
            }
        }
    }

    /// Consumes these bytes if they are next. They are shorter than a buffer.
    pub fn take(&mut self, expected: &[u8]) -> Result<bool> {
        if self.from.buffer().starts_with(expected) {
            return self.skip(expected.len()).map(|()| true);
        }
        for (at, byte) in expected.iter().enumerate() {
            if self.peek()? != Some(*byte) {
                return if at == 0 { Ok(false) } else { Err(self.unexpected("a value")) };
            }
            self.skip(1)?;
        }
        Ok(true)
    }

    /// The error for an unexpected next byte.
    #[cold]
    pub fn unexpected(&mut self, expected: &str) -> Error {
        match self.peek() {
            Ok(Some(_)) => self.wrong(&format!("expected {expected}")),
            Ok(None) => self.wrong(&format!("expected {expected}, but the text ends here")),
            Err(error) => error,
        }
    }

    #[inline]
    pub fn expect(&mut self, byte: u8, expected: &str) -> Result<()> {
        if self.from.buffer().first() == Some(&byte) {
            return self.skip(1);
        }
        if self.take(&[byte])? { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    /// Reads a string and decodes its escapes. Without a target it only skips the string.
    pub fn string(&mut self, mut target: Option<Target<'_>>) -> Result<()> {
        self.expect(b'"', "a string")?;
        loop {
            let bytes = self.some()?;
            let len = plain_len(bytes);
            let next = bytes.get(len).copied();
            let is_end = bytes.is_empty();
            if let Some(target) = &mut target {
                let pushed = target.push(&bytes[..len]);
                pushed.map_err(|error| self.at(error))?;
            }
            self.skip(len)?;
            match next {
                Some(b'"') => return self.skip(1),
                Some(b'\\') => {
                    let character = self.escape()?;
                    if let Some(target) = &mut target {
                        let pushed = target.push(character.encode_utf8(&mut [0; 4]).as_bytes());
                        pushed.map_err(|error| self.at(error))?;
                    }
                }
                Some(_) => return Err(self.wrong("a control character in a string must be an escape")),
                None if is_end => return Err(self.wrong("the text ends within a string")),
                None => {}
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        self.skip(1)?;
        let character = match self.peek()? {
            Some(b'u') => return self.unicode(),
            Some(character @ (b'"' | b'\\' | b'/')) => char::from(character),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            _ => return Err(self.unexpected("an escape of JSON's")),
        };
        self.skip(1)?;
        Ok(character)
    }

    /// After a `\`: `u`, and one or two UTF-16 units.
    fn unicode(&mut self) -> Result<char> {
        let first = self.unit()?;
        let mut units = [first, 0];
        let mut len = 1;
        if (0xd800..0xdc00).contains(&first) && self.take(b"\\")? {
            units[1] = self.unit()?;
            len = 2;
        }
        match char::decode_utf16(units.into_iter().take(len)).next() {
            Some(Ok(character)) => Ok(character),
            _ => Err(self.wrong("half of a surrogate pair, which is no character")),
        }
    }

    fn unit(&mut self) -> Result<u16> {
        self.expect(b'u', "the other half of a surrogate pair")?;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek()?.and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return Err(self.unexpected("four hexadecimal digits")) };
            unit = unit << 4 | digit as u16;
            self.skip(1)?;
        }
        Ok(unit)
    }

    /// Reads a number, by JSON's grammar.
    fn number(&mut self) -> Result<()> {
        self.take(b"-")?;
        if !self.take(b"0")? {
            self.digits()?;
        }
        if self.take(b".")? {
            self.digits()?;
        }
        if matches!(self.peek()?, Some(b'e' | b'E')) {
            self.skip(1)?;
            if !self.take(b"+")? {
                self.take(b"-")?;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<()> {
        if !self.peek()?.is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.unexpected("a digit"));
        }
        while self.peek()?.is_some_and(|byte| byte.is_ascii_digit()) {
            self.skip(1)?;
        }
        Ok(())
    }

    /// Skips a value of any kind. It takes no memory, however long the value is.
    pub fn value(&mut self) -> Result<()> {
        // The open containers, the innermost in the lowest bit: a bit is set for an object.
        let (mut objects, mut depth) = (0_u128, 0);
        loop {
            match self.peek()? {
                Some(b'"') => self.string(None)?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                Some(open @ (b'{' | b'[')) => {
                    if depth == MAX_DEPTH {
                        return Err(self.wrong(&format!("nested deeper than {MAX_DEPTH}")));
                    }
                    self.skip(1)?;
                    (objects, depth) = (objects << 1 | u128::from(open == b'{'), depth + 1);
                    match self.space()? {
                        Some(b'}' | b']') => {}
                        _ if open == b'{' => {
                            self.name()?;
                            continue;
                        }
                        _ => continue,
                    }
                }
                _ => return Err(self.unexpected("a value")),
            }
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let is_object = objects & 1 == 1;
                let (close, expected) = if is_object { (b'}', "`,` or `}`") } else { (b']', "`,` or `]`") };
                match self.space()? {
                    Some(b',') => {
                        self.skip(1)?;
                        self.space()?;
                        if is_object {
                            self.name()?;
                        }
                        break;
                    }
                    Some(byte) if byte == close => self.skip(1)?,
                    _ => return Err(self.unexpected(expected)),
                }
                (objects, depth) = (objects >> 1, depth - 1);
            }
        }
    }

    /// Returns the text of a value of any kind, unchanged.
    pub fn text_of_value(&mut self, limit: usize, what: &'static str) -> Result<String> {
        self.kept = Some(Kept { text: Vec::new(), limit, what });
        self.value()?;
        let text = self.kept.take().map(|kept| kept.text).unwrap_or_default();
        String::from_utf8(text).map_err(|_| self.wrong(&format!("{what} is not UTF-8")))
    }

    fn word(&mut self, word: &[u8]) -> Result<()> {
        self.take(word).map(|_| ())
    }

    /// Reads a name in an object, and the colon after it.
    fn name(&mut self) -> Result<()> {
        self.string(None)?;
        self.colon()
    }

    pub fn colon(&mut self) -> Result<()> {
        self.space()?;
        self.expect(b':', "`:`")?;
        self.space().map(|_| ())
    }
}
