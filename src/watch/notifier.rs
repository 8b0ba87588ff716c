//! Descriptors that become readable when a store may have changed, for the event loops of programs.
//!
//! One thread for each store waits for changes, as long as any of its watches has a descriptor. Each is an eventfd, which
//! stays readable until its watch is asked, so a program that is slow is not told again and again.
//!
//! The thread borrows the store: a watch keeps the store, and joins the thread before it ends if it is the last one that
//! has a descriptor. If the thread owned a share of the store, a fork's child, in which it does not exist, could never
//! close its copy.

use std::ffi::c_int;
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::fork;
use crate::store::Inner;

/// The descriptors of a store's watches.
#[derive(Default)]
pub(crate) struct Notifier(Mutex<State>);

#[derive(Default)]
struct State {
    /// The process that the rest belongs to. A fork's child has no such thread, and begins anew.
    process: u64,
    descriptors: Vec<Weak<Descriptor>>,
    thread: Option<ManuallyDrop<JoinHandle<()>>>,
}

impl State {
    /// Whether the calling thread is to go on. Otherwise it is one that `dropped` has taken, and perhaps another one has
    /// begun since.
    fn is_needed_here(&self) -> bool {
        self.thread.as_ref().is_some_and(|handle| handle.thread().id() == thread::current().id())
    }
}

/// The descriptor of a watch.
pub(crate) struct Descriptor(OwnedFd);

impl Descriptor {
    fn new() -> Result<Self> {
        // SAFETY: it takes any numbers.
        let number = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if number < 0 {
            return Err(Error::io(io::Error::last_os_error()));
        }
        // SAFETY: it was opened just now, and nobody else has it.
        Ok(Descriptor(unsafe { OwnedFd::from_raw_fd(number) }))
    }

    pub fn number(&self) -> c_int {
        self.0.as_raw_fd()
    }

    /// Makes it readable. (It fails only if it is readable already.)
    pub fn set(&self) {
        let one = 1_u64;
        // SAFETY: the number is read during the call.
        unsafe { libc::write(self.number(), (&raw const one).cast(), size_of::<u64>()) };
    }

    /// Makes it not readable. What changes after this sets it again.
    pub fn reset(&self) {
        let mut count = 0_u64;
        // SAFETY: there is room for the number.
        unsafe { libc::read(self.number(), (&raw mut count).cast(), size_of::<u64>()) };
    }
}

impl Notifier {
    /// Calls a function with the state, which no fork copies meanwhile.
    fn with<T>(&self, call: impl FnOnce(&mut State) -> T) -> T {
        let _entered = fork::enter();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let process = fork::process();
        if state.process != process {
            *state = State { process, ..State::default() };
        }
        call(&mut state)
    }

    /// Returns a new descriptor, which is readable at first.
    pub fn descriptor(store: &Inner) -> Result<Arc<Descriptor>> {
        let descriptor = Arc::new(Descriptor::new()?);
        descriptor.set();
        store.notifier.with(|state| {
            if state.thread.is_none() {
                // SAFETY: the caller's watch keeps the store; `dropped` joins the thread before the last one ends.
                let thread = unsafe { start(store) }.map_err(Error::io)?;
                // In a fork's child there is no such thread, and a handle must not be dropped there.
                state.thread = Some(ManuallyDrop::new(thread));
            }
            state.descriptors.push(Arc::downgrade(&descriptor));
            Ok(descriptor)
        })
    }

    /// Ends the thread if the last descriptor was dropped.
    pub fn dropped(store: &Inner) {
        let thread = store.notifier.with(|state| {
            state.descriptors.retain(|descriptor| descriptor.strong_count() > 0);
            if state.descriptors.is_empty() { state.thread.take() } else { None }
        });
        if let Some(thread) = thread {
            store.backend().wake_watches();
            // The store must not be open any longer than its handles.
            let _ = ManuallyDrop::into_inner(thread).join();
        }
    }

    /// Makes all descriptors readable. Returns whether the calling thread is to go on.
    fn set(&self) -> bool {
        self.with(|state| {
            state.descriptors.iter().filter_map(Weak::upgrade).for_each(|descriptor| descriptor.set());
            state.is_needed_here()
        })
    }

    fn is_needed(&self) -> bool {
        self.with(|state| state.is_needed_here())
    }
}

/// A store that the thread borrows.
struct Borrowed(*const Inner);

// SAFETY: any thread may use a store.
unsafe impl Send for Borrowed {}

/// Starts the thread. It gets no signals, which are the program's.
///
/// # Safety
/// The store must be there until the thread is joined.
unsafe fn start(store: &Inner) -> io::Result<JoinHandle<()>> {
    let borrowed = Borrowed(store);
    let mut before = MaybeUninit::uninit();
    // SAFETY: the set is filled before it is used, and `before` by the first call if that succeeds.
    let is_masked = unsafe {
        let mut all = MaybeUninit::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) == 0
    };
    let thread = thread::Builder::new().name("luat_kv watch".into()).stack_size(STACK).spawn(move || {
        let Borrowed(store) = { borrowed };
        // SAFETY: it is there, as promised.
        run(unsafe { &*store });
    });
    if is_masked {
        // SAFETY: the first call has filled it.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    thread
}

/// It may connect to a server, which takes several libraries.
const STACK: usize = 512 * 1024;

/// The shortest time between two changes that it tells of: otherwise others that write without a pause, even keys that
/// nobody watches, would keep it and the program's event loop busy.
const BETWEEN: Duration = Duration::from_millis(1);

fn run(store: &Inner) {
    let backend = store.backend();
    let (mut moment, mut told) = (None, Instant::now());
    loop {
        let (now, is_closed) = (backend.moment(), store.is_closed());
        // Whoever asks is told what has become of a store that is not there any more.
        let is_lost = store.call(|backend| backend.check()).is_err();
        let tells = now.is_none() || now != moment || is_closed || is_lost;
        let is_needed = if tells { store.notifier.set() } else { store.notifier.is_needed() };
        if !is_needed || is_closed {
            return;
        }
        if tells {
            told = Instant::now();
        }
        moment = now;
        backend.wait_for_change(moment, backend.patience(told.elapsed()));
        thread::sleep(BETWEEN.saturating_sub(told.elapsed()));
    }
}
