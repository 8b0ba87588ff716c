//! Operations on a few keys, with the times of their calls and returns.

use std::fmt;

/// The maximum number of keys in a group.
pub const KEYS: usize = 3;

/// The contents of the keys of a group: 0 is a missing key. Each write stores another number, so a number is a version
/// too.
pub type State = [u64; KEYS];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Get {
        key: usize,
        found: u64,
    },
    /// `get_many` or a list with values, of all keys.
    GetAll {
        found: State,
    },
    Put {
        key: usize,
        value: u64,
    },
    Add {
        key: usize,
        value: u64,
        added: bool,
    },
    /// Adds 1. A missing key starts at `initial`, and then has one more.
    Incr {
        key: usize,
        initial: u64,
        sum: u64,
    },
    Has {
        key: usize,
        found: bool,
    },
    Delete {
        key: usize,
        found: bool,
    },
    Take {
        key: usize,
        found: u64,
    },
    /// A batch: if a key has the expected value, all keys get values, from this one on.
    CheckAndPut {
        key: usize,
        expected: u64,
        first: u64,
        done: bool,
    },
}

impl Op {
    /// Whether it changes nothing, if it returned what it did.
    fn only_read(&self) -> bool {
        match self {
            Op::Get { .. } | Op::GetAll { .. } | Op::Has { .. } | Op::Take { found: 0, .. } => true,
            Op::Add { added: done, .. } | Op::Delete { found: done, .. } | Op::CheckAndPut { done, .. } => !done,
            Op::Put { .. } | Op::Incr { .. } | Op::Take { .. } => false,
        }
    }

    /// The state after the operation, and whether it can have returned what it did.
    fn apply(&self, mut state: State) -> (State, bool) {
        let fits = match *self {
            Op::Get { key, found } => state[key] == found,
            Op::GetAll { found } => state == found,
            Op::Put { key, value } => {
                state[key] = value;
                true
            }
            Op::Add { key, value, added } => {
                let missing = state[key] == 0;
                if missing {
                    state[key] = value;
                }
                missing == added
            }
            Op::Incr { key, initial, sum } => {
                state[key] = if state[key] == 0 { initial } else { state[key] } + 1;
                state[key] == sum
            }
            Op::Has { key, found } => (state[key] != 0) == found,
            Op::Delete { key, found } => {
                let fits = (state[key] != 0) == found;
                state[key] = 0;
                fits
            }
            Op::Take { key, found } => {
                let fits = state[key] == found;
                state[key] = 0;
                fits
            }
            Op::CheckAndPut { key, expected, first, done } => {
                let holds = state[key] == expected;
                if holds {
                    state = std::array::from_fn(|key| first + key as u64 * INCREMENTS);
                }
                holds == done
            }
        };
        (state, fits)
    }
}

/// The distance between the numbers that writes store, since increments add 1 to them.
pub const INCREMENTS: u64 = 1_000_000;

/// When an operation returned whose result is not known. It may have happened, or happen later.
pub const NEVER: u64 = u64::MAX;

/// An operation with its times, in nanoseconds of the clock that all processes share.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub called: u64,
    pub returned: u64,
    pub op: Op,
}

impl Event {
    pub fn is_known(&self) -> bool {
        self.returned != NEVER
    }

    /// The state after the operation, if it can have returned what it did.
    pub fn apply(&self, state: State) -> Option<State> {
        let (after, fits) = self.op.apply(state);
        // One that is not known counts only for what it changes.
        let happens = if self.is_known() { fits } else { after != state };
        happens.then_some(after)
    }

    /// Whether it changes nothing.
    pub fn only_reads(&self) -> bool {
        self.is_known() && self.op.only_read()
    }
}

impl fmt::Display for Event {
    /// As numbers, for the pipe to the checking process.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.called, self.returned)?;
        match self.op {
            Op::Get { key, found } => write!(f, "0 {key} {found}"),
            Op::GetAll { found: [a, b, c] } => write!(f, "1 {a} {b} {c}"),
            Op::Put { key, value } => write!(f, "2 {key} {value}"),
            Op::Add { key, value, added } => write!(f, "3 {key} {value} {}", u64::from(added)),
            Op::Incr { key, initial, sum } => write!(f, "4 {key} {initial} {sum}"),
            Op::Has { key, found } => write!(f, "7 {key} {}", u64::from(found)),
            Op::Delete { key, found } => write!(f, "5 {key} {}", u64::from(found)),
            Op::Take { key, found } => write!(f, "8 {key} {found}"),
            Op::CheckAndPut { key, expected, first, done } => {
                write!(f, "6 {key} {expected} {first} {}", u64::from(done))
            }
        }
    }
}

impl Event {
    pub fn parse(numbers: &[u64]) -> Option<Event> {
        let [called, returned, kind, key, rest @ ..] = numbers else { return None };
        let key = *key;
        let op = match (kind, rest) {
            (0, [found]) => Op::Get { key: key as usize, found: *found },
            (1, [b, c]) => Op::GetAll { found: [key, *b, *c] },
            (2, [value]) => Op::Put { key: key as usize, value: *value },
            (3, [value, added]) => Op::Add { key: key as usize, value: *value, added: *added == 1 },
            (4, [initial, sum]) => Op::Incr { key: key as usize, initial: *initial, sum: *sum },
            (5, [found]) => Op::Delete { key: key as usize, found: *found == 1 },
            (6, [expected, first, done]) => {
                Op::CheckAndPut { key: key as usize, expected: *expected, first: *first, done: *done == 1 }
            }
            (7, [found]) => Op::Has { key: key as usize, found: *found == 1 },
            (8, [found]) => Op::Take { key: key as usize, found: *found },
            _ => return None,
        };
        Some(Event { called: *called, returned: *returned, op })
    }
}
