//! Exports to files and imports from them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

#[cfg(not(feature = "sqlite"))]
use super::draft::Draft;
#[cfg(feature = "sqlite")]
use crate::backend::sqlite::Draft;
use crate::error::{Error, Result};
use crate::limits;
use crate::namespace::Namespace;
use crate::types::{Format, Imported};

impl Namespace {
    /// [Exports](Namespace::export) to a file, which gets its name, replacing any other file, when it is complete and
    /// synced. A path that is not a regular file (a pipe, a terminal) is written to directly.
    pub fn export_file(&self, path: impl AsRef<Path>, format: Format) -> Result<u64> {
        self.export_file_with(path, format, &mut |_| {})
    }

    /// Like [`export_file`](Self::export_file), and calls `progress` after each entry with the number of entries so
    /// far.
    pub fn export_file_with(
        &self,
        path: impl AsRef<Path>,
        format: Format,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64> {
        let named = |error: Error| error.while_doing(format_args!("exporting to {}", path.as_ref().display()));
        let io = |why: io::Error| named(Error::io(why));
        limits::path(path.as_ref()).map_err(named)?;
        let path = place(path.as_ref()).map_err(io)?;
        if fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
            let mut file = File::options().write(true).open(&path).map_err(io)?;
            return self.export_with(&mut file, format, progress).map_err(named);
        }
        refuse_open(&path).map_err(named)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let no_folder = |why| named(Error::io(why).while_doing(format_args!("the folder {}", folder.display())));
        fs::metadata(folder).map_err(no_folder)?;
        let mut draft = Draft::within(folder).map_err(io)?;
        let count = self.export_with(draft.file(), format, progress).map_err(named)?;
        draft.replace(&path).map_err(io)?;
        Ok(count)
    }

    /// [Imports](Namespace::import) from a file.
    pub fn import_file(&self, path: impl AsRef<Path>, replace: bool) -> Result<Imported> {
        let named = |error: Error| error.while_doing(format_args!("importing {}", path.as_ref().display()));
        limits::path(path.as_ref()).and_then(|()| refuse_open(path.as_ref())).map_err(named)?;
        let mut file = File::open(&path).map_err(|why| named(Error::io(why)))?;
        self.import(&mut file, replace).map_err(named)
    }
}

/// The path of the file to write. If it is a link, the linked file is replaced, not the link.
#[cfg(feature = "sqlite")]
fn place(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path).or_else(|_| std::path::absolute(path))
}

/// The same on a system without links.
#[cfg(not(feature = "sqlite"))]
fn place(path: &Path) -> io::Result<PathBuf> {
    std::path::absolute(path)
}

/// A database must neither be replaced nor opened by anything but its store.
#[cfg(feature = "sqlite")]
fn refuse_open(path: &Path) -> Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let _call = crate::fork::enter();
    match crate::backend::sqlite::is_taken(&path) {
        true => Err(Error::invalid("that is a store's own file")),
        false => Ok(()),
    }
}

/// Without SQLite there are no databases.
#[cfg(not(feature = "sqlite"))]
fn refuse_open(_: &Path) -> Result<()> {
    Ok(())
}
