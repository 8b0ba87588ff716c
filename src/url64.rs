//! URL-safe base64 without padding, for cursors and versions, which may be part of a link.
//!
//! The crate `base64`, which exports use, would add 4 kB to luat_kv.wasm, whose size is limited.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Returns the characters for some bytes, one by one.
pub(crate) fn encode(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.chunks(3).flat_map(|chunk| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(chunk.get(at).copied().unwrap_or(0)));
        (0..=chunk.len()).map(move |at| ALPHABET[bits >> (18 - 6 * at) & 63])
    })
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
                let text: String = encode(bytes).map(char::from).collect();
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
