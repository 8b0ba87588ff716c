//! Commands on single keys and lists of them.

use std::path::Path;

use luat_kv::{KeyInfo, ListOptions, Namespace, PutOptions};
use serde_json::Value;

use crate::args;
use crate::fail::Fail;
use crate::input;
use crate::output::{Output, Record, Style, Table};
use crate::place::{Access, Place};
use crate::text::{DASH, quoted, show};

pub fn get(place: &Place, args: &args::Get, out: &mut Output) -> Result<(), Fail> {
    let namespace = place.namespace(Access::Read)?;
    let Some(entry) = namespace.get_entry(&args.key)? else {
        return Err(Fail::No(format!("no key {} in namespace {}", quoted(&args.key), quoted(namespace.name()))));
    };
    let len = entry.value.len();
    let value = if args.metadata && out.style == Style::Json { None } else { Some(entry.value) };
    let (name, metadata, expiration) = (args.key.clone(), entry.metadata, entry.expiration);
    let info = KeyInfo { name, metadata, expiration, version: entry.version, value };
    match (out.style, args.metadata) {
        (Style::Json, _) => out.json(&Record::of(&info)?)?,
        (_, true) => {
            let mut facts = vec![("bytes", Value::from(len))];
            facts.extend(info.expiration.map(|_| ("expires", out.expiration(info.expiration).into())));
            facts.extend(info.metadata.map(|json| ("metadata", json.into())));
            facts.push(("version", info.version.to_string().into()));
            out.facts(&facts)?;
        }
        (style, false) => {
            let value = info.value.unwrap_or_default();
            out.raw(&value)?;
            if style == Style::Terminal && !value.ends_with(b"\n") {
                out.raw(b"\n")?;
            }
        }
    }
    Ok(())
}

pub fn put(place: &Place, args: &args::Put, out: &mut Output) -> Result<(), Fail> {
    // Before the store is opened: what cannot be read makes no file.
    let value = match (&args.value, &args.file) {
        (Some(value), _) if value != DASH => value.as_encoded_bytes().to_vec(),
        (_, file) => input::value(file.as_deref().unwrap_or(Path::new(DASH)))?,
    };
    let (expiration, expiration_ttl, metadata) = (args.expiration, args.ttl, args.metadata.as_deref());
    let options = PutOptions { expiration, expiration_ttl, metadata };
    let namespace = place.namespace(Access::Create)?;
    let stored = if args.if_missing {
        namespace.add(&args.key, &value, &options)?
    } else {
        namespace.put(&args.key, &value, &options)?;
        true
    };
    if out.style == Style::Json {
        out.facts(&[("stored", stored.into())])?;
    }
    match stored {
        true => Ok(()),
        false => Err(Fail::No(format!("there is a key {} already; it stays as it is", quoted(&args.key)))),
    }
}

pub fn delete(place: &Place, keys: &[String], out: &mut Output) -> Result<(), Fail> {
    delete_all(&place.namespace(Access::Change)?, keys, out)
}

/// All of them or none.
pub fn delete_all(namespace: &Namespace, keys: &[String], out: &mut Output) -> Result<(), Fail> {
    let mut batch = namespace.store().batch();
    for key in keys {
        batch.delete(namespace, key)?;
    }
    batch.commit()?;
    if out.style == Style::Json {
        out.facts(&[("keys", keys.len().into())])?;
    }
    Ok(())
}

pub fn list(place: &Place, args: &args::List, out: &mut Output) -> Result<(), Fail> {
    /// Keys in a page: what every set of limits allows, and little enough to be seen at once.
    const PAGE: u64 = 1000;
    let namespace = place.namespace(Access::Read)?;
    let long = args.long || out.style == Style::Terminal;
    let head = columns(long, args.values);
    let mut table = Table::new(&head);
    let (mut cursor, mut left) = (None, args.limit.unwrap_or(u64::MAX));
    while left > 0 {
        let page = namespace.list(&ListOptions {
            prefix: &args.prefix,
            start: &args.start,
            stop: args.stop.as_deref(),
            limit: Some(left.min(PAGE)),
            cursor: cursor.as_deref(),
            reverse: args.reverse,
            values: args.values,
        })?;
        left -= page.keys.len() as u64;
        print_page(&page.keys, long, &mut table, out)?;
        // Who reads along sees each page as it comes.
        out.flush()?;
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(())
}

pub fn columns(long: bool, values: bool) -> Vec<&'static str> {
    let mut head = vec!["KEY"];
    if long {
        head.extend(["EXPIRES", "METADATA"]);
    }
    if values {
        head.push("VALUE");
    }
    head
}

/// Keys, as [`columns`] says; with their values where they were asked for.
pub fn print_page(keys: &[KeyInfo], long: bool, table: &mut Table<'_>, out: &mut Output) -> Result<(), Fail> {
    if out.style == Style::Json {
        return keys.iter().try_for_each(|info| Ok(out.json(&Record::of(info)?)?));
    }
    let mut rows = Vec::with_capacity(keys.len());
    for info in keys {
        let mut row = vec![show(info.name.as_bytes()).into_owned()];
        if long {
            let metadata = info.metadata.as_deref().unwrap_or_default();
            row.extend([out.expiration(info.expiration), show(metadata.as_bytes()).into_owned()]);
        }
        row.extend(info.value.as_deref().map(|value| show(value).into_owned()));
        rows.push(row);
    }
    Ok(table.page(&rows, out)?)
}

pub fn count(place: &Place, prefix: &str, out: &mut Output) -> Result<(), Fail> {
    let count = place.namespace(Access::Read)?.count(prefix)?;
    match out.style {
        Style::Json => out.facts(&[("count", count.into())])?,
        _ => out.line(&count.to_string())?,
    }
    Ok(())
}
