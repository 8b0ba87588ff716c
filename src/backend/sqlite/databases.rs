//! The databases that this process has open, and how many stores use each of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::database::{Caller, Database};
use super::{Check, fork};
use crate::error::Result;

struct Shared {
    database: Arc<Database>,
    stores: usize,
}

/// Locked within calls only, so never during a fork. A holder of this lock may lock a database's pool, but not the
/// other way round.
static DATABASES: Mutex<Vec<Shared>> = Mutex::new(Vec::new());

fn databases() -> MutexGuard<'static, Vec<Shared>> {
    DATABASES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a database for one more store, which has to [`release`] it.
pub(super) fn open(
    path: PathBuf,
    caller: Caller,
    create: bool,
    check: Check<'_>,
    waited: Duration,
) -> Result<Arc<Database>> {
    if let Some(database) = find(&path, caller.readonly) {
        match database.join(caller, check) {
            Ok(()) => return Ok(database),
            // A new opening of the file either succeeds or reports what is wrong with it.
            Err(_) => release(&database)?,
        }
    }
    let database = Arc::new(Database::open(path, caller, create, check, waited)?);
    let mut list = databases();
    // Another thread may have been faster.
    if let Some(shared) = list.iter_mut().find(|shared| shared.is_for(database.path(), database.readonly())) {
        shared.stores += 1;
        let shared = shared.database.clone();
        drop(list);
        database.close()?;
        return Ok(shared);
    }
    list.push(Shared { database: database.clone(), stores: 1 });
    Ok(database)
}

fn find(path: &Path, readonly: bool) -> Option<Arc<Database>> {
    let mut list = databases();
    let shared = list.iter_mut().find(|shared| shared.is_for(path, readonly))?;
    shared.stores += 1;
    Some(shared.database.clone())
}

impl Shared {
    fn is_for(&self, path: &Path, readonly: bool) -> bool {
        self.database.is_for(path, readonly)
    }
}

/// Ends a store's use of the database. The last store closes it.
pub(super) fn release(database: &Arc<Database>) -> Result<()> {
    let mut list = databases();
    let Some(place) = list.iter().position(|shared| Arc::ptr_eq(&shared.database, database)) else { return Ok(()) };
    list[place].stores -= 1;
    if list[place].stores > 0 {
        return Ok(());
    }
    let last = list.swap_remove(place);
    drop(list);
    last.database.close()
}

/// Whether this is a file of a database that this process has open or will open again. The path is canonical. The
/// caller is within a call.
pub(crate) fn is_held(path: &Path) -> bool {
    databases().iter().any(|shared| shared.database.owns(path))
}

/// In the child of a fork, discards all inherited connections, of every database: SQLite would join a new connection to
/// any that is left. To be called before a connection is used, opened or closed. The caller is within a call, and has
/// no connection.
#[inline]
pub(super) fn discard_inherited() {
    if fork::has_inherited() {
        discard_all();
    }
}

#[cold]
fn discard_all() {
    // Other threads of the child wait here until it is done.
    let list = databases();
    fork::discard(|| list.iter().for_each(|shared| shared.database.discard_inherited()));
}
