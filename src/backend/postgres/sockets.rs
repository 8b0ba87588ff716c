//! The sockets of this process, which the child of a fork closes.
//!
//! A child must not use its parent's connections, nor end them: closing one by libpq would tell the server that the
//! session is over. So the child closes its copies of the sockets, which the parent and the server do not notice, and
//! keeps the connections without using or freeing them. Its first call connects anew.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counts the forks between the first process and this one.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Locked only within a call that a fork waits for, so never during a fork.
static SOCKETS: Mutex<Vec<Socket>> = Mutex::new(Vec::new());

/// What a child has inherited, by its address. It is never freed. Without this, tools that look for lost memory would
/// report it.
static INHERITED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// Keeps what a child must not free. The caller is within a gate.
pub(super) fn keep_inherited<T>(inherited: *const T) {
    INHERITED.lock().unwrap_or_else(PoisonError::into_inner).push(inherited.expose_provenance());
}

/// An open socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    number: c_int,
    /// The device and the inode: a program may close all descriptors and use their numbers for its own.
    identity: (u64, u64),
}

pub(super) fn generation() -> u64 {
    GENERATION.load(Ordering::Acquire)
}

impl Socket {
    fn of(number: c_int) -> Option<Socket> {
        let mut stat = MaybeUninit::<libc::stat>::zeroed();
        // Their types differ between systems.
        #[allow(clippy::unnecessary_cast)]
        // SAFETY: the structure is valid to write to, and read only if the call has filled it.
        let identity = unsafe {
            if libc::fstat(number, stat.as_mut_ptr()) != 0 {
                return None;
            }
            let stat = stat.assume_init();
            (stat.st_dev as u64, stat.st_ino as u64)
        };
        Some(Socket { number, identity })
    }

    /// Notes a socket, in place of what the same connection had before. The caller is within a gate of `fork`.
    pub fn replace(before: &mut Option<Socket>, number: c_int) {
        let now = if number >= 0 { Socket::of(number) } else { None };
        if now == *before {
            return;
        }
        let mut sockets = SOCKETS.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.retain(|socket| Some(*socket) != *before);
        sockets.extend(now);
        *before = now;
    }
}

/// In the child's fork handler. (It allocates and frees nothing.)
pub(crate) fn after_fork_in_child() {
    let mut sockets = SOCKETS.lock().unwrap_or_else(PoisonError::into_inner);
    for socket in sockets.iter() {
        if Socket::of(socket.number) == Some(*socket) {
            // SAFETY: the descriptor is the child's copy of a socket that only a discarded connection uses.
            unsafe { libc::close(socket.number) };
        }
    }
    sockets.clear();
    GENERATION.fetch_add(1, Ordering::AcqRel);
}
