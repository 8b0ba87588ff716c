//! The Lua module: `require("luat_kv")` on Lua 5.1 to 5.5 and LuaJIT.
//!
//! It uses Lua's own C API (`lua_api`), because errors must reach Lua as plain strings with a position, JSON must be
//! read from and written to Lua's stack directly, and a call should cost little more than Lua's own. `call` defines the
//! rules that this requires. Outside of it, no code raises an error while Rust owns something.

use std::ffi::{CStr, c_int};

use crate::lua_api as ffi;

use self::scratch::Scratch;
use self::stack::{
    KEEPS_RETURNED, NULL, State, UPVALUES, Upvalue, pop, push_bytes, push_metatable, push_private, push_result,
    set_collector,
};

mod args;
mod batch;
mod call;
mod encode;
#[cfg(target_family = "wasm")]
mod host;
mod instance;
mod json;
mod listing;
mod namespace;
mod plain;
mod push;
mod returned;
mod rows;
mod scratch;
mod stack;
mod store;
mod tape;
mod transfer;
mod watch;

type Functions = [(&'static CStr, ffi::lua_CFunction)];

const MODULE: &Functions = &[(c"namespace", store::project_namespace), (c"array", json::array)];

/// The functions that can reach any file of the process. A module for untrusted code has neither these nor
/// [`NAMESPACE_FILES`].
const MODULE_FILES: &Functions = &[(c"open", store::open), (c"new", instance::new), (c"install", instance::install)];

/// The code of `KV.retry`, a function in Lua, since one in C could not let `sleep` yield: a file that the module for
/// LuaJIT's FFI uses too. It is left out with [`MODULE_FILES`]: waiting is up to the host there.
const RETRY: &str = include_str!("../lua/luat_kv_ffi/retry.lua");

const JSON: &Functions = &[(c"encode", json::encode), (c"decode", json::decode)];

const STORE: &Functions = &[
    (c"namespace", store::namespace),
    (c"atomic", batch::of_store),
    (c"namespaces", store::namespaces),
    (c"stats", store::stats),
    (c"sweep", store::sweep),
    (c"compact", store::compact),
    (c"checkpoint", store::checkpoint),
    (c"backup", store::backup),
    (c"close", store::close),
];

const STORE_META: &Functions = &[(c"__tostring", store::tostring), (c"__close", store::close)];

const NAMESPACE: &Functions = &[
    (c"get", namespace::get),
    (c"getWithMetadata", namespace::get_with_metadata),
    (c"has", namespace::has),
    (c"put", namespace::put),
    (c"add", namespace::add),
    (c"touch", namespace::touch),
    (c"incr", namespace::incr),
    (c"delete", namespace::delete),
    (c"take", namespace::take),
    (c"atomic", batch::of_namespace),
    (c"list", listing::list),
    (c"each", listing::each),
    (c"count", listing::count),
    (c"deletePrefix", listing::delete_prefix),
    (c"clear", listing::clear),
    (c"watch", watch::open),
];

const NAMESPACE_FILES: &Functions = &[(c"export", transfer::export), (c"import", transfer::import)];

const BATCH: &Functions = &[
    (c"namespace", batch::namespace),
    (c"check", batch::check),
    (c"put", batch::put),
    (c"delete", batch::delete),
    (c"incr", batch::incr),
    (c"commit", batch::commit),
];

const BATCH_META: &Functions = &[(c"__tostring", batch::tostring)];

const WALK_META: &Functions = &[(c"__call", listing::step), (c"__close", listing::close)];

const WATCH: &Functions =
    &[(c"next", watch::next), (c"token", watch::token), (c"fd", watch::fd), (c"close", watch::close)];

const WATCH_META: &Functions =
    &[(c"__call", watch::step), (c"__close", watch::close), (c"__tostring", watch::tostring)];

const NAMESPACE_META: &Functions = &[(c"__tostring", namespace::tostring)];

/// Lua calls this for `require("luat_kv")`. It returns the module, and sets no global.
///
/// # Safety
/// Must be called by Lua, with a state of the version that this module was built for.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn luaopen_luat_kv(l: State) -> c_int {
    // SAFETY: `l` is Lua's, and the stack has the slots requested here. Nothing in this function needs dropping, so any
    // of its calls may raise an error.
    unsafe {
        check_version(l);
        ffi::luaL_checkstack(l, 2 * UPVALUES + 10, c"luat_kv".as_ptr());
        // The upvalues are at the bottom of the stack, in their order.
        ffi::lua_settop(l, 0);
        push_private::<Scratch>(l);
        push_private::<store::Project>(l);
        for upvalue in 1..Upvalue::Array as c_int {
            push_metatable(l, upvalue);
        }
        ffi::luaL_newmetatable(l, c"luat_kv.array".as_ptr()); // shared by all loads of this module in one state
        // If Lua code could change it, that would change every array of the state.
        push_bytes(l, b"luat_kv.array");
        ffi::lua_setfield(l, -2, c"__metatable".as_ptr());
        for (name, place) in encode::METAMETHODS.into_iter().zip(1..) {
            push_bytes(l, name.to_bytes());
            ffi::lua_rawseti(l, -2, place);
        }
        ffi::lua_pushlightuserdata(l, NULL);
        plain::push(l, Upvalue::Array as c_int);
        if KEEPS_RETURNED {
            ffi::lua_createtable(l, 0, 0);
        }
        push_module(l, true);
        1
    }
}

/// Pushes a new table of the module, whose functions get the upvalues at the bottom of the stack. Fills the metatables
/// there. Without `open`, no function can reach files that the caller chooses.
///
/// # Safety
/// As in [`luaopen_luat_kv`].
unsafe fn push_module(l: State, open: bool) {
    let (functions, methods) = if open { (MODULE_FILES, NAMESPACE_FILES) } else { (&[] as _, &[] as _) };
    // SAFETY: as above.
    unsafe {
        fill_metatable::<crate::Store>(l, Upvalue::Store, c"luat_kv.store", [STORE, &[]], STORE_META);
        fill_metatable::<crate::Namespace>(
            l,
            Upvalue::Namespace,
            c"luat_kv.namespace",
            [NAMESPACE, methods],
            NAMESPACE_META,
        );
        fill_metatable::<batch::Atomic>(l, Upvalue::Batch, c"luat_kv.batch", [BATCH, &[]], BATCH_META);
        fill_metatable::<listing::Walk>(l, Upvalue::Walk, c"luat_kv.each", [&[], &[]], WALK_META);
        fill_metatable::<watch::Handle>(l, Upvalue::Watch, c"luat_kv.watch", [WATCH, &[]], WATCH_META);

        ffi::lua_createtable(l, 0, 9);
        set_functions(l, MODULE);
        set_functions(l, functions);
        if open {
            push_result(l, RETRY);
            ffi::lua_setfield(l, -2, c"retry".as_ptr());
        }
        ffi::lua_createtable(l, 0, 2);
        set_functions(l, JSON);
        ffi::lua_setfield(l, -2, c"json".as_ptr());
        ffi::lua_pushvalue(l, Upvalue::Null as c_int);
        ffi::lua_setfield(l, -2, c"null".as_ptr());
        push_bytes(l, b"luat_kv ");
        push_bytes(l, crate::VERSION.as_bytes());
        ffi::lua_concat(l, 2);
        ffi::lua_setfield(l, -2, c"_VERSION".as_ptr());
    }
}

/// Raises an error if this Lua is not the version that the module is built for. 5.4 and 5.5 have the same functions, so
/// either loads a module for the other, which would crash.
#[cfg(any(feature = "lua53", feature = "lua54", feature = "lua55"))]
unsafe fn check_version(l: State) {
    /// `LUA_VERSION_NUM` and `LUAL_NUMSIZES`, which mlua omits.
    const VERSION: ffi::lua_Number = if cfg!(feature = "lua53") {
        503.0
    } else if cfg!(feature = "lua54") {
        504.0
    } else {
        505.0
    };
    const SIZES: usize = size_of::<ffi::lua_Integer>() * 16 + size_of::<ffi::lua_Number>();
    // SAFETY: it only compares.
    unsafe { ffi::luaL_checkversion_(l, VERSION, SIZES) };
}

/// Nothing to check: a module for these versions needs functions that every later Lua lacks, and does not load there.
#[cfg(not(any(feature = "lua53", feature = "lua54", feature = "lua55")))]
unsafe fn check_version(_: State) {}

/// Sets functions in the table on top of the stack, each with the upvalues at its bottom.
///
/// # Safety
/// As in [`luaopen_luat_kv`].
unsafe fn set_functions(l: State, functions: &Functions) {
    for (name, function) in functions {
        // SAFETY: as above.
        unsafe {
            for upvalue in 1..=UPVALUES {
                ffi::lua_pushvalue(l, upvalue);
            }
            ffi::lua_pushcclosure(l, *function, UPVALUES);
            ffi::lua_setfield(l, -2, name.as_ptr());
        }
    }
}

/// Completes the metatable at the position of an upvalue at the bottom of the stack.
///
/// # Safety
/// As in [`luaopen_luat_kv`].
unsafe fn fill_metatable<T>(l: State, place: Upvalue, name: &'static CStr, methods: [&Functions; 2], meta: &Functions) {
    // SAFETY: as above.
    unsafe {
        ffi::lua_pushvalue(l, place as c_int);
        set_functions(l, meta);
        set_collector::<T>(l);
        ffi::lua_createtable(l, 0, (methods[0].len() + methods[1].len()) as c_int);
        for functions in methods {
            set_functions(l, functions);
        }
        ffi::lua_setfield(l, -2, c"__index".as_ptr());
        push_bytes(l, name.to_bytes());
        ffi::lua_setfield(l, -2, c"__name".as_ptr());
        // Lua code can neither read nor change it.
        ffi::lua_pushboolean(l, 0);
        ffi::lua_setfield(l, -2, c"__metatable".as_ptr());
        pop(l, 1);
    }
}
