//! # luat_kv
//!
//! Luat's key-value store: the API of Cloudflare Workers KV on SQLite, or in memory. This crate is the store itself;
//! it has two more doors beside its Rust API: the C interface (`include/luat_kv.h`, which is the manual for it) and the
//! Lua module (`require("luat_kv")`, feature `module`).
//!
//! ```
//! use luat_kv::{ListOptions, OpenOptions, PutOptions, Store};
//!
//! let store = Store::open_memory(&OpenOptions::default())?;
//! let users = store.namespace("users")?;
//! users.put("user:123", b"Alice", &PutOptions { expiration_ttl: Some(3600), ..Default::default() })?;
//! assert_eq!(users.get("user:123")?.as_deref(), Some(&b"Alice"[..]));
//! let page = users.list(&ListOptions { prefix: "user:", ..Default::default() })?;
//! assert_eq!(page.keys[0].name, "user:123");
//! # Ok::<(), luat_kv::Error>(())
//! ```
//!
//! The map: a request comes in by a door (`ffi`, `lua`, `wasm`, or this API), is checked once in `namespace`, `batch`, `transfer`
//! (exports and imports) or `store` by the rules of `limits`, and goes to one `backend`. Calls run down only; a back end
//! checks no limit and reads no clock, and a door does not know which back end it talks to.

#![deny(unsafe_op_in_unsafe_fn, missing_docs)]
#![warn(clippy::undocumented_unsafe_blocks)]

mod backend;
mod batch;
mod clock;
mod cursor;
mod error;
mod fork;
mod headroom;
mod hooks;
mod json;
mod limits;
mod namespace;
#[cfg(feature = "sqlite")]
mod project;
mod store;
mod transfer;
mod types;
mod url64;
mod version;

// A library has one of the doors. A WebAssembly module has both, where it has Lua, and one for its host.
#[cfg(any(not(feature = "module"), target_family = "wasm"))]
pub mod ffi;
#[cfg(feature = "module")]
mod lua;
#[cfg(target_family = "wasm")]
mod wasm;
// For fuzz/ alone.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;

#[cfg(feature = "sqlite")]
pub use backend::sqlite::remove_drafts;
pub use batch::Batch;
pub use clock::Clock;
pub use error::{Code, Error, Result};
pub use namespace::Namespace;
pub use store::Store;
pub use types::{
    Durability, Entry, Format, Imported, IncrOptions, KeyInfo, Limits, ListOptions, NamespaceStats, OpenOptions, Page,
    PutOptions, Stats,
};
pub use version::Version;

/// This library's version, as in `"0.1.0"`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
