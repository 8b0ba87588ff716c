//! Forks: no call is under way while this process forks, and a child uses no connection of its parent's.
//!
//! A fork copies the memory of all threads but only one of the threads. A lock that another thread held stays held in
//! the child for ever, so a fork waits until every call has returned: each call holds the gate that [`enter`] opens.
//!
//! A parent keeps its connections: a child does not inherit their POSIX locks, so nothing that it does can take them
//! away. What a child inherits is SQLite's record of locks that it does not hold. So before its first use of any store
//! it discards all the connections that it has inherited ([`discard_inherited`]) and only then makes its own, by path.
//! Why that is safe, and what a child does with the descriptors, is told in `backend/sqlite/descriptors.rs` and
//! docs/design.md.
//!
//! Nothing else happens in a fork, since most are followed by an exec.

// Without SQLite there are no connections, and the gate is all.
#![cfg_attr(not(feature = "sqlite"), allow(dead_code))]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

#[cfg(all(unix, feature = "sqlite"))]
use crate::backend::sqlite::descriptors;

/// Held shared by each call, and exclusively from just before a fork until just after it.
static GATE: RwLock<()> = RwLock::new(());

/// The same for what may take long, as it waits for a pipe or copies everything. A fork takes this one first: while it
/// waits here, calls still come through the other; and once it has this one, there it waits for short calls only.
static LONG: RwLock<()> = RwLock::new(());

/// Says that this thread is in a call until the guard is dropped. Not to be nested: between the two a fork could begin
/// to wait for the first, and the second for the fork.
pub(crate) fn enter() -> RwLockReadGuard<'static, ()> {
    GATE.read().unwrap_or_else(PoisonError::into_inner)
}

/// The same for a call that may take long, in place of [`enter`].
pub(crate) fn enter_for_long() -> RwLockReadGuard<'static, ()> {
    LONG.read().unwrap_or_else(PoisonError::into_inner)
}

/// A store that may have a connection.
pub(crate) trait ForkHandler: Send + Sync {
    /// Called in the child of a fork before it uses any store, while no other call is under way: discards the connection
    /// that the child has inherited.
    fn after_fork_in_child(&self);

    /// Is this its file, or one beside it? The path is canonical.
    fn owns(&self, path: &Path) -> bool;
}

/// Every store that may have a connection; owned here, so that none is missed which its last owner is just dropping.
/// Locked within calls only, so never during a fork.
static HANDLERS: Mutex<Vec<Arc<dyn ForkHandler>>> = Mutex::new(Vec::new());

/// Whether this process is a child that has not discarded yet what it has inherited.
static INHERITED: AtomicBool = AtomicBool::new(false);

fn handlers() -> MutexGuard<'static, Vec<Arc<dyn ForkHandler>>> {
    HANDLERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, until [`unregister`], a child discards this store's connection. The caller has entered the gate.
pub(crate) fn register(handler: Arc<dyn ForkHandler>) {
    handlers().push(handler);
}

/// The store has closed its connection for good. The caller has entered the gate.
pub(crate) fn unregister<T: ForkHandler>(handler: &T) {
    handlers().retain(|other| !std::ptr::addr_eq(Arc::as_ptr(other), handler));
}

/// Is this a file of a store that has a connection, or will make one again?
pub(crate) fn is_held(path: &Path) -> bool {
    let _call = enter();
    handlers().iter().any(|handler| handler.owns(path))
}

/// In the child of a fork, discards all inherited connections, of whichever stores: while one is left, SQLite would join
/// a new one to it. To be called before a connection is used, made or closed. The caller has entered the gate, and holds
/// no store's lock.
pub(crate) fn discard_inherited() {
    if !INHERITED.load(Ordering::Acquire) {
        return;
    }
    // Other threads of the child wait here until it is done.
    let handlers = handlers();
    if INHERITED.load(Ordering::Acquire) {
        #[cfg(all(unix, feature = "sqlite"))]
        let _discard = descriptors::Discard::begin();
        handlers.iter().for_each(|handler| handler.after_fork_in_child());
        INHERITED.store(false, Ordering::Release);
    }
}

/// Run when the library, or the program that it is linked into, is loaded. Any later there could be a fork already under
/// way, whose child would be left with handlers that are half installed. (It is in this module since a linker takes from
/// an archive what is asked for: an object file with nothing but this would be left out.)
#[cfg(unix)]
#[used]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
static INSTALL: extern "C" fn() = handlers::install;

#[cfg(unix)]
mod handlers {
    use std::cell::UnsafeCell;
    use std::sync::{PoisonError, RwLockWriteGuard};

    use super::*;

    type Gate = RwLockWriteGuard<'static, ()>;

    #[cfg(feature = "sqlite")]
    type Registry = MutexGuard<'static, crate::backend::sqlite::Registry>;
    #[cfg(not(feature = "sqlite"))]
    type Registry = ();

    /// What is locked from just before a fork until just after it.
    struct Locked(UnsafeCell<Option<(Registry, Gate, Gate)>>);

    // SAFETY: only the handlers below touch it, all run by the thread that forks. `before_fork` has the gates to itself
    // when it does, and `unlock` takes the guards out before it lets the gates go.
    unsafe impl Sync for Locked {}

    static LOCKED: Locked = Locked(UnsafeCell::new(None));

    pub(super) extern "C" fn install() {
        // SAFETY: the handlers stay mapped as long as they are registered: the shared library is linked with
        // `-z nodelete` (build.rs), and an executable is never unmapped.
        unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child)) };
    }

    extern "C" fn before_fork() {
        let long = LONG.write().unwrap_or_else(PoisonError::into_inner);
        let gate = GATE.write().unwrap_or_else(PoisonError::into_inner);
        #[cfg(feature = "sqlite")]
        let registry = descriptors::before_fork();
        #[cfg(not(feature = "sqlite"))]
        let registry = ();
        // SAFETY: see `Locked`.
        unsafe { *LOCKED.0.get() = Some((registry, gate, long)) };
    }

    extern "C" fn after_fork_in_parent() {
        drop(unlock());
    }

    extern "C" fn after_fork_in_child() {
        #[allow(unused_mut, unused_variables)]
        let Some((mut registry, _gate, _long)) = unlock() else { return };
        #[cfg(feature = "sqlite")]
        descriptors::after_fork_in_child(&mut registry);
        INHERITED.store(true, Ordering::Release);
    }

    fn unlock() -> Option<(Registry, Gate, Gate)> {
        // SAFETY: see `Locked`.
        unsafe { (*LOCKED.0.get()).take() }
    }
}
