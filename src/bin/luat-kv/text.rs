//! How keys, bytes and paths are displayed.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;
use std::str;

use console::truncate_str;

/// The argument for stdin and stdout.
pub const DASH: &str = "-";

/// Displays bytes as text on one line, without effects on a terminal or on fields: control characters and bytes that
/// are not UTF-8 become escapes.
pub fn show(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains(unprintable) => return text.into(),
        _ => {}
    }
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if unprintable(c) {
                shown.extend(c.escape_default());
            } else {
                shown.push(c);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown.into()
}

/// Like [`show`], for text of several lines: tabs and line breaks stay.
pub fn show_lines(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (line, end) = match line {
            [line @ .., b'\r', b'\n'] => (line, "\r\n"),
            [line @ .., b'\n'] => (line, "\n"),
            line => (line, ""),
        };
        let parts: Vec<_> = line.split(|byte| *byte == b'\t').map(show).collect();
        shown += &parts.join("\t");
        shown += end;
    }
    shown
}

/// JSON in which unprintable characters are escaped. JSON itself requires that only below U+0020.
pub fn json_escaped(json: &str) -> Cow<'_, str> {
    let is_special = |c: char| c >= '\u{7f}' && unprintable(c);
    if !json.contains(is_special) {
        return json.into();
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match is_special(c) {
            // All of them are below U+10000.
            true => drop(write!(escaped, "\\u{:04x}", u32::from(c))),
            false => escaped.push(c),
        }
    }
    escaped.into()
}

/// Control characters, and those that change the direction of the surrounding text.
fn unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
}

/// A key in a message: quoted, and truncated if it is long.
pub fn quoted(key: &str) -> String {
    format!("\"{}\"", truncate_str(&show(key.as_bytes()), 60, "…"))
}

/// The name of a file in a message.
pub fn name(file: &Path) -> String {
    if file == Path::new(DASH) { "stdin".to_owned() } else { file.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::{json_escaped, show, show_lines};

    #[test]
    fn lines_stay_and_what_could_take_over_a_terminal_does_not() {
        for (bytes, shown) in [
            (&b"a\tb\r\nc\n"[..], "a\tb\r\nc\n"),
            (b"a\rb\r\r\n", "a\\rb\\r\r\n"),
            (b"\x1b]52;c;eA==\x07\n\t\x7f", "\\u{1b}]52;c;eA==\\u{7}\n\t\\u{7f}"),
            ("\u{9b}31m\u{202e}\u{61c}é漢".as_bytes(), "\\u{9b}31m\\u{202e}\\u{61c}é漢"),
            (b"\x9b\n", "\\x9b\n"),
            (b"", ""),
        ] {
            assert_eq!(show_lines(bytes), shown);
        }
    }

    #[test]
    fn json_stays_the_same_json() {
        let json = serde_json::json!({ "\u{9b}a\u{7f}": ["\u{202e}\u{2066}\u{85}", "\u{1b}é漢🙂\n"] });
        let escaped = json_escaped(&json.to_string()).into_owned();
        assert!(!escaped.contains(|c: char| c.is_control() || ('\u{200e}'..'\u{2100}').contains(&c)), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), json);
    }

    #[test]
    fn what_is_shown_stays_on_its_line() {
        for (bytes, shown) in [
            (&b"plain \\ text"[..], "plain \\ text"),
            ("é漢🙂".as_bytes(), "é漢🙂"),
            (b"a\tb\nc\r", "a\\tb\\nc\\r"),
            (b"\x1b[31m\0\x7f", "\\u{1b}[31m\\u{0}\\u{7f}"),
            ("x\u{202e}y".as_bytes(), "x\\u{202e}y"),
            (b"\xff\xfea\x80", "\\xff\\xfea\\x80"),
        ] {
            assert_eq!(show(bytes), shown);
        }
    }
}
