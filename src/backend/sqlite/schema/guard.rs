//! Sets up a connection so that it executes nothing that a file contains.

use std::io;
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ffi};

#[cfg(not(unix))]
use super::super::not_unix::libc;
use super::super::prepared::PreparedConnection;
use super::super::reason;
use super::Steps;
use crate::error::{Code, Error, Result};

/// The protections of a connection against its file.
pub(in super::super) struct Guard {
    /// Ends statements that would run for ever.
    pub steps: Arc<Steps>,
    /// Why this library does not write to the table in the file.
    pub objection: Option<String>,
    /// The number of the schema that was checked last: SQLite counts the changes.
    schema: Option<i64>,
    /// The format that the file had when it was checked last.
    user_version: i64,
}

impl Guard {
    pub(in super::super) fn new(connection: &mut Connection, path: &Path) -> Result<Guard> {
        Ok(Guard { steps: Steps::watch(connection, path)?, objection: None, schema: None, user_version: 0 })
    }

    /// Notes the format of the file, before the file is checked.
    pub(in super::super) fn note_format(&mut self, connection: &Connection) -> Result<()> {
        self.user_version = number(connection, USER_VERSION)?;
        Ok(())
    }

    /// Whether the file has another format than when it was checked last. Fails if this library may not read it any
    /// more.
    pub(in super::super) fn has_new_format(&mut self, connection: &Connection) -> Result<bool> {
        let found = number(connection, USER_VERSION)?;
        if found == self.user_version {
            return Ok(false);
        }
        super::recognize_now(connection)?;
        // The next `look_again` checks the table.
        (self.schema, self.user_version) = (None, found);
        Ok(true)
    }

    /// Checks that the table may still be written: another process may have changed the schema or the format. To be
    /// called in a transaction.
    pub(in super::super) fn look_again(&mut self, connection: &PreparedConnection) -> Result<()> {
        let schema = Some(number(connection, "PRAGMA main.schema_version")?);
        let user_version = number(connection, USER_VERSION)?;
        if (self.schema, self.user_version) != (schema, user_version) {
            let found = super::recognize_now(connection)?;
            connection.set_put(&super::put(&found.foreign), found.is_ours())?;
            self.objection = found.objection;
            (self.schema, self.user_version) = (schema, user_version);
        }
        self.may_write()
    }

    pub(in super::super) fn may_write(&self) -> Result<()> {
        match &self.objection {
            None => Ok(()),
            Some(why) => Err(Error::new(Code::ReadOnly, why.as_str())),
        }
    }
}

const USER_VERSION: &str = "PRAGMA main.user_version";

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.prepare_cached(pragma)?.query_row((), |row| row.get(0))
}

/// Limits for a schema: far more than a person writes, and little enough to be held in memory.
const LIMITS: [(Limit, i32); 7] = [
    // A row: the longest value, its names and its metadata.
    (Limit::SQLITE_LIMIT_LENGTH, 513 * 1024 * 1024),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 256 * 1024),
    (Limit::SQLITE_LIMIT_SCHEMA, 4000),
    // VACUUM attaches the new file.
    (Limit::SQLITE_LIMIT_ATTACHED, 1),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100),
];

/// To be called before the first statement, which reads the file's schema.
pub(in super::super) fn harden(connection: &Connection) -> Result<()> {
    for (setting, on) in [
        // SQL from the file's schema runs with no more rights than a stranger's SQL.
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        // Disables views, except for temporary ones, which are this library's.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        // Disables all triggers. The one that this library creates is for other connections.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        // Other tables' foreign keys must neither delete rows of the table nor prevent their deletion.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        // Plans do not depend on bound values. Otherwise a statement with `LIMIT ?` would be prepared again at each
        // use.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
    ] {
        connection.set_db_config(setting, on)?;
    }
    for (limit, most) in LIMITS {
        connection.set_limit(limit, most)?;
    }
    // More than the number of statements, so that each is prepared once.
    connection.set_prepared_statement_cache_capacity(32);
    // SAFETY: the connection is open, and NULL means that no module is kept. Without modules the file's virtual tables
    // do nothing; this library's statements need none.
    let dropped = unsafe { ffi::sqlite3_drop_modules(connection.handle(), ptr::null_mut()) };
    if dropped != ffi::SQLITE_OK {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(dropped), None).into());
    }
    // `cell_size_check` detects damage when a page is read. Without `ignore_check_constraints`, `check` below would run
    // checks of other tables.
    for (pragma, value) in [("cell_size_check", true), ("ignore_check_constraints", true), ("mmap_size", false)] {
        connection.pragma_update(None, pragma, value)?;
    }
    Ok(())
}

/// Fails if the file is damaged. Takes about as long as reading the whole file. If a table needs a function or a
/// collation of another program, SQLite cannot check the whole file, and only the table kv is checked.
pub(in super::super) fn check(connection: &Connection) -> Result<()> {
    reason::clear();
    let ask = |check: &str| connection.query_row(check, (), |row| row.get::<_, String>(0));
    let mut found = ask("PRAGMA main.quick_check(1)");
    if found.as_ref().is_err_and(is_beyond_sqlite) {
        found = ask("PRAGMA main.quick_check(kv)");
    }
    if found.as_ref().is_err_and(is_beyond_sqlite) {
        // The table kv is read without its indexes, one of which may be such a part. To reach the last column of a row,
        // SQLite reads all pages of the row.
        let rows = "SELECT max(namespace), max(key), max(metadata), max(expiration) FROM main.kv NOT INDEXED";
        found = connection.query_row(rows, (), |_| Ok("ok".to_owned()));
    }
    let found = found?;
    match reason::last() {
        _ if found == "ok" => Ok(()),
        // The check reports an unreadable page as a damaged one.
        libc::EIO => Err(reason::io(&io::Error::from_raw_os_error(libc::EIO))),
        _ => {
            // SQLite begins with a line that names the database among the attached ones.
            let found = found.lines().last().unwrap_or_default();
            Err(Error::new(Code::Corrupt, format!("the file is damaged (SQLite's check says: {found})")))
        }
    }
}

/// Whether SQLite cannot do this for the file at all, because some part of the schema needs a function or a collation
/// of another program.
pub(in super::super) fn is_beyond_sqlite(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|failure| failure.extended_code & 0xff == ffi::SQLITE_ERROR)
}

/// SQLite's message, without the text of the statement.
pub(super) fn said(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    /// `.cargo/config.toml` sets the flags, and Cargo passes them to the compiler of these tests too.
    #[test]
    fn sqlite_is_built_with_the_options_of_this_repository() {
        let flags: Vec<_> = option_env!("LIBSQLITE3_FLAGS").unwrap_or_default().split_whitespace().collect();
        assert!(!flags.is_empty());
        // The functions of the system that there are.
        for flag in flags.into_iter().filter(|flag| !flag.contains("HAVE_")) {
            let (is_set, name) = (flag.starts_with("-D"), flag.trim_start_matches("-D").trim_start_matches("-U"));
            let name = CString::new(name).unwrap();
            // SAFETY: it reads a C string and a table of constants.
            let found = unsafe { ffi::sqlite3_compileoption_used(name.as_ptr()) } != 0;
            assert_eq!(found, is_set, "{flag}");
        }
    }
}
