//! How a call from Lua goes: the rules of this binding, in one place.
//!
//! Nearly every function of Lua's API can raise an error: by `longjmp`, or on LuaJIT by unwinding, past the frames of
//! whoever called it. No Rust value that needs dropping may stand in those frames, no lock be held, and no panic be
//! caught across them. So each function of the module runs in two steps that never mix:
//!
//! 1. **The body** is Rust that returns a `Result`: it reads the arguments, asks the store, writes and parses JSON. It
//!    calls only those functions of Lua that cannot raise an error (types, raw reads, `lua_next`, pushing numbers and
//!    copies within a stack that was made large enough before), runs no Lua code, and leaves what it found in the
//!    [`Scratch`]. Panics are caught around it.
//! 2. **The delivery** pushes an [`Return`], or raises an error, and may be interrupted anywhere: it owns nothing, for
//!    the scratch is a userdata of Lua's, and it cannot panic.
//!
//! Between two runs of a body stands what runs Lua code for it: reading a table through its metamethods (`plain`), and
//! collecting garbage. As in a delivery, nothing is owned there, and the body begins anew.
//!
//! A delivery can set off Lua's collector, whose finalizers may call this module again. The scratch says that it is
//! busy then; the inner call puts a new one in its place, and the outer one's is held by its own stack. (One that was
//! left busy, because an error interrupted its delivery, is replaced in the same way and collected.)

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mlua::ffi;

use super::plain;
use super::push::push;
use super::scratch::{LuaError, Return, Scratch};
use super::stack::{State, Upvalue, push_slot, slot};
use crate::error::{Error, Result};
use crate::oom_reserve::{self, Usage};

/// A running body's view of its call.
pub(super) struct Call<'a> {
    pub l: State,
    pub scratch: &'a mut Scratch,
}

/// Runs a body over exactly `arguments` arguments (nil where the caller gave fewer) and delivers its answer.
///
/// # Safety
/// The last act of a function that Lua called with this module's upvalues, which owns nothing that needs dropping.
pub(super) unsafe fn call(l: State, arguments: c_int, body: fn(&mut Call<'_>) -> Result<Return, LuaError>) -> c_int {
    // SAFETY: as promised.
    unsafe {
        let (scratch, answer) = begin(l, arguments, body);
        // From here on nothing is owned by this frame.
        let results = push(l, scratch, answer);
        (*scratch).rest();
        results
    }
}

/// As [`call`] for a body that reads an entry, which `remove` then removes: only after its results are on the stack, so an
/// entry whose results cannot be pushed stays. All begins anew where `remove` returns false, for the entry was changed
/// meanwhile.
///
/// # Safety
/// As [`call`].
pub(super) unsafe fn call_and_remove(
    l: State,
    arguments: c_int,
    body: fn(&mut Call<'_>) -> Result<Return, LuaError>,
    remove: fn(&mut Call<'_>) -> Result<Return, LuaError>,
) -> c_int {
    // SAFETY: as promised; the scratch stays on this call's stack, and in its use.
    unsafe {
        loop {
            let (scratch, mut answer) = begin(l, arguments, body);
            let results = push(l, scratch, answer);
            if let Return::Entry { .. } = answer {
                let usage = Usage::now();
                answer = run(l, scratch, remove);
                if let Return::Boolean(is_removed) = answer {
                    (*scratch).rest();
                    if is_removed {
                        return results;
                    }
                    continue;
                }
                spare_the_reserve(l, scratch, answer, usage);
                return push(l, scratch, answer); // an error
            }
            (*scratch).rest();
            return results;
        }
    }
}

/// Runs a body until it has an answer that can be delivered, with the scratch that this takes.
///
/// # Safety
/// As [`call`].
unsafe fn begin(
    l: State,
    arguments: c_int,
    body: fn(&mut Call<'_>) -> Result<Return, LuaError>,
) -> (*mut Scratch, Return) {
    // SAFETY: as promised; the scratch lives until Lua collects it, for it stays on this call's stack. No other
    // reference to it exists while it is busy.
    unsafe {
        ffi::lua_settop(l, arguments);
        if !oom_reserve::is_there() {
            // Garbage may have some of the reserve: a walk that could not be returned.
            collect(l);
            if !oom_reserve::is_there() {
                out_of_memory(l);
            }
        }
        let (scratch, usage) = (check_out(l), Usage::now());
        let (mut answer, mut collected) = (run(l, scratch, body), false);
        loop {
            match answer {
                Return::FailedWithGarbage if !collected => collect(l),
                Return::Proxy { argument, metadata } => {
                    if let Some(fault) = plain::replace(l, argument, metadata) {
                        answer = (*scratch).keep(fault);
                        break;
                    }
                }
                _ => break,
            }
            collected |= matches!(answer, Return::FailedWithGarbage);
            ffi::lua_settop(l, arguments + 1); // the scratch stays
            answer = run(l, scratch, body);
        }
        spare_the_reserve(l, scratch, answer, usage);
        (scratch, answer)
    }
}

/// Empties a scratch that may lie in the reserve, which was touched since the usage. A delivery that runs out of memory
/// would keep it there, for as long as some function has this scratch: and without the reserve nothing can be deleted.
///
/// # Safety
/// As [`out_of_memory`]; the scratch is in this call's use.
unsafe fn spare_the_reserve(l: State, scratch: *mut Scratch, answer: Return, usage: Usage) {
    if usage.check_unchanged().is_err() {
        // SAFETY: as promised.
        unsafe {
            *scratch = Scratch { busy: !answer.is_in_scratch(), ..Scratch::default() };
            if answer.is_in_scratch() {
                out_of_memory(l);
            }
        }
    }
}

/// Raises an error whose message needs no memory of this library's.
///
/// # Safety
/// The caller's frame owns nothing that needs dropping: the error leaves it by a jump.
unsafe fn out_of_memory(l: State) {
    // SAFETY: the caller's promise.
    unsafe { ffi::luaL_error(l, c"luat_kv: NOMEM: out of memory".as_ptr()) };
}

/// Runs a body.
///
/// # Safety
/// The scratch is in this call's use.
unsafe fn run(l: State, scratch: *mut Scratch, body: fn(&mut Call<'_>) -> Result<Return, LuaError>) -> Return {
    // SAFETY: as promised; the reference ends with the body.
    unsafe {
        let mut call = Call { l, scratch: &mut *scratch };
        match catch_unwind(AssertUnwindSafe(|| body(&mut call))) {
            Ok(Ok(answer)) => answer,
            Ok(Err(fault)) => (*scratch).keep(fault),
            Err(payload) => (*scratch).keep(Error::panicked(&*payload).into()),
        }
    }
}

/// Collects all garbage. An error in a finalizer, which some Luas raise here, is none of this call's.
unsafe fn collect(l: State) {
    unsafe extern "C-unwind" fn full(l: State) -> c_int {
        // SAFETY: `l` is Lua's.
        unsafe { ffi::lua_gc(l, ffi::LUA_GCCOLLECT, 0) };
        0
    }
    // SAFETY: nothing is owned by who calls this.
    unsafe {
        ffi::lua_pushcclosure(l, full, 0);
        ffi::lua_pcall(l, 0, 0, 0);
    }
}

/// Pushes the scratch, so that it outlives this call whatever happens, and takes it into use.
unsafe fn check_out(l: State) -> *mut Scratch {
    // SAFETY: the upvalue is always a scratch of ours.
    unsafe {
        ffi::lua_pushvalue(l, Upvalue::Scratch.index());
        let mut scratch = slot::<Scratch>(l, -1);
        if (*scratch).as_ref().is_none_or(|scratch| scratch.busy) {
            ffi::lua_getmetatable(l, -1);
            push_slot::<Scratch>(l, -1);
            ffi::lua_pushvalue(l, -1);
            ffi::lua_replace(l, Upvalue::Scratch.index());
            scratch = slot::<Scratch>(l, -1);
        }
        let scratch = (*scratch).get_or_insert_default();
        scratch.busy = true;
        scratch
    }
}
