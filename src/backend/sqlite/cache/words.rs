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

/// Whether the words are these bytes, filled up with zeros: as many words as [`words_of`] says. `last` is the last one.
#[inline(always)]
pub(super) fn are(words: &[AtomicU64], bytes: &[u8], last: u64) -> bool {
    let whole = bytes.as_chunks().0;
    words.last().is_none_or(|word| word.load(Relaxed) == last)
        && words.iter().zip(whole).all(|(word, bytes)| word.load(Relaxed) == u64::from_le_bytes(*bytes))
}

/// Whether the words begin with these bytes. Four at a time take half as many instructions.
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

/// The word of the last of these bytes; 0 for none.
#[inline(always)]
pub(super) fn last_word(bytes: &[u8]) -> u64 {
    match bytes.last_chunk() {
        // Shifted by 0 if it fills a word.
        Some(end) => u64::from_le_bytes(*end) >> ((bytes.len() * 8).wrapping_neg() % 64),
        None => partial(bytes),
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

/// Copies bytes to a place that takes all of them, and writes nothing else. Returns `None`, and copies nothing, if there
/// are fewer words. (With slices it takes half as many instructions again.)
#[inline(always)]
pub(super) fn copy(words: &[AtomicU64], to: &mut [MaybeUninit<u8>]) -> Option<()> {
    let (len, rest) = (to.len(), to.len() % WORD);
    let (mut from, mut left) = (words.get(..words_of(len))?.as_ptr(), len / WORD);
    let mut place = to.as_mut_ptr().cast::<u64>();
    // SAFETY: of the words and of the place, `left` whole words follow, and then a part of one if there is a rest. Before
    // the rest is at least one whole word, or it is copied byte by byte.
    unsafe {
        while left >= 8 {
            (from, place) = copy_words::<8>(from, place);
            left -= 8;
        }
        if left >= 4 {
            (from, place) = copy_words::<4>(from, place);
            left -= 4;
        }
        while left > 0 {
            (from, place) = copy_words::<1>(from, place);
            left -= 1;
        }
        if rest > 0 && len > WORD {
            // With the end of the word before it, the last one is whole.
            let [before, last] = [from.sub(1), from].map(|word| (*word).load(Relaxed));
            let end = place.cast::<u8>().add(rest).cast::<u64>().sub(1);
            end.write_unaligned((before >> (rest * 8) | last << (64 - rest * 8)).to_le());
        } else if rest > 0 {
            to.iter_mut().zip((*from).load(Relaxed).to_le_bytes()).for_each(|(to, byte)| _ = to.write(byte));
        }
    }
    Some(())
}

/// Copies some words, and returns what follows them.
///
/// # Safety
/// There are so many words, and so many can be written.
#[inline(always)]
unsafe fn copy_words<const COUNT: usize>(from: *const AtomicU64, to: *mut u64) -> (*const AtomicU64, *mut u64) {
    // SAFETY: as promised.
    unsafe {
        for at in 0..COUNT {
            to.add(at).write_unaligned((*from.add(at)).load(Relaxed).to_le());
        }
        (from.add(COUNT), to.add(COUNT))
    }
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
