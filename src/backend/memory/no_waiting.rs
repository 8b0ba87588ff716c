//! In WebAssembly nobody waits to be woken.

/// Whether watches notice a change by the version that it takes, so that it need not tell them. JavaScript watches by
/// itself.
pub(super) const BY_VERSIONS: bool = cfg!(feature = "internals");

#[derive(Default)]
pub(super) struct Watches(());

impl Watches {
    pub fn of(_store: u64) -> Self {
        Watches::default()
    }

    pub fn tell(&self) {}

    /// Versions begin at a random number, and a browser keeps them with a store. So a token is good after a reload.
    #[cfg(feature = "internals")]
    pub fn origin(&self) -> u64 {
        1
    }
}

#[cfg(feature = "internals")]
impl super::Memory {
    /// The number of the present moment.
    pub(super) fn present(&self) -> u64 {
        self.lock_to_read().as_ref().map_or(0, |maps| maps.versions.count())
    }
}
