//! Files with damage of every kind, in every place, also while processes use them.
//!
//! The damaged store has a history: each commit in its log writes one number into a group of keys. A read must return
//! the state after one of the commits, unless the damage is in the database itself, whose rows have no checksums: there
//! a wrong value cannot be told from a right one, and is counted.

use std::fs::{self, File, OpenOptions as FileOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use luat_kv::{OpenOptions, PutOptions, Store};
use tempfile::TempDir;

use super::child::{Limits, Report, exercise, finish, start};
use crate::support::{Rng, Run};

/// The number of commits that are only in the log.
const COMMITS: u32 = 40;

/// The number of keys that each commit writes.
const GROUP: u32 = 20;
const KEYS: u32 = 400;

/// Which file is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Database,
    Log,
    SharedMemory,
}

impl Part {
    fn of(self, path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(match self {
            Part::Database => "",
            Part::Log => "-wal",
            Part::SharedMemory => "-shm",
        });
        name.into()
    }
}

pub fn suite(run: &mut Run) -> ExitCode {
    let origin = origin();
    let (mut rounds, mut wrong) = (0_u64, 0_u64);
    for (part, share) in [(Part::Database, 0.4), (Part::Log, 0.25), (Part::SharedMemory, 0.1)] {
        let end = run.share(share);
        while Instant::now() < end {
            rounds += 1;
            wrong += u64::from(at_rest(run, &origin.path().join("kv.db"), part));
        }
        run.test(match part {
            Part::Database => "a damaged database: an error or an answer, no crash, no hang, no flood",
            Part::Log => "a damaged log: the state after one of its commits",
            Part::SharedMemory => "damaged shared memory that nobody has open: nothing is lost",
        });
    }
    let mut uses = 0_u64;
    let end = run.share(0.25);
    while Instant::now() < end {
        uses += 1;
        in_use(run, &origin.path().join("kv.db"));
    }
    run.test("files that are damaged while processes use them: an error or an answer, no crash, no hang, no flood");
    run.done(&format!("{rounds} damaged at rest ({wrong} of them read as a state that never was), {uses} in use"))
}

/// A store with a log that was never moved into the file, since its process was killed.
fn origin() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kv.db");
    let report = exercise("fill", &path, Limits::default());
    assert!(Part::Log.of(&path).exists() && Part::SharedMemory.of(&path).exists(), "{report:?}");
    folder
}

/// In a child: creates that store, and ends without closing it.
pub fn fill(path: &Path) {
    let store = Store::open(path, &OpenOptions::default()).expect("a store");
    let n = store.namespace("n").expect("a name");
    let commit = |number: u32| {
        let mut batch = store.batch();
        for key in 0..if number == 0 { KEYS } else { GROUP } {
            let options = PutOptions::new().metadata("{\"by\":\"fill\"}").expires_at(4_102_444_800);
            batch.put_with(&n, &name(number, key), value(number, key).as_bytes(), &options).expect("a change");
        }
        batch.commit().expect("a commit");
    };
    commit(0);
    store.checkpoint().expect("a checkpoint");
    (1..=COMMITS).for_each(commit);
    // SAFETY: the process ends here, like a killed one.
    unsafe { libc::_exit(0) }
}

fn name(number: u32, key: u32) -> String {
    // Some keys are written repeatedly, others once, and only the first twenty contain the number.
    if key < GROUP / 2 { format!("g{key:04}") } else { format!("k{:04}", (number * GROUP + key) % KEYS) }
}

fn value(number: u32, key: u32) -> String {
    format!("{number}:{key}:{}", "v".repeat((key as usize * 37) % 700))
}

/// The contents of all keys after this many commits, in the form that `child` prints.
fn state(commits: u32) -> String {
    let mut keys = std::collections::BTreeMap::new();
    for number in 0..=commits {
        for key in 0..if number == 0 { KEYS } else { GROUP } {
            keys.insert(name(number, key), value(number, key));
        }
    }
    let hash = super::hash(keys.iter().flat_map(|(key, value)| [key.as_bytes(), value.as_bytes()]));
    format!("OK {} {hash}", keys.len())
}

/// Copies the store, damages one of its files, and uses it. Returns whether a read returned no state of its history.
fn at_rest(run: &mut Run, origin: &Path, part: Part) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kv.db");
    for part in [Part::Database, Part::Log, Part::SharedMemory] {
        fs::copy(part.of(origin), part.of(&path)).expect("a copy");
    }
    let mut told = String::new();
    for _ in 0..=run.rng.below(3) {
        told.push_str(&damage(&mut run.rng, &part.of(&path), false));
    }
    let readonly = run.rng.below(4) == 0;
    let report = exercise(if readonly { "read" } else { "write" }, &path, Limits::default());
    let what = format!("{part:?}:{told}{}", if readonly { " read" } else { "" });
    check(run, &report, &what);
    let dump = report.answer("dump");
    let known = (0..=COMMITS).any(|commits| state(commits) == dump);
    match part {
        Part::Log if dump.starts_with("OK") && !known => run.complain(format_args!("{what}: no state: {dump}")),
        // A reader that cannot recreate the index of the log gets an error.
        Part::SharedMemory if dump != state(COMMITS) && !(readonly && report.answer("open").starts_with("IO")) => {
            run.complain(format_args!("{what}: {dump}; open: {}", report.answer("open")));
        }
        _ => {}
    }
    dump.starts_with("OK") && !known
}

fn check(run: &mut Run, report: &Report, what: &str) {
    if let Some(problem) = report.problem() {
        run.complain(format_args!("{what}: {problem}"));
    }
    for (operation, answer) in report.answers() {
        let code = answer.split([':', ' ']).next().unwrap_or_default();
        if !["OK", "CORRUPT", "IO", "READONLY", "BUSY", "LIMIT", "NOMEM"].contains(&code) {
            run.complain(format_args!("{what}: {operation}: {answer}"));
        }
    }
}

/// What is spared of shared memory in use: how many frames of the log have been moved. No process survives a number beyond
/// the log's length, nor that shared memory is truncated, with any SQLite (see docs/embedding.md).
const MOVED: std::ops::Range<u64> = 96..100;

/// Damages a file, and returns what it did. `shared` tells whether it is shared memory in use.
fn damage(rng: &mut Rng, path: &Path, shared: bool) -> String {
    let file = FileOptions::new().read(true).write(true).open(path).expect("a file to damage");
    let len = file.metadata().expect("its length").len();
    if len == 0 {
        return " nothing left".to_owned();
    }
    let page = 4096.min(len);
    // Half of the damage is where it has most effect: among the first bytes of the file or of a page.
    let at = match rng.below(4) {
        0 => rng.below(100.min(len)),
        1 => rng.below(len.div_ceil(page)) * page + rng.below(16),
        _ => rng.below(len),
    };
    match rng.below(if shared { 6 } else { 7 }) {
        0 | 1 => {
            let bit = 1 << rng.below(8);
            change(&file, shared, at, 1, |byte| byte ^ bit);
            format!(" bit at {at}")
        }
        2 => {
            let noise = rng.next().to_le_bytes();
            let mut next = noise.iter().cycle();
            let count = 1 + rng.below(64);
            change(&file, shared, at, count, |_| *next.next().expect("endless"));
            format!(" {count} random bytes at {at}")
        }
        3 => {
            let (fill, count) = ([0, 0xff][rng.below(2) as usize], 1 + rng.below(2 * page));
            change(&file, shared, at, count, |_| fill);
            format!(" {count} bytes of {fill} at {at}")
        }
        4 | 5 => {
            let (from, to) = (rng.below(len / page) * page, rng.below(len / page) * page);
            let mut bytes = vec![0; page as usize];
            let _ = file.read_exact_at(&mut bytes, from);
            write(&file, shared, &bytes, to);
            format!(" page at {from} to {to}")
        }
        _ => {
            let len = rng.below(len);
            file.set_len(len).expect("cut");
            format!(" cut to {len}")
        }
    }
}

fn change(file: &File, shared: bool, at: u64, count: u64, mut by: impl FnMut(u8) -> u8) {
    let mut bytes = vec![0; count as usize];
    let read = file.read_at(&mut bytes, at).unwrap_or(0);
    bytes.truncate(read);
    bytes.iter_mut().for_each(|byte| *byte = by(*byte));
    write(file, shared, &bytes, at);
}

fn write(file: &File, shared: bool, bytes: &[u8], at: u64) {
    let end = at + bytes.len() as u64;
    let parts = if shared { [at..end.min(MOVED.start), at.max(MOVED.end)..end] } else { [at..end, end..end] };
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        let bytes = &bytes[(part.start - at) as usize..(part.end - at) as usize];
        file.write_all_at(bytes, part.start).expect("damage");
    }
}

/// Two processes keep using the open store while its files are damaged; a third one opens it.
fn in_use(run: &mut Run, origin: &Path) {
    use std::io::Write;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kv.db");
    for part in [Part::Database, Part::Log] {
        fs::copy(part.of(origin), part.of(&path)).expect("a copy");
    }
    let limits = Limits::default();
    let mut keepers = [start("keep", &path, limits), start("keep", &path, limits)];
    let mut told = String::new();
    for round in 0..6 {
        for keeper in &mut keepers {
            // A process that could not open the store any more has ended.
            let _ = keeper.stdin.as_mut().expect("a pipe").write_all(b"\n");
        }
        std::thread::sleep(std::time::Duration::from_millis(run.rng.below(30)));
        let part = [Part::Database, Part::Log, Part::SharedMemory][run.rng.below(3) as usize];
        let part_path = part.of(&path);
        if part_path.exists() {
            told.push_str(&format!(" {part:?}"));
            told.push_str(&damage(&mut run.rng, &part_path, part == Part::SharedMemory));
        }
        if round == 3 {
            let report = exercise(if run.rng.below(2) == 0 { "read" } else { "write" }, &path, limits);
            check(run, &report, &format!("in use, one that comes:{told}"));
        }
    }
    for keeper in keepers {
        let report = finish(keeper, limits);
        check(run, &report, &format!("in use:{told}"));
    }
}
