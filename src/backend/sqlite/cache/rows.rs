//! What the cache contains: rows in a ring of memory, which threads read without a lock.
//!
//! A row is a record of words. Records are appended at the head. When the ring is full, the oldest record is in the way,
//! at the tail. It is dropped, or, if it was read since it was appended, moved to the head. An index of hashes finds a
//! record by its name. Each hash has eight places, and a record for which there is no free one displaces another.
//!
//! One thread at a time writes, others read meanwhile. What must hold here:
//!
//! 1. A record's position is unique: positions only grow, through all laps of the ring. A record is there as long as
//!    its position is not less than the tail.
//! 2. The tail has passed a record before a word of it is overwritten, and readers see that ([`Rows::pass`]: a fence
//!    after the tail). So if a reader has read a record, and then finds that the tail has not passed it, none of the
//!    words was overwritten.
//! 3. A place of the index gets a position after the words of the record were written.
//! 4. Until a reader has found a record [intact](Record::is_intact), after it has read it, its words may be anything:
//!    each length is checked, and nothing that was read is used. What was copied to a caller's buffer is overwritten.

use std::hash::{BuildHasher, Hash, Hasher};
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

use hashbrown::DefaultHashBuilder;

use super::admission::Asked;
use super::words::{self, WORD, are, contain_many, last_word, words_of, zeroed};
use crate::backend::{Name, Projection};
use crate::error::Result;
use crate::types::Entry;
use crate::version::Version;

/// A row to be added.
pub(in super::super) struct Row<'a> {
    pub value: &'a [u8],
    pub expiration: Option<i64>,
    /// `None` if it was not read.
    pub rest: Option<(Option<&'a str>, Version)>,
}

/// What a write has left of a row.
pub(in super::super) enum NewRow<'a> {
    Unknown,
    Missing,
    Row(Row<'a>),
}

/// A place of the index: the position of a record, whether it was read since it was appended, and a part of the hash.
/// 0 is no record.
mod place {
    pub(super) const POSITION: u64 = WAS_READ - 1;
    pub(super) const WAS_READ: u64 = 1 << 52;
    pub(super) const HASH: u64 = !(POSITION | WAS_READ);
}

/// A record takes at most this part of the ring.
const LARGEST: usize = 128;

/// How many places a hash has.
const WAYS: usize = 8;

/// For each word that is appended, at most this many are moved to the head; but one record always may be.
const MOVED: usize = 8;

/// The words at the beginning of a record. The key, the namespace, the metadata and the value follow.
mod field {
    /// The hash of the name.
    pub(super) const HASH: usize = 0;
    /// The lengths of the key and the namespace.
    pub(super) const NAME: usize = 1;
    /// The lengths of the metadata and the value.
    pub(super) const TEXTS: usize = 2;
    /// What there is, and the first four bytes of the version.
    pub(super) const KIND: usize = 3;
    pub(super) const EXPIRATION: usize = 4;
    /// The other eight bytes of the version.
    pub(super) const VERSION: usize = 5;
    pub(super) const COUNT: usize = 6;
}

/// What there is: bits of a number.
mod kind {
    pub(super) const ROW: u32 = 1;
    pub(super) const EXPIRATION: u32 = 2;
    pub(super) const REST: u32 = 4;
    pub(super) const METADATA: u32 = 8;
}

/// Whether a place of the index has a record of this hash.
fn is_of(place: u64, hash: u64) -> bool {
    (place ^ hash) & place::HASH == 0
}

/// What is at a place of the index, if it is a record of this hash.
#[inline(always)]
fn found_at(place: &AtomicU64, hash: u64) -> Option<u64> {
    let found = place.load(Acquire);
    is_of(found, hash).then_some(found)
}

/// Two lengths in one word.
fn pair(first: usize, second: usize) -> u64 {
    first as u64 | (second as u64) << 32
}

fn unpair(word: u64) -> (usize, usize) {
    (word as u32 as usize, (word >> 32) as usize)
}

pub(super) struct Rows {
    hasher: DefaultHashBuilder,
    ring: Box<[AtomicU64]>,
    /// The bits of a position that say where in the ring it is. The others are the number of the lap.
    offset: u64,
    /// The first record.
    tail: AtomicU64,
    /// Where the next record begins. As the next one, only the thread that writes uses it.
    head: AtomicU64,
    /// Where in the ring the records of the last lap end.
    end: AtomicU64,
    index: Box<[AtomicU64]>,
}

/// A record that was found.
pub(super) struct Record<'a> {
    rows: &'a Rows,
    pub position: u64,
    fields: &'a [AtomicU64; field::COUNT],
    /// The metadata, the value, and what follows in the ring.
    texts: &'a [AtomicU64],
}

impl Rows {
    /// Takes this many bytes, without what [`Asked`] takes of them. Returns `None` if there is no memory.
    pub fn new(size: u64) -> Option<Rows> {
        // There is a place in the index for every 96 to 192 bytes.
        const USUAL: usize = 192;
        let size = usize::try_from(size).ok()?.saturating_sub(Asked::len(size));
        let places = (size / USUAL).next_power_of_two().max(WAYS);
        let ring = zeroed(size.saturating_sub(places * WORD) / WORD)?;
        // The end of the ring is a place too: a lap that ends just there is as any other.
        let offset = (ring.len() as u64 + 1).next_power_of_two() - 1;
        // The first lap is 1: in the index, 0 is no record.
        let first = offset + 1;
        Some(Rows {
            hasher: DefaultHashBuilder::default(),
            ring,
            offset,
            tail: AtomicU64::new(first),
            head: AtomicU64::new(first),
            end: AtomicU64::new(0),
            index: zeroed(places)?,
        })
    }

    /// Finds the record of a name.
    pub fn find(&self, name: &Name<'_>) -> Option<Record<'_>> {
        let hash = self.hash(name);
        self.places(hash)?.iter().find_map(|place| self.at(place, found_at(place, hash)?, name))
    }

    /// The same if it is in the first place that has a record of this hash, as most are.
    #[inline(always)]
    pub fn find_first(&self, name: &Name<'_>) -> Option<Record<'_>> {
        let hash = self.hash(name);
        let first = |place| Some((place, found_at(place, hash)?));
        let (place, found) = self.places(hash)?.iter().find_map(first)?;
        self.at(place, found, name)
    }

    /// Returns the record that was found at a place of the index, if it has this name.
    #[inline(always)]
    fn at(&self, place: &AtomicU64, found: u64, name: &Name<'_>) -> Option<Record<'_>> {
        let record = self.record(found & place::POSITION, name)?;
        if found & place::WAS_READ == 0 {
            // If it fails, another thread has done the same, or the record is no longer here.
            let _ = place.compare_exchange(found, found | place::WAS_READ, Relaxed, Relaxed);
        }
        Some(record)
    }

    #[inline(always)]
    #[allow(clippy::manual_hash_one, reason = "hash_one is a call")]
    fn hash(&self, name: &Name<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        name.hash(&mut hasher);
        hasher.finish()
    }

    /// Whether the record at this position was not overwritten so far, nor were later ones.
    #[inline]
    pub fn have(&self, position: u64) -> bool {
        fence(Acquire);
        self.tail.load(Relaxed) <= position
    }

    #[inline]
    fn places(&self, hash: u64) -> Option<&[AtomicU64; WAYS]> {
        let (ways, _) = self.index.as_chunks();
        ways.get(hash as usize & (ways.len() - 1))
    }

    /// Returns the record at this position if it has this name.
    #[inline(always)]
    fn record(&self, position: u64, name: &Name<'_>) -> Option<Record<'_>> {
        let words = self.ring.get((position & self.offset) as usize..)?;
        let (fields, texts) = words.split_first_chunk::<{ field::COUNT }>()?;
        if position < self.tail.load(Relaxed)
            || fields[field::NAME].load(Relaxed) != pair(name.key.len(), name.namespace.len())
        {
            return None;
        }
        let (key, texts) = texts.split_at_checked(words_of(name.key.len()))?;
        let (namespace, texts) = texts.split_at_checked(words_of(name.namespace.len()))?;
        let is_named =
            are(key, name.key, last_word(name.key)) && are(namespace, name.namespace.as_bytes(), name.prepared.last);
        is_named.then_some(Record { rows: self, position, fields, texts })
    }

    /// How many bytes the records take. No other thread writes meanwhile.
    pub fn size(&self) -> u64 {
        let [tail, head, end] = [&self.tail, &self.head, &self.end].map(|place| place.load(Relaxed));
        let words = match self.lap(tail) == self.lap(head) {
            true => head - tail,
            false => (end - (tail & self.offset)) + (head & self.offset),
        };
        words * WORD as u64
    }

    /// The length of the largest record in words. Its lengths in bytes have 32 bits.
    fn largest(&self) -> usize {
        (self.ring.len() / LARGEST).min(u32::MAX as usize / WORD)
    }

    fn lap(&self, position: u64) -> u64 {
        position & !self.offset
    }
}

/// What the words of a record say. They may be of another one, unless it is [intact](Record::is_intact) afterwards.
impl Record<'_> {
    /// Whether the record was not overwritten so far.
    #[inline]
    pub fn is_intact(&self) -> bool {
        self.rows.have(self.position)
    }

    /// Whether there is a row of this name that has not expired. Returns `None` if the file must be asked.
    #[inline]
    pub fn is_live(&self, now: i64, swept: i64) -> Option<bool> {
        let kind = self.field(field::KIND) as u32;
        if kind & kind::EXPIRATION != 0 {
            match self.field(field::EXPIRATION) as i64 {
                end if end <= now => return Some(false),
                // The clock was set back, and the row may be gone.
                end if end <= swept => return None,
                _ => {}
            }
        }
        Some(kind & kind::ROW != 0)
    }

    /// Whether this is the value.
    #[inline(always)]
    pub fn has_value(&self, value: &[u8]) -> bool {
        // Whatever the lengths are, slices check them.
        let (metadata, len) = unpair(self.field(field::TEXTS));
        len == value.len() && self.texts.get(words_of(metadata)..).is_some_and(|words| contain_many(words, value))
    }

    /// Copies the value.
    pub fn value(&self, to: &mut Vec<u8>) -> Option<Result<()>> {
        let (metadata, len) = self.lens()?;
        Some(words::copy_to(self.texts.get(words_of(metadata)..)?, len, to))
    }

    /// Copies the value to the beginning of a place, if there is room for it, and returns its length. Returns `None` if
    /// the record is not intact; then what was copied is overwritten with zeros.
    #[inline(always)]
    pub fn intact_value(&self, to: &mut [MaybeUninit<u8>]) -> Option<usize> {
        // Nothing is allocated for the lengths, and slices check them.
        let (metadata, len) = unpair(self.field(field::TEXTS));
        let Some(place) = to.get_mut(..len) else { return self.is_intact().then_some(len) };
        words::copy(self.texts.get(words_of(metadata)..)?, place)?;
        if self.is_intact() { Some(len) } else { clear(place) }
    }

    /// Sets the fields of an entry besides the key and the value. Returns `None` if the file must be asked.
    pub fn describe(&self, entry: &mut Entry) -> Option<Result<()>> {
        if !self.has(kind::REST) {
            return None;
        }
        let [a, b, c, d] = ((self.field(field::KIND) >> 32) as u32).to_le_bytes();
        let [e, f, g, h, i, j, k, l] = self.field(field::VERSION).to_le_bytes();
        entry.version = Version::from_bytes([a, b, c, d, e, f, g, h, i, j, k, l]);
        (entry.expiration, entry.metadata) = (self.expiration(), None);
        if self.has(kind::METADATA) {
            let (mut metadata, (len, _)) = (Vec::new(), self.lens()?);
            if let Err(error) = words::copy_to(self.texts.get(..words_of(len))?, len, &mut metadata) {
                return Some(Err(error));
            }
            entry.metadata = Some(String::from_utf8(metadata).ok()?);
        }
        Some(Ok(()))
    }

    /// The lengths of the metadata and the value. Returns `None` if they are more than those of any record: nothing is
    /// allocated for words that are of another one.
    #[inline]
    fn lens(&self) -> Option<(usize, usize)> {
        let (metadata, value) = unpair(self.field(field::TEXTS));
        (words_of(metadata) + words_of(value) <= self.rows.largest()).then_some((metadata, value))
    }

    #[inline]
    fn expiration(&self) -> Option<i64> {
        self.has(kind::EXPIRATION).then(|| self.field(field::EXPIRATION) as i64)
    }

    #[inline]
    fn has(&self, kind: u32) -> bool {
        self.field(field::KIND) as u32 & kind != 0
    }

    #[inline]
    fn field(&self, field: usize) -> u64 {
        self.fields[field].load(Relaxed)
    }
}

#[cold]
fn clear(place: &mut [MaybeUninit<u8>]) -> Option<usize> {
    place.fill(MaybeUninit::new(0));
    None
}

/// What one thread at a time may call.
impl Rows {
    /// Forgets all records.
    pub fn clear(&self) {
        self.pass(self.head.load(Relaxed));
    }

    /// Forgets what is known of this name.
    pub fn remove(&self, name: &Name<'_>) {
        if let Some(place) = self.place_of(self.hash(name), name) {
            place.store(0, Relaxed);
        }
    }

    /// Replaces what is known of the name, if anything is.
    pub fn replace(&self, name: &Name<'_>, row: Option<&Row<'_>>) {
        if self.place_of(self.hash(name), name).is_some() {
            self.insert(name, row);
        }
    }

    /// Adds a row, or that there is none, in the place of what is known of the name. A row that is too large is unknown.
    pub fn insert(&self, name: &Name<'_>, row: Option<&Row<'_>>) {
        let hash = self.hash(name);
        let (metadata, value) = row.map_or(("", &[][..]), |row| (row.metadata().unwrap_or_default(), row.value));
        let texts = [name.key, name.namespace.as_bytes(), metadata.as_bytes(), value];
        let len = field::COUNT + texts.iter().map(|text| words_of(text.len())).sum::<usize>();
        let room = self.make_room(len);
        let Some((position, place)) = room.zip(self.place_of(hash, name).or_else(|| self.new_place(hash))) else {
            return self.remove(name);
        };
        let words = &self.ring[(position & self.offset) as usize..][..len];
        let (fields, mut rest) = words.split_at(field::COUNT);
        let set = |field: usize, to| fields[field].store(to, Relaxed);
        set(field::HASH, hash);
        set(field::NAME, pair(name.key.len(), name.namespace.len()));
        set(field::TEXTS, pair(metadata.len(), value.len()));
        set(field::KIND, 0);
        if let Some(row) = row {
            row.write(set);
        }
        for text in texts {
            let words;
            (words, rest) = rest.split_at(words_of(text.len()));
            words::write(words, text);
        }
        self.head.store(position + len as u64, Relaxed);
        place.store(position | hash & place::HASH, Release);
    }

    /// The place of the index that has the record of this name.
    fn place_of(&self, hash: u64, name: &Name<'_>) -> Option<&AtomicU64> {
        self.places(hash)?.iter().find(|place| {
            let found = place.load(Relaxed);
            is_of(found, hash) && self.record(found & place::POSITION, name).is_some()
        })
    }

    /// A place for a record: an empty one if there is one, otherwise that of the oldest record that was not read.
    fn new_place(&self, hash: u64) -> Option<&AtomicU64> {
        let places = self.places(hash)?;
        let position = |place: &&AtomicU64| place.load(Relaxed) & place::POSITION;
        let is_unread = |place: &&AtomicU64| place.load(Relaxed) & place::WAS_READ == 0;
        let tail = self.tail.load(Relaxed);
        let empty = places.iter().find(|place| position(place) < tail);
        empty.or_else(|| places.iter().filter(is_unread).min_by_key(position)).or_else(|| {
            for place in places {
                place.fetch_and(!place::WAS_READ, Relaxed);
            }
            places.iter().min_by_key(position)
        })
    }

    /// Returns a position with room for this many words.
    fn make_room(&self, len: usize) -> Option<u64> {
        if len > self.largest() {
            return None;
        }
        let mut moves = (MOVED * len).max(self.largest());
        loop {
            let [tail, head] = [&self.tail, &self.head].map(|place| place.load(Relaxed));
            let at = (head & self.offset) as usize;
            if at + len <= self.ring.len() {
                if self.lap(tail) == self.lap(head) || (tail & self.offset) as usize >= at + len {
                    return Some(head);
                }
                self.retire(tail, &mut moves);
            } else {
                let next = self.lap(head) + self.offset + 1;
                if next > place::POSITION {
                    return None;
                }
                // What is left of the last lap.
                self.pass(tail.max(self.lap(head)));
                self.end.store(at as u64, Relaxed);
                self.head.store(next, Relaxed);
            }
        }
    }

    /// Takes away the first record, which is of the last lap, or moves it to the head if it was read.
    fn retire(&self, tail: u64, moves: &mut usize) {
        let at = (tail & self.offset) as usize;
        if at as u64 == self.end.load(Relaxed) {
            return self.pass(self.lap(tail) + self.offset + 1);
        }
        let field = |field: usize| self.ring[at + field].load(Relaxed);
        let lens = [unpair(field(field::NAME)), unpair(field(field::TEXTS))];
        let len = field::COUNT + lens.map(|(first, second)| words_of(first) + words_of(second)).iter().sum::<usize>();
        let mut places = self.places(field(field::HASH)).into_iter().flatten();
        let place = places.find(|place| place.load(Relaxed) & place::POSITION == tail);
        self.pass(tail + len as u64);
        let Some(place) = place else { return };
        let found = place.load(Relaxed);
        if found & place::WAS_READ == 0 || len > *moves {
            return place.store(0, Relaxed);
        }
        *moves -= len;
        let head = self.head.load(Relaxed);
        let (from, to) = (&self.ring[at..][..len], &self.ring[(head & self.offset) as usize..]);
        // The places may overlap. It is not behind where it comes from.
        from.iter().zip(to).for_each(|(from, to)| to.store(from.load(Relaxed), Relaxed));
        self.head.store(head + len as u64, Relaxed);
        place.store(head | found & place::HASH, Release);
    }

    /// Forgets the records before this position.
    fn pass(&self, position: u64) {
        self.tail.store(position, Relaxed);
        fence(Release);
    }
}

impl<'a> Row<'a> {
    /// What a read has found.
    pub fn of(entry: &'a Entry, expiration: Option<i64>, projection: Projection) -> Row<'a> {
        let rest = (projection == Projection::Entry).then_some((entry.metadata.as_deref(), entry.version));
        Row { value: entry.value(), expiration, rest }
    }

    fn metadata(&self) -> Option<&'a str> {
        self.rest.and_then(|(metadata, _)| metadata)
    }

    fn write(&self, mut set: impl FnMut(usize, u64)) {
        let mut kind = kind::ROW;
        let mut start = 0;
        if let Some(expiration) = self.expiration {
            kind |= kind::EXPIRATION;
            set(field::EXPIRATION, expiration as u64);
        }
        if let Some((metadata, version)) = self.rest {
            kind |= kind::REST | metadata.map_or(0, |_| kind::METADATA);
            let [a, b, c, d, rest @ ..] = *version.as_bytes();
            start = u32::from_le_bytes([a, b, c, d]);
            set(field::VERSION, u64::from_le_bytes(rest));
        }
        set(field::KIND, u64::from(kind) | u64::from(start) << 32);
    }
}

#[cfg(test)]
mod tests;
