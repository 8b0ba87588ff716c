//! The C interface, in random sequences of calls: odd arguments, handles freed in any order, some of them NULL.
//!
//! AddressSanitizer sees what is read or freed wrongly; this looks at the statuses: each is one that the header knows,
//! and PANIC and INTERNAL, which stand for bugs, end the run.
#![no_main]

use std::ptr::{null, null_mut};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use luat_kv::ffi::*;

/// A handle by its place among those that are open, modulo their number. 255 is NULL.
type Handle = u8;

#[derive(Arbitrary, Debug)]
struct Options<'a> {
    flags: u8,
    expiration: i64,
    expiration_ttl: i64,
    metadata: &'a [u8],
    initial: i64,
}

#[derive(Arbitrary, Debug)]
struct Listing<'a> {
    flags: u8,
    limit: u16,
    prefix: &'a [u8],
    start: &'a [u8],
    stop: &'a [u8],
    cursor: &'a [u8],
    /// Go on where the last page ended, instead of at `cursor`.
    goes_on: bool,
}

#[derive(Arbitrary, Debug)]
enum Call<'a> {
    OpenMemory {
        flags: u8,
        limits: u8,
    },
    Open {
        flags: u8,
        limits: u8,
        durability: u8,
    },
    Close(Handle),
    Namespace(Handle, &'a [u8]),
    NamespaceFree(Handle),
    Get(Handle, &'a [u8], u8),
    GetEntry(Handle, &'a [u8]),
    GetMany(Handle, Vec<&'a [u8]>),
    Put(Handle, &'a [u8], &'a [u8], Option<Options<'a>>, bool),
    PutVersioned(Handle, &'a [u8], &'a [u8], Option<Options<'a>>, bool),
    Touch(Handle, &'a [u8], i64, i64),
    Incr(Handle, &'a [u8], i64, Option<Options<'a>>),
    Has(Handle, &'a [u8]),
    Delete(Handle, &'a [u8]),
    Remove(Handle, &'a [u8]),
    Take(Handle, &'a [u8]),
    List(Handle, Option<Listing<'a>>),
    Count(Handle, &'a [u8]),
    DeletePrefix(Handle, &'a [u8]),
    Batch(Handle),
    /// With the version of the last entry, or with these bytes.
    BatchCheck(Handle, Handle, &'a [u8], Option<&'a [u8]>),
    BatchPut(Handle, Handle, &'a [u8], &'a [u8], Option<Options<'a>>),
    BatchDelete(Handle, Handle, &'a [u8]),
    BatchIncr(Handle, Handle, &'a [u8], i64),
    BatchCommit(Handle),
    BatchFree(Handle),
    Namespaces(Handle),
    Stats(Handle),
    Sweep(Handle, u64),
    Upkeep(Handle),
}

/// Everything that is open. Namespaces and batches may outlive their store's handle: that is part of the promise.
#[derive(Default)]
struct World {
    folder: Option<tempfile::TempDir>,
    stores: Vec<*mut luat_kv_store>,
    namespaces: Vec<*mut luat_kv_namespace>,
    batches: Vec<*mut luat_kv_batch>,
    version: Vec<u8>,
    cursor: Vec<u8>,
}

/// In memory, where there is such a place: the runs are many.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn pick<T>(handles: &[*mut T], handle: Handle) -> *mut T {
    if handle == 255 || handles.is_empty() { null_mut() } else { handles[usize::from(handle) % handles.len()] }
}

fn take<T>(handles: &mut Vec<*mut T>, handle: Handle) -> *mut T {
    if handle == 255 || handles.is_empty() {
        null_mut()
    } else {
        handles.swap_remove(usize::from(handle) % handles.len())
    }
}

fn bytes(bytes: &[u8]) -> luat_kv_bytes {
    luat_kv_bytes { data: if bytes.is_empty() { null() } else { bytes.as_ptr().cast() }, len: bytes.len() }
}

/// Checks what a call returned. Its error is freed.
unsafe fn check(status: luat_kv_status, error: *mut luat_kv_error) -> bool {
    // SAFETY: the error came from the call, and goes once.
    unsafe {
        assert_eq!(status < 0, !error.is_null(), "an error object comes with errors only");
        if status < 0 {
            assert_eq!(luat_kv_error_status(error), status);
            let message = std::ffi::CStr::from_ptr(luat_kv_error_message(error)).to_str().unwrap();
            assert!(!message.is_empty());
            assert!(!matches!(status, LUAT_KV_PANIC | LUAT_KV_INTERNAL), "{message}");
            luat_kv_error_free(error);
        }
        assert!(!luat_kv_status_str(status).is_null());
    }
    status == LUAT_KV_OK
}

impl Options<'_> {
    unsafe fn put(&self) -> luat_kv_put_options {
        let mut options = std::mem::MaybeUninit::zeroed();
        // SAFETY: the struct has this size; all of its fields may be 0.
        let mut options: luat_kv_put_options = unsafe {
            luat_kv_put_options_init(options.as_mut_ptr(), size_of::<luat_kv_put_options>());
            options.assume_init()
        };
        (options.flags, options.metadata) = (self.flags.into(), bytes(self.metadata));
        (options.expiration, options.expiration_ttl) = (self.expiration, self.expiration_ttl);
        options
    }

    unsafe fn incr(&self) -> luat_kv_incr_options {
        let mut options = std::mem::MaybeUninit::zeroed();
        // SAFETY: as above.
        let mut options: luat_kv_incr_options = unsafe {
            luat_kv_incr_options_init(options.as_mut_ptr(), size_of::<luat_kv_incr_options>());
            options.assume_init()
        };
        (options.flags, options.initial) = (self.flags.into(), self.initial);
        (options.expiration, options.expiration_ttl) = (self.expiration, self.expiration_ttl);
        options
    }
}

impl World {
    unsafe fn open(&mut self, on_disk: bool, flags: u8, limits: u8, durability: u8) {
        let mut options = std::mem::MaybeUninit::zeroed();
        let (mut store, mut error) = (null_mut(), null_mut());
        // SAFETY: the struct has this size; all of its fields may be 0. The path ends with a NUL.
        unsafe {
            luat_kv_open_options_init(options.as_mut_ptr(), size_of::<luat_kv_open_options>());
            let mut options: luat_kv_open_options = options.assume_init();
            (options.flags, options.limits, options.durability) = (flags.into(), limits.into(), durability.into());
            options.busy_timeout_ms = 1;
            let status = if on_disk {
                let folder = self.folder.get_or_insert_with(folder);
                let path = std::ffi::CString::new(folder.path().join("kv.db").to_str().unwrap()).unwrap();
                luat_kv_open(path.as_ptr(), &options, &mut store, &mut error)
            } else {
                luat_kv_open_memory(&options, &mut store, &mut error)
            };
            if check(status, error) {
                self.stores.push(store);
            }
        }
    }

    /// Reads an entry as far as it says it goes.
    unsafe fn look_at(&mut self, entry: *const luat_kv_entry) {
        let mut len = 0;
        // SAFETY: the entry lives; each pointer is good for the length that came with it.
        unsafe {
            for read in [luat_kv_entry_key, luat_kv_entry_value, luat_kv_entry_metadata, luat_kv_entry_version] {
                let data = read(entry, &mut len);
                let data = if data.is_null() { &[] } else { std::slice::from_raw_parts(data, len) };
                self.version = std::hint::black_box(data).to_vec();
            }
            luat_kv_entry_expiration(entry);
        }
    }

    unsafe fn look_through(&mut self, page: *mut luat_kv_page) {
        // SAFETY: the page lives until it is freed here.
        unsafe {
            for index in 0..luat_kv_page_len(page) {
                self.look_at(luat_kv_page_at(page, index));
            }
            assert!(luat_kv_page_at(page, luat_kv_page_len(page)).is_null());
            let mut len = 0;
            let cursor = luat_kv_page_cursor(page, &mut len);
            self.cursor = if cursor.is_null() { Vec::new() } else { std::slice::from_raw_parts(cursor, len).to_vec() };
            luat_kv_page_free(page);
        }
    }

    unsafe fn list(&mut self, ns: *mut luat_kv_namespace, listing: Option<&Listing<'_>>) {
        let mut options = std::mem::MaybeUninit::zeroed();
        let (mut page, mut error) = (null_mut(), null_mut());
        // SAFETY: as in `open`. What the options point to lives until the call is over.
        unsafe {
            luat_kv_list_options_init(options.as_mut_ptr(), size_of::<luat_kv_list_options>());
            let mut options: luat_kv_list_options = options.assume_init();
            if let Some(listing) = listing {
                (options.flags, options.limit) = (listing.flags.into(), listing.limit.into());
                (options.prefix, options.start, options.stop) =
                    (bytes(listing.prefix), bytes(listing.start), bytes(listing.stop));
                options.cursor = bytes(if listing.goes_on { &self.cursor } else { listing.cursor });
            }
            let options = if listing.is_some() { &raw const options } else { null() };
            // First, since the page brings another cursor.
            self.iterate(ns, options);
            let status = luat_kv_list(ns, options, &mut page, &mut error);
            if check(status, error) {
                self.look_through(page);
            }
        }
    }

    unsafe fn iterate(&mut self, ns: *mut luat_kv_namespace, options: *const luat_kv_list_options) {
        let (mut iter, mut entry, mut error) = (null_mut(), null(), null_mut());
        // SAFETY: what the options point to lives; each entry is looked at before the next one is asked for.
        unsafe {
            if check(luat_kv_iter_open(ns, options, &mut iter, &mut error), error) {
                while check(luat_kv_iter_next(iter, &mut entry, &mut error), error) {
                    self.look_at(entry);
                }
                luat_kv_iter_free(iter);
            }
        }
    }

    unsafe fn stats(&self, store: *mut luat_kv_store) {
        let (mut stats, mut error, mut len) = (null_mut(), null_mut(), 0);
        // SAFETY: the store lives or is NULL; the stats live until they are freed here.
        unsafe {
            if check(luat_kv_stats_read(store, &mut stats, &mut error), error) {
                for index in 0..=luat_kv_stats_len(stats) {
                    luat_kv_stats_name(stats, index, &mut len);
                    luat_kv_stats_live(stats, index);
                }
                luat_kv_stats_free(stats);
            }
        }
    }

    unsafe fn read(&mut self, call: &Call<'_>) {
        let mut error = null_mut();
        // SAFETY: handles are open or NULL, lengths are those of the slices, and what comes out is freed once.
        unsafe {
            match *call {
                Call::Get(ns, key, cap) => {
                    let (mut value, mut len) = (vec![0; cap.into()], 0);
                    let (ns, key) = (pick(&self.namespaces, ns), bytes(key));
                    let status =
                        luat_kv_get(ns, key.data, key.len, value.as_mut_ptr(), value.len(), &mut len, &mut error);
                    check(status, error);
                }
                Call::GetEntry(ns, key) => {
                    let (mut entry, key) = (null_mut(), bytes(key));
                    let ns = pick(&self.namespaces, ns);
                    if check(luat_kv_get_entry(ns, key.data, key.len, &mut entry, &mut error), error) {
                        self.look_at(entry);
                        luat_kv_entry_free(entry);
                    }
                }
                Call::Has(ns, key) => {
                    let (ns, key) = (pick(&self.namespaces, ns), bytes(key));
                    check(luat_kv_has(ns, key.data, key.len, &mut error), error);
                }
                Call::GetMany(ns, ref keys) => {
                    let (mut page, ns) = (null_mut(), pick(&self.namespaces, ns));
                    let keys: Vec<_> = keys.iter().map(|key| bytes(key)).collect();
                    if check(luat_kv_get_many(ns, keys.as_ptr(), keys.len(), &mut page, &mut error), error) {
                        self.look_through(page);
                    }
                }
                Call::List(ns, ref listing) => self.list(pick(&self.namespaces, ns), listing.as_ref()),
                Call::Count(ns, prefix) => {
                    let (mut count, prefix) = (0, bytes(prefix));
                    let ns = pick(&self.namespaces, ns);
                    check(luat_kv_count(ns, prefix.data, prefix.len, &mut count, &mut error), error);
                }
                Call::Namespaces(store) => {
                    let mut page = null_mut();
                    if check(luat_kv_namespaces(pick(&self.stores, store), &mut page, &mut error), error) {
                        self.look_through(page);
                    }
                }
                Call::Stats(store) => self.stats(pick(&self.stores, store)),
                _ => unreachable!("it is no read"),
            }
        }
    }

    unsafe fn write(&mut self, call: &Call<'_>) {
        let mut error = null_mut();
        // SAFETY: as in `read`.
        unsafe {
            let status = match *call {
                Call::Put(ns, key, value, ref options, only_new) => {
                    let (ns, key, value) = (pick(&self.namespaces, ns), bytes(key), bytes(value));
                    let options = options.as_ref().map(|options| options.put());
                    let options = options.as_ref().map_or(null(), |options| options as *const _);
                    let call = if only_new { luat_kv_add } else { luat_kv_put };
                    call(ns, key.data, key.len, value.data, value.len, options, &mut error)
                }
                Call::PutVersioned(ns, key, value, ref options, only_new) => {
                    let (ns, key, value) = (pick(&self.namespaces, ns), bytes(key), bytes(value));
                    let options = options.as_ref().map(|options| options.put());
                    let options = options.as_ref().map_or(null(), |options| options as *const _);
                    let mut version = [0; LUAT_KV_VERSION_SIZE as usize];
                    let call = if only_new { luat_kv_add_versioned } else { luat_kv_put_versioned };
                    let (to, error) = (version.as_mut_ptr().cast(), &mut error);
                    let status = call(ns, key.data, key.len, value.data, value.len, options, to, error);
                    let len = version.iter().position(|byte| *byte == 0).expect("a NUL at the end");
                    assert_eq!(len > 0, status == LUAT_KV_OK, "a version comes with success only");
                    self.version = version[..len].to_vec();
                    status
                }
                Call::Touch(ns, key, expiration, ttl) => {
                    let (ns, key) = (pick(&self.namespaces, ns), bytes(key));
                    luat_kv_touch(ns, key.data, key.len, expiration, ttl, &mut error)
                }
                Call::Incr(ns, key, by, ref options) => {
                    let (ns, key, mut sum) = (pick(&self.namespaces, ns), bytes(key), 0);
                    let options = options.as_ref().map(|options| options.incr());
                    let options = options.as_ref().map_or(null(), |options| options as *const _);
                    luat_kv_incr(ns, key.data, key.len, by, options, &mut sum, &mut error)
                }
                Call::Delete(ns, key) => {
                    let (ns, key) = (pick(&self.namespaces, ns), bytes(key));
                    luat_kv_delete(ns, key.data, key.len, &mut error)
                }
                Call::Remove(ns, key) => {
                    let (ns, key) = (pick(&self.namespaces, ns), bytes(key));
                    luat_kv_remove(ns, key.data, key.len, &mut error)
                }
                Call::Take(ns, key) => {
                    let (ns, key, mut entry) = (pick(&self.namespaces, ns), bytes(key), null_mut());
                    let status = luat_kv_take(ns, key.data, key.len, &mut entry, &mut error);
                    assert_eq!(status == LUAT_KV_OK, !entry.is_null(), "an entry comes with success only");
                    self.look_at(entry);
                    luat_kv_entry_free(entry);
                    status
                }
                Call::DeletePrefix(ns, prefix) => {
                    let (ns, prefix, mut removed) = (pick(&self.namespaces, ns), bytes(prefix), 0);
                    luat_kv_delete_prefix(ns, prefix.data, prefix.len, &mut removed, &mut error)
                }
                Call::Sweep(store, max) => luat_kv_sweep(pick(&self.stores, store), max, null_mut(), &mut error),
                Call::Upkeep(store) => {
                    let store = pick(&self.stores, store);
                    check(luat_kv_checkpoint(store, null_mut(), &mut error), error);
                    error = null_mut();
                    luat_kv_compact(store, &mut error)
                }
                _ => unreachable!("it is no write"),
            };
            check(status, error);
        }
    }

    unsafe fn batch(&mut self, call: &Call<'_>) {
        let mut error = null_mut();
        // SAFETY: as in `read`.
        unsafe {
            let status = match *call {
                Call::BatchCheck(batch, ns, key, version) => {
                    let (batch, ns, key) = (pick(&self.batches, batch), pick(&self.namespaces, ns), bytes(key));
                    let version = bytes(version.unwrap_or(&self.version));
                    luat_kv_batch_check(batch, ns, key.data, key.len, version.data, version.len, &mut error)
                }
                Call::BatchPut(batch, ns, key, value, ref options) => {
                    let (batch, ns, key) = (pick(&self.batches, batch), pick(&self.namespaces, ns), bytes(key));
                    let options = options.as_ref().map(|options| options.put());
                    let options = options.as_ref().map_or(null(), |options| options as *const _);
                    let value = bytes(value);
                    luat_kv_batch_put(batch, ns, key.data, key.len, value.data, value.len, options, &mut error)
                }
                Call::BatchDelete(batch, ns, key) => {
                    let (batch, ns, key) = (pick(&self.batches, batch), pick(&self.namespaces, ns), bytes(key));
                    luat_kv_batch_delete(batch, ns, key.data, key.len, &mut error)
                }
                Call::BatchIncr(batch, ns, key, by) => {
                    let (batch, ns, key) = (pick(&self.batches, batch), pick(&self.namespaces, ns), bytes(key));
                    luat_kv_batch_incr(batch, ns, key.data, key.len, by, null(), &mut error)
                }
                Call::BatchCommit(batch) => {
                    let (batch, mut len) = (pick(&self.batches, batch), 0);
                    let status = luat_kv_batch_commit(batch, &mut error);
                    luat_kv_batch_version(batch, &mut len);
                    status
                }
                _ => unreachable!("it is nothing of a batch's"),
            };
            check(status, error);
        }
    }

    unsafe fn make(&mut self, call: &Call<'_>) {
        let mut error = null_mut();
        // SAFETY: as in `read`; what is taken from its list is not used again.
        unsafe {
            match *call {
                Call::OpenMemory { flags, limits } => self.open(false, flags, limits, 0),
                Call::Open { flags, limits, durability } => self.open(true, flags, limits, durability),
                Call::Close(store) => luat_kv_close(take(&mut self.stores, store)),
                Call::Namespace(store, name) => {
                    let (mut ns, name) = (null_mut(), bytes(name));
                    let store = pick(&self.stores, store);
                    if check(luat_kv_namespace_open(store, name.data, name.len, &mut ns, &mut error), error) {
                        self.namespaces.push(ns);
                    }
                }
                Call::NamespaceFree(ns) => luat_kv_namespace_free(take(&mut self.namespaces, ns)),
                Call::Batch(store) => {
                    let mut batch = null_mut();
                    if check(luat_kv_batch_open(pick(&self.stores, store), &mut batch, &mut error), error) {
                        self.batches.push(batch);
                    }
                }
                Call::BatchFree(batch) => luat_kv_batch_free(take(&mut self.batches, batch)),
                _ => unreachable!("it makes and frees nothing"),
            }
        }
    }

    unsafe fn call(&mut self, call: &Call<'_>) {
        use Call::*;
        // SAFETY: each of them looks to its own handles.
        unsafe {
            match call {
                OpenMemory { .. }
                | Open { .. }
                | Close(_)
                | Namespace(..)
                | NamespaceFree(_)
                | Batch(_)
                | BatchFree(_) => self.make(call),
                BatchCheck(..) | BatchPut(..) | BatchDelete(..) | BatchIncr(..) | BatchCommit(_) => self.batch(call),
                Get(..) | GetEntry(..) | GetMany(..) | Has(..) | List(..) | Count(..) | Namespaces(_) | Stats(_) => {
                    self.read(call)
                }
                _ => self.write(call),
            }
        }
    }
}

impl Drop for World {
    /// Stores first, so that the rest outlives them.
    fn drop(&mut self) {
        // SAFETY: all of them are open, and gone with this.
        unsafe {
            self.stores.drain(..).for_each(|store| luat_kv_close(store));
            self.batches.drain(..).for_each(|batch| luat_kv_batch_free(batch));
            self.namespaces.drain(..).for_each(|ns| luat_kv_namespace_free(ns));
        }
    }
}

fuzz_target!(|input: (bool, Vec<Call<'_>>)| {
    let (on_disk, calls) = input;
    let mut world = World::default();
    // SAFETY: `World` says what is open.
    unsafe {
        // Most calls need a namespace.
        world.open(on_disk, 0, 0, 0);
        world.call(&Call::Namespace(0, b"n"));
        calls.iter().for_each(|call| world.call(call));
    }
});
