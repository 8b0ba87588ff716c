//! Ctrl-C, and other signals that end the tool, while it is making a file.

use std::mem::MaybeUninit;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// From now on a signal that ends the tool removes first what it has not finished. It then dies of that signal, as it
/// would have done anyway, so that a shell sees the usual status (130 after Ctrl-C).
pub fn remove_drafts_at_the_end() {
    let signals = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal));
    // Without it the next backup or export to that folder removes the file.
    let Ok(mut signals) = Signals::new(signals) else { return };
    thread::spawn(move || {
        for signal in signals.forever() {
            luat_kv::remove_drafts();
            let _ = emulate_default_handler(signal);
        }
    });
}

/// What nohup and a shell's background jobs are told to ignore stays ignored.
fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: sigaction writes the struct, which is one of zeros otherwise, and changes nothing.
    let action = unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}
