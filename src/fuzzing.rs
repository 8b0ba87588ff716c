//! Functions for fuzz targets only. This module is compiled only if `cfg(fuzzing)` is set.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::store::Store;
use crate::url::Url;

/// Returns the file that a luat.toml with this text names as the store; `None` if the store is not a file.
pub fn configured(text: &[u8]) -> Result<Option<PathBuf>> {
    match crate::luat_project::configured(Path::new("luat.toml"), text.to_vec())? {
        Url::File(path) => Ok(Some(path)),
        _ => Ok(None),
    }
}

/// Returns everything that a store in memory contains, in the format that the web package keeps.
pub fn record(store: &Store) -> Result<Vec<u8>> {
    store.record(true)
}

/// Applies records to a store in memory, as the web package does when it loads them.
pub fn load(store: &Store, records: &[u8]) -> Result<()> {
    store.load(records)
}
