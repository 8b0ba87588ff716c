//! The keys that have changed since the last record: see `record`.

// Only the WebAssembly exports ask for records.
#![cfg_attr(not(any(target_family = "wasm", test)), allow(dead_code))]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::maps::{Ids, shared};
use crate::error::Result;

/// The keys that have changed since the last record. Before the first record, none are noted.
#[derive(Default)]
pub(super) struct Changes(Option<Noted>);

/// No namespace is empty. (Sets would be compiled separately: the numbers mean nothing.)
type Noted = BTreeMap<Arc<str>, Box<Ids>>;

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
        match noted.get_mut(namespace) {
            Some(keys) if keys.contains_key(key) => return Ok(false),
            Some(keys) => _ = keys.insert(shared(key)?, 0),
            None => {
                let mut keys = Box::new(Ids::new());
                keys.insert(shared(key)?, 0);
                noted.insert(shared(namespace)?, keys);
            }
        }
        Ok(true)
    }

    /// Forgets a key whose change is undone.
    pub fn forget(&mut self, namespace: &str, key: &str) {
        let Some(noted) = &mut self.0 else { return };
        if let Some(keys) = noted.get_mut(namespace) {
            keys.remove(key);
            if keys.is_empty() {
                noted.remove(namespace);
            }
        }
    }
}
