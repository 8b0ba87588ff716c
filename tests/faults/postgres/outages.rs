//! Servers that restart, are killed, are replaced, or do not answer, while threads write.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use luat_kv::{Code, OpenOptions, Result, Store};

use super::control::Control;
use super::operations::{OPERATIONS, contents, prepare};
use crate::support::{Run, end_if_it_hangs};

const WRITERS: usize = 4;

/// Longer than the servers need to restart.
const PATIENT: Duration = Duration::from_secs(20);
const IMPATIENT: Duration = Duration::from_millis(500);

pub fn suite(run: &mut Run) -> ExitCode {
    end_if_it_hangs();
    let mut figures = Vec::new();
    let mut control = Control::start(&[]);
    for how in ["restart", "crash"] {
        let url = control.ask("database");
        figures.push(writing(run, how, &url, &mut || drop(control.ask(how))));
        run.test(&format!("{how} of the server: every call succeeds, and nothing is lost or done twice"));
    }
    hold(run, &mut control);
    run.test("a server that does not answer: every call ends within the busy timeout, with BUSY or IO");
    gone(run, &mut control);
    run.test("no server: every call ends within the busy timeout, with IO and the server's address");
    // What the standby has not received is acknowledged by no primary.
    let mut control = Control::start(&[]);
    let both = control.ask("both");
    let replaced = &mut || {
        control.ask("kill");
        control.ask("promote");
    };
    figures.push(writing(run, "failover", &both, replaced));
    run.test("a primary that is killed, and its synchronous standby promoted: nothing is lost or done twice");
    for how in ["lost", "added"] {
        left_behind(run, how);
        run.test(&format!("a primary that runs on when it is replaced: no stale read, when a connection is {how}"));
    }
    run.done(&figures.join("; "))
}

/// What a writer did.
#[derive(Default)]
struct Written {
    acknowledged: i64,
    failed: i64,
    longest: Duration,
    wrong: Vec<String>,
}

/// Lets threads write, breaks something twice, and compares what is there. (Once for a failover.) Returns figures.
fn writing(run: &mut Run, how: &str, url: &str, fault: &mut dyn FnMut()) -> String {
    let store = Store::open_url(url, &OpenOptions::new().busy_timeout(PATIENT)).expect("a store");
    let end = AtomicBool::new(false);
    let written: Vec<Written> = thread::scope(|scope| {
        let writers: Vec<ScopedJoinHandle<'_, Written>> = (0..WRITERS)
            .map(|number| {
                let (store, end) = (&store, &end);
                scope.spawn(move || write(store, number, end))
            })
            .collect();
        // The fault comes in the midst of the writing: it waits for the sum that the writers share.
        let namespace = store.namespace("outage").expect("a namespace");
        let reach = |sum: i64| while shared(&namespace).is_ok_and(|found| found < sum) {};
        reach(200);
        fault();
        let now = shared(&namespace).unwrap_or_default();
        reach(now + 200);
        end.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().expect("a writer")).collect()
    });
    let namespace = store.namespace("outage").expect("a namespace");
    let (mut acknowledged, mut failed) = (0, 0);
    for (number, writer) in written.iter().enumerate() {
        writer.wrong.iter().for_each(|wrong| run.complain(wrong));
        acknowledged += writer.acknowledged;
        failed += writer.failed;
        let own = number_of(namespace.get(&format!("own {number}")));
        within(run, &format!("writer {number}"), own, writer.acknowledged, writer.failed);
    }
    within(run, "all writers", shared(&namespace), acknowledged, failed);
    let longest = written.iter().map(|writer| writer.longest).max().unwrap_or_default();
    format!("{how}: {acknowledged} writes, {failed} failed, the longest took {longest:.1?}")
}

/// Increments two sums at a time, its own and the shared one, until the end; every third time in a batch.
fn write(store: &Store, number: usize, end: &AtomicBool) -> Written {
    let namespace = store.namespace("outage").expect("a namespace");
    let own = format!("own {number}");
    let mut written = Written::default();
    while !end.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let mut batch = store.batch();
        let done = (|| {
            batch.incr(&namespace, &own, 1)?.incr(&namespace, "shared", 1)?;
            batch.commit()
        })();
        written.longest = written.longest.max(begun.elapsed());
        match done {
            Ok(_) => written.acknowledged += 1,
            Err(error) => {
                written.failed += 1;
                written.wrong.push(format!("writer {number} after {:?}: {error}", begun.elapsed()));
            }
        }
        // By itself, so that each operation is in flight at times.
        match namespace.incr(&format!("single {number}"), 1) {
            Ok(sum) if sum == written.acknowledged + written.failed => {}
            other => written.wrong.push(format!(
                "writer {number}: an increment gave {other:?} instead of {}",
                written.acknowledged + written.failed
            )),
        }
        if written.wrong.len() > 5 {
            break;
        }
    }
    written
}

fn number_of(value: Result<Option<Vec<u8>>>) -> Result<i64> {
    let value = value?.unwrap_or_else(|| b"0".to_vec());
    Ok(String::from_utf8_lossy(&value).parse().expect("a number"))
}

fn shared(namespace: &luat_kv::Namespace) -> Result<i64> {
    number_of(namespace.get("shared"))
}

fn within(run: &mut Run, what: &str, found: Result<i64>, acknowledged: i64, failed: i64) {
    match found {
        Ok(sum) if (acknowledged..=acknowledged + failed).contains(&sum) => {}
        _ => run.complain(format!("{what}: {acknowledged} acknowledged and {failed} failed, and there is {found:?}")),
    }
}

/// Lets nothing pass while each operation runs.
fn hold(run: &mut Run, control: &mut Control) {
    let direct = Store::open_url(control.ask("url"), &OpenOptions::new()).expect("a store");
    let url = control.ask("proxy");
    let store = Store::open_url(&url, &OpenOptions::new().busy_timeout(IMPATIENT)).expect("a store");
    for operation in OPERATIONS {
        let namespace = prepare(&direct).expect("to prepare a namespace");
        let same = store.namespace(namespace.name()).expect("the same namespace");
        if let Err(error) = same.has("old") {
            run.complain(format!("before {}: {error}", operation.name));
        }
        control.ask("hold");
        let begun = Instant::now();
        let returned = (operation.run)(&same);
        ended(run, operation.name, &returned, begun.elapsed());
        let left = contents(&namespace).expect("to read directly");
        if left != super::operations::BEFORE {
            run.complain(format!("{}: there is {left}, and the server has received nothing", operation.name));
        }
        control.ask("drop"); // so that what was sent is not done later
        control.ask("release");
    }
    control.ask("hold");
    let begun = Instant::now();
    let opened = Store::open_url(&url, &OpenOptions::new().busy_timeout(IMPATIENT));
    ended(run, "open", &opened, begun.elapsed());
    control.ask("release");
}

fn gone(run: &mut Run, control: &mut Control) {
    let url = control.ask("url");
    let store = Store::open_url(&url, &OpenOptions::new().busy_timeout(IMPATIENT)).expect("a store");
    let namespace = prepare(&store).expect("to prepare a namespace");
    control.ask("stop");
    for operation in OPERATIONS {
        let begun = Instant::now();
        let returned = (operation.run)(&namespace);
        ended(run, operation.name, &returned, begun.elapsed());
        if !returned.is_err_and(|error| error.code() == Code::Io && error.message().contains(".s.PGSQL")) {
            run.complain(format!("{}: it does not say which server there is not", operation.name));
        }
    }
    control.ask("start");
    for operation in OPERATIONS {
        let namespace = prepare(&store).expect("to prepare a namespace");
        let returned = (operation.run)(&namespace);
        if returned.as_deref() != Ok(operation.returns) {
            run.complain(format!("{} after the server has started again: {returned:?}", operation.name));
        }
    }
}

/// Lets the address of a primary lead to its standby, while connections to the primary stay open. As soon as a write is
/// acknowledged by the new one, no read may return what the old one has.
fn left_behind(run: &mut Run, how: &str) {
    let mut control = Control::start(&[]);
    control.ask("both");
    let store = Store::open_url(control.ask("proxy"), &OpenOptions::new().busy_timeout(PATIENT)).expect("a store");
    let namespace = store.namespace("n").expect("a namespace");
    let put = |value: &str| namespace.put("k", value).expect("a write");
    put("old");
    let read = || namespace.get("k").expect("a read").unwrap_or_default();
    // Reads wait for the table, each with a connection of its own.
    let waiting = |control: &mut Control, count: &str| {
        let locked = "sql SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        while control.ask(locked) != count {}
    };
    let table = "lock LOCK TABLE luat_kv.kv";
    thread::scope(|scope| {
        if how == "lost" {
            control.ask(table);
            (0..2).for_each(|_| _ = scope.spawn(read));
            waiting(&mut control, "2");
            control.ask("unlock");
        }
    });
    control.ask("promote");
    control.ask("turn");
    thread::scope(|scope| {
        if how == "lost" {
            control.ask("cut up 0");
            put("new");
        } else {
            control.ask(table);
            scope.spawn(read);
            waiting(&mut control, "1");
            put("new");
            control.ask("unlock");
        }
    });
    let stale: usize = thread::scope(|scope| {
        let reads = || (0..50).filter(|_| read() != b"new").count();
        let readers: Vec<_> = (0..8).map(|_| scope.spawn(reads)).collect();
        readers.into_iter().map(|reader| reader.join().expect("a reader")).sum()
    });
    if stale > 0 {
        run.complain(format!("{how}: {stale} reads returned what was there before a write that was acknowledged"));
    }
}

/// Complains unless a call has failed in time.
fn ended<T>(run: &mut Run, name: &str, returned: &Result<T>, took: Duration) {
    match returned {
        Err(error) if matches!(error.code(), Code::Busy | Code::Io) => {}
        Err(error) => run.complain(format!("{name}: {error}")),
        Ok(_) => run.complain(format!("{name} succeeded")),
    }
    if took > IMPATIENT + Duration::from_millis(500) {
        run.complain(format!("{name} took {took:?}"));
    }
}
