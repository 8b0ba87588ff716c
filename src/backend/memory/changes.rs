//! What has changed since it was last told: see `record`.

// Only the WebAssembly door asks for records.
#![cfg_attr(not(any(target_family = "wasm", test)), allow(dead_code))]

use super::super::copy_text;
use super::by_namespace::{self, ByNamespace};
use crate::error::Result;

/// The keys that have changed since the last record. None are noted before the first one.
#[derive(Default)]
pub(super) struct Changes(Option<Noted>);

/// (A set would be another code: see [`ByNamespace`].)
type Noted = ByNamespace<u8>;

impl Changes {
    /// From now on they are noted.
    pub fn none() -> Self {
        Changes(Some(Noted::new()))
    }

    pub fn are_noted(&self) -> bool {
        self.0.is_some()
    }

    pub fn each(&self, each: &mut dyn FnMut(&str, &str)) {
        for (name, keys) in self.0.iter().flatten() {
            keys.keys().for_each(|key| each(name, key));
        }
    }

    pub fn note(&mut self, namespace: &str, key: &str) -> Result<()> {
        let noted = |changes: &Noted| changes.get(namespace).is_some_and(|keys| keys.contains_key(key));
        if self.0.as_ref().is_some_and(|changes| !noted(changes)) {
            self.note_removed(namespace, copy_text(key)?.into());
        }
        Ok(())
    }

    /// The same for a row that was removed, whose own key is kept: deleting has to go where there is no memory.
    pub fn note_removed(&mut self, namespace: &str, key: Box<str>) {
        if let Some(noted) = &mut self.0 {
            by_namespace::insert(noted, namespace, key, Box::new(0));
        }
    }
}
