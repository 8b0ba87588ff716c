//! The real `luat-kv` on real files: what it prints, to whom, and how it ends.

mod bulk;
mod entries;
mod help;
mod large;
mod place;
mod signals;
mod support;
mod terminal;
mod trust;
mod upkeep;
