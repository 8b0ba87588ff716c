//! Checks whether there is an order of the operations, each at one moment between its call and its return, in which
//! each returns its recorded result. This is Wing and Gong's search, with Lowe's cache of visited states ("Testing for
//! linearizability", 2017).

use std::collections::HashSet;

use super::history::{Event, State};

/// Why no order was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is none. At best this many operations could be put in order.
    Stuck(usize),
    /// There are too many possibilities.
    Undecided,
}

/// More than this would need some gigabytes.
const MOST_TRIED: usize = 4_000_000;

/// The search: which operations are already in order, and the contents of the keys then.
struct Search<'a> {
    events: &'a [Event],
    /// Calls and returns by time: a call is the event's index, a return the same with its bit complement.
    times: Vec<(u64, bool, usize)>,
    /// The successor of each of `times`, without ordered operations.
    next: Vec<usize>,
    previous: Vec<usize>,
    call_at: Vec<usize>,
    return_at: Vec<usize>,
    ordered: Vec<u64>,
    /// How many operations are not in order yet whose results are known. The others need not have happened.
    known: usize,
    tried: HashSet<(Vec<u64>, State)>,
}

/// An operation that was put in order, and the state before it.
struct Choice {
    index: usize,
    before: State,
    forced: bool,
}

/// Checks a history that begins with all keys missing.
pub fn check(events: &[Event]) -> Result<(), Failure> {
    Search::new(events).run()
}

impl<'a> Search<'a> {
    fn new(events: &'a [Event]) -> Self {
        let mut times: Vec<_> = (0..events.len())
            .flat_map(|index| [(events[index].called, false, index), (events[index].returned, true, index)])
            .collect();
        // At the same moment, calls come first: the two operations overlap.
        times.sort_unstable();
        let (mut call_at, mut return_at) = (vec![0; events.len()], vec![0; events.len()]);
        for (at, (_, returns, index)) in times.iter().enumerate() {
            if *returns { return_at[*index] = at + 1 } else { call_at[*index] = at + 1 }
        }
        // Position 0 is the head of the list, and the last one its end.
        let places = times.len() + 2;
        let (next, previous) = ((1..=places).collect(), (0..places).map(|at: usize| at.saturating_sub(1)).collect());
        let ordered = vec![0; events.len().div_ceil(64)];
        let known = events.iter().filter(|event| event.is_known()).count();
        Search { events, times, next, previous, call_at, return_at, ordered, known, tried: HashSet::new() }
    }

    fn run(&mut self) -> Result<(), Failure> {
        let (mut state, mut best) = (State::default(), 0);
        let mut path: Vec<Choice> = Vec::new();
        loop {
            while let Some(index) = self.fitting_read(state) {
                path.push(Choice { index, before: state, forced: true });
                self.remove(index);
            }
            best = best.max(path.len());
            if self.tried.len() > MOST_TRIED {
                return Err(Failure::Undecided);
            }
            if self.known == 0 {
                return Ok(());
            }
            let mut at = self.next[0];
            // A write that may come next, or else the next choice instead of the last one.
            let (index, after) = loop {
                let (_, returns, index) = self.times[at - 1];
                if returns {
                    let last = self.undo(&mut path).ok_or(Failure::Stuck(best))?;
                    state = last.before;
                    at = self.next[self.call_at[last.index]];
                    continue;
                }
                match self.events[index].apply(state).filter(|after| self.is_new(index, *after)) {
                    Some(after) => break (index, after),
                    None => at = self.next[at],
                }
            };
            path.push(Choice { index, before: state, forced: false });
            self.remove(index);
            state = after;
        }
    }

    fn end(&self) -> usize {
        self.times.len() + 1
    }

    /// An operation that may come next and only reads. Whatever else comes later, it may come now, so this is not a
    /// choice, and no alternative need be tried.
    fn fitting_read(&self, state: State) -> Option<usize> {
        let mut at = self.next[0];
        while at != self.end() {
            let (_, returns, index) = self.times[at - 1];
            if returns {
                return None;
            }
            let event = &self.events[index];
            if event.only_reads() && event.apply(state).is_some() {
                return Some(index);
            }
            at = self.next[at];
        }
        None
    }

    /// Undoes everything up to the last choice.
    fn undo(&mut self, path: &mut Vec<Choice>) -> Option<Choice> {
        loop {
            let last = path.pop()?;
            self.restore(last.index);
            if !last.forced {
                return Some(last);
            }
        }
    }

    /// Whether these operations have not been in order before with this final state.
    fn is_new(&mut self, index: usize, after: State) -> bool {
        let mut ordered = self.ordered.clone();
        ordered[index / 64] |= 1 << (index % 64);
        self.tried.insert((ordered, after))
    }

    fn remove(&mut self, index: usize) {
        self.known -= usize::from(self.events[index].is_known());
        self.ordered[index / 64] |= 1 << (index % 64);
        for at in [self.call_at[index], self.return_at[index]] {
            let (previous, next) = (self.previous[at], self.next[at]);
            (self.next[previous], self.previous[next]) = (next, previous);
        }
    }

    fn restore(&mut self, index: usize) {
        self.known += usize::from(self.events[index].is_known());
        self.ordered[index / 64] &= !(1 << (index % 64));
        // In reverse: its neighbours are those at the time of its removal.
        for at in [self.return_at[index], self.call_at[index]] {
            let (previous, next) = (self.previous[at], self.next[at]);
            (self.next[previous], self.previous[next]) = (at, at);
        }
    }
}
