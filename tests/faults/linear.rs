//! Linearizability: whatever processes and threads do at the same time, each operation happens at one moment between
//! its call and its return, in the same order for all observers.
//!
//! Clients in several processes use the keys of a group at the same time, and record their operations and results. For
//! each group it is checked separately whether an order of all its operations explains the results. That is equivalent
//! to checking all groups together, since no operation concerns two groups.
//!
//! If connections to a server are cut, an operation may fail. If its error says that the write may have been made, it may
//! happen at any moment after its call, or never. After any other error it must not have happened.

mod checker;
mod client;
mod history;
mod known;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, ExitCode, Stdio};
use std::time::Instant;

use self::checker::Failure;
use self::history::Event;
use crate::postgres::control::Control;
use crate::support::{Run, quick_folder, role};

pub use self::client::client;

/// The number of groups that the same processes use one after another.
const GROUPS: u64 = 30;

/// The busy timeout with cuts, in milliseconds. At times the proxy lets nothing pass for longer.
const HELD_MS: u64 = 300;

/// Where the stores are.
pub enum Stores {
    Files,
    Server(Control),
    /// Through a proxy that cuts connections, and at times lets nothing pass.
    Cut(Control),
}

pub fn suite(run: &mut Run, mut stores: Stores) -> ExitCode {
    known::histories(run);
    run.test("the checker tells right histories from wrong ones");
    let end = run.share(1.0);
    let (mut groups, mut operations, mut unknown, mut undecided, mut changed) = (0, 0, 0, 0, 0);
    while !run.complains() {
        let histories = record(run, &mut stores);
        for (group, events) in &histories {
            groups += 1;
            operations += events.len();
            unknown += events.iter().filter(|event| !event.is_known()).count();
            match checker::check(events) {
                Ok(()) => {}
                Err(Failure::Undecided) => undecided += 1,
                Err(Failure::Stuck(at)) => {
                    run.complain(format!("group {group}: only {at} of {} operations have an order", events.len()));
                    let mut events = events.clone();
                    events.sort_unstable_by_key(|event| event.called);
                    events.iter().skip(at.saturating_sub(6)).for_each(|event| run.complain(format!("{event:?}")));
                }
            }
            changed += known::notices_changes(run, events);
        }
        if Instant::now() > end {
            break;
        }
    }
    if changed == 0 {
        run.complain("no history had a read that could have been made stale");
    }
    if matches!(stores, Stores::Cut(_)) && unknown == 0 {
        run.complain("no write was left without an answer");
    }
    run.test("all operations of processes and threads have an order");
    run.done(&format!(
        "{operations} operations, {unknown} of them without an answer, on {groups} groups of keys ({undecided} with too \
         many orders to try), and {changed} changed histories found out"
    ))
}

/// The record of some processes with some groups of keys of a new store.
fn record(run: &mut Run, stores: &mut Stores) -> BTreeMap<u64, Vec<Event>> {
    let folder = quick_folder();
    let seed = run.rng.next() >> 1;
    // At most eight or twelve at once: with many more, the search for an order may take very long.
    let mut processes = 2 + run.rng.below(7);
    let mut threads = if processes > 4 { 1 } else { 2 + run.rng.below(3) };
    let (url, timeout) = match stores {
        Stores::Files => (format!("file:{}/kv.db", folder.path().display()), 0),
        Stores::Server(server) => (server.ask("database"), 0),
        Stores::Cut(server) => {
            // Each write without an answer doubles the number of orders.
            (processes, threads) = (2 + run.rng.below(2), 1 + run.rng.below(2));
            (server.ask(&format!("cuts {seed}")), HELD_MS)
        }
    };
    let operations = 300 / (processes * threads);
    let mut clients: Vec<Client> = (0..processes)
        .map(|process| Client::start(folder.path(), &url, [process, seed, GROUPS, operations, threads, timeout]))
        .collect();
    let mut histories = BTreeMap::new();
    // All get ready for a group, and then all start. After the last group all end.
    for _ in 0..=GROUPS {
        clients.iter_mut().for_each(|client| client.read(&mut histories));
        for client in &mut clients {
            let _ = writeln!(client.stdin); // it may have come to its end
        }
    }
    for mut client in clients {
        let status = client.child.wait().expect("a client's end");
        if !status.success() {
            run.complain(format!("a client ended with {status}"));
        }
    }
    histories
}

struct Client {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Client {
    fn start(folder: &Path, url: &str, numbers: [u64; 6]) -> Client {
        let mut command = role("linear-client");
        command.arg(folder).arg(url).args(numbers.map(|number| number.to_string()));
        // In some processes the library sleeps between the steps of its cache.
        let [process, ..] = numbers;
        command.env("LUAT_KV_DEBUG_DELAY", if process.is_multiple_of(2) { "50" } else { "0" });
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a client");
        let (stdin, stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        Client { child, stdin, lines: BufReader::new(stdout).lines() }
    }

    /// Reads a client's events until it is ready for the next group, or at its end.
    fn read(&mut self, histories: &mut BTreeMap<u64, Vec<Event>>) {
        while let Some(Ok(line)) = self.lines.next()
            && line != "ready"
        {
            let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
            let event = Event::parse(&numbers[1..]).expect("an event");
            histories.entry(numbers[0]).or_default().push(event);
        }
    }
}
