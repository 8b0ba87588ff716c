//! Ctrl-C, and other signals that end the tool, while it is writing a file.

use std::mem::MaybeUninit;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// Makes signals that end the tool first remove its unfinished files. The tool then still ends by that signal, so that
/// a shell sees the usual status (130 after Ctrl-C).
pub fn remove_drafts_at_the_end() {
    let signals = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal));
    // If this fails, the next backup or export into the folder removes the file.
    let Ok(mut signals) = Signals::new(signals) else { return };
    thread::spawn(move || {
        for signal in signals.forever() {
            luat_kv::remove_drafts();
            let _ = emulate_default_handler(signal);
        }
    });
}

/// Signals that nohup or a shell's background job has set to be ignored stay ignored.
pub fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: sigaction changes nothing here. It writes the struct, which is all zeros otherwise.
    let action = unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}
