//! Power failures, and commits that fail.
//!
//! A process carries out its operations under a recorder (power/recorder.c), which logs each write, truncation, sync,
//! change of a name, and acknowledgement, in order. The states that a power failure at any moment could leave are
//! derived from the log (power/disk.rs). Each state is written to a folder and opened by the library, and its contents
//! are compared with the model (power/work.rs).
//!
//! The recorder can make the sync of the log fail. A write that failed in this way must stay undone, even if its
//! process is killed before another write.

mod disk;
mod log;
mod work;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use luat_kv::{OpenOptions, Store};
use tempfile::TempDir;

use self::disk::Disk;
use self::log::Event;
use self::work::{Op, Rows};
use crate::support::{Rng, Run, role};

pub use self::work::worker;

/// The number of operations in one record.
const OPS: usize = 80;

/// What must hold after a power failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// One of the states that existed: no write is partial, and none is there without those before it.
    Normal,
    /// The last state that was acknowledged, or the next one.
    Full,
}

#[derive(Default)]
struct Figures {
    records: u64,
    events: u64,
    states: u64,
    losses: u64,
}

pub fn suite(run: &mut Run) -> ExitCode {
    let recorder = Recorder::build();
    let mut all = String::new();
    records_are_whole(run, &recorder);
    run.test("a record, replayed, gives the files that are there");
    for (durability, rule, share) in [("full", Rule::Full, 0.45), ("normal", Rule::Normal, 0.35)] {
        let figures = cut_power(run, &recorder, durability, rule, share);
        run.test(&format!("power cuts with {durability} durability lose nothing that is promised"));
        all += &format!("{durability}: {}; ", figures.words());
    }
    let figures = losses_are_found(run, &recorder);
    run.test("a record of normal durability, judged as full, shows losses");
    all += &format!("normal judged as full: {}; ", figures.words());
    all += &failed_commits(run, &recorder);
    run.test("a write whose sync failed stays undone when its process is killed");
    run.done(&all)
}

impl Figures {
    fn words(&self) -> String {
        let Figures { records, events, states, losses } = self;
        format!("{records} records, {events} events, {states} states, {losses} losses")
    }
}

fn records_are_whole(run: &mut Run, recorder: &Recorder) {
    for durability in ["full", "normal"] {
        let record = recorder.record(run.rng.next(), durability, "");
        let mut disk = Disk::new(record.root.path());
        record.events.iter().for_each(|event| disk.apply(event));
        let found = files_below(record.root.path());
        if disk.files().keys().copied().ne(found.iter()) {
            run.complain(format!("seed {}: {:?} are recorded, {found:?} are there", record.seed, disk.files().keys()));
        }
        for (path, content) in disk.files() {
            if fs::read(path).ok().as_ref() != Some(&content) {
                run.complain(format!("seed {}: {} differs", record.seed, path.display()));
            }
        }
    }
}

/// All files except those that are not recorded.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> =
        entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect();
    files.retain(|path| !path.to_string_lossy().ends_with("-shm"));
    files.sort();
    files
}

/// Checks states of records, one record after another, until its share of the time is over.
fn cut_power(run: &mut Run, recorder: &Recorder, durability: &str, rule: Rule, share: f64) -> Figures {
    let mut figures = Figures::default();
    let end = run.share(share);
    while figures.records == 0 || (Instant::now() < end && !run.complains()) {
        let record = recorder.record(run.rng.next(), durability, "");
        // However slow the machine is, one record is checked to its end.
        let end = (figures.records > 0).then_some(end);
        figures.records += 1;
        for wrong in judge(&record, rule, &mut run.rng, end, &mut figures) {
            run.complain(format!("seed {}, {durability}: {wrong}", record.seed));
        }
    }
    figures
}

fn losses_are_found(run: &mut Run, recorder: &Recorder) -> Figures {
    let mut figures = Figures::default();
    while figures.losses == 0 && figures.records < 5 {
        let record = recorder.record(run.rng.next(), "normal", "");
        figures.records += 1;
        judge(&record, Rule::Full, &mut run.rng, None, &mut figures);
    }
    if figures.losses == 0 {
        run.complain("none was found");
    }
    figures
}

/// Each sync of the log fails once, and then all from each one on. The process is killed at the first error.
fn failed_commits(run: &mut Run, recorder: &Recorder) -> String {
    let end = run.share(0.15);
    let mut figures = [FailedCommits::default(), FailedCommits::default()];
    while figures[0].rounds == 0 || (Instant::now() < end && !run.complains()) {
        figures[0].round(run, recorder, "");
        figures[1].round(run, recorder, "+");
    }
    let [once, always] = figures;
    format!("one failed sync: {}; syncs that go on failing: {}", once.words(), always.words())
}

#[derive(Default)]
struct FailedCommits {
    rounds: usize,
    failed: usize,
    back_after_kill: usize,
    back_after_power_cut: usize,
}

impl FailedCommits {
    fn round(&mut self, run: &mut Run, recorder: &Recorder, how: &str) {
        /// The number of syncs of the log in one record.
        const SYNCS: usize = 28;
        self.rounds += 1;
        let early = std::iter::repeat_with(|| run.rng.next()).find(|seed| empties_the_log(*seed)).expect("a seed");
        for sync in 1..=SYNCS {
            let seed = if sync <= SYNCS / 2 { early } else { run.rng.next() };
            let record = recorder.record(seed, "full", &format!("{sync}{how}"));
            let Some(error) = &record.failed else { continue };
            let mut complain = |what: &str| run.complain(format!("seed {seed}, sync {sync}{how}, {error}: {what}"));
            self.failed += 1;
            if let Err(wrong) = judge_killed(&record) {
                self.back_after_kill += 1;
                complain(&wrong);
            }
            let states = judge_failed(&record, &mut Rng(seed));
            self.back_after_power_cut += states.len();
            // After a single failure the frames were overwritten, and synced. Otherwise the error tells what may
            // happen.
            if !states.is_empty() && !error.contains("may still appear") {
                complain(&format!("after a power cut {}", states[0]));
            }
        }
        if self.failed < self.rounds * SYNCS / 2 {
            run.complain(format!("only {} writes failed", self.failed));
        }
    }

    fn words(&self) -> String {
        let FailedCommits { failed, back_after_kill: kill, back_after_power_cut: cut, .. } = self;
        format!(
            "{failed} writes failed, {kill} came back after a kill, {cut} power cuts brought one back, as its error says"
        )
    }
}

/// Whether there is soon a write at the start of the log. The header of the log is synced then, before the first frame.
fn empties_the_log(seed: u64) -> bool {
    matches!(work::ops(seed, 4)[..], [Op::Put(..), Op::Put(..), Op::Checkpoint, Op::Put(..)])
}

/// The recorder, compiled.
struct Recorder {
    folder: TempDir,
}

/// A process's record.
struct Record {
    root: TempDir,
    seed: u64,
    events: Vec<Event>,
    ops: Vec<Op>,
    states: Vec<Rows>,
    /// The error of the operation after the last acknowledged one.
    failed: Option<String>,
}

impl Recorder {
    fn build() -> Recorder {
        let folder = scratch();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/power/recorder.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let mut words = compiler.split_whitespace();
        let mut command = Command::new(words.next().expect("a C compiler"));
        command.args(words).args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o"]);
        let done = command.arg(folder.path().join("recorder.so")).arg(source).args(["-ldl", "-lpthread"]).status();
        assert!(done.expect("the C compiler").success(), "{command:?}");
        Recorder { folder }
    }

    /// Runs a worker and reads its record. With `fail`, a sync fails (see recorder.c).
    fn record(&self, seed: u64, durability: &str, fail: &str) -> Record {
        let (root, log) = (scratch(), self.folder.path().join("log"));
        let _ = fs::remove_file(&log);
        let mut worker = role("power-worker");
        worker.arg(root.path()).args([&seed.to_string(), &OPS.to_string(), durability]).stdout(Stdio::null());
        worker.env("LD_PRELOAD", self.folder.path().join("recorder.so")).env("POWER_ROOT", root.path());
        worker.env("POWER_LOG", &log).env_remove("POWER_FAIL");
        if !fail.is_empty() {
            worker.env("POWER_FAIL", fail);
        }
        let ended = worker.status().expect("a worker");
        let events = log::read(&fs::read(&log).expect("a log")).expect("a whole log");
        let failed = events.iter().find_map(|event| match event {
            Event::Told { text } => text.strip_prefix("failed: ").map(|error| error.trim_end().to_owned()),
            _ => None,
        });
        let killed = ended.signal() == Some(libc::SIGKILL);
        assert!(if fail.is_empty() { ended.success() } else { ended.success() || killed }, "{ended:?}, {failed:?}");
        let ops = work::ops(seed, OPS);
        let states = work::states(&ops);
        Record { root, seed, events, ops, states, failed }
    }
}

impl Record {
    /// The number of operations that were acknowledged by then.
    fn acknowledged(&self, events: usize) -> usize {
        let told = self.events[..events].iter().rev().find_map(|event| match event {
            Event::Told { text } => text.trim_end().parse().ok(),
            _ => None,
        });
        told.unwrap_or(0)
    }
}

/// A folder in memory if possible: thousands of states are written.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// Cuts the power after some of the events, and returns what was wrong then.
fn judge(record: &Record, rule: Rule, rng: &mut Rng, end: Option<Instant>, figures: &mut Figures) -> Vec<String> {
    let mut disk = Disk::new(record.root.path());
    let mut wrong = Vec::new();
    figures.events += record.events.len() as u64;
    // Starts anywhere, so that a record for which there is too little time is not checked only at its beginning.
    let first = rng.below(record.events.len() as u64 / 2) as usize;
    for (number, event) in record.events.iter().enumerate() {
        disk.apply(event);
        if number < first || !rng.one_in(4) || end.is_some_and(|end| Instant::now() > end) {
            continue;
        }
        let folder = scratch();
        disk.lose_power(rng, folder.path());
        figures.states += 1;
        if let Err(what) = judge_state(record, folder.path(), record.acknowledged(number + 1), rule, rng) {
            figures.losses += 1;
            wrong.push(format!("after event {number}: {what}"));
        }
    }
    wrong
}

fn judge_state(record: &Record, root: &Path, acknowledged: usize, rule: Rule, rng: &mut Rng) -> Result<(), String> {
    let next = (acknowledged + 1).min(OPS);
    let first = if rule == Rule::Full { acknowledged } else { 0 };
    judge_database(&work::database(root), &record.states[first..=next])
        .map_err(|what| format!("{acknowledged} acknowledged, then {:?}: {what}", record.ops.get(acknowledged)))?;
    judge_backups(record, root, acknowledged, rng)?;
    judge_exports(record, root, acknowledged)
}

/// The database must be intact, and contain one of these states. A missing one contains nothing.
fn judge_database(path: &Path, states: &[Rows]) -> Result<(), String> {
    let rows = match path.exists() {
        true => read_database(path)?,
        false => Rows::new(),
    };
    match states.contains(&rows) {
        true => Ok(()),
        false => Err(format!("{} rows, which is no state of {}", rows.len(), states.len())),
    }
}

fn read_database(path: &Path) -> Result<Rows, String> {
    let store = Store::open(path, &OpenOptions::default()).map_err(|error| error.to_string())?;
    let rows = work::read(&store)?;
    store.close().map_err(|error| error.to_string())?;
    let check = || -> rusqlite::Result<String> {
        rusqlite::Connection::open(path)?.query_row("PRAGMA integrity_check", (), |row| row.get(0))
    };
    match check() {
        Ok(sound) if sound == "ok" => Ok(rows),
        Ok(damage) => Err(damage),
        Err(error) => Err(error.to_string()),
    }
}

/// Backups are complete or missing, and those that were acknowledged exist, whatever the durability.
fn judge_backups(record: &Record, root: &Path, acknowledged: usize, rng: &mut Rng) -> Result<(), String> {
    let begun = (0..=acknowledged).filter(|number| matches!(record.ops.get(*number), Some(Op::Backup(_))));
    let begun: Vec<_> = begun.map(|number| (number, work::backup(root, number))).collect();
    if let Some((lost, _)) = begun.iter().find(|(number, path)| *number < acknowledged && !path.exists()) {
        return Err(format!("{acknowledged} acknowledged, backup {lost} is missing"));
    }
    // Reading all of them for each state would take most of the time.
    let present: Vec<_> = begun.into_iter().filter(|(_, path)| path.exists()).collect();
    if present.is_empty() {
        return Ok(());
    }
    let (number, path) = &present[rng.below(present.len() as u64) as usize];
    judge_database(path, &record.states[*number..=*number])
        .map_err(|what| format!("{acknowledged} acknowledged, backup {number}: {what}"))
}

/// The same for exports, but one replaces the other.
fn judge_exports(record: &Record, root: &Path, acknowledged: usize) -> Result<(), String> {
    let begun = &record.ops[..(acknowledged + 1).min(OPS)];
    for namespace in 0..work::NAMESPACES.len() {
        let exports = || (0..begun.len()).filter(|number| matches!(begun[*number], Op::Export(of) if of == namespace));
        let last = exports().filter(|number| *number < acknowledged).max();
        let (path, possible) = (work::export(root, namespace), exports().filter(|number| Some(*number) >= last));
        let possible: Vec<_> = possible.map(|number| work::of_namespace(&record.states[number], namespace)).collect();
        let right = match path.exists() {
            true => possible.contains(&read_export(&path, namespace)?),
            false => last.is_none(),
        };
        if !right {
            return Err(format!("{acknowledged} acknowledged, the export of namespace {namespace} is lost"));
        }
    }
    Ok(())
}

fn read_export(path: &Path, number: usize) -> Result<Rows, String> {
    let read = || -> luat_kv::Result<_> {
        let namespace = Store::open_memory(&OpenOptions::default())?.namespace("export")?;
        namespace.import_file(path, false)?;
        Ok(namespace)
    };
    let mut rows = Rows::new();
    work::read_namespace(&read().map_err(|error| error.to_string())?, number, &mut rows)?;
    Ok(rows)
}

/// The folder of a process that was killed when an operation failed: it must not have happened.
fn judge_killed(record: &Record) -> Result<(), String> {
    let acknowledged = record.acknowledged(record.events.len());
    judge_database(&work::database(record.root.path()), &record.states[acknowledged..=acknowledged])
}

/// The same after a power failure at that moment. Returns what was wrong in some of the states that it could leave.
fn judge_failed(record: &Record, rng: &mut Rng) -> Vec<String> {
    const STATES: usize = 10;
    let mut disk = Disk::new(record.root.path());
    record.events.iter().for_each(|event| disk.apply(event));
    let acknowledged = record.acknowledged(record.events.len());
    let states = (0..STATES).filter_map(|_| {
        let folder = scratch();
        disk.lose_power(rng, folder.path());
        let database: PathBuf = work::database(folder.path());
        judge_database(&database, &record.states[acknowledged..=acknowledged]).err()
    });
    states.collect()
}
