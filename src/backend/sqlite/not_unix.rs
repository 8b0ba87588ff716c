//! Replacements for the POSIX functions that this back end uses, for systems that are not Unix (Windows). They are
//! compiled there, but no test runs them.
//!
//! Such a system has no fork, locks belong to a handle and not to a process, an open file can be neither removed nor
//! replaced, and access does not depend on owner and mode. So most functions here do nothing, and an error contains
//! SQLite's message without the system's reason.

/// The names from the `libc` crate that are used.
#[allow(clippy::upper_case_acronyms)]
pub(super) mod libc {
    use std::cell::Cell;
    use std::ffi::{c_char, c_int};

    /// Defines error numbers that no system call reports, since the numbers of another system mean something else.
    macro_rules! never_reported {
        ($($name:ident = $number:literal),* $(,)?) => { $(pub(in super::super) const $name: c_int = $number;)* };
    }

    never_reported! {
        EACCES = -1, EDQUOT = -2, EFBIG = -3, EINTR = -4, EIO = -5, EMFILE = -6, ENFILE = -7, ENOENT = -8, ENOLCK = -9,
        ENOMEM = -10, ENOSPC = -11, ENOSYS = -12, EOPNOTSUPP = -13, EPERM = -14, EROFS = -15, ESTALE = -16,
        EEXIST = -17, EISDIR = -18, ENOTDIR = -19,
    }

    pub(in super::super) const R_OK: c_int = 4;
    pub(in super::super) const W_OK: c_int = 2;
    pub(in super::super) const X_OK: c_int = 1;
    pub(in super::super) const AT_FDCWD: c_int = 0;
    pub(in super::super) const AT_EACCESS: c_int = 0;

    /// Permits everything: the system refuses a forbidden access when it is tried.
    ///
    /// # Safety
    /// There are no conditions. It is unsafe because the function that it replaces is.
    pub(in super::super) unsafe fn faccessat(_: c_int, _: *const c_char, _: c_int, _: c_int) -> c_int {
        0
    }

    thread_local! {
        static ERRNO: Cell<c_int> = const { Cell::new(0) };
    }

    /// A number for each thread, which only `reason` sets.
    pub(in super::super) fn errno() -> *mut c_int {
        ERRNO.with(Cell::as_ptr)
    }
}

pub(super) mod descriptors {
    use super::super::registry::FileId;

    pub(in super::super) enum Descriptor {}

    pub(in super::super) fn fill_standard() {}

    pub(in super::super) fn install() {}

    pub(in super::super) fn expect() {}

    pub(in super::super) fn opened() -> Option<FileId> {
        None
    }

    pub(in super::super) fn without_a_name(_: FileId) -> Option<&'static str> {
        None
    }

    pub(in super::super) fn of_index(_: FileId) -> Option<std::ffi::c_int> {
        None
    }

    pub(in super::super) fn detach(_: &rusqlite::Connection) {}
}

/// Shows no header: reads use SQLite.
#[derive(Default)]
pub(super) struct HeaderPage(super::wal_index::Numbers, std::sync::atomic::AtomicU32);

impl HeaderPage {
    pub(super) fn numbers(&self) -> &super::wal_index::Numbers {
        &self.0
    }

    pub(super) fn second_commits(&self) -> &std::sync::atomic::AtomicU32 {
        &self.1
    }

    pub(super) fn show(&self, _: std::ffi::c_int) -> bool {
        false
    }

    pub(super) fn hide(&self) {}
}

pub(super) mod fork {
    pub(in super::super) fn has_inherited() -> bool {
        false
    }

    pub(in super::super) fn discard(_: impl FnOnce()) {}
}

pub(super) mod takeover {
    use std::path::Path;

    use crate::error::Result;

    pub(in super::super) fn take_over(_: &Path) -> Result<()> {
        Ok(())
    }

    pub(in super::super) fn check(_: &Path) -> Result<()> {
        Ok(())
    }
}
