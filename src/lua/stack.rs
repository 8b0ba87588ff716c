//! Lua's stack: the small things that everyone here does with it.
//!
//! Functions that can raise an error say so; `call` tells when that is allowed.

use std::ffi::{c_int, c_void};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{ptr, slice};

use mlua::ffi;

pub(super) type State = *mut ffi::lua_State;

/// The upvalues that every function of this module has, by number.
#[derive(Clone, Copy)]
pub(super) enum Upvalue {
    /// Buffers that calls use again (`scratch::Scratch`).
    Scratch = 1,
    /// The place of the project's store (`store::Project`).
    Project,
    /// The metatable of stores.
    Store,
    /// The metatable of namespaces.
    Namespace,
    /// The metatable of batches.
    Batch,
    /// The metatable of walks through all pages of a list.
    Walk,
    /// The metatable that marks arrays.
    Array,
    /// What stands for JSON's null, beside the light userdata NULL.
    Null,
    /// The function that copies what is read through metamethods (`plain`).
    Plain,
}

pub(super) const UPVALUES: c_int = Upvalue::Plain as c_int;

/// Pushes an empty table where the upvalue of that number is a metatable of this module's handles; each instance of the
/// module has its own. Can raise an error.
pub(super) unsafe fn push_metatable(l: State, upvalue: c_int) -> Option<()> {
    let is_one = (Upvalue::Store as c_int..=Upvalue::Walk as c_int).contains(&upvalue);
    // SAFETY: pushing a table only needs its slot.
    is_one.then(|| unsafe { ffi::lua_createtable(l, 0, 6) })
}

impl Upvalue {
    pub(super) const fn index(self) -> c_int {
        ffi::lua_upvalueindex(self as c_int)
    }
}

/// Does this Lua tell integers from floats?
pub(super) const HAS_INTEGERS: bool = cfg!(any(feature = "lua53", feature = "lua54", feature = "lua55"));

/// The bytes of the string at `index`; numbers are not converted.
///
/// # Safety
/// The string must be kept by something for as long as the slice is used.
pub(super) unsafe fn string_at<'a>(l: State, index: c_int) -> Option<&'a [u8]> {
    // SAFETY: for a string lua_tolstring only tells where it lies.
    unsafe {
        if ffi::lua_type(l, index) != ffi::LUA_TSTRING {
            return None;
        }
        let mut len = 0;
        let start = ffi::lua_tolstring(l, index, &mut len);
        Some(slice::from_raw_parts(start.cast(), len))
    }
}

/// A float as the integer that it is.
pub(super) fn whole(number: f64) -> Option<i64> {
    /// 2⁶³, the first float that is no `i64`.
    const END: f64 = 9_223_372_036_854_775_808.0;
    (number.fract() == 0.0 && (-END..END).contains(&number)).then_some(number as i64)
}
/// Pushes a whole number: exact where Lua has integers, else as near as a float is.
pub(super) unsafe fn push_int(l: State, value: i64) {
    // SAFETY: pushing a number only needs its slot.
    unsafe {
        if HAS_INTEGERS {
            ffi::lua_pushinteger(l, value as ffi::lua_Integer);
        } else {
            ffi::lua_pushnumber(l, value as ffi::lua_Number);
        }
    }
}

/// Pushes a string. Can raise an error.
pub(super) unsafe fn push_bytes(l: State, bytes: &[u8]) {
    // SAFETY: Lua copies that many bytes.
    unsafe { ffi::lua_pushlstring(l, bytes.as_ptr().cast(), bytes.len()) };
}

/// Pushes a table with room for `len` items that is marked as an array. Can raise an error.
pub(super) unsafe fn push_array(l: State, len: usize) {
    // SAFETY: the table is on top when it is marked.
    unsafe {
        ffi::lua_createtable(l, c_int::try_from(len).unwrap_or(0), 0);
        ffi::lua_pushvalue(l, Upvalue::Array.index());
        ffi::lua_setmetatable(l, -2);
    }
}

pub(super) unsafe fn pop(l: State, count: c_int) {
    // SAFETY: the caller's promise that so many are there.
    unsafe { ffi::lua_settop(l, -count - 1) };
}

/// A userdata's contents: a Rust value from when it is filled until it is collected or closed.
pub(super) type Slot<T> = Option<T>;

/// The slot of the userdata at `index`, which must be one of ours for `T`.
pub(super) unsafe fn slot<T>(l: State, index: c_int) -> *mut Slot<T> {
    // SAFETY: the caller's promise.
    unsafe { ffi::lua_touserdata(l, index).cast() }
}

/// Pushes an empty slot with the metatable at `metatable`. Can raise an error.
pub(super) unsafe fn push_slot<T>(l: State, metatable: c_int) {
    const { assert!(mem::align_of::<Slot<T>>() <= 8, "Lua aligns userdata to 8 bytes at least") };
    // SAFETY: the userdata is written before anyone can see it, and pushing it moves relative indices by one.
    unsafe {
        let metatable = ffi::lua_absindex(l, metatable);
        let slot: *mut Slot<T> = ffi::lua_newuserdata(l, mem::size_of::<Slot<T>>()).cast();
        ptr::write(slot, None);
        ffi::lua_pushvalue(l, metatable);
        ffi::lua_setmetatable(l, -2);
    }
}

/// Pushes a slot with a metatable of its own, which is not for Lua code to see, and fills it. Can raise an error.
pub(super) unsafe fn push_private<T: Default>(l: State) {
    // SAFETY: the slot is ours and new.
    unsafe {
        ffi::lua_createtable(l, 0, 1);
        set_collector::<T>(l);
        push_slot::<T>(l, -1);
        ffi::lua_remove(l, -2);
        *slot::<T>(l, -1) = Some(T::default());
    }
}

/// Gives the metatable on top of the stack the `__gc` that empties slots of `T`. Can raise an error.
pub(super) unsafe fn set_collector<T>(l: State) {
    // SAFETY: a table is on top.
    unsafe {
        ffi::lua_pushvalue(l, -1);
        ffi::lua_pushcclosure(l, collect::<T>, 1);
        ffi::lua_setfield(l, -2, c"__gc".as_ptr());
    }
}

/// `__gc`: lets go of what a slot holds. The slot stays good, and empty: finalizers of other objects may come by later.
unsafe extern "C-unwind" fn collect<T>(l: State) -> c_int {
    // SAFETY: the slot is one for `T`, as its metatable, this function's upvalue, tells. Dropping raises no Lua error,
    // and a panic in it is caught.
    unsafe {
        if let Some(slot) = slot_of::<T>(l, 1, ffi::lua_upvalueindex(1)) {
            let _ = catch_unwind(AssertUnwindSafe(|| drop((*slot).take())));
        }
        0
    }
}

/// The slot of the userdata at `index`, if it is one with the metatable at `metatable`, which tells that it is for `T`.
pub(super) unsafe fn slot_of<T>(l: State, index: c_int, metatable: c_int) -> Option<*mut Slot<T>> {
    // SAFETY: the indices are good or none.
    unsafe {
        let is_one = ffi::lua_type(l, index) == ffi::LUA_TUSERDATA && has_metatable(l, index, metatable);
        is_one.then(|| slot::<T>(l, index))
    }
}

/// Has the value at `index` the metatable at `metatable`? Needs a free stack slot.
pub(super) unsafe fn has_metatable(l: State, index: c_int, metatable: c_int) -> bool {
    // SAFETY: the indices are good, and the stack is left as it was.
    unsafe {
        if ffi::lua_getmetatable(l, index) == 0 {
            return false;
        }
        let same = ffi::lua_rawequal(l, -1, metatable) != 0;
        pop(l, 1);
        same
    }
}

/// The light userdata NULL, which stands for JSON's null.
pub(super) const NULL: *mut c_void = ptr::null_mut();
