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

/// A commit of this many frames is likely one of many, as in the removal of a range.
const BULK: u32 = 32;

/// Moves this many frames at a time after such a commit: the disk has to be waited for less often.
const BULK_FRAMES: u32 = 8 * FRAMES;

/// The same if others commit too. They move [`FRAMES`], so usually this has been moved before they do, and they do not
/// wait for the disk because of it.
const BULK_FRAMES_BESIDE_OTHERS: u32 = FRAMES / 2;

/// With this many frames, a log is long. It then takes about as much space as is left to it in any case (`WAL_LEFT`).
const LONG: u32 = 15 * FRAMES;

#[derive(Default)]
pub(super) struct Autocheckpoint {
    /// The length of the log at the last try.
    tried: Cell<u32>,
    /// The same for the last one that kept writers away.
    kept_away: Cell<u32>,
}

impl Autocheckpoint {
    /// Returns the mode of the checkpoint that is due after a commit of `added` frames, the last of which is `last`.
    /// `moved` frames are in the file already. `is_alone`: nobody has committed since the last commit of this connection.
    pub fn due(&self, last: u32, added: u32, moved: u32, is_alone: bool) -> Option<c_int> {
        if self.tried.get() > last {
            self.tried.set(0); // the log has begun anew
        }
        let done = moved.max(self.tried.get());
        // Another checkpoint has just moved the most. Few frames are left, so writers are not kept away for long.
        if last >= LONG && last.saturating_sub(moved) <= FRAMES {
            let is_new = last.saturating_sub(self.kept_away.get()) >= FRAMES || last < self.kept_away.get();
            return is_new.then(|| {
                self.kept_away.set(last);
                ffi::SQLITE_CHECKPOINT_FULL
            });
        }
        let step = match done {
            _ if added >= BULK && is_alone => BULK_FRAMES,
            _ if added >= BULK => BULK_FRAMES_BESIDE_OTHERS,
            0 => FRAMES,
            _ => MORE_FRAMES,
        };
        if last.saturating_sub(done) < step {
            return None;
        }
        self.tried.set(last);
        Some(ffi::SQLITE_CHECKPOINT_PASSIVE)
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
            assert_eq!(checkpoint.due(FRAMES - 1, 1, 0, true), None);
            assert_eq!(checkpoint.due(FRAMES, 1, 0, true), PASSIVE);
            assert_eq!(checkpoint.due(1, 1, FRAMES, true), None);
        }
    }

    #[test]
    fn large_commits_are_moved_in_larger_pieces() {
        let checkpoint = Autocheckpoint::default();
        assert_eq!(checkpoint.due(BULK_FRAMES - 1, BULK, 0, true), None);
        assert_eq!(checkpoint.due(BULK_FRAMES, BULK, 0, true), PASSIVE);
    }

    #[test]
    fn large_commits_leave_nothing_to_move_to_the_others() {
        let (large, small) = (Autocheckpoint::default(), Autocheckpoint::default());
        let (mut last, mut moved) = (0, 0);
        for _ in 0..100 {
            last += BULK;
            if large.due(last, BULK, moved, false).is_some() {
                moved = last;
            }
            last += 1;
            assert_eq!(small.due(last, 1, moved, false), None);
        }
        assert!(moved > 0);
    }

    #[test]
    fn a_reader_does_not_make_each_commit_try_in_vain() {
        let checkpoint = Autocheckpoint::default();
        let tries = (1..=20 * FRAMES).filter(|&last| checkpoint.due(last, 1, 10, true).is_some()).count();
        assert!((9..=11).contains(&tries), "{tries}");
    }

    #[test]
    fn a_long_log_is_moved_without_writers_when_little_of_it_is_left() {
        let checkpoint = Autocheckpoint::default();
        assert_eq!(checkpoint.due(LONG, 1, LONG - FRAMES, true), FULL);
        assert_eq!(checkpoint.due(LONG + 1, 1, LONG - FRAMES + 1, true), None);
        assert_eq!(checkpoint.due(LONG + FRAMES, 1, LONG, true), FULL);
        assert_eq!(checkpoint.due(LONG + MORE_FRAMES, 1, 0, true), PASSIVE);
    }
}
