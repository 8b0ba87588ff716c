//! Functions for fuzz targets only. This module is compiled only if `cfg(fuzzing)` is set.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::store::Store;

/// Returns `[routing] data_dir` of a luat.toml with this text.
pub fn data_dir(text: &[u8]) -> Result<PathBuf> {
    crate::luat_project::data_dir(Path::new("luat.toml"), text.to_vec())
}

/// Returns everything that a store in memory contains, in the format that the web package keeps.
pub fn record(store: &Store) -> Result<Vec<u8>> {
    store.record(true)
}

/// Applies records to a store in memory, as the web package does when it loads them.
pub fn load(store: &Store, records: &[u8]) -> Result<()> {
    store.load(records)
}
