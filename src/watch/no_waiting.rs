//! In WebAssembly no watch waits: nobody else writes during a call.

use std::time::Duration;

use super::{Seen, Watch};
use crate::backend::{Found, Moment};
use crate::error::{Error, Result};
use crate::store::Inner;
use crate::types::Change;

pub(super) struct Waiter(());

impl Waiter {
    pub fn begin(_: &Inner) -> Result<Self> {
        Ok(Waiter(()))
    }

    pub fn check_process(&self) -> Result<()> {
        Ok(())
    }

    pub fn set(&self) {}

    pub fn reset(&self) {}
}

/// The moment before a comparison, and what it has found.
type Look = (Option<Moment>, Found);

#[derive(Default)]
pub(super) struct Looks(());

impl Looks {
    pub fn note(&mut self, look: impl FnOnce() -> Result<Look>) -> Result<Look> {
        look()
    }
}

impl Watch {
    /// Looks once. Whatever the time, nothing would change.
    pub(super) fn look_for(&self, seen: &mut Seen, time: Duration) -> Result<Vec<Change>> {
        let changes = self.look(seen)?;
        if changes.is_empty() && time == Duration::MAX {
            let why = "a wait without a timeout would never end: nobody can write while Lua waits in WebAssembly";
            return Err(Error::invalid(why));
        }
        Ok(changes)
    }
}
