//! How a call from Lua is carried out: the rules of this binding, in one place.
//!
//! Nearly every function of Lua's API can raise an error, by `longjmp`, or on LuaJIT by unwinding, past the frames of
//! its callers. Those frames must not contain a Rust value that needs dropping or hold a lock, and no panic may be
//! caught across them. So each function of the module runs in two steps that are strictly separate:
//!
//! 1. **The body** is Rust that returns a `Result`: it reads the arguments, calls the store, writes and parses JSON. It
//!    calls only functions of Lua that cannot raise an error (types, raw reads, `lua_next`, pushing numbers and copies
//!    within a stack that was enlarged before), runs no Lua code, and stores its results in the [`Scratch`]. Panics in
//!    it are caught.
//! 2. **The delivery** pushes a [`Return`], or raises an error, and may be interrupted anywhere: it owns nothing, since
//!    the scratch is a userdata that belongs to Lua, and it cannot panic.
//!
//! If a body needs Lua code to run, this happens between two runs of the body: reading a table through its metamethods
//! (`plain`), and collecting garbage. As in a delivery, nothing is owned there, and the body starts again.
//!
//! A delivery can trigger Lua's collector, whose finalizers may call this module again. So a call whose delivery needs
//! the scratch pushes it onto its stack and marks it as busy. The inner call replaces a busy scratch with a new one, and
//! the outer call's stack keeps the old one. (A scratch that stayed busy because an error interrupted its delivery is
//! replaced in the same way and collected.) A delivery that does not need the scratch does not touch it.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::ffi;
use super::plain;
use super::push::push;
use super::returned::Known;
use super::scratch::{LuaError, Return, Scratch};
use super::stack::{State, Upvalue, pop, push_bytes, push_slot, slot};
use crate::internals::oom_reserve::{self, Usage};
use crate::internals::{Found, panicked};
use crate::{Error, Result};

/// The view that a running body has of its call.
pub(super) struct Call<'a> {
    pub l: State,
    pub scratch: &'a mut Scratch,
}

/// Runs a body with exactly `arguments` arguments (nil if the caller gave fewer) and delivers its result.
///
/// # Safety
/// Must be the last action of a function that Lua called with this module's upvalues, and that owns nothing that needs
/// dropping.
pub(super) unsafe fn call(l: State, arguments: c_int, body: fn(&mut Call<'_>) -> Result<Return, LuaError>) -> c_int {
    // SAFETY: the caller has promised it.
    unsafe { call_inline(l, (arguments, arguments), body) }
}

/// Like [`call`], compiled into its caller, for the methods that are called most. The body gets as many arguments as
/// were given if that is from `least` to `most`, and otherwise `most`.
///
/// # Safety
/// As [`call`].
#[inline(always)]
pub(super) unsafe fn call_inline(
    l: State,
    (least, most): (c_int, c_int),
    body: impl Fn(&mut Call<'_>) -> Result<Return, LuaError>,
) -> c_int {
    // SAFETY: the caller has promised it.
    unsafe {
        if !(least..=most).contains(&ffi::lua_gettop(l)) {
            ffi::lua_settop(l, most);
        }
        let (scratch, answer) = begin(l, most, body);
        // From here on this frame owns nothing.
        deliver(l, scratch, answer)
    }
}

/// Like [`call`], for the method that is called most, with what it is mostly called for: `text` reads the text of one
/// key into the scratch's entry, as [`Return::Value`] delivers it, or leaves it on top of the stack if it was known. It
/// also returns what was known of the key (see `returned`). It returns `None` for other arguments, and then the body
/// runs as in `call`. It may leave something on the stack, above as many arguments as are `given`.
///
/// # Safety
/// As [`call`].
#[inline(always)]
pub(super) unsafe fn call_for_text(
    l: State,
    text: impl Fn(&mut Call<'_>) -> Option<Result<(Found, Known)>>,
    (given, arguments): (c_int, c_int),
    body: fn(&mut Call<'_>) -> Result<Return, LuaError>,
) -> c_int {
    // SAFETY: the caller has promised it.
    unsafe {
        if oom_reserve::is_there() {
            let (scratch, usage) = (scratch_of(l), Usage::now());
            let mut call = Call { l, scratch: &mut *scratch };
            match catch_unwind(AssertUnwindSafe(|| text(&mut call))) {
                Ok(Some(Ok((Found::Known, _)))) => return 1,
                Ok(Some(Ok((Found::Missing, _)))) => {
                    ffi::lua_pushnil(l);
                    return 1;
                }
                Ok(Some(Ok((Found::Read, about)))) => {
                    let answer = Return::Value { json: false };
                    if !answer.is_copied_at_once(&*scratch) {
                        hold(l, scratch, given);
                    }
                    spare_the_reserve(l, scratch, answer, usage);
                    let len = (*scratch).entry.value().len();
                    let results = deliver(l, scratch, answer);
                    if about != Known::Nothing {
                        (*scratch).returned.keep(l, len);
                    }
                    return results;
                }
                Ok(Some(Err(error))) => return fail(l, scratch, given, error, usage),
                Err(payload) => return fail(l, scratch, given, panicked(&*payload), usage),
                Ok(None) => ffi::lua_settop(l, given),
            }
        }
        call(l, arguments, body)
    }
}

/// Delivers an error.
///
/// # Safety
/// As [`call`].
#[cold]
unsafe fn fail(l: State, scratch: *mut Scratch, arguments: c_int, error: Error, usage: Usage) -> c_int {
    // SAFETY: the caller has promised it.
    unsafe {
        let answer = (*scratch).keep(error.into());
        hold(l, scratch, arguments);
        spare_the_reserve(l, scratch, answer, usage);
        deliver(l, scratch, answer)
    }
}

/// Delivers the result of [`begin`].
///
/// # Safety
/// As [`call`].
#[inline(always)]
unsafe fn deliver(l: State, scratch: *mut Scratch, answer: Return) -> c_int {
    // SAFETY: the caller has promised it.
    unsafe {
        if answer.is_copied_at_once(&*scratch) {
            push_bytes(l, (*scratch).entry.value());
            return 1;
        }
        if !answer.needs_scratch() {
            (*scratch).rest();
            return push(l, scratch, answer);
        }
        let results = push(l, scratch, answer);
        (*scratch).rest();
        results
    }
}

/// Like [`call`], for a body that reads something, which `remove` then removes: an entry, or changes of a watch. It is
/// removed only after its results are on the stack, so that what cannot be pushed stays. If `remove` returns false, it
/// was changed meanwhile, and everything starts again.
///
/// # Safety
/// As [`call`].
pub(super) unsafe fn call_and_remove(
    l: State,
    arguments: c_int,
    body: fn(&mut Call<'_>) -> Result<Return, LuaError>,
    remove: fn(&mut Call<'_>) -> Result<Return, LuaError>,
) -> c_int {
    // SAFETY: the caller has promised it. The scratch stays on this call's stack, and in its use.
    unsafe {
        loop {
            ffi::lua_settop(l, arguments);
            let (scratch, answer) = begin(l, arguments, body);
            if !answer.is_removed() {
                return deliver(l, scratch, answer);
            }
            let results = push(l, scratch, answer);
            let usage = Usage::now();
            let answer = run(l, scratch, remove);
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
    }
}

/// Runs a body until it has a result that can be delivered. Returns the scratch that contains it.
///
/// # Safety
/// As [`call`].
#[inline(always)]
unsafe fn begin(
    l: State,
    arguments: c_int,
    body: impl Fn(&mut Call<'_>) -> Result<Return, LuaError>,
) -> (*mut Scratch, Return) {
    // SAFETY: the caller has promised it. The scratch lives until Lua collects it, which cannot happen while a body
    // runs, nor while it is on this call's stack. No other reference to it exists while it is busy.
    unsafe {
        if !oom_reserve::is_there() {
            // Garbage may use some of the reserve, such as an iterator that could not be returned.
            collect(l);
            if !oom_reserve::is_there() {
                out_of_memory(l);
            }
        }
        let (scratch, usage) = (scratch_of(l), Usage::now());
        let mut answer = run(l, scratch, &body);
        if answer.needs_scratch() && !answer.is_copied_at_once(&*scratch) {
            hold(l, scratch, arguments);
            if answer.asks_to_repeat() {
                answer = repeat(l, scratch, arguments, answer, &body);
            }
        }
        spare_the_reserve(l, scratch, answer, usage);
        (scratch, answer)
    }
}

/// Pushes the scratch above the arguments, so that it outlives this call in any case, and marks it as busy.
///
/// # Safety
/// As [`call`]. The scratch is that of the upvalue.
unsafe fn hold(l: State, scratch: *mut Scratch, arguments: c_int) {
    // SAFETY: the caller has promised it.
    unsafe {
        ffi::lua_settop(l, arguments);
        ffi::lua_pushvalue(l, Upvalue::Scratch.index());
        (*scratch).busy = true;
    }
}

/// Runs a body again, whose scratch is held, for as long as something could help it: the collection of garbage, once,
/// or a plain copy of a table.
///
/// # Safety
/// As [`call`].
#[cold]
unsafe fn repeat(
    l: State,
    scratch: *mut Scratch,
    arguments: c_int,
    mut answer: Return,
    body: &dyn Fn(&mut Call<'_>) -> Result<Return, LuaError>,
) -> Return {
    let mut collected = false;
    // SAFETY: the caller has promised it.
    unsafe {
        loop {
            match answer {
                Return::FailedWithGarbage if !collected => collect(l),
                Return::Proxy { argument, metadata } => {
                    if let Some(fault) = plain::replace(l, argument, metadata) {
                        return (*scratch).keep(fault);
                    }
                }
                _ => return answer,
            }
            collected |= matches!(answer, Return::FailedWithGarbage);
            ffi::lua_settop(l, arguments + 1); // the scratch stays
            answer = run(l, scratch, body);
        }
    }
}

/// Empties a scratch that may use the reserve, if the reserve was touched since the usage was taken. A delivery that
/// runs out of memory would leave it there as long as some function has this scratch, and without the reserve nothing
/// can be deleted.
///
/// # Safety
/// As [`out_of_memory`]. The scratch is in use by this call.
#[inline]
unsafe fn spare_the_reserve(l: State, scratch: *mut Scratch, answer: Return, usage: Usage) {
    if usage.check_unchanged().is_err() {
        // SAFETY: the caller has promised it.
        unsafe {
            *scratch = Scratch { busy: !answer.is_in_scratch() && (*scratch).busy, ..Scratch::default() };
            if answer.is_in_scratch() {
                out_of_memory(l);
            }
        }
    }
}

/// Raises an error whose message needs no memory from this library.
///
/// # Safety
/// The caller's frame owns nothing that needs dropping, since the error leaves it by a jump.
unsafe fn out_of_memory(l: State) {
    // SAFETY: the caller has promised it.
    unsafe { ffi::luaL_error(l, c"luat_kv: NOMEM: out of memory".as_ptr()) };
}

/// Runs a body.
///
/// # Safety
/// The scratch is in use by this call.
#[inline(always)]
unsafe fn run(l: State, scratch: *mut Scratch, body: impl Fn(&mut Call<'_>) -> Result<Return, LuaError>) -> Return {
    // SAFETY: the caller has promised it. The reference ends with the body.
    unsafe {
        let mut call = Call { l, scratch: &mut *scratch };
        match catch_unwind(AssertUnwindSafe(|| body(&mut call))) {
            Ok(Ok(answer)) => answer,
            Ok(Err(fault)) => (*scratch).keep(fault),
            Err(payload) => (*scratch).keep(panicked(&*payload).into()),
        }
    }
}

/// Collects all garbage. Some versions of Lua raise errors of finalizers here; those are ignored.
unsafe fn collect(l: State) {
    unsafe extern "C-unwind" fn full(l: State) -> c_int {
        // SAFETY: `l` is Lua's.
        unsafe { ffi::lua_gc(l, ffi::LUA_GCCOLLECT, 0) };
        0
    }
    // SAFETY: the caller owns nothing that needs dropping.
    unsafe {
        ffi::lua_pushcclosure(l, full, 0);
        ffi::lua_pcall(l, 0, 0, 0);
    }
}

/// Returns the scratch of the upvalue, which is replaced if another call holds it.
///
/// # Safety
/// As [`call`].
#[inline(always)]
unsafe fn scratch_of(l: State) -> *mut Scratch {
    // SAFETY: the upvalue is always a scratch of this module.
    unsafe {
        match &mut *slot::<Scratch>(l, Upvalue::Scratch.index()) {
            Some(scratch) if scratch.is_ready() => scratch,
            _ => ready_scratch(l),
        }
    }
}

/// Like [`scratch_of`], if the scratch is new, collected or busy.
///
/// # Safety
/// As [`call`].
#[cold]
unsafe fn ready_scratch(l: State) -> *mut Scratch {
    // SAFETY: as in `scratch_of`. The stack is left unchanged.
    unsafe {
        let mut scratch = slot::<Scratch>(l, Upvalue::Scratch.index());
        if (*scratch).as_ref().is_none_or(|scratch| scratch.busy) {
            ffi::lua_pushvalue(l, Upvalue::Scratch.index());
            ffi::lua_getmetatable(l, -1);
            push_slot::<Scratch>(l, -1);
            scratch = slot::<Scratch>(l, -1);
            ffi::lua_replace(l, Upvalue::Scratch.index());
            pop(l, 2);
        }
        let scratch = (*scratch).get_or_insert_default();
        for (known, upvalue) in scratch.metatables.iter_mut().zip(Upvalue::Store as c_int..) {
            *known = ffi::lua_topointer(l, ffi::lua_upvalueindex(upvalue));
        }
        scratch
    }
}
