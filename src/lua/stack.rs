//! Small functions for Lua's stack.
//!
//! Functions that can raise an error are marked as such; `call` defines when that is allowed.

use std::ffi::{c_int, c_void};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{ptr, slice};

use super::ffi;

pub(super) type State = *mut ffi::lua_State;

/// The upvalues of every function of this module, by number.
#[derive(Clone, Copy)]
pub(super) enum Upvalue {
    /// Buffers that calls reuse (`scratch::Scratch`).
    Scratch = 1,
    /// The project's store (`store::Project`).
    Project,
    /// The metatable of stores.
    Store,
    /// The metatable of namespaces.
    Namespace,
    /// The metatable of batches.
    Batch,
    /// The metatable of iterators over all pages of a list.
    Walk,
    /// The metatable of watches.
    Watch,
    /// The metatable that marks arrays.
    Array,
    /// The value for JSON's null, besides the light userdata NULL.
    Null,
    /// The function that copies a table through its metamethods (`plain`).
    Plain,
    /// A table of strings (`returned`), where strings are kept.
    Returned,
}

/// Whether strings that `get` has returned are kept.
pub(super) const KEEPS_RETURNED: bool = cfg!(not(target_family = "wasm"));

pub(super) const UPVALUES: c_int = if KEEPS_RETURNED { Upvalue::Returned } else { Upvalue::Plain } as c_int;

/// The number of metatables of handles, from [`Upvalue::Store`] to the one before [`Upvalue::Array`].
pub(super) const METATABLES: usize = Upvalue::Array as usize - Upvalue::Store as usize;

/// Pushes an empty table if the upvalue of this number is a metatable of this module's handles. Each instance of the
/// module has its own. Can raise an error.
pub(super) unsafe fn push_metatable(l: State, upvalue: c_int) -> Option<()> {
    let is_one = (Upvalue::Store as c_int..Upvalue::Array as c_int).contains(&upvalue);
    // SAFETY: pushing a table only needs its slot.
    is_one.then(|| unsafe { ffi::lua_createtable(l, 0, 6) })
}

impl Upvalue {
    pub(super) const fn index(self) -> c_int {
        ffi::lua_upvalueindex(self as c_int)
    }
}

/// Whether this Lua distinguishes integers from floats.
pub(super) const HAS_INTEGERS: bool = cfg!(any(feature = "lua53", feature = "lua54", feature = "lua55"));

/// Returns the bytes of the string at `index`. Numbers are not converted.
///
/// # Safety
/// Something must keep the string alive for as long as the slice is used.
pub(super) unsafe fn string_at<'a>(l: State, index: c_int) -> Option<&'a [u8]> {
    // SAFETY: for a string lua_tolstring only returns its address.
    unsafe {
        if ffi::lua_type(l, index) != ffi::LUA_TSTRING {
            return None;
        }
        let mut len = 0;
        let start = ffi::lua_tolstring(l, index, &mut len);
        Some(slice::from_raw_parts(start.cast(), len))
    }
}

/// Returns a float as an integer, if it is one.
pub(super) fn whole(number: f64) -> Option<i64> {
    /// 2⁶³, the first float that is not an `i64`.
    const END: f64 = 9_223_372_036_854_775_808.0;
    (number.fract() == 0.0 && (-END..END).contains(&number)).then_some(number as i64)
}
/// Pushes an integer: exactly if Lua has integers, and otherwise as the nearest float.
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

/// Runs Lua code of this module, and pushes the one value that it returns. Can raise an error.
pub(super) unsafe fn push_result(l: State, code: &str) {
    // SAFETY: Lua copies what it needs of the code.
    unsafe {
        if ffi::luaL_loadbuffer(l, code.as_ptr().cast(), code.len(), c"=luat_kv".as_ptr()) != ffi::LUA_OK {
            ffi::lua_error(l);
        }
        ffi::lua_call(l, 0, 1);
    }
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
    // SAFETY: the caller has promised that there are so many values.
    unsafe { ffi::lua_settop(l, -count - 1) };
}

/// The contents of a userdata: a Rust value from when it is filled until it is collected or closed.
pub(super) type Slot<T> = Option<T>;

/// The slot of the userdata at `index`, which must be one of this module for `T`.
pub(super) unsafe fn slot<T>(l: State, index: c_int) -> *mut Slot<T> {
    // SAFETY: the caller has promised it.
    unsafe { ffi::lua_touserdata(l, index).cast() }
}

/// Pushes an empty slot with the metatable at `metatable`. Can raise an error.
pub(super) unsafe fn push_slot<T>(l: State, metatable: c_int) {
    const { assert!(mem::align_of::<Slot<T>>() <= 8, "Lua aligns userdata to 8 bytes at least") };
    // SAFETY: the userdata is written before anything can see it. Pushing it moves relative indices by one.
    unsafe {
        let metatable = ffi::lua_absindex(l, metatable);
        let slot: *mut Slot<T> = ffi::lua_newuserdata(l, mem::size_of::<Slot<T>>()).cast();
        ptr::write(slot, None);
        ffi::lua_pushvalue(l, metatable);
        ffi::lua_setmetatable(l, -2);
    }
}

/// Pushes a slot with its own metatable, which Lua code must not see, and fills it. Can raise an error.
pub(super) unsafe fn push_private<T: Default>(l: State) {
    // SAFETY: the slot belongs to this module and is new.
    unsafe {
        ffi::lua_createtable(l, 0, 1);
        set_collector::<T>(l);
        push_slot::<T>(l, -1);
        ffi::lua_remove(l, -2);
        *slot::<T>(l, -1) = Some(T::default());
    }
}

/// Sets the `__gc` that empties slots of `T` in the metatable on top of the stack. Can raise an error.
pub(super) unsafe fn set_collector<T>(l: State) {
    // SAFETY: a table is on top.
    unsafe {
        ffi::lua_pushvalue(l, -1);
        ffi::lua_pushcclosure(l, collect::<T>, 1);
        ffi::lua_setfield(l, -2, c"__gc".as_ptr());
    }
}

/// `__gc`: drops the contents of a slot. The slot stays valid, and empty: finalizers of other objects may use it later.
unsafe extern "C-unwind" fn collect<T>(l: State) -> c_int {
    // SAFETY: the slot is one for `T`, as its metatable, this function's upvalue, shows. Dropping raises no Lua error,
    // and a panic in it is caught.
    unsafe {
        if let Some(slot) = slot_of::<T>(l, 1, ffi::lua_upvalueindex(1)) {
            let _ = catch_unwind(AssertUnwindSafe(|| drop((*slot).take())));
        }
        0
    }
}

/// The slot of the userdata at `index`, if its metatable is the one at `metatable`, which shows that it is for `T`.
pub(super) unsafe fn slot_of<T>(l: State, index: c_int, metatable: c_int) -> Option<*mut Slot<T>> {
    // SAFETY: the indices are valid, or there is no value.
    unsafe {
        let is_one = ffi::lua_type(l, index) == ffi::LUA_TUSERDATA && has_metatable(l, index, metatable);
        is_one.then(|| slot::<T>(l, index))
    }
}

/// Whether the value at `index` has the metatable at `metatable`. Needs a free stack slot.
pub(super) unsafe fn has_metatable(l: State, index: c_int, metatable: c_int) -> bool {
    // SAFETY: the indices are valid, and the stack is left unchanged.
    unsafe {
        if ffi::lua_getmetatable(l, index) == 0 {
            return false;
        }
        let same = ffi::lua_rawequal(l, -1, metatable) != 0;
        pop(l, 1);
        same
    }
}

/// The light userdata NULL, which represents JSON's null.
pub(super) const NULL: *mut c_void = ptr::null_mut();
