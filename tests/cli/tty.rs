//! The tool on a terminal that somebody looks at while it runs.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{BIN, Project};

/// So long a slow machine may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Tty<'a> {
    project: &'a Project,
    child: Child,
    keyboard: Option<ChildStdin>,
    screen: Arc<Mutex<Screen>>,
}

struct Screen {
    terminal: vt100::Parser,
    /// All that was printed.
    printed: Vec<u8>,
}

impl<'a> Tty<'a> {
    /// Runs a shell command on a terminal, in which `$K` is the tool, and `$RUN` the tool whose process is in the file
    /// `pid`.
    pub fn start(project: &'a Project, (columns, rows): (u16, u16), line: &str) -> Self {
        let line = format!("stty cols {columns} rows {rows}; tty >tty; stty -g >before; {line}\nstty -g >after");
        project.write("run", "echo $$ >pid.new; mv pid.new pid; exec \"$K\" \"$@\"\n");
        let mut command = project.command("script");
        command.env("K", BIN).env("RUN", "sh run").env("TERM", "xterm-256color").args(["-qefc", &line, "/dev/null"]);
        for name in ["VISUAL", "EDITOR"] {
            command.env_remove(name);
        }
        // Even if the tests were started with `nohup`, or in the background.
        let prepare = || {
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
                // SAFETY: the default action is none of this program's functions.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
            Ok(())
        };
        // SAFETY: it makes system calls and allocates nothing.
        unsafe { command.pre_exec(prepare) };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (keyboard, mut output) = (child.stdin.take(), child.stdout.take().unwrap());
        let terminal = vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 0);
        let screen = Arc::new(Mutex::new(Screen { terminal, printed: Vec::new() }));
        let shown = screen.clone();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = output.read(&mut bytes) {
                let mut screen = shown.lock().unwrap();
                screen.terminal.process(&bytes[..len]);
                screen.printed.extend_from_slice(&bytes[..len]);
            }
        });
        Tty { project, child, keyboard, screen }
    }

    /// `browse` on a terminal of the usual size.
    pub fn browse(project: &'a Project, args: &str) -> Self {
        Self::start(project, (80, 24), &format!("$RUN browse {args}; echo ended $?"))
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap()
    }

    /// The lines, without what is blank at their ends.
    pub fn contents(&self) -> String {
        let contents = self.screen().terminal.screen().contents();
        contents.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    pub fn printed(&self) -> Vec<u8> {
        self.screen().printed.clone()
    }

    /// Looks at the terminal.
    pub fn see<T>(&self, see: impl FnOnce(&vt100::Screen) -> T) -> T {
        see(self.screen().terminal.screen())
    }

    pub fn keys(&mut self, keys: &str) {
        self.keyboard.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen is as it should be. Returns it.
    #[track_caller]
    pub fn until(&self, mut is_so: impl FnMut(&str) -> bool) -> String {
        let since = Instant::now();
        loop {
            let contents = self.contents();
            if is_so(&contents) {
                return contents;
            }
            assert!(since.elapsed() < PATIENCE, "{contents}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[track_caller]
    pub fn shows(&self, text: &str) -> String {
        self.until(|contents| contents.contains(text))
    }

    /// Waits until a file is there, and returns its contents.
    #[track_caller]
    pub fn file(&self, name: &str) -> String {
        self.until(|_| self.project.path(name).exists());
        self.project.read(name)
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        let (height, width) = (rows.try_into().unwrap(), columns.try_into().unwrap());
        self.screen().terminal.screen_mut().set_size(height, width);
        self.project.shell(&format!("stty -F $(cat tty) cols {columns} rows {rows}")).ok();
    }

    /// Makes the terminal take no more output: nobody reads it.
    pub fn block(&mut self) {
        // SAFETY: it is a system call.
        assert_eq!(unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGSTOP) }, 0);
        let path = self.project.read("tty");
        let mut options = fs::OpenOptions::new();
        options.write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        let mut terminal = options.open(path.trim()).unwrap();
        // The kernel moves what was written, and then there may be room again.
        let mut since = Instant::now();
        while since.elapsed() < Duration::from_millis(500) {
            match terminal.write_all(b" ") {
                Ok(()) => since = Instant::now(),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    pub fn process(&self) -> i32 {
        self.file("pid").trim().parse().unwrap()
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: it is a system call.
        assert_eq!(unsafe { libc::kill(self.process(), signal) }, 0);
    }

    /// Closes the terminal.
    pub fn hang_up(&mut self) {
        self.child.kill().unwrap();
    }

    /// Asserts that the tool has ended with this status, and has left the terminal as it was.
    #[track_caller]
    pub fn ended(&mut self, status: i32) {
        self.shows(&format!("ended {status}"));
        self.file("after");
        let is_as_before = || self.project.read("before") == self.project.read("after");
        self.until(|_| is_as_before());
        self.see(|screen| {
            assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
        });
    }
}

impl Drop for Tty<'_> {
    fn drop(&mut self) {
        // The terminal closes, so what runs on it ends too.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Ok(process) = fs::read_to_string(self.project.path("pid")) {
            let gone = format!("/proc/{}", process.trim());
            let since = Instant::now();
            while fs::exists(&gone).unwrap_or(false) && since.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
