//! A connection that is cut after each byte of each operation, in either direction.
//!
//! Whatever the client knows then, an operation that is acknowledged was done once, and one that fails was done once or
//! not at all.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use luat_kv::{Code, OpenOptions, Store};

use super::control::Control;
use super::operations::{BEFORE, OPERATIONS, Operation, contents, prepare};
use crate::support::{Run, end_if_it_hangs};

const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Figures {
    cuts: u64,
    failed: u64,
    longest: Duration,
}

pub fn suite(run: &mut Run) -> ExitCode {
    end_if_it_hangs();
    let mut control = Control::start(&[]);
    let direct = Store::open_url(control.ask("url"), &OpenOptions::new()).expect("a store");
    let url = control.ask("proxy");
    let mut figures = Figures::default();
    opens(run, &mut control, &url, &mut figures);
    run.test("opening: a cut is survived or an error, and the next store opens");
    let store = Store::open_url(&url, &OpenOptions::new().busy_timeout(TIMEOUT)).expect("a store");
    for operation in OPERATIONS {
        cut(run, &mut control, (&direct, &store), operation, &mut figures);
        run.test(&format!("{}: done once if acknowledged, and at most once if not", operation.name));
    }
    let Figures { cuts, failed, longest } = figures;
    run.done(&format!("{cuts} cuts, {failed} operations failed, the longest call took {longest:?}"))
}

/// Cuts a connection while a store opens.
fn opens(run: &mut Run, control: &mut Control, url: &str, figures: &mut Figures) {
    let options = OpenOptions::new().busy_timeout(TIMEOUT);
    control.passed();
    drop(Store::open_url(url, &options).expect("a store"));
    let (up, down) = control.passed();
    for (direction, end) in [("up", up), ("down", down)] {
        for size in places(run, end) {
            control.ask(&format!("cut {direction} {size}"));
            let begun = Instant::now();
            match Store::open_url(url, &options) {
                Ok(_) => {}
                Err(error) if matches!(error.code(), Code::Io | Code::Busy) => figures.failed += 1,
                Err(error) => run.complain(format!("open, cut {direction} after {size} bytes: {error}")),
            }
            figures.count(run, begun.elapsed());
            control.passed();
        }
    }
}

fn cut(
    run: &mut Run,
    control: &mut Control,
    (direct, store): (&Store, &Store),
    operation: &Operation,
    figures: &mut Figures,
) {
    let prepared = || {
        let namespace = prepare(direct).expect("to prepare a namespace");
        let same = store.namespace(namespace.name()).expect("the same namespace");
        (namespace, same)
    };
    // The first run may have to prepare something.
    for _ in 0..2 {
        let (_, same) = prepared();
        control.passed();
        if let Err(error) = (operation.run)(&same) {
            return run.complain(format!("{} without a cut: {error}", operation.name));
        }
    }
    let (up, down) = control.passed();
    for (direction, end) in [("up", up), ("down", down)] {
        for size in places(run, end) {
            let (namespace, same) = prepared();
            // A call before, so that the connection is there.
            let begins = same.has("old").map(|_| ());
            control.ask(&format!("cut {direction} {size}"));
            let begun = Instant::now();
            let returned = begins.and_then(|()| (operation.run)(&same));
            figures.count(run, begun.elapsed());
            control.passed();
            let left = contents(&namespace).expect("to read directly");
            let after = operation.leaves.unwrap_or(BEFORE);
            let right = match &returned {
                Ok(answer) => answer == operation.returns && left == after,
                Err(error) => {
                    figures.failed += 1;
                    matches!(error.code(), Code::Io | Code::Busy) && (left == after || left == BEFORE)
                }
            };
            if !right {
                run.complain(format!("cut {direction} after {size} of {end} bytes: {returned:?}, and there is {left}"));
            }
        }
    }
}

/// Where to cut something of this length: everywhere in `make torture`. Otherwise everywhere near its beginning and its
/// end, and at some places of the long text of a statement between them.
fn places(run: &mut Run, end: u64) -> Vec<u64> {
    const NEAR: u64 = 64;
    const STEP: u64 = 16;
    let skipped = run.rng.below(STEP);
    let torture = run.is_torture();
    (0..=end).filter(|&place| torture || place < NEAR || place + NEAR > end || place % STEP == skipped).collect()
}

impl Figures {
    fn count(&mut self, run: &mut Run, took: Duration) {
        self.cuts += 1;
        self.longest = self.longest.max(took);
        if took > TIMEOUT + Duration::from_secs(1) {
            run.complain(format!("a call took {took:?}"));
        }
    }
}
