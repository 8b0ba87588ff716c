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

/// After this many writes without a pause, more are expected.
const IN_A_ROW: u32 = 16;

/// How long it waits for the process that it has woken, which may have been killed.
const GIVES_WAY: Duration = Duration::from_millis(1);

/// With a shorter busy timeout, a call always tries to write: it could fail because it has not.
const PATIENT: Duration = Duration::from_millis(100);

/// The slices of a connection.
pub(super) struct Slice {
    index: WalIndex,
    began: Cell<Instant>,
    /// When the last write ended.
    ended: Cell<Instant>,
    /// The number of writes without a pause, up to [`IN_A_ROW`].
    in_a_row: Cell<u32>,
    is_retried: Cell<bool>,
    /// Whether another process was woken while the present write has not returned yet.
    has_woken: Cell<bool>,
    /// It gives way until this time, or until there is another commit than the one with this number.
    gives_way: Cell<Option<(Instant, u32)>>,
}

impl Slice {
    pub fn new(index: WalIndex) -> Slice {
        let now = Instant::now();
        Slice {
            index,
            began: Cell::new(now),
            ended: Cell::new(now),
            in_a_row: Cell::new(0),
            is_retried: Cell::new(false),
            has_woken: Cell::new(false),
            gives_way: Cell::new(None),
        }
    }

    /// Begins an attempt to write. Returns false if another process is to write first: the call has to wait.
    pub fn begin(&self, busy_timeout: Duration) -> bool {
        let has_waited = commits::begin(self.index);
        let (now, is_patient) = (Instant::now(), busy_timeout >= PATIENT);
        if let Some((until, number)) = self.gives_way.get() {
            if is_patient && now < until && self.index.commit_number() == number {
                return false;
            }
            self.gives_way.set(None);
        }
        if has_waited && is_patient && commits::goes_on_waiting() {
            return false;
        }
        let pauses = !has_waited && now.duration_since(self.ended.get()) > PAUSE;
        if has_waited || pauses {
            self.began.set(now);
        }
        if !has_waited {
            self.in_a_row.set(if pauses { 0 } else { IN_A_ROW.min(self.in_a_row.get() + 1) });
        }
        self.is_retried.set(has_waited);
        self.has_woken.set(false);
        true
    }

    /// Ends an attempt. If it has written, wakes another process, unless this one will likely write again at once and
    /// within its slice.
    pub fn end(&self, has_written: bool) {
        if !has_written {
            // The first attempt must not miss the commit that it has met.
            if self.is_retried.get() {
                commits::skip(self.index);
            }
            return;
        }
        let now = Instant::now();
        self.ended.set(now);
        let has_slices = self.in_a_row.get() == IN_A_ROW;
        if has_slices && !self.has_woken.get() && now.duration_since(self.began.get()) < SLICE {
            return;
        }
        self.began.set(now);
        if !self.has_woken.get() && commits::wake(self.index) && has_slices && commits::CAN_WAKE {
            self.gives_way.set(Some((now + GIVES_WAY, self.index.commit_number())));
        }
    }

    /// Wakes another process although the present write has not returned yet. It has committed.
    pub fn wake_early(&self) {
        commits::wake(self.index);
        self.has_woken.set(true);
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

    /// Writes without a pause, until it has to give way or is told to stop.
    fn write(connection: &Connection, goes_on: impl Fn() -> bool) {
        let slice = connection.own_commits.as_ref().unwrap().slice();
        while goes_on() && slice.begin(FOR_EVER) {
            put(connection);
            slice.end(true);
        }
    }

    #[test]
    fn a_process_gives_way_at_the_end_of_its_slice_until_another_has_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = OpenedFile::new(folder.path().join("kv.db"), false);
        // One that writes, and another one, as in another process.
        let (writer, other) = (&open(&file), &open(&file));
        let (index, has_ended) = (other.index.unwrap(), AtomicBool::new(false));
        let slice = writer.own_commits.as_ref().unwrap().slice();
        let begun = Instant::now();
        let in_time = || begun.elapsed() < FOR_EVER;
        thread::scope(|scope| {
            scope.spawn(|| {
                while !has_ended.load(Ordering::Relaxed) && in_time() {
                    commits::sleep(index, Duration::from_millis(100));
                }
            });
            write(writer, in_time);
            put(other);
            assert!(slice.begin(FOR_EVER));
            // If that one does not write, it goes on after a moment.
            write(writer, in_time);
            while !slice.begin(FOR_EVER) && in_time() {}
            // A call that cannot wait for long tries to write in any case.
            write(writer, in_time);
            assert!(slice.begin(Duration::ZERO));
            has_ended.store(true, Ordering::Relaxed);
        });
        assert!(in_time());
    }
}
