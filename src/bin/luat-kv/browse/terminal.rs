//! The terminal: what is changed of it, and what is put back on every way out.

use std::io::{self, BufWriter};
use std::panic;
use std::sync::Once;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, DisableBracketedPaste, EnableBracketedPaste, Event};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

/// The terminal itself. `io::stdout` is locked by the main thread, and a panic or a signal may have to be handled in
/// another one.
#[cfg(unix)]
type Output = std::fs::File;
#[cfg(not(unix))]
type Output = io::Stdout;

#[cfg(unix)]
fn output() -> io::Result<Output> {
    std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned().map(Output::from)
}

#[cfg(not(unix))]
fn output() -> io::Result<Output> {
    Ok(io::stdout())
}

/// The terminal as the view needs it, until this is dropped.
pub struct Screen {
    pub terminal: Terminal<CrosstermBackend<BufWriter<Output>>>,
}

impl Screen {
    pub fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            // The message of a panic would be lost with the screen.
            let report = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                leave();
                report(panic);
            }));
        });
        let mut output = output()?;
        let terminal = Terminal::new(CrosstermBackend::new(BufWriter::new(self::output()?)))?;
        // From here on, dropping it puts everything back.
        let screen = Screen { terminal };
        enable_raw_mode()?;
        // Without bracketed paste, pasted text would be commands.
        execute!(output, EnterAlternateScreen, EnableBracketedPaste, Hide, Clear(ClearType::All))?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

pub fn leave() {
    // The terminal may be gone.
    if let Ok(mut output) = output()
        && takes_output(&output)
    {
        let _ = execute!(output, DisableBracketedPaste, LeaveAlternateScreen, Show);
    }
    let _ = disable_raw_mode();
}

/// Whether the terminal takes output, or does soon. Nobody may read it any more, as with a connection that is stuck, and
/// the end must not wait for that.
#[cfg(unix)]
fn takes_output(output: &Output) -> bool {
    const PATIENCE: libc::c_int = 1000;
    let mut terminal = libc::pollfd { fd: std::os::fd::AsRawFd::as_raw_fd(output), events: libc::POLLOUT, revents: 0 };
    // SAFETY: it is one descriptor.
    unsafe { libc::poll(&mut terminal, 1, PATIENCE) != 0 }
}

#[cfg(not(unix))]
fn takes_output(_output: &Output) -> bool {
    true
}

/// Runs an editor on the terminal, and restores its modes afterwards: one that was killed leaves them as they were for it.
#[cfg(unix)]
pub fn lend<T>(run: impl FnOnce() -> T) -> T {
    let mut modes = std::mem::MaybeUninit::<libc::termios>::uninit();
    // SAFETY: it writes the struct if it returns 0.
    let are_known = unsafe { libc::tcgetattr(libc::STDIN_FILENO, modes.as_mut_ptr()) } == 0;
    let result = run();
    if are_known {
        // SAFETY: the struct was written above.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, modes.as_ptr()) };
    }
    result
}

#[cfg(not(unix))]
pub fn lend<T>(run: impl FnOnce() -> T) -> T {
    run()
}

/// Waits for input, for this time at most.
pub fn input(timeout: Duration) -> io::Result<Option<Event>> {
    if event::poll(timeout)? { event::read().map(Some) } else { Ok(None) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::Screen;

    const ON_TERMINAL: &str = "LUAT_KV_TEST_ON_TERMINAL";

    /// Runs itself on a terminal.
    #[test]
    fn a_panic_restores_the_terminal_before_it_is_reported() {
        if std::env::var_os(ON_TERMINAL).is_some() {
            let _screen = Screen::enter().unwrap();
            let _ = std::thread::spawn(|| panic!("a bug in a thread")).join();
            let _screen = Screen::enter().unwrap();
            panic!("a bug");
        }
        let name = "browse::terminal::tests::a_panic_restores_the_terminal_before_it_is_reported";
        let line = format!("stty -g; $TEST --nocapture --exact {name}; stty -g");
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env("TEST", std::env::current_exe().unwrap()).env(ON_TERMINAL, "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // A closed input would be typed as Ctrl-D.
        let keyboard = child.stdin.take();
        let printed = child.wait_with_output().unwrap().stdout;
        drop(keyboard);
        let printed = String::from_utf8_lossy(&printed);
        let place = |text: &str| printed.find(text).unwrap_or_else(|| panic!("no {text:?} in {printed:?}"));
        let (enter, leave) = ("\u{1b}[?1049h", "\u{1b}[?1049l");
        assert!(place(enter) < place(leave) && place(leave) < place("a bug in a thread"), "{printed:?}");
        let rest = &printed[place("a bug in a thread")..];
        let place = |text: &str| rest.find(text).unwrap_or_else(|| panic!("no {text:?} in {rest:?}"));
        assert!(place(enter) < place(leave) && place(leave) < place("a bug\r\n"), "{printed:?}");
        let lines: Vec<_> = printed.trim().lines().collect();
        assert_eq!(lines.first(), lines.last());
    }
}
