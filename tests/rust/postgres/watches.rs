//! Watches of a store on a server: the writes of other clients, which nobody tells of.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use luat_kv::{Change, ChangeKind, Watch, WatchOptions};

use super::{Transaction, database, open, sql};

const FOR_EVER: Duration = Duration::from_secs(60);

fn told(watch: &Watch) -> String {
    let changes = watch.next(FOR_EVER).unwrap();
    let told = changes.iter().map(|Change { kind, entry, .. }| {
        let sign = if *kind == ChangeKind::Put { '+' } else { '-' };
        let value = entry.value.as_deref().map(|value| format!("={}", String::from_utf8_lossy(value)));
        format!("{sign}{}{}", entry.key, value.unwrap_or_default())
    });
    told.collect::<Vec<_>>().join(" ")
}

#[test]
fn writes_of_other_clients_are_told() {
    let url = database();
    let [store, other] = [open(&url), open(&url)];
    let [a, b] = [&store, &other].map(|store| store.namespace("a").unwrap());
    let by_prefix = a.watch(&WatchOptions::new().prefix("k").values(true)).unwrap();
    let by_keys = a.watch(&WatchOptions::new().keys(&["k1", "none", "other"])).unwrap();
    b.put("k1", "1").unwrap();
    assert_eq!((told(&by_prefix), told(&by_keys)), ("+k1=1".into(), "+k1".into()));
    b.put("other", "").unwrap();
    assert_eq!(told(&by_keys), "+other");
    sql(&url, "UPDATE luat_kv.kv SET value = 'by psql' WHERE key = 'k1'");
    assert_eq!((told(&by_prefix), told(&by_keys)), ("+k1=by psql".into(), "+k1".into()));
    sql(&url, "UPDATE luat_kv.kv SET value = 'BY PSQL' WHERE key = 'k1'");
    assert_eq!((told(&by_prefix), told(&by_keys)), ("+k1=BY PSQL".into(), "+k1".into()));
    b.delete("k1").unwrap();
    assert_eq!((told(&by_prefix), told(&by_keys)), ("-k1".into(), "-k1".into()));
    // What has not been committed is no change, and is one afterwards.
    let transaction = Transaction::begin(&url, "LOCK TABLE luat_kv.kv IN SHARE MODE");
    assert!(by_prefix.next(Duration::from_millis(400)).unwrap().is_empty());
    std::thread::scope(|scope| {
        scope.spawn(|| b.put("k2", "2").unwrap());
        assert!(by_prefix.next(Duration::from_millis(400)).unwrap().is_empty());
        transaction.end();
        assert_eq!(told(&by_prefix), "+k2=2");
    });
}

#[test]
fn what_one_batch_has_changed_comes_together() {
    let url = database();
    let [store, other] = [open(&url), open(&url)];
    let [a, b] = [&store, &other].map(|store| store.namespace("a").unwrap());
    let watch = a.watch(&WatchOptions::new().values(true)).unwrap();
    // More keys than values are read at once.
    let keys: Vec<String> = (0..120).map(|number| format!("k{number:03}")).collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..60 {
                let mut batch = b.store().batch();
                keys.iter().for_each(|key| _ = batch.put(&b, key, number.to_string()).unwrap());
                batch.commit().unwrap().unwrap();
            }
            is_over.store(true, SeqCst);
        });
        let mut last = String::new();
        loop {
            let over = is_over.load(SeqCst);
            let changes = watch.next(Duration::from_millis(500)).unwrap();
            if changes.is_empty() && over {
                break;
            }
            for change in &changes {
                assert_eq!(changes.len(), keys.len());
                assert_eq!(change.entry.value(), changes[0].entry.value());
                last = String::from_utf8(change.entry.value().to_owned()).unwrap();
            }
        }
        assert_eq!(last, "59");
    });
}

#[test]
fn watches_that_wait_ask_the_server_as_one() {
    let url = database();
    let store = open(&url);
    let a = store.namespace("a").unwrap();
    let transactions = || -> u64 {
        // Figures of a session are told at most a second later.
        std::thread::sleep(Duration::from_millis(1500));
        sql(&url, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()").parse().unwrap()
    };
    let watches: Vec<_> = (0..100).map(|_| a.watch(&WatchOptions::new()).unwrap()).collect();
    let (before, begun) = (transactions(), Instant::now());
    std::thread::scope(|scope| {
        watches.iter().for_each(|watch| _ = scope.spawn(|| watch.next(Duration::from_secs(2)).unwrap()));
    });
    let asked = transactions() - before;
    // Each 150 ms, and a few of psql and of the server itself. Tests that write to other databases of the server change its
    // snapshot, so that each watch may compare as often. If each watch asked by itself, it would do so every 100 ms.
    let polls = begun.elapsed().as_millis() as u64 / 150 + 1;
    let most = polls * (1 + watches.len() as u64) + 20;
    assert!(asked <= most, "{asked} transactions");
}
