//! The one connection of a store, and whose turn it is.
//!
//! A call takes the session out of its slot, and puts it back at the end. Another call waits meanwhile, for as long as
//! its deadline lets it.
//!
//! A process may fork while another thread waits for the network with the session in its hands. In the child that
//! thread does not exist, and the slot stays empty for ever; even its lock may be held. So a child makes a new slot. The
//! old one is not freed, since the connection in it is the parent's.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use super::call::Call;
use super::session::Session;
use super::sockets::generation;
use crate::error::{Code, Error, Result};

struct Slot {
    generation: u64,
    /// `None` while a call has it.
    session: Mutex<Option<Box<Session>>>,
    returned: Condvar,
}

pub(super) struct Slots(AtomicPtr<Slot>);

/// The session, for one call.
pub(super) struct Turn<'a> {
    slot: &'a Slot,
    session: Option<Box<Session>>,
}

impl Slots {
    pub fn new(session: Session) -> Self {
        Slots(AtomicPtr::new(Slot::new(session)))
    }

    /// Waits for the turn of this call. The caller is within a gate.
    pub fn turn(&self, call: &mut Call, new: impl FnOnce() -> Result<Session>) -> Result<Turn<'_>> {
        let slot = self.slot(new)?;
        let mut session = lock(slot).take();
        if session.is_none() {
            let until = call.until();
            session = call.outside(|| slot.wait(until));
        }
        match session {
            Some(_) => Ok(Turn { slot, session }),
            None => {
                let message = format!("another call had the connection to the server for {:.1} s", call.seconds());
                Err(Error::new(Code::Busy, message))
            }
        }
    }

    fn slot(&self, new: impl FnOnce() -> Result<Session>) -> Result<&Slot> {
        let current = self.0.load(Ordering::Acquire);
        // SAFETY: a slot is freed only by the drop of this, and one of the parent's never.
        let slot = unsafe { &*current };
        if slot.generation == generation() {
            return Ok(slot);
        }
        let made = Slot::new(new()?);
        match self.0.compare_exchange(current, made, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: as above.
            Ok(_) => Ok(unsafe { &*made }),
            Err(other) => {
                // SAFETY: nothing else has seen it.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: as above.
                Ok(unsafe { &*other })
            }
        }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        let slot = *self.0.get_mut();
        // SAFETY: the pointer is valid, and nothing else uses it any more.
        unsafe {
            if (*slot).generation == generation() {
                drop(Box::from_raw(slot));
            }
        }
        *self.0.get_mut() = ptr::null_mut();
    }
}

impl Slot {
    fn new(session: Session) -> *mut Slot {
        let session = Mutex::new(Some(Box::new(session)));
        Box::into_raw(Box::new(Slot { generation: generation(), session, returned: Condvar::new() }))
    }

    fn wait(&self, until: Instant) -> Option<Box<Session>> {
        let mut session = lock(self);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if session.is_some() || left.is_zero() {
                return session.take();
            }
            session = self.returned.wait_timeout(session, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn lock(slot: &Slot) -> std::sync::MutexGuard<'_, Option<Box<Session>>> {
    slot.session.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Turn<'_> {
    pub fn session(&mut self) -> Result<&mut Session> {
        self.session.as_deref_mut().ok_or_else(Error::closed)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(mut session) = self.session.take() {
            // After a panic or an error in the midst of a flight, answers may still come.
            session.discard_if_flying();
            *lock(self.slot) = Some(session);
            self.slot.returned.notify_one();
        }
    }
}
