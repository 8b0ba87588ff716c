//! The connections of a store, and which call has which.
//!
//! - A call has a session to itself, as a [`Turn`], until it returns. It takes the one that was used last. If none is
//!   idle, it makes another one, or waits where there are [`MOST`]. So a program that never uses the store from two
//!   threads at once has one connection.
//! - Writes have all but one of them: a write may wait for a lock of others, and no read waits for that.
//! - All are connected to the same server. When one was lost, the server may have restarted, so the idle ones are dropped
//!   too. When a new one has reached another server, all others are: the server that was replaced may still run, and has
//!   not seen what was written since. A read by a connection to it would return what was there before a write that was
//!   acknowledged. Where the new one may be the wrong server, it is dropped itself.
//!
//! A process may fork while another thread waits for the network with a session in its hands. In the child that thread
//! does not exist, and even the lock may be held. So a child makes a new pool. The old one is not freed, since the
//! connections in it are the parent's.

use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::call::Call;
use super::session::{Server, Session};
use super::sockets::{generation, keep_inherited};
use crate::error::{Code, Error, Result};

/// How many connections a store has at most. A server has 100 by default, so that twenty processes with one store each
/// still leave some to others.
const MOST: usize = 4;

/// How many of them writes have at most.
const WRITES: usize = MOST - 1;

/// How long a connection is kept that is not used, unless it is the only one.
const KEPT: Duration = Duration::from_secs(60);

/// How long no connection is added where that did not help: the server refused another one, or it leads to another
/// server, as one that a load balancer has chosen may each time.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Pools {
    current: AtomicPtr<Pool>,
    closed: AtomicBool,
}

struct Pool {
    generation: u64,
    state: Mutex<State>,
    for_reads: Condvar,
    for_writes: Condvar,
    /// Notified when no call has a session, or waits for one.
    unused: Condvar,
}

#[derive(Default)]
struct State {
    /// The sessions that no call has, and since when. The last one was used last.
    idle: Vec<(Session, Instant)>,
    /// How many sessions there are, with those that calls have.
    open: usize,
    /// How many of these writes have.
    writing: usize,
    waiting_reads: usize,
    waiting_writes: usize,
    /// Counts how often the connections that there were became suspect.
    epoch: u64,
    /// What the newest connection has reached.
    server: Option<Server>,
    /// Whether a connection was lost since then.
    is_lost: bool,
    /// Until when none is added.
    full_until: Option<Instant>,
}

/// A session, for one call.
pub(super) struct Turn<'a> {
    pools: &'a Pools,
    pool: &'a Pool,
    writes: bool,
    session: Option<Session>,
}

impl Pools {
    pub fn new() -> Self {
        Pools { current: AtomicPtr::new(Pool::new()), closed: AtomicBool::new(false) }
    }

    pub fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::closed()) } else { Ok(()) }
    }

    /// Waits for the turn of this call. The caller is within a gate.
    pub fn turn(&self, call: &mut Call, writes: bool) -> Result<Turn<'_>> {
        let pool = self.pool();
        let mut state = pool.lock();
        self.check_open()?;
        let taken = state.take(writes, true, Instant::now())?;
        if taken.is_none() {
            *state.waiting(writes) += 1;
        }
        drop(state);
        let session = match taken {
            Some(session) => session,
            None => pool.wait(call, writes, None)?,
        };
        Ok(Turn { pools: self, pool, writes, session: Some(session) })
    }

    /// The number of the epoch in which a connection is about to be made: see [`admit`](Self::admit).
    pub fn epoch(&self) -> u64 {
        self.pool().lock().epoch
    }

    /// Notes the server that a new connection has reached. Returns whether it may be used: not if the connections have
    /// become suspect since it began, since it may have reached the server that was replaced, nor if it has reached
    /// another server and the store does not switch to it.
    pub fn admit(&self, session: &mut Session, begun: u64, server: Server, switches: bool) -> bool {
        let pool = self.pool();
        let mut state = pool.lock();
        let Some(suspect) = state.admit(begun, server, switches, Instant::now()) else { return false };
        (session.server, session.epoch) = (Some(server), state.epoch);
        drop(state);
        pool.dropped(suspect);
        true
    }

    /// Notes that the connection of a session was lost.
    pub fn lost(&self, session: &Session) {
        let pool = self.pool();
        let mut state = pool.lock();
        // Those that were there with one of an earlier epoch have been dropped already.
        if session.epoch == state.epoch {
            state.is_lost = true;
            let suspect = state.begin_epoch();
            drop(state);
            pool.dropped(suspect);
        }
    }

    /// Ends all connections, once the calls in progress have returned. Later ones are refused.
    pub fn close(&self, call: &mut Call) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let pool = self.pool();
        let mut state = pool.lock();
        let ended = state.drop_idle();
        let is_used = state.is_used();
        drop(state);
        pool.dropped(ended);
        let until = call.until();
        if !is_used || call.outside(|| pool.wait_until_unused(until)) {
            return Ok(());
        }
        let message = format!("calls have had the connections to the server for {:.1} s", call.seconds());
        Err(Error::new(Code::Busy, message))
    }

    /// The pool of this process.
    fn pool(&self) -> &Pool {
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: a pool is freed only by the drop of this, and one of the parent's never.
        let pool = unsafe { &*current };
        if pool.generation == generation() {
            return pool;
        }
        let made = Pool::new();
        match self.current.compare_exchange(current, made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(inherited) => {
                keep_inherited(inherited);
                // SAFETY: as above.
                unsafe { &*made }
            }
            Err(other) => {
                // SAFETY: nothing else has seen it.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: as above.
                unsafe { &*other }
            }
        }
    }
}

impl Drop for Pools {
    fn drop(&mut self) {
        let pool = *self.current.get_mut();
        // SAFETY: the pointer is valid, and nothing else uses it any more.
        unsafe {
            match (*pool).generation == generation() {
                true => drop(Box::from_raw(pool)),
                false => keep_inherited(pool),
            }
        }
        *self.current.get_mut() = ptr::null_mut();
    }
}

impl Pool {
    fn new() -> *mut Pool {
        let [for_reads, for_writes, unused] = [const { Condvar::new() }; 3];
        let state = Mutex::default();
        Box::into_raw(Box::new(Pool { generation: generation(), state, for_reads, for_writes, unused }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until this call can have a session. It counts as one that waits already. `refused` is why it could not make
    /// one.
    fn wait(&self, call: &mut Call, writes: bool, refused: Option<Error>) -> Result<Session> {
        let until = call.until();
        let waited = call.outside(|| self.wait_until(until, writes))?;
        waited.ok_or_else(|| {
            refused.unwrap_or_else(|| {
                let message = format!("other calls had all connections to the server for {:.1} s", call.seconds());
                Error::new(Code::Busy, message)
            })
        })
    }

    fn wait_until(&self, end: Instant, writes: bool) -> Result<Option<Session>> {
        let returned = if writes { &self.for_writes } else { &self.for_reads };
        let (mut state, mut now) = (self.lock(), Instant::now());
        let taken = loop {
            let taken = state.take(writes, false, now);
            if !matches!(taken, Ok(None)) || end <= now {
                break taken;
            }
            let until = state.full_until.filter(|full| *full > now).map_or(end, |full| full.min(end));
            state = returned.wait_timeout(state, until - now).unwrap_or_else(PoisonError::into_inner).0;
            now = Instant::now();
            // A call without time would only fail, and make all connections suspect.
            if end <= now {
                break Ok(None);
            }
        };
        *state.waiting(writes) -= 1;
        if !state.idle.is_empty() {
            // What this call was woken for, if it was.
            self.for_reads.notify_one();
            self.for_writes.notify_one();
        }
        if !state.is_used() {
            self.unused.notify_all();
        }
        taken
    }

    fn wait_until_unused(&self, until: Instant) -> bool {
        let mut state = self.lock();
        while state.is_used() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.unused.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Ends connections that nothing uses any more, and wakes all calls that wait, since there are fewer.
    fn dropped(&self, sessions: Vec<Session>) {
        if !sessions.is_empty() {
            drop(sessions);
            self.for_reads.notify_all();
            self.for_writes.notify_all();
        }
    }

    /// Takes back the session of a call.
    fn take_back(&self, mut session: Session, writes: bool, closed: &AtomicBool) {
        let mut state = self.lock();
        // Read while it is locked: `close` drops what is idle after it has set it.
        let closed = closed.load(Ordering::Acquire);
        let keeps = session.is_connected() && state.is_current(&session) && (!closed || state.is_awaited());
        session.epoch = state.epoch;
        let ended = state.take_back(session, writes, keeps, Instant::now());
        let (is_used, reads, writes) = (state.is_used(), state.waiting_reads > 0, state.waiting_writes > 0);
        drop(state);
        // A read or a write can have a session now. (To notify costs a call of the system, whether anyone waits or not.)
        if reads {
            self.for_reads.notify_one();
        }
        if writes {
            self.for_writes.notify_one();
        }
        if closed && !is_used {
            self.unused.notify_all();
        }
        drop(ended);
    }
}

impl State {
    fn waiting(&mut self, writes: bool) -> &mut usize {
        if writes { &mut self.waiting_writes } else { &mut self.waiting_reads }
    }

    /// Whether calls have sessions or wait for one.
    fn is_used(&self) -> bool {
        self.open > self.idle.len() || self.waiting_reads + self.waiting_writes > 0
    }

    /// Takes a session for a call, or makes one. What others wait for is left to them by a call that `comes` now.
    fn take(&mut self, writes: bool, comes: bool, now: Instant) -> Result<Option<Session>> {
        let (reads_ahead, writes_ahead) = if comes { (self.waiting_reads, self.waiting_writes) } else { (0, 0) };
        if writes && self.writing + writes_ahead >= WRITES {
            return Ok(None);
        }
        let ahead = reads_ahead + writes_ahead.min(WRITES - self.writing);
        let most = if self.full_until.is_some_and(|end| now < end) { 1 } else { MOST };
        let session = match self.idle.len() > ahead {
            true => self.idle.pop().map(|(session, _)| session),
            false if self.open < most => {
                let session = Session::new()?;
                self.open += 1;
                Some(session)
            }
            false => None,
        };
        self.writing += usize::from(writes && session.is_some());
        Ok(session)
    }

    /// Whether calls wait for more sessions than are idle.
    fn is_awaited(&self) -> bool {
        self.idle.len() < self.waiting_reads + self.waiting_writes
    }

    /// Takes back a session, to keep it or not, and returns those that are to be dropped.
    fn take_back(&mut self, session: Session, writes: bool, keeps: bool, now: Instant) -> Vec<Session> {
        self.writing -= usize::from(writes);
        if !keeps {
            self.open -= 1;
            return vec![session];
        }
        self.idle.push((session, now));
        let unused = self.idle.iter().take_while(|(_, since)| now.saturating_duration_since(*since) > KEPT).count();
        self.open -= unused;
        self.idle.drain(..unused).map(|(session, _)| session).collect()
    }

    fn drop_idle(&mut self) -> Vec<Session> {
        self.open -= self.idle.len();
        mem::take(&mut self.idle).into_iter().map(|(session, _)| session).collect()
    }

    /// Makes all connections that there are suspect, and returns the idle ones, to be dropped. The others are dropped
    /// when their calls return, unless they turn out to be [current](Self::is_current).
    fn begin_epoch(&mut self) -> Vec<Session> {
        self.epoch += 1;
        self.drop_idle()
    }

    /// Whether the connection of a session that has not failed may be used for another call.
    fn is_current(&self, session: &Session) -> bool {
        let is_same = matches!(session.server, Some(Server::Started(_))) && session.server == self.server;
        is_same || session.epoch == self.epoch
    }

    /// Notes what a connection has reached that was begun in an epoch, and returns the sessions to drop. `None`: it must
    /// not be used.
    fn admit(&mut self, begun: u64, server: Server, switches: bool, now: Instant) -> Option<Vec<Session>> {
        if self.server == Some(server) && (matches!(server, Server::Started(_)) || begun == self.epoch) {
            self.is_lost = false;
            return Some(Vec::new());
        }
        if begun != self.epoch || (!switches && !self.is_lost && self.server.is_some()) {
            return None;
        }
        let (before, was_lost) = (self.server.replace(server), mem::take(&mut self.is_lost));
        if before.is_none() {
            return Some(Vec::new());
        }
        if !was_lost {
            self.full_until = Some(now + PAUSE);
        }
        Some(self.begin_epoch())
    }
}

impl Turn<'_> {
    pub fn session(&mut self) -> Result<&mut Session> {
        self.session.as_mut().ok_or_else(Error::closed)
    }

    /// Whether its connection is still to be made, and there are others.
    pub fn is_extra(&self) -> bool {
        self.session.as_ref().is_some_and(|session| !session.is_connected()) && self.pool.lock().open > 1
    }

    /// Waits for another session, since the server lets this process have no more of them. If none returns in time, that
    /// is the error.
    pub fn exchange(&mut self, call: &mut Call, refused: Error) -> Result<()> {
        let mut state = self.pool.lock();
        state.full_until = Some(Instant::now() + PAUSE);
        *state.waiting(self.writes) += 1;
        drop(state);
        self.end();
        self.session = Some(self.pool.wait(call, self.writes, Some(refused))?);
        Ok(())
    }

    fn end(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        if self.pool.generation != generation() {
            mem::forget(session); // the parent's
            return;
        }
        // After a panic or an error in the midst of a flight, answers may still come.
        session.discard_if_flying();
        self.pool.take_back(session, self.writes, &self.pools.closed);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session for a call that does not wait.
    fn take(state: &mut State, writes: bool) -> Option<Session> {
        state.take(writes, true, Instant::now()).unwrap()
    }

    #[test]
    fn calls_one_after_the_other_have_one_session() {
        let (mut state, now) = (State::default(), Instant::now());
        for call in 0..20 {
            let session = take(&mut state, call % 2 == 0).unwrap();
            assert!(state.take_back(session, call % 2 == 0, true, now).is_empty());
        }
        assert_eq!((state.open, state.idle.len(), state.writing), (1, 1, 0));
    }

    #[test]
    fn writes_leave_a_session_to_reads() {
        let mut state = State::default();
        let mut writes: Vec<_> = (0..WRITES).map(|_| take(&mut state, true).unwrap()).collect();
        assert!(take(&mut state, true).is_none());
        let read = take(&mut state, false).unwrap();
        assert!(take(&mut state, false).is_none());
        assert_eq!(state.open, MOST);
        state.take_back(read, false, true, Instant::now());
        assert!(take(&mut state, true).is_none(), "the session that a read has given back");
        state.take_back(writes.pop().unwrap(), true, true, Instant::now());
        assert!(take(&mut state, true).is_some());
    }

    #[test]
    fn a_call_that_comes_leaves_a_session_to_one_that_waits() {
        let (mut state, now) = (State::default(), Instant::now());
        let mut all: Vec<_> = (0..MOST).map(|_| take(&mut state, false).unwrap()).collect();
        state.waiting_reads = 1;
        state.take_back(all.pop().unwrap(), false, true, now);
        assert!(take(&mut state, false).is_none());
        assert!(state.take(false, false, now).unwrap().is_some());
        // Only as many writes as may have one are waited for.
        (state.waiting_reads, state.waiting_writes, state.writing) = (0, 5, WRITES);
        state.take_back(all.pop().unwrap(), false, true, now);
        assert!(take(&mut state, false).is_some());
    }

    #[test]
    fn sessions_that_are_not_used_are_dropped_except_the_last() {
        let (mut state, now) = (State::default(), Instant::now());
        let all: Vec<_> = (0..MOST).map(|_| take(&mut state, false).unwrap()).collect();
        for session in all {
            assert!(state.take_back(session, false, true, now).is_empty());
        }
        let session = take(&mut state, false).unwrap();
        assert!(state.take_back(session, false, true, now + KEPT).is_empty());
        let session = take(&mut state, false).unwrap();
        let later = now + KEPT + Duration::from_millis(1);
        assert_eq!(state.take_back(session, false, true, later).len(), MOST - 1);
        assert_eq!((state.open, state.idle.len()), (1, 1));
    }

    /// A session whose connection has reached a server.
    fn connect(state: &mut State, server: Server) -> Session {
        let mut session = take(state, false).unwrap();
        assert_eq!(state.admit(state.epoch, server, true, Instant::now()).map(|dropped| dropped.len()), Some(0));
        (session.server, session.epoch) = (Some(server), state.epoch);
        session
    }

    #[test]
    fn sessions_of_a_server_that_was_replaced_are_dropped() {
        for [old, new] in [[Server::Started(1), Server::Started(2)], [Server::Host(0), Server::Host(1)]] {
            let (mut state, now) = (State::default(), Instant::now());
            let [idle, used, _] = [0; 3].map(|_| connect(&mut state, old));
            state.take_back(idle, false, true, now);
            assert!(state.is_current(&used));
            // A connection that is being made meanwhile may have reached the old one.
            let begun = state.epoch;
            assert_eq!(state.admit(begun, new, true, now).unwrap().len(), 1);
            assert!(!state.is_current(&used));
            assert_eq!((state.open, state.admit(begun, old, true, now).is_none()), (2, true));
            // No other is added at once: the next could reach the old one again.
            assert!(take(&mut state, false).is_none());
            assert!(state.take(false, true, now + PAUSE).unwrap().is_some());
        }
    }

    #[test]
    fn a_session_that_does_not_switch_leaves_the_others_at_their_server() {
        let (mut state, now) = (State::default(), Instant::now());
        let used = connect(&mut state, Server::Started(1));
        assert!(state.admit(state.epoch, Server::Started(2), false, now).is_none());
        assert!(state.is_current(&used));
        assert_eq!((state.server, state.full_until), (Some(Server::Started(1)), None));
        // After a loss, the others may be gone for good.
        state.is_lost = true;
        assert!(state.admit(state.epoch, Server::Started(2), false, now).is_some());
    }

    #[test]
    fn after_a_loss_a_session_that_works_is_kept_if_it_is_known_to_have_reached_the_same_server() {
        for (server, is_kept) in [(Server::Started(1), true), (Server::Host(0), false)] {
            let mut state = State::default();
            let used = connect(&mut state, server);
            let begun = state.epoch;
            state.begin_epoch();
            assert_eq!(state.is_current(&used), is_kept);
            assert_eq!(state.admit(begun, server, true, Instant::now()).is_some(), is_kept);
        }
    }
}
