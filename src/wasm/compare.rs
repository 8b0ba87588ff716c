//! Compares bytes, which takes most of the time of a lookup.
//!
//! WebAssembly has an instruction for copying memory but none for comparing it, and the `memcmp` of Rust's library and
//! of wasi-libc compares byte by byte. This one compares eight at once, and 32 of long texts. According to
//! `make bench-wasm`, a get with a key of 100 bytes takes a third of the time. Linkers prefer it, since those of the
//! libraries are weak, or in an archive that is searched later.

/// C's `memcmp`.
///
/// # Safety
/// Both must be valid for reading `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    const WORD: usize = size_of::<u64>();
    const BLOCK: usize = 4 * WORD;
    // SAFETY: the callers below read within the length.
    let word = |from: *const u8, at: usize| unsafe { from.add(at).cast::<u64>().read_unaligned() };
    let mut at = 0;
    while len - at >= BLOCK {
        let differs = |place: usize| word(a, at + place) ^ word(b, at + place);
        if differs(0) | differs(WORD) | differs(2 * WORD) | differs(3 * WORD) != 0 {
            break; // the difference is in one of the next four words
        }
        at += BLOCK;
    }
    if len >= WORD {
        while at < len {
            // The last word overlaps the one before it, whose bytes are equal.
            let place = at.min(len - WORD);
            let (x, y) = (word(a, place), word(b, place));
            if x != y {
                // The first byte in memory is the last byte of a number here.
                return x.swap_bytes().cmp(&y.swap_bytes()) as i32;
            }
            at += WORD;
        }
        return 0;
    }
    for at in 0..len {
        // SAFETY: nothing is read beyond the length.
        let (x, y) = unsafe { (a.add(at).read(), b.add(at).read()) };
        if x != y {
            return x.cmp(&y) as i32;
        }
    }
    0
}

/// LLVM calls this for a `memcmp` whose result is only tested for equality.
///
/// # Safety
/// As above.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: the caller has promised it.
    unsafe { memcmp(a, b, len) }
}
