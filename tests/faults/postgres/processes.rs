//! Processes that change the same keys at the same time.

use std::process::{Child, ExitCode};

use luat_kv::{OpenOptions, Result, Store};

use super::control::Control;
use crate::support::{Run, end_if_it_hangs, role};

const PROCESSES: i64 = 8;

/// How often each process increments the sum: by `incr`, or by reading it and a batch with a check, which the others
/// often make fail.
const STEPS: [(&str, i64); 2] = [("incr", 1000), ("check", 250)];

pub fn suite(run: &mut Run) -> ExitCode {
    end_if_it_hangs();
    let mut control = Control::start(&[]);
    for (through, url) in [("", control.ask("url")), (" through pgbouncer", control.ask("bouncer"))] {
        for (how, steps) in STEPS {
            let database = control.ask("database");
            let name = database.split(['/', '?']).nth(3).expect("the name of a database");
            let url = url.replacen("/kv?", &format!("/{name}?"), 1);
            clients(run, (how, steps), &url);
            run.test(&format!("{PROCESSES} processes lose none of {steps} steps by {how}{through}"));
        }
    }
    run.done(&format!("{} changes", 2 * PROCESSES * STEPS.iter().map(|(_, steps)| steps).sum::<i64>()))
}

/// Runs the processes, and compares the sum.
fn clients(run: &mut Run, (how, steps): (&str, i64), url: &str) {
    let start = |_| role("postgres-client").args([how, &steps.to_string(), url]).spawn().expect("a process");
    // Each opens the store by itself, so they also race to make the tables.
    let processes: Vec<Child> = (0..PROCESSES).map(start).collect();
    for mut process in processes {
        let status = process.wait().expect("its end");
        if !status.success() {
            run.complain(format!("a process ended with {status}"));
        }
    }
    let found = Store::open_url(url, &OpenOptions::new()).and_then(|store| store.namespace("n")?.get("sum"));
    if found != Ok(Some((PROCESSES * steps).to_string().into_bytes())) {
        run.complain(format!("the sum is {found:?}"));
    }
}

/// Arguments: `incr` or `check`, the number of steps, and the URL.
pub fn client(arguments: &[&str]) -> ExitCode {
    let [how, steps, url] = arguments else { return ExitCode::from(2) };
    end_if_it_hangs();
    match changes(how, steps.parse().expect("a number"), url) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("# {error}");
            ExitCode::FAILURE
        }
    }
}

fn changes(how: &str, steps: i64, url: &str) -> Result<()> {
    let options = OpenOptions::new().busy_timeout(std::time::Duration::from_secs(60));
    let store = Store::open_url(url, &options)?;
    let namespace = store.namespace("n")?;
    let mut done = 0;
    while done < steps {
        if how == "incr" {
            namespace.incr("sum", 1)?;
            done += 1;
            continue;
        }
        let entry = namespace.get_entry("sum")?;
        let sum = entry.as_ref().map_or(0, |entry| String::from_utf8_lossy(entry.value()).parse().expect("a number"));
        let mut batch = store.batch();
        batch.check(&namespace, "sum", entry.map(|entry| entry.version))?;
        batch.put(&namespace, "sum", i64::to_string(&(sum + 1)))?;
        done += i64::from(batch.commit()?.is_some());
    }
    Ok(())
}
