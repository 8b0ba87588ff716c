//! The real `luat-kv` on real files: its output, its exit status, and its effects.

mod browse;
mod browse_ends;
mod bulk;
mod entries;
mod help;
mod large;
mod migrate;
mod place;
mod signals;
mod support;
mod terminal;
mod trust;
mod tty;
mod upkeep;
mod watch;
