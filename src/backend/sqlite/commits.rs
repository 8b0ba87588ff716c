//! Waiting for the commit of another process, by a futex in SQLite's shared memory.
//!
//! Each commit to a WAL increments `iChange` in the header of the log's index, which all processes that have the file
//! open have mapped. A writer that finds the file in use waits until that number changes; each write of this library
//! wakes one such waiter when it has ended. Writes of other programs wake nobody, so a wait is limited as a sleep would
//! be.
//!
//! A call remembers the number of its own write only. Only the kernel reads it while the thread waits, and the wait
//! fails if the memory is not mapped any more. So the connection may be closed meanwhile.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::wal_index::WalIndex;

thread_local! {
    /// The address of the number, and its value before the last write of this thread or, if that succeeded, after it.
    static SEEN: Cell<Option<(usize, u32)>> = const { Cell::new(None) };

    /// Whether the last write of this thread has woken another thread.
    static WOKE: Cell<bool> = const { Cell::new(false) };
}

/// Forgets the number of an earlier call of this thread, whose connection may be closed by now.
pub(super) fn forget() {
    SEEN.set(None);
}

/// Remembers the number, for a [`wait`] if the write that follows finds the file in use. To be called before the write,
/// or a commit in between would be missed.
pub(super) fn note(index: WalIndex) {
    WOKE.set(false);
    let commits = index.commits();
    // SAFETY: the connection is open, so the memory is mapped.
    let now = unsafe { commits.as_ref() }.load(Ordering::Acquire);
    SEEN.set(Some((commits.addr().get(), now)));
}

/// Wakes a thread that waits, of any process. To be called after a write.
pub(super) fn wake(index: WalIndex) {
    note(index);
    WOKE.set(futex::wake(index.commits().as_ptr()));
}

/// Lets others write between two writes of this thread. If the last one has woken a thread, waits until that has
/// written, but not longer than a moment. Waiters that cannot be woken try again from time to time, so they get a short
/// moment too.
pub(super) fn give_way() {
    const LONGEST: Duration = Duration::from_millis(8);
    const SHORTEST: Duration = Duration::from_micros(200);
    if WOKE.take() { wait(LONGEST) } else { std::thread::sleep(SHORTEST) }
}

/// Waits until another process has written since this thread's last write began, but not longer than `time`.
pub(super) fn wait(time: Duration) {
    match SEEN.take() {
        Some((address, seen)) => futex::wait(address, seen, time),
        None => std::thread::sleep(time),
    }
}

#[cfg(target_os = "linux")]
mod futex {
    use super::*;

    /// Returns whether a thread was waiting.
    pub(super) fn wake(number: *const AtomicU32) -> bool {
        // SAFETY: it only compares the address with those that threads wait at.
        unsafe { libc::syscall(libc::SYS_futex, number, libc::FUTEX_WAKE, 1) > 0 }
    }

    pub(super) fn wait(address: usize, seen: u32, time: Duration) {
        let time = libc::timespec {
            tv_sec: time.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            #[allow(clippy::unnecessary_cast)] // its type differs from system to system
            tv_nsec: time.subsec_nanos() as _,
        };
        // SAFETY: the kernel reads the number, and fails if it cannot; it reads the time, which outlives the call.
        let done = unsafe { libc::syscall(libc::SYS_futex, address, libc::FUTEX_WAIT, seen, &raw const time) };
        // SAFETY: it is this thread's.
        if done < 0 && ![libc::EAGAIN, libc::ETIMEDOUT, libc::EINTR].contains(&unsafe { *libc::__errno_location() }) {
            // Not mapped any more, or not permitted.
            std::thread::sleep(Duration::new(time.tv_sec as u64, time.tv_nsec as u32));
        }
    }
}

/// A system without a futex between processes.
#[cfg(not(target_os = "linux"))]
mod futex {
    use super::*;

    /// Nobody can be woken, so it is as if there always were a waiter, which gives way for longer.
    pub(super) fn wake(_: *const AtomicU32) -> bool {
        true
    }

    pub(super) fn wait(_: usize, _: u32, time: Duration) {
        std::thread::sleep(time);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Instant;

    use super::super::connection::{Connection, Opening};
    use super::super::opened::OpenedFile;
    use super::*;
    use crate::types::Durability;

    const FOR_EVER: Duration = Duration::from_secs(60);

    fn open(file: &OpenedFile) -> Connection {
        let again = Opening::again(Durability::Normal, Duration::ZERO, false);
        Connection::open(file, Opening { create: true, ..again }).unwrap()
    }

    /// Commits to the file, as another process would.
    fn commit(file: &OpenedFile) {
        let connection = open(file);
        let put = "INSERT OR REPLACE INTO kv (namespace, key, value) VALUES ('n', 'k', randomblob(9))";
        connection.sqlite.execute(put, ()).unwrap();
        wake(connection.index.unwrap());
    }

    fn with_file(test: impl FnOnce(&OpenedFile, Connection)) {
        let folder = tempfile::tempdir().unwrap();
        let file = OpenedFile::new(folder.path().join("kv.db"), false);
        let connection = open(&file);
        test(&file, connection);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_wait_ends_with_the_next_commit() {
        with_file(|file, connection| {
            let index = connection.index.unwrap();
            let ((ready, is_ready), (done, is_done)) = (mpsc::channel(), mpsc::channel());
            thread::spawn(move || {
                note(index);
                ready.send(()).unwrap();
                wait(FOR_EVER);
                done.send(())
            });
            is_ready.recv().unwrap();
            thread::sleep(Duration::from_millis(20)); // most likely it waits now
            commit(file);
            is_done.recv_timeout(FOR_EVER / 2).unwrap();
        });
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_commit_between_the_note_and_the_wait_is_not_missed() {
        with_file(|file, connection| {
            note(connection.index.unwrap());
            thread::scope(|scope| scope.spawn(|| commit(file)).join()).unwrap();
            let begun = Instant::now();
            wait(FOR_EVER);
            assert!(begun.elapsed() < FOR_EVER / 2);
        });
    }

    #[test]
    fn a_wait_ends_with_its_time_also_if_the_connection_is_closed() {
        with_file(|_, connection| {
            const TIME: Duration = Duration::from_millis(20);
            note(connection.index.unwrap());
            let begun = Instant::now();
            wait(TIME);
            note(connection.index.unwrap());
            connection.close().unwrap();
            wait(TIME);
            wait(TIME); // without a note
            assert!(begun.elapsed() >= 3 * TIME);
        });
    }
}
