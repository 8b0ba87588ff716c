//! Pushes a result onto Lua's stack: the second step of a call (see `call`).
//!
//! Nothing here owns anything, holds a lock or can panic: any function of Lua may leave it by raising an error.

use std::ffi::{CStr, c_int};

use super::ffi;
use super::rows::{Row, Rows};
use super::scratch::{Return, Scratch, Values};
use super::stack::{State, push_array, push_bytes, push_int};
use super::tape::Reader;
use super::watch::Shown;
use crate::internals::{Entries, version_text};
use crate::{Change, ChangeKind};
use crate::{Entry, Page, Stats, Version};

/// Pushes the result, and returns the number of Lua values; or raises an error.
pub(super) unsafe fn push(l: State, scratch: *mut Scratch, answer: Return) -> c_int {
    // SAFETY: only plain pointers and lengths are read from the scratch, and nothing else writes to it while it is
    // busy.
    unsafe {
        match answer {
            Return::Nothing => 0,
            Return::Nils(count) => {
                (0..count).for_each(|_| ffi::lua_pushnil(l));
                count
            }
            Return::At(index) => {
                ffi::lua_pushvalue(l, index);
                1
            }
            Return::Count(count) => {
                ffi::lua_pushinteger(l, count as ffi::lua_Integer);
                1
            }
            Return::Counts(first, second) => {
                ffi::lua_pushinteger(l, first as ffi::lua_Integer);
                ffi::lua_pushinteger(l, second as ffi::lua_Integer);
                2
            }
            Return::Sum(sum) => {
                push_int(l, sum);
                1
            }
            Return::Boolean(value) => {
                ffi::lua_pushboolean(l, c_int::from(value));
                1
            }
            Return::Version(version) => {
                push_bytes(l, version_text(version).as_ref());
                1
            }
            Return::Stored(version) => {
                ffi::lua_pushboolean(l, 1);
                push_bytes(l, version_text(version).as_ref());
                2
            }
            Return::Value { json } => {
                push_alone(l, (*scratch).entry.value(), json, &mut (*scratch).tape.reader());
                1
            }
            Return::Entry { json } => {
                let (entry, documents) = (&(*scratch).entry, &mut (*scratch).tape.reader());
                push_alone(l, entry.value(), json, documents);
                let about = About { metadata: entry.metadata.is_some(), ..About::of(entry.expiration, entry.version) };
                push_about(l, about, Names::Unpushed, documents);
                2
            }
            Return::Page(values) => {
                let (rows, cursor) = (&(*scratch).rows, (*scratch).page.cursor.as_deref());
                push_page(l, rows, cursor, values, &mut (*scratch).tape.reader());
                1
            }
            Return::Found { json, about } => {
                push_found(l, &(*scratch).page, json, about, &mut (*scratch).tape.reader());
                1
            }
            Return::Changes { json } => {
                let changes = (*scratch).shown.as_ref().map_or(&[][..], Shown::changes);
                push_changes(l, changes, json, &mut (*scratch).tape.reader());
                1
            }
            Return::Change { json } => {
                let changes = (*scratch).shown.as_ref().map_or(&[][..], Shown::changes);
                let Some(change) = changes.first() else { return 0 };
                push_change(l, change, json, &mut (*scratch).tape.reader());
                1
            }
            Return::Walk(index) => {
                ffi::lua_pushvalue(l, index);
                ffi::lua_pushnil(l);
                ffi::lua_pushnil(l);
                // Lua 5.4 closes the fourth value when the loop ends.
                ffi::lua_pushvalue(l, index);
                4
            }
            Return::Step(values) => {
                let Some(entry) = (*scratch).page.entries.first() else { return 0 };
                push_bytes(l, entry.key.as_bytes());
                let about = About { name: Some(entry.key.as_bytes()), ..About::found(entry, values == Values::Json) };
                push_about(l, about, Names::Unpushed, &mut (*scratch).tape.reader());
                2
            }
            Return::Names => {
                push_names(l, &(*scratch).names);
                1
            }
            Return::Stats => {
                push_stats(l, &(*scratch).stats);
                1
            }
            Return::Text => {
                push_bytes(l, &(*scratch).text);
                1
            }
            Return::Document => {
                (*scratch).tape.reader().push_document(l);
                1
            }
            Return::BadArgument(index) => {
                // Lua copies the text, since the scratch may be freed before the message.
                push_bytes(l, &(*scratch).text);
                (*scratch).rest();
                ffi::luaL_argerror(l, index, ffi::lua_tostring(l, -1))
            }
            // (Other reasons to run a body again were handled before.)
            Return::Failed | Return::FailedWithGarbage | Return::Proxy { .. } => {
                ffi::luaL_where(l, 1);
                push_bytes(l, &(*scratch).text);
                ffi::lua_concat(l, 2);
                (*scratch).rest();
                ffi::lua_error(l)
            }
        }
    }
}

/// Pushes a value that is a result of its own: a document that is only `null` becomes nil.
unsafe fn push_alone(l: State, value: &[u8], json: bool, documents: &mut Reader<'_>) {
    // SAFETY: as in `push`.
    unsafe {
        if json {
            documents.push_document(l);
        } else {
            push_bytes(l, value);
        }
    }
}

/// Pushes a value that goes into a table.
unsafe fn push_within(l: State, value: &[u8], json: bool, documents: &mut Reader<'_>) {
    // SAFETY: as in `push`.
    unsafe {
        if json {
            documents.push_within(l);
        } else {
            push_bytes(l, value);
        }
    }
}

/// The contents of a table about a key. Documents come from the tape: the value's, then the metadata's.
struct About<'a> {
    name: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    /// Whether the value is a document.
    json: bool,
    metadata: bool,
    expiration: Option<i64>,
    version: Version,
}

impl<'a> About<'a> {
    fn of(expiration: Option<i64>, version: Version) -> Self {
        About { name: None, value: None, json: false, metadata: false, expiration, version }
    }

    fn listed(row: Row<'a>, values: Values) -> Self {
        let (name, value, json, metadata) = (Some(row.key), row.value, values == Values::Json, row.metadata.is_some());
        About { name, value, json, metadata, ..About::of(row.expiration, row.version) }
    }

    fn found(entry: &'a Entry, json: bool) -> Self {
        let (value, metadata) = (entry.value.as_deref(), entry.metadata.is_some());
        About { value, json, metadata, ..About::of(entry.expiration, entry.version) }
    }
}

/// The fields of a table about a key.
const FIELDS: [&CStr; 5] = [c"name", c"value", c"metadata", c"expiration", c"version"];

/// Where the names of [`FIELDS`] are.
#[derive(Clone, Copy)]
enum Names {
    Unpushed,
    /// From this index on. Lua need not look them up for each of many tables.
    From(c_int),
}

/// Pushes a table about a key. A field without a value is absent.
#[inline(always)]
unsafe fn push_about(l: State, about: About<'_>, names: Names, documents: &mut Reader<'_>) {
    let present = [about.name.is_some(), about.value.is_some(), about.metadata, about.expiration.is_some(), true];
    // SAFETY: the table is on top whenever a field begins, with its name above it, if that is pushed, when it is set.
    unsafe {
        let begin = |field: c_int| {
            if let Names::From(first) = names {
                ffi::lua_pushvalue(l, first + field);
            }
        };
        let set = |field: c_int| match names {
            Names::Unpushed => ffi::lua_setfield(l, -2, FIELDS[field as usize].as_ptr()),
            Names::From(_) => ffi::lua_rawset(l, -3),
        };
        // Lua makes room for the next power of two.
        ffi::lua_createtable(l, 0, present.map(c_int::from).iter().sum());
        if let Some(name) = about.name {
            begin(0);
            push_bytes(l, name);
            set(0);
        }
        if let Some(value) = about.value {
            begin(1);
            push_within(l, value, about.json, documents);
            set(1);
        }
        if about.metadata {
            begin(2);
            documents.push_document(l);
            set(2);
        }
        if let Some(expiration) = about.expiration {
            begin(3);
            push_int(l, expiration);
            set(3);
        }
        begin(4);
        push_bytes(l, version_text(about.version).as_ref());
        set(4);
    }
}

/// Pushes a page's table.
unsafe fn push_page(l: State, rows: &Rows, cursor: Option<&str>, values: Values, documents: &mut Reader<'_>) {
    // SAFETY: the page's table is below the one of its keys, and that below each key's. The names stay below all of
    // them, since the results of a call are at the top.
    unsafe {
        let names = Names::From(ffi::lua_gettop(l) + 1);
        for name in FIELDS {
            push_bytes(l, name.to_bytes());
        }
        ffi::lua_createtable(l, 0, 3);
        push_array(l, rows.len());
        for (row, place) in rows.iter().zip(1..) {
            push_about(l, About::listed(row, values), names, documents);
            ffi::lua_rawseti(l, -2, place);
        }
        ffi::lua_setfield(l, -2, c"keys".as_ptr());
        ffi::lua_pushboolean(l, c_int::from(cursor.is_none()));
        ffi::lua_setfield(l, -2, c"list_complete".as_ptr());
        if let Some(cursor) = cursor {
            push_bytes(l, cursor.as_bytes());
            ffi::lua_setfield(l, -2, c"cursor".as_ptr());
        }
    }
}

/// Pushes a table from each key to what was found.
unsafe fn push_found(l: State, page: &Page, json: bool, about: bool, documents: &mut Reader<'_>) {
    // SAFETY: the table is below each key and its value.
    unsafe {
        ffi::lua_createtable(l, 0, c_int::try_from(page.entries.len()).unwrap_or(0));
        for entry in &page.entries {
            push_bytes(l, entry.key.as_bytes());
            if about {
                push_about(l, About::found(entry, json), Names::Unpushed, documents);
            } else {
                push_within(l, entry.value(), json, documents);
            }
            ffi::lua_rawset(l, -3);
        }
    }
}

/// Pushes an array of changes.
unsafe fn push_changes(l: State, changes: &[Change], json: bool, documents: &mut Reader<'_>) {
    // SAFETY: the array is below each change.
    unsafe {
        push_array(l, changes.len());
        for (change, place) in changes.iter().zip(1..) {
            push_change(l, change, json, documents);
            ffi::lua_rawseti(l, -2, place);
        }
    }
}

/// Pushes the table of a change.
unsafe fn push_change(l: State, Change { kind, entry, .. }: &Change, json: bool, documents: &mut Reader<'_>) {
    let name = entry.key.as_bytes();
    // SAFETY: the table is below what is set in it.
    unsafe {
        if *kind == ChangeKind::Put {
            push_about(l, About { name: Some(name), ..About::found(entry, json) }, Names::Unpushed, documents);
            push_bytes(l, b"put");
        } else {
            ffi::lua_createtable(l, 0, 3);
            push_bytes(l, name);
            ffi::lua_setfield(l, -2, c"name".as_ptr());
            if *kind == ChangeKind::Expire {
                ffi::lua_pushboolean(l, 1);
                ffi::lua_setfield(l, -2, c"expired".as_ptr());
            }
            push_bytes(l, b"delete");
        }
        ffi::lua_setfield(l, -2, c"type".as_ptr());
    }
}

/// Pushes an array of the names of the namespaces.
unsafe fn push_names(l: State, names: &[String]) {
    // SAFETY: the table is on top whenever a name is set.
    unsafe {
        push_array(l, names.len());
        for (place, name) in names.iter().enumerate() {
            push_bytes(l, name.as_bytes());
            ffi::lua_rawseti(l, -2, place as ffi::lua_Integer + 1);
        }
    }
}

/// Pushes the table of a store's statistics.
unsafe fn push_stats(l: State, stats: &Stats) {
    // SAFETY: each table is below what is set in it.
    unsafe {
        let set_count = |count: u64, field: &CStr| {
            ffi::lua_pushinteger(l, count as ffi::lua_Integer);
            ffi::lua_setfield(l, -2, field.as_ptr());
        };
        ffi::lua_createtable(l, 0, 4);
        push_bytes(l, stats.path.as_bytes());
        ffi::lua_setfield(l, -2, c"path".as_ptr());
        set_count(stats.file_size, c"file_size");
        ffi::lua_createtable(l, 0, c_int::try_from(stats.namespaces.len()).unwrap_or(0));
        for namespace in &stats.namespaces {
            push_bytes(l, namespace.name.as_bytes());
            ffi::lua_createtable(l, 0, 2);
            set_count(namespace.live, c"live");
            set_count(namespace.expired, c"expired");
            ffi::lua_rawset(l, -3);
        }
        ffi::lua_setfield(l, -2, c"namespaces".as_ptr());
        ffi::lua_createtable(l, 0, 4);
        set_count(stats.cache.hits, c"hits");
        set_count(stats.cache.misses, c"misses");
        set_count(stats.cache.drops, c"drops");
        set_count(stats.cache.size, c"size");
        ffi::lua_setfield(l, -2, c"cache".as_ptr());
    }
}
