//! A write that is carried out: its name in the ledger, and what the server can store.

use super::wire::Param;
use crate::error::{Code, Error, Result, quoted};
use crate::version::Version;

/// How long a namespace and a key are together, at most. A row of an index has 2704 bytes.
const NAMES: usize = 2600;

/// How long a value is, at most: `pg_dump` writes two characters for each byte, and cannot write more than 1 GB.
const VALUE: usize = 256 * 1024 * 1024;

/// A write that is carried out, perhaps several times.
#[derive(Clone, Copy)]
pub(super) struct Attempt {
    pub version: Version,
    /// The time, if it is set by hand.
    pub now: Option<i64>,
    /// Whether the answer of an earlier attempt was lost.
    pub repeated: bool,
}

impl Attempt {
    /// The client, and the number of its write.
    pub fn token(&self) -> [Param<'_>; 2] {
        let (client, count) = self.version.as_bytes().split_at(8);
        let count = count.iter().fold(0, |count, byte| count << 8 | i64::from(*byte));
        [Param::Bytes(client), Param::number(count)]
    }
}

/// Refuses what the server cannot store.
pub(super) fn check(namespace: &str, key: &str, value: &[u8]) -> Result<()> {
    let names = namespace.len() + key.len();
    if names > NAMES {
        let message = format!(
            "the namespace and the key {} are {names} bytes long together; the limit on PostgreSQL is {NAMES}",
            quoted(key)
        );
        return Err(Error::new(Code::Limit, message));
    }
    if value.len() > VALUE {
        let message = format!("the value is {} bytes long; the limit on PostgreSQL is {VALUE}", value.len());
        return Err(Error::new(Code::Limit, message));
    }
    Ok(())
}
