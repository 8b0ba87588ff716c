//! Which back end a URL chooses, and which part of a URL is secret.
//!
//! | text | store |
//! | --- | --- |
//! | `postgresql://user@host/database`, `postgres://…` | PostgreSQL: libpq's connection URI, with `watch_interval` |
//! | `file:///srv/kv.db`, `file:/srv/kv.db`, `file://localhost/srv/kv.db` | that file, as in RFC 8089 |
//! | `file:kv.db` | a file in the working folder, as in SQLite; RFC 8089 has no relative paths |
//! | `memory:`, `memory://` | a new, empty store in memory |
//! | anything without a scheme; `C:\kv.db` | a file: the text is its path |
//!
//! In a `file:` URL, `%20` stands for a space. Such a URL has no query: options are arguments of the call that opens.

use std::ffi::OsStr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, quoted};
use crate::types::{Durability, OpenOptions};

#[cfg(test)]
mod tests;
pub(crate) mod watch_interval;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Url {
    Memory,
    File(PathBuf),
    /// A URL that libpq can parse without [`watch_interval`]. Its scheme is in lower case, as libpq requires.
    Postgres(String),
}

impl Url {
    /// Parses a URL or a path. No error contains a part of a URL that may be a password.
    pub(crate) fn parse(text: &str) -> Result<Url> {
        let Some((scheme, rest)) = split(text) else {
            return path(text).map(Url::File);
        };
        match scheme.to_ascii_lowercase().as_str() {
            "postgresql" | "postgres" => {
                postgres(rest)?;
                let url = format!("postgresql:{rest}");
                watch_interval::split_off(&url)?;
                Ok(Url::Postgres(url))
            }
            "file" => file(rest).map(Url::File),
            "memory" if matches!(rest, "" | "//") => Ok(Url::Memory),
            "memory" => Err(Error::invalid("the URL of a store in memory is memory: without anything behind it")),
            _ => Err(Error::invalid(format!(
                "the scheme of the URL is {}; it can be postgresql:, postgres:, file: or memory: (a path with a colon \
                 in its first part begins with ./)",
                quoted(&format!("{scheme}:"))
            ))),
        }
    }

    /// The same for a text from the system. One that is no UTF-8 is a path, unless it has a scheme.
    pub(crate) fn of(text: &OsStr) -> Result<Url> {
        if let Some(text) = text.to_str() {
            return Url::parse(text);
        }
        match Url::parse(&text.to_string_lossy()) {
            Ok(Url::File(_)) if split(&text.to_string_lossy()).is_none() => Ok(Url::File(text.into())),
            Ok(_) => Err(Error::invalid("the URL is not UTF-8; in a URL another byte is written %FF")),
            Err(error) => Err(error),
        }
    }
}

/// Refuses a URL where only a path is taken. Otherwise a file of that name would be created, or an error would quote it
/// with its password.
pub(crate) fn check_path(path: &Path) -> Result<()> {
    let is_url = path.to_str().and_then(split).is_some_and(|(scheme, rest)| {
        let is = |known: &str| scheme.eq_ignore_ascii_case(known);
        rest.starts_with("//") || is("postgresql") || is("postgres") || (is("memory") && rest.is_empty())
    });
    match is_url {
        true => Err(Error::invalid(
            "the path of a file was expected, not a URL, which opens with `url = …` (C: luat_kv_open_url)",
        )),
        false => Ok(()),
    }
}

/// Returns the scheme of a URL, and what follows its colon. A single letter is a drive of Windows.
fn split(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some((scheme, rest))
}

/// A path, unless it can only be a mistyped URL or the other form in which libpq takes its parameters.
fn path(text: &str) -> Result<PathBuf> {
    const PARAMETERS: [&str; 8] = ["dbname", "host", "hostaddr", "password", "port", "service", "sslmode", "user"];
    let wrong = |what: &str| {
        Err(Error::invalid(format!("{what}; the URL of a PostgreSQL database is postgresql://user@host/database")))
    };
    let parameter = text.split_once('=').map_or("", |(name, _)| name.trim());
    if PARAMETERS.contains(&parameter) {
        return wrong("libpq's form of parameter=value is not taken");
    }
    let scheme = text.split_once("//").map_or("", |(before, _)| before).to_ascii_lowercase();
    if ["postgresql", "postgres"].contains(&&*scheme) {
        return wrong("the colon behind the scheme is missing, or the path has to begin with ./");
    }
    // `//user:password@host`, `://user:password@host`
    let after = text.split_once("//").map(|(before, after)| (before, after.split('/').next().unwrap_or_default()));
    match after {
        Some((before, _)) if before.len() > 2 && before.ends_with(':') && !before.contains('/') => {
            wrong("the URL does not begin with a scheme")
        }
        Some((_, host)) if host.split_once('@').is_some_and(|(user, _)| user.contains(':')) => {
            wrong("the path looks like a URL with a password, but does not begin with a scheme")
        }
        _ => Ok(text.into()),
    }
}

/// The path of a `file:` URL, from what follows the scheme.
fn file(rest: &str) -> Result<PathBuf> {
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(rest) => {
            let (host, _) = rest.split_once('/').unwrap_or((rest, ""));
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err(Error::invalid(
                    "a file: URL with two slashes names another host; the URL of a file is file:///absolute/path or \
                     file:relative/path",
                ));
            }
            &rest[host.len()..]
        }
    };
    if path.contains(['?', '#']) {
        return Err(Error::invalid(
            "a file: URL has no query and no fragment; in a path ? is written %3F, # is written %23, and options are \
             not part of the URL",
        ));
    }
    if path.is_empty() {
        return Err(Error::invalid("the path of the file: URL is empty"));
    }
    os_path(decoded(path)?)
}

#[cfg(unix)]
fn os_path(path: Vec<u8>) -> Result<PathBuf> {
    Ok(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(path).into())
}

/// On Windows `file:///C:/kv.db` is `C:/kv.db`.
#[cfg(not(unix))]
fn os_path(path: Vec<u8>) -> Result<PathBuf> {
    let path = String::from_utf8(path).map_err(|_| Error::invalid("the path of the file: URL is not UTF-8"))?;
    match path.as_bytes() {
        [b'/', drive, b':', ..] if drive.is_ascii_alphabetic() => Ok(path[1..].into()),
        _ => Ok(path.into()),
    }
}

/// Decodes `%20` and the like. The errors do not contain the text, which may be a password.
fn decoded(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        match digit().zip(digit()) {
            Some((0, 0)) => return Err(Error::invalid("the URL has a NUL in it (%00)")),
            Some((high, low)) => bytes.push((high << 4 | low) as u8),
            None => {
                return Err(Error::invalid(
                    "in the URL a % is not followed by two hexadecimal digits; % is written %25",
                ));
            }
        }
    }
    Ok(bytes)
}

/// Checks what follows the scheme. libpq checks the rest, but its errors quote what it cannot parse, and that may be a
/// part of a password in which a reserved character is not encoded.
fn postgres(rest: &str) -> Result<()> {
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(Error::invalid("the URL of a PostgreSQL database is postgresql://user@host/database"));
    };
    if rest.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Err(Error::invalid("the URL has a space or a line break in it; in a URL a space is written %20"));
    }
    decoded(rest)?;
    let (base, query) = rest.split_at(query_at(rest));
    let (user, hosts) = userinfo(base).map_or((None, base), |(user, hosts)| (Some(user), hosts));
    let (hosts, database) = hosts.split_once('/').unwrap_or((hosts, ""));
    // `user:pass/word@host` parses as a host, a port and a database.
    let is_split = user.is_none() && hosts.contains(':') && query.contains('@');
    if hosts.contains('@') || database.contains('@') || is_split {
        return Err(Error::invalid(
            "the URL has an @ after the host; in the user and the password @ is written %40, / is written %2F, : is \
             written %3A",
        ));
    }
    if !hosts.split(',').filter_map(port).all(is_number) {
        return Err(Error::invalid(
            "in the URL the port of a host is not a number (a password stands before an @, and / in it is written %2F)",
        ));
    }
    let mut parameters = query.strip_prefix('?').unwrap_or_default().split('&').filter(|one| !one.is_empty());
    match parameters.all(is_parameter) {
        true => Ok(()),
        false => Err(Error::invalid(
            "the query of the URL is not of the form name=value&name=value (in a value & is written %26, = is written \
             %3D, ? is written %3F)",
        )),
    }
}

/// Whether this is `name=value`. libpq's names are lower-case words.
fn is_parameter(text: &str) -> bool {
    let Some((name, value)) = text.split_once('=') else { return false };
    let is_name = |name: Vec<u8>| !name.is_empty() && name.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'_'));
    decoded(name).is_ok_and(is_name) && !value.contains('=')
}

/// Refuses options that have no effect on a PostgreSQL server.
pub(crate) fn check_postgres(options: &OpenOptions) -> Result<()> {
    if options.durability != Durability::Normal {
        return Err(Error::invalid(
            "durability cannot be chosen with PostgreSQL; the server decides (synchronous_commit in its configuration)",
        ));
    }
    match options.cache_size {
        0 | OpenOptions::DEFAULT_CACHE_SIZE => Ok(()),
        bytes => Err(Error::invalid(format!(
            "cache_size is {bytes}, but a store on PostgreSQL has no cache of values; leave the option out"
        ))),
    }
}

/// Splits the user and the password off, where libpq does: at the first @ before a slash.
fn userinfo(base: &str) -> Option<(&str, &str)> {
    match base.find(['@', '/']) {
        Some(at) if base.as_bytes()[at] == b'@' => Some((&base[..at], &base[at + 1..])),
        _ => None,
    }
}

/// Where the query begins: at the first ? after the user and the password.
fn query_at(rest: &str) -> usize {
    let from = userinfo(rest).map_or(0, |(user, _)| user.len());
    rest[from..].find('?').map_or(rest.len(), |at| from + at)
}

/// What follows the colon of a host. An IPv6 address is in brackets.
fn port(host: &str) -> Option<&str> {
    let after = host.rfind(']').map_or(0, |at| at + 1);
    host[after..].split_once(':').map(|(_, port)| port)
}

fn is_number(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit())
}

/// What stands for a password.
const HIDDEN: &str = "***";

/// Returns a URL without its passwords, for messages and labels. If the text is malformed, it hides everything that may
/// be part of a password.
pub(crate) fn redacted(url: &str) -> String {
    let mut shown = String::with_capacity(url.len());
    let mut from = 0;
    for secret in secrets(url) {
        shown.push_str(&url[from..secret.start]);
        shown.push_str(HIDDEN);
        from = secret.end;
    }
    shown + &url[from..]
}

/// The parts of a text that are, or may be, passwords, in their order.
fn secrets(url: &str) -> Vec<Range<usize>> {
    let start = match split(url) {
        Some((scheme, _)) => scheme.len() + 1,
        None => url.find(':').filter(|at| url[*at..].starts_with("://")).map_or(0, |at| at + 1),
    };
    let slashes = url[start..].bytes().take_while(|byte| *byte == b'/').count();
    let from = start + slashes;
    let mut secrets: Vec<_> =
        password(&url[from..], slashes > 0).map(|at| at.start + from..at.end + from).into_iter().collect();
    if let Some(at) = parameter(url) {
        secrets.retain(|secret| secret.start < at);
        if let Some(secret) = secrets.last_mut().filter(|secret| secret.end > at) {
            secret.end = url.len();
        } else {
            secrets.push(at..url.len());
        }
    }
    secrets
}

/// The password before the host, in what follows the slashes of a URL.
fn password(rest: &str, has_slashes: bool) -> Option<Range<usize>> {
    let is_clear = has_slashes && postgres(&format!("//{rest}")).is_ok();
    let end = if is_clear { userinfo(rest).map(|(user, _)| user.len()) } else { rest.rfind('@') };
    let colon = rest[..end.unwrap_or(rest.len())].find(':').map(|at| at + 1);
    match (colon, end) {
        // `postgres:secret@host` can be meant as a user and a password.
        (_, Some(end)) if !has_slashes => Some(0..end),
        (Some(colon), Some(end)) => Some(colon..end),
        // There is no @, so what follows a colon should be a port.
        (Some(colon), None) if !is_clear => Some(colon..rest.len()),
        _ => None,
    }
    .filter(|secret| !secret.is_empty())
}

/// Where the value of the first parameter begins whose name tells that it is secret. All that follows is hidden, since
/// it may be part of the value.
fn parameter(url: &str) -> Option<usize> {
    const NAMES: [&str; 6] = ["pass", "pwd", "secret", "token", "scram_client_key", "scram_server_key"];
    url.match_indices('=').map(|(at, _)| at).find_map(|at| {
        let name = url[..at].trim_end();
        let name = &name[name.rfind(['?', '&', ';', '#', ' ', '=']).map_or(0, |at| at + 1)..];
        let name = decoded(name).unwrap_or_else(|_| name.into()).to_ascii_lowercase();
        let is_secret = NAMES.iter().any(|secret| name.windows(secret.len()).any(|part| part == secret.as_bytes()));
        (is_secret && at + 1 < url.len()).then_some(at + 1)
    })
}
