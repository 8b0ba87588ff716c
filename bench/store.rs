//! The store from Rust: `cargo bench`. Ratios within one run tell more than the times.

use divan::{Bencher, black_box};
use luat_kv::{Entry, ListOptions, Namespace, OpenOptions, Store};

fn main() {
    divan::main();
}

const KEYS: usize = 20_000;

fn key(i: usize) -> String {
    format!("user:{:08}", i * 7919 % KEYS)
}

/// A namespace with all the keys, on disk or in memory, and the folder that must outlive it.
fn filled(backend: &str) -> (Namespace, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions::default();
    let store = match backend {
        "memory" => Store::open_memory(&options),
        _ => Store::open(folder.path().join("kv.db"), &options),
    };
    let namespace = store.unwrap().namespace("bench").unwrap();
    for i in 0..KEYS {
        namespace.put(&key(i), [b'v'; 100]).unwrap();
    }
    (namespace, folder)
}

#[divan::bench(args = ["memory", "sqlite"])]
fn get(bencher: Bencher, backend: &str) {
    let (namespace, _folder) = filled(backend);
    let (mut i, mut entry) = (0, Entry::default());
    bencher
        .with_inputs(|| (i += 1, key(i)).1)
        .bench_local_refs(|key| namespace.read_value(black_box(key), &mut entry).unwrap());
}

#[divan::bench(args = ["memory", "sqlite"])]
fn put(bencher: Bencher, backend: &str) {
    let (namespace, _folder) = filled(backend);
    let mut i = 0;
    bencher
        .with_inputs(|| (i += 1, key(i)).1)
        .bench_local_refs(|key| namespace.put(black_box(key), [b'w'; 100]).unwrap());
}

#[divan::bench(args = ["memory", "sqlite"])]
fn list_1000(bencher: Bencher, backend: &str) {
    let (namespace, _folder) = filled(backend);
    bencher.bench_local(|| namespace.list(&ListOptions::new().prefix(black_box("user:"))).unwrap());
}

/// Of a file that this process has open; with the close.
#[divan::bench]
fn open_again(bencher: Bencher) {
    let (_namespace, folder) = filled("sqlite");
    let (path, options) = (folder.path().join("kv.db"), OpenOptions::default());
    bencher.bench_local(|| Store::open(black_box(&path), &options).unwrap());
}
