//! The back end on a PostgreSQL server, which LUAT_KV_TEST_POSTGRES names: `make postgres-rust`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use luat_kv::{Clock, Code, Format, IncrOptions, ListOptions, Namespace, OpenOptions, PutOptions, Store};
use proptest::prelude::*;

use reference::{EPOCH, NAMES, op, run};
use relay::Relay;

#[path = "postgres/connections.rs"]
mod connections;
#[path = "model/reference.rs"]
mod reference;
#[path = "postgres/relay.rs"]
mod relay;
#[path = "postgres/watches.rs"]
mod watches;

/// Another empty database on the server.
fn database() -> String {
    let made = Command::new("tests/postgres/database").output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// A transaction of another program, which holds its locks until it ends.
struct Transaction {
    psql: Child,
    input: ChildStdin,
}

impl Transaction {
    fn begin(url: &str, sql: &str) -> Transaction {
        let piped = || std::process::Stdio::piped();
        let psql = Command::new("psql").args(["-XqAtd", url]).stdin(piped()).stdout(piped()).spawn();
        let mut psql = psql.unwrap();
        let (mut input, output) = (psql.stdin.take().unwrap(), psql.stdout.take().unwrap());
        writeln!(input, "BEGIN; {sql}; SELECT 'locked';").unwrap();
        let mut lines = BufReader::new(output).lines();
        assert!(lines.any(|line| line.unwrap() == "locked"), "{sql}");
        Transaction { psql, input }
    }

    /// Without a commit.
    fn end(mut self) {
        drop(self.input);
        assert!(self.psql.wait().unwrap().success());
    }
}

/// Carries out SQL as another program.
fn sql(url: &str, sql: &str) -> String {
    let done = Command::new("psql").args(["-XqAtd", url, "-c", sql]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

fn open(url: &str) -> Store {
    Store::open_url(url, &OpenOptions::new()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn the_back_end_on_a_server_is_the_model(ops in prop::collection::vec(op(), 1..80)) {
        let clock = Clock::manual(EPOCH);
        let options = OpenOptions::new().clock(clock.clone());
        let url = model_database();
        run(&ops, &clock, |store| {
            let begins = store.is_none();
            if let Some(store) = store {
                store.close().unwrap();
            }
            let store = Store::open_url(&url, &options).unwrap();
            if begins {
                NAMES.iter().for_each(|name| _ = store.namespace(name).unwrap().clear().unwrap());
            }
            store
        });
    }
}

/// One database for all cases.
fn model_database() -> String {
    static URL: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    URL.get_or_init(database).clone()
}

#[test]
fn threads_that_count_lose_nothing() {
    let store = open(&database());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let counters = store.namespace("counters").unwrap();
            scope.spawn(move || (0..100).for_each(|_| _ = counters.incr("n", 1).unwrap()));
        }
    });
    assert_eq!(store.namespace("counters").unwrap().get("n").unwrap().unwrap(), b"800");
}

#[test]
fn a_password_is_not_shown() {
    let url = database() + "&password=pass%20word";
    let store = open(&url);
    let shown = url.replace("pass%20word", "***");
    assert_eq!((store.label(), store.stats().unwrap().path.as_str()), (shown.as_str(), shown.as_str()));
    assert_eq!(format!("{store:?}"), format!("Store({shown})"));
    for wrong in [
        url.replacen("/kv", "/none", 1),
        url.replace("port=", "port=1"),
        url.clone() + "&unknown=1",
        url + "&sslmode=x",
    ] {
        let error = Store::open_url(wrong, &OpenOptions::new().busy_timeout(Duration::from_secs(1))).unwrap_err();
        assert!(error.message().contains("password=***"), "{error}");
        assert!(!error.message().contains("pass%20word") && !error.message().contains("pass word"), "{error}");
    }
}

#[test]
fn stores_that_open_together_make_the_tables_once() {
    let url = database();
    std::thread::scope(|scope| {
        let opened: Vec<_> = (0..6).map(|_| scope.spawn(|| Store::open_url(&url, &OpenOptions::new()))).collect();
        for store in opened {
            store.join().unwrap().unwrap().namespace("a").unwrap().incr("n", 1).unwrap();
        }
    });
    assert_eq!(open(&url).namespace("a").unwrap().get("n").unwrap().unwrap(), b"6");
}

#[test]
fn a_store_for_reading_makes_nothing_and_writes_nothing() {
    let url = database();
    let readonly = OpenOptions::new().readonly(true);
    let missing = Store::open_url(&url, &readonly).unwrap_err();
    assert_eq!((missing.code(), missing.io_kind()), (Code::Io, Some(std::io::ErrorKind::NotFound)));
    open(&url).namespace("a").unwrap().put("k", "v").unwrap();
    let names = Store::open_url(&url, &readonly).unwrap().namespace("a").unwrap();
    assert_eq!(names.get("k").unwrap().unwrap(), b"v");
    assert_eq!(names.put("k", "w").unwrap_err().code(), Code::ReadOnly);
    assert_eq!(names.clear().unwrap_err().code(), Code::ReadOnly);
}

#[test]
fn names_and_values_have_limits_of_the_server() {
    let store = open(&database());
    let a = store.namespace("a").unwrap();
    // What does not compress.
    let mut state = 1_u64;
    let mut key = String::new();
    while key.len() < 2599 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        key.push(char::from(b'!' + (state >> 33) as u8 % 94));
    }
    a.put(&key, "v").unwrap();
    assert_eq!(a.get(&key).unwrap().unwrap(), b"v");
    let error = a.put(&(key + "x"), "v").unwrap_err();
    assert_eq!(error.code(), Code::Limit);
    assert!(error.message().contains("2601 bytes long together; the limit on PostgreSQL is 2600"), "{error}");
    assert_eq!(a.get(&"é".repeat(1300)).unwrap_err().code(), Code::Limit);
    assert_eq!(a.get_many(&["k", &"k".repeat(2600)]).unwrap_err().code(), Code::Limit);
    let error = a.put("k", vec![0; 256 * 1024 * 1024 + 1]).unwrap_err();
    assert_eq!(error.code(), Code::Limit);
    assert!(error.message().contains("the limit on PostgreSQL is 268435456"), "{error}");
}

#[test]
fn a_page_with_values_ends_when_it_is_large() {
    let store = open(&database());
    let a = store.namespace("a").unwrap();
    let value = vec![7; 5 * 1024 * 1024];
    (0..8).for_each(|n| _ = a.put(&format!("k{n}"), &value).unwrap());
    let options = ListOptions::new().values(true);
    let page = a.list(&options).unwrap();
    assert_eq!(page.entries.len(), 4);
    assert!(page.cursor.is_some());
    assert_eq!(a.scan(&options).count(), 8);
    assert_eq!(a.scan(&options.reverse(true)).map(|entry| entry.unwrap().key).last().unwrap(), "k0");
}

#[test]
fn large_batches_are_stored_whole() {
    let store = open(&database());
    let a = store.namespace("a").unwrap();
    let mut batch = store.batch();
    for n in 0..12_000 {
        batch.put_with(&a, &format!("{n:05}"), n.to_string(), &PutOptions::new().ttl(n % 3 * 100 + 100)).unwrap();
    }
    (0..100).for_each(|n| _ = batch.delete(&a, &format!("{n:05}")).unwrap());
    batch.commit().unwrap().unwrap();
    assert_eq!(a.count("").unwrap(), 11_900);
    assert_eq!(a.get("11999").unwrap().unwrap(), b"11999");
    assert_eq!(a.delete_prefix("0").unwrap(), 9900);
    assert_eq!(a.clear().unwrap(), 2000);
}

#[test]
fn a_call_ends_with_the_busy_timeout_where_nobody_answers() {
    // Connections to it are accepted by the system, and nobody reads from them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgresql://user:secret@{}/kv", silent.local_addr().unwrap());
    let options = OpenOptions::new().busy_timeout(Duration::from_millis(400));
    let begun = Instant::now();
    let error = Store::open_url(&url, &options).unwrap_err();
    assert_eq!(error.code(), Code::Io);
    assert!(begun.elapsed() < Duration::from_millis(800), "{:?}", begun.elapsed());
    assert!(!error.message().contains("secret"), "{error}");
    assert!(error.message().contains("did not answer"), "{error}");
}

#[test]
fn a_host_that_does_not_answer_leaves_time_for_the_next() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = database().replace("host=", "host=127.0.0.1,");
    let url = url.replace("port=", &format!("port={},", silent.local_addr().unwrap().port()));
    let options = OpenOptions::new().busy_timeout(Duration::from_millis(1500));
    let store = Store::open_url(&url, &options).unwrap();
    assert_eq!(store.namespace("a").unwrap().incr("n", 1).unwrap(), 1);
}

#[test]
fn a_write_waits_for_a_lock_no_longer_than_the_busy_timeout_and_does_not_happen_later() {
    let url = database();
    let a = open(&url).namespace("a").unwrap();
    a.put("k", "before").unwrap();
    let other = Transaction::begin(&url, "SELECT FROM luat_kv.kv FOR UPDATE");
    let options = OpenOptions::new().busy_timeout(Duration::from_millis(500));
    let impatient = Store::open_url(&url, &options).unwrap().namespace("a").unwrap();
    let begun = Instant::now();
    for error in [
        impatient.put("k", "after").unwrap_err(),
        impatient.incr("k", 1).unwrap_err(),
        impatient.delete("k").unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::Busy, "{error}");
        assert!(error.message().contains("lock timeout"), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_millis(1700), "{:?}", begun.elapsed());
    other.end();
    assert_eq!(a.get("k").unwrap().unwrap(), b"before");
}

#[test]
fn batches_of_the_same_keys_wait_for_each_other_without_deadlocks() {
    const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let url = database();
    open(&url);
    std::thread::scope(|scope| {
        for thread in 0..6_usize {
            let url = &url;
            scope.spawn(move || {
                let store = open(url);
                let names = store.namespace("n").unwrap();
                for round in 0..60 {
                    let mut batch = store.batch();
                    if (thread + round) % 3 == 0 {
                        batch.check(&names, KEYS[round % 6], None).unwrap();
                    }
                    for at in 0..4 {
                        let key = KEYS[(thread * 5 + round + at * (1 + thread % 5)) % 6];
                        match (thread + round + at) % 4 {
                            0 if thread % 2 == 0 => batch.delete(&names, key),
                            1 if thread % 3 == 0 => batch.incr(&names, &format!("n{key}"), 1),
                            _ => batch.put(&names, key, "v"),
                        }
                        .unwrap();
                    }
                    batch.commit().unwrap();
                }
            });
        }
    });
    assert_eq!(sql(&url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"), "0");
}

#[test]
fn many_rows_are_counted_in_portions() {
    let url = database();
    let store = open(&url);
    let rows =
        "INSERT INTO luat_kv.kv SELECT convert_to('n' || i % 2, 'UTF8'), convert_to(lpad(i::text, 7, '0'), 'UTF8'),
        CASE WHEN i % 10 = 0 THEN 1 END, '\\x000000000000000000000000', NULL, '' FROM generate_series(1, 250000) AS i";
    sql(&url, rows);
    let (even, odd) = (store.namespace("n0").unwrap(), store.namespace("n1").unwrap());
    assert_eq!((even.count("").unwrap(), odd.count("").unwrap()), (100_000, 125_000));
    assert_eq!(odd.count("00").unwrap(), 50_000);
    let stats = store.stats().unwrap();
    let found: Vec<_> = stats.namespaces.iter().map(|of| (&*of.name, of.live, of.expired)).collect();
    assert_eq!(found, [("n0", 100_000, 25_000), ("n1", 125_000, 0)]);
    assert!(stats.file_size > 250_000 * 50);
    assert_eq!(store.sweep(None).unwrap(), 25_000);
}

#[test]
fn large_values_are_stored_in_each_way() {
    let store = open(&database());
    let a = store.namespace("a").unwrap();
    // More than a statement holds, and not a multiple of a part.
    let value: Vec<u8> = (0..5_000_003_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    a.put("put", &value).unwrap();
    assert!(a.add("add", &value).unwrap().is_some());
    assert!(a.add("add", &value).unwrap().is_none());
    let mut batch = store.batch();
    batch.check(&a, "checked", None).unwrap();
    batch.put_with(&a, "checked", &value, &PutOptions::new().metadata("1").ttl(100)).unwrap();
    batch.put(&a, "small", "x").unwrap();
    batch.commit().unwrap().unwrap();
    for key in ["put", "add", "checked"] {
        assert!(a.get(key).unwrap().unwrap() == value, "{key}");
    }
    let entry = a.get_entry("checked").unwrap().unwrap();
    assert_eq!(entry.metadata.as_deref(), Some("1"));
    assert!(entry.expiration.is_some());
    let mut export = Vec::new();
    assert_eq!(a.export(&mut export, Format::Json).unwrap(), 4);
    let b = store.namespace("b").unwrap();
    b.put("put", "kept").unwrap();
    assert_eq!(b.import(&mut export.as_slice(), false).unwrap().skipped, 1);
    assert_eq!(b.get("put").unwrap().unwrap(), b"kept");
    assert!(b.get("add").unwrap().unwrap() == value);
    assert!(b.take("add").unwrap().unwrap().value.unwrap() == value);
}

#[test]
fn a_lifetime_begins_when_a_write_has_its_lock() {
    let url = database();
    let store = open(&url);
    let a = store.namespace("a").unwrap();
    a.put("put", "old").unwrap();
    a.put("touch", "old").unwrap();
    // Keys with rows, and keys whose rows another transaction has inserted.
    let held = "SELECT FROM luat_kv.kv FOR UPDATE; INSERT INTO luat_kv.kv SELECT 'a', convert_to(k, 'UTF8'), NULL,
        '\\x000000000000000000000000', NULL, '' FROM unnest(ARRAY['add', 'incr', 'batch', 'import']) AS k";
    let other = Transaction::begin(&url, held);
    let second = PutOptions::new().ttl(1);
    std::thread::scope(|scope| {
        // Each with a connection of its own, and a read as soon as the write is done.
        let write = |act: fn(&Store, &Namespace, &PutOptions<'_>), key: &'static str| {
            let url = &url;
            scope.spawn(move || {
                let store = open(url);
                let a = store.namespace("a").unwrap();
                act(&store, &a, &second);
                let entry = a.get_entry(key).unwrap();
                assert!(entry.is_some(), "{key} has expired already");
            });
        };
        write(|_, a, second| drop(a.put_with("put", "new", second).unwrap().to_string()), "put");
        write(|_, a, second| assert!(a.add_with("add", "new", second).unwrap().is_some()), "add");
        write(|_, a, _| assert!(a.touch("touch", None, Some(1)).unwrap()), "touch");
        write(|_, a, _| assert_eq!(a.incr_with("incr", 1, &IncrOptions::new().ttl(1)).unwrap(), 1), "incr");
        write(
            |store, a, second| {
                let mut batch = store.batch();
                batch.put_with(a, "batch", "new", second).unwrap().put(a, "other", "x").unwrap();
                batch.commit().unwrap().unwrap();
            },
            "batch",
        );
        write(
            |_, a, _| {
                let entry = br#"[{"key":"import","value":"v","expiration_ttl":1}]"#;
                assert_eq!(a.import(&mut &entry[..], false).unwrap().stored, 1);
            },
            "import",
        );
        // All six wait, and for more than the second that they ask for.
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let deadline = Instant::now() + Duration::from_secs(4);
        while sql(&url, waiting) != "6" {
            assert!(Instant::now() < deadline, "the writes wait");
        }
        sql(&url, "SELECT pg_sleep(2)");
        other.end();
    });
}

#[test]
fn a_client_that_stands_still_in_a_transaction_holds_up_nobody() {
    let url = database();
    open(&url);
    sql(&url, "INSERT INTO luat_kv.kv_done (client, count, at) VALUES ('gone', 1, 0), ('still', 1, 0)");
    let other = Transaction::begin(&url, "UPDATE luat_kv.kv_done SET count = 2 WHERE client = 'still'");
    let begun = Instant::now();
    open(&url).namespace("a").unwrap().put("k", "v").unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(sql(&url, "SELECT count(*) FROM luat_kv.kv_done WHERE client = 'gone'"), "0");
    other.end();
}

#[test]
fn a_server_that_refuses_writes_has_made_none() {
    let url = database();
    open(&url).namespace("a").unwrap().put("k", "v").unwrap();
    sql(
        &url,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$",
    );
    let options = OpenOptions::new().busy_timeout(Duration::from_millis(500));
    let a = Store::open_url(&url, &options).unwrap().namespace("a").unwrap();
    let error = a.put("k", "w").unwrap_err();
    assert_eq!(error.code(), Code::ReadOnly, "{error}");
    assert!(!error.message().contains("may have been made"), "{error}");
    assert_eq!(a.get("k").unwrap().unwrap(), b"v");
}

#[test]
fn a_large_batch_has_more_time() {
    let url = database();
    // Not enough for any of these.
    let options = OpenOptions::new().busy_timeout(Duration::from_millis(10));
    let store = Store::open_url(&url, &OpenOptions::new()).and_then(|_| Store::open_url(&url, &options)).unwrap();
    let a = store.namespace("a").unwrap();
    let mut batch = store.batch();
    (0..20_000).for_each(|n| _ = batch.incr(&a, &format!("n{n}"), 1).unwrap());
    batch.commit().unwrap().unwrap();
    let mut batch = store.batch();
    batch.check(&a, "k", None).unwrap();
    (0..40_000).for_each(|n| _ = batch.put(&a, &format!("n{n}"), "v").unwrap());
    batch.commit().unwrap().unwrap();
    assert_eq!(open(&url).namespace("a").unwrap().count("").unwrap(), 40_000);
}

#[test]
fn a_database_in_another_encoding_refuses_what_it_cannot_hold() {
    let url = database();
    let name = format!("{}_latin1", sql(&url, "SELECT current_database()"));
    sql(&url, &format!("CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"));
    let latin1 = url.replace(name.trim_end_matches("_latin1"), &name);
    let a = open(&latin1).namespace("a").unwrap();
    a.put_with("€", "€", &PutOptions::new().metadata("\"é\"")).unwrap();
    assert_eq!(a.get_entry("€").unwrap().unwrap().metadata.as_deref(), Some("\"é\""));
    let error = a.put_with("k", "v", &PutOptions::new().metadata("\"€\"")).unwrap_err();
    assert_eq!(error.code(), Code::Invalid, "{error}");
    assert_eq!(a.get("k").unwrap(), None);
}

#[test]
fn the_locks_of_a_client_that_is_gone_do_not_stay() {
    let url = database();
    let direct = open(&url).namespace("a").unwrap();
    let relay = Relay::to(&url);
    let options = OpenOptions::new().busy_timeout(Duration::from_millis(1000));
    let store = Store::open_url(&relay.url, &options).unwrap();
    let a = store.namespace("a").unwrap();
    a.put("k", "before").unwrap();
    let mut batch = store.batch();
    batch.check(&a, "other", None).unwrap().put(&a, "k", "never").unwrap();
    // It locks the rows, and its commit does not arrive.
    relay.left.store(1, SeqCst);
    assert!(batch.commit().is_err());
    direct.put("k", "after").unwrap();
    assert_eq!(direct.get("k").unwrap().unwrap(), b"after");
}

#[test]
fn a_time_that_is_over_when_a_batch_has_its_locks_is_an_error() {
    let url = database();
    let store = open(&url);
    let a = store.namespace("a").unwrap();
    a.put("k", "old").unwrap();
    let soon: i64 = sql(&url, "SELECT floor(extract(epoch FROM now()))::bigint + 2").parse().unwrap();
    let large = vec![1; 5_000_000];
    let other = Transaction::begin(&url, "SELECT FROM luat_kv.kv FOR UPDATE");
    type Write = fn(&Store, &Namespace, i64, &[u8]) -> luat_kv::Result<()>;
    let writes: [Write; 2] = [
        |store, a, soon, _| {
            let mut batch = store.batch();
            batch.put_with(a, "k", "new", &PutOptions::new().expires_at(soon))?.put(a, "other", "x")?;
            batch.commit().map(drop)
        },
        |_, a, soon, large| a.put_with("k", large, &PutOptions::new().expires_at(soon)).map(drop),
    ];
    std::thread::scope(|scope| {
        let done = writes.map(|write| {
            let (url, large) = (&url, &large);
            scope.spawn(move || {
                let store = open(url);
                write(&store, &store.namespace("a").unwrap(), soon, large)
            })
        });
        sql(&url, "SELECT pg_sleep(3)");
        other.end();
        for done in done {
            assert_eq!(done.join().unwrap().unwrap_err().code(), Code::Invalid);
        }
    });
    assert_eq!(a.get("k").unwrap().unwrap(), b"old");
    assert_eq!(a.get("other").unwrap(), None);
}
