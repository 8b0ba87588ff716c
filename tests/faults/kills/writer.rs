//! The process that is killed.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use luat_kv::{Durability, Format, Namespace, OpenOptions, PutOptions, Result, Store};

use super::model;
use super::op::{self, FILLED, Op, Ops};
use crate::support::end_if_it_hangs;

/// Arguments: the folder, the durability, the time, the seed, and the numbers of its lanes. It writes until it is
/// killed, and acknowledges each operation with a line: the lane and the result.
pub fn writer(arguments: &[&str]) -> ExitCode {
    let [folder, durability, clock, seed, lanes @ ..] = arguments else { return ExitCode::from(2) };
    end_if_it_hangs();
    let folder = Path::new(folder);
    let durability = if *durability == "full" { Durability::Full } else { Durability::Normal };
    let (clock, seed) = (clock.parse().expect("the time"), seed.parse().expect("the seed"));
    let options = super::options(durability, clock);
    let store = Store::open(folder.join("kv.db"), &options).unwrap_or_else(|error| fail("opening", error));
    thread::scope(|scope| {
        for lane in lanes {
            let (lane, store, options) = (lane.parse().expect("a lane"), store.clone(), options.clone());
            scope.spawn(move || {
                let mut lane = Lane { number: lane, folder, clock, done: 0, options, store };
                for op in Ops::new(seed, lane.number) {
                    let answer = lane.act(&op).unwrap_or_else(|error| fail(&format!("{op:?}"), error));
                    lane.done += 1;
                    say(&format!("{} {answer}\n", lane.number));
                }
            });
        }
    });
    ExitCode::FAILURE
}

/// One system call, so that a line arrives whole or not at all.
fn say(line: &str) {
    let written = std::io::stdout().write(line.as_bytes()).expect("the pipe");
    std::io::stdout().flush().expect("the pipe");
    assert_eq!(written, line.len());
}

fn fail(what: &str, error: luat_kv::Error) -> ! {
    say(&format!("{what}: {error}\n"));
    std::process::exit(1)
}

struct Lane<'a> {
    number: usize,
    folder: &'a Path,
    clock: i64,
    done: usize,
    options: OpenOptions,
    store: Store,
}

impl Lane<'_> {
    fn act(&mut self, op: &Op) -> Result<String> {
        let name = model::name(self.number);
        let namespace = self.store.namespace(&name)?;
        let forever = PutOptions::default();
        match op {
            Op::Put { key, len, brief } => {
                let expiration = brief.then_some(self.clock + 1);
                namespace.put_with(key, self.value(*len), &forever.expires_at(expiration))?;
            }
            Op::Delete { key } => drop(namespace.delete(key)?),
            Op::Incr { by } => return Ok(namespace.incr("counter", *by)?.to_string()),
            Op::Shared => {
                let shared = self.store.namespace("shared")?;
                return Ok(shared.incr("counter", 1)?.to_string());
            }
            Op::Batch { keys, len, delete } => self.batch(&namespace, keys, *len, delete)?,
            Op::Fill => {
                let mut batch = self.store.batch();
                for index in 0..FILLED {
                    batch.put_with(&namespace, &op::filled_key(index), self.value(0), &forever)?;
                }
                batch.commit()?;
            }
            Op::DeletePrefix => return Ok(namespace.delete_prefix("filled:")?.to_string()),
            Op::Import => {
                let path = op::import_path(self.folder, &name);
                std::fs::write(&path, op::import_text(self.clock, self.done)).expect("a file to import");
                return Ok(namespace.import_file(path, true)?.stored.to_string());
            }
            Op::Export => {
                let path = op::export_path(self.folder, &name);
                return Ok(namespace.export_file(path, Format::JsonLines)?.to_string());
            }
            Op::Backup => self.store.backup(op::backup_path(self.folder, &name, self.done))?,
            Op::Sweep => return Ok(self.store.sweep(None)?.to_string()),
            Op::Compact => self.store.compact()?,
            Op::Checkpoint => drop(self.store.checkpoint()?),
            // From now on this lane has its own store, besides the first one.
            Op::Reopen => self.store = Store::open(self.folder.join("kv.db"), &self.options)?,
        }
        Ok(String::new())
    }

    fn batch(&self, namespace: &Namespace, keys: &[String], len: usize, delete: &str) -> Result<()> {
        let mut batch = self.store.batch();
        for key in keys {
            batch.put(namespace, key, self.value(len))?;
        }
        batch.delete(namespace, delete)?;
        batch.incr(namespace, "batches", 1)?;
        batch.commit().map(drop)
    }

    fn value(&self, len: usize) -> Vec<u8> {
        op::value(self.clock, self.done, len)
    }
}
