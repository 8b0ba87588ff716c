//! The store under faults from outside. Each suite is a target of `make` (see make/faults.mk):
//!
//! - `kills`: processes that write are killed at any moment, and what was acknowledged must be there.
//! - `power`: the power fails at any moment, or a sync fails: what was promised must be there, and nothing else.
//! - `syscalls`: each system call fails in turn, and an operation that failed has changed nothing.
//! - `linear`: concurrent operations of processes and threads have an order.
//! - `stale`: a read returns what was written before it began, with a cache in each process.
//! - `watch`: whoever follows a watch arrives at what the store holds.
//! - `crafted`: databases whose schema or pages were crafted to do harm.
//! - `damaged`: flipped bits, exchanged pages, truncated files: the database, its log, its shared memory, also in use.
//! - `postgres-linear`, `postgres-linear-cuts`, `postgres-cuts`, `postgres-outages`, `postgres-refusals`, `postgres-processes`: the back end of
//!   PostgreSQL, on servers that the suite starts (see make/postgres.mk).
//!
//! Only a process can be killed, or have failing system calls, so this program starts itself again with the name of a
//! role instead of a suite. It prints TAP; lines with `#` contain figures.
//!
//! Environment variables:
//! - `FAULTS_MINUTES`: how long a suite runs; without it a minute or less. `make torture` sets it.
//! - `FAULTS_SEED`: the seed of a run to repeat. Each suite prints its own.

mod hostile;
mod kills;
mod linear;
mod postgres;
mod power;
mod stale;
mod support;
mod syscalls;
mod trap;
mod watch;

use std::process::ExitCode;

use linear::Stores;
use postgres::control::Control;
use support::Run;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["kills"] => kills::suite(&mut Run::new("kills", 50)),
        ["kills-writer", arguments @ ..] => kills::writer(arguments),
        ["kills-opener", arguments @ ..] => kills::opener(arguments),
        ["power"] => power::suite(&mut Run::new("power", 50)),
        ["power-worker", arguments @ ..] => power::worker(arguments),
        ["syscalls"] => syscalls::suite(&mut Run::new("syscalls", 50)),
        ["syscalls-worker", arguments @ ..] => syscalls::worker(arguments),
        ["linear"] => linear::suite(&mut Run::new("linear", 20), Stores::Files),
        ["postgres-linear"] => linear::suite(&mut Run::new("postgres-linear", 20), Stores::Server(Control::start(&[]))),
        ["postgres-linear-cuts"] => {
            linear::suite(&mut Run::new("postgres-linear-cuts", 20), Stores::Cut(Control::start(&[])))
        }
        ["linear-client", arguments @ ..] => linear::client(arguments),
        ["stale"] => stale::suite(&mut Run::new("stale", 30)),
        ["stale-client", arguments @ ..] => stale::client(arguments),
        ["watch"] => watch::suite(&mut Run::new("watch", 30)),
        ["watch-client", arguments @ ..] => watch::client(arguments),
        ["crafted"] => hostile::crafted(&mut Run::new("crafted", 30)),
        ["damaged"] => hostile::damaged(&mut Run::new("damaged", 30)),
        ["hostile-child", arguments @ ..] => hostile::child(arguments),
        ["postgres-cuts"] => postgres::cuts(&mut Run::new("postgres-cuts", 0)),
        ["postgres-outages"] => postgres::outages(&mut Run::new("postgres-outages", 0)),
        ["postgres-refusals"] => postgres::refusals(&mut Run::new("postgres-refusals", 0)),
        ["postgres-clock", arguments @ ..] => postgres::clock_client(arguments),
        ["postgres-processes"] => postgres::processes(&mut Run::new("postgres-processes", 0)),
        ["postgres-client", arguments @ ..] => postgres::client(arguments),
        _ => {
            eprintln!(
                "usage: cargo test --test faults -- kills | power | syscalls | linear | stale | watch | crafted | damaged | \
                 postgres-linear | postgres-linear-cuts | postgres-cuts | postgres-outages | postgres-refusals | postgres-processes"
            );
            ExitCode::from(2)
        }
    }
}
