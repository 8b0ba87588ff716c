//! Options structs, which can grow: each tells its own size, and zeros mean the defaults.

use std::mem;
use std::ptr;
use std::time::Duration;

use super::luat_kv_bytes;
use crate::error::{Error, Result};
use crate::types::{Durability, Limits, OpenOptions};

/// Open a database that exists, and never write to it. For luat_kv_open_options.flags.
pub const LUAT_KV_OPEN_READONLY: u32 = 1;
/// Do not wait for other processes at all: busy_timeout_ms is truly 0. For luat_kv_open_options.flags.
pub const LUAT_KV_OPEN_NOWAIT: u32 = 2;

/// Keys of 4 KiB, values of 512 MiB, metadata of 64 KiB, pages of 10 000 keys, lifetimes from 1 second.
pub const LUAT_KV_LIMITS_DEFAULT: u32 = 0;
/// Those of Cloudflare Workers KV: keys of 512 bytes (but not "." or ".."), values of 25 MiB, metadata of 1024 bytes,
/// pages of 1000 keys, lifetimes from 60 seconds (by expiration too). An app which must later run there fails here first.
pub const LUAT_KV_LIMITS_CLOUDFLARE: u32 = 1;

/// List from the last key to the first. For luat_kv_list_options.flags.
pub const LUAT_KV_LIST_REVERSE: u32 = 1;
/// List the values too. Such a page ends early, with a cursor, when its values come to 16 MiB: it never holds much more
/// than that and one value. For luat_kv_list_options.flags.
pub const LUAT_KV_LIST_VALUES: u32 = 2;

/// What was acknowledged survives the death of the process. A power cut may lose the last moments; it never harms the
/// file.
pub const LUAT_KV_DURABILITY_NORMAL: u32 = 0;
/// What was acknowledged survives a power cut too, for an fsync with each write.
pub const LUAT_KV_DURABILITY_FULL: u32 = 1;

/// How to open a store. Set it up with luat_kv_open_options_init(); a field of 0 means its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct luat_kv_open_options {
    /// sizeof this struct, where you compiled it.
    pub struct_size: u32,
    /// LUAT_KV_OPEN_... flags, or 0.
    pub flags: u32,
    /// How long to wait for other processes and connections, in milliseconds; 0 is 5000.
    pub busy_timeout_ms: u32,
    /// A LUAT_KV_LIMITS_... number.
    pub limits: u32,
    /// A LUAT_KV_DURABILITY_... number.
    pub durability: u32,
    /// 0.
    pub reserved: u32,
}

/// How to store a value. Set it up with luat_kv_put_options_init(); a field of 0 means its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct luat_kv_put_options {
    /// sizeof this struct, where you compiled it.
    pub struct_size: u32,
    /// 0.
    pub flags: u32,
    /// When the entry is gone, in Unix seconds, in the future and not after the year 9999; 0 is never.
    pub expiration: i64,
    /// The same in seconds from now, at least 1. Wins over expiration where both are set. It counts from the next full
    /// second: the entry lives for at least as long, and for less than a second more.
    pub expiration_ttl: i64,
    /// JSON text of any value but null, nested 128 deep at most, kept as it is; empty is none.
    pub metadata: luat_kv_bytes,
}

/// Which keys to list. Set it up with luat_kv_list_options_init(); a field of 0 means its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct luat_kv_list_options {
    /// sizeof this struct, where you compiled it.
    pub struct_size: u32,
    /// LUAT_KV_LIST_... flags, or 0.
    pub flags: u32,
    /// How many keys a page holds at most; 0 is 1000.
    pub limit: u32,
    /// 0.
    pub reserved: u32,
    /// Only keys that begin with this; every character stands for itself.
    pub prefix: luat_kv_bytes,
    /// Where the previous page ended: its luat_kv_page_cursor(). Empty is the beginning. It stays good whatever is put
    /// or deleted meanwhile, and with another limit, but goes with the same prefix and direction only.
    pub cursor: luat_kv_bytes,
    /// Only keys from this one on, itself included, in byte order, whichever way the list goes. Empty is the first.
    pub start: luat_kv_bytes,
    /// Only keys before this one, in byte order, whichever way the list goes. Empty is behind the last.
    pub stop: luat_kv_bytes,
}

/// How to count. Set it up with luat_kv_incr_options_init(); a field of 0 means its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct luat_kv_incr_options {
    /// sizeof this struct, where you compiled it.
    pub struct_size: u32,
    /// 0.
    pub flags: u32,
    /// What a missing key counts from.
    pub initial: i64,
    /// When a key that is created here is gone, in Unix seconds, in the future; 0 is never. One that is there keeps its
    /// own expiration.
    pub expiration: i64,
    /// The same in seconds from now, at least 1. Wins over expiration where both are set.
    pub expiration_ttl: i64,
}

/// A struct that can be read from a program that was compiled with another version of it.
///
/// # Safety
/// All zeros must be a good value, any bytes too, and `struct_size: u32` the first field.
pub(super) unsafe trait Options: Copy {}

// SAFETY: `repr(C)`, integers and raw pointers only, the size first.
unsafe impl Options for luat_kv_open_options {}
// SAFETY: the same.
unsafe impl Options for luat_kv_put_options {}
// SAFETY: the same.
unsafe impl Options for luat_kv_list_options {}
// SAFETY: the same.
unsafe impl Options for luat_kv_incr_options {}

/// No version of a struct will ever be longer; a larger size is a sign of memory that was not set up.
const LONGEST: usize = 4096;

/// Reads options: a shorter, older struct extends with zeros; a longer one is taken if its excess is zero.
///
/// # Safety
/// `options` is NULL or good for reading as many bytes as its first field says.
pub(super) unsafe fn read<T: Options>(options: *const T, what: &str) -> Result<T> {
    // SAFETY: zeros are a good value, and `T` takes any bytes; else the caller's promise.
    unsafe {
        let mut read: T = mem::zeroed();
        if !options.is_null() {
            copy(options.cast(), (&raw mut read).cast(), size_of::<T>(), what)?;
        }
        Ok(read)
    }
}

/// The same for any of the structs: `len` bytes of it are known.
///
/// # Safety
/// As above, field by field as far as the size allows; `to` is good for writing `len` bytes.
unsafe fn copy(options: *const u8, to: *mut u8, len: usize, what: &str) -> Result<()> {
    // SAFETY: the caller's promise.
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

/// Writes the defaults, and the size that the caller knows: its struct may be an older, shorter one than `T`, or a newer
/// one. A size that is none leaves a struct that no function takes.
///
/// # Safety
/// `options` is NULL or good for writing `size` bytes.
unsafe fn init<T: Options>(options: *mut T, size: usize) {
    if options.is_null() || size < size_of::<u32>() {
        return;
    }
    let told = if size <= LONGEST { size } else { 0 };
    // SAFETY: the caller's promise; zeros are good, and the size is the first field.
    unsafe {
        options.cast::<u8>().write_bytes(0, told);
        options.cast::<u32>().write_unaligned(told as u32);
    }
}

/// Writes a struct as far as the caller knows it: its struct has `size` bytes. The rest of a longer one is zero.
///
/// # Safety
/// As [`init`].
#[cfg(not(target_family = "wasm"))]
pub(super) unsafe fn write<T: Options>(to: *mut T, size: usize, from: &T) {
    const FIRST: usize = size_of::<u32>();
    // SAFETY: as promised.
    unsafe { init(to, size) };
    if !to.is_null() && (FIRST..=LONGEST).contains(&size) {
        let known = size.min(size_of::<T>()) - FIRST;
        // SAFETY: both have `known` bytes behind the size, which `init` has written.
        unsafe { ptr::from_ref(from).byte_add(FIRST).cast::<u8>().copy_to(to.cast::<u8>().add(FIRST), known) };
    }
}

/// A time or a lifetime, of which 0 is none.
pub(super) fn seconds(field: i64) -> Option<i64> {
    (field != 0).then_some(field)
}

/// A field that must be 0 as yet.
pub(super) fn unused(field: u32, what: &str) -> Result<()> {
    if field == 0 { Ok(()) } else { Err(Error::invalid(format!("{what} is {field}, which means nothing"))) }
}

impl luat_kv_open_options {
    pub(super) fn checked(&self) -> Result<OpenOptions> {
        unused(self.flags & !(LUAT_KV_OPEN_READONLY | LUAT_KV_OPEN_NOWAIT), "luat_kv_open_options.flags")?;
        unused(self.reserved, "luat_kv_open_options.reserved")?;
        Ok(OpenOptions {
            limits: match self.limits {
                LUAT_KV_LIMITS_DEFAULT => Limits::Default,
                LUAT_KV_LIMITS_CLOUDFLARE => Limits::Cloudflare,
                other => return Err(Error::invalid(format!("luat_kv_open_options.limits is {other}, which is none"))),
            },
            durability: match self.durability {
                LUAT_KV_DURABILITY_NORMAL => Durability::Normal,
                LUAT_KV_DURABILITY_FULL => Durability::Full,
                other => {
                    return Err(Error::invalid(format!("luat_kv_open_options.durability is {other}, which is none")));
                }
            },
            busy_timeout: match self.busy_timeout_ms {
                _ if self.flags & LUAT_KV_OPEN_NOWAIT != 0 => Duration::ZERO,
                0 => OpenOptions::DEFAULT_BUSY_TIMEOUT,
                milliseconds => Duration::from_millis(milliseconds.into()),
            },
            readonly: self.flags & LUAT_KV_OPEN_READONLY != 0,
            ..OpenOptions::default()
        })
    }
}

/// Sets up open options with the defaults. size is sizeof *options, where you compiled it: the library may know more or
/// fewer fields. NULL is harmless.
///
/// # Safety
/// `options` is NULL or points to room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_open_options_init(options: *mut luat_kv_open_options, size: usize) {
    // SAFETY: the caller promises that `options` is NULL or good for writing `size` bytes.
    unsafe { init(options, size) };
}

/// Sets up put options with the defaults. size is sizeof *options, where you compiled it: the library may know more or
/// fewer fields. NULL is harmless.
///
/// # Safety
/// `options` is NULL or points to room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_put_options_init(options: *mut luat_kv_put_options, size: usize) {
    // SAFETY: the caller promises that `options` is NULL or good for writing `size` bytes.
    unsafe { init(options, size) };
}

/// Sets up list options with the defaults. size is sizeof *options, where you compiled it: the library may know more or
/// fewer fields. NULL is harmless.
///
/// # Safety
/// `options` is NULL or points to room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_list_options_init(options: *mut luat_kv_list_options, size: usize) {
    // SAFETY: the caller promises that `options` is NULL or good for writing `size` bytes.
    unsafe { init(options, size) };
}

/// Sets up increment options with the defaults. size is sizeof *options, where you compiled it: the library may know more or
/// fewer fields. NULL is harmless.
///
/// # Safety
/// `options` is NULL or points to room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn luat_kv_incr_options_init(options: *mut luat_kv_incr_options, size: usize) {
    // SAFETY: the caller promises that `options` is NULL or good for writing `size` bytes.
    unsafe { init(options, size) };
}
