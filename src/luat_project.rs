//! Finds where a Luat project keeps its data.
//!
//! `LUAT_KV_DB` in the environment names the file. Without it, the project's root is the nearest folder upwards that
//! has a `luat.toml`, or else the starting folder. The data folder is `[routing] data_dir` in that file, relative to
//! the root, or else `.luat/data`. The search may find files of other users: see [`trust`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use self::trust::Trust;
use crate::backend::sqlite::Stage;
use crate::error::{Code, Error, Result};

#[cfg_attr(not(unix), path = "luat_project/trust_none.rs")]
mod trust;

/// The environment variable that names the database.
const VARIABLE: &str = "LUAT_KV_DB";
const CONFIG: &str = "luat.toml";
const DATA_DIR: &str = ".luat/data";
const DATABASE: &str = "kv.db";

/// The maximum size of a luat.toml.
const LONGEST: u64 = 64 * 1024;

/// The database of a project.
pub(crate) struct Place {
    pub path: PathBuf,
    /// Whose links may lead to it; `None` if the caller has given the path.
    trust: Option<(Trust, PathBuf)>,
}

impl Place {
    /// Checks that no link or folder of a stranger leads to the database. A stranger can create one at any time, and
    /// remove it again. So this is called before anything is created, before the file is created, and for the file that
    /// was opened before anything is read from it or stored in it.
    pub(crate) fn check(&self, stage: Stage) -> Result<()> {
        match &self.trust {
            Some((trust, root)) => trust.way(root, &self.path, stage),
            None => Ok(()),
        }
    }
}

/// Returns the database of the project that contains `dir`, or the working directory.
pub(crate) fn database(dir: Option<&Path>) -> Result<Place> {
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(Place { path: path.into(), trust: None });
    }
    let dir = dir.unwrap_or(Path::new("."));
    let folder = |why: io::Error| Error::io(why).while_doing(format_args!("the folder {}", dir.display()));
    // Resolves links and `..`: the folder above `a/..` is not `a`.
    let start = fs::canonicalize(dir).map_err(folder)?;
    let trust = Trust::from(&start).map_err(folder)?;
    for root in start.ancestors() {
        let config = root.join(CONFIG);
        match open(&config) {
            Ok(file) => {
                trust.config(root, &config, &file)?;
                let text = read(file).map_err(|why| Error::io(why).while_doing(config.display()))?;
                let path = root.join(data_dir(&config, text)?).join(DATABASE);
                return Ok(Place { path, trust: Some((trust, root.to_owned())) });
            }
            Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(why) => {
                // Trusting its folder would not make it readable.
                let cure =
                    format!("to use a store without reading this file, set {VARIABLE} to the path of its database");
                return Err(Error::new(Code::Io, format!("{}: {why}; {cure}", config.display())));
            }
        }
    }
    Ok(Place { path: start.join(DATA_DIR).join(DATABASE), trust: Some((trust, start)) })
}

/// Opens a file without waiting, as the opening of a pipe would.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK | libc::O_NOCTTY);
    options.read(true).open(path)
}

fn read(file: File) -> io::Result<Vec<u8>> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = Vec::new();
    // The file may grow meanwhile.
    file.take(LONGEST + 1).read_to_end(&mut text)?;
    match text.len() as u64 > LONGEST {
        true => Err(io::Error::other(format!("it is larger than {LONGEST} bytes"))),
        false => Ok(text),
    }
}

/// Returns `[routing] data_dir`. Everything else in the file is ignored.
pub(crate) fn data_dir(config: &Path, text: Vec<u8>) -> Result<PathBuf> {
    let wrong = |line: usize, why: &str| Error::invalid(format!("{}:{line}: {why}", config.display()));
    let text = String::from_utf8(text).map_err(|why| {
        let valid = why.utf8_error().valid_up_to();
        wrong(line_at(why.as_bytes(), valid), "not UTF-8 text")
    })?;
    // A `DeTable` does not parse numbers, and a `Table` has no positions. The first tells whether the whole text is
    // TOML.
    let document = text
        .parse::<toml::Table>()
        .and_then(|_| DeTable::parse(&text))
        .map_err(|why| wrong(line_at(text.as_bytes(), why.span().map_or(0, |span| span.start)), why.message()))?;
    let Some(routing) = document.get_ref().get("routing") else { return Ok(DATA_DIR.into()) };
    let DeValue::Table(table) = routing.get_ref() else {
        return Err(wrong(line_at(text.as_bytes(), routing.span().start), "routing is not a table"));
    };
    let Some(data_dir) = table.get("data_dir") else { return Ok(DATA_DIR.into()) };
    match data_dir.get_ref() {
        DeValue::String(path) => Ok(PathBuf::from(&**path)),
        _ => Err(wrong(line_at(text.as_bytes(), data_dir.span().start), "routing.data_dir is not a string")),
    }
}

/// Returns the line, counted from 1.
fn line_at(text: &[u8], offset: usize) -> usize {
    1 + text.iter().take(offset).filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_dir_of(text: &str) -> Result<PathBuf> {
        data_dir(Path::new("luat.toml"), text.into())
    }

    #[test]
    fn only_routing_data_dir_counts() {
        for text in ["", "[routing]\n", "data_dir = 'x'\n", "[other]\ndata_dir = 3\n[routing]\nrest = 1"] {
            assert_eq!(data_dir_of(text).unwrap(), Path::new(DATA_DIR), "{text:?}");
        }
        for text in ["[routing]\ndata_dir = 'x'", "routing.data_dir = \"x\"", "routing = { data_dir = 'x' }"] {
            assert_eq!(data_dir_of(text).unwrap(), Path::new("x"), "{text:?}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_file_and_line() {
        for (text, line) in [
            ("a = 1\n[routing\n", 2),
            ("\n\n[routing]\ndata_dir = 3", 4),
            ("routing = 1", 1),
            ("a = 1\nb = 2\na = 3\n", 3),
            ("\na = 4_c", 2),
        ] {
            let why = data_dir_of(text).unwrap_err();
            assert!(why.message().starts_with(&format!("luat.toml:{line}: ")), "{text:?}: {why}");
        }
    }
}
