//! URL-safe base64 without padding, for cursors and versions, which may be part of a link.
//!
//! The crate `base64`, which exports use, would add 4 kB to luat_kv.wasm, whose size is limited.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Returns the characters for three bytes.
pub(crate) fn encode_group([a, b, c]: [u8; 3]) -> [u8; 4] {
    let bits = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
    [18, 12, 6, 0].map(|shift| ALPHABET[bits >> shift & 63])
}

/// Returns the text for some bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let characters = encode_group(group);
        text.extend(characters[..=chunk.len()].iter().copied().map(char::from));
    }
    text
}

/// Returns the bytes of a text; `None` for a text that [`encode`] does not produce.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut len) = (0_u32, 0);
    for character in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == character)?;
        (bits, len) = (bits << 6 | value as u32, len + 6);
        if len >= 8 {
            len -= 8;
            bytes.push((bits >> len) as u8);
            bits &= (1 << len) - 1;
        }
    }
    // The unused bits of the last character must be zero.
    (len < 6 && bits == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;

    use super::*;

    #[test]
    fn it_is_what_the_crate_has() {
        let bytes: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        for from in [0, 1, 2, 100, 250] {
            for len in 0..200 {
                let bytes = &bytes[from..from + len];
                let text = encode(bytes);
                assert_eq!(text, BASE64.encode(bytes));
                assert_eq!(decode(&text).as_deref(), Some(bytes));
            }
        }
    }

    #[test]
    fn nothing_else_is_decoded() {
        for text in ["A", "AAAAA", "AB", "AAB", "AA==", "AA=", "A A", "AA+A", "AA/A", "AÄA", "AA\n"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }
}
