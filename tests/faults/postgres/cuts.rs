//! A connection that is cut after each byte of each operation, in either direction.
//!
//! Whatever the client knows then, an operation that is acknowledged was done once, and one that fails was done once or
//! not at all.
//!
//! The server and libpq act on a message of the protocol only when it is complete, so a cut has the same effect at each
//! byte of a body. `make torture` cuts at each of them nevertheless (but for statements that are sent to be prepared);
//! otherwise long bodies, such as the texts of statements, are cut at some of their bytes: see [`Places`].

use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use luat_kv::{Code, Namespace, OpenOptions, Result, Store};

use super::control::{Control, Passed};
use super::operations::{
    BEFORE, EXPIRED, LARGE, OF_STORE, OPERATIONS, Operation, SWEEP, contents, expired, open_long_ago, prepare,
    prepare_alone,
};
use crate::support::{Run, end_if_it_hangs};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Where a message is cut: after so many of its bytes, and before its last one; everywhere if its body is not longer
/// than `short`.
struct Places {
    within: &'static [u64],
    short: u64,
}

/// Each byte of the type and the length, and then the first two of the body.
const ALL: Places = Places { within: &[0, 1, 2, 3, 4, 5, 6, 7], short: 24 };

/// One of each kind.
const FEW: Places = Places { within: &[0, 3, 6], short: 0 };

/// Each has a server and a proxy of its own.
const WORKERS: usize = 3;

/// What is cut.
#[derive(Clone, Copy)]
enum Task {
    Open,
    Operation(Cut),
}

#[derive(Clone, Copy)]
struct Cut {
    operation: &'static Operation,
    /// Whether it concerns all namespaces.
    of_store: bool,
    /// Whether the connection is a new one, where statements are prepared first, and not one that has made it before.
    is_new: bool,
    /// Whether it is cut at [`FEW`] places.
    few: bool,
}

#[derive(Default)]
struct Report {
    cuts: u64,
    failed: u64,
    longest: Duration,
    complaints: Vec<String>,
}

pub fn suite(run: &mut Run) -> ExitCode {
    end_if_it_hangs();
    let mut tasks = vec![Task::Open];
    for (operations, few, of_store) in [(OF_STORE, false, true), (LARGE, true, false), (OPERATIONS, false, false)] {
        for operation in operations {
            for is_new in [false, true] {
                tasks.push(Task::Operation(Cut { operation, of_store, is_new, few: few || is_new }));
            }
        }
    }
    // Those that take longest are the last ones, and begin first.
    let left = Mutex::new(tasks.iter().copied().enumerate().collect::<Vec<_>>());
    let is_torture = run.is_torture();
    let work = || {
        let mut worker = Worker::start(is_torture);
        let mut reports = Vec::new();
        loop {
            let next = left.lock().expect("the tasks").pop();
            let Some((number, task)) = next else { return reports };
            worker.carry_out(task);
            reports.push((number, std::mem::take(&mut worker.report)));
        }
    };
    let mut reports: Vec<(usize, Report)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    reports.sort_by_key(|(number, _)| *number);
    let mut all = Report::default();
    for ((_, report), task) in reports.into_iter().zip(tasks) {
        report.complaints.iter().for_each(|complaint| run.complain(complaint));
        run.test(&match task {
            Task::Open => "opening: a cut is survived or an error, and the next store opens".to_owned(),
            Task::Operation(Cut { operation, is_new, .. }) => format!(
                "{}{}: done once if acknowledged, and at most once if not",
                operation.name,
                if is_new { " on a new connection" } else { "" }
            ),
        });
        all.cuts += report.cuts;
        all.failed += report.failed;
        all.longest = all.longest.max(report.longest);
    }
    let mut worker = Worker::start(false);
    worker.waits_for_locks();
    worker.report.complaints.iter().for_each(|complaint| run.complain(complaint));
    run.test("sweep: a second attempt waits for rows that are locked");
    let Report { cuts, failed, longest, .. } = all;
    run.done(&format!("{cuts} cuts, {failed} operations failed, the longest call took {longest:?}"))
}

struct Worker {
    control: Control,
    /// The URL of the proxy.
    url: String,
    direct: Store,
    long_ago: Store,
    through: Store,
    is_torture: bool,
    report: Report,
}

impl Worker {
    fn start(is_torture: bool) -> Worker {
        let mut control = Control::start(&[]);
        let direct = Store::open_url(control.ask("url"), &OpenOptions::new()).expect("a store");
        let long_ago = open_long_ago(&control.ask("url")).expect("a store");
        let url = control.ask("proxy");
        let through = open(&url).expect("a store");
        Worker { control, url, direct, long_ago, through, is_torture, report: Report::default() }
    }

    fn carry_out(&mut self, task: Task) {
        match task {
            Task::Open => self.opens(),
            Task::Operation(cut) => self.cut(cut),
        }
    }

    /// Cuts a connection while a store opens.
    fn opens(&mut self) {
        self.control.passed();
        drop(open(&self.url).expect("a store"));
        for (direction, size) in self.places(Task::Open) {
            self.control.ask(&format!("cut {direction} {size}"));
            let begun = Instant::now();
            match open(&self.url) {
                Ok(_) => {}
                Err(error) if matches!(error.code(), Code::Io | Code::Busy) => self.report.failed += 1,
                Err(error) => self.complain(format!("open, cut {direction} after {size} bytes: {error}")),
            }
            self.count(begun.elapsed());
        }
    }

    /// Cuts a connection while an operation uses it.
    fn cut(&mut self, cut: Cut) {
        let operation = cut.operation;
        if cut.of_store {
            self.control.ask("sql TRUNCATE luat_kv.kv"); // what other tasks have left
        }
        // The first run may have to prepare something.
        for _ in 0..2 {
            let (_, same) = self.prepared(cut);
            self.control.passed();
            if let Err(error) = (operation.run)(&same) {
                return self.complain(format!("{} without a cut: {error}", operation.name));
            }
        }
        for (direction, size) in self.places(Task::Operation(cut)) {
            let (namespace, same) = self.prepared(cut);
            self.control.ask(&format!("cut {direction} {size}"));
            let begun = Instant::now();
            let returned = (operation.run)(&same);
            self.count(begun.elapsed());
            self.control.passed();
            let (left, is_right) = judge(cut, &namespace, &returned);
            self.report.failed += u64::from(returned.is_err());
            if !is_right {
                self.complain(format!("cut {direction} after {size} bytes: {returned:?}, and there is {left}"));
            }
        }
    }

    /// A second sweep leaves no row because it is locked: that may be by the first one, which the server has yet to roll
    /// back. Here another session has the locks.
    fn waits_for_locks(&mut self) {
        let operation = OF_STORE.iter().find(|operation| operation.name == SWEEP).expect("a sweep");
        let cut = Cut { operation, of_store: true, is_new: false, few: false };
        let (_, same) = self.prepared(cut);
        self.control.ask("lock SELECT FROM luat_kv.kv FOR UPDATE");
        self.control.ask("cut up 0");
        let returned = thread::scope(|scope| {
            let sweep = scope.spawn(|| (operation.run)(&same));
            let locked = "sql SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
            while !sweep.is_finished() && self.control.ask(locked) != "1" {}
            self.control.ask("unlock");
            sweep.join().expect("a sweep")
        });
        if returned.as_deref() != Ok(operation.returns) {
            self.complain(format!("a second sweep, of rows that were locked: {returned:?}"));
        }
    }

    /// A namespace of the store that is not cut, and the same of one whose connection is there.
    fn prepared(&mut self, cut: Cut) -> (Namespace, Namespace) {
        let namespace = match cut.of_store {
            true => prepare_alone(&self.direct, &self.long_ago),
            false => prepare(&self.direct),
        };
        let namespace = namespace.expect("to prepare a namespace");
        if cut.is_new {
            self.through = open(&self.url).expect("a store");
        }
        let same = self.through.namespace(namespace.name()).expect("the same namespace");
        if !cut.is_new {
            same.has("old").expect("a connection");
        }
        (namespace, same)
    }

    /// Where to cut what has passed: directions, and numbers of bytes.
    fn places(&mut self, task: Task) -> Vec<(&'static str, u64)> {
        let places = match (task, self.is_torture) {
            (Task::Operation(Cut { few: true, .. }), false) => Some(FEW),
            (Task::Operation(Cut { few: true, .. }), true) | (_, false) => Some(ALL),
            (_, true) => None,
        };
        let of = |(direction, passed): (&'static str, Passed)| {
            let all = places.as_ref().map_or_else(|| (0..=passed.bytes).collect(), |places| places.of(&passed));
            all.into_iter().map(move |place| (direction, place))
        };
        ["up", "down"].into_iter().zip(self.control.passed()).flat_map(of).collect()
    }

    fn complain(&mut self, complaint: String) {
        self.report.complaints.push(complaint);
    }

    fn count(&mut self, took: Duration) {
        self.report.cuts += 1;
        self.report.longest = self.report.longest.max(took);
        if took > TIMEOUT + Duration::from_secs(1) {
            self.complain(format!("a call took {took:?}"));
        }
    }
}

/// What an operation has left, and whether that is right beside its answer.
fn judge(cut: Cut, namespace: &Namespace, returned: &Result<String>) -> (String, bool) {
    let show = |contents: &str, expired| match expired {
        0 => contents.to_owned(),
        _ => format!("{contents} and {expired} expired"),
    };
    let before = show(BEFORE, if cut.of_store { EXPIRED } else { 0 });
    let after = match cut.operation.name {
        SWEEP => show(BEFORE, 0),
        _ => cut.operation.leaves.map_or_else(|| before.clone(), str::to_owned),
    };
    let left = contents(namespace).expect("to read directly");
    let left = show(&left, if cut.of_store { expired(namespace).expect("to count directly") } else { 0 });
    let is_right = match returned {
        Ok(answer) => answer == cut.operation.returns && left == after,
        Err(error) => {
            let may_be_made = error.message().contains("the write may have been made");
            matches!(error.code(), Code::Io | Code::Busy) && (left == before || (may_be_made && left == after))
        }
    };
    (left, is_right)
}

fn open(url: &str) -> Result<Store> {
    Store::open_url(url, &OpenOptions::new().busy_timeout(TIMEOUT))
}

impl Places {
    fn of(&self, passed: &Passed) -> Vec<u64> {
        const HEAD: u64 = 5;
        let ends = passed.messages.iter().skip(1).copied().chain([passed.bytes]);
        let all = passed.messages.iter().zip(ends).flat_map(|(&begin, end)| {
            let is_short = end - begin <= HEAD + self.short;
            (begin..end).filter(move |at| is_short || self.within.contains(&(at - begin)) || at + 1 == end)
        });
        all.chain([passed.bytes]).collect()
    }
}
