//! The limits of names, values and lifetimes.
//!
//! Limits apply to arguments, never to what is already stored. The numbers of `"cloudflare"` are those of
//! <https://developers.cloudflare.com/kv/platform/limits/>.

use std::fmt;

use crate::backend::Expires;
use crate::clock::Clock;
use crate::error::{Code, Error, Result, quoted};
use crate::json;
use crate::types::{Limits, ListOptions, PutOptions};

/// The default number of keys in a page.
const DEFAULT_PAGE: u64 = 1000;

/// The end of the year 9999, in Unix seconds. A larger number is most likely in milliseconds.
const LAST_EXPIRATION: i64 = 253_402_300_799;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

impl Limits {
    pub(crate) const fn name_len(self) -> usize {
        match self {
            Limits::Default => 4 * KIB,
            Limits::Cloudflare => 512,
        }
    }

    pub(crate) const fn value_len(self) -> usize {
        match self {
            Limits::Default => 512 * MIB,
            Limits::Cloudflare => 25 * MIB,
        }
    }

    pub(crate) const fn metadata_len(self) -> usize {
        match self {
            Limits::Default => 64 * KIB,
            Limits::Cloudflare => 1024,
        }
    }

    /// The shortest lifetime, in seconds.
    pub(crate) const fn ttl(self) -> i64 {
        match self {
            Limits::Default => 1,
            Limits::Cloudflare => 60,
        }
    }

    /// The last expiration.
    pub(crate) const fn last_expiration(self) -> i64 {
        match self {
            Limits::Default => LAST_EXPIRATION,
            // Workers KV refuses numbers that do not fit in 32 bits.
            Limits::Cloudflare => i32::MAX as i64,
        }
    }

    /// The maximum number of keys in one call.
    pub(crate) const fn keys_len(self) -> usize {
        match self {
            Limits::Default => 10_000,
            Limits::Cloudflare => 100,
        }
    }

    pub(crate) const fn page_len(self) -> u64 {
        match self {
            Limits::Default => 10_000,
            Limits::Cloudflare => 1000,
        }
    }

    /// Checks the name of a namespace.
    pub(crate) fn namespace(self, name: &str) -> Result<()> {
        self.name("namespace", name)
    }

    /// Checks a key.
    #[inline]
    pub(crate) fn key(self, key: &str) -> Result<()> {
        self.name("key", key)
    }

    #[inline]
    fn name(self, what: &str, name: &str) -> Result<()> {
        /// The longest name that [`unusual_name`](Limits::unusual_name) may refuse for what it is.
        const SPECIAL: usize = 2;
        if name.len() > SPECIAL && name.len() <= self.name_len() { Ok(()) } else { self.unusual_name(what, name) }
    }

    #[cold]
    fn unusual_name(self, what: &str, name: &str) -> Result<()> {
        if name.is_empty() {
            return Err(Error::invalid(format!("the {what} is empty")));
        }
        if self == Limits::Cloudflare && (name == "." || name == "..") {
            return Err(Error::invalid(format!("the {what} {} is not allowed by Cloudflare", quoted(name))));
        }
        within(what, name.len(), self.name_len())
    }

    pub(crate) fn value(self, value: &[u8]) -> Result<()> {
        within("value", value.len(), self.value_len())
    }

    /// Checks the options of a put, and returns when the entry expires.
    pub(crate) fn put(self, options: &PutOptions<'_>, clock: &Clock) -> Result<Expires> {
        options.metadata.map_or(Ok(()), |metadata| self.metadata(metadata))?;
        self.lifetime(options.expiration, options.expiration_ttl, clock)
    }

    /// Checks when an entry expires: at a time or, which takes precedence, after some seconds.
    pub(crate) fn lifetime(self, at: Option<i64>, ttl: Option<i64>, clock: &Clock) -> Result<Expires> {
        let expires = Expires::new(at, ttl);
        self.expires(expires, clock).map(|_| expires)
    }

    /// Checks metadata, which is JSON text.
    pub(crate) fn metadata(self, metadata: &str) -> Result<()> {
        within("metadata", metadata.len(), self.metadata_len())?;
        json::room_for(metadata.as_bytes())?;
        match json::check(metadata.as_bytes()) {
            Ok(json::Kind::Null) => Err(Error::invalid("metadata is null; leave it out instead")),
            Ok(json::Kind::Other) => Ok(()),
            Err(why) => Err(Error::invalid(format!("metadata is not JSON: {why}"))),
        }
    }

    /// Checks the keys of a bulk get, and their number.
    pub(crate) fn keys(self, keys: &[&str]) -> Result<()> {
        if keys.is_empty() {
            return Err(Error::invalid("no keys were asked for"));
        }
        if keys.len() > self.keys_len() {
            let message = format!("{} keys were asked for; the limit is {}", keys.len(), self.keys_len());
            return Err(Error::new(Code::Limit, message));
        }
        keys.iter().try_for_each(|key| self.key(key))
    }

    /// Returns when an entry that is stored now expires, in Unix seconds.
    pub(crate) fn expires(self, expires: Expires, clock: &Clock) -> Result<Option<i64>> {
        let at = match expires {
            Expires::Never => return Ok(None),
            Expires::After(ttl) => return self.expiration_in(ttl, clock).map(Some),
            Expires::At(at) => at,
        };
        let now = clock.now();
        if at <= now {
            return Err(Error::invalid(format!(
                "expiration {at} is not in the future; it is Unix seconds, and it is {now} now"
            )));
        }
        if at - now < self.ttl() {
            return Err(too_short(format_args!("expiration is {} seconds from now", at - now), self.ttl()));
        }
        self.expiration_at(at).map(Some)
    }

    /// Returns the end of a lifetime that begins now.
    pub(crate) fn expiration_in(self, ttl: i64, clock: &Clock) -> Result<i64> {
        if ttl < 1 {
            return Err(Error::invalid(format!("the lifetime is {ttl} seconds; it is at least 1")));
        }
        if ttl < self.ttl() {
            return Err(too_short(format_args!("the lifetime is {ttl} seconds"), self.ttl()));
        }
        self.end(clock.now_rounded_up().saturating_add(ttl), "the lifetime", ttl)
    }

    /// Checks a time of expiration, which may be over.
    pub(crate) fn expiration_at(self, at: i64) -> Result<i64> {
        self.end(at, "expiration", at)
    }

    /// Checks the end of a lifetime against the last expiration. An error names the caller's number.
    fn end(self, at: i64, what: &str, number: i64) -> Result<i64> {
        if at > LAST_EXPIRATION {
            return Err(Error::invalid(format!(
                "{what} {number} ends after the year 9999; it is in seconds, and this looks like milliseconds"
            )));
        }
        if at > self.last_expiration() {
            let last = self.last_expiration();
            let message = format!("{what} {number} ends later than Cloudflare takes; the limit is {last}");
            return Err(Error::new(Code::Limit, message));
        }
        Ok(at)
    }

    /// Checks a prefix, or one end of a range.
    pub(crate) fn bound(self, what: &str, bound: &str) -> Result<()> {
        within(what, bound.len(), self.name_len())
    }

    /// Checks the options of a list, and returns the maximum number of keys in its page.
    pub(crate) fn list(self, options: &ListOptions<'_>) -> Result<usize> {
        self.bound("prefix", options.prefix)?;
        self.bound("start", options.start)?;
        self.bound("stop", options.stop.unwrap_or_default())?;
        if options.stop == Some("") {
            return Err(Error::invalid("stop is empty, and no key lies before it; leave it out instead"));
        }
        match options.limit.unwrap_or(DEFAULT_PAGE) {
            0 => Err(Error::invalid("limit is 0; it is at least 1")),
            limit if limit > self.page_len() => {
                Err(Error::new(Code::Limit, format!("limit is {limit}; a page holds {} keys at most", self.page_len())))
            }
            limit => Ok(limit as usize),
        }
    }
}

/// Checks that every system call can take the path.
#[cfg(any(feature = "sqlite", target_os = "wasi"))]
pub(crate) fn path(path: &std::path::Path) -> Result<()> {
    match path.as_os_str().as_encoded_bytes().contains(&0) {
        true => Err(Error::invalid("the path has a NUL in it")),
        false => Ok(()),
    }
}

/// Checks a length against a limit, in bytes.
pub(crate) fn within(what: &str, len: usize, limit: usize) -> Result<()> {
    if len <= limit {
        return Ok(());
    }
    Err(Error::new(Code::Limit, format!("the {what} is {len} bytes long; the limit is {limit}")))
}

fn too_short(what: fmt::Arguments<'_>, least: i64) -> Error {
    Error::new(Code::Limit, format!("{what}; the limit is {least} at least"))
}
