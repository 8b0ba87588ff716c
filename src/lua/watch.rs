//! Watches: `kv:watch`, and the methods of what it returns.
//!
//! What the core reports stays with the watch until its results are on Lua's stack. So nothing is lost if they cannot be
//! pushed: the next call returns the same.

use std::cell::RefCell;
use std::ffi::c_int;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use super::args::{bad, utf8};
use super::call::{Call, call, call_and_remove};
use super::ffi;
use super::listing::wanted_values;
use super::namespace::{self, bad_metadata, not_json};
use super::scratch::{LuaError, Return, Values};
use super::stack::{State, Upvalue, push_slot, slot};
use super::tape::Tape;
use crate::internals::oom_reserve::Usage;
use crate::internals::{check_open, invalid, repeat_watch};
use crate::{Change, Code, Result, Watch, WatchOptions};

/// The contents of a watch's handle.
pub(super) type Handle = RefCell<Watching>;

pub(super) struct Watching {
    /// `None` once it is closed.
    watch: Option<Watch>,
    values: Values,
    /// How long a loop waits for the next change.
    timeout: Duration,
    /// What the core has reported last, unless all of it was returned.
    changes: Option<Rc<Vec<Change>>>,
    /// The place of the first of these that was not returned yet.
    next: usize,
}

/// Changes that are about to be returned. The watch may get others meanwhile, since a finalizer may call it.
pub(super) struct Shown {
    changes: Rc<Vec<Change>>,
    places: Range<usize>,
}

impl Shown {
    /// Up to `most` of the changes, from one on.
    fn of(changes: &Rc<Vec<Change>>, first: usize, most: usize) -> Self {
        let end = first.saturating_add(most).min(changes.len());
        Shown { changes: changes.clone(), places: first..end }
    }

    pub(super) fn changes(&self) -> &[Change] {
        self.changes.get(self.places.clone()).unwrap_or_default()
    }
}

impl Watching {
    fn watch(&self) -> Result<&Watch> {
        self.watch.as_ref().ok_or_else(|| invalid("the watch is closed"))
    }

    /// Returns up to `most` changes, and reads their documents into the tape. If there are none, waits for some.
    fn show(&mut self, most: usize, timeout: Duration, tape: &mut Tape) -> Result<Option<Shown>> {
        let (watch, json) = (self.watch()?, self.values == Values::Json);
        if let Some(changes) = &self.changes {
            check_open(watch.namespace().store())?;
            let shown = Shown::of(changes, self.next, most);
            read_documents(tape, shown.changes(), json)?;
            return Ok(Some(shown));
        }
        let usage = Usage::now();
        let changes = watch.next(timeout)?;
        if changes.is_empty() {
            return Ok(None);
        }
        let changes = Rc::new(changes);
        // All documents, so that an error comes before any of the changes was returned. And the watch keeps nothing in the
        // reserve after the call.
        let readable = read_documents(tape, &changes, json).and_then(|()| usage.check_unchanged());
        readable.inspect_err(|_| repeat_watch(watch))?;
        let shown = Shown::of(&changes, 0, most);
        (self.changes, self.next) = (Some(changes), 0);
        Ok(Some(shown))
    }

    /// Where a later watch goes on: with the first change that was not returned.
    fn token(&self) -> Result<String> {
        let returned = if self.changes.is_none() { usize::MAX } else { self.next };
        self.watch()?.token(returned)
    }

    /// Forgets changes that were returned. Returns false if another call was faster.
    fn forget(&mut self, shown: &Shown) -> bool {
        let is_present = self.changes.as_ref().is_some_and(|changes| Rc::ptr_eq(changes, &shown.changes));
        let is_next = is_present && shown.places.start == self.next;
        if is_next {
            self.next = shown.places.end;
        }
        if is_next && self.next == shown.changes.len() {
            self.changes = None;
        }
        is_next
    }
}

/// Reads the documents of changes, in the order in which they are pushed.
fn read_documents(tape: &mut Tape, changes: &[Change], json: bool) -> Result<()> {
    for Change { entry, .. } in changes {
        if let (true, Some(value)) = (json, &entry.value) {
            tape.read(value).map_err(not_json(&entry.key))?;
        }
        if let Some(metadata) = &entry.metadata {
            tape.read(metadata.as_bytes()).map_err(bad_metadata(&entry.key))?;
        }
    }
    Ok(())
}

/// `kv:watch(options?)`: returns the values that a generic `for` takes, of which the first is the watch.
pub(super) unsafe extern "C-unwind" fn open(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        const OPTIONS: &[&str] = &["prefix", "keys", "existing", "since", "values", "type", "timeout"];
        const TYPES: &[(&str, Values)] =
            &[("text", Values::Bytes), ("json", Values::Json), ("arrayBuffer", Values::Bytes)];
        let namespace = namespace::this(call)?;
        let (mut keys, mut options, mut timeout) = (Vec::new(), WatchOptions::new(), Duration::MAX);
        let (mut values, mut is_true, mut kind) = (Values::None, false, None);
        call.options(2, OPTIONS, |call, name, value| {
            match name {
                "prefix" => options.prefix = value.text(call)?,
                "keys" => {
                    keys = namespace::keys(call, value.table(call)?, |message| value.wrong(message))?;
                    if keys.is_empty() {
                        return value.wrong("it is empty; leave it out to watch the whole namespace");
                    }
                }
                "existing" => options.existing = value.boolean(call)?,
                "since" => options.since = utf8(value.bytes(call)?, "token")?,
                "values" => {
                    values = wanted_values(call, value)?;
                    is_true = call.type_of(value.index) == ffi::LUA_TBOOLEAN && values != Values::None;
                }
                "type" => kind = Some(value.as_choice(call, TYPES)?),
                _ => timeout = value.seconds(call)?,
            }
            Ok(())
        })?;
        match kind {
            Some(_) if !is_true => return bad(2, "option 'type': only with values = true"),
            Some(kind) => values = kind,
            None => {}
        }
        let options = options.keys(&keys).values(values != Values::None);
        let watch = Some(namespace.watch(&options)?);
        let watching = Watching { watch, values, timeout, changes: None, next: 0 };
        // SAFETY: a slot for a watch was pushed there before the body began.
        unsafe { *slot::<Handle>(call.l, 3) = Some(RefCell::new(watching)) };
        Ok(Return::Walk(3))
    };
    // SAFETY: this frame owns nothing that needs dropping, and index 3 becomes a watch's slot.
    unsafe {
        ffi::lua_settop(l, 2);
        push_slot::<Handle>(l, Upvalue::Watch.index());
        call(l, 3, body)
    }
}

fn this<'a>(call: &Call<'a>) -> Result<&'a Handle, LuaError> {
    call.object("luat_kv.watch", Upvalue::Watch)
}

/// Runs after the changes were pushed.
fn forget(call: &mut Call<'_>) -> Result<Return, LuaError> {
    let shown = call.scratch.shown.take();
    let mut watching = this(call)?.borrow_mut();
    Ok(Return::Boolean(shown.is_some_and(|shown| watching.forget(&shown))))
}

/// `watch:next(seconds?)`: a list of changes; nil when the time is over.
pub(super) unsafe extern "C-unwind" fn next(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let mut watching = this(call)?.borrow_mut();
        let timeout = call.optional_seconds(2)?.unwrap_or(Duration::MAX);
        let json = watching.values == Values::Json;
        call.scratch.shown = watching.show(usize::MAX, timeout, &mut call.scratch.tape)?;
        Ok(if call.scratch.shown.is_some() { Return::Changes { json } } else { Return::Nils(1) })
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call_and_remove(l, 2, body, forget) }
}

/// A generic `for` calls this for each change; nil ends the loop.
pub(super) unsafe extern "C-unwind" fn step(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let mut watching = this(call)?.borrow_mut();
        let (timeout, json) = (watching.timeout, watching.values == Values::Json);
        call.scratch.shown = watching.show(1, timeout, &mut call.scratch.tape)?;
        Ok(if call.scratch.shown.is_some() { Return::Change { json } } else { Return::Nils(1) })
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call_and_remove(l, 1, body, forget) }
}

/// `watch:token()`: text from which a later watch goes on.
pub(super) unsafe extern "C-unwind" fn token(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        call.scratch.text = this(call)?.borrow().token()?.into_bytes();
        Ok(Return::Text)
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}

/// `watch:fd()`: the descriptor, or nil where there is none.
pub(super) unsafe extern "C-unwind" fn fd(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let watching = this(call)?.borrow();
        let watch = watching.watch()?;
        #[cfg(unix)]
        let descriptor = watch.descriptor()?;
        #[cfg(not(unix))]
        let descriptor = check_open(watch.namespace().store()).map(|()| None::<c_int>)?;
        Ok(descriptor.map_or(Return::Nils(1), |number| Return::Sum(number.into())))
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}

/// `watch:close()`, and `__close`. Closing again does nothing.
pub(super) unsafe extern "C-unwind" fn close(l: State) -> c_int {
    let body = |call: &mut Call<'_>| match this(call) {
        Ok(watching) => {
            let mut watching = watching.borrow_mut();
            (watching.watch, watching.changes) = (None, None);
            Ok(Return::Nothing)
        }
        // The state is closing and has already collected it.
        Err(LuaError::Failed(error)) if error.code() == Code::Invalid => Ok(Return::Nothing),
        Err(fault) => Err(fault),
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}

/// `tostring(watch)`.
pub(super) unsafe extern "C-unwind" fn tostring(l: State) -> c_int {
    let body = |call: &mut Call<'_>| {
        let shown = match this(call).map(|watching| watching.borrow()) {
            Ok(watching) => watching.watch.as_ref().map(|watch| {
                let namespace = watch.namespace();
                format!("luat_kv.watch ({} in {})", namespace.name(), namespace.store().label())
            }),
            Err(LuaError::Failed(_)) => None,
            Err(fault) => return Err(fault),
        };
        let shown = shown.as_deref().unwrap_or("luat_kv.watch (closed)");
        call.scratch.text.extend_from_slice(shown.as_bytes());
        Ok(Return::Text)
    };
    // SAFETY: this frame owns nothing that needs dropping.
    unsafe { call(l, 1, body) }
}
