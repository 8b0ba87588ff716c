//! NOMEM needs no memory: such an error is created, returned and freed without an allocation.
// A build with the Lua binding has no C interface.
#![cfg(not(feature = "module"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;
use std::time::Duration;

use luat_kv::ffi::*;
use luat_kv::{Code, Error, OpenOptions, Store, WatchOptions};
use rusqlite::ffi::SQLITE_NOMEM;

/// The first size that is refused, after which this thread has no memory at all.
const LARGE: usize = 1 << 20;

thread_local! {
    static REFUSING: Cell<Refusing> = const { Cell::new(Refusing::Nothing) };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Refusing {
    Nothing,
    /// A large allocation fails, and after that all.
    Large,
    Everything,
}

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match REFUSING.get() {
            Refusing::Large if layout.size() >= LARGE => REFUSING.set(Refusing::Everything),
            Refusing::Everything => {}
            // SAFETY: the caller has promised it.
            _ => return unsafe { System.alloc(layout) },
        }
        ptr::null_mut()
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller has promised it.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Runs something without memory. An allocation that cannot fail ends this program.
fn starved<T>(from: Refusing, act: impl FnOnce() -> T) -> T {
    REFUSING.set(from);
    let answer = act();
    REFUSING.set(Refusing::Nothing);
    answer
}

#[test]
fn an_error_of_the_c_interface() {
    let (mut store, mut namespace, mut batch) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    let value = vec![b'x'; 2 * LARGE];
    // SAFETY: handles are live, lengths are right, and each handle is freed once.
    unsafe {
        assert_eq!(luat_kv_open_memory(ptr::null(), &mut store, ptr::null_mut()), LUAT_KV_OK);
        assert_eq!(luat_kv_namespace_open(store, c"n".as_ptr().cast(), 1, &mut namespace, ptr::null_mut()), LUAT_KV_OK);
        assert_eq!(luat_kv_batch_open(store, &mut batch, ptr::null_mut()), LUAT_KV_OK);
        let (status, error) = starved(Refusing::Large, || {
            let mut error = ptr::null_mut();
            let (key, data, len) = (c"k".as_ptr().cast(), value.as_ptr().cast(), value.len());
            let status = luat_kv_batch_put(batch, namespace, key, 1, data, len, ptr::null(), &mut error);
            (status, error)
        });
        assert_eq!((status, luat_kv_error_status(error)), (LUAT_KV_NOMEM, LUAT_KV_NOMEM));
        assert_eq!(std::ffi::CStr::from_ptr(luat_kv_error_message(error)), c"out of memory");
        luat_kv_error_free(error);
        luat_kv_batch_free(batch);
        luat_kv_namespace_free(namespace);
        luat_kv_close(store);
    }
}

#[test]
fn an_error_of_sqlite() {
    let failure = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(SQLITE_NOMEM), Some("out of memory".into()));
    let error = starved(Refusing::Everything, || Error::from(failure));
    assert_eq!((error.code(), error.message()), (Code::NoMem, "out of memory"));
}

#[test]
fn a_watch_of_many_keys() {
    let store = Store::open_memory(&OpenOptions::new()).unwrap();
    let n = store.namespace("n").unwrap();
    (0..30_000).for_each(|i| _ = n.put(&i.to_string(), "").unwrap());
    let watch = n.watch(&WatchOptions::new()).unwrap();
    let next = || watch.next(Duration::ZERO).map(|changes| changes.into_iter().map(|change| change.entry.key));
    n.put("new", "").unwrap();
    assert!(next().unwrap().eq(["new"]));
    n.delete("0").unwrap();
    for _ in 0..2 {
        let error = starved(Refusing::Large, || next().map(drop)).unwrap_err();
        assert_eq!(error.code(), Code::NoMem);
    }
    assert!(next().unwrap().eq(["0"]));
    let token = watch.token(usize::MAX).unwrap();
    let resume = || n.watch(&WatchOptions::new().since(&token)).and_then(|watch| watch.next(Duration::ZERO));
    for failed in [
        starved(Refusing::Large, || watch.token(usize::MAX).map(drop)),
        starved(Refusing::Large, || resume().map(drop)),
    ] {
        assert_eq!(failed.unwrap_err().code(), Code::NoMem);
    }
    assert_eq!(resume().unwrap(), []);
    assert_eq!(next().unwrap().count(), 0);
}
