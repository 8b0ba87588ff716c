use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use super::super::wal_index::SECOND_COMMITS;
use super::*;
use crate::clock::Clock;
use crate::version::Version;

const SIZE: u64 = 1 << 20;
const NOW: i64 = 1_700_000_000;

/// The fields of a header that a commit changes. As in SQLite's header, there are 12 numbers of 32 bits.
#[derive(Clone, Copy)]
struct State {
    commits: u32,
    frames: u32,
    salt: u32,
}

const FIRST: State = State { commits: 7, frames: 70, salt: 1 };

/// The state after a commit of one frame.
fn next(state: State) -> State {
    State { commits: state.commits + 1, frames: state.frames + 1, ..state }
}

fn header(State { commits, frames, salt }: State) -> Header {
    let pair = |first: u32, second: u32| {
        let ([a, b, c, d], [e, f, g, h]) = (first.to_ne_bytes(), second.to_ne_bytes());
        u64::from_ne_bytes([a, b, c, d, e, f, g, h])
    };
    Header([pair(3_007_000, 0), pair(commits, 1), pair(frames, 9), 0, pair(salt, 5), 0])
}

/// A cache, and the header that it sees as its file's: in a file that is mapped, as SQLite's is.
struct Bench {
    cache: Arc<Cache>,
    file: File,
    memory: &'static Numbers,
    connected: Option<Connected>,
}

impl Bench {
    fn new() -> Bench {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 15).unwrap();
        let (read_write, fd) = (libc::PROT_READ | libc::PROT_WRITE, file.as_raw_fd());
        // SAFETY: the file is long enough. The page is never unmapped.
        let memory = unsafe {
            let mapped = libc::mmap(std::ptr::null_mut(), size_of::<Numbers>(), read_write, libc::MAP_SHARED, fd, 0);
            assert_ne!(mapped, libc::MAP_FAILED);
            &*mapped.cast::<Numbers>()
        };
        let cache = Arc::<Cache>::default();
        let connected = Some(cache.connected(Some(fd)));
        let bench = Bench { cache, file, memory, connected };
        bench.publish(FIRST);
        bench
    }

    /// Another process commits, or this one.
    fn publish(&self, state: State) {
        self.memory.iter().zip(header(state).0).for_each(|(number, new)| number.store(new, Relaxed));
    }

    fn add(&self, state: State, key: &str, value: &str, expiration: Option<i64>) {
        self.add_row(
            state,
            key,
            Some(Row { value: value.as_bytes(), expiration, rest: Some((None, Version::default())) }),
        );
    }

    fn add_row(&self, state: State, key: &str, row: Option<Row<'_>>) {
        let name = Name::new("n", key.as_bytes());
        self.cache.add(WalIndex::new(self.memory), header(state), &name, row.as_ref(), SIZE);
    }

    /// What the cache answers; `None` if it does not.
    fn get_at(&self, key: &str, now: i64) -> Option<Option<String>> {
        let mut entry = Entry::default();
        let found = self.cache.get("n", key, Projection::Value, now, &mut entry)?.unwrap();
        let value = || String::from_utf8(entry.value().to_vec()).unwrap();
        let answer = found.then(value);
        let peeked = peek(&self.cache, key, now).unwrap();
        assert_eq!(peeked.map(|value| String::from_utf8(value).unwrap()), answer);
        Some(answer)
    }

    fn get(&self, key: &str) -> Option<Option<String>> {
        self.get_at(key, NOW)
    }

    /// The end of an own commit to `before` that ended with this frame, and changed `key`.
    fn moved(&self, before: State, last_frame: u32, key: &str, swept: Option<i64>) {
        let commit = OwnCommit { before: header(before), last_frame };
        let _expected = self.cache.expect();
        let name = Name::new("n", key.as_bytes());
        self.cache.moved(Some((commit, WalIndex::new(self.memory))), swept, [(name, NewRow::Unknown)].into_iter());
    }
}

/// What the cache copies to a place; `None` if it does not know.
fn peek(cache: &Cache, key: &str, now: i64) -> Option<Option<Vec<u8>>> {
    const ROOM: usize = 256;
    let mut place = [MaybeUninit::new(b'.'); ROOM];
    let (prepared, clock) = (Prepared::of("n"), Clock::manual(now));
    let (key, to) = (key.as_bytes(), &mut place);
    let mut peek = Peek { namespace: "n", key, prepared: &prepared, clock: &clock, known: None, to };
    let found = match cache.peek(&mut peek, now)? {
        Peeked::Found(len) => Some(len),
        _ => None,
    };
    // SAFETY: it was initialized when it was made.
    let place = place.map(|byte| unsafe { byte.assume_init() });
    // Nothing is written behind the value.
    assert!(place[found.unwrap_or_default()..].iter().all(|byte| *byte == b'.'));
    Some(found.map(|len| place[..len].to_vec()))
}

fn some(value: &str) -> Option<Option<String>> {
    Some(Some(value.to_owned()))
}

#[test]
fn a_row_is_returned_until_anybody_commits() {
    let bench = Bench::new();
    assert_eq!(bench.get("k"), None);
    bench.add(FIRST, "k", "v", None);
    bench.add_row(FIRST, "missing", None);
    assert_eq!((bench.get("k"), bench.get("missing"), bench.get("other")), (some("v"), Some(None), None));
    bench.publish(next(FIRST));
    assert_eq!((bench.get("k"), bench.get("missing")), (None, None));
    let stats = bench.cache.stats();
    assert_eq!((stats.hits, stats.drops), (4, 0)); // each is read in two ways
    bench.add(next(FIRST), "k", "new", None);
    assert_eq!((bench.get("k"), bench.cache.stats().drops), (some("new"), 1));
}

#[test]
fn a_header_that_is_being_written_is_none_of_the_two() {
    let bench = Bench::new();
    bench.add(FIRST, "k", "v", None);
    for (torn, new) in bench.memory.iter().zip(header(next(FIRST)).0) {
        let before = torn.swap(new, Relaxed);
        assert_eq!(bench.get("k").is_some(), before == new);
        torn.store(before, Relaxed);
    }
    assert_eq!(bench.get("k"), some("v"));
}

#[test]
fn a_header_that_is_being_written_is_not_taken_for_an_older_one() {
    let bench = Bench::new();
    bench.add(FIRST, "k", "v", None);
    let last = State { commits: FIRST.commits + 5, frames: FIRST.frames + 5, ..FIRST };
    // The log begins anew, and has as many frames as it once had.
    let anew = State { commits: last.commits + 1, frames: FIRST.frames, salt: FIRST.salt + 1 };
    for mixture in 0..1 << 6 {
        for (place, torn) in bench.memory.iter().enumerate() {
            let from = if mixture & 1 << place == 0 { last } else { anew };
            torn.store(header(from).0[place], Relaxed);
        }
        assert_eq!(bench.get("k"), None, "{mixture:06b}");
    }
}

#[test]
fn rows_of_an_older_header_do_not_come_back_with_a_new_one() {
    let bench = Bench::new();
    bench.add(FIRST, "k", "old", None);
    bench.publish(next(FIRST));
    bench.add(next(FIRST), "other", "v", None);
    assert_eq!((bench.get("k"), bench.get("other")), (None, some("v")));
    // Nor do rows that a read of the older header adds late.
    bench.add(FIRST, "k", "old", None);
    assert_eq!((bench.get("k"), bench.get("other")), (None, some("v")));
}

#[test]
fn the_cache_does_not_go_back_to_an_older_header() {
    // Another thread has compared with the header, and looks for its row now.
    let bench = Bench::new();
    bench.publish(next(FIRST));
    bench.add(next(FIRST), "other", "v", None);
    bench.add(FIRST, "k", "old", None);
    assert!(bench.cache.rows.get().unwrap().find(&Name::new("n", b"k")).is_none());
    assert_eq!(bench.cache.header(), header(next(FIRST)));
}

#[test]
fn a_read_that_found_a_row_before_the_cache_was_emptied_does_not_return_it() {
    let bench = Bench::new();
    bench.add(FIRST, "k", "old", None);
    let record = bench.cache.rows.get().unwrap().find(&Name::new("n", b"k")).unwrap();
    assert!(record.is_intact());
    bench.publish(next(FIRST));
    bench.add(next(FIRST), "other", "v", None);
    assert!(!record.is_intact());
}

#[test]
fn an_own_commit_leaves_the_other_rows() {
    let bench = Bench::new();
    bench.add(FIRST, "k", "v", None);
    bench.add(FIRST, "other", "v", None);
    bench.publish(next(FIRST));
    bench.moved(FIRST, next(FIRST).frames, "k", None);
    assert_eq!((bench.get("k"), bench.get("other")), (None, some("v")));
    // A read that began before the commit adds nothing.
    bench.add(FIRST, "k", "old", None);
    assert_eq!(bench.get("k"), None);
}

#[test]
fn an_own_commit_brings_the_rows_that_it_has_put() {
    let bench = Bench::new();
    let row = |value| Row { value, expiration: None, rest: Some((None, Version::default())) };
    for key in ["put", "deleted", "put and deleted", "put and unknown"] {
        bench.add(FIRST, key, "old", None);
    }
    bench.publish(next(FIRST));
    let changed = [
        ("put", NewRow::Row(row(b"new"))),
        ("put and deleted", NewRow::Row(row(b"new"))),
        ("put and unknown", NewRow::Row(row(b"new"))),
        ("not read before", NewRow::Row(row(b"new"))),
        ("put and deleted", NewRow::Missing),
        ("deleted", NewRow::Missing),
        ("put and unknown", NewRow::Unknown),
    ];
    let changed = changed.map(|(key, row)| (Name::new("n", key.as_bytes()), row));
    let commit = OwnCommit { before: header(FIRST), last_frame: next(FIRST).frames };
    bench.cache.moved(Some((commit, WalIndex::new(bench.memory))), None, changed.into_iter());
    assert_eq!((bench.get("put"), bench.get("deleted")), (some("new"), Some(None)));
    assert_eq!((bench.get("put and deleted"), bench.get("put and unknown")), (Some(None), None));
    assert_eq!(bench.get("not read before"), None);
}

#[test]
fn a_commit_of_others_around_an_own_one_empties_the_cache() {
    let second = next(FIRST);
    let (third, fourth) = (next(second), next(next(second)));
    // Before it, after it, after it with the log begun anew, and instead of it after a recovery.
    let anew = State { commits: third.commits, frames: second.frames, salt: 2 };
    let recovered = State { commits: 1, ..second };
    // After a recovery, which resets the number of commits, as many commits as before.
    let longer = State { commits: second.commits, ..third };
    for (before, last, present) in [
        (second, third, third),
        (FIRST, second, third),
        (FIRST, second, fourth),
        (FIRST, second, anew),
        (FIRST, second, recovered),
        (FIRST, second, longer),
    ] {
        let bench = Bench::new();
        bench.add(FIRST, "other", "v", None);
        bench.publish(present);
        bench.moved(before, last.frames, "k", None);
        assert_eq!(bench.get("other"), None);
        bench.add(present, "other", "new", None);
        assert_eq!(bench.get("other"), some("new"));
    }
}

#[test]
fn a_commit_of_the_same_length_is_recognized() {
    // The log may end with the same frame as this process's commit, though that of another began it anew.
    let bench = Bench::new();
    bench.add(FIRST, "other", "v", None);
    let anew = State { salt: 2, ..next(FIRST) };
    bench.publish(anew);
    bench.moved(FIRST, anew.frames, "k", None);
    assert_eq!(bench.get("other"), None);
}

#[test]
fn while_an_own_commit_ends_a_read_leaves_the_cache_alone() {
    let bench = Bench::new();
    bench.add(FIRST, "other", "v", None);
    let expected = bench.cache.expect();
    bench.publish(next(FIRST));
    bench.add(next(FIRST), "k", "new", None);
    bench.moved(FIRST, next(FIRST).frames, "k", None);
    drop(expected);
    assert_eq!((bench.get("k"), bench.get("other")), (None, some("v")));
}

#[test]
fn rows_expire() {
    let bench = Bench::new();
    bench.add(FIRST, "k", "v", Some(NOW + 1));
    assert_eq!((bench.get_at("k", NOW), bench.get_at("k", NOW + 1)), (some("v"), Some(None)));
    // The clock may be set back, until the row may be gone.
    assert_eq!(bench.get_at("k", NOW), some("v"));
    bench.add(FIRST, "later", "v", Some(NOW + 3));
    bench.publish(next(FIRST));
    bench.moved(FIRST, next(FIRST).frames, "other", Some(NOW + 2));
    assert_eq!((bench.get_at("k", NOW), bench.get_at("k", NOW + 2)), (None, Some(None)));
    assert_eq!(bench.get_at("later", NOW), some("v"));
}

#[test]
fn a_row_that_was_read_while_somebody_committed_is_not_added() {
    let bench = Bench::new();
    let index = Some(WalIndex::new(bench.memory));
    let entry = Entry { value: Some(b"old".to_vec()), ..Entry::default() };
    for commits in [false, true] {
        let adding = Adding::begin(&bench.cache, index, SIZE).unwrap();
        if commits {
            bench.publish(next(FIRST));
        }
        let key = if commits { "late" } else { "k" };
        adding.end("n", key, Found::Live(None), Projection::Value, &entry);
    }
    bench.publish(FIRST); // only here: no file goes back to a header
    assert_eq!((bench.get("k"), bench.get("late")), (some("old"), None));
    assert!(Adding::begin(&bench.cache, index, 0).is_none());
}

#[test]
fn without_a_connection_there_is_no_header() {
    let mut bench = Bench::new();
    bench.add(FIRST, "k", "v", None);
    let index = Some(bench.file.as_raw_fd());
    drop(bench.cache.connected(index));
    assert_eq!(bench.get("k"), some("v"));
    drop(bench.connected.take());
    assert_eq!(bench.get("k"), None);
    // The file may have been written to and have the same header again.
    bench.connected = Some(bench.cache.connected(index));
    assert_eq!(bench.get("k"), None);
    bench.add(FIRST, "k", "new", None);
    assert_eq!(bench.get("k"), some("new"));
}

#[test]
fn a_moment_does_not_come_back_with_its_header() {
    let mut bench = Bench::new();
    let first = bench.cache.moment();
    assert!(first.is_some() && bench.cache.moment() == first);
    bench.publish(next(FIRST));
    assert_ne!(bench.cache.moment(), first);
    bench.publish(FIRST);
    assert_eq!(bench.cache.moment(), first);
    // Others may have committed since, and ended the log.
    bench.connected = None;
    assert_eq!(bench.cache.moment(), None);
    bench.connected = Some(bench.cache.connected(Some(bench.file.as_raw_fd())));
    assert!(bench.cache.moment().is_some_and(|moment| Some(moment) != first));
}

#[test]
fn a_commit_that_was_killed_between_the_copies_of_the_header_is_another_moment() {
    let bench = Bench::new();
    let before = bench.cache.moment();
    bench.file.write_at(&7_u32.to_ne_bytes(), 4 * SECOND_COMMITS as u64).unwrap();
    assert_ne!(bench.cache.moment(), before);
}

#[test]
fn many_keys_are_read_as_of_one_moment() {
    let bench = Bench::new();
    bench.add(FIRST, "a", "1", None);
    bench.add(FIRST, "b", "2", Some(NOW));
    let names = |found: Vec<Entry>| found.into_iter().map(|entry| entry.key).collect::<Vec<_>>();
    let get_many = |keys: &[&str]| bench.cache.get_many("n", keys, NOW).map(|found| names(found.unwrap()));
    assert_eq!(get_many(&["a", "b"]), Some(vec!["a".to_owned()]));
    assert_eq!(get_many(&["a", "c"]), None);
    bench.add_row(FIRST, "c", None);
    assert_eq!(get_many(&["a", "c"]), Some(vec!["a".to_owned()]));
    bench.publish(next(FIRST));
    assert_eq!(get_many(&["a"]), None);
}

#[test]
fn rows_that_are_overwritten_while_they_are_read_are_not_returned() {
    let bench = Bench::new();
    let cache = &bench.cache;
    let size = 1 << 15;
    let (ends, read) = (AtomicBool::new(false), std::sync::atomic::AtomicU64::new(0));
    let check = |key: usize, value: &[u8]| {
        assert!(value.len() == 100 + key && value.iter().all(|byte| *byte == value[0]), "{key}: {value:?}");
        read.fetch_add(1, Relaxed);
    };
    let keys: Vec<String> = (0..100).map(|key| key.to_string()).collect();
    std::thread::scope(|scope| {
        let reader = || {
            let mut entry = Entry::default();
            while !ends.load(Relaxed) {
                assert!(cache.stats().size <= size);
                for (number, key) in keys.iter().enumerate() {
                    if let Some(Ok(true)) = cache.get("n", key, Projection::Entry, NOW, &mut entry) {
                        check(number, entry.value());
                    }
                    if let Some(value) = peek(cache, key, NOW) {
                        check(number, &value.unwrap());
                    }
                    if let Some(found) = cache.get_many("n", &[key], NOW) {
                        check(number, found.unwrap()[0].value());
                    }
                }
            }
        };
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        let mut number = 0;
        while number < 300_000 || read.load(Relaxed) < 1000 {
            let key = number * 7919 % keys.len();
            let value = vec![number as u8; 100 + key];
            let row = Row { value: &value, expiration: None, rest: Some((None, Version::default())) };
            let name = Name::new("n", keys[key].as_bytes());
            cache.add(WalIndex::new(bench.memory), header(FIRST), &name, Some(&row), size);
            number += 1;
        }
        ends.store(true, Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn a_key_is_added_when_it_is_asked_for_again() {
    let cache = Cache::default();
    let asked = |key: &str| cache.missed("n", key, SIZE);
    assert_eq!([asked("a"), asked("b"), asked("a")], [false, false, true]);
    assert_eq!(cache.stats().misses, 3);
}

#[test]
fn nothing_is_added_for_a_while_where_hits_are_few() {
    let bench = Bench::new();
    let mut state = FIRST;
    let mut turn = |hits: usize| {
        let has_added = bench.cache.missed("n", "k", SIZE) || bench.cache.missed("n", "k", SIZE);
        if has_added {
            bench.add(state, "k", "v", None);
        }
        (0..hits).for_each(|_| assert_eq!(bench.get("k").is_some(), has_added));
        state = next(state);
        bench.publish(state);
        has_added
    };
    assert!((0..100).all(|_| turn(1)));
    // Each time that it has tried in vain, the cache rests for longer.
    let rests = (0..2000).filter(|_| !turn(0)).count();
    assert!((1900..2000).contains(&rests), "{rests}");
    // It is used again when there are some.
    while !turn(1) {}
    assert!((0..100).all(|_| turn(1)));
}

#[test]
fn keys_that_displace_each_other_are_added_too() {
    // With one place for all.
    let asked = Asked::new(1);
    let keys: Vec<String> = (0..100).map(|key| key.to_string()).collect();
    let again = |key: &String| asked.again(&Name::new("n", key.as_bytes()));
    let added = (0..10).flat_map(|_| &keys).filter(|key| again(key)).count();
    assert!(added >= 50, "{added}");
}

#[test]
fn the_rows_stay_within_the_size() {
    let bench = Bench::new();
    for key in 0..20_000 {
        bench.add(FIRST, &key.to_string(), "a value of twenty bytes", None);
    }
    let size = bench.cache.stats().size;
    assert!((SIZE / 2..=SIZE).contains(&size), "{size}");
    let large = "v".repeat(16 * 1024);
    bench.add(FIRST, "k", "v", None);
    bench.add(FIRST, "k", &large, None);
    assert_eq!(bench.get("k"), None);
}
