//! Lets the system write the log to the disk while commits go on.
//!
//! A checkpoint first waits until the disk has the whole log. Usually, the system has written nothing of it by then, so
//! commits wait for megabytes at once. Here, the system is asked to begin with each half of a megabyte as soon as it is
//! complete. That call waits only while the disk's queue is full, and promises nothing: what is on the disk matters only to the checkpoint, which
//! syncs the log as before.

use super::descriptors;
use super::registry::FileId;

/// How many frames of the log are written at a time.
const FRAMES: u32 = 128;

/// Asks for what a commit has completed, when the log has grown from `before` to `last` frames.
pub(super) fn begin(database: FileId, before: u32, last: u32, page_size: u64) {
    /// The sizes of SQLite's file format, in bytes.
    const LOG_HEADER: u64 = 32;
    const FRAME_HEADER: u64 = 24;
    let frame = FRAME_HEADER + page_size;
    let Some((from, to)) = complete(before, last) else { return };
    let Some(log) = descriptors::of_log(database) else { return };
    let [start, end] = [from, to].map(|frames| (LOG_HEADER + u64::from(frames) * frame) as libc::off64_t);
    // If it fails, the checkpoint waits for longer. If the number has become that of another file meanwhile, a part of
    // that file is written to the disk somewhat earlier.
    // SAFETY: it takes any numbers.
    unsafe { libc::sync_file_range(log, start, end - start, libc::SYNC_FILE_RANGE_WRITE) };
}

/// The portions that were completed when the log grew from `before` to `last` frames.
fn complete(before: u32, last: u32) -> Option<(u32, u32)> {
    let [from, to] = [before, last].map(|frames| frames - frames % FRAMES);
    (from < to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{OpenOptions, Store};

    /// What was asked for: of which file, from where, and how many bytes.
    static ASKED: Mutex<Vec<(std::path::PathBuf, i64, i64)>> = Mutex::new(Vec::new());

    /// What is called in this program.
    #[unsafe(no_mangle)]
    extern "C" fn sync_file_range(number: libc::c_int, start: i64, len: i64, _: libc::c_uint) -> libc::c_int {
        let path = std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap_or_default();
        ASKED.lock().unwrap().push((path, start, len));
        0
    }

    #[test]
    fn commits_ask_for_the_whole_log() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("kv.db"), &OpenOptions::default()).unwrap();
        let namespace = store.namespace("n").unwrap();
        let log = folder.path().canonicalize().unwrap().join("kv.db-wal");
        for number in 0..3 * FRAMES {
            namespace.put(&format!("{}", number % 10), "value").unwrap();
        }
        let asked = ASKED.lock().unwrap();
        let mut end = 32;
        for (_, start, len) in asked.iter().filter(|(path, ..)| *path == log) {
            assert_eq!(*start, end);
            end += len;
        }
        assert!(end + i64::from(FRAMES) * 5000 > log.metadata().unwrap().len() as i64, "{asked:?}");
    }

    #[test]
    fn each_frame_is_asked_for_once() {
        for commit in [1, 3, FRAMES, FRAMES + 1, 5 * FRAMES] {
            let (mut log, mut asked) = (0, 0);
            while log < 100 * FRAMES {
                if let Some((from, to)) = complete(log, log + commit) {
                    assert_eq!(from, asked);
                    asked = to;
                }
                log += commit;
                assert!(log - asked < FRAMES);
            }
        }
    }
}
