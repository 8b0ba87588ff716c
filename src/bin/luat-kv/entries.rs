//! Commands on single keys and lists of them.

use std::path::Path;

use luat_kv::{Detail, Entry, IncrOptions, ListOptions, Namespace, PutOptions};
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
    match args.metadata {
        true => print_facts(entry, out),
        false => print_entry(&entry, args.raw, out),
    }
}

/// Prints what is known about an entry, without its value.
fn print_facts(mut entry: Entry, out: &mut Output) -> Result<(), Fail> {
    let len = entry.value().len();
    if out.style == Style::Json {
        entry.value = None;
        return Ok(out.json(&Record::of(&entry)?)?);
    }
    let mut facts = vec![("bytes", Value::from(len))];
    facts.extend(entry.expiration.map(|_| ("expires", out.expiration(entry.expiration).into())));
    facts.extend(entry.metadata.map(|json| ("metadata", json.into())));
    facts.push(("version", entry.version.to_string().into()));
    Ok(out.facts(&facts)?)
}

/// Prints the value of an entry; as JSON, also the rest.
fn print_entry(entry: &Entry, raw: bool, out: &mut Output) -> Result<(), Fail> {
    let value = entry.value();
    match out.style {
        Style::Json => out.json(&Record::of(entry)?)?,
        Style::Terminal if !raw => {
            out.raw(show_lines(value).as_bytes())?;
            if !value.ends_with(b"\n") {
                out.raw(b"\n")?;
            }
        }
        _ => out.raw(value)?,
    }
    Ok(())
}

pub fn take(place: &Place, args: &args::Take, out: &mut Output) -> Result<(), Fail> {
    let namespace = place.namespace(Access::Change)?;
    let Some(entry) = namespace.take(&args.key)? else {
        return Err(missing(&args.key, &namespace));
    };
    let printed = print_entry(&entry, args.raw, out).and_then(|()| Ok(out.flush()?));
    if printed.is_err() {
        // The value was not delivered, and exists nowhere else now.
        let options = PutOptions::new().expires_at(entry.expiration).metadata(entry.metadata.as_deref());
        namespace.add_with(&args.key, entry.value(), &options)?;
    }
    printed
}

pub fn put(place: &Place, args: &args::Put, out: &mut Output) -> Result<(), Fail> {
    // Before the store is opened: an unreadable value creates no file.
    let given = args.value.as_ref().filter(|value| *value != DASH).or(args.literal.as_ref());
    let value = match given {
        Some(value) => value.as_encoded_bytes().to_vec(),
        None => input::value(args.file.as_deref().unwrap_or(Path::new(DASH)))?,
    };
    let args::Expires { ttl: expiration_ttl, expiration } = args.expires;
    let metadata = args.metadata.as_deref();
    let options = PutOptions::new().expires_at(expiration).ttl(expiration_ttl).metadata(metadata);
    let namespace = place.namespace(Access::Create)?;
    let version = match args.if_missing {
        true => namespace.add_with(&args.key, &value, &options)?,
        false => Some(namespace.put_with(&args.key, &value, &options)?),
    };
    if out.style == Style::Json {
        let mut facts = vec![("stored", version.is_some().into())];
        facts.extend(version.map(|version| ("version", version.to_string().into())));
        out.facts(&facts)?;
    }
    match version {
        Some(_) => Ok(()),
        None => Err(Fail::No(format!("there is a key {} already; it stays as it is", quoted(&args.key)))),
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
    let options = IncrOptions::new().initial(args.initial).expires_at(expiration).ttl(expiration_ttl);
    let sum = place.namespace(Access::Create)?.incr_with(&args.key, args.by, &options).map_err(|error| {
        // The value of the key is not part of the command line.
        match error.detail() == Some(Detail::NotInteger) {
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
    /// The number of keys in a page: every set of limits allows it, and it is small enough to appear at once.
    const PAGE: u64 = 1000;
    let namespace = place.namespace(Access::Read)?;
    let long = args.long || out.style == Style::Terminal;
    let head = columns(long, args.values);
    let mut table = Table::new(&head);
    let (mut cursor, mut left) = (None, args.limit.unwrap_or(u64::MAX));
    while left > 0 {
        let page = namespace.list(
            &ListOptions::new()
                .prefix(&args.prefix)
                .start(&args.start)
                .stop(args.stop.as_deref())
                .limit(left.min(PAGE))
                .cursor(cursor.as_deref())
                .reverse(args.reverse)
                .values(args.values),
        )?;
        left -= page.entries.len() as u64;
        print_page(&page.entries, long, &mut table, out)?;
        // A reader sees each page when it is complete.
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

/// Prints keys, as [`columns`] says, and their values if wanted.
pub fn print_page(entries: &[Entry], long: bool, table: &mut Table<'_>, out: &mut Output) -> Result<(), Fail> {
    if out.style == Style::Json {
        return entries.iter().try_for_each(|entry| Ok(out.json(&Record::of(entry)?)?));
    }
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut row = vec![show(entry.key.as_bytes()).into_owned()];
        if long {
            let metadata = entry.metadata.as_deref().unwrap_or_default();
            row.extend([out.expiration(entry.expiration), show(metadata.as_bytes()).into_owned()]);
        }
        row.extend(entry.value.as_deref().map(|value| show(value).into_owned()));
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
