//! What a watch remembers of each key, and how it finds out what has changed.
//!
//! Both sides are in byte order, the keys that are known and the rows of the store, so one pass finds the differences.
//! They become known only when the caller asks for more: until then, the same comparison finds them again.

#[cfg(feature = "sqlite")]
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Listed, PAGE_BYTES, copy_text, push};
use crate::error::{Error, Result};
use crate::oom_reserve;
use crate::types::{Change, ChangeKind, Entry};
use crate::version::Version;

pub(crate) use self::token::Origin;

mod token;

/// The keys that a watch compares.
pub(crate) enum Watched<'a> {
    /// Sorted, each once.
    Keys(&'a [String]),
    Range {
        from: &'a str,
        /// `None`: to the end of the namespace.
        below: Option<&'a str>,
    },
}

/// Differs between two states of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    version: Version,
    /// A hash of what another program may change without giving the row a new version. With another hash, by another
    /// version of the library, the rows that a token knows are reported as changed.
    rest: u64,
}

impl Stamp {
    /// The stamp of a row whose every change gives it a new version.
    pub fn of(version: Version) -> Self {
        Stamp { version, rest: 0 }
    }

    /// The stamp of a row that other programs may change. `rest` is what is compared besides its version.
    #[cfg(feature = "sqlite")]
    pub fn with(version: Version, rest: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        rest.hash(&mut hasher);
        Stamp { version, rest: hasher.finish() }
    }
}

#[derive(Clone, Debug)]
struct KnownKey {
    key: String,
    stamp: Stamp,
    expiration: Option<i64>,
}

impl KnownKey {
    /// What has become of the key, if it is gone at this time.
    fn end_by(&self, now: i64) -> ChangeKind {
        if self.expiration.is_some_and(|end| end <= now) { ChangeKind::Expire } else { ChangeKind::Delete }
    }
}

/// The live keys as a watch knows them, in byte order.
#[derive(Debug, Default)]
pub(crate) struct Known(Vec<KnownKey>);

/// A difference, as it will be known.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Where the key is among the known ones, or where it is to be inserted.
    place: usize,
    is_known: bool,
    /// `None`: it is gone.
    now: Option<KnownKey>,
}

/// See [`Known::apply`].
const FEW: usize = 16;

impl Known {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes differences, which are those of a comparison with this. After an error both are as before.
    pub fn apply(&mut self, pending: &mut Vec<Pending>) -> Result<()> {
        if pending.iter().all(|pending| pending.is_known && pending.now.is_some()) {
            for Pending { place, now, .. } in pending.drain(..) {
                if let Some((known, now)) = self.0.get_mut(place).zip(now) {
                    *known = now;
                }
            }
            return Ok(());
        }
        // A few are cheaper to move one by one than all keys at once.
        if pending.len() <= FEW {
            if self.0.capacity() - self.0.len() < pending.len() {
                room_for(2 * (self.0.len() + pending.len()))?;
            }
            self.0.try_reserve(pending.len()).map_err(|_| no_memory(self.0.len()))?;
            for Pending { place, is_known, now } in pending.drain(..).rev() {
                match (is_known, now) {
                    (true, Some(now)) => self.0[place] = now,
                    (true, None) => _ = self.0.remove(place),
                    (false, now) => now.into_iter().for_each(|now| self.0.insert(place, now)),
                }
            }
            return Ok(());
        }
        let most = self.0.len() + pending.iter().filter(|pending| !pending.is_known).count();
        let mut after = Vec::new();
        room_for(most)?;
        after.try_reserve_exact(most).map_err(|_| no_memory(most))?;
        let mut before = std::mem::take(&mut self.0).into_iter();
        let mut place = 0;
        for pending in pending.drain(..) {
            after.extend(before.by_ref().take(pending.place - place));
            place = pending.place;
            if pending.is_known {
                before.next();
                place += 1;
            }
            after.extend(pending.now);
        }
        after.extend(before);
        self.0 = after;
        Ok(())
    }
}

/// What is known stays allocated after the call, so it must not use the reserve.
fn room_for(keys: usize) -> Result<()> {
    oom_reserve::room(keys.saturating_mul(size_of::<KnownKey>()))
}

#[cold]
fn no_memory(keys: usize) -> Error {
    Error::no_memory(keys.saturating_mul(size_of::<KnownKey>()))
}

/// Compares the rows of the store with what is known. A back end shows it the live rows, and then the values.
pub(crate) struct Comparison<'k> {
    known: &'k [KnownKey],
    /// The first known key that has not been compared.
    next: usize,
    /// Whether the changes are wanted, or only what becomes known.
    tells: bool,
    values: bool,
    /// In Unix seconds. A server has a time of its own.
    pub now: i64,
    found: Found,
}

/// What has changed.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub changes: Vec<Change>,
    /// The same, in the same order.
    pub pending: Vec<Pending>,
    /// Whether these are all.
    pub is_complete: bool,
}

impl<'k> Comparison<'k> {
    pub(crate) fn new(known: &'k Known, values: bool, now: i64) -> Self {
        Comparison { known: &known.0, next: 0, tells: true, values, now, found: Found::default() }
    }

    /// A comparison that only finds out what is there.
    pub(crate) fn beginning(known: &'k Known, now: i64) -> Self {
        Comparison { tells: false, ..Comparison::new(known, false, now) }
    }

    /// Compares the next live row. They come in byte order of their keys.
    pub fn see(&mut self, row: Listed<'_>, stamp: Stamp) -> Result<()> {
        while let Some(known) = self.known.get(self.next) {
            if known.key.as_str() > row.key {
                break;
            }
            if known.key == row.key {
                self.next += 1;
                return if known.stamp == stamp { Ok(()) } else { self.changed(row, stamp, Some(self.next - 1)) };
            }
            self.gone()?;
        }
        self.changed(row, stamp, None)
    }

    fn changed(&mut self, row: Listed<'_>, stamp: Stamp, known: Option<usize>) -> Result<()> {
        let (key, expiration) = (copy_text(row.key)?, row.expiration);
        let now = Some(KnownKey { key, stamp, expiration });
        let pending = Pending { place: known.unwrap_or(self.next), is_known: known.is_some(), now };
        if self.tells {
            let (key, metadata) = (copy_text(row.key)?, row.metadata.map(copy_text).transpose()?);
            let entry = Entry { key, value: None, metadata, expiration, version: row.version };
            push(&mut self.found.changes, Change { kind: ChangeKind::Put, entry })?;
        }
        push(&mut self.found.pending, pending)
    }

    /// The next known key is not there any more.
    fn gone(&mut self) -> Result<()> {
        let known = &self.known[self.next];
        let (key, kind) = (&known.key, known.end_by(self.now));
        let entry = Entry { key: copy_text(key)?, ..Entry::default() };
        let pending = Pending { place: self.next, is_known: true, now: None };
        self.next += 1;
        push(&mut self.found.changes, Change { kind, entry })?;
        push(&mut self.found.pending, pending)
    }

    /// Ends the rows.
    pub fn end_rows(&mut self) -> Result<()> {
        while self.next < self.known.len() {
            self.gone()?;
        }
        self.found.is_complete = true;
        Ok(())
    }

    /// Whether the time decides what has become of a key that is gone.
    #[cfg(all(feature = "postgres", unix))]
    pub fn needs_time(&self) -> bool {
        self.found.pending.iter().any(|pending| pending.now.is_none() && self.known[pending.place].expiration.is_some())
    }

    /// Sets the time, which decides what has become of the keys that are gone.
    #[cfg(all(feature = "postgres", unix))]
    pub fn at(&mut self, now: i64) {
        for (change, pending) in self.found.changes.iter_mut().zip(&self.found.pending) {
            if pending.now.is_none() {
                change.kind = self.known[pending.place].end_by(now);
            }
        }
    }

    /// The keys whose values are wanted, in byte order.
    #[cfg(all(feature = "postgres", unix))]
    pub fn wanted(&self) -> Result<Vec<String>> {
        let is_put = |change: &&Change| self.values && change.kind == ChangeKind::Put;
        self.found.changes.iter().filter(is_put).map(|change| copy_text(&change.entry.key)).collect()
    }

    /// Reads the values, as of the same moment. `read` copies that of a key.
    pub fn read_values<E: From<Error>>(
        &mut self,
        mut read: impl FnMut(&str, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.values {
            return Ok(());
        }
        let mut bytes = 0;
        for place in 0..self.found.changes.len() {
            let Change { kind, entry } = &mut self.found.changes[place];
            if *kind != ChangeKind::Put {
                continue;
            }
            if bytes >= PAGE_BYTES {
                self.found.changes.truncate(place);
                self.found.pending.truncate(place);
                self.found.is_complete = false;
                break;
            }
            let value = entry.value.insert(Vec::new());
            read(&entry.key, value)?;
            bytes += value.len();
        }
        Ok(())
    }

    /// Forgets the rows that it was shown, to begin again.
    #[cfg(all(feature = "postgres", unix))]
    pub fn restart(&mut self) {
        (self.next, self.found) = (0, Found::default());
    }

    pub(crate) fn end(self) -> Found {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::backend::copy;
    use crate::version::Versions;

    type Rows = BTreeMap<String, (Version, Option<i64>)>;

    fn compare(known: &Known, rows: &Rows, now: i64) -> Found {
        let mut comparison = Comparison::new(known, true, now);
        for (key, &(version, expiration)) in rows.iter().filter(|(_, (_, end))| end.is_none_or(|end| end > now)) {
            let row = Listed { key, value: None, metadata: None, expiration, version };
            comparison.see(row, Stamp::of(version)).unwrap();
        }
        comparison.end_rows().unwrap();
        comparison.read_values(|key, value| copy(key.as_bytes(), value)).unwrap();
        comparison.end()
    }

    #[test]
    fn each_difference_is_found_once() {
        let (mut state, mut versions) = (1_u64, Versions::new(1));
        let mut below = |end: u64| {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            (state >> 33) % end
        };
        let (mut known, mut rows, mut last) = (Known::default(), Rows::new(), Rows::new());
        for now in 0..2000 {
            let most = if now % 10 == 0 { 100 } else { 4 };
            for _ in 0..below(most) {
                let key = below(40).to_string();
                match below(3) {
                    0 => _ = rows.remove(&key),
                    _ => {
                        let expiration = (below(2) == 0).then(|| now + 1 + below(20) as i64);
                        rows.insert(key, (versions.next(), expiration));
                    }
                }
            }
            let live = |rows: &Rows| -> Rows {
                rows.iter()
                    .filter(|(_, (_, end))| end.is_none_or(|end| end > now))
                    .map(|(k, v)| (k.clone(), *v))
                    .collect()
            };
            let mut expected = BTreeMap::new();
            for (key, (version, _)) in live(&rows) {
                if last.get(&key).is_none_or(|(before, _)| *before != version) {
                    expected.insert(key, (ChangeKind::Put, version));
                }
            }
            for (key, (_, end)) in &last {
                if !live(&rows).contains_key(key) {
                    let kind = if end.is_some_and(|end| end <= now) { ChangeKind::Expire } else { ChangeKind::Delete };
                    expected.insert(key.clone(), (kind, Version::default()));
                }
            }
            // What was not taken is found again.
            for takes in [false, true] {
                let found = compare(&known, &rows, now);
                assert!(found.is_complete);
                let found_changes: BTreeMap<_, _> = found
                    .changes
                    .iter()
                    .map(|change| (change.entry.key.clone(), (change.kind, change.entry.version)))
                    .collect();
                assert_eq!(found.changes.len(), expected.len());
                assert_eq!(found_changes, expected);
                assert!(found.changes.is_sorted_by(|a, b| a.entry.key < b.entry.key));
                if takes {
                    known.apply(&mut { found.pending }).unwrap();
                }
            }
            last = live(&rows);
        }
    }

    #[test]
    fn values_beyond_a_page_are_left_for_the_next_time() {
        let (mut known, mut versions) = (Known::default(), Versions::new(1));
        let rows: Vec<_> = ["a", "b", "c", "d", "e"].map(|key| (key, versions.next())).into();
        let mut all = Vec::new();
        for _ in 0..3 {
            let mut comparison = Comparison::new(&known, true, 0);
            for &(key, version) in &rows {
                let row = Listed { key, value: None, metadata: None, expiration: None, version };
                comparison.see(row, Stamp::of(version)).unwrap();
            }
            let half = vec![0; PAGE_BYTES / 2];
            comparison.end_rows().unwrap();
            comparison.read_values(|_, value| copy(&half, value)).unwrap();
            let found = comparison.end();
            assert_eq!(found.is_complete, found.changes.len() < 2);
            all.push(found.changes.iter().map(|change| change.entry.key.clone()).collect::<String>());
            known.apply(&mut { found.pending }).unwrap();
        }
        assert_eq!(all, ["ab", "cd", "e"]);
    }
}
