//! Records: the contents of a store, or the changes to them, as bytes. A host that can keep bytes but has no files
//! makes a store durable with them. It keeps a record of everything and records of later changes, and loads them in
//! their order.
//!
//! A record is a header (the magic, the length and the checksum of the rest) and items. Each item says what a key
//! holds, with its version and expiration, or that the key is gone. Records may follow one another.

// Only the WebAssembly exports use records.
#![cfg_attr(not(any(target_family = "wasm", test)), allow(dead_code))]

use super::changes::Changes;
use super::maps::{Maps, Row};
use crate::cursor::checksum;
use crate::error::{Code, Error, Result};
use crate::version::Version;

const MAGIC: &[u8; 4] = b"LKV1";
const HEAD: usize = MAGIC.len() + 2 * size_of::<u32>();

const GONE: u8 = 0;
const HELD: u8 = 1;
const HELD_WITH_METADATA: u8 = 2;

/// A namespace, a key, and what the key holds, if it exists.
type Item<'a> = (&'a str, &'a str, Option<&'a Row>);

/// The maximum length of a record of changes, unless it has only one item. It is small, so that a record can be made
/// even if hardly any memory besides the reserve is left.
const PART: usize = 60 * 1024;

impl Maps {
    /// Returns a record of everything, or of what has changed since the last record; empty if nothing has changed.
    /// Changes may take several records. The first call starts the noting of changes.
    pub fn record(&mut self, everything: bool) -> Result<Vec<u8>> {
        if everything || !self.changes.are_noted() {
            let record = if everything {
                encode(&|each| self.all().for_each(|(name, key, row)| each((name, key, Some(row)))))?
            } else {
                Vec::new()
            };
            self.changes = Changes::none();
            return Ok(record);
        }
        let (mut len, mut count) = (HEAD, 0);
        self.changes.each(&mut |name, key| {
            len += len_of((name, key, self.row(name, key.as_bytes())));
            let fits = count == 0 || len <= PART;
            count += usize::from(fits);
            fits
        });
        let record = encode(&|each| {
            let mut left = count;
            self.changes.each(&mut |name, key| {
                each((name, key, self.row(name, key.as_bytes())));
                left -= 1;
                left > 0
            });
        })?;
        self.changes.forget_first(count);
        Ok(record)
    }
}

/// Calls its argument for each item.
type Items<'a> = dyn Fn(&mut dyn FnMut(Item<'_>)) + 'a;

/// Encodes the items as a record. Goes through `items` twice.
fn encode(items: &Items<'_>) -> Result<Vec<u8>> {
    let mut len = 0_usize;
    items(&mut |item| len += len_of(item));
    if len == 0 {
        return Ok(Vec::new());
    }
    let told = u32::try_from(len).map_err(|_| Error::no_memory(len))?;
    let mut record = Vec::new();
    record.try_reserve_exact(HEAD + len).map_err(|_| Error::no_memory(len))?;
    record.extend_from_slice(MAGIC);
    record.extend_from_slice(&told.to_le_bytes());
    record.extend_from_slice(&[0; 4]);
    items(&mut |item| write(&mut record, item));
    let sum = checksum(&record[HEAD..]).to_le_bytes();
    record[HEAD - sum.len()..HEAD].copy_from_slice(&sum);
    Ok(record)
}

fn len_of((namespace, key, row): Item<'_>) -> usize {
    let text = |text: &str| size_of::<u32>() + text.len();
    let row = row.map_or(0, |row| {
        let metadata = row.metadata.as_deref().map_or(0, text);
        size_of::<Version>() + size_of::<i64>() + metadata + size_of::<u32>() + row.value.len()
    });
    1 + text(namespace) + text(key) + row
}

/// Appends an item. The record has enough capacity.
fn write(record: &mut Vec<u8>, (namespace, key, row): Item<'_>) {
    let bytes = |record: &mut Vec<u8>, bytes: &[u8]| {
        // The length fits in 32 bits, since that of the whole record does.
        record.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        record.extend_from_slice(bytes);
    };
    record.push(match row {
        None => GONE,
        Some(Row { metadata: None, .. }) => HELD,
        Some(Row { metadata: Some(_), .. }) => HELD_WITH_METADATA,
    });
    bytes(record, namespace.as_bytes());
    bytes(record, key.as_bytes());
    if let Some(row) = row {
        record.extend_from_slice(row.version.as_bytes());
        record.extend_from_slice(&row.expiration().unwrap_or(0).to_le_bytes());
        row.metadata.iter().for_each(|metadata| bytes(record, metadata.as_bytes()));
        bytes(record, &row.value);
    }
}

/// An item as it is stored in a record.
pub(super) struct RecordItem<'a> {
    pub namespace: &'a str,
    pub key: &'a str,
    pub row: Option<RecordRow<'a>>,
}

pub(super) struct RecordRow<'a> {
    pub version: Version,
    pub expiration: Option<i64>,
    pub metadata: Option<&'a str>,
    pub value: &'a [u8],
}

/// Calls `each` for all items of the records in their order. A caller that must not apply a part of damaged records
/// reads them twice.
pub(super) fn read<'a>(records: &'a [u8], mut each: impl FnMut(RecordItem<'a>) -> Result<()>) -> Result<()> {
    let mut reader = Reader(records);
    while !reader.0.is_empty() {
        let mut items = reader.body().ok_or_else(damaged)?;
        while !items.0.is_empty() {
            each(items.item().ok_or_else(damaged)?)?;
        }
    }
    Ok(())
}

fn damaged() -> Error {
    Error::new(Code::Corrupt, "the record is damaged, or is none")
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn body(&mut self) -> Option<Reader<'a>> {
        (self.take(MAGIC.len())? == MAGIC).then_some(())?;
        let (len, sum) = (self.number()?, self.number()?);
        let body = self.take(len as usize)?;
        (checksum(body) == sum).then_some(Reader(body))
    }

    fn item(&mut self) -> Option<RecordItem<'a>> {
        let kind = self.chunk::<1>()?[0];
        let (namespace, key) = (self.text()?, self.text()?);
        let row = match kind {
            GONE => None,
            HELD | HELD_WITH_METADATA => Some(RecordRow {
                version: Version::from_bytes(self.chunk()?),
                expiration: Some(i64::from_le_bytes(self.chunk()?)).filter(|end| *end != 0),
                metadata: if kind == HELD { None } else { Some(self.text()?) },
                value: self.bytes()?,
            }),
            _ => return None,
        };
        (!namespace.is_empty() && !key.is_empty()).then_some(RecordItem { namespace, key, row })
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.number()?;
        self.take(len as usize)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use crate::error::Code;
    use crate::types::{Entry, OpenOptions, PutOptions};
    use crate::{Clock, Store};

    /// Its clock is at 1000.
    fn store() -> Store {
        Store::open_memory(&OpenOptions { clock: Clock::manual(1000), ..OpenOptions::default() }).unwrap()
    }

    fn contents(store: &Store) -> Vec<(String, String, Entry)> {
        let mut all = Vec::new();
        for name in store.namespaces().unwrap() {
            let namespace = store.namespace(&name).unwrap();
            for key in namespace.list(&Default::default()).unwrap().entries {
                let entry = namespace.get_entry(&key.key).unwrap().unwrap();
                all.push((name.clone(), key.key, entry));
            }
        }
        all
    }

    fn filled() -> Store {
        let store = store();
        let (a, b) = (store.namespace("a").unwrap(), store.namespace("b\0").unwrap());
        a.put("text", "Grüße".as_bytes()).unwrap();
        a.put_with("empty", b"", &PutOptions { metadata: Some("{}"), ..Default::default() }).unwrap();
        b.put_with(
            "bytes",
            b"\0\xff",
            &PutOptions { expiration: Some(2000), metadata: Some("0"), ..Default::default() },
        )
        .unwrap();
        store
    }

    #[test]
    fn everything_comes_back_with_its_version() {
        let (from, to) = (filled(), store());
        to.load(&from.record(true).unwrap()).unwrap();
        assert_eq!(contents(&to), contents(&from));
        to.load(b"").unwrap();
        assert_eq!(contents(&to).len(), 3);
    }

    #[test]
    fn changes_follow_each_other() {
        let (from, to) = (filled(), store());
        let mut records = from.record(true).unwrap();
        let a = from.namespace("a").unwrap();
        for step in 0..10 {
            a.incr("count", 1).unwrap();
            if step == 4 {
                a.delete("text").unwrap();
                a.put("gone", b"").unwrap();
                a.delete("gone").unwrap();
                records.extend(from.record(false).unwrap());
            }
        }
        let last = from.record(false).unwrap();
        assert_eq!(last.len(), super::HEAD + 1 + (4 + 1) + (4 + 5) + 12 + 8 + (4 + 2), "the count alone, and once");
        assert_eq!(from.record(false).unwrap(), b"");
        records.extend(last);
        to.load(&records).unwrap();
        assert_eq!(contents(&to), contents(&from));
    }

    #[test]
    fn many_changes_take_several_records() {
        let (from, to) = (store(), store());
        assert_eq!(from.record(false).unwrap(), b"", "it only begins");
        for name in ["a", "b"] {
            let namespace = from.namespace(name).unwrap();
            for key in 0..1000 {
                namespace.put(&key.to_string(), [1; 100]).unwrap();
            }
            namespace.put("large", [2; 100_000]).unwrap();
        }
        let mut count = 0;
        loop {
            let record = from.record(false).unwrap();
            if record.is_empty() {
                break;
            }
            assert!(record.len() <= super::PART || record.len() < 100_100);
            to.load(&record).unwrap();
            count += 1;
        }
        assert!((6..12).contains(&count), "{count}");
        assert_eq!(contents(&to), contents(&from));
    }

    #[test]
    fn what_is_loaded_expires_and_is_no_change() {
        let (from, clock) = (filled(), Clock::manual(1000));
        let to = Store::open_memory(&OpenOptions { clock: clock.clone(), ..OpenOptions::default() }).unwrap();
        to.record(true).unwrap();
        to.load(&from.record(true).unwrap()).unwrap();
        assert_eq!(to.record(false).unwrap(), b"");
        clock.set(2000);
        assert_eq!(contents(&to).len(), 2);
        assert_eq!(to.sweep(None).unwrap(), 1);
    }

    #[test]
    fn damage_is_found_and_nothing_is_taken() {
        let record = filled().record(true).unwrap();
        let to = store();
        let refused = |bytes: &[u8]| assert_eq!(to.load(bytes).unwrap_err().code(), Code::Corrupt, "{bytes:?}");
        for end in 1..record.len() {
            refused(&record[..end]);
            refused(&[&record, &record[..end]].concat());
        }
        for place in 0..record.len() {
            for bit in 0..8 {
                let mut damaged = record.clone();
                damaged[place] ^= 1 << bit;
                refused(&damaged);
            }
        }
        assert_eq!(contents(&to), []);
    }

    #[test]
    fn a_change_that_is_taken_back_is_told_as_it_is() {
        let (from, to) = (filled(), store());
        to.load(&from.record(true).unwrap()).unwrap();
        let a = from.namespace("a").unwrap();
        let mut batch = from.batch();
        batch.delete(&a, "text").unwrap().incr(&a, "empty", 1).unwrap();
        batch.commit().unwrap_err();
        to.load(&from.record(false).unwrap()).unwrap();
        assert_eq!(contents(&to), contents(&from));
    }
}
