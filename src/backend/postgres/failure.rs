//! What a failure of the server means: whether to try again, and the code of the error.

use std::io;

use crate::error::{Code, Error};

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Trying again would fail in the same way.
    Final,
    /// The server has undone the transaction because of others. It can be repeated.
    Again,
    /// The connection is gone or useless, and another one is needed.
    Lost,
    /// The server has done nothing, and another connection is needed.
    Refused,
    /// The ledger has this write already.
    Done,
    /// The database does not have the tables.
    NoTables,
    /// Somebody else is creating the tables.
    Created,
    /// A statement that was to stay prepared is not there.
    Unprepared,
    /// The short way of a write found something unusual and has changed nothing.
    General,
}

#[derive(Debug)]
pub(super) struct Failure {
    pub kind: Kind,
    pub error: Error,
    /// Whether there was no answer before the deadline.
    pub is_silent: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::new(Kind::Final, error)
    }
}

/// The table that refuses a write for the second time.
const LEDGER: &str = "kv_done";

impl Failure {
    pub fn new(kind: Kind, error: Error) -> Self {
        Failure { kind, error, is_silent: false }
    }

    /// There was no answer before the deadline.
    pub fn silent(message: String) -> Self {
        Failure { is_silent: true, ..Failure::lost(message) }
    }

    pub fn lost(message: impl Into<String>) -> Self {
        Failure::new(Kind::Lost, Error::new(Code::Io, message))
    }

    pub fn general() -> Self {
        Failure::new(Kind::General, Error::new(Code::Internal, "a write needs a transaction"))
    }

    /// The failure of a statement on a table, in the server's words.
    pub fn answered(state: &str, message: String, table: &str) -> Self {
        match state {
            "23502" if table == LEDGER => Failure::new(Kind::Done, Error::new(Code::Internal, message)),
            "23502" => Failure::general(),
            // The server has ended the connection and says nothing of it.
            "" => Failure::lost(message),
            _ => Failure::in_state(state, message),
        }
    }

    /// The failure with an SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    pub fn in_state(state: &str, message: String) -> Self {
        let message = format!("{message} (SQLSTATE {state})");
        let failure = |kind, code| Failure::new(kind, Error::new(code, message.clone()));
        let caused =
            |why: io::ErrorKind| Failure::new(Kind::Final, Error::new(Code::Io, message.clone()).caused_by(why.into()));
        match state {
            // Serialization, deadlock.
            "40001" | "40P01" => failure(Kind::Again, Code::Busy),
            // A lock or a statement took nearly the whole time of the call, or an administrator cancelled it.
            "55P03" | "57014" => failure(Kind::Final, Code::Busy),
            "26000" | "42P05" => failure(Kind::Unprepared, Code::Internal),
            "25006" => failure(Kind::Refused, Code::ReadOnly),
            // Too many connections; others may close theirs.
            "53300" => failure(Kind::Refused, Code::Busy),
            // The server ends, starts or has crashed; a pool that has no server; an idle connection was ended.
            "57P03" => failure(Kind::Refused, Code::Io),
            "57P01" | "57P02" | "57P05" | "25P03" => failure(Kind::Lost, Code::Io),
            // Nor are they there if a column is missing.
            "42P01" | "3F000" | "42703" => failure(Kind::NoTables, Code::Io),
            "42P06" | "42P07" | "42710" | "23505" => failure(Kind::Created, Code::Io),
            "42501" => caused(io::ErrorKind::PermissionDenied),
            "53100" => caused(io::ErrorKind::StorageFull),
            // Metadata that a database in another encoding than UTF-8 cannot hold.
            "22P05" | "22021" => failure(Kind::Final, Code::Invalid),
            "54000" => failure(Kind::Final, Code::Limit),
            // Damage.
            "XX001" | "XX002" => failure(Kind::Final, Code::Corrupt),
            _ => match state.get(..2) {
                Some("08") => failure(Kind::Lost, Code::Io),
                Some("28" | "3D" | "42" | "53" | "58") => failure(Kind::Final, Code::Io),
                _ => failure(Kind::Final, Code::Internal),
            },
        }
    }

    /// The failure of an attempt to connect. The message is libpq's; where the server has refused, it contains an
    /// SQLSTATE (see [`ERRORS_VERBOSE`](super::libpq::ERRORS_VERBOSE)).
    pub fn of_connecting(message: &str) -> Self {
        let mut first = message.lines().next().unwrap_or_default().trim().to_owned();
        if let Some((before, state, after)) = split_state(&first) {
            let (state, text) = (state.to_owned(), format!("{before}: {after}"));
            return Failure::in_state(&state, text);
        }
        // What the URL sets, before anything was sent.
        if ["invalid ", "could not match "].iter().any(|start| first.starts_with(start)) {
            return Failure::new(Kind::Final, Error::invalid(first));
        }
        if let Some(hint) = message.lines().nth(1).filter(|hint| hint.starts_with('\t')) {
            first = format!("{first} ({})", hint.trim());
        }
        Failure::lost(first)
    }
}

/// Splits `…: FATAL:  28P01: text` at its SQLSTATE.
fn split_state(message: &str) -> Option<(&str, &str, &str)> {
    message.match_indices(":  ").find_map(|(at, separator)| {
        let rest = &message[at + separator.len()..];
        let (state, text) = rest.split_once(": ")?;
        let is_state = state.len() == 5 && state.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        is_state.then_some((&message[..at], state, text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_connection_has_the_code_of_its_state() {
        let of = |message: &str| {
            let failure = Failure::of_connecting(message);
            (failure.kind, failure.error.code(), failure.error.message().to_owned())
        };
        let refused = "connection to server at \"db1\" (10.0.0.1), port 5432 failed: FATAL:  28P01: password \
                       authentication failed for user \"x\"\nLOCATION:  auth_failed, auth.c:326\n";
        let (kind, code, message) = of(refused);
        assert_eq!((kind, code), (Kind::Final, Code::Io));
        assert!(message.ends_with("failed: FATAL: password authentication failed for user \"x\" (SQLSTATE 28P01)"));
        let full = "connection to server failed: FATAL:  53300: sorry, too many clients already";
        assert_eq!(of(full).0, Kind::Refused);
        assert_eq!(of(full).1, Code::Busy);
        let wrong = of("invalid sslmode value: \"on\"\n");
        assert_eq!((wrong.0, wrong.1, &*wrong.2), (Kind::Final, Code::Invalid, "invalid sslmode value: \"on\""));
        let none = "connection to server on socket \"/tmp/.s.PGSQL.5432\" failed: No such file or directory\n\tIs the \
                    server running locally?\n";
        assert_eq!(of(none).0, Kind::Lost);
        assert!(of(none).2.ends_with("(Is the server running locally?)"), "{}", of(none).2);
    }
}
