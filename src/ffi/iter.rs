//! Iterators: a list of any length, one entry at a time.

use std::ptr;

use super::{
    LUAT_KV_NOT_FOUND, LUAT_KV_OK, free, handle, handle_mut, luat_kv_entry, luat_kv_error, luat_kv_list_options,
    luat_kv_namespace, luat_kv_status, options, required, set,
};
use crate::error::Result;
use crate::scan::Pages;
use crate::types::ListOptions;

/// An iterator over live keys, which luat_kv_iter_open() gives. One thread at a time may use it. Yours to free with
/// luat_kv_iter_free().
pub struct luat_kv_iter {
    pages: Pages,
    range: Range,
    /// What the caller looks at.
    entry: Option<luat_kv_entry>,
}

/// List options that outlive the call which brought them.
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

/// Begins to list live keys as luat_kv_list() does, but one by one, over as many pages as that takes. The first page is
/// read here, and each further one when it is needed. No lock is held in between, so a key that is put or removed
/// meanwhile may or may not be listed.
///
/// options   NULL: all keys. They are those of a list, and are copied; limit is the most entries in all, and 0 is no
///           limit.
/// out       the iterator, yours to free with luat_kv_iter_free(); NULL after an error. It keeps the store open.
///
/// Statuses: as luat_kv_list(). Thread-safe.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
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

/// Goes to the next entry, the first one at the first call.
///
/// entry     the entry: the iterator's, until the next call of this function or luat_kv_iter_free(). NULL unless the
///           status is OK.
///
/// Statuses: OK; NOT_FOUND: that was the last one; INVALID, IO, BUSY, CORRUPT, NOMEM. After an error the iterator
/// stands where it stood, and the call can be made again.
///
/// # Safety
/// Pointers are NULL or good for what is said above.
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

/// Frees an iterator and the entry that it stands at; NULL is harmless.
///
/// # Safety
/// `iter` is NULL or live, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_iter_free(iter: *mut luat_kv_iter) {
    // SAFETY: the caller promises that `iter` is NULL or live, and that it is not used again.
    unsafe { free(iter) };
}
