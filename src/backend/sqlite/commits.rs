//! Waiting for the commit of another process, by a futex in SQLite's shared memory.
//!
//! Each commit to a WAL increments `iChange` in the header of the log's index, which all processes that have the file
//! open have mapped. A writer that finds the file in use waits until that number changes, and others wake it (see
//! `slice`). A wake may be missing: writes of other programs wake nobody, and a process may be killed, or stop writing,
//! before it has woken anyone. So a wait is limited.
//!
//! A call remembers the number of its own write only. Only the kernel reads it while the thread waits, and the wait
//! fails if the memory is not mapped any more. So the connection may be closed meanwhile.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::wal_index::WalIndex;
pub(super) use crate::futex::CAN_WAKE;
use crate::futex::{self, Ended};

/// What a thread knows of the commits to the file that it writes.
struct Waiter {
    /// The address of the number, and its value before the last write or, if that succeeded, after it.
    seen: Cell<Option<(usize, u32)>>,
    /// The same before the last wait of the call.
    before: Cell<Option<(usize, u32)>>,
    others: Cell<Others>,
    has_waited: Cell<bool>,
    /// The address of a number, and how long the turn of this thread may take to come there.
    patience: Cell<(usize, Duration)>,
    /// How many waits have ended with their time since a wake has ended one, up to [`IN_VAIN`].
    unwoken: Cell<u32>,
    /// How many waits of the call have ended with their time, since it was last woken or has tried to write.
    timeouts: Cell<u32>,
    /// How many waits of the call have ended at once because of a commit, since then.
    missed: Cell<u32>,
    /// Whether the last write has woken another thread.
    woke: Cell<bool>,
    /// When it last slept between two writes.
    slept: Cell<Option<Instant>>,
}

impl Waiter {
    /// 0 if nothing is known of turns.
    fn patience(&self, address: usize) -> Duration {
        let (known, patience) = self.patience.get();
        if known == address { patience } else { Duration::ZERO }
    }

    /// How long to wait, and whether that is a `step`.
    fn time(&self, address: usize, step: Duration, left: Duration) -> (Duration, bool) {
        // A call with a short timeout tries several times.
        let patience = self.patience(address).min(left / 4);
        match self.others.get() {
            Others::Commit if self.unwoken.get() == IN_VAIN => (step.min(LONGEST), true),
            // They may have stopped.
            Others::Commit if self.timeouts.get() % 2 == 1 => (SHORTEST, false),
            Others::Commit => (patience.max(SHORTEST), false),
            Others::Unknown if !patience.is_zero() => (patience, false),
            Others::Unknown | Others::Rest => (step, true),
        }
    }
}

/// What others have done since the last wait of the call began.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    /// It has not waited yet.
    Unknown,
    Commit,
    Rest,
}

thread_local! {
    static WAITER: Waiter = const {
        Waiter {
            seen: Cell::new(None),
            before: Cell::new(None),
            others: Cell::new(Others::Unknown),
            has_waited: Cell::new(false),
            patience: Cell::new((0, Duration::ZERO)),
            unwoken: Cell::new(0),
            timeouts: Cell::new(0),
            missed: Cell::new(0),
            woke: Cell::new(false),
            slept: Cell::new(None),
        }
    };
}

/// The bounds of the patience.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(10);

/// After so many waits that no wake has ended, others wake nobody. A few are usual where processes that take turns wait for
/// the disk.
const IN_VAIN: u32 = 8;

/// Forgets the number of an earlier call of this thread, whose connection may be closed by now.
pub(super) fn forget() {
    WAITER.with(|waiter| waiter.seen.set(None));
}

/// Remembers the number, for a [`wait`] if the write that follows finds the file in use. To be called before the write,
/// or a commit in between would be missed. Returns whether the call has waited before, so that this is not its first
/// attempt.
pub(super) fn begin(index: WalIndex) -> bool {
    WAITER.with(|waiter| {
        let has_waited = waiter.has_waited.take();
        let seen = (index.commits().addr().get(), index.commit_number());
        let before = waiter.before.take().filter(|_| has_waited);
        waiter.others.set(match before {
            None => Others::Unknown,
            Some(before) if before.0 == seen.0 && before.1 != seen.1 => Others::Commit,
            Some(_) => Others::Rest,
        });
        if !has_waited {
            waiter.timeouts.set(0);
            waiter.missed.set(0);
        }
        waiter.seen.set(Some(seen));
        waiter.woke.set(false);
        has_waited
    })
}

/// Remembers the present number, instead of that before the write: others commit all the time, and a [`wait`] would
/// end at once.
pub(super) fn skip(index: WalIndex) {
    WAITER.with(|waiter| waiter.seen.set(Some((index.commits().addr().get(), index.commit_number()))));
}

/// Wakes a thread that waits, of any process. To be called after a write. Returns whether there was one.
pub(super) fn wake(index: WalIndex) -> bool {
    skip(index);
    let woke = futex::wake(index.commits().as_ptr(), 1);
    WAITER.with(|waiter| waiter.woke.set(woke));
    woke
}

/// Whether a call that has waited goes on without another attempt, since others commit and will wake it: if it is
/// patient, and they do wake it. Another attempt would likely find the file in use, or take it from a process whose slice
/// has just begun.
///
/// Beside a program that wakes nobody, a thread that waits for a wake tries to write only when that program happens to
/// rest. So after several waits in vain it tries after each wait, until it is woken again.
pub(super) fn goes_on_waiting(is_patient: bool) -> bool {
    /// So many waits without an attempt.
    const MOST: u32 = 4;
    WAITER.with(|waiter| {
        let Some((address, _)) = waiter.seen.get() else { return false };
        let (timeouts, missed, patience) = (waiter.timeouts.get(), waiter.missed.get(), waiter.patience(address));
        let others_commit = waiter.others.get() == Others::Commit;
        let may_be_woken = CAN_WAKE && waiter.unwoken.get() < IN_VAIN;
        let goes_on = is_patient
            && others_commit
            && may_be_woken
            && match timeouts {
                // It was not in the queue yet. If others take turns, there is one.
                0 => !patience.is_zero() && (1..=MOST).contains(&missed),
                _ => timeouts <= MOST,
            };
        if timeouts > 0 {
            let longer = (2 * patience).clamp(SHORTEST, LONGEST);
            let expects = others_commit && may_be_woken;
            waiter.patience.set((address, if expects { longer } else { Duration::ZERO }));
        }
        if !goes_on {
            waiter.timeouts.set(0);
            waiter.missed.set(0);
        }
        goes_on
    })
}

/// Ends a call that has waited, whether it has reached the file again or not.
pub(super) fn end_call() {
    WAITER.with(|waiter| waiter.has_waited.set(false));
}

/// Lets others write between two writes of this thread. If the last one has woken a thread, waits until that has
/// written, but not longer than a moment. Waiters that cannot be woken try again from time to time, so they get a short
/// moment too, now and then: on a busy machine a sleep takes much longer than it should.
pub(super) fn give_way() {
    const LONGEST: Duration = Duration::from_millis(8);
    const SHORTEST: Duration = Duration::from_micros(200);
    const EVERY: Duration = Duration::from_millis(5);
    WAITER.with(|waiter| match waiter.seen.take() {
        Some((address, seen)) if waiter.woke.take() => drop(futex::wait(address, seen, LONGEST)),
        _ if waiter.slept.get().is_none_or(|slept| slept.elapsed() >= EVERY) => {
            std::thread::sleep(SHORTEST);
            waiter.slept.set(Some(Instant::now()));
        }
        _ => {}
    });
}

/// Waits until another process wakes this thread, but not longer than `left`; and if it knows nothing of turns at this
/// file, or nobody has committed during the last wait, about as long as `step`. Returns whether it was such a wait, so
/// that the next step may be longer.
///
/// Threads are woken in the order in which they began to wait, so a wait that ends too early costs the thread its place.
/// So a thread that was woken has patience: its next wait may last four times as long as that one, since the disk or the
/// system may stop them all for as long as a few turns take, and twice as long again if nobody wakes it. But those that commit may stop without waking anyone: the wait after one that nobody has ended is a
/// short one, to see whether they still do.
pub(super) fn wait(step: Duration, left: Duration) -> bool {
    WAITER.with(|waiter| {
        let Some((address, seen)) = waiter.seen.take() else {
            std::thread::sleep(step.min(left));
            return true;
        };
        let (time, is_step) = waiter.time(address, step, left);
        let begun = Instant::now();
        let ended = futex::wait(address, seen, time.min(left));
        if ended == Ended::TimedOut {
            waiter.unwoken.set(IN_VAIN.min(waiter.unwoken.get() + 1));
        }
        match ended {
            // The call has no time for another wait, so an attempt follows.
            Ended::TimedOut if time >= left => waiter.timeouts.set(u32::MAX),
            Ended::TimedOut => waiter.timeouts.set(waiter.timeouts.get().saturating_add(1)),
            Ended::Missed => waiter.missed.set(waiter.missed.get() + 1),
            Ended::Interrupted => {}
            Ended::Woken => {
                waiter.unwoken.set(0);
                waiter.timeouts.set(0);
                waiter.missed.set(0);
                let patience = (4 * begun.elapsed()).max(waiter.patience(address) / 2);
                waiter.patience.set((address, patience.clamp(SHORTEST, LONGEST)));
            }
        }
        waiter.before.set(Some((address, seen)));
        waiter.has_waited.set(true);
        is_step
    })
}

/// Sleeps until it is woken, or the next commit has happened already. Returns whether the time is over.
#[cfg(test)]
pub(super) fn sleep(index: WalIndex, time: Duration) -> bool {
    futex::wait(index.commits().addr().get(), index.commit_number(), time) == Ended::TimedOut
}

#[cfg(test)]
pub(super) mod tests;
