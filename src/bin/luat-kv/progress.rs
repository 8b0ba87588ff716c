//! Progress of long work, on stderr, and only where that is a terminal (indicatif sees to it).

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

const TICK: Duration = Duration::from_millis(100);

/// Shows a bar while something is done, and takes it away before anything is said about that.
pub fn during<T>(bar: ProgressBar, work: impl FnOnce(&ProgressBar) -> T) -> T {
    let done = work(&bar);
    bar.finish_and_clear();
    done
}

/// Work whose end cannot be seen.
pub fn spinner(what: &str) -> ProgressBar {
    shown(ProgressBar::new_spinner(), "{spinner} {msg}  {elapsed}", what)
}

/// Work that counts things, without knowing how many there are.
pub fn counter(what: &str) -> ProgressBar {
    shown(ProgressBar::new_spinner(), "{spinner} {msg}  {human_pos}  {elapsed}", what)
}

/// So many entries.
pub fn entries(what: &str, count: u64) -> ProgressBar {
    shown(ProgressBar::new(count), "{msg} {wide_bar} {human_pos}/{human_len}  {eta}", what)
}

/// So many bytes; from a pipe one cannot know.
pub fn bytes(what: &str, len: Option<u64>) -> ProgressBar {
    match len {
        Some(len) => shown(ProgressBar::new(len), "{msg} {wide_bar} {bytes}/{total_bytes}  {eta}", what),
        None => shown(ProgressBar::new_spinner(), "{spinner} {msg}  {bytes}  {elapsed}", what),
    }
}

fn shown(bar: ProgressBar, template: &str, what: &str) -> ProgressBar {
    // The templates stand above; one that is wrong would cost no more than its looks.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = bar.with_style(style).with_message(what.to_owned());
    bar.tick(); // it is seen even if the work is done before the first tick
    bar.enable_steady_tick(TICK);
    bar
}
