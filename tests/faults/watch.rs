//! Watches beside writes of other processes: whoever follows one arrives at what the store holds.
//!
//! Each client has threads that keep a copy of the keys by a watch alone, and one that writes.
//! They write in bursts: a change that a watch misses shows when nothing is written after it. Between two bursts each
//! copy must become what the file contains. Clients are killed and started again, also within a burst; they go on from a copy
//! that they have saved with a token. Another program writes, which wakes nobody. The library sleeps between its steps at times.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use std::{fs, thread};

use luat_kv::{ChangeKind, ListOptions, Namespace, OpenOptions, Store, WatchOptions};

use crate::support::{Rng, Run, end_if_it_hangs, quick_folder, role, shared_memory};

const CLIENTS: usize = 4;
const WATCHES: usize = 3;
const KEYS: u64 = 12;
const KEEPS_UP: Duration = Duration::from_secs(30);

/// The memory that all clients share.
#[repr(C)]
struct Shared {
    /// The number of the burst.
    burst: AtomicU64,
    /// The last burst that each client has finished.
    written: [AtomicU64; CLIENTS],
    /// The hash of each copy.
    copies: [[AtomicU64; WATCHES]; CLIENTS],
    changes: AtomicU64,
}

fn shared(folder: &Path) -> &'static Shared {
    // SAFETY: zeros are valid, and all access is atomic.
    unsafe { shared_memory(folder) }
}

/// What a watch's copy contains.
type Copy = BTreeMap<String, Vec<u8>>;

fn hash(copy: &Copy) -> u64 {
    let mut hasher = DefaultHasher::new();
    copy.hash(&mut hasher);
    hasher.finish()
}

fn list(namespace: &Namespace) -> Copy {
    let page = namespace.list(&ListOptions::new().values(true)).expect("a list");
    page.entries.into_iter().map(|entry| (entry.key.clone(), entry.into_value())).collect()
}

pub fn suite(run: &mut Run) -> ExitCode {
    let end = run.share(1.0);
    let (mut files, mut bursts, mut kills, mut changes) = (0, 0, 0, 0);
    while Instant::now() < end && !run.complains() {
        let folder = quick_folder();
        let mut round = Round::begin(run, folder.path());
        let pause = Instant::now() + Duration::from_secs(3);
        while Instant::now() < pause && !run.complains() {
            round.burst(run);
        }
        files += 1;
        (bursts, kills, changes) =
            (bursts + round.number, kills + round.kills, changes + round.shared.changes.load(SeqCst));
        round.end();
    }
    if changes == 0 {
        run.complain("no watch has told of a change");
    }
    run.test("each watch arrives at what the store holds");
    run.done(&format!("{files} files, {bursts} bursts, {kills} processes killed, {changes} changes told"))
}

struct Round<'a> {
    folder: &'a Path,
    shared: &'static Shared,
    namespace: Namespace,
    clients: Vec<Child>,
    delay: u64,
    number: u64,
    kills: u64,
}

impl<'a> Round<'a> {
    fn begin(run: &mut Run, folder: &'a Path) -> Self {
        let store = Store::open(folder.join("kv.db"), &OpenOptions::new()).expect("a new file");
        let mut round = Round {
            folder,
            shared: shared(folder),
            namespace: store.namespace("n").expect("a namespace"),
            clients: Vec::new(),
            delay: if run.rng.one_in(3) { 0 } else { 3 },
            number: 0,
            kills: 0,
        };
        round.clients = (0..CLIENTS).map(|place| round.start(run, place)).collect();
        round
    }

    fn start(&self, run: &mut Run, place: usize) -> Child {
        let mut command = role("watch-client");
        command.arg(self.folder).arg(place.to_string()).arg((run.rng.next() >> 1).to_string());
        command.env("LUAT_KV_DEBUG_DELAY", self.delay.to_string());
        command.spawn().expect("a client")
    }

    /// All write a little. Then each copy must become what the file holds.
    fn burst(&mut self, run: &mut Run) {
        self.number += 1;
        self.shared.burst.store(self.number, SeqCst);
        if run.rng.one_in(10) {
            let place = run.rng.below(CLIENTS as u64) as usize;
            thread::sleep(Duration::from_micros(run.rng.below(3000)));
            self.clients[place].kill().expect("to kill a client");
            self.clients[place].wait().expect("its end");
            self.shared.copies[place].iter().for_each(|copy| copy.store(0, SeqCst));
            self.clients[place] = self.start(run, place);
            self.kills += 1;
        }
        if run.rng.one_in(10) {
            let sql = format!("UPDATE kv SET value = '{}' WHERE key = '{}'", self.number, run.rng.below(KEYS));
            let mut shell = Command::new("sqlite3");
            shell.args(["-cmd", ".timeout 20000"]).arg(self.folder.join("kv.db")).arg(sql);
            assert!(shell.status().expect("sqlite3").success());
        }
        let begun = Instant::now();
        let written = || self.shared.written.iter().all(|written| written.load(SeqCst) == self.number);
        while !written() {
            if begun.elapsed() > KEEPS_UP {
                run.complain(format!("burst {}: a client has not written", self.number));
                return;
            }
            thread::sleep(Duration::from_micros(100));
        }
        let expected = hash(&list(&self.namespace));
        for copy in self.shared.copies.iter().flatten() {
            while copy.load(SeqCst) != expected {
                if begun.elapsed() > KEEPS_UP {
                    run.complain(format!("burst {}: a watch has missed a change", self.number));
                    return;
                }
                thread::sleep(Duration::from_micros(100));
            }
        }
    }

    fn end(self) {
        for mut client in self.clients {
            client.kill().expect("to kill a client");
            client.wait().expect("its end");
        }
    }
}

/// Arguments: the folder, the number of the client, and the seed.
pub fn client(arguments: &[&str]) -> ExitCode {
    let [folder, place, seed] = arguments else { return ExitCode::from(2) };
    let (folder, place) = (Path::new(folder), place.parse::<usize>().expect("a number"));
    let mut rng = Rng(seed.parse().expect("a number"));
    end_if_it_hangs();
    let shared = shared(folder);
    let options = OpenOptions::new().busy_timeout(Duration::from_secs(300));
    let store = Store::open(folder.join("kv.db"), &options).expect("to open the file");
    let namespace = &store.namespace("n").expect("a namespace");
    thread::scope(|scope| {
        for (number, copy) in shared.copies[place].iter().enumerate() {
            let timeout = if rng.one_in(2) { Duration::MAX } else { Duration::from_millis(rng.below(3)) };
            let (kept, saves) = (folder.join(format!("copy-{place}-{number}")), Rng(rng.next()));
            scope.spawn(move || follow(namespace, shared, copy, timeout, &kept, saves));
        }
        loop {
            let burst = shared.burst.load(SeqCst);
            if shared.written[place].load(SeqCst) == burst {
                thread::sleep(Duration::from_micros(100));
                continue;
            }
            (0..rng.below(4)).for_each(|_| write(namespace, &mut rng));
            shared.written[place].store(burst, SeqCst);
        }
    })
}

fn write(namespace: &Namespace, rng: &mut Rng) {
    let [key, other] = [(); 2].map(|()| rng.below(KEYS).to_string());
    let value = rng.next().to_string();
    match rng.below(4) {
        0 => _ = namespace.delete(&key).expect("a delete"),
        1 => {
            let mut batch = namespace.store().batch();
            batch.put(namespace, &key, &value).and_then(|batch| batch.delete(namespace, &other)).expect("a batch");
            batch.commit().expect("a commit");
        }
        _ => _ = namespace.put(&key, value).expect("a put"),
    }
}

/// Keeps a copy of the keys, and now and then saves it with its token. Goes on from there after it was killed.
fn follow(
    namespace: &Namespace,
    shared: &Shared,
    hash_of_copy: &AtomicU64,
    timeout: Duration,
    kept: &Path,
    mut rng: Rng,
) -> ! {
    let (token, mut copy) = match fs::read(kept) {
        Ok(saved) => serde_json::from_slice(&saved).expect("what was saved"),
        Err(_) => (String::new(), Copy::new()),
    };
    let options = WatchOptions::new().existing(token.is_empty()).since(&token).values(true);
    let watch = namespace.watch(&options).expect("a watch");
    let mut save = |copy: &Copy, handled: usize| {
        if rng.one_in(4) {
            let temporary = kept.with_extension("new");
            let saved = serde_json::to_vec(&(watch.token(handled).expect("a token"), copy)).expect("text");
            fs::write(&temporary, saved).and_then(|()| fs::rename(&temporary, kept)).expect("to save a copy");
        }
    };
    loop {
        hash_of_copy.store(hash(&copy), SeqCst);
        save(&copy, usize::MAX);
        let changes = watch.next(timeout).expect("changes");
        for (handled, change) in changes.into_iter().enumerate() {
            save(&copy, handled);
            shared.changes.fetch_add(1, SeqCst);
            match change.kind {
                ChangeKind::Put => _ = copy.insert(change.entry.key.clone(), change.entry.into_value()),
                _ => _ = copy.remove(&change.entry.key),
            }
        }
    }
}
