//! A separate project for each test, and the tool in it.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub const BIN: &str = env!("CARGO_BIN_EXE_luat-kv");

/// A folder with a luat.toml. Commands in it use the namespace `blog`.
pub struct Project(TempDir);

impl Project {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("luat.toml"), "").unwrap();
        Project(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The path of the database that this project's luat.toml determines.
    pub fn database(&self) -> PathBuf {
        self.path(".luat/data/kv.db")
    }

    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.0.path()).env("LUAT_KV_NAMESPACE", "blog").stdin(Stdio::null());
        for name in ["LUAT_KV_DB", "LUAT_KV_TRUSTED_PROJECT", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the tool.
    pub fn run(&self, args: &[&str]) -> Done {
        Done::of(self.command(BIN).args(args).output().unwrap())
    }

    /// Runs the tool with something on its stdin.
    pub fn feed(&self, input: impl AsRef<[u8]>, args: &[&str]) -> Done {
        let mut command = self.command(BIN);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may end before it has read everything.
        let _ = child.stdin.take().unwrap().write_all(input.as_ref());
        Done::of(child.wait_with_output().unwrap())
    }

    /// Runs a shell command, in which `$K` is the tool.
    pub fn shell(&self, line: &str) -> Done {
        Done::of(self.command("sh").env("K", BIN).args(["-c", line]).output().unwrap())
    }

    /// The same on a terminal of 80 columns, which shows both stdout and stderr.
    pub fn terminal(&self, line: &str) -> Done {
        self.typed("", line)
    }

    /// The same, with typed input.
    pub fn typed(&self, input: &str, line: &str) -> Done {
        let line = format!("stty cols 80 rows 24 2>/dev/null; {line}");
        let mut command = self.command("script");
        command.env("K", BIN).env("TERM", "xterm").args(["-qec", &line, "/dev/null"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let mut done = Done::of(child.wait_with_output().unwrap());
        done.out = done.out.replace('\r', "");
        done
    }

    /// Changes the database by another program.
    pub fn sql(&self, sql: &str) {
        rusqlite::Connection::open(self.database()).unwrap().execute_batch(sql).unwrap();
    }
}

#[derive(Debug)]
pub struct Done {
    pub status: Option<i32>,
    pub bytes: Vec<u8>,
    pub out: String,
    pub err: String,
}

impl Done {
    fn of(output: Output) -> Done {
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        Done { status: output.status.code(), bytes: output.stdout, out, err }
    }

    /// Asserts that it succeeded without output on stderr. Returns its output.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!((self.status, &*self.err), (Some(0), ""), "{self:?}");
        self.out
    }

    /// The same for JSON output, in which each line is one value.
    #[track_caller]
    pub fn json(self) -> Vec<Value> {
        self.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Asserts that it ended with this status and one line on stderr. Returns the message in that line.
    #[track_caller]
    pub fn fails(self, status: i32) -> String {
        assert_eq!(self.status, Some(status), "{self:?}");
        let message = self.err.strip_prefix("luat-kv: ").and_then(|text| text.strip_suffix('\n'));
        let message = message.unwrap_or_else(|| panic!("{self:?}"));
        assert!(!message.contains('\n') && !message.is_empty(), "{self:?}");
        message.to_owned()
    }
}

/// Checks and removes the parts that differ between runs.
#[track_caller]
pub fn without_version(mut entry: Value) -> Value {
    let version = entry.as_object_mut().unwrap().remove("version").unwrap();
    assert_eq!(version.as_str().unwrap().len(), 16);
    entry
}

pub fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|done| done.status.success())
}

#[track_caller]
pub fn missing(path: &Path) {
    assert!(!path.exists(), "{} is there", path.display());
}
