//! Link arguments that Cargo.toml has no words for: of this crate and of lua/module.

fn main() {
    // Cargo runs it again when this file changes, too.
    println!("cargo:rerun-if-changed=Cargo.toml");
    // A host may `dlclose` the library (Lua does at `lua_close`) while this process still holds what points into it:
    // the fork handlers, SQLite's globals, thread-local destructors. So it stays mapped once it was loaded.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
