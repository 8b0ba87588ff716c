//! Stores and namespaces: every request is checked here once, given the time, and passed to a back end.

use std::fmt;
#[cfg(feature = "sqlite")]
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::backend::{Backend, Change, Range, memory::Memory};
use crate::clock::Clock;
use crate::cursor;
use crate::error::{Error, Result};
use crate::fork;
use crate::types::{Entry, Limits, ListOptions, OpenOptions, Page, PutOptions};

/// A key-value store: namespaces of keys, on disk or in memory.
///
/// A cheap handle; clones are the same store, and any thread may use one at any time. The store closes with its last
/// handle (namespaces hold one), or at once with [`Store::close`].
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    backend: Box<dyn Backend>,
    limits: Limits,
    clock: Clock,
    /// Set by [`Store::close`]; a back end then refuses everything by itself.
    closed: AtomicBool,
    /// The database file's path, or `memory`: what a person calls this store.
    label: String,
}

impl Inner {
    /// The way to the back end. A process forks before the call or after it, never during it.
    fn call<T>(&self, call: impl FnOnce(&dyn Backend) -> Result<T>) -> Result<T> {
        let _call = fork::enter();
        call(&*self.backend)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.call(|backend| backend.close());
    }
}

/// How many entries one step of a sweep removes. Between the steps others can write, also from this process.
const SWEEP_STEP: u64 = 500;

impl Store {
    /// Opens the database file at `path`, and makes it, with the folders it lies in, where it is missing.
    ///
    /// A file that Luat wrote is taken over with all that it holds, and Luat can go on using it.
    #[cfg(feature = "sqlite")]
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Store> {
        let _call = fork::enter();
        let backend = crate::backend::sqlite::Sqlite::open(path.as_ref(), options)?;
        let label = backend.path().display().to_string();
        Ok(Store::over(Box::new(backend), label, options))
    }

    /// Opens the store of the project that `dir` (`None`: the working directory) lies in: `kv.db` in the data folder
    /// that its `luat.toml` names, else in `.luat/data`.
    #[cfg(feature = "sqlite")]
    pub fn open_project(dir: Option<&Path>, options: &OpenOptions) -> Result<Store> {
        Store::open(crate::project::database(dir)?, options)
    }

    /// A new, empty store in memory, which is gone when it closes.
    pub fn open_memory(options: &OpenOptions) -> Result<Store> {
        if options.readonly {
            return Err(Error::invalid("a store in memory begins empty; opened for reading only it would stay so"));
        }
        Ok(Store::over(Box::new(Memory::new()), "memory".to_owned(), options))
    }

    fn over(backend: Box<dyn Backend>, label: String, options: &OpenOptions) -> Store {
        let (limits, clock, closed) = (options.limits, options.clock.clone(), AtomicBool::new(false));
        Store(Arc::new(Inner { backend, limits, clock, closed, label }))
    }

    /// The namespace of that name: UTF-8, not empty. Nothing is written until a key is put.
    pub fn namespace(&self, name: &str) -> Result<Namespace> {
        if self.0.closed.load(Ordering::Relaxed) {
            return Err(Error::closed());
        }
        self.0.limits.namespace(name)?;
        Ok(Namespace { store: self.clone(), name: name.into() })
    }

    /// Removes up to `max` expired entries (`None`: all of them) from the file and counts them. Nobody can see expired
    /// entries, and writes remove them little by little, so this is never needed for correct answers.
    pub fn sweep(&self, max: Option<u64>) -> Result<u64> {
        let (max, now) = (max.unwrap_or(u64::MAX), self.0.clock.now());
        let mut removed = 0;
        while removed < max {
            let step = SWEEP_STEP.min(max - removed);
            let swept = self.0.call(|backend| backend.sweep(step, now))?;
            removed += swept;
            if swept < step {
                break;
            }
        }
        Ok(removed)
    }

    /// Closes the store for all its handles; using them is an error from then on. Closing again is harmless.
    pub fn close(&self) -> Result<()> {
        self.0.closed.store(true, Ordering::Relaxed);
        self.0.call(|backend| backend.close())
    }

    /// The limits that it was opened with.
    #[cfg_attr(not(feature = "module"), allow(dead_code))]
    pub(crate) fn limits(&self) -> Limits {
        self.0.limits
    }

    /// The database file's absolute path, or `memory`.
    pub fn label(&self) -> &str {
        &self.0.label
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.0.label)
    }
}

/// A set of keys of its own within a store.
///
/// A cheap handle, for any thread at any time. It keeps its store open.
#[derive(Clone, Debug)]
pub struct Namespace {
    store: Store,
    name: Arc<str>,
}

impl Namespace {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The store that it lies in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The value of a key; `None` if it is missing or expired.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.get_entry(key)?.map(|entry| entry.value))
    }

    /// The value of a key with its metadata and expiration; `None` if it is missing or expired.
    pub fn get_entry(&self, key: &str) -> Result<Option<Entry>> {
        let mut entry = Entry::default();
        Ok(self.read(key, &mut entry)?.then_some(entry))
    }

    /// Like [`get_entry`](Namespace::get_entry) into an entry of the caller's, whose memory is used again. Answers
    /// whether the key was there; if not, the entry's contents mean nothing.
    pub fn read(&self, key: &str, entry: &mut Entry) -> Result<bool> {
        let inner = &*self.store.0;
        inner.limits.key(key)?;
        let now = inner.clock.now();
        inner.call(|backend| backend.get(&self.name, key, now, entry))
    }

    /// Stores a value, and replaces all that the key held before: value, metadata and expiration.
    pub fn put(&self, key: &str, value: &[u8], options: &PutOptions<'_>) -> Result<()> {
        let inner = &*self.store.0;
        inner.limits.key(key)?;
        inner.limits.value(value)?;
        let now = inner.clock.now();
        let expiration = inner.limits.put(options, now)?;
        self.write(Change::Put { key, value, metadata: options.metadata, expiration }, now)
    }

    /// Removes a key. That it is missing is no error.
    pub fn delete(&self, key: &str) -> Result<()> {
        let inner = &*self.store.0;
        inner.limits.key(key)?;
        self.write(Change::Delete { key }, inner.clock.now())
    }

    fn write(&self, change: Change<'_>, now: i64) -> Result<()> {
        self.store.0.call(|backend| backend.write(&self.name, &[change], now))
    }

    /// One page of live keys, in byte order.
    pub fn list(&self, options: &ListOptions<'_>) -> Result<Page> {
        let inner = &*self.store.0;
        let limit = inner.limits.list(options)?;
        let mut from = options.prefix.to_owned();
        if let Some(cursor) = options.cursor {
            let mut next = cursor::decode(cursor)?;
            next.push('\0'); // the very next key after the cursor's
            from = from.max(next);
        }
        let below = after_prefix(options.prefix);
        let range = Range { namespace: &self.name, from: &from, below: below.as_deref() };
        // One more than asked for tells whether anything live is left.
        let now = inner.clock.now();
        let mut keys = inner.call(|backend| backend.list(range, limit + 1, now))?;
        let more = keys.len() > limit;
        keys.truncate(limit);
        let cursor = keys.last().filter(|_| more).map(|last| cursor::encode(&last.name));
        Ok(Page { keys, cursor })
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
