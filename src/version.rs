//! Versions, which identify the write that stored an entry.
//!
//! A version has 12 bytes: a unique start, and a count from there. On disk each connection starts at 64 random bits, so
//! processes need no coordination, and a put writes no page besides its own. That two connections start at the same
//! number is less likely than an undetected disk error. Versions depend neither on a clock nor on the contents of the
//! file: after a backup was restored, old versions are not given again.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result, quoted};
use crate::url64;

const LEN: usize = 12;
/// Three bytes are four characters.
const TEXT_LEN: usize = LEN / 3 * 4;

/// Identifies the write that stored an entry; each write of a key has a different version. Its text ([`fmt::Display`])
/// is opaque and 16 characters long, and [`FromStr`] parses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Version([u8; LEN]);

impl Version {
    /// The text, in ASCII.
    pub(crate) fn text(&self) -> [u8; TEXT_LEN] {
        let mut text = [0; TEXT_LEN];
        for (characters, bytes) in text.as_chunks_mut().0.iter_mut().zip(self.0.as_chunks().0) {
            *characters = url64::encode_group(*bytes);
        }
        text
    }

    #[cfg_attr(not(any(feature = "sqlite", target_family = "wasm")), allow(dead_code))]
    pub(crate) const fn from_bytes(bytes: [u8; LEN]) -> Self {
        Version(bytes)
    }

    #[cfg_attr(not(any(feature = "sqlite", target_family = "wasm")), allow(dead_code))]
    pub(crate) fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().iter().try_for_each(|byte| fmt::Write::write_char(f, char::from(*byte)))
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bytes = url64::decode(text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Version).ok_or_else(|| Error::invalid(format!("{} is no version of an entry", quoted(text))))
    }
}

/// Generates versions, each once.
#[derive(Debug)]
pub(crate) struct Versions {
    /// 96 bits, of which the low 32 start at 0.
    next: u128,
}

impl Versions {
    /// `own` are the first bits, unique to this generator.
    pub(crate) fn new(own: u64) -> Self {
        Versions { next: u128::from(own) << 32 }
    }

    /// Differs before and after each [`next`](Versions::next).
    #[cfg(all(target_family = "wasm", feature = "internals"))]
    pub(crate) fn count(&self) -> u64 {
        self.next as u64
    }

    pub(crate) fn next(&mut self) -> Version {
        let [0, 0, 0, 0, bytes @ ..] = self.next.to_be_bytes() else {
            // The counter has reached the end of the 96 bits, after at least 2³² writes.
            *self = Versions::new(0);
            return self.next();
        };
        self.next += 1;
        Version(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_comes_back_from_its_text() {
        let mut versions = Versions::new(0x0123_4567_89ab_cdef);
        for _ in 0..1000 {
            let version = versions.next();
            assert_eq!(version.to_string().parse::<Version>().unwrap(), version);
        }
        for text in ["", "x", "AAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAA=", "AAAA AAAAAAAAAAA"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn each_version_is_another() {
        let (mut a, mut b) = (Versions::new(1), Versions::new(2));
        let all: std::collections::HashSet<_> = (0..1000).flat_map(|_| [a.next(), b.next()]).collect();
        assert_eq!(all.len(), 2000);
        let mut last = Versions::new(u64::MAX);
        last.next += u128::from(u32::MAX);
        assert_ne!(last.next(), last.next());
    }
}
