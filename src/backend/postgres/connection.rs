//! A connection to a server: how it is made, and how statements are sent.
//!
//! All statements of one flight are sent before the first answer arrives (libpq's pipeline mode), so a flight takes one
//! round trip. Each wait ends with the deadline of its [`Call`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;
use std::time::{Duration, Instant};

use super::call::Call;
use super::failure::{Failure, Kind};
use super::hosts::Target;
use super::libpq::{self, Conn, Libpq};
use super::sockets::{Socket, generation, keep_inherited};
use super::wire::{Param, Rows, raw};
use crate::error::Error;

/// A statement with its parameters.
pub(super) struct Statement<'a> {
    sql: &'a str,
    params: Vec<Param<'a>>,
    /// Whether the server keeps it prepared.
    is_kept: bool,
}

impl<'a> Statement<'a> {
    pub fn new(sql: &'a str, params: impl Into<Vec<Param<'a>>>) -> Self {
        Statement { sql, params: params.into(), is_kept: false }
    }

    /// A statement that is sent often, and whose plan does not depend on its parameters.
    pub fn kept(sql: &'static str, params: impl Into<Vec<Param<'a>>>) -> Self {
        Statement { sql, params: params.into(), is_kept: true }
    }

    /// About the size of its message.
    fn len(&self) -> usize {
        let text = if self.is_kept { 0 } else { self.sql.len() };
        text + 16 * self.params.len() + self.params.iter().filter_map(Param::bytes).map(<[u8]>::len).sum::<usize>()
    }
}

/// Statements of more bytes are sent before the next one is added to libpq's buffer.
const LARGE: usize = 256 * 1024;

pub(super) struct Connection {
    libpq: &'static Libpq,
    /// Freed by this process only, not by the child of a fork.
    conn: *mut Conn,
    socket: Option<Socket>,
    generation: u64,
    /// Whether answers are still to come.
    pub flying: bool,
    /// Whether statements may stay prepared.
    keeps: bool,
    /// The names of those that are, by the address of their text, which is static.
    kept: HashMap<*const u8, Kept>,
}

struct Kept {
    name: CString,
    /// Whether the server has confirmed it.
    is_prepared: bool,
}

/// What a result answers.
enum Expected {
    Statement,
    /// The preparation of the statement with this text.
    Preparation(*const u8),
}

// SAFETY: a connection of libpq may be used by any thread, one at a time.
unsafe impl Send for Connection {}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.generation == generation() {
            Socket::replace(&mut self.socket, -1);
            // SAFETY: the connection is live, and nothing uses it afterwards.
            unsafe { (self.libpq.finish)(self.conn) }
        } else {
            keep_inherited(self.conn);
        }
    }
}

fn text(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| Error::invalid("a statement has a NUL in it").into())
}

fn oids(params: &[Param<'_>]) -> Vec<u32> {
    params.iter().map(Param::oid).collect()
}

/// Drops what the server or libpq would print.
unsafe extern "C" fn ignore(_: *mut c_void, _: *const c_char) {}

impl Connection {
    /// Connects to one server, until a time.
    pub fn open(libpq: &'static Libpq, call: &mut Call, target: &Target, until: Instant) -> Result<Self, Failure> {
        let [keywords, values] = target.raw();
        // A name that has to be looked up may take a while. libpq offers no other way, and a child that another thread
        // forks could not look up any.
        // SAFETY: both lists end with NULL, and their texts with a NUL.
        let conn = call.long(|| unsafe { (libpq.connect_start)(keywords.as_ptr(), values.as_ptr(), 0) });
        if conn.is_null() {
            return Err(Error::no_memory(0).into());
        }
        let (generation, kept) = (generation(), HashMap::new());
        let mut connection = Connection { libpq, conn, socket: None, generation, flying: false, keeps: false, kept };
        if connection.is_bad() {
            return Err(connection.not_connected());
        }
        // SAFETY: the connection is live. The processor needs no data.
        unsafe {
            (libpq.set_error_verbosity)(conn, libpq::ERRORS_VERBOSE);
            (libpq.set_notice_processor)(conn, Some(ignore), ptr::null_mut());
        }
        let mut writes = true;
        loop {
            connection.note_socket();
            if !connection.wait(call, !writes, writes, until) {
                let message = format!("{} did not answer for {:.1} s", target.name(), call.seconds());
                return Err(Failure::silent(message));
            }
            // SAFETY: the connection is live.
            let state = call.long(|| unsafe { (libpq.connect_poll)(conn) });
            match state {
                libpq::POLLING_OK => break,
                libpq::POLLING_FAILED => return Err(connection.not_connected()),
                state => writes = state != libpq::POLLING_READING,
            }
        }
        connection.note_socket();
        // SAFETY: the connection is live.
        let ready = unsafe { (libpq.set_nonblocking)(conn, 1) == 0 && (libpq.enter_pipeline)(conn) == 1 };
        if ready { Ok(connection) } else { Err(connection.not_connected()) }
    }

    /// A connection that leads nowhere.
    #[cfg(test)]
    pub fn of_test(libpq: &'static Libpq, conn: *mut Conn) -> Connection {
        let (generation, kept) = (generation(), HashMap::new());
        Connection { libpq, conn, socket: None, generation, flying: false, keeps: false, kept }
    }

    fn note_socket(&mut self) {
        // SAFETY: the connection is live.
        Socket::replace(&mut self.socket, unsafe { (self.libpq.socket)(self.conn) });
    }

    fn is_bad(&self) -> bool {
        // SAFETY: the connection is live.
        unsafe { (self.libpq.status)(self.conn) == libpq::CONNECTION_BAD }
    }

    /// Whether the next result has not arrived.
    fn is_busy(&self) -> bool {
        // SAFETY: the connection is live.
        unsafe { (self.libpq.is_busy)(self.conn) != 0 }
    }

    fn message(&self) -> String {
        // SAFETY: the connection is live, and the text is copied before it is used again.
        unsafe { libpq::text((self.libpq.error_message)(self.conn)) }.into_owned()
    }

    fn not_connected(&self) -> Failure {
        let failure = Failure::of_connecting(&self.message());
        // SAFETY: the connection is live.
        match unsafe { (self.libpq.connection_needs_password)(self.conn) } != 0 {
            true => failure.without_password(),
            false => failure,
        }
    }

    fn lost(&self) -> Failure {
        let message = self.message();
        let lines: Vec<_> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        match lines.is_empty() {
            true => Failure::lost("the server closed the connection"),
            false => Failure::lost(lines.join(" ")),
        }
    }

    /// Waits until the socket is ready, and returns whether it is.
    fn wait(&self, call: &mut Call, reads: bool, writes: bool, until: Instant) -> bool {
        // SAFETY: the connection is live.
        let fd = unsafe { (self.libpq.socket)(self.conn) };
        let events = if reads { libc::POLLIN } else { 0 } | if writes { libc::POLLOUT } else { 0 };
        call.outside(|| {
            loop {
                let left = until.saturating_duration_since(Instant::now());
                // Rounded up, so that it does not spin in the last millisecond.
                let left_ms = left.as_micros().div_ceil(1000).min(i32::MAX as u128) as c_int;
                let mut polled = libc::pollfd { fd, events, revents: 0 };
                // SAFETY: it is an array of one.
                match unsafe { libc::poll(&mut polled, 1, left_ms) } {
                    0 if left > Duration::ZERO => {} // rounded
                    0 => return false,
                    // Interrupted by a signal. Another failure shows at the next use of the socket.
                    -1 if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {}
                    _ => return true,
                }
            }
        })
    }

    /// Sends statements that are one transaction, unless they begin one themselves, and returns their results.
    pub fn fly(&mut self, call: &mut Call, statements: &[Statement<'_>]) -> Result<Vec<Rows>, Failure> {
        self.fly_in_groups(call, &[statements])?.pop().unwrap_or_else(|| Ok(Vec::new()))
    }

    /// Sends one statement, and returns its result.
    pub fn ask(&mut self, call: &mut Call, statement: Statement<'_>) -> Result<Rows, Failure> {
        let mut all = self.fly(call, &[statement])?;
        all.pop().ok_or_else(|| Failure::lost("the server gave no answer"))
    }

    /// Sends several groups of statements together, each a transaction. A group fails alone. After an error of the
    /// outer result the connection is useless.
    pub fn fly_in_groups(
        &mut self,
        call: &mut Call,
        groups: &[&[Statement<'_>]],
    ) -> Result<Vec<Result<Vec<Rows>, Failure>>, Failure> {
        self.flying = true;
        let (mut expected, mut unsent) = (Vec::new(), 0);
        for statements in groups {
            let mut of_group = Vec::new();
            for statement in *statements {
                self.send(statement, &mut of_group)?;
                unsent += statement.len();
                if unsent > LARGE {
                    self.flush_all(call)?;
                    unsent = 0;
                }
            }
            expected.push(of_group);
            // SAFETY: the connection is live.
            if unsafe { (self.libpq.pipeline_sync)(self.conn) } != 1 {
                return Err(self.lost());
            }
        }
        let mut all = Vec::new();
        for of_group in expected {
            all.push(self.receive_group(call, of_group)?);
        }
        self.flying = false;
        Ok(all)
    }

    /// Sends all that libpq has in its buffer, before more is added to it.
    fn flush_all(&mut self, call: &mut Call) -> Result<(), Failure> {
        // SAFETY: the connection is live.
        while unsafe { (self.libpq.flush)(self.conn) } == 1 {
            let until = call.until();
            // The server may be waiting until some of its answers are read.
            // SAFETY: the connection is live.
            if !self.wait(call, true, true, until) || call.left().is_zero() {
                return Err(self.unanswered(call));
            }
            // SAFETY: the connection is live.
            if unsafe { (self.libpq.consume_input)(self.conn) } != 1 {
                return Err(self.lost());
            }
        }
        Ok(())
    }

    /// How many bytes have arrived and are not read yet.
    fn arrived(&self) -> usize {
        let mut bytes: c_int = 0;
        // SAFETY: the connection is live, and the system writes one number.
        let asked = unsafe { libc::ioctl((self.libpq.socket)(self.conn), libc::FIONREAD, &raw mut bytes) };
        if asked == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
    }

    fn unanswered(&self, call: &Call) -> Failure {
        Failure::silent(format!("the server did not answer for {:.1} s", call.seconds()))
    }

    /// Lets statements stay prepared, if the session behind this connection is always the same: not if `session` is not
    /// the one that libpq connected to.
    pub fn keep_statements(&mut self, session: i64) {
        // SAFETY: the connection is live.
        self.keeps = session == i64::from(unsafe { (self.libpq.backend_pid)(self.conn) });
    }

    fn send(&mut self, statement: &Statement<'_>, expected: &mut Vec<Expected>) -> Result<(), Failure> {
        let params = &statement.params;
        let (values, lengths): (Vec<_>, Vec<_>) = params.iter().map(raw).unzip();
        let formats = vec![1; params.len()];
        let count = params.len() as c_int;
        let (values, lengths, formats) = (values.as_ptr(), lengths.as_ptr(), formats.as_ptr());
        let name = match statement.is_kept && self.keeps {
            true => self.prepare(statement, expected)?,
            false => ptr::null(),
        };
        expected.push(Expected::Statement);
        let (libpq, conn) = (self.libpq, self.conn);
        // SAFETY: the connection is live, the texts end with a NUL, and all arrays have as many elements as there are
        // parameters. libpq copies them.
        let sent = unsafe {
            match name.is_null() {
                false => (libpq.send_prepared)(conn, name, count, values, lengths, formats, 1),
                true => {
                    let (sql, oids) = (text(statement.sql)?, oids(params));
                    (libpq.send_query)(conn, sql.as_ptr(), count, oids.as_ptr(), values, lengths, formats, 1)
                }
            }
        };
        if sent == 1 { Ok(()) } else { Err(self.lost()) }
    }

    /// Returns the name of a kept statement, which is valid as long as the connection, and prepares it if it is not
    /// prepared.
    fn prepare(&mut self, statement: &Statement<'_>, expected: &mut Vec<Expected>) -> Result<*const c_char, Failure> {
        let (key, number) = (statement.sql.as_ptr(), self.kept.len());
        let kept = match self.kept.entry(key) {
            Entry::Occupied(kept) => kept.into_mut(),
            Entry::Vacant(empty) => {
                empty.insert(Kept { name: text(&format!("luat_kv_{number}"))?, is_prepared: false })
            }
        };
        let name = kept.name.as_ptr();
        let is_sent = expected.iter().any(|expected| matches!(expected, Expected::Preparation(sql) if *sql == key));
        if kept.is_prepared || is_sent {
            return Ok(name);
        }
        let (sql, oids) = (text(statement.sql)?, oids(&statement.params));
        let count = oids.len() as c_int;
        // SAFETY: the connection is live, the texts end with a NUL, and libpq copies all.
        let sent = unsafe { (self.libpq.send_prepare)(self.conn, name, sql.as_ptr(), count, oids.as_ptr()) };
        expected.push(Expected::Preparation(key));
        if sent == 1 { Ok(name) } else { Err(self.lost()) }
    }

    /// Receives the results of a group. The inner result is the failure of its transaction.
    fn receive_group(
        &mut self,
        call: &mut Call,
        expected: Vec<Expected>,
    ) -> Result<Result<Vec<Rows>, Failure>, Failure> {
        let mut expected = expected.into_iter();
        let (mut all, mut failed) = (Vec::new(), None::<Failure>);
        let mut empty = 0;
        loop {
            if let Err(lost) = self.await_result(call) {
                return Err(failed.filter(|failed| failed.kind == lost.kind).unwrap_or(lost));
            }
            // SAFETY: the connection is live. It is not busy, so this does not block.
            let result = unsafe { (self.libpq.get_result)(self.conn) };
            if result.is_null() {
                // One follows the results of each statement.
                empty += 1;
                if empty > 1 || self.is_bad() {
                    let lost = self.lost();
                    return Err(failed.filter(|failed| failed.kind == lost.kind).unwrap_or(lost));
                }
                continue;
            }
            empty = 0;
            // SAFETY: it is a result of this libpq, and nothing else frees it.
            let rows = unsafe { Rows::new(self.libpq, result) };
            match rows.status() {
                libpq::PIPELINE_SYNC => return Ok(failed.map_or(Ok(all), Err)),
                libpq::COMMAND_OK | libpq::TUPLES_OK => match expected.next() {
                    Some(Expected::Preparation(sql)) => {
                        self.kept.get_mut(&sql).into_iter().for_each(|kept| kept.is_prepared = true);
                    }
                    _ => all.push(rows),
                },
                libpq::PIPELINE_ABORTED => {}
                _ => {
                    let failure = failed.get_or_insert_with(|| rows.failure());
                    // A pool gives each transaction another session, with statements of its own.
                    self.keeps &= failure.kind != Kind::Unprepared;
                }
            }
        }
    }

    /// Waits until the next result is complete.
    fn await_result(&mut self, call: &mut Call) -> Result<(), Failure> {
        loop {
            // A failure is left to what follows: the server may have said why it closed the connection.
            // SAFETY: the connection is live.
            let unsent = unsafe { (self.libpq.flush)(self.conn) } == 1;
            // Before it waits, since the answer is often there by now where many wait for a processor. And after the
            // deadline too, since it may have arrived while this process did not run.
            if !self.is_busy() || self.consume_input()? {
                return Ok(());
            }
            if call.left().is_zero() {
                return Err(self.unanswered(call));
            }
            let until = call.until();
            self.wait(call, true, unsent, until);
            if call.left() < call.timeout() / 2 {
                call.allow(self.arrived());
            }
        }
    }

    /// Reads what has arrived, and returns whether the next result is complete.
    fn consume_input(&mut self) -> Result<bool, Failure> {
        // With TLS, a record may be longer than what the first call takes. The socket does not show the rest.
        // SAFETY: the connection is live.
        let is_read = unsafe {
            (self.libpq.consume_input)(self.conn) == 1
                && ((self.libpq.ssl_in_use)(self.conn) == 0 || (self.libpq.consume_input)(self.conn) == 1)
        };
        // After a failure, the results that have arrived are still there, with the server's last words.
        match self.is_busy() {
            false => Ok(true),
            true if is_read => Ok(false),
            true => Err(self.lost()),
        }
    }
}
