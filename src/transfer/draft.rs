//! Drafts in a file system that belongs to this instance, so that no other process can take a name.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub(crate) struct Draft {
    file: File,
    path: PathBuf,
}

impl Draft {
    pub(crate) fn within(folder: &Path) -> io::Result<Self> {
        let path = folder.join(".luat_kv.draft");
        Ok(Draft { file: File::create(&path)?, path })
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    pub(crate) fn replace(self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // it has another name by then, if all went well
    }
}
