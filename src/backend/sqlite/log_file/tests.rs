use std::cell::{Cell, RefCell};
use std::path::Path;

use super::super::commits::tests::open;
use super::super::connection::Connection;
use super::super::opened::OpenedFile;
use super::*;

const PAGE: usize = 4096;
const FRAME: usize = HEADER + PAGE;

thread_local! {
    /// What this thread has written: where, and how many bytes.
    static WRITTEN: RefCell<Vec<(i64, usize)>> = const { RefCell::new(Vec::new()) };
    /// The number of writes of this thread until one fails, as on a full disk.
    static FAILS: Cell<Option<usize>> = const { Cell::new(None) };
}

/// What SQLite calls in this program.
#[unsafe(no_mangle)]
extern "C" fn pwrite64(descriptor: c_int, bytes: *const c_void, len: usize, offset: i64) -> isize {
    let _ = WRITTEN.try_with(|written| written.borrow_mut().push((offset, len)));
    let left = FAILS.try_with(Cell::take).unwrap_or(None);
    if left == Some(0) {
        // SAFETY: the number is this thread's.
        unsafe { *libc::__errno_location() = libc::ENOSPC };
        return -1;
    }
    let _ = FAILS.try_with(|fails| fails.set(left.map(|left| left - 1)));
    // SAFETY: the caller's promise to `pwrite`.
    unsafe { libc::syscall(libc::SYS_pwrite64, descriptor, bytes, len, offset) as isize }
}

fn put(connection: &Connection, key: u32, value: &str) -> rusqlite::Result<usize> {
    let put = "INSERT OR REPLACE INTO kv (namespace, key, version, value) VALUES ('n', ?1, x'01', ?2)";
    connection.sqlite.execute(put, (format!("{key:04}"), value))
}

const CONTENTS: &str = "SELECT group_concat(key || '=' || value, ' ') FROM (SELECT * FROM kv ORDER BY key)";

/// What SQLite without this library finds, in the file itself and as after a crash of the machine: the file and the
/// log are then all there is.
fn found(path: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    for suffix in ["", "-wal"] {
        let of = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::copy(of(path), of(&copy)).unwrap();
    }
    let [here, after_crash] = [path, &copy].map(|path| {
        let plain = rusqlite::Connection::open(path).unwrap();
        let ask = |sql| plain.query_row(sql, (), |row| row.get::<_, Option<String>>(0)).unwrap();
        assert_eq!(ask("PRAGMA integrity_check").as_deref(), Some("ok"));
        ask(CONTENTS).unwrap_or_default()
    });
    assert_eq!(here, after_crash);
    here
}

fn with_file(test: impl FnOnce(&OpenedFile)) {
    let folder = tempfile::tempdir().unwrap();
    test(&OpenedFile::new(folder.path().join("kv.db"), false));
}

#[test]
fn a_frame_is_one_write() {
    with_file(|file| {
        let connection = open(file);
        put(&connection, 0, "first").unwrap();
        WRITTEN.take();
        for number in 0..10 {
            put(&connection, number, "value").unwrap();
        }
        let written = WRITTEN.take();
        assert!(written.len() >= 10);
        for (index, (offset, len)) in written.iter().enumerate() {
            assert_eq!((*len, *offset), (FRAME, written[0].0 + (index * FRAME) as i64));
        }
    });
}

#[test]
fn the_log_contains_what_was_committed() {
    with_file(|file| {
        let path = file.path().to_owned();
        let (first, second) = (open(file), open(file));
        let mut expected = String::new();
        for round in 0..6 {
            let connection = if round % 3 == 0 { &second } else { &first };
            // Pages leave the cache within the transaction and are changed again, so frames are written again, and
            // the headers of those that follow.
            connection.sqlite.pragma_update(None, "cache_size", 5).unwrap();
            connection.sqlite.execute_batch("BEGIN IMMEDIATE").unwrap();
            for value in ["old", "new"] {
                for key in 0..300 {
                    put(connection, key, &format!("{value} {round} {}", "x".repeat(300))).unwrap();
                }
            }
            connection.sqlite.execute_batch(if round == 4 { "ROLLBACK" } else { "COMMIT" }).unwrap();
            // Before the connection does anything else.
            let committed = found(&path);
            let ask = |of: &Connection| of.sqlite.query_row(CONTENTS, (), |row| row.get::<_, String>(0)).unwrap();
            assert_eq!(ask(&first), committed);
            assert_eq!(ask(&second), committed);
            put(&first, 400 + round, "alone").unwrap();
            expected = found(&path);
            assert_eq!(ask(connection), expected);
        }
        assert!(expected.contains("new 5") && expected.contains("0405=alone"));
        let rewritten = WRITTEN.take().iter().filter(|(_, len)| *len == HEADER).count();
        assert!(rewritten > 100, "{rewritten}");
    });
}

#[test]
fn a_write_that_fails_is_reported_and_leaves_no_frame() {
    with_file(|file| {
        let path = file.path().to_owned();
        let connection = open(file);
        put(&connection, 0, "first").unwrap();
        for fails in 0..4 {
            let before = found(&path);
            FAILS.set(Some(fails));
            connection.sqlite.execute_batch("BEGIN IMMEDIATE").unwrap();
            let done = (1..200).try_for_each(|key| put(&connection, key, &"x".repeat(1000)).map(|_| ()));
            let done = done.and_then(|()| connection.sqlite.execute_batch("COMMIT"));
            let error = done.unwrap_err();
            FAILS.set(None);
            assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull), "{error}");
            if !connection.sqlite.is_autocommit() {
                connection.sqlite.execute_batch("ROLLBACK").unwrap();
            }
            assert_eq!(found(&path), before);
            put(&connection, 0, &format!("after {fails}")).unwrap();
            assert_eq!(found(&path), format!("0000=after {fails}"));
        }
    });
}

#[test]
fn other_uses_of_the_log_write_first_what_is_held_back() {
    const AT: i64 = 1 << 20;
    type Use = fn(*mut ffi::sqlite3_file, &ffi::sqlite3_io_methods) -> c_int;
    let uses: [(&str, Use); 6] = [
        ("read", |log, with| {
            let mut bytes = [0_u8; HEADER];
            // SAFETY: the log is open, and the bytes are there.
            let read = unsafe { with.xRead.unwrap()(log, bytes.as_mut_ptr().cast(), HEADER as c_int, AT) };
            assert_eq!(bytes, [7; HEADER]);
            read
        }),
        ("size", |log, with| {
            let mut size = 0;
            // SAFETY: the log is open.
            let done = unsafe { with.xFileSize.unwrap()(log, &mut size) };
            assert_eq!(size, AT + HEADER as i64);
            done
        }),
        // SAFETY: the log is open.
        ("sync", |log, with| unsafe { with.xSync.unwrap()(log, ffi::SQLITE_SYNC_NORMAL) }),
        // SAFETY: the log is open.
        ("truncate", |log, with| unsafe { with.xTruncate.unwrap()(log, AT + HEADER as i64) }),
        ("control", |log, with| {
            // SAFETY: the log is open, and the control takes no argument that it would read.
            unsafe { with.xFileControl.unwrap()(log, -1, ptr::null_mut()) };
            ffi::SQLITE_OK
        }),
        // SAFETY: the log is open, and the bytes are there.
        ("write", |log, with| unsafe { with.xWrite.unwrap()(log, [8_u8; 50].as_ptr().cast(), 50, 500) }),
    ];
    for (what, used) in uses {
        with_file(|file| {
            let connection = open(file);
            put(&connection, 0, "first").unwrap();
            let mut log: *mut ffi::sqlite3_file = ptr::null_mut();
            let out = (&raw mut log).cast();
            let (main, control) = (c"main".as_ptr(), ffi::SQLITE_FCNTL_JOURNAL_POINTER);
            // SAFETY: the connection is open, and its log is the other file that it writes.
            let methods = unsafe {
                ffi::sqlite3_file_control(connection.sqlite.handle(), main, control, out);
                &*(*log).pMethods
            };
            assert!(ptr::eq(methods, &raw const REPLACED.get().unwrap().methods), "{what}");
            let write = |bytes: &[u8], offset| {
                // SAFETY: the log is open, and the bytes are there.
                unsafe { methods.xWrite.unwrap()(log, bytes.as_ptr().cast(), bytes.len() as c_int, offset) }
            };
            assert_eq!((write(&[1; 500], AT - 500), write(&[7; HEADER], AT)), (ffi::SQLITE_OK, ffi::SQLITE_OK));
            WRITTEN.take();
            assert_eq!(used(log, methods), ffi::SQLITE_OK, "{what}");
            assert_eq!(WRITTEN.take()[0], (AT, HEADER), "{what}");
            assert_eq!(write(b"after", AT + HEADER as i64), ffi::SQLITE_OK);
            assert_eq!(WRITTEN.take(), [(AT + HEADER as i64, 5)], "{what}");
        });
    }
}

/// A file with pages of this size. With `pads`, as on a disk that may damage the rest of a sector.
fn connect(path: &Path, page: usize, pads: bool) -> rusqlite::Connection {
    use rusqlite::OpenFlags as Open;
    let uri = format!("file:{}?psow={}", path.display(), u8::from(!pads));
    let flags = Open::SQLITE_OPEN_READ_WRITE | Open::SQLITE_OPEN_CREATE | Open::SQLITE_OPEN_URI;
    let vfs = super::super::vfs::name(false).unwrap();
    let connection = rusqlite::Connection::open_with_flags_and_vfs(uri, flags, vfs).unwrap();
    let set_up = format!("PRAGMA page_size = {page}; PRAGMA journal_mode = WAL; PRAGMA cache_size = 10");
    connection.execute_batch(&set_up).unwrap();
    connection
}

fn holds(connection: &rusqlite::Connection) -> bool {
    let mut log: *mut ffi::sqlite3_file = ptr::null_mut();
    let (main, out) = (c"main".as_ptr(), (&raw mut log).cast());
    // SAFETY: the connection is open, and nothing else uses its log.
    unsafe {
        ffi::sqlite3_file_control(connection.handle(), main, ffi::SQLITE_FCNTL_JOURNAL_POINTER, out);
        assert!(ptr::eq((*log).pMethods, &raw const REPLACED.get().unwrap().methods));
        Open::of(log).unwrap().log().is_held
    }
}

/// SQLite fills the last sector then, and syncs in the midst of a page, whose rest may be as long as a header.
#[test]
fn a_padded_frame_is_complete() {
    for page in [512, 1024, 2048, PAGE] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kv.db");
        let connection = connect(&path, page, true);
        connection.execute_batch("PRAGMA synchronous = FULL; CREATE TABLE t (v); INSERT INTO t VALUES (0)").unwrap();
        let other = rusqlite::Connection::open(&path).unwrap();
        for number in 0..200 {
            connection.execute("UPDATE t SET v = ?1", [number]).unwrap();
            assert!(!holds(&connection), "page {page}, commit {number}");
            assert_eq!(other.query_row("SELECT v FROM t", (), |row| row.get(0)), Ok(number));
        }
    }
}

#[test]
fn nothing_is_held_back_after_a_statement() {
    for page in [512, PAGE, 65536] {
        for synchronous in ["NORMAL", "FULL"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("kv.db");
            let both = [connect(&path, page, false), connect(&path, page, false)];
            for connection in &both {
                let set_up = format!("PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = 50");
                connection.execute_batch(&set_up).unwrap();
            }
            both[0].execute_batch("CREATE TABLE t (k INTEGER PRIMARY KEY, v)").unwrap();
            for round in 0..20 {
                let connection = &both[usize::from(round % 3 == 0)];
                let run = |sql: &str| {
                    connection.execute_batch(sql).unwrap();
                    assert!(!holds(connection), "page {page}, {synchronous}: {sql}");
                };
                run("BEGIN IMMEDIATE");
                for number in 0..40 {
                    let value = format!("randomblob({})", page * (1 + number % 3) / 2);
                    run(&format!("INSERT OR REPLACE INTO t VALUES ({}, {value})", (number * 7 + round) % 25));
                    match number % 10 {
                        3 => run("SAVEPOINT s"),
                        6 if round % 2 == 0 => run("ROLLBACK TO s"),
                        8 => run("RELEASE s"),
                        _ => {}
                    }
                }
                run(if round % 5 == 4 { "ROLLBACK" } else { "COMMIT" });
            }
        }
    }
}
