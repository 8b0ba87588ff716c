//! What a lane's namespace must contain.

use std::collections::BTreeMap;
use std::iter::Peekable;

use super::op::{self, FILLED, IMPORTED, Op, Ops};
use crate::support::Run;

/// Each key with its value and expiration.
pub type Rows = BTreeMap<String, (Vec<u8>, Option<i64>)>;

/// A lane: the expected contents of its namespace, its operations of this round, and its other files.
pub struct Lane {
    number: usize,
    rows: Rows,
    clock: i64,
    ops: Peekable<Ops>,
    /// The number of operations that were acknowledged in this round.
    done: usize,
    shared: i64,
    exported: Option<Rows>,
    /// The number of the operation, the rows then, and whether it was acknowledged.
    backups: Vec<(usize, Rows, bool)>,
}

impl Lane {
    pub fn new(number: usize) -> Lane {
        let ops = Ops::new(0, number).peekable();
        let (rows, backups) = (Rows::new(), Vec::new());
        Lane { number, rows, clock: 0, ops, done: 0, shared: 0, exported: None, backups }
    }

    pub fn name(&self) -> String {
        name(self.number)
    }

    /// Starts a round: what has expired by then is gone.
    pub fn begin(&mut self, clock: i64, seed: u64) {
        (self.clock, self.done, self.shared) = (clock, 0, 0);
        self.ops = Ops::new(seed, self.number).peekable();
        self.rows.retain(|_, (_, expiration)| expiration.is_none_or(|at| at > clock));
    }

    /// The next operation was acknowledged, with this answer.
    pub fn acknowledge(&mut self, answer: &str) -> Result<(), String> {
        let op = self.ops.next().expect("operations never end");
        let expected = apply(&mut self.rows, &op, self.clock, self.done);
        match op {
            Op::Shared => self.shared += 1,
            Op::Export => self.exported = Some(self.rows.clone()),
            Op::Backup => self.backups.push((self.done, self.rows.clone(), true)),
            _ => {}
        }
        self.done += 1;
        match expected {
            Some(expected) if expected != answer => {
                Err(format!("{}: {op:?} answered {answer}, and ought to have answered {expected}", self.name()))
            }
            _ => Ok(()),
        }
    }

    pub fn shared_acknowledged(&self) -> i64 {
        self.shared
    }

    /// Whether the operation that was not acknowledged may have increased the counter.
    pub fn shared_uncertain(&mut self) -> i64 {
        i64::from(self.ops.peek() == Some(&Op::Shared))
    }

    /// Compares the contents of the namespace, and continues from there: the operation that was not acknowledged was
    /// done or not, but not partially. Only a long removal works in steps.
    pub fn settle(&mut self, found: Rows) -> Result<(), String> {
        let op = self.ops.peek().cloned().expect("operations never end");
        if op == Op::Backup {
            self.backups.push((self.done, self.rows.clone(), false));
        }
        let mut after = self.rows.clone();
        apply(&mut after, &op, self.clock, self.done);
        let partly = op == Op::DeletePrefix && is_rest(&self.rows, &found);
        if found != self.rows && found != after && !partly {
            let lost = differences(&self.rows, &found);
            return Err(format!(
                "{} after {} acknowledged operations and perhaps {op:?}: {lost}",
                self.name(),
                self.done
            ));
        }
        self.rows = found;
        Ok(())
    }

    /// Compares an export, which is rewritten each time.
    pub fn settle_export(&mut self, found: Option<Rows>) -> Result<(), String> {
        let live = |rows: &Rows| -> Rows {
            let live = rows.iter().filter(|(_, (_, expiration))| expiration.is_none_or(|at| at > self.clock));
            live.map(|(key, row)| (key.clone(), row.clone())).collect()
        };
        let last = self.exported.as_ref().map(live);
        if found != last && !(self.ops.peek() == Some(&Op::Export) && found.as_ref() == Some(&self.rows)) {
            let shown = found.map_or("is missing".to_owned(), |rows| format!("has {} entries", rows.len()));
            return Err(format!("{}: its export {shown}, and is not the one that was acknowledged", self.name()));
        }
        self.exported = found;
        Ok(())
    }

    pub fn take_backups(&mut self) -> Vec<(usize, Rows, bool)> {
        std::mem::take(&mut self.backups)
    }
}

pub fn name(lane: usize) -> String {
    format!("lane {lane}")
}

/// The effect of an operation, and its result if that is certain.
fn apply(rows: &mut Rows, op: &Op, clock: i64, number: usize) -> Option<String> {
    let answer = match op {
        Op::Put { key, len, brief } => {
            rows.insert(key.clone(), (op::value(clock, number, *len), brief.then_some(clock + 1)));
            String::new()
        }
        Op::Delete { key } => {
            rows.remove(key);
            String::new()
        }
        Op::Incr { by } => count(rows, "counter", *by),
        Op::Batch { keys, len, delete } => {
            for key in keys {
                rows.insert(key.clone(), (op::value(clock, number, *len), None));
            }
            rows.remove(delete);
            count(rows, "batches", 1);
            String::new()
        }
        Op::Fill => {
            rows.extend((0..FILLED).map(|index| (op::filled_key(index), (op::value(clock, number, 0), None))));
            String::new()
        }
        Op::DeletePrefix => {
            let before = rows.len();
            rows.retain(|key, _| !key.starts_with("filled:"));
            (before - rows.len()).to_string()
        }
        Op::Import => {
            let value = op::value(clock, number, 20);
            rows.extend((0..IMPORTED).map(|index| (op::imported_key(index), (value.clone(), None))));
            IMPORTED.to_string()
        }
        Op::Export => rows.len().to_string(),
        Op::Shared | Op::Sweep => return None,
        Op::Backup | Op::Compact | Op::Checkpoint | Op::Reopen => String::new(),
    };
    Some(answer)
}

fn count(rows: &mut Rows, key: &str, by: i64) -> String {
    let held = rows.get(key).map_or(0, |(value, _)| String::from_utf8_lossy(value).parse::<i64>().expect("a number"));
    let sum = (held + by).to_string();
    rows.insert(key.to_owned(), (sum.clone().into_bytes(), None));
    sum
}

/// Whether this is what an interrupted removal of the prefix leaves. It takes the first keys first.
fn is_rest(before: &Rows, found: &Rows) -> bool {
    let gone: Vec<&String> = before.keys().filter(|key| !found.contains_key(*key)).collect();
    let first = before.keys().filter(|key| key.starts_with("filled:")).take(gone.len());
    first.eq(gone.iter().copied()) && found.iter().all(|(key, row)| before.get(key) == Some(row))
}

/// Tests the comparison itself: a kill cannot leave any of these states.
pub fn notices_losses(run: &mut Run) {
    let (clock, seed) = (op::EPOCH, run.rng.next());
    let mut lane = Lane::new(0);
    lane.begin(clock, seed);
    // Up to a batch of many keys, so that what is uncertain is a batch.
    while lane.done < 100 || !matches!(lane.ops.peek(), Some(Op::Batch { keys, .. }) if keys.len() > 9) {
        let _ = lane.acknowledge("");
    }
    let (before, mut after) = (lane.rows.clone(), lane.rows.clone());
    apply(&mut after, lane.ops.peek().expect("a batch"), clock, lane.done);
    let mut settles = |found: &Rows| {
        lane.rows.clone_from(&before);
        lane.settle(found.clone()).is_ok()
    };
    let change = |key: &str, value: Option<&[u8]>| {
        let mut rows = before.clone();
        match value {
            Some(value) => rows.insert(key.to_owned(), (value.to_vec(), None)),
            None => rows.remove(key),
        };
        rows
    };
    let key = before.keys().next().expect("a hundred operations leave a key").clone();
    let changed = after.iter().find(|(key, row)| before.get(*key) != Some(row)).expect("a batch changes something");
    let cases = [
        ("nothing of the batch", before.clone(), true),
        ("all of the batch", after.clone(), true),
        ("a lost key", change(&key, None), false),
        ("an older value", change(&key, Some(b"?")), false),
        ("a key that was deleted", change("key 99", Some(b"0.0.")), false),
        ("half of the batch", change(changed.0, Some(&changed.1.0)), false),
    ];
    for (name, found, fits) in cases {
        if settles(&found) != fits {
            run.complain(format!("{name} is {}taken", if fits { "not " } else { "" }));
        }
    }
}

/// The first few keys that differ.
fn differences(expected: &Rows, found: &Rows) -> String {
    let show = |row: Option<&(Vec<u8>, Option<i64>)>| match row {
        Some((value, _)) => {
            format!("{} ({} bytes)", String::from_utf8_lossy(&value[..value.len().min(12)]), value.len())
        }
        None => "nothing".to_owned(),
    };
    let keys: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let differing: Vec<_> = keys.into_iter().filter(|key| expected.get(*key) != found.get(*key)).collect();
    let shown = differing
        .iter()
        .take(4)
        .map(|key| format!("{key:?} ought to be {} and is {}", show(expected.get(*key)), show(found.get(*key))));
    format!("{} keys differ: {}", differing.len(), shown.collect::<Vec<_>>().join("; "))
}
