//! Servers that refuse: no space, no connection, no right, a lock; and clients whose clock is wrong.

use std::net::TcpListener;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use luat_kv::{Code, OpenOptions, PutOptions, Result, Store};

use super::clocks::clocks;
use super::control::Control;
use super::operations::{OPERATIONS, Operation, prepare};
use crate::support::{Rng, Run, end_if_it_hangs};

const IMPATIENT: Duration = Duration::from_millis(500);
const PATIENT: Duration = Duration::from_secs(60);

pub fn suite(run: &mut Run) -> ExitCode {
    end_if_it_hangs();
    let mut control = Control::start(&[]);
    no_right_to_create(run, &mut control);
    run.test("a role that may not create the tables is told the SQL for it, and then has all rights");
    foreign_tables(run, &mut control);
    run.test("tables of another program in the schema: an error that says so, and nothing is changed");
    rights(run, &mut control);
    run.test("a role that loses its rights: the error says so, and the rights are enough again when they are back");
    locked(run, &mut control);
    run.test("a lock of another client: a write is BUSY when the timeout is over, and reads go on");
    deadlocks(run, &mut control);
    run.test("batches, removals, imports and sweeps on the same keys do not fail by deadlocks");
    clocks(run, &mut control);
    run.test(
        "a client whose clock is an hour off sees the server's times, and stores none that is over by either clock",
    );
    passwords(run, &mut control);
    run.test("no password, or a wrong one: IO at once");
    certificates(run);
    run.test("a server without TLS, or with the certificate of another one: IO at once");
    hosts(run);
    run.test("no host that can be reached: the error names each with its reason");
    let mut control = Control::start(&["max_connections=6", "superuser_reserved_connections=3"]);
    connections(run, &mut control);
    run.test("too many connections: BUSY when the timeout is over, and a free one is taken");
    let mut control = Control::start(&[]);
    match control.tries("disk 32m") {
        Ok(url) => {
            full_disk(run, &mut control, &url);
            run.test("a full disk: an error with the server's words, and nothing is lost");
        }
        Err(why) => run.skip("a full disk: an error with the server's words, and nothing is lost", &why),
    }
    run.done("done")
}

fn open(url: &str, timeout: Duration) -> Store {
    Store::open_url(url, &OpenOptions::new().busy_timeout(timeout)).expect("a store")
}

/// Complains unless a call failed with a code, in the server's words, and within the busy timeout.
fn refused<T: std::fmt::Debug>(run: &mut Run, what: &str, returned: Result<T>, codes: &[Code], words: &str) {
    match returned {
        Err(error) if codes.contains(&error.code()) && error.message().contains(words) => {}
        other => run.complain(format!("{what} gave {other:?} and not {codes:?} with {words:?}")),
    }
}

fn timed<T>(run: &mut Run, what: &str, call: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let returned = call();
    let took = begun.elapsed();
    if took > IMPATIENT + Duration::from_millis(500) {
        run.complain(format!("{what} took {took:?}"));
    }
    returned
}

/// The error contains what an owner has to run, for just this role.
fn no_right_to_create(run: &mut Run, control: &mut Control) {
    for (role, quoted) in [("site", "site"), ("Our-Site", "\"Our-Site\"")] {
        control.ask(&format!("sql CREATE ROLE {quoted} LOGIN"));
        let url = control.ask("url").replacen("postgres@", &format!("{role}@"), 1);
        let opened = Store::open_url(&url, &OpenOptions::new().busy_timeout(IMPATIENT));
        let Err(error) = opened else { return run.complain("a role without rights has opened a store") };
        refused(run, "open", Err::<(), _>(error.clone()), &[Code::Io], "permission denied");
        let grant = format!("GRANT CREATE ON DATABASE kv TO {quoted}, or");
        refused(run, "open", Err::<(), _>(error.clone()), &[Code::Io], &grant);
        let (_, script) = error.message().split_once("let an owner run: ").unwrap_or_default();
        control.ask(&format!("sql {script}"));
        match Store::open_url(&url, &OpenOptions::new().busy_timeout(IMPATIENT)) {
            Ok(store) => uses(run, &store),
            Err(error) => run.complain(format!("with the rights that the error has asked for: {error}")),
        }
        control.ask(&format!("sql REVOKE ALL ON ALL TABLES IN SCHEMA luat_kv FROM {quoted}"));
        let opened = Store::open_url(&url, &OpenOptions::new().busy_timeout(IMPATIENT));
        let grant = format!("DELETE ON ALL TABLES IN SCHEMA luat_kv TO {quoted}");
        refused(run, "open without rights to the tables", opened, &[Code::Io], &grant);
        control.ask("sql DROP SCHEMA luat_kv CASCADE");
    }
}

/// Carries out each operation.
fn uses(run: &mut Run, store: &Store) {
    for operation in OPERATIONS {
        let returned = prepare(store).and_then(|namespace| (operation.run)(&namespace));
        if returned.as_deref() != Ok(operation.returns) {
            run.complain(format!("{}: {returned:?}", operation.name));
        }
    }
}

/// Tables of another program, in a schema or under names of this library.
fn foreign_tables(run: &mut Run, control: &mut Control) {
    let url = control.ask("url");
    for tables in [
        "CREATE TABLE luat_kv.kv (id int, name text); INSERT INTO luat_kv.kv VALUES (1, 'mine')",
        "CREATE TABLE luat_kv.kv (id int); CREATE TABLE luat_kv.format (name text); INSERT INTO luat_kv.kv VALUES (1)",
        "CREATE TABLE luat_kv.other (id int); CREATE INDEX kv_expiration ON luat_kv.other (id)",
    ] {
        control.ask(&format!("sql CREATE SCHEMA luat_kv; {tables}"));
        let contents = "sql SELECT query_to_xml('SELECT * FROM luat_kv.kv', true, false, '')";
        let all = "sql SELECT string_agg(c.relname, ' ' ORDER BY c.oid) FROM pg_class AS c WHERE relnamespace = \
                   'luat_kv'::regnamespace";
        let state = |control: &mut Control| (control.tries(contents), control.ask(all));
        let before = state(control);
        let opened = Store::open_url(&url, &OpenOptions::new().busy_timeout(IMPATIENT));
        refused(run, tables, opened, &[Code::Corrupt], "the schema luat_kv of the database belongs to another program");
        let only_reads = OpenOptions::new().busy_timeout(IMPATIENT).readonly(true);
        refused(run, tables, Store::open_url(&url, &only_reads), &[Code::Io], "the database has no store yet");
        if state(control) != before {
            run.complain(format!("{tables}: they have changed"));
        }
        control.ask("sql DROP SCHEMA luat_kv CASCADE");
    }
}

fn rights(run: &mut Run, control: &mut Control) {
    let url = control.ask("url");
    let owner = open(&url, IMPATIENT);
    control.ask("sql GRANT USAGE ON SCHEMA luat_kv TO site");
    let all = "sql GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA luat_kv TO site";
    control.ask(all);
    let store = open(&url.replacen("postgres@", "site@", 1), IMPATIENT);
    let each = |run: &mut Run, when: &str, may: fn(&Operation) -> bool| {
        for operation in OPERATIONS {
            let namespace = prepare(&owner).expect("to prepare a namespace");
            let same = store.namespace(namespace.name()).expect("the same namespace");
            let what = format!("{} {when}", operation.name);
            let returned = timed(run, &what, || (operation.run)(&same));
            if !may(operation) {
                refused(run, &what, returned, &[Code::Io, Code::ReadOnly], "permission denied");
            } else if returned.as_deref() != Ok(operation.returns) {
                run.complain(format!("{what}: {returned:?}"));
            }
        }
    };
    each(run, "with all rights", |_| true);
    control.ask("sql REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA luat_kv FROM site");
    each(run, "with the right to read", |operation| {
        matches!(operation.name, "get" | "has" | "get_many" | "list" | "count" | "export")
    });
    control.ask("sql REVOKE ALL ON ALL TABLES IN SCHEMA luat_kv FROM site");
    each(run, "without rights", |_| false);
    control.ask(all);
    each(run, "with all rights again", |_| true);
}

fn locked(run: &mut Run, control: &mut Control) {
    let store = open(&control.ask("url"), IMPATIENT);
    let namespace = prepare(&store).expect("to prepare a namespace");
    control.ask("lock");
    for operation in OPERATIONS.iter().filter(|operation| operation.leaves.is_some()) {
        if matches!(operation.name, "add" | "incr of a missing key") {
            continue; // they concern no row that is locked
        }
        let returned = timed(run, operation.name, || (operation.run)(&namespace));
        refused(run, operation.name, returned, &[Code::Busy], "");
    }
    let read = timed(run, "get", || namespace.get("doc"));
    if read != Ok(Some(b"old".to_vec())) {
        run.complain(format!("get beside a lock: {read:?}"));
    }
    control.ask("unlock");
    if let Err(error) = namespace.put("doc", "new") {
        run.complain(format!("put after the lock: {error}"));
    }
}

/// Threads that lock the same keys in different orders.
fn deadlocks(run: &mut Run, control: &mut Control) {
    const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    const BATCHES: i64 = 100;
    const THREADS: u64 = 4;
    let url = control.ask("database");
    let seed = run.rng.next();
    let one = |number: u64| -> Result<i64> {
        let store = Store::open_url(&url, &OpenOptions::new().busy_timeout(PATIENT))?;
        let namespace = store.namespace("n")?;
        let (mut rng, mut done) = (Rng(seed ^ number), 0);
        while done < BATCHES {
            let mut keys = KEYS;
            rng.shuffle(&mut keys);
            let mut batch = store.batch();
            if rng.one_in(2) {
                let entry = namespace.get_entry(keys[0])?;
                batch.check(&namespace, keys[0], entry.map(|entry| entry.version))?;
            }
            for key in &keys[..4] {
                batch.put_with(&namespace, key, "x", &PutOptions::default().ttl(1 + rng.below(2) as i64))?;
            }
            batch.incr(&namespace, "sum", 1)?;
            done += i64::from(batch.commit()?.is_some());
            match rng.below(12) {
                0 => drop(namespace.delete_prefix(keys[4])?),
                1 => drop(store.sweep(None)?),
                2 => {
                    let lines: String =
                        keys.iter().map(|key| format!("{{\"key\":\"{key}\",\"value\":\"y\"}}\n")).collect();
                    _ = namespace.import(&mut lines.as_bytes(), true)?;
                }
                _ => {}
            }
        }
        Ok(done)
    };
    let outcomes: Vec<Result<i64>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(move || one(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
    });
    for outcome in outcomes {
        if let Err(error) = outcome {
            run.complain(error);
        }
    }
    let sum = open(&url, IMPATIENT).namespace("n").and_then(|namespace| namespace.get("sum"));
    if sum != Ok(Some((THREADS as i64 * BATCHES).to_string().into_bytes())) {
        run.complain(format!("the sum is {sum:?}"));
    }
}

/// Complains unless a store is refused with these words, and long before its timeout.
fn refused_at_once(run: &mut Run, url: &str, words: &str) {
    let opened = timed(run, words, || Store::open_url(url, &OpenOptions::new().busy_timeout(PATIENT)));
    refused(run, "open", opened, &[Code::Io], words);
}

fn passwords(run: &mut Run, control: &mut Control) {
    control.ask("sql CREATE ROLE asked LOGIN PASSWORD 'right'");
    control.ask("sql GRANT USAGE ON SCHEMA luat_kv TO asked");
    control.ask("sql GRANT SELECT ON ALL TABLES IN SCHEMA luat_kv TO asked");
    let rules = "SELECT unnest(ARRAY[''local all asked scram-sha-256'', ''local all all trust''])";
    let write = format!("format('COPY ({rules}) TO %L', current_setting('hba_file'))");
    control.ask(&format!("sql DO $$ BEGIN EXECUTE {write}; END $$"));
    control.ask("sql SELECT pg_reload_conf()");
    let url = control.ask("url").replacen("postgres@", "asked@", 1);
    // The server takes a moment to read it.
    while Store::open_url(&url, &OpenOptions::new().busy_timeout(IMPATIENT)).is_ok() {}
    refused_at_once(run, &url, "no password supplied (put it into ~/.pgpass");
    refused_at_once(run, &format!("{url}&password=wrong"), "password authentication failed");
    if let Err(error) = Store::open_url(format!("{url}&password=right"), &OpenOptions::new()) {
        run.complain(error);
    }
}

fn certificates(run: &mut Run) {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let mut control = Control::start(&["listen_addresses=127.0.0.1", &format!("port={port}")]);
    let url = |host: &str, root: &str| {
        format!("postgresql://postgres@{host}:{port}/kv?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={root}")
    };
    refused_at_once(run, &url("db1", "/none.crt"), "server does not support SSL");
    let first = control.ask("tls db1");
    refused_at_once(run, &url("db1", "/none.crt"), "root certificate file \"/none.crt\" does not exist");
    if let Err(error) = Store::open_url(url("db1", &first), &OpenOptions::new()) {
        run.complain(error);
    }
    refused_at_once(run, &url("db2", &first), "does not match host name \"db2\"");
    control.ask("tls db2");
    refused_at_once(run, &url("db1", &first), "certificate verify failed");
}

fn hosts(run: &mut Run) {
    let opened = Store::open_url("postgresql:///kv?host=/none/1,/none/2", &OpenOptions::new().busy_timeout(IMPATIENT));
    for host in ["/none/1/.s.PGSQL", "/none/2/.s.PGSQL"] {
        refused(run, "open", opened.clone(), &[Code::Io], host);
    }
}

fn connections(run: &mut Run, control: &mut Control) {
    control.ask("sql CREATE ROLE site LOGIN");
    control.ask("sql GRANT CREATE ON DATABASE kv TO site");
    let url = control.ask("url").replacen("postgres@", "site@", 1);
    let mut stores: Vec<Store> = (0..3).map(|_| open(&url, IMPATIENT)).collect();
    stores.iter().for_each(|store| drop(store.namespaces().expect("to read")));
    let fourth = timed(run, "the fourth store", || Store::open_url(&url, &OpenOptions::new().busy_timeout(IMPATIENT)));
    refused(run, "the fourth store", fourth, &[Code::Busy], "remaining connection slots are reserved");
    // It waits until one is closed.
    thread::scope(|scope| {
        let waits = scope.spawn(|| Store::open_url(&url, &OpenOptions::new().busy_timeout(PATIENT)));
        while control.ask("sql SELECT count(*) FROM pg_stat_activity WHERE usename = 'site'") != "3" {}
        drop(stores.pop());
        match waits.join().expect("a thread") {
            Ok(store) => stores.push(store),
            Err(error) => run.complain(format!("a store that waits for a connection: {error}")),
        }
    });
    for store in &stores {
        let namespace = prepare(store).expect("to prepare a namespace");
        if let Err(error) = namespace.put("doc", "new") {
            run.complain(error);
        }
    }
}

fn full_disk(run: &mut Run, control: &mut Control, url: &str) {
    const CHUNK: usize = 1 << 18;
    let store = open(url, IMPATIENT);
    let namespace = store.namespace("disk").expect("a namespace");
    let value = |number: usize| {
        let mut rng = Rng(number as u64);
        (0..CHUNK / 8).flat_map(|_| rng.next().to_ne_bytes()).collect::<Vec<u8>>()
    };
    let mut stored = 0;
    let failed = loop {
        match namespace.put(&stored.to_string(), value(stored)) {
            Ok(_) => stored += 1,
            Err(error) => break Err(error),
        }
        if stored > 1000 {
            break Ok(());
        }
    };
    refused(run, "a put", failed, &[Code::Io], "No space left on device");
    for number in 0..stored {
        if namespace.get(&number.to_string()) != Ok(Some(value(number))) {
            run.complain(format!("value {number} of {stored} is not there while the disk is full"));
        }
    }
    if namespace.has(&stored.to_string()) != Ok(false) {
        run.complain("the value that was refused is there");
    }
    control.ask("grow 64m");
    if let Err(error) = namespace.put(&stored.to_string(), value(stored)) {
        run.complain(format!("a put when there is space again: {error}"));
    }
}
