//! The command `watch`: prints changes as they happen.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use luat_kv::{Change, ChangeKind, WatchOptions};
use serde::Serialize;

use crate::fail::Fail;
use crate::output::{Output, Record, Style};
use crate::parse::{positive, seconds};
use crate::place::{Access, Place};
use crate::text::show;

/// Print changes as they happen, made by any process
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  luat-kv -n blog watch
  luat-kv -n blog watch post: --values
  luat-kv -n blog watch --existing --json          # to keep a copy
  luat-kv -n blog watch --json --resume seen       # goes on from the last time
  luat-kv -n jobs watch --max 1 --timeout 60 && run-the-jobs
  luat-kv -n blog watch --json | while read -r change; do ./refresh; done

A line for each key that has changed: `put`, `delete` or `expire`, and the key,
with tabs between them; with --values, after a put, the value. Control characters are
shown as by `list`. Changes that follow each other quickly may be told as one, the
last. An expiry is told with the next change, or when the row is removed.

It ends when it has printed --max lines or its output is closed, or after --timeout
seconds without a change, with status 1 if there was none at all. Otherwise it goes on
until it is stopped.

With --resume, a file contains what it has told of. The next time it goes on from
there, however long it was stopped, and tells what has changed meanwhile. If it is
killed, the last changes may be told again. What it has printed counts as told, also if
a program that reads its output ends before it has read that. Each watch needs a file of its own: one of
other keys would forget what the file contains of these.

With --json, one line each: {\"type\":\"put\",\"key\":\"post:1\",\"version\":\"…\"} with the
fields of `get`, the value only with --values; {\"type\":\"delete\",\"key\":\"post:1\"},
with \"expired\":true after an expiry")]
pub struct Watch {
    /// Only keys that begin with this
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// The same, as in `list`
    #[arg(long = "prefix", value_name = "PREFIX", conflicts_with_all = ["prefix", "key"])]
    named_prefix: Option<String>,
    /// Only this key; may be repeated
    #[arg(short, long, value_name = "KEY", conflicts_with = "prefix")]
    key: Vec<String>,
    /// Begin with the keys that are there
    #[arg(short, long)]
    existing: bool,
    /// Go on from the token in this file, and keep it up to date; without the file, begin now
    #[arg(short, long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Go on from this token, which another program has got from a watch
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["resume", "existing"])]
    since: Option<String>,
    /// With the new values
    #[arg(long)]
    values: bool,
    /// Stop after this many changes
    #[arg(long, value_name = "COUNT", value_parser = positive)]
    max: Option<u64>,
    /// Stop after this time without a change
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
}

/// How often it looks whether somebody still reads its output.
const LOOK: Duration = Duration::from_millis(500);

pub fn watch(place: &Place, args: &Watch, out: &mut Output) -> Result<(), Fail> {
    let keys: Vec<&str> = args.key.iter().map(String::as_str).collect();
    let file = args.resume.as_deref().map(replaceable).transpose()?;
    let saved = file.as_deref().map_or(Ok(String::new()), saved)?;
    let since = args.since.as_deref().unwrap_or(&saved);
    let existing = args.existing && since.is_empty();
    let prefix = args.named_prefix.as_ref().unwrap_or(&args.prefix);
    let options = WatchOptions::new().keys(&keys).prefix(prefix).existing(existing).since(since).values(args.values);
    let watch = place.namespace(Access::Read)?.watch(&options)?;
    let (mut left, mut last, mut has_told) = (args.max.unwrap_or(u64::MAX), Instant::now(), false);
    let save = |handled| file.as_deref().map_or(Ok(()), |path| save(path, &watch.token(handled)?));
    save(0)?;
    loop {
        let time = args.timeout.map_or(LOOK, |timeout| timeout.saturating_sub(last.elapsed()).min(LOOK));
        let changes = watch.next(time)?;
        if changes.is_empty() {
            if is_unread() {
                return Err(Fail::Closed);
            }
            match args.timeout {
                Some(timeout) if last.elapsed() >= timeout => {
                    if has_told {
                        return Ok(());
                    }
                    return Err(Fail::No(format!("nothing has changed for {} s", timeout.as_secs_f64())));
                }
                _ => continue,
            }
        }
        (last, has_told) = (Instant::now(), true);
        let told = usize::try_from(left).map_or(changes.len(), |left| changes.len().min(left));
        changes[..told].iter().try_for_each(|change| print(change, out))?;
        out.flush()?;
        save(told)?;
        left -= told as u64;
        if left == 0 {
            return Ok(());
        }
    }
}

/// Returns the path of the file itself, since a new one takes its place: a link stays, and a device is refused.
fn replaceable(path: &Path) -> Result<PathBuf, Fail> {
    let found = fs::canonicalize(path).and_then(|file| Ok((fs::metadata(&file)?.is_file(), file)));
    match found {
        Ok((true, file)) => Ok(file),
        Ok((false, _)) => Err(Fail::at(path, io::Error::other("it is no regular file"))),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        Err(why) => Err(Fail::at(path, why)),
    }
}

/// Returns the token in a file; an empty one if there is no file.
fn saved(path: &Path) -> Result<String, Fail> {
    match fs::read_to_string(path) {
        // A file that lost its contents would silently lose changes.
        Ok(text) if text.trim_end().is_empty() => {
            Err(Fail::Usage(format!("{} is empty; remove it to begin now", path.display())))
        }
        Ok(text) => Ok(text.trim_end().to_owned()),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(why) => Err(Fail::at(path, why)),
    }
}

/// Replaces the token in a file. At any time, also after a power cut, the file contains a whole one. It contains keys, so
/// only its owner may read it, as the database.
fn save(path: &Path, token: &str) -> Result<(), Fail> {
    let mut new = path.as_os_str().to_owned();
    // Another process may use the same file, while a supervisor replaces it.
    new.push(format!(".{}.new", std::process::id()));
    let write = || {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        writeln!(file, "{token}")?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|why| Fail::at(path, why))
}

/// Whether nobody reads the output any more.
#[cfg(unix)]
fn is_unread() -> bool {
    let mut output = libc::pollfd { fd: libc::STDOUT_FILENO, events: 0, revents: 0 };
    // SAFETY: it is one descriptor.
    unsafe { libc::poll(&mut output, 1, 0) == 1 && output.revents & (libc::POLLERR | libc::POLLHUP) != 0 }
}

#[cfg(not(unix))]
fn is_unread() -> bool {
    false
}

#[derive(Serialize)]
struct Told<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum What<'a> {
    Put(Record<'a>),
    Removed {
        key: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        expired: bool,
    },
}

fn print(Change { kind, entry, .. }: &Change, out: &mut Output) -> Result<(), Fail> {
    let expired = *kind == ChangeKind::Expire;
    if out.style == Style::Json {
        let told = match kind {
            ChangeKind::Put => Told { r#type: "put", what: What::Put(Record::of(entry)?) },
            _ => Told { r#type: "delete", what: What::Removed { key: &entry.key, expired } },
        };
        return Ok(out.json(&told)?);
    }
    let what = match kind {
        ChangeKind::Put => "put",
        _ if expired => "expire",
        _ => "delete",
    };
    let key = show(entry.key.as_bytes());
    match &entry.value {
        Some(value) => out.line(&format!("{what}\t{key}\t{}", show(value)))?,
        None => out.line(&format!("{what}\t{key}"))?,
    }
    Ok(())
}
