//! Forks: no call is in progress while this process forks, except a read that the cache answers, which has neither a lock
//! nor a connection.
//!
//! A fork copies the memory of all threads, but only the thread that forks continues in the child. A lock that another
//! thread held would stay locked in the child for ever. So a fork waits until every call has returned: each call enters
//! one of three gates, and a fork closes them in the order below.
//!
//! | gate | its calls | while a fork waits for it |
//! | --- | --- | --- |
//! | long | wait for a pipe, or copy everything | long calls wait a moment, then pass; the others pass |
//! | opening | wait for other processes, no longer than the busy timeout | short calls pass, the others wait |
//! | short | wait for short calls only | every call waits |
//!
//! A long call may wait for another one: an import, for the export that feeds it. If that one begins while a fork waits
//! for the import, it must pass, or all three would wait for ever. But if all passed at once, a fork could wait for ever
//! where they overlap. So a long call that begins while a fork waits is delayed, at most for as long as the fork has
//! waited by then. That delay grows until all that are in progress end before the next one begins. Nothing else waits
//! for a call that comes later, so a fork that waits at the other two gates keeps new calls out of them, and waits only
//! for those that have begun.
//!
//! `backend/sqlite/fork.rs` describes what happens to the connections that a child inherits. A fork does nothing else,
//! since most forks are followed by an exec.

pub(crate) use gates::*;
#[cfg(not(target_family = "wasm"))]
pub(crate) use process::process;

/// Which process this is.
#[cfg(not(target_family = "wasm"))]
mod process {
    use std::hash::{BuildHasher, RandomState};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::SystemTime;

    /// 0 until somebody asks.
    static PROCESS: AtomicU64 = AtomicU64::new(0);

    /// Returns a number that no other process has, neither before nor later. (The system's number of a process may be that
    /// of its parent, in another namespace.)
    pub(crate) fn process() -> u64 {
        match PROCESS.load(Ordering::Acquire) {
            0 => {
                // A child inherits the state of its parent's random numbers, and so do its siblings.
                let own = (std::process::id(), SystemTime::now());
                let new = RandomState::new().hash_one(own).max(1);
                match PROCESS.compare_exchange(0, new, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => new,
                    Err(found) => found,
                }
            }
            number => number,
        }
    }

    /// In the child's fork handler.
    #[cfg(unix)]
    pub(super) fn after_fork_in_child() {
        PROCESS.store(0, Ordering::Release);
    }
}

#[cfg(unix)]
mod gates {
    use std::sync::{Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard};
    use std::time::Instant;

    use crate::shards::{Mine, SHARDS, Shard, Shards};

    pub(super) struct Long {
        /// How many calls are in progress.
        pub calls: usize,
        /// How many forks wait, or are in progress.
        pub forks: usize,
        /// Since when.
        since: Option<Instant>,
    }

    /// Locked from when a fork has seen no long call until just after the fork.
    pub(super) static LONG: Mutex<Long> = Mutex::new(Long { calls: 0, forks: 0, since: None });

    /// Notified when the last call or the last fork has ended.
    pub(super) static NONE_LEFT: Condvar = Condvar::new();

    impl Long {
        pub fn begin_fork(&mut self) {
            self.forks += 1;
            self.since.get_or_insert_with(Instant::now);
        }

        pub fn end_fork(&mut self) {
            self.forks -= 1;
            if self.forks == 0 {
                self.since = None;
                NONE_LEFT.notify_all();
            }
        }
    }

    /// Locked shared by each open of a store, and exclusively by a fork.
    #[cfg(feature = "sqlite")]
    pub(super) static OPENING: RwLock<()> = RwLock::new(());

    /// Locked shared by each short call, in the shard of its thread, and exclusively by a fork, in all shards.
    pub(super) static SHORT: Shards<RwLock<()>> = Shards([const { Shard(RwLock::new(())) }; SHARDS]);

    pub(crate) type Entered = RwLockReadGuard<'static, ()>;

    /// Marks this thread as being in a call until the guard is dropped. Calls must not be nested: a fork that begins
    /// between the two would wait for the first, and the second for the fork.
    #[inline]
    pub(crate) fn enter() -> Entered {
        SHORT.at(Mine::get()).read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this thread is in a short call. It seems so too while another thread of its shard is.
    #[cfg(test)]
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))]
    pub(crate) fn is_entered() -> bool {
        SHORT.at(Mine::get()).try_write().is_err()
    }

    /// Like [`enter`], for the opening of a store.
    #[cfg(feature = "sqlite")]
    pub(crate) fn enter_to_open() -> RwLockReadGuard<'static, ()> {
        OPENING.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks this thread as being in a long call until this is dropped.
    pub(crate) struct LongCall(());

    /// Like [`enter`], for a call that may take long. Within it, other calls may be made.
    pub(crate) fn enter_for_long() -> LongCall {
        let mut long = LONG.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = long.since {
            let delayed = NONE_LEFT.wait_timeout_while(long, since.elapsed(), |long| long.forks > 0);
            long = delayed.unwrap_or_else(PoisonError::into_inner).0;
        }
        long.calls += 1;
        LongCall(())
    }

    impl Drop for LongCall {
        fn drop(&mut self) {
            let mut long = LONG.lock().unwrap_or_else(PoisonError::into_inner);
            long.calls -= 1;
            if long.calls == 0 {
                NONE_LEFT.notify_all();
            }
        }
    }
}

/// A system without forks.
#[cfg(not(unix))]
mod gates {
    pub(crate) struct Entered(());

    pub(crate) fn enter() -> Entered {
        Entered(())
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn enter_to_open() -> Entered {
        Entered(())
    }

    pub(crate) fn enter_for_long() -> Entered {
        Entered(())
    }
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
    use std::sync::{MutexGuard, PoisonError, RwLockWriteGuard};

    #[cfg(feature = "sqlite")]
    use super::gates::OPENING;
    use super::gates::{LONG, Long, NONE_LEFT, SHORT};
    #[cfg(feature = "postgres")]
    use crate::backend::postgres::sockets;
    #[cfg(feature = "sqlite")]
    use crate::backend::sqlite::fork as sqlite;
    use crate::shards::SHARDS;

    type Gate = RwLockWriteGuard<'static, ()>;

    /// The guards that are held from just before a fork until just after it. They are dropped in this order.
    struct Guards {
        #[cfg(feature = "sqlite")]
        sqlite: sqlite::Locked,
        _short: [Gate; SHARDS],
        #[cfg(feature = "sqlite")]
        _opening: Gate,
        long: MutexGuard<'static, Long>,
    }

    struct Locked(UnsafeCell<Option<Guards>>);

    // SAFETY: only the handlers below access it, on the thread that forks. `before_fork` has closed the gates when it
    // does, and `unlock` takes the guards out before it drops them.
    unsafe impl Sync for Locked {}

    static LOCKED: Locked = Locked(UnsafeCell::new(None));

    pub(super) extern "C" fn install() {
        // SAFETY: the handlers stay mapped as long as they are registered: the shared library is linked with
        // `-z nodelete` (build.rs), and an executable is never unmapped.
        unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child)) };
    }

    extern "C" fn before_fork() {
        let mut long = LONG.lock().unwrap_or_else(PoisonError::into_inner);
        long.begin_fork();
        let long = NONE_LEFT.wait_while(long, |long| long.calls > 0).unwrap_or_else(PoisonError::into_inner);
        #[cfg(feature = "sqlite")]
        let opening = OPENING.write().unwrap_or_else(PoisonError::into_inner);
        let short = SHORT.0.each_ref().map(|shard| shard.0.write().unwrap_or_else(PoisonError::into_inner));
        let guards = Guards {
            #[cfg(feature = "sqlite")]
            sqlite: sqlite::before_fork(),
            _short: short,
            #[cfg(feature = "sqlite")]
            _opening: opening,
            long,
        };
        // SAFETY: see `Locked`.
        unsafe { *LOCKED.0.get() = Some(guards) };
    }

    extern "C" fn after_fork_in_parent() {
        if let Some(mut guards) = unlock() {
            guards.long.end_fork();
        }
    }

    extern "C" fn after_fork_in_child() {
        let Some(mut guards) = unlock() else { return };
        // The threads of other forks that wait are not in the child.
        guards.long.forks = 1;
        guards.long.end_fork();
        #[cfg(not(target_family = "wasm"))]
        super::process::after_fork_in_child();
        #[cfg(feature = "sqlite")]
        sqlite::after_fork_in_child(&mut guards.sqlite);
        #[cfg(feature = "postgres")]
        sockets::after_fork_in_child();
    }

    fn unlock() -> Option<Guards> {
        // SAFETY: see `Locked`.
        unsafe { (*LOCKED.0.get()).take() }
    }
}
