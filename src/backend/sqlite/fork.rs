//! What becomes of connections in the child of a fork.
//!
//! A parent keeps its connections: a child does not inherit their POSIX locks, so nothing that it does can take them
//! away. What a child inherits is SQLite's record of locks that it does not hold. So before its first use of any store
//! it discards all the connections that it has inherited, and only then makes its own, by path. Why that is safe, and
//! what a child does with the descriptors, is told in `descriptors` and docs/design.md.

use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};

use super::descriptors;
use super::registry::Registry;

/// Whether this process is a child that has not discarded yet what it has inherited.
static INHERITED: AtomicBool = AtomicBool::new(false);

/// What is locked from before a fork until after it.
pub(crate) type Locked = MutexGuard<'static, Registry>;

pub(crate) use descriptors::before_fork;

/// In the child's fork handler. (It allocates and frees nothing.)
pub(crate) fn after_fork_in_child(registry: &mut Registry) {
    descriptors::after_fork_in_child(registry);
    INHERITED.store(true, Ordering::Release);
}

pub(super) fn has_inherited() -> bool {
    INHERITED.load(Ordering::Acquire)
}

/// Discards what was inherited, unless that is done. Threads take turns.
pub(super) fn discard(connections: impl FnOnce()) {
    if has_inherited() {
        let _discard = descriptors::Discard::begin();
        connections();
        INHERITED.store(false, Ordering::Release);
    }
}
