//! Files that were crafted, and files that are damaged. A store on such a file is opened in a separate process, with
//! limited memory and time.

mod child;
mod crafted;
mod damaged;
mod pages;

pub use child::run as child;
pub use crafted::suite as crafted;
pub use damaged::suite as damaged;

/// A value on one line: all of a short one, the length of a long one.
fn shown(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if text.len() < 100 => text.to_owned(),
        _ => format!("{} bytes", value.len()),
    }
}

/// A number for these bytes, and their division.
fn hash<'a>(parts: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hash = std::hash::DefaultHasher::new();
    parts.for_each(|part| std::hash::Hash::hash(part, &mut hash));
    std::hash::Hasher::finish(&hash)
}
