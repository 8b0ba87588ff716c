//! Exports to files and imports from them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use self::draft::Draft;
use crate::error::{Code, Error, Result};
use crate::namespace::Namespace;
use crate::types::{Format, Imported};

impl Namespace {
    /// [Exports](Namespace::export) to a file, which gets its name, in place of any other, when it is whole. What is no
    /// regular file (a pipe, a terminal) is written to as it is.
    pub fn export_file(&self, path: impl AsRef<Path>, format: Format) -> Result<u64> {
        let named = |error: Error| error.while_doing(format_args!("exporting to {}", path.as_ref().display()));
        let io = |why: io::Error| named(Error::new(Code::Io, why.to_string()));
        let path = place(path.as_ref()).map_err(io)?;
        if fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
            let mut file = File::options().write(true).open(&path).map_err(io)?;
            return self.export(&mut file, format).map_err(named);
        }
        refuse_open(&path).map_err(named)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let no_folder = |why| named(Error::new(Code::Io, format!("the folder {}: {why}", folder.display())));
        fs::metadata(folder).map_err(no_folder)?;
        let mut draft = Draft::within(folder).map_err(io)?;
        let count = self.export(draft.file(), format).map_err(named)?;
        draft.file().flush().and_then(|()| draft.file().sync_all()).map_err(io)?;
        draft.name(&path).map_err(io)?;
        Ok(count)
    }

    /// [Imports](Namespace::import) from a file.
    pub fn import_file(&self, path: impl AsRef<Path>, replace: bool) -> Result<Imported> {
        let named = |error: Error| error.while_doing(format_args!("importing {}", path.as_ref().display()));
        refuse_open(path.as_ref()).map_err(named)?;
        let mut file = File::open(&path).map_err(|why| named(Error::new(Code::Io, why.to_string())))?;
        self.import(&mut file, replace).map_err(named)
    }
}

/// Where a file is to be. A link's file is replaced, not the link.
#[cfg(feature = "sqlite")]
fn place(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path).or_else(|_| std::path::absolute(path))
}

/// The same where there are no links.
#[cfg(not(feature = "sqlite"))]
fn place(path: &Path) -> io::Result<PathBuf> {
    std::path::absolute(path)
}

/// A database must neither be replaced nor opened by anything but its store.
#[cfg(feature = "sqlite")]
fn refuse_open(path: &Path) -> Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match crate::fork::is_held(&path) || crate::backend::sqlite::is_taken(&path) {
        true => Err(Error::invalid("that is a store's own file")),
        false => Ok(()),
    }
}

/// There are no databases.
#[cfg(not(feature = "sqlite"))]
fn refuse_open(_: &Path) -> Result<()> {
    Ok(())
}

/// A file that has no name of its own yet, and is removed if it gets none.
#[cfg(feature = "sqlite")]
mod draft {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    use tempfile::NamedTempFile;

    pub(super) struct Draft(NamedTempFile);

    impl Draft {
        pub(super) fn within(folder: &Path) -> io::Result<Self> {
            tempfile::Builder::new().prefix(".luat_kv.").tempfile_in(folder).map(Draft)
        }

        pub(super) fn file(&mut self) -> &mut File {
            self.0.as_file_mut()
        }

        pub(super) fn name(self, path: &Path) -> io::Result<()> {
            self.0.persist(path).map(|_| ()).map_err(|failed| failed.error)
        }
    }
}

/// The same in a file system that is this instance's alone, where nobody else takes the name meanwhile.
#[cfg(not(feature = "sqlite"))]
mod draft {
    use std::fs::{self, File};
    use std::io;
    use std::path::{Path, PathBuf};

    pub(super) struct Draft {
        file: File,
        path: PathBuf,
    }

    impl Draft {
        pub(super) fn within(folder: &Path) -> io::Result<Self> {
            let path = folder.join(".luat_kv.draft");
            Ok(Draft { file: File::create(&path)?, path })
        }

        pub(super) fn file(&mut self) -> &mut File {
            &mut self.file
        }

        pub(super) fn name(self, path: &Path) -> io::Result<()> {
            fs::rename(&self.path, path)
        }
    }

    impl Drop for Draft {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.path); // it has another name by then, if all went well
        }
    }
}
