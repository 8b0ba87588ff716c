//! Where a Luat project keeps its data.
//!
//! The nearest folder upwards that has a `luat.toml` is the project's root; without one the starting folder is. The
//! data folder is `[routing] data_dir` in that file, relative to the root, else `.luat/data`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::error::{Code, Error, Result};

const CONFIG: &str = "luat.toml";
const DATA_DIR: &str = ".luat/data";
const DATABASE: &str = "kv.db";

/// The path of the database of the project that `dir`, or the working directory, lies in.
pub(crate) fn database(dir: Option<&Path>) -> Result<PathBuf> {
    let dir = dir.unwrap_or(Path::new("."));
    // With links and `..` resolved: the folder above `a/..` is not `a`.
    let start =
        fs::canonicalize(dir).map_err(|why| Error::new(Code::Io, format!("the folder {}: {why}", dir.display())))?;
    for root in start.ancestors() {
        let config = root.join(CONFIG);
        match read(&config) {
            Ok(text) => return Ok(root.join(data_dir(&config, text)?).join(DATABASE)),
            Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(why) => return Err(Error::new(Code::Io, format!("{}: {why}", config.display()))),
        }
    }
    Ok(start.join(DATA_DIR).join(DATABASE))
}

/// A file, and nothing that could keep its reader waiting, such as a pipe.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    match fs::metadata(path)?.is_file() {
        true => fs::read(path),
        false => Err(std::io::Error::other("it is not a regular file")),
    }
}

/// `[routing] data_dir`. Whatever else the file holds is none of ours.
fn data_dir(config: &Path, text: Vec<u8>) -> Result<PathBuf> {
    let wrong = |line: usize, why: &str| Error::invalid(format!("{}:{line}: {why}", config.display()));
    let text = String::from_utf8(text).map_err(|why| {
        let valid = why.utf8_error().valid_up_to();
        wrong(line_at(why.as_bytes(), valid), "not UTF-8 text")
    })?;
    let document = DeTable::parse(&text)
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

/// Lines are counted from 1.
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
        ] {
            let why = data_dir_of(text).unwrap_err();
            assert!(why.message().starts_with(&format!("luat.toml:{line}: ")), "{text:?}: {why}");
        }
    }
}
