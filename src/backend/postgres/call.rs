//! A call in progress: its deadline, and the gate of [`fork`] that it is in while it does not wait.

use std::time::{Duration, Instant};

use crate::fork;

/// A call that waits for the network. A fork must not wait as long as the network may take, so the call leaves the gate
/// wherever it waits. What another thread has in hand then is not used in the child of such a fork: see `pool`.
pub(super) struct Call {
    timeout: Duration,
    begun: Instant,
    until: Instant,
    /// `None` only while it waits.
    entered: Option<Entered>,
}

/// The time that an attempt needs at least. One that is cut off may still be carried out.
const ATTEMPT: Duration = Duration::from_millis(50);

/// Held for its drop.
#[allow(dead_code)]
enum Entered {
    Short(fork::Entered),
    Long(fork::LongCall),
}

/// Enters the gate again when it is dropped, also in a panic, which then drops a connection.
struct Back<'a>(&'a mut Option<Entered>);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        *self.0 = None;
        *self.0 = Some(Entered::Short(fork::enter()));
    }
}

impl Call {
    pub fn begin(timeout: Duration) -> Self {
        /// However short the busy timeout is, an answer of the server takes some time.
        const LEAST: Duration = Duration::from_millis(250);
        let begun = Instant::now();
        let timeout = timeout.clamp(LEAST, Duration::from_secs(u32::MAX.into()));
        let until = begun + timeout;
        Call { timeout, begun, until, entered: Some(Entered::Short(fork::enter())) }
    }

    /// Gives a call that waits for one answer after another the whole time for the next one.
    pub fn restart(&mut self) {
        self.begun = Instant::now();
        self.until = self.begun + self.timeout;
    }

    /// The whole time of the call, or of one answer, from its beginning to its end.
    pub fn timeout(&self) -> Duration {
        self.until - self.begun
    }

    pub fn until(&self) -> Instant {
        self.until
    }

    /// When an attempt may begin at the latest.
    pub fn last_start(&self) -> Instant {
        self.until - ATTEMPT
    }

    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    pub fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Adds the time that it takes to send or receive some bytes on a slow network.
    pub fn allow(&mut self, bytes: usize) {
        /// Bytes in a second.
        const SLOWEST: f64 = 8.0 * 1024.0 * 1024.0;
        self.until += Duration::from_secs_f64(bytes as f64 / SLOWEST);
    }

    /// How long the server may wait for the locks of others, in milliseconds: less than the call waits for the answer,
    /// so that a write that is given up does not happen later.
    pub fn lock_timeout(&self) -> String {
        less_than(self.left().min(self.timeout))
    }

    /// The same for a whole statement of a batch, which may take long by itself.
    pub fn statement_timeout(&self) -> String {
        less_than(self.left())
    }

    /// Does something that may wait, and that a fork need not wait for.
    pub fn outside<T>(&mut self, act: impl FnOnce() -> T) -> T {
        let _back = self.leave();
        act()
    }

    /// Does something that may wait, and that a fork has to wait for.
    pub fn long<T>(&mut self, act: impl FnOnce() -> T) -> T {
        let back = self.leave();
        *back.0 = Some(Entered::Long(fork::enter_for_long()));
        act()
    }

    /// Leaves the gate until this is dropped.
    fn leave(&mut self) -> Back<'_> {
        self.entered = None;
        Back(&mut self.entered)
    }

    /// Waits before another attempt, unless there is no time left.
    pub fn pause(&mut self, attempt: u32) -> bool {
        /// In milliseconds.
        const LONGEST: u64 = 100;
        let left = self.left();
        if left < ATTEMPT {
            return false;
        }
        let step = LONGEST.min(1 << attempt.min(16));
        // Those that got in each other's way do not try again at the same moment.
        let jitter = u64::from(Instant::now().duration_since(self.begun).subsec_nanos()) % step.max(2);
        let pause = Duration::from_millis(step / 2) + Duration::from_millis(jitter).mul_f64(0.5);
        self.outside(|| std::thread::sleep(pause.min(left - ATTEMPT)));
        true
    }
}

/// A timeout of the server, in milliseconds, that ends before a time of the call.
fn less_than(left: Duration) -> String {
    let margin = (left / 10).clamp(Duration::from_millis(20), Duration::from_millis(250));
    // 0 would mean no limit.
    left.saturating_sub(margin).as_millis().clamp(1, i32::MAX as u128).to_string()
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::*;

    #[test]
    fn a_call_is_in_its_gate_after_a_panic() {
        let mut call = Call::begin(Duration::ZERO);
        let mut is_entered = |panics: &dyn Fn(&mut Call)| {
            assert!(catch_unwind(AssertUnwindSafe(|| panics(&mut call))).is_err());
            matches!(call.entered, Some(Entered::Short(_)))
        };
        assert!(is_entered(&|call| call.outside(|| resume_unwind(Box::new(())))));
        assert!(is_entered(&|call| call.long(|| resume_unwind(Box::new(())))));
    }
}
