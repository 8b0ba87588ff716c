//! Copies a whole store into another one, which may be of another kind.
//!
//! The keys are copied in their order, a page at a time. After each page the position is stored in the target, in a
//! namespace of its own, so that a run after an interrupted one goes on there. Pages may be copied twice, which changes
//! nothing. At the end all keys are compared.

use std::ffi::OsStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use indicatif::ProgressBar;
use luat_kv::{Entry, Imported, ListOptions, Namespace, Scan, Store};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::fail::{Fail, told};
use crate::output::Output;
use crate::place::{Access, Place};
use crate::progress;
use crate::text::quoted;

/// Where the position is, under the path or the URL of the source. It is no part of what a store contains.
const POSITIONS: &str = "luat-kv migrate";

/// What has been copied.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Position {
    replace: bool,
    /// The last namespace that was begun. Those before it are complete.
    namespace: String,
    is_complete: bool,
    /// Where it goes on in that namespace. `None`: at its beginning.
    cursor: Option<String>,
    copied: u64,
    kept: u64,
}

pub fn migrate(
    place: &Place,
    from: Option<&OsStr>,
    to: &OsStr,
    if_missing: bool,
    out: &mut Output,
) -> Result<(), Fail> {
    let source = match from {
        Some(_) if place.is_named() => return Err(Fail::Usage("--from and --db both name the source".into())),
        Some(url) => place.open_at(url, Access::Read)?,
        None => place.open(Access::Read)?,
    };
    let target = place.open_at(to, Access::Create)?;
    let positions = Positions::of(&source, &target)?;
    let mut position = positions.read(!if_missing)?;
    let all =
        || -> Result<u64, Fail> { Ok(own(&source.stats()?.namespaces, |one| &one.name).map(|one| one.live).sum()) };
    let namespaces = own(&source.namespaces()?, |name| name).cloned().collect::<Vec<_>>();
    progress::during(progress::entries("copying", all)?, |bar| {
        namespaces.iter().try_for_each(|name| copy(&source, &target, name, &mut position, &positions, bar))
    })
    .map_err(|fail| fail.followed_by("; the same command goes on from there"))?;
    let (found, missing) =
        progress::during(progress::entries("comparing", all)?, |bar| compare(&source, &target, &namespaces, bar))?;
    // After a difference, the next run begins anew.
    positions.remove()?;
    if let Some(missing) = missing {
        return Err(Fail::Failed(missing));
    }
    out.facts(&[
        ("namespaces", namespaces.len().into()),
        ("copied", position.copied.into()),
        ("kept", position.kept.into()),
        ("compared", found.into()),
    ])?;
    Ok(())
}

/// Without the namespace of the positions, which the source has if a migration to it was interrupted.
fn own<T>(all: &[T], name: impl Fn(&T) -> &String) -> impl Iterator<Item = &T> {
    all.iter().filter(move |one| name(one) != POSITIONS)
}

/// The position of a migration, in the target.
struct Positions {
    namespace: Namespace,
    key: String,
}

impl Positions {
    /// Fails if both stores are the same, which paths and URLs do not tell: then the source has what is put into the
    /// target.
    fn of(source: &Store, target: &Store) -> Result<Positions, Fail> {
        let positions = Positions { namespace: target.namespace(POSITIONS)?, key: source.label().to_owned() };
        let old = positions.namespace.get(&positions.key)?.unwrap_or_default();
        let version = positions.namespace.put(&positions.key, old)?;
        let found = source.namespace(POSITIONS)?.get_entry(&positions.key)?;
        if found.is_some_and(|found| found.version == version) {
            positions.remove()?;
            return Err(Fail::Usage(format!("{} is the same store as {}", target.label(), source.label())));
        }
        Ok(positions)
    }

    /// Returns where the last run ended. A run with another option begins anew.
    fn read(&self, replace: bool) -> Result<Position, Fail> {
        let text = self.namespace.get(&self.key)?.unwrap_or_default();
        let found = serde_json::from_slice::<Position>(&text).ok().filter(|found| found.replace == replace);
        Ok(found.unwrap_or(Position { replace, ..Position::default() }))
    }

    fn write(&self, position: &Position) -> Result<(), Fail> {
        let text = serde_json::to_vec(position).map_err(|why| Fail::Failed(why.to_string()))?;
        self.namespace.put(&self.key, text)?;
        Ok(())
    }

    fn remove(&self) -> Result<(), Fail> {
        self.namespace.delete(&self.key)?;
        Ok(())
    }
}

/// Copies a namespace, or what is left of it. The namespaces are copied in their order.
fn copy(
    source: &Store,
    target: &Store,
    name: &str,
    position: &mut Position,
    positions: &Positions,
    bar: &ProgressBar,
) -> Result<(), Fail> {
    if (name, false) < (&position.namespace, position.is_complete) {
        return Ok(());
    }
    let (from, to) = (source.namespace(name)?, target.namespace(name)?);
    if position.namespace != name {
        (position.namespace, position.cursor, position.is_complete) = (name.to_owned(), None, false);
    }
    while !position.is_complete {
        bar.set_position(position.copied + position.kept);
        let page = from.list(&ListOptions::new().values(true).cursor(position.cursor.as_deref()))?;
        let Imported { stored, skipped, .. } = import(&to, &page.entries, position.replace)?;
        position.copied += stored;
        position.kept += skipped;
        (position.is_complete, position.cursor) = (page.cursor.is_none(), page.cursor);
        positions.write(position)?;
    }
    Ok(())
}

/// An entry as an import reads it.
#[derive(Serialize)]
struct Line<'a> {
    key: &'a str,
    value: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    base64: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
}

/// Stores a page in one transaction. An import skips what expires meanwhile.
fn import(to: &Namespace, entries: &[Entry], replace: bool) -> Result<Imported, Fail> {
    let mut lines = Vec::new();
    for entry in entries {
        let named = |why: serde_json::Error| {
            let (key, namespace) = (quoted(&entry.key), quoted(to.name()));
            Fail::Failed(format!("the metadata of {key} in namespace {namespace} is not JSON: {why}"))
        };
        let metadata = entry.metadata.as_deref().map(serde_json::from_str).transpose().map_err(named)?;
        let text = std::str::from_utf8(entry.value());
        let encoded = text.is_err().then(|| BASE64.encode(entry.value()));
        let value = encoded.as_deref().unwrap_or_else(|| text.unwrap_or_default());
        let line = Line { key: &entry.key, value, base64: encoded.is_some(), expiration: entry.expiration, metadata };
        serde_json::to_writer(&mut lines, &line).map_err(named)?;
        lines.push(b'\n');
    }
    if lines.is_empty() {
        return Ok(Imported::default());
    }
    to.import(&mut &*lines, replace).map_err(|error| {
        let (at, message) = with_key(&told(&error), entries);
        Fail::Failed(format!("namespace {}{at}: {message}", quoted(to.name())))
    })
}

/// Names the key in place of the line, which is not one of a file that the user knows.
fn with_key(message: &str, entries: &[Entry]) -> (String, String) {
    let number = message.strip_prefix("line ").and_then(|rest| rest.split_once(|after: char| !after.is_ascii_digit()));
    let line = number.and_then(|(number, _)| number.parse::<usize>().ok());
    let Some(entry) = line.and_then(|line| entries.get(line.checked_sub(1)?)) else {
        return (String::new(), message.to_owned());
    };
    let why = message.split_once(": ").map_or(message, |(_, why)| why);
    (format!(", key {}", quoted(&entry.key)), why.to_owned())
}

/// Looks for each key of the source in the target. Returns how many there are, and what to say if some are missing.
fn compare(
    source: &Store,
    target: &Store,
    namespaces: &[String],
    bar: &ProgressBar,
) -> Result<(u64, Option<String>), Fail> {
    let (mut found, mut missing, mut first) = (0, 0_u64, None);
    for name in namespaces {
        let (from, to) = (source.namespace(name)?, target.namespace(name)?);
        let mut others = to.scan(&ListOptions::new());
        let mut other = next(&mut others)?;
        for entry in from.scan(&ListOptions::new()) {
            let key = entry?.key;
            while other.as_ref().is_some_and(|other| *other < key) {
                other = next(&mut others)?;
            }
            // It may have expired since it was listed.
            if other.as_ref() != Some(&key) && from.has(&key)? && !to.has(&key)? {
                missing += 1;
                first.get_or_insert_with(|| format!("{} in namespace {}", quoted(&key), quoted(name)));
                continue;
            }
            found += 1;
            bar.set_position(found);
        }
    }
    let message = first.map(|first| {
        format!(
            "{missing} keys of the source are not in the target, the first of them {first}: something else writes to one \
             of the stores, or their clocks differ; run it again when nothing does"
        )
    });
    Ok((found, message))
}

fn next(keys: &mut Scan<'_>) -> Result<Option<String>, Fail> {
    Ok(keys.next().transpose()?.map(|entry| entry.key))
}
