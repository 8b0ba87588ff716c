//! A session: the connection, which is made when it is needed, and what belongs to it.

use std::time::Instant;

use super::call::Call;
use super::connection::Connection;
use super::failure::{Failure, Kind};
use super::hosts::Hosts;
use super::libpq::Libpq;
use super::schema::{self, Rights};
use crate::backend::sweeping::Sweeping;
use crate::error::{Code, Error, Result};
use crate::version::Versions;

/// What a connection has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// The server that has started at this time, in microseconds.
    Started(i64),
    /// A host of the URL, whose server does not tell.
    Host(usize),
}

pub(super) struct Session {
    connection: Option<Connection>,
    /// What the connection has reached, and when: see `pool`.
    pub server: Option<Server>,
    pub epoch: u64,
    /// Whether a transaction is open, which has to be ended before anything else.
    pub in_transaction: bool,
    /// Whether the tables must not be written.
    readonly: bool,
    /// The versions of its writes. They also name the writes in the ledger: the random part is the client, the counter
    /// the number of its write.
    pub versions: Versions,
    pub sweeping: Sweeping,
}

impl Session {
    pub fn new() -> Result<Session> {
        let own = getrandom::u64().map_err(|why| Error::new(Code::Io, format!("no random numbers: {why}")))?;
        let (versions, sweeping) = (Versions::new(own), Sweeping::default());
        Ok(Session {
            connection: None,
            server: None,
            epoch: 0,
            in_transaction: false,
            readonly: false,
            versions,
            sweeping,
        })
    }

    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Makes the connection, and returns what it has reached. A call that can do without it `spares` some of its time.
    pub fn connect(
        &mut self,
        call: &mut Call,
        libpq: &'static Libpq,
        hosts: &Hosts,
        rights: Rights,
        spares: bool,
    ) -> Result<Server, Failure> {
        let (mut connection, host) = connect(call, libpq, hosts, spares)?;
        let prepared = schema::prepare(&mut connection, call, rights)?;
        (self.readonly, self.in_transaction) = (prepared.readonly, false);
        self.connection = Some(connection);
        Ok(prepared.started.map_or(Server::Host(host), Server::Started))
    }

    #[cfg(test)]
    pub fn set_connection(&mut self, connection: Connection) {
        self.connection = Some(connection);
    }

    /// The connection that was made.
    pub fn connection(&mut self) -> Result<&mut Connection, Failure> {
        self.connection.as_mut().ok_or_else(|| Failure::lost("there is no connection"))
    }

    pub fn check_writable(&self) -> Result<()> {
        let message = "the tables of the store have a newer format, which this version of the library cannot write";
        if self.readonly { Err(Error::new(Code::ReadOnly, message)) } else { Ok(()) }
    }

    /// Ends the connection. The caller is within a gate.
    pub fn discard(&mut self) {
        self.connection = None;
    }

    pub fn discard_if_flying(&mut self) {
        if self.in_transaction || self.connection.as_ref().is_some_and(|connection| connection.flying) {
            self.discard();
        }
    }
}

/// Connects to the first host that lets this process in, and returns its number too. Each gets a part of the time that is
/// left.
fn connect(
    call: &mut Call,
    libpq: &'static Libpq,
    hosts: &Hosts,
    spares: bool,
) -> Result<(Connection, usize), Failure> {
    let mut failed = Vec::new();
    for (at, target) in hosts.targets.iter().enumerate() {
        // To look up a name can take longer than its part.
        if !failed.is_empty() && call.left().is_zero() {
            failed.push(Failure::silent(format!("{} was not tried, since no time was left", target.name())));
            continue;
        }
        let part = call.left() / (hosts.targets.len() - at + usize::from(spares)) as u32;
        let until = Instant::now() + hosts.timeout.map_or(part, |timeout| timeout.min(part));
        match Connection::open(libpq, call, target, until) {
            Ok(connection) => return Ok((connection, at)),
            Err(failure) => {
                let is_final = failure.kind == Kind::Final;
                failed.push(failure);
                // As libpq does: a wrong password is wrong everywhere.
                if is_final {
                    break;
                }
            }
        }
    }
    Err(Failure::of_hosts(failed))
}
