//! Reads beside writes of other processes, with a cache in each: none may return less than was acknowledged before it
//! began.
//!
//! Each key holds a number that only grows. Clients increment numbers and read them, each with its own cache. They
//! share memory with the highest acknowledged number of each key: before a read a client looks there, and it must read at
//! least that. Clients are killed and started again, also within a commit. Other programs, which know of no cache,
//! increment numbers too, and move the log into the file.

use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use luat_kv::{Namespace, OpenOptions, Result, Store};

use crate::support::{Rng, Run, end_if_it_hangs, quick_folder, role, shared_memory};

const KEYS: usize = 8;
const THREADS: u64 = 2;

/// The memory that all clients share.
#[repr(C)]
struct Shared {
    acknowledged: [AtomicU64; KEYS],
    /// The number of clients that are to end.
    ends: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    hits: AtomicU64,
    drops: AtomicU64,
    stale: AtomicU64,
}

fn shared(folder: &Path) -> &'static Shared {
    // SAFETY: zeros are valid, and all access is atomic.
    unsafe { shared_memory(folder) }
}

fn name(key: usize) -> String {
    format!("key {key}")
}

pub fn suite(run: &mut Run) -> ExitCode {
    let end = run.share(1.0);
    let (mut rounds, mut kills, mut figures) = (0, 0, [0; 5]);
    loop {
        let folder = quick_folder();
        let shared = shared(folder.path());
        kills += round(run, folder.path(), shared);
        rounds += 1;
        let Shared { reads, writes, hits, drops, stale, .. } = shared;
        for (sum, figure) in figures.iter_mut().zip([reads, writes, hits, drops, stale]) {
            *sum += figure.load(SeqCst);
        }
        if stale.load(SeqCst) > 0 || run.complains() {
            run.complain("a read returned less than was acknowledged before it began");
            break;
        }
        if Instant::now() > end {
            break;
        }
    }
    let [reads, writes, hits, drops, stale] = figures;
    if hits == 0 || drops == 0 {
        run.complain("the cache answered no read, or was never emptied");
    }
    run.test("no read of any process returns an older value than it must");
    run.done(&format!(
        "{rounds} files, {kills} processes killed, {reads} reads of which {stale} were stale, {writes} writes; the \
         clients that were not killed had {hits} hits and emptied their caches {drops} times"
    ))
}

/// Some clients on a new file. Returns how many were killed.
fn round(run: &mut Run, folder: &Path, shared: &Shared) -> u64 {
    const TIME: Duration = Duration::from_secs(3);
    let database = folder.join("kv.db");
    drop(Store::open(&database, &OpenOptions::new()).expect("a new file"));
    let processes = 2 + run.rng.below(7);
    // In every second round the library sleeps between its steps.
    let delay = if run.rng.one_in(2) { 0 } else { 200 };
    let start = |seed: u64| {
        let mut command = role("stale-client");
        command.arg(folder).arg(seed.to_string()).env("LUAT_KV_DEBUG_DELAY", delay.to_string());
        command.spawn().expect("a client")
    };
    let mut clients: Vec<Child> = (0..processes).map(|_| start(run.rng.next() >> 1)).collect();
    let (end, mut kills) = (Instant::now() + TIME, 0);
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(20 + run.rng.below(200)));
        if run.rng.one_in(2) {
            let index = run.rng.below(processes) as usize;
            clients[index].kill().expect("to kill a client");
            clients[index].wait().expect("its end");
            clients[index] = start(run.rng.next() >> 1);
            kills += 1;
        } else {
            other_program(run, &database, shared);
        }
    }
    shared.ends.store(1, SeqCst);
    for mut client in clients {
        let status = client.wait().expect("a client's end");
        if !status.success() {
            run.complain(format!("a client ended with {status}"));
        }
    }
    kills
}

/// Increments a number by the sqlite3 shell: as Luat does, which knows no versions.
fn other_program(run: &mut Run, database: &Path, shared: &Shared) {
    let key = run.rng.below(KEYS as u64) as usize;
    let statement = match run.rng.below(4) {
        0 => "PRAGMA wal_checkpoint(TRUNCATE); SELECT 0".to_owned(),
        1 => "VACUUM; SELECT 0".to_owned(),
        _ => format!("UPDATE kv SET value = CAST(value AS INTEGER) + 1 WHERE key = '{}' RETURNING value", name(key)),
    };
    let shell = Command::new("sqlite3").args(["-cmd", ".timeout 20000"]).arg(database).arg(statement).output();
    let output = shell.expect("sqlite3");
    let text = String::from_utf8_lossy(&output.stdout);
    // There is none if no client has created the key, or the file was in use all the time.
    if let Some(Ok(number)) = text.lines().last().map(str::parse::<u64>) {
        shared.acknowledged[key].fetch_max(number, SeqCst);
    }
}

/// Arguments: the folder and the seed.
pub fn client(arguments: &[&str]) -> ExitCode {
    let [folder, seed] = arguments else { return ExitCode::from(2) };
    let (folder, seed) = (Path::new(folder), seed.parse::<u64>().expect("a number"));
    end_if_it_hangs();
    let shared = shared(folder);
    let options = OpenOptions::new().busy_timeout(Duration::from_secs(300));
    let store = Store::open(folder.join("kv.db"), &options).expect("to open the file");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let namespace = store.namespace("n").expect("a namespace");
            scope.spawn(move || {
                let mut rng = Rng(seed ^ thread);
                while shared.ends.load(SeqCst) == 0 {
                    act(&namespace, shared, &mut rng).expect("an operation that succeeds");
                }
            });
        }
    });
    let stats = store.stats().expect("stats").cache;
    shared.hits.fetch_add(stats.hits, SeqCst);
    shared.drops.fetch_add(stats.drops, SeqCst);
    ExitCode::SUCCESS
}

fn act(namespace: &Namespace, shared: &Shared, rng: &mut Rng) -> Result<()> {
    let key = rng.below(KEYS as u64) as usize;
    let name = name(key);
    if rng.one_in(20) {
        let sum = namespace.incr(&name, 1)?;
        shared.acknowledged[key].fetch_max(sum as u64, SeqCst);
        shared.writes.fetch_add(1, SeqCst);
        return Ok(());
    }
    // Several reads in a row, so that some find the row in the cache.
    for _ in 0..1 + rng.below(40) {
        let least = shared.acknowledged[key].load(SeqCst);
        let value = match rng.below(3) {
            0 => namespace.get(&name)?,
            1 => namespace.get_entry(&name)?.map(|entry| entry.into_value()),
            _ => namespace.get_many(&[&name])?.pop().map(|entry| entry.into_value()),
        };
        let found = value.map_or(0, |value| {
            std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()).expect("a number that was stored")
        });
        shared.reads.fetch_add(1, SeqCst);
        if found < least {
            shared.stale.fetch_add(1, SeqCst);
            eprintln!("{name}: {found}, where {least} was acknowledged");
        }
    }
    Ok(())
}
