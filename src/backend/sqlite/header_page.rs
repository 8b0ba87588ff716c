//! The header of the log's index once more, at an address that stays valid: for reads that have no connection.
//!
//! A connection has the index mapped until it closes, and a read that the cache answers must not wait for that. So a
//! cache maps the first page of the index for itself, for reading. It stays mapped after the connections have closed,
//! since a read may just have looked up the address. The page of the next index takes its place: `MAP_FIXED` replaces it
//! in one step, so that no thread finds nothing there. (If it fails, POSIX allows that nothing is there. On Linux that
//! would take a system that cannot allocate the description of one page.)

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::wal_index::{HEADER, Numbers};

pub(super) struct HeaderPage {
    /// The page, or what is shown without an index.
    shown: AtomicPtr<Numbers>,
    /// NULL until it is mapped. One thread at a time uses it.
    page: AtomicPtr<Numbers>,
}

/// No header: it would have the number of a version.
static NOTHING: Numbers = [const { AtomicU64::new(0) }; HEADER];

impl Default for HeaderPage {
    fn default() -> Self {
        let [shown, page] = [(&raw const NOTHING).cast_mut(), ptr::null_mut()].map(AtomicPtr::new);
        HeaderPage { shown, page }
    }
}

impl HeaderPage {
    /// The header at this moment.
    #[inline(always)]
    pub fn numbers(&self) -> &Numbers {
        // SAFETY: it is a static, or a page that is mapped as long as this. The numbers are atomic.
        unsafe { &*self.shown.load(Ordering::Acquire) }
    }

    /// Shows the index with this descriptor, until [`hide`](Self::hide). Returns `false` if there is no memory. One thread
    /// at a time calls these.
    pub fn show(&self, index: c_int) -> bool {
        let page = self.page.load(Ordering::Relaxed);
        let flags = libc::MAP_SHARED | if page.is_null() { 0 } else { libc::MAP_FIXED };
        // SAFETY: it replaces only the page. The system rounds the length up.
        let mapped = unsafe { libc::mmap(page.cast(), size_of::<Numbers>(), libc::PROT_READ, flags, index, 0) };
        if mapped == libc::MAP_FAILED {
            return false;
        }
        self.page.store(mapped.cast(), Ordering::Relaxed);
        self.shown.store(mapped.cast(), Ordering::Release);
        true
    }

    pub fn hide(&self) {
        self.shown.store((&raw const NOTHING).cast_mut(), Ordering::Release);
    }
}

impl Drop for HeaderPage {
    fn drop(&mut self) {
        let page = *self.page.get_mut();
        if !page.is_null() {
            // SAFETY: it was mapped by `show`, and nothing reads it any more.
            unsafe { libc::munmap(page.cast(), size_of::<Numbers>()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;

    fn index_of(number: u64) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[number; HEADER].map(u64::to_ne_bytes).concat()).unwrap();
        file.set_len(1 << 15).unwrap();
        file
    }

    #[test]
    fn an_index_takes_the_place_of_the_one_before() {
        let (page, [first, second]) = (HeaderPage::default(), [1, 2].map(index_of));
        let shown = || page.numbers().each_ref().map(|number| number.load(Ordering::Relaxed));
        page.hide();
        assert_eq!(shown(), [0; HEADER]);
        assert!(page.show(first.as_raw_fd()));
        let at = page.numbers();
        assert_eq!(shown(), [1; HEADER]);
        assert!(page.show(second.as_raw_fd()));
        drop((first, second)); // the page stays
        assert_eq!(shown(), [2; HEADER]);
        assert!(ptr::eq(at, page.numbers()));
        page.hide();
        assert_eq!(shown(), [0; HEADER]);
        assert_eq!(at[0].load(Ordering::Relaxed), 2, "a read may still have the address");
        assert!(!page.show(-1));
        assert_eq!(shown(), [0; HEADER]);
    }
}
