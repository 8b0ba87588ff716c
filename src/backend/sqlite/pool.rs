//! The connections that all stores on one file share: one that writes, and a few that read.
//!
//! - A call has a connection to itself, as a [`Turn`], until it returns.
//! - A program that never uses the stores on a file from two threads at once needs only the first connection.
//! - A short read takes the writing connection if it is free, since its cache is warm, and otherwise a reading one. So
//!   reads run side by side, and no read waits for a writer.
//! - Once a second thread was seen, longer reads (a list, a count) never take the writing connection, so no write waits
//!   for them.
//! - A long use of the writing connection (an import that stores what it has read, compacting) blocks writers as a
//!   writer in another process does: they return BUSY when their busy timeout is over. Short calls of this process take
//!   turns, however long that takes.
//!
//! While a process forks, no connection is in use: each turn is within a call (see `crate::fork`).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::connection::Connection;
use crate::error::{Code, Error, Result};

/// How many connections read, besides the one that writes.
const READERS: usize = 8;

/// What a call does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Read,
    /// A read whose duration is proportional to what is stored.
    LongRead,
    Write,
    /// A write whose duration the caller determines.
    LongWrite,
}

pub(super) struct Pool {
    state: Mutex<State>,
    writer_freed: Freed,
    reader_freed: Freed,
    /// For reads that take any connection. They are woken after each change: what each can have depends on both kinds,
    /// and there are few of them.
    any_freed: Freed,
    threads: Threads,
}

/// What threads wait for. To wake them costs a call of the system only if there are some. The pool's state is locked
/// during each of its functions.
#[derive(Default)]
struct Freed {
    changed: Condvar,
    waiting: AtomicUsize,
}

impl Freed {
    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.waiting.fetch_add(1, Relaxed);
        let state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Relaxed);
        state
    }

    fn notify_one(&self) {
        if self.waiting.load(Relaxed) > 0 {
            self.changed.notify_one();
        }
    }

    fn notify_all(&self) {
        if self.waiting.load(Relaxed) > 0 {
            self.changed.notify_all();
        }
    }
}

struct State {
    writer: Writer,
    #[allow(clippy::vec_box)] // they go from hand to hand
    readers: Vec<Box<Connection>>,
    /// Includes those in use.
    reader_count: usize,
    /// Whether connections that are returned are closed.
    closed: bool,
}

enum Writer {
    Free(Box<Connection>),
    InUse {
        long: bool,
        /// Whether there was no connection when this use began.
        was_missing: bool,
    },
    /// The next use opens one. The text says what happened to the one before.
    Missing(&'static str),
}

/// A connection, or the place for one, that this call has to itself until it is dropped.
struct Turn<'a> {
    pool: &'a Pool,
    is_writer: bool,
    connection: Option<Box<Connection>>,
    /// What happened to the connection that was here; `None` if there was none.
    after: Option<&'static str>,
}

impl Pool {
    pub fn new(writer: Connection) -> Self {
        let state =
            State { writer: Writer::Free(Box::new(writer)), readers: Vec::new(), reader_count: 0, closed: false };
        Pool {
            state: Mutex::new(state),
            writer_freed: Freed::default(),
            reader_freed: Freed::default(),
            any_freed: Freed::default(),
            threads: Threads::default(),
        }
    }

    /// Runs a call with a connection. If there is none, `connect` opens one; for the writing connection, it is told
    /// what happened to the one before. Returns BUSY if another call uses the writing connection for long.
    pub fn with<T>(
        &self,
        purpose: Use,
        connect: impl Fn(Option<&'static str>) -> Result<Connection>,
        act: impl FnOnce(&mut Connection) -> Result<T>,
    ) -> Result<T> {
        let mut turn = self.turn(purpose)?;
        if !turn.is_writer && turn.connection.is_none() {
            match connect(None) {
                Ok(reader) => turn.connection = Some(Box::new(reader)),
                // The process may be out of descriptors for another one.
                Err(why) => {
                    drop(turn);
                    turn = self.any_turn(why)?;
                }
            }
        }
        let connection = match &mut turn.connection {
            Some(connection) => connection,
            none => none.insert(Box::new(connect(turn.after)?)),
        };
        act(connection)
    }

    fn turn(&self, purpose: Use) -> Result<Turn<'_>> {
        let several = self.threads.note();
        let mut state = self.lock();
        state.check_open()?;
        match purpose {
            Use::Write | Use::LongWrite => self.writer_turn(state, purpose == Use::LongWrite),
            Use::LongRead if several => self.reader_turn(state),
            Use::Read | Use::LongRead => match state.writer.take(false) {
                Some((connection, after)) => Ok(Turn { pool: self, is_writer: true, connection, after }),
                None => self.reader_turn(state),
            },
        }
    }

    fn writer_turn<'a>(&'a self, mut state: MutexGuard<'a, State>, long: bool) -> Result<Turn<'a>> {
        loop {
            if let Writer::InUse { long: true, .. } = state.writer {
                return Err(Error::new(Code::Busy, "another call of this process imports into it, or compacts it"));
            }
            if let Some((connection, after)) = state.writer.take(long) {
                if long {
                    // From now on, waiting calls return BUSY.
                    self.writer_freed.notify_all();
                    self.any_freed.notify_all();
                }
                return Ok(Turn { pool: self, is_writer: true, connection, after });
            }
            state = self.writer_freed.wait(state);
            state.check_open()?;
        }
    }

    /// All that are in use come back soon: what takes really long reads by a connection of its own.
    fn reader_turn<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Result<Turn<'a>> {
        loop {
            let connection = state.readers.pop();
            if connection.is_some() || state.reader_count < READERS {
                state.reader_count += usize::from(connection.is_none());
                return Ok(Turn { pool: self, is_writer: false, connection, after: None });
            }
            state = self.reader_freed.wait(state);
            state.check_open()?;
        }
    }

    /// For a read for which no connection can be made: waits for one of those that there are. While there is only one,
    /// and another call uses it for long, returns why none could be made.
    fn any_turn(&self, why: Error) -> Result<Turn<'_>> {
        let mut state = self.lock();
        loop {
            state.check_open()?;
            if let Some(turn) = self.idle_turn(&mut state) {
                return Ok(turn);
            }
            if matches!(state.writer, Writer::InUse { long: true, .. }) && state.reader_count == 0 {
                return Err(unavailable(why));
            }
            state = self.any_freed.wait(state);
        }
    }

    /// Takes the writing connection, or its place, or else a reading one, if one of them is not in use.
    fn idle_turn<'a>(&'a self, state: &mut State) -> Option<Turn<'a>> {
        if let Some((connection, after)) = state.writer.take(false) {
            return Some(Turn { pool: self, is_writer: true, connection, after });
        }
        let connection = Some(state.readers.pop()?);
        Some(Turn { pool: self, is_writer: false, connection, after: None })
    }

    /// Runs a short read if a connection is open and not in use.
    pub fn with_idle<T>(&self, act: impl FnOnce(&mut Connection) -> T) -> Option<T> {
        let turn = {
            let mut state = self.lock();
            if state.closed { None } else { self.idle_turn(&mut state) }
        };
        turn?.connection.as_mut().map(|connection| act(connection))
    }

    /// Whether there is a connection, in use or not. One that is being opened does not count.
    pub fn is_connected(&self) -> bool {
        let state = self.lock();
        let is_missing = matches!(state.writer, Writer::Missing(_) | Writer::InUse { was_missing: true, .. });
        state.reader_count > 0 || !is_missing
    }

    /// Takes out the connections that are not in use. The next use opens new ones, and is told what happened.
    pub fn disconnect(&self, after: &'static str) -> Vec<Connection> {
        self.lock().drain(after)
    }

    /// Takes out all connections, and waits for those that are in use, but not for long calls: a connection that comes
    /// back later is closed then. Calls that wait for a connection fail.
    pub fn close(&self) -> Vec<Connection> {
        let mut state = self.lock();
        state.closed = true;
        self.writer_freed.notify_all();
        self.reader_freed.notify_all();
        self.any_freed.notify_all();
        let mut closed = Vec::new();
        loop {
            closed.append(&mut state.drain("the end"));
            state = match state.writer {
                Writer::InUse { long: false, .. } => self.writer_freed.wait(state),
                _ if state.reader_count > 0 => self.reader_freed.wait(state),
                _ => return closed,
            };
        }
    }

    #[cfg(test)]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    // A poisoned lock is used on: nothing that can panic is done under it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check_open(&self) -> Result<()> {
        if self.closed { Err(Error::closed()) } else { Ok(()) }
    }

    fn drain(&mut self, after: &'static str) -> Vec<Connection> {
        let mut idle: Vec<_> = self.readers.drain(..).map(|reader| *reader).collect();
        self.reader_count -= idle.len();
        if let Writer::Free(_) = self.writer
            && let Writer::Free(writer) = std::mem::replace(&mut self.writer, Writer::Missing(after))
        {
            idle.push(*writer);
        }
        idle
    }
}

impl Writer {
    /// Takes the connection, or its place if there is none, unless it is in use.
    fn take(&mut self, long: bool) -> Option<(Option<Box<Connection>>, Option<&'static str>)> {
        if matches!(self, Writer::InUse { .. }) {
            return None;
        }
        let was_missing = matches!(self, Writer::Missing(_));
        match std::mem::replace(self, Writer::InUse { long, was_missing }) {
            Writer::Free(connection) => Some((Some(connection), None)),
            Writer::Missing(after) => Some((None, Some(after))),
            Writer::InUse { .. } => None,
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let broken = self.connection.as_ref().and_then(|connection| connection.broken);
        let mut state = self.pool.lock();
        if state.closed {
            // Whoever closes the pool waits until no connection is open.
            drop(state);
            close(self.connection.take());
            state = self.pool.lock();
        }
        let kept = if broken.is_none() { self.connection.take() } else { None };
        if self.is_writer {
            let missing = Writer::Missing(broken.or(self.after).unwrap_or("the end"));
            state.writer = kept.map_or(missing, Writer::Free);
            self.pool.writer_freed.notify_one();
        } else {
            match kept {
                Some(reader) => state.readers.push(reader),
                None => state.reader_count -= 1,
            }
            self.pool.reader_freed.notify_one();
        }
        self.pool.any_freed.notify_all();
        drop(state);
        close(self.connection.take());
    }
}

fn close(connection: Option<Box<Connection>>) {
    match connection {
        Some(connection) if connection.broken.is_some() => connection.close_without_checkpoint(),
        connection => drop(connection),
    }
}

/// The error of a read while another call uses the only connection for long. It is repeated until the busy timeout.
fn unavailable(why: Error) -> Error {
    const WHAT: &str = "another call imports into it or compacts it, and no connection can be made to read beside that";
    let why = why.while_doing(WHAT);
    if why.code() == Code::Io { why.into_passing() } else { why }
}

/// Whether more than one thread has made calls.
#[derive(Default)]
struct Threads {
    /// The first thread, as an address that is unique to it.
    first: AtomicUsize,
    several: AtomicBool,
}

impl Threads {
    /// Notes this thread, and returns whether there have been several.
    fn note(&self) -> bool {
        thread_local!(static THREAD: u8 = const { 0 });
        let this = THREAD.with(|thread| std::ptr::from_ref(thread).addr());
        match self.first.load(Relaxed) {
            first if first == this => {}
            0 => self.first.store(this, Relaxed),
            _ => self.several.store(true, Relaxed),
        }
        self.several.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::super::connection::Opening;
    use super::super::opened::OpenedFile;
    use super::*;
    use crate::types::Durability;

    fn connection(file: &OpenedFile, create: bool) -> Connection {
        let again = Opening::again(Durability::Normal, Duration::ZERO, false);
        Connection::open(file, Opening { create, ..again }).unwrap()
    }

    fn no_descriptor<T>(_: Option<&'static str>) -> Result<T> {
        Err(Error::new(Code::Io, "no descriptor is left"))
    }

    fn handle(connection: &mut Connection) -> Result<usize> {
        // SAFETY: it is only compared.
        Ok(unsafe { connection.sqlite.handle() as usize })
    }

    #[test]
    fn a_read_beside_a_long_write_says_why_it_has_no_connection() {
        let folder = tempfile::tempdir().unwrap();
        let file = OpenedFile::new(folder.path().join("kv.db"), false);
        let pool = Pool::new(connection(&file, true));
        let read = |_: &mut Connection| pool.with(Use::Read, no_descriptor, handle);
        let error = pool.with(Use::LongWrite, no_descriptor, read).unwrap_err();
        assert!(error.is_passing(), "the long write may end");
        let error = error.given_up();
        assert_eq!(error.code(), Code::Io);
        assert!(error.message().ends_with("no descriptor is left"), "{error}");
        pool.with(Use::Read, no_descriptor, handle).unwrap();
    }

    #[test]
    fn all_reads_that_wait_for_any_connection_get_one() {
        const READS: usize = 4;
        let folder = tempfile::tempdir().unwrap();
        let file = OpenedFile::new(folder.path().join("kv.db"), false);
        let pool = Pool::new(connection(&file, true));
        let ((has, had), (done, is_done)) = (mpsc::channel(), mpsc::channel());
        thread::scope(|scope| {
            let (pool, file) = (&pool, &file);
            let long = |_: &mut Connection| {
                // Both connections are in use until all reads wait. The reading one comes back first.
                let reader = scope.spawn(move || {
                    let read = |_: &mut Connection| {
                        has.send(()).unwrap();
                        while pool.any_freed.waiting.load(Relaxed) < READS {
                            thread::yield_now();
                        }
                        Ok(())
                    };
                    pool.with(Use::Read, |_| Ok(connection(file, false)), read)
                });
                had.recv().unwrap();
                for _ in 0..READS {
                    let done = done.clone();
                    scope.spawn(move || {
                        let read = pool.with(Use::Read, no_descriptor, |_| {
                            thread::sleep(Duration::from_millis(5)); // so that all cannot use one, in turn
                            Ok(())
                        });
                        done.send(read).unwrap();
                    });
                }
                reader.join().unwrap()
            };
            pool.with(Use::LongWrite, no_descriptor, long).unwrap();
            for _ in 0..READS {
                assert_eq!(is_done.recv_timeout(Duration::from_secs(60)), Ok(Ok(())));
            }
        });
    }

    #[test]
    fn a_read_that_can_make_no_connection_waits_for_one_that_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = OpenedFile::new(folder.path().join("kv.db"), false);
        let pool = Pool::new(connection(&file, true));
        let ((has, had), (finish, finished)) = (mpsc::channel(), mpsc::channel());
        let long = |_: &mut Connection| {
            thread::scope(|scope| {
                let (pool, file) = (&pool, &file);
                let first = scope.spawn(move || {
                    let read = |reader: &mut Connection| {
                        has.send(()).unwrap();
                        finished.recv().unwrap();
                        handle(reader)
                    };
                    pool.with(Use::Read, |_| Ok(connection(file, false)), read)
                });
                had.recv().unwrap();
                let fail = |after| {
                    finish.send(()).unwrap();
                    no_descriptor(after)
                };
                let second = pool.with(Use::Read, fail, handle);
                assert_eq!(second, first.join().unwrap());
                second
            })
        };
        let reader = pool.with(Use::LongWrite, no_descriptor, long).unwrap();
        assert_ne!(pool.with(Use::Read, no_descriptor, handle), Ok(reader), "the writing one is free again");
    }
}
