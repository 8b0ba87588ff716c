//! Waiting until a number in memory changes, which other processes may share: Linux's futex. Other systems have no such
//! thing between processes. There, a wait is a sleep.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// How a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code))]
pub(crate) enum Ended {
    Woken,
    TimedOut,
    /// It has not begun, since the number was another one.
    Missed,
    /// By a signal, or the memory is not mapped any more.
    Interrupted,
}

/// Whether a waiter can be woken.
#[cfg(feature = "sqlite")]
pub(crate) const CAN_WAKE: bool = cfg!(target_os = "linux");

/// Wakes up to `most` threads that wait at an address, in the order in which they began to. Returns whether there was
/// one; `true` where nobody can be woken.
#[cfg(target_os = "linux")]
pub(crate) fn wake(number: *const AtomicU32, most: i32) -> bool {
    // SAFETY: it only compares the address with those that threads wait at.
    unsafe { libc::syscall(libc::SYS_futex, number, libc::FUTEX_WAKE, most) > 0 }
}

/// Waits until [`wake`] is called with this address, if the number there is `seen`, but not longer than `time`. The
/// memory need not be mapped any more.
#[cfg(target_os = "linux")]
pub(crate) fn wait(address: usize, seen: u32, time: Duration) -> Ended {
    let time = libc::timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        #[allow(clippy::unnecessary_cast)] // its type differs from system to system
        tv_nsec: time.subsec_nanos() as _,
    };
    // SAFETY: the kernel reads the number, and fails if it cannot; it reads the time, which outlives the call.
    let done = unsafe { libc::syscall(libc::SYS_futex, address, libc::FUTEX_WAIT, seen, &raw const time) };
    // SAFETY: it is this thread's.
    let error = if done < 0 { unsafe { *libc::__errno_location() } } else { 0 };
    if ![0, libc::EAGAIN, libc::ETIMEDOUT, libc::EINTR].contains(&error) {
        // Not mapped any more, or not permitted.
        std::thread::sleep(Duration::new(time.tv_sec as u64, time.tv_nsec as u32));
    }
    match error {
        0 => Ended::Woken,
        libc::ETIMEDOUT => Ended::TimedOut,
        libc::EAGAIN => Ended::Missed,
        _ => Ended::Interrupted,
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn wake(_: *const AtomicU32, _: i32) -> bool {
    true
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn wait(_: usize, _: u32, time: Duration) -> Ended {
    std::thread::sleep(time);
    Ended::TimedOut
}
