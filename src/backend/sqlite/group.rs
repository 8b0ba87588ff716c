//! Group commit: with full durability, writes of several threads that meet are one transaction, with one sync.
//!
//! One thread leads: it gets the writing connection. Others leave their writes in a list and sleep. When the leader has
//! the connection, it takes the writes that are in the list by then, carries them out beside its own in one
//! transaction, and wakes their threads, each with its own answer. The first of those that came later leads next. A
//! thread that meets no other writes as if there was no group.
//!
//! Why this is sound: the list has references to jobs on the stacks of their threads. Such a thread sleeps until its
//! signal is given. The leader gives it last, after it has removed the job from the list and has written the answer, and
//! does not use the job afterwards. (The signal itself is shared, so that nobody has to outlive it.)

use std::cell::UnsafeCell;
use std::panic::resume_unwind;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use super::commits;
use crate::backend::{Outcome, Write};
use crate::error::Result;

/// The most writes that a leader adds to its own, so that the first does not wait long for the last.
const MOST: usize = 63;

#[derive(Default)]
pub(super) struct Group(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    is_led: bool,
    waiting: Vec<Waiting>,
}

/// The job of a thread that sleeps.
struct Waiting(NonNull<Job>);

// SAFETY: a job is used by the thread that removed it from the list, and by its own only after that.
unsafe impl Send for Waiting {}

/// A write, and what becomes of it.
pub(super) struct Job {
    write: NonNull<Write<'static, 'static>>,
    answer: UnsafeCell<Option<Answer>>,
    /// Whether it has failed with others, and is repeated without them.
    is_alone: AtomicBool,
    /// Made before the job is in the list.
    signal: OnceLock<Arc<Signal>>,
}

/// Wakes a thread: its job is answered, or it leads. (`thread::park` would need the thread's local data, which is gone
/// when a destructor of such data writes.)
#[derive(Default)]
struct Signal {
    is_given: Mutex<bool>,
    changed: Condvar,
}

/// The result of a write, or its panic.
pub(super) type Answer = thread::Result<Result<Outcome>>;

/// The jobs that a leader has taken. When this is dropped, their threads wake up. A job without an answer is repeated
/// alone.
pub(super) struct Others<'g> {
    group: &'g Group,
    jobs: Vec<Waiting>,
}

/// Hands on the lead when it is dropped.
struct Lead<'g>(&'g Group);

impl Group {
    /// Carries out a write, alone or with others. `lead` is called if this thread leads.
    pub fn run(&self, write: &mut Write<'_, '_>, lead: impl FnOnce(&Job) -> Result<Outcome>) -> Result<Outcome> {
        let job = Job {
            write: NonNull::from(write).cast(),
            answer: UnsafeCell::new(None),
            is_alone: AtomicBool::new(false),
            signal: OnceLock::new(),
        };
        commits::forget();
        let mut queue = self.lock();
        if queue.is_led {
            let signal = job.signal.get_or_init(Arc::default).clone();
            queue.waiting.push(Waiting(NonNull::from(&job)));
            drop(queue);
            signal.wait();
            // SAFETY: the leader is done with the job.
            match unsafe { (*job.answer.get()).take() } {
                Some(Ok(answer)) => return answer,
                Some(Err(panic)) => resume_unwind(panic),
                None => {}
            }
        } else {
            queue.is_led = true;
            drop(queue);
        }
        let _lead = Lead(self);
        lead(&job)
    }

    /// Takes the writes that wait. The caller leads with this job.
    pub fn others(&self, job: &Job) -> Others<'_> {
        let mut queue = self.lock();
        let count = if job.is_alone.load(Ordering::Relaxed) { 0 } else { queue.waiting.len().min(MOST) };
        let jobs = if count == 0 { Vec::new() } else { queue.waiting.drain(..count).collect() };
        Others { group: self, jobs }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    /// # Safety
    /// The caller leads with this job, or has taken it, and has no other reference to its write.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn write(&self) -> &mut Write<'static, 'static> {
        // SAFETY: the thread of the job has borrowed it mutably and does not use it while it sleeps or leads.
        unsafe { &mut *self.write.as_ptr() }
    }

    /// # Safety
    /// As for [`write`](Self::write).
    pub unsafe fn answer(&self, answer: Answer) {
        // SAFETY: as above.
        unsafe { *self.answer.get() = Some(answer) };
    }

    /// Wakes the thread of the job. After this, the job may be gone.
    fn signal(&self) {
        let signal = self.signal.get().cloned();
        signal.iter().for_each(|signal| signal.give());
    }
}

impl Signal {
    fn give(&self) {
        *self.is_given.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let is_given = self.is_given.lock().unwrap_or_else(PoisonError::into_inner);
        let _given = self.changed.wait_while(is_given, |is_given| !*is_given).unwrap_or_else(PoisonError::into_inner);
    }
}

impl Others<'_> {
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Job> {
        // SAFETY: the threads of the jobs sleep until this is dropped.
        self.jobs.iter().map(|job| unsafe { job.0.as_ref() })
    }
}

impl Drop for Others<'_> {
    fn drop(&mut self) {
        for waiting in self.jobs.drain(..) {
            // SAFETY: its thread sleeps.
            let job = unsafe { waiting.0.as_ref() };
            // SAFETY: this thread has taken the job.
            if unsafe { (*job.answer.get()).is_none() } {
                job.is_alone.store(true, Ordering::Relaxed);
                self.group.lock().waiting.push(waiting);
            } else {
                job.signal();
            }
        }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        if queue.waiting.is_empty() {
            queue.is_led = false;
            return;
        }
        let next = queue.waiting.remove(0);
        drop(queue);
        // SAFETY: its thread sleeps.
        unsafe { next.0.as_ref() }.signal();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::database::{Caller, Database};
    use super::*;
    use crate::backend::{Action, Content, Expires, Op};
    use crate::clock::Clock;
    use crate::error::Code;
    use crate::types::{Durability, Limits};

    const CALLER: Caller =
        Caller { readonly: false, durability: Durability::Full, busy_timeout: Duration::ZERO, cache_size: 1 << 20 };

    fn carry_out(database: &Database, ops: &mut [Op<'_>]) -> Result<Outcome> {
        let clock = Clock::system();
        let mut write = Write { ops, limits: Limits::Default, clock: &clock, progress: None };
        database
            .group
            .run(&mut write, |job| database.write(&CALLER, false, |connection| database.carry_out(connection, job)))
    }

    fn put<'a>(key: &'a str, value: &'a str) -> Op<'a> {
        let content = Content { value: value.as_bytes(), metadata: None, expires: Expires::Never };
        Op::new("n", key, Action::Put(content))
    }

    fn commits(database: &Database) -> u32 {
        let read = |connection: &mut super::super::connection::Connection| {
            // SAFETY: the connection is open.
            Ok(unsafe { connection.index.unwrap().commits().as_ref() }.load(Ordering::Relaxed))
        };
        database.read(&CALLER, false, read).unwrap()
    }

    /// Carries out writes at once: all wait while the connection is in use.
    fn meet<T: Send>(database: &Database, writes: Vec<Box<dyn FnOnce() -> T + Send + '_>>) -> Vec<T> {
        let until = |reached: &dyn Fn(&Queue) -> bool| {
            let begun = Instant::now();
            while !reached(&database.group.lock()) {
                assert!(begun.elapsed() < Duration::from_secs(60));
                thread::yield_now();
            }
        };
        thread::scope(|scope| {
            let threads = database.write(&CALLER, false, |_| {
                let mut threads = Vec::new();
                for (index, write) in writes.into_iter().enumerate() {
                    threads.push(scope.spawn(write));
                    until(&|queue| queue.is_led && queue.waiting.len() == index);
                }
                Ok(threads)
            });
            threads.unwrap().into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    fn open() -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kv.db");
        let database = Database::open(path, CALLER, true, &|_| Ok(()), Duration::ZERO).unwrap();
        carry_out(&database, &mut [put("text", "no number"), put("there", "v")]).unwrap();
        (folder, database)
    }

    #[test]
    fn writes_that_meet_are_one_commit_and_each_has_its_answer() {
        let (_folder, database) = open();
        let database = &database;
        let before = commits(database);
        let incr = |key| Op::new("n", key, Action::Incr { by: 2, initial: 0, expires: Expires::Never });
        let one = move |op: Op<'static>| {
            let write = move || {
                let ops = &mut [op];
                carry_out(database, ops).map(|outcome| (outcome, ops[0].answer.found, ops[0].answer.sum))
            };
            Box::new(write) as Box<dyn FnOnce() -> Result<(Outcome, bool, i64)> + Send + '_>
        };
        let batch = move |op: Op<'static>| {
            let write = move || {
                let ops = &mut [put("of a batch", "v"), op];
                carry_out(database, ops).map(|outcome| (outcome, false, 0_i64))
            };
            Box::new(write) as Box<dyn FnOnce() -> Result<(Outcome, bool, i64)> + Send + '_>
        };
        let answers = meet(
            database,
            vec![
                one(put("k", "v")),
                one(incr("count")),
                one(incr("count")),
                batch(incr("text")),
                batch(Op::new("n", "there", Action::Check(None))),
                one(Op::new("n", "there", Action::Delete)),
                one(Op::new("n", "there", Action::Delete)),
            ],
        );
        assert_eq!(commits(database) - before, 1);
        let sums: Vec<_> = answers.iter().map(|answer| answer.as_ref().map(|(_, _, sum)| *sum)).collect();
        assert_eq!((&sums[1], &sums[2]), (&Ok(2), &Ok(4)));
        assert_eq!(answers[3].as_ref().unwrap_err().code(), Code::Invalid);
        assert_eq!(answers[4], Ok((Outcome::Conflict, false, 0)));
        let found: Vec<_> = answers[5..].iter().map(|answer| answer.as_ref().unwrap().1).collect();
        assert_eq!(found, [true, false]);
        // Of those that have failed, nothing was stored, and each write has its own version.
        let rows = |connection: &mut super::super::connection::Connection| {
            let query = "SELECT count(*), count(DISTINCT version) FROM kv WHERE key IN ('k', 'count', 'of a batch')";
            Ok(connection.sqlite.query_row(query, (), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?)
        };
        assert_eq!(database.read(&CALLER, false, rows), Ok((2, 2)));
    }

    #[test]
    fn an_error_of_the_transaction_is_that_of_all() {
        let (folder, database) = open();
        let database = &database;
        let other = rusqlite::Connection::open(folder.path().join("kv.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        type Put<'a> = Box<dyn FnOnce() -> Result<Outcome> + Send + 'a>;
        let write = || -> Put<'_> { Box::new(|| carry_out(database, &mut [put("k", "v")])) };
        for answer in meet(database, vec![write(), write(), write()]) {
            assert_eq!(answer.unwrap_err().code(), Code::Busy);
        }
        other.execute_batch("ROLLBACK").unwrap();
        for answer in meet(database, vec![write(), write(), write()]) {
            answer.unwrap();
        }
        assert!(!database.group.lock().is_led);
    }

    #[test]
    fn if_one_write_ends_the_transaction_the_others_are_repeated() {
        let (_folder, database) = open();
        let database = &database;
        let read = |sql: &'static str| {
            let read = |connection: &mut super::super::connection::Connection| {
                Ok(connection.sqlite.query_row(sql, (), |row| row.get::<_, i64>(0))?)
            };
            database.read(&CALLER, false, read).unwrap()
        };
        // As on a full disk: SQLite takes everything back.
        let limit = read("PRAGMA page_count") + 2;
        let set = |connection: &mut super::super::connection::Connection| {
            Ok(connection.sqlite.pragma_update(None, "max_page_count", limit)?)
        };
        database.write(&CALLER, false, set).unwrap();
        let large = "x".repeat(1 << 20);
        let incr = || {
            let incr = Action::Incr { by: 1, initial: 0, expires: Expires::Never };
            carry_out(database, &mut [Op::new("n", "count", incr)])
        };
        type Do<'a> = Box<dyn FnOnce() -> Result<Outcome> + Send + 'a>;
        let incr = || -> Do<'_> { Box::new(incr) };
        let too_large = || -> Do<'_> { Box::new(|| carry_out(database, &mut [put("large", &large)])) };
        let answers = meet(database, vec![incr(), incr(), too_large(), incr(), too_large()]);
        for (index, answer) in answers.iter().enumerate() {
            match index {
                2 | 4 => assert_eq!(answer.as_ref().unwrap_err().code(), Code::Io),
                _ => assert!(matches!(answer, Ok(Outcome::Done(_))), "{answer:?}"),
            }
        }
        assert_eq!(read("SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM kv WHERE key = 'count'"), 3);
    }

    #[test]
    fn more_than_one_group_may_wait() {
        const WRITES: usize = 2 * (MOST + 1) + 10;
        let (_folder, database) = open();
        let database = &database;
        let before = commits(database);
        let incr = || {
            let incr = Action::Incr { by: 1, initial: 0, expires: Expires::Never };
            carry_out(database, &mut [Op::new("n", "count", incr)]).unwrap()
        };
        let write = || Box::new(incr) as Box<dyn FnOnce() -> Outcome + Send + '_>;
        meet(database, (0..WRITES).map(|_| write()).collect());
        assert_eq!(commits(database) - before, 3);
        let count = |connection: &mut super::super::connection::Connection| {
            let query = "SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM kv WHERE key = 'count'";
            Ok(connection.sqlite.query_row(query, (), |row| row.get::<_, usize>(0))?)
        };
        assert_eq!(database.read(&CALLER, false, count), Ok(WRITES));
    }

    /// The folder in which a sync is to fail.
    #[cfg(target_os = "linux")]
    static FAILS: Mutex<Option<std::path::PathBuf>> = Mutex::new(None);

    /// What SQLite calls in this program.
    #[cfg(target_os = "linux")]
    #[unsafe(no_mangle)]
    extern "C" fn fdatasync(descriptor: libc::c_int) -> libc::c_int {
        let path = std::fs::read_link(format!("/proc/self/fd/{descriptor}")).unwrap_or_default();
        let fails = FAILS.lock().unwrap().take_if(|folder| path.starts_with(folder)).is_some();
        // SAFETY: the number is this thread's; the system checks the descriptor.
        unsafe {
            if fails {
                *libc::__errno_location() = libc::EIO;
                return -1;
            }
            libc::syscall(libc::SYS_fdatasync, descriptor) as libc::c_int
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_commit_that_fails_brings_nothing_into_the_cache() {
        use super::super::cache::Adding;
        use super::super::rows;
        use crate::backend::Projection;
        use crate::types::Entry;

        let (folder, database) = open();
        let database = &database;
        let text = |found: bool, entry: &Entry| found.then(|| String::from_utf8_lossy(entry.value()).into_owned());
        let read = |key| {
            let read = |connection: &mut super::super::connection::Connection| {
                let (adding, mut entry) = (Adding::begin(&database.cache, connection.index, 1 << 20), Entry::default());
                let found = rows::get(&connection.sqlite, "n", key, Projection::Entry, 0, &mut entry)?;
                adding.unwrap().end("n", key, found, Projection::Entry, &entry);
                Ok(text(found.is_live(), &entry))
            };
            database.read(&CALLER, false, read).unwrap()
        };
        let cached = |key| {
            let mut entry = Entry::default();
            let found = database.cache.get("n", key, Projection::Entry, 0, &mut entry)?;
            Some(text(found.unwrap(), &entry))
        };
        let keys = ["there", "text", "missing"];
        let before = keys.map(read);
        assert_eq!(keys.map(cached), before.clone().map(Some));
        let delete = || carry_out(database, &mut [Op::new("n", "text", Action::Delete)]);
        *FAILS.lock().unwrap() = Some(folder.path().canonicalize().unwrap());
        let answers = meet(
            database,
            vec![
                Box::new(|| carry_out(database, &mut [put("there", "lost")])) as Box<dyn FnOnce() -> _ + Send + '_>,
                Box::new(delete),
                Box::new(|| carry_out(database, &mut [put("missing", "lost")])),
            ],
        );
        assert!(
            answers.iter().all(|answer| answer.as_ref().is_err_and(|error| error.code() == Code::Io)),
            "{answers:?}"
        );
        for (key, before) in keys.into_iter().zip(before) {
            assert!(cached(key).is_none_or(|cached| cached == before), "{key}: {:?}", cached(key));
            assert_eq!(read(key), before);
        }
    }
}
