//! Reads tables through metamethods: Lua code, which runs between two runs of a body (see `call`).

use std::ffi::c_int;

use super::ffi;
use super::scratch::LuaError;
use super::stack::{State, Upvalue, push_bytes, push_result, string_at};
use crate::internals::invalid;

/// The code that makes the copies: a file that the module for LuaJIT's FFI uses unchanged.
const SOURCE: &str = include_str!("../../lua/luat_kv_ffi/plain.lua");

/// Pushes the function that makes copies. The metatable of arrays is at `array`. Can raise an error.
///
/// # Safety
/// The caller owns nothing that needs dropping.
pub(super) unsafe fn push(l: State, array: c_int) {
    /// Returns any table's metatable, even one that Lua code must not see.
    unsafe extern "C-unwind" fn metatable(l: State) -> c_int {
        // SAFETY: `l` is Lua's.
        unsafe { c_int::from(ffi::lua_getmetatable(l, 1) != 0) }
    }
    // SAFETY: the caller has promised it.
    unsafe {
        push_result(l, SOURCE);
        #[cfg(any(feature = "lua51", feature = "luajit"))]
        do_not_compile(l);
        ffi::lua_pushcclosure(l, metatable, 0);
        ffi::lua_pushvalue(l, array);
        ffi::lua_call(l, 2, 1);
    }
}

/// LuaJIT's compiled code for `next` may skip keys (its issues 827 and 1510): turns compilation off for the function on
/// top of the stack and those in it. Can raise an error. LuaJIT also loads the module for Lua 5.1, where there is no `jit`.
#[cfg(any(feature = "lua51", feature = "luajit"))]
unsafe fn do_not_compile(l: State) {
    // SAFETY: the caller owns nothing that needs dropping.
    unsafe {
        let function = ffi::lua_gettop(l);
        ffi::lua_getfield(l, ffi::LUA_REGISTRYINDEX, c"_LOADED".as_ptr());
        ffi::lua_getfield(l, -1, c"jit".as_ptr());
        if ffi::lua_type(l, -1) == ffi::LUA_TTABLE {
            ffi::lua_getfield(l, -1, c"off".as_ptr());
            ffi::lua_pushvalue(l, function);
            ffi::lua_pushboolean(l, 1);
            ffi::lua_call(l, 2, 0);
        }
        ffi::lua_settop(l, function);
    }
}

/// Replaces an argument, or its field `metadata`, by a copy that has no metamethods. Returns an error if there can be
/// no copy. Runs Lua code, and can raise an error.
///
/// # Safety
/// The caller owns nothing that needs dropping.
pub(super) unsafe fn replace(l: State, argument: c_int, metadata: bool) -> Option<LuaError> {
    // SAFETY: the caller has promised it.
    unsafe {
        ffi::luaL_checkstack(l, 5, c"JSON".as_ptr());
        ffi::lua_pushvalue(l, Upvalue::Plain.index());
        ffi::lua_pushvalue(l, argument);
        ffi::lua_pushvalue(l, Upvalue::Null.index());
        if metadata {
            push_bytes(l, b"metadata");
        } else {
            ffi::lua_pushnil(l);
        }
        ffi::lua_call(l, 3, 2);
        if let Some(problem) = string_at(l, -1) {
            return Some(invalid(String::from_utf8_lossy(problem).into_owned()).into());
        }
        ffi::lua_pushvalue(l, -2);
        ffi::lua_replace(l, argument);
        None
    }
}
