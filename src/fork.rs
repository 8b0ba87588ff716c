//! Forks: no call is in progress while this process forks.
//!
//! A fork copies the memory of all threads, but only the thread that forks continues in the child. A lock that another
//! thread held would stay locked in the child for ever. So a fork waits until every call has returned: each call holds
//! the gate that [`enter`] locks.
//!
//! `backend/sqlite/fork.rs` describes what happens to the connections that a child inherits. A fork does nothing else,
//! since most forks are followed by an exec.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

#[cfg(all(unix, feature = "sqlite"))]
use crate::backend::sqlite::fork as sqlite;

/// Locked shared by each call, and exclusively from just before a fork until just after it.
static GATE: RwLock<()> = RwLock::new(());

/// Locked by calls that may take long, since they wait for a pipe or copy everything. A fork locks this gate first:
/// while it waits for it, short calls still pass the other gate, and once it has it, it waits for short calls only.
static LONG: RwLock<()> = RwLock::new(());

/// Marks this thread as being in a call until the guard is dropped. Calls must not be nested: a fork that begins
/// between the two would wait for the first, and the second for the fork.
pub(crate) fn enter() -> RwLockReadGuard<'static, ()> {
    GATE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Like [`enter`], for a call that may take long.
pub(crate) fn enter_for_long() -> RwLockReadGuard<'static, ()> {
    LONG.read().unwrap_or_else(PoisonError::into_inner)
}

/// Runs when the library, or the program that it is linked into, is loaded. Later, a fork could already be in progress,
/// and its child would have only some of the handlers. (It is in this module because a linker takes only object files
/// from an archive that are referred to, so one with nothing but this would be omitted.)
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

    /// The guards that are held from just before a fork until just after it.
    struct Locked(UnsafeCell<Option<(Backend, Gate, Gate)>>);

    // SAFETY: only the handlers below access it, on the thread that forks. `before_fork` holds both gates exclusively
    // when it does, and `unlock` takes the guards out before it drops them.
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
