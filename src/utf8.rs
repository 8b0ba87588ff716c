//! The check that bytes are UTF-8.

use std::str::Utf8Error;

/// As [`std::str::from_utf8`], but faster for short ASCII, as nearly all keys are: that goes through them byte by byte.
#[inline]
pub fn from_utf8(bytes: &[u8]) -> Result<&str, Utf8Error> {
    // WebAssembly's module is better small.
    if !cfg!(target_family = "wasm") && is_ascii(bytes) {
        // SAFETY: ASCII is UTF-8.
        return Ok(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    std::str::from_utf8(bytes)
}

/// Looks at 8 to 16 bytes in two steps, which overlap.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) if bytes.len() <= 2 * size_of::<u64>() => {
            (u64::from_ne_bytes(*first) | u64::from_ne_bytes(*last)) & HIGH == 0
        }
        _ => bytes.is_ascii(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_accepts_what_std_accepts() {
        for len in 0..40 {
            let mut bytes = vec![b'a'; len];
            assert_eq!(from_utf8(&bytes), std::str::from_utf8(&bytes));
            for place in 0..len {
                for wrong in [0x80, 0xc3, 0xff] {
                    bytes[place] = wrong;
                    assert_eq!(from_utf8(&bytes), std::str::from_utf8(&bytes));
                    if let Some([first, second]) = bytes.get_mut(place..).and_then(|rest| rest.first_chunk_mut()) {
                        (*first, *second) = (0xc3, 0xa9); // é
                        assert_eq!(from_utf8(&bytes), std::str::from_utf8(&bytes));
                        bytes[place + 1] = b'a';
                    }
                    bytes[place] = b'a';
                }
            }
        }
    }
}
