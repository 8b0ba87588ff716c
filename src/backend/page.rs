//! What a list collects.

use super::{copy, copy_text, push};
use crate::error::Result;
use crate::types::Entry;
use crate::version::Version;

/// An entry that a list has found, where the back end has it.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    pub key: &'a str,
    /// `None` in a list without values.
    pub value: Option<&'a [u8]>,
    pub metadata: Option<&'a str>,
    pub expiration: Option<i64>,
    pub version: Version,
}

/// Collects the entries of a list in their order: as what the caller needs, so that none is copied twice.
pub trait Entries {
    fn add(&mut self, entry: Listed<'_>) -> Result<()>;
    fn clear(&mut self);
    fn len(&self) -> usize;
    /// The key of the entry that was added last.
    fn last_key(&self) -> Option<&[u8]>;
}

impl Entries for Vec<Entry> {
    fn add(&mut self, entry: Listed<'_>) -> Result<()> {
        let mut value = None;
        if let Some(bytes) = entry.value {
            copy(bytes, value.insert(Vec::new()))?;
        }
        let metadata = entry.metadata.map(copy_text).transpose()?;
        let (key, expiration, version) = (copy_text(entry.key)?, entry.expiration, entry.version);
        push(self, Entry { key, value, metadata, expiration, version })
    }

    fn clear(&mut self) {
        self.clear();
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn last_key(&self) -> Option<&[u8]> {
        self.last().map(|entry| entry.key.as_bytes())
    }
}
