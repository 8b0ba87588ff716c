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

/// How many words these bytes take. Wraps near `usize::MAX`, which is the length of no record.
#[inline(always)]
pub(super) fn words_of(len: usize) -> usize {
    len.wrapping_add(WORD - 1) / WORD
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

/// Whether the words begin with these bytes, filled up with zeros. `last` is the word of those that fill none.
#[inline(always)]
pub(super) fn contain(words: &[AtomicU64], bytes: &[u8], last: u64) -> bool {
    let (whole, rest) = bytes.as_chunks();
    let Some((full, left)) = words.split_at_checked(whole.len()) else { return false };
    full.iter().zip(whole).all(|(word, bytes)| word.load(Relaxed) == u64::from_le_bytes(*bytes))
        && (rest.is_empty() || left.first().is_some_and(|word| word.load(Relaxed) == last))
}

/// The same for more bytes: four words at a time take half as many instructions.
#[inline(never)]
pub(super) fn contain_many(words: &[AtomicU64], bytes: &[u8]) -> bool {
    let (whole, rest) = bytes.as_chunks();
    let Some((full, last)) = words.split_at_checked(whole.len()) else { return false };
    let ((fours, ones), (whole_fours, whole_ones)) = (full.as_chunks::<4>(), whole.as_chunks::<4>());
    let differ =
        |differ, (word, bytes): (&AtomicU64, &[u8; WORD])| differ | word.load(Relaxed) ^ u64::from_le_bytes(*bytes);
    fours.iter().zip(whole_fours).all(|(words, bytes)| words.iter().zip(bytes).fold(0, differ) == 0)
        && ones.iter().zip(whole_ones).fold(0, differ) == 0
        && (rest.is_empty() || last.first().is_some_and(|word| word.load(Relaxed) == last_word(bytes)))
}

/// The word of the last of these bytes, which fill none.
#[inline(always)]
pub(super) fn last_word(bytes: &[u8]) -> u64 {
    match (bytes.len() % WORD, bytes.last_chunk()) {
        (0, _) => 0,
        (len, Some(end)) => u64::from_le_bytes(*end) >> (64 - len * 8),
        (_, None) => partial(bytes),
    }
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

/// Copies bytes to a place that takes all of them, and writes nothing else. Returns `None`, and has copied nothing, if
/// there are not as many.
#[inline(always)]
pub(super) fn copy(words: &[AtomicU64], to: &mut [MaybeUninit<u8>]) -> Option<()> {
    let (parts, rest) = to.as_chunks_mut::<WORD>();
    let rest = rest.len();
    let (full, last) = words.get(..parts.len() + usize::from(rest > 0))?.split_at_checked(parts.len())?;
    // Several at a time take half as many instructions.
    let ((eights, few), (parts_of_eights, few_parts)) = (full.as_chunks::<8>(), parts.as_chunks_mut::<8>());
    for (words, parts) in eights.iter().zip(parts_of_eights) {
        copy_all(words, parts);
    }
    let ((four, ones), (parts_of_four, parts_of_ones)) = (few.as_chunks::<4>(), few_parts.as_chunks_mut::<4>());
    if let ([four], [parts]) = (four, parts_of_four) {
        copy_all(four, parts);
    }
    for (word, part) in ones.iter().zip(parts_of_ones) {
        *part = bytes_of(word.load(Relaxed));
    }
    let Some(last) = last.first().map(|last| last.load(Relaxed)) else { return Some(()) };
    match (full, to.last_chunk_mut()) {
        // With the end of the word before it, the last one is whole.
        ([.., before], Some(end)) => *end = bytes_of(before.load(Relaxed) >> (rest * 8) | last << (64 - rest * 8)),
        _ => to.iter_mut().zip(bytes_of(last)).for_each(|(to, byte)| *to = byte),
    }
    Some(())
}

#[inline(always)]
fn copy_all<const LEN: usize>(words: &[AtomicU64; LEN], parts: &mut [[MaybeUninit<u8>; WORD]; LEN]) {
    for (word, part) in words.iter().zip(parts) {
        *part = bytes_of(word.load(Relaxed));
    }
}

#[inline(always)]
fn bytes_of(word: u64) -> [MaybeUninit<u8>; WORD] {
    word.to_le_bytes().map(MaybeUninit::new)
}

/// Copies as many bytes to a buffer that grows.
pub(super) fn copy_to(words: &[AtomicU64], len: usize, to: &mut Vec<u8>) -> Result<()> {
    to.clear();
    to.try_reserve_exact(len).map_err(|_| Error::no_memory(len))?;
    if let Some(place) = to.spare_capacity_mut().get_mut(..len)
        && copy(words, place).is_some()
    {
        // SAFETY: they were written.
        unsafe { to.set_len(len) };
    }
    Ok(())
}
