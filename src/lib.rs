//! # luat_kv
//!
//! Luat's key-value store: the API of Cloudflare Workers KV on SQLite, on PostgreSQL, or in memory. This crate is the store. Besides
//! this Rust API it has two bindings: the C interface (`include/luat_kv.h`, which is its manual) and the Lua module
//! (`require("luat_kv")`, feature `module`).
//!
//! ```
//! use luat_kv::{ListOptions, OpenOptions, PutOptions, Store};
//!
//! let store = Store::open_memory(&OpenOptions::new())?;
//! let users = store.namespace("users")?;
//! users.put("user:122", "Bob")?;
//! users.put_with("user:123", "Alice", &PutOptions::new().ttl(3600).metadata(r#"{"admin":true}"#))?;
//! assert_eq!(users.get("user:123")?.as_deref(), Some(&b"Alice"[..]));
//! for entry in users.scan(&ListOptions::new().prefix("user:")) {
//!     println!("{}", entry?.key);
//! }
//! # Ok::<(), luat_kv::Error>(())
//! ```
//!
//! A call that fails returns an [`Error`] with a [`Code`] that tells its kind; if a system call failed,
//! [`Error::io_kind`] tells which failure it was. All calls block: a write waits for other writers for up to
//! [`OpenOptions::busy_timeout`].
//!
//! ## As a dependency
//!
//! `cargo build --release` in this repository produces `libluat_kv.so` and `libluat_kv.a`, so the crate is a `cdylib`
//! and a `staticlib` besides a Rust library. Cargo builds all three whenever the crate is a dependency. That adds the
//! time to link the shared library, a few seconds in a release build. `cargo rustc --lib --crate-type rlib` builds only
//! the Rust library, but a program that depends on this crate cannot choose that. To save the time, change the line
//! `crate-type` in a copy of the crate, and use the copy as a patch in the workspace. This repository is a workspace of
//! its own, so a copy that lies in another one has to be listed there under `exclude`.
//!
//! SQLite is built with the options that `libsqlite3-sys` chooses, and those of `LIBSQLITE3_FLAGS` in the environment.
//! This repository sets that variable in `.cargo/config.toml`: a smaller SQLite, and `fdatasync` in place of `fsync`,
//! which makes writes with [`Durability::Full`] faster. Cargo does not read the file of a dependency, so copy it to the
//! workspace.
//!
//! The features `sqlite`, `postgres`, `cli` and `debug-hooks` are additive. `module` and the Lua versions are not: a Lua module is
//! built for one version of Lua, exports only the function that Lua calls, and omits the C interface. `internals` also
//! omits the C interface; it is for this repository's own Lua module, and no version promises what it adds.
//!
//! ## Structure
//!
//! A request arrives through a binding (`ffi`, `lua`, `wasm`, or this API), is checked in `namespace`, `batch`,
//! `transfer` (exports and imports) or `store` with the rules of `limits`, and goes to one `backend`. Calls go only in
//! this direction. Everything is checked once, before the back end gets it, except lifetimes: these are checked again
//! when the back end has the rows. A binding does not depend on the back end. See `docs/design.md`.

#![deny(unsafe_op_in_unsafe_fn, missing_docs)]
#![warn(clippy::undocumented_unsafe_blocks)]
// These are for a public interface, and `internals` is none.
#![cfg_attr(feature = "internals", allow(missing_docs, clippy::len_without_is_empty))]

mod backend;
mod batch;
mod clock;
mod cursor;
mod error;
mod fork;
#[cfg(not(target_family = "wasm"))]
mod futex;
mod json;
mod limits;
#[cfg(feature = "sqlite")]
mod luat_project;
mod namespace;
mod oom_reserve;
mod scan;
#[cfg(any(unix, feature = "sqlite"))]
mod shards;
mod store;
mod test_hooks;
mod transfer;
mod types;
#[cfg(feature = "sqlite")]
mod url;
mod url64;
mod utf8;
mod version;
#[cfg(any(not(target_family = "wasm"), feature = "internals"))]
mod watch;

// A library contains one of the bindings. A WebAssembly module with Lua contains both, and one for its host.
#[cfg(any(not(feature = "internals"), target_family = "wasm"))]
pub mod ffi;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
#[cfg(feature = "module")]
mod lua;
#[cfg(feature = "module")]
use mlua::ffi as lua_api;
#[cfg(target_family = "wasm")]
mod wasm;
// For the targets in fuzz/.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;

#[cfg(feature = "sqlite")]
pub use backend::sqlite::remove_drafts;
pub use batch::Batch;
pub use clock::Clock;
pub use error::{Code, Detail, Error, Result};
pub use namespace::Namespace;
pub use scan::Scan;
pub use store::Store;
pub use types::{
    CacheStats, Change, ChangeKind, Durability, Entry, Format, Imported, IncrOptions, Limits, ListOptions,
    NamespaceStats, OpenOptions, Page, PutOptions, Stats, WatchOptions,
};
pub use version::Version;
#[cfg(any(not(target_family = "wasm"), feature = "internals"))]
pub use watch::Watch;

/// The version of this library, for example `"0.1.0"`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
