//! The servers that a URL names, as libpq's parameters for each of them.
//!
//! libpq can try several hosts one after the other, but a program that does not block cannot make it give up one that
//! does not answer and go on to the next. So each host gets an attempt of its own, and a part of the time.

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::time::Duration;

use super::libpq::{self, Libpq};
use crate::error::{Error, Result};

/// The parameters of one attempt.
#[derive(Clone, Debug)]
pub(super) struct Target(Vec<(CString, CString)>);

pub(super) struct Hosts {
    pub targets: Vec<Target>,
    /// Whether only a server that takes writes is meant.
    pub names_primary: bool,
    /// The longest time for one attempt.
    pub timeout: Option<Duration>,
}

impl Target {
    /// The lists of keywords and values, which end with NULL.
    pub fn raw(&self) -> [Vec<*const c_char>; 2] {
        let keywords = self.0.iter().map(|(keyword, _)| keyword.as_ptr());
        let values = self.0.iter().map(|(_, value)| value.as_ptr());
        [keywords.chain([ptr::null()]).collect(), values.chain([ptr::null()]).collect()]
    }

    fn get(&self, keyword: &CStr) -> Option<&CString> {
        self.0.iter().find(|(name, _)| name.as_c_str() == keyword).map(|(_, value)| value)
    }

    fn set(&mut self, keyword: &CStr, value: CString) {
        self.0.retain(|(name, _)| name.as_c_str() != keyword);
        self.0.push((keyword.to_owned(), value));
    }

    /// The server, for messages.
    pub fn name(&self) -> String {
        let host = self.get(c"host").or_else(|| self.get(c"hostaddr"));
        let port = self.get(c"port").map(|port| format!(", port {}", port.to_string_lossy())).unwrap_or_default();
        format!("the server{}{port}", host.map(|host| format!(" {}", host.to_string_lossy())).unwrap_or_default())
    }
}

impl Hosts {
    /// Parses a connection URI. No message contains a part of it, since that could be a password.
    pub fn parse(libpq: &Libpq, url: &str) -> Result<Hosts> {
        let url = CString::new(url).map_err(|_| Error::invalid("the URL has a NUL in it"))?;
        let mut common = Target(parameters(libpq, &url)?);
        let timeout = common.get(c"connect_timeout").and_then(|text| text.to_str().ok()?.trim().parse::<i64>().ok());
        if common.get(c"fallback_application_name").is_none() {
            common.set(c"fallback_application_name", c"luat_kv".to_owned());
        }
        common.set(c"client_encoding", c"UTF8".to_owned());
        let attributes = common.get(c"target_session_attrs").map(|value| value.as_bytes());
        Ok(Hosts {
            targets: targets(&common),
            names_primary: matches!(attributes, Some(b"read-write" | b"primary")),
            // As in libpq: 0 is none, and 1 is 2.
            timeout: timeout.filter(|timeout| *timeout > 0).map(|timeout| Duration::from_secs(timeout.max(2) as u64)),
        })
    }
}

/// The parameters that a URL sets.
fn parameters(libpq: &Libpq, url: &CStr) -> Result<Vec<(CString, CString)>> {
    let mut why = ptr::null_mut();
    // SAFETY: the URL ends with a NUL.
    let options = unsafe { (libpq.conninfo_parse)(url.as_ptr(), &mut why) };
    if options.is_null() {
        // SAFETY: the message was allocated by libpq, and is not used afterwards.
        let message = unsafe {
            let text = libpq::text(why).trim().to_owned();
            (libpq.free)(why.cast());
            text
        };
        return Err(Error::invalid(without_values(&message)));
    }
    let (mut all, mut next) = (Vec::new(), options);
    // SAFETY: the array ends with an option without a keyword. All texts end with a NUL, and live until it is freed.
    unsafe {
        while !(*next).keyword.is_null() {
            if !(*next).val.is_null() {
                let text = |text: *mut c_char| CStr::from_ptr(text).to_owned();
                all.push((text((*next).keyword), text((*next).val)));
            }
            next = next.add(1);
        }
        (libpq.conninfo_free)(options);
    }
    Ok(all)
}

/// The beginning of libpq's message about a URL that it cannot parse. What it quotes could be a part of a password, and
/// in another language other characters may quote it.
fn without_values(message: &str) -> String {
    let reason = message.split(|character: char| !character.is_ascii() || matches!(character, '"' | '\''));
    let reason = reason.take(1).map(|text| text.trim_end_matches([' ', ':']));
    std::iter::once("libpq cannot parse the URL")
        .chain(reason)
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join(": ")
}

/// One target for each host.
fn targets(common: &Target) -> Vec<Target> {
    let list = |keyword| -> Vec<String> {
        let value = common.get(keyword).map(|value| value.to_string_lossy().into_owned());
        value.map(|value| value.split(',').map(str::to_owned).collect()).unwrap_or_default()
    };
    let (hosts, addresses, ports) = (list(c"host"), list(c"hostaddr"), list(c"port"));
    let count = hosts.len().max(addresses.len());
    // libpq reports lists that do not fit together.
    let fits = |len| len <= 1 || len == count;
    if count < 2 || !(fits(ports.len()) && [hosts.len(), addresses.len()].iter().all(|len| *len == 0 || *len == count))
    {
        return vec![common.clone()];
    }
    let attempt = |at: usize, attributes: Option<&CStr>| {
        let mut target = common.clone();
        for (keyword, list) in [(c"host", &hosts), (c"hostaddr", &addresses), (c"port", &ports)] {
            if let Some(value) = list.get(at).or(list.first().filter(|_| list.len() == 1)) {
                target.set(keyword, CString::new(value.as_str()).unwrap_or_default());
            }
        }
        if let Some(attributes) = attributes {
            target.set(c"target_session_attrs", attributes.to_owned());
        }
        target
    };
    match common.get(c"target_session_attrs").is_some_and(|value| value.as_c_str() == c"prefer-standby") {
        true => [Some(c"standby"), Some(c"any")]
            .into_iter()
            .flat_map(|attributes| (0..count).map(move |at| (at, attributes)))
            .map(|(at, attributes)| attempt(at, attributes))
            .collect(),
        false => (0..count).map(|at| attempt(at, None)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(parameters: &[(&str, &str)]) -> Target {
        let text = |text: &str| CString::new(text).unwrap();
        Target(parameters.iter().map(|(keyword, value)| (text(keyword), text(value))).collect())
    }

    fn told(target: &Target) -> String {
        let get = |keyword| target.get(keyword).map_or("-".into(), |value| value.to_string_lossy());
        format!("{} {} {}", get(c"host"), get(c"port"), get(c"target_session_attrs"))
    }

    #[test]
    fn each_host_is_a_target() {
        let all = |parameters: &[(&str, &str)]| targets(&target(parameters)).iter().map(told).collect::<Vec<_>>();
        assert_eq!(all(&[("host", "a,b"), ("port", "1,2")]), ["a 1 -", "b 2 -"]);
        assert_eq!(
            all(&[("host", "a,b"), ("port", "1"), ("target_session_attrs", "read-write")]),
            ["a 1 read-write", "b 1 read-write"]
        );
        assert_eq!(
            all(&[("host", "a,b"), ("target_session_attrs", "prefer-standby")]),
            ["a - standby", "b - standby", "a - any", "b - any"]
        );
        // libpq refuses it.
        assert_eq!(all(&[("host", "a,b,c"), ("port", "1,2")]), ["a,b,c 1,2 -"]);
        assert_eq!(all(&[("host", "a")]), ["a - -"]);
    }

    #[test]
    fn a_message_about_a_url_quotes_nothing_of_it() {
        for (message, shown) in [
            ("invalid URI query parameter: \"secret\"", "libpq cannot parse the URL: invalid URI query parameter"),
            ("paramètre URI invalide : « secret »", "libpq cannot parse the URL: param"),
            ("\"secret\"", "libpq cannot parse the URL"),
        ] {
            assert_eq!(without_values(message), shown);
        }
    }
}
