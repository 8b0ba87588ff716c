//! The entries of an import, kept until all of them are read and checked.
//!
//! Only then does the import take the lock for writing: its input may be a slow pipe. A few entries are kept in memory,
//! more of them in a file without a name beside the database, which the system removes with its descriptor.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::Item;
use crate::backend::sqlite::Draft;
use crate::backend::{Content, Expires};
use crate::error::{Error, Result};

/// How many bytes are kept in memory.
const IN_MEMORY: usize = 2 * 1024 * 1024;

/// The length of an entry's numbers.
const HEAD: usize = 33;

pub(super) struct Spool {
    folder: PathBuf,
    /// What is not in the file.
    memory: Vec<u8>,
    file: Option<BufWriter<File>>,
    count: u64,
}

impl Spool {
    /// The file, if one is needed, is made in this folder.
    pub fn new(folder: PathBuf) -> Self {
        Spool { folder, memory: Vec::new(), file: None, count: 0 }
    }

    pub fn push(&mut self, item: &Item<'_>) -> Result<()> {
        let Content { value, metadata, expires } = item.content;
        let (kind, seconds) = match expires {
            Expires::Never => (0, 0),
            Expires::At(at) => (1, at),
            Expires::After(ttl) => (2, ttl),
        };
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&item.line.to_le_bytes());
        head[8..12].copy_from_slice(&len(item.key.len())?);
        head[12..16].copy_from_slice(&metadata.map_or(Ok([0xff; 4]), |metadata| len(metadata.len()))?);
        head[16..24].copy_from_slice(&(value.len() as u64).to_le_bytes());
        head[24] = kind;
        head[25..].copy_from_slice(&i64::to_le_bytes(seconds));
        for bytes in [&head, item.key.as_bytes(), metadata.unwrap_or_default().as_bytes(), value] {
            self.write(bytes)?;
        }
        self.count += 1;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let fits = self.memory.len() + bytes.len() <= IN_MEMORY;
        if self.file.is_none() && fits && self.memory.try_reserve(bytes.len()).is_ok() {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let written = match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => Draft::within(&self.folder).and_then(Draft::into_unnamed).and_then(|file| {
                let file = self.file.insert(BufWriter::with_capacity(64 * 1024, file));
                file.write_all(&std::mem::take(&mut self.memory))?;
                file.write_all(bytes)
            }),
        };
        written.map_err(|why| self.failed(why))
    }

    /// Calls `each` for all entries in their order. May be called again.
    pub fn replay(&mut self, each: &mut dyn FnMut(&Item<'_>) -> Result<()>) -> Result<()> {
        let Some(file) = &mut self.file else { return replay(&mut &self.memory[..], self.count, each) };
        let begun = file.flush().and_then(|()| file.seek(SeekFrom::Start(0)));
        let mut from = BufReader::with_capacity(64 * 1024, file.get_ref());
        match begun {
            Ok(_) => replay(&mut from, self.count, each),
            Err(why) => Err(self.failed(why)),
        }
    }

    fn failed(&self, why: std::io::Error) -> Error {
        Error::io(why).while_doing(format_args!("keeping what was read in a file in {}", self.folder.display()))
    }
}

fn len(len: usize) -> Result<[u8; 4]> {
    u32::try_from(len).map(u32::to_le_bytes).map_err(|_| Error::no_memory(len))
}

fn replay(from: &mut dyn Read, count: u64, each: &mut dyn FnMut(&Item<'_>) -> Result<()>) -> Result<()> {
    let (mut key, mut metadata, mut value) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let mut head = [0; HEAD];
        from.read_exact(&mut head).map_err(Error::io)?;
        let four = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let eight = |at: usize| u64::from(four(at)) | u64::from(four(at + 4)) << 32;
        let has_metadata = four(12) != u32::MAX;
        read(from, four(8).into(), &mut key)?;
        read(from, if has_metadata { four(12).into() } else { 0 }, &mut metadata)?;
        read(from, eight(16), &mut value)?;
        let expires = match head[24] {
            0 => Expires::Never,
            1 => Expires::At(eight(25) as i64),
            _ => Expires::After(eight(25) as i64),
        };
        let metadata = if has_metadata { Some(text(&metadata)?) } else { None };
        let content = Content { value: &value, metadata, expires };
        each(&Item { line: eight(0), key: text(&key)?, content })?;
    }
    Ok(())
}

fn read(from: &mut dyn Read, len: u64, to: &mut Vec<u8>) -> Result<()> {
    let len = len as usize; // it was the length of a slice
    to.clear();
    to.try_reserve_exact(len).map_err(|_| Error::no_memory(len))?;
    to.resize(len, 0);
    from.read_exact(to).map_err(Error::io)
}

/// Another process of the same user may have written to the file.
fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Error::io(std::io::ErrorKind::InvalidData.into()))
}
