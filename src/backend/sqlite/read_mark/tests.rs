use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::super::connection::Connection;
use super::super::database::{Caller, Database};
use super::*;
use crate::error::{Code, Error, Result};
use crate::types::Durability;

const CALLER: Caller =
    Caller { readonly: false, durability: Durability::Normal, busy_timeout: Duration::ZERO, cache_size: 0 };

/// SQLite's number for a mark that nothing uses.
const UNUSED: u32 = u32::MAX;

fn with_file(test: impl FnOnce(&Path, &Database)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kv.db");
    test(&path, &open(&path));
}

fn open(path: &Path) -> Database {
    Database::open(path.to_owned(), CALLER, true, &|_| Ok(()), Duration::ZERO).unwrap()
}

/// SQLite without this library.
fn plain(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}

fn write<T>(database: &Database, act: impl FnOnce(&Connection) -> T) -> T {
    database.write(&CALLER, false, |connection| Ok(act(connection))).unwrap()
}

fn try_put(connection: &Connection, key: &str) -> Result<usize> {
    let put = "INSERT OR REPLACE INTO kv (namespace, key, value) VALUES ('n', ?1, randomblob(9))";
    Ok(connection.sqlite.execute(put, [key])?)
}

fn puts(database: &Database, count: u32) {
    (0..count).for_each(|_| assert_eq!(write(database, |connection| try_put(connection, "k")), Ok(1)));
}

/// The frames in the log, and how many of them are in the file.
fn checkpoint(sqlite: &rusqlite::Connection, mode: &str) -> (u32, u32) {
    let found = sqlite.query_row(&format!("PRAGMA wal_checkpoint({mode})"), (), |row| {
        Ok((row.get::<_, bool>(0)?, row.get(1)?, row.get(2)?))
    });
    let (is_busy, frames, moved) = found.unwrap();
    assert!(!is_busy);
    (frames, moved)
}

fn count(sqlite: &rusqlite::Connection) -> u32 {
    sqlite.query_row("SELECT count(*) FROM kv", (), |row| row.get(0)).unwrap()
}

fn check(sqlite: &rusqlite::Connection) {
    assert_eq!(sqlite.query_row("PRAGMA integrity_check", (), |row| row.get::<_, String>(0)).unwrap(), "ok");
}

fn index(connection: &Connection) -> WalIndex {
    connection.index.unwrap()
}

fn frames(connection: &Connection) -> u32 {
    index(connection).header().frames()
}

/// The mark that the transactions of other connections have locked.
fn held(connection: &Connection, other: &rusqlite::Connection) -> u32 {
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    let (main, out) = (c"main".as_ptr(), (&raw mut file).cast());
    let mut held = LOCKS.zip(index(connection).marks()).filter(|(place, _)| {
        // SAFETY: the connection is open, has used its log, and has no transaction.
        unsafe {
            ffi::sqlite3_file_control(other.handle(), main, ffi::SQLITE_FCNTL_FILE_POINTER, out);
            let lock = (*(*file).pMethods).xShmLock.unwrap();
            let status = lock(file, *place, 1, ffi::SQLITE_SHM_LOCK | ffi::SQLITE_SHM_EXCLUSIVE);
            if status == ffi::SQLITE_OK {
                lock(file, *place, 1, ffi::SQLITE_SHM_UNLOCK | ffi::SQLITE_SHM_EXCLUSIVE);
            }
            status == ffi::SQLITE_BUSY
        }
    });
    let (_, mark) = held.next().expect("a mark is locked");
    assert_eq!(held.next(), None);
    mark
}

#[test]
fn writes_seldom_move_a_mark_and_none_is_far_behind() {
    with_file(|path, database| {
        let other = plain(path);
        count(&other);
        let (mut moves, mut farthest, mut marks) = (0, 0, [UNUSED; 4]);
        for _ in 0..200 {
            write(database, |connection| {
                connection.sqlite.execute_batch("BEGIN IMMEDIATE").unwrap();
                farthest = farthest.max(frames(connection) - held(connection, &other));
                try_put(connection, "k").unwrap();
                connection.sqlite.execute_batch("COMMIT").unwrap();
                let now = index(connection).marks();
                moves += u32::from(std::mem::replace(&mut marks, now) != now);
            });
        }
        let frames = write(database, frames);
        assert!(frames >= 200);
        assert!(moves <= 1 + frames / (BEHIND - 2), "{moves} for {frames} frames");
        assert!((BEHIND - 2..BEHIND).contains(&farthest), "{farthest}");
    });
}

#[test]
fn a_checkpoint_after_a_commit_moves_all() {
    with_file(|_, database| {
        puts(database, 10);
        write(database, |connection| {
            try_put(connection, "k").unwrap();
            assert!(index(connection).marks().iter().all(|mark| *mark != frames(connection)));
            let (frames, moved) = checkpoint(&connection.sqlite, "PASSIVE");
            assert!(frames > 10);
            assert_eq!(moved, frames);
        });
        puts(database, 1);
        assert!(write(database, frames) < 10, "the log begins anew");
    });
}

#[test]
fn a_checkpoint_moves_all_if_a_call_does_nothing_else() {
    with_file(|_, database| {
        puts(database, 10);
        write(database, |connection| {
            assert!(index(connection).marks().iter().all(|mark| *mark != frames(connection)));
            assert_eq!(checkpoint(&connection.sqlite, "TRUNCATE"), (0, 0));
        });
    });
}

#[test]
fn a_write_may_use_other_files() {
    with_file(|path, database| {
        let (own, path) = (plain(path), path.with_file_name("other.db"));
        let other = open(&path);
        puts(&other, 10);
        puts(database, 10);
        write(database, |connection| {
            connection.sqlite.execute_batch("BEGIN IMMEDIATE").unwrap();
            let read = |connection: &mut Connection| Ok(checkpoint(&connection.sqlite, "PASSIVE"));
            let (frames, moved) = other.read(&CALLER, false, read).unwrap();
            assert!(frames > 10);
            assert_eq!(moved, frames);
            puts(&other, 1);
            connection.sqlite.execute_batch("COMMIT").unwrap();
        });
        check(&own);
    });
}

#[test]
fn a_recovery_sets_all_marks() {
    with_file(|path, database| {
        puts(database, 10);
        write(database, |connection| {
            let before = frames(connection);
            // As after a crash in the midst of a commit.
            // SAFETY: the connection is open.
            unsafe { index(connection).commits().as_ref() }.fetch_add(1, Ordering::Relaxed);
            try_put(connection, "after").unwrap();
            assert_eq!(index(connection).marks(), [before, UNUSED, UNUSED, UNUSED]);
        });
        check(&plain(path));
        assert_eq!(count(&plain(path)), 2);
    });
}

#[test]
fn a_checkpoint_beside_a_write_moves_nothing_after_its_mark() {
    with_file(|path, database| {
        let other = plain(path);
        count(&other);
        puts(database, 30);
        write(database, |connection| {
            connection.sqlite.execute_batch("BEGIN IMMEDIATE").unwrap();
            try_put(connection, "own").unwrap();
            let (mark, before) = (held(connection, &other), frames(connection));
            assert!(mark < before);
            assert_eq!(checkpoint(&other, "PASSIVE"), (before, mark));
            assert_eq!((count(&connection.sqlite), count(&other)), (2, 1));
            check(&connection.sqlite);
            connection.sqlite.execute_batch("COMMIT").unwrap();
        });
        let (frames, moved) = checkpoint(&other, "PASSIVE");
        assert_eq!(moved, frames);
        check(&other);
        assert_eq!(count(&other), 2);
    });
}

#[test]
fn no_row_is_lost_among_writes_and_checkpoints() {
    const WRITES: u32 = 500;
    with_file(|path, database| {
        let has_ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let checkpoints = scope.spawn(|| {
                let other = plain(path);
                while !has_ended.load(Ordering::Relaxed) {
                    let _ = other.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()));
                    check(&other);
                }
            });
            // Databases that were opened apart share as little as processes do.
            let writers = ["a", "b"].map(|name| {
                scope.spawn(move || {
                    let database = open(path);
                    for number in 0..WRITES {
                        let key = format!("{name}{number}");
                        while let Err(error) = database.write(&CALLER, false, |connection| try_put(connection, &key)) {
                            assert_eq!(error.code(), Code::Busy, "{error}");
                            thread::yield_now();
                        }
                    }
                })
            });
            let joined = writers.map(|writer| writer.join().is_ok());
            has_ended.store(true, Ordering::Relaxed);
            checkpoints.join().unwrap();
            assert_eq!(joined, [true; 2]);
        });
        puts(database, 1);
        assert_eq!(count(&plain(path)), 2 * WRITES + 1);
        check(&plain(path));
    });
}

#[test]
fn nothing_is_kept_after_an_attempt_that_failed() {
    with_file(|_, database| {
        let fails = |_: &mut Connection| -> Result<()> {
            assert!(KEPT.get().is_some());
            Err(Error::closed())
        };
        database.write(&CALLER, false, fails).unwrap_err();
        assert!(KEPT.get().is_none());
    });
}
