//! Instances of the module for scripts: `KV.new` and `KV.install` create tables of functions with their own settings.
//!
//! An instance with other settings has functions of its own: they find a setting among their upvalues, and so do the
//! methods of all objects that they return. So no script reaches the settings or tables of another instance.

use std::ffi::c_int;

use super::call::{Call, call};
use super::ffi;
use super::push_module;
use super::scratch::{LuaError, Return, Scratch};
use super::stack::{KEEPS_RETURNED, State, UPVALUES, Upvalue, push_metatable, push_private};
use crate::Result;

/// `KV.new(options?)`.
pub(super) unsafe extern "C-unwind" fn new(l: State) -> c_int {
    // SAFETY: `l` is Lua's. Nothing here needs dropping, so any call may raise an error.
    unsafe {
        let open = read_settings(l, 1, settings::<1>);
        push_module(l, open);
        1
    }
}

/// `KV.install(env, options?)`: puts `KV`, and `json` if there is none, into a table, and returns it.
pub(super) unsafe extern "C-unwind" fn install(l: State) -> c_int {
    // SAFETY: as in `new`.
    unsafe {
        ffi::luaL_checktype(l, 1, ffi::LUA_TTABLE);
        let open = read_settings(l, 2, settings::<2>);
        let env = UPVALUES + 1;
        push_module(l, open);
        ffi::lua_getfield(l, env, c"json".as_ptr());
        if ffi::lua_type(l, -1) == ffi::LUA_TNIL {
            ffi::lua_getfield(l, -2, c"json".as_ptr());
            ffi::lua_setfield(l, env, c"json".as_ptr());
        }
        ffi::lua_settop(l, -2);
        ffi::lua_setfield(l, env, c"KV".as_ptr());
        ffi::lua_settop(l, env);
        1
    }
}

/// Checks the options, which are argument number `AT`. The result is whether files may be opened.
fn settings<const AT: c_int>(call: &mut Call<'_>) -> Result<Return, LuaError> {
    let mut open = true;
    call.options(AT, &["open", "null"], |call, name, value| {
        match (name, call.type_of(value.index)) {
            ("open", _) => open = value.boolean(call)?,
            (_, ffi::LUA_TLIGHTUSERDATA | ffi::LUA_TUSERDATA | ffi::LUA_TTABLE) => {}
            (_, other) => return value.wrong(format_args!("userdata or table expected, got {}", call.name_of(other))),
        }
        Ok(())
    })?;
    Ok(Return::Boolean(open))
}

/// Reads the options at `at`, the last argument, and puts the upvalues for new functions below the arguments, at the
/// bottom of the stack. Returns whether files may be opened.
///
/// # Safety
/// As [`call`].
unsafe fn read_settings(l: State, at: c_int, body: fn(&mut Call<'_>) -> Result<Return, LuaError>) -> bool {
    // SAFETY: `call` has ended when it returns, and nothing is owned after it.
    unsafe {
        call(l, at, body);
        let open = ffi::lua_toboolean(l, -1) != 0;
        ffi::lua_settop(l, at);
        ffi::luaL_checkstack(l, 2 * UPVALUES + 10, c"luat_kv".as_ptr());
        match ffi::lua_type(l, at) {
            ffi::LUA_TTABLE => _ = ffi::lua_getfield(l, at, c"null".as_ptr()),
            _ => ffi::lua_pushnil(l),
        }
        if ffi::lua_type(l, -1) == ffi::LUA_TNIL {
            ffi::lua_pushvalue(l, Upvalue::Null.index());
            ffi::lua_replace(l, -2);
        }
        if KEEPS_RETURNED {
            ffi::lua_createtable(l, 0, 0);
            ffi::lua_insert(l, 1);
        }
        ffi::lua_pushvalue(l, Upvalue::Plain.index());
        ffi::lua_insert(l, 1);
        ffi::lua_insert(l, 1); // null, below it
        for place in (Upvalue::Project as c_int..Upvalue::Null as c_int).rev() {
            if push_metatable(l, place).is_none() {
                ffi::lua_pushvalue(l, ffi::lua_upvalueindex(place));
            }
            ffi::lua_insert(l, 1);
        }
        // A scratch belongs to one instance, since it knows the metatables.
        push_private::<Scratch>(l);
        ffi::lua_insert(l, 1);
        open
    }
}
