//! Exports and imports, by path or through a file that is open in Lua.

use std::ffi::{c_int, c_void};
use std::io::{self, Read, Write};

use super::args::bad;
use super::call::{Call, call};
use super::ffi;
use super::namespace::this;
use super::scratch::{LuaError, Return};
use super::stack::{State, has_metatable};
use crate::internals::while_doing;
use crate::{Format, Imported, Result};

/// The index of the metatable of Lua's files.
const FILES: c_int = 4;

/// `kv:export(path|file, options?)`.
pub(super) unsafe extern "C-unwind" fn export(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        const FORMATS: &[(&str, Format)] = &[("json", Format::Json), ("jsonl", Format::JsonLines)];
        let namespace = this(call)?;
        let mut format = None;
        call.options(3, &["format"], |call, _, value| {
            format = Some(value.as_choice(call, FORMATS)?);
            Ok(())
        })?;
        let count = match place(call)? {
            Place::File(mut file) => {
                let written = namespace.export(&mut file, format.unwrap_or_default());
                written.map_err(|error| while_doing(error, "exporting"))?
            }
            Place::Path(path) => export_file(namespace, path, format)?,
        };
        Ok(Return::Count(count))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { with_files(l, body) }
}

/// `kv:import(path|file, options?)`.
pub(super) unsafe extern "C-unwind" fn import(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let namespace = this(call)?;
        let mut replace = false;
        call.options(3, &["replace"], |call, _, value| {
            replace = value.boolean(call)?;
            Ok(())
        })?;
        let Imported { stored, skipped, .. } = match place(call)? {
            Place::File(mut file) => {
                namespace.import(&mut file, replace).map_err(|error| while_doing(error, "importing"))?
            }
            Place::Path(path) => import_file(namespace, path, replace)?,
        };
        Ok(Return::Counts(stored, skipped))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { with_files(l, body) }
}

/// Runs a body over three arguments and, at [`FILES`], the metatable of files.
///
/// # Safety
/// As [`call`].
unsafe fn with_files(l: State, body: fn(&mut Call<'_>) -> Result<Return, LuaError>) -> c_int {
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe {
        ffi::lua_settop(l, FILES - 1);
        ffi::luaL_getmetatable(l, c"FILE*".as_ptr());
        call(l, FILES, body)
    }
}

enum Place<'a> {
    Path(&'a [u8]),
    File(CFile),
}

/// Argument 2.
fn place<'a>(call: &Call<'a>) -> Result<Place<'a>, LuaError> {
    if let Some(path) = call.bytes(2) {
        return Ok(Place::Path(path));
    }
    // SAFETY: the indices are valid, and a userdata with that metatable is a file of Lua's.
    unsafe {
        if call.type_of(2) == ffi::LUA_TUSERDATA && has_metatable(call.l, 2, FILES) {
            let file = CFile::of(ffi::lua_touserdata(call.l, 2));
            return file.map(Place::File).map_or_else(|| bad(2, "the file is closed"), Ok);
        }
    }
    bad(2, format!("path or file expected, got {}", call.type_name(2)))
}

#[cfg(any(feature = "sqlite", target_os = "wasi"))]
fn export_file(namespace: &crate::Namespace, path: &[u8], format: Option<Format>) -> Result<u64> {
    let path = super::store::os_path(path)?;
    let format = format.unwrap_or_else(|| Format::of_file(&path));
    namespace.export_file(path, format)
}

#[cfg(any(feature = "sqlite", target_os = "wasi"))]
fn import_file(namespace: &crate::Namespace, path: &[u8], replace: bool) -> Result<Imported> {
    namespace.import_file(super::store::os_path(path)?, replace)
}

#[cfg(not(any(feature = "sqlite", target_os = "wasi")))]
fn export_file(_: &crate::Namespace, _: &[u8], _: Option<Format>) -> Result<u64> {
    Err(crate::internals::invalid("this build has no files; pass an open one"))
}

#[cfg(not(any(feature = "sqlite", target_os = "wasi")))]
fn import_file(_: &crate::Namespace, _: &[u8], _: bool) -> Result<Imported> {
    Err(crate::internals::invalid("this build has no files; pass an open one"))
}

#[cfg(not(windows))]
use libc::clearerr;
// The libc crate defines it for other systems only.
#[cfg(windows)]
unsafe extern "C" {
    fn clearerr(stream: *mut libc::FILE);
}

/// A file of Lua's `io`, which Lua keeps owning. Only C's stdio is called, which raises no Lua error and runs no Lua
/// code.
struct CFile(*mut libc::FILE);

impl CFile {
    /// Returns the stream of a userdata, unless it is closed.
    ///
    /// # Safety
    /// The userdata is a file of Lua's `io`.
    unsafe fn of(file: *mut c_void) -> Option<CFile> {
        /// `luaL_Stream`. Up to Lua 5.1 (and in LuaJIT) it is only the stream, which is NULL when it is closed. Later
        /// the stream stays, and the second field is NULL.
        #[repr(C)]
        struct Stream {
            stream: *mut libc::FILE,
            close: *const c_void,
        }
        const HAS_CLOSE: bool = !cfg!(any(feature = "lua51", feature = "luajit"));
        let file: *const Stream = file.cast();
        // SAFETY: the caller has promised it. The second field is read only if it exists.
        let (stream, closed) = unsafe { ((*file).stream, HAS_CLOSE && (*file).close.is_null()) };
        (!stream.is_null() && !closed).then_some(CFile(stream))
    }

    fn failed(&self) -> io::Error {
        let why = io::Error::last_os_error();
        // SAFETY: the stream is open.
        unsafe { clearerr(self.0) };
        why
    }
}

impl Write for CFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // SAFETY: the stream is open, and the bytes are valid for reading.
        let written = unsafe { libc::fwrite(bytes.as_ptr().cast(), 1, bytes.len(), self.0) };
        if written == 0 && !bytes.is_empty() { Err(self.failed()) } else { Ok(written) }
    }

    fn flush(&mut self) -> io::Result<()> {
        // SAFETY: the stream is open.
        if unsafe { libc::fflush(self.0) } == 0 { Ok(()) } else { Err(self.failed()) }
    }
}

impl Read for CFile {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the stream is open, and the buffer has room for so many bytes.
        let read = unsafe { libc::fread(to.as_mut_ptr().cast(), 1, to.len(), self.0) };
        // SAFETY: the stream is open.
        if read == 0 && unsafe { libc::ferror(self.0) } != 0 { Err(self.failed()) } else { Ok(read) }
    }
}
