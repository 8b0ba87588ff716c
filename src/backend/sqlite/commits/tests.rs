use std::sync::mpsc;
use std::thread;

use super::super::connection::{Connection, Opening};
use super::super::opened::OpenedFile;
use super::*;
use crate::types::Durability;

const FOR_EVER: Duration = Duration::from_secs(60);

pub(in super::super) fn open(file: &OpenedFile) -> Connection {
    let again = Opening::again(Durability::Normal, Duration::ZERO, false);
    Connection::open(file, Opening { create: true, ..again }).unwrap()
}

pub(in super::super) fn put(connection: &Connection) {
    let put = "INSERT OR REPLACE INTO kv (namespace, key, value) VALUES ('n', 'k', randomblob(9))";
    connection.sqlite.execute(put, ()).unwrap();
}

/// Commits to the file, as another process would.
fn commit(file: &OpenedFile) {
    let connection = open(file);
    put(&connection);
    wake(connection.index.unwrap());
}

fn with_file(test: impl FnOnce(&OpenedFile, Connection)) {
    let folder = tempfile::tempdir().unwrap();
    let file = OpenedFile::new(folder.path().join("kv.db"), false);
    let connection = open(&file);
    test(&file, connection);
}

#[test]
#[cfg(target_os = "linux")]
fn a_wait_ends_with_the_next_commit() {
    with_file(|file, connection| {
        let index = connection.index.unwrap();
        let ((ready, is_ready), (done, is_done)) = (mpsc::channel(), mpsc::channel());
        thread::spawn(move || {
            begin(index);
            ready.send(()).unwrap();
            wait(FOR_EVER, FOR_EVER);
            done.send(())
        });
        is_ready.recv().unwrap();
        thread::sleep(Duration::from_millis(20)); // most likely it waits now
        commit(file);
        is_done.recv_timeout(FOR_EVER / 2).unwrap();
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_commit_between_the_note_and_the_wait_is_not_missed() {
    with_file(|file, connection| {
        begin(connection.index.unwrap());
        thread::scope(|scope| scope.spawn(|| commit(file)).join()).unwrap();
        let begun = Instant::now();
        wait(FOR_EVER, FOR_EVER);
        assert!(begun.elapsed() < FOR_EVER / 2);
    });
}

/// How many waits a call makes, beside others that commit and wake nobody, until it tries to write.
fn waits_beside(connection: &Connection) -> u32 {
    let index = connection.index.unwrap();
    begin(index);
    let mut waits = 0;
    loop {
        wait(SHORTEST, FOR_EVER);
        waits += 1;
        put(connection);
        assert!(begin(index));
        if !goes_on_waiting(true) {
            return waits;
        }
    }
}

#[test]
fn a_wait_does_not_depend_on_a_wake_of_those_that_commit() {
    with_file(|_, connection| {
        let (index, begun) = (connection.index.unwrap(), Instant::now());
        // It tries all the same, and after a while it knows that nobody wakes it.
        let waits = [(); 4].map(|()| {
            end_call();
            waits_beside(&connection)
        });
        assert_eq!(waits, if CAN_WAKE { [5, 3, 1, 1] } else { [1; 4] });
        // It tries as soon as nobody commits.
        wait(SHORTEST, FOR_EVER);
        begin(index);
        assert!(!goes_on_waiting(true));
        assert!(begun.elapsed() < FOR_EVER / 2);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_thread_that_is_woken_again_knows_of_turns_again() {
    with_file(|_, connection| {
        let index = connection.index.unwrap();
        WAITER.with(|waiter| waiter.unwoken.set(IN_VAIN));
        assert_eq!(waits_beside(&connection), 1);
        end_call();
        let begun = Instant::now();
        let has_waited = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !has_waited.load(std::sync::atomic::Ordering::Relaxed) && begun.elapsed() < FOR_EVER {
                    wake(index);
                }
            });
            while WAITER.with(|waiter| waiter.unwoken.get()) > 0 && begun.elapsed() < FOR_EVER {
                begin(index);
                wait(FOR_EVER, Duration::from_millis(100));
            }
            has_waited.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        end_call();
        assert_eq!(waits_beside(&connection), 5);
    });
}

#[test]
fn a_wait_is_as_long_as_what_is_known_of_others_allows() {
    const STEP: Duration = Duration::from_millis(25);
    let turn = Duration::from_millis(6);
    let time = |others, [timeouts, unwoken]: [u32; 2], left| {
        WAITER.with(|waiter| {
            waiter.patience.set((1, turn));
            waiter.others.set(others);
            waiter.timeouts.set(timeouts);
            waiter.unwoken.set(unwoken);
            [waiter.time(1, STEP, left), waiter.time(2, STEP, left)]
        })
    };
    // Where it knows of turns, and at another file.
    assert_eq!(time(Others::Unknown, [0, 0], FOR_EVER), [(turn, false), (STEP, true)]);
    assert_eq!(time(Others::Commit, [0, 0], FOR_EVER), [(turn, false), (SHORTEST, false)]);
    assert_eq!(time(Others::Commit, [1, 1], FOR_EVER), [(SHORTEST, false); 2]);
    assert_eq!(time(Others::Commit, [2, 2], FOR_EVER), [(turn, false), (SHORTEST, false)]);
    assert_eq!(time(Others::Rest, [2, 2], FOR_EVER), [(STEP, true); 2]);
    // Nobody wakes it.
    assert_eq!(time(Others::Commit, [0, IN_VAIN], FOR_EVER), [(LONGEST, true); 2]);
    // A call with little time tries several times within it.
    let left = Duration::from_millis(8);
    assert_eq!(time(Others::Unknown, [0, 0], left), [(left / 4, false), (STEP, true)]);
    assert_eq!(time(Others::Commit, [0, 0], left), [(left / 4, false), (SHORTEST, false)]);
}

#[test]
fn a_call_whose_time_is_over_tries_once_more() {
    with_file(|_, connection| {
        let index = connection.index.unwrap();
        begin(index);
        wait(SHORTEST, SHORTEST);
        put(&connection);
        begin(index);
        assert!(!goes_on_waiting(true));
    });
}

#[test]
fn a_call_that_never_came_back_to_the_file_ends_all_the_same() {
    with_file(|_, connection| {
        let index = connection.index.unwrap();
        begin(index);
        wait(Duration::ZERO, Duration::ZERO);
        end_call();
        assert!(!begin(index));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_wait_is_several_times_as_long_as_the_turn_before() {
    const TURN: Duration = Duration::from_millis(2);
    const STEP: Duration = Duration::from_micros(1);
    with_file(|_, connection| {
        let (index, started) = (connection.index.unwrap(), Instant::now());
        let timed = |step, left| {
            assert!(started.elapsed() < FOR_EVER / 2);
            let begun = Instant::now();
            begin(index);
            wait(step, left);
            end_call();
            begun.elapsed()
        };
        // Nothing is known of turns.
        while timed(STEP, FOR_EVER) >= TURN {}
        // It is woken after a turn, unless the machine is so slow that the wake comes before the wait.
        let waits_long = || {
            let turn = thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(TURN);
                    wake(index);
                });
                WAITER.with(|waiter| waiter.patience.set((0, Duration::ZERO)));
                timed(40 * TURN, FOR_EVER)
            });
            WAITER.with(|waiter| waiter.patience(index.commits().addr().get())) > 3 * turn
        };
        while !waits_long() {}
        assert!(timed(STEP, Duration::ZERO) < FOR_EVER / 2);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_thread_that_knows_of_turns_waits_although_it_has_missed_a_commit() {
    with_file(|_, connection| {
        let index = connection.index.unwrap();
        let misses = || {
            put(&connection);
            wait(FOR_EVER, FOR_EVER);
            begin(index);
            goes_on_waiting(true)
        };
        begin(index);
        assert!(!misses());
        WAITER.with(|waiter| waiter.patience.set((index.commits().addr().get(), SHORTEST)));
        // It tries again all the same, now and then.
        assert_eq!((0..10).filter(|_| misses()).count(), 8);
    });
}

#[test]
fn a_wait_ends_with_its_time_also_if_the_connection_is_closed() {
    with_file(|_, connection| {
        const TIME: Duration = Duration::from_millis(20);
        begin(connection.index.unwrap());
        let begun = Instant::now();
        wait(FOR_EVER, TIME);
        begin(connection.index.unwrap());
        connection.close().unwrap();
        wait(FOR_EVER, TIME);
        wait(FOR_EVER, TIME); // without a note
        assert!((3 * TIME..FOR_EVER / 2).contains(&begun.elapsed()));
    });
}
