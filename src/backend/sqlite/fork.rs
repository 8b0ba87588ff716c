//! Connections in the child of a fork.
//!
//! A parent keeps its connections: a child does not inherit their POSIX locks, so it cannot release them. The child
//! does inherit SQLite's record of those locks, which it does not hold. So before its first use of any store it
//! discards all inherited connections, and only then opens its own, by path. `descriptors` and docs/design.md explain
//! why that is safe, and what a child does with the descriptors.

use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};

use super::descriptors;
use super::registry::Registry;

/// Whether this process is a child that has not yet discarded what it has inherited.
static INHERITED: AtomicBool = AtomicBool::new(false);

/// The lock that is held from before a fork until after it.
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

/// Discards the inherited connections, unless that is done. Other threads wait meanwhile.
pub(super) fn discard(connections: impl FnOnce()) {
    if has_inherited() {
        let _discard = descriptors::Discard::begin();
        connections();
        INHERITED.store(false, Ordering::Release);
    }
}
