//! Reads: a statement each, and the rows that it returns.

use super::call::Call;
use super::connection::{Connection, Statement};
use super::failure::Failure;
use super::sql;
use super::wire::{Param, Rows, byte_strings};
use crate::backend::{Entries, Listed, PAGE_BYTES, Projection, Range, Scan, ScanPage, copy, copy_text, push};
use crate::error::{Code, Error};
use crate::types::{Entry, NamespaceStats};
use crate::version::Version;

pub(super) fn get(
    connection: &mut Connection,
    call: &mut Call,
    (namespace, key): (&str, &str),
    projection: Projection,
    now: Option<i64>,
    entry: &mut Entry,
) -> Result<bool, Failure> {
    let [sql, sql_at] = match projection {
        Projection::Nothing => sql::HAS,
        Projection::Value => sql::GET_VALUE,
        Projection::Entry => sql::GET,
    };
    let params = [namespace, key].map(|name| Param::Bytes(name.as_bytes()));
    let statement = match now {
        None => Statement::kept(sql, params),
        Some(now) => {
            let [namespace, key] = params;
            Statement::kept(sql_at, [namespace, key, Param::number(now)])
        }
    };
    let rows = connection.ask(call, statement)?;
    if rows.len() == 0 {
        return Ok(false);
    }
    match projection {
        Projection::Nothing => {}
        Projection::Value => copy(rows.bytes(0, 0).unwrap_or_default(), entry.value.get_or_insert_default())?,
        Projection::Entry => read_entry(&rows, 0, 0, entry)?,
    }
    Ok(true)
}

/// Reads expiration, version, metadata and value from these columns on: everything except the key.
pub(super) fn read_entry(rows: &Rows, row: usize, column: usize, entry: &mut Entry) -> Result<(), Failure> {
    entry.expiration = rows.number(row, column)?;
    entry.version = rows.version(row, column + 1)?;
    entry.metadata = rows.text(row, column + 2)?.map(copy_text).transpose()?;
    copy(rows.bytes(row, column + 3).unwrap_or_default(), entry.value.get_or_insert_default())?;
    Ok(())
}

pub(super) fn get_many(
    connection: &mut Connection,
    call: &mut Call,
    namespace: &str,
    keys: &[&str],
    now: Option<i64>,
) -> Result<Vec<Entry>, Failure> {
    let all = byte_strings(keys.iter().map(|key| key.as_bytes()))?;
    let params = [Param::Bytes(namespace.as_bytes()), all, Param::number(now)];
    let rows = connection.ask(call, Statement::kept(sql::GET_MANY, params))?;
    let mut found = Vec::new();
    for row in 0..rows.len() {
        let mut entry = Entry { key: copy_text(name(&rows, row, 0)?)?, ..Entry::default() };
        read_entry(&rows, row, 1, &mut entry)?;
        push(&mut found, entry)?;
    }
    Ok(found)
}

/// Reads a page of a range; with values, of at most `bytes` of them, and one value.
fn page(
    connection: &mut Connection,
    call: &mut Call,
    range: Range<'_>,
    scan: Scan,
    now: Option<i64>,
    bytes: usize,
) -> Result<(Rows, bool), Failure> {
    let sql = sql::list(range.below.is_some(), scan.reverse, scan.values);
    // One more than asked for shows whether live keys are left.
    let limit = scan.limit as i64 + 1;
    let mut params =
        vec![Param::Bytes(range.namespace.as_bytes()), Param::Bytes(range.from.as_bytes()), Param::number(now)];
    params.push(Param::number(limit));
    params.extend(range.below.map(|below| Param::Bytes(below.as_bytes())));
    if scan.values {
        params.push(Param::number(bytes as i64));
    }
    let rows = connection.ask(call, Statement::new(&sql, params))?;
    let found = match scan.values && rows.len() > 0 {
        true => rows.count(0, 5)? as usize,
        false => rows.len(),
    };
    let more = found > scan.limit || found > rows.len();
    Ok((rows, more))
}

fn listed(rows: &Rows, row: usize, values: bool) -> Result<Listed<'_>, Failure> {
    Ok(Listed {
        key: name(rows, row, 0)?,
        expiration: rows.number(row, 1)?,
        version: rows.version(row, 2)?,
        metadata: rows.text(row, 3)?,
        value: if values { Some(rows.bytes(row, 4).unwrap_or_default()) } else { None },
    })
}

pub(super) fn list(
    connection: &mut Connection,
    call: &mut Call,
    range: Range<'_>,
    scan: Scan,
    now: Option<i64>,
    entries: &mut dyn Entries,
) -> Result<ScanPage, Failure> {
    let (rows, more) = page(connection, call, range, scan, now, PAGE_BYTES)?;
    for row in 0..rows.len().min(scan.limit) {
        entries.add(listed(&rows, row, scan.values)?)?;
    }
    Ok(ScanPage { more, ..ScanPage::default() })
}

/// Passes all entries of a namespace to `each`, in portions, within a transaction that sees one moment.
pub(super) fn scan(
    connection: &mut Connection,
    call: &mut Call,
    namespace: &str,
    now: Option<i64>,
    each: &mut dyn FnMut(&mut Call, &Entry) -> Result<(), Failure>,
) -> Result<(), Failure> {
    /// Rows and bytes of a portion.
    const ROWS: usize = 1000;
    const BYTES: usize = 1024 * 1024;
    let now = begin_snapshot(connection, call, now)?;
    let scan = Scan { reverse: false, values: true, limit: ROWS };
    let mut from = String::new();
    loop {
        call.restart();
        let range = Range { namespace, from: &from, below: None };
        let (rows, more) = page(connection, call, range, scan, now, BYTES)?;
        for row in 0..rows.len().min(ROWS) {
            let mut entry = Entry { key: copy_text(name(&rows, row, 0)?)?, ..Entry::default() };
            read_entry(&rows, row, 1, &mut entry)?;
            each(call, &entry)?;
            if row + 1 == rows.len().min(ROWS) {
                from = entry.key + "\0"; // the very next key after it
            }
        }
        if !more {
            return connection.ask(call, Statement::new(sql::COMMIT, [])).map(drop);
        }
    }
}

/// What a range has: live rows and all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub live: u64,
    pub all: u64,
}

/// Counts some rows of a range. Returns also the key of the last of them, if there may be more.
fn count_some(
    connection: &mut Connection,
    call: &mut Call,
    range: Range<'_>,
    now: Option<i64>,
) -> Result<(Count, Option<String>), Failure> {
    /// So many that the server does not take long.
    const ROWS: i64 = 100_000;
    let sql = sql::count(range.below.is_some());
    let mut params =
        vec![Param::Bytes(range.namespace.as_bytes()), Param::Bytes(range.from.as_bytes()), Param::number(now)];
    params.push(Param::number(ROWS));
    params.extend(range.below.map(|below| Param::Bytes(below.as_bytes())));
    let rows = connection.ask(call, Statement::new(&sql, params))?;
    let last = match rows.bytes(0, 2) {
        Some(_) => Some(copy_text(name(&rows, 0, 2)?)?),
        None => None,
    };
    Ok((Count { live: rows.count(0, 0)?, all: rows.count(0, 1)? }, last))
}

/// Counts the live rows of a range, unless they are many.
pub(super) fn count(
    connection: &mut Connection,
    call: &mut Call,
    range: Range<'_>,
    now: Option<i64>,
) -> Result<Option<u64>, Failure> {
    let (count, last) = count_some(connection, call, range, now)?;
    Ok(last.is_none().then_some(count.live))
}

/// Begins a transaction that sees one moment, and returns its time.
pub(super) fn begin_snapshot(
    connection: &mut Connection,
    call: &mut Call,
    now: Option<i64>,
) -> Result<Option<i64>, Failure> {
    let begun = [Statement::new(sql::BEGIN_SNAPSHOT, []), Statement::new(sql::NOW, [Param::number(now)])];
    let answers = connection.fly(call, &begun)?;
    Ok(answers.last().map(|rows| rows.number(0, 0)).transpose()?.flatten())
}

/// Counts the rows of a range of any size, in portions, within such a transaction.
pub(super) fn count_all(
    connection: &mut Connection,
    call: &mut Call,
    range: Range<'_>,
    now: Option<i64>,
) -> Result<Count, Failure> {
    let (mut all, mut from) = (Count::default(), range.from.to_owned());
    loop {
        call.restart();
        let (count, last) = count_some(connection, call, Range { from: &from, ..range }, now)?;
        all = Count { live: all.live + count.live, all: all.all + count.all };
        match last {
            Some(last) => from = last + "\0", // the very next key after it
            None => return Ok(all),
        }
    }
}

pub(super) fn namespaces(
    connection: &mut Connection,
    call: &mut Call,
    now: Option<i64>,
) -> Result<Vec<String>, Failure> {
    let rows = connection.ask(call, Statement::new(sql::NAMESPACES, [Param::number(now)]))?;
    let mut names = Vec::new();
    for row in 0..rows.len() {
        push(&mut names, copy_text(name(&rows, row, 0)?)?)?;
    }
    Ok(names)
}

pub(super) fn stats(
    connection: &mut Connection,
    call: &mut Call,
    now: Option<i64>,
) -> Result<Vec<NamespaceStats>, Failure> {
    let now = begin_snapshot(connection, call, now)?;
    let names = connection.ask(call, Statement::new(sql::ALL_NAMESPACES, []))?;
    let mut stats = Vec::new();
    for row in 0..names.len() {
        let name = copy_text(name(&names, row, 0)?)?;
        let count = count_all(connection, call, Range { namespace: &name, from: "", below: None }, now)?;
        push(&mut stats, NamespaceStats { name, live: count.live, expired: count.all - count.live })?;
    }
    Ok(stats)
}

/// A namespace or a key.
pub(super) fn name(rows: &Rows, row: usize, column: usize) -> Result<&str, Failure> {
    std::str::from_utf8(rows.bytes(row, column).unwrap_or_default()).map_err(|_| {
        Error::new(Code::Corrupt, "a namespace or a key is not UTF-8, so another program has stored it").into()
    })
}

/// What the ledger, or a write of one operation, answers.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Whether something was changed.
    pub changed: bool,
    pub number: Option<i64>,
    pub entry: Option<Box<Entry>>,
    /// Whether nothing was changed because the statement has waited for too long.
    pub is_late: bool,
}

impl Done {
    pub fn of(rows: &Rows) -> Result<Option<Done>, Failure> {
        if rows.len() == 0 {
            return Ok(None);
        }
        let mut done = Done { changed: rows.is(0, 0), number: rows.number(0, 1)?, entry: None, is_late: rows.is(0, 6) };
        if rows.bytes(0, 3).is_some_and(|version| version.len() == size_of::<Version>()) {
            read_entry(rows, 0, 2, done.entry.insert(Box::default()))?;
        }
        Ok(Some(done))
    }
}
