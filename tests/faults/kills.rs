//! SIGKILL of several writers at random moments.
//!
//! In each round a few processes write to one file, each with several threads, until each process is killed after some
//! number of acknowledgements. A thread (a lane) has its own namespace, so a model knows what it must contain:
//! everything that a line in the process's pipe has acknowledged, and of the one operation that was in progress, all or
//! nothing (or a part, if it works in steps).

mod model;
mod older;
mod op;
mod writer;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use luat_kv::{Clock, Durability, ListOptions, Namespace, OpenOptions, Store};

use self::model::{Lane, Rows};
use self::op::EPOCH;
use crate::support::{Rng, Run, integrity, role};

pub use self::older::opener;
pub use self::writer::writer;

const PROCESSES: usize = 4;
const LANES_PER_PROCESS: usize = 2;
/// A new file is made after this many rounds, so that its creation is interrupted too.
const ROUNDS_PER_FILE: i64 = 12;

/// The number of files in use at once: writers mostly wait for one another, and leave the processor idle.
const FILES_AT_ONCE: usize = 2;

#[derive(Default)]
struct Figures {
    rounds: u64,
    kills: u64,
    acknowledged: u64,
    files: u64,
    backups: u64,
}

pub fn suite(run: &mut Run) -> ExitCode {
    model::notices_losses(run);
    run.test("the comparison notices what is lost, changed, half done or back again");
    let mut figures = Figures::default();
    for (durability, name) in [(Durability::Normal, "normal"), (Durability::Full, "full")] {
        let end = run.share(0.45);
        while !run.complains() {
            let seeds: Vec<u64> = (0..FILES_AT_ONCE).map(|_| run.rng.next()).collect();
            let files = thread::scope(|scope| {
                let files: Vec<_> =
                    seeds.iter().map(|seed| scope.spawn(|| File::new(*seed, durability).run())).collect();
                files.into_iter().map(|file| file.join().expect("the thread of a file")).collect::<Vec<_>>()
            });
            for (file, outcome) in files {
                figures.add(&file.figures);
                outcome.unwrap_or_else(|wrong| run.complain(wrong));
            }
            if Instant::now() > end {
                break;
            }
        }
        run.test(&format!("a killed process loses no acknowledged write with durability {name}"));
    }
    let end = run.share(0.1);
    let older = older::suite(run, end);
    run.test(
        "a file of an older format loses nothing when the process that takes it over is killed, or the disk is full",
    );
    let Figures { rounds, kills, acknowledged, files, backups } = figures;
    run.done(&format!(
        "{rounds} rounds on {files} files, {kills} processes killed, {acknowledged} operations acknowledged, \
         {backups} backups compared; {} processes killed that opened older files, {} of them within the work; the disk was full for {} more",
        older.kills, older.within, older.full
    ))
}

impl Figures {
    fn add(&mut self, other: &Figures) {
        self.rounds += other.rounds;
        self.kills += other.kills;
        self.acknowledged += other.acknowledged;
        self.files += other.files;
        self.backups += other.backups;
    }
}

/// A file since its creation, with its expected contents.
struct File {
    folder: tempfile::TempDir,
    durability: Durability,
    rng: Rng,
    lanes: Vec<Lane>,
    /// The value of the counter that all lanes share.
    shared: i64,
    figures: Figures,
}

impl File {
    fn new(seed: u64, durability: Durability) -> File {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let lanes = (0..PROCESSES * LANES_PER_PROCESS).map(Lane::new).collect();
        let figures = Figures { files: 1, ..Figures::default() };
        File { folder, durability, rng: Rng(seed), lanes, shared: 0, figures }
    }

    fn run(mut self) -> (File, Result<(), String>) {
        let durability = self.durability;
        let outcome = (0..ROUNDS_PER_FILE).try_for_each(|round| {
            let wrong = |wrong| format!("round {round} of its file, {:?}: {wrong}", durability);
            self.round(EPOCH + round).map_err(wrong)
        });
        let outcome = outcome.and_then(|()| self.leftovers());
        (self, outcome)
    }

    /// Remains of killed processes are gone after the store was closed once, and their drafts of backups and exports
    /// after the next backup.
    fn leftovers(&self) -> Result<(), String> {
        let store = Store::open(self.folder.path().join("kv.db"), &options(self.durability, EPOCH));
        let done =
            store.and_then(|store| store.backup(self.folder.path().join("last.db")).and_then(|()| store.close()));
        done.map_err(|error| format!("the last backup: {error}"))?;
        let entries = std::fs::read_dir(&self.folder).map_err(|why| why.to_string())?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let left: Vec<_> = names.filter(|name| !name.ends_with(".db") && !name.ends_with(".jsonl")).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("files are left: {}", left.join(" "))) }
    }

    fn round(&mut self, clock: i64) -> Result<(), String> {
        let seed = self.rng.next();
        for lane in &mut self.lanes {
            lane.begin(clock, seed);
        }
        let fates: Vec<Fate> = (0..PROCESSES).map(|_| Fate::random(&mut self.rng)).collect();
        let round = Round { folder: self.folder.path(), durability: self.durability, clock, seed };
        for told in round.run(&fates) {
            let (lane, answer) = told?;
            self.lanes[lane].acknowledge(&answer)?;
            self.figures.acknowledged += 1;
        }
        self.figures.rounds += 1;
        self.figures.kills += fates.len() as u64;
        round.compare(&mut self.lanes, &mut self.shared, &mut self.figures.backups)
    }
}

/// When a process is killed: after some number of acknowledgements, and then some time.
#[derive(Clone, Copy)]
struct Fate {
    acknowledgements: u64,
    then: Duration,
}

impl Fate {
    fn random(rng: &mut Rng) -> Fate {
        match rng.one_in(4) {
            // During its start and the opening of the file.
            true => Fate { acknowledgements: 0, then: Duration::from_micros(rng.below(20_000)) },
            false => Fate { acknowledgements: 1 + rng.below(60), then: Duration::from_micros(rng.below(3000)) },
        }
    }
}

struct Round<'a> {
    folder: &'a Path,
    durability: Durability,
    clock: i64,
    seed: u64,
}

/// A line from a writer: the lane and the result of the operation, or an error.
type Told = Result<(usize, String), String>;

impl Round<'_> {
    /// Runs the writers until all are killed, and returns what they have acknowledged.
    fn run(&self, fates: &[Fate]) -> Vec<Told> {
        thread::scope(|scope| {
            let writers: Vec<_> = fates
                .iter()
                .enumerate()
                .map(|(process, fate)| scope.spawn(move || self.writer(process, *fate)))
                .collect();
            writers.into_iter().flat_map(|writer| writer.join().expect("the thread of a writer")).collect()
        })
    }

    fn writer(&self, process: usize, fate: Fate) -> Vec<Told> {
        let durability = if self.durability == Durability::Full { "full" } else { "normal" };
        let mut child = role("kills-writer")
            .arg(self.folder)
            .args([durability, &self.clock.to_string(), &self.seed.to_string()])
            .args((0..LANES_PER_PROCESS).map(|lane| (process * LANES_PER_PROCESS + lane).to_string()))
            .stdout(Stdio::piped())
            .spawn()
            .expect("a writer");
        let mut lines = BufReader::new(child.stdout.take().expect("its pipe")).lines();
        let mut told: Vec<Told> = Vec::new();
        let mut next = || lines.next().and_then(Result::ok).map(|line| parse(&line));
        while (told.len() as u64) < fate.acknowledgements {
            match next() {
                Some(line) => told.push(line),
                None => {
                    told.push(Err(format!("writer {process} ended by itself")));
                    break;
                }
            }
        }
        thread::sleep(fate.then);
        child.kill().expect("to kill a writer");
        told.extend(std::iter::from_fn(next));
        child.wait().expect("a writer's end");
        told
    }

    /// Opens the file as any process would afterwards, and compares it with the model.
    fn compare(&self, lanes: &mut [Lane], shared: &mut i64, backups: &mut u64) -> Result<(), String> {
        let database = self.folder.join("kv.db");
        // The log is recovered by the first process that opens the file, which may be either.
        if self.seed.is_multiple_of(2) && database.exists() {
            sound(&database)?;
        }
        let store = self.open(&database)?;
        for lane in lanes.iter_mut() {
            let rows = rows(&store, &lane.name())?;
            lane.settle(rows)?;
        }
        let counted = store.namespace("shared").and_then(|shared| shared.incr("counter", 0));
        let counted = counted.map_err(|error| format!("the shared counter: {error}"))?;
        let (least, most) = lanes.iter_mut().fold((*shared, *shared), |(least, most), lane| {
            (least + lane.shared_acknowledged(), most + lane.shared_acknowledged() + lane.shared_uncertain())
        });
        if counted < least || counted > most {
            return Err(format!("the shared counter is {counted}, and ought to be {least} to {most}"));
        }
        *shared = counted;
        store.close().map_err(|error| format!("closing: {error}"))?;
        sound(&database)?;
        for lane in lanes.iter_mut() {
            self.compare_export(lane)?;
            *backups += self.compare_backups(lane)?;
        }
        Ok(())
    }

    /// An export is one that was acknowledged, or the next one, and always complete.
    fn compare_export(&self, lane: &mut Lane) -> Result<(), String> {
        let path = op::export_path(self.folder, &lane.name());
        let exists = path.exists();
        let mut found = None;
        if exists {
            let store = Store::open_memory(&self.options()).map_err(|error| error.to_string())?;
            let namespace = store.namespace(&lane.name()).map_err(|error| error.to_string())?;
            // An empty export as JSON Lines is an empty file, which an import refuses.
            if std::fs::metadata(&path).map_err(|error| error.to_string())?.len() > 0 {
                namespace.import_file(&path, true).map_err(|error| format!("{}: {error}", path.display()))?;
            }
            found = Some(listed(&namespace)?);
        }
        lane.settle_export(found)
    }

    /// Backups that were acknowledged exist, others may; all that exist are complete.
    fn compare_backups(&self, lane: &mut Lane) -> Result<u64, String> {
        let mut compared = 0;
        for (number, expected, acknowledged) in lane.take_backups() {
            let path = op::backup_path(self.folder, &lane.name(), number);
            if !path.exists() {
                if acknowledged {
                    return Err(format!("{} is not there, and was acknowledged", path.display()));
                }
                continue;
            }
            sound(&path)?;
            let store = self.open(&path)?;
            if rows(&store, &lane.name())? != expected {
                return Err(format!("{} holds something else than the store did", path.display()));
            }
            store.close().map_err(|error| format!("closing {}: {error}", path.display()))?;
            std::fs::remove_file(&path).map_err(|why| format!("{}: {why}", path.display()))?;
            compared += 1;
        }
        Ok(compared)
    }

    fn options(&self) -> OpenOptions {
        options(self.durability, self.clock)
    }

    fn open(&self, path: &PathBuf) -> Result<Store, String> {
        Store::open(path, &self.options()).map_err(|error| format!("the next open: {error}"))
    }
}

fn options(durability: Durability, clock: i64) -> OpenOptions {
    let busy_timeout = Duration::from_secs(300); // nobody is to give up, however slow the machine
    OpenOptions::new().durability(durability).busy_timeout(busy_timeout).clock(Clock::manual(clock))
}

fn sound(database: &Path) -> Result<(), String> {
    match integrity(database).as_str() {
        "ok" => Ok(()),
        damage => Err(format!("{}: {damage}", database.display())),
    }
}

/// `LANE ANSWER`, or an error of the writer.
fn parse(line: &str) -> Told {
    let (lane, answer) = line.split_once(' ').ok_or_else(|| format!("a writer said {line:?}"))?;
    let lane = lane.parse().map_err(|_| format!("a writer failed: {line}"))?;
    Ok((lane, answer.to_owned()))
}

/// The contents of a namespace.
fn rows(store: &Store, namespace: &str) -> Result<Rows, String> {
    listed(&store.namespace(namespace).map_err(|error| error.to_string())?)
}

fn listed(namespace: &Namespace) -> Result<Rows, String> {
    let (mut rows, mut cursor) = (Rows::new(), None);
    loop {
        let options = ListOptions::new().values(true).cursor(cursor.as_deref());
        let page = namespace.list(&options).map_err(|error| format!("listing {}: {error}", namespace.name()))?;
        for key in page.entries {
            rows.insert(key.key, (key.value.unwrap_or_default(), key.expiration));
        }
        match page.cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(rows),
        }
    }
}
