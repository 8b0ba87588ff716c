//! In WebAssembly, JavaScript watches by itself.

pub(crate) trait Watching {}
