//! The methods of a namespace.

use std::ffi::c_int;

use mlua::ffi;

use super::args::{bad, word};
use super::call::{Call, call};
use super::encode;
use super::scratch::{Answer, Fault};
use super::stack::{State, Upvalue};
use crate::error::{Code, Error, Result, quoted};
use crate::namespace::Namespace;
use crate::types::{Entry, ListOptions, PutOptions};

fn this<'a>(call: &Call<'a>) -> Result<&'a Namespace, Fault> {
    call.object("luat_kv.namespace", Upvalue::Namespace)
}

/// `kv:get(key, type?)`.
pub(super) unsafe extern "C-unwind" fn get(l: State) -> c_int {
    let body = |call: &mut Call<'_>| match read(call, Namespace::read_value)? {
        Some(json) => Ok(Answer::Value { json }),
        None => Ok(Answer::Nils(1)),
    };
    // SAFETY: nothing is owned here.
    unsafe { call(l, 3, body) }
}

/// `kv:getWithMetadata(key, type?)`.
pub(super) unsafe extern "C-unwind" fn get_with_metadata(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let Some(json) = read(call, Namespace::read)? else { return Ok(Answer::Nils(2)) };
        let scratch = &mut *call.scratch;
        if let Some(metadata) = &scratch.entry.metadata {
            scratch.tape.read(metadata.as_bytes()).map_err(bad_metadata(call.text(2, "key")?))?;
        }
        Ok(Answer::Entry { json })
    };
    // SAFETY: nothing is owned here.
    unsafe { call(l, 3, body) }
}

/// Reads the entry that the arguments ask for into the scratch: `None` if it is missing, else whether its value is
/// wanted, and has been read, as JSON.
fn read(call: &mut Call<'_>, how: fn(&Namespace, &str, &mut Entry) -> Result<bool>) -> Result<Option<bool>, Fault> {
    let namespace = this(call)?;
    let key = call.text(2, "key")?;
    let json = wants_json(call)?;
    let scratch = &mut *call.scratch;
    if !how(namespace, key, &mut scratch.entry)? {
        return Ok(None);
    }
    if json {
        let not_json = |error: Error| error.while_doing(format_args!("the value of {} is not JSON", quoted(key)));
        scratch.tape.read(&scratch.entry.value).map_err(not_json)?;
    }
    Ok(Some(json))
}

/// The type argument: a word, or Cloudflare's `{ type = "json" }`.
fn wants_json(call: &mut Call<'_>) -> Result<bool, Fault> {
    const TYPES: &[(&str, bool)] = &[("text", false), ("json", true), ("arrayBuffer", false)];
    match call.type_of(3) {
        ffi::LUA_TNIL => Ok(false),
        ffi::LUA_TSTRING => {
            word(call.bytes(3).unwrap_or_default(), TYPES).or_else(|unknown| bad(3, format!("unknown type {unknown}")))
        }
        ffi::LUA_TTABLE => {
            let mut json = false;
            call.options(3, &["type"], |call, _, value| {
                json = value.word(call, TYPES)?;
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
        let key = call.text(2, "key")?;
        let limits = namespace.store().limits();
        let value = match call.type_of(3) {
            ffi::LUA_TSTRING => call.bytes(3),
            ffi::LUA_TTABLE | ffi::LUA_TNUMBER | ffi::LUA_TBOOLEAN => {
                encode::write(call.l, 3, &mut call.scratch.text, limits.value_len(), "the value")?;
                None
            }
            _ => {
                let got = call.type_name(3);
                return bad(3, format!("string, table, number or boolean expected, got {got}"));
            }
        };
        let mut options = put_options(call, limits.metadata_len())?;
        let scratch = &*call.scratch;
        options.metadata = match std::str::from_utf8(&scratch.metadata) {
            Ok("") => None,
            Ok(json) => Some(json),
            Err(why) => return Err(Error::new(Code::Internal, why.to_string()).into()),
        };
        namespace.put(key, value.unwrap_or(&scratch.text), &options)?;
        Ok(Answer::Nothing)
    };
    // SAFETY: nothing is owned here.
    unsafe {
        if ffi::lua_type(l, 3) == ffi::LUA_TTABLE || ffi::lua_type(l, 4) == ffi::LUA_TTABLE {
            encode::reserve(l);
        }
        call(l, 4, body)
    }
}

/// The options of a put; metadata is left as JSON in the scratch, empty where there is none.
fn put_options(call: &mut Call<'_>, limit: usize) -> Result<PutOptions<'static>, Fault> {
    const OPTIONS: &[&str] = &["expiration", "expirationTtl", "metadata"];
    let mut options = PutOptions::default();
    call.options(4, OPTIONS, |call, name, value| {
        match name {
            "expiration" => options.expiration = Some(value.whole(call)?),
            "expirationTtl" => options.expiration_ttl = Some(value.whole(call)?),
            _ => encode::write(call.l, value.index, &mut call.scratch.metadata, limit, "the metadata")?,
        }
        Ok(())
    })?;
    Ok(options)
}

/// `kv:delete(key)`.
pub(super) unsafe extern "C-unwind" fn delete(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        this(call)?.delete(call.text(2, "key")?)?;
        Ok(Answer::Nothing)
    };
    // SAFETY: nothing is owned here.
    unsafe { call(l, 2, body) }
}

/// `kv:list(options?)`.
pub(super) unsafe extern "C-unwind" fn list(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let namespace = this(call)?;
        let options = list_options(call)?;
        let scratch = &mut *call.scratch;
        scratch.page = namespace.list(&options)?;
        for key in &scratch.page.keys {
            if let Some(metadata) = &key.metadata {
                scratch.tape.read(metadata.as_bytes()).map_err(bad_metadata(&key.name))?;
            }
        }
        Ok(Answer::Page)
    };
    // SAFETY: nothing is owned here.
    unsafe { call(l, 2, body) }
}

fn list_options<'a>(call: &mut Call<'a>) -> Result<ListOptions<'a>, Fault> {
    const OPTIONS: &[&str] = &["prefix", "limit", "cursor"];
    let mut options = ListOptions::default();
    call.options(2, OPTIONS, |call, name, value| {
        match name {
            "prefix" => options.prefix = value.text(call)?,
            "cursor" => options.cursor = Some(value.text(call)?),
            _ => match u64::try_from(value.whole(call)?) {
                Ok(limit) => options.limit = Some(limit),
                Err(_) => return value.wrong("a whole number from 1 up expected"),
            },
        }
        Ok(())
    })?;
    Ok(options)
}

/// Metadata that this library did not write.
fn bad_metadata(key: &str) -> impl FnOnce(Error) -> Error {
    move |error| Error::new(Code::Corrupt, format!("the metadata of {} is not JSON: {}", quoted(key), error.message()))
}

/// `tostring(kv)`.
pub(super) unsafe extern "C-unwind" fn tostring(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let shown = match this(call) {
            Ok(namespace) => format!("luat_kv.namespace ({} in {})", namespace.name(), namespace.store().label()),
            Err(Fault::Failed(_)) => "luat_kv.namespace (closed)".to_owned(),
            Err(fault) => return Err(fault),
        };
        call.scratch.text.extend_from_slice(shown.as_bytes());
        Ok(Answer::Text)
    };
    // SAFETY: nothing is owned here.
    unsafe { call(l, 1, body) }
}
