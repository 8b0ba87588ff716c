//! Finds a row by the names of its namespace and its key.
//!
//! A search of the ordered maps compares a key with about as many others as the binary logarithm of their number, each
//! in another place of memory. A hash table compares it with one, and takes 5 to 11 bytes a key, since it holds only
//! the numbers of rows. So single keys are found here, and ranges in the ordered maps. The table has exactly the rows
//! that the maps have: `Maps::insert` and `Maps::remove`, and nothing else, change both.
//!
//! A full table doubles and places each of its rows anew, which would take tens of milliseconds with a million rows. So
//! there are several tables with a part of the rows each.
//!
//! The hashes depend on random numbers, so nobody can choose keys that collide.
//!
//! WebAssembly has another one with the same functions: `chained_index`.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::maps::{Row, Space};
use super::slab::{Id, Slab};
use crate::error::{Error, Result};

const TABLES: usize = 64;

pub(super) struct Index {
    tables: [HashTable<Id>; TABLES],
    seed: DefaultHashBuilder,
}

/// What the index keeps in a row: nothing.
pub(super) struct Link;

impl Link {
    pub fn new() -> Self {
        Link
    }
}

/// The names of a namespace and of a key in it.
type Names<'a> = (&'a str, &'a [u8]);

impl Index {
    pub fn new() -> Self {
        Index { tables: [const { HashTable::new() }; TABLES], seed: DefaultHashBuilder::default() }
    }

    /// Returns the row of these names.
    #[inline(always)]
    pub fn find(&self, names: Names<'_>, rows: &Slab<Row>, spaces: &Slab<Space>) -> Option<Id> {
        let hash = hash_of(&self.seed, names);
        let is_it = |id: &Id| {
            names_of(*id, rows, spaces).is_some_and(|(namespace, key)| key == names.1 && namespace == names.0)
        };
        self.tables[place(hash)].find(hash, is_it).copied()
    }

    /// Makes room for a row of these names.
    pub fn reserve(&mut self, names: Names<'_>, rows: &mut Slab<Row>, spaces: &Slab<Space>) -> Result<()> {
        let Index { tables, seed } = self;
        let table = &mut tables[place(hash_of(seed, names))];
        let anew = |id: &Id| hash_of(seed, names_of(*id, rows, spaces).unwrap_or_default());
        table.try_reserve(1, anew).map_err(|_| Error::no_memory(2 * table.len() * size_of::<Id>()))
    }

    /// Adds a row, for which room was [reserved](Index::reserve).
    pub fn insert(&mut self, id: Id, rows: &mut Slab<Row>, spaces: &Slab<Space>) {
        let Index { tables, seed } = self;
        let anew = |id: &Id| hash_of(seed, names_of(*id, rows, spaces).unwrap_or_default());
        let hash = anew(&id);
        tables[place(hash)].insert_unique(hash, id, anew);
    }

    /// Removes a row of the namespace, which the slab no longer has.
    pub fn remove(&mut self, namespace: &str, (id, row): (Id, &Row), _: &mut Slab<Row>) {
        let hash = hash_of(&self.seed, (namespace, row.key.as_bytes()));
        let table = &mut self.tables[place(hash)];
        if let Ok(row) = table.find_entry(hash, |other| *other == id) {
            row.remove();
            if table.is_empty() {
                *table = HashTable::new();
            }
        }
    }
}

#[inline(always)]
fn names_of<'m>(id: Id, rows: &'m Slab<Row>, spaces: &'m Slab<Space>) -> Option<Names<'m>> {
    let row = rows.get(id)?;
    Some((&spaces.get(row.space)?.name, row.key.as_bytes()))
}

#[inline(always)]
fn hash_of(seed: &DefaultHashBuilder, (namespace, key): Names<'_>) -> u64 {
    let mut hasher = seed.build_hasher();
    hasher.write(namespace.as_bytes());
    hasher.write(key);
    hasher.finish()
}

/// The table for a hash, by bits that a table does not use itself.
fn place(hash: u64) -> usize {
    (hash >> 40) as usize % TABLES
}
