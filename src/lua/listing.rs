//! The methods of a namespace for ranges of keys: listing, iterating, counting, clearing.

use std::cell::RefCell;
use std::ffi::c_int;
use std::vec;

use super::args::{Opt, bad};
use super::call::{Call, call};
use super::ffi;
use super::namespace::{bad_metadata, not_json, this};
use super::scratch::{LuaError, Return, Scratch, Values};
use super::stack::{State, Upvalue, push_slot, slot};
use crate::internals::{check_list, check_open, list_into, now};
use crate::{Entry, ListOptions, Namespace, Result};

/// `kv:list(options?)`.
pub(super) unsafe extern "C-unwind" fn list(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let namespace = this(call)?;
        let (options, values) = list_options(call)?;
        let scratch = &mut *call.scratch;
        scratch.page.cursor = list_into(namespace, &options, &mut scratch.rows)?;
        for row in scratch.rows.iter() {
            let key = || String::from_utf8_lossy(row.key);
            if let (Values::Json, Some(value)) = (values, row.value) {
                scratch.tape.read(value).map_err(|error| not_json(&key())(error))?;
            }
            if let Some(metadata) = row.metadata {
                scratch.tape.read(metadata).map_err(|error| bad_metadata(&key())(error))?;
            }
        }
        Ok(Return::Page(values))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 2, body) }
}

fn list_options<'a>(call: &mut Call<'a>) -> Result<(ListOptions<'a>, Values), LuaError> {
    const OPTIONS: &[&str] = &["prefix", "start", "stop", "limit", "cursor", "reverse", "values"];
    let (mut options, mut values) = (ListOptions::default(), Values::None);
    call.options(2, OPTIONS, |call, name, value| {
        match name {
            "cursor" => options.cursor = Some(value.text(call)?),
            "limit" => match u64::try_from(value.as_integer(call)?) {
                Ok(limit) => options.limit = Some(limit),
                Err(_) => return value.wrong("a whole number from 1 up expected"),
            },
            _ => range_option(call, &mut options, &mut values, name, value)?,
        }
        Ok(())
    })?;
    Ok((options, values))
}

/// Reads an option that selects a range, for one page or for an iteration.
fn range_option<'a>(
    call: &Call<'a>,
    options: &mut ListOptions<'a>,
    values: &mut Values,
    name: &str,
    value: Opt,
) -> Result<(), LuaError> {
    match name {
        "prefix" => options.prefix = value.text(call)?,
        "start" => options.start = value.text(call)?,
        "stop" => match value.text(call)? {
            "" => return value.wrong("it is empty, and no key comes before that; leave it out to go to the end"),
            stop => options.stop = Some(stop),
        },
        "reverse" => options.reverse = value.boolean(call)?,
        _ => {
            *values = wanted_values(call, value)?;
            options.values = *values != Values::None;
        }
    }
    Ok(())
}

/// Reads `true`, or a type as in `get`.
pub(super) fn wanted_values(call: &Call<'_>, value: Opt) -> Result<Values, LuaError> {
    const TYPES: &[(&str, Values)] = &[("text", Values::Bytes), ("json", Values::Json), ("arrayBuffer", Values::Bytes)];
    match call.type_of(value.index) {
        ffi::LUA_TBOOLEAN => Ok(if value.boolean(call)? { Values::Bytes } else { Values::None }),
        ffi::LUA_TSTRING => value.as_choice(call, TYPES),
        _ => value.wrong(format_args!("true, \"text\" or \"json\" expected, got {}", call.type_name(value.index))),
    }
}

/// Reads the documents of the scratch's page into its tape.
fn read_documents(scratch: &mut Scratch, values: Values) -> Result<()> {
    for entry in &scratch.page.entries {
        if values == Values::Json {
            scratch.tape.read(entry.value()).map_err(not_json(&entry.key))?;
        }
        if let Some(metadata) = &entry.metadata {
            scratch.tape.read(metadata.as_bytes()).map_err(bad_metadata(&entry.key))?;
        }
    }
    Ok(())
}

/// The state of a loop over all pages.
pub(super) type Walk = RefCell<Walking>;

/// A loop that ends early should read little, so the first page is small and the size doubles.
const FIRST_PAGE: u64 = 16;
const LARGEST_PAGE: u64 = 1000;

pub(super) struct Walking {
    namespace: Namespace,
    prefix: String,
    start: String,
    stop: Option<String>,
    reverse: bool,
    values: Values,
    /// The maximum number of keys of the next page.
    size: u64,
    /// The rest of the current page.
    entries: vec::IntoIter<Entry>,
    next: Next,
}

enum Next {
    First,
    After(String),
    End,
}

impl Walking {
    /// Returns the next key that is still live.
    fn step(&mut self) -> Result<Option<Entry>> {
        check_open(self.namespace.store())?;
        loop {
            let now = now(self.namespace.store());
            let live = |entry: &Entry| entry.expiration.is_none_or(|end| now < end);
            if let Some(entry) = self.entries.find(live) {
                return Ok(Some(entry));
            }
            if !self.turn()? {
                return Ok(None);
            }
        }
    }

    /// Fetches the next page, if there is one.
    fn turn(&mut self) -> Result<bool> {
        let cursor = match &self.next {
            Next::First => None,
            Next::After(cursor) => Some(cursor.as_str()),
            Next::End => return Ok(false),
        };
        let options = ListOptions::new()
            .prefix(&self.prefix)
            .start(&self.start)
            .stop(self.stop.as_deref())
            .limit(self.size)
            .cursor(cursor)
            .reverse(self.reverse)
            .values(self.values != Values::None);
        let page = self.namespace.list(&options)?;
        self.size = (self.size * 2).min(LARGEST_PAGE);
        self.entries = page.entries.into_iter();
        self.next = page.cursor.map_or(Next::End, Next::After);
        Ok(true)
    }
}

/// `kv:each(options?)`: returns the values that a generic `for` takes.
pub(super) unsafe extern "C-unwind" fn each(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        const OPTIONS: &[&str] = &["prefix", "start", "stop", "reverse", "values"];
        let namespace = this(call)?.clone();
        let (mut options, mut values) = (ListOptions::default(), Values::None);
        call.options(2, OPTIONS, |call, name, value| range_option(call, &mut options, &mut values, name, value))?;
        check_list(&namespace, &options)?;
        let walking = Walking {
            namespace,
            prefix: options.prefix.to_owned(),
            start: options.start.to_owned(),
            stop: options.stop.map(str::to_owned),
            reverse: options.reverse,
            values,
            size: FIRST_PAGE,
            entries: Vec::new().into_iter(),
            next: Next::First,
        };
        // SAFETY: a slot for a walk was pushed there before the body began.
        unsafe { *slot::<Walk>(call.l, 3) = Some(RefCell::new(walking)) };
        Ok(Return::Walk(3))
    };
    // SAFETY: this frame owns nothing that needs dropping, and index 3 becomes a walk's slot.
    unsafe {
        ffi::lua_settop(l, 2);
        push_slot::<Walk>(l, Upvalue::Walk.index());
        call(l, 3, body)
    }
}

fn walk<'a>(call: &Call<'a>) -> Result<&'a Walk, LuaError> {
    call.object("luat_kv.each", Upvalue::Walk)
}

/// A generic `for` calls this for each key. It returns the key and its table, or nil at the end.
pub(super) unsafe extern "C-unwind" fn step(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let mut walking = walk(call)?.borrow_mut();
        let Some(entry) = walking.step()? else { return Ok(Return::Nils(1)) };
        call.scratch.page.entries = vec![entry];
        read_documents(call.scratch, walking.values)?;
        Ok(Return::Step(walking.values))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}

/// `__close`: releases the page when the loop ends, however it ends.
pub(super) unsafe extern "C-unwind" fn close(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let mut walking = walk(call)?.borrow_mut();
        (walking.entries, walking.next) = (Vec::new().into_iter(), Next::End);
        Ok(Return::Nothing)
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}

/// `kv:count(options?)`.
pub(super) unsafe extern "C-unwind" fn count(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let namespace = this(call)?;
        let mut prefix = "";
        call.options(2, &["prefix"], |call, _, value| {
            prefix = value.text(call)?;
            Ok(())
        })?;
        Ok(Return::Count(namespace.count(prefix)?))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 2, body) }
}

/// `kv:deletePrefix(prefix)`.
pub(super) unsafe extern "C-unwind" fn delete_prefix(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let namespace = this(call)?;
        match call.text(2, "prefix")? {
            "" => bad(2, "the prefix is empty; to delete all keys, call clear()"),
            prefix => Ok(Return::Count(namespace.delete_prefix(prefix)?)),
        }
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 2, body) }
}

/// `kv:clear()`.
pub(super) unsafe extern "C-unwind" fn clear(l: State) -> c_int {
    let body = |call: &mut Call<'_>| Ok(Return::Count(this(call)?.clear()?));
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}
