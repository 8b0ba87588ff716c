//! Watches: what has changed since the last time that the caller asked.
//!
//! A watch remembers a stamp for each key that it watches. When the store may have changed, it compares the stamps with
//! the rows (`backend::comparison`), all as of one moment. So it needs no log of changes and costs a writer nothing but a
//! wake, and a caller that is slow finds the latest state of each key, however many changes led to it.

use std::cell::Cell;
#[cfg(unix)]
use std::ffi::c_int;
use std::fmt;
#[cfg(target_os = "linux")]
use std::sync::{Arc, OnceLock};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
pub(crate) use self::notifier::Notifier;
use crate::backend::{Backend, Comparison, Found, Known, Moment, Origin, Pending, Watched};
use crate::error::{Code, Error, Result};
use crate::namespace::{Namespace, after_prefix};
use crate::test_hooks;
use crate::types::{Change, WatchOptions};

#[cfg(target_os = "linux")]
mod notifier;

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
    /// The process that opened it.
    process: u32,
    seen: Mutex<Seen>,
    #[cfg(target_os = "linux")]
    descriptor: OnceLock<Arc<notifier::Descriptor>>,
}

/// What a watch knows.
#[derive(Default)]
struct Seen {
    known: Known,
    /// What the last call has returned. It is known when the caller asks again.
    returned: Vec<Pending>,
    /// Whether the last look has left some changes for the next one.
    #[cfg(target_os = "linux")]
    has_more: bool,
    /// Since when nothing else has changed; `None` if that is unknown.
    moment: Option<Moment>,
    /// When there was last another moment.
    changed: Option<Instant>,
    /// When the last look ended, and how long it took, if it found nothing.
    vain_look: Option<(Instant, Duration)>,
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
        let mut keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        keys.sort_unstable();
        keys.dedup();
        let watch = Watch {
            namespace: self.clone(),
            keys,
            prefix: prefix.to_owned(),
            below: after_prefix(prefix),
            values,
            process: std::process::id(),
            seen: Mutex::default(),
            #[cfg(target_os = "linux")]
            descriptor: OnceLock::new(),
        };
        watch.begin(existing, since)?;
        Ok(watch)
    }
}

impl Watch {
    /// Returns the changes since the last call, each key once, in byte order. Waits for some, but not longer than
    /// `timeout`; none are returned when it is over. [`Duration::MAX`] has no end.
    ///
    /// The changes of one write are returned together. After an error nothing is lost, and the call can be repeated.
    pub fn next(&self, timeout: Duration) -> Result<Vec<Change>> {
        let mut seen = self.seen()?;
        #[cfg(target_os = "linux")]
        self.descriptor.get().into_iter().for_each(|descriptor| descriptor.reset());
        let end = Instant::now().checked_add(timeout);
        let answer = self.look_until(&mut seen, end);
        #[cfg(target_os = "linux")]
        if answer.is_err() || seen.has_more {
            self.descriptor.get().into_iter().for_each(|descriptor| descriptor.set());
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

    /// What it knows, for one thread at a time.
    fn seen(&self) -> Result<MutexGuard<'_, Seen>> {
        self.check_process()?;
        match self.seen.try_lock() {
            Ok(seen) => Ok(seen),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {
                Err(Error::invalid("another thread waits with this watch; each needs its own"))
            }
        }
    }

    /// Looks for changes until there are some, or the time is over.
    fn look_until(&self, seen: &mut Seen, end: Option<Instant>) -> Result<Vec<Change>> {
        seen.known.apply(&mut seen.returned)?;
        loop {
            self.namespace.store().check_open()?;
            let changes = self.look(seen)?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            let quiet = seen.changed.map_or(Duration::MAX, |changed| changed.elapsed());
            let patience = self.namespace.store().0.backend().patience(quiet);
            let left = end.map_or(patience, |end| end.saturating_duration_since(Instant::now()).min(patience));
            if left.is_zero() {
                return Ok(changes);
            }
            self.wait(seen, left);
        }
    }

    /// Takes back the last answer of [`next`](Self::next), for a caller that failed to pass it on: the next one contains
    /// the same changes.
    #[allow(dead_code)]
    pub(crate) fn repeat(&self) {
        if let Ok(mut seen) = self.seen.try_lock() {
            seen.returned.clear();
            seen.moment = None;
            #[cfg(target_os = "linux")]
            self.descriptor.get().into_iter().for_each(|descriptor| descriptor.set());
        }
    }

    /// Returns a descriptor for an event loop: it is readable when [`next`](Self::next) may have something to return, which
    /// makes it unreadable again. It may also be readable without a change. It belongs to the watch; a program only polls
    /// it. `None` where the system has none: only Linux does.
    ///
    /// A thread waits for changes as long as a watch of the store has a descriptor.
    #[cfg(unix)]
    pub fn descriptor(&self) -> Result<Option<c_int>> {
        self.check_process()?;
        self.namespace.store().check_open()?;
        #[cfg(target_os = "linux")]
        {
            if self.descriptor.get().is_none() {
                let made = Notifier::descriptor(&self.namespace.store().0)?;
                let _ = self.descriptor.set(made); // another thread may have been faster
            }
            Ok(self.descriptor.get().map(|descriptor| descriptor.number()))
        }
        #[cfg(not(target_os = "linux"))]
        Ok(None)
    }

    fn check_process(&self) -> Result<()> {
        match std::process::id() == self.process {
            true => Ok(()),
            false => Err(Error::invalid("the watch was opened before a fork; the child has to open its own")),
        }
    }

    /// The namespace whose keys are watched.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn begin(&self, existing: bool, since: &str) -> Result<()> {
        let inner = &*self.namespace.store().0;
        inner.call(|backend| {
            backend.begin_watch();
            Ok(())
        })?;
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
        let inner = &*self.namespace.store().0;
        let moment = inner.backend().moment();
        if moment.is_some() && moment == seen.moment {
            return Ok(Vec::new());
        }
        let begun = Instant::now();
        let (moment, found) = self.compare(&seen.known, true)?;
        let ended = Instant::now();
        seen.moment = moment.filter(|_| found.is_complete);
        seen.changed = Some(ended);
        #[cfg(target_os = "linux")]
        {
            seen.has_more = !found.is_complete;
        }
        seen.vain_look = found.changes.is_empty().then(|| (ended, ended.duration_since(begun)));
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
        if may_be_many { inner.call_for_long(&Cell::new(false), compare) } else { inner.call(compare) }
    }

    /// Waits for a change. If the last look found nothing, rests first: writes to other keys, without a pause, would
    /// otherwise keep it looking all the time.
    fn wait(&self, seen: &mut Seen, time: Duration) {
        /// How much longer it rests than it has looked.
        const RESTS: u32 = 4;
        let begun = Instant::now();
        self.namespace.store().0.backend().wait_for_change(seen.moment, time);
        if let Some((ended, took)) = seen.vain_look.take() {
            let rest = (ended + RESTS * took).saturating_duration_since(Instant::now());
            std::thread::sleep(rest.min(time.saturating_sub(begun.elapsed())));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.check_process().is_err() {
            return;
        }
        let inner = &*self.namespace.store().0;
        #[cfg(target_os = "linux")]
        if self.descriptor.take().is_some() {
            Notifier::dropped(inner);
        }
        let _ = inner.call(|backend| {
            backend.end_watch();
            Ok(())
        });
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({:?}, {:?})", self.namespace, if self.keys.is_empty() { &self.prefix } else { "keys" })
    }
}
