//! A place in a list, as opaque text.
//!
//! A cursor is the last key of its page, with a version in front and a checksum behind, in URL-safe base64. It names a
//! place and nothing else: keys may come and go on either side of it. The checksum is there to tell a mangled cursor
//! from a good one, not to keep anybody from making one.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;

use crate::error::{Error, Result};

const VERSION: u8 = 1;

pub(crate) fn encode(last_key: &str) -> String {
    let mut bytes = Vec::with_capacity(1 + last_key.len() + 4);
    bytes.push(VERSION);
    bytes.extend_from_slice(last_key.as_bytes());
    bytes.extend_from_slice(&checksum(&bytes).to_le_bytes());
    BASE64.encode(bytes)
}

/// The last key of the page that the cursor came from.
pub(crate) fn decode(cursor: &str) -> Result<String> {
    place(cursor).ok_or_else(|| Error::invalid("the cursor is malformed; use the one that the previous page gave"))
}

fn place(cursor: &str) -> Option<String> {
    let mut bytes = BASE64.decode(cursor).ok()?;
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    if body.first() != Some(&VERSION) || checksum(body).to_le_bytes() != *sum {
        return None;
    }
    bytes.truncate(bytes.len() - 4);
    bytes.remove(0);
    String::from_utf8(bytes).ok()
}

/// FNV-1a, 32 bits.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_comes_back() {
        for key in ["a", "\0", "post:1", "\u{10ffff}", &"k".repeat(4096)] {
            assert_eq!(decode(&encode(key)).unwrap(), key);
        }
    }

    #[test]
    fn every_change_of_one_character_is_found() {
        let cursor = encode("post:42");
        for place in 0..cursor.len() {
            for other in [b'A', b'z', b'-', b' ', b'+'] {
                let mut changed = cursor.clone().into_bytes();
                if changed[place] == other {
                    continue;
                }
                changed[place] = other;
                assert!(decode(std::str::from_utf8(&changed).unwrap()).is_err());
            }
        }
        for end in 0..cursor.len() {
            assert!(decode(&cursor[..end]).is_err());
        }
    }
}
