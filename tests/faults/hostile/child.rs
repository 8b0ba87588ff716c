//! A process that uses a store on a file which may contain anything, with limited memory and time.

use std::collections::BTreeMap;
use std::io::{BufRead, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use luat_kv::{Format, ListOptions, Namespace, OpenOptions, PutOptions, Result, Store};

/// The limits of such a process.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Address space in MiB. If Rust gets none, the process aborts, and the test fails.
    pub space: u64,
    /// Memory that is in use at once, in MiB.
    pub memory: u64,
    /// Seconds of processor time. An idle machine needs hundredths.
    pub time: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { space: 1024, memory: 200, time: 120 }
    }
}

/// How a child ended, and its output: each operation and its result, which is "OK …" or an error.
#[derive(Debug)]
pub struct Report {
    status: ExitStatus,
    /// The maximum of its memory in MiB.
    memory: u64,
    answers: BTreeMap<String, String>,
    limits: Limits,
    errors: String,
}

impl Report {
    /// What is wrong with how the process ended, if anything: a crash, a hang, or too much memory.
    pub fn problem(&self) -> Option<String> {
        let last = self.answers.keys().next_back().cloned().unwrap_or_default();
        if self.status.signal() == Some(libc::SIGXCPU) || self.status.signal() == Some(libc::SIGKILL) {
            Some(format!("it went on for {} s; answers: {:?} {last}", self.limits.time, self.answers.keys()))
        } else if !self.status.success() {
            Some(format!("{}: {}; answers: {:?}", self.status, self.errors.trim(), self.answers))
        } else if self.memory > self.limits.memory {
            Some(format!("it took {} MiB; answers: {:?}", self.memory, self.answers))
        } else if let Some((operation, panic)) = self.answers.iter().find(|(_, answer)| answer.starts_with("PANIC")) {
            Some(format!("{operation}: {panic}"))
        } else {
            None
        }
    }

    pub fn answer(&self, operation: &str) -> &str {
        self.answers.get(operation).map_or("", String::as_str)
    }

    pub fn answers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.answers.iter().map(|(operation, answer)| (operation.as_str(), answer.as_str()))
    }
}

/// Starts a child with this role.
pub fn start(role: &str, path: &Path, limits: Limits) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program's own path"));
    command.args(["hostile-child", role]).arg(path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: between fork and exec only setrlimit is called, which is allowed there.
    unsafe {
        command.pre_exec(move || {
            for (what, most) in
                [(libc::RLIMIT_AS, limits.space << 20), (libc::RLIMIT_CPU, limits.time), (libc::RLIMIT_CORE, 0)]
            {
                let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
                if libc::setrlimit(what, &limit) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    command.spawn().expect("a child")
}

/// Ends a child's input, which tells one that works until then to stop, and waits for its end.
pub fn finish(mut child: Child, limits: Limits) -> Report {
    drop(child.stdin.take());
    let mut errors = child.stderr.take().expect("a pipe");
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = errors.read_to_string(&mut text);
        text
    });
    let mut said = Vec::new();
    child.stdout.take().expect("a pipe").read_to_end(&mut said).expect("what a child says");
    let said = String::from_utf8_lossy(&said);
    let answers = said.lines().filter_map(|line| line.split_once(": "));
    let answers = answers.map(|(operation, answer)| (operation.to_owned(), answer.to_owned())).collect();
    let (mut status, mut used) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: the child belongs to this process, and nothing else waits for it; both results are written to.
    let waited = unsafe { libc::wait4(child.id() as i32, &mut status, 0, used.as_mut_ptr()) };
    assert_eq!(waited, child.id() as i32);
    // SAFETY: zeros are a valid value, and wait4 wrote all of it.
    let memory = unsafe { used.assume_init() }.ru_maxrss as u64 / 1024;
    let errors = errors.join().expect("a thread that reads");
    Report { status: ExitStatus::from_raw(status), memory, answers, limits, errors }
}

/// Does everything with the store at `path` in a child.
pub fn exercise(role: &str, path: &Path, limits: Limits) -> Report {
    finish(start(role, path, limits), limits)
}

/// The child's own code.
pub fn run(arguments: &[&str]) -> ExitCode {
    let [role, path] = arguments else { return ExitCode::from(2) };
    let path = Path::new(path);
    match *role {
        "read" | "write" => use_all(path, *role == "read"),
        "keep" => keep(path),
        "fill" => super::damaged::fill(path),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}

/// One line for each operation, written in one call: an operation whose line is there has ended.
fn tell<T>(operation: &str, answer: Result<T>, show: impl FnOnce(T) -> String) -> Option<String> {
    let answer = match answer {
        Ok(found) => format!("OK {}", show(found)),
        Err(error) => error.to_string(),
    };
    let line = format!("{operation}: {}\n", answer.replace(['\n', '\r'], " "));
    std::io::stdout().write_all(line.as_bytes()).ok().map(|()| line)
}

fn options(readonly: bool) -> OpenOptions {
    OpenOptions::new().readonly(readonly).busy_timeout(Duration::from_millis(200))
}

fn use_all(path: &Path, readonly: bool) {
    let store = match Store::open(path, &options(readonly)) {
        Ok(store) => store,
        Err(error) => {
            tell::<()>("open", Err(error), |()| String::new());
            return;
        }
    };
    tell("open", Ok(()), |()| String::new());
    let n = store.namespace("n").expect("a name");
    read_all(&store, &n);
    if !readonly {
        write_all(&store, &n);
    }
    let copy = path.with_extension("copy");
    tell("backup", store.backup(&copy), |()| String::new());
    tell("close", store.close(), |()| String::new());
}

fn read_all(store: &Store, n: &Namespace) {
    let shown = |value: Option<Vec<u8>>| value.map_or("nothing".to_owned(), |value| super::shown(&value));
    tell("get", n.get("a"), shown);
    tell("get other case", n.get("A"), shown);
    tell("get_entry", n.get_entry("a").map(|entry| entry.map(luat_kv::Entry::into_value)), shown);
    tell("get_many", n.get_many(&["a", "b", "c"]), |found| found.len().to_string());
    tell("count", n.count(""), |count| count.to_string());
    let all = ListOptions::new().limit(10_000);
    tell("list", n.list(&all), |page| page.entries.len().to_string());
    tell("list reverse", n.list(&all.reverse(true)), |page| page.entries.len().to_string());
    tell("dump", n.list(&all.values(true)), |page| {
        let parts = page.entries.iter().flat_map(|key| [key.key.as_bytes(), key.value()]);
        format!("{} {}", page.entries.len(), super::hash(parts))
    });
    tell("list values", n.list(&all.values(true)), |page| page.entries.len().to_string());
    tell("namespaces", store.namespaces(), |names| names.len().to_string());
    tell("stats", store.stats(), |stats| stats.namespaces.len().to_string());
    tell("export", n.export(&mut std::io::sink(), Format::Json), |count| count.to_string());
}

fn write_all(store: &Store, n: &Namespace) {
    let forever = PutOptions::default();
    tell("put", n.put_with("new", b"value", &forever), |_| String::new());
    tell("put again", n.put_with("a", b"another", &forever.ttl(100)), |_| String::new());
    tell("get new", n.get("new"), |value| super::shown(&value.unwrap_or_default()));
    tell("incr", n.incr("count", 1), |sum| sum.to_string());
    tell("touch", n.touch("new", None, Some(50)), |found| found.to_string());
    let mut batch = store.batch();
    let batched = batch.put_with(n, "x", b"1", &forever).and_then(|batch| batch.put_with(n, "y", b"2", &forever));
    tell("batch", batched.and_then(|batch| batch.commit()), |_| String::new());
    tell("delete", n.delete("new"), |_| String::new());
    let mut lines: &[u8] = b"{\"key\":\"i1\",\"value\":\"1\"}\n{\"key\":\"i2\",\"value\":\"2\"}\n";
    tell("import", n.import(&mut lines, true), |imported| imported.stored.to_string());
    tell("sweep", store.sweep(None), |count| count.to_string());
    tell("delete_prefix", n.delete_prefix("b"), |count| count.to_string());
    tell("checkpoint", store.checkpoint(), |done| done.to_string());
    tell("compact", store.compact(), |()| String::new());
    tell("clear", n.clear(), |count| count.to_string());
}

/// Continues to use the store until its input ends.
fn keep(path: &Path) {
    let store = Store::open(path, &options(false));
    tell("open", store.as_ref().map(|_| ()).map_err(Clone::clone), |()| String::new());
    let Ok(store) = store else { return };
    let n = store.namespace("n").expect("a name");
    let mut input = std::io::stdin().lock();
    let mut line = String::new();
    // Each line is a round; the results of the last one are kept.
    while input.read_line(&mut line).is_ok_and(|len| len > 0) {
        line.clear();
        read_all(&store, &n);
        tell("put", n.put("kept", b"value"), |_| String::new());
        tell("delete", n.delete("kept"), |_| String::new());
        tell("round", Ok(()), |()| String::new());
    }
    tell("close", store.close(), |()| String::new());
}
