//! Pushing an answer onto Lua's stack: the second step of a call (see `call`).
//!
//! Nothing here owns anything, holds a lock or can panic: any function of Lua's may end it half-way.

use std::ffi::{CStr, c_int};

use mlua::ffi;

use super::scratch::{Answer, Scratch};
use super::stack::{State, push_array, push_bytes, push_int};
use super::tape::Reader;
use crate::types::{KeyInfo, Page};

/// Pushes the answer, and answers how many results it is; or raises an error.
pub(super) unsafe fn deliver(l: State, scratch: *mut Scratch, answer: Answer) -> c_int {
    // SAFETY: only plain pointers and lengths are read from the scratch, and nothing else writes to it while it is
    // busy.
    unsafe {
        match answer {
            Answer::Nothing => 0,
            Answer::Nils(count) => {
                (0..count).for_each(|_| ffi::lua_pushnil(l));
                count
            }
            Answer::At(index) => {
                ffi::lua_pushvalue(l, index);
                1
            }
            Answer::Count(count) => {
                ffi::lua_pushinteger(l, count as ffi::lua_Integer);
                1
            }
            Answer::Value { json } => {
                push_value(l, scratch, &mut (*scratch).tape.reader(), json);
                1
            }
            Answer::Entry { json } => {
                let documents = &mut (*scratch).tape.reader();
                push_value(l, scratch, documents, json);
                let entry = &(*scratch).entry;
                push_about(l, None, entry.metadata.is_some(), entry.expiration, documents);
                2
            }
            Answer::Page => {
                push_page(l, &(*scratch).page, &mut (*scratch).tape.reader());
                1
            }
            Answer::Text => {
                push_bytes(l, &(*scratch).text);
                1
            }
            Answer::Document => {
                (*scratch).tape.reader().push_document(l);
                1
            }
            Answer::BadArgument(index) => {
                // A copy of Lua's own: the scratch may go before the message does.
                push_bytes(l, &(*scratch).text);
                (*scratch).rest();
                ffi::luaL_argerror(l, index, ffi::lua_tostring(l, -1))
            }
            Answer::Failed => {
                ffi::luaL_where(l, 1);
                push_bytes(l, &(*scratch).text);
                ffi::lua_concat(l, 2);
                (*scratch).rest();
                ffi::lua_error(l)
            }
        }
    }
}

unsafe fn push_value(l: State, scratch: *mut Scratch, documents: &mut Reader<'_>, json: bool) {
    // SAFETY: as in `deliver`.
    unsafe {
        if json {
            documents.push_document(l);
        } else {
            push_bytes(l, &(*scratch).entry.value);
        }
    }
}

const NAME: &CStr = c"name";
const EXPIRATION: &CStr = c"expiration";
const METADATA: &CStr = c"metadata";

/// Pushes a table of what is known about a key beside its value: its name, where asked for, its expiration and its
/// metadata, the next of `documents`.
unsafe fn push_about(
    l: State,
    name: Option<&str>,
    has_metadata: bool,
    expiration: Option<i64>,
    documents: &mut Reader<'_>,
) {
    let fields = c_int::from(name.is_some()) + c_int::from(has_metadata) + c_int::from(expiration.is_some());
    // SAFETY: the table is on top whenever a field is set.
    unsafe {
        ffi::lua_createtable(l, 0, fields);
        if let Some(name) = name {
            push_bytes(l, name.as_bytes());
            ffi::lua_setfield(l, -2, NAME.as_ptr());
        }
        if let Some(expiration) = expiration {
            push_int(l, expiration);
            ffi::lua_setfield(l, -2, EXPIRATION.as_ptr());
        }
        if has_metadata {
            documents.push_document(l);
            ffi::lua_setfield(l, -2, METADATA.as_ptr());
        }
    }
}

/// Pushes a page's table.
unsafe fn push_page(l: State, page: &Page, documents: &mut Reader<'_>) {
    // SAFETY: the page's table is below the one of its keys, and that below each key's.
    unsafe {
        ffi::lua_createtable(l, 0, 3);
        push_array(l, page.keys.len());
        for (place, KeyInfo { name, metadata, expiration, .. }) in page.keys.iter().enumerate() {
            push_about(l, Some(name), metadata.is_some(), *expiration, documents);
            ffi::lua_rawseti(l, -2, place as ffi::lua_Integer + 1);
        }
        ffi::lua_setfield(l, -2, c"keys".as_ptr());
        ffi::lua_pushboolean(l, c_int::from(page.cursor.is_none()));
        ffi::lua_setfield(l, -2, c"list_complete".as_ptr());
        if let Some(cursor) = &page.cursor {
            push_bytes(l, cursor.as_bytes());
            ffi::lua_setfield(l, -2, c"cursor".as_ptr());
        }
    }
}
