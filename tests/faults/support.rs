//! What all suites use: random numbers, time, scratch folders, and TAP for the test runner.

use std::fs::OpenOptions;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Random numbers that a seed reproduces (SplitMix64).
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.below(index as u64 + 1) as usize);
        }
    }

    /// Returns true once in `n` times on average.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A running suite: its seed, its time, and its tests.
pub struct Run {
    name: &'static str,
    pub rng: Rng,
    time: Duration,
    torture: bool,
    begun: Instant,
    tests: u32,
    failed: u32,
    complaints: u32,
}

impl Run {
    /// A suite that takes this many seconds, or in `make torture` the time that is set for it.
    pub fn new(name: &'static str, seconds: u64) -> Run {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
        let seed = number("FAULTS_SEED").unwrap_or_else(|| RandomState::new().hash_one(name) % 1_000_000_000);
        let minutes = number("FAULTS_MINUTES");
        let (time, torture) = (Duration::from_secs(minutes.map_or(seconds, |minutes| minutes * 60)), minutes.is_some());
        println!("# {name}: repeat this run with FAULTS_SEED={seed}");
        Run { name, rng: Rng(seed), time, torture, begun: Instant::now(), tests: 0, failed: 0, complaints: 0 }
    }

    /// The end of a part that takes this share of the suite's time.
    pub fn share(&self, share: f64) -> Instant {
        Instant::now() + self.time.mul_f64(share)
    }

    /// Whether this is `make torture`, and everything is to be tried.
    pub fn is_torture(&self) -> bool {
        self.torture
    }

    /// Reports an error: the current test fails.
    pub fn complain(&mut self, what: impl std::fmt::Display) {
        /// Further messages would add nothing.
        const SHOWN: u32 = 20;
        self.complaints += 1;
        if self.complaints <= SHOWN {
            println!("# {what}");
        }
    }

    pub fn complains(&self) -> bool {
        self.complaints > 0
    }

    /// Ends a test.
    pub fn test(&mut self, name: &str) {
        self.tests += 1;
        let failed = std::mem::take(&mut self.complaints) > 0;
        self.failed += u32::from(failed);
        println!("{}ok {} - {name}", if failed { "not " } else { "" }, self.tests);
    }

    /// A test that cannot run here.
    pub fn skip(&mut self, name: &str, why: &str) {
        self.tests += 1;
        println!("ok {} - {name} # SKIP {why}", self.tests);
    }

    /// Ends the suite, with its figures.
    pub fn done(&self, figures: &str) -> ExitCode {
        println!("# {}: {figures}, in {:.0} s", self.name, self.begun.elapsed().as_secs_f64());
        println!("1..{}", self.tests);
        ExitCode::from(u8::from(self.failed > 0))
    }
}

/// A command that runs this program in another role.
pub fn role(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program's own path"));
    command.arg(name).stdin(Stdio::null());
    command
}

/// Ends this process if it hangs: no healthy process takes this long.
pub fn end_if_it_hangs() {
    const SECONDS: u32 = 900;
    // SAFETY: it only sets a timer, whose signal ends the process.
    unsafe { libc::alarm(SECONDS) };
}

/// A scratch folder in memory if possible: for tests without power failures, and for frequent operations.
pub fn quick_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a scratch folder")
}

/// Memory that all processes of a suite share, as a file in its folder.
///
/// # Safety
/// Zeros must be a valid value, and all access atomic.
pub unsafe fn shared_memory<T>(folder: &Path) -> &'static T {
    let path = folder.join("shared");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).expect("a file");
    file.set_len(size_of::<T>() as u64).expect("its size");
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: it maps a file of this size, which stays mapped, and whose contents are valid, as promised.
    unsafe {
        let memory = libc::mmap(std::ptr::null_mut(), size_of::<T>(), access, kind, file.as_raw_fd(), 0);
        assert_ne!(memory, libc::MAP_FAILED);
        &*memory.cast()
    }
}

/// The result of `PRAGMA integrity_check`, from the sqlite3 shell: another process, and another SQLite.
pub fn integrity(database: &Path) -> String {
    let answer = Command::new("sqlite3").arg(database).arg("PRAGMA integrity_check").output().expect("sqlite3");
    let text = [answer.stdout, answer.stderr].concat();
    String::from_utf8_lossy(&text).trim().to_owned()
}
