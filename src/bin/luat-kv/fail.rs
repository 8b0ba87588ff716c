//! How a command ends that did not do what was asked: one line on stderr, and a status.

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use luat_kv::{Code, Detail, Error};

use crate::text::{name, show};

#[derive(Debug)]
pub enum Fail {
    /// The reader has closed the output, which is not a failure.
    Closed,
    /// The result is negative, and only the status tells it.
    Silent,
    /// The result is negative: the key is missing, or, if it had to be missing, exists.
    No(String),
    /// The command line is wrong.
    Usage(String),
    /// The command failed.
    Failed(String),
}

impl Fail {
    /// An error of a file that is not the store.
    pub fn at(path: &Path, why: io::Error) -> Self {
        Fail::Failed(format!("{}: {why}", name(path)))
    }

    /// Adds to the end of the message.
    pub fn followed_by(self, what: &str) -> Self {
        match self {
            Fail::Usage(message) | Fail::Failed(message) => Fail::Failed(message + what),
            other => other,
        }
    }

    /// The message; empty if there is none.
    pub fn message(&self) -> &str {
        match self {
            Fail::Closed | Fail::Silent => "",
            Fail::No(message) | Fail::Usage(message) | Fail::Failed(message) => message,
        }
    }

    /// Prints the message, and returns the exit status.
    pub fn report(self) -> ExitCode {
        let (status, message) = match self {
            Fail::Closed => return ExitCode::SUCCESS,
            Fail::Silent => return ExitCode::from(1),
            Fail::No(message) => (1, message),
            Fail::Usage(message) => (2, message),
            Fail::Failed(message) => (3, message),
        };
        say(&message);
        ExitCode::from(status)
    }
}

/// Prints one line on stderr, whatever the message contains (a path may have a line break).
pub fn say(message: &str) {
    let line = format!("luat-kv: {}\n", show(message.as_bytes()));
    // Not eprintln!, which panics if stderr is closed.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Some arguments are only checked by the library, but they are part of the command line too.
impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        match error.code() {
            Code::Invalid | Code::Limit => Fail::Usage(told(&error)),
            _ => Fail::Failed(told(&error)),
        }
    }
}

/// The library's message, and advice if there is any.
pub fn told(error: &Error) -> String {
    let advice = match error.code() {
        Code::Busy if error.detail() != Some(Detail::OpenInOtherLibrary) => {
            "; another process is writing: try again, or wait for longer with --busy-timeout"
        }
        _ => "",
    };
    format!("{}{advice}", error.message())
}

/// For writing to stdout. Errors of other files name their path.
impl From<io::Error> for Fail {
    fn from(why: io::Error) -> Self {
        match why.kind() {
            ErrorKind::BrokenPipe => Fail::Closed,
            _ => Fail::Failed(format!("writing the output: {why}")),
        }
    }
}

/// clap's message without its layout: what is wrong, its tips, and where to read more.
impl From<clap::Error> for Fail {
    fn from(wrong: clap::Error) -> Self {
        let text = wrong.to_string();
        let mut parts = text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
        let first = parts.next().unwrap_or_default();
        let mut message = first.strip_prefix("error: ").unwrap_or(&first).to_owned();
        let mut help = "luat-kv --help".to_owned();
        for part in parts {
            if let Some(tip) = part.strip_prefix("tip: ") {
                message += &format!("; {tip}");
            } else if let Some(usage) = part.strip_prefix("Usage: ") {
                let words = usage.split(' ').take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
                help = words.chain(["--help"]).collect::<Vec<_>>().join(" ");
            }
        }
        Fail::Usage(format!("{message}; see {help}"))
    }
}
