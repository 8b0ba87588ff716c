//! The operations of a lane, generated from a seed, so that writer and model have the same ones.

use std::path::{Path, PathBuf};

use crate::support::Rng;

/// The time in the first round. Each round is a second later, and the clock stands still within a round.
pub const EPOCH: i64 = 1_800_000_000;

/// The keys that `Fill` puts and `DeletePrefix` removes: more than one step of a long removal takes.
pub const FILLED: usize = 1200;

/// The entries of an import.
pub const IMPORTED: usize = 300;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// With `brief`, the entry has expired in the next round.
    Put {
        key: String,
        len: usize,
        brief: bool,
    },
    Delete {
        key: String,
    },
    Incr {
        by: i64,
    },
    /// Increments a key that all lanes share.
    Shared,
    /// Puts these keys, increments the counter, and deletes a key.
    Batch {
        keys: Vec<String>,
        len: usize,
        delete: String,
    },
    Fill,
    DeletePrefix,
    Import,
    Export,
    Backup,
    Sweep,
    Compact,
    Checkpoint,
    Reopen,
}

/// The operations of a lane in one round.
pub struct Ops(Rng);

impl Ops {
    pub fn new(seed: u64, lane: usize) -> Ops {
        Ops(Rng(seed ^ ((lane as u64 + 1) << 32)))
    }
}

impl Iterator for Ops {
    type Item = Op;

    fn next(&mut self) -> Option<Op> {
        let rng = &mut self.0;
        Some(match rng.below(100) {
            0..40 => Op::Put { key: key(rng), len: len(rng), brief: rng.one_in(5) },
            40..50 => Op::Delete { key: key(rng) },
            50..60 => Op::Incr { by: rng.below(2000) as i64 - 1000 },
            60..68 => Op::Shared,
            68..80 => {
                let keys = (0..1 + rng.below(30)).map(|_| key(rng)).collect();
                Op::Batch { keys, len: len(rng), delete: key(rng) }
            }
            80..83 => Op::Fill,
            83..87 => Op::DeletePrefix,
            87..89 => Op::Import,
            89..91 => Op::Export,
            91..92 => Op::Backup,
            92..95 => Op::Sweep,
            95..96 => Op::Compact,
            96..98 => Op::Checkpoint,
            _ => Op::Reopen,
        })
    }
}

fn key(rng: &mut Rng) -> String {
    format!("key {:02}", rng.below(30))
}

/// Mostly small; some take many pages.
fn len(rng: &mut Rng) -> usize {
    let most = if rng.one_in(20) { 150_000 } else { 400 };
    rng.below(most) as usize
}

pub fn filled_key(index: usize) -> String {
    format!("filled:{index:04}")
}

pub fn imported_key(index: usize) -> String {
    format!("imported {index}")
}

/// The value that an operation stores, which identifies it.
pub fn value(clock: i64, number: usize, len: usize) -> Vec<u8> {
    let mut value = format!("{}.{number}.", clock - EPOCH).into_bytes();
    value.resize(value.len() + len, b'.');
    value
}

/// The file of a lane's next import.
pub fn import_text(clock: i64, number: usize) -> String {
    let value = String::from_utf8(value(clock, number, 20)).expect("ASCII");
    (0..IMPORTED).map(|index| format!("{{\"key\":\"{}\",\"value\":\"{value}\"}}\n", imported_key(index))).collect()
}

pub fn import_path(folder: &Path, lane: &str) -> PathBuf {
    folder.join(format!("{lane}.import.jsonl"))
}

pub fn export_path(folder: &Path, lane: &str) -> PathBuf {
    folder.join(format!("{lane}.export.jsonl"))
}

pub fn backup_path(folder: &Path, lane: &str, number: usize) -> PathBuf {
    folder.join(format!("{lane}.backup-{number}.db"))
}
