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
    /// The server is not what the URL demands. Trying again would fail in the same way, but another host may do.
    Distrusted,
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
            "25006" => {
                let why = "the server is a standby, or only lets this role read; target_session_attrs=read-write in the \
                           URL has the client look for another host that lets it write";
                Failure::new(Kind::Refused, Error::new(Code::ReadOnly, message).because(why))
            }
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

    /// The failure of an attempt to connect. The message is libpq's: a line for each address that it has tried. Where the
    /// server has refused, it contains an SQLSTATE (see [`ERRORS_VERBOSE`](super::libpq::ERRORS_VERBOSE)).
    pub fn of_connecting(message: &str) -> Self {
        let reports = reports(message);
        let states: Vec<_> = reports.iter().map(|report| split_state(report)).collect();
        let texts = reports.iter().zip(&states).map(|(report, state)| match state {
            Some((before, _, after)) => format!("{before}: {after}"),
            None => report.clone(),
        });
        let text = distinct(texts);
        // libpq goes on to the next address unless the last one has decided.
        if let Some((_, state, _)) = states.iter().rev().find_map(|state| *state) {
            return Failure::in_state(state, text);
        }
        // What the URL sets, before anything was sent.
        if ["invalid ", "could not match "].iter().any(|start| text.starts_with(start)) {
            return Failure::new(Kind::Final, Error::invalid(text));
        }
        match DISTRUST.iter().any(|words| text.contains(words)) {
            true => Failure::new(Kind::Distrusted, Error::new(Code::Io, text)),
            false => Failure::lost(text),
        }
    }

    /// The failure to connect because the server wants a password, and there is none.
    pub fn without_password(self) -> Self {
        let missing = "put it into ~/.pgpass, the passfile of the URL, or PGPASSWORD";
        Failure::new(Kind::Final, self.error.and_so(missing))
    }

    /// The failure to connect to any of the hosts of a URL, with the reason of each.
    pub fn of_hosts(mut failed: Vec<Failure>) -> Self {
        // The one decides that ends the call; or else the first that says why, of those which may pass.
        let chief = failed.iter().position(|failure| failure.kind == Kind::Final);
        let chief =
            chief.or_else(|| failed.iter().position(|failure| failure.kind != Kind::Distrusted && !failure.is_silent));
        let chief = chief.or_else(|| failed.iter().position(|failure| failure.kind != Kind::Distrusted)).unwrap_or(0);
        match failed.len() {
            0 => Failure::lost("the URL names no server"),
            1 => failed.swap_remove(0),
            _ => {
                let message = distinct(failed.iter().map(|failure| failure.error.message().to_owned()));
                let Failure { kind, error, is_silent } = failed.swap_remove(chief);
                Failure { kind, error: Error::new(error.code(), message), is_silent }
            }
        }
    }
}

/// What libpq says if a server is not the one that the URL demands, or has no TLS: repeating does not change that. (The
/// first words are OpenSSL's, and the others could be in another language; then the call ends with its timeout.)
const DISTRUST: [&str; 4] = [
    "certificate verify failed",
    "does not match host name",
    "root certificate file",
    "server does not support SSL, but SSL was required",
];

/// The reports of libpq about addresses, each in one line with its hint, and without the further lines of the server.
fn reports(message: &str) -> Vec<String> {
    let mut reports = Vec::<String>::new();
    let first_word = message.split_whitespace().next().unwrap_or_default();
    for line in message.lines() {
        let (is_first, hint) = (reports.is_empty(), line.strip_prefix('\t'));
        if let (Some(hint), Some(report)) = (hint, reports.last_mut()) {
            *report += &format!(" ({})", hint.trim());
        } else if is_first || line.starts_with(first_word) {
            reports.push(line.trim().to_owned());
        }
    }
    reports
}

/// Several messages as one, each once.
fn distinct(messages: impl Iterator<Item = String>) -> String {
    let mut all = Vec::new();
    for message in messages {
        if !all.contains(&message) {
            all.push(message);
        }
    }
    all.join("; ")
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
        let other =
            of("connection to server at \"db1\" (10.0.0.1), port 5432 failed: server certificate for \"db2\" does \
                        not match host name \"db1\"\n");
        assert_eq!((other.0, other.1), (Kind::Distrusted, Code::Io));
    }

    #[test]
    fn each_address_that_was_tried_is_named() {
        let tried = "connection to server at \"db1\" (::1), port 5432 failed: Connection refused\n\tIs the server \
                     running?\nconnection to server at \"db1\" (10.0.0.1), port 5432 failed: FATAL:  28P01: wrong\n\
                     LOCATION:  auth_failed, auth.c:326\n";
        let failure = Failure::of_connecting(tried);
        assert_eq!(failure.kind, Kind::Final, "the last address has decided");
        assert_eq!(
            failure.error.message(),
            "connection to server at \"db1\" (::1), port 5432 failed: Connection refused (Is the server running?); \
             connection to server at \"db1\" (10.0.0.1), port 5432 failed: FATAL: wrong (SQLSTATE 28P01)"
        );
    }

    #[test]
    fn each_host_that_was_tried_is_named() {
        let distrusted = || Failure::new(Kind::Distrusted, Error::new(Code::Io, "a: certificate verify failed"));
        let full = || Failure::new(Kind::Refused, Error::new(Code::Busy, "b: too many clients"));
        let silent = || Failure::silent("c did not answer".to_owned());
        let of = |failed| {
            let failure = Failure::of_hosts(failed);
            (failure.kind, failure.error.code(), failure.is_silent, failure.error.message().to_owned())
        };
        let all = of(vec![silent(), distrusted(), full()]);
        let message = "c did not answer; a: certificate verify failed; b: too many clients";
        assert_eq!(all, (Kind::Refused, Code::Busy, false, message.to_owned()));
        // The second may be there again later, so it is worth trying again.
        assert_eq!(of(vec![distrusted(), silent()]).0, Kind::Lost);
        let message = "a: certificate verify failed".to_owned();
        assert_eq!(of(vec![distrusted(), distrusted()]), (Kind::Distrusted, Code::Io, false, message));
    }
}
