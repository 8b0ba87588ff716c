//! Watches: what has changed since the last time that the caller asked.
//!
//! A watch remembers a stamp for each key that it watches. When the store may have changed, it compares the stamps with
//! the rows (`backend::comparison`), all as of one moment. So it needs no log of changes and costs a writer nothing but a
//! wake, and a caller that is slow finds the latest state of each key, however many changes led to it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

#[cfg(target_os = "linux")]
pub(crate) use self::notifier::Notifier;
use self::waiting::{Looks, Waiter};
use crate::backend::{Backend, Comparison, Found, Known, Moment, Origin, Pending, Watched, copy_text};
use crate::error::{Code, Error, Result};
use crate::namespace::{Namespace, after_prefix};
use crate::oom_reserve::Usage;
use crate::test_hooks;
use crate::types::{Change, WatchOptions};

#[cfg(target_os = "linux")]
mod notifier;
#[cfg_attr(target_family = "wasm", path = "watch/no_waiting.rs")]
mod waiting;

/// The maximum number of keys that one watch can name.
const MOST_KEYS: usize = 1000;

/// Reports changes of some keys of a namespace: see [`Namespace::watch`].
///
/// One thread at a time may wait with a watch. It keeps its store open. In the child of a fork it is of no use; the child
/// opens its own.
pub struct Watch {
    namespace: Namespace,
    keys: Vec<String>,
    prefix: String,
    below: Option<String>,
    values: bool,
    /// Whether a thread is in [`next`](Self::next).
    waits: AtomicBool,
    /// That thread holds it until it returns, and others only for a moment.
    seen: Mutex<Seen>,
    waiter: Waiter,
}

/// What a watch knows.
#[derive(Default)]
struct Seen {
    known: Known,
    /// What the last call has returned. It is known when the caller asks again.
    returned: Vec<Pending>,
    /// Whether the last look has left some changes for the next one.
    has_more: bool,
    /// Since when nothing else has changed; `None` if that is unknown.
    moment: Option<Moment>,
    looks: Looks,
}

/// A thread is in [`Watch::next`] until this is dropped.
struct Turn<'a>(&'a AtomicBool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Namespace {
    /// Begins to watch keys: [`Watch::next`] returns what changes from now on, whoever changes it. What the keys hold now
    /// is no change, unless [`existing`](WatchOptions::existing) is set: then it is what the first call returns. A program
    /// that keeps a copy of the keys sets it. With a list of its own it could miss the removal of a key that was put just
    /// before the list and removed just after.
    ///
    /// A watch compares all its keys whenever the store has changed, which takes about a millisecond for 1000 keys, and
    /// remembers the name of each. A prefix that many more keys begin with is better divided.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use luat_kv::{OpenOptions, Store, WatchOptions};
    /// # let store = Store::open_memory(&OpenOptions::new())?;
    /// let settings = store.namespace("settings")?;
    /// let watch = settings.watch(&WatchOptions::new().prefix("theme:").values(true))?;
    /// settings.put("theme:dark", "true")?;
    /// for change in watch.next(Duration::from_secs(5))? {
    ///     println!("{:?} {}: {:?}", change.kind, change.entry.key, change.entry.value());
    /// }
    /// # Ok::<(), luat_kv::Error>(())
    /// ```
    pub fn watch(&self, options: &WatchOptions<'_>) -> Result<Watch> {
        let &WatchOptions { keys, prefix, existing, since, values } = options;
        self.store().check_open()?;
        let limits = self.store().limits();
        limits.bound("prefix", prefix)?;
        if !keys.is_empty() && !prefix.is_empty() {
            return Err(Error::invalid("a watch has either keys or a prefix"));
        }
        if existing && !since.is_empty() {
            return Err(Error::invalid("a watch begins either with what exists or since a token"));
        }
        if keys.len() > MOST_KEYS {
            let message = format!("{} keys were to be watched; the limit is {MOST_KEYS}", keys.len());
            return Err(Error::new(Code::Limit, message));
        }
        keys.iter().try_for_each(|key| limits.key(key))?;
        let usage = Usage::now();
        let mut keys = keys.iter().map(|key| copy_text(key)).collect::<Result<Vec<String>>>()?;
        keys.sort_unstable();
        keys.dedup();
        let watch = Watch {
            namespace: self.clone(),
            keys,
            prefix: prefix.to_owned(),
            below: after_prefix(prefix),
            values,
            waits: AtomicBool::new(false),
            seen: Mutex::default(),
            waiter: Waiter::begin(&self.store().0)?,
        };
        watch.begin(existing, since)?;
        usage.check_unchanged().map(|()| watch)
    }
}

impl Watch {
    /// Returns the changes since the last call, each key once, in byte order. Waits for some, but not longer than
    /// `timeout`; none are returned when it is over. [`Duration::MAX`] has no end.
    ///
    /// The changes of one write are returned together. After an error nothing is lost, and the call can be repeated.
    pub fn next(&self, timeout: Duration) -> Result<Vec<Change>> {
        self.waiter.check_process()?;
        if self.waits.swap(true, Ordering::AcqRel) {
            return Err(in_use());
        }
        let _turn = Turn(&self.waits);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiter.reset();
        let Seen { known, returned, .. } = &mut *seen;
        let answer = known.apply(returned).and_then(|()| self.look_for(&mut seen, timeout));
        if answer.is_err() || seen.has_more {
            self.waiter.set();
        }
        answer
    }

    /// Returns a token, from which a later watch goes on ([`WatchOptions::since`]), also in another process: after a
    /// restart a program learns what has changed while it was not running. A token is never too old. It contains what the
    /// watch knows of each key, in about 40 characters and the part of the key that differs from the one before; so a
    /// program with many keys saves one now and then, and not after each change. With an older token it is told more.
    ///
    /// `handled`: with how many of the changes that the last [`next`](Self::next) has returned the program is done, in their
    /// order; [`usize::MAX`]: with all. The later watch returns the others again. The store may be closed by now.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use luat_kv::{OpenOptions, Store, WatchOptions};
    /// # let store = Store::open_memory(&OpenOptions::new())?;
    /// let jobs = store.namespace("jobs")?;
    /// let token = jobs.watch(&WatchOptions::new())?.token(usize::MAX)?;
    /// jobs.put("17", "send the letter")?;
    /// let later = jobs.watch(&WatchOptions::new().since(&token))?;
    /// assert_eq!(later.next(Duration::ZERO)?[0].entry.key, "17");
    /// # Ok::<(), luat_kv::Error>(())
    /// ```
    pub fn token(&self, handled: usize) -> Result<String> {
        let seen = self.seen()?;
        seen.known.token(&seen.returned[..handled.min(seen.returned.len())], self.origin())
    }

    /// What it knows, unless a thread waits.
    fn seen(&self) -> Result<MutexGuard<'_, Seen>> {
        self.waiter.check_process()?;
        loop {
            match self.seen.try_lock() {
                Ok(seen) => return Ok(seen),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if self.waits.load(Ordering::Acquire) => return Err(in_use()),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
    }

    /// Takes back the last answer of [`next`](Self::next), for a caller that failed to pass it on: the next one contains
    /// the same changes.
    #[allow(dead_code)]
    pub(crate) fn repeat(&self) {
        if let Ok(mut seen) = self.seen() {
            seen.returned = Vec::new();
            seen.moment = None;
            self.waiter.set();
        }
    }

    /// The namespace whose keys are watched.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn begin(&self, existing: bool, since: &str) -> Result<()> {
        if existing {
            return Ok(()); // nothing is known
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !since.is_empty() {
            seen.known = Known::of_token(since, self.origin(), &self.watched())?;
            return Ok(());
        }
        let (moment, mut found) = self.compare(&Known::default(), false)?;
        seen.known.apply(&mut found.pending)?;
        seen.moment = moment;
        Ok(())
    }

    fn origin(&self) -> Origin<'_> {
        Origin { store: self.namespace.store().0.backend().origin(), namespace: self.namespace.name() }
    }

    fn watched(&self) -> Watched<'_> {
        match &*self.keys {
            [] => Watched::Range { from: &self.prefix, below: self.below.as_deref() },
            keys => Watched::Keys(keys),
        }
    }

    /// Compares, if the store may have changed.
    fn look(&self, seen: &mut Seen) -> Result<Vec<Change>> {
        let store = self.namespace.store();
        store.check_open()?;
        let moment = store.0.backend().moment();
        if moment.is_some() && moment == seen.moment {
            return Ok(Vec::new());
        }
        let (moment, found) = seen.looks.note(|| self.compare(&seen.known, true))?;
        seen.moment = moment.filter(|_| found.is_complete);
        seen.has_more = !found.is_complete;
        seen.returned = found.pending;
        Ok(found.changes)
    }

    /// Returns what differs from what is `known` and, with `tells`, how; and the moment before the rows were read: what
    /// changes meanwhile may be among them or not, and is compared again.
    fn compare(&self, known: &Known, tells: bool) -> Result<(Option<Moment>, Found)> {
        /// A comparison of more keys may take so long that a fork must not wait for it.
        const MANY: usize = 10_000;
        let inner = &*self.namespace.store().0;
        let compare = |backend: &dyn Backend| {
            let moment = backend.moment();
            test_hooks::delay();
            let now = inner.clock.now();
            let mut comparison =
                if tells { Comparison::new(known, self.values, now) } else { Comparison::beginning(known, now) };
            backend.compare(self.namespace.name(), &self.watched(), &mut comparison)?;
            test_hooks::delay();
            Ok((moment, comparison.end()))
        };
        // How many there are is not known at first.
        let may_be_many = self.keys.is_empty() && (known.len() == 0 || known.len() > MANY);
        if may_be_many { inner.read_for_long(compare) } else { inner.call(compare) }
    }
}

fn in_use() -> Error {
    Error::invalid("another thread waits with this watch; each needs its own")
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({:?}, {:?})", self.namespace, if self.keys.is_empty() { &self.prefix } else { "keys" })
    }
}
