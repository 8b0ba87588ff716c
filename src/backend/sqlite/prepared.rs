//! A connection to SQLite and the statements that it keeps prepared: those that read or write one row, or list rows.
//!
//! rusqlite has a cache of statements, but taking a statement out and putting it back takes a fifth of the instructions
//! of a read. Here each statement has its own slot. Bound values are not copied either.
//!
//! Why this is sound:
//! - A statement must be finalized before its connection is closed. [`PreparedConnection`] owns both, and its fields
//!   are dropped in that order. It lends its connection by shared reference only, so no other connection can take its
//!   place.
//! - A statement runs once at a time: an [`Execution`] takes it out of its slot.
//! - SQLite reads bound values for as long as the statement runs. An `Execution` borrows them (`'b`), and ends the run
//!   when it is dropped. If it is forgotten instead, its statement never runs again.
//! - A column is valid until the statement takes another step or is reset. It borrows from the `Execution`, and both
//!   need that borrow to have ended.
//! - SQLite lets a statement move to another thread with its connection.

use std::borrow::Cow;
use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::{self, NonNull};

use rusqlite::ffi;
use rusqlite::types::ValueRef;

use super::overwriting::Overwriting;
use super::schema;
use crate::error::{Error, Result};

/// The statements that are kept prepared.
#[derive(Clone, Copy)]
pub(super) enum Kept {
    Get,
    GetValue,
    Has,
    Version,
    Put,
    Overwrite,
    Add,
    Touch,
    Delete,
    DeleteExpired,
    List,
    ListReverse,
    ListValues,
    ListValuesReverse,
    Watch,
}

const COUNT: usize = Kept::Watch as usize + 1;

impl Kept {
    fn sql(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Kept::Get => schema::GET,
            Kept::GetValue => schema::GET_VALUE,
            Kept::Has => schema::HAS,
            Kept::Version => schema::VERSION,
            Kept::Put => schema::PUT,
            Kept::Overwrite => schema::OVERWRITE,
            Kept::Add => return Cow::Owned(schema::add(schema::PUT)),
            Kept::Touch => schema::TOUCH,
            Kept::Delete => schema::DELETE,
            Kept::DeleteExpired => schema::DELETE_EXPIRED,
            Kept::List => schema::list(false, false),
            Kept::ListReverse => schema::list(true, false),
            Kept::ListValues => schema::list(false, true),
            Kept::ListValuesReverse => schema::list(true, true),
            Kept::Watch => schema::WATCH,
        })
    }

    pub fn list(reverse: bool, values: bool) -> Kept {
        match (reverse, values) {
            (false, false) => Kept::List,
            (true, false) => Kept::ListReverse,
            (false, true) => Kept::ListValues,
            (true, true) => Kept::ListValuesReverse,
        }
    }
}

/// The fields are dropped in this order.
pub(super) struct PreparedConnection {
    /// A slot is empty until its statement is first used, and while it runs.
    slots: [Cell<Option<Statement>>; COUNT],
    pub overwriting: Overwriting,
    sqlite: rusqlite::Connection,
}

struct Statement(NonNull<ffi::sqlite3_stmt>);

// SAFETY: a statement may move to another thread with its connection.
unsafe impl Send for Statement {}

impl Drop for Statement {
    fn drop(&mut self) {
        // SAFETY: it is the only owner of the statement, whose connection is open.
        unsafe { ffi::sqlite3_finalize(self.0.as_ptr()) };
    }
}

impl PreparedConnection {
    pub fn new(sqlite: rusqlite::Connection) -> Self {
        PreparedConnection { slots: [const { Cell::new(None) }; COUNT], overwriting: Overwriting::default(), sqlite }
    }

    pub fn close(self) -> rusqlite::Result<()> {
        drop(self.slots);
        self.sqlite.close().map_err(|(_, error)| error)
    }

    /// Begins a run of a statement with these parameters, the first of which is `?1`.
    pub fn run<'b>(&self, kept: Kept, parameters: &[ValueRef<'b>]) -> Result<Execution<'_, 'b>> {
        let slot = &self.slots[kept as usize];
        let statement = match slot.take() {
            Some(statement) => statement,
            None => self.prepare(&kept.sql())?,
        };
        let execution = Execution { statement: Some(statement), slot, connection: self, bound: PhantomData };
        for (index, parameter) in (1..).zip(parameters) {
            execution.bind(index, *parameter)?;
        }
        Ok(execution)
    }

    /// Makes this the statement for [`Kept::Put`], and for [`Kept::Add`] with its condition. [`Kept::Overwrite`] may take
    /// its place if `overwrites`. All are prepared now: one that is prepared later would not tell that the schema has
    /// changed since.
    pub fn set_put(&self, sql: &str, overwrites: bool) -> Result<()> {
        self.overwriting.allow(false);
        if overwrites {
            self.slots[Kept::Overwrite as usize].set(Some(self.prepare(schema::OVERWRITE)?));
        }
        self.overwriting.allow(overwrites);
        self.slots[Kept::Add as usize].set(Some(self.prepare(&schema::add(sql))?));
        self.slots[Kept::Put as usize].set(Some(self.prepare(sql)?));
        Ok(())
    }

    fn prepare(&self, sql: &str) -> Result<Statement> {
        let len = c_int::try_from(sql.len()).map_err(|_| Error::no_memory(sql.len()))?;
        let mut statement = ptr::null_mut();
        // SAFETY: the connection is open, the text has this length, and SQLite writes a pointer.
        let code = unsafe {
            let flags = ffi::SQLITE_PREPARE_PERSISTENT;
            ffi::sqlite3_prepare_v3(self.handle(), sql.as_ptr().cast(), len, flags, &mut statement, ptr::null_mut())
        };
        // No text is empty, so the pointer is null only after an error.
        NonNull::new(statement).map(Statement).ok_or_else(|| self.error(code))
    }

    #[cold]
    fn error(&self, code: c_int) -> Error {
        // SAFETY: the connection is open, and the text is SQLite's until the next call.
        let message = unsafe {
            let message = ffi::sqlite3_errmsg(self.handle());
            (!message.is_null()).then(|| CStr::from_ptr(message).to_string_lossy().into_owned())
        };
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), message).into()
    }
}

impl Deref for PreparedConnection {
    type Target = rusqlite::Connection;

    fn deref(&self) -> &rusqlite::Connection {
        &self.sqlite
    }
}

/// A run of a statement, from its first step until it is dropped.
pub(super) struct Execution<'c, 'b> {
    /// Always there, until the drop takes it.
    statement: Option<Statement>,
    slot: &'c Cell<Option<Statement>>,
    connection: &'c PreparedConnection,
    bound: PhantomData<&'b [u8]>,
}

impl<'b> Execution<'_, 'b> {
    fn pointer(&self) -> *mut ffi::sqlite3_stmt {
        self.statement.as_ref().map_or(ptr::null_mut(), |statement| statement.0.as_ptr())
    }

    /// Binds a value to a parameter, which is NULL until then: the drop of the last run has left none bound.
    fn bind(&self, index: c_int, parameter: ValueRef<'b>) -> Result<()> {
        let (statement, keep) = (self.pointer(), ffi::SQLITE_STATIC());
        // SAFETY: the statement has taken no step, and the bound values outlive the run.
        let code = unsafe {
            match parameter {
                ValueRef::Null => ffi::SQLITE_OK,
                ValueRef::Integer(whole) => ffi::sqlite3_bind_int64(statement, index, whole),
                ValueRef::Real(real) => ffi::sqlite3_bind_double(statement, index, real),
                ValueRef::Text(text) => {
                    let (start, len, encoding) = (text.as_ptr().cast(), text.len() as u64, ffi::SQLITE_UTF8 as u8);
                    ffi::sqlite3_bind_text64(statement, index, start, len, keep, encoding)
                }
                ValueRef::Blob(blob) => {
                    ffi::sqlite3_bind_blob64(statement, index, blob.as_ptr().cast(), blob.len() as u64, keep)
                }
            }
        };
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.connection.error(code)) }
    }

    /// Takes the next step. Returns whether there is a row.
    pub fn step(&mut self) -> Result<bool> {
        // SAFETY: the statement is not finalized, and no column is borrowed.
        match unsafe { ffi::sqlite3_step(self.pointer()) } {
            ffi::SQLITE_ROW => Ok(true),
            ffi::SQLITE_DONE => Ok(false),
            code => Err(self.connection.error(code)),
        }
    }

    /// Runs a statement that returns no rows. Returns whether it changed a row.
    pub fn execute(mut self) -> Result<bool> {
        self.step()?;
        Ok(self.connection.changes() > 0)
    }

    /// Returns a column of the row of the last step; NULL if there was none.
    pub fn column(&self, index: usize) -> ValueRef<'_> {
        let (statement, index) = (self.pointer(), index as c_int);
        // SAFETY: the statement is not finalized. The bytes stay where they are while `self` is borrowed, since no
        // function that converts the column to another type is called.
        unsafe {
            let kind = ffi::sqlite3_column_type(statement, index);
            match kind {
                ffi::SQLITE_INTEGER => ValueRef::Integer(ffi::sqlite3_column_int64(statement, index)),
                ffi::SQLITE_FLOAT => ValueRef::Real(ffi::sqlite3_column_double(statement, index)),
                ffi::SQLITE_TEXT | ffi::SQLITE_BLOB => {
                    // These are the bytes of a text, too. (SQLite would copy it to return it as a text, in order to add
                    // a NUL.)
                    let start = ffi::sqlite3_column_blob(statement, index).cast::<u8>();
                    let len = usize::try_from(ffi::sqlite3_column_bytes(statement, index)).unwrap_or(0);
                    let bytes = if start.is_null() { &[] } else { std::slice::from_raw_parts(start, len) };
                    if kind == ffi::SQLITE_TEXT { ValueRef::Text(bytes) } else { ValueRef::Blob(bytes) }
                }
                _ => ValueRef::Null,
            }
        }
    }

    /// How many instructions of SQLite's virtual machine this run has taken.
    pub fn instructions(&self) -> u32 {
        self.count(ffi::SQLITE_STMTSTATUS_VM_STEP)
    }

    /// Whether SQLite has prepared the statement again during this run, because the schema had changed.
    pub fn was_prepared_anew(&self) -> bool {
        self.count(ffi::SQLITE_STMTSTATUS_REPREPARE) > 0
    }

    /// Returns one of SQLite's counters, and resets it.
    fn count(&self, counter: c_int) -> u32 {
        // SAFETY: the statement is not finalized.
        unsafe { ffi::sqlite3_stmt_status(self.pointer(), counter, 1) }.unsigned_abs()
    }
}

impl Drop for Execution<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: the statement is not finalized, and no column is borrowed.
        unsafe {
            // The result repeats the error of the last step, so it is ignored.
            ffi::sqlite3_reset(self.pointer());
            ffi::sqlite3_clear_bindings(self.pointer());
        }
        self.slot.set(self.statement.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn connection() -> PreparedConnection {
        let sqlite = rusqlite::Connection::open_in_memory().unwrap();
        let table =
            "CREATE TABLE kv (namespace, key, expiration, version, metadata, value, PRIMARY KEY (namespace, key))";
        sqlite.execute_batch(table).unwrap();
        sqlite
            .execute_batch("INSERT INTO kv (namespace, key, value) VALUES ('n', 'a', 'text'), ('n', 'b', x'')")
            .unwrap();
        PreparedConnection::new(sqlite)
    }

    fn get<'c, 'b>(connection: &'c PreparedConnection, key: &'b str) -> Execution<'c, 'b> {
        let mut execution = connection.run(Kept::GetValue, &["n".into(), key.into()]).unwrap();
        assert!(execution.step().unwrap());
        execution
    }

    #[test]
    fn a_statement_runs_again_beside_itself_and_after_itself() {
        let connection = connection();
        let first = get(&connection, "a");
        let second = get(&connection, "b");
        assert_eq!((first.column(0), second.column(0)), (ValueRef::Text(b"text"), ValueRef::Blob(b"")));
        drop(first);
        assert_eq!((second.column(0), second.column(1)), (ValueRef::Blob(b""), ValueRef::Null));
        drop(second);
        assert_eq!(get(&connection, "a").column(0), ValueRef::Text(b"text"));
        connection.close().unwrap();
    }

    #[test]
    fn a_run_ends_with_its_read_transaction() {
        let connection = connection();
        let execution = get(&connection, "a");
        assert!(connection.execute_batch("DROP TABLE kv").is_err(), "it is in use");
        drop(execution);
        connection.execute_batch("ALTER TABLE kv RENAME COLUMN value TO content").unwrap();
        let mut execution = connection.run(Kept::GetValue, &["n".into(), "a".into()]).unwrap();
        let error = execution.step().unwrap_err();
        assert_eq!(error.code(), Code::Internal);
        assert!(error.message().contains("no such column: value"), "{error}");
        drop(execution);
        connection.execute_batch("ALTER TABLE kv RENAME COLUMN content TO value").unwrap();
        assert_eq!(get(&connection, "a").column(0), ValueRef::Text(b"text"));
    }

    #[test]
    fn a_write_says_whether_it_changed_a_row_and_whether_the_schema_had_changed() {
        let connection = connection();
        let row = |key| ["n".into(), key, ValueRef::Integer(0)];
        assert!(connection.run(Kept::Delete, &row("a".into())).unwrap().execute().unwrap());
        assert!(!connection.run(Kept::Delete, &row("a".into())).unwrap().execute().unwrap());
        let put = || {
            let row =
                ["n".into(), ValueRef::Null, "k".into(), ValueRef::Real(1.5), ValueRef::Null, ValueRef::Integer(7)];
            let mut execution = connection.run(Kept::Put, &row).unwrap();
            assert!(!execution.step().unwrap());
            execution.was_prepared_anew()
        };
        assert!(!put());
        connection.execute_batch("ALTER TABLE kv ADD COLUMN kind").unwrap();
        assert!(put());
        assert!(!put());
        let execution = get(&connection, "k");
        assert_eq!((execution.column(0), execution.column(1)), (ValueRef::Real(1.5), ValueRef::Integer(7)));
    }

    #[test]
    fn what_is_too_long_is_refused_and_the_statement_runs_again() {
        let connection = connection();
        connection.set_limit(rusqlite::limits::Limit::SQLITE_LIMIT_LENGTH, 100).unwrap();
        let long = "x".repeat(101);
        let refused = connection.run(Kept::GetValue, &["n".into(), long.as_str().into()]).map(|_| ());
        assert_eq!(refused.unwrap_err().code(), Code::Limit);
        assert_eq!(get(&connection, "a").column(0), ValueRef::Text(b"text"));
    }
}
