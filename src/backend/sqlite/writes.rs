//! Carries out writes on the writing connection, one alone or several in one transaction, and moves the cache.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use super::cache::{Cache, Expected, Name, NewRow, Row};
use super::connection::Connection;
use super::group::{Answer, Job, Others};
use super::own_commits::OwnCommits;
use super::prepared::PreparedConnection;
use super::transaction::Change;
use crate::backend::{Action, Op, Outcome, Write};
use crate::error::{Error, Result};
use crate::test_hooks;
use crate::version::Version;

/// Adds to an error what is known of the file.
pub(super) type Explain<'a> = &'a dyn Fn(&PreparedConnection, Error) -> Error;

/// Carries out the write of a job that leads, and those of the others.
pub(super) fn carry_out(
    cache: &Cache,
    connection: &mut Connection,
    job: &Job,
    others: Others<'_>,
    explain: Explain<'_>,
) -> Result<Outcome> {
    if !others.is_empty() {
        let jobs: Vec<&Job> = std::iter::once(job).chain(others.iter()).collect();
        // None is answered before the commit, which the failure of another can prevent.
        match together(cache, connection, &jobs, explain) {
            Ok(Some(mut answers)) => {
                // SAFETY: this thread has taken them.
                others.iter().zip(answers.drain(1..)).for_each(|(job, answer)| unsafe { job.answer(answer) });
                let answer = answers.pop().unwrap_or_else(|| Ok(Err(Error::closed())));
                return answer.unwrap_or_else(|panic| resume_unwind(panic));
            }
            Ok(None) => {}
            Err(error) => {
                let explained = explain(&connection.sqlite, error.clone());
                // SAFETY: this thread has taken them.
                others.iter().for_each(|job| unsafe { job.answer(Ok(Err(explained.clone()))) });
                return Err(error);
            }
        }
    }
    // The others are repeated meanwhile, or have been answered.
    drop(others);
    // SAFETY: this thread leads with it.
    alone(cache, connection, unsafe { job.write() })
}

/// Carries out a write that meets no other.
pub(super) fn alone(cache: &Cache, connection: &mut Connection, write: &mut Write<'_, '_>) -> Result<Outcome> {
    let _expected = begin(cache, connection);
    let (clock, is_one_step) = (write.clock, write.is_one_step());
    let done = connection.change(clock, is_one_step, |change| Ok(write.apply(change)?.then_some(change.version)));
    let stored = done.as_ref().ok().copied().flatten();
    end(cache, connection, write.ops.iter().map(|op| changed(op, stored)));
    Ok(done?.map_or(Outcome::Conflict, Outcome::Done))
}

/// Returns the answers of all. `None`: nothing was changed, and each is to be repeated alone. An error is that of all.
fn together(
    cache: &Cache,
    connection: &mut Connection,
    jobs: &[&Job],
    explain: Explain<'_>,
) -> Result<Option<Vec<Answer>>> {
    let _expected = begin(cache, connection);
    let mut answers = Vec::with_capacity(jobs.len());
    // SAFETY: this thread leads with it.
    let clock = unsafe { jobs[0].write() }.clock;
    let done = connection.change_all(clock, jobs.len(), &mut |connection, mut change, index| {
        // SAFETY: this thread leads with it, or has taken it.
        let write = unsafe { jobs[index].write() };
        change.now = write.clock.now();
        answers.push(one_of_many(connection, &mut change, write).map(|answer| {
            let version = change.version;
            let done = answer.map(|done| if done { Outcome::Done(version) } else { Outcome::Conflict });
            // What is returned by this thread is explained later.
            done.map_err(|error| if index == 0 { error } else { explain(connection, error) })
        }));
        change.expiries
    });
    // SAFETY: as above.
    let writes = jobs.iter().map(|job| unsafe { job.write() });
    let stored = answers.iter().map(|answer| match answer {
        Ok(Ok(Outcome::Done(version))) => Some(*version),
        _ => None,
    });
    let ops = writes.zip(stored).flat_map(|(write, stored)| write.ops.iter().map(move |op| changed(op, stored)));
    end(cache, connection, ops);
    done.map(|is_done| is_done.then_some(answers))
}

/// Carries out a write within a transaction: all of it or nothing. A panic leaves nothing either.
fn one_of_many(
    connection: &PreparedConnection,
    change: &mut Change<'_>,
    write: &mut Write<'_, '_>,
) -> thread::Result<Result<bool>> {
    if write.is_one_step() {
        // SQLite undoes a statement that fails.
        return catch_unwind(AssertUnwindSafe(|| write.apply(change)));
    }
    let execute = |sql| -> Result<()> { Ok(connection.prepare_cached(sql)?.execute(()).map(|_| ())?) };
    if let Err(error) = execute("SAVEPOINT write") {
        return Ok(Err(error));
    }
    let done = catch_unwind(AssertUnwindSafe(|| write.apply(change)));
    let undone = match done {
        Ok(Ok(true)) => Ok(()),
        _ => execute("ROLLBACK TO write"),
    };
    match undone.and_then(|()| execute("RELEASE write")) {
        Ok(()) => done,
        Err(error) => done.map(|done| done.and(Err(error))),
    }
}

/// Before a commit whose keys will be known.
fn begin<'c>(cache: &'c Cache, connection: &Connection) -> Expected<'c> {
    connection.own_commits.iter().for_each(OwnCommits::forget);
    cache.expect()
}

fn end<'a>(cache: &Cache, connection: &Connection, changed: impl Iterator<Item = (Name<'a>, NewRow<'a>)>) {
    test_hooks::delay();
    let commit = connection.own_commits.as_ref().and_then(OwnCommits::last).zip(connection.index);
    cache.moved(commit, connection.sweeping.last_look(), changed);
}

/// What is known of the row of an operation after the commit. `stored` is the version of what the write has stored;
/// `None` if the write was not carried out.
fn changed<'a>(op: &'a Op<'_>, stored: Option<Version>) -> (Name<'a>, NewRow<'a>) {
    let row = match (&op.action, op.answer.stored, stored) {
        (Action::Put(content) | Action::Add(content), Some(expiration), Some(version)) => {
            NewRow::Row(Row { value: content.value, expiration, rest: Some((content.metadata, version)) })
        }
        (Action::Delete, _, Some(_)) => NewRow::Missing,
        _ => NewRow::Unknown,
    };
    (Name { namespace: op.namespace, key: op.key.as_bytes() }, row)
}
