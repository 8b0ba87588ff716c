//! Iterators: a list of any length, one entry at a time.

use std::ptr;

use super::{
    LUAT_KV_NOT_FOUND, LUAT_KV_OK, free, handle, handle_mut, luat_kv_entry, luat_kv_error, luat_kv_list_options,
    luat_kv_namespace, luat_kv_status, options, required, set,
};
use crate::error::Result;
use crate::scan::Pages;
use crate::types::ListOptions;

/// An iterator over live keys. One thread at a time may use it. Free it with luat_kv_iter_free().
pub struct luat_kv_iter {
    pages: Pages,
    range: Range,
    /// The entry that the last call of `next` returned.
    entry: Option<luat_kv_entry>,
}

/// A copy of the caller's list options, which are only valid during a call.
struct Range {
    prefix: String,
    start: String,
    stop: Option<String>,
    reverse: bool,
    values: bool,
}

impl Range {
    fn of(options: &ListOptions<'_>) -> Self {
        let ListOptions { prefix, start, stop, reverse, values, .. } = *options;
        Range { prefix: prefix.to_owned(), start: start.to_owned(), stop: stop.map(str::to_owned), reverse, values }
    }

    fn options(&self) -> ListOptions<'_> {
        let Range { prefix, start, stop, reverse, values } = self;
        ListOptions {
            prefix,
            start,
            stop: stop.as_deref(),
            reverse: *reverse,
            values: *values,
            ..ListOptions::default()
        }
    }
}

impl luat_kv_iter {
    fn open(namespace: &luat_kv_namespace, options: &ListOptions<'_>) -> Result<Self> {
        let mut pages = Pages::new(namespace.0.clone(), options);
        pages.read_page(options)?;
        Ok(luat_kv_iter { pages, range: Range::of(options), entry: None })
    }

    fn next(&mut self) -> Result<Option<&luat_kv_entry>> {
        self.entry = None;
        self.entry = self.pages.next(&self.range.options())?.map(luat_kv_entry::of);
        Ok(self.entry.as_ref())
    }
}

/// Begins an iteration over live keys, with the options of luat_kv_list(), over all pages. This call reads the first
/// page; each further page is read when it is needed. No lock is held in between, so a key that is put or removed
/// meanwhile may or may not be returned.
///
/// options   NULL: all keys. They are copied. limit is the maximum number of entries in total; 0 means no limit.
/// out       the iterator, which keeps the store open. Free it with luat_kv_iter_free(). NULL after an error.
///
/// Statuses: as luat_kv_list(). Thread-safe.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_iter_open(
    ns: *mut luat_kv_namespace,
    options: *const luat_kv_list_options,
    out: *mut *mut luat_kv_iter,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(out, ptr::null_mut()), {
        let (namespace, out) = (handle(ns, "ns")?, required(out, "out")?);
        let options = options::read(options, "luat_kv_list_options")?.checked()?;
        out.write(Box::into_raw(Box::new(luat_kv_iter::open(namespace, &options)?)));
        Ok(LUAT_KV_OK)
    })
}

/// Moves to the next entry; the first call moves to the first one.
///
/// iter      the iterator.
/// entry     the entry, which the iterator owns, valid until the next call of this function or luat_kv_iter_free().
///           NULL unless the status is OK.
///
/// Statuses: OK; NOT_FOUND: there are no more entries; INVALID, LIMIT, IO, BUSY, CORRUPT, NOMEM. After an error the
/// position is unchanged, and the call can be repeated.
///
/// # Safety
/// Each pointer is NULL, or valid as described above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_iter_next(
    iter: *mut luat_kv_iter,
    entry: *mut *const luat_kv_entry,
    error: *mut *mut luat_kv_error,
) -> luat_kv_status {
    call!(error, set(entry, ptr::null()), {
        let (iter, out) = (handle_mut(iter, "iter")?, required(entry, "entry")?);
        let Some(next) = iter.next()? else { return Ok(LUAT_KV_NOT_FOUND) };
        out.write(next);
        Ok(LUAT_KV_OK)
    })
}

/// Frees an iterator and its current entry; NULL does nothing.
///
/// # Safety
/// `iter` is NULL or live, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_iter_free(iter: *mut luat_kv_iter) {
    // SAFETY: the caller promises that `iter` is NULL or live, and that it is not used again.
    unsafe { free(iter) };
}
