//! Carries out writes on the writing connection, one alone or several in one transaction, and moves the cache.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use super::cache::{Cache, Expected, NewRow, Row};
use super::connection::Connection;
use super::group::{Answer, Job, Others};
use super::own_commits::OwnCommits;
use super::prepared::PreparedConnection;
use super::transaction::Change;
use crate::backend::{Action, Name, Op, Outcome, Write};
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
    end(cache, connection, changed(write.ops, stored));
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
    // A commit that failed has changed nothing, whatever was answered before it.
    let is_done = matches!(done, Ok(true));
    let stored = answers.iter().map(|answer| match answer {
        Ok(Ok(Outcome::Done(version))) if is_done => Some(*version),
        _ => None,
    });
    let ops = writes.zip(stored).flat_map(|(write, stored)| changed(write.ops, stored));
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

/// What is known of the rows of a write after its commit. `stored` is the version of what it has stored; `None` if it
/// was not carried out.
///
/// A read may find a row in the cache before the next one is replaced. So of several operations on one key, none brings
/// a row: no state of the file had what the first one put.
fn changed<'a>(ops: &'a [Op<'_>], stored: Option<Version>) -> impl Iterator<Item = (Name<'a>, NewRow<'a>)> {
    /// Each operation is compared with all.
    const MOST: usize = 16;
    let changing = || ops.iter().filter(|op| !matches!(op.action, Action::Check(_)));
    let known = stored.filter(|_| ops.len() <= MOST);
    changing().map(move |op| {
        let is_same = |other: &&Op<'_>| (other.namespace, other.key) == (op.namespace, op.key);
        let row = match (&op.action, op.answer.stored, known.filter(|_| changing().filter(is_same).count() == 1)) {
            (Action::Put(content) | Action::Add(content), Some(expiration), Some(version)) => {
                NewRow::Row(Row { value: content.value, expiration, rest: Some((content.metadata, version)) })
            }
            (Action::Delete, _, Some(_)) => NewRow::Missing,
            _ => NewRow::Unknown,
        };
        (Name::new(op.namespace, op.key.as_bytes()), row)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Content, Expires};

    #[test]
    fn only_what_a_commit_has_left_is_known() {
        let content = Content { value: b"v", metadata: Some("1"), expires: Expires::After(9) };
        let mut ops = [
            ("once", Action::Check(None)),
            ("once", Action::Put(content)),
            ("added", Action::Add(content)),
            ("there", Action::Add(content)),
            ("twice", Action::Put(content)),
            ("twice", Action::Delete),
            ("deleted", Action::Delete),
            ("taken", Action::Take),
            ("touched", Action::Touch(Expires::Never)),
            ("count", Action::Incr { by: 1, initial: 0, expires: Expires::Never }),
        ]
        .map(|(key, action)| Op::new("n", key, action));
        for op in &mut ops {
            op.answer.stored = (["once", "added", "twice"].contains(&op.key)).then_some(Some(7));
        }
        let known = |ops: &[Op<'_>], stored| -> Vec<String> {
            let known = changed(ops, stored).filter_map(|(name, row)| {
                let key = String::from_utf8(name.key.to_vec()).unwrap();
                match row {
                    NewRow::Unknown => None,
                    NewRow::Missing => Some(format!("{key} is missing")),
                    NewRow::Row(row) => Some(format!("{key} until {:?}", row.expiration)),
                }
            });
            known.collect()
        };
        let all = ["once until Some(7)", "added until Some(7)", "deleted is missing"];
        assert_eq!(known(&ops, Some(Version::default())), all);
        assert!(known(&ops, None).is_empty());
        // The cache removes all of a large write.
        let many: Vec<Op<'_>> = (0..17).map(|_| Op::new("n", "k", Action::Delete)).collect();
        assert_eq!((known(&many, Some(Version::default())).len(), changed(&many, None).count()), (0, 17));
    }
}
