//! Maps the header of the log's index a second time, at an address that stays valid, for reads that have no connection.
//!
//! A connection has the index mapped until it closes, and a read that the cache answers must not wait for that. So a
//! cache maps the first page of the index for itself, for reading. When the last connection closes, an empty page takes
//! its place, since a read may just have looked up the address; and then the page of the next index. `MAP_FIXED` replaces
//! a page in one step, so that no thread finds nothing there.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use super::wal_index::{HEADER, Numbers, SECOND_COMMITS};

pub(super) struct HeaderPage {
    shown: AtomicPtr<Numbers>,
    /// The mapped page; NULL until the first [`show`](HeaderPage::show). Used under the lock of the cache.
    page: AtomicPtr<Numbers>,
}

/// Shown while there is no index: two copies of a header. One is never all zeros: it begins with a version.
static NOTHING: [AtomicU64; 2 * HEADER] = [const { AtomicU64::new(0) }; 2 * HEADER];

impl Default for HeaderPage {
    fn default() -> Self {
        let [shown, page] = [(&raw const NOTHING).cast_mut().cast(), ptr::null_mut()].map(AtomicPtr::new);
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

    /// The number of commits in the second copy of the header. It stays mapped as long as this, but may become that of
    /// another index.
    pub fn second_commits(&self) -> &AtomicU32 {
        // SAFETY: it is within the static, or within the page, as above.
        unsafe { &*self.shown.load(Ordering::Acquire).cast::<AtomicU32>().add(SECOND_COMMITS) }
    }

    /// Shows the index with this descriptor, until [`hide`](Self::hide). Returns `false` if it cannot be mapped. One thread
    /// at a time calls these.
    pub fn show(&self, index: c_int) -> bool {
        let page = self.map(libc::MAP_SHARED, index);
        if let Some(page) = page {
            self.shown.store(page, Ordering::Release);
        }
        page.is_some()
    }

    /// Lets go of the index.
    pub fn hide(&self) {
        self.shown.store((&raw const NOTHING).cast_mut().cast(), Ordering::Release);
        if !self.page.load(Ordering::Relaxed).is_null() {
            self.map(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1);
        }
    }

    fn map(&self, flags: c_int, descriptor: c_int) -> Option<*mut Numbers> {
        let before = self.page.load(Ordering::Relaxed);
        let flags = flags | if before.is_null() { 0 } else { libc::MAP_FIXED };
        // SAFETY: it replaces only the page. The system rounds the length up.
        let mapped = unsafe { libc::mmap(before.cast(), size_of::<Numbers>(), libc::PROT_READ, flags, descriptor, 0) };
        // A failure may have unmapped the page, so the address can belong to another part of the program by now.
        let page = if mapped == libc::MAP_FAILED { ptr::null_mut() } else { mapped.cast() };
        self.page.store(page, Ordering::Relaxed);
        (!page.is_null()).then_some(page)
    }
}

impl Drop for HeaderPage {
    fn drop(&mut self) {
        let page = *self.page.get_mut();
        if !page.is_null() {
            // SAFETY: it was mapped by `map`, and nothing reads it any more.
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
        assert_eq!(at[0].load(Ordering::Relaxed), 0, "a read may still have the address");
    }

    #[test]
    fn what_fails_to_be_mapped_leaves_the_address_to_others() {
        let (page, [first, second]) = (HeaderPage::default(), [1, 2].map(index_of));
        let first_number = || page.numbers()[0].load(Ordering::Relaxed);
        assert!(page.show(first.as_raw_fd()));
        let at = ptr::from_ref(page.numbers()).cast_mut();
        page.hide();
        // Linux unmaps what was there before it finds out that a socket cannot be mapped.
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(!page.show(socket.as_raw_fd()));
        assert_eq!(first_number(), 0);
        let (private, read_write) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: the address is only a hint. The page is never unmapped.
        let others = unsafe { libc::mmap(at.cast(), 8, read_write, private, -1, 0).cast::<AtomicU64>() };
        assert_ne!(others.cast(), libc::MAP_FAILED);
        // SAFETY: it was mapped just now.
        let others = unsafe { &*others };
        others.store(77, Ordering::Relaxed);
        assert!(page.show(second.as_raw_fd()));
        assert_eq!((first_number(), others.load(Ordering::Relaxed)), (2, 77));
    }
}
