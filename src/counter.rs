//! Counting: numbers that are kept as decimal text.

use crate::backend::{Put, Rows};
use crate::error::{Error, Result, quoted};
use crate::types::Entry;

/// What to add to a number, and what a missing one begins with.
#[derive(Clone, Copy)]
pub(crate) struct Increment {
    pub by: i64,
    pub initial: i64,
    pub expiration: Option<i64>,
}

/// Counts within a write, and answers the sum.
pub(crate) fn increment(rows: &mut dyn Rows, namespace: &str, key: &str, increment: Increment) -> Result<i64> {
    let mut entry = Entry::default();
    let before = match rows.get(namespace, key, &mut entry)? {
        true => whole(&entry.value)
            .ok_or_else(|| Error::invalid(format!("the value of {} is no whole number of 64 bits", quoted(key))))?,
        false => {
            entry = Entry { expiration: increment.expiration, ..Entry::default() };
            increment.initial
        }
    };
    let sum = before.checked_add(increment.by).ok_or_else(|| {
        Error::invalid(format!("{before} + {} is more than 64 bits hold; {} stays as it is", increment.by, quoted(key)))
    })?;
    let (metadata, expiration) = (entry.metadata.as_deref(), entry.expiration);
    rows.put(namespace, Put { key, value: sum.to_string().as_bytes(), metadata, expiration })?;
    Ok(sum)
}

/// A number in the one form in which it is put.
fn whole(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}
