//! The N-th system call of a kind fails, for every N, during a script of all operations.
//!
//! A worker's calls fail (see `trap`): once, or from the N-th one on until the fault is removed. A failing operation
//! must report a fitting code and a message that names the file, within the busy timeout, and must have changed
//! nothing: the same store then carries it out. In other runs the worker dies at the first failure. At the end another
//! process opens the file and compares everything with what was acknowledged.

mod script;
mod worker;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use luat_kv::{Clock, Durability, OpenOptions, Store};

use self::script::{BUSY_TIMEOUT, Rows, STEPS, Step};
use crate::support::{Run, quick_folder, role};
use crate::trap::{self, CALLS, Call, SHORT};

pub use self::worker::worker;

/// The errors that a kind of call fails with.
fn faults(call: Call) -> &'static [i32] {
    use libc::*;
    match call {
        Call::Read => &[EIO, EINTR, SHORT],
        Call::Write => &[EIO, ENOSPC, EDQUOT, EINTR, SHORT],
        Call::Sync => &[EIO, ENOSPC],
        Call::Open => &[EIO, EMFILE, ENOSPC, EINTR],
        Call::Map => &[ENOMEM],
        Call::Truncate => &[EIO, ENOSPC, EINTR],
        Call::Unlink => &[EIO],
        Call::Rename => &[EIO, ENOSPC, EDQUOT],
        Call::MakeFolder => &[EIO, ENOSPC, EDQUOT],
        Call::Lock => &[ENOLCK, EIO, EINTR],
    }
}

/// A run of the script with a fault.
#[derive(Clone, Copy, Debug)]
struct Job {
    call: Call,
    first: u64,
    last: u64,
    fault: i32,
    /// Whether the process ends at the first failure.
    dies: bool,
    durability: Durability,
}

impl Job {
    fn lasting(&self) -> bool {
        self.last > self.first
    }

    fn arm(&self) {
        trap::arm(self.call, self.first, self.last, self.fault);
    }

    fn text(&self) -> String {
        let Job { call, first, last, fault, dies, durability } = self;
        let full = *durability == Durability::Full;
        format!("{} {first} {last} {fault} {} {}", *call as usize, u8::from(*dies), u8::from(full))
    }

    fn parse(text: &str) -> Option<Job> {
        let numbers: Vec<i128> = text.split(' ').map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let &[call, first, last, fault, dies, full] = numbers.as_slice() else { return None };
        let durability = if full == 1 { Durability::Full } else { Durability::Normal };
        let (first, last, fault, dies) = (first as u64, last as u64, fault as i32, dies == 1);
        Some(Job { call: CALLS[call as usize], first, last, fault, dies, durability })
    }

    fn name(&self) -> String {
        let error = std::io::Error::from_raw_os_error(self.fault).to_string();
        let fault = if self.fault == SHORT { "is cut short" } else { error.as_str() };
        let and = if self.lasting() { " and all later ones" } else { "" };
        let then = if self.dies { ", then the process dies" } else { "" };
        format!("{:?} {}{and}: {fault}{then} ({:?})", self.call, self.first, self.durability)
    }
}

/// The results of all jobs.
#[derive(Default)]
struct Totals {
    jobs: usize,
    hits: u64,
    failures: u64,
    wrong: Vec<String>,
}

pub fn suite(run: &mut Run) -> ExitCode {
    let folder = quick_folder();
    let (jobs, kinds) = jobs(run, folder.path());
    let (next, totals, end) = (AtomicUsize::new(0), Mutex::new(Totals::default()), run.share(1.0));
    let all = run.is_torture();
    thread::scope(|scope| {
        for thread in 0..2 {
            let (folder, jobs, next, totals) = (folder.path().join(thread.to_string()), &jobs, &next, &totals);
            scope.spawn(move || {
                std::fs::create_dir(&folder).expect("a folder for a worker");
                let mut worker = None;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(number).filter(|_| all || number < kinds || Instant::now() < end) else {
                        break;
                    };
                    if number % 1000 == 999 {
                        println!("# {number} of {} faults", jobs.len());
                    }
                    let outcome = Outcome::of(&mut worker, &folder, number, job);
                    outcome.add_to(&mut totals.lock().expect("the totals"), job);
                }
            });
        }
    });
    let totals = totals.into_inner().expect("the totals");
    report(run, &totals.wrong);
    run.test("failed system calls lose nothing, and leave nothing half done");
    run.done(&format!(
        "{} of {} faults, {} failed system calls, {} failed operations, {} losses and other faults",
        totals.jobs,
        jobs.len(),
        totals.hits,
        totals.failures,
        totals.wrong.len()
    ))
}

/// Each kind of complaint once, with its count.
fn report(run: &mut Run, wrong: &[String]) {
    let mut kinds: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for complaint in wrong {
        let (kind, job) = complaint.split_once(" | ").unwrap_or((complaint, ""));
        kinds.entry(kind).or_insert((0, job)).0 += 1;
    }
    for (kind, (times, job)) in kinds {
        run.complain(format!("{kind} ({times} times; first with {job})"));
    }
}

/// All faults in random order, but each kind of call in each step once before any is repeated; and the number of these
/// kinds.
fn jobs(run: &mut Run, folder: &Path) -> (Vec<Job>, usize) {
    let mut kinds: BTreeMap<(usize, usize), Vec<Job>> = BTreeMap::new();
    for durability in [Durability::Normal, Durability::Full] {
        let none = Job { call: Call::Read, first: 0, last: 0, fault: 0, dies: false, durability };
        let folder = folder.join(format!("{durability:?}"));
        std::fs::create_dir(&folder).expect("a folder for the first run");
        let outcome = Outcome::of(&mut None, &folder, 0, &none);
        outcome.wrong.iter().for_each(|wrong| run.complain(format!("without any fault: {wrong}")));
        let calls = outcome.counts.last().cloned().unwrap_or_default();
        println!("# {durability:?}: {calls:?} calls of {CALLS:?}");
        let mut before = vec![0; CALLS.len()];
        for (step, counts) in outcome.counts.into_iter().enumerate() {
            for call in CALLS {
                let jobs = kinds.entry((step, call as usize)).or_default();
                let numbers = before[call as usize] + 1..=counts[call as usize];
                jobs.extend(numbers.flat_map(|first| variants(Job { call, first, ..none })));
            }
            before = counts;
        }
    }
    let mut kinds: Vec<Vec<Job>> = kinds.into_values().filter(|jobs| !jobs.is_empty()).collect();
    kinds.iter_mut().for_each(|jobs| run.rng.shuffle(jobs));
    run.rng.shuffle(&mut kinds);
    println!("# {} kinds of calls in steps", kinds.len());
    let most = kinds.iter().map(Vec::len).max().unwrap_or(0);
    let jobs = (0..most).flat_map(|index| kinds.iter().filter_map(move |jobs| jobs.get(index))).copied().collect();
    (jobs, kinds.len())
}

/// The faults of one call.
fn variants(job: Job) -> impl Iterator<Item = Job> {
    faults(job.call).iter().flat_map(move |fault| {
        let once = Job { last: job.first, fault: *fault, ..job };
        // An interrupted call that is repeated succeeds in the end.
        let lasts = (*fault != libc::EINTR).then_some(Job { last: u64::MAX, ..once });
        [Some(once), Some(Job { dies: true, ..once }), lasts].into_iter().flatten()
    })
}

struct Worker {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    fn start(folder: &Path) -> Worker {
        let mut command = role("syscalls-worker");
        let mut child = command.arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a worker");
        let (stdin, stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        Worker { child, stdin, lines: BufReader::new(stdout).lines() }
    }
}

/// The result of a job.
#[derive(Default)]
struct Outcome {
    /// The number of calls of each kind up to the end of each step.
    counts: Vec<Vec<u64>>,
    hits: u64,
    failures: u64,
    /// How many steps are done; `None` if the worker did not report it.
    done: Option<usize>,
    wrong: Vec<String>,
}

impl Outcome {
    fn of(worker: &mut Option<Worker>, folder: &Path, number: usize, job: &Job) -> Outcome {
        let mut outcome = Outcome::default();
        let running = worker.get_or_insert_with(|| Worker::start(folder));
        writeln!(running.stdin, "{number} {}", job.text()).expect("a worker's pipe");
        let place = folder.join(number.to_string());
        while outcome.done.is_none()
            && let Some(Ok(line)) = running.lines.next()
        {
            outcome.take(&line, job, &place);
        }
        let ended = outcome.done.is_none();
        if ended || outcome.done < Some(STEPS.len()) {
            let mut over = worker.take().expect("a worker");
            drop(over.stdin);
            let status = over.child.wait().expect("a worker's end");
            if ended {
                outcome.wrong.push(format!("the process ended by itself: {status}"));
            }
        }
        if let Some(done) = outcome.done {
            compare(&place, job, done).unwrap_or_else(|wrong| outcome.wrong.push(wrong));
        }
        std::fs::remove_dir_all(&place).expect("to remove a job's folder");
        outcome
    }

    fn take(&mut self, line: &str, job: &Job, place: &Path) {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut words = rest.split(' ');
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).expect("a number");
        match kind {
            "counts" => self.counts.push(rest.split(' ').map(|word| word.parse().expect("a number")).collect()),
            "end" => (self.hits, self.done) = (number(), Some(number() as usize)),
            "failed" => {
                self.failures += 1;
                let [step, code, slept, message] = rest.splitn(4, ' ').collect::<Vec<_>>()[..] else {
                    return self.wrong.push(format!("the worker said {line:?}"));
                };
                let step = STEPS[step.parse::<usize>().expect("a step")];
                self.judge(step, code, slept.parse().expect("milliseconds"), message, job, place);
            }
            _ => self.wrong.push(rest.to_owned()),
        }
    }

    /// Checks an error.
    fn judge(&mut self, step: Step, code: &str, slept: u64, message: &str, job: &Job, place: &Path) {
        let fits =
            code == "IO" || code == "BUSY" && job.call == Call::Lock || code == "NOMEM" && job.fault == libc::ENOMEM;
        let place = place.display().to_string();
        let shown = message.replace(&place, "…");
        if !fits {
            self.wrong.push(format!("{step:?} is {code} for a fault of {:?}: {shown}", job.call));
        }
        if !message.contains(&place) {
            self.wrong.push(format!("the message of {step:?} names no file: {shown}"));
        }
        // A step makes only a few calls, each of which may wait.
        let patience = 3 * BUSY_TIMEOUT.as_millis() as u64;
        if slept > patience {
            self.wrong.push(format!("{step:?} slept for {slept} ms"));
        }
    }

    fn add_to(self, totals: &mut Totals, job: &Job) {
        totals.jobs += 1;
        totals.hits += self.hits;
        totals.failures += self.failures;
        totals.wrong.extend(self.wrong.iter().map(|wrong| format!("{wrong} | {}", job.name())));
    }
}

/// Compares the contents of the folder with the steps that were done. This is not the worker's process.
fn compare(place: &Path, job: &Job, done: usize) -> Result<(), String> {
    let before = |end: usize| {
        let mut rows = Rows::new();
        STEPS[..end].iter().for_each(|step| script::apply(&mut rows, *step));
        rows
    };
    let database = script::database(place);
    let step = STEPS.get(done).copied().unwrap_or(Step::CloseAgain);
    if database.exists() {
        let found = afterwards(&database)?;
        if !script::may_leave(&before(done), step, &found) {
            let (found, expected) = (found.len(), before(done).len());
            return Err(format!("after {step:?} another process finds {found} rows, and other ones than {expected}"));
        }
        let damage = integrity(&database)?;
        if damage != "ok" {
            return Err(format!("after {step:?} the file is damaged: {damage}"));
        }
    } else if done > 0 {
        return Err("the file is not there".to_owned());
    }
    let at = |step: Step| STEPS.iter().position(|other| *other == step).expect("one of the steps");
    let (backup, export) = (script::backup(place), script::export(place));
    if backup.exists() || done > at(Step::Backup) {
        let found = afterwards(&backup)?;
        if found != before(at(Step::Backup)) {
            return Err("the backup is not what the store was".to_owned());
        }
    }
    if export.exists() || done > at(Step::Export) {
        let found = imported(&export)?;
        if found != before(at(Step::Export)) {
            return Err("the export is not what the namespace was".to_owned());
        }
    }
    leftovers(place, job)
}

fn afterwards(database: &Path) -> Result<Rows, String> {
    let failed = |error| format!("another process cannot use {:?}: {error}", database.file_name().unwrap_or_default());
    let store = script::open_afterwards(database).map_err(failed)?;
    let rows = script::rows(&store).map_err(failed)?;
    store.close().map_err(failed)?;
    Ok(rows)
}

fn integrity(database: &Path) -> Result<String, String> {
    let connection = rusqlite::Connection::open(database).map_err(|error| error.to_string())?;
    connection.query_row("PRAGMA integrity_check", (), |row| row.get(0)).map_err(|error| error.to_string())
}

fn imported(export: &Path) -> Result<Rows, String> {
    let failed = |error| format!("the export cannot be imported: {error}");
    let options = OpenOptions::new().clock(Clock::manual(0));
    let store = Store::open_memory(&options).map_err(failed)?;
    store.namespace("test").and_then(|namespace| namespace.import_file(export, true)).map_err(failed)?;
    script::rows(&store).map_err(failed)
}

/// Drafts of backups and exports are gone, unless they could not be removed.
fn leftovers(place: &Path, job: &Job) -> Result<(), String> {
    let entries = std::fs::read_dir(place).map_err(|why| why.to_string())?;
    let names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let drafts = names.iter().filter(|name| name.starts_with(".luat_kv.")).count();
    match drafts > 0 && job.call != Call::Unlink {
        true => Err(format!("{drafts} drafts are left: {}", names.join(" "))),
        false => Ok(()),
    }
}
