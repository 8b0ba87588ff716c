//! Commands on the store as a whole.

use std::fs;
use std::path::Path;

use indicatif::HumanBytes;
use luat_kv::{NamespaceStats, Stats};
use serde::Serialize;

use crate::fail::Fail;
use crate::output::{Output, Style, Table};
use crate::place::{Access, Place};
use crate::progress;
use crate::signals;
use crate::text::show;

pub fn backup(place: &Place, file: &Path, out: &mut Output) -> Result<(), Fail> {
    let store = place.open(Access::Read)?;
    signals::remove_drafts_at_the_end();
    progress::during(progress::spinner("backing up"), |_| store.backup(file))?;
    let len = fs::metadata(file).map_err(|why| Fail::at(file, why))?.len();
    out.facts(&[("path", file.display().to_string().into()), ("bytes", len.into())])?;
    Ok(())
}

pub fn namespaces(place: &Place, out: &mut Output) -> Result<(), Fail> {
    for name in place.open(Access::Read)?.namespaces()? {
        match out.style {
            Style::Json => out.facts(&[("name", name.into())])?,
            _ => out.line(&show(name.as_bytes()))?,
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Whole<'a> {
    path: String,
    bytes: u64,
    namespaces: Vec<Counts<'a>>,
}

#[derive(Serialize)]
struct Counts<'a> {
    name: &'a str,
    live: u64,
    expired: u64,
}

impl<'a> Counts<'a> {
    fn of(stats: &'a NamespaceStats) -> Self {
        Counts { name: &stats.name, live: stats.live, expired: stats.expired }
    }
}

pub fn stats(place: &Place, out: &mut Output) -> Result<(), Fail> {
    let Stats { path, file_size, namespaces, .. } = place.open(Access::Read)?.stats()?;
    let counts =
        |of: &NamespaceStats| [show(of.name.as_bytes()).into_owned(), of.live.to_string(), of.expired.to_string()];
    match out.style {
        Style::Json => {
            let namespaces = namespaces.iter().map(Counts::of).collect();
            out.json(&Whole { path, bytes: file_size, namespaces })?;
        }
        Style::Plain => {
            out.facts(&[("path", path.into()), ("bytes", file_size.into())])?;
            for of in &namespaces {
                out.line(&format!("namespace\t{}", counts(of).join("\t")))?;
            }
        }
        Style::Terminal => {
            out.facts(&[("path", path.into()), ("size", HumanBytes(file_size).to_string().into())])?;
            let rows: Vec<_> = namespaces.iter().map(|of| counts(of).to_vec()).collect();
            if !rows.is_empty() {
                out.line("")?;
                Table::new(&["NAMESPACE", "KEYS", "EXPIRED"]).page(&rows, out)?;
            }
        }
    }
    Ok(())
}

pub fn sweep(place: &Place, max: Option<u64>, out: &mut Output) -> Result<(), Fail> {
    /// The bar is updated between steps.
    const STEP: u64 = 10_000;
    let store = place.open(Access::Change)?;
    let removed = progress::during(progress::counter("sweeping"), |bar| -> Result<u64, Fail> {
        let mut left = max.unwrap_or(u64::MAX);
        while left > 0 {
            let step = left.min(STEP);
            let removed = store.sweep(Some(step))?;
            bar.inc(removed);
            left -= removed;
            if removed < step {
                break;
            }
        }
        Ok(bar.position())
    })?;
    out.facts(&[("removed", removed.into())])?;
    Ok(())
}

pub fn compact(place: &Place, out: &mut Output) -> Result<(), Fail> {
    let store = place.open(Access::Change)?;
    let (before, after) = progress::during(progress::spinner("compacting"), |_| -> Result<(u64, u64), Fail> {
        let before = store.stats()?.file_size;
        store.compact()?;
        Ok((before, store.stats()?.file_size))
    })?;
    out.facts(&[("before", before.into()), ("after", after.into())])?;
    Ok(())
}
