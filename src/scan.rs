//! A list of any length, one entry at a time.

use std::vec;

use crate::error::Result;
use crate::namespace::Namespace;
use crate::types::{Entry, ListOptions};

/// An iterator over entries of a namespace, which [`Namespace::scan`] returns.
///
/// It fetches the next page when the previous one is used up, and holds no locks in between. It ends after an error.
#[derive(Debug)]
pub struct Scan<'a> {
    pages: Pages,
    options: ListOptions<'a>,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(namespace: Namespace, options: ListOptions<'a>) -> Self {
        Scan { pages: Pages::new(namespace, &options), options }
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        let next = self.pages.next(&self.options);
        if next.is_err() {
            self.pages.is_over = true;
        }
        next.transpose()
    }
}

impl std::iter::FusedIterator for Scan<'_> {}

/// The number of entries in a page, which every set of limits allows.
const PAGE: u64 = 1000;

/// The pages of a list. The caller keeps the options, and passes the same ones to each call.
#[derive(Debug)]
pub(crate) struct Pages {
    namespace: Namespace,
    entries: vec::IntoIter<Entry>,
    /// Where the next page begins; `None` for the first.
    cursor: Option<String>,
    /// The maximum number of entries still to be read; `None` means no limit.
    left: Option<u64>,
    is_over: bool,
}

impl Pages {
    pub(crate) fn new(namespace: Namespace, options: &ListOptions<'_>) -> Self {
        Pages {
            namespace,
            entries: Vec::new().into_iter(),
            cursor: options.cursor.map(str::to_owned),
            // A limit of 0 is wrong, as for a page; the first page reports it.
            left: options.limit,
            is_over: false,
        }
    }

    /// Returns the next entry, and none at the end. After an error, the next call tries again.
    pub(crate) fn next(&mut self, options: &ListOptions<'_>) -> Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Ok(Some(entry));
            }
            if self.is_over {
                return Ok(None);
            }
            self.read_page(options)?;
        }
    }

    /// Reads the next page in place of the present one.
    pub(crate) fn read_page(&mut self, options: &ListOptions<'_>) -> Result<()> {
        let limit = self.left.map_or(PAGE, |left| left.min(PAGE));
        let options = ListOptions { limit: Some(limit), cursor: self.cursor.as_deref(), ..*options };
        let page = self.namespace.list(&options)?;
        if let Some(left) = &mut self.left {
            *left -= page.entries.len() as u64;
        }
        self.is_over = page.cursor.is_none() || self.left == Some(0);
        (self.entries, self.cursor) = (page.entries.into_iter(), page.cursor);
        Ok(())
    }
}
