//! When a commit moves the log into the file, and how.
//!
//! A checkpoint waits for the disk, and others commit meanwhile. A log can begin anew only when all of it was moved. So
//! among processes that write without a pause it would grow without end. When it is long, a checkpoint therefore keeps
//! writers away.
//!
//! A reader of an older state, such as a backup, holds back a part of the log. Then a commit does not try again before
//! the log has grown by as much as is moved at a time.

use std::cell::Cell;
use std::ffi::c_int;

use rusqlite::ffi;

/// Moves a log of this many frames, as SQLite does by itself if there is no hook.
const FRAMES: u32 = 1000;

/// Moves this many frames at a time if the log was moved but has not begun anew: others write.
const MORE_FRAMES: u32 = 2 * FRAMES;

/// With this many frames, a log is long. It then takes about as much space as is left to it in any case (`WAL_LEFT`).
const LONG: u32 = 7 * FRAMES;

/// A checkpoint that moves more than this would keep writers away for too long.
const SHORT: u32 = 4 * FRAMES;

#[derive(Default)]
pub(super) struct Autocheckpoint {
    /// The length of the log at the last try.
    tried: Cell<u32>,
}

impl Autocheckpoint {
    /// Returns the mode of the checkpoint that is due after a commit that ended with the frame `last`; `moved` frames
    /// are in the file already.
    pub fn due(&self, last: u32, moved: u32) -> Option<c_int> {
        if self.tried.get() > last {
            self.tried.set(0); // the log has begun anew
        }
        let done = moved.max(self.tried.get());
        if last.saturating_sub(done) < if done == 0 { FRAMES } else { MORE_FRAMES } {
            return None;
        }
        self.tried.set(last);
        let keeps_away = last >= LONG && last.saturating_sub(moved) <= SHORT;
        Some(if keeps_away { ffi::SQLITE_CHECKPOINT_FULL } else { ffi::SQLITE_CHECKPOINT_PASSIVE })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSIVE: Option<c_int> = Some(ffi::SQLITE_CHECKPOINT_PASSIVE);
    const FULL: Option<c_int> = Some(ffi::SQLITE_CHECKPOINT_FULL);

    #[test]
    fn a_log_is_moved_each_time_that_it_has_begun_anew() {
        let checkpoint = Autocheckpoint::default();
        for _ in 0..3 {
            assert_eq!(checkpoint.due(FRAMES - 1, 0), None);
            assert_eq!(checkpoint.due(FRAMES, 0), PASSIVE);
            assert_eq!(checkpoint.due(1, FRAMES), None);
        }
    }

    #[test]
    fn a_reader_does_not_make_each_commit_try_in_vain() {
        let checkpoint = Autocheckpoint::default();
        let tries = (1..=20 * FRAMES).filter(|&last| checkpoint.due(last, 10).is_some()).count();
        assert!((9..=11).contains(&tries), "{tries}");
    }

    #[test]
    fn a_long_log_is_moved_without_writers_but_not_much_of_it() {
        let checkpoint = Autocheckpoint::default();
        assert_eq!(checkpoint.due(LONG, LONG - MORE_FRAMES), FULL);
        assert_eq!(checkpoint.due(LONG + MORE_FRAMES, 0), PASSIVE);
    }
}
