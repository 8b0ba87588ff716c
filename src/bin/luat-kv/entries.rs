//! Commands on single keys and lists of them.

use std::path::Path;

use luat_kv::{Code, IncrOptions, KeyInfo, ListOptions, Namespace, PutOptions};
use serde_json::Value;

use crate::args;
use crate::fail::{Fail, told};
use crate::input;
use crate::output::{Output, Record, Style, Table};
use crate::place::{Access, Place};
use crate::text::{DASH, quoted, show, show_lines};

pub fn get(place: &Place, args: &args::Get, out: &mut Output) -> Result<(), Fail> {
    let namespace = place.namespace(Access::Read)?;
    let Some(entry) = namespace.get_entry(&args.key)? else {
        return Err(missing(&args.key, &namespace));
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
            match style == Style::Terminal && !args.raw {
                true => out.raw(show_lines(&value).as_bytes())?,
                false => out.raw(&value)?,
            }
            if style == Style::Terminal && !args.raw && !value.ends_with(b"\n") {
                out.raw(b"\n")?;
            }
        }
    }
    Ok(())
}

pub fn put(place: &Place, args: &args::Put, out: &mut Output) -> Result<(), Fail> {
    // Before the store is opened: what cannot be read makes no file.
    let given = args.value.as_ref().filter(|value| *value != DASH).or(args.literal.as_ref());
    let value = match given {
        Some(value) => value.as_encoded_bytes().to_vec(),
        None => input::value(args.file.as_deref().unwrap_or(Path::new(DASH)))?,
    };
    let args::Expires { ttl: expiration_ttl, expiration } = args.expires;
    let metadata = args.metadata.as_deref();
    let options = PutOptions { expiration, expiration_ttl, metadata };
    let namespace = place.namespace(Access::Create)?;
    let stored = if args.if_missing {
        namespace.add(&args.key, &value, &options)?.is_some()
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

pub fn has(place: &Place, key: &str, out: &mut Output) -> Result<(), Fail> {
    let found = place.namespace(Access::Read)?.has(key)?;
    if out.style == Style::Json {
        out.facts(&[("found", found.into())])?;
    }
    if found { Ok(()) } else { Err(Fail::Silent) }
}

pub fn incr(place: &Place, args: &args::Incr, out: &mut Output) -> Result<(), Fail> {
    let args::Expires { ttl: expiration_ttl, expiration } = args.expires;
    let options = IncrOptions { initial: args.initial, expiration, expiration_ttl };
    let sum = place.namespace(Access::Create)?.incr(&args.key, args.by, &options).map_err(|error| {
        // What the key holds is no part of the command line.
        match error.code() == Code::Invalid && error.message().contains("64 bits") {
            true => Fail::Failed(told(&error)),
            false => error.into(),
        }
    })?;
    match out.style {
        Style::Json => out.facts(&[("value", sum.into())])?,
        _ => out.line(&sum.to_string())?,
    }
    Ok(())
}

pub fn touch(place: &Place, args: &args::Touch, out: &mut Output) -> Result<(), Fail> {
    let args::Expires { ttl, expiration } = args.expires;
    let namespace = place.namespace(Access::Change)?;
    let touched = namespace.touch(&args.key, expiration, ttl)?;
    if out.style == Style::Json {
        out.facts(&[("touched", touched.into())])?;
    }
    if touched { Ok(()) } else { Err(missing(&args.key, &namespace)) }
}

fn missing(key: &str, namespace: &Namespace) -> Fail {
    Fail::No(format!("no key {} in namespace {}", quoted(key), quoted(namespace.name())))
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
