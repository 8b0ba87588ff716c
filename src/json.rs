//! Reads JSON text part by part, without building a tree of values.
//!
//! serde_json handles the grammar, the escapes and the numbers. This file adds the limit for nesting ([`MAX_DEPTH`],
//! the same for reading and writing) and passes the parts to a [`Sink`].

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::de::Read;

use crate::error::{Code, Error, Result};
use crate::oom_reserve;
#[cfg(not(target_family = "wasm"))]
use crate::utf8::from_utf8;

#[cfg(not(target_family = "wasm"))]
mod scan;

/// The maximum depth of arrays and objects, for reading and for writing.
pub(crate) const MAX_DEPTH: usize = 128;

/// A part of a document, in the order of the text. A key of an object is a `Str` before the parts of its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    Null,
    Bool(bool),
    /// A whole number that fits in 64 bits.
    Int(i64),
    /// A number with a fraction or an exponent, or a whole one that does not fit in 64 bits.
    Float(f64),
    Array,
    Object,
    /// The end of the innermost array or object, which had `len` items or pairs.
    End {
        len: usize,
    },
}

/// Receives the parts of a document as they are read.
#[cfg_attr(target_family = "wasm", allow(dead_code))]
pub trait Sink<'t> {
    /// Any part except a string.
    fn part(&mut self, part: Part) -> Result<(), OutOfMemory>;
    /// A string without escapes, which is part of the text.
    fn borrowed(&mut self, text: &'t str) -> Result<(), OutOfMemory>;
    /// A string that had escapes. It is valid only during the call.
    fn copied(&mut self, text: &str) -> Result<(), OutOfMemory>;
    /// How much it has received, for [`truncate`](Sink::truncate).
    fn len(&self) -> [usize; 3];
    /// Forgets what it has received since it had received so much.
    fn truncate(&mut self, len: [usize; 3]);
}

/// The sink had no memory for a part.
#[derive(Debug)]
pub struct OutOfMemory;

/// Reads one document and passes its parts to `sink`. If the text is not JSON, the error tells where.
pub fn read<'t>(text: &'t [u8], sink: &mut impl Sink<'t>) -> Result<()> {
    room_for(text)?;
    #[cfg(not(target_family = "wasm"))]
    if let Ok(text) = from_utf8(text) {
        let before = sink.len();
        match scan::read(text, sink) {
            Ok(()) => return Ok(()),
            Err(scan::Stop::OutOfMemory) => return Err(out_of_memory()),
            Err(scan::Stop::Unusual) => sink.truncate(before),
        }
    }
    read_with(serde_json::Deserializer::from_slice(text), sink)
}

fn out_of_memory() -> Error {
    Error::new(Code::NoMem, "out of memory while reading JSON")
}

fn read_with<'t>(mut reader: serde_json::Deserializer<impl Read<'t>>, sink: &mut impl Sink<'t>) -> Result<()> {
    reader.disable_recursion_limit();
    let mut is_out_of_memory = false;
    let seed = Seed { sink, depth: 0, out_of_memory: &mut is_out_of_memory };
    match seed.deserialize(&mut reader).and_then(|()| reader.end()) {
        Ok(()) => Ok(()),
        Err(_) if is_out_of_memory => Err(out_of_memory()),
        Err(why) => Err(Error::invalid(why.to_string())),
    }
}

/// Checks that there is memory for what serde_json copies, since it aborts if there is none. A string with escapes, or
/// a long number, is assembled in a buffer that doubles, and during that both buffers exist.
pub(crate) fn room_for(text: &[u8]) -> Result<()> {
    /// Shorter ones fit into the reserve.
    const LONG: usize = 16 * 1024;
    if text.len() <= LONG { Ok(()) } else { oom_reserve::room(text.len().saturating_mul(3)) }
}

/// The kind of value that [`check`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Other,
}

/// Checks that this is one JSON document that [`read`] accepts. The error tells where it is not.
pub(crate) fn check(text: &[u8]) -> Result<Kind, String> {
    struct Check(Option<Kind>);
    impl<'t> Sink<'t> for Check {
        fn part(&mut self, part: Part) -> Result<(), OutOfMemory> {
            self.0.get_or_insert(if part == Part::Null { Kind::Null } else { Kind::Other });
            Ok(())
        }
        fn borrowed(&mut self, _: &'t str) -> Result<(), OutOfMemory> {
            self.0.get_or_insert(Kind::Other);
            Ok(())
        }
        fn copied(&mut self, _: &str) -> Result<(), OutOfMemory> {
            self.0.get_or_insert(Kind::Other);
            Ok(())
        }
        fn len(&self) -> [usize; 3] {
            [0; 3]
        }
        fn truncate(&mut self, _: [usize; 3]) {
            self.0 = None;
        }
    }
    let mut kind = Check(None);
    read(text, &mut kind).map_err(|error| error.message().to_owned())?;
    Ok(kind.0.unwrap_or(Kind::Other))
}

/// Reads a value into the sink, `depth` containers deep.
struct Seed<'s, S> {
    sink: &'s mut S,
    depth: usize,
    out_of_memory: &'s mut bool,
}

impl<S> Seed<'_, S> {
    fn inside(&mut self) -> Seed<'_, S> {
        Seed { sink: &mut *self.sink, depth: self.depth + 1, out_of_memory: &mut *self.out_of_memory }
    }

    fn took<E: de::Error>(&mut self, taken: Result<(), OutOfMemory>) -> Result<(), E> {
        taken.map_err(|OutOfMemory| {
            *self.out_of_memory = true;
            E::custom("out of memory")
        })
    }

    fn part<'t, E: de::Error>(&mut self, part: Part) -> Result<(), E>
    where
        S: Sink<'t>,
    {
        let taken = self.sink.part(part);
        self.took(taken)
    }

    fn open<'t, E: de::Error>(&mut self, container: Part) -> Result<(), E>
    where
        S: Sink<'t>,
    {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH}")));
        }
        self.part(container)
    }
}

impl<'t, S: Sink<'t>> DeserializeSeed<'t> for Seed<'_, S> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'t>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'t, S: Sink<'t>> Visitor<'t> for Seed<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(mut self) -> Result<(), E> {
        self.part(Part::Null)
    }

    fn visit_bool<E: de::Error>(mut self, value: bool) -> Result<(), E> {
        self.part(Part::Bool(value))
    }

    fn visit_i64<E: de::Error>(mut self, value: i64) -> Result<(), E> {
        self.part(Part::Int(value))
    }

    fn visit_u64<E: de::Error>(mut self, value: u64) -> Result<(), E> {
        self.part(i64::try_from(value).map_or(Part::Float(value as f64), Part::Int))
    }

    fn visit_f64<E: de::Error>(mut self, value: f64) -> Result<(), E> {
        self.part(Part::Float(value))
    }

    fn visit_borrowed_str<E: de::Error>(mut self, text: &'t str) -> Result<(), E> {
        let taken = self.sink.borrowed(text);
        self.took(taken)
    }

    fn visit_str<E: de::Error>(mut self, text: &str) -> Result<(), E> {
        let taken = self.sink.copied(text);
        self.took(taken)
    }

    fn visit_seq<A: SeqAccess<'t>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.open(Part::Array)?;
        let mut len = 0;
        while items.next_element_seed(self.inside())?.is_some() {
            len += 1;
        }
        self.part(Part::End { len })
    }

    fn visit_map<A: MapAccess<'t>>(mut self, mut pairs: A) -> Result<(), A::Error> {
        self.open(Part::Object)?;
        let mut len = 0;
        while pairs.next_key_seed(self.inside())?.is_some() {
            pairs.next_value_seed(self.inside())?;
            len += 1;
        }
        self.part(Part::End { len })
    }
}

/// The number of bytes before the first that ends a string, begins an escape or is a control character. Looks at eight
/// bytes at once.
#[inline]
pub(crate) fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The high bit of each byte that is less than `n`, if the bytes before it are not. So the lowest one is right.
    let less = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGH;
    let (words, rest) = bytes.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found =
            less(word, 0x20) | less(word ^ (ONES * u64::from(b'"')), 1) | less(word ^ (ONES * u64::from(b'\\')), 1);
        if found != 0 {
            return at * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    bytes.len() - rest.len() + rest.iter().position(special).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_part_of_a_string_ends_where_it_should() {
        for special in [b'"', b'\\', 0, b'\n', 0x1f] {
            for len in 0..40 {
                for rest in 0..20 {
                    let plain: Vec<u8> =
                        (0..len).map(|at| [0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0xff][at % 8]).collect();
                    assert_eq!(plain_len(&plain), len);
                    let mut bytes = plain;
                    bytes.push(special);
                    bytes.extend((0..rest).map(|at| [b'"', b'a', 0x1f][at % 3]));
                    assert_eq!(plain_len(&bytes), len, "{bytes:?}");
                }
            }
        }
    }

    fn nested(depth: usize) -> Vec<u8> {
        ["[".repeat(depth), "]".repeat(depth)].concat().into_bytes()
    }

    #[test]
    fn depth_is_limited_at_128() {
        assert_eq!(check(&nested(MAX_DEPTH)), Ok(Kind::Other));
        let why = check(&nested(MAX_DEPTH + 1)).unwrap_err();
        assert!(why.contains("nested deeper than 128 at line 1 column"), "{why}");
        assert!(check(&nested(100_000)).is_err());
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        for (text, place) in [("", "line 1 column 0"), ("{\"a\":tru}", "line 1 column 9"), ("1 2", "line 1 column 3")] {
            let why = check(text.as_bytes()).unwrap_err();
            assert!(why.ends_with(place), "{text}: {why}");
        }
        assert!(check(b"\"\xff\"").is_err());
        assert!(check(b"1e999").is_err());
    }

    #[test]
    fn only_a_bare_null_is_null() {
        assert_eq!(check(b" null "), Ok(Kind::Null));
        assert_eq!(check(b"[null]"), Ok(Kind::Other));
        assert_eq!(check(b"\"null\""), Ok(Kind::Other));
        assert_eq!(check(b"\"\\u0041\""), Ok(Kind::Other));
    }
}
