//! Finds where a Luat project keeps its data.
//!
//! `LUAT_KV_DB` in the environment contains the URL or the path of the store. Without it, the project's root is the
//! nearest folder upwards that has a `luat.toml`, or else the starting folder. `[kv] url` in that file is the URL or the
//! path of the store. Without it, the store is the file `kv.db` in the data folder, `[routing] data_dir` in that file, or
//! else `.luat/data`. All paths are relative to the root. The search may find files of other users: see [`trust`].
//! Neither they nor a URL in one of them is used, which could also send what a program stores to a stranger's server.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use self::trust::Trust;
use crate::backend::sqlite::Stage;
use crate::error::{Code, Error, Result, quoted};
use crate::url::Url;

#[cfg_attr(not(unix), path = "luat_project/trust_none.rs")]
mod trust;

/// The environment variable that names the database.
const VARIABLE: &str = "LUAT_KV_DB";
const CONFIG: &str = "luat.toml";
const DATA_DIR: &str = ".luat/data";
const DATABASE: &str = "kv.db";

/// The maximum size of a luat.toml.
const LONGEST: u64 = 64 * 1024;

/// The store of a project.
pub(crate) enum Location {
    File(Place),
    /// Not a file, so nothing has to be checked.
    Other(Url),
}

/// The database file of a project.
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

/// Returns the store of the project that contains `dir`, or the working directory.
pub(crate) fn store(dir: Option<&Path>) -> Result<Location> {
    if let Some(url) = std::env::var_os(VARIABLE).filter(|url| !url.is_empty()) {
        return Ok(match Url::of(&url).map_err(|error| error.while_doing(VARIABLE))? {
            Url::File(path) => Location::File(Place { path, trust: None }),
            url => Location::Other(url),
        });
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
                return Ok(match configured(&config, text)? {
                    Url::File(path) => {
                        Location::File(Place { path: root.join(path), trust: Some((trust, root.to_owned())) })
                    }
                    url => Location::Other(url),
                });
            }
            Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(why) => {
                // Trusting its folder would not make it readable.
                let cure = format!(
                    "to use a store without reading this file, set {VARIABLE} to the path of its database, or to its URL"
                );
                return Err(Error::new(Code::Io, format!("{}: {why}; {cure}", config.display())));
            }
        }
    }
    Ok(Location::File(Place { path: start.join(DATA_DIR).join(DATABASE), trust: Some((trust, start)) }))
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

/// Returns the store that a luat.toml names: `[kv] url`, or a file in `[routing] data_dir`. A path is relative to the
/// project's root. `[kv]` has no other key; a mistyped one would give each machine a file of its own. Everything else in
/// the file is ignored. `data_dir` is also for other files of Luat, so it may stand beside a URL.
pub(crate) fn configured(config: &Path, text: Vec<u8>) -> Result<Url> {
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
    let string = |table, key| {
        string(document.get_ref(), table, key).map_err(|(at, why)| wrong(line_at(text.as_bytes(), at), &why))
    };
    let kv = document.get_ref().get("kv").and_then(|kv| kv.get_ref().as_table());
    if let Some(unknown) = kv.and_then(|kv| kv.keys().find(|key| key.get_ref() != "url")) {
        let why = format!("kv.{} is unknown; the key of [kv] is url", quoted(unknown.get_ref()));
        return Err(wrong(line_at(text.as_bytes(), unknown.span().start), &why));
    }
    let data_dir = string("routing", "data_dir")?.map_or(DATA_DIR, |(path, _)| path);
    match string("kv", "url")? {
        None => Ok(Url::File(Path::new(data_dir).join(DATABASE))),
        Some(("", at)) => Err(wrong(line_at(text.as_bytes(), at), "kv.url is empty")),
        Some((url, at)) => Url::parse(url).map_err(|error| {
            error.while_doing(format_args!("{}:{}: kv.url", config.display(), line_at(text.as_bytes(), at)))
        }),
    }
}

/// Returns a string of a table, and where it begins. The error says where something else was found.
fn string<'a>(document: &'a DeTable<'_>, table: &str, key: &str) -> Result<Option<(&'a str, usize)>, (usize, String)> {
    let Some(found) = document.get(table) else { return Ok(None) };
    let DeValue::Table(entries) = found.get_ref() else {
        return Err((found.span().start, format!("{table} is not a table")));
    };
    match entries.get(key).map(|value| (value.get_ref(), value.span().start)) {
        None => Ok(None),
        Some((DeValue::String(text), at)) => Ok(Some((text, at))),
        Some((_, at)) => Err((at, format!("{table}.{key} is not a string"))),
    }
}

/// Returns the line, counted from 1.
fn line_at(text: &[u8], offset: usize) -> usize {
    1 + text.iter().take(offset).filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured_by(text: &str) -> Result<Url> {
        configured(Path::new("luat.toml"), text.into())
    }

    #[test]
    fn only_the_url_and_the_data_folder_count() {
        for text in ["", "[routing]\n", "data_dir = 'x'\n", "[other]\ndata_dir = 3\n[routing]\nrest = 1", "[kv]"] {
            assert_eq!(configured_by(text).unwrap(), Url::File(".luat/data/kv.db".into()), "{text:?}");
        }
        for text in ["[routing]\ndata_dir = 'x'", "routing.data_dir = \"x\"", "routing = { data_dir = 'x' }"] {
            assert_eq!(configured_by(text).unwrap(), Url::File("x/kv.db".into()), "{text:?}");
        }
        for (url, expected) in [
            ("file:data/kv%201.db", Url::File("data/kv 1.db".into())),
            ("data/kv.db", Url::File("data/kv.db".into())),
            ("memory:", Url::Memory),
            ("postgres://db/site", Url::Postgres("postgresql://db/site".into())),
        ] {
            let text = format!("[kv]\nurl = '{url}'\n[routing]\ndata_dir = 'x'");
            assert_eq!(configured_by(&text).unwrap(), expected, "{text:?}");
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
            ("kv = 1", 1),
            ("[kv]\nurl = 1", 2),
            ("[kv]\n\nurl = ''", 3),
            ("[kv]\n\nulr = 'postgresql://user:secret@host/database'", 3),
            ("[kv]\nurl = 'kv.db'\npath = 'x.db'", 3),
            ("kv.url = 'mysql://user:secret@host/database'", 1),
            ("[kv]\nurl = 'postgresql://user:sec/ret@host/database'", 2),
            ("[kv]\nurl = 'postgresql://user:secret@host/database", 2),
        ] {
            let why = configured_by(text).unwrap_err();
            assert!(why.message().starts_with(&format!("luat.toml:{line}: ")), "{text:?}: {why}");
            assert!(!why.message().contains("sec"), "{text:?}: {why}");
        }
    }
}
