//! Statements that lock, store and remove several rows.

use super::attempt::Attempt;
use super::call::Call;
use super::connection::Statement;
use super::failure::Failure;
use super::sql;
use super::wire::{Param, bools, byte_strings, numbers, texts};
use crate::backend::{Content, Expires, Op};

/// What a statement may hold: more rows go into several.
const STATEMENT_ROWS: usize = 10_000;
const STATEMENT_BYTES: usize = 4 * 1024 * 1024;

/// A row to store.
pub(super) struct Row<'a> {
    pub namespace: &'a str,
    pub key: &'a str,
    /// Seconds from now, or a time.
    pub ttl: Option<i64>,
    pub at: Option<i64>,
    pub metadata: Option<&'a str>,
    pub value: &'a [u8],
}

impl<'a> Row<'a> {
    pub fn of(op: &Op<'a>, content: Content<'a>) -> Self {
        let Content { value, metadata, expires } = content;
        let (ttl, at) = split(expires);
        Row { namespace: op.namespace, key: op.key, ttl, at, metadata, value }
    }
}

pub(super) fn note_params<'a>(attempt: &'a Attempt, number: Option<i64>) -> Vec<Param<'a>> {
    let mut params = Vec::from(attempt.token());
    params.push(Param::number(number));
    params
}

/// The statement that limits how long the transaction waits.
pub(super) fn timeouts(call: &Call) -> Statement<'static> {
    let times = [call.lock_timeout(), call.statement_timeout()];
    Statement::kept(sql::SET_TIMEOUTS, times.map(|time| Param::text(time.into_bytes())))
}

/// The statement that locks keys, whether they have rows or not.
pub(super) fn lock<'s>(keys: &[(&str, &str)], attempt: &'s Attempt) -> Result<Statement<'s>, Failure> {
    let [namespaces, names] = names(keys)?;
    Ok(Statement::kept(sql::LOCK, [namespaces, names, Param::Bytes(attempt.version.as_bytes())]))
}

/// The statement that reads their rows, with the values of some.
pub(super) fn locked(keys: &[(&str, &str)], are_read: &[bool]) -> Result<Statement<'static>, Failure> {
    let [namespaces, names] = names(keys)?;
    Ok(Statement::kept(sql::LOCKED, [namespaces, names, bools(are_read)?]))
}

fn names(keys: &[(&str, &str)]) -> Result<[Param<'static>; 2], Failure> {
    let namespaces = byte_strings(keys.iter().map(|(namespace, _)| namespace.as_bytes()))?;
    Ok([namespaces, byte_strings(keys.iter().map(|(_, key)| key.as_bytes()))?])
}

/// The statements that store rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Store {
    /// In place of what the keys hold.
    Put,
    /// Where the keys have no live entry.
    Add,
}

/// Adds the statements that store rows, which are in the order of their keys. Times that are less than `least` seconds
/// from now fail the transaction.
pub(super) fn put_all<'s>(
    statements: &mut Vec<Statement<'s>>,
    mut rows: &[Row<'s>],
    attempt: &'s Attempt,
    store: Store,
    least: Option<i64>,
) -> Result<(), Failure> {
    while let [first, rest @ ..] = rows {
        if is_large(first.value) {
            put_parts(statements, first, attempt, store, least);
            rows = rest;
            continue;
        }
        let (mut count, mut bytes) = (0, 0);
        for row in rows.iter().take(STATEMENT_ROWS) {
            bytes += row.value.len();
            if is_large(row.value) || (count > 0 && bytes > STATEMENT_BYTES) {
                break;
            }
            count += 1;
        }
        let (some, rest) = rows.split_at(count);
        rows = rest;
        let keys: Vec<_> = some.iter().map(|row| (row.namespace, row.key)).collect();
        let [namespaces, names] = names(&keys)?;
        let ttls: Vec<_> = some.iter().map(|row| row.ttl).collect();
        let ats: Vec<_> = some.iter().map(|row| row.at).collect();
        let params = [
            namespaces,
            names,
            numbers(&ttls)?,
            numbers(&ats)?,
            texts(some.iter().map(|row| row.metadata))?,
            byte_strings(some.iter().map(|row| row.value))?,
            Param::Bytes(attempt.version.as_bytes()),
            Param::number(attempt.now),
            Param::number(least),
        ];
        let sql = if store == Store::Put { sql::PUT_ALL } else { &sql::ADD_ALL };
        statements.push(Statement::kept(sql, params));
    }
    Ok(())
}

/// Whether a value is sent in parts. libpq moves what it has not sent to the front of its buffer whenever it has sent
/// some, so the time for one message grows with the square of its length.
pub(super) fn is_large(value: &[u8]) -> bool {
    value.len() > STATEMENT_BYTES
}

fn put_parts<'s>(
    statements: &mut Vec<Statement<'s>>,
    row: &Row<'s>,
    attempt: &'s Attempt,
    store: Store,
    least: Option<i64>,
) {
    const PART: usize = 2 * 1024 * 1024;
    let mut count = 0;
    for part in row.value.chunks(PART) {
        count += 1;
        let name = format!("luat_kv.part{count}").into_bytes();
        statements.push(Statement::new(sql::KEEP_PART, [Param::text(name), Param::Bytes(part)]));
    }
    let [namespace, key] = [row.namespace, row.key].map(|name| Param::Bytes(name.as_bytes()));
    let (version, now) = (Param::Bytes(attempt.version.as_bytes()), Param::number(attempt.now));
    let [ttl, at, count, least] = [row.ttl, row.at, Some(count), least].map(Param::number);
    let sql = if store == Store::Put { sql::PUT_PARTS } else { &sql::ADD_PARTS };
    statements
        .push(Statement::new(sql, [namespace, key, ttl, at, Param::Text(row.metadata), count, version, now, least]));
}

pub(super) fn delete_all(statements: &mut Vec<Statement<'_>>, keys: &[(&str, &str)]) -> Result<(), Failure> {
    if !keys.is_empty() {
        statements.push(Statement::kept(sql::DELETE_ALL, names(keys)?));
    }
    Ok(())
}

/// Seconds from now, or a time.
pub(super) fn split(expires: Expires) -> (Option<i64>, Option<i64>) {
    match expires {
        Expires::Never => (None, None),
        Expires::At(at) => (None, Some(at)),
        Expires::After(ttl) => (Some(ttl), None),
    }
}
