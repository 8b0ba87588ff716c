//! Stores: opening, housekeeping, closing.

use std::cell::Cell;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLockReadGuard};
use std::time::Duration;

#[cfg(feature = "sqlite")]
use crate::backend::sqlite::{Check, Stage};
use crate::backend::{Backend, Op, Outcome, Write, memory::Memory};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::fork;
use crate::types::{Limits, OpenOptions, Stats};

/// A key-value store: namespaces of keys, on disk or in memory.
///
/// A cheap handle; clones are the same store, and any thread may use one at any time. The store closes with its last
/// handle (namespaces hold one), or at once with [`Store::close`].
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    backend: Box<dyn Backend>,
    pub limits: Limits,
    pub clock: Clock,
    #[cfg_attr(target_family = "wasm", allow(dead_code))]
    busy_timeout: Duration,
    /// Set by [`Store::close`]; a back end then refuses everything by itself.
    closed: AtomicBool,
    /// The database file's path, or `memory`: what a person calls this store.
    label: String,
}

impl Inner {
    /// The way to the back end. A process forks before the call or after it, never during it. What finds the database
    /// in others' use is tried again until the busy timeout is over, so it may be run more than once.
    pub fn call<T>(&self, call: impl FnMut(&dyn Backend) -> Result<T>) -> Result<T> {
        self.retry(fork::enter, &Cell::new(false), call).map_err(|error| match error.code() {
            // Which file it is that is damaged, or cannot be written.
            Code::Corrupt | Code::Io | Code::ReadOnly => error.while_doing(&self.label),
            _ => error,
        })
    }

    /// The same for what may take long, and cannot be done twice: once `begun` is set it is not tried again. Other files
    /// have a part in it, so who calls this says what was being done.
    pub fn call_for_long<T>(&self, begun: &Cell<bool>, call: impl FnMut(&dyn Backend) -> Result<T>) -> Result<T> {
        self.retry(fork::enter_for_long, begun, call)
    }

    /// Carries out these operations, all of them or none.
    pub fn write(&self, ops: &mut [Op<'_>]) -> Result<Outcome> {
        let mut write = Write { ops, limits: self.limits, clock: &self.clock };
        self.call(|backend| backend.write(&mut write))
    }

    #[cfg(not(target_family = "wasm"))]
    fn retry<T>(
        &self,
        enter: fn() -> RwLockReadGuard<'static, ()>,
        begun: &Cell<bool>,
        mut call: impl FnMut(&dyn Backend) -> Result<T>,
    ) -> Result<T> {
        let mut wait = None;
        loop {
            let entered = enter();
            let answer = call(&*self.backend);
            // Who waits keeps nobody waiting: no fork, and no other call.
            drop(entered);
            match answer {
                Err(error) if error.code() == Code::Busy => {
                    let wait = wait.get_or_insert_with(Wait::begin);
                    if begun.get() || !wait.step(self.busy_timeout) {
                        #[cfg(feature = "sqlite")]
                        if error.is_passing() {
                            return Err(error.given_up());
                        }
                        let waited = wait.since.elapsed().as_secs_f64();
                        return Err(error.while_doing(format_args!("{} was in use for {waited:.1} s", self.label)));
                    }
                }
                answer => return answer,
            }
        }
    }

    #[cfg(target_family = "wasm")]
    fn retry<T>(
        &self,
        enter: fn() -> RwLockReadGuard<'static, ()>,
        _: &Cell<bool>,
        mut call: impl FnMut(&dyn Backend) -> Result<T>,
    ) -> Result<T> {
        let _entered = enter();
        call(&*self.backend)
    }

    /// Between two steps of something long; a fork may come in between, too.
    pub fn pause(&self) {
        self.backend.pause();
    }
}

/// The back end of a store whose contents can be taken as records.
#[cfg(any(target_family = "wasm", fuzzing, test))]
fn memory(backend: &dyn Backend) -> Result<&Memory> {
    backend.memory().ok_or_else(|| Error::invalid("a store on disk has no records"))
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.call(|backend| backend.close());
    }
}

/// Waiting for a database that others use. WebAssembly knows none, and can neither sleep nor tell how long it did.
#[cfg(not(target_family = "wasm"))]
struct Wait {
    since: std::time::Instant,
    steps: usize,
}

#[cfg(not(target_family = "wasm"))]
impl Wait {
    fn begin() -> Self {
        Wait { since: std::time::Instant::now(), steps: 0 }
    }

    /// Sleeps for a moment, unless all of the time is over.
    fn step(&mut self, timeout: Duration) -> bool {
        /// In milliseconds, as SQLite does it; the last one again and again.
        const STEPS: [u64; 12] = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100];
        let left = timeout.saturating_sub(self.since.elapsed());
        if left.is_zero() {
            return false;
        }
        let step = STEPS[self.steps.min(STEPS.len() - 1)];
        self.steps += 1;
        std::thread::sleep(Duration::from_millis(step).min(left));
        true
    }
}

/// How many entries one step of a sweep removes. Between the steps others can write, also from this process.
const SWEEP_STEP: u64 = 500;

impl Store {
    /// Opens the database file at `path`, and makes it, with the folders it lies in, where it is missing, unless the
    /// options say otherwise.
    ///
    /// A file that Luat wrote is taken over with all that it holds, and Luat can go on using it.
    #[cfg(feature = "sqlite")]
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Store> {
        Store::open_checked(path.as_ref(), options, &|_| Ok(()))
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn open_checked(path: &Path, options: &OpenOptions, check: Check<'_>) -> Result<Store> {
        let mut wait = None;
        let backend = loop {
            let entered = fork::enter();
            let waited = wait.as_ref().map_or(Duration::ZERO, |wait: &Wait| wait.since.elapsed());
            let opened = crate::backend::sqlite::Sqlite::open(path, options, check, waited);
            // Who waits keeps no fork waiting.
            drop(entered);
            match opened {
                Err(error) if error.is_passing() => {
                    if !wait.get_or_insert_with(Wait::begin).step(options.busy_timeout) {
                        return Err(error.given_up());
                    }
                }
                opened => break opened?,
            }
        };
        let label = backend.path().display().to_string();
        Ok(Store::over(Box::new(backend), label, options))
    }

    /// Opens the store of the project that `dir` (`None`: the working directory) lies in: the file that the environment
    /// variable `LUAT_KV_DB` names, where it is set and not empty; else `kv.db` in the data folder that its `luat.toml`
    /// names, else in `.luat/data`.
    ///
    /// A `luat.toml` must belong to the process's user, to root, or to the owner of `dir`, and not everybody may be
    /// allowed to write to it. Symbolic links between it and the database must belong to one of these, too, and so must
    /// folders that lie where everybody may write. Otherwise it is [`Code::Io`], unless `LUAT_KV_TRUSTED_PROJECT` has the
    /// project's folder (several are divided as in `PATH`).
    #[cfg(feature = "sqlite")]
    pub fn open_project(dir: Option<&Path>, options: &OpenOptions) -> Result<Store> {
        let place = crate::luat_project::database(dir)?;
        place.check(Stage::Begun)?;
        Store::open_checked(&place.path, options, &|stage| place.check(stage))
    }

    /// A new, empty store in memory, which is gone when it closes.
    pub fn open_memory(options: &OpenOptions) -> Result<Store> {
        if options.readonly {
            return Err(Error::invalid("a store in memory begins empty; opened for reading only it would stay so"));
        }
        Ok(Store::over(Box::new(Memory::new()), "memory".to_owned(), options))
    }

    fn over(backend: Box<dyn Backend>, label: String, options: &OpenOptions) -> Store {
        let OpenOptions { limits, busy_timeout, .. } = *options;
        let (clock, closed) = (options.clock.clone(), AtomicBool::new(false));
        Store(Arc::new(Inner { backend, limits, clock, busy_timeout, closed, label }))
    }

    /// The names of the namespaces that have keys, in byte order.
    pub fn namespaces(&self) -> Result<Vec<String>> {
        let now = self.0.clock.now();
        self.0.call(|backend| backend.namespaces(now))
    }

    /// What the store holds, counted row by row.
    pub fn stats(&self) -> Result<Stats> {
        let now = self.0.clock.now();
        self.0.call(|backend| {
            let (path, file_size) = (self.label().to_owned(), backend.file_size()?);
            Ok(Stats { path, file_size, namespaces: backend.stats(now)? })
        })
    }

    /// Removes up to `max` expired entries (`None`: all of them) from the file and counts them. Nobody can see expired
    /// entries, and writes remove them little by little, so this is never needed for correct results.
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
            self.0.pause();
        }
        Ok(removed)
    }

    /// Writes the file anew, without the room that deleted entries have left in it. It takes that much room again
    /// meanwhile, and writers wait. In memory there is nothing to do.
    pub fn compact(&self) -> Result<()> {
        self.0.call_for_long(&Cell::new(false), |backend| backend.compact())?;
        self.checkpoint().map(|_| ())
    }

    /// Moves the log that lies beside the file into it, and returns whether all of it got there within the busy timeout:
    /// who is reading an older state holds the rest back. SQLite does so by itself, now and then.
    pub fn checkpoint(&self) -> Result<bool> {
        match self.0.call(|backend| backend.checkpoint()) {
            Err(error) if error.code() == Code::Busy => Ok(false),
            answer => answer.map(|()| true),
        }
    }

    /// Copies the whole store, as it is at one moment, into a new file, while others go on writing. The copy gets its
    /// name when it is whole and was checked; a file of that name is not replaced.
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<()> {
        self.0.call_for_long(&Cell::new(false), |backend| backend.backup(path.as_ref()))
    }

    /// What has changed since the last record, or everything, as bytes for [`load`](Store::load).
    #[cfg(any(target_family = "wasm", fuzzing, test))]
    pub(crate) fn record(&self, everything: bool) -> Result<Vec<u8>> {
        self.0.call(|backend| memory(backend)?.record(everything))
    }

    /// Applies records, one after another: of damaged ones none, and where memory runs out a part.
    #[cfg(any(target_family = "wasm", fuzzing, test))]
    pub(crate) fn load(&self, records: &[u8]) -> Result<()> {
        self.0.call(|backend| memory(backend)?.load(records))
    }

    /// Closes the store for all its handles; using them is an error from then on. Closing again is harmless.
    pub fn close(&self) -> Result<()> {
        self.0.closed.store(true, Ordering::Relaxed);
        self.0.call(|backend| backend.close())
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.0.closed.load(Ordering::Relaxed) { Err(Error::closed()) } else { Ok(()) }
    }

    /// Unix seconds, by its clock.
    #[cfg_attr(not(feature = "module"), allow(dead_code))]
    pub(crate) fn now(&self) -> i64 {
        self.0.clock.now()
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// How often something is run that finds the database in use `busy` times.
    fn runs(store: &Store, busy: usize, begun: &Cell<bool>, begins: bool) -> (usize, Result<()>) {
        let mut runs = 0;
        let answer = store.0.call_for_long(begun, |_| {
            runs += 1;
            begun.set(begins);
            if runs > busy { Ok(()) } else { Err(Error::new(Code::Busy, "database is locked")) }
        });
        (runs, answer)
    }

    #[test]
    fn what_is_busy_is_tried_again_unless_it_had_begun() {
        let store = Store::open_memory(&OpenOptions::default()).unwrap();
        assert_eq!(runs(&store, 3, &Cell::new(false), false), (4, Ok(())));
        let (runs, answer) = runs(&store, 3, &Cell::new(false), true);
        let error = answer.unwrap_err();
        assert_eq!((runs, error.code()), (1, Code::Busy));
        assert_eq!(error.message(), "memory was in use for 0.0 s: database is locked");
    }

    #[test]
    fn waiting_ends_with_the_busy_timeout() {
        for milliseconds in [0, 30] {
            let busy_timeout = Duration::from_millis(milliseconds);
            let options = OpenOptions { busy_timeout, ..OpenOptions::default() };
            let store = Store::open_memory(&options).unwrap();
            let begun = Instant::now();
            assert_eq!(runs(&store, usize::MAX, &Cell::new(false), false).1.unwrap_err().code(), Code::Busy);
            assert!(begun.elapsed() >= busy_timeout);
        }
    }
}
