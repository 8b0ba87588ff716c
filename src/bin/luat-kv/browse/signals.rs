//! Signals that end the view, or that continue it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::low_level::emulate_default_handler;

use super::terminal;
use crate::signals::is_ignored;

#[derive(Clone, Default)]
pub struct Signals(Arc<Seen>);

#[derive(Default)]
struct Seen {
    end: AtomicI32,
    continued: AtomicBool,
    edits: AtomicBool,
    editor: AtomicI32,
}

impl Signals {
    pub fn start() -> Self {
        let signals = Signals::default();
        let ends = [SIGINT, SIGQUIT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal));
        // If this fails, a signal ends the program as any other, and the terminal stays as it is.
        if let Ok(mut received) = signal_hook::iterator::Signals::new(ends.chain([SIGCONT])) {
            let seen = signals.clone();
            thread::spawn(move || received.forever().for_each(|signal| seen.receive(signal)));
        }
        let seen = signals.clone();
        thread::spawn(move || seen.watch_terminal());
        signals
    }

    /// Takes the end of the terminal as the signal that tells of it, which may be ignored: crossterm does not notice it.
    fn watch_terminal(&self) {
        let mut terminal = libc::pollfd { fd: libc::STDIN_FILENO, events: 0, revents: 0 };
        loop {
            // SAFETY: it is one descriptor. With no events, it returns at the end of the terminal.
            match unsafe { libc::poll(&mut terminal, 1, -1) } {
                1 => return self.receive(SIGHUP),
                _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }

    fn receive(&self, signal: i32) {
        /// The loop of the view looks several times a second.
        const PATIENCE: Duration = Duration::from_secs(2);
        let seen = &self.0;
        let edits = seen.edits.load(Ordering::SeqCst);
        match signal {
            SIGCONT => seen.continued.store(true, Ordering::SeqCst),
            // From a key. It is the editor's, on whose terminal it was pressed.
            SIGINT | SIGQUIT if edits => {}
            _ if edits => {
                seen.end.store(signal, Ordering::SeqCst);
                let editor = seen.editor.load(Ordering::SeqCst);
                if editor > 0 {
                    // SAFETY: it is a system call.
                    unsafe { libc::kill(editor, signal) };
                }
            }
            _ => {
                seen.end.store(signal, Ordering::SeqCst);
                thread::sleep(PATIENCE);
                // The loop waits for the terminal: for the rest of a character, or for room for its output.
                terminal::leave();
                let _ = emulate_default_handler(signal);
            }
        }
    }

    /// Whether a signal asks for the end.
    pub fn end(&self) -> bool {
        self.0.end.load(Ordering::SeqCst) != 0
    }

    /// Ends the program by the signal that it has received, so that a shell sees the usual status.
    pub fn end_by_it(&self) {
        let signal = self.0.end.load(Ordering::SeqCst);
        if signal != 0 {
            let _ = emulate_default_handler(signal);
        }
    }

    /// Whether the program was stopped since the last call: others have used the terminal meanwhile.
    pub fn has_continued(&self) -> bool {
        self.0.continued.swap(false, Ordering::SeqCst)
    }

    /// Runs something in which the terminal is an editor's.
    pub fn editing<T>(&self, run: impl FnOnce(&dyn Fn(u32)) -> T) -> T {
        let seen = &self.0;
        seen.edits.store(true, Ordering::SeqCst);
        let result = run(&|process| {
            seen.editor.store(process.cast_signed(), Ordering::SeqCst);
            let signal = seen.end.load(Ordering::SeqCst);
            if signal != 0 {
                // It came before there was an editor that it could be passed on to.
                // SAFETY: it is a system call.
                unsafe { libc::kill(process.cast_signed(), signal) };
            }
        });
        seen.editor.store(0, Ordering::SeqCst);
        seen.edits.store(false, Ordering::SeqCst);
        result
    }

    /// Stops the program until the shell continues it. If there is no shell that could, it returns at once.
    pub fn stop() {
        // SAFETY: it is a system call. The process group is the shell's job.
        unsafe { libc::kill(0, libc::SIGTSTP) };
    }
}
