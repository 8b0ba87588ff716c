//! Servers that a suite controls: the program tests/postgres/control, which knows the commands.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub struct Control {
    child: Child,
    /// `None` when it is to end.
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Control {
    /// Starts a server with these settings of postgresql.conf, as `NAME=VALUE`.
    pub fn start(settings: &[&str]) -> Control {
        let mut command = Command::new("tests/postgres/control");
        command.args(settings).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("tests/postgres/control");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        let mut control = Control { child, stdin, lines: BufReader::new(stdout).lines() };
        control.answer("start").expect("a server");
        control
    }

    /// Gives a command, and returns its answer.
    pub fn ask(&mut self, command: &str) -> String {
        self.tries(command).unwrap_or_else(|failed| panic!("{command}: {failed}"))
    }

    /// Like [`ask`](Self::ask), for a command that may fail.
    pub fn tries(&mut self, command: &str) -> Result<String, String> {
        writeln!(self.stdin.as_mut().expect("it runs"), "{command}").expect("a pipe");
        self.answer(command)
    }

    fn answer(&mut self, command: &str) -> Result<String, String> {
        let line = self.lines.next().unwrap_or_else(|| panic!("{command}: no answer")).expect("a line");
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("ok", answer) => Ok(answer.to_owned()),
            _ => Err(line),
        }
    }

    /// What has passed the proxy, up to the server and down from it, since the last `cut` or `passed`.
    pub fn passed(&mut self) -> [Passed; 2] {
        let answer = self.ask("passed");
        let numbers = |text: &str| text.split(',').map(|number| number.parse().expect("a number")).collect::<Vec<_>>();
        let (up, down) = answer.split_once(' ').expect("two lists");
        [numbers(up), numbers(down)].map(|numbers| Passed { bytes: numbers[0], messages: numbers[1..].to_vec() })
    }
}

/// What has passed in one direction.
pub struct Passed {
    pub bytes: u64,
    /// Where messages of the protocol began.
    pub messages: Vec<u64>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.wait();
    }
}
