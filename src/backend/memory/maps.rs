//! The rows in memory: ordered maps, and a queue of expirations.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, btree_map};
use std::ops::Bound;

use super::super::{Range, copy_text};
use super::changes::Changes;
use super::namespace_map::{self, NamespaceMap};
use crate::error::{Error, Result};
use crate::oom_reserve;
use crate::version::{Version, Versions};

/// What a key holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub value: Vec<u8>,
    pub metadata: Option<String>,
    pub expiration: Option<i64>,
    pub version: Version,
}

pub(super) type Keys = BTreeMap<Box<str>, Box<Row>>;

pub(super) struct Maps {
    pub namespaces: NamespaceMap<Row>,
    expiries: ExpiryQueue,
    pub versions: Versions,
    pub changes: Changes,
}

/// The position of a row, as owned names.
pub(super) struct Place {
    pub namespace: Box<str>,
    pub key: Box<str>,
}

impl Place {
    pub fn of(namespace: &str, key: &str) -> Result<Self> {
        Ok(Place { namespace: boxed(namespace)?, key: boxed(key)? })
    }
}

pub(super) fn boxed(text: &str) -> Result<Box<str>> {
    copy_text(text).map(String::into_boxed_str)
}

impl Maps {
    pub fn new(versions: Versions) -> Self {
        Maps { namespaces: BTreeMap::new(), expiries: ExpiryQueue::default(), versions, changes: Changes::default() }
    }

    pub fn row(&self, namespace: &str, key: &str) -> Option<&Row> {
        self.namespaces.get(namespace)?.get(key).map(|row| &**row)
    }

    pub fn row_mut(&mut self, namespace: &str, key: &str) -> Option<&mut Box<Row>> {
        self.namespaces.get_mut(namespace)?.get_mut(key)
    }

    pub fn live(&self, namespace: &str, key: &str, now: i64) -> Option<&Row> {
        self.row(namespace, key).filter(|row| !is_gone(row.expiration, now))
    }

    pub fn range(&self, range: Range<'_>) -> btree_map::Range<'_, Box<str>, Box<Row>> {
        static NONE: Keys = Keys::new();
        let keys = self.namespaces.get(range.namespace).map_or(&NONE, |keys| &**keys);
        // BTreeMap::range panics on a range that ends before it begins.
        let below = range.below.map(|below| below.max(range.from));
        keys.range::<str, _>((Bound::Included(range.from), below.map_or(Bound::Unbounded, Bound::Excluded)))
    }

    pub fn all(&self) -> impl Iterator<Item = (&str, &str, &Row)> {
        self.namespaces.iter().flat_map(|(name, keys)| keys.iter().map(|(key, row)| (&**name, &**key, &**row)))
    }

    /// The key must not be there.
    pub fn insert(&mut self, namespace: &str, key: Box<str>, entry: Box<Row>) {
        namespace_map::insert(&mut self.namespaces, namespace, key, entry);
    }

    pub fn remove(&mut self, namespace: &str, key: &str) {
        namespace_map::remove(&mut self.namespaces, namespace, key);
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
    pub fn settle(&mut self, place: Place) {
        let row = self.row(&place.namespace, &place.key);
        let Some((Some(at), version)) = row.map(|row| (row.expiration, row.version)) else { return };
        if at == REMOVED {
            self.remove(&place.namespace, &place.key);
        } else {
            self.expiries.heap.push(End { at, version, place });
        }
    }

    pub fn sweep(&mut self, max: u64, now: i64) -> u64 {
        let mut removed = 0;
        while removed < max && self.expiries.heap.peek().is_some_and(|end| is_gone(Some(end.at), now)) {
            if let Some(end) = self.expiries.heap.pop()
                && self.is_current(&end)
            {
                self.remove(&end.place.namespace, &end.place.key);
                removed += 1;
            }
        }
        self.tidy();
        removed
    }

    /// Whether this is the expiration of an existing row. The row may have been replaced or removed.
    fn is_current(&self, end: &End) -> bool {
        let row = self.row(&end.place.namespace, &end.place.key);
        row.is_some_and(|row| row.version == end.version && row.expiration == Some(end.at))
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
    place: Place,
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

pub(super) fn is_gone(expiration: Option<i64>, now: i64) -> bool {
    expiration.is_some_and(|end| now >= end)
}
