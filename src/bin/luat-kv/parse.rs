//! Numbers and times on the command line, and what is said of wrong ones.

use std::str::FromStr;
use std::time::Duration;

pub fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "it is not a whole number of up to 64 bits".to_owned())
}

pub fn positive(text: &str) -> Result<u64, String> {
    whole(text).ok().filter(|count| *count > 0).ok_or_else(|| "it is a whole number, at least 1".to_owned())
}

pub fn lifetime(text: &str) -> Result<i64, String> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(number) => (number, text.chars().next_back()),
        None => (text, None),
    };
    let seconds = match unit {
        Some('m') => 60,
        Some('h') => 60 * 60,
        Some('d') => 24 * 60 * 60,
        _ => 1,
    };
    let whole = number.parse::<i64>().ok().and_then(|number| number.checked_mul(seconds));
    let whole = whole.filter(|seconds| *seconds >= 1);
    whole.ok_or_else(|| "it is whole seconds, at least 1, or a whole number with s, m, h or d, as 7d".to_owned())
}

pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "it is a number of seconds, as 5 or 0.5".to_owned())
}
