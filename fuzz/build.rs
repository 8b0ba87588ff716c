//! Links Lua 5.4 into the targets on the Lua module.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "lua")]
    lua_src::Build::new().build(lua_src::Version::Lua54).print_cargo_metadata();
}
