//! Random operations, with time moved by hand: both back ends answer as a simple model does.

use std::collections::BTreeMap;

use luat_kv::{Clock, Code, Entry, ListOptions, Namespace, OpenOptions, Page, PutOptions, Store};
use proptest::prelude::*;

/// Where the clock stands at the beginning.
const EPOCH: i64 = 1_700_000_000;

/// Namespaces and keys are few, so that operations meet; their characters sort differently as bytes, as UTF-16 and in a
/// `LIKE`.
const NAMES: [&str; 3] = ["a", "b", "a\0"];
const KEYS: [&str; 12] = ["a", "a%", "a_", "aa", "ab", "b", "b\0", "\0", "Ä", "\u{fffd}", "\u{10000}", "\u{10ffff}x"];
const PREFIXES: [&str; 8] = ["", "a", "a%", "_", "b", "\u{fffd}", "\u{10ffff}", "zzz"];

#[derive(Clone, Debug)]
enum Op {
    Put {
        name: usize,
        key: usize,
        value: Vec<u8>,
        ttl: Option<i64>,
        at: Option<i64>,
        metadata: Option<&'static str>,
    },
    Delete {
        name: usize,
        key: usize,
    },
    Get {
        name: usize,
        key: usize,
    },
    /// All pages, of this many keys.
    List {
        name: usize,
        prefix: usize,
        limit: u64,
    },
    Sweep {
        max: Option<u64>,
    },
    Move {
        seconds: i64,
    },
    /// Closes the store and opens it again; the one in memory stays.
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let (name, key) = (0..NAMES.len(), 0..KEYS.len());
    let put = (
        name.clone(),
        key.clone(),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::option::of(-1..20_i64),
        prop::option::of(-5..20_i64),
        prop::option::of(prop::sample::select(vec!["{\"a\":1}", "false", "0", "null", "nonsense", "[]"])),
    );
    prop_oneof![
        8 => put.prop_map(|(name, key, value, ttl, at, metadata)| Op::Put { name, key, value, ttl, at, metadata }),
        2 => (name.clone(), key.clone()).prop_map(|(name, key)| Op::Delete { name, key }),
        4 => (name.clone(), key).prop_map(|(name, key)| Op::Get { name, key }),
        3 => (name, 0..PREFIXES.len(), 1..6_u64).prop_map(|(name, prefix, limit)| Op::List { name, prefix, limit }),
        1 => prop::option::of(0..4_u64).prop_map(|max| Op::Sweep { max }),
        3 => (1..15_i64).prop_map(|seconds| Op::Move { seconds }),
        1 => Just(Op::Reopen),
    ]
}

/// What a store should do, written as plainly as it can be said.
///
/// Its clock only goes forwards. Set back, it would bring those expired entries to life again that nobody has removed
/// yet, and which those are is a back end's own affair.
#[derive(Default)]
struct Model {
    now: i64,
    rows: BTreeMap<(usize, &'static str), Entry>,
}

impl Model {
    fn expire(&mut self) {
        let now = self.now;
        self.rows.retain(|_, entry| entry.expiration.is_none_or(|end| now < end));
    }

    /// What a put comes to: an error's code, or nothing.
    fn put(&mut self, op: &Op) -> Result<(), Code> {
        let Op::Put { name, key, value, ttl, at, metadata } = op else { unreachable!() };
        if matches!(metadata, Some("null" | "nonsense")) {
            return Err(Code::Invalid);
        }
        let expiration = match (ttl, at) {
            (Some(ttl), _) if *ttl < 1 => return Err(Code::Invalid),
            (Some(ttl), _) => Some(self.now + ttl),
            (None, Some(at)) if *at <= 0 => return Err(Code::Invalid),
            (None, at) => at.map(|at| self.now + at),
        };
        let entry = Entry { value: value.clone(), metadata: metadata.map(str::to_owned), expiration };
        self.rows.insert((*name, KEYS[*key]), entry);
        Ok(())
    }

    fn list(&self, name: usize, prefix: &str) -> Vec<(&'static str, &Entry)> {
        let rows = self.rows.iter().filter(|((of, key), _)| *of == name && key.starts_with(prefix));
        rows.map(|((_, key), entry)| (*key, entry)).collect()
    }
}

fn all_pages(namespace: &Namespace, prefix: &str, limit: u64) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    loop {
        let cursor = pages.last().and_then(|page| page.cursor.clone());
        let options = ListOptions { prefix, limit: Some(limit), cursor: cursor.as_deref() };
        pages.push(namespace.list(&options).unwrap());
        if pages.last().unwrap().cursor.is_none() {
            return pages;
        }
    }
}

/// Runs the operations on a store that `open` gives, again after each `Reopen`, and on the model.
fn run(ops: &[Op], clock: &Clock, mut open: impl FnMut(Option<Store>) -> Store) {
    let mut model = Model { now: EPOCH, ..Model::default() };
    clock.set(EPOCH);
    let mut store = open(None);
    for op in ops {
        let namespace = |name: usize| store.namespace(NAMES[name]).unwrap();
        match op {
            Op::Put { name, key, value, ttl, at, metadata } => {
                let expiration = at.map(|at| model.now + at);
                let options = PutOptions { expiration, expiration_ttl: *ttl, metadata: *metadata };
                let put = namespace(*name).put(KEYS[*key], value, &options);
                assert_eq!(put.map_err(|error| error.code()), model.put(op), "{op:?}");
            }
            Op::Delete { name, key } => {
                namespace(*name).delete(KEYS[*key]).unwrap();
                model.rows.remove(&(*name, KEYS[*key]));
            }
            Op::Get { name, key } => {
                let entry = namespace(*name).get_entry(KEYS[*key]).unwrap();
                assert_eq!(entry.as_ref(), model.rows.get(&(*name, KEYS[*key])), "{op:?}");
            }
            Op::List { name, prefix, limit } => {
                let pages = all_pages(&namespace(*name), PREFIXES[*prefix], *limit);
                let expected = model.list(*name, PREFIXES[*prefix]);
                let full = expected.len().div_ceil(*limit as usize).max(1);
                assert_eq!(pages.len(), full, "a page is complete exactly when nothing is left: {op:?}");
                let keys = pages.into_iter().flat_map(|page| page.keys);
                let listed: Vec<_> = keys.map(|key| (key.name, key.metadata, key.expiration)).collect();
                let expected = expected.into_iter();
                let expected: Vec<_> =
                    expected.map(|(key, entry)| (key.to_owned(), entry.metadata.clone(), entry.expiration)).collect();
                assert_eq!(listed, expected, "{op:?}");
            }
            Op::Sweep { max } => {
                let removed = store.sweep(*max).unwrap();
                assert!(max.is_none_or(|max| removed <= max));
            }
            Op::Move { seconds } => {
                model.now += seconds;
                clock.set(model.now);
                model.expire();
            }
            Op::Reopen => store = open(Some(store)),
        }
    }
    store.sweep(None).unwrap();
    assert_eq!(store.sweep(None).unwrap(), 0, "one sweep takes everything");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_back_end_in_memory_is_the_model(ops in prop::collection::vec(op(), 1..80)) {
        let clock = Clock::manual(EPOCH);
        let options = OpenOptions { clock: clock.clone(), ..OpenOptions::default() };
        run(&ops, &clock, |store| store.unwrap_or_else(|| Store::open_memory(&options).unwrap()));
    }

    #[test]
    fn the_back_end_on_disk_is_the_model(ops in prop::collection::vec(op(), 1..80)) {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(EPOCH);
        let options = OpenOptions { clock: clock.clone(), ..OpenOptions::default() };
        run(&ops, &clock, |store| {
            if let Some(store) = store {
                store.close().unwrap();
            }
            Store::open(folder.path().join("kv.db"), &options).unwrap()
        });
    }
}
