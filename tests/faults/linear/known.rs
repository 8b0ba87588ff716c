//! Tests the checker, with histories that are known to have or lack an order, and with recorded ones that were
//! modified.

use super::checker::{Failure, check};
use super::history::{Event, INCREMENTS, NEVER, Op};
use crate::support::Run;

/// An operation between two moments.
fn event(called: u64, returned: u64, op: Op) -> Event {
    Event { called, returned, op }
}

fn get(key: usize, found: u64) -> Op {
    Op::Get { key, found }
}

fn put(key: usize, value: u64) -> Op {
    Op::Put { key, value }
}

fn add(value: u64, added: bool) -> Op {
    Op::Add { key: 0, value, added }
}

fn incr(sum: u64) -> Op {
    Op::Incr { key: 0, initial: 0, sum }
}

fn batch(expected: u64, first: u64, done: bool) -> Op {
    Op::CheckAndPut { key: 0, expected, first, done }
}

fn all(found: [u64; 3]) -> Op {
    Op::GetAll { found }
}

fn delete(found: bool) -> Op {
    Op::Delete { key: 0, found }
}

fn take(found: u64) -> Op {
    Op::Take { key: 0, found }
}

fn has(found: bool) -> Op {
    Op::Has { key: 0, found }
}

/// Complains about each history that the checker judges wrongly.
pub fn histories(run: &mut Run) {
    const NEXT: u64 = INCREMENTS;
    let (old, new) = (put(0, 10), put(0, 20));
    // Each operation in these begins when the one before has ended.
    let mut serial = vec![
        ("a read of what was put", vec![old, get(0, 10)], true),
        ("a stale read", vec![old, new, get(0, 10)], false),
        ("a read of nothing after a put", vec![old, get(0, 0)], false),
        ("a read after a delete", vec![old, delete(true), get(0, 0), delete(false)], true),
        ("a deleted value that is back", vec![old, delete(true), get(0, 10)], false),
        ("two that delete one value", vec![old, delete(true), delete(true)], false),
        ("a delete that finds nothing where there is a value", vec![old, delete(false)], false),
        ("a value that is taken", vec![old, take(10), take(0), has(false)], true),
        ("a value that is taken twice", vec![old, take(10), take(10)], false),
        ("a taken value that is still there", vec![old, take(10), has(true)], false),
        ("a value that is not found", vec![old, has(false)], false),
        ("two that add", vec![add(1, true), add(2, true)], false),
        ("one that adds", vec![add(1, true), add(2, false), get(0, 1)], true),
        ("one that adds to nothing, and is refused", vec![add(1, false)], false),
        ("counting", vec![incr(1), incr(2), incr(3)], true),
        ("a step that is lost", vec![incr(1), incr(2), incr(2)], false),
        ("a step that is done twice", vec![incr(1), incr(3)], false),
        ("a check that holds", vec![old, batch(10, 30, true), all([30, 30 + NEXT, 30 + 2 * NEXT])], true),
        ("a lost update", vec![old, batch(10, 30, true), batch(10, 40, true)], false),
        ("a check that ought to hold", vec![old, batch(10, 30, false)], false),
        ("half a batch", vec![old, batch(10, 30, true), all([30, 0, 30 + 2 * NEXT])], false),
        ("a read of many that is old", vec![old, new, all([10, 0, 0])], false),
        ("keys for themselves", vec![old, put(1, 11), get(0, 10), get(1, 11), all([10, 11, 0])], true),
    ]
    .into_iter()
    .map(|(name, ops, right)| {
        let events = ops.into_iter().zip(0..).map(|(op, at)| event(2 * at, 2 * at + 1, op)).collect();
        (name, events, right)
    })
    .collect::<Vec<(_, Vec<Event>, _)>>();
    let overlapping = vec![
        ("a read of a put that goes on", vec![event(0, 9, old), event(1, 2, get(0, 10))], true),
        ("a read before a put that goes on", vec![event(0, 9, old), event(1, 2, get(0, 0))], true),
        ("new, and then old", vec![event(0, 9, old), event(1, 2, get(0, 10)), event(3, 4, get(0, 0))], false),
        (
            "two puts in either order",
            vec![event(0, 9, old), event(0, 9, new), event(10, 11, get(0, 10)), event(12, 13, get(0, 10))],
            true,
        ),
        (
            "two puts in both orders",
            vec![event(0, 9, old), event(0, 9, new), event(10, 11, get(0, 10)), event(12, 13, get(0, 20))],
            false,
        ),
        (
            "two readers that see two puts in two orders",
            vec![
                event(0, 9, put(0, 10)),
                event(0, 9, put(1, 11)),
                event(1, 2, all([10, 0, 0])),
                event(3, 4, all([0, 11, 0])),
            ],
            false,
        ),
        (
            "a delete that waits for a put",
            vec![event(0, 9, delete(true)), event(1, 2, old), event(10, 11, get(0, 0))],
            true,
        ),
        (
            "a search that has to go back",
            vec![event(0, 9, old), event(0, 9, new), event(0, 9, incr(11)), event(10, 11, get(0, 20))],
            true,
        ),
    ];
    serial.extend(overlapping);
    serial.extend(without_answers());
    for (name, events, right) in serial {
        if check(&events).is_ok() != right {
            run.complain(format!("{name} is {}taken", if right { "not " } else { "" }));
        }
    }
}

/// Histories with writes that have no answer.
fn without_answers() -> Vec<(&'static str, Vec<Event>, bool)> {
    let lost = |called, op| event(called, NEVER, op);
    let put_lost = lost(0, put(0, 10));
    let counting = |first, second| vec![event(0, 1, incr(first)), lost(2, incr(0)), event(4, 5, incr(second))];
    vec![
        ("a lost put that happened", vec![put_lost, event(2, 3, get(0, 10))], true),
        ("a lost put that did not happen", vec![put_lost, event(2, 3, get(0, 0))], true),
        ("a lost put that happens later", vec![put_lost, event(2, 3, get(0, 0)), event(4, 5, get(0, 10))], true),
        ("a lost put that is undone", vec![put_lost, event(2, 3, get(0, 10)), event(4, 5, get(0, 0))], false),
        ("a lost put that is read before", vec![lost(4, put(0, 10)), event(0, 1, get(0, 10))], false),
        (
            "a lost put that happens twice",
            vec![put_lost, event(2, 3, get(0, 10)), event(4, 5, delete(true)), event(6, 7, get(0, 10))],
            false,
        ),
        ("a lost step", counting(1, 2), true),
        ("a lost step that happened", counting(1, 3), true),
        ("a lost step that happened twice", counting(1, 4), false),
        (
            "a lost add to what is there",
            vec![event(0, 1, put(0, 10)), lost(2, add(5, false)), event(4, 5, get(0, 5))],
            false,
        ),
        (
            "a lost batch whose check does not hold",
            vec![event(0, 1, put(0, 10)), lost(2, batch(9, 30, false)), event(4, 5, get(0, 30))],
            false,
        ),
    ]
}

/// Changes a right history so that it has no order any more: a read returns what was overwritten before it was called.
/// Complains if the checker does not detect it, and returns the number of such changes.
pub fn notices_changes(run: &mut Run, events: &[Event]) -> usize {
    let writes: Vec<_> = events.iter().filter_map(|event| written(event).map(|value| (event, value))).collect();
    let mut changed = events.to_vec();
    let from = run.rng.below(events.len() as u64) as usize;
    for index in (from..events.len()).chain(0..from) {
        let Op::Get { key: 0, found } = events[index].op else { continue };
        // A value that was put before another one, which in turn existed before the read.
        let mut later = writes.iter().filter(|(write, _)| write.returned < events[index].called);
        let stale = later.find_map(|(newer, _)| {
            writes.iter().find(|(older, value)| older.returned < newer.called && *value != found)
        });
        if let Some((_, value)) = stale {
            changed[index].op = Op::Get { key: 0, found: *value };
            let outcome = check(&changed);
            if outcome.is_ok() {
                run.complain(format!("a read that was changed to a stale one is taken: {:?}", changed[index]));
            }
            return usize::from(matches!(outcome, Err(Failure::Stuck(_))));
        }
    }
    0
}

/// The value that an operation certainly put into the first key.
fn written(event: &Event) -> Option<u64> {
    match event.op {
        Op::Put { key: 0, value } => Some(value),
        Op::CheckAndPut { first, done: true, .. } => Some(first),
        _ => None,
    }
}
