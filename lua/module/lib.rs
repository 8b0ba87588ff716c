//! The Lua module, as a package that is linked to the compiled core: see Cargo.toml.

// The binding finds the same names in this crate as in the core.
use luat_kv::*;
use mlua_sys as lua_api;

#[path = "../../src"]
mod src {
    mod lua;
}
