//! What is different in WebAssembly: its host can set the project's store of a state, and nothing can be watched.

use std::ffi::c_int;

use super::call::{Call, call};
use super::ffi;
use super::stack::{State, Upvalue, pop, slot};
use super::store::Project;
use crate::ffi::luat_kv_store;
use crate::internals::invalid;

/// Makes `KV.namespace` of the module on top of the stack use a store of the host. Returns 1, or 0 if it could not.
///
/// # Safety
/// `src/wasm/lua.c` calls this within a protected call, with the module on top of the stack, before scripts can reach
/// it. `store` is live.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn luat_kv_lua_give(l: State, store: *const luat_kv_store) -> c_int {
    // SAFETY: the caller has promised it. Nothing here needs dropping when an error is raised.
    unsafe {
        ffi::lua_getfield(l, -1, c"namespace".as_ptr());
        let found = !ffi::lua_getupvalue(l, -1, Upvalue::Project as c_int).is_null();
        if found {
            let project = slot::<Project>(l, -1);
            *project = Some(Project::of((*store).store().clone()));
            pop(l, 1);
        }
        pop(l, 1);
        found.into()
    }
}

/// `kv:watch()`.
pub(super) unsafe extern "C-unwind" fn no_watch(l: State) -> c_int {
    const WHY: &str = "a build for WebAssembly cannot watch: while Lua waits, nobody can write";
    let body = |_: &mut Call<'_>| Err(invalid(WHY).into());
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 0, body) }
}
