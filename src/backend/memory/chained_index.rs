//! The [index](super::index) for WebAssembly, where hashbrown's code would take a twelfth of the module.
//!
//! Rows whose hashes are alike form a chain, which is in the rows themselves. The tables have the first row of each
//! chain. If there is no memory for a larger table, its chains become longer. So a store that fills its memory can be
//! loaded again into as much, whenever its tables grow then.

use super::maps::{Row, Space};
use super::slab::{Id, Slab};
use crate::error::{Error, Result};
use crate::oom_reserve;
use crate::wasm::random;

/// A table doubles at once, so several with a part of the rows each pause for a shorter time.
const TABLES: usize = 16;

pub(super) struct Index {
    tables: [Table; TABLES],
    seed: [u64; 3],
}

struct Table {
    /// The first row of each chain, or [`NONE`]. The number of chains is a power of two, or 0.
    chains: Vec<Id>,
    len: usize,
}

const NONE: Id = Id::MAX;

/// What the index keeps in a row.
pub(super) struct Link {
    hash: u32,
    /// The next row of the chain, or [`NONE`].
    next: Id,
}

impl Link {
    pub fn new() -> Self {
        Link { hash: 0, next: NONE }
    }
}

/// The names of a namespace and of a key in it.
type Names<'a> = (&'a str, &'a [u8]);

impl Index {
    pub fn new() -> Self {
        let seed = [random(), random() | 1, random() | 1];
        Index { tables: [const { Table { chains: Vec::new(), len: 0 } }; TABLES], seed }
    }

    /// Returns the row of these names.
    #[inline(never)]
    pub fn find(&self, names: Names<'_>, rows: &Slab<Row>, spaces: &Slab<Space>) -> Option<Id> {
        let (table, hash) = self.place(names);
        let Table { chains, .. } = &self.tables[table];
        let mut id = *chains.get(chain(hash, chains.len()))?;
        while let Some(row) = rows.get(id) {
            let is_it = row.link.hash == hash && row.key.as_bytes() == names.1;
            if is_it && spaces.get(row.space).is_some_and(|space| *space.name == *names.0) {
                return Some(id);
            }
            id = row.link.next;
        }
        None
    }

    /// Makes room for a row of these names.
    pub fn reserve(&mut self, names: Names<'_>, rows: &mut Slab<Row>, _: &Slab<Space>) -> Result<()> {
        let (table, _) = self.place(names);
        self.tables[table].reserve(rows)
    }

    /// Adds a row.
    pub fn insert(&mut self, id: Id, rows: &mut Slab<Row>, spaces: &Slab<Space>) {
        let Some(row) = rows.get_mut(id) else { return };
        let namespace = spaces.get(row.space).map_or("", |space| &space.name);
        let (table, hash) = self.place((namespace, row.key.as_bytes()));
        row.link.hash = hash;
        let table = &mut self.tables[table];
        table.insert(id, row);
        table.len += 1;
    }

    /// Removes a row of the namespace, which the slab no longer has.
    pub fn remove(&mut self, namespace: &str, (id, row): (Id, &Row), rows: &mut Slab<Row>) {
        let (table, hash) = self.place((namespace, row.key.as_bytes()));
        self.tables[table].remove(hash, (id, row), rows);
    }

    /// The table for these names, and the part of their hash that it uses.
    #[inline(never)]
    fn place(&self, (namespace, key): Names<'_>) -> (usize, u32) {
        let hash = self.add(self.add(self.seed[0], namespace.as_bytes()), key);
        ((hash >> 40) as usize % TABLES, hash as u32)
    }

    /// Adds a text to a hash. Both multipliers are random, so nobody can choose texts that collide: a difference in the
    /// high bits, which one product would keep as it is, is in the low bits of the factor of the other. The words of the
    /// text are added to two hashes in turn, because a processor multiplies for both at the same time.
    fn add(&self, hash: u64, text: &[u8]) -> u64 {
        let mix = |hash: u64, word: u64| {
            let mixed = hash ^ word;
            mixed.wrapping_mul(self.seed[1]) ^ mixed.rotate_left(32).wrapping_mul(self.seed[2]).rotate_left(32)
        };
        let (words, rest) = text.as_chunks::<8>();
        let (mut next, mut other) = (hash, hash);
        for word in words {
            (next, other) = (other, mix(next, u64::from_le_bytes(*word)));
        }
        let last = rest.iter().fold(text.len() as u64, |last, byte| last << 8 | u64::from(*byte));
        mix(mix(next, last), other)
    }
}

/// The chain for a hash among this many.
fn chain(hash: u32, chains: usize) -> usize {
    hash as usize & chains.wrapping_sub(1)
}

impl Table {
    /// Fails only if there is no chain.
    fn reserve(&mut self, rows: &mut Slab<Row>) -> Result<()> {
        let count = self.chains.len();
        if self.len < count {
            return Ok(());
        }
        let wanted = (2 * count).max(8);
        let mut chains = Vec::new();
        let bytes = wanted * size_of::<Id>();
        // The room stays allocated, so it must not use the reserve.
        if oom_reserve::room(bytes).is_err() || chains.try_reserve_exact(wanted).is_err() {
            return if count > 0 { Ok(()) } else { Err(Error::no_memory(bytes)) };
        }
        chains.resize(wanted, NONE);
        for first in std::mem::replace(&mut self.chains, chains) {
            let mut id = first;
            while let Some(row) = rows.get_mut(id) {
                let next = row.link.next;
                self.insert(id, row);
                id = next;
            }
        }
        Ok(())
    }

    /// Makes a row the first of its chain.
    fn insert(&mut self, id: Id, row: &mut Row) {
        let place = chain(row.link.hash, self.chains.len());
        if let Some(first) = self.chains.get_mut(place) {
            row.link.next = std::mem::replace(first, id);
        }
    }

    fn remove(&mut self, hash: u32, (id, row): (Id, &Row), rows: &mut Slab<Row>) {
        let place = chain(hash, self.chains.len());
        let Some(first) = self.chains.get_mut(place) else { return };
        if *first == id {
            *first = row.link.next;
        } else {
            let mut before = *first;
            while let Some(other) = rows.get_mut(before) {
                before = other.link.next;
                if before == id {
                    other.link.next = row.link.next;
                }
            }
        }
        self.len -= 1;
        if self.len == 0 {
            self.chains = Vec::new();
        }
    }
}
