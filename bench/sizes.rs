//! What the size of values costs where no value is read, and what the number of keys costs: `cargo bench --bench sizes`.
//! It takes about 3 GB of disk in `target`, and prints "operation, file, value, unit" with tabs between them.
//!
//! Each file of the first part holds values of one size. Searches, lists and counts touch the same number of keys in each
//! file, so the figures of an operation compare with those of the first file.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use luat_kv::{Entry, ListOptions, Namespace, OpenOptions, Store};

/// Bytes of a value, and how many there are.
const FILES: [(usize, usize); 7] = [
    (100, 20_000),
    (1_000, 20_000),
    (2_000, 20_000),
    (10_000, 10_000),
    (100_000, 2_000),
    (1_000_000, 300),
    (32_000_000, 12),
];

/// How many keys there are, with values of 100 bytes.
const KEYS: [usize; 3] = [1_000, 100_000, 10_000_000];

const TEN: &str = "key:00000";
const ROUNDS: usize = 11;

fn main() {
    for (size, count) in FILES {
        values(size, count);
    }
    for count in KEYS {
        keys(count);
    }
}

fn print(operation: &str, file: &str, value: f64, unit: &str) {
    println!("{operation}\t{file}\t{value:.3}\t{unit}");
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("target").unwrap()
}

fn open(folder: &Path) -> (Store, Namespace) {
    let store = Store::open(folder.join("kv.db"), &OpenOptions::default()).unwrap();
    let namespace = store.namespace("bench").unwrap();
    (store, namespace)
}

fn key(i: usize) -> String {
    format!("key:{i:06}")
}

/// The size of values.
fn values(size: usize, count: usize) {
    let folder = folder();
    let (store, namespace) = open(folder.path());
    // In an order that has nothing to do with the keys', as programs write.
    fill(&store, &namespace, size, (0..count).map(|i| key(i * 7919 % count)));
    let file = match size {
        1_000_000.. => format!("{count} values of {} MB", size / 1_000_000),
        1_000.. => format!("{count} values of {} kB", size / 1_000),
        _ => format!("{count} values of {size} B"),
    };
    let overhead = store.stats().unwrap().file_size as f64 / count as f64 - size as f64;
    print("file size beside the value", &file, overhead, "B");
    let small = store.namespace("small").unwrap();
    let keys = count.min(1000);
    let list = ListOptions::new().prefix(TEN);
    let put = |i: usize| _ = small.put(&key(i % 1000), i.to_le_bytes()).unwrap();
    let get = |i| drop(namespace.get(&key(i % count)).unwrap());
    let get_missing = |i| assert_eq!(namespace.get(&format!("{}x", key(i % keys))).unwrap(), None);
    let list_ten = |_| assert_eq!(namespace.list(&list).unwrap().entries.len(), 10);
    print("get", &file, median(get, if size > 100_000 { 5 } else { 100 }), "µs");
    print("get of a missing key", &file, median(get_missing, 1000), "µs");
    print("has", &file, median(|i| assert!(namespace.has(&key(i % keys)).unwrap()), 1000), "µs");
    print("put of a small value", &file, median(put, 1000), "µs");
    print("list of 10 names", &file, median(list_ten, 200), "µs");
    print("count of 10", &file, median(|_| assert_eq!(namespace.count(TEN).unwrap(), 10), 200), "µs");
    store.close().unwrap();
}

/// The number of keys.
fn keys(count: usize) {
    const CALLS: usize = 10_000;
    let folder = folder();
    let (store, namespace) = open(folder.path());
    // In the order of the keys: ten million in another order take an hour.
    fill(&store, &namespace, 100, (0..count).map(|i| format!("key:{i:09}")));
    store.close().unwrap();
    let file = format!("{count} keys");
    let len = std::fs::metadata(folder.path().join("kv.db")).unwrap().len();
    print("file size", &file, len as f64 / 1e6, "MB");
    print("open and close", &file, median(|_| open(folder.path()).0.close().unwrap(), 20), "µs");

    // Random keys, each of which is used once, and made beforehand.
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("key:{:09}", (state >> 33) as usize % count)
    };
    let some: Vec<String> = (0..ROUNDS * CALLS).map(|_| random()).collect();
    let (store, namespace) = open(folder.path());
    print("open and close again", &file, median(|_| open(folder.path()).0.close().unwrap(), 20), "µs");
    let mut entry = Entry::default();
    let mut get = |i: usize| assert!(namespace.read_value(black_box(&some[i]), &mut entry).unwrap());
    print("get, any key", &file, median(&mut get, CALLS), "µs");
    (0..10_000).for_each(|i| get(i % 1000));
    print("get, one of 1000 keys", &file, median(|i| get(i % 1000), CALLS), "µs");
    let put = |i: usize| _ = namespace.put(&some[i], [i as u8; 100]).unwrap();
    print("put, any key", &file, median(put, 1000), "µs");
    let list = |i: usize| drop(namespace.list(&ListOptions::new().start(&some[i]).limit(100)).unwrap());
    print("list of 100 names", &file, median(list, 200), "µs");
    store.close().unwrap();
}

fn fill(store: &Store, namespace: &Namespace, size: usize, keys: impl Iterator<Item = String>) {
    let each = (8_000_000 / size).clamp(1, 1000);
    let mut keys = keys.enumerate().peekable();
    while keys.peek().is_some() {
        let mut batch = store.batch();
        for (i, key) in keys.by_ref().take(each) {
            batch.put(namespace, &key, vec![i as u8; size]).unwrap();
        }
        batch.commit().unwrap();
    }
    store.checkpoint().unwrap();
}

/// Microseconds that one call takes, in the median of some rounds. The calls are numbered.
fn median(mut call: impl FnMut(usize), calls: usize) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|round| {
            let begun = Instant::now();
            (0..calls).for_each(|number| call(round * calls + number));
            begun.elapsed().as_secs_f64() * 1e6 / calls as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}
