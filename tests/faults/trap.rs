//! Makes system calls fail, transfer less than requested, or take long.
//!
//! A seccomp filter turns this process's calls on files into a signal, whose handler carries them out, or returns a
//! fault. So it also catches calls that bypass the C library, such as those of the crate rustix, which a library in
//! LD_PRELOAD never sees. Only files below one folder are affected. Supports Linux on x86-64 and on 64-bit ARM.

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use libc::{sock_filter, sock_fprog};

/// The kinds of calls, each counted separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Read,
    Write,
    Sync,
    Open,
    Map,
    Truncate,
    Unlink,
    /// Also a new link, which gives a name to a file without one.
    Rename,
    MakeFolder,
    Lock,
}

pub const CALLS: [Call; 10] = [
    Call::Read,
    Call::Write,
    Call::Sync,
    Call::Open,
    Call::Map,
    Call::Truncate,
    Call::Unlink,
    Call::Rename,
    Call::MakeFolder,
    Call::Lock,
];

/// This value instead of an error number makes the call transfer half of what was requested.
pub const SHORT: i32 = -1;

/// The folder whose files are affected.
static FOLDER: OnceLock<Vec<u8>> = OnceLock::new();
static COUNTS: [AtomicU64; CALLS.len()] = [const { AtomicU64::new(0) }; CALLS.len()];
/// The kind of call that fails ([`NONE`]: none), from which call on and up to which one, and how.
static CALL: AtomicUsize = AtomicUsize::new(NONE);
static FIRST: AtomicU64 = AtomicU64::new(0);
static LAST: AtomicU64 = AtomicU64::new(0);
static FAULT: AtomicI32 = AtomicI32::new(0);
static HITS: AtomicU64 = AtomicU64::new(0);
/// For how many nanoseconds this process asked to sleep.
static SLEPT: AtomicU64 = AtomicU64::new(0);
/// One call in this many is delayed, by up to this many microseconds; 0: none.
static DELAYED: AtomicU64 = AtomicU64::new(0);
static DELAY: AtomicU64 = AtomicU64::new(0);
static DICE: AtomicU64 = AtomicU64::new(0);

const NONE: usize = usize::MAX;

/// Makes the `first` and each later call of a kind fail, up to the `last` one, counted from now on.
pub fn arm(call: Call, first: u64, last: u64, fault: i32) {
    COUNTS.iter().chain([&HITS]).for_each(|count| count.store(0, Relaxed));
    FIRST.store(first, Relaxed);
    LAST.store(last, Relaxed);
    FAULT.store(fault, Relaxed);
    CALL.store(call as usize, Relaxed);
}

/// Lets all calls succeed again.
pub fn disarm() {
    CALL.store(NONE, Relaxed);
}

/// The number of calls of a kind since the last [`arm`].
pub fn count(call: Call) -> u64 {
    COUNTS[call as usize].load(Relaxed)
}

/// The number of faults since the last [`arm`].
pub fn hits() -> u64 {
    HITS.load(Relaxed)
}

/// For how long this process has asked to sleep so far. Unlike elapsed time, this does not depend on the machine.
pub fn slept() -> Duration {
    Duration::from_nanos(SLEPT.load(Relaxed))
}

/// Delays one call in `one_in`, by up to `longest`.
pub fn delay(one_in: u64, longest: Duration, seed: u64) {
    DICE.store(seed, Relaxed);
    DELAY.store(longest.as_micros() as u64, Relaxed);
    DELAYED.store(one_in, Relaxed);
}

/// Marks the handler's own calls: the sixth argument, which only mmap uses; there it is the upper half of the
/// descriptor, which the kernel ignores.
const OURS: u32 = 0x6b76_6b76;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// The trapped calls. (libc and the kernel have the older ones on x86-64 only.)
const TRAPPED: &[c_long] = &[
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_openat,
    libc::SYS_ftruncate,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_mkdirat,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_link,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
];

/// Traps this process's calls from now on, permanently.
pub fn install(folder: &Path) {
    FOLDER.set(folder.as_os_str().as_bytes().to_vec()).expect("one folder for a process");
    let filter = filter();
    let program = sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the structs are whole, and the handler does only what a signal handler may.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_trap as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGSYS, &action, std::ptr::null_mut()), 0);
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let set = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program);
        assert_eq!(set, 0, "no seccomp filter: {}", std::io::Error::last_os_error());
    }
}

/// The filter, as a BPF program: jumps skip this many instructions.
fn filter() -> Vec<sock_filter> {
    const ALLOW: u32 = 0x7fff_0000;
    const TRAP: u32 = 0x0003_0000;
    let load = |offset| sock_filter { code: 0x20, jt: 0, jf: 0, k: offset };
    let equal = |k, jt, jf| sock_filter { code: 0x15, jt, jf, k };
    let answer = |k| sock_filter { code: 0x06, jt: 0, jf: 0, k };
    // The offsets in seccomp_data of the architecture, the call's number, and the lower half of an argument.
    let (architecture, number, argument) = (4, 0, |index: u32| 16 + 8 * index);
    let mut filter = vec![
        load(architecture),
        equal(ARCHITECTURE, 1, 0),
        answer(ALLOW),
        load(number),
        equal(libc::SYS_mmap as u32, 0, 6),
        load(argument(4)),
        equal(u32::MAX, 2, 0), // memory without a file
        load(argument(4) + 4),
        equal(OURS, 0, 1),
        answer(ALLOW),
        answer(TRAP),
    ];
    for call in TRAPPED {
        filter.extend([equal(*call as u32, 0, 4), load(argument(5)), equal(OURS, 0, 1), answer(ALLOW), answer(TRAP)]);
    }
    filter.push(answer(ALLOW));
    filter
}

type Arguments = [usize; 6];

extern "C" fn on_trap(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives a signal handler its context, in which the registers lie as the call left them.
    unsafe {
        let errno = *libc::__errno_location();
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext;
        #[cfg(target_arch = "x86_64")]
        {
            use libc::{REG_R8, REG_R9, REG_R10, REG_RAX, REG_RDI, REG_RDX, REG_RSI};
            let get = |register: c_int| registers.gregs[register as usize];
            let arguments = [REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9].map(|register| get(register) as usize);
            registers.gregs[REG_RAX as usize] = answer(get(REG_RAX), arguments);
        }
        #[cfg(target_arch = "aarch64")]
        {
            let arguments = std::array::from_fn(|index| registers.regs[index] as usize);
            registers.regs[0] = answer(registers.regs[8] as c_long, arguments) as u64;
        }
        *libc::__errno_location() = errno;
    }
}

/// The result of the call, as from the kernel: an error is a negative number.
fn answer(number: c_long, mut arguments: Arguments) -> c_long {
    let Some(call) = kind(number, &arguments) else { return pass(number, arguments) };
    let dice = DELAYED.load(Relaxed);
    if dice > 0 {
        let roll = crate::support::Rng(DICE.fetch_add(1, Relaxed)).next();
        if roll.is_multiple_of(dice) {
            sleep((roll >> 32) % DELAY.load(Relaxed).max(1));
        }
    }
    let count = COUNTS[call as usize].fetch_add(1, Relaxed) + 1;
    if CALL.load(Relaxed) != call as usize || !(FIRST.load(Relaxed)..=LAST.load(Relaxed)).contains(&count) {
        return pass(number, arguments);
    }
    HITS.fetch_add(1, Relaxed);
    match FAULT.load(Relaxed) {
        SHORT => {
            arguments[2] = (arguments[2] / 2).max(1);
            pass(number, arguments)
        }
        errno => -c_long::from(errno),
    }
}

/// The kind of the call; `None` if it concerns no file below the folder.
fn kind(number: c_long, arguments: &Arguments) -> Option<Call> {
    let (call, concerned) = match number {
        libc::SYS_read | libc::SYS_pread64 => (Call::Read, is_open_below(arguments[0])),
        libc::SYS_write | libc::SYS_pwrite64 => (Call::Write, is_open_below(arguments[0])),
        libc::SYS_fsync | libc::SYS_fdatasync => (Call::Sync, is_open_below(arguments[0])),
        libc::SYS_ftruncate => (Call::Truncate, is_open_below(arguments[0])),
        libc::SYS_mmap => (Call::Map, is_open_below(arguments[4])),
        libc::SYS_flock if arguments[1] as c_int & libc::LOCK_UN == 0 => (Call::Lock, is_open_below(arguments[0])),
        libc::SYS_fcntl => match arguments[1] as c_int {
            libc::F_SETLK | libc::F_SETLKW if !unlocks(arguments[2]) => (Call::Lock, is_open_below(arguments[0])),
            _ => return None,
        },
        libc::SYS_openat => (Call::Open, is_in(arguments[0], arguments[1])),
        libc::SYS_unlinkat => (Call::Unlink, is_in(arguments[0], arguments[1])),
        libc::SYS_mkdirat => (Call::MakeFolder, is_in(arguments[0], arguments[1])),
        libc::SYS_renameat | libc::SYS_renameat2 | libc::SYS_linkat => {
            (Call::Rename, is_in(arguments[2], arguments[3]))
        }
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => (Call::Open, is_below(arguments[0])),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_unlink => (Call::Unlink, is_below(arguments[0])),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mkdir => (Call::MakeFolder, is_below(arguments[0])),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rename | libc::SYS_link => (Call::Rename, is_below(arguments[1])),
        libc::SYS_nanosleep => return note_sleep(arguments[0]),
        libc::SYS_clock_nanosleep => return note_sleep(arguments[2]),
        _ => return None,
    };
    concerned.then_some(call)
}

/// Whether a lock is released, which no local file system refuses.
fn unlocks(lock: usize) -> bool {
    // SAFETY: a caller of fcntl passes a lock with these commands.
    unsafe { (lock as *const libc::flock).as_ref() }.is_none_or(|lock| c_int::from(lock.l_type) == libc::F_UNLCK)
}

fn note_sleep(time: usize) -> Option<Call> {
    // SAFETY: a caller of nanosleep passes a time.
    if let Some(time) = unsafe { (time as *const libc::timespec).as_ref() } {
        SLEPT.fetch_add(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64, Relaxed);
    }
    None
}

fn sleep(microseconds: u64) {
    let time = libc::timespec { tv_sec: 0, tv_nsec: (microseconds * 1000) as c_long };
    pass(libc::SYS_nanosleep, [&raw const time as usize, 0, 0, 0, 0, 0]);
}

/// Lets the kernel carry it out.
fn pass(number: c_long, mut arguments: Arguments) -> c_long {
    match number {
        libc::SYS_mmap => arguments[4] = (OURS as usize) << 32 | arguments[4] & 0xffff_ffff,
        _ => arguments[5] = OURS as usize,
    }
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the call is the trapped one, or reads a link or a time of this file's.
    unsafe {
        match libc::syscall(number, a, b, c, d, e, f) {
            -1 => -c_long::from(*libc::__errno_location()),
            answer => answer,
        }
    }
}

/// A path may be relative to the folder of a descriptor.
fn is_in(folder: usize, path: usize) -> bool {
    // SAFETY: as in `is_below`.
    let begins_there = path != 0 && unsafe { *(path as *const u8) } != b'/';
    if begins_there && folder as c_int != libc::AT_FDCWD { is_open_below(folder) } else { is_below(path) }
}

fn is_below(path: usize) -> bool {
    // SAFETY: a caller passes a path that ends in a NUL; a NULL is no path.
    path != 0 && starts(unsafe { CStr::from_ptr(path as *const c_char) }.to_bytes())
}

fn is_open_below(descriptor: usize) -> bool {
    let (mut name, mut at, mut number) = (*b"/proc/self/fd/\0\0\0\0\0\0\0\0\0\0\0", 24, descriptor as u32);
    // Writes the digits from the end of the buffer, and then moves them to its start.
    let mut digits = [0; 10];
    loop {
        digits[at - 15] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
        at -= 1;
    }
    let digits = &digits[at - 15..];
    name[14..14 + digits.len()].copy_from_slice(digits);
    let mut target = [0u8; 4096];
    let arguments = [libc::AT_FDCWD as usize, name.as_ptr() as usize, target.as_mut_ptr() as usize, target.len(), 0, 0];
    let len = pass(libc::SYS_readlinkat, arguments);
    len > 0 && starts(&target[..len as usize])
}

fn starts(path: &[u8]) -> bool {
    FOLDER.get().is_some_and(|folder| path.starts_with(folder))
}
