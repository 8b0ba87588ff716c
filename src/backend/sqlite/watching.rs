//! Watches of a file: the rows that they compare, and the moments of the file.

use std::time::Duration;

use rusqlite::types::ValueRef;

use super::Sqlite;
use super::cache::SOON;
use super::connection::Connection;
use super::prepared::Kept;
use super::rows::{below, get, in_order, listed, of_long_row_after};
use crate::backend::{Comparison, Moment, PATIENCE, Projection, Range, Stamp, Waiting, Watched, Watching};
use crate::error::Result;
use crate::types::Entry;

impl Watching for Sqlite {
    fn compare(&self, namespace: &str, watched: &Watched<'_>, comparison: &mut Comparison<'_>) -> Result<()> {
        self.read_long(|connection| compare(connection, namespace, watched, comparison))
    }

    fn origin(&self) -> u64 {
        1
    }

    fn moment(&self) -> Option<Moment> {
        self.database.cache.moment()
    }
}

impl Waiting for Sqlite {
    fn wait_for_change(&self, moment: Option<Moment>, time: Duration) {
        self.database.cache.wait_for_change(moment, time);
    }

    fn patience(&self, quiet: Duration) -> Duration {
        /// A process that writes without a pause has woken watches within this time.
        const RECENT: Duration = Duration::from_millis(20);
        if quiet < RECENT { SOON } else { PATIENCE }
    }

    fn check(&self) -> Result<()> {
        self.database.look(false)
    }

    fn wake_watches(&self) {
        self.database.cache.wake_watches();
    }
}

/// Shows the live rows that are watched, and reads the values that the comparison asks for, as of one moment.
fn compare(
    connection: &mut Connection,
    namespace: &str,
    watched: &Watched<'_>,
    comparison: &mut Comparison<'_>,
) -> Result<()> {
    let _moment = connection.sqlite.unchecked_transaction()?;
    match *watched {
        Watched::Range { from, below } => show(connection, &Range { namespace, from, below }, comparison)?,
        Watched::Keys(keys) => {
            for key in keys {
                connection.guard.steps.restart();
                let next = format!("{key}\0");
                show(connection, &Range { namespace, from: key, below: Some(&next) }, comparison)?;
            }
        }
    }
    let mut entry = Entry::default();
    let now = comparison.now;
    comparison.end_rows()?;
    comparison.read_values(|key, value| {
        connection.guard.steps.restart();
        get(&connection.sqlite, namespace, key, Projection::Value, now, &mut entry)?;
        *value = entry.value.take().unwrap_or_default();
        Ok(())
    })
}

fn show(connection: &Connection, range: &Range<'_>, comparison: &mut Comparison<'_>) -> Result<()> {
    let end = below(range);
    let (now, all) = (comparison.now, ValueRef::Integer(-1));
    let parameters = [range.namespace.into(), range.from.into(), end, ValueRef::Integer(now), all];
    let mut rows = connection.sqlite.run(Kept::Watch, &parameters)?;
    let (mut last, mut number): (Option<String>, _) = (None, Vec::new());
    loop {
        let of_row = |error| of_long_row_after(&connection.sqlite, error, range, false, last.as_deref(), now);
        if !rows.step().map_err(of_row)? {
            return Ok(());
        }
        let row = listed(&rows, false, &mut number)?;
        if let Some(last) = &last {
            in_order(last.as_bytes(), row.key.as_bytes())?;
        }
        let key = last.get_or_insert_default();
        key.clear();
        key.push_str(row.key);
        let rest = (row.expiration, row.metadata, hashed(rows.column(4)), hashed(rows.column(5)));
        comparison.see(row, Stamp::with(row.version, rest))?;
    }
}

/// A column as something that has a hash.
fn hashed(column: ValueRef<'_>) -> (u8, u64, &[u8]) {
    match column {
        ValueRef::Null => (0, 0, b""),
        ValueRef::Integer(whole) => (1, whole as u64, b""),
        ValueRef::Real(real) => (2, real.to_bits(), b""),
        ValueRef::Text(bytes) => (3, 0, bytes),
        ValueRef::Blob(bytes) => (4, 0, bytes),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::super::cache::Cache;
    use super::super::commits::tests::{open, put};
    use super::super::opened::OpenedFile;
    use crate::futex::{self, Ended};

    const FOR_EVER: Duration = Duration::from_secs(60);

    #[test]
    fn a_wait_ends_with_the_commit_of_another_connection() {
        let folder = tempfile::tempdir().unwrap();
        let file = OpenedFile::new(folder.path().join("kv.db"), false);
        let (mut watcher, writer) = (open(&file), open(&file));
        let cache = &Arc::<Cache>::default();
        watcher.connect(cache);
        for pause in [0, 20] {
            let (moment, begun) = (cache.moment(), Instant::now());
            assert!(moment.is_some());
            thread::scope(|scope| {
                let waits = scope.spawn(move || cache.wait_for_change(moment, FOR_EVER));
                thread::sleep(Duration::from_millis(pause)); // most likely it waits then, or not yet
                put(&writer);
                waits.join().unwrap();
            });
            assert_ne!(cache.moment(), moment);
            assert!(begun.elapsed() < FOR_EVER / 2);
        }
    }

    #[test]
    fn writes_without_a_pause_wake_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = OpenedFile::new(folder.path().join("kv.db"), false);
        let (watcher, writer) = (open(&file), open(&file));
        let write = || {
            let slice = writer.own_commits.as_ref().unwrap().slice();
            assert!(slice.begin(Duration::ZERO));
            put(&writer);
            slice.end(true);
        };
        (0..100).for_each(|_| write()); // from now on, most wake nobody
        let (index, begun) = (watcher.index.unwrap(), Instant::now());
        thread::scope(|scope| {
            let waits = scope.spawn(move || {
                let number = index.second_commits();
                // SAFETY: the connection is open.
                let seen = || unsafe { number.as_ref() }.load(Ordering::Acquire);
                while futex::wait(number.addr().get(), seen(), FOR_EVER) != Ended::Woken {}
            });
            while !waits.is_finished() && begun.elapsed() < FOR_EVER / 2 {
                write();
            }
        });
        assert!(begun.elapsed() < FOR_EVER / 2);
    }

    #[test]
    fn a_wait_for_what_has_happened_does_not_begin() {
        let folder = tempfile::tempdir().unwrap();
        let file = OpenedFile::new(folder.path().join("kv.db"), false);
        let (mut watcher, writer) = (open(&file), open(&file));
        let cache = &Arc::<Cache>::default();
        watcher.connect(cache);
        let (moment, begun) = (cache.moment(), Instant::now());
        put(&writer);
        cache.wait_for_change(moment, FOR_EVER);
        assert!(begun.elapsed() < FOR_EVER / 2);
    }
}
