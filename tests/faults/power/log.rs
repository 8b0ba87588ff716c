//! Reads the log that recorder.c writes.

/// What a process did to a folder, in order. Paths are absolute.
#[derive(Debug)]
pub enum Event {
    Create {
        file: u32,
        path: String,
    },
    Write {
        file: u32,
        offset: usize,
        data: Vec<u8>,
    },
    Truncate {
        file: u32,
        len: usize,
    },
    Sync {
        file: u32,
    },
    Rename {
        from: String,
        to: String,
    },
    Link {
        from: String,
        to: String,
    },
    Unlink {
        path: String,
    },
    MakeFolder {
        path: String,
    },
    SyncFolder {
        path: String,
    },
    /// A part of what the process wrote to stdout.
    Told {
        text: String,
    },
}

/// Reads a log. One that ends within an event is an error: the recorder writes each event at once.
pub fn read(mut bytes: &[u8]) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let (event, rest) = event(bytes).ok_or_else(|| format!("event {} is cut short", events.len()))?;
        events.push(event);
        bytes = rest;
    }
    Ok(events)
}

fn event(bytes: &[u8]) -> Option<(Event, &[u8])> {
    let (kind, bytes) = u32_of(bytes)?;
    let (file, bytes) = u32_of(bytes)?;
    let (offset, bytes) = bytes.split_first_chunk().map(|(eight, rest)| (u64::from_le_bytes(*eight) as usize, rest))?;
    let (len, bytes) = u32_of(bytes)?;
    let (len2, bytes) = u32_of(bytes)?;
    let (data, bytes) = bytes.split_at_checked(len as usize)?;
    let (data2, bytes) = bytes.split_at_checked(len2 as usize)?;
    let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
    let path = text(data);
    // The same numbers as in recorder.c.
    let event = match kind {
        1 => Event::Create { file, path },
        2 => Event::Write { file, offset, data: data.to_vec() },
        3 => Event::Truncate { file, len: offset },
        4 => Event::Sync { file },
        5 => Event::Rename { from: path, to: text(data2) },
        6 => Event::Link { from: path, to: text(data2) },
        7 => Event::Unlink { path },
        8 => Event::MakeFolder { path },
        9 => Event::SyncFolder { path },
        10 => Event::Told { text: path },
        _ => return None,
    };
    Some((event, bytes))
}

fn u32_of(bytes: &[u8]) -> Option<(u32, &[u8])> {
    bytes.split_first_chunk().map(|(four, rest)| (u32::from_le_bytes(*four), rest))
}
