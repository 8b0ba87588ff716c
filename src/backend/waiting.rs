//! What watches need of a back end to wait for changes.

use std::time::Duration;

use super::Moment;
use crate::error::Result;

/// How long a watch waits before it looks for changes of programs that wake nobody.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// The part of the interface of a [`Backend`](super::Backend) that watches use to wait for changes.
pub(crate) trait Waiting {
    /// Waits until it is another moment, or until `time` is over. It may return earlier, and is called outside of a gate.
    fn wait_for_change(&self, _: Option<Moment>, time: Duration) {
        std::thread::sleep(time);
    }

    /// How long a watch waits at most before it looks, since some changes wake nobody; `quiet` is for how long there was
    /// none.
    fn patience(&self, _quiet: Duration) -> Duration {
        PATIENCE
    }

    /// Checks, once in a second, that what is watched is still there: nobody changes a file that was removed.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Lets those that wait for a change look again. Called outside of a gate.
    fn wake_watches(&self) {}

    /// Counts the watches that are open.
    fn begin_watch(&self) {}

    /// The same when one ends.
    fn end_watch(&self) {}
}
