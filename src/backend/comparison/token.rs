//! What a watch knows, as opaque text: another watch goes on from there, in any process and at any later time.
//!
//! A token consists of its format, its origin, and the known keys in byte order, each without the bytes that it has in
//! common with the one before, with its stamp and its expiration. A checksum detects a garbled token; it does not prevent
//! forgery. All of it is URL-safe base64.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;

use super::{Known, KnownKey, Pending, Stamp, Watched};
use crate::backend::push;
use crate::cursor::checksum;
use crate::error::{Error, Result, quoted};
use crate::version::Version;

/// The first byte of a token.
const FORMAT: u8 = 1;

/// How much of a key a token takes from the one before, in characters, and in bytes. Without a limit, a forged token could
/// need far more memory than it has bytes itself.
const MOST_COMMON: usize = 1024;
const MOST_COMMON_BYTES: usize = 4 * MOST_COMMON;

/// What a token has in common with the watch that goes on from it.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// See [`Watching::origin`](crate::backend::Watching::origin).
    pub store: u64,
    pub namespace: &'a str,
}

impl Known {
    /// Returns what is known as text, and as if the differences were known too.
    pub fn token(&self, pending: &[Pending], origin: Origin<'_>) -> Result<String> {
        let mut bytes = Vec::new();
        add(&mut bytes, &[FORMAT])?;
        add(&mut bytes, &origin.store.to_le_bytes())?;
        add_text(&mut bytes, origin.namespace)?;
        let mut before = "";
        for KnownKey { key, stamp, expiration } in self.with(pending) {
            let pairs = before.chars().zip(key.chars()).take(MOST_COMMON);
            let common = pairs.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
            add_len(&mut bytes, common)?;
            add_text(&mut bytes, &key[common..])?;
            add(&mut bytes, stamp.version.as_bytes())?;
            add(&mut bytes, &stamp.rest.to_le_bytes())?;
            match expiration {
                None => add(&mut bytes, &[0])?,
                Some(end) => add(&mut bytes, &[[1].as_slice(), &end.to_le_bytes()].concat())?,
            }
            before = key;
        }
        let sum = checksum(&bytes).to_le_bytes();
        add(&mut bytes, &sum)?;
        encoded(&bytes)
    }

    /// Returns what a token contains of the keys that are watched now.
    pub fn of_token(token: &str, origin: Origin<'_>, watched: &Watched<'_>) -> Result<Known> {
        let bytes = decoded(token)?;
        let body = bytes.split_last_chunk::<4>().filter(|(body, sum)| checksum(body).to_le_bytes() == **sum);
        let mut rest = Rest(body.ok_or_else(malformed)?.0);
        match rest.take::<1>()? {
            [FORMAT] => {}
            [_] => return Err(Error::invalid("the token has the format of another version of this library")),
        }
        let store = u64::from_le_bytes(rest.take()?);
        let namespace = rest.text()?;
        if store != origin.store {
            return Err(Error::invalid("the token comes from another store"));
        }
        if namespace != origin.namespace {
            return Err(Error::invalid(format!("the token comes from the namespace {}", quoted(namespace))));
        }
        let (mut known, mut before) = (Known::default(), None::<String>);
        while !rest.0.is_empty() {
            let key = rest.key(before.as_deref())?;
            let stamp = Stamp { version: Version::from_bytes(rest.take()?), rest: u64::from_le_bytes(rest.take()?) };
            let expiration = rest.expiration()?;
            before.get_or_insert_default().clone_from(&key);
            if watched.contains(&key) {
                push(&mut known.0, KnownKey { key, stamp, expiration })?;
            }
        }
        Ok(known)
    }

    /// Goes through what is known after these differences, which are those of a comparison with this.
    fn with<'a>(&'a self, pending: &'a [Pending]) -> impl Iterator<Item = &'a KnownKey> {
        let mut place = 0;
        let changed = pending.iter().flat_map(move |pending| {
            let unchanged = &self.0[place..pending.place];
            place = pending.place + usize::from(pending.is_known);
            unchanged.iter().chain(&pending.now)
        });
        let end = pending.last().map_or(0, |last| last.place + usize::from(last.is_known));
        changed.chain(&self.0[end..])
    }
}

impl Watched<'_> {
    fn contains(&self, key: &str) -> bool {
        match self {
            Watched::Keys(keys) => keys.binary_search_by(|known| known.as_str().cmp(key)).is_ok(),
            Watched::Range { from, below } => key >= *from && below.is_none_or(|below| key < below),
        }
    }
}

fn malformed() -> Error {
    Error::invalid("the token is malformed; use one that a watch gave")
}

fn add(to: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    to.try_reserve(bytes.len()).map_err(|_| Error::no_memory(to.len()))?;
    to.extend_from_slice(bytes);
    Ok(())
}

/// Adds a text after its length.
fn add_text(to: &mut Vec<u8>, text: &str) -> Result<()> {
    add_len(to, text.len())?;
    add(to, text.as_bytes())
}

/// Adds a length: in one byte, or in four after a 255.
fn add_len(to: &mut Vec<u8>, len: usize) -> Result<()> {
    if len < usize::from(u8::MAX) {
        return add(to, &[len as u8]);
    }
    // A key is at most as long as SQLite's longest text, 2³¹ bytes.
    add(to, &[u8::MAX])?;
    add(to, &(len as u32).to_le_bytes())
}

/// What of a token has not been read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or_else(malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn len(&mut self) -> Result<usize> {
        match self.take()? {
            [u8::MAX] => Ok(u32::from_le_bytes(self.take()?) as usize),
            [short] => Ok(short.into()),
        }
    }

    fn text(&mut self) -> Result<&'a str> {
        let len = self.len()?;
        let (text, rest) = self.0.split_at_checked(len).ok_or_else(malformed)?;
        self.0 = rest;
        str::from_utf8(text).map_err(|_| malformed())
    }

    /// Reads a key, which lies after the one before. (The first may be empty: another program has stored it.)
    fn key(&mut self, before: Option<&str>) -> Result<String> {
        let (common, new) = (self.len()?, self.text()?);
        let start = before.unwrap_or_default();
        let common = start.get(..common).filter(|common| common.len() <= MOST_COMMON_BYTES).ok_or_else(malformed)?;
        let mut key = String::new();
        key.try_reserve_exact(common.len() + new.len()).map_err(|_| Error::no_memory(new.len()))?;
        key.push_str(common);
        key.push_str(new);
        if before.is_none_or(|before| key.as_str() > before) { Ok(key) } else { Err(malformed()) }
    }

    fn expiration(&mut self) -> Result<Option<i64>> {
        match self.take()? {
            [0] => Ok(None),
            [1] => Ok(Some(i64::from_le_bytes(self.take()?))),
            _ => Err(malformed()),
        }
    }
}

fn encoded(bytes: &[u8]) -> Result<String> {
    let mut text = Vec::new();
    let len = base64::encoded_len(bytes.len(), false).unwrap_or(usize::MAX);
    text.try_reserve_exact(len).map_err(|_| Error::no_memory(len))?;
    text.resize(len, 0);
    BASE64.encode_slice(bytes, &mut text).expect("it has that length");
    Ok(String::from_utf8(text).expect("base64 is ASCII"))
}

fn decoded(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let len = base64::decoded_len_estimate(text.len());
    bytes.try_reserve_exact(len).map_err(|_| Error::no_memory(len))?;
    bytes.resize(len, 0);
    let len = BASE64.decode_slice(text, &mut bytes).map_err(|_| malformed())?;
    bytes.truncate(len);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Comparison, Listed};
    use crate::version::Versions;

    const ORIGIN: Origin<'_> = Origin { store: 7, namespace: "n" };
    const ALL: Watched<'_> = Watched::Range { from: "", below: None };

    fn known(keys: &[&str]) -> Known {
        let mut versions = Versions::new(1);
        let known = |(place, key): (usize, &&str)| {
            let stamp = Stamp { version: versions.next(), rest: place as u64 };
            KnownKey { key: key.to_string(), stamp, expiration: (place % 2 == 1).then_some(-(place as i64)) }
        };
        Known(keys.iter().enumerate().map(known).collect())
    }

    fn same(a: &Known, b: &Known) -> bool {
        let all = |known: &Known| known.0.iter().map(|k| (k.key.clone(), k.stamp, k.expiration)).collect::<Vec<_>>();
        all(a) == all(b)
    }

    #[test]
    fn what_is_known_comes_back() {
        let long = "k".repeat(300);
        let longer = format!("{long}\u{10ffff}");
        let longest = ["a", "b"].map(|end| "\u{10ffff}".repeat(2 * MOST_COMMON) + end);
        for keys in [
            &[][..],
            &["a"],
            &["", "\0", "a"],
            &[&longest[0], &longest[1]],
            &["\0", "a", "ab", "b", &long, &longer, "é", "ê"],
            &["é", "ê", "ëë"],
        ] {
            let known = known(keys);
            let token = known.token(&[], ORIGIN).unwrap();
            assert!(same(&Known::of_token(&token, ORIGIN, &ALL).unwrap(), &known));
        }
    }

    #[test]
    fn differences_are_known_in_a_token() {
        let mut known = known(&["b", "d", "f", "h"]);
        let mut versions = Versions::new(2);
        for rows in [&["a", "b", "c", "d", "e", "f", "g", "h", "i"][..], &[], &["b", "c", "cc"], &["a", "h", "z"]] {
            let mut comparison = Comparison::new(&known, false, 0);
            for key in rows {
                let version = if *key == "h" { Version::default() } else { versions.next() };
                let row = Listed { key, value: None, metadata: None, expiration: None, version };
                comparison.see(row, Stamp::of(version)).unwrap();
            }
            comparison.end_rows().unwrap();
            let mut pending = comparison.end().pending;
            let token = known.token(&pending, ORIGIN).unwrap();
            known.apply(&mut pending).unwrap();
            assert!(same(&Known::of_token(&token, ORIGIN, &ALL).unwrap(), &known));
        }
    }

    #[test]
    fn only_what_is_watched_comes_back() {
        let token = known(&["a", "b", "ba", "c"]).token(&[], ORIGIN).unwrap();
        let keys = |watched| -> Vec<String> {
            Known::of_token(&token, ORIGIN, &watched).unwrap().0.into_iter().map(|known| known.key).collect()
        };
        assert_eq!(keys(Watched::Range { from: "b", below: Some("c") }), ["b", "ba"]);
        assert_eq!(keys(Watched::Keys(&["a".into(), "c".into(), "d".into()])), ["a", "c"]);
    }

    #[test]
    fn a_token_of_another_store_or_namespace_is_refused() {
        let token = known(&["a"]).token(&[], ORIGIN).unwrap();
        for origin in [Origin { store: 8, ..ORIGIN }, Origin { namespace: "m", ..ORIGIN }] {
            assert!(Known::of_token(&token, origin, &ALL).is_err());
        }
    }

    #[test]
    fn a_garbled_token_is_refused() {
        let token = known(&["aa", "ab", "b"]).token(&[], ORIGIN).unwrap();
        for place in 0..token.len() {
            for other in [b'A', b'z', b'-', b' ', b'='] {
                let mut changed = token.clone().into_bytes();
                if std::mem::replace(&mut changed[place], other) != other {
                    assert!(Known::of_token(str::from_utf8(&changed).unwrap(), ORIGIN, &ALL).is_err());
                }
            }
            assert!(Known::of_token(&token[..place], ORIGIN, &ALL).is_err());
        }
    }

    #[test]
    fn a_forged_token_is_refused() {
        let bytes = decoded(&known(&["aa", "ab"]).token(&[], ORIGIN).unwrap()).unwrap();
        let body = &bytes[..bytes.len() - 4];
        let forged = |body: &[u8]| {
            let token = encoded(&[body, &checksum(body).to_le_bytes()].concat()).unwrap();
            Known::of_token(&token, ORIGIN, &ALL).map(drop)
        };
        assert!(forged(body).is_ok());
        // Its keys are no list in byte order, its text is no UTF-8, or a length is that of more than there is.
        for place in 0..body.len() {
            for other in [0, 2, 0x80, 0xff] {
                let mut changed = body.to_vec();
                changed[place] = other;
                let _ = forged(&changed);
            }
        }
        let twice = [body, &body[11..]].concat();
        assert!(forged(&twice).is_err());
        (0..body.len()).for_each(|end| _ = forged(&body[..end]));
    }

    #[test]
    fn a_token_cannot_need_much_more_memory_than_it_has() {
        for (common, is_good) in [(MOST_COMMON_BYTES, true), (MOST_COMMON_BYTES + 1, false)] {
            let mut bytes = decoded(&known(&[]).token(&[], ORIGIN).unwrap()).unwrap();
            bytes.truncate(bytes.len() - 4);
            for (common, new) in [(0, "a".repeat(2 * MOST_COMMON_BYTES)), (common, "b".into())] {
                add_len(&mut bytes, common).unwrap();
                add_text(&mut bytes, &new).unwrap();
                bytes.extend([0; 12 + 8 + 1]); // its version, the rest of its stamp, and no expiration
            }
            bytes.extend(checksum(&bytes).to_le_bytes());
            assert_eq!(Known::of_token(&encoded(&bytes).unwrap(), ORIGIN, &ALL).is_ok(), is_good);
        }
    }
}
