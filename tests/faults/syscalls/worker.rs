//! The process whose system calls fail.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::Job;
use super::script::{Rows, STEPS, Script, apply, may_leave};
use crate::support::end_if_it_hangs;
use crate::trap;

/// How often a step is tried while a lasting fault lasts.
const TRIED: usize = 2;

/// Arguments: the folder. Each line on standard input is a job, and is answered by lines, of which the last is `end`:
///
/// - `failed STEP CODE MILLISECONDS MESSAGE`: a step failed, after so long a sleep.
/// - `counts N…`: how many calls of each kind there were up to the end of a step, in the run without a fault.
/// - `wrong …`: something that must not be.
/// - `end HITS DONE`: how many calls had a fault, and how many steps are done.
pub fn worker(arguments: &[&str]) -> ExitCode {
    let [folder] = arguments else { return ExitCode::from(2) };
    trap::install(Path::new(folder));
    for line in std::io::stdin().lock().lines() {
        end_if_it_hangs();
        let line = line.expect("a job");
        let (number, job) = line.split_once(' ').expect("a number and a job");
        let folder = Path::new(folder).join(number);
        std::fs::create_dir(&folder).expect("a folder for the job");
        Worker { folder, job: Job::parse(job).expect("a job"), rows: Rows::new(), hits: 0 }.work();
    }
    ExitCode::SUCCESS
}

struct Worker {
    folder: PathBuf,
    job: Job,
    rows: Rows,
    hits: u64,
}

impl Worker {
    fn work(&mut self) {
        let mut script = Script::new(self.folder.clone(), self.job.durability);
        self.job.arm();
        for (index, step) in STEPS.iter().enumerate() {
            if !self.step(&mut script, index) {
                self.end(index);
                if self.job.dies {
                    std::process::exit(0);
                }
                return;
            }
            apply(&mut self.rows, *step);
            if self.job.first == 0 {
                let counts: Vec<_> = trap::CALLS.iter().map(|call| trap::count(*call).to_string()).collect();
                println!("counts {}", counts.join(" "));
            }
        }
        trap::disarm();
        self.end(STEPS.len());
    }

    fn end(&mut self, done: usize) {
        self.hits += trap::hits();
        println!("end {} {done}", self.hits);
    }

    /// Takes a step, and where it fails takes it again when the fault is over. Returns whether it is done.
    fn step(&mut self, script: &mut Script, index: usize) -> bool {
        let tries = if self.job.lasting() { TRIED } else { 1 };
        if (0..tries).any(|_| self.attempt(script, index)) {
            return true;
        }
        if self.job.dies {
            return false;
        }
        trap::disarm();
        match script.rows() {
            Ok(Some(found)) if may_leave(&self.rows, STEPS[index], &found) => self.rows = found,
            Ok(Some(found)) => {
                println!("wrong the failed step {:?} left {} rows, and other ones", STEPS[index], found.len());
            }
            Ok(None) => {}
            Err(error) => println!("wrong after the failed step {:?} the store does not work: {error}", STEPS[index]),
        }
        // A close is one whatever it answers.
        if STEPS[index].closes() {
            return true;
        }
        match script.act(STEPS[index]) {
            Ok(()) => true,
            Err(error) => {
                println!("wrong the step {:?} fails though the fault is over: {error}", STEPS[index]);
                false
            }
        }
    }

    fn attempt(&self, script: &mut Script, index: usize) -> bool {
        let before = trap::slept();
        let done = script.act(STEPS[index]);
        if let Err(error) = &done {
            let slept = (trap::slept() - before).as_millis();
            println!("failed {index} {} {slept} {}", error.code().name(), error.message());
        }
        done.is_ok()
    }
}
