//! The adapter for Luat, bindings/luat/store.rs. Luat is in no registry, so its trait and its types are written down here,
//! as they are in its commit fdf55cd; docs/hosts/luat.md says how its own tests are run.

use luat::kv::{KVError, KVStore, ListOptions, PutOptions};

/// The shape of Luat's crate, whether a test looks at all of it or not.
#[allow(dead_code)]
mod luat {
    pub mod kv {
        pub type KVResult<T> = Result<T, KVError>;

        #[derive(Debug)]
        pub enum KVError {
            Storage(String),
            Serialization(String),
            InvalidOperation(String),
        }

        impl From<serde_json::Error> for KVError {
            fn from(error: serde_json::Error) -> Self {
                KVError::Serialization(error.to_string())
            }
        }

        #[derive(Debug)]
        pub struct KVEntry {
            pub value: Vec<u8>,
            pub metadata: Option<serde_json::Value>,
            pub expiration: Option<u64>,
        }

        #[derive(Default)]
        pub struct PutOptions {
            pub expiration: Option<u64>,
            pub expiration_ttl: Option<u64>,
            pub metadata: Option<serde_json::Value>,
        }

        #[derive(Default)]
        pub struct ListOptions {
            pub prefix: Option<String>,
            pub limit: Option<usize>,
            pub cursor: Option<String>,
        }

        #[derive(Debug)]
        pub struct ListResult {
            pub keys: Vec<ListKey>,
            pub list_complete: bool,
            pub cursor: Option<String>,
        }

        #[derive(Debug)]
        pub struct ListKey {
            pub name: String,
            pub expiration: Option<u64>,
            pub metadata: Option<serde_json::Value>,
        }

        pub trait KVStore: Send + Sync {
            fn get(&self, key: &str) -> KVResult<Option<Vec<u8>>>;
            fn get_with_metadata(&self, key: &str) -> KVResult<Option<KVEntry>>;
            fn put(&self, key: &str, value: &[u8], options: PutOptions) -> KVResult<()>;
            fn delete(&self, key: &str) -> KVResult<()>;
            fn list(&self, options: ListOptions) -> KVResult<ListResult>;
        }
    }
}

mod adapter {
    use super::luat;
    include!("../../bindings/luat/store.rs");
}
use adapter::SqliteKVStore;

const FUTURE: u64 = 4_000_000_000;

fn open() -> (tempfile::TempDir, SqliteKVStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteKVStore::new(folder.path(), "test").unwrap();
    (folder, store)
}

#[test]
fn an_entry_comes_back() {
    let (_folder, store) = open();
    let metadata = serde_json::json!({ "author": "alice" });
    let options = PutOptions { expiration: Some(FUTURE), metadata: Some(metadata.clone()), ..Default::default() };
    store.put("key", b"\0value", options).unwrap();
    let entry = store.get_with_metadata("key").unwrap().unwrap();
    assert_eq!((&entry.value[..], entry.expiration, entry.metadata), (&b"\0value"[..], Some(FUTURE), Some(metadata)));
    store.delete("key").unwrap();
    store.delete("key").unwrap();
    assert!(store.get("key").unwrap().is_none() && store.get_with_metadata("key").unwrap().is_none());
    store.put("key", b"", PutOptions { metadata: Some(serde_json::Value::Null), ..Default::default() }).unwrap();
    assert!(store.get_with_metadata("key").unwrap().unwrap().metadata.is_none());
}

#[test]
fn what_is_over_is_gone_at_once() {
    let (_folder, store) = open();
    let over = [(None, Some(0)), (Some(0), None), (Some(1), Some(60))]; // in Luat the time wins over the lifetime
    for (expiration, expiration_ttl) in over {
        store.put("key", b"old", PutOptions::default()).unwrap();
        store.put("key", b"new", PutOptions { expiration, expiration_ttl, metadata: None }).unwrap();
        assert!(store.get("key").unwrap().is_none(), "{expiration:?} {expiration_ttl:?}");
    }
    let both = PutOptions { expiration: Some(FUTURE), expiration_ttl: Some(0), metadata: None };
    store.put("key", b"new", both).unwrap();
    assert_eq!(store.get_with_metadata("key").unwrap().unwrap().expiration, Some(FUTURE));
}

#[test]
fn pages_have_all_keys_once() {
    let (_folder, store) = open();
    for key in ["a%", "a1", "a2", "a3", "b"] {
        store.put(key, b"", PutOptions::default()).unwrap();
    }
    let (mut names, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.list(ListOptions { prefix: Some("a".into()), limit: Some(3), cursor }).unwrap();
        assert_eq!(page.list_complete, page.cursor.is_none());
        names.extend(page.keys.into_iter().map(|key| key.name));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(names, ["a%", "a1", "a2", "a3"]);
    let start = Some(String::new());
    let all = store.list(ListOptions { limit: Some(usize::MAX), cursor: start, ..Default::default() }).unwrap();
    assert_eq!(all.keys.len(), 5);
    let none = store.list(ListOptions { limit: Some(0), ..Default::default() }).unwrap();
    assert!(none.keys.is_empty() && !none.list_complete, "{none:?}");
}

#[test]
fn wrong_requests_are_told_from_failures() {
    let (folder, store) = open();
    let year_128_000 = PutOptions { expiration: Some(u64::MAX), ..Default::default() };
    assert!(matches!(store.put("key", b"", year_128_000), Err(KVError::InvalidOperation(why)) if why.contains("9999")));
    assert!(matches!(store.get(""), Err(KVError::InvalidOperation(_))));
    std::fs::write(folder.path().join("file"), "").unwrap();
    assert!(matches!(SqliteKVStore::new(&folder.path().join("file"), "n"), Err(KVError::Storage(_))));
}

/// The variable is that of a whole process, so this test runs itself in another one.
#[test]
fn the_environment_names_the_store() {
    if std::env::var_os("LUAT_STORE_TEST_CHILD").is_some() {
        let nowhere = std::path::Path::new("/nonexistent");
        SqliteKVStore::new(nowhere, "test").unwrap().put("key", b"value", PutOptions::default()).unwrap();
        return;
    }
    let (folder, store) = open();
    let mut other = std::process::Command::new(std::env::current_exe().unwrap());
    other.args(["--exact", "the_environment_names_the_store"]).env("LUAT_STORE_TEST_CHILD", "1");
    assert!(other.env("LUAT_KV_DB", folder.path().join("kv.db")).output().unwrap().status.success());
    assert_eq!(store.get("key").unwrap().as_deref(), Some(&b"value"[..]));
}
