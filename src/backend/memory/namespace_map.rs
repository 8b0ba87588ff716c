//! The maps of this back end: a value for each key, by namespace.

use std::collections::BTreeMap;

/// No namespace is empty. All values are boxed, so they have one size, and a compiler that optimizes for size can share
/// one copy of the code between all such maps, outer and inner.
pub(super) type NamespaceMap<T> = BTreeMap<Box<str>, Box<BTreeMap<Box<str>, Box<T>>>>;

/// Returns the previous value.
#[inline(never)]
pub(super) fn insert<T>(all: &mut NamespaceMap<T>, namespace: &str, key: Box<str>, value: Box<T>) -> Option<Box<T>> {
    if let Some(keys) = all.get_mut(namespace) {
        return keys.insert(key, value);
    }
    let mut keys = Box::new(BTreeMap::new());
    keys.insert(key, value);
    all.insert(namespace.into(), keys);
    None
}

/// Returns the removed value.
#[inline(never)]
pub(super) fn remove<T>(all: &mut NamespaceMap<T>, namespace: &str, key: &str) -> Option<Box<T>> {
    let keys = all.get_mut(namespace)?;
    let value = keys.remove(key);
    if keys.is_empty() {
        all.remove(namespace);
    }
    value
}
