//! The header of the index of SQLite's log, in memory that all processes share that have the file open.
//!
//! Each commit replaces it: 48 bytes with the number of commits, the length of the log, and checksums of the frames.
//! <https://sqlite.org/walformat.html> describes it, and calls its place and the meaning of its fields stable.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use super::vfs;

/// The length of the header in numbers of 64 bits.
pub(super) const HEADER: usize = 6;

/// Where the number of commits is in the second copy of the header, in numbers of 32 bits.
pub(super) const SECOND_COMMITS: usize = 2 * HEADER + 2;

/// A header in shared memory.
pub(super) type Numbers = [AtomicU64; HEADER];

/// The header of a connection's file, for as long as the connection is open.
#[derive(Clone, Copy)]
pub(super) struct WalIndex(NonNull<Numbers>);

// SAFETY: the numbers are atomic, in memory that all threads of the process share.
unsafe impl Send for WalIndex {}
// SAFETY: as above.
unsafe impl Sync for WalIndex {}

/// The contents of a header. No two commits to a file have the same, while a connection is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header(pub [u64; HEADER]);

impl WalIndex {
    /// Returns `None` if the connection has no shared memory, or may not write it. It must have a WAL, and have used it.
    pub fn of(connection: &rusqlite::Connection) -> Option<WalIndex> {
        Some(WalIndex(vfs::wal_index(connection).ok()?.cast()))
    }

    /// A header in the memory of a test.
    #[cfg(test)]
    pub fn new(numbers: &'static Numbers) -> WalIndex {
        WalIndex(NonNull::from(numbers))
    }

    /// Reads the header.
    pub fn header(&self) -> Header {
        // SAFETY: the connection is open, so the memory is mapped. The header is at the start of a page.
        Header::read(unsafe { self.0.as_ref() })
    }

    /// The number that each commit increments, the third of 32 bits.
    pub fn commits(&self) -> NonNull<AtomicU32> {
        // SAFETY: it is within the header.
        unsafe { self.0.cast().add(2) }
    }

    /// The same in the second copy of the header, which a commit changes first.
    pub fn second_commits(&self) -> NonNull<AtomicU32> {
        // SAFETY: it is within the page of the header.
        unsafe { self.0.cast().add(SECOND_COMMITS) }
    }

    /// How many frames of the log have been moved into the file: the number of 32 bits after the copies of the header.
    pub fn moved(&self) -> u32 {
        // SAFETY: it is within the page of the header, and the connection is open.
        unsafe { self.0.cast::<AtomicU32>().add(4 * HEADER).as_ref() }.load(Ordering::Relaxed)
    }

    /// The read marks that can be moved: the second to the fifth of the numbers of 32 bits after that one.
    pub fn marks(&self) -> [u32; 4] {
        // SAFETY: they are within the page of the header, and the connection is open.
        let marks: &[AtomicU32; 4] = unsafe { self.0.cast::<AtomicU32>().add(4 * HEADER + 2).cast().as_ref() };
        marks.each_ref().map(|mark| mark.load(Ordering::Relaxed))
    }

    /// Reads the number that each commit increments.
    pub fn commit_number(&self) -> u32 {
        // SAFETY: the connection is open, so the memory is mapped.
        unsafe { self.commits().as_ref() }.load(Ordering::Acquire)
    }
}

impl Header {
    /// No header: its version would be another one.
    pub const NONE: Header = Header([u64::MAX; HEADER]);

    /// Reads the first of the two copies. A writer changes it last, and before the call that wrote returns. While it
    /// does, what is read here is neither the header before nor the one after.
    pub fn read(numbers: &Numbers) -> Header {
        let header = Header(numbers.each_ref().map(|number| number.load(Ordering::Relaxed)));
        fence(Ordering::Acquire);
        header
    }

    /// Whether a header is the same as `then`. All of it is compared: one that is being written may have the length of
    /// the new state and the salts of the last, and an older state may have had both.
    #[inline(always)]
    pub fn is_same(now: &Numbers, then: &Numbers) -> bool {
        let differ = |(now, then): (&AtomicU64, &AtomicU64)| now.load(Ordering::Relaxed) ^ then.load(Ordering::Acquire);
        let is_same = now.iter().zip(then).map(differ).fold(0, |all, differ| all | differ) == 0;
        fence(Ordering::Acquire);
        is_same
    }

    /// Whether this is the header after a commit to the state with the header `before`, and that commit ended with
    /// this frame of the log.
    ///
    /// As long as the salts stay, the log only grows. So if it ends with that frame, nothing was committed since. (If
    /// the commit began the log anew, the salts differ.)
    pub fn follows(&self, before: &Header, frame: u32) -> bool {
        let salts = |header: &Header| (header.field(8), header.field(9));
        salts(self) == salts(before) && self.frames() == frame && self.commits() == before.commits().wrapping_add(1)
    }

    /// The number that each commit increments.
    pub fn commits(&self) -> u32 {
        self.field(2)
    }

    /// The length of the log.
    pub fn frames(&self) -> u32 {
        self.field(4)
    }

    /// The size of a page in bytes.
    #[cfg(target_os = "linux")]
    pub fn page_size(&self) -> u64 {
        let [.., low, high] = self.0[1].to_ne_bytes();
        match u16::from_ne_bytes([low, high]) {
            1 => 1 << 16,
            size => size.into(),
        }
    }

    /// The field of 32 bits at this place, in the byte order of the machine.
    fn field(&self, place: usize) -> u32 {
        let [a, b, c, d, e, f, g, h] = self.0[place / 2].to_ne_bytes();
        u32::from_ne_bytes(if place.is_multiple_of(2) { [a, b, c, d] } else { [e, f, g, h] })
    }
}
