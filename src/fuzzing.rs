//! What fuzz targets reach and users do not. This module is compiled only where `cfg(fuzzing)` is set.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::store::Store;

/// `[routing] data_dir` of a luat.toml with this text.
pub fn data_dir(text: &[u8]) -> Result<PathBuf> {
    crate::luat_project::data_dir(Path::new("luat.toml"), text.to_vec())
}

/// Everything that a store in memory holds, as the web package keeps it.
pub fn record(store: &Store) -> Result<Vec<u8>> {
    store.record(true)
}

/// Applies records to a store in memory, as the web package does with what it kept.
pub fn load(store: &Store, records: &[u8]) -> Result<()> {
    store.load(records)
}
