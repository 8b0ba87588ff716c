//! How a watch waits, and what it needs for that: the process that it belongs to, a descriptor, and times.

#[cfg(unix)]
use std::ffi::c_int;
#[cfg(target_os = "linux")]
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use super::notifier::{Descriptor, Notifier};
use super::{Seen, Watch};
use crate::backend::{Found, Moment};
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
}

impl Looks {
    /// Makes one, and notes the time that it takes.
    pub fn note(&mut self, look: impl FnOnce() -> Result<Look>) -> Result<Look> {
        let begun = Instant::now();
        let (moment, found) = look()?;
        let ended = Instant::now();
        self.changed = Some(ended);
        self.vain = found.changes.is_empty().then(|| (ended, ended.duration_since(begun)));
        Ok((moment, found))
    }
}

impl Watch {
    /// Looks for changes until there are some, or the time is over.
    pub(super) fn look_for(&self, seen: &mut Seen, time: Duration) -> Result<Vec<Change>> {
        let end = Instant::now().checked_add(time);
        loop {
            let changes = self.look(seen)?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            let quiet = seen.looks.changed.map_or(Duration::MAX, |changed| changed.elapsed());
            let patience = self.namespace.store().0.backend().patience(quiet);
            let left = end.map_or(patience, |end| end.saturating_duration_since(Instant::now()).min(patience));
            if left.is_zero() {
                return Ok(changes);
            }
            self.wait(seen, left);
        }
    }

    /// Waits for a change. If the last look found nothing, rests first: writes to other keys, without a pause, would
    /// otherwise keep it looking all the time.
    fn wait(&self, seen: &mut Seen, time: Duration) {
        /// How much longer it rests than it has looked.
        const RESTS: u32 = 4;
        let begun = Instant::now();
        self.namespace.store().0.backend().wait_for_change(seen.moment, time);
        if let Some((ended, took)) = seen.looks.vain.take() {
            let rest = (ended + RESTS * took).saturating_duration_since(Instant::now());
            std::thread::sleep(rest.min(time.saturating_sub(begun.elapsed())));
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
