//! Values by number.

use crate::error::{Error, Result};
use crate::oom_reserve;

/// The number of a value in a [`Slab`]. When the value is removed, another may get its number.
pub(super) type Id = u32;

/// Values that are found by their numbers in no time, and stay where they are. A number takes less room than a pointer,
/// may outlive its value, and is used without `unsafe`.
pub(super) struct Slab<T> {
    values: Vec<Option<Box<T>>>,
    /// The numbers without a value. It has room for all numbers, so removing a value needs no memory.
    free: Vec<Id>,
}

impl<T> Slab<T> {
    pub const fn new() -> Self {
        Slab { values: Vec::new(), free: Vec::new() }
    }

    #[inline]
    pub fn get(&self, id: Id) -> Option<&T> {
        self.values.get(id as usize)?.as_deref()
    }

    #[inline]
    pub fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.values.get_mut(id as usize)?.as_deref_mut()
    }

    /// Makes room for one more value.
    pub fn reserve(&mut self) -> Result<()> {
        let len = self.values.len();
        if self.free.is_empty() && (len == self.values.capacity() || len == self.free.capacity()) {
            // The room stays allocated even if it is not used, so it must not use the reserve.
            let bytes = 2 * (len + 1) * (size_of::<Option<Box<T>>>() + size_of::<Id>());
            oom_reserve::room(bytes)?;
            let reserved = self.values.try_reserve(1).and_then(|()| self.free.try_reserve(len + 1));
            reserved.map_err(|_| Error::no_memory(bytes))?;
            Id::try_from(len).map_err(|_| Error::no_memory(bytes))?;
        }
        Ok(())
    }

    /// Adds a value. Room for it was [reserved](Slab::reserve).
    pub fn insert(&mut self, value: Box<T>) -> Id {
        if let Some(id) = self.free.pop()
            && let Some(free) = self.values.get_mut(id as usize)
        {
            *free = Some(value);
            return id;
        }
        self.values.push(Some(value));
        (self.values.len() - 1) as Id
    }

    pub fn remove(&mut self, id: Id) -> Option<Box<T>> {
        let removed = self.values.get_mut(id as usize)?.take()?;
        self.free.push(id);
        if self.free.len() == self.values.len() {
            *self = Slab::new();
        }
        Some(removed)
    }
}
