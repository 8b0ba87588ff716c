//! The store under faults that come from outside. Each suite is a target of `make` (see make/faults.mk):
//!
//! - `kills`: processes that write are killed at any moment, and what was acknowledged must be there.
//! - `power`: the power is cut at any moment, and a sync fails: what was promised must be there, and nothing else.
//! - `syscalls`: each system call fails in turn, and what failed changed nothing.
//! - `linear`: what processes and threads do at once has an order.
//! - `crafted`: databases whose schema or pages were made to do harm.
//! - `damaged`: flipped bits, exchanged pages, cut files: the database, its log, its shared memory, also in use.
//!
//! Only a process can be killed, or have system calls that fail, so this program starts itself again with the name of a
//! role in place of a suite's. It prints TAP; lines with `#` give the figures.
//!
//! Environment variables:
//! - `FAULTS_MINUTES`: how long a suite runs; without it a minute or less. `make torture` sets it.
//! - `FAULTS_SEED`: the seed of a run that is to be repeated. Each suite prints its own.

mod hostile;
mod kills;
mod linear;
mod power;
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
        ["crafted"] => hostile::crafted(&mut Run::new("crafted", 30)),
        ["damaged"] => hostile::damaged(&mut Run::new("damaged", 30)),
        ["hostile-child", arguments @ ..] => hostile::child(arguments),
        _ => {
            eprintln!("usage: cargo test --test faults -- kills | power | syscalls | linear | crafted | damaged");
            ExitCode::from(2)
        }
    }
}
