//! Operations on the whole database file.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use rusqlite::OpenFlags;
use rusqlite::backup::{Backup, StepResult};

use super::access;
use super::connection::Connection;
use super::database::Database;
use super::draft::Draft;
use super::is_taken;
#[cfg(not(unix))]
use super::not_unix::libc;
use super::reason;
use super::schema::{self, Steps};
use crate::error::{Code, Error, Result};
use crate::limits;

/// Returns the size of the file and its log in bytes.
pub(super) fn size(database: &Database) -> Result<u64> {
    database.look(false)?;
    // This reads the metadata only. To open the file would endanger its locks.
    let len = |path: &Path| match fs::metadata(path) {
        Ok(found) => Ok(found.len()),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(0),
        Err(why) => Err(Error::io(why)),
    };
    Ok(len(database.path())? + len(&database.wal())?)
}

/// Rewrites the file without the space that deleted rows have left. A damaged file is left as it is, since a rewrite
/// would keep only what can still be read. `room` receives how many bytes it takes at most, once in a temporary file
/// and once in the log.
pub(super) fn compact(connection: &mut Connection, room: &mut u64) -> Result<()> {
    connection.look_again()?;
    schema::check(&connection.sqlite)?;
    *room = compacted(&connection.sqlite)?;
    connection.guard.steps.restart();
    connection.sqlite.execute_batch("VACUUM").map_err(|error| match schema::is_beyond_sqlite(&error) {
        true => Error::new(
            Code::ReadOnly,
            format!(
                "only a program that has the functions and collations of all tables in the file can compact it ({error})"
            ),
        ),
        false => error.into(),
    })
}

/// The size of a log with all pages that are in use.
fn compacted(sqlite: &rusqlite::Connection) -> Result<u64> {
    /// What comes with each page in the log.
    const FRAME: u64 = 24;
    /// For what is in the log once more or besides: its header, the first page.
    const MORE: u64 = 64 * 1024;
    let number = |name| sqlite.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    let used = number("page_count")?.saturating_sub(number("freelist_count")?);
    Ok(used.saturating_mul(number("page_size")? + FRAME) + MORE)
}

/// The error of a compaction that found no room says how much it takes.
pub(super) fn without_room(error: Error, room: u64) -> Error {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) if room > 0 => error.followed_by(format_args!(
            "; compacting takes up to {room} bytes beside the database, and as many for a temporary file (in \
             SQLITE_TMPDIR, or else TMPDIR, or else /var/tmp)"
        )),
        _ => error,
    }
}

/// Moves the log into the file, and truncates it if readers allow it.
pub(super) fn checkpoint(sqlite: &rusqlite::Connection) -> Result<()> {
    match sqlite.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))? {
        true => Err(Error::new(Code::Busy, "its log is in use")),
        false => Ok(()),
    }
}

/// Makes a backup: `copy` writes it at the path that it is given, and it gets its name when it is complete and synced.
pub(super) fn backup(to: &Path, copy: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let named = |error: Error| error.while_doing(format_args!("backing up to {}", to.display()));
    let io = |why: std::io::Error| named(Error::io(why));
    limits::path(to).map_err(named)?;
    // To copy the whole file first would be in vain, and this is the most common mistake.
    if fs::symlink_metadata(to).is_ok() {
        return Err(io(reason::foreseen(libc::EEXIST, ErrorKind::AlreadyExists)));
    }
    if is_taken(to) {
        return Err(named(Error::invalid("that is a name for a file of a store's own")));
    }
    let folder = std::path::absolute(to).map_err(io)?;
    let folder = folder.parent().unwrap_or(Path::new("/"));
    fs::metadata(folder)
        .map_err(|why| named(Error::io(why).while_doing(format_args!("the folder {}", folder.display()))))?;
    let draft = Draft::within(folder).map_err(io)?;
    copy(draft.path()).map_err(named)?;
    draft.create(to).map_err(io)
}

/// SQLite's online backup of one snapshot. The connection belongs to this call, so no other call waits for it, and
/// writes meanwhile do not restart the backup.
pub(super) fn copy(source: &rusqlite::Connection, to: &Path) -> Result<()> {
    /// The size of a step. Other threads of this process may use the file between steps.
    const PAGES: i32 = 4096;
    let snapshot = source.unchecked_transaction()?;
    snapshot.query_row("SELECT EXISTS (SELECT 1 FROM main.sqlite_master)", (), |_| Ok(()))?;
    let mut copy = access::connect(to, OpenFlags::SQLITE_OPEN_READ_WRITE, false)?;
    schema::harden(&copy)?;
    let _steps = Steps::watch(&mut copy, to)?;
    let backup = Backup::new(source, &mut copy)?;
    loop {
        match backup.step(PAGES)? {
            StepResult::Done => break,
            StepResult::More => {}
            _ => return Err(Error::new(Code::Busy, "the database is locked")),
        }
    }
    drop(backup);
    // Pages are copied unchanged, even those of a damaged file.
    schema::check(&copy)?;
    copy.close().map_err(|(_, error)| error.into())
}
