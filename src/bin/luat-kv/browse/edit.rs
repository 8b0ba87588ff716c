//! Editing a value in the user's editor, on a private temporary file.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;

use luat_kv::Entry;
use tempfile::{NamedTempFile, TempDir};

use super::store::{Facts, Name};

/// A value that is being edited. Its file is removed with it, unless it is kept.
pub struct Draft {
    pub name: Name,
    /// What the entry was when it was read.
    pub facts: Facts,
    pub text: Arc<[u8]>,
    original: Vec<u8>,
    folder: Option<TempDir>,
}

impl Draft {
    pub fn new(name: Name, entry: Entry) -> Self {
        let facts = Facts::of(&entry);
        let original = entry.into_value();
        Draft { name, facts, text: original.as_slice().into(), original, folder: None }
    }

    /// Whether the text is not what the store holds.
    pub fn is_changed(&self) -> bool {
        *self.text != *self.original
    }

    /// Makes the entry that another writer has stored or removed the one whose place the text takes.
    pub fn take_over(&mut self, found: &Facts, now: i64) {
        self.facts = match found.version {
            Some(_) => found.clone(),
            None => {
                let expiration = self.facts.expiration.filter(|end| *end > now);
                Facts { version: None, expiration, metadata: self.facts.metadata.clone() }
            }
        };
    }

    /// Runs the editor. `started` gets to know the process. An error says why there is no new text.
    pub fn edit(&mut self, started: impl FnOnce(&Child)) -> Result<(), String> {
        let file = self.file().map_err(|why| format!("a temporary file: {why}"))?;
        let editor = editor();
        let shown = editor.to_string_lossy().into_owned();
        // The name is last, since a long one is cut off on the screen.
        let not_found = || format!("the editor was not found: set VISUAL or EDITOR (tried: {shown})");
        let mut child = command(&editor, &file).spawn().map_err(|why| match why.kind() {
            io::ErrorKind::NotFound => not_found(),
            _ => format!("the editor {shown}: {why}"),
        })?;
        started(&child);
        let status = child.wait().map_err(|why| format!("the editor {shown}: {why}"))?;
        let text = fs::read(&file).map_err(|why| format!("reading what was edited: {why}"));
        let text = text.map(|text| self.as_before(text));
        let failure = format!("the editor {shown} failed ({status})");
        match status.code() {
            // The shell's status for a command that it does not find; but an editor has been there if the text is another.
            Some(127) if cfg!(unix) && text.as_ref().is_ok_and(|text| *text == *self.text) => return Err(not_found()),
            Some(127) if cfg!(unix) => {}
            // With a status of its own an editor says that the text is not wanted, as vi does after :cq. A signal says
            // nothing of the text; a shell adds its number to 128.
            Some(1..=128) => return Err(failure),
            _ => {}
        }
        self.text = text?.into();
        if status.success() { Ok(()) } else { Err(failure) }
    }

    /// Many editors end each file with a line break, which is CR LF if those before it are. A value that had none gets
    /// none.
    fn as_before(&self, mut text: Vec<u8>) -> Vec<u8> {
        if text.ends_with(b"\n") && !self.original.ends_with(b"\n") {
            text.pop();
            if text.ends_with(b"\r") && !self.original.ends_with(b"\r") {
                text.pop();
            }
        }
        text
    }

    /// Writes the text to the file of the draft, in a folder that only its owner can enter: an editor may put copies
    /// beside the file.
    fn file(&mut self) -> io::Result<PathBuf> {
        let folder = match &self.folder {
            // It may have been removed, as old files are.
            Some(folder) if folder.path().exists() => folder,
            _ => self.folder.insert(private_folder()?),
        };
        let is_json = matches!(self.original.iter().find(|byte| !byte.is_ascii_whitespace()), Some(b'{' | b'['));
        let path = folder.path().join(if is_json { "value.json" } else { "value.txt" });
        // Where there is no room for it, what an editor has saved there stays.
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(&self.text)?;
        file.persist(&path)?;
        Ok(path)
    }

    /// Leaves the text in a file, and returns its path.
    pub fn keep(&mut self) -> io::Result<PathBuf> {
        let path = self.file()?;
        self.folder.take().map(TempDir::keep);
        Ok(path)
    }

    /// Leaves what an editor that has failed has put beside the file, and returns the folder. If a signal ends them, vi,
    /// nano and Emacs save there what was typed.
    pub fn keep_copies(&mut self) -> Option<PathBuf> {
        // One is the value.
        fs::read_dir(self.folder.as_ref()?.path()).ok()?.nth(1)?.ok()?;
        self.folder.take().map(TempDir::keep)
    }
}

/// A text that was not stored outlives a bug.
impl Drop for Draft {
    fn drop(&mut self) {
        if std::thread::panicking() && self.is_changed() {
            self.folder.take().map(TempDir::keep);
        }
    }
}

fn private_folder() -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("luat-kv-");
    #[cfg(unix)]
    builder.permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o700));
    builder.tempdir()
}

fn editor() -> OsString {
    let named = ["VISUAL", "EDITOR"].into_iter().filter_map(std::env::var_os).find(|editor| !editor.is_empty());
    named.unwrap_or_else(|| if cfg!(windows) { "notepad" } else { "vi" }.into())
}

/// The editor may be a command with arguments, as for git and crontab.
#[cfg(unix)]
fn command(editor: &OsString, file: &PathBuf) -> Command {
    let is_plain = !editor.to_string_lossy().contains(|c| "|&;<>()$`\\\"'*?[#~=%{}\n".contains(c));
    // The shell makes room for the editor, which then gets the signals.
    let mut line = OsString::from(if is_plain { "exec " } else { "" });
    line.push(editor);
    line.push(" \"$@\"");
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).arg(editor).arg(file);
    command
}

#[cfg(not(unix))]
fn command(editor: &OsString, file: &PathBuf) -> Command {
    let mut command = Command::new(editor);
    command.arg(file);
    command
}
