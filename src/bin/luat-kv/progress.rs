//! Progress of long operations on stderr, shown only if that is a terminal (indicatif checks it).

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

const TICK: Duration = Duration::from_millis(100);

/// Shows a bar during an operation, and removes it before anything else is printed.
pub fn during<T>(bar: ProgressBar, work: impl FnOnce(&ProgressBar) -> T) -> T {
    let done = work(&bar);
    bar.finish_and_clear();
    done
}

/// Like [`during`], for an operation that counts what it has done.
pub fn counting<T>(bar: ProgressBar, work: impl FnOnce(&AtomicU64) -> T) -> T {
    let count = AtomicU64::new(0);
    if bar.is_hidden() {
        return work(&count);
    }
    during(bar, |bar| {
        thread::scope(|scope| {
            let (end, ended) = mpsc::channel::<()>();
            let count = &count;
            scope.spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(TICK) {
                    bar.set_position(count.load(Ordering::Relaxed));
                }
            });
            let done = work(count);
            drop(end);
            done
        })
    })
}

/// For an operation of unknown length.
pub fn spinner(what: &str) -> ProgressBar {
    shown(ProgressBar::new_spinner(), "{spinner} {msg}  {elapsed}", what)
}

/// Counts items whose total is not known.
pub fn counter(what: &str) -> ProgressBar {
    shown(ProgressBar::new_spinner(), "{spinner} {msg}  {human_pos}  {elapsed}", what)
}

/// For a number of entries, which are counted only if the bar is shown.
pub fn entries<E>(what: &str, count: impl FnOnce() -> Result<u64, E>) -> Result<ProgressBar, E> {
    if !io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    Ok(shown(ProgressBar::new(count()?), "{msg} {wide_bar} {human_pos}/{human_len}  {eta}", what))
}

/// For a number of bytes, which is not known for a pipe.
pub fn bytes(what: &str, len: Option<u64>) -> ProgressBar {
    match len {
        Some(len) => shown(ProgressBar::new(len), "{msg} {wide_bar} {bytes}/{total_bytes}  {eta}", what),
        None => shown(ProgressBar::new_spinner(), "{spinner} {msg}  {bytes}  {elapsed}", what),
    }
}

fn shown(bar: ProgressBar, template: &str, what: &str) -> ProgressBar {
    // The templates are constants. An invalid one would only change the looks.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = bar.with_style(style).with_message(what.to_owned());
    bar.tick(); // shows it even if the operation ends before the first tick
    bar.enable_steady_tick(TICK);
    bar
}
