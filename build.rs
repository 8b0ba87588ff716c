//! Link arguments that Cargo.toml has no words for.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // A host may `dlclose` the library (Lua does at `lua_close`) while this process still holds what points into it:
    // the fork handlers, SQLite's globals, thread-local destructors. So it stays mapped once it was loaded.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
