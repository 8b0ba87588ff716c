//! What is shown of a value: as text, as JSON, or as hexadecimal.

use std::fmt::Write;
use std::str;

use ratatui::style::Style;
use ratatui::text::Span;
use serde::de::IgnoredAny;

use crate::text::{show, show_lines};

/// How much of a value is shown. A longer one would take long to lay out, and nobody scrolls through it.
pub const SHOWN: usize = 256 * 1024;

/// The beginning of a value.
pub struct Shown {
    bytes: Vec<u8>,
    /// The length of the whole value.
    pub len: usize,
    is_text: bool,
    /// The value on indented lines, if it is JSON and shown as a whole.
    json: Option<String>,
}

/// How a value is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// As what it is.
    #[default]
    Auto,
    Text,
    Json,
    Hex,
}

impl View {
    pub fn next(self) -> View {
        match self {
            View::Auto => View::Text,
            View::Text => View::Json,
            View::Json => View::Hex,
            View::Hex => View::Auto,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            View::Auto => "by itself",
            View::Text => "text",
            View::Json => "JSON",
            View::Hex => "hex",
        }
    }
}

impl Shown {
    pub fn new(mut bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        bytes.truncate(SHOWN);
        bytes.shrink_to_fit();
        let text = if len > SHOWN { whole_characters(&bytes) } else { &bytes };
        // Many binary formats contain a NUL, and hardly any text does.
        let is_text = !text.contains(&0) && str::from_utf8(text).is_ok();
        let json = (is_text && len <= SHOWN).then(|| indented(&bytes)).flatten();
        Shown { bytes, len, is_text, json }
    }

    /// The view that is used, if this one is chosen.
    pub fn view(&self, chosen: View) -> View {
        match chosen {
            // A number or a single text is JSON too, but looks the same.
            View::Auto if self.json.is_some() && matches!(first(&self.bytes), Some(b'{' | b'[')) => View::Json,
            View::Auto if self.is_text => View::Text,
            View::Auto => View::Hex,
            View::Json if self.json.is_none() => View::Text,
            chosen => chosen,
        }
    }

    /// The value on lines of this width, and a last one if there is more of it.
    pub fn lines(&self, chosen: View, width: usize) -> Vec<String> {
        let is_cut = self.len > self.bytes.len();
        let mut lines = match (self.view(chosen), &self.json) {
            (View::Hex, _) => hex(&self.bytes, width),
            (View::Json, Some(json)) => wrap(&placed(&show_lines(json.as_bytes())), width),
            _ if is_cut => wrap(&placed(&show_lines(whole_characters(&self.bytes))), width),
            _ => wrap(&placed(&show_lines(&self.bytes)), width),
        };
        if is_cut {
            lines.push(format!("… {} bytes more", self.len - self.bytes.len()));
        }
        lines
    }
}

/// Without the beginning of a character that was cut off at the end.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    match str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

fn first(json: &[u8]) -> Option<&u8> {
    json.iter().find(|byte| !byte.is_ascii_whitespace())
}

/// JSON with line breaks and indentation; `None` if it is not JSON. Everything else stays as it was written: a parser
/// would round numbers, and lose names that occur twice.
fn indented(json: &[u8]) -> Option<String> {
    serde_json::from_slice::<IgnoredAny>(json).ok()?;
    let text = str::from_utf8(json).ok()?;
    let (mut out, mut depth, mut in_string, mut escaped) = (String::with_capacity(text.len() * 2), 0, false, false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            ' ' | '\t' | '\n' | '\r' => continue,
            '{' | '[' => {
                while rest.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                out.push(c);
                match rest.next_if(|c| matches!(c, '}' | ']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        line_break(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth -= 1;
                line_break(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line_break(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    Some(out)
}

fn line_break(out: &mut String, depth: usize) {
    /// Deeper lines would be blank on a small terminal, and a long value of them is many times as long.
    const DEEPEST: usize = 16;
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth.min(DEEPEST)));
}

/// Divides text into lines that a terminal shows in this width. It contains no control characters but tabs and line
/// breaks.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    const TAB: usize = 8;
    let mut lines = Vec::new();
    for line in text.lines() {
        let (mut shown, mut used) = (String::new(), 0);
        for (at, part) in line.split('\t').enumerate() {
            if at > 0 {
                let gap = TAB - used % TAB;
                shown.extend(std::iter::repeat_n(' ', gap));
                used += gap;
            }
            let part = Span::raw(part);
            for grapheme in part.styled_graphemes(Style::new()) {
                let wide = Span::raw(grapheme.symbol).width();
                if used + wide > width && used > 0 {
                    lines.push(std::mem::take(&mut shown));
                    used = 0;
                }
                shown.push_str(grapheme.symbol);
                used += wide;
            }
        }
        lines.push(shown);
    }
    lines
}

/// Lines of an offset, bytes, and their ASCII characters, as hexdump prints them.
fn hex(bytes: &[u8], width: usize) -> Vec<String> {
    const FULL: usize = 8 + 2 + 3 * 16 + 1 + 16;
    let row = if width >= FULL { 16 } else { 8 };
    let line = |(at, bytes): (usize, &[u8])| {
        let mut line = format!("{:08x}  ", at * row);
        for byte in bytes {
            let _ = write!(line, "{byte:02x} ");
        }
        line.extend(std::iter::repeat_n("   ", row - bytes.len()));
        line.push(' ');
        line.extend(bytes.iter().map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' }));
        line
    };
    bytes.chunks(row).enumerate().map(line).collect()
}

/// Displays bytes on one line, with characters whose places on the screen are certain.
pub fn shown(bytes: &[u8]) -> String {
    placed(&show(bytes))
}

/// Characters that change how wide others are become escapes: terminals disagree about them, and what follows on the line
/// would be drawn elsewhere than the view expects.
pub fn placed(text: &str) -> String {
    let joins = |c| matches!(c, '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}');
    let mut placed = String::with_capacity(text.len());
    for c in text.chars() {
        match joins(c) {
            true => placed.extend(c.escape_unicode()),
            false => placed.push(c),
        }
    }
    placed
}

/// JSON on one line, for metadata.
pub fn metadata(json: &str) -> String {
    shown(json.replace(['\n', '\r', '\t'], " ").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(value: &[u8], view: View) -> Vec<String> {
        Shown::new(value.to_vec()).lines(view, 46)
    }

    #[test]
    fn the_view_is_chosen_by_the_value() {
        for (value, view) in [
            (&b"Hello"[..], View::Text),
            (b"", View::Text),
            (b"12", View::Text),
            (b" {\"a\":1}\n", View::Json),
            (b"[1,", View::Text),
            (b"\x1b[31mred", View::Text),
            (b"a\0b", View::Hex),
            (b"\xff", View::Hex),
        ] {
            assert_eq!(Shown::new(value.to_vec()).view(View::Auto), view, "{value:?}");
        }
        assert_eq!(Shown::new(b"[1,".to_vec()).view(View::Json), View::Text);
    }

    #[test]
    fn json_is_laid_out_and_stays_as_it_was_written() {
        let json = br#" {"a":[1.50,{ },[ ]],"a":"x\"{,\\","big":12345678901234567890123} "#;
        let expected = [
            "{",
            "  \"a\": [",
            "    1.50,",
            "    {},",
            "    []",
            "  ],",
            "  \"a\": \"x\\\"{,\\\\\",",
            "  \"big\": 12345678901234567890123",
            "}",
        ];
        assert_eq!(lines(json, View::Auto), expected);
        let deep = ["[".repeat(100), "]".repeat(100)].concat();
        let shown = indented(deep.as_bytes()).unwrap();
        assert_eq!(shown.replace([' ', '\n'], ""), deep);
        assert!(shown.lines().all(|line| line.len() < 46), "{shown}");
    }

    #[test]
    fn nothing_in_a_value_reaches_the_terminal() {
        let value = "\u{1b}]52;c;eA==\u{7}\n\u{9b}2J\u{202e}\r\0".as_bytes();
        for view in [View::Auto, View::Text, View::Json, View::Hex] {
            let shown = lines(value, view).concat();
            assert!(!shown.contains(|c: char| c.is_control() || c == '\u{202e}'), "{shown:?}");
        }
        assert_eq!(lines(value, View::Text)[0], "\\u{1b}]52;c;eA==\\u{7}");
    }

    #[test]
    fn lines_fit() {
        assert_eq!(wrap("abcdef\n\ngh", 4), ["abcd", "ef", "", "gh"]);
        assert_eq!(wrap("漢漢漢", 5), ["漢漢", "漢"]);
        assert_eq!(wrap("e\u{301}e\u{301}e\u{301}", 2), ["e\u{301}e\u{301}", "e\u{301}"]);
        assert_eq!(wrap("a\tb", 20), ["a       b"]);
        assert_eq!(wrap("漢", 1), ["漢"]);
        assert_eq!(lines("👩\u{200d}👧❤\u{fe0f}é".as_bytes(), View::Text), ["👩\\u{200d}👧❤\\u{fe0f}é"]);
        assert_eq!(
            lines(b"\0Hello, world", View::Hex),
            ["00000000  00 48 65 6c 6c 6f 2c 20  .Hello, ", "00000008  77 6f 72 6c 64           world",]
        );
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let value = "é".repeat(SHOWN);
        let shown = Shown::new([b"x", value.as_bytes()].concat());
        assert_eq!((shown.len, shown.view(View::Auto)), (2 * SHOWN + 1, View::Text));
        let lines = shown.lines(View::Auto, 46);
        assert_eq!(lines.last().unwrap(), &format!("… {} bytes more", SHOWN + 1));
        assert!(lines.iter().all(|line| !line.contains('\\')));
    }
}
