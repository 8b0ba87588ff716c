//! Commands on many entries at once: bulk, export, import.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::str;

use indicatif::ProgressBar;
use luat_kv::{Format, Namespace};
use serde::Deserialize;

use crate::args::Layout;
use crate::entries::{columns, print_page};
use crate::fail::{Fail, say, told};
use crate::input;
use crate::output::{Output, Style, Table};
use crate::place::{Access, Place};
use crate::progress;
use crate::removal::delete_all;
use crate::signals;
use crate::text::{DASH, json_escaped, name, quoted};

pub fn get(place: &Place, keys: &[String], out: &mut Output) -> Result<(), Fail> {
    let namespace = place.namespace(Access::Read)?;
    let asked: Vec<_> = keys.iter().map(String::as_str).collect();
    let found = namespace.get_many(&asked)?;
    let long = out.style == Style::Terminal;
    print_page(&found, long, &mut Table::new(&columns(long, true)), out)?;
    let missing: Vec<_> =
        asked.iter().filter(|key| found.binary_search_by(|entry| entry.key.as_str().cmp(key)).is_err()).collect();
    match *missing {
        [] => Ok(()),
        [key] => Err(Fail::No(format!("no key {} in namespace {}", quoted(key), quoted(namespace.name())))),
        [key, ..] => Err(Fail::No(format!(
            "{} of the keys are not in namespace {}, the first of them {}",
            missing.len(),
            quoted(namespace.name()),
            quoted(key)
        ))),
    }
}

pub fn import(place: &Place, file: &Path, replace: bool, out: &mut Output) -> Result<(), Fail> {
    // The file is opened before the store. So a missing file creates no store; and since the store is closed before the
    // file, even the store's own database may be given here without losing its locks.
    let (from, len) = input::open(file)?;
    let mut from = BufReader::new(from);
    if from.fill_buf().map_err(|why| Fail::at(file, why))?.starts_with(b"SQLite format 3\0") {
        return Err(Fail::Failed(format!("{} is a SQLite database, not an export", name(file))));
    }
    let namespace = place.namespace(Access::Create)?;
    let bar = progress::bytes("importing", len);
    let mut ignored = Ignored::default();
    let imported = progress::during(bar, |bar| {
        namespace.import_with(&mut bar.wrap_read(&mut from), replace, &mut |field| ignored.add(field))
    })
    .map_err(|error| Fail::Failed(format!("importing {}: {}; nothing was stored", name(file), told(&error))))?;
    ignored.tell(file);
    out.facts(&[("stored", imported.stored.into()), ("skipped", imported.skipped.into())])?;
    Ok(())
}

/// The unknown field names of an import, each once.
#[derive(Default)]
struct Ignored {
    names: BTreeSet<String>,
    are_more: bool,
}

impl Ignored {
    fn add(&mut self, field: &str) {
        /// If there are more, the message only says so.
        const MOST: usize = 10;
        if !self.names.contains(field) {
            match self.names.len() < MOST {
                true => drop(self.names.insert(field.to_owned())),
                false => self.are_more = true,
            }
        }
    }

    fn tell(&self, file: &Path) {
        if self.names.is_empty() {
            return;
        }
        let names: Vec<_> = self.names.iter().map(|field| quoted(field)).collect();
        let more = if self.are_more { " and more" } else { "" };
        say(&format!("{}: ignored the unknown fields {}{more}", name(file), names.join(", ")));
    }
}

pub fn export(place: &Place, file: &Path, format: Option<Layout>, out: &mut Output) -> Result<(), Fail> {
    let extension = file.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    let format = match (format, extension.as_deref()) {
        (Some(Layout::Jsonl), _) | (None, Some("jsonl" | "ndjson")) => Format::JsonLines,
        _ => Format::Json,
    };
    let namespace = place.namespace(Access::Read)?;
    if file == Path::new(DASH) {
        let harmless = io::stdout().is_terminal().then(Vec::new);
        let mut bar = ProgressBar::hidden();
        // The bar and the entries would overwrite each other on one terminal.
        if !io::stdout().is_terminal() {
            bar = progress::entries("exporting", || namespace.count(""))?;
        }
        return print(&namespace, format, Lines { to: out.writer(), bar, harmless, failed: None }, Fail::from);
    }
    let failed = |why| Fail::at(file, why);
    if let Some(terminal) = terminal(file).map_err(failed)? {
        let mut terminal = BufWriter::new(terminal);
        let bar = ProgressBar::hidden();
        print(&namespace, format, Lines { to: &mut terminal, bar, harmless: Some(Vec::new()), failed: None }, failed)?;
        return terminal.flush().map_err(failed);
    }
    signals::remove_drafts_at_the_end();
    let bar = progress::entries("exporting", || namespace.count(""))?;
    let write = |bar: &ProgressBar| namespace.export_file_with(file, format, &mut |count| bar.set_position(count));
    let exported = progress::during(bar, write).map_err(|error| Fail::Failed(told(&error)))?;
    out.facts(&[("exported", exported.into())])?;
    Ok(())
}

/// Opens the terminal that a path leads to, such as /dev/stdout or /dev/tty.
#[cfg(unix)]
fn terminal(file: &Path) -> io::Result<Option<File>> {
    use std::fs::{self, OpenOptions};
    use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

    // Other files are not opened: the opening of a pipe would wait for its reader.
    if !fs::metadata(file).is_ok_and(|found| found.file_type().is_char_device()) {
        return Ok(None);
    }
    let opened = OpenOptions::new().write(true).custom_flags(libc::O_NOCTTY).open(file)?;
    Ok(Some(opened).filter(IsTerminal::is_terminal))
}

#[cfg(not(unix))]
fn terminal(_: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

fn print(
    namespace: &Namespace,
    format: Format,
    mut lines: Lines<'_>,
    failed: impl FnOnce(io::Error) -> Fail,
) -> Result<(), Fail> {
    let exported = namespace.export(&mut lines, format);
    lines.bar.finish_and_clear();
    match (exported, lines.failed) {
        (Err(_), Some(why)) => Err(failed(why)),
        (exported, _) => Ok(exported.map(|_| ())?),
    }
}

/// Stdout or a terminal during an export. The library reports an error as text only; its kind is kept here.
struct Lines<'a> {
    to: &'a mut dyn Write,
    bar: ProgressBar,
    /// On a terminal: the first bytes of an incomplete character.
    harmless: Option<Vec<u8>>,
    failed: Option<io::Error>,
}

impl Lines<'_> {
    /// Does not print characters to a terminal that could control it.
    fn print(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(text) = &mut self.harmless else { return self.to.write_all(bytes) };
        text.extend_from_slice(bytes);
        let len = str::from_utf8(text).map_or_else(|cut| cut.valid_up_to(), str::len);
        let whole: Vec<_> = text.drain(..len).collect();
        self.to.write_all(json_escaped(&String::from_utf8_lossy(&whole)).as_bytes())
    }
}

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.print(bytes) {
            Ok(()) => {
                // An entry is one line in both formats; an array has two more lines.
                self.bar.inc(bytes.iter().filter(|byte| **byte == b'\n').count() as u64);
                Ok(bytes.len())
            }
            Err(why) => {
                let kind = why.kind();
                self.failed = Some(why);
                Err(kind.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub fn delete(place: &Place, file: &Path, out: &mut Output) -> Result<(), Fail> {
    let mut text = String::new();
    let named = |why: String| Fail::Failed(format!("{}: {why}; nothing was deleted", name(file)));
    input::open(file)?.0.read_to_string(&mut text).map_err(|why| named(why.to_string()))?;
    let keys = keys(text.trim_start_matches('\u{feff}')).map_err(named)?;
    let namespace = place.namespace(Access::Change)?;
    let bar = progress::entries("removing", || Ok::<_, Fail>(keys.len() as u64))?;
    progress::counting(bar, |count| delete_all(&namespace, &keys, count, out))
}

/// A key in JSON: as in Wrangler's `bulk delete`, or as part of an entry that a list prints.
#[derive(Deserialize)]
#[serde(untagged, expecting = "neither a key, nor an object with one")]
enum Key {
    Plain(String),
    Listed {
        #[serde(alias = "name")]
        key: String,
    },
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        let (Key::Plain(key) | Key::Listed { key }) = key;
        key
    }
}

/// Parses keys: a JSON array, or JSON Lines of objects. Plain lines of keys are refused, since a key may look like JSON
/// or contain a line break, and to remove another key silently would be the worst outcome.
fn keys(text: &str) -> Result<Vec<String>, String> {
    if text.trim_ascii_start().starts_with('[') {
        let keys: Vec<Key> = serde_json::from_str(text).map_err(|why| why.to_string())?;
        return Ok(keys.into_iter().map(String::from).collect());
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    lines.map(|(number, line)| json_key(line).map_err(|why| format!("line {}: {why}", number + 1))).collect()
}

fn json_key(line: &str) -> Result<String, String> {
    if !line.trim_ascii_start().starts_with('{') {
        return Err("keys are given as a JSON array, or as `list --json` prints them".to_owned());
    }
    let key: Result<Key, _> = serde_json::from_str(line);
    // The parser counts lines from this line on, so its position is reduced to the column.
    key.map(String::from).map_err(|why| why.to_string().replace(" at line 1 column", ", at column"))
}

#[cfg(test)]
mod tests {
    use super::keys;

    #[test]
    fn keys_come_in_each_of_their_forms() {
        for text in [
            r#"["a", "b c"]"#,
            r#" [{"name": "a", "expiration": 5}, {"key": "b c"}]"#,
            "{\"key\":\"a\",\"version\":\"x\"}\n{\"key\":\"b c\"}\n",
            "{\"key\":\"a\"}\r\n\r\n{\"key\":\"b c\"}\r\n",
        ] {
            assert_eq!(keys(text).unwrap(), ["a", "b c"], "{text}");
        }
        assert_eq!(keys("").unwrap(), [""; 0]);
        assert_eq!(keys("[]").unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_no_key_is_told_with_its_line() {
        for (text, place) in [
            ("[\"a\",\n7]", "line 2"),
            ("[\"a\"", "line 1"),
            ("{}", "line 1: "),
            ("{\"key\":\"a\"}\n{\"key\":", "line 2: "),
            ("{\"key\":\"a\"}\nb", "line 2: keys are given as"),
            ("\"a\"", "line 1: keys are given as"),
            ("a\nb", "line 1: keys are given as"),
        ] {
            let why = keys(text).unwrap_err();
            assert!(why.contains(place), "{text}: {why}");
        }
    }
}
