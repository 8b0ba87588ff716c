//! Stores: opening, housekeeping, closing.

use std::cell::Cell;
#[cfg(feature = "sqlite")]
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

#[cfg(feature = "sqlite")]
use crate::backend::sqlite::{Check, Stage};
use crate::backend::{Backend, Op, Outcome, Write, memory::Memory};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::fork;
#[cfg(feature = "sqlite")]
use crate::luat_project::{self, Location};
use crate::types::{Limits, OpenOptions, Stats};
#[cfg(feature = "sqlite")]
use crate::url::{self, Url};
#[cfg(target_family = "wasm")]
use crate::version::Version;
#[cfg(target_os = "linux")]
use crate::watch::Notifier;

/// A key-value store: namespaces of keys, on disk or in memory.
///
/// A handle is cheap: clones refer to the same store, and any thread may use one at any time. The store closes with its
/// last handle (namespaces hold one), or at once with [`Store::close`].
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    backend: Box<dyn Backend>,
    pub limits: Limits,
    pub clock: Clock,
    #[cfg_attr(target_family = "wasm", allow(dead_code))]
    busy_timeout: Duration,
    /// Set by [`Store::close`]. After that the back end refuses every call.
    closed: AtomicBool,
    /// Whether the back end enters a gate of [`fork`] by itself, since it waits for a network, and repeats its calls.
    #[cfg(all(feature = "postgres", unix))]
    waits: bool,
    #[cfg(target_os = "linux")]
    pub notifier: Notifier,
    /// The path of the database file, or `memory`, or a URL without its password. Messages name the store by it.
    label: String,
}

impl Inner {
    /// Calls the back end. A process forks before or after such a call, never during it. If the call fails because
    /// others use the database, it is repeated until the busy timeout is over, so `call` may run more than once.
    #[inline(always)]
    pub fn call<T>(&self, mut call: impl FnMut(&dyn Backend) -> Result<T>) -> Result<T> {
        #[cfg(all(feature = "postgres", unix))]
        if self.waits {
            return call(&*self.backend).map_err(|error| self.named(error));
        }
        match self.call_once(fork::enter, &mut call) {
            Ok(answer) => Ok(answer),
            Err(error) => self.retry(fork::enter, &Cell::new(false), error, call).map_err(|error| self.named(error)),
        }
    }

    fn over(backend: Box<dyn Backend>, label: String, options: &OpenOptions) -> Inner {
        let OpenOptions { limits, busy_timeout, .. } = *options;
        Inner {
            backend,
            limits,
            clock: options.clock.clone(),
            busy_timeout,
            closed: AtomicBool::new(false),
            #[cfg(all(feature = "postgres", unix))]
            waits: false,
            #[cfg(target_os = "linux")]
            notifier: Notifier::default(),
            label,
        }
    }

    /// Says which file is damaged or cannot be written.
    #[cold]
    fn named(&self, error: Error) -> Error {
        match error.code() {
            Code::Corrupt | Code::Io | Code::ReadOnly => error.while_doing(&self.label),
            _ => error,
        }
    }

    /// Calls the back end once, without waiting for others.
    #[cfg(feature = "sqlite")]
    pub fn try_call<T>(&self, call: impl FnOnce(&dyn Backend) -> Result<T>) -> Result<T> {
        let _entered = fork::enter();
        call(&*self.backend)
    }

    /// Like [`call`](Self::call), for an operation that may take long and cannot be repeated: it is not tried again
    /// once `begun` is set. The operation involves other files, so the caller adds to an error what was being done.
    pub fn call_for_long<T>(&self, begun: &Cell<bool>, mut call: impl FnMut(&dyn Backend) -> Result<T>) -> Result<T> {
        let answer = self.call_once(fork::enter_for_long, &mut call);
        #[cfg(all(feature = "postgres", unix))]
        if self.waits {
            // The system's errors are those of the caller's file.
            return answer.map_err(|error| if error.raw_os_error().is_some() { error } else { self.named(error) });
        }
        answer.or_else(|error| self.retry(fork::enter_for_long, begun, error, call))
    }

    /// Like [`call`](Self::call), for a read that may take long, so that a fork does not wait for it.
    #[cfg(any(not(target_family = "wasm"), feature = "internals"))]
    pub fn read_for_long<T>(&self, call: impl FnMut(&dyn Backend) -> Result<T>) -> Result<T> {
        #[cfg(all(feature = "postgres", unix))]
        if self.waits {
            return self.call(call);
        }
        self.call_for_long(&Cell::new(false), call).map_err(|error| self.named(error))
    }

    /// A waiting call must not delay forks or other calls, so this is over when it waits.
    #[inline(always)]
    fn call_once<T, Entered>(
        &self,
        enter: fn() -> Entered,
        call: &mut impl FnMut(&dyn Backend) -> Result<T>,
    ) -> Result<T> {
        let _entered = enter();
        call(&*self.backend)
    }

    /// The back end. Outside of a gate of [`fork`] only those methods may be called that say so.
    #[inline]
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    #[cfg(target_os = "linux")]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Carries out these operations, all of them or none.
    pub fn write(&self, ops: &mut [Op<'_>]) -> Result<Outcome> {
        self.write_with(ops, None)
    }

    /// Like [`write`](Self::write). `progress` counts the operations that are done.
    pub fn write_with(&self, ops: &mut [Op<'_>], progress: Option<&AtomicU64>) -> Result<Outcome> {
        let mut write = Write { ops, limits: self.limits, clock: &self.clock, progress };
        self.call(|backend| backend.write(&mut write))
    }

    /// Repeats a call that failed, if that was because others use the database.
    #[cfg(not(target_family = "wasm"))]
    #[cold]
    fn retry<T, Entered>(
        &self,
        enter: fn() -> Entered,
        begun: &Cell<bool>,
        error: Error,
        call: impl FnMut(&dyn Backend) -> Result<T>,
    ) -> Result<T> {
        let answer = self.repeat(enter, begun, error, call);
        self.backend.end_waits();
        answer
    }

    #[cfg(not(target_family = "wasm"))]
    fn repeat<T, Entered>(
        &self,
        enter: fn() -> Entered,
        begun: &Cell<bool>,
        mut error: Error,
        mut call: impl FnMut(&dyn Backend) -> Result<T>,
    ) -> Result<T> {
        let mut wait = None;
        while error.code() == Code::Busy {
            let wait = wait.get_or_insert_with(Wait::begin);
            if begun.get() || !wait.step(self.busy_timeout, |step, left| self.backend.wait(step, left)) {
                #[cfg(feature = "sqlite")]
                if error.is_passing() {
                    return Err(error.given_up());
                }
                let waited = wait.since.elapsed().as_secs_f64();
                return Err(error.while_doing(format_args!("{} was in use for {waited:.1} s", self.label)));
            }
            match self.call_once(enter, &mut call) {
                Err(failed) => error = failed,
                answer => return answer,
            }
        }
        Err(error)
    }

    #[cfg(target_family = "wasm")]
    fn retry<T, Entered>(
        &self,
        _: fn() -> Entered,
        _: &Cell<bool>,
        error: Error,
        _: impl FnMut(&dyn Backend) -> Result<T>,
    ) -> Result<T> {
        Err(error)
    }

    /// Pauses between two steps of a long operation. The process may fork meanwhile.
    pub fn pause(&self) {
        self.backend.pause();
    }
}

/// The back end of a store whose contents can be written as records.
#[cfg(any(target_family = "wasm", fuzzing, test))]
pub(crate) fn memory(backend: &dyn Backend) -> Result<&Memory> {
    backend.memory().ok_or_else(|| Error::invalid("a store on disk has no records"))
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.call(|backend| backend.close());
    }
}

/// Waits for a database that others use. On WebAssembly nothing has to wait, and there is neither sleep nor a clock for
/// it.
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

    /// Waits for a moment, unless the timeout is over.
    fn step(&mut self, timeout: Duration, wait: impl FnOnce(Duration, Duration) -> bool) -> bool {
        /// In milliseconds, the same steps as SQLite's busy handler. The last one is repeated.
        const STEPS: [u64; 12] = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100];
        let left = timeout.saturating_sub(self.since.elapsed());
        if left.is_zero() {
            return false;
        }
        let step = STEPS[self.steps.min(STEPS.len() - 1)];
        self.steps += usize::from(wait(Duration::from_millis(step), left));
        true
    }
}

/// How many entries one step of a sweep removes. Others, also in this process, can write between the steps.
const SWEEP_STEP: u64 = 1000;

impl Store {
    /// Opens the database file at `path`. Creates it and its folders if they are missing, unless the options forbid it.
    /// Folders that were created stay if the open fails.
    ///
    /// A file that Luat wrote is taken over with its contents, and Luat can go on using it.
    #[cfg(feature = "sqlite")]
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Store> {
        Store::open_checked(path.as_ref(), options, &|_| Ok(()))
    }

    /// Opens the store that a URL or a path names:
    ///
    /// | text | store |
    /// | --- | --- |
    /// | `postgresql://user@host/database`, `postgres://…` | a PostgreSQL database; the URL is libpq's connection URI |
    /// | `file:///srv/kv.db`, `file:kv.db` | a file, as with [`open`](Store::open); `%20` stands for a space |
    /// | `memory:` | a new store in memory, as with [`open_memory`](Store::open_memory) |
    /// | a text without a scheme, `C:\kv.db` | the file with this path |
    ///
    /// Any other scheme is [`Code::Invalid`], so a path with a colon in its first part begins with `./`. PostgreSQL
    /// decides by itself about durability and caches, so [`Durability::Full`](crate::Durability::Full) and a
    /// [`cache_size`](OpenOptions::cache_size) other than 0 and the default are [`Code::Invalid`] with its URL. Its
    /// parameter `watch_interval`, which is not libpq's, says how often watches ask the server: in milliseconds, from 5 to
    /// 10000, and 150 without it. No message contains the password of a URL.
    #[cfg(feature = "sqlite")]
    pub fn open_url(url: impl AsRef<OsStr>, options: &OpenOptions) -> Result<Store> {
        Store::open_parsed(Url::of(url.as_ref())?, options)
    }

    #[cfg(feature = "sqlite")]
    fn open_parsed(url: Url, options: &OpenOptions) -> Result<Store> {
        match url {
            Url::Memory => Store::open_memory(options),
            Url::File(path) => Store::open(path, options),
            Url::Postgres(url) => Store::open_postgres(&url, options),
        }
    }

    #[cfg(feature = "sqlite")]
    fn open_postgres(url: &str, options: &OpenOptions) -> Result<Store> {
        url::check_postgres(options)?;
        let label = url::redacted(url);
        #[cfg(all(feature = "postgres", unix))]
        let opened = crate::backend::postgres::Postgres::open(url, options).map(|backend| {
            let mut inner = Inner::over(Box::new(backend), label.clone(), options);
            inner.waits = true;
            Store(Arc::new(inner))
        });
        #[cfg(not(all(feature = "postgres", unix)))]
        let opened: Result<Store> = Err(Error::invalid(
            "this build of luat_kv has no PostgreSQL back end (the Cargo feature postgres, on Unix)",
        ));
        opened.map_err(|error| error.while_doing(format_args!("opening {label}")))
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn open_checked(path: &Path, options: &OpenOptions, check: Check<'_>) -> Result<Store> {
        url::check_path(path)?;
        let mut wait = None;
        let backend = loop {
            let entered = fork::enter_to_open();
            let waited = wait.as_ref().map_or(Duration::ZERO, |wait: &Wait| wait.since.elapsed());
            let opened = crate::backend::sqlite::Sqlite::open(path, options, check, waited);
            // A waiting open must not delay forks.
            drop(entered);
            match opened {
                Err(error) if error.is_passing() => {
                    if !wait.get_or_insert_with(Wait::begin).step(options.busy_timeout, |step, left| {
                        std::thread::sleep(step.min(left));
                        true
                    }) {
                        return Err(error.given_up());
                    }
                }
                opened => break opened?,
            }
        };
        let label = backend.path().display().to_string();
        Ok(Store::over(Box::new(backend), label, options))
    }

    /// Opens the store of the project that contains `dir` (`None`: the working directory). That is the one whose URL or
    /// path the environment variable `LUAT_KV_DB` contains, if it is set and not empty; otherwise the one of the key
    /// `url` in the table `kv` of the project's `luat.toml`, in which a relative path starts from the project's folder;
    /// otherwise `kv.db` in the data folder that `luat.toml` names; otherwise `kv.db` in `.luat/data`.
    ///
    /// A `luat.toml` must belong to the process's user, to root, or to the owner of `dir`, and neither it nor its
    /// folder may be writable by everybody (unless the folder has the sticky bit). The same owners are required for
    /// symbolic links between it and the database, and for folders inside of folders that everybody may write to.
    /// Otherwise the result is [`Code::Io`], unless `LUAT_KV_TRUSTED_PROJECT` contains the project's folder (folders
    /// are separated as in `PATH`).
    #[cfg(feature = "sqlite")]
    pub fn open_project(dir: Option<&Path>, options: &OpenOptions) -> Result<Store> {
        match luat_project::store(dir)? {
            Location::File(place) => {
                place.check(Stage::Begun)?;
                Store::open_checked(&place.path, options, &|stage| place.check(stage))
            }
            Location::Other(url) => Store::open_parsed(url, options),
        }
    }

    /// Opens a new, empty store in memory. Its contents are lost when it closes.
    pub fn open_memory(options: &OpenOptions) -> Result<Store> {
        if options.readonly {
            return Err(Error::invalid("a store in memory cannot be opened for reading only"));
        }
        Ok(Store::over(Box::new(Memory::new()), "memory".to_owned(), options))
    }

    fn over(backend: Box<dyn Backend>, label: String, options: &OpenOptions) -> Store {
        Store(Arc::new(Inner::over(backend, label, options)))
    }

    /// Returns the names of the namespaces that have live keys, in byte order.
    pub fn namespaces(&self) -> Result<Vec<String>> {
        let now = self.0.clock.now();
        self.0.call(|backend| backend.namespaces(now))
    }

    /// Returns what the store contains. Counts every row, but reads no values.
    pub fn stats(&self) -> Result<Stats> {
        let now = self.0.clock.now();
        self.0.call(|backend| {
            let (path, file_size) = (self.label().to_owned(), backend.file_size()?);
            Ok(Stats { path, file_size, namespaces: backend.stats(now)?, cache: backend.cache() })
        })
    }

    /// Removes up to `max` expired entries (`None`: all) from the file, and returns how many. Results never contain
    /// expired entries, and each write removes some of them, so no caller needs this for correct results.
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

    /// Rewrites the file without the space that deleted entries have left. Meanwhile writers wait, and it takes at most
    /// as much disk space as the used part of the file, twice: once beside the file, for its log, and once for a
    /// temporary file (in the folder that `SQLITE_TMPDIR` names, or else `TMPDIR`, or else in `/var/tmp`). The error of
    /// a full disk says how much that is. Does nothing in memory, and on a PostgreSQL server.
    pub fn compact(&self) -> Result<()> {
        self.0.call_for_long(&Cell::new(false), |backend| backend.compact())?;
        self.checkpoint().map(|_| ())
    }

    /// Moves the log beside the file into the file. Returns whether all of it was moved within the busy timeout: a
    /// reader of an older state holds back the rest. SQLite also does this by itself from time to time.
    pub fn checkpoint(&self) -> Result<bool> {
        match self.0.call(|backend| backend.checkpoint()) {
            Err(error) if error.code() == Code::Busy => Ok(false),
            answer => answer.map(|()| true),
        }
    }

    /// Copies the whole store, as of one moment, into a new file, while others go on writing. The copy gets its name
    /// when it is complete and checked. An existing file of that name is not replaced. A store in memory, or on a
    /// PostgreSQL server, is [`Code::Invalid`].
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<()> {
        #[cfg(feature = "sqlite")]
        url::check_path(path.as_ref())?;
        self.0.call_for_long(&Cell::new(false), |backend| backend.backup(path.as_ref()))
    }

    /// Returns everything, or what has changed since the last record, as bytes for [`load`](Store::load).
    #[cfg(any(target_family = "wasm", fuzzing, test))]
    pub(crate) fn record(&self, everything: bool) -> Result<Vec<u8>> {
        self.0.call(|backend| memory(backend)?.record(everything))
    }

    /// Applies records in their order. If they are damaged, it applies none; if memory runs out, a part of them.
    #[cfg(any(target_family = "wasm", fuzzing, test))]
    pub(crate) fn load(&self, records: &[u8]) -> Result<()> {
        self.0.call(|backend| memory(backend)?.load(records))
    }

    /// The word that is not 0 after a change: see `Memory`. It is valid as long as the store.
    #[cfg(target_family = "wasm")]
    pub(crate) fn changed(&self) -> Result<*mut u32> {
        self.0.call(|backend| Ok(memory(backend)?.changed()))
    }

    /// Replaces the value of a row: see `Memory`.
    #[cfg(target_family = "wasm")]
    pub(crate) fn replace(&self, row: u32, value: &[u8]) -> Result<Version> {
        let inner = &*self.0;
        inner.limits.value(value)?;
        inner.call(|backend| memory(backend)?.replace(row, value, &inner.clock))
    }

    /// Closes the store for all its handles. Using one of them is an error from then on. Closing again does nothing.
    pub fn close(&self) -> Result<()> {
        self.0.closed.store(true, Ordering::Relaxed);
        #[cfg(not(target_family = "wasm"))]
        self.0.backend.wake_watches();
        self.0.call(|backend| backend.close())
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.0.closed.load(Ordering::Relaxed) { Err(Error::closed()) } else { Ok(()) }
    }

    /// The present time of the store's clock, in Unix seconds.
    #[cfg_attr(not(feature = "internals"), allow(dead_code))]
    pub(crate) fn now(&self) -> i64 {
        self.0.clock.now()
    }

    /// The set of limits that the store was opened with.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// The absolute path of the database file, or `memory`, or the URL of the PostgreSQL database without its password.
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

    /// How often a call runs that finds the database in use `busy` times.
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
