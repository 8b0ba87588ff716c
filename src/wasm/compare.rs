//! Comparing bytes, which finding a key is mostly made of.
//!
//! WebAssembly has an instruction for copying memory but none for comparing it, and the `memcmp` of Rust's library and
//! of wasi-libc goes byte by byte. This one takes eight at once, which `make bench-wasm` shows: a get of a key of 100 bytes
//! takes a third of the time. Linkers prefer it, since those of the libraries are weak, or lie in an archive behind.

/// C's `memcmp`.
///
/// # Safety
/// Both are good for reading `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    const WORD: usize = size_of::<u64>();
    let mut at = 0;
    // SAFETY: nothing is read beyond the length.
    unsafe {
        while len - at >= WORD {
            let (x, y) = (a.add(at).cast::<u64>().read_unaligned(), b.add(at).cast::<u64>().read_unaligned());
            if x != y {
                // The first byte in memory is the last one of a number here.
                return x.swap_bytes().cmp(&y.swap_bytes()) as i32;
            }
            at += WORD;
        }
        while at < len {
            let (x, y) = (a.add(at).read(), b.add(at).read());
            if x != y {
                return x.cmp(&y) as i32;
            }
            at += 1;
        }
    }
    0
}

/// What LLVM makes of a `memcmp` that is only asked for equality.
///
/// # Safety
/// As above.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { memcmp(a, b, len) }
}
