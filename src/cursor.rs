//! A position in a list, as opaque text.
//!
//! A cursor consists of a version, the last key of its page, the direction and the prefix of the list (a beginning of
//! that key), and a checksum, as URL-safe base64. It is only a position: keys may appear and disappear on either side.
//! The checksum detects a garbled cursor; it does not prevent forgery.

use crate::error::{Error, Result};
use crate::url64;

const FORWARD: u8 = 2;
const REVERSE: u8 = 3;

/// Returns the cursor after `last_key`, which begins with the list's prefix.
pub(crate) fn encode(last_key: &[u8], prefix: &str, reverse: bool) -> String {
    let mut bytes = Vec::with_capacity(1 + 4 + last_key.len() + 4);
    bytes.push(if reverse { REVERSE } else { FORWARD });
    // A key is at most as long as SQLite's longest text, 2³¹ bytes.
    bytes.extend_from_slice(&(prefix.len() as u32).to_le_bytes());
    bytes.extend_from_slice(last_key);
    bytes.extend_from_slice(&checksum(&bytes).to_le_bytes());
    url64::encode(&bytes)
}

/// Returns the last key of the page that the cursor belongs to. The list must be the same.
pub(crate) fn decode(cursor: &str, prefix: &str, reverse: bool) -> Result<String> {
    let place = place(cursor);
    let place =
        place.ok_or_else(|| Error::invalid("the cursor is malformed; use the one that the previous page gave"))?;
    if place.reverse != reverse {
        return Err(Error::invalid("the cursor comes from a list in the other direction"));
    }
    if place.key.get(..place.prefix) != Some(prefix) {
        return Err(Error::invalid("the cursor comes from a list with another prefix"));
    }
    Ok(place.key)
}

struct Place {
    reverse: bool,
    key: String,
    /// The length of the prefix of the key.
    prefix: usize,
}

fn place(cursor: &str) -> Option<Place> {
    let bytes = url64::decode(cursor)?;
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    let (kind, rest) = body.split_first()?;
    let (prefix, key) = rest.split_first_chunk::<4>()?;
    if !matches!(*kind, FORWARD | REVERSE) || checksum(body).to_le_bytes() != *sum {
        return None;
    }
    let key = String::from_utf8(key.to_vec()).ok()?;
    Some(Place { reverse: *kind == REVERSE, key, prefix: u32::from_le_bytes(*prefix) as usize })
}

/// FNV-1a, 32 bits.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_comes_back() {
        for key in ["a", "\0", "post:1", "\u{10ffff}", &"k".repeat(4096)] {
            for reverse in [false, true] {
                assert_eq!(decode(&encode(key.as_bytes(), "", reverse), "", reverse).unwrap(), key);
                assert_eq!(decode(&encode(key.as_bytes(), key, reverse), key, reverse).unwrap(), key);
            }
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let cursor = encode(b"post:1", "post:", false);
        for (prefix, reverse) in [("post:", true), ("post", false), ("post:1", false), ("", false), ("user:", false)] {
            assert!(decode(&cursor, prefix, reverse).is_err(), "{prefix} {reverse}");
        }
    }

    #[test]
    fn every_change_of_one_character_is_found() {
        let cursor = encode(b"post:42", "post:", false);
        for place in 0..cursor.len() {
            for other in [b'A', b'z', b'-', b' ', b'+'] {
                let mut changed = cursor.clone().into_bytes();
                if changed[place] == other {
                    continue;
                }
                changed[place] = other;
                assert!(decode(std::str::from_utf8(&changed).unwrap(), "post:", false).is_err());
            }
        }
        for end in 0..cursor.len() {
            assert!(decode(&cursor[..end], "post:", false).is_err());
        }
    }
}
