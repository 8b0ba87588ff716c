// Luat's KV store on the crate luat_kv. docs/hosts/luat.md says how to build Luat with it.

use luat::kv::{KVEntry, KVError, KVResult, KVStore, ListKey, ListOptions, ListResult, PutOptions};
use luat_kv::{Code, Namespace, OpenOptions, Store};
use std::path::Path;

/// A namespace of the store that `LUAT_KV_DB` names, by a path or a URL, or else of `kv.db` in Luat's folder.
///
/// It has the name of the struct whose place it takes. All namespaces of a process share one store's connections.
pub struct SqliteKVStore(Namespace);

impl SqliteKVStore {
    pub fn new(data_dir: &Path, namespace: &str) -> KVResult<Self> {
        let store = match std::env::var_os("LUAT_KV_DB").filter(|url| !url.is_empty()) {
            Some(url) => Store::open_url(url, &OpenOptions::new()),
            None => Store::open(data_dir.join("kv.db"), &OpenOptions::new()),
        };
        Ok(Self(store.and_then(|store| store.namespace(namespace)).map_err(failed)?))
    }
}

/// What Luat's callers get of an error.
fn failed(error: luat_kv::Error) -> KVError {
    match error.code() {
        Code::Invalid | Code::Limit => KVError::InvalidOperation(error.to_string()),
        _ => KVError::Storage(error.to_string()),
    }
}

fn metadata_of(json: Option<String>) -> KVResult<Option<serde_json::Value>> {
    Ok(json.map(|json| serde_json::from_str(&json)).transpose()?)
}

fn unix_seconds(seconds: Option<i64>) -> Option<u64> {
    seconds.and_then(|seconds| seconds.try_into().ok())
}

/// Seconds that are too many for the store stay so, and it says what would be right.
fn seconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn is_past(unix_seconds: u64) -> bool {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.is_ok_and(|now| unix_seconds <= now.as_secs())
}

impl KVStore for SqliteKVStore {
    fn get(&self, key: &str) -> KVResult<Option<Vec<u8>>> {
        self.0.get(key).map_err(failed)
    }

    fn get_with_metadata(&self, key: &str) -> KVResult<Option<KVEntry>> {
        let Some(entry) = self.0.get_entry(key).map_err(failed)? else { return Ok(None) };
        Ok(Some(KVEntry {
            expiration: unix_seconds(entry.expiration),
            metadata: metadata_of(entry.metadata.clone())?,
            value: entry.into_value(),
        }))
    }

    /// In Luat, `expiration` wins over `expiration_ttl`, and what is over already is gone at once. luat_kv refuses a
    /// lifetime of 0 and a time in the past, as Cloudflare does, so here they delete: after it has refused them, since
    /// a time may pass while it is called.
    fn put(&self, key: &str, value: &[u8], options: PutOptions) -> KVResult<()> {
        let metadata = options.metadata.filter(|metadata| !metadata.is_null()).map(|metadata| metadata.to_string());
        let lifetime = match options.expiration {
            Some(expiration) => luat_kv::PutOptions::new().expires_at(seconds(expiration)),
            None => luat_kv::PutOptions::new().ttl(options.expiration_ttl.map(seconds)),
        };
        let Err(error) = self.0.put_with(key, value, &lifetime.metadata(metadata.as_deref())) else { return Ok(()) };
        match (options.expiration, options.expiration_ttl) {
            (Some(expiration), _) if is_past(expiration) => self.delete(key),
            (None, Some(0)) => self.delete(key),
            _ => Err(failed(error)),
        }
    }

    fn delete(&self, key: &str) -> KVResult<()> {
        self.0.delete(key).map_err(failed)?;
        Ok(())
    }

    fn list(&self, options: ListOptions) -> KVResult<ListResult> {
        const MOST: usize = 10_000; // as in Luat, and the most that luat_kv lists at once
        let limit = options.limit.map(|limit| limit.clamp(1, MOST) as u64);
        let wanted = luat_kv::ListOptions::new()
            .prefix(options.prefix.as_deref().unwrap_or_default())
            .limit(limit)
            .cursor(options.cursor.as_deref().filter(|cursor| !cursor.is_empty())); // in Luat, "" is before all keys
        let page = self.0.list(&wanted).map_err(failed)?;
        if options.limit == Some(0) {
            // In Luat it is no error, and tells whether there are keys.
            return Ok(ListResult { keys: Vec::new(), list_complete: page.entries.is_empty(), cursor: None });
        }
        let key = |entry: luat_kv::Entry| {
            Ok(ListKey {
                expiration: unix_seconds(entry.expiration),
                metadata: metadata_of(entry.metadata)?,
                name: entry.key,
            })
        };
        Ok(ListResult {
            keys: page.entries.into_iter().map(key).collect::<KVResult<_>>()?,
            list_complete: page.cursor.is_none(),
            cursor: page.cursor,
        })
    }
}
