//! How keys, bytes and paths are shown.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;
use std::str;

use console::truncate_str;

/// What stands for stdin, and for stdout.
pub const DASH: &str = "-";

/// Bytes as text on one line, which neither moves a cursor nor ends a field: control characters, and bytes that are no
/// UTF-8, are shown as escapes.
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

/// Control characters, and those that turn the direction of the text around them.
fn unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A key in a message: quoted, and cut where it is long.
pub fn quoted(key: &str) -> String {
    format!("\"{}\"", truncate_str(&show(key.as_bytes()), 60, "…"))
}

/// What a message calls it.
pub fn name(file: &Path) -> String {
    if file == Path::new(DASH) { "stdin".to_owned() } else { file.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::show;

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
