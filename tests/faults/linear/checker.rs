//! Is there an order of the operations, each at one moment between its call and its return, in which every one returns
//! what it did? By Wing and Gong's search, with Lowe's memory of what was tried ("Testing for linearizability", 2017).

use std::collections::HashSet;

use super::history::{Event, State};

/// How many operations were put in order at best, where not all could be.
#[derive(Debug, PartialEq, Eq)]
pub struct Stuck(pub usize);

/// The search: which operations are in order already, and what the keys hold then.
struct Search<'a> {
    events: &'a [Event],
    /// Calls and returns by time: a call is the event's index, a return the same with its bit complement.
    times: Vec<(u64, bool, usize)>,
    /// Which of `times` comes after each, where those of ordered operations are left out.
    next: Vec<usize>,
    previous: Vec<usize>,
    call_at: Vec<usize>,
    return_at: Vec<usize>,
    ordered: Vec<u64>,
    tried: HashSet<(Vec<u64>, State)>,
}

/// Checks a history that begins with all keys missing.
pub fn check(events: &[Event]) -> Result<(), Stuck> {
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
        // Place 0 is the list's head, and the last one its end.
        let places = times.len() + 2;
        let (next, previous) = ((1..=places).collect(), (0..places).map(|at: usize| at.saturating_sub(1)).collect());
        let ordered = vec![0; events.len().div_ceil(64)];
        Search { events, times, next, previous, call_at, return_at, ordered, tried: HashSet::new() }
    }

    fn run(&mut self) -> Result<(), Stuck> {
        let end = self.times.len() + 1;
        let (mut state, mut at, mut best) = (State::default(), self.next[0], 0);
        let mut path: Vec<(usize, State)> = Vec::new();
        while self.next[0] != end {
            let (_, returns, index) = self.times[at - 1];
            if returns {
                // An operation that must come before all later ones fits nowhere: the last choice was wrong.
                let Some((last, before)) = path.pop() else { return Err(Stuck(best)) };
                state = before;
                self.restore(last);
                at = self.next[self.call_at[last]];
                continue;
            }
            let after = self.events[index].op.apply(state).filter(|after| self.is_new(index, *after));
            match after {
                Some(after) => {
                    path.push((index, state));
                    best = best.max(path.len());
                    state = after;
                    self.remove(index);
                    at = self.next[0];
                }
                None => at = self.next[at],
            }
        }
        Ok(())
    }

    /// Whether these operations were not in order before with this state at the end.
    fn is_new(&mut self, index: usize, after: State) -> bool {
        let mut ordered = self.ordered.clone();
        ordered[index / 64] |= 1 << (index % 64);
        self.tried.insert((ordered, after))
    }

    fn remove(&mut self, index: usize) {
        self.ordered[index / 64] |= 1 << (index % 64);
        for at in [self.call_at[index], self.return_at[index]] {
            let (previous, next) = (self.previous[at], self.next[at]);
            (self.next[previous], self.previous[next]) = (next, previous);
        }
    }

    fn restore(&mut self, index: usize) {
        self.ordered[index / 64] &= !(1 << (index % 64));
        // The other way round: the places beside it are those of when it was removed.
        for at in [self.return_at[index], self.call_at[index]] {
            let (previous, next) = (self.previous[at], self.next[at]);
            (self.next[previous], self.previous[next]) = (at, at);
        }
    }
}
