//! Writes: changes as data, and the meaning of each operation.
//!
//! Because a write is data, `store` can repeat it as a whole, and a back end could send it, merge it with others, or
//! tell which keys it changed. What an operation means is defined here once. A back end that has direct access to rows
//! applies the operations to its [`Transaction`].

use std::sync::atomic::{AtomicU64, Ordering};

use super::Put;
use crate::clock::Clock;
use crate::error::{Detail, Error, Result, quoted};
use crate::types::{Entry, Limits};
use crate::version::Version;

/// Operations that are carried out in their order, either all or none.
#[derive(Debug)]
pub(crate) struct Write<'w, 'o> {
    pub ops: &'w mut [Op<'o>],
    /// The limits and the clock of the store that writes. A lifetime starts when the back end has exclusive access to
    /// the rows.
    pub limits: Limits,
    pub clock: &'w Clock,
    /// How many operations are done, for another thread that looks meanwhile.
    pub progress: Option<&'w AtomicU64>,
}

/// An operation on one key.
#[derive(Debug)]
pub(crate) struct Op<'a> {
    pub namespace: &'a str,
    pub key: &'a str,
    pub action: Action<'a>,
    /// The result, once the write is done.
    pub answer: Answer,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Action<'a> {
    /// The whole write is dropped unless the key has this version, or, for `None`, is missing.
    Check(Option<Version>),
    /// Replaces everything that the key held.
    Put(Content<'a>),
    /// Like `Put`, if the key is missing.
    Add(Content<'a>),
    /// Gives an existing key another expiration.
    Touch(Expires),
    Delete,
    /// Removes the key and returns what it held.
    Take,
    /// Adds to the integer that the key holds as decimal text.
    Incr {
        by: i64,
        initial: i64,
        expires: Expires,
    },
}

/// What a key is to hold after the write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    pub value: &'a [u8],
    pub metadata: Option<&'a str>,
    pub expires: Expires,
}

/// When an entry expires.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expires {
    Never,
    /// Unix seconds, which must be in the future when the write happens.
    At(i64),
    /// Seconds from when the write happens.
    After(i64),
}

/// The result of an operation, which sets the fields that apply to it.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Whether there was a live entry.
    pub found: bool,
    /// The sum of an [`Action::Incr`].
    pub sum: i64,
    /// The entry of an [`Action::Take`].
    pub entry: Option<Box<Entry>>,
    /// The expiration of what a `Put` or an `Add` has stored, for a cache.
    #[cfg(feature = "sqlite")]
    pub stored: Option<Option<i64>>,
}

/// The result of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything that the write stored has this version.
    Done(Version),
    /// A check did not hold, and nothing was changed.
    Conflict,
}

/// The rows, while a write has exclusive access to them. It sees its own changes.
pub(crate) trait Transaction {
    /// Unix seconds, taken when the write got exclusive access. All its decisions use this time, however long it
    /// waited.
    fn now(&self) -> i64;
    /// As [`Backend::get`](super::Backend::get).
    fn get(&mut self, namespace: &str, key: &str, entry: &mut Entry) -> Result<bool>;
    /// Returns the version of a live entry.
    fn version(&mut self, namespace: &str, key: &str) -> Result<Option<Version>>;
    /// Replaces everything that the key held.
    fn put(&mut self, namespace: &str, put: Put<'_>) -> Result<()>;
    /// Stores an entry unless the key has a live one, and returns whether it did.
    fn add(&mut self, namespace: &str, put: Put<'_>) -> Result<bool> {
        if self.version(namespace, put.key)?.is_some() {
            return Ok(false);
        }
        self.put(namespace, put).map(|()| true)
    }
    /// Gives a live entry another expiration, and returns whether there was one.
    fn touch(&mut self, namespace: &str, key: &str, expiration: Option<i64>) -> Result<bool>;
    /// Removes the key, and returns whether it had a live entry.
    fn delete(&mut self, namespace: &str, key: &str) -> Result<bool>;
    /// The lifetime of the entry of an import that is stored next, for a back end that has a clock of its own.
    #[cfg(feature = "sqlite")]
    fn lasts(&mut self, _ttl: Option<i64>) {}
    /// Ends an import, whose entries may be sent in portions. Returns how many of those that [`add`](Self::add) has
    /// taken were not stored, since their keys had live entries.
    #[cfg(feature = "sqlite")]
    fn complete(&mut self) -> Result<u64> {
        Ok(0)
    }
}

impl Answer {
    #[inline(always)]
    fn note(&mut self, _stored: Option<Option<i64>>) {
        #[cfg(feature = "sqlite")]
        (self.stored = _stored);
    }
}

impl<'a> Op<'a> {
    pub fn new(namespace: &'a str, key: &'a str, action: Action<'a>) -> Self {
        Op { namespace, key, action, answer: Answer::default() }
    }
}

impl Expires {
    /// At a time, or after some seconds, which takes precedence.
    pub fn new(at: Option<i64>, after: Option<i64>) -> Self {
        match (at, after) {
            (_, Some(seconds)) => Expires::After(seconds),
            (Some(at), None) => Expires::At(at),
            (None, None) => Expires::Never,
        }
    }
}

impl Write<'_, '_> {
    /// Whether a [`Transaction`] carries out the write in one step.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
    pub fn is_one_step(&self) -> bool {
        use Action::{Delete, Put, Touch};
        matches!(self.ops, [Op { action: Put(_) | Touch(_) | Delete, .. }])
    }

    /// Carries out the write, and returns whether all checks held.
    pub fn apply(&mut self, rows: &mut dyn Transaction) -> Result<bool> {
        for (done, op) in (1..).zip(&mut *self.ops) {
            if !apply(op, rows, self.limits, self.clock)? {
                return Ok(false);
            }
            if let Some(progress) = self.progress {
                progress.store(done, Ordering::Relaxed);
            }
        }
        Ok(true)
    }
}

/// Returns whether to continue.
fn apply(op: &mut Op<'_>, rows: &mut dyn Transaction, limits: Limits, clock: &Clock) -> Result<bool> {
    let Op { namespace, key, action, answer } = op;
    let (namespace, key) = (*namespace, *key);
    let end = |expires| limits.expires(expires, clock);
    answer.note(None); // the write may be repeated
    match action {
        Action::Check(version) => return Ok(rows.version(namespace, key)? == *version),
        Action::Put(content) => answer.note(Some(put(rows, namespace, key, content, end(content.expires)?)?)),
        Action::Add(content) => {
            answer.found = rows.version(namespace, key)?.is_some();
            if !answer.found {
                answer.note(Some(put(rows, namespace, key, content, end(content.expires)?)?));
            }
        }
        Action::Touch(expires) => answer.found = rows.touch(namespace, key, end(*expires)?)?,
        Action::Delete => answer.found = rows.delete(namespace, key)?,
        Action::Take => {
            let entry = &mut **answer.entry.insert(Box::default());
            answer.found = rows.get(namespace, key, entry)?;
            if answer.found {
                rows.delete(namespace, key)?;
            } else {
                answer.entry = None;
            }
        }
        Action::Incr { by, initial, expires } => {
            let expiration = end(*expires)?;
            answer.sum = increment(rows, namespace, key, *by, *initial, expiration)?;
        }
    }
    Ok(true)
}

/// Returns the expiration.
fn put(
    rows: &mut dyn Transaction,
    namespace: &str,
    key: &str,
    &Content { value, metadata, .. }: &Content<'_>,
    expiration: Option<i64>,
) -> Result<Option<i64>> {
    rows.put(namespace, Put { key, value, metadata, expiration }).map(|()| expiration)
}

/// Returns the sum. An existing key keeps its expiration and metadata.
fn increment(
    rows: &mut dyn Transaction,
    namespace: &str,
    key: &str,
    by: i64,
    initial: i64,
    expiration: Option<i64>,
) -> Result<i64> {
    let mut entry = Entry::default();
    let before = match rows.get(namespace, key, &mut entry)? {
        true => whole(entry.value())
            .ok_or_else(|| not_integer(format!("the value of {} is no whole number of 64 bits", quoted(key))))?,
        false => {
            entry = Entry { expiration, ..Entry::default() };
            initial
        }
    };
    let sum = before.checked_add(by).ok_or_else(|| {
        not_integer(format!("{before} + {by} is more than 64 bits hold; {} stays as it is", quoted(key)))
    })?;
    let (metadata, expiration) = (entry.metadata.as_deref(), entry.expiration);
    rows.put(namespace, Put { key, value: sum.to_string().as_bytes(), metadata, expiration })?;
    Ok(sum)
}

fn not_integer(message: String) -> Error {
    Error::invalid(message).with_detail(Detail::NotInteger)
}

/// Parses a number in the one form in which it is stored.
fn whole(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}
