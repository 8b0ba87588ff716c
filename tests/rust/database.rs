//! Database files that tests write with SQL and open as stores.

use std::path::{Path, PathBuf};

use luat_kv::{Clock, OpenOptions, Store};
use rusqlite::Connection;
use tempfile::TempDir;

pub const NOW: i64 = 1_700_000_000;

pub fn file(sql: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    (folder, path)
}

pub fn options() -> OpenOptions {
    OpenOptions::new().clock(Clock::manual(NOW))
}

pub fn open(path: &Path) -> Store {
    Store::open(path, &options()).unwrap()
}

pub fn query<T: rusqlite::types::FromSql>(path: &Path, sql: &str) -> T {
    Connection::open(path).unwrap().query_row(sql, (), |row| row.get(0)).unwrap()
}
