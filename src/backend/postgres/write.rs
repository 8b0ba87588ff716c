//! Writes.
//!
//! | write | how |
//! | --- | --- |
//! | one operation | one statement, in one round trip |
//! | several puts, deletes and increments | one transaction, in one round trip |
//! | anything else | a transaction that locks and reads the rows, and one that stores what became of them |
//!
//! The last of these applies the operations by [`Write::apply`], as every back end does, to the rows that it has
//! locked. The first two are shorter ways to the same result. Where the short way finds something unusual, such as a
//! value that is not a number, it changes nothing, and the long way finds the error.
//!
//! **The ledger.** When a connection breaks, the server may have made the write whose answer is missing. So each
//! transaction also notes its write and its answer in `kv_done`, in the row of its client. A write whose answer is
//! missing is sent again: if it was made, the ledger refuses it, and has its answer. `docs/design.md` has the argument.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use super::attempt::Attempt;
use super::call::Call;
use super::connection::{Connection, Statement};
use super::failure::{Failure, Kind};
use super::read::{Done, name};
use super::rows::{Row, Store, delete_all, is_large, lock, note_params, put_all, split, timeouts};
use super::session::Session;
use super::sql;
use super::transaction::{in_transaction, roll_back};
use super::wire::{Param, Rows};
use crate::backend::{Action, Content, Expires, Op, Outcome, Range, Removed, Step, Write, copy_text};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};

/// Carries out a write in the shortest way.
pub(super) fn write(
    session: &mut Session,
    call: &mut Call,
    write: &mut Write<'_, '_>,
    attempt: &Attempt,
) -> Result<Outcome, Failure> {
    let short = match &*write.ops {
        [Op { action: Action::Put(content), .. }] if is_large(content.value) => at_once(session, call, write, attempt),
        [Op { action: Action::Add(content), .. }] if is_large(content.value) => Err(Failure::general()),
        [_] => alone(session, call, write, attempt),
        ops if ops.iter().all(is_simple) => at_once(session, call, write, attempt),
        _ => Err(Failure::general()),
    };
    let done = match short {
        Err(failure) if failure.kind == Kind::General => in_transaction(session, call, write, attempt),
        done => done,
    };
    match done {
        Err(failure) if failure.kind == Kind::Done => {
            roll_back(session, call);
            let answer = Statement::new(sql::ANSWER, attempt.token());
            let answer = Done::of(&session.connection()?.ask(call, answer)?)?;
            // The ledger refuses also what is late.
            let answer = answer.ok_or_else(late)?;
            if let [op] = &mut *write.ops {
                note_answer(op, answer);
            }
            Ok(Outcome::Done(attempt.version))
        }
        done => done,
    }
}

/// The statement got the rows in another second than it began in.
fn late() -> Failure {
    Failure::new(Kind::Again, Error::new(Code::Busy, "the write waited for a lock"))
}

/// A write of one operation, as one statement.
fn alone(
    session: &mut Session,
    call: &mut Call,
    write: &mut Write<'_, '_>,
    attempt: &Attempt,
) -> Result<Outcome, Failure> {
    let (limits, clock) = (write.limits, write.clock);
    let [op] = &mut *write.ops else { return Err(Failure::general()) };
    if let Action::Put(content @ Content { expires: Expires::Never, .. }) = op.action {
        return put_without_expiration(session, call, op, content, attempt, clock);
    }
    let (namespace, key) = (op.namespace.as_bytes(), op.key.as_bytes());
    let lock_timeout = call.lock_timeout();
    let mut params =
        vec![Param::Bytes(namespace), Param::Bytes(key), Param::number(attempt.now), Param::Text(Some(&lock_timeout))];
    params.extend(attempt.token());
    // Another attempt notes also that it has changed nothing. Otherwise the first one could still change something, if
    // it is delayed at the server.
    params.push(Param::bool(attempt.repeated && !may_be_unusual(op)));
    let version = Param::Bytes(attempt.version.as_bytes());
    let initial;
    let (sql, expires) = match &op.action {
        Action::Put(content) => (&sql::PUT, Some(content.expires)),
        Action::Add(content) => (&sql::ADD, Some(content.expires)),
        Action::Touch(expires) => (&sql::TOUCH, Some(*expires)),
        Action::Incr { expires, .. } => (&sql::INCR, Some(*expires)),
        Action::Delete => (&sql::DELETE, None),
        Action::Take => (&sql::TAKE, None),
        Action::Check(_) => return Err(Failure::general()),
    };
    if let Some(expires) = expires {
        limits.expires(expires, clock)?; // in the words of the limits
        let (ttl, at) = split(expires);
        params.extend([Param::number(ttl), Param::number(at), Param::number(limits.ttl()), version]);
    }
    match &op.action {
        Action::Put(content) | Action::Add(content) => {
            params.extend([Param::Text(content.metadata), Param::Bytes(content.value)]);
        }
        Action::Incr { by, initial: start, .. } => {
            initial = start.checked_add(*by).ok_or_else(Failure::general)?;
            params.extend([Param::number(*by), Param::number(initial)]);
        }
        _ => {}
    }
    let expiries = u64::from(expires.is_some_and(|expires| !matches!(expires, Expires::Never)));
    let rows = with_sweep(session, call, clock, expiries, &[Statement::kept(sql, params)])?;
    let done = rows.last().map(Done::of).transpose()?.flatten().unwrap_or_default();
    if !done.changed && done.is_late {
        return Err(late());
    }
    if !done.changed && may_be_unusual(op) {
        return Err(Failure::general());
    }
    note_answer(op, done);
    Ok(Outcome::Done(attempt.version))
}

/// A put without an expiration.
fn put_without_expiration(
    session: &mut Session,
    call: &mut Call,
    op: &Op<'_>,
    content: Content<'_>,
    attempt: &Attempt,
    clock: &Clock,
) -> Result<Outcome, Failure> {
    let lock_timeout = call.lock_timeout();
    let [namespace, key] = [op.namespace, op.key].map(|name| Param::Bytes(name.as_bytes()));
    let [client, count] = attempt.token();
    let [version, value] = [attempt.version.as_bytes(), content.value].map(Param::Bytes);
    let timeout = Param::Text(Some(&lock_timeout));
    let params = [namespace, key, timeout, client, count, version, Param::Text(content.metadata), value];
    let rows = with_sweep(session, call, clock, 0, &[Statement::kept(&sql::PUT_WITHOUT_EXPIRATION, params)])?;
    // A trigger of another program may have left the row out.
    let is_done = rows.last().is_some_and(|rows| rows.changed() == 1);
    if is_done { Ok(Outcome::Done(attempt.version)) } else { Err(Failure::general()) }
}

/// Whether it can be an error to have changed nothing: because of a value that is not a number, or a lifetime that is
/// over by the clock of the server.
fn may_be_unusual(op: &Op<'_>) -> bool {
    match op.action {
        Action::Put(_) | Action::Incr { .. } => true,
        Action::Add(Content { expires, .. }) | Action::Touch(expires) => matches!(expires, Expires::At(_)),
        _ => false,
    }
}

fn note_answer(op: &mut Op<'_>, done: Done) {
    let answer = &mut op.answer;
    match op.action {
        Action::Put(_) | Action::Check(_) => {}
        Action::Add(_) => answer.found = !done.changed,
        Action::Touch(_) => answer.found = done.changed,
        Action::Delete => answer.found = done.number == Some(1),
        Action::Take => (answer.found, answer.entry) = (done.entry.is_some(), done.entry),
        Action::Incr { .. } => answer.sum = done.number.unwrap_or_default(),
    }
}

/// Sends a transaction, and with it, once in a second, one that removes some of the expired rows.
fn with_sweep(
    session: &mut Session,
    call: &mut Call,
    clock: &Clock,
    expiries: u64,
    statements: &[Statement<'_>],
) -> Result<Vec<Rows>, Failure> {
    let now = clock.now();
    if !session.sweeping.is_due(now, expiries) {
        session.sweeping.put_off(expiries);
        return session.connection()?.fly(call, statements);
    }
    let quota = session.sweeping.quota(now, expiries);
    let by_hand = Param::number(clock.by_hand());
    let sweep = [Statement::new(sql::SWEEP, [Param::number(quota as i64), by_hand])];
    let forget = [Statement::new(sql::FORGET_CLIENTS, [])];
    let mut groups = vec![statements, &sweep];
    // The clients of an hour are few rows, so it is enough to look at them once a minute.
    if session.sweeping.last_look().is_none_or(|last| last.div_euclid(60) != now.div_euclid(60)) {
        groups.push(&forget);
    }
    let mut results = session.connection()?.fly_in_groups(call, &groups)?.into_iter();
    let done = results.next().unwrap_or_else(|| Ok(Vec::new()));
    // A sweep that fails has changed nothing, and the next one tries again.
    let swept = results.next().and_then(|swept| swept.ok()?.first().map(Rows::changed));
    session.sweeping.done(now, swept == Some(quota));
    done
}

/// Whether an operation does not depend on what others have stored, or only in SQL.
fn is_simple(op: &Op<'_>) -> bool {
    match op.action {
        Action::Put(_) | Action::Delete => true,
        Action::Incr { by, initial, expires } => {
            initial.checked_add(by).is_some() && !matches!(expires, Expires::At(_))
        }
        _ => false,
    }
}

/// Several operations without checks. Of puts and deletes, the last one of each key counts. A key with an increment
/// gets each of its operations in their order.
fn at_once(
    session: &mut Session,
    call: &mut Call,
    write: &mut Write<'_, '_>,
    attempt: &Attempt,
) -> Result<Outcome, Failure> {
    let is_incr = |op: &&Op<'_>| matches!(op.action, Action::Incr { .. });
    let counted: BTreeSet<_> = write.ops.iter().filter(is_incr).map(|op| (op.namespace, op.key)).collect();
    let least = Some(write.limits.ttl());
    let mut statements = vec![timeouts(call), Statement::kept(&sql::NOTE, note_params(attempt, None))];
    if write.ops.iter().any(|op| !matches!(op.action, Action::Put(Content { expires: Expires::Never, .. }))) {
        // Locked in the order of the keys, as every transaction does that locks several, and before lifetimes begin.
        let all: BTreeSet<_> = write.ops.iter().map(|op| (op.namespace, op.key)).collect();
        let all: Vec<_> = all.into_iter().collect();
        statements.push(lock(&all, attempt)?);
    }
    let (mut last, mut expiries) = (BTreeMap::<(&str, &str), Option<Row<'_>>>::new(), 0);
    for op in &*write.ops {
        let key = (op.namespace, op.key);
        let expires = expires_of(op);
        write.limits.expires(expires, write.clock)?;
        expiries += u64::from(!matches!(expires, Expires::Never));
        let row = match op.action {
            Action::Put(content) => Some(Row::of(op, content)),
            _ => None,
        };
        match (op.action, row) {
            (Action::Incr { by, initial, .. }, _) => {
                let version = Param::Bytes(attempt.version.as_bytes());
                let [ttl, sum] = [split(expires).0, Some(initial.saturating_add(by))].map(Param::number);
                let (now, by) = (Param::number(attempt.now), Param::number(by));
                let [namespace, name] = [op.namespace, op.key].map(|name| Param::Bytes(name.as_bytes()));
                statements.push(Statement::kept(&sql::INCR_LOCKED, [namespace, name, now, ttl, version, by, sum]));
            }
            (_, Some(row)) if counted.contains(&key) => put_all(&mut statements, &[row], attempt, Store::Put, least)?,
            (_, None) if counted.contains(&key) => delete_all(&mut statements, &[key])?,
            (_, row) => _ = last.insert(key, row),
        }
    }
    let deletes: Vec<_> = last.iter().filter(|(_, row)| row.is_none()).map(|(key, _)| *key).collect();
    let puts: Vec<_> = last.into_values().flatten().collect();
    put_all(&mut statements, &puts, attempt, Store::Put, least)?;
    delete_all(&mut statements, &deletes)?;
    with_sweep(session, call, write.clock, expiries, &statements)?;
    if let Some(progress) = write.progress {
        progress.store(write.ops.len() as u64, Ordering::Relaxed);
    }
    Ok(Outcome::Done(attempt.version))
}

fn expires_of(op: &Op<'_>) -> Expires {
    match op.action {
        Action::Put(Content { expires, .. }) | Action::Add(Content { expires, .. }) => expires,
        Action::Touch(expires) | Action::Incr { expires, .. } => expires,
        Action::Check(_) | Action::Delete | Action::Take => Expires::Never,
    }
}

/// One step of a long removal.
pub(super) fn remove(
    connection: &mut Connection,
    call: &mut Call,
    range: Range<'_>,
    step: Step,
    attempt: &Attempt,
) -> Result<Removed, Failure> {
    let (sql, lock_timeout) = (sql::remove(range.below.is_some()), call.lock_timeout());
    let mut params = vec![Param::Bytes(range.namespace.as_bytes()), Param::Bytes(range.from.as_bytes())];
    params.extend([Param::number(attempt.now), Param::Text(Some(&lock_timeout))]);
    params.extend(attempt.token());
    params.push(Param::bool(attempt.repeated));
    params.extend([Param::number(step.rows as i64), Param::number(step.bytes as i64)]);
    params.extend(range.below.map(|below| Param::Bytes(below.as_bytes())));
    let rows = ask(connection, call, Statement::new(&sql, params), attempt)?;
    let live = rows.count(0, 1)?;
    let last =
        rows.bytes(0, 5).is_some().then(|| name(&rows, 0, 5).and_then(|last| Ok(copy_text(last)?))).transpose()?;
    Ok(Removed { rows: live, live, last })
}

/// Removes expired rows, and returns how many.
pub(super) fn sweep(connection: &mut Connection, call: &mut Call, max: u64, attempt: &Attempt) -> Result<u64, Failure> {
    let lock_timeout = call.lock_timeout();
    let [client, count] = attempt.token();
    let params = [
        Param::number(i64::try_from(max).unwrap_or(i64::MAX)),
        Param::number(attempt.now),
        Param::Text(Some(&lock_timeout)),
        client,
        count,
        Param::bool(attempt.repeated),
    ];
    let sql = if attempt.repeated { &sql::SWEEP_REPEATED } else { &sql::SWEEP_ASKED_FOR };
    ask(connection, call, Statement::new(sql, params), attempt)?.count(0, 1)
}

/// Carries out a statement that is a write, or returns its answer if it was made already.
fn ask(
    connection: &mut Connection,
    call: &mut Call,
    statement: Statement<'_>,
    attempt: &Attempt,
) -> Result<Rows, Failure> {
    match connection.ask(call, statement) {
        Err(failure) if failure.kind == Kind::Done => {
            connection.ask(call, Statement::new(sql::ANSWER, attempt.token()))
        }
        rows => rows,
    }
}
