//! `KV.open`, `KV.namespace`, and the methods of a store.

use std::ffi::c_int;
use std::path::PathBuf;
use std::time::Duration;

use once_cell::unsync::OnceCell;

use super::args::bad;
use super::call::{Call, call};
use super::ffi;
use super::scratch::{LuaError, Return};
use super::stack::{State, Upvalue, push_slot, slot};
use crate::internals::check_name;
use crate::{Code, Durability, Limits, Namespace, OpenOptions, Result, Store};

/// Holds the project's store, which `KV.namespace` opens on first use: one for each Lua state.
#[derive(Default)]
pub(super) struct Project(OnceCell<Store>);

impl Project {
    /// A store that exists already.
    #[cfg(target_family = "wasm")]
    pub(super) fn of(store: Store) -> Self {
        Project(OnceCell::with_value(store))
    }

    #[cfg(feature = "sqlite")]
    fn store(&self) -> Result<&Store> {
        self.0.get_or_try_init(|| Store::open_project(None, &OpenOptions::default()))
    }

    /// Without files, the project's store is in memory, for as long as the state lives.
    #[cfg(not(feature = "sqlite"))]
    fn store(&self) -> Result<&Store> {
        self.0.get_or_try_init(|| Store::open_memory(&OpenOptions::default()))
    }
}

/// The functions of the module itself are called with a full stop.
const NO_COLON: &str = "called with ':', which is for methods; here it is '.'";

/// `KV.namespace(name)`.
pub(super) unsafe extern "C-unwind" fn project_namespace(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        if call.type_of(1) == ffi::LUA_TTABLE {
            return bad(1, NO_COLON);
        }
        let name = call.text(1, "namespace")?;
        // Before a store is created for it.
        check_name(OpenOptions::default().limits, name)?;
        // SAFETY: the upvalue is the project's slot.
        let project = unsafe { &mut *slot::<Project>(call.l, Upvalue::Project.index()) };
        fill(call, 2, project.get_or_insert_default().store()?.namespace(name)?)
    };
    // SAFETY: this frame owns nothing that needs dropping, and index 2 becomes a namespace's slot.
    unsafe {
        ffi::lua_settop(l, 1);
        push_slot::<Namespace>(l, Upvalue::Namespace.index());
        call(l, 2, body)
    }
}

/// The collector sees a userdata of a few bytes, but a store has descriptors and a cache. So this much garbage is
/// created with each store, and the collector runs sooner if stores are opened again and again.
const WEIGHT: usize = 64 * 1024;

/// `KV.open(options?)`.
pub(super) unsafe extern "C-unwind" fn open(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        if call.type_of(2) == ffi::LUA_TTABLE {
            return bad(1, NO_COLON);
        }
        let store = match read_options(call)? {
            (Place::Memory, options) => Store::open_memory(&options),
            (Place::File(path), options) => open_file(path, &options),
            #[cfg(feature = "sqlite")]
            (Place::Url(url), options) => Store::open_url(url, &options),
            (Place::Project, options) => open_project(&options),
        };
        match store {
            Ok(store) => fill(call, 3, store),
            // There may be no descriptors left. (A server that refuses is not asked twice.)
            #[cfg(feature = "sqlite")]
            Err(error) if error.code() == Code::Io && error.raw_os_error().is_some() => {
                Err(LuaError::FailedWithGarbage(error))
            }
            Err(error) => Err(error.into()),
        }
    };
    // SAFETY: this frame owns nothing that needs dropping, and index 3 becomes a store's slot.
    unsafe {
        ffi::lua_settop(l, 2);
        ffi::lua_newuserdata(l, WEIGHT);
        ffi::lua_settop(l, 2);
        push_slot::<Store>(l, Upvalue::Store.index());
        call(l, 3, body)
    }
}

enum Place {
    Project,
    Memory,
    File(PathBuf),
    /// Or a path. (A text from Lua that is no UTF-8 is one.)
    #[cfg(feature = "sqlite")]
    Url(PathBuf),
}

#[cfg(feature = "sqlite")]
fn open_file(path: PathBuf, options: &OpenOptions) -> Result<Store> {
    Store::open(path, options)
}

#[cfg(feature = "sqlite")]
fn open_project(options: &OpenOptions) -> Result<Store> {
    Store::open_project(None, options)
}

#[cfg(not(feature = "sqlite"))]
fn open_project(_: &OpenOptions) -> Result<Store> {
    Err(crate::internals::invalid("this build has no SQLite; open a store with `memory = true`, or call namespace()"))
}

#[cfg(not(feature = "sqlite"))]
fn open_file(_: PathBuf, _: &OpenOptions) -> Result<Store> {
    Err(crate::internals::invalid("this build has no SQLite; open a store with `memory = true`"))
}

fn read_options(call: &mut Call<'_>) -> Result<(Place, OpenOptions), LuaError> {
    const OPTIONS: &[&str] = &[
        "path",
        "memory",
        "limits",
        "durability",
        "busy_timeout",
        "readonly",
        "cache_size",
        #[cfg(feature = "sqlite")]
        "url",
    ];
    const LIMITS: &[(&str, Limits)] = &[("default", Limits::Default), ("cloudflare", Limits::Cloudflare)];
    const DURABILITY: &[(&str, Durability)] = &[("normal", Durability::Normal), ("full", Durability::Full)];
    let (mut path, mut url, mut memory, mut options) = (None, None, false, OpenOptions::default());
    call.options(1, OPTIONS, |call, name, value| {
        match name {
            "path" => path = Some(os_path(value.bytes(call)?)?),
            "url" => url = Some(os_path(value.bytes(call)?)?),
            "memory" => memory = value.boolean(call)?,
            "limits" => options.limits = value.as_choice(call, LIMITS)?,
            "durability" => options.durability = value.as_choice(call, DURABILITY)?,
            "readonly" => options.readonly = value.boolean(call)?,
            "cache_size" => {
                let bytes = value.number(call)?;
                if bytes < 0.0 || bytes.fract() != 0.0 {
                    return value.wrong(format_args!("whole number of bytes from 0 up expected, got {bytes:?}"));
                }
                // A number that is too large for the type is also more than the memory, which opening reports.
                options.cache_size = bytes as u64;
            }
            _ => {
                let seconds = value.number(call)?;
                options.busy_timeout = match Duration::try_from_secs_f64(seconds) {
                    Ok(timeout) => timeout,
                    Err(_) => return value.wrong(format_args!("seconds from 0 up expected, got {seconds:?}")),
                };
            }
        }
        Ok(())
    })?;
    match (path, url, memory) {
        (Some(path), None, false) => Ok((Place::File(path), options)),
        #[cfg(feature = "sqlite")]
        (None, Some(url), false) => Ok((Place::Url(url), options)),
        (None, None, true) => Ok((Place::Memory, options)),
        (None, None, false) => Ok((Place::Project, options)),
        _ => bad(1, "the options 'path', 'url' and 'memory = true' exclude each other"),
    }
}

/// On Unix a path is bytes; elsewhere it is text.
pub(super) fn os_path(bytes: &[u8]) -> Result<PathBuf> {
    #[cfg(unix)]
    return Ok(PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes)));
    #[cfg(not(unix))]
    return match std::str::from_utf8(bytes) {
        Ok(path) => Ok(PathBuf::from(path)),
        Err(_) => Err(crate::internals::invalid("the path is not UTF-8")),
    };
}

pub(super) fn this<'a>(call: &Call<'a>) -> Result<&'a Store, LuaError> {
    call.object("luat_kv.store", Upvalue::Store)
}

/// Puts a new object into the slot at `index`, which is the result.
fn fill<T>(call: &Call<'_>, index: c_int, object: T) -> Result<Return, LuaError> {
    // SAFETY: a slot for `T` was pushed there before the body began.
    unsafe { *slot::<T>(call.l, index) = Some(object) };
    Ok(Return::At(index))
}

/// `store:namespace(name)`.
pub(super) unsafe extern "C-unwind" fn namespace(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let store = this(call)?;
        fill(call, 3, store.namespace(call.text(2, "namespace")?)?)
    };
    // SAFETY: this frame owns nothing that needs dropping, and index 3 becomes a namespace's slot.
    unsafe {
        ffi::lua_settop(l, 2);
        push_slot::<Namespace>(l, Upvalue::Namespace.index());
        call(l, 3, body)
    }
}

/// `store:sweep(max?)`.
pub(super) unsafe extern "C-unwind" fn sweep(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let store = this(call)?;
        let max = match call.optional_whole(2)?.map(u64::try_from) {
            None => None,
            Some(Ok(max)) => Some(max),
            Some(Err(_)) => return bad(2, "whole number from 0 up expected"),
        };
        Ok(Return::Count(store.sweep(max)?))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 2, body) }
}

/// `store:namespaces()`.
pub(super) unsafe extern "C-unwind" fn namespaces(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        call.scratch.names = this(call)?.namespaces()?;
        Ok(Return::Names)
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}

/// `store:stats()`.
pub(super) unsafe extern "C-unwind" fn stats(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        call.scratch.stats = this(call)?.stats()?;
        Ok(Return::Stats)
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}

/// `store:compact()`.
pub(super) unsafe extern "C-unwind" fn compact(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        this(call)?.compact()?;
        Ok(Return::Nothing)
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}

/// `store:checkpoint()`.
pub(super) unsafe extern "C-unwind" fn checkpoint(l: State) -> c_int {
    let body = |call: &mut Call<'_>| Ok(Return::Boolean(this(call)?.checkpoint()?));
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}

/// `store:backup(path)`.
pub(super) unsafe extern "C-unwind" fn backup(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let store = this(call)?;
        match call.bytes(2) {
            Some(path) => store.backup(os_path(path)?)?,
            None => return bad(2, format!("string expected, got {}", call.type_name(2))),
        }
        Ok(Return::Nothing)
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 2, body) }
}

/// `store:close()`, and `__close`. Closing again does nothing.
pub(super) unsafe extern "C-unwind" fn close(l: State) -> c_int {
    let body = |call: &mut Call<'_>| match this(call) {
        Ok(store) => {
            store.close()?;
            Ok(Return::Nothing)
        }
        // The state is closing and has already collected it.
        Err(LuaError::Failed(error)) if error.code() == Code::Invalid => Ok(Return::Nothing),
        Err(fault) => Err(fault),
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}

/// `tostring(store)`.
pub(super) unsafe extern "C-unwind" fn tostring(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let label = match this(call) {
            Ok(store) => store.label(),
            Err(LuaError::Failed(_)) => "closed",
            Err(fault) => return Err(fault),
        };
        call.scratch.text.extend_from_slice(format!("luat_kv.store ({label})").as_bytes());
        Ok(Return::Text)
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}
