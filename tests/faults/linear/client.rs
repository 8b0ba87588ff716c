//! A process whose threads use a few keys at once, with random delays between operations and within system calls.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use luat_kv::{Code, Durability, Error, IncrOptions, ListOptions, Namespace, OpenOptions, Result, Store, Version};

use super::history::{Event, INCREMENTS, KEYS, NEVER, Op};
use crate::support::{Rng, end_if_it_hangs};
use crate::trap;

const NAMES: [&str; KEYS] = ["a", "b", "c"];

/// Arguments: the folder whose system calls are delayed, the store's URL, the process's number, the seed, the number of
/// groups, the number of operations of each thread in each group, the number of threads, and the busy timeout in
/// milliseconds, within which operations may fail; with 0, none may. Before each group it prints `ready` and waits for a
/// line, so that all processes start together. It prints its events as `GROUP EVENT`.
pub fn client(arguments: &[&str]) -> ExitCode {
    let [folder, url, numbers @ ..] = arguments else { return ExitCode::from(2) };
    let numbers: Vec<u64> = numbers.iter().map(|number| number.parse().expect("a number")).collect();
    let &[process, seed, groups, operations, threads, timeout] = numbers.as_slice() else { return ExitCode::from(2) };
    end_if_it_hangs();
    trap::install(Path::new(folder));
    trap::delay(40, Duration::from_micros(1500), seed ^ process);
    // With full durability, writes of several threads may be one transaction. (PostgreSQL has its own.)
    let durability = if seed % 2 == 0 || !url.starts_with("file:") { Durability::Normal } else { Durability::Full };
    let may_fail = timeout > 0;
    let timeout = if may_fail { Duration::from_millis(timeout) } else { Duration::from_secs(300) };
    let options = OpenOptions::new().busy_timeout(timeout).durability(durability);
    let shared = open(url, &options, may_fail);
    let (printed, barrier) = (Mutex::new(()), Barrier::new(threads as usize));
    thread::scope(|scope| {
        for number in 0..threads {
            let (shared, options) = (&shared, &options);
            let (printed, barrier) = (&printed, &barrier);
            scope.spawn(move || {
                // Every second thread has its own store; on a server, whose stores have several connections, one of four.
                let is_alone = if url.starts_with("file:") { number % 2 == 1 } else { number == 3 };
                let own = is_alone.then(|| open(url, options, may_fail));
                let store = own.as_ref().unwrap_or(shared);
                for group in 0..groups {
                    let namespace = store.namespace(&format!("group {group}")).expect("a namespace");
                    let rng = Rng(seed ^ (process << 40 | number << 32 | group));
                    let client = process * threads + number + 1;
                    let next = client * 1_000_000 * INCREMENTS;
                    let mut thread = Thread { namespace, rng, next, seen: [None; KEYS], may_fail };
                    if barrier.wait().is_leader() {
                        println!("ready");
                        std::io::stdin().read_line(&mut String::new()).expect("a line");
                    }
                    barrier.wait();
                    let events = (0..operations).filter_map(|_| thread.operation(group));
                    let text: String = events.map(|event| format!("{group} {event}\n")).collect();
                    let _printing = printed.lock().expect("the lock for printing");
                    print!("{text}");
                }
            });
        }
    });
    ExitCode::SUCCESS
}

fn open(url: &str, options: &OpenOptions, may_fail: bool) -> Store {
    loop {
        match Store::open_url(url, options) {
            Err(error) if may_fail && is_refusal(&error) => {}
            opened => return opened.expect("to open the store"),
        }
    }
}

/// Whether an error is that of a server that cannot be reached or does not answer in time.
fn is_refusal(error: &Error) -> bool {
    matches!(error.code(), Code::Io | Code::Busy)
}

/// The clock that all processes share.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes a time.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) }, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

struct Thread {
    namespace: Namespace,
    rng: Rng,
    /// The next number to store, which is unique to this client.
    next: u64,
    /// The last observed contents of each key, with its version; a missing key has none.
    seen: [Option<(u64, Option<Version>)>; KEYS],
    may_fail: bool,
}

impl Thread {
    /// Carries out an operation. Returns none if it has certainly not happened.
    fn operation(&mut self, group: u64) -> Option<Event> {
        if self.rng.one_in(4) {
            thread::sleep(Duration::from_micros(self.rng.below(800)));
        }
        // In one group of three, all operations concern one key, which causes more conflicts.
        let key = if group.is_multiple_of(3) { 0 } else { self.rng.below(KEYS as u64) as usize };
        let planned = self.plan(key);
        let called = now();
        match self.carry_out(planned) {
            Ok(op) => Some(Event { called, returned: now(), op }),
            Err(error) if self.may_fail && is_refusal(&error) => {
                let may_be_made = error.message().contains("the write may have been made");
                may_be_made.then_some(Event { called, returned: NEVER, op: planned })
            }
            Err(error) => panic!("{planned:?}: {error}"),
        }
    }

    /// Chooses an operation, whose result is yet to come.
    fn plan(&mut self, key: usize) -> Op {
        match self.rng.below(100) {
            0..25 => Op::Get { key, found: 0 },
            25..30 => Op::Has { key, found: false },
            30..45 => Op::GetAll { found: [0; KEYS] },
            45..58 => Op::Put { key, value: self.number() },
            58..66 => Op::Add { key, value: self.number(), added: false },
            66..78 => Op::Incr { key, initial: self.number(), sum: 0 },
            78..82 => Op::Delete { key, found: false },
            82..86 => Op::Take { key, found: 0 },
            // Expects what this thread saw last, which others may have changed since.
            _ => match self.seen[key] {
                Some((expected, _)) => Op::CheckAndPut { key, expected, first: self.number(), done: false },
                None => Op::Get { key, found: 0 },
            },
        }
    }

    /// Carries out what was planned, and returns it with its result.
    fn carry_out(&mut self, planned: Op) -> Result<Op> {
        Ok(match planned {
            Op::Get { key, .. } => self.get(key)?,
            Op::Has { key, .. } => Op::Has { key, found: self.namespace.has(NAMES[key])? },
            Op::GetAll { .. } => self.get_all()?,
            Op::Put { key, value } => {
                let version = self.namespace.put(NAMES[key], value.to_string())?;
                self.seen[key] = Some((value, Some(version)));
                planned
            }
            Op::Add { key, value, .. } => {
                let added = self.namespace.add(NAMES[key], value.to_string())?;
                if added.is_some() {
                    self.seen[key] = Some((value, added));
                }
                Op::Add { key, value, added: added.is_some() }
            }
            Op::Incr { key, initial, .. } => {
                let options = IncrOptions::new().initial(initial as i64);
                Op::Incr { key, initial, sum: self.namespace.incr_with(NAMES[key], 1, &options)? as u64 }
            }
            Op::Delete { key, .. } => Op::Delete { key, found: self.namespace.delete(NAMES[key])? },
            Op::Take { key, .. } => {
                let entry = self.namespace.take(NAMES[key])?;
                Op::Take { key, found: entry.map_or(0, |entry| number(entry.value())) }
            }
            Op::CheckAndPut { key, expected, first, .. } => {
                Op::CheckAndPut { key, expected, first, done: self.check_and_put(key, first)? }
            }
        })
    }

    fn number(&mut self) -> u64 {
        self.next += KEYS as u64 * INCREMENTS;
        self.next
    }

    fn get(&mut self, key: usize) -> Result<Op> {
        let entry = self.namespace.get_entry(NAMES[key])?;
        let found = entry.as_ref().map_or(0, |entry| number(entry.value()));
        self.seen[key] = Some((found, entry.map(|entry| entry.version)));
        Ok(Op::Get { key, found })
    }

    fn get_all(&mut self) -> Result<Op> {
        let keys = if self.rng.one_in(2) {
            self.namespace.list(&ListOptions::new().values(true))?.entries
        } else {
            self.namespace.get_many(&NAMES)?
        };
        let mut found = [0; KEYS];
        for key in keys {
            let index = NAMES.iter().position(|name| *name == key.key).expect("one of the keys");
            found[index] = number(&key.value.unwrap_or_default());
        }
        Ok(Op::GetAll { found })
    }

    /// Puts all keys if this one is what this thread saw last, and returns whether it was.
    fn check_and_put(&mut self, key: usize, first: u64) -> Result<bool> {
        let version = self.seen[key].and_then(|(_, version)| version);
        let mut batch = self.namespace.store().batch();
        batch.check(&self.namespace, NAMES[key], version)?;
        for (index, name) in NAMES.iter().enumerate() {
            let value = (first + index as u64 * INCREMENTS).to_string();
            batch.put(&self.namespace, name, value.as_bytes())?;
        }
        Ok(batch.commit()?.is_some())
    }
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).expect("a number that was stored")
}
