//! The methods of a namespace for single keys, and bulk reads.

use std::ffi::c_int;

use super::args::{bad, choice};
use super::call::{Call, call, call_and_remove, call_for_text, call_inline};
use super::encode;
use super::ffi;
use super::returned::{Known, push_known};
use super::scratch::{LuaError, Return};
use super::stack::{State, Upvalue, pop};
use crate::internals::{
    delete_version, failed, from_utf8, metadata_len, no_memory, peek_value, quoted, value_len, while_doing,
};
use crate::{Code, Entry, Error, IncrOptions, Limits, Namespace, PutOptions, Result};

#[inline(always)]
pub(super) fn this<'a>(call: &Call<'a>) -> Result<&'a Namespace, LuaError> {
    call.object("luat_kv.namespace", Upvalue::Namespace)
}

/// `kv:get(key, type?)`, `kv:get({ key, … }, type?)`.
pub(super) unsafe extern "C-unwind" fn get(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        if call.type_of(2) == ffi::LUA_TTABLE {
            return read_many(call, false);
        }
        let (namespace, key) = (this(call)?, call.text(2, "key")?);
        let json = wants_json(call, TYPES)?;
        match read(call, namespace, key, json, Namespace::read_value)? {
            true => Ok(Return::Value { json }),
            false => Ok(Return::Nils(1)),
        }
    };
    let text = |call: &mut Call<'_>| {
        let namespace: &Namespace = call.object_below(Upvalue::Namespace)?.as_ref()?;
        let key = call.bytes(2)?;
        let about = call.scratch.returned.read(key);
        // SAFETY: a C function has LUA_MINSTACK slots, and few are used.
        let known = if about == Known::Kept { unsafe { push_known(call.l) } } else { None };
        let peeked = peek_value(namespace, key, known, &mut call.scratch.entry)?;
        Some(peeked.map(|peeked| (peeked, about)))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe {
        match ffi::lua_gettop(l) {
            2 => call_for_text(l, text, (2, 3), body),
            _ => call(l, 3, body),
        }
    }
}

/// `kv:getWithMetadata(key, type?)`, `kv:getWithMetadata({ key, … }, type?)`.
pub(super) unsafe extern "C-unwind" fn get_with_metadata(l: State) -> c_int {
    let body = |call: &mut Call<'_>| match call.type_of(2) {
        ffi::LUA_TTABLE => read_many(call, true),
        _ => read_entry(call),
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 3, body) }
}

/// `kv:take(key, type?)`.
pub(super) unsafe extern "C-unwind" fn take(l: State) -> c_int {
    let remove = |call: &mut Call<'_>| {
        let version = call.scratch.entry.version;
        Ok(Return::Boolean(delete_version(this(call)?, call.text(2, "key")?, version)?))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call_and_remove(l, 3, read_entry, remove) }
}

/// `kv:has(key)`.
pub(super) unsafe extern "C-unwind" fn has(l: State) -> c_int {
    let body = |call: &mut Call<'_>| Ok(Return::Boolean(this(call)?.has(call.text(2, "key")?)?));
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 2, body) }
}

/// Reads a whole entry.
fn read_entry(call: &mut Call<'_>) -> Result<Return, LuaError> {
    let namespace = this(call)?;
    let key = call.text(2, "key")?;
    let json = wants_json(call, TYPES)?;
    if !read(call, namespace, key, json, Namespace::read)? {
        return Ok(Return::Nils(2));
    }
    let scratch = &mut *call.scratch;
    if let Some(metadata) = &scratch.entry.metadata {
        scratch.tape.read(metadata.as_bytes()).map_err(bad_metadata(key))?;
    }
    Ok(Return::Entry { json })
}

/// Reads an entry into the scratch, and its value also as JSON if that is wanted. Returns whether it is there.
#[inline(always)]
fn read(
    call: &mut Call<'_>,
    namespace: &Namespace,
    key: &str,
    json: bool,
    how: impl FnOnce(&Namespace, &str, &mut Entry) -> Result<bool>,
) -> Result<bool, LuaError> {
    let scratch = &mut *call.scratch;
    let is_there = how(namespace, key, &mut scratch.entry)?;
    if is_there && json {
        scratch.tape.read(scratch.entry.value()).map_err(not_json(key))?;
    }
    Ok(is_there)
}

/// Reads the existing keys of the table argument, as tables `about` them, or their values alone.
fn read_many(call: &mut Call<'_>, about: bool) -> Result<Return, LuaError> {
    let namespace = this(call)?;
    // In Workers KV a bulk read supports no other types.
    let is_cloudflare = namespace.store().limits() == Limits::Cloudflare;
    let json = wants_json(call, if is_cloudflare { &TYPES[..2] } else { TYPES })?;
    let found = namespace.get_many(&keys(call, 2, |message| bad(2, message))?)?;
    let scratch = &mut *call.scratch;
    scratch.page.entries = found;
    for entry in &scratch.page.entries {
        if json {
            scratch.tape.read(entry.value()).map_err(not_json(&entry.key))?;
        }
        if let (true, Some(metadata)) = (about, &entry.metadata) {
            scratch.tape.read(metadata.as_bytes()).map_err(bad_metadata(&entry.key))?;
        }
    }
    Ok(Return::Found { json, about })
}

/// Returns the strings of an array, in any order. `wrong` makes the error for another table.
pub(super) fn keys<'a>(
    call: &Call<'a>,
    table: c_int,
    wrong: impl Fn(String) -> Result<Vec<&'a str>, LuaError>,
) -> Result<Vec<&'a str>, LuaError> {
    /// More than any limit allows, so the rest need not be read.
    const ENOUGH: usize = 100_000;
    let mut keys = Vec::new();
    // SAFETY: a C function has LUA_MINSTACK slots, of which this uses two. The table does not change meanwhile.
    unsafe {
        ffi::lua_pushnil(call.l);
        while keys.len() < ENOUGH && ffi::lua_next(call.l, table) != 0 {
            let index = ffi::lua_gettop(call.l);
            if call.as_integer(index - 1).is_none() {
                return wrong("an array of keys expected".to_owned());
            }
            keys.try_reserve(1).map_err(|_| no_memory(size_of_val(keys.as_slice())))?;
            match call.bytes(index) {
                Some(_) => keys.push(call.text(index, "key")?),
                None => return wrong(format!("an array of keys expected, got a {} in it", call.type_name(index))),
            }
            pop(call.l, 1);
        }
    }
    Ok(keys)
}

const TYPES: &[(&str, bool)] = &[("text", false), ("json", true), ("arrayBuffer", false)];

/// Reads the type argument: one of these words, or Cloudflare's `{ type = "json" }`.
fn wants_json(call: &mut Call<'_>, types: &[(&'static str, bool)]) -> Result<bool, LuaError> {
    match call.type_of(3) {
        ffi::LUA_TNIL => Ok(false),
        ffi::LUA_TSTRING => choice(call.bytes(3).unwrap_or_default(), types)
            .or_else(|unknown| bad(3, format!("unknown type {unknown}"))),
        ffi::LUA_TTABLE => {
            let mut json = false;
            call.options(3, &["type"], |call, _, value| {
                json = value.as_choice(call, types)?;
                Ok(())
            })?;
            Ok(json)
        }
        _ => bad(3, format!("string expected, got {}", call.type_name(3))),
    }
}

/// `kv:put(key, value, options?)`.
pub(super) unsafe extern "C-unwind" fn put(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let namespace = this(call)?;
        let limits = namespace.store().limits();
        let version = store(call, limits, |key, value, options| namespace.put_with(key, value, options))?;
        Ok(Return::Version(version))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe {
        reserve(l);
        call_inline(l, (3, 4), body)
    }
}

/// `kv:add(key, value, options?)`.
pub(super) unsafe extern "C-unwind" fn add(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let namespace = this(call)?;
        let limits = namespace.store().limits();
        let added = store(call, limits, |key, value, options| namespace.add_with(key, value, options))?;
        Ok(added.map_or(Return::Boolean(false), Return::Stored))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe {
        reserve(l);
        call(l, 4, body)
    }
}

/// Makes the stack large enough for [`store`]. Can raise an error.
pub(super) unsafe fn reserve(l: State) {
    // SAFETY: the caller owns nothing that needs dropping.
    unsafe {
        if ffi::lua_type(l, 3) == ffi::LUA_TTABLE || ffi::lua_type(l, 4) == ffi::LUA_TTABLE {
            encode::reserve(l);
        }
    }
}

/// Reads the value and options to store, the arguments 2 to 4, and passes them on.
#[inline]
pub(super) fn store<T>(
    call: &mut Call<'_>,
    limits: Limits,
    store: impl FnOnce(&str, &[u8], &PutOptions<'_>) -> Result<T>,
) -> Result<T, LuaError> {
    let key = call.text(2, "key")?;
    let value = match call.type_of(3) {
        ffi::LUA_TSTRING => call.bytes(3),
        // A stored null would be read as nil, like a missing key.
        _ if encode::is_null(call.l, 3) => return bad(3, "string, table, number or boolean expected, got null"),
        ffi::LUA_TTABLE | ffi::LUA_TNUMBER | ffi::LUA_TBOOLEAN => {
            encode::write(call.l, (3, 3), &mut call.scratch.text, value_len(limits), "the value")?;
            None
        }
        _ => {
            let got = call.type_name(3);
            return bad(3, format!("string, table, number or boolean expected, got {got}"));
        }
    };
    let mut options = put_options(call, metadata_len(limits))?;
    let scratch = &*call.scratch;
    options.metadata = match from_utf8(&scratch.metadata) {
        Ok("") => None,
        Ok(json) => Some(json),
        Err(why) => return Err(failed(Code::Internal, why.to_string()).into()),
    };
    Ok(store(key, value.unwrap_or(&scratch.text), &options)?)
}

/// Reads the options of a put. Metadata is stored as JSON in the scratch, empty if there is none.
fn put_options(call: &mut Call<'_>, limit: usize) -> Result<PutOptions<'static>, LuaError> {
    const OPTIONS: &[&str] = &["expiration", "expirationTtl", "metadata"];
    let mut options = PutOptions::default();
    call.options(4, OPTIONS, |call, name, value| {
        match name {
            "expiration" => options.expiration = Some(value.as_integer(call)?),
            "expirationTtl" => options.expiration_ttl = Some(value.as_integer(call)?),
            _ => encode::write(call.l, (4, value.index), &mut call.scratch.metadata, limit, "the metadata")?,
        }
        Ok(())
    })?;
    Ok(options)
}

/// `kv:touch(key, options?)`: without options the key no longer expires.
pub(super) unsafe extern "C-unwind" fn touch(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let namespace = this(call)?;
        let key = call.text(2, "key")?;
        let (mut expiration, mut ttl) = (None, None);
        call.options(3, &["expiration", "expirationTtl"], |call, name, value| {
            *(if name == "expiration" { &mut expiration } else { &mut ttl }) = Some(value.as_integer(call)?);
            Ok(())
        })?;
        if call.type_of(3) == ffi::LUA_TTABLE && expiration.or(ttl).is_none() {
            return bad(3, "one of the options 'expiration' and 'expirationTtl' expected");
        }
        Ok(Return::Boolean(namespace.touch(key, expiration, ttl)?))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 3, body) }
}

/// `kv:incr(key, by?, options?)`.
pub(super) unsafe extern "C-unwind" fn incr(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let namespace = this(call)?;
        let key = call.text(2, "key")?;
        let (by, options) = increment(call)?;
        Ok(Return::Sum(namespace.incr_with(key, by, &options)?))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 4, body) }
}

/// Reads the amount and the options of a counter, the arguments 3 and 4.
pub(super) fn increment(call: &mut Call<'_>) -> Result<(i64, IncrOptions), LuaError> {
    let by = call.optional_whole(3)?.unwrap_or(1);
    let mut options = IncrOptions::default();
    call.options(4, &["initial", "expiration", "expirationTtl"], |call, name, value| {
        let number = value.as_integer(call)?;
        match name {
            "initial" => options.initial = number,
            "expiration" => options.expiration = Some(number),
            _ => options.expiration_ttl = Some(number),
        }
        Ok(())
    })?;
    Ok((by, options))
}

/// `kv:delete(key)`.
pub(super) unsafe extern "C-unwind" fn delete(l: State) -> c_int {
    let body = |call: &mut Call<'_>| Ok(Return::Boolean(this(call)?.delete(call.text(2, "key")?)?));
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 2, body) }
}

pub(super) fn not_json(key: &str) -> impl FnOnce(Error) -> Error {
    move |error| while_doing(error, format_args!("the value of {} is not JSON", quoted(key)))
}

/// An error for metadata that this library did not write.
pub(super) fn bad_metadata(key: &str) -> impl FnOnce(Error) -> Error {
    move |error| failed(Code::Corrupt, format!("the metadata of {} is not JSON: {}", quoted(key), error.message()))
}

/// `tostring(kv)`.
pub(super) unsafe extern "C-unwind" fn tostring(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let shown = match this(call) {
            Ok(namespace) => format!("luat_kv.namespace ({} in {})", namespace.name(), namespace.store().label()),
            Err(LuaError::Failed(_)) => "luat_kv.namespace (closed)".to_owned(),
            Err(fault) => return Err(fault),
        };
        call.scratch.text.extend_from_slice(shown.as_bytes());
        Ok(Return::Text)
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}
