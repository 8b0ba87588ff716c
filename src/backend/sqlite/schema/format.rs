//! The format of a file, and which libraries may use it: two numbers in the file's header.
//!
//! `application_id` is [`APPLICATION_ID`]. `user_version` combines three numbers below 100 in decimal, `format * 10000
//! + writer * 100 + reader`:
//! - `format`: the format of the file;
//! - `writer`: the oldest format whose libraries may write to the file;
//! - `reader`: the oldest format whose libraries may read it.
//!
//! For example, 20101 is format 2, which every library may read and write. A library of format 1 ignores the numbers.
//!
//! | format | table kv | numbers |
//! | --- | --- | --- |
//! | 1 | WITHOUT ROWID, clustered on its primary key | none |
//! | 2 | a rowid table | 20101 |
//!
//! A library compares the numbers when it opens a file, and again at its first write in each second. So a format that
//! must exclude older writers from its first commit on needs more than a number, for example a column with another name.
//!
//! The numbers are written if the table kv is alone in the file and both are 0. They stay unchanged if another program
//! uses one of them, or has its own tables in the file and may use them later.

use rusqlite::Connection;

use crate::error::{Code, Error, Result};

/// "LuKV".
const APPLICATION_ID: i32 = 0x4c75_4b56;

/// The format of files that this library creates.
const FORMAT: i32 = 2;

/// The `user_version` of such files: see above.
const USER_VERSION: i32 = FORMAT * 10_000 + 101;

/// What the numbers of a file mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Both are 0, which means nothing.
    Unmarked,
    /// They name this library's format, or an older one.
    Known,
    /// They name a later format, which this library may read. The text says why it may not write, if so.
    Later(Option<String>),
    /// They belong to another program.
    Foreign { application_id: i32 },
}

/// Fails if this library may not read the file.
pub(super) fn read(connection: &Connection) -> Result<Format> {
    let number = |sql| connection.query_row(sql, (), |row| row.get::<_, i32>(0));
    let application_id = number("PRAGMA main.application_id")?;
    let version = number("PRAGMA main.user_version")?;
    match (application_id, version) {
        (0, 0) | (APPLICATION_ID, 0) => Ok(Format::Unmarked),
        (APPLICATION_ID, USER_VERSION) => Ok(Format::Known),
        (APPLICATION_ID, _) => compare(version),
        _ => Ok(Format::Foreign { application_id }),
    }
}

fn compare(version: i32) -> Result<Format> {
    let (format, writer, reader) = (version / 10_000, version / 100 % 100, version % 100);
    if format < 1 || writer < 1 || reader < 1 {
        return Err(Error::new(Code::Corrupt, format!("its user_version {version} is not a format of this library's")));
    }
    if reader > FORMAT {
        return Err(Error::new(
            Code::Corrupt,
            format!(
                "its format is {format}, which libraries of format {reader} and later read; this library is of format \
                 {FORMAT}: use a later version of it"
            ),
        ));
    }
    if format <= FORMAT && writer <= FORMAT {
        return Ok(Format::Known);
    }
    Ok(Format::Later((writer > FORMAT).then(|| {
        format!(
            "its format is {format}, which libraries of format {writer} and later write; this library is of format \
             {FORMAT}: use a later version of it"
        )
    })))
}

/// Writes this library's numbers.
pub(super) fn mark(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", USER_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(application_id: i32, user_version: i32) -> Result<Format> {
        let connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "application_id", application_id).unwrap();
        connection.pragma_update(None, "user_version", user_version).unwrap();
        read(&connection)
    }

    #[test]
    fn numbers_say_who_may_read_and_write() {
        assert_eq!(of(0, 0), Ok(Format::Unmarked));
        for known in [10_101, 20_101, 20_202] {
            assert_eq!(of(APPLICATION_ID, known), Ok(Format::Known));
        }
        assert_eq!(of(APPLICATION_ID, 30_201), Ok(Format::Later(None)));
        let Ok(Format::Later(Some(why))) = of(APPLICATION_ID, 50_402) else { panic!("it may only be read") };
        assert!(why.starts_with("its format is 5, which libraries of format 4 and later write"), "{why}");
        let error = of(APPLICATION_ID, 50_403).unwrap_err();
        assert_eq!(error.code(), Code::Corrupt);
        assert!(error.message().starts_with("its format is 5, which libraries of format 3 and later read"), "{error}");
        for not_ours in [-1, 1, 20_001, 20_100, i32::MIN] {
            assert_eq!(of(APPLICATION_ID, not_ours).unwrap_err().code(), Code::Corrupt, "{not_ours}");
        }
    }

    #[test]
    fn numbers_of_another_program_say_nothing() {
        assert_eq!(of(0, 7), Ok(Format::Foreign { application_id: 0 }));
        assert_eq!(of(42, 20_101), Ok(Format::Foreign { application_id: 42 }));
    }

    #[test]
    fn a_file_is_marked() {
        let connection = Connection::open_in_memory().unwrap();
        mark(&connection).unwrap();
        assert_eq!(read(&connection), Ok(Format::Known));
        assert_eq!(connection.pragma_query_value(None, "user_version", |row| row.get(0)), Ok(20_101));
    }
}
