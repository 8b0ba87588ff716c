//! A disk that loses its power: which parts of a record certainly survive, and which may survive.
//!
//! These are the rules of POSIX and of disks, not of one file system, so they allow more than a particular one does:
//!
//! - What was written to a file before its last sync survives. Any part of what was written or truncated after it may
//!   survive, in any order, in sectors of 512 bytes.
//! - A change of a name is certain once its folder was synced after it. Otherwise any of the states that the name had
//!   since the last sync is possible. A rename is a change of two names.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::log::Event;
use crate::support::Rng;

const SECTOR: usize = 512;

/// What a name refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(u32),
    Folder,
}

#[derive(Default)]
struct Name {
    durable: Option<Node>,
    /// The changes after it, each with its number.
    changes: Vec<(usize, Option<Node>)>,
}

impl Name {
    fn now(&self) -> Option<Node> {
        self.changes.last().map_or(self.durable, |(_, node)| *node)
    }
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Truncate { len: usize },
}

#[derive(Default)]
struct File {
    durable: Vec<u8>,
    changes: Vec<Change>,
}

/// The disk after some number of events.
pub struct Disk {
    root: PathBuf,
    names: BTreeMap<PathBuf, Name>,
    files: HashMap<u32, File>,
    changes: usize,
}

/// How much of the changes that are not durable survives.
#[derive(Clone, Copy)]
enum Loss {
    /// Nothing.
    All,
    /// Everything.
    None,
    /// Everything before some moment.
    After,
    /// Any part.
    Some,
    /// Any part, down to the sectors of a write.
    Torn,
}

impl Loss {
    fn any(rng: &mut Rng) -> Loss {
        [Loss::All, Loss::None, Loss::After, Loss::Some, Loss::Torn][rng.below(5) as usize]
    }
}

impl Disk {
    /// An empty folder.
    pub fn new(root: &Path) -> Disk {
        Disk { root: root.to_owned(), names: BTreeMap::new(), files: HashMap::new(), changes: 0 }
    }

    /// The next event of the record.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Create { file, path } => {
                self.files.insert(*file, File::default());
                self.set(path, Some(Node::File(*file)));
            }
            Event::Write { file, offset, data } => {
                self.change(*file, Change::Write { offset: *offset, data: data.clone() });
            }
            Event::Truncate { file, len } => self.change(*file, Change::Truncate { len: *len }),
            Event::Sync { file } => {
                let File { durable, changes } = self.files.entry(*file).or_default();
                changes.drain(..).for_each(|change| change.apply(durable));
            }
            Event::Rename { from, to } => {
                let node = self.names.get(Path::new(from)).and_then(Name::now);
                self.set(to, node);
                self.changes -= 1; // one change of two names
                self.set(from, None);
            }
            Event::Link { from, to } => {
                let node = self.names.get(Path::new(from)).and_then(Name::now);
                self.set(to, node);
            }
            Event::Unlink { path } => self.set(path, None),
            Event::MakeFolder { path } => self.set(path, Some(Node::Folder)),
            Event::SyncFolder { path } => {
                for (name, state) in &mut self.names {
                    if name.parent() == Some(Path::new(path)) {
                        state.durable = state.now();
                        state.changes.clear();
                    }
                }
            }
            Event::Told { .. } => {}
        }
    }

    fn set(&mut self, path: &str, node: Option<Node>) {
        self.changes += 1;
        self.names.entry(path.into()).or_default().changes.push((self.changes, node));
    }

    fn change(&mut self, file: u32, change: Change) {
        self.files.entry(file).or_default().changes.push(change);
    }

    /// Every file in its present state, with its contents.
    pub fn files(&self) -> BTreeMap<&Path, Vec<u8>> {
        let files = self.names.iter().filter_map(|(path, name)| match name.now() {
            Some(Node::File(file)) => {
                let File { durable, changes } = &self.files[&file];
                let mut content = durable.clone();
                changes.iter().for_each(|change| change.apply(&mut content));
                Some((path.as_path(), content))
            }
            _ => None,
        });
        files.collect()
    }

    /// Writes a state that a power failure could leave now into an empty folder.
    pub fn lose_power(&self, rng: &mut Rng, to: &Path) {
        let names = self.names_left(rng);
        for (name, node) in &names {
            let below = name.strip_prefix(&self.root).expect("a name in the folder");
            let has_folder =
                name.parent().is_some_and(|folder| folder == self.root || to.join(below).parent().unwrap().is_dir());
            match node {
                _ if !has_folder => {} // nothing leads there
                Node::Folder => fs::create_dir(to.join(below)).expect("a folder"),
                Node::File(file) => fs::write(to.join(below), self.files[file].left(rng)).expect("a file"),
            }
        }
    }

    fn names_left(&self, rng: &mut Rng) -> BTreeMap<&Path, Node> {
        let loss = Loss::any(rng);
        let moment = rng.below(self.changes as u64 + 1) as usize;
        let left = self.names.iter().filter_map(|(path, name)| {
            let kept = match loss {
                Loss::All => 0,
                Loss::None => name.changes.len(),
                Loss::After => name.changes.partition_point(|(number, _)| *number <= moment),
                Loss::Some | Loss::Torn => rng.below(name.changes.len() as u64 + 1) as usize,
            };
            let node = if kept == 0 { name.durable } else { name.changes[kept - 1].1 };
            node.map(|node| (path.as_path(), node))
        });
        left.collect()
    }
}

impl File {
    fn left(&self, rng: &mut Rng) -> Vec<u8> {
        let mut content = self.durable.clone();
        let loss = Loss::any(rng);
        let moment = rng.below(self.changes.len() as u64 + 1) as usize;
        for (number, change) in self.changes.iter().enumerate() {
            match loss {
                Loss::All => break,
                Loss::None => change.apply(&mut content),
                Loss::After if number < moment => change.apply(&mut content),
                // The write at that moment is partial.
                Loss::After if number == moment => change.apply_torn(rng, &mut content),
                Loss::After => break,
                Loss::Some if rng.one_in(2) => change.apply(&mut content),
                Loss::Some => {}
                Loss::Torn => change.apply_torn(rng, &mut content),
            }
        }
        content
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { offset, data } => write(content, *offset, data),
            Change::Truncate { len } => content.resize(*len, 0),
        }
    }

    /// Each sector of a write at random.
    fn apply_torn(&self, rng: &mut Rng, content: &mut Vec<u8>) {
        match self {
            Change::Write { offset, data } => {
                let mut at = 0;
                while at < data.len() {
                    let end = data.len().min((offset + at) / SECTOR * SECTOR + SECTOR - offset);
                    if rng.one_in(2) {
                        write(content, offset + at, &data[at..end]);
                    }
                    at = end;
                }
            }
            Change::Truncate { .. } if rng.one_in(2) => self.apply(content),
            Change::Truncate { .. } => {}
        }
    }
}

fn write(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    content.resize(content.len().max(offset + data.len()), 0);
    content[offset..offset + data.len()].copy_from_slice(data);
}
