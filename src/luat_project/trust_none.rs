//! On systems whose files have no owners, every project is trusted.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::backend::sqlite::Stage;
use crate::error::Result;

pub(super) struct Trust;

impl Trust {
    pub fn from(_: &Path) -> io::Result<Self> {
        Ok(Trust)
    }

    pub fn config(&self, _: &Path, _: &Path, _: &File) -> Result<()> {
        Ok(())
    }

    pub fn way(&self, _: &Path, _: &Path, _: Stage) -> Result<()> {
        Ok(())
    }
}
