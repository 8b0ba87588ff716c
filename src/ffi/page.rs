//! Pages: the results of lists and bulk reads.

use std::ptr;

use super::entry::view;
use super::{free, luat_kv_entry};
use crate::error::{Error, Result};
#[cfg(not(target_family = "wasm"))]
use crate::types::Change;
use crate::types::{Entry, Page};

/// A page of keys in byte order, or reverse byte order, with their metadata, expiration and version, and their values
/// if they were requested. One thread at a time may use a page. Free it with luat_kv_page_free().
pub struct luat_kv_page {
    entries: Vec<luat_kv_entry>,
    cursor: Option<String>,
}

impl luat_kv_page {
    pub(super) fn read(page: Page) -> Result<Self> {
        Ok(luat_kv_page { cursor: page.cursor, ..luat_kv_page::found(page.entries)? })
    }

    /// A page without a cursor.
    pub(super) fn found(entries: Vec<Entry>) -> Result<Self> {
        luat_kv_page::of(entries.into_iter().map(luat_kv_entry::of))
    }

    /// A page of changes.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn changed(changes: Vec<Change>) -> Result<Self> {
        luat_kv_page::of(changes.into_iter().map(luat_kv_entry::changed))
    }

    /// A page of entries that are only names.
    pub(super) fn named(names: Vec<String>) -> Result<Self> {
        luat_kv_page::of(names.into_iter().map(luat_kv_entry::named))
    }

    fn of(found: impl ExactSizeIterator<Item = luat_kv_entry>) -> Result<Self> {
        let mut entries = Vec::new();
        let len = found.len() * size_of::<luat_kv_entry>();
        entries.try_reserve_exact(found.len()).map_err(|_| Error::no_memory(len))?;
        entries.extend(found);
        Ok(luat_kv_page { entries, cursor: None })
    }
}

/// Returns the number of keys in the page; 0 for NULL.
///
/// # Safety
/// `page` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_page_len(page: *const luat_kv_page) -> usize {
    // SAFETY: the caller promises that `page` is NULL or live.
    unsafe { page.as_ref() }.map_or(0, |page| page.entries.len())
}

/// Returns the entry at an index from 0, valid as long as the page. NULL beyond the end, and for NULL.
///
/// # Safety
/// `page` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_page_at(page: *const luat_kv_page, index: usize) -> *const luat_kv_entry {
    // SAFETY: the caller promises that `page` is NULL or live.
    unsafe { page.as_ref() }.and_then(|page| page.entries.get(index)).map_or(ptr::null(), ptr::from_ref)
}

/// Returns the luat_kv_list_options.cursor of the next page: text, not NUL-terminated, valid as long as the page. NULL
/// if no live key follows, if the page is not from luat_kv_list(), and for NULL. len is nullable.
///
/// # Safety
/// `page` is NULL or live, `len` NULL or valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_page_cursor(page: *const luat_kv_page, len: *mut usize) -> *const u8 {
    // SAFETY: the caller promises that `page` is NULL or live, and `len` NULL or valid for a write.
    unsafe { view(page.as_ref().and_then(|page| page.cursor.as_deref()).map(str::as_bytes), len) }
}

/// Frees a page and its entries; NULL does nothing.
///
/// # Safety
/// `page` is NULL or live, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_page_free(page: *mut luat_kv_page) {
    // SAFETY: the caller promises that `page` is NULL or live, and that it is not used again.
    unsafe { free(page) };
}
