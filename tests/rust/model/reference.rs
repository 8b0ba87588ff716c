//! A simple model of a store, random operations, and what both return.

// Each back end's test uses a part.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet, HashSet};

use luat_kv::{
    Batch, Clock, Code, Entry, Format, Imported, IncrOptions, ListOptions, Namespace, NamespaceStats, PutOptions,
    Store, Version,
};
use proptest::prelude::*;
use proptest::sample::select;

/// The time of the clock at the start.
pub const EPOCH: i64 = 1_700_000_000;

/// There are few namespaces and keys, so that operations affect each other. Their characters sort differently as bytes,
/// as UTF-16 and in a `LIKE`.
pub const NAMES: [&str; 3] = ["a", "a\0", "b"];
const KEYS: [&str; 12] = ["a", "a%", "a_", "aa", "ab", "b", "b\0", "\0", "Ä", "\u{fffd}", "\u{10000}", "\u{10ffff}x"];
const PREFIXES: [&str; 8] = ["", "a", "a%", "_", "b", "\u{fffd}", "\u{10ffff}", "zzz"];

/// Numbers, and texts that are nearly numbers.
const NUMBERS: [&str; 7] =
    ["7", "-3", "9223372036854775807", "-9223372036854775808", "1.0", "+1", "9223372036854775808"];

/// An index into `NAMES` and one into `KEYS`.
pub type Place = (usize, usize);

#[derive(Clone, Debug)]
pub struct Put {
    value: Vec<u8>,
    ttl: Option<i64>,
    at: Option<i64>,
    metadata: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub struct Incr {
    by: i64,
    initial: i64,
    ttl: Option<i64>,
}

/// What a check expects.
#[derive(Clone, Copy, Debug)]
pub enum Expect {
    Current,
    Missing,
    Stale,
}

#[derive(Clone, Debug)]
pub enum Step {
    Check(Place, Expect),
    Put(Place, Put),
    Delete(Place),
    Incr(Place, Incr),
}

#[derive(Clone, Debug)]
pub struct List {
    prefix: &'static str,
    start: &'static str,
    stop: Option<&'static str>,
    limit: u64,
    reverse: bool,
    values: bool,
}

#[derive(Clone, Debug)]
pub enum Op {
    Put(Place, Put),
    Add(Place, Put),
    Touch(Place, Option<i64>),
    Incr(Place, Incr),
    Delete(Place),
    Take(Place),
    DeletePrefix(usize, &'static str),
    Batch(Vec<Step>),
    Get(Place),
    GetMany(usize, Vec<usize>),
    /// All pages.
    List(usize, List),
    Count(usize, &'static str),
    Namespaces,
    /// From one namespace into another.
    Copy(usize, usize, Format, bool),
    Sweep(Option<u64>),
    Move(i64),
    /// Closes the store and opens it again. A store in memory stays open.
    Reopen,
}

fn put() -> impl Strategy<Value = Put> {
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        select(&NUMBERS[..]).prop_map(|number| number.as_bytes().to_vec())
    ];
    let metadata = select(&["{\"a\":1}", "false", "0", "[]", "{\n\"b\" : 1.0}", "null", "nonsense"][..]);
    (value, prop::option::of(-1..20_i64), prop::option::of(-5..20_i64), prop::option::of(metadata))
        .prop_map(|(value, ttl, at, metadata)| Put { value, ttl, at, metadata })
}

fn incr() -> impl Strategy<Value = Incr> {
    let by = prop_oneof![3 => -5..5_i64, 1 => select(&[i64::MAX, i64::MIN][..])];
    (by, select(&[0, 10, i64::MAX][..]), prop::option::of(1..20_i64)).prop_map(|(by, initial, ttl)| Incr {
        by,
        initial,
        ttl,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let place = (0..NAMES.len(), 0..KEYS.len());
    let expect = select(&[Expect::Current, Expect::Current, Expect::Missing, Expect::Stale][..]);
    let lasting = put().prop_map(|put| Put { ttl: put.ttl.map(|ttl| ttl.max(1)), at: None, metadata: None, ..put });
    prop_oneof![
        3 => (place.clone(), expect).prop_map(|(place, expect)| Step::Check(place, expect)),
        4 => (place.clone(), lasting).prop_map(|(place, put)| Step::Put(place, put)),
        1 => place.clone().prop_map(Step::Delete),
        1 => (place, incr()).prop_map(|(place, incr)| Step::Incr(place, incr)),
    ]
}

fn list() -> impl Strategy<Value = List> {
    let bound = || prop_oneof![3 => Just(""), 1 => select(&KEYS[..])];
    (select(&PREFIXES[..]), bound(), prop::option::of(select(&KEYS[..])), 1..6_u64, any::<bool>(), any::<bool>())
        .prop_map(|(prefix, start, stop, limit, reverse, values)| List { prefix, start, stop, limit, reverse, values })
}

pub fn op() -> impl Strategy<Value = Op> {
    let (name, prefix) = (0..NAMES.len(), select(&PREFIXES[..]));
    let place = (name.clone(), 0..KEYS.len());
    let format = select(&[Format::Json, Format::JsonLines][..]);
    prop_oneof![
        10 => (place.clone(), put()).prop_map(|(place, put)| Op::Put(place, put)),
        3 => (place.clone(), put()).prop_map(|(place, put)| Op::Add(place, put)),
        3 => (place.clone(), prop::option::of(-1..20_i64)).prop_map(|(place, ttl)| Op::Touch(place, ttl)),
        5 => (place.clone(), incr()).prop_map(|(place, incr)| Op::Incr(place, incr)),
        2 => place.clone().prop_map(Op::Delete),
        1 => place.clone().prop_map(Op::Take),
        1 => (name.clone(), prefix.clone()).prop_map(|(name, prefix)| Op::DeletePrefix(name, prefix)),
        4 => prop::collection::vec(step(), 0..6).prop_map(Op::Batch),
        4 => place.prop_map(Op::Get),
        2 => (name.clone(), prop::collection::vec(0..KEYS.len(), 1..20)).prop_map(|(name, keys)| Op::GetMany(name, keys)),
        5 => (name.clone(), list()).prop_map(|(name, list)| Op::List(name, list)),
        1 => (name.clone(), prefix).prop_map(|(name, prefix)| Op::Count(name, prefix)),
        1 => Just(Op::Namespaces),
        1 => (name.clone(), name, format, any::<bool>()).prop_map(|(a, b, format, replace)| Op::Copy(a, b, format, replace)),
        1 => prop::option::of(0..4_u64).prop_map(Op::Sweep),
        4 => (1..15_i64).prop_map(Op::Move),
        1 => Just(Op::Reopen),
    ]
}

/// The contents of a key.
#[derive(Clone, Debug, Default)]
struct Held {
    value: Vec<u8>,
    metadata: Option<String>,
    expiration: Option<i64>,
    version: Version,
}

/// What a store should do, in the simplest form.
///
/// Its clock only goes forwards. If it were set back, those expired entries would return that have not been removed
/// yet, and which ones those are depends on the back end.
#[derive(Clone, Default)]
struct Model {
    now: i64,
    /// By namespace and key. Versions are read from the store: see [`Run::learn`].
    rows: BTreeMap<(usize, &'static str), Held>,
    /// Entries that were written, and whose versions are not known yet.
    written: BTreeSet<(usize, &'static str)>,
}

impl Model {
    fn expire(&mut self) {
        let now = self.now;
        self.rows.retain(|_, entry| entry.expiration.is_none_or(|end| now < end));
    }

    fn store(&mut self, (name, key): Place, entry: Held) {
        self.rows.insert((name, KEYS[key]), entry);
        self.written.insert((name, KEYS[key]));
    }

    /// The entry that a put would leave, or the code of its error.
    fn entry(&self, Put { value, ttl, at, metadata }: &Put) -> Result<Held, Code> {
        if matches!(metadata, Some("null" | "nonsense")) {
            return Err(Code::Invalid);
        }
        let expiration = match (ttl, at) {
            (Some(ttl), _) if *ttl < 1 => return Err(Code::Invalid),
            (Some(ttl), _) => Some(self.now + ttl),
            (None, Some(at)) if *at <= 0 => return Err(Code::Invalid),
            (None, at) => at.map(|at| self.now + at),
        };
        let metadata = metadata.map(str::to_owned);
        Ok(Held { value: value.clone(), metadata, expiration, version: Version::default() })
    }

    fn incr(&mut self, place: Place, Incr { by, initial, ttl }: &Incr) -> Result<i64, Code> {
        let key = (place.0, KEYS[place.1]);
        let created = Held { expiration: ttl.map(|ttl| self.now + ttl), ..Held::default() };
        let (before, entry) = match self.rows.get(&key) {
            Some(entry) => {
                let text = String::from_utf8(entry.value.clone()).map_err(|_| Code::Invalid)?;
                let number = text.parse().ok().filter(|number: &i64| format!("{number}") == text);
                (number.ok_or(Code::Invalid)?, entry.clone())
            }
            None => (*initial, created),
        };
        let sum: i64 = before.checked_add(*by).ok_or(Code::Invalid)?;
        self.store(place, Held { value: sum.to_string().into(), ..entry });
        Ok(sum)
    }

    /// The rows of a namespace with a prefix, in the order of a list.
    fn list(&self, name: usize, list: &List) -> Vec<Entry> {
        let within =
            |key: &str| key.starts_with(list.prefix) && key >= list.start && list.stop.is_none_or(|stop| key < stop);
        let rows = self.rows.iter().filter(|((of, key), _)| *of == name && within(key));
        let mut keys: Vec<_> = rows.map(|((_, key), entry)| told(key, entry, list.values)).collect();
        if list.reverse {
            keys.reverse();
        }
        keys
    }

    fn under(&self, name: usize, prefix: &str) -> Vec<(usize, &'static str)> {
        self.rows.keys().filter(|(of, key)| *of == name && key.starts_with(prefix)).copied().collect()
    }
}

fn told(key: &str, held: &Held, values: bool) -> Entry {
    let mut entry = Entry::default();
    entry.key = key.to_owned();
    entry.value = values.then(|| held.value.clone());
    (entry.metadata, entry.expiration, entry.version) = (held.metadata.clone(), held.expiration, held.version);
    entry
}

/// A store and the model.
struct Run {
    store: Store,
    model: Model,
    /// Every version that each key ever had.
    versions: HashSet<(usize, &'static str, Version)>,
}

impl Run {
    fn namespace(&self, name: usize) -> Namespace {
        self.store.namespace(NAMES[name]).unwrap()
    }

    /// Reads the versions of what was written. None may be one that the key ever had.
    fn learn(&mut self) {
        for (name, key) in std::mem::take(&mut self.model.written) {
            if let Some(entry) = self.model.rows.get_mut(&(name, key)) {
                let found = self.store.namespace(NAMES[name]).unwrap().get_entry(key).unwrap();
                entry.version = found.expect("what was written is there").version;
                assert!(self.versions.insert((name, key, entry.version)), "a version came twice");
            }
        }
    }

    /// The version that a write returned is that of what it stored, if it stored something.
    fn expect_version(&self, (name, key): Place, version: Option<Version>) {
        if version.is_some() {
            let found = self.namespace(name).get_entry(KEYS[key]).unwrap();
            assert_eq!(found.map(|entry| entry.version), version);
        }
    }

    /// Runs an operation on both, and compares the results. Later operations compare the contents.
    fn step(&mut self, op: &Op) {
        match op {
            Op::Put((name, key), put) => {
                let options = options(put, self.model.now);
                let done = self.namespace(*name).put_with(KEYS[*key], &put.value, &options);
                let expected = self.model.entry(put).map(|entry| self.model.store((*name, *key), entry));
                self.expect_version((*name, *key), done.clone().ok());
                assert_eq!(done.map(|_| ()).map_err(|error| error.code()), expected);
            }
            Op::Add((name, key), put) => {
                let options = options(put, self.model.now);
                let done = self.namespace(*name).add_with(KEYS[*key], &put.value, &options);
                self.expect_version((*name, *key), done.clone().ok().flatten());
                let done = done.map(|added| added.is_some());
                let missing = !self.model.rows.contains_key(&(*name, KEYS[*key]));
                let expected = self.model.entry(put).map(|entry| {
                    if missing {
                        self.model.store((*name, *key), entry);
                    }
                    missing
                });
                assert_eq!(done.map_err(|error| error.code()), expected);
            }
            Op::Touch((name, key), ttl) => {
                let done = self.namespace(*name).touch(KEYS[*key], None, *ttl).map_err(|error| error.code());
                let expected = match (ttl, self.model.rows.get(&(*name, KEYS[*key])).cloned()) {
                    (Some(..1), _) => Err(Code::Invalid),
                    (_, None) => Ok(false),
                    (ttl, Some(entry)) => {
                        let expiration = ttl.map(|ttl| self.model.now + ttl);
                        self.model.store((*name, *key), Held { expiration, ..entry });
                        Ok(true)
                    }
                };
                assert_eq!(done, expected);
            }
            Op::Incr((name, key), incr) => {
                let options = IncrOptions::new().initial(incr.initial).ttl(incr.ttl);
                let done = self.namespace(*name).incr_with(KEYS[*key], incr.by, &options);
                assert_eq!(done.map_err(|error| error.code()), self.model.incr((*name, *key), incr));
            }
            Op::Delete((name, key)) => {
                let was_there = self.model.rows.remove(&(*name, KEYS[*key])).is_some();
                assert_eq!(self.namespace(*name).delete(KEYS[*key]).unwrap(), was_there);
            }
            Op::Take((name, key)) => {
                let expected = self.model.rows.remove(&(*name, KEYS[*key]));
                let expected = expected.map(|held| told(KEYS[*key], &held, true));
                assert_eq!(self.namespace(*name).take(KEYS[*key]).unwrap(), expected);
            }
            Op::DeletePrefix(name, prefix) => {
                let gone = self.model.under(*name, prefix);
                let namespace = self.namespace(*name);
                let removed = if prefix.is_empty() { namespace.clear() } else { namespace.delete_prefix(prefix) };
                assert_eq!(removed.unwrap(), gone.len() as u64);
                gone.iter().for_each(|key| drop(self.model.rows.remove(key)));
            }
            Op::Batch(steps) => self.batch(steps),
            Op::Get((name, key)) => {
                let expected = self.model.rows.get(&(*name, KEYS[*key]));
                let entry = expected.map(|held| told(KEYS[*key], held, true));
                assert_eq!(self.namespace(*name).get_entry(KEYS[*key]).unwrap(), entry);
                let value = self.namespace(*name).get(KEYS[*key]).unwrap();
                assert_eq!(value.as_ref(), expected.map(|entry| &entry.value));
                assert_eq!(self.namespace(*name).has(KEYS[*key]).unwrap(), expected.is_some());
            }
            Op::GetMany(name, keys) => {
                let keys: Vec<_> = keys.iter().map(|key| KEYS[*key]).collect();
                let unique: BTreeSet<_> = keys.iter().copied().collect();
                let there = unique.iter().filter_map(|key| Some((key, self.model.rows.get(&(*name, *key))?)));
                let expected: Vec<_> = there.map(|(key, entry)| told(key, entry, true)).collect();
                assert_eq!(self.namespace(*name).get_many(&keys).unwrap(), expected);
            }
            Op::List(name, list) => self.list(*name, list),
            Op::Count(name, prefix) => {
                let expected = self.model.under(*name, prefix).len() as u64;
                assert_eq!(self.namespace(*name).count(prefix).unwrap(), expected);
            }
            Op::Namespaces => self.namespaces(),
            Op::Copy(from, to, format, replace) => self.copy(*from, *to, *format, *replace),
            Op::Sweep(max) => {
                let removed = self.store.sweep(*max).unwrap();
                assert!(max.is_none_or(|max| removed <= max));
            }
            Op::Move(_) | Op::Reopen => unreachable!(),
        }
        self.learn();
    }

    fn batch(&mut self, steps: &[Step]) {
        let mut batch = self.store.batch();
        let mut after = self.model.clone();
        // `None` once a check has failed, an error's code once a step has.
        let mut outcome = Ok(Some(()));
        for step in steps {
            let done = self.batch_step(&mut batch, &mut after, step);
            if outcome == Ok(Some(())) {
                outcome = done;
            }
        }
        let committed = batch.commit();
        assert_eq!(committed.as_ref().map(|version| version.map(drop)).map_err(|error| error.code()), outcome);
        if let Ok(Some(version)) = committed {
            self.model = after;
            for (name, key) in self.model.written.clone() {
                let entry = self.namespace(name).get_entry(key).unwrap();
                assert!(entry.is_none_or(|entry| entry.version == version), "all that a batch puts has its version");
            }
        }
        assert!(batch.commit().is_err(), "it is over, or fails again");
    }

    fn batch_step(&self, batch: &mut Batch, after: &mut Model, step: &Step) -> Result<Option<()>, Code> {
        match step {
            Step::Check((name, key), expect) => {
                let namespace = self.namespace(*name);
                let current = |rows: &BTreeMap<_, Held>| rows.get(&(*name, KEYS[*key])).map(|entry| entry.version);
                let before = current(&self.model.rows);
                let old = self
                    .versions
                    .iter()
                    .find(|(of, k, version)| (*of, *k) == (*name, KEYS[*key]) && Some(*version) != before);
                let asked = match expect {
                    Expect::Current => before,
                    Expect::Missing => None,
                    Expect::Stale => old.map(|(_, _, version)| *version),
                };
                batch.check(&namespace, KEYS[*key], asked).unwrap();
                let fresh = after.written.contains(&(*name, KEYS[*key]));
                let now = current(&after.rows).filter(|_| !fresh);
                let there = after.rows.contains_key(&(*name, KEYS[*key]));
                let holds = if asked.is_none() { !there } else { now == asked };
                Ok(holds.then_some(()))
            }
            Step::Put((name, key), put) => {
                batch.put_with(&self.namespace(*name), KEYS[*key], &put.value, &options(put, self.model.now)).unwrap();
                after.store((*name, *key), self.model.entry(put).unwrap());
                Ok(Some(()))
            }
            Step::Delete((name, key)) => {
                batch.delete(&self.namespace(*name), KEYS[*key]).unwrap();
                after.rows.remove(&(*name, KEYS[*key]));
                Ok(Some(()))
            }
            Step::Incr((name, key), incr) => {
                let options = IncrOptions::new().initial(incr.initial).ttl(incr.ttl);
                batch.incr_with(&self.namespace(*name), KEYS[*key], incr.by, &options).unwrap();
                after.incr((*name, *key), incr).map(|_| Some(()))
            }
        }
    }

    fn list(&self, name: usize, list: &List) {
        let List { prefix, start, stop, limit, reverse, values } = *list;
        let (mut keys, mut pages, mut cursor) = (Vec::new(), 0, None);
        while pages == 0 || cursor.is_some() {
            let options = ListOptions::new()
                .prefix(prefix)
                .start(start)
                .stop(stop)
                .limit(limit)
                .cursor(cursor.as_deref())
                .reverse(reverse)
                .values(values);
            let page = self.namespace(name).list(&options).unwrap();
            if let Some(cursor) = &page.cursor {
                let other = options.reverse(!reverse).cursor(cursor.as_str());
                assert_eq!(self.namespace(name).list(&other).unwrap_err().code(), Code::Invalid);
            }
            keys.extend(page.entries);
            (cursor, pages) = (page.cursor, pages + 1);
        }
        let expected = self.model.list(name, list);
        let full = expected.len().div_ceil(limit as usize).max(1);
        assert_eq!(pages, full, "a page is complete exactly when nothing is left");
        assert_eq!(keys, expected);
    }

    fn namespaces(&self) {
        let live = |name: usize| self.model.under(name, "").len() as u64;
        let names: Vec<_> = (0..NAMES.len()).filter(|name| live(*name) > 0).map(|name| NAMES[name]).collect();
        assert_eq!(self.store.namespaces().unwrap(), names);
        for NamespaceStats { name, live: counted, expired, .. } in self.store.stats().unwrap().namespaces {
            let index = NAMES.iter().position(|known| *known == name).unwrap();
            assert_eq!(counted, live(index), "{name}");
            assert!(counted + expired > 0);
        }
    }

    fn copy(&mut self, from: usize, to: usize, format: Format, replace: bool) {
        let mut text = Vec::new();
        let rows = self.model.under(from, "");
        assert_eq!(self.namespace(from).export(&mut text, format).unwrap(), rows.len() as u64);
        if rows.is_empty() && format == Format::JsonLines {
            // No lines at all, which is not an export.
            assert_eq!(self.namespace(to).import(&mut text.as_slice(), replace).unwrap_err().code(), Code::Invalid);
            return;
        }
        let mut expected = Imported::default();
        for (_, key) in rows {
            if !replace && self.model.rows.contains_key(&(to, key)) {
                expected.skipped += 1;
                continue;
            }
            expected.stored += 1;
            let entry = self.model.rows[&(from, key)].clone();
            let metadata = entry.metadata.map(|metadata| metadata.replace('\n', " "));
            let place = (to, KEYS.iter().position(|known| *known == key).unwrap());
            self.model.store(place, Held { metadata, ..entry });
        }
        assert_eq!(self.namespace(to).import(&mut text.as_slice(), replace).unwrap(), expected);
    }
}

fn options(put: &Put, now: i64) -> PutOptions<'static> {
    PutOptions::new().expires_at(put.at.map(|at| now + at)).ttl(put.ttl).metadata(put.metadata)
}

/// Runs the operations on a store from `open`, which is called again after each `Reopen`, and on the model.
pub fn run(ops: &[Op], clock: &Clock, mut open: impl FnMut(Option<Store>) -> Store) {
    clock.set(EPOCH);
    let model = Model { now: EPOCH, ..Model::default() };
    let mut run = Run { store: open(None), model, versions: HashSet::new() };
    for op in ops {
        match op {
            Op::Move(seconds) => {
                run.model.now += seconds;
                clock.set(run.model.now);
                run.model.expire();
            }
            Op::Reopen => run.store = open(Some(run.store)),
            op => run.step(op),
        }
    }
    run.store.sweep(None).unwrap();
    assert_eq!(run.store.sweep(None).unwrap(), 0, "one sweep takes everything");
}
