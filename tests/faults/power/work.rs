//! The operations of the recorded process, and what the store must contain after each.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use luat_kv::{Durability, Format, ListOptions, Namespace, OpenOptions, Store};

use crate::support::Rng;

pub const NAMESPACES: [&str; 2] = ["a", "b"];

/// Namespace and key.
type Key = (usize, String);

/// A value that identifies itself, so that a garbled one is detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    Bytes { seed: u64, len: usize },
    Number(i64),
}

/// The contents of a store.
pub type Rows = BTreeMap<Key, Value>;

#[derive(Clone, Debug)]
pub enum Op {
    Put(Key, Value),
    Delete(Key),
    Incr(Key),
    Batch(Vec<(Key, Option<Value>)>),
    Import(usize, Vec<(String, Value)>),
    DeletePrefix(usize, String),
    Backup(usize),
    Export(usize),
    Checkpoint,
    Compact,
    Reopen,
}

impl Value {
    fn bytes(self) -> Vec<u8> {
        match self {
            Value::Number(number) => number.to_string().into_bytes(),
            Value::Bytes { seed, len } => {
                let mut bytes = format!("v{seed} {len} ").into_bytes();
                let mut rng = Rng(seed);
                while bytes.len() < len {
                    bytes.extend_from_slice(&rng.next().to_le_bytes().map(|byte| byte % 64 + 32));
                }
                bytes.truncate(len.max(format!("v{seed} {len} ").len()));
                bytes
            }
        }
    }

    fn parse(bytes: &[u8]) -> Option<Value> {
        let text = std::str::from_utf8(bytes).ok()?;
        let value = match text.strip_prefix('v') {
            None => Value::Number(text.parse().ok()?),
            Some(rest) => {
                let mut words = rest.split(' ');
                Value::Bytes { seed: words.next()?.parse().ok()?, len: words.next()?.parse().ok()? }
            }
        };
        (value.bytes() == bytes).then_some(value)
    }
}

/// The operations for a seed.
pub fn ops(seed: u64, count: usize) -> Vec<Op> {
    let mut rng = Rng(seed);
    (0..count).map(|number| op(&mut rng, number)).collect()
}

fn op(rng: &mut Rng, number: usize) -> Op {
    let (key, namespace) = (key(rng), rng.below(2) as usize);
    match rng.below(100) {
        0..45 => Op::Put(key, value(rng)),
        45..55 => Op::Delete(key),
        55..63 => Op::Incr((namespace, "counter".to_owned())),
        63..75 => {
            Op::Batch((0..=rng.below(8)).map(|_| (self::key(rng), (!rng.one_in(3)).then(|| value(rng)))).collect())
        }
        75..79 => Op::Import(namespace, (0..=rng.below(10)).map(|_| (self::key(rng).1, value(rng))).collect()),
        79..82 => Op::DeletePrefix(namespace, format!("key{}", rng.below(3))),
        82..86 => Op::Backup(number),
        86..91 => Op::Export(namespace),
        91..95 => Op::Checkpoint,
        95..97 => Op::Compact,
        _ => Op::Reopen,
    }
}

fn key(rng: &mut Rng) -> Key {
    (rng.below(2) as usize, format!("key{}", rng.below(30)))
}

fn value(rng: &mut Rng) -> Value {
    let len = match rng.below(20) {
        0 => 10_000 + rng.below(25_000),
        1..5 => 1000 + rng.below(8000),
        _ => 20 + rng.below(300),
    };
    Value::Bytes { seed: rng.next(), len: len as usize }
}

/// The contents of the store after each number of operations.
pub fn states(ops: &[Op]) -> Vec<Rows> {
    let mut states = vec![Rows::new()];
    for op in ops {
        let mut rows = states[states.len() - 1].clone();
        apply(&mut rows, op);
        states.push(rows);
    }
    states
}

fn apply(rows: &mut Rows, op: &Op) {
    match op {
        Op::Put(key, value) => drop(rows.insert(key.clone(), *value)),
        Op::Delete(key) => drop(rows.remove(key)),
        Op::Incr(key) => {
            let number = match rows.get(key) {
                Some(Value::Number(number)) => *number,
                _ => 0,
            };
            rows.insert(key.clone(), Value::Number(number + 1));
        }
        Op::Batch(changes) => {
            for (key, value) in changes {
                match value {
                    Some(value) => drop(rows.insert(key.clone(), *value)),
                    None => drop(rows.remove(key)),
                }
            }
        }
        Op::Import(namespace, entries) => {
            rows.extend(entries.iter().map(|(key, value)| ((*namespace, key.clone()), *value)));
        }
        Op::DeletePrefix(namespace, prefix) => {
            rows.retain(|(of, key), _| of != namespace || !key.starts_with(prefix.as_str()));
        }
        Op::Backup(_) | Op::Export(_) | Op::Checkpoint | Op::Compact | Op::Reopen => {}
    }
}

/// The rows of one namespace.
pub fn of_namespace(rows: &Rows, namespace: usize) -> Rows {
    rows.iter().filter(|((of, _), _)| *of == namespace).map(|(key, value)| (key.clone(), *value)).collect()
}

/// Reads the contents of a store.
pub fn read(store: &Store) -> Result<Rows, String> {
    let mut rows = Rows::new();
    for (number, name) in NAMESPACES.into_iter().enumerate() {
        let namespace = store.namespace(name).map_err(|error| error.to_string())?;
        read_namespace(&namespace, number, &mut rows)?;
    }
    Ok(rows)
}

pub fn read_namespace(namespace: &Namespace, number: usize, rows: &mut Rows) -> Result<(), String> {
    let mut cursor = None;
    loop {
        let options = ListOptions::new().cursor(cursor.as_deref()).values(true);
        let page = namespace.list(&options).map_err(|error| error.to_string())?;
        for key in page.entries {
            let bytes = key.value.unwrap_or_default();
            let value = Value::parse(&bytes).ok_or_else(|| format!("the value of {} is garbled", key.key))?;
            rows.insert((number, key.key), value);
        }
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

pub fn database(root: &Path) -> PathBuf {
    root.join("made/for it/kv.db")
}

pub fn backup(root: &Path, op: usize) -> PathBuf {
    root.join(format!("kept/{op}.db"))
}

pub fn export(root: &Path, namespace: usize) -> PathBuf {
    root.join(format!("kept/{namespace}.json"))
}

/// The role of the recorded process: it carries out the operations, and reports on stdout how many are done. Arguments:
/// the folder, the seed, the number of operations, and the durability. If one fails, it reports that and dies at once.
pub fn worker(arguments: &[&str]) -> ExitCode {
    let [root, seed, count, durability] = arguments else { panic!("a worker's arguments: {arguments:?}") };
    let root = Path::new(root);
    fs::create_dir(root.join("kept")).unwrap();
    fs::File::open(root).and_then(|folder| folder.sync_all()).unwrap();
    let seed = seed.parse().unwrap();
    // Where no sync is to fail, another store may have made the file and its folders, whose names are then not durable.
    if seed % 2 == 0 && std::env::var_os("POWER_FAIL").is_none() {
        Store::open(database(root), &OpenOptions::new()).and_then(|store| store.close()).unwrap();
    }
    let durability = if *durability == "full" { Durability::Full } else { Durability::Normal };
    let mut worker = Worker { root, options: OpenOptions::new().durability(durability), stores: Vec::new() };
    for (number, op) in ops(seed, count.parse().unwrap()).iter().enumerate() {
        match worker.run(op) {
            Ok(()) => println!("{}", number + 1),
            Err(error) => {
                println!("failed: {error}");
                // SAFETY: raise takes any number.
                unsafe { libc::raise(libc::SIGKILL) };
            }
        }
    }
    ExitCode::SUCCESS
}

struct Worker<'a> {
    root: &'a Path,
    options: OpenOptions,
    /// Two connections to one file, which take turns.
    stores: Vec<Store>,
}

impl Worker<'_> {
    fn run(&mut self, op: &Op) -> luat_kv::Result<()> {
        while self.stores.len() < 2 {
            self.stores.push(Store::open(database(self.root), &self.options)?);
        }
        self.stores.swap(0, 1);
        let store = self.stores[0].clone();
        let namespace = |number: usize| store.namespace(NAMESPACES[number]);
        match op {
            Op::Put((of, key), value) => namespace(*of)?.put(key, value.bytes()).map(drop),
            Op::Delete((of, key)) => namespace(*of)?.delete(key).map(drop),
            Op::Incr((of, key)) => namespace(*of)?.incr(key, 1).map(drop),
            Op::Batch(changes) => {
                let mut batch = store.batch();
                for ((of, key), value) in changes {
                    match value {
                        Some(value) => batch.put(&namespace(*of)?, key, value.bytes())?,
                        None => batch.delete(&namespace(*of)?, key)?,
                    };
                }
                batch.commit().map(drop)
            }
            Op::Import(of, entries) => {
                let lines = entries.iter().map(|(key, value)| {
                    let value = String::from_utf8(value.bytes()).unwrap();
                    serde_json::json!({ "key": key, "value": value }).to_string() + "\n"
                });
                namespace(*of)?.import(&mut io::Cursor::new(lines.collect::<String>()), true).map(drop)
            }
            Op::DeletePrefix(of, prefix) => namespace(*of)?.delete_prefix(prefix).map(drop),
            Op::Backup(number) => store.backup(backup(self.root, *number)),
            Op::Export(of) => namespace(*of)?.export_file(export(self.root, *of), Format::Json).map(drop),
            Op::Checkpoint => store.checkpoint().map(drop),
            Op::Compact => store.compact(),
            Op::Reopen => {
                self.stores.clear();
                store.close()
            }
        }
    }
}
