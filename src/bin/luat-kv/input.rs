//! The input of a command: a file, or stdin.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use crate::fail::{Fail, say};
use crate::text::DASH;

/// Opens the input. Returns also its length, if that can be known.
pub fn open(file: &Path) -> Result<(Box<dyn Read>, Option<u64>), Fail> {
    if file == Path::new(DASH) {
        if io::stdin().is_terminal() {
            say("reading from the terminal; Ctrl-D on a line of its own ends it");
        }
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let open = File::open(file).map_err(|why| Fail::at(file, why))?;
    let found = open.metadata().map_err(|why| Fail::at(file, why))?;
    let len = found.is_file().then_some(found.len());
    Ok((Box::new(open), len))
}

/// Reads a value: up to one byte more than the maximum, so that the store reports the limit.
pub fn value(file: &Path) -> Result<Vec<u8>, Fail> {
    const TOO_LONG: u64 = 512 * 1024 * 1024 + 1;
    let mut value = Vec::new();
    open(file)?.0.take(TOO_LONG).read_to_end(&mut value).map_err(|why| Fail::at(file, why))?;
    Ok(value)
}
