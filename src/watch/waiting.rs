//! How a watch waits, and what it needs for that: the process that it belongs to, a descriptor, and times.

#[cfg(unix)]
use std::ffi::c_int;
#[cfg(target_os = "linux")]
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use super::notifier::{Descriptor, Notifier};
use super::{Seen, Watch};
use crate::backend::{Found, Moment, PATIENCE};
use crate::error::{Error, Result};
use crate::fork;
use crate::store::Inner;
use crate::types::Change;

/// What a watch has besides what it knows.
pub(super) struct Waiter {
    /// The process that opened it.
    process: u64,
    #[cfg(target_os = "linux")]
    descriptor: OnceLock<Arc<Descriptor>>,
}

impl Waiter {
    /// The back end counts the watch until it is dropped.
    pub fn begin(store: &Inner) -> Result<Self> {
        store.call(|backend| {
            backend.begin_watch();
            Ok(())
        })?;
        Ok(Waiter {
            process: fork::process(),
            #[cfg(target_os = "linux")]
            descriptor: OnceLock::new(),
        })
    }

    pub fn check_process(&self) -> Result<()> {
        match fork::process() == self.process {
            true => Ok(()),
            false => Err(Error::invalid("the watch was opened before a fork; the child has to open its own")),
        }
    }

    /// Makes the descriptor readable.
    pub fn set(&self) {
        #[cfg(target_os = "linux")]
        self.descriptor.get().into_iter().for_each(|descriptor| descriptor.set());
    }

    /// Makes the descriptor unreadable.
    pub fn reset(&self) {
        #[cfg(target_os = "linux")]
        self.descriptor.get().into_iter().for_each(|descriptor| descriptor.reset());
    }
}

/// The moment before a comparison, and what it has found.
type Look = (Option<Moment>, Found);

/// When a watch has compared.
#[derive(Default)]
pub(super) struct Looks {
    /// When there was last another moment.
    changed: Option<Instant>,
    /// When the last look ended, and how long it took, if it found nothing.
    vain: Option<(Instant, Duration)>,
    /// How long each has taken.
    #[cfg(all(test, feature = "sqlite"))]
    took: Vec<Duration>,
}

impl Looks {
    /// Makes one, and notes the time that it takes.
    pub fn note(&mut self, look: impl FnOnce() -> Result<Look>) -> Result<Look> {
        let begun = Instant::now();
        let (moment, found) = look()?;
        let ended = Instant::now();
        self.changed = Some(ended);
        #[cfg(all(test, feature = "sqlite"))]
        self.took.push(ended.duration_since(begun));
        self.vain = found.changes.is_empty().then(|| (ended, ended.duration_since(begun)));
        Ok((moment, found))
    }
}

impl Watch {
    /// Looks for changes until there are some, or the time is over.
    pub(super) fn look_for(&self, seen: &mut Seen, time: Duration) -> Result<Vec<Change>> {
        let (store, end) = (self.namespace.store(), Instant::now().checked_add(time));
        loop {
            let changes = self.look(seen)?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            store.0.call(|backend| backend.check())?;
            let quiet = seen.looks.changed.map_or(Duration::MAX, |changed| changed.elapsed());
            let patience = store.0.backend().patience(quiet);
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(changes);
            }
            store.0.backend().wait_for_change(seen.moment, left.min(patience));
            self.rest(seen, end)?;
        }
    }

    /// If the last look found nothing, rests before the next one, but not longer than until `end`: writes to other keys,
    /// without a pause, would otherwise keep it looking all the time.
    fn rest(&self, seen: &mut Seen, end: Option<Instant>) -> Result<()> {
        /// How much longer it rests than it has looked.
        const RESTS: u32 = 4;
        let Some((ended, took)) = seen.looks.vain.take() else { return Ok(()) };
        let rested = ended + RESTS * took;
        let until = end.map_or(rested, |end| end.min(rested));
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.namespace.store().check_open()?;
            std::thread::sleep(left.min(PATIENCE));
        }
    }

    /// Returns a descriptor for an event loop: it is readable when [`next`](Self::next) may have something to return, which
    /// makes it unreadable again. It may also be readable without a change. It belongs to the watch; a program only polls
    /// it. `None` where the system has none: only Linux does.
    ///
    /// A thread waits for changes as long as a watch of the store has a descriptor.
    #[cfg(unix)]
    pub fn descriptor(&self) -> Result<Option<c_int>> {
        self.waiter.check_process()?;
        self.namespace.store().check_open()?;
        #[cfg(target_os = "linux")]
        {
            let descriptor = &self.waiter.descriptor;
            if descriptor.get().is_none() {
                let made = Notifier::descriptor(&self.namespace.store().0)?;
                let _ = descriptor.set(made); // another thread may have been faster
            }
            Ok(descriptor.get().map(|descriptor| descriptor.number()))
        }
        #[cfg(not(target_os = "linux"))]
        Ok(None)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.waiter.check_process().is_err() {
            return;
        }
        let inner = &*self.namespace.store().0;
        #[cfg(target_os = "linux")]
        if self.waiter.descriptor.take().is_some() {
            Notifier::dropped(inner);
        }
        let _ = inner.call(|backend| {
            backend.end_watch();
            Ok(())
        });
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;
    use crate::{OpenOptions, Store, WatchOptions};

    #[test]
    fn looks_for_changes_that_are_not_there_take_a_fifth_of_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("kv.db"), &OpenOptions::new()).unwrap();
        let [watched, written] = ["watched", "written"].map(|name| store.namespace(name).unwrap());
        let mut batch = store.batch();
        (0..1000).for_each(|key| _ = batch.put(&watched, &key.to_string(), "").unwrap());
        batch.commit().unwrap();
        let watch = watched.watch(&WatchOptions::new()).unwrap();
        let looks = || watch.seen.lock().unwrap().looks.took.clone();
        let (begun, has_ended) = (Instant::now(), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !has_ended.load(Ordering::Relaxed) {
                    written.put("key", "").unwrap();
                }
            });
            while looks().len() < 10 && begun.elapsed() < Duration::from_secs(60) {
                assert_eq!(watch.next(Duration::from_millis(300)).unwrap().len(), 0);
            }
            has_ended.store(true, Ordering::Relaxed);
        });
        let (took, elapsed) = (looks(), begun.elapsed());
        assert!(took.len() >= 10 && took[..took.len() - 1].iter().sum::<Duration>() * 4 < elapsed, "{took:?}");
    }
}
