//! The pages of an SQLite database, in the format of <https://www.sqlite.org/fileformat2.html>, for modification.

use std::fs;
use std::path::{Path, PathBuf};

pub struct Pages {
    path: PathBuf,
    pub bytes: Vec<u8>,
    pub size: usize,
}

impl Pages {
    pub fn read(path: &Path) -> Pages {
        let bytes = fs::read(path).expect("a database");
        let size = match u16::from_be_bytes([bytes[16], bytes[17]]) {
            1 => 65536,
            size => usize::from(size),
        };
        Pages { path: path.to_owned(), bytes, size }
    }

    pub fn write(&self) {
        fs::write(&self.path, &self.bytes).expect("a database");
    }

    /// Makes a tree endless: each of its inner pages has another one as all of its children, as deep as SQLite goes,
    /// and the last one has a leaf. Returns the number of levels.
    pub fn make_endless(&mut self, root: usize) -> usize {
        let (mut inner, mut leaf, mut next) = (vec![root], None, 0);
        while let Some(&page) = inner.get(next) {
            for place in self.children(page) {
                let child = self.number(place) as usize;
                match self.is_inner(child) {
                    true => inner.push(child),
                    false => leaf = leaf.or(Some(child)),
                }
            }
            next += 1;
        }
        // SQLite's cursors go twenty pages deep.
        inner.truncate(17);
        let below: Vec<usize> = inner.iter().skip(1).copied().chain(leaf).collect();
        for (page, child) in inner.iter().zip(&below) {
            for place in self.children(*page) {
                self.bytes[place..place + 4].copy_from_slice(&(*child as u32).to_be_bytes());
            }
        }
        below.len()
    }

    fn start(&self, page: usize) -> usize {
        (page - 1) * self.size + if page == 1 { 100 } else { 0 }
    }

    fn is_inner(&self, page: usize) -> bool {
        matches!(self.bytes[self.start(page)], 2 | 5)
    }

    fn number(&self, place: usize) -> u32 {
        u32::from_be_bytes(self.bytes[place..place + 4].try_into().expect("four bytes"))
    }

    /// The positions of the children's page numbers in an inner page.
    fn children(&self, page: usize) -> Vec<usize> {
        let (start, base) = (self.start(page), (page - 1) * self.size);
        let short = |place: usize| usize::from(u16::from_be_bytes([self.bytes[place], self.bytes[place + 1]]));
        let cells = (0..short(start + 3)).map(|cell| base + short(start + 12 + 2 * cell));
        cells.chain([start + 8]).collect()
    }
}
