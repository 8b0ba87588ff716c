//! The keys that have changed since the last record: see `record`.

// Only the WebAssembly exports ask for records.
#![cfg_attr(not(any(target_family = "wasm", test)), allow(dead_code))]

use super::super::copy_text;
use super::namespace_map::{self, NamespaceMap};
use crate::error::Result;

/// The keys that have changed since the last record. Before the first record, none are noted.
#[derive(Default)]
pub(super) struct Changes(Option<Noted>);

/// (A set would be compiled separately: see [`NamespaceMap`].)
type Noted = NamespaceMap<u8>;

impl Changes {
    /// Starts to note changes.
    pub fn none() -> Self {
        Changes(Some(Noted::new()))
    }

    pub fn are_noted(&self) -> bool {
        self.0.is_some()
    }

    /// Calls `each` for the keys until it returns `false`.
    pub fn each(&self, each: &mut dyn FnMut(&str, &str) -> bool) {
        for (name, keys) in self.0.iter().flatten() {
            for key in keys.keys() {
                if !each(name, key) {
                    return;
                }
            }
        }
    }

    /// Forgets the first keys, which were recorded.
    pub fn forget_first(&mut self, count: usize) {
        for _ in 0..count {
            let Some(mut first) = self.0.as_mut().and_then(|noted| noted.first_entry()) else { return };
            first.get_mut().pop_first();
            if first.get().is_empty() {
                first.remove();
            }
        }
    }

    /// Notes a key. Returns whether it was not noted before.
    pub fn note(&mut self, namespace: &str, key: &str) -> Result<bool> {
        let Some(noted) = &mut self.0 else { return Ok(false) };
        if noted.get(namespace).is_some_and(|keys| keys.contains_key(key)) {
            return Ok(false);
        }
        namespace_map::insert(noted, namespace, copy_text(key)?.into(), Box::new(0));
        Ok(true)
    }

    /// Forgets a key whose change is undone.
    pub fn forget(&mut self, namespace: &str, key: &str) {
        if let Some(noted) = &mut self.0 {
            namespace_map::remove(noted, namespace, key);
        }
    }
}
