//! The maps of this back end: something for each key, by namespace.

use std::collections::BTreeMap;

/// No namespace is empty. What is boxed is of one size, so that all such maps,
/// within and without, are one code to a compiler that minds its size.
pub(super) type NamespaceMap<T> = BTreeMap<Box<str>, Box<BTreeMap<Box<str>, Box<T>>>>;

/// Returns what was there.
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

/// Returns what was there.
#[inline(never)]
pub(super) fn remove<T>(all: &mut NamespaceMap<T>, namespace: &str, key: &str) -> Option<Box<T>> {
    let keys = all.get_mut(namespace)?;
    let value = keys.remove(key);
    if keys.is_empty() {
        all.remove(namespace);
    }
    value
}
