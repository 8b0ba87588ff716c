//! Atomic batches, as chains of calls.

use std::cell::RefCell;
use std::ffi::c_int;

use super::args::bad;
use super::call::{Call, call};
use super::ffi;
use super::namespace::{increment, reserve, store};
use super::scratch::{LuaError, Return};
use super::stack::{State, Upvalue, push_slot, slot};
use crate::internals::invalid;
use crate::{Namespace, Result, Store};

/// A batch as the contents of a userdata.
pub(super) type Atomic = RefCell<Gathered>;

/// A batch, and the namespace of its next steps.
pub(super) struct Gathered {
    batch: crate::Batch,
    namespace: Option<Namespace>,
}

/// `kv:atomic()`: a batch that starts in this namespace.
pub(super) unsafe extern "C-unwind" fn of_namespace(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let namespace = super::namespace::this(call)?;
        begin(call, namespace.store(), Some(namespace.clone()))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { with_slot(l, body) }
}

/// `store:atomic()`: a batch without a namespace, which the caller has to set.
pub(super) unsafe extern "C-unwind" fn of_store(l: State) -> c_int {
    let body = |call: &mut Call<'_>| begin(call, super::store::this(call)?, None);
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { with_slot(l, body) }
}

/// # Safety
/// As [`call`].
unsafe fn with_slot(l: State, body: fn(&mut Call<'_>) -> Result<Return, LuaError>) -> c_int {
    // SAFETY: this frame owns nothing that needs dropping, and index 3 becomes a batch's slot.
    unsafe {
        ffi::lua_settop(l, 2);
        push_slot::<Atomic>(l, Upvalue::Batch.index());
        call(l, 3, body)
    }
}

fn begin(call: &Call<'_>, store: &Store, namespace: Option<Namespace>) -> Result<Return, LuaError> {
    // It could be a function, which would never be called.
    if call.type_of(2) != ffi::LUA_TNIL {
        return bad(2, "no argument expected; a batch is a chain, as in atomic():put(key, value):commit()");
    }
    let gathered = Gathered { batch: store.batch(), namespace };
    // SAFETY: a slot for a batch was pushed there before the body began.
    unsafe { *slot::<Atomic>(call.l, 3) = Some(RefCell::new(gathered)) };
    Ok(Return::At(3))
}

fn this<'a>(call: &Call<'a>) -> Result<&'a Atomic, LuaError> {
    call.object("luat_kv.batch", Upvalue::Batch)
}

impl Gathered {
    /// Returns the batch, and the namespace of its next step.
    fn split(&mut self) -> Result<(&mut crate::Batch, &Namespace)> {
        let none = || invalid("the batch has no namespace yet: call namespace(name) first");
        Ok((&mut self.batch, self.namespace.as_ref().ok_or_else(none)?))
    }
}

/// `batch:namespace(name)`: sets the namespace of the following steps.
pub(super) unsafe extern "C-unwind" fn namespace(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let mut gathered = this(call)?.borrow_mut();
        let namespace = gathered.batch.store().namespace(call.text(2, "namespace")?)?;
        gathered.namespace = Some(namespace);
        Ok(Return::At(1))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 2, body) }
}

/// `batch:check(key, version)`: nil for a key that must be missing.
pub(super) unsafe extern "C-unwind" fn check(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let mut gathered = this(call)?.borrow_mut();
        let key = call.text(2, "key")?;
        let version = match call.type_of(3) {
            ffi::LUA_TNIL => None,
            ffi::LUA_TSTRING => Some(call.text(3, "version")?.parse()?),
            ffi::LUA_TTABLE => return bad(3, "a version or nil expected, got table; a version is its field 'version'"),
            _ => return bad(3, format!("a version or nil expected, got {}", call.type_name(3))),
        };
        let (batch, namespace) = gathered.split()?;
        batch.check(namespace, key, version)?;
        Ok(Return::At(1))
    };
    // SAFETY: this frame owns nothing that needs dropping. The nil for a missing key has to be given: a forgotten
    // argument is not accepted.
    unsafe {
        if ffi::lua_gettop(l) < 3 {
            ffi::luaL_argerror(l, 3, c"a version expected, or nil for a key that must be missing".as_ptr());
        }
        call(l, 3, body)
    }
}

/// `batch:put(key, value, options?)`.
pub(super) unsafe extern "C-unwind" fn put(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let mut gathered = this(call)?.borrow_mut();
        let (batch, namespace) = gathered.split()?;
        let limits = namespace.store().limits();
        store(call, limits, |key, value, options| batch.put_with(namespace, key, value, options).map(|_| ()))?;
        Ok(Return::At(1))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe {
        reserve(l);
        call(l, 4, body)
    }
}

/// `batch:delete(key)`.
pub(super) unsafe extern "C-unwind" fn delete(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let mut gathered = this(call)?.borrow_mut();
        let (batch, namespace) = gathered.split()?;
        batch.delete(namespace, call.text(2, "key")?)?;
        Ok(Return::At(1))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 2, body) }
}

/// `batch:incr(key, by?, options?)`.
pub(super) unsafe extern "C-unwind" fn incr(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let mut gathered = this(call)?.borrow_mut();
        let (batch, namespace) = gathered.split()?;
        let key = call.text(2, "key")?;
        let (by, options) = increment(call)?;
        batch.incr_with(namespace, key, by, &options)?;
        Ok(Return::At(1))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 4, body) }
}

/// `batch:commit()`: true and a version, or false.
pub(super) unsafe extern "C-unwind" fn commit(l: State) -> c_int {
    let body = |call: &mut Call<'_>| match this(call)?.borrow_mut().batch.commit()? {
        Some(version) => Ok(Return::Stored(version)),
        None => Ok(Return::Boolean(false)),
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}

/// `tostring(batch)`.
pub(super) unsafe extern "C-unwind" fn tostring(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let shown = match this(call) {
            Ok(gathered) => format!("luat_kv.batch ({})", gathered.borrow().batch.store().label()),
            Err(LuaError::Failed(_)) => "luat_kv.batch (closed)".to_owned(),
            Err(fault) => return Err(fault),
        };
        call.scratch.text.extend_from_slice(shown.as_bytes());
        Ok(Return::Text)
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}
