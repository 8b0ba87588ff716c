//! How many connections a store has, and which call uses which.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use luat_kv::{Code, PutOptions, Store};

use super::relay::Relay;
use super::{Transaction, database, open, sql};

/// As in src/backend/postgres/pool.rs.
const MOST: usize = 4;

/// How many connections stores have to a database.
fn connections(url: &str) -> usize {
    let own =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'luat_kv'";
    sql(url, own).parse().unwrap()
}

/// Waits until something is so.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
    }
}

/// Waits until so many statements wait for locks.
fn wait_for_locked(url: &str, count: usize) {
    let locked =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    wait_until(&format!("{count} statements wait"), || sql(url, locked) == count.to_string());
}

/// Lets a store have as many connections as it may have.
fn fill(store: &Store, url: &str) {
    let a = store.namespace("fill").unwrap();
    a.put("k", "v").unwrap();
    let other = Transaction::begin(url, "LOCK TABLE luat_kv.kv");
    std::thread::scope(|scope| {
        (0..MOST).for_each(|_| _ = scope.spawn(|| a.get("k").unwrap().unwrap()));
        wait_for_locked(url, MOST);
        other.end();
    });
    assert_eq!(connections(url), MOST);
}

#[test]
fn reads_do_not_wait_for_writes_that_wait_for_a_lock() {
    let url = database();
    let store = open(&url);
    let a = store.namespace("a").unwrap();
    a.put("k", "before").unwrap();
    let other = Transaction::begin(&url, "SELECT FROM luat_kv.kv FOR UPDATE");
    std::thread::scope(|scope| {
        let writes: Vec<_> = (0..8).map(|_| scope.spawn(|| a.put("k", "after"))).collect();
        wait_for_locked(&url, MOST - 1);
        assert_eq!(a.get("k").unwrap().unwrap(), b"before");
        assert_eq!(a.count("").unwrap(), 1);
        assert_eq!(connections(&url), MOST);
        other.end();
        writes.into_iter().for_each(|write| _ = write.join().unwrap().unwrap());
    });
    assert_eq!(a.get("k").unwrap().unwrap(), b"after");
    assert_eq!(connections(&url), MOST);
}

#[test]
fn a_thread_alone_has_one_connection() {
    let url = database();
    let store = open(&url);
    let a = store.namespace("a").unwrap();
    for n in 0..20 {
        a.put_with("k", "v", &PutOptions::new().ttl(100)).unwrap();
        a.incr("n", 1).unwrap();
        let mut batch = store.batch();
        batch.check(&a, "none", None).unwrap().put(&a, &n.to_string(), "v").unwrap();
        batch.commit().unwrap().unwrap();
        assert_eq!(a.count("").unwrap(), n + 3);
        store.sweep(None).unwrap();
    }
    assert_eq!(connections(&url), 1);
}

#[test]
fn threads_have_no_more_connections_than_a_store_may_have() {
    let url = database();
    let store = open(&url);
    fill(&store, &url);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let a = store.namespace("a").unwrap();
            scope.spawn(move || (0..100).for_each(|_| _ = a.incr("n", 1).unwrap()));
        }
    });
    assert_eq!(store.namespace("a").unwrap().get("n").unwrap().unwrap(), b"800");
    assert_eq!(connections(&url), MOST);
}

#[test]
fn a_server_that_has_no_other_connection_serves_all_threads_with_one() {
    let url = database();
    open(&url);
    let role = sql(&url, "SELECT 'limited_' || current_database()");
    sql(&url, &format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT 1"));
    sql(&url, &format!("GRANT USAGE ON SCHEMA luat_kv TO {role}"));
    sql(&url, &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA luat_kv TO {role}"));
    let store = open(&url.replacen("postgres@", &format!("{role}@"), 1));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let a = store.namespace("a").unwrap();
            scope.spawn(move || (0..50).for_each(|_| _ = a.incr("n", 1).unwrap()));
        }
    });
    assert_eq!(store.namespace("a").unwrap().get("n").unwrap().unwrap(), b"400");
    assert_eq!(connections(&url), 1);
    // If the one is not free in time, the server's words say why there is no other one.
    let other = Transaction::begin(&url, "SELECT FROM luat_kv.kv FOR UPDATE");
    let patient = store.namespace("a").unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| patient.incr("n", 1));
        wait_for_locked(&url, 1);
        let error = patient.get("n").unwrap_err();
        assert_eq!(error.code(), Code::Busy, "{error}");
        assert!(error.message().contains("too many connections for role"), "{error}");
        other.end();
        _ = waits.join().unwrap();
    });
}

#[test]
fn a_restart_costs_one_attempt_for_all_connections_of_a_store() {
    let url = database();
    let relay = Relay::to(&url);
    let store = open(&relay.url);
    fill(&store, &url);
    relay.restarts.fetch_add(1, SeqCst);
    let a = store.namespace("a").unwrap();
    assert_eq!(a.incr("n", 1).unwrap(), 1);
    fill(&store, &url);
    (0..20).for_each(|_| _ = a.incr("n", 1).unwrap());
    assert_eq!(relay.ended.load(SeqCst), 1);
}

#[test]
fn a_store_closes_when_its_calls_have_returned() {
    let url = database();
    let store = open(&url);
    let a = store.namespace("a").unwrap();
    fill(&store, &url);
    a.put("k", "before").unwrap();
    let other = Transaction::begin(&url, "SELECT FROM luat_kv.kv FOR UPDATE");
    std::thread::scope(|scope| {
        let writes: Vec<_> = (1..MOST).map(|_| scope.spawn(|| a.put("k", "after"))).collect();
        wait_for_locked(&url, MOST - 1);
        let closed = scope.spawn(|| store.close());
        wait_until("the idle connection has ended", || connections(&url) < MOST);
        assert_eq!(a.get("k").unwrap_err().code(), Code::Invalid);
        other.end();
        closed.join().unwrap().unwrap();
        writes.into_iter().for_each(|write| _ = write.join().unwrap().unwrap());
    });
    wait_until("all connections have ended", || connections(&url) == 0);
    assert_eq!(open(&url).namespace("a").unwrap().get("k").unwrap().unwrap(), b"after");
}
