//! Namespaces: every request is checked here once, given the time, and passed to a back end.

use std::sync::Arc;

use crate::backend::{Body, Extent, Put, Range, Removed, Step, Walk, Want};
use crate::counter::{Increment, increment};
use crate::cursor;
use crate::error::Result;
use crate::store::Store;
use crate::types::{Entry, IncrOptions, KeyInfo, ListOptions, Page, PutOptions};
use crate::version::Version;

/// A set of keys of its own within a store.
///
/// A cheap handle, for any thread at any time. It keeps its store open.
#[derive(Clone, Debug)]
pub struct Namespace {
    store: Store,
    name: Arc<str>,
}

/// How much one step of a long removal takes: a few milliseconds' worth.
const REMOVE_STEP: Step = Step { rows: 1000, bytes: 4 * 1024 * 1024 };

impl Store {
    /// The namespace of that name: UTF-8, not empty. Nothing is written until a key is put.
    pub fn namespace(&self, name: &str) -> Result<Namespace> {
        self.check_open()?;
        self.0.limits.namespace(name)?;
        Ok(Namespace { store: self.clone(), name: name.into() })
    }
}

impl Namespace {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// The store that it lies in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The value of a key; `None` if it is missing or expired.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let mut entry = Entry::default();
        Ok(self.read_value(key, &mut entry)?.then_some(entry.value))
    }

    /// The value of a key with its metadata, expiration and version; `None` if it is missing or expired.
    pub fn get_entry(&self, key: &str) -> Result<Option<Entry>> {
        let mut entry = Entry::default();
        Ok(self.read(key, &mut entry)?.then_some(entry))
    }

    /// Like [`get_entry`](Namespace::get_entry) into an entry of the caller's, whose memory is used again. Answers
    /// whether the key was there; if not, the entry's contents mean nothing.
    pub fn read(&self, key: &str, entry: &mut Entry) -> Result<bool> {
        self.read_what(key, Want::Entry, entry)
    }

    /// The same for the value alone, which costs less; the entry's other fields mean nothing.
    pub fn read_value(&self, key: &str, entry: &mut Entry) -> Result<bool> {
        self.read_what(key, Want::Value, entry)
    }

    fn read_what(&self, key: &str, want: Want, entry: &mut Entry) -> Result<bool> {
        let inner = &*self.store.0;
        inner.limits.key(key)?;
        let now = inner.clock.now();
        inner.call(|backend| backend.get(&self.name, key, want, now, entry))
    }

    /// Those of these keys that are there, with their values, in byte order and each once: all as they are at one
    /// moment. At least one key, and at most 10 000 (Cloudflare's limits: 100).
    pub fn get_many(&self, keys: &[&str]) -> Result<Vec<KeyInfo>> {
        let inner = &*self.store.0;
        inner.limits.keys(keys)?;
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        let now = inner.clock.now();
        inner.call(|backend| backend.get_many(&self.name, &keys, now))
    }

    /// Stores a value, and replaces all that the key held before: value, metadata and expiration.
    pub fn put(&self, key: &str, value: &[u8], options: &PutOptions<'_>) -> Result<()> {
        let (put, now) = self.checked(key, value, options)?;
        self.write(now, Extent::OneChange, &mut |rows| rows.put(&self.name, put).map(|()| true)).map(|_| ())
    }

    /// Stores a value if the key is missing, and answers whether it was.
    pub fn add(&self, key: &str, value: &[u8], options: &PutOptions<'_>) -> Result<bool> {
        let (put, now) = self.checked(key, value, options)?;
        let added = self.write(now, Extent::Any, &mut |rows| {
            let missing = rows.version(&self.name, key)?.is_none();
            if missing {
                rows.put(&self.name, put)?;
            }
            Ok(missing)
        })?;
        Ok(added.is_some())
    }

    fn checked<'a>(&self, key: &'a str, value: &'a [u8], options: &PutOptions<'a>) -> Result<(Put<'a>, i64)> {
        let inner = &*self.store.0;
        inner.limits.key(key)?;
        inner.limits.value(value)?;
        let now = inner.clock.now();
        let expiration = inner.limits.put(options, now)?;
        Ok((Put { key, value, metadata: options.metadata, expiration }, now))
    }

    /// Gives a key another expiration, or with neither of them none, and answers whether the key was there. Its value
    /// and metadata stay.
    pub fn touch(&self, key: &str, expiration: Option<i64>, expiration_ttl: Option<i64>) -> Result<bool> {
        let inner = &*self.store.0;
        inner.limits.key(key)?;
        let now = inner.clock.now();
        let expiration = inner.limits.expiration(expiration, expiration_ttl, now)?;
        let touched = self.write(now, Extent::OneChange, &mut |rows| rows.touch(&self.name, key, expiration))?;
        Ok(touched.is_some())
    }

    /// Adds `by` to the whole number that a key holds as decimal text, and answers the sum. A missing key begins at
    /// `initial`, with the expiration of the options; one that is there keeps its expiration and metadata.
    ///
    /// A value that is no whole number of 64 bits, and a sum that would be none, are errors.
    pub fn incr(&self, key: &str, by: i64, options: &IncrOptions) -> Result<i64> {
        let inner = &*self.store.0;
        inner.limits.key(key)?;
        let now = inner.clock.now();
        let increment_by = Increment { by, initial: options.initial, expiration: inner.limits.incr(options, now)? };
        let mut sum = 0;
        self.write(now, Extent::Any, &mut |rows| {
            sum = increment(rows, &self.name, key, increment_by)?;
            Ok(true)
        })?;
        Ok(sum)
    }

    /// Removes a key. That it is missing is no error.
    pub fn delete(&self, key: &str) -> Result<()> {
        let inner = &*self.store.0;
        inner.limits.key(key)?;
        let now = inner.clock.now();
        self.write(now, Extent::OneChange, &mut |rows| rows.delete(&self.name, key).map(|()| true)).map(|_| ())
    }

    pub(crate) fn write(&self, now: i64, extent: Extent, body: &mut Body<'_>) -> Result<Option<Version>> {
        self.store.0.call(|backend| backend.write(now, extent, body))
    }

    /// Says what is wrong with a list before it begins.
    #[cfg_attr(not(feature = "module"), allow(dead_code))]
    pub(crate) fn check(&self, options: &ListOptions<'_>) -> Result<()> {
        self.store.check_open()?;
        self.store.0.limits.list(options).map(|_| ())
    }

    /// One page of live keys, in byte order, or the reverse of it.
    pub fn list(&self, options: &ListOptions<'_>) -> Result<Page> {
        let inner = &*self.store.0;
        let &ListOptions { prefix, reverse, values, .. } = options;
        let limit = inner.limits.list(options)?;
        let mut from = prefix.max(options.start).to_owned();
        let mut below = earlier(after_prefix(prefix), options.stop.map(str::to_owned));
        if let Some(cursor) = options.cursor {
            let last = cursor::decode(cursor, prefix, reverse)?;
            if reverse {
                below = earlier(below, Some(last));
            } else {
                from = from.max(last + "\0"); // the very next key after it
            }
        }
        let range = Range { namespace: &self.name, from: &from, below: below.as_deref() };
        let now = inner.clock.now();
        let found = inner.call(|backend| backend.list(range, Walk { reverse, values, limit }, now))?;
        let last = found.keys.last().filter(|_| found.more);
        let cursor = last.map(|last| cursor::encode(&last.name, prefix, reverse));
        Ok(Page { keys: found.keys, cursor })
    }

    /// How many keys begin with `prefix`.
    pub fn count(&self, prefix: &str) -> Result<u64> {
        let inner = &*self.store.0;
        inner.limits.bound("prefix", prefix)?;
        let below = after_prefix(prefix);
        let range = Range { namespace: &self.name, from: prefix, below: below.as_deref() };
        let now = inner.clock.now();
        inner.call(|backend| backend.count(range, now))
    }

    /// Removes all keys that begin with `prefix`, and counts them. Not in one transaction but in small steps, between
    /// which others can write: an error half-way leaves the rest in place, and so do keys that are put meanwhile.
    pub fn delete_prefix(&self, prefix: &str) -> Result<u64> {
        let inner = &*self.store.0;
        inner.limits.bound("prefix", prefix)?;
        let below = after_prefix(prefix);
        let range = Range { namespace: &self.name, from: prefix, below: below.as_deref() };
        let mut live = 0;
        loop {
            let mut step = Removed::default();
            self.write(inner.clock.now(), Extent::Any, &mut |rows| {
                step = rows.remove(range, REMOVE_STEP)?;
                Ok(step.rows > 0)
            })?;
            live += step.live;
            if step.done {
                return Ok(live);
            }
            inner.pause();
        }
    }

    /// Removes all keys of the namespace, as [`delete_prefix`](Namespace::delete_prefix) does.
    pub fn clear(&self) -> Result<u64> {
        self.delete_prefix("")
    }
}

/// The first text, in byte order, after all that begin with `prefix`; `None` if there is none.
///
/// UTF-8 sorts by code point, so it is the prefix with its last character one up, once any U+10FFFF have been cut away.
fn after_prefix(prefix: &str) -> Option<String> {
    let stem = prefix.trim_end_matches(char::MAX);
    let last = stem.chars().next_back()?;
    let mut after = stem[..stem.len() - last.len_utf8()].to_owned();
    after.extend((last..=char::MAX).nth(1));
    Some(after)
}

/// The earlier of two ends, of which `None` is the latest.
fn earlier(a: Option<String>, b: Option<String>) -> Option<String> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::after_prefix;

    #[test]
    fn a_prefix_ends_where_the_next_one_begins() {
        for (prefix, after) in [
            ("", None),
            ("a", Some("b")),
            ("post:", Some("post;")),
            ("\u{7f}", Some("\u{80}")),
            ("x\u{d7ff}", Some("x\u{e000}")), // over the surrogates
            ("x\u{10ffff}", Some("y")),
            ("\u{10ffff}\u{10ffff}", None),
        ] {
            assert_eq!(after_prefix(prefix).as_deref(), after, "{prefix:?}");
        }
    }
}
