//! What watches need of a back end to find changes.

use super::{Comparison, Watched};
use crate::error::Result;

/// A state of a store. After a change, by any process, it is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub [u64; 8]);

/// The part of the interface of a [`Backend`](super::Backend) that watches use to find changes.
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
}
