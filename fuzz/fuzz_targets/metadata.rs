//! Metadata: the store accepts exactly the JSON that serde_json accepts, but not null nor what nests too deep.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use luat_kv::{Code, OpenOptions, PutOptions, Store};

const DEEPEST: usize = 128;
const LONGEST: usize = 64 * 1024;

/// How deep brackets nest that are not within strings.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut is_escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => (depth, deepest) = (depth + 1, deepest.max(depth + 1)),
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fuzz_target!(|text: &str| -> Corpus {
    let store = Store::open_memory(&OpenOptions::default()).unwrap();
    let kv = store.namespace("n").unwrap();
    let is_shallow = depth(text) <= DEEPEST;
    // serde_json reads a Value recursively, and has a limit of its own there, which is 127.
    let value = serde_json::from_str::<serde_json::Value>(text);
    if is_shallow && depth(text) > 120 {
        return Corpus::Reject;
    }
    let is_taken = is_shallow && text.len() <= LONGEST && value.is_ok_and(|value| !value.is_null());
    match kv.put_with("k", b"v", &PutOptions::new().metadata(text)) {
        Ok(_) => {
            assert!(is_taken, "taken: {text:?}");
            assert_eq!(kv.get_entry("k").unwrap().unwrap().metadata.as_deref(), Some(text));
        }
        Err(error) => {
            assert!(!is_taken, "refused: {text:?}: {error}");
            assert!(matches!(error.code(), Code::Invalid | Code::Limit), "{error}");
            assert_eq!(kv.get("k").unwrap(), None);
        }
    }
    Corpus::Keep
});
