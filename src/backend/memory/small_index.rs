//! The [index](super::index) for WebAssembly, where hashbrown's code would take a twelfth of the module.
//!
//! The tables have open addressing with linear probing. A slot has a part of the hash, so that growing and removing need
//! no names, and a search looks at few rows besides the one that it finds.

use super::slab::Id;
use crate::error::{Error, Result};
use crate::oom_reserve;
use crate::wasm::random;

const TABLES: usize = 16;

pub(super) struct Index {
    tables: [Table; TABLES],
    seed: [u64; 3],
}

/// The names of a namespace and of a key in it.
type Names<'a> = (&'a str, &'a str);

/// The number of slots is a power of two or 0. At least a quarter of them is empty.
struct Table {
    slots: Vec<Slot>,
    len: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    hash: u32,
    id: Id,
}

const EMPTY: Slot = Slot { hash: 0, id: Id::MAX };

impl Index {
    pub fn new() -> Self {
        let seed = [random(), random() | 1, random() | 1];
        Index { tables: [const { Table { slots: Vec::new(), len: 0 } }; TABLES], seed }
    }

    /// Returns the row of these names. `names_of` returns the names of a row.
    pub fn find<'m>(&self, names: Names<'_>, names_of: impl Fn(Id) -> Option<Names<'m>>) -> Option<Id> {
        let (table, hash) = self.place(names);
        let table = &self.tables[table];
        let at = table.find(hash, |id| names_of(id) == Some(names))?;
        Some(table.slots[at].id)
    }

    /// Makes room for a row of these names.
    pub fn reserve<'m>(&mut self, names: Names<'_>, _: impl Fn(Id) -> Option<Names<'m>>) -> Result<()> {
        let (table, _) = self.place(names);
        self.tables[table].reserve()
    }

    /// Adds a row, for which room was [reserved](Index::reserve).
    pub fn insert<'m>(&mut self, id: Id, names_of: impl Fn(Id) -> Option<Names<'m>>) {
        let (table, hash) = self.place(names_of(id).unwrap_or_default());
        self.tables[table].insert(Slot { hash, id });
    }

    /// Removes a row.
    pub fn remove(&mut self, names: Names<'_>, id: Id) {
        let (table, hash) = self.place(names);
        self.tables[table].remove(hash, id);
    }

    /// The table for these names, and the part of their hash that it uses.
    fn place(&self, (namespace, key): Names<'_>) -> (usize, u32) {
        let hash = self.add(self.add(self.seed[0], namespace), key);
        ((hash >> 40) as usize % TABLES, hash as u32)
    }

    /// Adds a text to a hash. Both multipliers are random, so nobody can choose texts that collide: a difference in the
    /// high bits, which one product would keep as it is, is in the low bits of the factor of the other.
    fn add(&self, mut hash: u64, text: &str) -> u64 {
        let mut mix = |word: u64| {
            let mixed = hash ^ word;
            hash = mixed.wrapping_mul(self.seed[1]) ^ mixed.rotate_left(32).wrapping_mul(self.seed[2]).rotate_left(32);
        };
        let (words, rest) = text.as_bytes().as_chunks::<8>();
        words.iter().for_each(|word| mix(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        mix(u64::from_le_bytes(last));
        mix(text.len() as u64);
        hash
    }
}

impl Table {
    fn find(&self, hash: u32, is: impl Fn(Id) -> bool) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.id == EMPTY.id {
                return None;
            }
            if slot.hash == hash && is(slot.id) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    fn reserve(&mut self) -> Result<()> {
        if 4 * (self.len + 1) <= 3 * self.slots.len() {
            return Ok(());
        }
        let count = (2 * self.slots.len()).max(8);
        // The room stays allocated even if it is not used, so it must not use the reserve.
        let bytes = count * size_of::<Slot>();
        oom_reserve::room(bytes)?;
        let mut slots = Vec::new();
        slots.try_reserve_exact(count).map_err(|_| Error::no_memory(bytes))?;
        slots.resize(count, EMPTY);
        let before = std::mem::replace(self, Table { slots, len: 0 });
        before.slots.into_iter().filter(|slot| slot.id != EMPTY.id).for_each(|slot| self.insert(slot));
        Ok(())
    }

    fn insert(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = slot.hash as usize & mask;
        while self.slots[at].id != EMPTY.id {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
        self.len += 1;
    }

    fn remove(&mut self, hash: u32, id: Id) {
        let Some(mut hole) = self.find(hash, |other| other == id) else { return };
        self.len -= 1;
        if self.len == 0 {
            self.slots = Vec::new();
            return;
        }
        // Slots that come later in a row of full ones fill the hole, unless their search begins after it.
        let mask = self.slots.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot.id == EMPTY.id {
                break;
            }
            let home = slot.hash as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = EMPTY;
    }
}
