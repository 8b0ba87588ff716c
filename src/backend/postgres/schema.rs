//! The tables, and which formats of them this library reads and writes.

use super::call::Call;
use super::connection::{Connection, Statement};
use super::failure::{Failure, Kind};
use super::sql;
use super::wire::Param;
use crate::error::{Code, Error};

/// The format of the tables that this library creates, the oldest whose libraries may write to them, and the oldest
/// whose libraries may read them.
const FORMAT: i64 = 1;
const WRITER: i64 = 1;
const READER: i64 = 1;

/// What a store may do to the tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rights {
    pub readonly: bool,
    pub create: bool,
}

/// What a new connection has found.
pub(super) struct Prepared {
    /// Whether the store must not write.
    pub readonly: bool,
    /// When the server has started, in microseconds.
    pub started: Option<i64>,
}

/// Checks the tables of a new connection, and creates them if they are missing.
pub(super) fn prepare(connection: &mut Connection, call: &mut Call, rights: Rights) -> Result<Prepared, Failure> {
    match check(connection, call) {
        Err(failure) if failure.kind == Kind::NoTables => {}
        checked => return checked.map_err(|failure| explained(connection, call, failure, rights, false)),
    }
    if rights.readonly || !rights.create {
        let why = match rights.readonly {
            true => {
                "the database has no store yet: the first open that may write creates it, and this one may only read"
            }
            false => "the database has no store yet, and this open is not to create it",
        };
        return Err(Error::new(Code::Io, why).caused_by(std::io::ErrorKind::NotFound.into()).into());
    }
    match create(connection, call) {
        // Another process was faster, and its tables are there now. Or they are not those of a store.
        Err(there) if there.kind == Kind::Created => check(connection, call).map_err(|failure| match failure.kind {
            Kind::NoTables => foreign(&there.error),
            _ => explained(connection, call, failure, rights, false),
        }),
        Err(failure) => Err(explained(connection, call, failure, rights, true)),
        Ok(()) => check(connection, call).map_err(|failure| explained(connection, call, failure, rights, false)),
    }
}

/// What has the name of one of the tables is another program's.
fn foreign(there: &Error) -> Failure {
    let message = format!(
        "the schema luat_kv of the database belongs to another program, since it has no table format of a store: {}; use \
         another database, or rename what is there",
        there.message()
    );
    Error::new(Code::Corrupt, message).into()
}

fn check(connection: &mut Connection, call: &mut Call) -> Result<Prepared, Failure> {
    let [started, session, format] = [sql::STARTED, sql::SESSION, sql::FORMAT].map(|sql| [Statement::new(sql, [])]);
    let mut answers = connection.fly_in_groups(call, &[&started, &session, &format])?;
    let format = answers.pop().unwrap_or_else(|| Ok(Vec::new()))?;
    let (Some(rows), Some(Ok(session))) = (format.first(), answers.pop()) else {
        return Err(Failure::lost("the server sent too few answers"));
    };
    connection.keep_statements(session.first().map(|rows| rows.number(0, 0)).transpose()?.flatten().unwrap_or(-1));
    if rows.len() != 1 {
        let message = format!("luat_kv.format has {} rows; it has one in every store", rows.len());
        return Err(Error::new(Code::Corrupt, message).into());
    }
    let [format, writer, reader] = [rows.count(0, 0)?, rows.count(0, 1)?, rows.count(0, 2)?];
    if reader > FORMAT as u64 {
        let message = format!(
            "the tables of the store have format {format}, which libraries from format {reader} on can read; this one \
             knows {FORMAT}"
        );
        return Err(Error::new(Code::Corrupt, message).into());
    }
    // A server that does not know the function has no answer.
    let started = answers.pop().and_then(|answer| answer.ok()?.first().map(|rows| rows.number(0, 0))).transpose()?;
    Ok(Prepared { readonly: writer > FORMAT as u64, started: started.flatten() })
}

/// In one transaction: of several processes, one creates all, and the others fail.
fn create(connection: &mut Connection, call: &mut Call) -> Result<(), Failure> {
    let mut statements = vec![Statement::new(sql::BEGIN, [])];
    statements.extend(sql::CREATE.map(|sql| Statement::new(sql, [])));
    statements.push(Statement::new(sql::SET_FORMAT, [FORMAT, WRITER, READER].map(Param::number)));
    statements.push(Statement::new(sql::COMMIT, []));
    match connection.fly(call, &statements) {
        Ok(_) => Ok(()),
        Err(failure) if failure.kind == Kind::Lost => Err(failure),
        Err(failure) => {
            connection.ask(call, Statement::new(sql::ROLLBACK, []))?;
            Err(failure)
        }
    }
}

/// Says what the role needs, in SQL.
fn explained(connection: &mut Connection, call: &mut Call, failure: Failure, rights: Rights, creates: bool) -> Failure {
    let is_refused = failure.error.io_kind() == Some(std::io::ErrorKind::PermissionDenied);
    if !is_refused && failure.kind != Kind::NoTables {
        return failure;
    }
    let Ok((role, database)) = names(connection, call) else { return failure };
    let on_rows = if rights.readonly { "SELECT" } else { "SELECT, INSERT, UPDATE, DELETE" };
    let grants =
        format!("GRANT USAGE ON SCHEMA luat_kv TO {role}; GRANT {on_rows} ON ALL TABLES IN SCHEMA luat_kv TO {role}");
    let missing = match creates {
        true => format!(
            "the role may not create the tables; let it, with GRANT CREATE ON DATABASE {database} TO {role}, or let an \
             owner run: BEGIN; {}; {grants}; COMMIT;",
            script()
        ),
        false => format!("the role needs: {grants}"),
    };
    Failure::new(failure.kind, failure.error.because(&missing))
}

/// The role and the database, as SQL writes them.
fn names(connection: &mut Connection, call: &mut Call) -> Result<(String, String), Failure> {
    let rows = connection.ask(call, Statement::new(sql::NAMES, []))?;
    let name = |column| Ok::<_, Failure>(rows.text(0, column)?.unwrap_or_default().to_owned());
    Ok((name(0)?, name(1)?))
}

/// All that creates the tables, for an owner to run.
fn script() -> String {
    let all = sql::CREATE.map(|sql| sql.split_whitespace().collect::<Vec<_>>().join(" ")).join("; ");
    format!("{all}; INSERT INTO luat_kv.format VALUES ({FORMAT}, {WRITER}, {READER})")
}
