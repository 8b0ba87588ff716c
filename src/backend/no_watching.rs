//! In WebAssembly without Lua, JavaScript watches by itself.

pub(crate) trait Watching {}

impl<T> Watching for T {}
