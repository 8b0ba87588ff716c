//! Memory that threads read while another one may write it: numbers of 64 bits, which are read and written as a whole.

use std::alloc::{Layout, alloc_zeroed};
use std::mem::MaybeUninit;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::error::{Error, Result};

/// The length of a word in bytes.
pub(super) const WORD: usize = 8;

/// Numbers that are 0. The system gives their memory when they are first written. Returns `None` if there is none left.
pub(super) fn zeroed(len: usize) -> Option<Box<[AtomicU64]>> {
    let layout = Layout::array::<AtomicU64>(len).ok().filter(|layout| layout.size() > 0)?;
    // SAFETY: the layout has a size.
    let memory = unsafe { alloc_zeroed(layout) };
    // SAFETY: it was allocated with the layout of this slice, and 0 is a number.
    (!memory.is_null()).then(|| unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(memory.cast(), len)) })
}

/// How many words these bytes take.
pub(super) fn words_of(len: usize) -> usize {
    len.div_ceil(WORD)
}

/// Up to seven bytes, filled up with zeros. (The two parts may overlap, and have the same bits where they do.)
#[inline(always)]
fn partial(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << ((bytes.len() - 4) * 8)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u64::from(u16::from_le_bytes(*first)) | u64::from(u16::from_le_bytes(*last)) << ((bytes.len() - 2) * 8)
    } else {
        bytes.first().map_or(0, |byte| u64::from(*byte))
    }
}

/// Whether the words begin with these bytes, filled up with zeros.
#[inline(always)]
pub(super) fn contain(words: &[AtomicU64], bytes: &[u8]) -> bool {
    let (whole, rest) = bytes.as_chunks();
    let Some((full, last)) = words.split_at_checked(whole.len()) else { return false };
    full.iter().zip(whole).all(|(word, bytes)| word.load(Relaxed) == u64::from_le_bytes(*bytes))
        && contain_rest(last, rest.len(), bytes)
}

/// The same for more bytes: four words at a time take half as many instructions.
#[inline]
pub(super) fn contain_many(words: &[AtomicU64], bytes: &[u8]) -> bool {
    let (whole, rest) = bytes.as_chunks();
    let Some((full, last)) = words.split_at_checked(whole.len()) else { return false };
    let ((fours, ones), (whole_fours, whole_ones)) = (full.as_chunks::<4>(), whole.as_chunks::<4>());
    let differ =
        |differ, (word, bytes): (&AtomicU64, &[u8; WORD])| differ | word.load(Relaxed) ^ u64::from_le_bytes(*bytes);
    fours.iter().zip(whole_fours).all(|(words, bytes)| words.iter().zip(bytes).fold(0, differ) == 0)
        && ones.iter().zip(whole_ones).fold(0, differ) == 0
        && contain_rest(last, rest.len(), bytes)
}

/// Whether the first word is that of the last `len` of these bytes, which are less than a word.
#[inline(always)]
fn contain_rest(words: &[AtomicU64], len: usize, bytes: &[u8]) -> bool {
    if len == 0 {
        return true;
    }
    let Some(word) = words.first() else { return false };
    let end = match bytes.last_chunk() {
        Some(end) => u64::from_le_bytes(*end) >> (64 - len * 8),
        None => partial(bytes),
    };
    word.load(Relaxed) == end
}

pub(super) fn write(words: &[AtomicU64], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks();
    for (word, bytes) in words.iter().zip(whole) {
        word.store(u64::from_le_bytes(*bytes), Relaxed);
    }
    if let Some(last) = words.get(whole.len()) {
        last.store(partial(rest), Relaxed);
    }
}

/// A part of a buffer that takes a word.
pub(super) type Part = MaybeUninit<[u8; WORD]>;

/// Copies the words, which have `len` bytes, to a place that is as long. Returns `None` if it is not.
#[inline]
pub(super) fn copy<'a>(words: &[AtomicU64], len: usize, to: &'a mut [Part]) -> Option<&'a [u8]> {
    if words.len() != to.len() {
        return None;
    }
    let copy = |(word, part): (&AtomicU64, &mut Part)| {
        part.write(word.load(Relaxed).to_le_bytes());
    };
    // Four at a time take half as many instructions.
    let ((fours, ones), (parts_of_fours, parts_of_ones)) = (words.as_chunks::<4>(), to.as_chunks_mut::<4>());
    fours.iter().zip(parts_of_fours).for_each(|(words, parts)| words.iter().zip(parts).for_each(copy));
    ones.iter().zip(parts_of_ones).for_each(copy);
    // SAFETY: all parts were written.
    let bytes = unsafe { std::slice::from_raw_parts(to.as_ptr().cast::<u8>(), to.len() * WORD) };
    bytes.get(..len)
}

/// The same for a buffer that grows.
pub(super) fn copy_to(words: &[AtomicU64], len: usize, to: &mut Vec<u8>) -> Result<()> {
    to.clear();
    to.try_reserve_exact(words.len() * WORD).map_err(|_| Error::no_memory(len))?;
    // SAFETY: so much was reserved. A part has no alignment.
    let parts = unsafe { std::slice::from_raw_parts_mut(to.as_mut_ptr().cast::<Part>(), words.len()) };
    let len = copy(words, len, parts).map_or(0, <[u8]>::len);
    // SAFETY: they were written.
    unsafe { to.set_len(len) };
    Ok(())
}
