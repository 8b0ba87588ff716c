//! The rows in memory: an ordered map for each namespace, an index of single keys, and a queue of expirations.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Bound;
use std::sync::Arc;

use super::super::Range;
use super::Undo;
use super::changes::Changes;
use super::index::{Index, Link};
use super::slab::{Id, Slab};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::oom_reserve;
use crate::version::{Version, Versions};

/// A key and what it holds.
pub(crate) struct Row {
    pub key: Arc<str>,
    pub value: Box<[u8]>,
    pub metadata: Option<Box<str>>,
    expiration: Expiration,
    pub version: Version,
    pub(super) space: Id,
    #[cfg_attr(not(target_family = "wasm"), allow(dead_code))]
    pub(super) link: Link,
}

/// What a key holds.
pub(super) struct Held {
    pub value: Box<[u8]>,
    pub metadata: Option<Box<str>>,
    pub expiration: Option<i64>,
    pub version: Version,
}

/// In half of the room of an `Option<i64>`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Expiration(i64);

impl Expiration {
    const NEVER: Expiration = Expiration(i64::MAX);

    fn new(at: Option<i64>) -> Self {
        at.map_or(Expiration::NEVER, Expiration)
    }

    fn get(self) -> Option<i64> {
        (self != Expiration::NEVER).then_some(self.0)
    }
}

impl Row {
    pub fn expiration(&self) -> Option<i64> {
        self.expiration.get()
    }

    #[inline]
    pub fn is_gone(&self, now: i64) -> bool {
        now >= self.expiration.0
    }

    /// The same, without reading the clock if the row does not expire.
    #[inline]
    pub fn has_expired(&self, clock: &Clock) -> bool {
        self.expiration != Expiration::NEVER && self.is_gone(clock.now())
    }

    /// Replaces what the key holds, and returns what it held.
    pub(super) fn replace(&mut self, held: Held) -> Held {
        let before = (std::mem::replace(&mut self.expiration, Expiration::new(held.expiration))).get();
        Held {
            value: std::mem::replace(&mut self.value, held.value),
            metadata: std::mem::replace(&mut self.metadata, held.metadata),
            expiration: before,
            version: std::mem::replace(&mut self.version, held.version),
        }
    }
}

/// The keys of a namespace, or the names of the namespaces: one type, so that there is one copy of the map's code.
pub(super) type Ids = BTreeMap<Arc<str>, Id>;

/// A namespace that has rows.
pub(super) struct Space {
    pub name: Arc<str>,
    pub keys: Ids,
}

/// A row that is about to be added.
pub(super) struct NewRow {
    space: Option<Id>,
    /// The name of a new namespace.
    name: Option<Arc<str>>,
    key: Arc<str>,
}

pub(super) struct Maps {
    names: Ids,
    spaces: Slab<Space>,
    rows: Slab<Row>,
    index: Index,
    expiries: ExpiryQueue,
    pub versions: Versions,
    pub changes: Changes,
    /// Empty, with room for the next change.
    pub undo: Vec<Undo>,
    /// Empty, with memory that is free only while records are loaded. See [`Maps::keep_room_to_load`].
    #[cfg(target_family = "wasm")]
    room_to_load: Vec<u8>,
}

/// Copies a name. If memory is short, it fails before what has no other memory would use the reserve.
pub(super) fn shared(text: &str) -> Result<Arc<str>> {
    /// The counts before the text.
    const COUNTS: usize = 2 * size_of::<usize>();
    oom_reserve::room(COUNTS + text.len())?;
    Ok(text.into())
}

impl Maps {
    pub fn new(versions: Versions) -> Self {
        Maps {
            names: Ids::new(),
            spaces: Slab::new(),
            rows: Slab::new(),
            index: Index::new(),
            expiries: ExpiryQueue::default(),
            versions,
            changes: Changes::default(),
            undo: Vec::new(),
            #[cfg(target_family = "wasm")]
            room_to_load: Vec::new(),
        }
    }

    /// Sets memory aside if there is some, for [`free_room_to_load`](Maps::free_room_to_load): when records are loaded,
    /// each is in memory besides what it becomes, and the pieces lie otherwise. Without it, a store that has filled its
    /// memory might not fit into as much again.
    #[cfg(target_family = "wasm")]
    pub fn keep_room_to_load(&mut self) {
        /// More than a record of small entries. That of a large one is as long as the host's copy of it at the put.
        const LEN: usize = 80 * 1024;
        let _ = self.room_to_load.try_reserve_exact(LEN);
    }

    #[cfg(target_family = "wasm")]
    pub fn free_room_to_load(&mut self) {
        self.room_to_load = Vec::new();
    }

    /// Finds a row by its names. Only those that are UTF-8 have one.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    pub fn find(&self, namespace: &str, key: &[u8]) -> Option<Id> {
        self.index.find((namespace, key), &self.rows, &self.spaces)
    }

    #[cfg(target_family = "wasm")]
    pub fn get(&self, id: Id) -> Option<&Row> {
        self.rows.get(id)
    }

    pub fn get_mut(&mut self, id: Id) -> Option<&mut Row> {
        self.rows.get_mut(id)
    }

    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    pub fn row(&self, namespace: &str, key: &[u8]) -> Option<&Row> {
        self.rows.get(self.find(namespace, key)?)
    }

    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    pub fn live(&self, namespace: &str, key: &str, now: i64) -> Option<&Row> {
        self.row(namespace, key.as_bytes()).filter(|row| !row.is_gone(now))
    }

    /// Notes that a row has changed. Returns whether that was not noted before.
    pub fn note_change(&mut self, id: Id) -> Result<bool> {
        let Some(row) = self.rows.get(id) else { return Ok(false) };
        let Some(space) = self.spaces.get(row.space) else { return Ok(false) };
        self.changes.note(&space.name, &row.key)
    }

    /// Forgets that a row has changed.
    pub fn forget_change(&mut self, id: Id) {
        let Some(row) = self.rows.get(id) else { return };
        if let Some(space) = self.spaces.get(row.space) {
            self.changes.forget(&space.name, &row.key);
        }
    }

    fn keys(&self, namespace: &str) -> Option<&Ids> {
        Some(&self.spaces.get(*self.names.get(namespace)?)?.keys)
    }

    /// The rows of a range, in byte order.
    pub fn range(&self, range: Range<'_>) -> impl DoubleEndedIterator<Item = &Row> {
        static NONE: Ids = Ids::new();
        let keys = self.keys(range.namespace).unwrap_or(&NONE);
        // BTreeMap::range panics on a range that ends before it begins.
        let below = range.below.map(|below| below.max(range.from));
        let ids = keys.range::<str, _>((Bound::Included(range.from), below.map_or(Bound::Unbounded, Bound::Excluded)));
        ids.filter_map(|(_, id)| self.rows.get(*id))
    }

    /// The namespaces in byte order, each with its rows.
    pub fn namespaces(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &Row>)> {
        let spaces = self.names.values().filter_map(|id| self.spaces.get(*id));
        spaces.map(|space| (&*space.name, space.keys.values().filter_map(|id| self.rows.get(*id))))
    }

    pub fn all(&self) -> impl Iterator<Item = (&str, &str, &Row)> {
        self.namespaces().flat_map(|(name, rows)| rows.map(move |row| (name, &*row.key, row)))
    }

    /// Prepares a new row: does all that can fail. The key must not be there.
    pub fn prepare(&mut self, namespace: &str, key: &str) -> Result<NewRow> {
        let space = self.names.get(namespace).copied();
        let name = if space.is_some() { None } else { Some(shared(namespace)?) };
        let key = shared(key)?;
        self.rows.reserve()?;
        self.spaces.reserve()?;
        self.index.reserve((namespace, key.as_bytes()), &mut self.rows, &self.spaces)?;
        Ok(NewRow { space, name, key })
    }

    /// Adds the row that was prepared last.
    pub fn insert(&mut self, NewRow { space, name, key }: NewRow, held: Held) -> Id {
        let space = space.unwrap_or_else(|| {
            let name = name.unwrap_or_default();
            let space = self.spaces.insert(Box::new(Space { name: name.clone(), keys: Ids::new() }));
            self.names.insert(name, space);
            space
        });
        let Held { value, metadata, expiration, version } = held;
        let (expiration, link) = (Expiration::new(expiration), Link::new());
        let id =
            self.rows.insert(Box::new(Row { key: key.clone(), value, metadata, expiration, version, space, link }));
        self.index.insert(id, &mut self.rows, &self.spaces);
        if let Some(space) = self.spaces.get_mut(space) {
            space.keys.insert(key, id);
        }
        id
    }

    /// Removes a row. Needs no memory.
    pub fn remove(&mut self, id: Id) {
        let Some(row) = self.rows.remove(id) else { return };
        let Some(space) = self.spaces.get_mut(row.space) else { return };
        self.index.remove(&space.name, (id, &row), &mut self.rows);
        space.keys.remove(&row.key);
        if space.keys.is_empty() {
            self.names.remove(&space.name);
            self.spaces.remove(row.space);
        }
    }

    /// Makes room for this many expirations.
    pub fn expect_expiries(&mut self, count: usize) -> Result<()> {
        let heap = &mut self.expiries.heap;
        if heap.capacity() - heap.len() < count {
            // The room stays allocated even if it is not used, so it must not use the reserve.
            let len = 2 * (heap.len() + count) * size_of::<End>();
            oom_reserve::room(len)?;
            heap.try_reserve(count).map_err(|_| Error::no_memory(len))?;
        }
        Ok(())
    }

    /// Completes a change that is kept: deletes a removed row, or queues its expiration.
    pub fn settle(&mut self, id: Id) {
        let Some((Some(at), version)) = self.rows.get(id).map(|row| (row.expiration(), row.version)) else { return };
        if at == REMOVED {
            self.remove(id);
        } else {
            self.expiries.heap.push(End { at, version, id });
        }
    }

    pub fn sweep(&mut self, max: u64, now: impl Fn() -> i64) -> u64 {
        let mut removed = 0;
        while removed < max && self.expiries.heap.peek().is_some_and(|end| now() >= end.at) {
            if let Some(end) = self.expiries.heap.pop()
                && self.is_current(&end)
            {
                self.remove(end.id);
                removed += 1;
            }
        }
        self.tidy();
        removed
    }

    /// Whether this is the expiration of an existing row. The row may have been replaced or removed, and another may
    /// have its number.
    fn is_current(&self, end: &End) -> bool {
        let row = self.rows.get(end.id);
        row.is_some_and(|row| row.version == end.version && row.expiration == Expiration(end.at))
    }

    /// Drops expirations of rows that no longer exist, once there may be many of them.
    fn tidy(&mut self) {
        if self.expiries.heap.len() > self.expiries.room {
            let mut expiries = std::mem::take(&mut self.expiries);
            expiries.heap.retain(|end| self.is_current(end));
            expiries.room = ROOM.max(2 * expiries.heap.len());
            self.expiries = expiries;
        }
    }
}

/// The expirations of rows, earliest first. When a row is replaced or removed, its expiration stays in the queue. It is
/// dropped when its time comes, or by a pass over the queue once the queue has grown enough.
struct ExpiryQueue {
    heap: BinaryHeap<End>,
    /// The length at which a pass pays off: twice what the last pass left. So the passes look at no more than two
    /// entries for each entry that was pushed.
    room: usize,
}

const ROOM: usize = 64;

impl Default for ExpiryQueue {
    fn default() -> Self {
        ExpiryQueue { heap: BinaryHeap::new(), room: ROOM }
    }
}

struct End {
    at: i64,
    version: Version,
    id: Id,
}

// A heap has its greatest element on top, so the earliest expiration compares as the greatest.

impl Ord for End {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for End {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for End {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for End {}

/// The expiration of a row that the current write has removed. The row keeps its place, invisible, until the write is
/// done, so that undoing the removal needs no memory.
pub(super) const REMOVED: i64 = i64::MIN;

#[cfg(test)]
mod tests {
    use crate::types::{ListOptions, OpenOptions};
    use crate::{Namespace, Store};

    fn keys_of(namespace: &Namespace) -> Vec<String> {
        namespace.scan(&ListOptions::new()).map(|entry| entry.unwrap().key).collect()
    }

    /// Keys are found as often as tables grow, and as numbers of removed rows are given again.
    #[test]
    fn single_keys_and_ranges_find_the_same_rows() {
        let store = Store::open_memory(&OpenOptions::default()).unwrap();
        let spaces = ["a", "ab", "b"].map(|name| store.namespace(name).unwrap());
        let key = |number: usize| format!("b{number:05}");
        for round in 0..3 {
            for number in 0..4000 {
                for (place, space) in spaces.iter().enumerate() {
                    space.put(&key(number), format!("{round} {number} {place}")).unwrap();
                }
                assert_eq!(spaces[0].delete(&key(number / 2)).unwrap(), number % 2 == 0);
            }
            assert_eq!(keys_of(&spaces[0]), (2000..4000).map(key).collect::<Vec<_>>());
            for (place, space) in spaces.iter().enumerate() {
                for number in if place == 0 { 2000..4000 } else { 0..4000 } {
                    let value = format!("{round} {number} {place}").into_bytes();
                    assert_eq!(space.get(&key(number)).unwrap(), Some(value));
                }
                assert_eq!(space.get(&key(4000)).unwrap(), None);
            }
            assert_eq!(spaces[1].clear().unwrap(), 4000);
            assert!(!spaces[1].has(&key(0)).unwrap() && spaces[2].has(&key(0)).unwrap());
        }
        for space in &spaces {
            space.clear().unwrap();
        }
        assert_eq!(store.namespaces().unwrap(), Vec::<String>::new());
    }
}
