//! A crafted or damaged database: whatever its bytes are, each operation has an answer or an error that names the file.
#![no_main]

use std::fs;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use luat_kv::{Code, Error, Format, ListOptions, Namespace, OpenOptions, PutOptions, Store};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    readonly: bool,
    /// What is written over a sound database, and where.
    damage: Vec<(u32, &'a [u8])>,
    /// SQL text that takes the place of the table's own.
    schema: Option<&'a [u8]>,
    /// How many bytes are cut off.
    cut: u16,
}

const SCHEMA: &[u8] = b"CREATE TABLE kv (";

/// A database with some of everything.
fn sound() -> &'static [u8] {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    SOUND.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kv.db");
        let store = Store::open(&path, &OpenOptions::default()).unwrap();
        let kv = store.namespace("n").unwrap();
        for number in 0..60 {
            let (value, metadata) = (vec![number; usize::from(number) * 40], format!("[{number}]"));
            let expiration_ttl = (number % 3 == 0).then_some(1_000_000);
            let options = PutOptions::new().metadata(metadata.as_str()).ttl(expiration_ttl);
            kv.put_with(&format!("key {number}"), &value, &options).unwrap();
        }
        kv.incr("count", 1).unwrap();
        store.namespace("other").unwrap().put("k", &[7; 20_000]).unwrap();
        store.close().unwrap();
        fs::read(&path).unwrap()
    })
}

fn look<T>(answer: Result<T, Error>) {
    if let Err(error) = answer {
        assert!(!matches!(error.code(), Code::Panic | Code::Internal), "{error}");
        assert!(error.code() == Code::NoMem || !error.message().is_empty());
    }
}

fn use_all(store: &Store, kv: &Namespace) {
    look(kv.get("key 7"));
    look(kv.get_entry("count"));
    look(kv.get_many(&["key 1", "key 59", "none"]));
    for reverse in [false, true] {
        look(kv.list(&ListOptions::new().values(true).reverse(reverse)));
    }
    look(kv.count("key"));
    look(kv.export(&mut std::io::sink(), Format::JsonLines));
    look(store.namespaces());
    look(store.stats());
    look(kv.put("key 7", b"new"));
    look(kv.incr("count", 1));
    look(kv.delete("key 8"));
    look(store.sweep(None));
    look(kv.delete_prefix("key 5"));
    look(store.compact());
    look(store.close());
}

fuzz_target!(|input: Input<'_>| {
    let mut bytes = sound().to_vec();
    if let Some(schema) = input.schema {
        let at = bytes.windows(SCHEMA.len()).position(|window| window == SCHEMA).unwrap();
        let len = schema.len().min(200);
        bytes[at..at + len].copy_from_slice(&schema[..len]);
    }
    for (at, damage) in &input.damage {
        let at = *at as usize % bytes.len();
        let len = damage.len().min(bytes.len() - at);
        bytes[at..at + len].copy_from_slice(&damage[..len]);
    }
    bytes.truncate(bytes.len().saturating_sub(input.cut.into()));
    // In memory, where there is such a place: the runs are many.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("kv.db");
    fs::write(&path, bytes).unwrap();
    match Store::open(&path, &OpenOptions::new().readonly(input.readonly)) {
        Err(error) => look(Err::<(), _>(error)),
        Ok(store) => use_all(&store, &store.namespace("n").unwrap()),
    }
});
