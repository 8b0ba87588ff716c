//! The store, accessed by threads of its own: a server that does not answer, or a long value, does not hold up the view.
//!
//! One thread lists, one reads and writes single entries, and one follows changes. They are asked by [`Request`]s, and
//! what they find arrives as [`Answer`]s.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use luat_kv::{Clock, Code, Entry, Error, ListOptions, Namespace, PutOptions, Store, Version, Watch, WatchOptions};

use super::value::Shown;
use crate::fail::{Fail, told};
use crate::place::{Access, Place};
use crate::text::show;

/// How many keys are read at once, before and after a place.
pub const PAGE: usize = 200;
/// A watch compares all of its keys after each write. If there are more than these, the keys in view are read again now
/// and then.
const WATCHED: u64 = 1000;
const INTERVAL: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

/// Some keys of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    pub namespace: String,
    pub prefix: String,
}

/// Where a list begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    First,
    Last,
    Around(String),
}

/// An entry's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub namespace: String,
    pub key: String,
}

/// What an entry has besides its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `None` if the entry is missing.
    pub version: Option<Version>,
    pub expiration: Option<i64>,
    pub metadata: Option<String>,
}

impl Facts {
    pub fn of(entry: &Entry) -> Self {
        Facts { version: Some(entry.version), expiration: entry.expiration, metadata: entry.metadata.clone() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Namespaces,
    List(Range, Spot),
    Read(Name),
    /// Whether the entry can be written; and what it holds, if it is to be edited.
    Prepare {
        name: Name,
        edits: bool,
    },
    /// Stores a text if the entry is still this one.
    Save {
        name: Name,
        text: Arc<[u8]>,
        facts: Facts,
    },
    Delete(Name, Version),
}

pub enum Answer {
    Namespaces(Result<Vec<String>, Trouble>),
    List(Range, Spot, Result<Keys, Trouble>),
    Read(Name, Result<Option<Shown>, Trouble>),
    Prepared {
        name: Name,
        edits: bool,
        found: Result<Option<Entry>, Trouble>,
    },
    Saved(Result<Saved, Trouble>),
    Deleted(Name, Result<Deleted, Trouble>),
    /// Some of the keys may have changed.
    Changed(Range),
    /// The changes cannot be followed for now.
    Unfollowed(Trouble),
}

#[derive(Debug, Default)]
pub struct Keys {
    pub entries: Vec<Entry>,
    /// Whether there are keys before and after these.
    pub before: bool,
    pub after: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Saved {
    Done,
    /// Another writer has changed the entry, to this, or removed it.
    Conflict(Facts),
}

#[derive(Debug, PartialEq, Eq)]
pub enum Deleted {
    Done,
    Missing,
    Changed,
}

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub message: String,
    /// Whether it may work later.
    pub passes: bool,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let message = format!("{}: {}", error.code().name(), show(told(&error).as_bytes()));
        Trouble { message, passes: matches!(error.code(), Code::Busy | Code::Io | Code::NoMem) }
    }
}

impl From<Fail> for Trouble {
    fn from(fail: Fail) -> Self {
        Trouble { message: show(fail.message().as_bytes()).into_owned(), passes: false }
    }
}

/// The threads.
pub struct Threads {
    lists: Sender<Request>,
    entries: Sender<Request>,
    follows: Sender<Option<Range>>,
}

impl Threads {
    pub fn start(store: &Store, place: &Place, answers: &Sender<Answer>) -> Self {
        let (lists, list_requests) = mpsc::channel();
        let (entries, entry_requests) = mpsc::channel();
        let (follows, ranges) = mpsc::channel();
        let reads = || Handle { place: place.clone(), access: Access::Read, store: Some(store.clone()) };
        let serve = |requests: Receiver<Request>| {
            let writes = Handle { access: Access::Change, store: None, ..reads() };
            let mut server = Server { reads: reads(), writes };
            let answers = answers.clone();
            // It ends with the program, or when nobody needs an answer any more.
            thread::spawn(move || requests.iter().all(|request| answers.send(server.answer(request)).is_ok()));
        };
        serve(list_requests);
        serve(entry_requests);
        let follower = Follower { store: reads(), answers: answers.clone(), ranges };
        thread::spawn(move || follower.run());
        Threads { lists, entries, follows }
    }

    /// Passes on a request. Returns `false` if the thread has ended, by a panic.
    pub fn ask(&self, request: Request) -> bool {
        let to = if matches!(request, Request::Namespaces | Request::List(..)) { &self.lists } else { &self.entries };
        to.send(request).is_ok()
    }

    /// Follows these keys from now on, instead of others.
    pub fn follow(&self, range: Option<Range>) -> bool {
        self.follows.send(range).is_ok()
    }
}

/// A store that is opened when it is needed, and anew after a failure: the file may have been replaced.
struct Handle {
    place: Place,
    access: Access,
    store: Option<Store>,
}

impl Handle {
    fn open(&mut self) -> Result<&Store, Trouble> {
        Ok(match &mut self.store {
            Some(store) => store,
            closed => closed.insert(self.place.open(self.access)?),
        })
    }

    fn namespace(&mut self, name: &str) -> Result<Namespace, Trouble> {
        Ok(self.open()?.namespace(name)?)
    }
}

struct Server {
    reads: Handle,
    /// Who only looks opens the file for reading only.
    writes: Handle,
}

impl Server {
    fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::Namespaces => {
                let names = self.reads.open().and_then(|store| Ok(store.namespaces()?));
                Answer::Namespaces(self.told(names))
            }
            Request::List(range, spot) => {
                let keys = self.list(&range, &spot);
                Answer::List(range, spot, self.told(keys))
            }
            Request::Read(name) => {
                let value = self.read(&name).map(|entry| entry.map(|entry| Shown::new(entry.into_value())));
                Answer::Read(name, self.told(value))
            }
            Request::Prepare { name, edits } => {
                let found = self.prepare(&name, edits);
                Answer::Prepared { name, edits, found: self.told(found) }
            }
            Request::Save { name, text, facts } => {
                let saved = self.save(&name, &text, &facts);
                Answer::Saved(self.told(saved))
            }
            Request::Delete(name, version) => {
                let deleted = self.delete(&name, version);
                Answer::Deleted(name, self.told(deleted))
            }
        }
    }

    fn told<T>(&mut self, result: Result<T, Trouble>) -> Result<T, Trouble> {
        if result.is_err() {
            (self.reads.store, self.writes.store) = (None, None);
        }
        result
    }

    fn list(&mut self, range: &Range, spot: &Spot) -> Result<Keys, Trouble> {
        let namespace = self.reads.namespace(&range.namespace)?;
        let options = ListOptions::new().prefix(&range.prefix).limit(PAGE as u64);
        let mut keys = Keys::default();
        if let Spot::Last | Spot::Around(_) = spot {
            let stop = if let Spot::Around(key) = spot { Some(&**key) } else { None };
            let page = namespace.list(&options.stop(stop).reverse(true))?;
            keys.before = page.cursor.is_some();
            keys.entries = page.entries;
            keys.entries.reverse();
        }
        if let Spot::First | Spot::Around(_) = spot {
            let start = if let Spot::Around(key) = spot { key } else { "" };
            let page = namespace.list(&options.start(start))?;
            keys.after = page.cursor.is_some();
            keys.entries.extend(page.entries);
        }
        Ok(keys)
    }

    fn read(&mut self, name: &Name) -> Result<Option<Entry>, Trouble> {
        Ok(self.reads.namespace(&name.namespace)?.get_entry(&name.key)?)
    }

    fn prepare(&mut self, name: &Name, edits: bool) -> Result<Option<Entry>, Trouble> {
        let namespace = self.writes.namespace(&name.namespace)?;
        // A store that cannot be written refuses this, which changes nothing.
        namespace.store().batch().check(&namespace, &name.key, None)?.commit()?;
        match edits {
            true => self.read(name),
            false => Ok(None),
        }
    }

    fn save(&mut self, name: &Name, text: &[u8], facts: &Facts) -> Result<Saved, Trouble> {
        let namespace = self.writes.namespace(&name.namespace)?;
        let is_over = facts.expiration.is_some_and(|end| end <= Clock::system().now());
        if !is_over {
            let options = PutOptions::new().expires_at(facts.expiration).metadata(facts.metadata.as_deref());
            let mut batch = namespace.store().batch();
            batch.check(&namespace, &name.key, facts.version)?.put_with(&namespace, &name.key, text, &options)?;
            if batch.commit()?.is_some() {
                return Ok(Saved::Done);
            }
        }
        match namespace.get_entry(&name.key)? {
            // A commit whose answer was lost is repeated, and finds its own text.
            Some(entry) if entry.value() == text => Ok(Saved::Done),
            found => Ok(Saved::Conflict(found.as_ref().map(Facts::of).unwrap_or_default())),
        }
    }

    fn delete(&mut self, name: &Name, version: Version) -> Result<Deleted, Trouble> {
        let namespace = self.writes.namespace(&name.namespace)?;
        let mut batch = namespace.store().batch();
        batch.check(&namespace, &name.key, Some(version))?.delete(&namespace, &name.key)?;
        if batch.commit()?.is_some() {
            return Ok(Deleted::Done);
        }
        Ok(if namespace.has(&name.key)? { Deleted::Changed } else { Deleted::Missing })
    }
}

/// Tells when some keys may have changed.
struct Follower {
    store: Handle,
    answers: Sender<Answer>,
    ranges: Receiver<Option<Range>>,
}

impl Follower {
    fn run(mut self) {
        let mut next = None;
        // It ends with the view.
        while let Some(range) = next.take().or_else(|| self.ranges.recv().ok()) {
            let Some(range) = range else { continue };
            loop {
                let since = Instant::now();
                match self.follow(&range) {
                    Ok(newer) => {
                        next = newer;
                        break;
                    }
                    Err(trouble) => {
                        self.store.store = None;
                        let _ = self.answers.send(Answer::Unfollowed(trouble));
                    }
                }
                match self.ranges.recv_timeout(INTERVAL.saturating_sub(since.elapsed())) {
                    Ok(newer) => {
                        next = Some(newer);
                        break;
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        }
    }

    /// Follows these keys until others are to be followed, which it returns; `None` at the end.
    fn follow(&mut self, range: &Range) -> Result<Option<Option<Range>>, Trouble> {
        let namespace = self.store.namespace(&range.namespace)?;
        let options = WatchOptions::new().prefix(&range.prefix);
        let is_small = || -> Result<bool, Error> {
            Ok(namespace.list(&ListOptions::new().prefix(&range.prefix).limit(WATCHED))?.cursor.is_none())
        };
        let mut watch = if is_small()? { Some(namespace.watch(&options)?) } else { None };
        loop {
            if self.answers.send(Answer::Changed(range.clone())).is_err() {
                return Ok(None);
            }
            // A writer that does not pause must not make the view read without a pause.
            thread::sleep(PAUSE);
            if let Wait::Other(newer) = self.wait(watch.as_ref())? {
                return Ok(newer);
            }
            // There may be too many keys by now.
            if watch.is_some() && !is_small()? {
                watch = None;
            }
        }
    }

    /// Waits for a change, or without a watch for the next look, or for other keys.
    fn wait(&self, watch: Option<&Watch>) -> Result<Wait, Error> {
        /// How soon it turns to other keys.
        const STEP: Duration = Duration::from_millis(250);
        loop {
            match self.ranges.recv_timeout(if watch.is_some() { Duration::ZERO } else { INTERVAL }) {
                Ok(newer) => return Ok(Wait::Other(Some(newer))),
                Err(RecvTimeoutError::Disconnected) => return Ok(Wait::Other(None)),
                Err(RecvTimeoutError::Timeout) => {}
            }
            match watch {
                Some(watch) if watch.next(STEP)?.is_empty() => {}
                _ => return Ok(Wait::Changed),
            }
        }
    }
}

enum Wait {
    Changed,
    Other(Option<Option<Range>>),
}
