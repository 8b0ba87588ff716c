//! What only a host in JavaScript asks for.

use super::maps::Row;
use super::slab::Id;
use super::{Memory, held};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::version::Version;

/// A row that a host reads.
pub(crate) struct Seen<'a> {
    row: &'a Row,
    /// The number of the row, for [`Memory::replace`].
    pub id: Id,
    pub has_expired: bool,
}

impl<'a> Seen<'a> {
    pub fn value(&self) -> &'a [u8] {
        &self.row.value
    }

    pub fn metadata(&self) -> Option<&'a str> {
        self.row.metadata.as_deref()
    }

    pub fn expiration(&self) -> Option<i64> {
        self.row.expiration()
    }

    pub fn version(&self) -> Version {
        self.row.version
    }
}

impl Memory {
    /// The word of [`changed`](Memory::changed), for the host.
    pub(crate) fn changed(&self) -> *mut u32 {
        self.changed.as_ptr()
    }

    /// Passes a row to `see`, without a copy of it. Returns `None` if there is no row. The time is read only if the row
    /// has an expiration.
    pub(crate) fn see<T>(
        &self,
        namespace: &str,
        key: &str,
        clock: &Clock,
        see: impl FnOnce(Seen<'_>) -> T,
    ) -> Result<Option<T>> {
        self.read(|maps| {
            let Some(id) = maps.find(namespace, key.as_bytes()) else { return Ok(None) };
            Ok(maps.get(id).map(|row| see(Seen { row, id, has_expired: row.has_expired(clock) })))
        })
    }

    /// Stores a value like a put without options, in a row that does not expire. The host knows that it has still the
    /// key that it had when it was [seen](Memory::see).
    pub(crate) fn replace(&self, id: Id, value: &[u8], clock: &Clock) -> Result<Version> {
        let version = self.change(clock, |change| {
            if change.maps.get(id).is_none_or(|row| row.expiration().is_some()) {
                return Ok(None);
            }
            change.replace_row(id, held(value, None, None, change.version)?)?;
            change.usage.check_unchanged().map(|()| Some(change.version))
        })?;
        version.ok_or_else(|| Error::invalid("there is no such row"))
    }
}
