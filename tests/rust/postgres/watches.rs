//! Watches of a store on a server: the writes of other clients, which nobody tells of.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use luat_kv::{Change, ChangeKind, Code, OpenOptions, Store, Watch, WatchOptions};

use super::{Relay, Transaction, database, open, sql};

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

fn check_that_batches_come_together(width: usize) {
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
                keys.iter().for_each(|key| _ = batch.put(&b, key, format!("{number:width$}")).unwrap());
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
        assert_eq!(last, format!("{:width$}", 59));
    });
}

#[test]
fn what_one_batch_has_changed_comes_together() {
    check_that_batches_come_together(1);
}

#[test]
fn what_one_batch_has_changed_comes_together_if_values_are_long() {
    check_that_batches_come_together(1100);
}

#[test]
fn short_values_come_with_the_keys() {
    let url = database();
    let relay = Relay::to(&url);
    let [a, b] = [&relay.url, &url].map(|url| open(url).namespace("a").unwrap());
    b.put("k0", "known").unwrap();
    let [watch, by_keys] = [WatchOptions::new(), WatchOptions::new().keys(&["k3", "k1"])]
        .map(|options| a.watch(&options.values(true)).unwrap());
    let made = relay.made.load(SeqCst);
    let mut batch = b.store().batch();
    for (key, value) in [("k1", "one"), ("k2", ""), ("k3", "three")] {
        batch.put(&b, key, value).unwrap();
    }
    batch.commit().unwrap().unwrap();
    assert_eq!((told(&watch), told(&by_keys)), ("+k1=one +k2= +k3=three".into(), "+k1=one +k3=three".into()));
    b.delete("k0").unwrap();
    b.put("k3", "again").unwrap();
    let (mut all, end) = (String::new(), Instant::now() + FOR_EVER);
    while !all.contains("-k0") || !all.contains("+k3=again") {
        assert!(Instant::now() < end, "{all}");
        all += &told(&watch);
    }
    // A transaction that reads values has a connection of its own.
    assert_eq!(relay.made.load(SeqCst), made);
    let long = "x".repeat(1025);
    let mut batch = b.store().batch();
    batch.put(&b, "k1", "short").unwrap().put(&b, "k3", &long).unwrap();
    batch.commit().unwrap().unwrap();
    assert_eq!(told(&watch), format!("+k1=short +k3={long}"));
    assert_eq!(relay.made.load(SeqCst), made + 1);
}

/// Waits with all at the same time, and returns how long that took.
fn wait_with(watches: &[Watch], time: Duration) -> Duration {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        watches.iter().for_each(|watch| _ = scope.spawn(move || assert!(watch.next(time).unwrap().is_empty())));
    });
    begun.elapsed()
}

#[test]
fn watches_that_wait_ask_the_server_as_one() {
    let relay = Relay::to(&database());
    let store = open(&relay.url);
    let a = store.namespace("a").unwrap();
    let watches: Vec<_> = (0..20).map(|_| a.watch(&WatchOptions::new()).unwrap()).collect();
    let before = relay.polls.load(SeqCst);
    let took = wait_with(&watches, Duration::from_secs(2));
    let asked = relay.polls.load(SeqCst) - before;
    let most = took.as_millis() as usize / 150 + 1;
    assert!((1..=most).contains(&asked), "{asked} times, not {most}");
}

#[test]
fn a_store_asks_nothing_while_nobody_watches() {
    let relay = Relay::to(&database());
    let store = open(&(relay.url.clone() + "&watch_interval=5"));
    let a = store.namespace("a").unwrap();
    let while_idle = |what: &str| {
        let before = relay.polls.load(SeqCst);
        a.put("k", what).unwrap();
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(relay.polls.load(SeqCst), before, "{what}");
    };
    while_idle("no watch");
    let watch = a.watch(&WatchOptions::new()).unwrap();
    while_idle("a watch with which nobody waits");
    assert_eq!(told(&watch), "+k");
    watch.descriptor().unwrap();
    drop(watch);
    assert!(relay.polls.load(SeqCst) > 0);
    while_idle("no watch any more");
}

#[test]
fn the_url_says_how_often_the_server_is_asked() {
    let relay = Relay::to(&database());
    let polls_of = |parameter: &str, waits: &dyn Fn(&Watch)| {
        let store = open(&format!("{}{parameter}", relay.url));
        let watch = store.namespace("a").unwrap().watch(&WatchOptions::new()).unwrap();
        let before = relay.polls.load(SeqCst);
        waits(&watch);
        relay.polls.load(SeqCst) - before
    };
    // It was asked when the watch was opened.
    let rarely = polls_of("&watch_interval=10000", &|watch| _ = watch.next(Duration::from_secs(1)).unwrap());
    assert!(rarely <= 1, "{rarely} times in a second");
    // However slow the machine is now, it is fast enough at some time.
    let often = || polls_of("&watch_interval=10", &|watch| _ = watch.next(Duration::from_secs(1)).unwrap());
    let begun = Instant::now();
    while often() < 20 {
        assert!(begun.elapsed() < FOR_EVER, "never more often than without the parameter");
    }
}

#[test]
fn a_descriptor_follows_the_interval() {
    let relay = Relay::to(&database());
    let store = open(&format!("{}&watch_interval=10", relay.url));
    let watch = store.namespace("a").unwrap().watch(&WatchOptions::new()).unwrap();
    if watch.descriptor().unwrap().is_none() {
        return;
    }
    let begun = Instant::now();
    let often = || {
        let before = relay.polls.load(SeqCst);
        std::thread::sleep(Duration::from_secs(1));
        relay.polls.load(SeqCst) - before
    };
    while often() < 20 {
        assert!(begun.elapsed() < FOR_EVER, "never more often than without the parameter");
    }
}

#[test]
fn an_interval_that_is_none_is_refused() {
    let url = database();
    for value in ["4", "10001", "10ms", "", "-5", "0.5"] {
        let error = Store::open_url(format!("{url}&watch_interval={value}"), &OpenOptions::new()).unwrap_err();
        assert_eq!(error.code(), Code::Invalid);
        let reason =
            format!("watch_interval is \"{value}\" in the URL; it is a whole number of milliseconds from 5 to 10000");
        assert!(error.message().contains(&reason), "{error}");
    }
}
