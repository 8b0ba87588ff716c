//! When the server is asked whether anything has changed: by one thread of the process at a time, for all watches of a
//! store.
//!
//! A thread that waits takes the turn, if no other has it, and asks whenever the interval is over. All others that wait
//! sleep until it returns to its caller: it has found another state, or its caller waits no longer, so that another one
//! has to take the turn. A thread that looks without waiting uses the last answer. It asks by itself if that is due and
//! nobody has the turn.
//!
//! A write of this process makes the last answer old, so what looks next asks. While another thread is asking, it waits:
//! that answer is from before the write, perhaps, but the next one is enough for all that wait.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::sockets::generation;
use crate::backend::{Moment, PATIENCE};
use crate::futex;

/// What the server has answered, and when.
pub(super) struct Polled {
    /// For how long after an answer it is not asked again.
    interval: Duration,
    begun: Instant,
    /// When the last answer came, in microseconds after `begun`; 0: never.
    answered: AtomicU64,
    /// A hash of the state; 0 if it is unknown.
    state: AtomicU64,
    /// How many writes this process has made, and how many of them the last answer certainly follows.
    writes: AtomicU64,
    covered: AtomicU64,
    /// Held by the thread that asks whenever the interval is over. The others sleep at it.
    turn: Baton,
    /// Held by the thread that is asking.
    asking: Baton,
}

impl Polled {
    pub fn every(interval: Duration) -> Self {
        let [answered, state, writes, covered] = [0; 4].map(AtomicU64::new);
        let (turn, asking) = (Baton::default(), Baton::default());
        Polled { interval, begun: Instant::now(), answered, state, writes, covered, turn, asking }
    }

    /// Makes the next look ask, since this process has changed something.
    pub fn forget(&self) {
        self.writes.fetch_add(1, Ordering::Release);
    }

    /// Returns the state: the last answer, unless that is too old.
    pub fn moment(&self, ask: impl FnOnce() -> Option<u64>) -> Option<Moment> {
        let writes = self.writes.load(Ordering::Acquire);
        let turn = if self.is_due() { self.turn.take() } else { None };
        let is_new = || self.covered.load(Ordering::Acquire) >= writes && !(turn.is_some() && self.is_due());
        self.ask_unless(is_new, ask)
    }

    /// Waits until it is another state than the one that the caller has seen, or until `time` is over.
    pub fn wait(&self, seen: Option<Moment>, time: Duration, ask: impl Fn() -> Option<u64>) {
        let end = Instant::now() + time;
        // Read first: what happens from now on changes the number, and what has happened shows in the rest.
        let passed = self.turn.passed();
        if let Some(_turn) = self.turn.take() {
            while self.last() == seen && Instant::now() < end {
                std::thread::sleep(self.until_due().min(end.saturating_duration_since(Instant::now())));
                self.ask_unless(|| !self.is_due(), &ask);
            }
        } else if self.last() == seen {
            self.turn.wait(passed, time, self.interval);
        }
    }

    fn last(&self) -> Option<Moment> {
        match self.state.load(Ordering::Acquire) {
            0 => None,
            state => Some(Moment([state, 0, 0, 0, 0, 0, 0, 0])),
        }
    }

    /// In microseconds, from 1.
    fn now(&self) -> u64 {
        self.begun.elapsed().as_micros() as u64 + 1
    }

    fn until_due(&self) -> Duration {
        match self.answered.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            answered => self.interval.saturating_sub(Duration::from_micros(self.now().saturating_sub(answered))),
        }
    }

    fn is_due(&self) -> bool {
        self.until_due().is_zero()
    }

    /// Returns the last answer if it is new. Asks otherwise, once no other thread does.
    fn ask_unless(&self, is_new: impl Fn() -> bool, ask: impl FnOnce() -> Option<u64>) -> Option<Moment> {
        loop {
            let passed = self.asking.passed();
            if is_new() {
                return self.last();
            }
            if let Some(_asking) = self.asking.take()
                && !is_new()
            {
                let writes = self.writes.load(Ordering::Acquire);
                self.state.store(ask().unwrap_or(0), Ordering::Release);
                self.covered.store(writes, Ordering::Release);
                self.answered.store(self.now(), Ordering::Release);
                return self.last();
            }
            self.asking.wait(passed, PATIENCE, Duration::from_millis(1));
        }
    }
}

/// What one thread of a process has at a time.
#[derive(Default)]
struct Baton {
    /// The generation of the process whose thread has it, and 1; 0: nobody. The child of a fork inherits the number, but
    /// not the thread, and has another generation.
    holder: AtomicU64,
    /// Changes when it is put down. Others wait at it.
    passed: AtomicU32,
}

/// It is put down when this is dropped.
struct Holding<'a>(&'a Baton);

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        let Baton { holder, passed } = self.0;
        holder.store(0, Ordering::Release);
        passed.fetch_add(1, Ordering::Release);
        futex::wake(passed, i32::MAX);
    }
}

impl Baton {
    fn take(&self) -> Option<Holding<'_>> {
        let (mine, found) = (generation() + 1, self.holder.load(Ordering::Acquire));
        if found == mine {
            return None;
        }
        self.holder.compare_exchange(found, mine, Ordering::AcqRel, Ordering::Relaxed).ok().map(|_| Holding(self))
    }

    fn passed(&self) -> u32 {
        self.passed.load(Ordering::Acquire)
    }

    /// Waits until it was put down since then, or until `time` is over; for `step` where nobody can be woken.
    fn wait(&self, passed: u32, time: Duration, step: Duration) {
        let time = if futex::CAN_WAKE { time } else { time.min(step) };
        futex::wait((&raw const self.passed).addr(), passed, time);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::SeqCst;
    use std::sync::{Mutex, mpsc};
    use std::thread;

    use super::*;

    const FOR_EVER: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(10);

    fn number(moment: Option<Moment>) -> u64 {
        moment.map_or(0, |Moment([state, ..])| state)
    }

    #[test]
    fn an_answer_is_used_until_the_interval_is_over() {
        let polled = Polled::every(FOR_EVER);
        assert_eq!(number(polled.moment(|| Some(1))), 1);
        assert_eq!(number(polled.moment(|| unreachable!())), 1);
        let polled = Polled::every(SHORT);
        assert_eq!(number(polled.moment(|| Some(1))), 1);
        thread::sleep(SHORT);
        assert_eq!(number(polled.moment(|| Some(2))), 2);
        thread::sleep(SHORT);
        assert_eq!(number(polled.moment(|| None)), 0, "what the server has not answered is unknown");
    }

    #[test]
    fn who_waits_asks_whenever_the_interval_is_over() {
        let (polled, asked, begun) = (Polled::every(SHORT), AtomicU64::new(1), Instant::now());
        let seen = polled.moment(|| Some(1));
        polled.wait(seen, FOR_EVER, || Some(if asked.fetch_add(1, SeqCst) < 4 { 1 } else { 2 }));
        assert_eq!(asked.load(SeqCst), 5);
        assert!(begun.elapsed() >= 4 * SHORT);
        // It is another state already, whoever has the turn.
        polled.wait(seen, FOR_EVER, || unreachable!());
        let _turn = polled.turn.take();
        polled.wait(seen, FOR_EVER, || unreachable!());
        assert!(begun.elapsed() < FOR_EVER);
    }

    /// The time that this thread has run.
    fn processor_time() -> Duration {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: there is room for the time.
        assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) }, 0);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    #[test]
    fn who_waits_sleeps() {
        let polled = Polled::every(FOR_EVER);
        let seen = polled.moment(|| Some(1));
        let before = processor_time();
        polled.wait(seen, 50 * SHORT, || unreachable!());
        assert!(processor_time() - before < 2 * SHORT);
    }

    #[test]
    fn threads_that_wait_ask_as_one() {
        let (polled, asked, is_asking) = (Polled::every(SHORT), AtomicU64::new(0), AtomicBool::new(false));
        let begun = Instant::now();
        let ask = || {
            assert!(!is_asking.swap(true, SeqCst), "two ask at once");
            asked.fetch_add(1, SeqCst);
            thread::sleep(Duration::from_millis(2));
            is_asking.store(false, SeqCst);
            Some(1)
        };
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    while begun.elapsed() < 50 * SHORT {
                        let seen = polled.moment(ask);
                        polled.wait(seen, 4 * SHORT, ask);
                    }
                });
            }
        });
        let most = begun.elapsed().as_millis() / SHORT.as_millis() + 1;
        assert!(u128::from(asked.load(SeqCst)) <= most, "{asked:?} times, not {most}");
    }

    #[test]
    fn one_thread_asks_and_all_are_told() {
        let (polled, asked, by, begun) =
            (Polled::every(SHORT), AtomicU64::new(0), Mutex::new(HashSet::new()), Instant::now());
        let seen = polled.moment(|| Some(1));
        let ask = || {
            by.lock().unwrap().insert(thread::current().id());
            Some(if asked.fetch_add(1, SeqCst) < 20 { 1 } else { 2 })
        };
        thread::scope(|scope| (0..10).for_each(|_| _ = scope.spawn(|| polled.wait(seen, FOR_EVER, ask))));
        assert!(begun.elapsed() < FOR_EVER);
        assert_eq!((by.lock().unwrap().len(), asked.load(SeqCst)), (1, 21));
    }

    #[test]
    fn another_thread_goes_on_when_the_one_that_asks_returns() {
        let (polled, state, begun) = (Polled::every(SHORT), AtomicU64::new(1), Instant::now());
        let ask = || Some(state.load(SeqCst));
        let seen = polled.moment(ask);
        thread::scope(|scope| {
            let first = scope.spawn(|| polled.wait(seen, 20 * SHORT, ask));
            while polled.turn.holder.load(SeqCst) == 0 && !first.is_finished() {
                thread::yield_now();
            }
            scope.spawn(|| {
                while number(polled.moment(ask)) == 1 && begun.elapsed() < FOR_EVER {
                    polled.wait(seen, FOR_EVER, ask);
                }
            });
            first.join().unwrap();
            state.store(2, SeqCst);
        });
        assert!(begun.elapsed() < FOR_EVER);
    }

    #[test]
    fn what_looks_after_a_write_of_this_process_has_an_answer_from_after_it() {
        let polled = Polled::every(FOR_EVER);
        assert_eq!(number(polled.moment(|| Some(1))), 1);
        polled.forget();
        assert_eq!(number(polled.moment(|| Some(2))), 2);
        assert_eq!(number(polled.moment(|| unreachable!())), 2);
        polled.forget();
        let ((asks, is_asked), (go_on, may_go_on)) = (mpsc::channel(), mpsc::channel());
        thread::scope(|scope| {
            let polled = &polled;
            scope.spawn(move || {
                polled.moment(|| {
                    asks.send(()).unwrap();
                    may_go_on.recv().ok();
                    Some(3)
                })
            });
            is_asked.recv().unwrap();
            polled.forget();
            let asked = AtomicU64::new(0);
            let look = || {
                polled.moment(|| {
                    asked.fetch_add(1, SeqCst);
                    thread::sleep(SHORT);
                    Some(4)
                })
            };
            thread::scope(|scope| {
                let looks: Vec<_> = (0..5).map(|_| scope.spawn(look)).collect();
                thread::sleep(SHORT);
                go_on.send(()).unwrap();
                looks.into_iter().for_each(|look| assert_eq!(number(look.join().unwrap()), 4));
            });
            assert_eq!(asked.load(SeqCst), 1, "one answer is enough for all");
        });
    }

    #[test]
    fn the_child_of_a_fork_asks_by_itself() {
        let polled = Polled::every(SHORT);
        // Threads of another process, which have not come along.
        for baton in [&polled.turn, &polled.asking] {
            baton.holder.store(generation() + 2, SeqCst);
        }
        assert_eq!(number(polled.moment(|| Some(1))), 1);
        let begun = Instant::now();
        polled.turn.holder.store(generation() + 2, SeqCst);
        polled.wait(polled.last(), FOR_EVER, || Some(2));
        assert_eq!(number(polled.last()), 2);
        assert!(begun.elapsed() < FOR_EVER);
    }
}
