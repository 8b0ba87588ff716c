//! Ends statements that would run for ever: pages of a damaged file may form a cycle.
//!
//! SQLite calls back after a number of instructions of its virtual machine. The bound for one call depends on the size
//! of the file: a row takes at least ten bytes, and no statement of this library takes more than a hundred instructions
//! for a row, or looks at a page more than a hundred times. So an undamaged file of any size never reaches the bound,
//! however slow the machine is.

use std::ffi::c_int;
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rusqlite::{Connection, ffi};

use crate::error::Result;

/// The number of instructions between two callbacks.
const EACH: u64 = 10_000;

/// How many instructions and page lookups any call may take: a few tenths of a second.
const FREE: u64 = 5_000_000;

/// How many more for each byte of the file.
const PER_BYTE: u64 = 16;

/// Counts the work of one connection's statements.
#[derive(Debug, Default)]
pub(in super::super) struct Steps {
    /// Instructions since the last [`Steps::restart`].
    instructions: AtomicU64,
    /// Page lookups since then.
    looks: AtomicU64,
    /// How many lookups SQLite had counted at the last callback.
    counted: AtomicU64,
}

impl Steps {
    /// Limits the statements of this connection, whose file is at `path`.
    pub(in super::super) fn watch(connection: &mut Connection, path: &Path) -> Result<Arc<Steps>> {
        let steps = Arc::new(Steps::default());
        let (counting, path) = (steps.clone(), path.to_owned());
        // SAFETY: only the handler uses the handle. SQLite calls the handler while the connection is in use, and never
        // after it is closed.
        let handle = Handle(unsafe { connection.handle() });
        let goes_too_far = move || counting.is_too_far(handle.looks(), || handle.size(&path));
        connection.progress_handler(EACH as c_int, Some(goes_too_far))?;
        Ok(steps)
    }

    /// Starts a new count.
    pub(in super::super) fn restart(&self) {
        self.instructions.store(0, Relaxed);
        self.looks.store(0, Relaxed);
    }

    fn is_too_far(&self, counted: u64, size: impl Fn() -> u64) -> bool {
        let instructions = self.instructions.load(Relaxed) + EACH;
        self.instructions.store(instructions, Relaxed);
        // SQLite's counter is 31 bits wide.
        let since = counted.wrapping_sub(self.counted.swap(counted, Relaxed)) & 0x7fff_ffff;
        let looks = self.looks.load(Relaxed) + if instructions == EACH { 0 } else { since };
        self.looks.store(looks, Relaxed);
        let most = instructions.max(looks);
        most > FREE && most - FREE > PER_BYTE.saturating_mul(size())
    }
}

/// For the handler, which runs on the thread that uses its connection.
struct Handle(*mut ffi::sqlite3);

// SAFETY: a connection may move to another thread together with its handler.
unsafe impl Send for Handle {}

impl Handle {
    /// How often SQLite has looked up a page.
    fn looks(&self) -> u64 {
        let count = |what| {
            let (mut now, mut highest) = (0, 0);
            // SAFETY: the handler calls this during the connection's life. It reads two numbers and changes nothing.
            unsafe { ffi::sqlite3_db_status(self.0, what, &mut now, &mut highest, 0) };
            u64::from(now.unsigned_abs())
        };
        count(ffi::SQLITE_DBSTATUS_CACHE_HIT) + count(ffi::SQLITE_DBSTATUS_CACHE_MISS)
    }
}

impl Handle {
    /// The size of the database and its log in bytes. It comes from the open files, since their paths may lead nowhere
    /// by now, after a chroot for example.
    fn size(&self, path: &Path) -> u64 {
        let [database, log] = [ffi::SQLITE_FCNTL_FILE_POINTER, ffi::SQLITE_FCNTL_JOURNAL_POINTER].map(|what| {
            let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
            // SAFETY: the handler calls this during the connection's life. SQLite writes a pointer to its own file,
            // which stays open meanwhile, and whose methods are null if it is closed.
            unsafe {
                let found = ffi::sqlite3_file_control(self.0, c"main".as_ptr(), what, (&raw mut file).cast());
                if found != ffi::SQLITE_OK || file.is_null() || (*file).pMethods.is_null() {
                    return 0;
                }
                let mut size = 0;
                match (*(*file).pMethods).xFileSize {
                    Some(measure) if measure(file, &mut size) == ffi::SQLITE_OK => size.unsigned_abs(),
                    _ => 0,
                }
            }
        });
        without_holes(database, path) + log
    }
}

/// The holes of a sparse file contain no rows.
#[cfg(unix)]
fn without_holes(size: u64, path: &Path) -> u64 {
    /// No file system compresses rows by more, since their keys differ.
    const COMPRESSED: u64 = 1024;
    /// How much a file can hold without a block of its own.
    const INLINE: u64 = 64 * 1024;
    if let Ok(found) = std::fs::metadata(path)
        && found.len() == size
    {
        let blocks = std::os::unix::fs::MetadataExt::blocks(&found) * 512;
        return size.min(blocks.max(INLINE).saturating_mul(COMPRESSED));
    }
    size
}

#[cfg(not(unix))]
fn without_holes(size: u64, _: &Path) -> u64 {
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_ended_and_the_next_call_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kv.db");
        let mut connection = Connection::open(&path).unwrap();
        let steps = Steps::watch(&mut connection, &path).unwrap();
        let count = |connection: &Connection, to: &str| {
            let sql =
                format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n {to}) SELECT max(i) FROM n");
            connection.query_row(&sql, (), |row| row.get::<_, i64>(0))
        };
        let error = count(&connection, "").unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::OperationInterrupted));
        for _ in 0..20 {
            steps.restart();
            assert_eq!(count(&connection, "WHERE i < 100000").unwrap(), 100_000);
        }
    }

    #[test]
    fn a_large_file_may_take_long() {
        let steps = Steps::default();
        let calls = (FREE + PER_BYTE * (1 << 20)) / EACH;
        assert!((0..calls).all(|_| !steps.is_too_far(0, || 1 << 20)));
        assert!((0..3).any(|_| steps.is_too_far(0, || 1 << 20)));
        // The same for a statement that looks up many pages in few steps.
        let steps = Steps::default();
        assert!((0..1000).any(|call| steps.is_too_far(call * 1_000_000, || 1 << 20)));
    }

    #[test]
    fn the_open_files_are_measured_wherever_their_path_leads() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("kv.db"), folder.path().join("moved.db"));
        let connection = Connection::open(&path).unwrap();
        connection.query_row("PRAGMA journal_mode = WAL", (), |_| Ok(())).unwrap();
        connection.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000))").unwrap();
        std::fs::rename(&path, moved).unwrap();
        // SAFETY: the connection is open.
        let handle = Handle(unsafe { connection.handle() });
        assert!(handle.size(&path) > 100_000, "{}", handle.size(&path));
        let sparse = folder.path().join("sparse.db");
        std::fs::File::create(&sparse).unwrap().set_len(1 << 40).unwrap();
        assert!(without_holes(1 << 40, &sparse) <= 64 << 20);
    }
}
