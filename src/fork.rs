//! Forks: whenever this process forks, no call is under way and no connection is open.
//!
//! A fork copies the memory of all threads but only one of the threads. A lock that another thread held stays held in
//! the child for ever, so a fork waits until every call has returned: each call holds the gate that [`enter`] opens.
//!
//! And SQLite keeps in memory which POSIX locks its process holds on which file. The child inherits that memory but not
//! the locks, so even a connection that it opens for itself can believe in locks that nobody holds, and once the parent
//! is gone other processes may reset the log under it ("How To Corrupt An SQLite Database File", 2.6). So no connection
//! is carried over: before a fork each is closed, also those that are about to be; after it, parent and child open
//! their own when they next need one.

// Without SQLite there are no connections, and the gate is all.
#![cfg_attr(not(feature = "sqlite"), allow(dead_code))]

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

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

/// Something that has a connection, and can be told to let go of it before a fork.
pub(crate) trait Part: Send + Sync {
    /// Called while no other call is under way.
    fn part(&self);

    /// Is this its file, or one beside it? The path is canonical.
    fn owns(&self, path: &Path) -> bool;
}

/// Everything that may have a connection; owned here, so that none is missed which its last owner is just dropping.
/// Locked only by who has entered the gate, so never during a fork.
static HOLDERS: Mutex<Vec<Arc<dyn Part>>> = Mutex::new(Vec::new());

fn holders() -> MutexGuard<'static, Vec<Arc<dyn Part>>> {
    HOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, until [`forget`], no fork carries this one's connection over. The caller has entered the gate.
pub(crate) fn watch(holder: Arc<dyn Part>) {
    holders().push(holder);
}

/// Is this a file of someone's who may have a connection, or will make one again?
pub(crate) fn is_held(path: &Path) -> bool {
    let _call = enter();
    holders().iter().any(|holder| holder.owns(path))
}

/// The holder has closed its connection for good. The caller has entered the gate.
pub(crate) fn forget<T: Part>(holder: &T) {
    holders().retain(|other| !std::ptr::addr_eq(Arc::as_ptr(other), holder));
}

#[cfg(unix)]
mod handlers {
    use std::cell::UnsafeCell;
    use std::sync::{PoisonError, RwLockWriteGuard};

    use super::{GATE, LONG, holders};

    type Guard = RwLockWriteGuard<'static, ()>;

    /// The gates' guards, from just before a fork until just after it.
    struct Held(UnsafeCell<Option<(Guard, Guard)>>);

    // SAFETY: only the handlers below touch it, both run by the thread that forks. `before` has the gates to itself when
    // it does, and `after` has taken the guards out before it lets the gates go.
    unsafe impl Sync for Held {}

    static HELD: Held = Held(UnsafeCell::new(None));

    /// Run when the library, or the program that it is linked into, is loaded. Any later there could be a fork already
    /// under way, whose child would be left with handlers that are half installed.
    #[used]
    #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
    #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
    static INSTALL: extern "C" fn() = install;

    extern "C" fn install() {
        // SAFETY: the handlers stay mapped as long as they are registered: the shared library is linked with
        // `-z nodelete` (build.rs), and an executable is never unmapped.
        unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
    }

    extern "C" fn before() {
        let long = LONG.write().unwrap_or_else(PoisonError::into_inner);
        let gate = GATE.write().unwrap_or_else(PoisonError::into_inner);
        holders().iter().for_each(|holder| holder.part());
        // SAFETY: see `Held`.
        unsafe { *HELD.0.get() = Some((gate, long)) };
    }

    /// In the parent and in the child.
    extern "C" fn after() {
        // SAFETY: see `Held`.
        drop(unsafe { (*HELD.0.get()).take() });
    }
}
