//! Whether a put first tries to overwrite a row.
//!
//! [`Kept::Overwrite`](super::prepared::Kept) takes fewer instructions than an upsert, but where it finds no row to
//! overwrite, half a put was in vain. So it is tried only after some puts in a row that have overwritten one.

use std::cell::Cell;

use rusqlite::{Connection, ffi};

/// What is known of the last puts of a connection.
#[derive(Default)]
pub(super) struct Overwriting {
    is_allowed: Cell<bool>,
    /// How many of the last puts have overwritten a row, up to [`Overwriting::AFTER`].
    found: Cell<u8>,
}

impl Overwriting {
    /// If every 17th put is tried in vain, puts take 3 % more. With debug hooks the number is smaller, so that the tests of
    /// faults run both statements.
    const AFTER: u8 = if cfg!(feature = "debug-hooks") { 2 } else { 16 };

    /// Sets whether the UPDATE means the same as the upsert for this table.
    pub fn allow(&self, is_allowed: bool) {
        self.is_allowed.set(is_allowed);
    }

    pub fn is_likely(&self) -> bool {
        self.is_allowed.get() && self.found.get() == Self::AFTER
    }

    /// Notes that a put has found no row to overwrite.
    pub fn failed(&self) {
        self.found.set(0);
    }

    /// To be called before an upsert.
    pub fn begin(connection: &Connection) {
        // SAFETY: the connection is open. It only sets a number that nothing else in this library reads.
        unsafe { ffi::sqlite3_set_last_insert_rowid(connection.handle(), 0) };
    }

    /// Notes whether the upsert since [`Overwriting::begin`] has overwritten a row, and not inserted one.
    pub fn end(&self, connection: &Connection) {
        match connection.last_insert_rowid() {
            0 => self.found.set(Self::AFTER.min(self.found.get() + 1)),
            _ => self.failed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::commits::tests::open;
    use super::super::connection::Connection;
    use super::super::opened::OpenedFile;
    use super::*;
    use crate::backend::{Put, Transaction};
    use crate::clock::Clock;

    const NOW: i64 = 1_700_000_000;

    fn put(connection: &mut Connection, key: &str, expiration: Option<i64>) {
        let put = Put { key, value: b"new", metadata: Some("[1]"), expiration };
        let is_done = connection.change(&Clock::manual(NOW), true, |change| change.put("n", put).map(Some)).unwrap();
        assert!(is_done.is_some());
    }

    fn is_likely(connection: &Connection) -> bool {
        connection.sqlite.overwriting.is_likely()
    }

    /// Lets a connection put rows until it tries to overwrite them.
    fn warm_up(connection: &mut Connection) {
        for _ in 0..=Overwriting::AFTER {
            put(connection, "warm", None);
        }
        assert!(is_likely(connection));
    }

    fn with_connection(test: impl FnOnce(&mut Connection)) {
        let folder = tempfile::tempdir().unwrap();
        let file = OpenedFile::new(folder.path().join("kv.db"), false);
        test(&mut open(&file));
    }

    /// Puts over what this statement inserts. Returns the row, and whether the next put would try to overwrite its row.
    fn put_over(row: &str, expiration: Option<i64>, likely: bool) -> (String, bool) {
        let mut found = Default::default();
        with_connection(|connection| {
            put(connection, "warm", None);
            connection.sqlite.execute_batch(row).unwrap();
            if likely {
                warm_up(connection);
            }
            put(connection, "k", expiration);
            let ask = |sql: &str| connection.sqlite.query_row(sql, (), |row| row.get::<_, String>(0)).unwrap();
            assert_eq!(ask("PRAGMA integrity_check"), "ok");
            assert_eq!(ask("SELECT group_concat(key) FROM (SELECT key FROM kv ORDER BY key)"), "k,warm");
            let versions = "SELECT count(DISTINCT version) || typeof(version) || length(version) FROM kv";
            assert_eq!(ask(versions), "2blob12");
            let row = "SELECT quote(value) || quote(metadata) || quote(expiration) FROM kv WHERE key = 'k'";
            found = (ask(row), is_likely(connection));
        });
        found
    }

    #[test]
    fn a_put_means_the_same_whether_it_overwrites_or_not() {
        let row = |rest: &str| format!("INSERT INTO kv (namespace, key, value, metadata, expiration) VALUES {rest}");
        for (before, overwrites) in [
            (String::new(), false),
            (row("('n', 'k', x'01', NULL, NULL)"), true),
            (row("('n', 'k', zeroblob(9000), '{}', NULL)"), true),
            (row("('n', 'k', 42, '', NULL)"), true),
            (row("('n', 'k', NULL, NULL, 1800000000)"), false),
            (row("('n', 'k', NULL, NULL, 5)"), false), // it has expired
            (row("('n', 'k', NULL, NULL, 'never')"), false),
        ] {
            // With an expiration it is not tried, and stays likely if there was a row.
            for (expiration, overwrites) in [(None, overwrites), (Some(NOW + 5), !before.is_empty())] {
                let (expected, _) = put_over(&before, expiration, false);
                assert_eq!(put_over(&before, expiration, true), (expected, overwrites), "{before}");
            }
        }
    }

    #[test]
    fn it_is_likely_after_puts_that_have_overwritten_rows() {
        with_connection(|connection| {
            let delete = |connection: &Connection| connection.sqlite.execute_batch("DELETE FROM kv").unwrap();
            // The row is inserted at the same place each time.
            for _ in 0..2 * Overwriting::AFTER {
                put(connection, "k", None);
                delete(connection);
                assert!(!is_likely(connection));
            }
            warm_up(connection);
            put(connection, "k", None);
            assert!(!is_likely(connection));
            warm_up(connection);
        });
    }

    #[test]
    fn only_the_rows_of_a_table_as_this_library_makes_it_are_overwritten() {
        with_connection(|connection| {
            warm_up(connection);
            connection
                .sqlite
                .execute_batch("ALTER TABLE kv ADD COLUMN kind DEFAULT 'none'; UPDATE kv SET kind = 'json'")
                .unwrap();
            put(connection, "warm", None);
            assert!(!is_likely(connection));
            let kind: String = connection.sqlite.query_row("SELECT kind FROM kv", (), |row| row.get(0)).unwrap();
            assert_eq!(kind, "none");
        });
    }
}
