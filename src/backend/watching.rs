//! What watches need of a back end.

use std::time::Duration;

use super::{Comparison, Watched};
use crate::error::Result;

/// A state of a store. After a change, by any process, it is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub [u64; 8]);

/// How long a watch waits before it looks for changes of programs that wake nobody.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// The part of the interface of a [`Backend`](super::Backend) that watches use.
pub(crate) trait Watching {
    /// Calls `comparison` for the live rows of a namespace that are watched, and for the values that it asks for, all as
    /// of one moment.
    fn compare(&self, namespace: &str, watched: &Watched<'_>, comparison: &mut Comparison<'_>) -> Result<()>;

    /// What tells a store from others whose versions may be the same ones: a token of a watch is good only where it is the
    /// same. Two files, or two servers, never have the same versions.
    fn origin(&self) -> u64;

    /// Returns the present moment; `None` if the back end does not know it. It may be called outside of a gate.
    fn moment(&self) -> Option<Moment> {
        None
    }

    /// Waits until it is another moment, or until `time` is over. It may return earlier, and is called outside of a gate.
    fn wait_for_change(&self, _: Option<Moment>, time: Duration) {
        std::thread::sleep(time);
    }

    /// How long a watch waits at most before it looks, since some changes wake nobody; `quiet` is for how long there was
    /// none.
    fn patience(&self, _quiet: Duration) -> Duration {
        PATIENCE
    }

    /// Lets those that wait for a change look again. Called outside of a gate.
    fn wake_watches(&self) {}

    /// Counts the watches that are open.
    fn begin_watch(&self) {}

    /// The same when one ends.
    fn end_watch(&self) {}
}
