//! SIGKILL while a file of an older format is brought to this one.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use luat_kv::{Durability, Store};
use rusqlite::Connection;

use super::op::EPOCH;
use super::{options, sound};
use crate::support::{Run, end_if_it_hangs, quick_folder, role};

const FORMAT_1: &str = "CREATE TABLE kv (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    expiration INTEGER,
    version BLOB NOT NULL DEFAULT (randomblob(12)),
    metadata TEXT,
    value BLOB,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
    CREATE INDEX kv_expiration ON kv (expiration) WHERE expiration IS NOT NULL;";

const LUAT: &str = "CREATE TABLE kv (
        namespace TEXT, key TEXT, value BLOB, metadata TEXT, expiration INTEGER, PRIMARY KEY (namespace, key));
    CREATE INDEX idx_kv_namespace_key ON kv (namespace, key);";

/// Values of 0 to 4000 bytes, and some that take many pages. Several megabytes in all.
const ROWS: &str = "INSERT INTO kv (namespace, key, value, metadata, expiration)
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
    SELECT 'n' || (i % 3), 'key ' || (i * 7919 % 2003), randomblob(iif(i % 500, i * 31 % 4000, 200000)),
        iif(i % 2, NULL, '[' || i || ']'), iif(i % 5, NULL, 4102444800 + i) FROM n;";

#[derive(Default)]
pub struct Figures {
    pub kills: u64,
    /// How many of them left a log with part of the work.
    pub within: u64,
}

/// Kills processes that open such files, until it is time to end.
pub fn suite(run: &mut Run, end: Instant) -> Figures {
    let mut figures = Figures::default();
    for (name, table) in [("format 1", FORMAT_1), ("Luat's", LUAT)] {
        let folder = quick_folder();
        let original = folder.path().join("original.db");
        let made = Connection::open(&original)
            .and_then(|file| file.execute_batch(&["BEGIN;", table, ROWS, "COMMIT"].concat()));
        made.expect("an older file");
        let versioned = table == FORMAT_1;
        let expected = contents(&original, versioned).expect("what it holds");
        let half = Instant::now() + (end.saturating_duration_since(Instant::now())) / if versioned { 2 } else { 1 };
        let mut time = None;
        while !run.complains() {
            let path = folder.path().join("kv.db");
            fs::copy(&original, &path).expect("a copy");
            // The first one is not killed, and tells how long the others may take.
            let begun = Instant::now();
            let kills = if time.is_some() { 1 + run.rng.below(3) } else { 0 };
            for _ in 0..kills {
                let within = time.unwrap_or(Duration::ZERO).as_micros() as u64 * 5 / 4;
                killed(&path, Duration::from_micros(run.rng.below(within.max(1))));
                figures.kills += 1;
                let log = fs::metadata(path.with_extension("db-wal")).map_or(0, |found| found.len());
                figures.within += u64::from(log > 100_000);
            }
            let outcome = compare(&path, versioned, &expected, run.rng.one_in(2));
            outcome.unwrap_or_else(|wrong| run.complain(format_args!("{name}, killed {kills} times: {wrong}")));
            time.get_or_insert(begun.elapsed());
            for end in ["db", "db-wal", "db-shm"] {
                let _ = fs::remove_file(path.with_extension(end));
            }
            if Instant::now() > half {
                break;
            }
        }
    }
    figures
}

/// Opens the file in a process that is killed after this time.
fn killed(path: &Path, after: Duration) {
    let mut child = role("kills-opener").arg(path).spawn().expect("a process");
    thread::sleep(after);
    child.kill().expect("to kill it");
    child.wait().expect("its end");
}

/// The process itself. It stays until it is killed, or its parent has ended.
pub fn opener(arguments: &[&str]) -> ExitCode {
    let [path] = arguments else { return ExitCode::from(2) };
    end_if_it_hangs();
    match Store::open(Path::new(path), &options(Durability::Normal, EPOCH)) {
        Ok(store) => {
            thread::sleep(Duration::from_secs(1));
            drop(store);
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn compare(path: &Path, versioned: bool, expected: &[String], look_first: bool) -> Result<(), String> {
    let same = |when: &str| match contents(path, versioned) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => Err(format!("{when}, {} rows are not the {} that there were", found.len(), expected.len())),
        Err(why) => Err(format!("{when}: {why}")),
    };
    if look_first {
        same("after the kill")?;
    }
    let store = Store::open(path, &options(Durability::Normal, EPOCH)).map_err(|error| error.to_string())?;
    store.close().map_err(|error| error.to_string())?;
    same("after the next open")?;
    let layout = "SELECT name FROM pragma_table_info('kv') WHERE cid = 5";
    let last = Connection::open(path).and_then(|file| file.query_row(layout, (), |row| row.get::<_, String>(0)));
    if last.as_deref() != Ok("value") {
        return Err(format!("the next open left the table as it was: {last:?}"));
    }
    sound(path)
}

/// A line for each row.
fn contents(path: &Path, versioned: bool) -> rusqlite::Result<Vec<String>> {
    let version = if versioned { "hex(version)" } else { "''" };
    let sql = format!(
        "SELECT namespace || key || {version} || ifnull(metadata, '-') || ifnull(expiration, '-') || hex(value)
         FROM kv ORDER BY namespace, key"
    );
    let connection = Connection::open(path)?;
    let mut query = connection.prepare(&sql)?;
    query.query_map((), |row| row.get(0))?.collect()
}
