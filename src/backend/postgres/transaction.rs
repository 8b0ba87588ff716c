//! A transaction that locks and reads rows, and stores what becomes of them.

use std::collections::BTreeMap;

use super::attempt::Attempt;
use super::call::Call;
use super::connection::{Connection, Statement};
use super::failure::{Failure, Kind};
use super::overlay::Overlay;
use super::rows::{self, Store, delete_all, lock, note_params, put_all, timeouts};
use super::session::Session;
use super::sql;
use super::wire::Param;
use crate::backend::{Action, Content, Expires, Op, Outcome, Transaction, Write};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::types::Limits;

/// Ends a transaction that is not committed. If that fails, the connection is not used again.
pub(super) fn roll_back(session: &mut Session, call: &mut Call) {
    if session.in_transaction {
        let ended = session.connection().and_then(|connection| connection.ask(call, Statement::new(sql::ROLLBACK, [])));
        match ended {
            Ok(_) => session.in_transaction = false,
            Err(_) => session.discard(),
        }
    }
}

/// Any write, in two round trips.
pub(super) fn in_transaction(
    session: &mut Session,
    call: &mut Call,
    write: &mut Write<'_, '_>,
    attempt: &Attempt,
) -> Result<Outcome, Failure> {
    session.in_transaction = true;
    let done = locked(session, call, write, attempt);
    match &done {
        Ok(Outcome::Done(_)) => session.in_transaction = false,
        Err(failure) if failure.kind == Kind::Lost => {}
        _ => roll_back(session, call),
    }
    done
}

fn locked(
    session: &mut Session,
    call: &mut Call,
    write: &mut Write<'_, '_>,
    attempt: &Attempt,
) -> Result<Outcome, Failure> {
    let mut keys = BTreeMap::<(&str, &str), bool>::new();
    for op in &*write.ops {
        let is_read = matches!(op.action, Action::Take | Action::Touch(_) | Action::Incr { .. });
        *keys.entry((op.namespace, op.key)).or_default() |= is_read;
    }
    let (keys, are_read): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
    let mut statements = vec![Statement::new(sql::BEGIN, []), timeouts(call)];
    statements.extend([lock(&keys, attempt)?, rows::locked(&keys, &are_read)?]);
    let [client, count] = attempt.token();
    statements.push(Statement::kept(sql::LOCKED_AT, [client, count, Param::number(attempt.now)]));
    let connection = session.connection()?;
    let answers = connection.fly(call, &statements)?;
    let [.., rows, times] = &answers[..] else { return Err(Failure::lost("the server sent too few answers")) };
    if times.is(0, 2) {
        return Err(Failure::new(Kind::Done, Error::new(Code::Internal, "the write was made")));
    }
    let (now, up) = (times.number(0, 0)?.unwrap_or_default(), times.number(0, 1)?.unwrap_or_default());
    let mut overlay = Overlay::new(&keys, now, attempt.version);
    for row in 0..rows.len() {
        overlay.read(rows, row)?;
    }
    if !apply_at(write, &mut overlay, up)? {
        return Ok(Outcome::Conflict);
    }
    let number = match &*write.ops {
        [Op { action: Action::Incr { .. }, answer, .. }] => Some(answer.sum),
        [Op { action: Action::Add(_), answer, .. }] => Some(i64::from(!answer.found)),
        [Op { action: Action::Touch(_), answer, .. }] => Some(i64::from(answer.found)),
        _ => None,
    };
    let mut statements = vec![Statement::kept(&sql::NOTE, note_params(attempt, number))];
    put_all(&mut statements, &overlay.puts(), attempt, Store::Put, None)?;
    delete_all(&mut statements, &overlay.deletes())?;
    statements.push(Statement::new(sql::COMMIT, []));
    connection.fly(call, &statements)?;
    Ok(Outcome::Done(attempt.version))
}

/// Applies a write to the rows with the time of the server, of which `up` is the next full second. Returns whether all
/// checks held.
fn apply_at(write: &mut Write<'_, '_>, overlay: &mut Overlay<'_>, up: i64) -> Result<bool> {
    let mut ops = Vec::new();
    for op in &*write.ops {
        ops.push(Op::new(op.namespace, op.key, action_at(op.action, up, write.limits)?));
    }
    let clock = Clock::manual(overlay.now());
    let held = Write { ops: &mut ops, limits: write.limits, clock: &clock, progress: write.progress }.apply(overlay)?;
    for (op, done) in write.ops.iter_mut().zip(ops) {
        op.answer = done.answer;
    }
    Ok(held)
}

/// The action with its lifetime as a time of the server.
fn action_at(action: Action<'_>, up: i64, limits: Limits) -> Result<Action<'_>> {
    let at = |expires| match expires {
        Expires::After(ttl) => limits.expiration_in(ttl, &Clock::manual(up)).map(Expires::At),
        expires => Ok(expires),
    };
    Ok(match action {
        Action::Put(content) => Action::Put(Content { expires: at(content.expires)?, ..content }),
        Action::Add(content) => Action::Add(Content { expires: at(content.expires)?, ..content }),
        Action::Touch(expires) => Action::Touch(at(expires)?),
        Action::Incr { by, initial, expires } => Action::Incr { by, initial, expires: at(expires)? },
        action => action,
    })
}

/// Begins a transaction of several flights, as an import is.
pub(super) fn begin(connection: &mut Connection, call: &mut Call, attempt: &Attempt) -> Result<i64, Failure> {
    let statements = [
        Statement::new(sql::BEGIN, []),
        timeouts(call),
        Statement::kept(&sql::NOTE, note_params(attempt, None)),
        Statement::new(sql::NOW, [Param::number(attempt.now)]),
    ];
    let answers = connection.fly(call, &statements)?;
    Ok(answers.last().map(|rows| rows.number(0, 0)).transpose()?.flatten().unwrap_or_default())
}
