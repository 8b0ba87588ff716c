//! What watches compare, and the question whether there is something to compare.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::Postgres;
use super::call::Call;
use super::connection::{Connection, Statement};
use super::failure::Failure;
use super::read;
use super::sql;
use super::wire::{Param, Rows, byte_strings};
use crate::backend::{Comparison, Listed, Moment, Stamp, Waiting, Watched, Watching, copy, push};
use crate::error::Result;
use crate::types::Entry;

impl Watching for Postgres {
    fn compare(&self, namespace: &str, watched: &Watched<'_>, comparison: &mut Comparison<'_>) -> Result<()> {
        let what = (namespace, watched);
        let is_complete = self.read(|connection, call| {
            let rows = show(connection, call, what, self.now(), comparison)?;
            read_short_values(&rows, comparison)
        })?;
        if is_complete {
            return Ok(());
        }
        self.in_snapshot(|connection, call| show_with_values(connection, call, what, self.now(), comparison))
    }

    fn origin(&self) -> u64 {
        2
    }

    fn moment(&self) -> Option<Moment> {
        self.polled.moment(|| self.read(state).ok())
    }
}

impl Waiting for Postgres {
    fn wait_for_change(&self, moment: Option<Moment>, time: Duration) {
        self.polled.wait(moment, time, || self.read(state).ok());
    }
}

/// Shows the live rows that are watched, all as of one moment, in one statement. Returns them.
fn show(
    connection: &mut Connection,
    call: &mut Call,
    (namespace, watched): (&str, &Watched<'_>),
    now: Option<i64>,
    comparison: &mut Comparison<'_>,
) -> Result<Rows, Failure> {
    comparison.restart();
    let name = Param::Bytes(namespace.as_bytes());
    let rows = match *watched {
        Watched::Keys(keys) => {
            let keys = byte_strings(keys.iter().map(|key| key.as_bytes()))?;
            connection.ask(call, Statement::kept(sql::WATCH_KEYS, [name, keys, Param::number(now)]))?
        }
        Watched::Range { from, below } => {
            let mut params = vec![name, Param::Bytes(from.as_bytes()), Param::number(now)];
            params.extend(below.map(|below| Param::Bytes(below.as_bytes())));
            connection.ask(call, Statement::new(&sql::watch(below.is_some()), params))?
        }
    };
    for row in 0..rows.len() {
        let (metadata, version) = (rows.text(row, 3)?, rows.version(row, 2)?);
        let (key, expiration) = (read::name(&rows, row, 0)?, rows.number(row, 1)?);
        let rest = (expiration, metadata, rows.number(row, 4)?, rows.bytes(row, 5));
        comparison.see(Listed { key, value: None, metadata, expiration, version }, Stamp::with(version, rest))?;
    }
    comparison.end_rows()?;
    if comparison.needs_time() {
        let now = connection.ask(call, Statement::new(sql::NOW, [Param::number(now)]))?.number(0, 0)?;
        now.into_iter().for_each(|now| comparison.at(now));
    }
    Ok(rows)
}

/// Reads the values from rows that were shown, which contain the short ones. Returns whether these are all that are wanted;
/// if not, none is read.
fn read_short_values(rows: &Rows, comparison: &mut Comparison<'_>) -> Result<bool, Failure> {
    let (mut values, mut all) = (Vec::new(), 0..rows.len());
    // Both are in the order of the keys.
    for key in comparison.wanted()? {
        let found = all.find(|row| rows.bytes(*row, 0) == Some(key.as_bytes()));
        let Some(value) = found.and_then(|row| rows.bytes(row, 5)) else { return Ok(false) };
        push(&mut values, value)?;
    }
    let mut values = values.into_iter();
    comparison.read_values(|_, value| copy(values.next().unwrap_or_default(), value))?;
    Ok(true)
}

/// The same in a transaction, which then reads the values.
fn show_with_values(
    connection: &mut Connection,
    call: &mut Call,
    (namespace, watched): (&str, &Watched<'_>),
    now: Option<i64>,
    comparison: &mut Comparison<'_>,
) -> Result<(), Failure> {
    /// So many values are read at once.
    const VALUES: usize = 50;
    let now = read::begin_snapshot(connection, call, now)?;
    show(connection, call, (namespace, watched), now, comparison)?;
    let wanted = comparison.wanted()?;
    let (mut chunks, mut entries) = (wanted.chunks(VALUES), Vec::<Entry>::new().into_iter());
    comparison.read_values(|_, value| -> Result<(), Failure> {
        // Both are in the order of the keys, and no row goes away within the transaction.
        if entries.as_slice().is_empty()
            && let Some(chunk) = chunks.next()
        {
            call.restart();
            let keys: Vec<&str> = chunk.iter().map(String::as_str).collect();
            entries = read::get_many(connection, call, namespace, &keys, now)?.into_iter();
        }
        *value = entries.next().map(Entry::into_value).unwrap_or_default();
        Ok(())
    })?;
    connection.ask(call, Statement::new(sql::COMMIT, [])).map(drop)
}

/// Asks for the state of the server, which each commit changes.
fn state(connection: &mut Connection, call: &mut Call) -> Result<u64, Failure> {
    let rows = connection.ask(call, Statement::kept(sql::STATE, []))?;
    let mut hasher = DefaultHasher::new();
    (rows.text(0, 0)?, rows.text(0, 1)?).hash(&mut hasher);
    Ok(hasher.finish().max(1))
}
