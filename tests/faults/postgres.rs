//! The back end of PostgreSQL, on servers that are controlled, and through a proxy: see tests/postgres.
//!
//! - `cuts`: the connection is cut after each byte of each operation.
//! - `outages`: the server restarts, is killed, is replaced, or does not answer.
//! - `refusals`: the server refuses: a full disk, too many connections, rights, locks, a clock that is wrong.
//! - `processes`: several processes change the same key.

mod clocks;
pub mod control;
mod cuts;
mod operations;
mod outages;
mod processes;
mod refusals;

pub use self::clocks::client as clock_client;
pub use self::cuts::suite as cuts;
pub use self::outages::suite as outages;
pub use self::processes::{client, suite as processes};
pub use self::refusals::suite as refusals;
