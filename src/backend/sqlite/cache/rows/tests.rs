use std::collections::HashMap;
use std::thread;

use proptest::prelude::*;

use super::*;

const SIZE: u64 = 1 << 16;

fn name(key: &str) -> Name<'_> {
    Name::new("n", key.as_bytes())
}

fn row(value: &[u8]) -> Row<'_> {
    Row { value, expiration: None, rest: None }
}

/// The value that the rows have for this key; `Some(None)`: they know that it is missing.
fn get(rows: &Rows, key: &str) -> Option<Option<Vec<u8>>> {
    let record = rows.find(&name(key))?;
    let mut value = Vec::new();
    record.value(&mut value)?.unwrap();
    let is_live = record.is_live(0, 0)?;
    record.is_intact().then(|| is_live.then_some(value))
}

#[test]
fn a_record_has_all_of_a_row() {
    let rows = Rows::new(SIZE).unwrap();
    let version: Version = "abcdefghijklmnop".parse().unwrap();
    for metadata in [None, Some(""), Some("{\"a\":1}")] {
        for value in 0..40 {
            let value = vec![b'v'; value];
            let (metadata_, rest) = (metadata.map(str::to_owned), Some((metadata, version)));
            rows.insert(&name("key"), Some(&Row { value: &value, expiration: Some(9), rest }));
            let (record, mut entry) = (rows.find(&name("key")).unwrap(), Entry::default());
            record.describe(&mut entry).unwrap().unwrap();
            record.value(entry.value.get_or_insert_default()).unwrap().unwrap();
            assert_eq!((entry.value(), &entry.metadata), (&*value, &metadata_));
            assert_eq!((entry.version, entry.expiration), (version, Some(9)));
            assert_eq!([8, 9].map(|now| record.is_live(now, 0)), [Some(true), Some(false)]);
            assert!(record.is_intact());
        }
    }
    // Names of every length, and the same bytes divided in another way.
    for len in 0..20 {
        let (key, namespace) = ("k".repeat(len), "k".repeat(20 - len));
        let name = Name::new(&namespace, key.as_bytes());
        assert!(rows.find(&name).is_none());
        rows.insert(&name, Some(&row(key.as_bytes())));
        assert!(rows.find(&name).is_some());
    }
    rows.insert(&name("no metadata"), Some(&row(b"v")));
    assert!(rows.find(&name("no metadata")).unwrap().describe(&mut Entry::default()).is_none());
}

#[test]
fn a_record_that_was_overwritten_is_not_intact() {
    let rows = Rows::new(SIZE).unwrap();
    rows.insert(&name("k"), Some(&row(b"value")));
    let record = rows.find(&name("k")).unwrap();
    let before = record.fields.each_ref().map(|word| word.load(Relaxed));
    let mut number = 0;
    while record.rows.ring[(record.position & rows.offset) as usize..][..field::COUNT]
        .iter()
        .zip(&before)
        .all(|(word, before)| word.load(Relaxed) == *before)
    {
        assert!(number < 10_000);
        rows.insert(&name(&number.to_string()), Some(&row(b"another value")));
        number += 1;
    }
    assert!(!record.is_intact());
}

#[test]
fn what_was_read_stays_and_what_was_not_goes() {
    let rows = Rows::new(SIZE).unwrap();
    let mut lost = 0;
    for number in 10..100_000 {
        rows.insert(&name(&number.to_string()), Some(&row(b"some value")));
        for hot in 0..10 {
            let key = hot.to_string();
            if get(&rows, &key).is_none() {
                rows.insert(&name(&key), Some(&row(b"some value")));
                lost += 1;
            }
        }
        assert!(rows.size() <= SIZE, "{number}");
        // The ring has room for some 700 of them.
        assert!(number < 1500 || get(&rows, &(number - 1490).to_string()).is_none(), "{number}");
    }
    // In a lap, some of the ten are dropped: at the end of the ring, or for their places in the index.
    let laps = rows.head.load(Relaxed) / (rows.offset + 1);
    assert!(lost <= 10 + 4 * laps, "{lost} in {laps} laps");
    assert!(rows.size() > SIZE / 2);
}

#[test]
fn a_lap_may_end_with_the_ring() {
    // A ring of 1024 words, which the records divide.
    let size = (0..1 << 20).find(|&size| Rows::new(size).is_some_and(|rows| rows.ring.len() == 1024)).unwrap();
    let rows = Rows::new(size).unwrap();
    let insert = |number: usize| rows.insert(&name(&format!("{number:08}")), None);
    (0..10).for_each(insert);
    rows.clear();
    for number in 0..1000 {
        insert(number);
        assert_eq!(rows.size(), 64 * (number as u64 + 1).min(if number < 118 { 118 } else { 128 }), "{number}");
    }
}

#[test]
fn sizes_that_have_room_for_nothing() {
    for size in 0..2000 {
        if let Some(rows) = Rows::new(size) {
            for number in 0..20 {
                rows.insert(&name(&number.to_string()), Some(&row(b"value")));
                rows.clear();
                rows.insert(&name("k"), None);
                assert!(rows.size() <= size, "{size}");
            }
        }
    }
}

proptest! {
    /// What the rows have is what was inserted last.
    #[test]
    fn rows_are_what_was_inserted_last(ops in prop::collection::vec((0..60u8, 0..6u8, 0..120usize), 0..3000)) {
        let rows = Rows::new(SIZE).unwrap();
        let mut model = HashMap::new();
        for (number, (key, op, len)) in ops.into_iter().enumerate() {
            let (key, mut value) = (key.to_string(), number.to_le_bytes().to_vec());
            value.resize(len, number as u8);
            let op = if number % 500 == 499 { 9 } else { op };
            match op {
                0 => { rows.remove(&name(&key)); model.remove(&key); }
                1 => { rows.insert(&name(&key), None); model.insert(key, None); }
                2 | 3 => {
                    let found = get(&rows, &key);
                    prop_assert!(found.is_none() || found.as_ref() == model.get(&key));
                }
                9 => { rows.clear(); model.clear(); }
                _ => {
                    rows.insert(&name(&key), Some(&row(&value)));
                    prop_assert_eq!(get(&rows, &key), Some(Some(value.clone())));
                    model.insert(key, Some(value));
                }
            }
        }
        for (key, value) in model {
            let found = get(&rows, &key);
            prop_assert!(found.is_none() || found == Some(value));
        }
    }
}

#[test]
fn readers_never_see_parts_of_two_rows() {
    let rows = Rows::new(SIZE).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = || {
            let mut found = 0;
            while !done.load(Relaxed) || found == 0 {
                for key in 0..50u8 {
                    if let Some(Some(value)) = get(&rows, &key.to_string()) {
                        let same = value.iter().all(|byte| *byte == value[0]);
                        assert!(same && value.len() % 50 == usize::from(key), "{key}: {value:?}");
                        found += 1;
                    }
                }
            }
        };
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        for number in 0..200_000usize {
            let key = number * 7919 % 50;
            let value = vec![number as u8; key + 50 * (1 + number % 3)];
            rows.insert(&name(&key.to_string()), Some(&row(&value)));
        }
        done.store(true, Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}
