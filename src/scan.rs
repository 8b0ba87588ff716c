//! A list as an iterator.

use std::vec;

use crate::error::Result;
use crate::namespace::Namespace;
use crate::types::{Entry, ListOptions};

/// An iterator over entries of a namespace, which [`Namespace::scan`] returns.
///
/// It fetches the next page when the previous one is used up, and holds no locks in between. It ends after an error.
#[derive(Debug)]
pub struct Scan<'a> {
    namespace: Namespace,
    options: ListOptions<'a>,
    page: vec::IntoIter<Entry>,
    /// Where the next page begins; `None` for the first.
    cursor: Option<String>,
    /// The maximum number of entries still to come; `None` means no limit.
    left: Option<u64>,
    is_over: bool,
}

/// The number of entries in a page, which every set of limits allows.
const PAGE: u64 = 1000;

impl<'a> Scan<'a> {
    pub(crate) fn new(namespace: Namespace, options: ListOptions<'a>) -> Self {
        let (page, cursor) = (Vec::new().into_iter(), options.cursor.map(str::to_owned));
        // A limit of 0 is wrong, as for a page; the first page reports it.
        Scan { namespace, options, page, cursor, left: options.limit, is_over: false }
    }

    fn next_page(&mut self) -> Result<()> {
        let limit = self.left.map_or(PAGE, |left| left.min(PAGE));
        let options = ListOptions { limit: Some(limit), cursor: self.cursor.as_deref(), ..self.options };
        let page = self.namespace.list(&options)?;
        if let Some(left) = &mut self.left {
            *left -= page.entries.len() as u64;
        }
        self.is_over = page.cursor.is_none() || self.left == Some(0);
        (self.page, self.cursor) = (page.entries.into_iter(), page.cursor);
        Ok(())
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        loop {
            if let Some(entry) = self.page.next() {
                return Some(Ok(entry));
            }
            if self.is_over {
                return None;
            }
            if let Err(error) = self.next_page() {
                self.is_over = true;
                return Some(Err(error));
            }
        }
    }
}

impl std::iter::FusedIterator for Scan<'_> {}
