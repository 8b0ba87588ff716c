//! The keys that have changed since the last record: see `record`.

// Only the WebAssembly exports ask for records.
#![cfg_attr(not(any(target_family = "wasm", test)), allow(dead_code))]

use super::maps::{Ids, shared};
use super::slab::Slab;
use crate::error::Result;

/// The keys that have changed since the last record. Before the first record, none are noted.
#[derive(Default)]
pub(super) struct Changes(Option<Noted>);

/// The maps are of the type of those of the rows, so that there is one copy of the code.
struct Noted {
    /// The numbers of the namespaces, none of which is empty.
    names: Ids,
    /// The keys of each namespace. Their numbers mean nothing.
    keys: Slab<Ids>,
}

impl Changes {
    /// Starts to note changes.
    pub fn none() -> Self {
        Changes(Some(Noted { names: Ids::new(), keys: Slab::new() }))
    }

    pub fn are_noted(&self) -> bool {
        self.0.is_some()
    }

    /// Calls `each` for the keys until it returns `false`.
    pub fn each(&self, each: &mut dyn FnMut(&str, &str) -> bool) {
        let Some(Noted { names, keys }) = &self.0 else { return };
        for (name, id) in names {
            for key in keys.get(*id).into_iter().flat_map(Ids::keys) {
                if !each(name, key) {
                    return;
                }
            }
        }
    }

    /// Forgets the first keys, which were recorded.
    pub fn forget_first(&mut self, count: usize) {
        let Some(Noted { names, keys }) = &mut self.0 else { return };
        for _ in 0..count {
            let Some(id) = names.values().next().copied() else { return };
            let is_empty = keys.get_mut(id).is_none_or(|first| {
                first.pop_first();
                first.is_empty()
            });
            if is_empty {
                keys.remove(id);
                names.pop_first();
            }
        }
    }

    /// Notes a key. Returns whether it was not noted before.
    pub fn note(&mut self, namespace: &str, key: &str) -> Result<bool> {
        let Some(Noted { names, keys }) = &mut self.0 else { return Ok(false) };
        if let Some(noted) = names.get(namespace).and_then(|id| keys.get_mut(*id)) {
            return Ok(!noted.contains_key(key) && noted.insert(shared(key)?, 0).is_none());
        }
        let (name, key) = (shared(namespace)?, shared(key)?);
        keys.reserve()?;
        let mut first = Box::new(Ids::new());
        first.insert(key, 0);
        names.insert(name, keys.insert(first));
        Ok(true)
    }

    /// Forgets a key whose change is undone.
    pub fn forget(&mut self, namespace: &str, key: &str) {
        let Some(Noted { names, keys }) = &mut self.0 else { return };
        let Some(id) = names.get(namespace).copied() else { return };
        let Some(noted) = keys.get_mut(id) else { return };
        noted.remove(key);
        if noted.is_empty() {
            keys.remove(id);
            names.remove(namespace);
        }
    }
}
