//! What the Lua binding uses of the core besides the public interface.
//!
//! The binding is compiled into this crate (feature `module`), or in a package of its own (`lua/module`), for which the
//! core is compiled once for all Luas. This module is for that package only, and any version may change it.

use std::any::Any;
use std::fmt;

use crate::Watch;
use crate::json::MAX_DEPTH;
use crate::types::{Limits, ListOptions};
use crate::{Code, Entry, Error, Namespace, Result, Store, Version};

use crate::backend::Peeked;
pub use crate::backend::{Entries, Listed};
pub use crate::error::quoted;
pub use crate::json::{OutOfMemory, Part, Sink, read as read_json};
pub use crate::utf8::from_utf8;

/// The checks of the reserve that a call makes.
pub mod oom_reserve {
    pub use crate::oom_reserve::{Usage, check, is_there};
}

#[cold]
pub fn failed(code: Code, message: impl Into<String>) -> Error {
    Error::new(code, message)
}

#[cold]
pub fn invalid(message: impl Into<String>) -> Error {
    Error::invalid(message)
}

#[cold]
pub fn closed() -> Error {
    Error::closed()
}

#[cold]
pub fn no_memory(bytes: usize) -> Error {
    Error::no_memory(bytes)
}

/// The error for a caught panic, from its payload.
#[cold]
pub fn panicked(payload: &(dyn Any + Send)) -> Error {
    Error::panicked(payload)
}

/// Puts in front of an error's message what was being done.
#[cold]
pub fn while_doing(error: Error, what: impl fmt::Display) -> Error {
    error.while_doing(what)
}

/// The maximum depth of JSON. (A public constant would be in the C header.)
pub const fn max_json_depth() -> usize {
    MAX_DEPTH
}

/// The maximum length of a value.
pub fn value_len(limits: Limits) -> usize {
    limits.value_len()
}

/// The maximum length of metadata.
pub fn metadata_len(limits: Limits) -> usize {
    limits.metadata_len()
}

/// Checks the name of a namespace.
pub fn check_name(limits: Limits, name: &str) -> Result<()> {
    limits.namespace(name)
}

pub fn check_open(store: &Store) -> Result<()> {
    store.check_open()
}

/// The present time of the store's clock, in Unix seconds.
pub fn now(store: &Store) -> i64 {
    store.now()
}

/// What [`peek_value`] has found.
pub enum Found {
    Missing,
    /// It is equal to the value that was known.
    Known,
    /// It was read into the entry.
    Read,
}

/// Reads the value of a key, as [`Namespace::read_value`] does, if the back end has it at hand; `None` if not. Does not
/// read a value that is equal to `known`.
#[inline(always)]
pub fn peek_value(namespace: &Namespace, key: &[u8], known: Option<&[u8]>, entry: &mut Entry) -> Option<Result<Found>> {
    let found = |peeked| match peeked {
        Peeked::Known => Found::Known,
        Peeked::Missing => Found::Missing,
        Peeked::Found(_) => Found::Read,
    };
    namespace.peek_value(key, known, entry).map(|peeked| peeked.map(found))
}

/// Checks the options of a list before it begins.
pub fn check_list(namespace: &Namespace, options: &ListOptions<'_>) -> Result<()> {
    namespace.check(options)
}

/// Collects the entries of one page, and returns the cursor after it, if there are more.
pub fn list_into(
    namespace: &Namespace,
    options: &ListOptions<'_>,
    entries: &mut dyn Entries,
) -> Result<Option<String>> {
    namespace.list_into(options, entries)
}

/// Removes a key if it still has this version, and returns whether it did.
pub fn delete_version(namespace: &Namespace, key: &str, version: Version) -> Result<bool> {
    namespace.delete_version(key, version)
}

/// Takes back the last answer of a watch, which could not be passed on.
pub fn repeat_watch(watch: &Watch) {
    watch.repeat();
}

/// The text of a version, in ASCII.
#[inline]
pub fn version_text(version: Version) -> impl AsRef<[u8]> {
    version.text()
}
