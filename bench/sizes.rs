//! What the size of values costs where no value is read: `cargo bench --bench sizes`. It takes about 500 MB of disk.
//!
//! Each file holds values of one size. Searches, lists and counts touch the same number of keys in each file, so the
//! figures of a row compare with those of the first one; a ratio over 1.5 is marked.

use std::time::Instant;

use luat_kv::{ListOptions, Namespace, OpenOptions, Store};

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

/// The operations that read no value. Those of ten keys find the first ten.
const OPERATIONS: [&str; 5] = ["get missing", "has", "small put", "list 10", "count 10"];
const TEN: &str = "key:00000";

fn main() {
    println!("{:>10} {:>7} {:>14} {:>9}", "value", "keys", "overhead a key", "get, us");
    let mut first: Option<[f64; OPERATIONS.len()]> = None;
    for (size, count) in FILES {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("kv.db"), &OpenOptions::default()).unwrap();
        let namespace = store.namespace("bench").unwrap();
        fill(&store, &namespace, size, count);
        let overhead = store.stats().unwrap().file_size as f64 / count as f64 - size as f64;
        let get = median(|i| drop(namespace.get(&key(i % count)).unwrap()), if size > 100_000 { 5 } else { 100 });
        let times = measure(&store, &namespace, count);
        let base = *first.get_or_insert(times);
        println!("{size:>10} {count:>7} {overhead:>12.0} B {get:>9.1}");
        for ((operation, time), base) in OPERATIONS.iter().zip(times).zip(base) {
            let ratio = time / base;
            println!("{operation:>30} {time:>8.1} us {ratio:>6.2}{}", if ratio > 1.5 { "  OVER 1.5" } else { "" });
        }
        store.close().unwrap();
    }
}

fn key(i: usize) -> String {
    format!("key:{i:06}")
}

/// In an order that has nothing to do with the keys', as programs write.
fn fill(store: &Store, namespace: &Namespace, size: usize, count: usize) {
    let each = (8_000_000 / size).clamp(1, 1000);
    let keys: Vec<usize> = (0..count).map(|i| i * 7919 % count).collect();
    for keys in keys.chunks(each) {
        let mut batch = store.batch();
        for i in keys {
            batch.put(namespace, &key(*i), vec![*i as u8; size]).unwrap();
        }
        batch.commit().unwrap();
    }
    assert_eq!(namespace.count("").unwrap(), count as u64);
    store.checkpoint().unwrap();
}

fn measure(store: &Store, namespace: &Namespace, count: usize) -> [f64; OPERATIONS.len()] {
    let small = store.namespace("small").unwrap();
    let keys = count.min(1000);
    let list = ListOptions::new().prefix(TEN);
    [
        median(|i| assert_eq!(namespace.get(&format!("{}x", key(i % keys))).unwrap(), None), 1000),
        median(|i| assert!(namespace.has(&key(i % keys)).unwrap()), 1000),
        median(|i| put(&small, i), 1000),
        median(|_| assert_eq!(namespace.list(&list).unwrap().entries.len(), 10), 200),
        median(|_| assert_eq!(namespace.count(TEN).unwrap(), 10), 200),
    ]
}

fn put(small: &Namespace, i: usize) {
    small.put(&key(i % 1000), i.to_le_bytes()).unwrap();
}

/// Microseconds that one call takes, in the median of some rounds.
fn median(mut act: impl FnMut(usize), calls: usize) -> f64 {
    const ROUNDS: usize = 11;
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|round| {
            let begun = Instant::now();
            (0..calls).for_each(|call| act((round * calls + call) * 31));
            begun.elapsed().as_secs_f64() * 1e6 / calls as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}
