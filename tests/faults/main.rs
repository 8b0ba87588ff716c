//! The store under faults from outside. Each suite is a target of `make` (see make/faults.mk):
//!
//! - `kills`: processes that write are killed at any moment, and what was acknowledged must be there.
//! - `power`: the power fails at any moment, or a sync fails: what was promised must be there, and nothing else.
//! - `syscalls`: each system call fails in turn, and an operation that failed has changed nothing.
//! - `linear`: concurrent operations of processes and threads have an order.
//! - `stale`: a read returns what was written before it began, with a cache in each process.
//! - `crafted`: databases whose schema or pages were crafted to do harm.
//! - `damaged`: flipped bits, exchanged pages, truncated files: the database, its log, its shared memory, also in use.
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
mod power;
mod stale;
mod support;
mod syscalls;
mod trap;

use std::process::ExitCode;

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
        ["linear"] => linear::suite(&mut Run::new("linear", 20)),
        ["linear-client", arguments @ ..] => linear::client(arguments),
        ["stale"] => stale::suite(&mut Run::new("stale", 30)),
        ["stale-client", arguments @ ..] => stale::client(arguments),
        ["crafted"] => hostile::crafted(&mut Run::new("crafted", 30)),
        ["damaged"] => hostile::damaged(&mut Run::new("damaged", 30)),
        ["hostile-child", arguments @ ..] => hostile::child(arguments),
        _ => {
            eprintln!(
                "usage: cargo test --test faults -- kills | power | syscalls | linear | stale | crafted | damaged"
            );
            ExitCode::from(2)
        }
    }
}
