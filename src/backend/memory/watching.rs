//! What watches of a store in memory compare.

use super::{Memory, Row, listed};
use crate::backend::{Comparison, Moment, Range, Stamp, Watched, Watching, copy};
use crate::error::Result;

impl Watching for Memory {
    fn compare(&self, namespace: &str, watched: &Watched<'_>, comparison: &mut Comparison<'_>) -> Result<()> {
        self.read(|maps| {
            let now = comparison.now;
            let mut see = |row: &Row| comparison.see(listed(row, false), Stamp::of(row.version));
            match *watched {
                Watched::Range { from, below } => {
                    let rows = maps.range(Range { namespace, from, below });
                    rows.filter(|row| !row.is_gone(now)).try_for_each(&mut see)?;
                }
                Watched::Keys(keys) => {
                    keys.iter().filter_map(|key| maps.live(namespace, key, now)).try_for_each(&mut see)?;
                }
            }
            comparison.end_rows()?;
            comparison.read_values(|key, value| match maps.live(namespace, key, now) {
                Some(row) => copy(&row.value, value),
                None => Ok(()),
            })
        })
    }

    fn origin(&self) -> u64 {
        self.watches.origin()
    }

    fn moment(&self) -> Option<Moment> {
        Some(Moment([self.present(), 0, 0, 0, 0, 0, 0, 0]))
    }
}
