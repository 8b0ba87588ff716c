//! The entries of a list, in one buffer.

use crate::internals::{Entries, Listed, no_memory, oom_reserve};
use crate::{Result, Version};

/// Entries in one buffer, from which they are copied into Lua's tables. Memory for each of them would cost a fifth of a
/// list's time.
#[derive(Default)]
pub(super) struct Rows {
    /// For each row its key, its metadata and its value.
    bytes: Vec<u8>,
    rows: Vec<Place>,
}

struct Place {
    start: usize,
    key: usize,
    metadata: Option<usize>,
    value: Option<usize>,
    expiration: Option<i64>,
    version: Version,
}

/// A row of [`Rows`]. Its texts are UTF-8.
pub(super) struct Row<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
    pub metadata: Option<&'a [u8]>,
    pub expiration: Option<i64>,
    pub version: Version,
}

impl Rows {
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|row| {
            let mut rest = self.bytes.get(row.start..).unwrap_or_default();
            let mut take = |len: usize| rest.split_off(..len).unwrap_or_default();
            let key = take(row.key);
            let (metadata, value) = (row.metadata.map(&mut take), row.value.map(&mut take));
            Row { key, value, metadata, expiration: row.expiration, version: row.version }
        })
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Empties it, and keeps at most this many bytes of memory.
    pub fn shrink(&mut self, kept: usize) {
        self.rows.clear();
        self.bytes.clear();
        self.rows.shrink_to(kept / size_of::<Place>());
        self.bytes.shrink_to(kept);
    }
}

impl Entries for Rows {
    fn add(&mut self, entry: Listed<'_>) -> Result<()> {
        let Listed { key, value, metadata, expiration, version } = entry;
        let lens = (metadata.map(str::len), value.map(<[u8]>::len));
        let len = key.len() + lens.0.unwrap_or(0) + lens.1.unwrap_or(0);
        self.bytes.try_reserve(len).map_err(|_| no_memory(len))?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key.as_bytes());
        if let Some(metadata) = metadata {
            self.bytes.extend_from_slice(metadata.as_bytes());
        }
        if let Some(value) = value {
            self.bytes.extend_from_slice(value);
        }
        let place = Place { start, key: key.len(), metadata: lens.0, value: lens.1, expiration, version };
        self.rows.try_reserve(1).map_err(|_| no_memory(size_of_val(self.rows.as_slice())))?;
        self.rows.push(place);
        oom_reserve::check()
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.bytes.clear();
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn last_key(&self) -> Option<&[u8]> {
        let last = self.rows.last()?;
        self.bytes.get(last.start..)?.get(..last.key)
    }
}
