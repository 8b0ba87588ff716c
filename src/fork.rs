//! Forks: no call is under way while this process forks.
//!
//! A fork copies the memory of all threads but only one of the threads. A lock that another thread held stays held in
//! the child for ever, so a fork waits until every call has returned: each call holds the gate that [`enter`] opens.
//!
//! What becomes of the connections that a child inherits is told in `backend/sqlite/fork.rs`. Nothing else happens in a
//! fork, since most are followed by an exec.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

#[cfg(all(unix, feature = "sqlite"))]
use crate::backend::sqlite::fork as sqlite;

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
    type Backend = sqlite::Locked;
    #[cfg(not(feature = "sqlite"))]
    type Backend = ();

    /// What is locked from just before a fork until just after it.
    struct Locked(UnsafeCell<Option<(Backend, Gate, Gate)>>);

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
        let backend = sqlite::before_fork();
        #[cfg(not(feature = "sqlite"))]
        let backend = ();
        // SAFETY: see `Locked`.
        unsafe { *LOCKED.0.get() = Some((backend, gate, long)) };
    }

    extern "C" fn after_fork_in_parent() {
        drop(unlock());
    }

    extern "C" fn after_fork_in_child() {
        #[allow(unused_mut, unused_variables)]
        let Some((mut backend, _gate, _long)) = unlock() else { return };
        #[cfg(feature = "sqlite")]
        sqlite::after_fork_in_child(&mut backend);
    }

    fn unlock() -> Option<(Backend, Gate, Gate)> {
        // SAFETY: see `Locked`.
        unsafe { (*LOCKED.0.get()).take() }
    }
}
