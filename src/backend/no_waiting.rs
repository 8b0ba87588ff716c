//! In WebAssembly nothing can wait: nobody else writes during a call.

pub(crate) trait Waiting {}

impl<T> Waiting for T {}
