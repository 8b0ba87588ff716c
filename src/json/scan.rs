//! Reads the JSON that is usual, in two thirds of the instructions that serde_json takes with a visitor.
//!
//! It accepts nothing that serde_json does not, with the same parts. What it does not know it leaves to serde_json,
//! which reads the text from its beginning: errors, which tell the place, and what is rare (surrogates, `-0`, integers
//! that need more than 64 bits). Strings need no check, since the whole text was one.

use super::{MAX_DEPTH, OutOfMemory, Part, Sink, plain_len};

/// Why a text was not read.
pub(super) enum Stop {
    Unusual,
    OutOfMemory,
}

impl From<OutOfMemory> for Stop {
    fn from(_: OutOfMemory) -> Self {
        Stop::OutOfMemory
    }
}

/// Reads one document.
pub(super) fn read<'t>(text: &'t str, sink: &mut impl Sink<'t>) -> Result<(), Stop> {
    let mut scanner = Scanner { text, at: 0, sink, unescaped: String::new() };
    scanner.value(0)?;
    scanner.skip_space();
    if scanner.at == text.len() { Ok(()) } else { Err(Stop::Unusual) }
}

struct Scanner<'t, 's, S> {
    text: &'t str,
    at: usize,
    sink: &'s mut S,
    /// The string with escapes that is being read.
    unescaped: String,
}

impl<'t, S: Sink<'t>> Scanner<'t, '_, S> {
    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline(always)]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Skips space and then this byte. Returns whether it was there.
    #[inline(always)]
    fn skip(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    /// Reads a value, `depth` containers deep.
    fn value(&mut self, depth: usize) -> Result<(), Stop> {
        self.skip_space();
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.string()
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b't') => self.word("true", Part::Bool(true)),
            Some(b'f') => self.word("false", Part::Bool(false)),
            Some(b'n') => self.word("null", Part::Null),
            _ => Err(Stop::Unusual),
        }
    }

    fn word(&mut self, word: &str, part: Part) -> Result<(), Stop> {
        match self.text.as_bytes().get(self.at..) {
            Some(rest) if rest.starts_with(word.as_bytes()) => {
                self.at += word.len();
                Ok(self.sink.part(part)?)
            }
            _ => Err(Stop::Unusual),
        }
    }

    fn open(&mut self, container: Part, depth: usize) -> Result<(), Stop> {
        self.at += 1;
        if depth == MAX_DEPTH { Err(Stop::Unusual) } else { Ok(self.sink.part(container)?) }
    }

    fn array(&mut self, depth: usize) -> Result<(), Stop> {
        self.open(Part::Array, depth)?;
        let mut len = 0;
        if !self.skip(b']') {
            loop {
                self.value(depth + 1)?;
                len += 1;
                if !self.skip(b',') {
                    break;
                }
            }
            self.skip(b']').then_some(()).ok_or(Stop::Unusual)?;
        }
        Ok(self.sink.part(Part::End { len })?)
    }

    fn object(&mut self, depth: usize) -> Result<(), Stop> {
        self.open(Part::Object, depth)?;
        let mut len = 0;
        if !self.skip(b'}') {
            loop {
                self.skip(b'"').then_some(()).ok_or(Stop::Unusual)?;
                self.string()?;
                self.skip(b':').then_some(()).ok_or(Stop::Unusual)?;
                self.value(depth + 1)?;
                len += 1;
                if !self.skip(b',') {
                    break;
                }
            }
            self.skip(b'}').then_some(()).ok_or(Stop::Unusual)?;
        }
        Ok(self.sink.part(Part::End { len })?)
    }

    /// Reads a string, after its first quote.
    #[inline]
    fn string(&mut self) -> Result<(), Stop> {
        let start = self.at;
        match self.plain() {
            Some(b'"') => {
                let text = self.text.get(start..self.at).ok_or(Stop::Unusual)?;
                self.at += 1;
                Ok(self.sink.borrowed(text)?)
            }
            Some(b'\\') => self.string_with_escapes(start),
            _ => Err(Stop::Unusual),
        }
    }

    #[inline(never)]
    fn string_with_escapes(&mut self, mut start: usize) -> Result<(), Stop> {
        self.unescaped.clear();
        // All that can follow, so that nothing is moved.
        self.unescaped.try_reserve(self.text.len() - start).map_err(|_| Stop::OutOfMemory)?;
        loop {
            let end = self.plain();
            self.unescaped.push_str(self.text.get(start..self.at).ok_or(Stop::Unusual)?);
            self.at += 1;
            match end {
                Some(b'"') => return Ok(self.sink.copied(&self.unescaped)?),
                Some(b'\\') => {
                    let escaped = self.escape().ok_or(Stop::Unusual)?;
                    self.unescaped.push(escaped);
                }
                _ => return Err(Stop::Unusual),
            }
            start = self.at;
        }
    }

    /// Reads an escape after its backslash.
    #[inline]
    fn escape(&mut self) -> Option<char> {
        let kind = self.peek()?;
        self.at += 1;
        Some(match kind {
            b'n' => '\n',
            b'"' | b'\\' | b'/' => char::from(kind),
            b'r' => '\r',
            b't' => '\t',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                self.at += 4;
                char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
            }
            _ => return None,
        })
    }

    /// Skips what stands for itself in a string, and returns what follows.
    #[inline]
    fn plain(&mut self) -> Option<u8> {
        self.at += plain_len(self.text.as_bytes().get(self.at..)?);
        self.peek()
    }

    fn number(&mut self) -> Result<(), Stop> {
        /// So many digits fit into an `i64` in any case.
        const DIGITS: usize = 18;
        let start = self.at;
        let is_negative = self.peek() == Some(b'-');
        self.at += usize::from(is_negative);
        let first = self.at;
        let int = self.digits();
        let len = self.at - first;
        let has_leading_zero = len > 1 && self.text.as_bytes().get(first) == Some(&b'0');
        if len == 0 || has_leading_zero {
            return Err(Stop::Unusual);
        }
        let int = match self.peek() {
            Some(b'.' | b'e' | b'E') => return self.float(start),
            _ if is_negative && int == 0 => None,
            _ if len > DIGITS => self.text.get(start..self.at).and_then(|text| text.parse().ok()),
            _ => Some(if is_negative { -int } else { int }),
        };
        Ok(self.sink.part(Part::Int(int.ok_or(Stop::Unusual)?))?)
    }

    /// Reads the rest of a number that began at `start` and has a fraction or an exponent.
    fn float(&mut self, start: usize) -> Result<(), Stop> {
        let mut has_digits = true;
        if self.peek() == Some(b'.') {
            self.at += 1;
            has_digits = self.skip_digits();
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            has_digits &= self.skip_digits();
        }
        let number = self.text.get(start..self.at).filter(|_| has_digits).and_then(|text| text.parse::<f64>().ok());
        match number.filter(|number| number.is_finite()) {
            Some(number) => Ok(self.sink.part(Part::Float(number))?),
            None => Err(Stop::Unusual),
        }
    }

    /// Skips digits and returns their number, which is wrong if there are too many.
    fn digits(&mut self) -> i64 {
        let mut number = 0_i64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        number
    }

    fn skip_digits(&mut self) -> bool {
        let start = self.at;
        self.digits();
        self.at > start
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::read_with;
    use super::*;

    #[derive(Default)]
    struct Log(Vec<String>);

    impl<'t> Sink<'t> for Log {
        fn part(&mut self, part: Part) -> Result<(), OutOfMemory> {
            // The bits of a float, since -0.0 is equal to 0.0.
            let bits = if let Part::Float(number) = part { number.to_bits() } else { 0 };
            self.0.push(format!("{part:?} {bits}"));
            Ok(())
        }
        fn borrowed(&mut self, text: &'t str) -> Result<(), OutOfMemory> {
            self.copied(text)
        }
        fn copied(&mut self, text: &str) -> Result<(), OutOfMemory> {
            self.0.push(format!("{text:?}"));
            Ok(())
        }
        fn len(&self) -> [usize; 3] {
            [self.0.len(), 0, 0]
        }
        fn truncate(&mut self, [len, ..]: [usize; 3]) {
            self.0.truncate(len);
        }
    }

    /// Returns whether the text was read. If so, it is what serde_json reads.
    fn compare(text: &str) -> bool {
        let (mut own, mut theirs) = (Log::default(), Log::default());
        let is_read = read(text, &mut own).is_ok();
        if is_read {
            read_with(serde_json::Deserializer::from_str(text), &mut theirs).expect(text);
            if cfg!(feature = "internals") || !own.0.iter().any(|part| part.starts_with("Float")) {
                assert_eq!(own.0, theirs.0, "{text}");
            } else {
                assert_eq!(own.0.len(), theirs.0.len(), "{text}"); // without float_roundtrip it may differ in a bit
            }
        }
        is_read
    }

    const SAMPLE: &str = r#" {"a":[1,-20,0,3.25,1e3,-1.5E-7,123456789012345678] , "Größe":{"\"\\\/\b\f\n\r\t\u00e9":
        true,"":false}, "long enough for two chunks":null,"e":[[],{}],"x":"tab	"} "#;

    #[test]
    fn what_is_usual_is_read() {
        let sample = SAMPLE.replace('\t', "");
        assert!(compare(&sample));
        for text in [
            "1",
            "\"\"",
            "null",
            "[]",
            "{}",
            "-1",
            "0",
            "0.5",
            " true ",
            "\"1234567\"",
            "\"12345678\"",
            "9223372036854775807",
            "-9223372036854775808",
        ] {
            assert!(compare(text), "{text}");
        }
        assert!(compare(&["[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH)].concat()));
    }

    #[test]
    fn what_is_wrong_or_rare_is_left_to_serde_json() {
        for text in [
            "",
            " ",
            "-",
            "-0",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "1e999",
            "9223372036854775808",
            "tru",
            "nulL",
            "[1,]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{1:2}",
            "\"",
            "\"\\",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u+123\"",
            "\"\\ud83d\\ude00\"",
            "\"a\nb\"",
            "1 2",
            "[1 2]",
            "]",
            "NaN",
            "1x",
            "\u{a0}1",
        ] {
            assert!(!compare(text), "{text}");
        }
        assert!(!compare(SAMPLE), "a tab in a string");
        assert!(!compare(&["[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1)].concat()));
    }

    #[test]
    fn every_change_of_one_character_is_read_alike_or_left() {
        let sample: Vec<char> = SAMPLE.chars().collect();
        for place in 0..sample.len() {
            for other in "\"\\{}[]:,0-.eE+u tn\n\u{1}é".chars() {
                let mut changed = sample.clone();
                changed[place] = other;
                compare(&changed.iter().collect::<String>());
                changed.remove(place);
                compare(&changed.iter().collect::<String>());
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_alike_or_left(parts in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ":", ",", "\"", "\\", "\"a\"", "\"a\":", "1", "-", "0", ".5", "e1", "1.5e-300", "true",
                "null", " ", "\\n", "\\u0041", "é", "12345678", "[1,2]", "{\"k\":[]}", "\n",
            ]), 0..12)) {
            compare(&parts.concat());
        }

        #[test]
        fn any_number_is_read_alike(number: f64, int: i64) {
            if number.is_finite() {
                compare(&format!("[{number},{number:e}]"));
            }
            compare(&int.to_string());
        }
    }
}
