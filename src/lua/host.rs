//! What is different in WebAssembly: its host can set the project's store of a state.

use std::ffi::c_int;

use super::ffi;
use super::stack::{State, Upvalue, pop, slot};
use super::store::Project;
use crate::ffi::luat_kv_store;

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
