use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use super::*;
use crate::backend::postgres::connection::Connection;
use crate::backend::postgres::libpq::{Conn, Libpq};
use crate::fork;

/// A session for a call that does not wait.
fn take(state: &mut State, writes: bool) -> Option<Session> {
    state.take(writes, Instant::now()).unwrap()
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
fn a_session_that_returns_is_promised_to_the_call_that_came_first() {
    let (mut state, now) = (State::default(), Instant::now());
    let mut all: Vec<_> = (0..MOST).map(|_| take(&mut state, false).unwrap()).collect();
    for (ticket, writes) in [(2, true), (3, false), (4, true), (1, false)] {
        state.enqueue(writes, ticket);
    }
    for promised in [&[1][..], &[1, 2]] {
        state.take_back(all.pop().unwrap(), false, true, now);
        assert_eq!(state.promised, promised);
        assert!(take(&mut state, false).is_none(), "a call that comes");
    }
    assert_eq!((state.idle.len(), state.writing), (2, 1));
    // A call that is late passes on its promise.
    assert!(state.leave(true, 2));
    state.promise(now);
    assert_eq!((&state.promised[..], state.writing), (&[1, 3][..], 0));
    // One that is in the queue leaves it.
    assert!(!state.leave(true, 4) && !state.leave(true, 4));
    assert!(state.leave(false, 1) && state.leave(false, 3));
    assert!(!state.is_awaited());
}

#[test]
fn writes_that_wait_for_other_writes_let_reads_pass() {
    let (mut state, now) = (State::default(), Instant::now());
    let mut writes: Vec<_> = (0..WRITES).map(|_| take(&mut state, true).unwrap()).collect();
    (1..=5).for_each(|ticket| drop(state.enqueue(true, ticket)));
    let read = take(&mut state, false).unwrap();
    state.enqueue(false, 6);
    state.take_back(read, false, true, now);
    assert_eq!((&state.promised[..], state.queues[1].len()), (&[6][..], 5));
    // The next session is for a write, which has waited longer than the next read.
    state.enqueue(false, 7);
    state.take_back(writes.pop().unwrap(), true, true, now);
    assert_eq!((&state.promised[..], state.writing), (&[6, 1][..], WRITES));
}

#[test]
fn a_promise_is_kept_if_the_idle_sessions_are_dropped() {
    let (mut state, now) = (State::default(), Instant::now());
    let mut all: Vec<_> = (0..MOST).map(|_| take(&mut state, false).unwrap()).collect();
    state.enqueue(false, 1);
    state.take_back(all.pop().unwrap(), false, true, now);
    assert_eq!(state.begin_epoch().len(), 1);
    assert!(take(&mut state, false).is_none());
    assert!(state.leave(false, 1));
    state.obtain(false).unwrap();
    assert_eq!((state.open, state.ending), (MOST, 1));
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
        assert!(state.take(false, now + PAUSE).unwrap().is_some());
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

// ---- Pools, with threads and connections that lead nowhere

const MINUTE: Duration = Duration::from_secs(60);

fn turn(pools: &Pools, writes: bool) -> Turn<'_> {
    pools.turn(&mut Call::begin(MINUTE), writes).unwrap()
}

fn wait_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::yield_now();
    }
}

fn waiting(pools: &Pools) -> usize {
    let state = pools.pool().lock();
    state.queues.iter().map(VecDeque::len).sum()
}

/// The connections of a test.
#[derive(Default)]
struct Network {
    open: AtomicUsize,
    /// How many were ended where a fork could come in between.
    ended_outside: AtomicUsize,
}

impl Network {
    fn new() -> &'static Network {
        Box::leak(Box::default())
    }

    fn turn<'a>(&'static self, pools: &'a Pools, writes: bool) -> Turn<'a> {
        let mut turn = turn(pools, writes);
        self.connect(&mut turn);
        turn
    }

    /// Makes the connection of a session, if there is none.
    fn connect(&'static self, turn: &mut Turn<'_>) {
        /// The server takes a moment.
        unsafe extern "C" fn finish(conn: *mut Conn) {
            // SAFETY: the pointer is that of `Connection::of_test` below.
            let network = unsafe { &*conn.cast::<Network>() };
            network.ended_outside.fetch_add(usize::from(!fork::is_entered()), SeqCst);
            std::thread::sleep(Duration::from_millis(5));
            network.open.fetch_sub(1, SeqCst);
        }
        static LIBPQ: OnceLock<Libpq> = OnceLock::new();
        let session = turn.session().unwrap();
        if !session.is_connected() {
            let libpq = LIBPQ.get_or_init(|| Libpq::that_ends(finish));
            session.set_connection(Connection::of_test(libpq, ptr::from_ref(self).cast_mut().cast()));
            self.open.fetch_add(1, SeqCst);
        }
    }
}

/// Ends turns as calls do.
fn end(turns: impl IntoIterator<Item = impl Sized>) {
    let _entered = fork::enter();
    drop(turns.into_iter().collect::<Vec<_>>());
}

#[test]
fn a_call_that_comes_is_behind_those_that_wait() {
    const WAIT: usize = 5;
    for (connects, writes) in [(true, false), (true, true), (false, false), (false, true)] {
        let (pools, order, network) = (Pools::new(), Mutex::new(Vec::new()), Network::new());
        let begin = || if connects { network.turn(&pools, false) } else { turn(&pools, false) };
        let mut turns: Vec<_> = (0..MOST).map(|_| begin()).collect();
        let call = |number| {
            let turn = turn(&pools, writes);
            order.lock().unwrap().push(number);
            end([turn]);
        };
        std::thread::scope(|scope| {
            for number in 0..WAIT {
                scope.spawn(move || call(number));
                wait_until(|| waiting(&pools) == number + 1);
            }
            end(turns.pop());
            call(WAIT);
        });
        end(turns);
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
    }
}

#[test]
fn a_call_whose_time_is_over_is_no_longer_in_the_way() {
    let pools = Pools::new();
    let mut turns: Vec<_> = (0..MOST).map(|_| turn(&pools, false)).collect();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| pools.turn(&mut Call::begin(Duration::ZERO), true).err().unwrap().code());
        wait_until(|| waiting(&pools) == 1 || first.is_finished());
        let second = scope.spawn(|| end([turn(&pools, true)]));
        assert_eq!(first.join().unwrap(), Code::Busy);
        end(turns.pop());
        second.join().unwrap();
    });
    end(turns);
}

#[test]
fn a_call_that_has_no_time_for_an_attempt_passes_its_promise_on() {
    let pools = Pools::new();
    let pool = pools.pool();
    let mut turns: Vec<_> = (0..MOST).map(|_| turn(&pools, false)).collect();
    std::thread::scope(|scope| {
        let next = scope.spawn(|| end([turn(&pools, true)]));
        wait_until(|| waiting(&pools) == 1);
        // One that came earlier wakes late.
        let woken = pool.lock().enqueue(true, 0);
        end(turns.pop());
        assert_eq!(pool.lock().promised, [0]);
        let mut call = Call::begin(Duration::ZERO);
        std::thread::sleep(call.last_start().saturating_duration_since(Instant::now()));
        assert_eq!(pool.wait(&mut call, true, 0, &woken, None).err().unwrap().code(), Code::Busy);
        drop(call);
        next.join().unwrap();
    });
    end(turns);
    assert_eq!(pool.lock().writing, 0);
}

/// If a wake-up got lost, a call would wait for its whole time.
#[test]
fn each_call_of_many_threads_has_its_turn() {
    let (pools, network) = (Pools::new(), Network::new());
    std::thread::scope(|scope| {
        for thread in 0..12 {
            let (pools, network) = (&pools, network);
            scope.spawn(move || {
                for call in 0..200 {
                    let number = thread * 7 + call;
                    // Some have too little time, and are gone when it is their turn.
                    let time = if number % 11 == 0 { Duration::ZERO } else { MINUTE };
                    let turn = pools.turn(&mut Call::begin(time), number % 3 == 0);
                    assert!(turn.is_ok() || time.is_zero());
                    let Ok(mut turn) = turn else { continue };
                    // The connection of some is lost.
                    if number % 50 == 0 {
                        let _entered = fork::enter();
                        pools.lost(turn.session().unwrap());
                        turn.session().unwrap().discard();
                    } else {
                        network.connect(&mut turn);
                    }
                    end([turn]);
                }
            });
        }
    });
    let state = pools.pool().lock();
    assert_eq!((state.open, state.writing, state.is_used()), (state.idle.len(), 0, false));
    drop(state);
    assert_eq!((network.ended_outside.load(SeqCst), waiting(&pools)), (0, 0));
}

#[test]
fn calls_that_wait_go_on_when_connections_may_be_added_again() {
    for refused in [true, false] {
        let pools = Pools::new();
        let mut turns: Vec<_> = (0..MOST).map(|_| turn(&pools, false)).collect();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| end([turn(&pools, false)]));
            wait_until(|| waiting(&pools) == 1);
            if refused {
                let refused = Error::new(Code::Busy, "too many connections");
                turns[0].exchange(&mut Call::begin(MINUTE), refused).unwrap();
            } else {
                pools.pool().lock().pause(Instant::now());
            }
            end(turns.pop());
            waits.join().unwrap();
        });
        end(turns);
    }
}

#[test]
fn no_connection_is_open_when_a_store_has_closed() {
    let (pools, network) = (Pools::new(), Network::new());
    let turns: Vec<_> = (0..MOST).map(|_| network.turn(&pools, false)).collect();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let turn = turn(&pools, false);
            // It makes another connection, but ends before that.
            end([turn]);
        });
        wait_until(|| waiting(&pools) == 1);
        let closed = scope.spawn(|| {
            pools.close(&mut Call::begin(MINUTE)).unwrap();
            network.open.load(SeqCst)
        });
        wait_until(|| pools.closed.load(SeqCst));
        turns.into_iter().for_each(|turn| end([turn]));
        waits.join().unwrap();
        assert_eq!(closed.join().unwrap(), 0);
    });
    assert_eq!(network.ended_outside.load(SeqCst), 0);
}

#[test]
fn a_store_that_is_closed_again_has_closed_only_if_no_call_is_left() {
    let (pools, network) = (Pools::new(), Network::new());
    let turn = network.turn(&pools, true);
    let close = || pools.close(&mut Call::begin(Duration::ZERO)).map_err(|error| error.code());
    assert_eq!([close(), close()], [Err(Code::Busy), Err(Code::Busy)]);
    end([turn]);
    assert_eq!((close(), network.open.load(SeqCst)), (Ok(()), 0));
}

#[test]
fn connections_of_a_store_that_is_freed_end_before_a_fork() {
    let (pools, network) = (Pools::new(), Network::new());
    end([network.turn(&pools, false), network.turn(&pools, true)]);
    drop(pools);
    assert_eq!((network.open.load(SeqCst), network.ended_outside.load(SeqCst)), (0, 0));
}
