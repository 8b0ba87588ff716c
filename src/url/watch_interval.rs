//! The parameter of a PostgreSQL URL that is the library's own. All others are libpq's.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{decoded, query_at};
use crate::error::{Error, Result, quoted};

const NAME: &str = "watch_interval";
const DEFAULT: Duration = Duration::from_millis(150);

/// In milliseconds. A shorter one would keep the server busy; a longer one is no watch.
const BOUNDS: RangeInclusive<u64> = 5..=10_000;

/// Returns a URL without the parameter, which libpq would refuse, and how long watches rest between two questions to the
/// server.
pub(crate) fn split_off(url: &str) -> Result<(String, Duration)> {
    let start = url.find("//").map_or(0, |at| at + 2);
    let (base, query) = url.split_at(start + query_at(&url[start..]));
    let is_own = |parameter: &&str| {
        let name = parameter.split_once('=').map_or(*parameter, |(name, _)| name);
        decoded(name).is_ok_and(|name| name == NAME.as_bytes())
    };
    let (own, rest): (Vec<&str>, Vec<&str>) = query.strip_prefix('?').unwrap_or_default().split('&').partition(is_own);
    let interval = match *own {
        [] => return Ok((url.to_owned(), DEFAULT)),
        [parameter] => parsed(parameter.split_once('=').map_or("", |(_, value)| value))?,
        _ => return Err(Error::invalid(format!("{NAME} is more than once in the URL"))),
    };
    let rest = rest.join("&");
    Ok((if rest.is_empty() { base.to_owned() } else { format!("{base}?{rest}") }, interval))
}

fn parsed(value: &str) -> Result<Duration> {
    let value = String::from_utf8_lossy(&decoded(value)?).into_owned();
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|number| is_number && BOUNDS.contains(number));
    number.map(Duration::from_millis).ok_or_else(|| {
        let (least, most) = (BOUNDS.start(), BOUNDS.end());
        Error::invalid(format!(
            "{NAME} is {} in the URL; it is a whole number of milliseconds from {least} to {most}",
            quoted(&value)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::url::Url;

    fn split(url: &str) -> (String, u64) {
        let (rest, interval) = split_off(url).unwrap();
        (rest, interval.as_millis() as u64)
    }

    #[test]
    fn it_is_taken_out_of_the_url() {
        for (url, rest, interval) in [
            ("postgresql://h/d", "postgresql://h/d", 150),
            ("postgresql://h/d?", "postgresql://h/d?", 150),
            ("postgresql://h/d?watch_interval=5", "postgresql://h/d", 5),
            ("postgresql://u:p@h/d?a=1&watch_interval=10000&b=2", "postgresql://u:p@h/d?a=1&b=2", 10_000),
            ("postgresql://h/d?watch%5Finterval=1%30", "postgresql://h/d", 10),
            ("postgresql://u:?watch_interval=1@h/d?a=1", "postgresql://u:?watch_interval=1@h/d?a=1", 150),
            ("postgresql:///?host=/tmp&watch_interval=020", "postgresql:///?host=/tmp", 20),
        ] {
            assert_eq!(split(url), (rest.to_owned(), interval), "{url}");
        }
    }

    #[test]
    fn other_values_are_refused() {
        for value in ["", "4", "10001", "+10", "-10", "1e2", "10.0", "10ms", "%2010", "99999999999999999999", "%ff"] {
            let error = Url::parse(&format!("postgresql://h/d?watch_interval={value}")).unwrap_err();
            assert_eq!(error.code(), Code::Invalid);
            assert!(error.message().contains("milliseconds from 5 to 10000"), "{error}");
        }
        let error = Url::parse("postgresql://h/d?watch_interval=fast").unwrap_err();
        assert!(error.message().starts_with("watch_interval is \"fast\" in the URL"), "{error}");
        let error = Url::parse("postgresql://h/d?watch_interval=10&a=1&watch_interval=10").unwrap_err();
        assert_eq!(error.message(), "watch_interval is more than once in the URL");
    }
}
