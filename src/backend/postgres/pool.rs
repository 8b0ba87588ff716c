//! The connections of a store, and which call has which.
//!
//! - A call has a session to itself, as a [`Turn`], until it returns. It takes the one that was used last. If none is
//!   idle, it makes another one, or waits where there are [`MOST`]. So a program that never uses the store from two
//!   threads at once has one connection.
//! - Writes have all but one of them: a write may wait for a lock of others, and no read waits for that.
//! - First come, first served: each call has a ticket, and a session that becomes free is *promised* to the call that
//!   waits with the lowest one. But writes that can only wait for other writes let later reads pass.
//! - All are connected to the same server. When one was lost, the server may have restarted, so the idle ones are dropped
//!   too. When a new one has reached another server, all others are: the server that was replaced may still run, and has
//!   not seen what was written since. A read by a connection to it would return what was there before a write that was
//!   acknowledged. Where the new one may be the wrong server, it is dropped itself.
//! - A connection on which no answer came before the deadline counts as lost, although the server may only be slow. It
//!   looks the same if the server's machine is gone, or if the server was replaced and waits for its standby. If the idle
//!   connections were kept, the next calls would try them one after the other, and each would fail at its own deadline or
//!   read from the server that was replaced. If the server is only slow, dropping them costs at most three connects. (A
//!   call that has waited for a session until it has no time for an attempt does not begin one: no answer within a
//!   moment says nothing about the server.)
//!
//! No wake-up is lost. While the state is unlocked, no call waits for which there is room: whatever makes room calls
//! [`State::promise`] before it unlocks the state. That removes the first call from its queue, notes its ticket as promised,
//! and notifies the condition that only this call waits for. A call looks for its ticket before it sleeps, under the same
//! lock. If it is promised a session but its time is over, it passes the promise on before it returns. Only the end of a
//! pause makes room without a call: no call sleeps beyond it, and any call that wakes makes all promises that are due.
//!
//! A process may fork while another thread waits for the network with a session in its hands. In the child that thread
//! does not exist, and even the lock may be held. So a child makes a new pool. The old one is not freed, since the
//! connections in it are the parent's.

use std::collections::VecDeque;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::call::Call;
use super::session::{Server, Session};
use super::sockets::{generation, keep_inherited};
use crate::error::{Code, Error, Result};
use crate::fork;

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
    /// Notified when no call has a session, or waits for one, and none is being ended.
    unused: Condvar,
}

#[derive(Default)]
struct State {
    /// The sessions that no call has, and since when. The last one was used last.
    idle: Vec<(Session, Instant)>,
    /// How many sessions there are, with those that calls have.
    open: usize,
    /// How many of these writes have, or were promised.
    writing: usize,
    /// How many sessions, besides those, are being ended.
    ending: usize,
    /// How many calls have come.
    tickets: u64,
    /// The reads and the writes that wait, by their tickets.
    queues: [VecDeque<Waiter>; 2],
    /// The tickets of calls that waited. Each can take an idle session, or make one.
    promised: Vec<u64>,
    /// Counts how often the connections that there were became suspect.
    epoch: u64,
    /// What the newest connection has reached.
    server: Option<Server>,
    /// Whether a connection was lost since then.
    is_lost: bool,
    /// Until when none is added.
    full_until: Option<Instant>,
}

/// A call that waits for a session.
struct Waiter {
    ticket: u64,
    /// Notified when it is promised one, and when it may have to wake earlier.
    woken: Arc<Condvar>,
}

/// A session, for one call.
pub(super) struct Turn<'a> {
    pools: &'a Pools,
    pool: &'a Pool,
    writes: bool,
    ticket: u64,
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
        state.tickets += 1;
        let ticket = state.tickets;
        let session = match state.take(writes, Instant::now())? {
            Some(session) => session,
            None => {
                let woken = state.enqueue(writes, ticket);
                drop(state);
                pool.wait(call, writes, ticket, &woken, None)?
            }
        };
        Ok(Turn { pools: self, pool, writes, ticket, session: Some(session) })
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
        pool.discard(suspect);
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
            pool.discard(suspect);
        }
    }

    /// Ends all connections, once the calls in progress have returned. Later ones are refused. If this returns OK, none
    /// is open, except those of long calls, which are not in the pool: one of them may be waiting for this call.
    pub fn close(&self, call: &mut Call) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        let pool = self.pool();
        // From now on, one becomes idle only for a call that waits: see `take_back`.
        let idle = pool.lock().drop_idle();
        pool.discard(idle);
        let until = call.until();
        if call.outside(|| pool.wait_until_unused(until)) {
            // One that was kept for a call whose time was over.
            let idle = pool.lock().drop_idle();
            pool.discard(idle);
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
        // The idle connections end with it, if the store was not closed: see `Session::discard`.
        let _entered = fork::enter();
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
        let (state, unused) = (Mutex::default(), Condvar::new());
        Box::into_raw(Box::new(Pool { generation: generation(), state, unused }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until this call can have a session. It is in its queue already. `refused` is why it could not make one.
    fn wait(
        &self,
        call: &mut Call,
        writes: bool,
        ticket: u64,
        woken: &Condvar,
        refused: Option<Error>,
    ) -> Result<Session> {
        let end = call.last_start();
        let waited = call.outside(|| self.wait_until(end, writes, ticket, woken))?;
        waited.ok_or_else(|| {
            refused.unwrap_or_else(|| {
                let message = format!("other calls had all connections to the server for {:.1} s", call.seconds());
                Error::new(Code::Busy, message)
            })
        })
    }

    fn wait_until(&self, end: Instant, writes: bool, ticket: u64, woken: &Condvar) -> Result<Option<Session>> {
        let mut state = self.lock();
        let now = loop {
            let now = Instant::now();
            // A pause may be over.
            state.promise(now);
            if end <= now || state.promised.contains(&ticket) {
                break now;
            }
            let until = state.full_until.filter(|full| *full > now).map_or(end, |full| full.min(end));
            state = woken.wait_timeout(state, until - now).unwrap_or_else(PoisonError::into_inner).0;
        };
        let can_take = state.leave(writes, ticket) && now < end;
        let taken = if can_take { state.obtain(writes).map(Some) } else { Ok(None) };
        // What this call was promised, and has not taken, is for the next one.
        state.promise(now);
        self.note_unused(&state);
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

    /// Ends connections that nothing uses any more.
    fn discard(&self, sessions: Vec<Session>) {
        let count = sessions.len();
        if count > 0 {
            drop(sessions);
            let mut state = self.lock();
            state.ending -= count;
            self.note_unused(&state);
        }
    }

    fn note_unused(&self, state: &State) {
        if !state.is_used() {
            self.unused.notify_all();
        }
    }

    /// Takes back the session of a call.
    fn take_back(&self, mut session: Session, writes: bool, closed: &AtomicBool) {
        let mut state = self.lock();
        // Read while it is locked: `close` drops what is idle after it has set it.
        let closed = closed.load(Ordering::Acquire);
        // After that, only calls that wait already still use a connection.
        let is_open = !closed || state.is_awaited();
        let keeps = is_open && session.is_connected() && state.is_current(&session);
        session.epoch = state.epoch;
        let mut ended = state.take_back(session, writes, keeps, Instant::now());
        if !is_open {
            ended.extend(state.drop_idle());
        }
        drop(state);
        self.discard(ended);
    }
}

impl State {
    /// Whether calls have sessions or wait for one, or sessions are being ended.
    fn is_used(&self) -> bool {
        self.open > self.idle.len() || self.ending > 0 || self.is_awaited()
    }

    fn is_awaited(&self) -> bool {
        !self.promised.is_empty() || self.queues.iter().any(|queue| !queue.is_empty())
    }

    /// Whether there is a session for another call, idle or to be made, that was promised to none.
    fn has_room(&self, writes: bool, now: Instant) -> bool {
        let most = if self.full_until.is_some_and(|end| now < end) { 1 } else { MOST };
        let free = self.idle.len() + most.saturating_sub(self.open);
        free > self.promised.len() && !(writes && self.writing >= WRITES)
    }

    /// Takes a session for a call that comes. It passes none that waits: for those there is no room.
    fn take(&mut self, writes: bool, now: Instant) -> Result<Option<Session>> {
        self.promise(now);
        if self.has_room(writes, now) { self.obtain(writes).map(Some) } else { Ok(None) }
    }

    /// Takes the session that was used last, or makes one.
    fn obtain(&mut self, writes: bool) -> Result<Session> {
        let session = match self.idle.pop() {
            Some((session, _)) => session,
            None => {
                let session = Session::new()?;
                self.open += 1;
                session
            }
        };
        self.writing += usize::from(writes);
        Ok(session)
    }

    /// Lets a call wait. One that waits for the second time goes before those that came later.
    fn enqueue(&mut self, writes: bool, ticket: u64) -> Arc<Condvar> {
        let (queue, woken) = (&mut self.queues[usize::from(writes)], Arc::new(Condvar::new()));
        let at = queue.partition_point(|waiter| waiter.ticket < ticket);
        queue.insert(at, Waiter { ticket, woken: woken.clone() });
        woken
    }

    /// Promises sessions to calls that wait, as long as there is room.
    fn promise(&mut self, now: Instant) {
        loop {
            let firsts = [false, true].map(|writes| Some((self.queues[usize::from(writes)].front()?.ticket, writes)));
            let first = firsts.into_iter().flatten().filter(|(_, writes)| self.has_room(*writes, now)).min();
            let Some((ticket, writes)) = first else { return };
            self.promised.push(ticket);
            self.writing += usize::from(writes);
            if let Some(waiter) = self.queues[usize::from(writes)].pop_front() {
                waiter.woken.notify_one();
            }
        }
    }

    /// Ends the wait of a call, and returns whether it was promised a session.
    fn leave(&mut self, writes: bool, ticket: u64) -> bool {
        self.queues[usize::from(writes)].retain(|waiter| waiter.ticket != ticket);
        let Some(at) = self.promised.iter().position(|promised| *promised == ticket) else { return false };
        self.promised.swap_remove(at);
        self.writing -= usize::from(writes);
        true
    }

    /// Lets no connection be added for a moment.
    fn pause(&mut self, now: Instant) {
        self.full_until = Some(now + PAUSE);
        // Calls that wait already look again when it is over.
        self.queues.iter().flatten().for_each(|waiter| waiter.woken.notify_one());
    }

    /// Takes back a session, to keep it or not, and returns those that are to be dropped.
    fn take_back(&mut self, session: Session, writes: bool, keeps: bool, now: Instant) -> Vec<Session> {
        self.writing -= usize::from(writes);
        let ended = if keeps {
            self.idle.push((session, now));
            let unused = self.idle.iter().take_while(|(_, since)| now.saturating_duration_since(*since) > KEPT).count();
            self.idle.drain(..unused).map(|(session, _)| session).collect()
        } else {
            vec![session]
        };
        self.begin_ending(ended.len());
        self.promise(now);
        ended
    }

    /// Takes out the idle sessions, to be dropped. A call that was promised one of them makes another one.
    fn drop_idle(&mut self) -> Vec<Session> {
        self.begin_ending(self.idle.len());
        mem::take(&mut self.idle).into_iter().map(|(session, _)| session).collect()
    }

    fn begin_ending(&mut self, count: usize) {
        self.open -= count;
        self.ending += count;
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
            self.pause(now);
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
        state.pause(Instant::now());
        let woken = state.enqueue(self.writes, self.ticket);
        drop(state);
        self.end();
        self.session = Some(self.pool.wait(call, self.writes, self.ticket, &woken, Some(refused))?);
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
mod tests;
