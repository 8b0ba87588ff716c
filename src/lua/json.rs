//! `KV.json` and `KV.array`.

use std::ffi::c_int;

use super::args::bad;
use super::call::{Call, call};
use super::encode;
use super::ffi;
use super::scratch::Return;
use super::stack::{State, Upvalue, has_metatable};
use crate::Limits;
use crate::internals::{value_len, while_doing};

/// `KV.json.encode(value)`.
pub(super) unsafe extern "C-unwind" fn encode(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let limit = value_len(Limits::Default);
        encode::write(call.l, (1, 1), &mut call.scratch.text, limit, "the JSON text")?;
        Ok(Return::Text)
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe {
        ffi::luaL_checkany(l, 1);
        encode::reserve(l);
        call(l, 1, body)
    }
}

/// `KV.json.decode(text)`.
pub(super) unsafe extern "C-unwind" fn decode(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let Some(text) = call.bytes(1) else {
            return bad(1, format!("string expected, got {}", call.type_name(1)));
        };
        call.scratch.tape.read(text).map_err(|error| while_doing(error, "not JSON"))?;
        Ok(Return::Document)
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}

/// `KV.array(t)`: marks a table as an array.
pub(super) unsafe extern "C-unwind" fn array(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        if call.type_of(1) != ffi::LUA_TTABLE {
            return bad(1, format!("table expected, got {}", call.type_name(1)));
        }
        // SAFETY: index 1 is a table.
        match unsafe { has_metatable(call.l, 1, Upvalue::Array.index()) } {
            true => Ok(Return::At(1)),
            false => bad(1, "the table has another metatable"),
        }
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe {
        ffi::lua_settop(l, 1);
        if ffi::lua_type(l, 1) == ffi::LUA_TNIL {
            ffi::lua_settop(l, 0);
            ffi::lua_createtable(l, 0, 0);
        }
        if ffi::lua_type(l, 1) == ffi::LUA_TTABLE && ffi::lua_getmetatable(l, 1) == 0 {
            ffi::lua_pushvalue(l, Upvalue::Array.index());
            ffi::lua_setmetatable(l, 1);
        }
        call(l, 1, body)
    }
}
