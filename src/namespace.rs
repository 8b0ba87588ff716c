//! Namespaces: each request is checked here once, gets the present time, and goes to a back end.

use std::mem::MaybeUninit;
use std::sync::Arc;

use crate::backend::{
    self, Action, Content, Entries, Op, Outcome, PEEKS, Peek, Peeked, Projection, Range, Step, copy_text,
};
#[cfg(feature = "sqlite")]
use crate::backend::{Removed, sqlite::Prepared};
use crate::cursor;
use crate::error::{Error, Result};
use crate::oom_reserve::{self, Usage};
use crate::scan::Scan;
use crate::store::Store;
use crate::types::{Entry, IncrOptions, Limits, ListOptions, Page, PutOptions};
use crate::version::Version;
#[cfg(target_family = "wasm")]
use crate::{backend::memory::Seen, store::memory};

/// A set of keys within a store, separate from those of other namespaces.
///
/// A handle is cheap, and any thread may use it at any time. It keeps its store open.
#[derive(Clone, Debug)]
pub struct Namespace {
    store: Store,
    name: Arc<str>,
    #[cfg(feature = "sqlite")]
    prepared: Prepared,
}

/// How much one step of a long removal takes: about a millisecond. The pause between two steps is a fifth of that. So a
/// writer that is not woken, but tries again now and then, soon finds one.
const REMOVE_STEP: Step = Step { rows: 1000, bytes: 512 * 1024 };

/// A value of this many bytes is read to the stack first, so that the buffer that it is copied to has its length.
const SMALL: usize = 512;

impl Store {
    /// Returns the namespace of this name (UTF-8, not empty). Nothing is written until a key is put.
    pub fn namespace(&self, name: &str) -> Result<Namespace> {
        self.check_open()?;
        self.0.limits.namespace(name)?;
        let usage = Usage::now();
        let namespace = Namespace {
            store: self.clone(),
            name: name.into(),
            #[cfg(feature = "sqlite")]
            prepared: Prepared::of(name),
        };
        usage.check_unchanged().map(|()| namespace)
    }
}

impl Namespace {
    /// The name of the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// The store that contains the namespace.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Passes a row to `see`, without a copy of it: see `Memory::see`.
    #[cfg(target_family = "wasm")]
    pub(crate) fn see<T>(&self, key: &str, mut see: impl FnMut(Seen<'_>) -> T) -> Result<Option<T>> {
        let inner = &*self.store.0;
        inner.call(|backend| memory(backend)?.see(&self.name, key, &inner.clock, &mut see))
    }

    /// Returns the value of a key; `None` if the key is missing or expired.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let mut entry = Entry::default();
        Ok(self.read_value(key, &mut entry)?.then(|| entry.into_value()))
    }

    /// Copies the value of a key to `to` if the back end has it at hand, and it is not equal to `known`: the short way
    /// for the most frequent call. After `None`, the caller has to read it by another method, which also reports what is
    /// wrong with the key.
    #[inline(always)]
    pub(crate) fn peek(&self, key: &[u8], known: Option<&[u8]>, to: &mut [MaybeUninit<u8>]) -> Option<Peeked> {
        let inner = &*self.store.0;
        // What is known was checked by the limits of some store on the file. None are wider than these.
        if !PEEKS || inner.limits != Limits::Default {
            return None;
        }
        inner.backend().peek(&mut Peek {
            namespace: &self.name,
            key,
            #[cfg(feature = "sqlite")]
            prepared: &self.prepared,
            clock: &inner.clock,
            known,
            to,
        })
    }

    /// The same for an entry's value, whose buffer is reused. Returns `None` as it does.
    #[inline(always)]
    pub(crate) fn peek_value(&self, key: &[u8], known: Option<&[u8]>, entry: &mut Entry) -> Option<Result<Peeked>> {
        let value = entry.value.get_or_insert_default();
        value.clear();
        let mut small = [const { MaybeUninit::uninit() }; SMALL];
        let to = if value.capacity() > SMALL { value.spare_capacity_mut() } else { &mut small };
        let room = to.len();
        let peeked = self.peek(key, known, to)?;
        match peeked {
            Peeked::Found(len) if len > room => self.peek_large(key, len, value),
            Peeked::Found(len) if room > SMALL => {
                // SAFETY: so many bytes were copied to the buffer.
                unsafe { value.set_len(len) };
                Some(Ok(peeked))
            }
            Peeked::Found(len) => {
                // SAFETY: so many bytes were copied to it.
                let small = unsafe { std::slice::from_raw_parts(small.as_ptr().cast(), len) };
                Some(backend::copy(small, value).map(|()| peeked))
            }
            Peeked::Known | Peeked::Missing => Some(Ok(peeked)),
        }
    }

    /// The same for a value of about this length, which the buffer has no room for.
    #[cold]
    fn peek_large(&self, key: &[u8], len: usize, value: &mut Vec<u8>) -> Option<Result<Peeked>> {
        if value.try_reserve_exact(len).is_err() {
            return Some(Err(Error::no_memory(len)));
        }
        let room = value.capacity();
        let peeked = self.peek(key, None, value.spare_capacity_mut())?;
        match peeked {
            Peeked::Found(len) if len <= room => {
                // SAFETY: so many bytes were copied to the buffer.
                unsafe { value.set_len(len) };
                Some(oom_reserve::check().map(|()| peeked))
            }
            _ => None,
        }
    }

    /// Returns the value of a key with its metadata, expiration and version; `None` if the key is missing or expired.
    pub fn get_entry(&self, key: &str) -> Result<Option<Entry>> {
        let mut entry = Entry::default();
        Ok(self.read(key, &mut entry)?.then_some(entry))
    }

    /// Like [`get_entry`](Namespace::get_entry), but reuses the memory of an entry. Returns whether the key was there;
    /// if not, the contents of the entry are unspecified.
    pub fn read(&self, key: &str, entry: &mut Entry) -> Result<bool> {
        if !self.read_what(key, Projection::Entry, entry)? {
            return Ok(false);
        }
        entry.key.clear();
        entry.key.try_reserve(key.len()).map_err(|_| Error::no_memory(key.len()))?;
        entry.key.push_str(key);
        Ok(true)
    }

    /// Like [`read`](Namespace::read), for the value alone, which costs less. The other fields of the entry are
    /// unspecified.
    #[inline(always)]
    pub fn read_value(&self, key: &str, entry: &mut Entry) -> Result<bool> {
        match self.peek_value(key.as_bytes(), None, entry) {
            Some(peeked) => peeked.map(|peeked| peeked != Peeked::Missing),
            None => self.read_what(key, Projection::Value, entry),
        }
    }

    /// Returns whether a key is there, without reading its value.
    pub fn has(&self, key: &str) -> Result<bool> {
        self.read_what(key, Projection::Nothing, &mut Entry::default())
    }

    #[inline(always)]
    pub(crate) fn read_what(&self, key: &str, projection: Projection, entry: &mut Entry) -> Result<bool> {
        let inner = &*self.store.0;
        inner.limits.key(key)?;
        inner.call(|backend| backend.get(&self.name, key, projection, inner.clock.now(), entry))
    }

    /// Returns the entries of those keys that are there, with their values, in byte order, each once, as of one moment.
    /// Takes 1 to 10 000 keys (with Cloudflare's limits, 1 to 100).
    pub fn get_many(&self, keys: &[&str]) -> Result<Vec<Entry>> {
        let inner = &*self.store.0;
        inner.limits.keys(keys)?;
        let mut sorted = Vec::new();
        sorted.try_reserve_exact(keys.len()).map_err(|_| Error::no_memory(size_of_val(keys)))?;
        sorted.extend_from_slice(keys);
        sorted.sort_unstable();
        sorted.dedup();
        inner.call(|backend| backend.get_many(&self.name, &sorted, inner.clock.now()))
    }

    /// Stores a value that does not expire and has no metadata. See [`put_with`](Namespace::put_with).
    pub fn put(&self, key: &str, value: impl AsRef<[u8]>) -> Result<Version> {
        self.put_with(key, value, &PutOptions::new())
    }

    /// Stores a value. Replaces everything that the key held: value, metadata and expiration. Returns the new version
    /// of the entry.
    pub fn put_with(&self, key: &str, value: impl AsRef<[u8]>, options: &PutOptions<'_>) -> Result<Version> {
        let content = self.content(key, value.as_ref(), options)?;
        self.write(&mut self.op(key, Action::Put(content)))
    }

    /// Stores a value if the key is missing. See [`add_with`](Namespace::add_with).
    pub fn add(&self, key: &str, value: impl AsRef<[u8]>) -> Result<Option<Version>> {
        self.add_with(key, value, &PutOptions::new())
    }

    /// Stores a value if the key is missing, and returns the new version; `None` if the key was there.
    pub fn add_with(&self, key: &str, value: impl AsRef<[u8]>, options: &PutOptions<'_>) -> Result<Option<Version>> {
        let content = self.content(key, value.as_ref(), options)?;
        let mut op = self.op(key, Action::Add(content));
        let version = self.write(&mut op)?;
        Ok((!op.answer.found).then_some(version))
    }

    /// Refuses what cannot be stored, before the write has to wait for others.
    fn content<'a>(&self, key: &str, value: &'a [u8], options: &PutOptions<'a>) -> Result<Content<'a>> {
        let inner = &*self.store.0;
        inner.limits.key(key)?;
        inner.limits.value(value)?;
        Ok(Content { value, metadata: options.metadata, expires: inner.limits.put(options, &inner.clock)? })
    }

    /// Gives a key another expiration, or none if both arguments are `None`. Returns whether the key was there. Its
    /// value and metadata stay.
    pub fn touch(&self, key: &str, expiration: Option<i64>, expiration_ttl: Option<i64>) -> Result<bool> {
        let inner = &*self.store.0;
        inner.limits.key(key)?;
        let expires = inner.limits.lifetime(expiration, expiration_ttl, &inner.clock)?;
        let mut op = self.op(key, Action::Touch(expires));
        self.write(&mut op).map(|_| op.answer.found)
    }

    /// Adds `by` to a counter that starts at 0 and does not expire. See [`incr_with`](Namespace::incr_with).
    pub fn incr(&self, key: &str, by: i64) -> Result<i64> {
        self.incr_with(key, by, &IncrOptions::new())
    }

    /// Adds `by` to the integer that a key holds as decimal text, and returns the sum. A missing key starts at
    /// `initial`, with the expiration of the options; an existing key keeps its expiration and metadata.
    ///
    /// If the value is not a 64-bit integer, or the sum would overflow one, the result is an error with
    /// [`Detail::NotInteger`](crate::Detail::NotInteger).
    pub fn incr_with(&self, key: &str, by: i64, options: &IncrOptions) -> Result<i64> {
        let inner = &*self.store.0;
        inner.limits.key(key)?;
        let expires = inner.limits.lifetime(options.expiration, options.expiration_ttl, &inner.clock)?;
        let mut op = self.op(key, Action::Incr { by, initial: options.initial, expires });
        self.write(&mut op).map(|_| op.answer.sum)
    }

    /// Removes a key, and returns whether it was there. A missing key is not an error.
    pub fn delete(&self, key: &str) -> Result<bool> {
        self.store.0.limits.key(key)?;
        let mut op = self.op(key, Action::Delete);
        self.write(&mut op).map(|_| op.answer.found)
    }

    /// Removes a key, and returns the entry that it held; `None` if the key is missing or expired.
    pub fn take(&self, key: &str) -> Result<Option<Entry>> {
        self.store.0.limits.key(key)?;
        let mut entry = Entry { key: copy_text(key)?, ..Entry::default() };
        let mut op = self.op(key, Action::Take);
        self.write(&mut op)?;
        let Some(taken) = op.answer.entry else { return Ok(None) };
        (entry.value, entry.metadata) = (taken.value, taken.metadata);
        (entry.expiration, entry.version) = (taken.expiration, taken.version);
        Ok(Some(entry))
    }

    /// Removes a key if it still has this version, and returns whether it did. A caller that could fail between reading
    /// an entry and passing it on uses this instead of [`take`](Namespace::take).
    #[cfg_attr(not(feature = "internals"), allow(dead_code))]
    pub(crate) fn delete_version(&self, key: &str, version: Version) -> Result<bool> {
        self.store.0.limits.key(key)?;
        let mut ops = [self.op(key, Action::Check(Some(version))), self.op(key, Action::Delete)];
        Ok(self.store.0.write(&mut ops)? != Outcome::Conflict)
    }

    /// A write of one operation other than a check, so it has no conflicts.
    fn write(&self, op: &mut Op<'_>) -> Result<Version> {
        match self.store.0.write(std::slice::from_mut(op))? {
            Outcome::Done(version) => Ok(version),
            Outcome::Conflict => Ok(Version::default()),
        }
    }

    fn op<'a>(&'a self, key: &'a str, action: Action<'a>) -> Op<'a> {
        Op::new(&self.name, key, action)
    }

    /// Checks the options of a list before it begins.
    #[cfg_attr(not(feature = "internals"), allow(dead_code))]
    pub(crate) fn check(&self, options: &ListOptions<'_>) -> Result<()> {
        self.store.check_open()?;
        self.store.0.limits.list(options).map(|_| ())
    }

    /// Returns one page of live keys, in byte order, or in reverse.
    pub fn list(&self, options: &ListOptions<'_>) -> Result<Page> {
        let mut entries = Vec::new();
        let cursor = self.list_into(options, &mut entries)?;
        Ok(Page { entries, cursor })
    }

    /// Collects the entries of one page, and returns the cursor after it, if there are more.
    pub(crate) fn list_into(&self, options: &ListOptions<'_>, entries: &mut dyn Entries) -> Result<Option<String>> {
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
        let scan = backend::Scan { reverse, values, limit };
        let found = inner.call(|backend| {
            entries.clear();
            backend.list(range, scan, inner.clock.now(), entries)
        })?;
        let last = entries.last_key().filter(|_| found.more);
        #[cfg(feature = "sqlite")]
        if found.passed_expired {
            self.remove_expired(range, reverse, last.and_then(|last| std::str::from_utf8(last).ok()));
        }
        Ok(last.map(|last| cursor::encode(last, prefix, reverse)))
    }

    /// Removes the expired rows that a list has passed, so that the next list does not pass them again. `last` is
    /// where it ended, if the range has more. If others use the database or it cannot be written, the rows stay.
    #[cfg(feature = "sqlite")]
    fn remove_expired(&self, range: Range<'_>, reverse: bool, last: Option<&str>) {
        /// A step finds at most 1000 rows, so one list removes at most a million.
        const STEPS: usize = 1000;
        let inner = &*self.store.0;
        let (from, below) = if reverse { (last, range.below) } else { (None, last.or(range.below)) };
        let mut from = from.unwrap_or(range.from).to_owned();
        for _ in 0..STEPS {
            let rest = Range { from: &from, below, ..range };
            match inner.try_call(|backend| backend.remove_expired(rest, REMOVE_STEP, &inner.clock)) {
                Ok(Removed { last: Some(last), .. }) => from = last + "\0",
                _ => return,
            }
            inner.pause();
        }
    }

    /// Iterates over the live entries that the options select, and fetches as many pages as that takes. `limit` applies
    /// to the whole iteration. Each page is as of one moment, so keys that are put or removed meanwhile may or may not
    /// appear.
    ///
    /// ```
    /// # use luat_kv::{ListOptions, OpenOptions, Store};
    /// # let store = Store::open_memory(&OpenOptions::new())?;
    /// # let users = store.namespace("users")?;
    /// users.put("user:1", "Alice")?;
    /// for entry in users.scan(&ListOptions::new().prefix("user:").values(true)) {
    ///     let entry = entry?;
    ///     println!("{}: {} bytes", entry.key, entry.value().len());
    /// }
    /// # Ok::<(), luat_kv::Error>(())
    /// ```
    pub fn scan<'a>(&self, options: &ListOptions<'a>) -> Scan<'a> {
        Scan::new(self.clone(), *options)
    }

    /// Counts the keys that begin with `prefix`.
    pub fn count(&self, prefix: &str) -> Result<u64> {
        let inner = &*self.store.0;
        inner.limits.bound("prefix", prefix)?;
        let below = after_prefix(prefix);
        let range = Range { namespace: &self.name, from: prefix, below: below.as_deref() };
        inner.call(|backend| backend.count(range, inner.clock.now()))
    }

    /// Removes all keys that begin with `prefix`, and returns how many. It works in small steps, not in one
    /// transaction, and others can write between the steps. So an error half-way leaves the rest of the keys in place,
    /// and keys that are put meanwhile may stay.
    ///
    /// An empty prefix is an error, since it may come from a variable that was not set: [`clear`](Namespace::clear)
    /// removes all keys.
    pub fn delete_prefix(&self, prefix: &str) -> Result<u64> {
        self.delete_prefix_with(prefix, &mut |_| {})
    }

    /// Like [`delete_prefix`](Self::delete_prefix), and calls `progress` after each step with the number of keys that
    /// were removed so far.
    pub fn delete_prefix_with(&self, prefix: &str, progress: &mut dyn FnMut(u64)) -> Result<u64> {
        match prefix {
            "" => Err(Error::invalid("the prefix is empty; to remove all keys, clear the namespace")),
            prefix => self.remove_all(prefix, progress),
        }
    }

    /// Removes all keys of the namespace, as [`delete_prefix`](Namespace::delete_prefix) does.
    pub fn clear(&self) -> Result<u64> {
        self.clear_with(&mut |_| {})
    }

    /// Like [`clear`](Self::clear), and calls `progress` after each step with the number of keys that were removed so
    /// far.
    pub fn clear_with(&self, progress: &mut dyn FnMut(u64)) -> Result<u64> {
        self.remove_all("", progress)
    }

    fn remove_all(&self, prefix: &str, progress: &mut dyn FnMut(u64)) -> Result<u64> {
        let inner = &*self.store.0;
        inner.limits.bound("prefix", prefix)?;
        let below = after_prefix(prefix);
        let all = Range { namespace: &self.name, from: prefix, below: below.as_deref() };
        // It ends at what is the last key now. Otherwise a process that keeps adding keys could keep this loop running.
        let end = backend::Scan { reverse: true, values: false, limit: 1 };
        let mut last = Vec::<Entry>::new();
        inner.call(|backend| backend.list(all, end, inner.clock.now(), &mut last))?;
        let Some(end) = last.pop().map(|last| last.key + "\0") else { return Ok(0) };
        let (mut from, mut live) = (prefix.to_owned(), 0);
        loop {
            let range = Range { namespace: &self.name, from: &from, below: Some(&end) };
            let step = inner.call(|backend| backend.remove(range, REMOVE_STEP, &inner.clock))?;
            live += step.live;
            progress(live);
            match step.last {
                Some(last) => from = last + "\0",
                None => return Ok(live),
            }
            inner.pause();
        }
    }
}

/// Returns the first string, in byte order, after all that begin with `prefix`; `None` if there is none.
///
/// UTF-8 sorts by code point, so the result is the prefix, without trailing U+10FFFF, with its last character
/// incremented.
pub(crate) fn after_prefix(prefix: &str) -> Option<String> {
    let stem = prefix.trim_end_matches(char::MAX);
    let last = stem.chars().next_back()?;
    let mut after = stem[..stem.len() - last.len_utf8()].to_owned();
    after.extend((last..=char::MAX).nth(1));
    Some(after)
}

/// The earlier of two ends. `None` means no end, so it is the latest.
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
