//! Options structs, which can grow: each contains its size, and zeros mean the defaults.

use std::mem;
use std::ptr;
use std::time::Duration;

use super::luat_kv_bytes;
use crate::error::{Error, Result};
use crate::types::{Durability, Limits, OpenOptions};

/// Open an existing database, and never write to it. For luat_kv_open_options.flags.
pub const LUAT_KV_OPEN_READONLY: u32 = 1;
/// Do not wait for other processes at all, whatever busy_timeout_ms is. For luat_kv_open_options.flags.
pub const LUAT_KV_OPEN_NOWAIT: u32 = 2;
/// Read without a cache of values, whatever cache_size is. For luat_kv_open_options.flags.
pub const LUAT_KV_OPEN_NO_CACHE: u32 = 4;

/// Keys of 4 KiB, values of 512 MiB, metadata of 64 KiB, pages of 10 000 keys, lifetimes from 1 second.
pub const LUAT_KV_LIMITS_DEFAULT: u32 = 0;
/// The limits of Cloudflare Workers KV: keys of 512 bytes (but not "." or ".."), values of 25 MiB, metadata of 1024
/// bytes, pages of 1000 keys, lifetimes from 60 seconds (also for expiration). For an app that must later run there.
pub const LUAT_KV_LIMITS_CLOUDFLARE: u32 = 1;

/// List from the last key to the first. For luat_kv_list_options.flags.
pub const LUAT_KV_LIST_REVERSE: u32 = 1;
/// List the values too. A page then also ends, with a cursor, when its values reach 16 MiB. So it never holds much more
/// than that and one value. For luat_kv_list_options.flags.
pub const LUAT_KV_LIST_VALUES: u32 = 2;

/// A completed write survives the end of the process. A power failure may lose the last writes, but never damages the
/// file.
pub const LUAT_KV_DURABILITY_NORMAL: u32 = 0;
/// A completed write also survives a power failure, at the cost of an fsync for each write.
pub const LUAT_KV_DURABILITY_FULL: u32 = 1;

/// Options for opening a store. Initialize them with luat_kv_open_options_init(); 0 in a field means its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct luat_kv_open_options {
    /// sizeof this struct, in the version that the program was compiled with.
    pub struct_size: u32,
    /// LUAT_KV_OPEN_... flags, or 0.
    pub flags: u32,
    /// How long to wait for other processes and connections, in milliseconds; 0 means 5000.
    pub busy_timeout_ms: u32,
    /// A LUAT_KV_LIMITS_... number.
    pub limits: u32,
    /// A LUAT_KV_DURABILITY_... number. With PostgreSQL only LUAT_KV_DURABILITY_NORMAL: the server decides.
    pub durability: u32,
    /// Must be 0.
    pub reserved: u32,
    /// How much memory the cache of values may take, in bytes, at most the memory of the machine; 0 means 16 MiB. A
    /// read of a value that it has does not use SQLite, and returns what any process has stored last, as every read
    /// does. The stores on one file share one cache, with the size of the first that reads. Ignored in memory, and
    /// INVALID with PostgreSQL.
    pub cache_size: u64,
}

/// Options for storing a value. Initialize them with luat_kv_put_options_init(); 0 in a field means its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct luat_kv_put_options {
    /// sizeof this struct, in the version that the program was compiled with.
    pub struct_size: u32,
    /// Must be 0.
    pub flags: u32,
    /// When the entry expires, in Unix seconds, in the future and not after the year 9999; 0 means never.
    pub expiration: i64,
    /// The same in seconds from now, at least 1. Takes precedence over expiration. It counts from the next full second:
    /// the entry lives for at least this time, and less than a second longer.
    pub expiration_ttl: i64,
    /// JSON text of any value but null, nested at most 128 deep, stored unchanged. Empty means none.
    pub metadata: luat_kv_bytes,
}

/// Options of a list. Initialize them with luat_kv_list_options_init(); 0 in a field means its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct luat_kv_list_options {
    /// sizeof this struct, in the version that the program was compiled with.
    pub struct_size: u32,
    /// LUAT_KV_LIST_... flags, or 0.
    pub flags: u32,
    /// The maximum number of keys in a page; 0 means 1000. For luat_kv_iter_open() the maximum number of keys in total;
    /// 0 means no limit.
    pub limit: u32,
    /// Must be 0.
    pub reserved: u32,
    /// Only keys with this prefix. There are no wildcards.
    pub prefix: luat_kv_bytes,
    /// The luat_kv_page_cursor() of the page before. Empty means the beginning. A cursor stays valid when keys are put
    /// or deleted, and with another limit, but only with the same prefix and direction.
    pub cursor: luat_kv_bytes,
    /// Only keys from this one on, inclusive, in byte order for both directions. Empty means from the first.
    pub start: luat_kv_bytes,
    /// Only keys before this one, exclusive, in byte order for both directions. Empty means to the last.
    pub stop: luat_kv_bytes,
}

/// Options of an increment. Initialize them with luat_kv_incr_options_init(); 0 in a field means its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct luat_kv_incr_options {
    /// sizeof this struct, in the version that the program was compiled with.
    pub struct_size: u32,
    /// Must be 0.
    pub flags: u32,
    /// The number to which a missing key is set before the addition.
    pub initial: i64,
    /// When a new key expires, in Unix seconds, in the future; 0 means never. An existing key keeps its expiration.
    pub expiration: i64,
    /// The same in seconds from now, at least 1. Takes precedence over expiration.
    pub expiration_ttl: i64,
}

/// A struct that can be read from a program that was compiled with another version of the struct.
///
/// # Safety
/// Any bytes must be a valid value, and `struct_size: u32` the first field.
pub(super) unsafe trait Options: Copy {}

// SAFETY: it is `repr(C)`, has only integers and raw pointers, and begins with the size.
unsafe impl Options for luat_kv_open_options {}
// SAFETY: the same.
unsafe impl Options for luat_kv_put_options {}
// SAFETY: the same.
unsafe impl Options for luat_kv_list_options {}
// SAFETY: the same.
unsafe impl Options for luat_kv_incr_options {}

/// The maximum size of a struct in any version. A larger size means that the struct was not initialized.
const LONGEST: usize = 4096;

/// Reads options. A shorter, older struct is extended with zeros; a longer one is accepted if the rest is zero.
///
/// # Safety
/// `options` is NULL or valid for reading as many bytes as its first field says.
pub(super) unsafe fn read<T: Options>(options: *const T, what: &str) -> Result<T> {
    // SAFETY: any bytes are a valid `T`, so zeros are too; `options` is NULL or valid for reading as many bytes as its
    // first field says, as promised; `read` is valid for writing its size.
    unsafe {
        let mut read: T = mem::zeroed();
        if !options.is_null() {
            copy(options.cast(), (&raw mut read).cast(), size_of::<T>(), what)?;
        }
        Ok(read)
    }
}

/// Copies a struct whose first `len` bytes are known to this version.
///
/// # Safety
/// As above, field by field as far as the size allows; `to` is valid for writing `len` bytes.
unsafe fn copy(options: *const u8, to: *mut u8, len: usize, what: &str) -> Result<()> {
    // SAFETY: `options` is valid for reading `size` bytes, and `to` for writing `len`, as promised; the size is read
    // first, and no more than `size` bytes are read, nor more than `len` written.
    unsafe {
        let size = options.cast::<u32>().read_unaligned() as usize;
        if !(size_of::<u32>()..=LONGEST).contains(&size) {
            return Err(Error::invalid(format!("{what}.struct_size is {size}; call {what}_init() first")));
        }
        let known = size.min(len);
        ptr::copy_nonoverlapping(options, to, known);
        for place in known..size {
            if options.add(place).read() != 0 {
                return Err(Error::invalid(format!("{what} has options that this library is too old for")));
            }
        }
    }
    Ok(())
}

/// Writes the defaults, and the caller's size: its struct may be of an older, shorter version than `T`, or of a newer
/// one. After an invalid size, every function rejects the struct.
///
/// # Safety
/// `options` is NULL or valid for writing `size` bytes.
pub(super) unsafe fn init<T: Options>(options: *mut T, size: usize) {
    if options.is_null() || size < size_of::<u32>() {
        return;
    }
    let written = if size <= LONGEST { size } else { 0 };
    // SAFETY: `options` is not NULL, so it is valid for writing `size` bytes, as promised, of which there are at least
    // four for the first field, the size.
    unsafe {
        options.cast::<u8>().write_bytes(0, written);
        options.cast::<u32>().write_unaligned(written as u32);
    }
}

/// Writes as much of a struct as fits into the caller's, which has `size` bytes. The rest of a longer one is zero.
///
/// # Safety
/// As [`init`].
#[cfg(not(target_family = "wasm"))]
pub(super) unsafe fn write<T: Options>(to: *mut T, size: usize, from: &T) {
    const FIRST: usize = size_of::<u32>();
    // SAFETY: `to` is NULL or valid for writing `size` bytes, as promised.
    unsafe { init(to, size) };
    if !to.is_null() && (FIRST..=LONGEST).contains(&size) {
        let known = size.min(size_of::<T>()) - FIRST;
        // SAFETY: `to` is not NULL, and both structs have `known` bytes after the size, which `init` has written.
        unsafe { ptr::from_ref(from).byte_add(FIRST).cast::<u8>().copy_to(to.cast::<u8>().add(FIRST), known) };
    }
}

/// Returns a time or a lifetime; 0 means none.
pub(super) fn seconds(field: i64) -> Option<i64> {
    (field != 0).then_some(field)
}

/// Checks a field, or bits of one, that must be 0 in this version.
pub(super) fn unused(field: u32, what: &str) -> Result<()> {
    if field == 0 { Ok(()) } else { Err(unknown(field, what)) }
}

#[cold]
pub(super) fn unknown(value: u32, what: &str) -> Error {
    Error::invalid(format!("{what} has the unknown value {value}"))
}

impl luat_kv_open_options {
    pub(super) fn checked(&self) -> Result<OpenOptions> {
        const FLAGS: u32 = LUAT_KV_OPEN_READONLY | LUAT_KV_OPEN_NOWAIT | LUAT_KV_OPEN_NO_CACHE;
        unused(self.flags & !FLAGS, "luat_kv_open_options.flags")?;
        unused(self.reserved, "luat_kv_open_options.reserved")?;
        Ok(OpenOptions {
            limits: match self.limits {
                LUAT_KV_LIMITS_DEFAULT => Limits::Default,
                LUAT_KV_LIMITS_CLOUDFLARE => Limits::Cloudflare,
                other => return Err(unknown(other, "luat_kv_open_options.limits")),
            },
            durability: match self.durability {
                LUAT_KV_DURABILITY_NORMAL => Durability::Normal,
                LUAT_KV_DURABILITY_FULL => Durability::Full,
                other => return Err(unknown(other, "luat_kv_open_options.durability")),
            },
            busy_timeout: match self.busy_timeout_ms {
                _ if self.flags & LUAT_KV_OPEN_NOWAIT != 0 => Duration::ZERO,
                0 => OpenOptions::DEFAULT_BUSY_TIMEOUT,
                milliseconds => Duration::from_millis(milliseconds.into()),
            },
            readonly: self.flags & LUAT_KV_OPEN_READONLY != 0,
            cache_size: match self.cache_size {
                _ if self.flags & LUAT_KV_OPEN_NO_CACHE != 0 => 0,
                0 => OpenOptions::DEFAULT_CACHE_SIZE,
                bytes => bytes,
            },
            ..OpenOptions::default()
        })
    }
}

/// Initializes open options with the defaults. size is sizeof *options in the program: the library may know more or
/// fewer fields. NULL does nothing.
///
/// # Safety
/// `options` is NULL or valid for writing `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_open_options_init(options: *mut luat_kv_open_options, size: usize) {
    // SAFETY: the caller promises that `options` is NULL or valid for writing `size` bytes.
    unsafe { init(options, size) };
}

/// Initializes put options with the defaults. size is sizeof *options in the program: the library may know more or
/// fewer fields. NULL does nothing.
///
/// # Safety
/// `options` is NULL or valid for writing `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_put_options_init(options: *mut luat_kv_put_options, size: usize) {
    // SAFETY: the caller promises that `options` is NULL or valid for writing `size` bytes.
    unsafe { init(options, size) };
}

/// Initializes list options with the defaults. size is sizeof *options in the program: the library may know more or
/// fewer fields. NULL does nothing.
///
/// # Safety
/// `options` is NULL or valid for writing `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_list_options_init(options: *mut luat_kv_list_options, size: usize) {
    // SAFETY: the caller promises that `options` is NULL or valid for writing `size` bytes.
    unsafe { init(options, size) };
}

/// Initializes increment options with the defaults. size is sizeof *options in the program: the library may know more
/// or fewer fields. NULL does nothing.
///
/// # Safety
/// `options` is NULL or valid for writing `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_incr_options_init(options: *mut luat_kv_incr_options, size: usize) {
    // SAFETY: the caller promises that `options` is NULL or valid for writing `size` bytes.
    unsafe { init(options, size) };
}
