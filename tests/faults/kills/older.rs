//! SIGKILL, or a full disk, while a file of an older format is converted.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use luat_kv::{Code, Durability, Store};
use rusqlite::Connection;

use super::op::EPOCH;
use super::{options, sound};
use crate::support::{Run, end_if_it_hangs, quick_folder, role};
use crate::trap::{self, Call};

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

/// The number of rows.
const COUNT: u64 = 2000;

/// Values of 0 to 4000 bytes, and some that take many pages. Several megabytes in all.
const ROWS: &str = "INSERT INTO kv (namespace, key, value, metadata, expiration)
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
    SELECT 'n' || (i % 3), 'key ' || (i * 7919 % 2003), randomblob(iif(i % 500, i * 31 % 4000, 200000)),
        iif(i % 2, NULL, '[' || i || ']'), iif(i % 5, NULL, 4102444800 + i) FROM n;";

#[derive(Default)]
pub struct Figures {
    pub kills: u64,
    /// How many of them left a log with a part of the work.
    pub within: u64,
    /// How often the disk was full.
    pub full: u64,
}

/// The minimum number of rounds with each kind of file, however slow the machine is.
const LEAST: usize = 5;

/// Kills processes that open such files, or lets the disk be full for them, until the time is over.
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
        let (mut time, mut rounds) = (None, 0);
        while !run.complains() {
            let path = folder.path().join("kv.db");
            fs::copy(&original, &path).expect("a copy");
            // In the first round nothing fails, and it shows how long the others may take. In every second one of the
            // others the disk is full.
            let begun = Instant::now();
            let kills = if rounds % 2 == 1 { 1 + run.rng.below(3) } else { 0 };
            for _ in 0..kills {
                let within = time.unwrap_or(Duration::ZERO).as_micros() as u64 * 5 / 4;
                killed(&path, Duration::from_micros(run.rng.below(within.max(1))));
                figures.kills += 1;
                let log = fs::metadata(path.with_extension("db-wal")).map_or(0, |found| found.len());
                figures.within += u64::from(log > 100_000);
            }
            if rounds > 0 && kills == 0 {
                let at = run.rng.below(WRITES);
                figures.full += 1;
                full(&path, at, versioned).unwrap_or_else(|wrong| {
                    run.complain(format_args!("{name}, disk full at write {at}: {wrong}"));
                });
            }
            let outcome = compare(&path, versioned, &expected, run.rng.one_in(2));
            outcome.unwrap_or_else(|wrong| run.complain(format_args!("{name}, killed {kills} times: {wrong}")));
            time.get_or_insert(begun.elapsed());
            for end in ["db", "db-wal", "db-shm"] {
                let _ = fs::remove_file(path.with_extension(end));
            }
            rounds += 1;
            if rounds >= LEAST && Instant::now() > half {
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

/// Opens the file in a process for which the disk is full from the `at`-th write on.
fn full(path: &Path, at: u64, versioned: bool) -> Result<(), String> {
    /// The maximum number of writes to give the file a log.
    const FIRST_WRITES: u64 = 50;
    let child = role("kills-opener").arg(path).arg(at.to_string()).output().expect("a process");
    match child.status.code() {
        Some(0) => Ok(()),
        Some(REFUSED) if versioned && at > FIRST_WRITES => Err("a table that works as it is was refused".to_owned()),
        Some(REFUSED) => Ok(()),
        _ => Err(String::from_utf8_lossy(&child.stderr).trim().to_owned()),
    }
}

/// The exit status if the open reported that the disk is full.
const REFUSED: i32 = 3;

/// Returns whether the file could be opened, and then read, and written once there was space.
fn open_without_room(path: &Path, at: u64) -> Result<bool, String> {
    trap::install(path.parent().expect("a folder"));
    trap::arm(Call::Write, at, u64::MAX, libc::ENOSPC);
    let opened = Store::open(path, &options(Durability::Normal, EPOCH));
    let hits = trap::hits();
    let store = match opened {
        Ok(store) => store,
        Err(error) if hits > 0 && error.code() == Code::Io && error.message().contains("make room") => {
            return Ok(false);
        }
        Err(error) => return Err(format!("the open: {error}")),
    };
    let stats = store.stats().map_err(|error| format!("stats: {error}"))?;
    let found: u64 = stats.namespaces.iter().map(|namespace| namespace.live).sum();
    if found != COUNT {
        return Err(format!("{found} entries are found"));
    }
    trap::disarm();
    let namespace = store.namespace("n0").map_err(|error| error.to_string())?;
    let put = namespace.put("new", b"value");
    put.map_err(|error| format!("a put once there is room: {error}"))?;
    namespace.delete("new").map_err(|error| format!("a delete: {error}"))?;
    store.close().map(|()| true).map_err(|error| format!("the close: {error}"))
}

/// The process's own code. It runs until it is killed, or its parent has ended.
pub fn opener(arguments: &[&str]) -> ExitCode {
    end_if_it_hangs();
    let path = match arguments {
        [path] => path,
        [path, at] => {
            return match open_without_room(Path::new(path), at.parse().expect("a number")) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::from(REFUSED as u8),
                Err(wrong) => {
                    eprintln!("{wrong}");
                    ExitCode::FAILURE
                }
            };
        }
        _ => return ExitCode::from(2),
    };
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

/// Fewer calls than are needed to write such a file's log.
const WRITES: u64 = 4000;

/// One line for each row.
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
