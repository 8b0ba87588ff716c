//! How processes that write without a pause share a file: in slices of time.
//!
//! A process that writes again as soon as its last write has ended goes on for a slice while others wait. It finds its
//! pages in memory, and need not wake anyone after each write. At the end of its slice it wakes the process that waits
//! longest, and lets it write. A process that pauses between its writes has no slices: each of its writes wakes a
//! waiter.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::commits;
use super::wal_index::WalIndex;

/// How long a process writes before it lets another one write.
const SLICE: Duration = Duration::from_micros(400);

/// A write that begins later than this after the end of the one before follows a pause.
const PAUSE: Duration = Duration::from_micros(50);

/// After this many writes without a pause, more are expected. A pause takes away as many. After twice as many writes, one
/// may be the system's, which has stopped the thread: a process that wakes another one after each write meanwhile takes
/// their places in the queue from all of them.
const IN_A_ROW: u32 = 16;

/// If it writes again within this time after its slice, it waits first.
const GIVES_WAY: Duration = Duration::from_millis(1);

/// With a shorter busy timeout, a call always tries to write: it could fail because it has not.
const PATIENT: Duration = Duration::from_millis(100);

/// The slices of a connection.
pub(super) struct Slice {
    index: WalIndex,
    began: Cell<Instant>,
    /// When the last write ended.
    ended: Cell<Instant>,
    /// The number of writes without a pause, up to twice [`IN_A_ROW`].
    in_a_row: Cell<u32>,
    /// Whether the write has begun just after the one before, as many have before it.
    follows: Cell<bool>,
    /// The number of commits before the attempt, if the call has waited.
    retried: Cell<Option<u32>>,
    /// The number of commits before the first one of the attempt.
    committed_after: Cell<Option<u32>>,
    /// Whether others were woken while the present write has not returned yet, and whether there was one.
    woke_early: Cell<Option<bool>>,
    /// A write before this time waits first, without an attempt.
    gives_way: Cell<Option<Instant>>,
}

impl Slice {
    pub fn new(index: WalIndex) -> Slice {
        let now = Instant::now();
        Slice {
            index,
            began: Cell::new(now),
            ended: Cell::new(now),
            in_a_row: Cell::new(0),
            follows: Cell::new(false),
            retried: Cell::new(None),
            committed_after: Cell::new(None),
            woke_early: Cell::new(None),
            gives_way: Cell::new(None),
        }
    }

    /// Begins an attempt to write. Returns false if another process is to write first: the call has to wait.
    pub fn begin(&self, busy_timeout: Duration) -> bool {
        let has_waited = commits::begin(self.index);
        let (now, is_patient) = (Instant::now(), busy_timeout >= PATIENT);
        let waits = match has_waited {
            false => self.gives_way.take().is_some_and(|until| is_patient && now < until),
            true => commits::goes_on_waiting(is_patient),
        };
        if waits {
            return false;
        }
        let pauses = !has_waited && now.duration_since(self.ended.get()) > PAUSE;
        if has_waited || pauses {
            self.began.set(now);
        }
        if !has_waited {
            let in_a_row = self.in_a_row.get();
            self.in_a_row.set(if pauses {
                in_a_row.saturating_sub(IN_A_ROW)
            } else {
                (2 * IN_A_ROW).min(in_a_row + 1)
            });
        }
        self.follows.set(!has_waited && !pauses && self.in_a_row.get() >= IN_A_ROW);
        self.retried.set(has_waited.then(|| self.index.commit_number()));
        self.committed_after.set(None);
        self.woke_early.set(None);
        true
    }

    /// Ends an attempt. If it has written, wakes another process, unless this one will likely write again at once and
    /// within its slice.
    pub fn end(&self, has_written: bool) {
        if !has_written {
            // The first attempt must not miss the commit that it has met.
            if self.retried.get().is_some() {
                commits::skip(self.index);
            }
            return;
        }
        let now = Instant::now();
        self.ended.set(now);
        let has_slices = self.in_a_row.get() >= IN_A_ROW;
        let others_write = match self.woke_early.get() {
            _ if has_slices && self.is_in_another_slice() => true,
            None if has_slices && now.duration_since(self.began.get()) < SLICE => return,
            None => commits::wake(self.index),
            Some(woke) => woke,
        };
        self.began.set(now);
        if others_write && has_slices && commits::CAN_WAKE {
            self.gives_way.set(Some(now + GIVES_WAY));
        }
    }

    /// Whether the write has begun just after the one before, as many have before it. Most likely, more follow at once.
    pub fn follows(&self) -> bool {
        self.follows.get()
    }

    /// Whether others have committed twice during the attempt, after a wait. SQLite repeats a step of it as long as the
    /// header changes, so another process was in the midst of its slice. That one wakes a process at its end. If this one
    /// did the same, two would have slices at once from then on, and delay each other. (If two others are about to
    /// conclude the same, nobody wakes anyone, and the next one writes when its patience ends.)
    fn is_in_another_slice(&self) -> bool {
        let number = self.retried.get().zip(self.committed_after.get());
        number.is_some_and(|(attempted, committed)| committed.wrapping_sub(attempted) >= 2)
    }

    /// Notes that a commit begins, after so many others.
    pub fn commits_after(&self, number: u32) {
        if self.committed_after.get().is_none() {
            self.committed_after.set(Some(number));
        }
    }

    /// Wakes another process although the present write has not returned yet. It has committed.
    pub fn wake_early(&self) {
        self.woke_early.set(Some(commits::wake(self.index)));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::super::connection::Connection;
    use super::super::opened::OpenedFile;
    use super::commits::tests::{open, put};
    use super::*;

    const FOR_EVER: Duration = Duration::from_secs(30);

    /// Writes without a pause, until it has to wait or is told to stop.
    fn write(connection: &Connection, goes_on: impl Fn() -> bool) {
        let slice = slice_of(connection);
        while goes_on() && slice.begin(FOR_EVER) {
            put(connection);
            slice.end(true);
        }
    }

    /// The same until it would have to wait.
    fn write_to_the_end(connection: &Connection, goes_on: impl Fn() -> bool) {
        let slice = slice_of(connection);
        while goes_on() && slice.gives_way.get().is_none() {
            assert!(slice.begin(FOR_EVER));
            put(connection);
            slice.end(true);
        }
    }

    /// A file with one connection that writes, and another one, as in another process, while a third waits.
    fn with_waiter(test: impl FnOnce(&Connection, &Connection, &dyn Fn() -> bool)) {
        let folder = tempfile::tempdir().unwrap();
        let file = OpenedFile::new(folder.path().join("kv.db"), false);
        let (writer, other) = (&open(&file), &open(&file));
        let (index, has_ended) = (other.index.unwrap(), AtomicBool::new(false));
        let begun = Instant::now();
        let in_time = &|| begun.elapsed() < FOR_EVER;
        thread::scope(|scope| {
            scope.spawn(|| {
                while !has_ended.load(Ordering::Relaxed) && in_time() {
                    commits::sleep(index, Duration::from_millis(100));
                }
            });
            let ends = End(&has_ended);
            test(writer, other, in_time);
            drop(ends);
        });
        assert!(in_time());
    }

    /// Ends the waiter, also if the test fails.
    struct End<'a>(&'a AtomicBool);

    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn slice_of(connection: &Connection) -> &Slice {
        connection.own_commits.as_ref().unwrap().slice()
    }

    #[test]
    fn a_process_waits_once_at_the_end_of_its_slice() {
        with_waiter(|writer, other, in_time| {
            let slice = slice_of(writer);
            write(writer, in_time);
            // It waits once for each slice, whether others have written or not.
            assert!(slice.begin(FOR_EVER));
            write(writer, in_time);
            put(other);
            assert!(slice.begin(FOR_EVER));
            // A pause is another way to let others write.
            write_to_the_end(writer, in_time);
            thread::sleep(2 * GIVES_WAY);
            assert!(slice.begin(FOR_EVER));
            // A call that cannot wait for long tries to write in any case.
            write_to_the_end(writer, in_time);
            assert!(slice.begin(Duration::ZERO));
        });
    }

    #[test]
    fn one_pause_among_many_writes_does_not_end_slices() {
        with_waiter(|writer, _, _| {
            let slice = slice_of(writer);
            let [write_at_once, pause] = [slice.ended.get() + FOR_EVER, slice.ended.get()];
            let writes = |after, count| {
                for _ in 0..count {
                    slice.ended.set(after);
                    assert!(slice.begin(Duration::ZERO));
                }
                slice.in_a_row.get() >= IN_A_ROW
            };
            thread::sleep(2 * PAUSE);
            assert!(!writes(write_at_once, IN_A_ROW - 1));
            assert!(writes(write_at_once, IN_A_ROW + 1));
            assert!(writes(pause, 1));
            assert!(!writes(pause, 1));
            assert!(!writes(write_at_once, IN_A_ROW - 1));
            assert!(!slice.follows());
            assert!(writes(write_at_once, 100) && slice.follows());
            assert!(writes(pause, 1) && !slice.follows());
            assert!(!writes(pause, 1));
        });
    }

    #[test]
    fn a_process_that_has_woken_another_one_early_waits_too() {
        with_waiter(|writer, _, in_time| {
            let slice = slice_of(writer);
            write(writer, in_time);
            let gives_way = || {
                assert!(slice.begin(FOR_EVER));
                put(writer);
                slice.wake_early();
                slice.end(true);
                !slice.begin(FOR_EVER)
            };
            while !gives_way() && in_time() {} // nobody may have waited at that moment
        });
    }

    #[test]
    fn a_write_beside_the_slice_of_another_process_ends_its_own() {
        with_waiter(|writer, other, in_time| {
            let slice = slice_of(writer);
            write(writer, in_time);
            for others in [0, 1, 2, 3] {
                // An attempt after a wait.
                commits::begin(writer.index.unwrap());
                commits::wait(Duration::ZERO, Duration::ZERO);
                assert!(slice.begin(FOR_EVER));
                (0..others).for_each(|_| put(other));
                put(writer);
                slice.began.set(Instant::now() + FOR_EVER); // its own is not over
                slice.in_a_row.set(IN_A_ROW); // however slow the machine is
                slice.end(true);
                slice.gives_way.set(slice.gives_way.get().map(|_| Instant::now() + FOR_EVER));
                assert_eq!(!slice.begin(FOR_EVER), others >= 2);
            }
        });
    }

    #[test]
    fn a_thread_that_was_woken_does_not_give_way() {
        with_waiter(|writer, _, in_time| {
            let slice = slice_of(writer);
            write_to_the_end(writer, in_time);
            slice.gives_way.set(Some(Instant::now() + FOR_EVER));
            // Another thread of this process, woken at the end of the slice.
            commits::begin(writer.index.unwrap());
            commits::wait(Duration::ZERO, Duration::ZERO);
            assert!(slice.begin(FOR_EVER));
            // It is the one that wrote which gives way.
            assert!(!slice.begin(FOR_EVER));
        });
    }
}
