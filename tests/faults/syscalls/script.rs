//! The operations during which a system call fails: each at least once, from the creation of the folders to the close.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use luat_kv::{Clock, Durability, Error, Format, ListOptions, Namespace, OpenOptions, PutOptions, Result, Store};

const EPOCH: i64 = 1_800_000_000;

/// How long a call may wait.
pub const BUSY_TIMEOUT: Duration = Duration::from_millis(100);

/// More keys than one step of a long removal takes.
const FILLED: usize = 600;

/// What the namespace must hold.
pub type Rows = BTreeMap<String, Vec<u8>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Open,
    Put,
    PutLarge,
    Incr,
    Add,
    Touch,
    Batch,
    GetMany,
    List,
    Fill,
    DeletePrefix,
    PutBrief,
    Sweep,
    Export,
    ImportReplacing,
    OpenAnother,
    PutByAnother,
    Checkpoint,
    Delete,
    Backup,
    Compact,
    Stats,
    Close,
    OpenAgain,
    Get,
    IncrAgain,
    CloseAgain,
}

use Step::*;

pub const STEPS: [Step; 27] = [
    Open,
    Put,
    PutLarge,
    Incr,
    Add,
    Touch,
    Batch,
    GetMany,
    List,
    Fill,
    DeletePrefix,
    PutBrief,
    Sweep,
    Export,
    ImportReplacing,
    OpenAnother,
    PutByAnother,
    Checkpoint,
    Delete,
    Backup,
    Compact,
    Stats,
    Close,
    OpenAgain,
    Get,
    IncrAgain,
    CloseAgain,
];

impl Step {
    pub fn closes(self) -> bool {
        matches!(self, Close | CloseAgain)
    }
}

/// A store under way through the steps.
pub struct Script {
    folder: PathBuf,
    options: OpenOptions,
    store: Option<Store>,
    another: Option<Store>,
}

pub fn database(folder: &Path) -> PathBuf {
    folder.join("new/folders/kv.db")
}

pub fn backup(folder: &Path) -> PathBuf {
    folder.join("backup.db")
}

pub fn export(folder: &Path) -> PathBuf {
    folder.join("export.jsonl")
}

fn large() -> Vec<u8> {
    vec![b'x'; 60_000]
}

/// What a step does to the namespace.
pub fn apply(rows: &mut Rows, step: Step) {
    let mut put = |key: &str, value: &str| drop(rows.insert(key.to_owned(), value.into()));
    match step {
        Put => put("one", "1"),
        PutLarge => drop(rows.insert("large".to_owned(), large())),
        Incr => put("counter", "1"),
        Add => put("added", "a"),
        Batch => {
            put("two", "2");
            put("three", "3");
            put("counter", "2");
            rows.remove("one");
        }
        Fill => rows.extend((0..FILLED).map(|index| (filled(index), b"filled".to_vec()))),
        DeletePrefix => rows.retain(|key, _| !key.starts_with("filled:")),
        PutByAnother => put("another", "b"),
        Delete => drop(rows.remove("two")),
        IncrAgain => put("counter", "3"),
        ImportReplacing => put("three", "imported"),
        _ => {}
    }
}

/// Is this what a step may leave that failed? Only a long removal goes in steps.
pub fn may_leave(before: &Rows, step: Step, found: &Rows) -> bool {
    let mut rest = before.clone();
    let gone = before.len().saturating_sub(found.len());
    if step == DeletePrefix {
        let first: Vec<_> = before.keys().filter(|key| key.starts_with("filled:")).take(gone).cloned().collect();
        first.iter().for_each(|key| drop(rest.remove(key)));
    }
    rest == *found
}

fn filled(index: usize) -> String {
    format!("filled:{index:04}")
}

impl Script {
    pub fn new(folder: PathBuf, durability: Durability) -> Script {
        let clock = Clock::manual(EPOCH);
        std::fs::write(folder.join("import.jsonl"), r#"{"key":"three","value":"imported"}"#).expect("a file to import");
        let options = OpenOptions::new().durability(durability).busy_timeout(BUSY_TIMEOUT).clock(clock);
        Script { folder, options, store: None, another: None }
    }

    fn store(&self) -> Result<&Store> {
        Ok(self.store.as_ref().expect("it is open: else its opening is tried again"))
    }

    fn namespace(&self) -> Result<Namespace> {
        self.store()?.namespace("test")
    }

    /// What the store has, by this process's handle; `None` where it is closed.
    pub fn rows(&self) -> Result<Option<Rows>> {
        self.store.as_ref().map(rows).transpose()
    }

    pub fn act(&mut self, step: Step) -> Result<()> {
        let forever = PutOptions::default();
        match step {
            Open | OpenAgain => self.store = Some(Store::open(database(&self.folder), &self.options)?),
            OpenAnother => self.another = Some(Store::open(database(&self.folder), &self.options)?),
            Put => drop(self.namespace()?.put_with("one", b"1", &forever.metadata("true"))?),
            PutLarge => drop(self.namespace()?.put_with("large", large(), &forever)?),
            Incr | IncrAgain => {
                self.namespace()?.incr("counter", 1)?;
            }
            Add => {
                let added = self.namespace()?.add_with("added", b"a", &forever)?;
                assert!(added.is_some(), "it was not there: else it failed, and was");
            }
            Touch => assert!(self.namespace()?.touch("added", None, Some(1000))?),
            Batch => self.batch()?,
            GetMany => assert_eq!(self.namespace()?.get_many(&["two", "large", "missing"])?.len(), 2),
            List => assert_eq!(self.namespace()?.list(&ListOptions::default())?.entries.len(), 5),
            Fill => self.fill()?,
            DeletePrefix => drop(self.namespace()?.delete_prefix("filled:")?),
            PutBrief => self.put_brief()?,
            Sweep => drop(self.store()?.sweep(None)?),
            Export => drop(self.namespace()?.export_file(export(&self.folder), Format::JsonLines)?),
            ImportReplacing => {
                self.namespace()?.import_file(self.folder.join("import.jsonl"), true)?;
            }
            PutByAnother => {
                self.another.as_ref().expect("opened before").namespace("test")?.put_with("another", b"b", &forever)?;
            }
            Checkpoint => drop(self.store()?.checkpoint()?),
            Delete => drop(self.namespace()?.delete("two")?),
            Backup => self.store()?.backup(backup(&self.folder))?,
            Compact => self.store()?.compact()?,
            Stats => drop(self.store()?.stats()?),
            Get => assert_eq!(self.namespace()?.get("three")?.as_deref(), Some(&b"imported"[..])),
            Close | CloseAgain => self.close()?,
        }
        Ok(())
    }

    /// Whatever it answers, the stores are closed then.
    fn close(&mut self) -> Result<()> {
        let stores = [self.another.take(), self.store.take()];
        stores.into_iter().flatten().try_for_each(|store| store.close())
    }

    fn batch(&self) -> Result<()> {
        let namespace = self.namespace()?;
        let mut batch = self.store()?.batch();
        batch.put(&namespace, "two", b"2")?;
        batch.put(&namespace, "three", b"3")?;
        batch.delete(&namespace, "one")?;
        batch.incr(&namespace, "counter", 1)?;
        assert!(batch.commit()?.is_some());
        Ok(())
    }

    fn fill(&self) -> Result<()> {
        let namespace = self.namespace()?;
        let mut batch = self.store()?.batch();
        for index in 0..FILLED {
            batch.put(&namespace, &filled(index), b"filled")?;
        }
        assert!(batch.commit()?.is_some());
        Ok(())
    }

    /// Entries that have expired when the step is over.
    fn put_brief(&self) -> Result<()> {
        let now = self.options.clock.now();
        let brief = PutOptions::new().expires_at(now + 1);
        let namespace = self.namespace()?;
        let put = (0..3).try_for_each(|index| namespace.put_with(&format!("brief {index}"), b"", &brief).map(drop));
        self.options.clock.set(now + 2);
        put
    }
}

/// All that a store's namespace has.
pub fn rows(store: &Store) -> Result<Rows, Error> {
    let options = ListOptions::new().values(true).limit(10_000);
    let page = store.namespace("test")?.list(&options)?;
    Ok(page.entries.into_iter().map(|key| (key.key, key.value.unwrap_or_default())).collect())
}

/// A store as another process opens it afterwards, when all that is brief has expired.
pub fn open_afterwards(path: &Path) -> Result<Store> {
    Store::open(path, &OpenOptions::new().clock(Clock::manual(EPOCH + 100)))
}
