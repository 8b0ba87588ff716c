//! Lists: any prefix, bounds and cursor. A cursor of any text is refused or good; pages join to what one list gives.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use luat_kv::{Code, ListOptions, Namespace, OpenOptions, Store};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    keys: Vec<&'a str>,
    prefix: &'a str,
    start: &'a str,
    stop: Option<&'a str>,
    reverse: bool,
    limit: u8,
    cursor: Option<&'a str>,
}

fn names(kv: &Namespace, options: &ListOptions<'_>) -> luat_kv::Result<(Vec<String>, Option<String>)> {
    let page = kv.list(options)?;
    Ok((page.entries.into_iter().map(|key| key.key).collect(), page.cursor))
}

fuzz_target!(|input: Input<'_>| {
    let store = Store::open_memory(&OpenOptions::default()).unwrap();
    let kv = store.namespace("n").unwrap();
    for key in &input.keys {
        match kv.put(key, b"") {
            Ok(_) => {}
            Err(error) => assert!(matches!(error.code(), Code::Invalid | Code::Limit), "{error}"),
        }
    }
    let Input { prefix, start, stop, reverse, .. } = input;
    let all = ListOptions::new().prefix(prefix).start(start).stop(stop).reverse(reverse).limit(10_000);
    let Ok((expected, None)) = names(&kv, &all) else { return };
    let is_in =
        |key: &&String| key.starts_with(prefix) && key.as_str() >= start && stop.is_none_or(|stop| key.as_str() < stop);
    assert!(expected.iter().all(|key| is_in(&key)));
    assert!(expected.is_sorted_by(|a, b| if reverse { a > b } else { a < b }));

    // A cursor of any text.
    if let Err(error) = kv.list(&all.cursor(input.cursor)) {
        assert!(input.cursor.is_some() && error.code() == Code::Invalid, "{error}");
    }
    // Page by page.
    let (mut joined, mut cursor) = (Vec::new(), None);
    loop {
        let limit = Some(u64::from(input.limit).max(1));
        let (page, next) = names(&kv, &all.limit(limit).cursor(cursor.as_deref())).unwrap();
        joined.extend(page);
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(joined, expected);
});
