//! Imports: what is accepted, what is refused and at which position, and how little is read of an oversized field.

use std::io::{self, Read};

use proptest::prelude::*;

use luat_kv::{Clock, Code, Error, Imported, Limits, Namespace, OpenOptions, Store};

const NOW: i64 = 1_700_000_000;

fn namespace(limits: Limits) -> Namespace {
    let options = OpenOptions::new().limits(limits).clock(Clock::manual(NOW));
    Store::open_memory(&options).unwrap().namespace("n").unwrap()
}

fn import(n: &Namespace, text: impl AsRef<[u8]>, replace: bool) -> luat_kv::Result<(u64, u64)> {
    n.import(&mut text.as_ref(), replace).map(|Imported { stored, skipped, .. }| (stored, skipped))
}

/// The error of an import, which stored nothing.
#[track_caller]
fn refused(text: impl AsRef<[u8]>) -> Error {
    let n = namespace(Limits::Default);
    let error = import(&n, &text, true).expect_err(&String::from_utf8_lossy(text.as_ref()));
    assert_eq!(n.count("").unwrap(), 0);
    error
}

#[test]
fn unknown_fields_are_ignored_and_told() {
    let n = namespace(Limits::Default);
    let text = r#"[{"key":"a","ttl":5,"value":"1","nested":{"key":[1,{"x":"\n]}"},-0.5e+7,true,null,[],{}]}},
        {"a\tb":"","key":"b","value":"2","ttl":"\ud83d\ude00","ttl":1}]"#;
    let mut told = Vec::new();
    let imported = n.import_with(&mut text.as_bytes(), false, &mut |name| told.push(name.to_owned())).unwrap();
    assert_eq!((imported.stored, imported.skipped), (2, 0));
    assert_eq!(told, ["ttl", "nested", "a\tb", "ttl", "ttl"]);
    assert_eq!(n.get("b").unwrap().as_deref(), Some(&b"2"[..]));
    for broken in
        ["01", "+1", "1.", ".5", "1e", "tru", "nul", "[1,]", "{\"a\"}", "{\"a\":1,}", "[1}", "\"\\x\"", "\"\n\""]
    {
        let error = refused(format!(r#"{{"key":"a","value":"1","more":{broken}}}"#));
        assert_eq!(error.code(), Code::Invalid, "{broken}: {error}");
        assert!(error.message().starts_with("line 1, column "), "{broken}: {error}");
    }
}

#[test]
fn base64_may_be_wrapped_in_lines() {
    let n = namespace(Limits::Default);
    let text = r#"{"key":"a","value":"\tAAEC\r\nAwQF\n Bg= =\n","base64":true}{"base64":true,"value":"","key":"b"}"#;
    assert_eq!(import(&n, text, false).unwrap(), (2, 0));
    assert_eq!(n.get("a").unwrap().unwrap(), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(n.get("b").unwrap().unwrap(), b"");
    for value in ["AA", "AA=", "A", "A===", "AB==", "AA==AAAA", "A-_=", "ÄÄÄÄ"] {
        let error = refused(format!(r#"{{"key":"a","value":"{value}","base64":true}}"#));
        assert_eq!(error.message(), "line 1, key \"a\": the value is not base64");
    }
}

#[test]
fn a_whole_number_may_have_a_point() {
    for (number, seconds) in [("3600", 3600), ("3600.0", 3600), ("3.6e3", 3600), ("36E+2", 3600), ("36000e-1", 3600)] {
        for (field, since) in [("expiration_ttl", 0), ("expiration", NOW)] {
            let n = namespace(Limits::Default);
            let number = if since > 0 { format!("{}.000", NOW + seconds) } else { number.to_owned() };
            assert_eq!(import(&n, format!(r#"{{"key":"a","value":"","{field}":{number}}}"#), false).unwrap(), (1, 0));
            assert_eq!(n.get_entry("a").unwrap().unwrap().expiration, Some(NOW + seconds), "{field} {number}");
        }
    }
    for number in ["3600.5", "1e99", "9223372036854775808", "1e999", "\"5\"", "true", "[]", "{}"] {
        let error = refused(format!(r#"{{"key":"a","value":"","expiration":{number}}}"#));
        assert_eq!(error.code(), Code::Invalid);
        assert!(error.message().contains("`expiration` must be a whole number"), "{number}: {error}");
    }
}

#[test]
fn nothing_is_no_export() {
    for text in ["", " ", "\n\r\n\t ", "\u{feff}", "\u{feff}\n"] {
        let error = refused(text);
        assert_eq!(error.code(), Code::Invalid);
        assert!(error.message().contains("empty"), "{error}");
    }
    for text in ["[]", "\u{feff}[\n]\n"] {
        assert_eq!(import(&namespace(Limits::Default), text, false).unwrap(), (0, 0));
    }
    let blank = format!("{}{{\"key\":\"a\",\"value\":\"1\"}}", " ".repeat(3_000_000));
    assert_eq!(import(&namespace(Limits::Default), blank, false).unwrap(), (1, 0));
}

#[test]
fn an_error_tells_its_own_line() {
    for (field, line, words) in [
        ("\"value\": 5", 6, "`value` must be a string"),
        ("\"value\": \"!\",\n    \"base64\": true", 6, "base64"),
        ("\"value\": \"\",\n    \"base64\": 1", 7, "`base64` must be a boolean"),
        ("\"value\": \"\",\n    \"expiration\": 1.5", 7, "`expiration` must be"),
        ("\"value\": \"\",\n    \"expiration_ttl\": 0", 7, "the lifetime is 0 seconds"),
        ("\"value\": \"\",\n    \"expiration\": 1700000000000", 7, "milliseconds"),
        ("\"value\": \"\",\n    \"metadata\": {\n  \"a\": 1e999 }", 7, "metadata is not JSON"),
        ("\"value\": \"\",\n    \"metadata\": {\n  \"a\":\n }", 9, "expected a value"),
        ("\"value\": \"\",\n    \"value\": \"\"", 7, "duplicate field `value`"),
        ("\"value\": \"\\ud800\"", 6, "surrogate"),
        ("\"value\": \"\\udc00\"", 6, "surrogate"),
        ("\"value\": \"\\ud800\\u0041\"", 6, "surrogate"),
        ("\"value\": \"a\tb\"", 6, "control character"),
        ("\"values\": \"\"", 7, "missing field `value`"),
        ("\"value\": \"\"\n    \"metadata\": 1", 7, "expected `,` or `}`"),
        ("\"value\": \"", 6, "control character"),
    ] {
        let error = refused(format!(
            "[\n  {{ \"key\": \"a\",\n    \"value\": \"1\" }},\n  {{\n    \"key\": \"b\",\n    {field}\n  }}\n]\n"
        ));
        assert_eq!(error.code(), Code::Invalid, "{field}");
        assert!(error.message().starts_with(&format!("line {line}, ")), "{field}: {error}");
        assert!(error.message().contains(words), "{field}: {error}");
    }
}

#[test]
fn what_has_expired_removes_its_key_where_it_replaces() {
    let text = format!(r#"{{"key":"a","value":"new","expiration":{NOW}}}{{"key":"b","value":"new","expiration":-5}}"#);
    for (replace, left) in [(false, 1), (true, 0)] {
        let n = namespace(Limits::Default);
        n.put("a", b"old").unwrap();
        assert_eq!(import(&n, &text, replace).unwrap(), (0, 2));
        assert_eq!(n.count("").unwrap(), left);
    }
    // The rest of the file counts again.
    let n = namespace(Limits::Default);
    assert_eq!(import(&n, format!(r#"{text}{{"key":"a","value":"newer"}}"#), true).unwrap(), (1, 2));
    assert_eq!(n.get("a").unwrap().as_deref(), Some(&b"newer"[..]));
}

/// An endless text, which counts how much of it is read.
struct Endless {
    begin: Vec<u8>,
    read: usize,
}

impl Read for Endless {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        to.fill(b'A');
        let begin = self.begin.get(self.read..).unwrap_or_default();
        let len = begin.len().min(to.len());
        to[..len].copy_from_slice(&begin[..len]);
        self.read += to.len();
        Ok(to.len())
    }
}

#[test]
fn what_is_too_long_is_refused_before_it_is_whole() {
    for (begin, words, limit) in [
        ("{\"key\":\"", "the key is more than 512 bytes", 512),
        ("{\"key\":\"a\",\"value\":\"", "the value is more than", 40 * 1024 * 1024),
        ("{\"key\":\"a\",\"base64\":true,\"value\":\"", "the value is more than", 40 * 1024 * 1024),
        ("{\"key\":\"a\",\"metadata\":\"", "the metadata is more than 1024 bytes", 1024),
        ("{\"key\":\"a\",\"metadata\":{\"", "the metadata is more than 1024 bytes", 1024),
        ("{\"key\":\"a\",\"", "the name of a field is more than", 4096),
    ] {
        let mut endless = Endless { begin: begin.into(), read: 0 };
        let error = namespace(Limits::Cloudflare).import(&mut endless, false).unwrap_err();
        assert_eq!(error.code(), Code::Limit, "{begin}");
        assert!(error.message().starts_with("line 1, ") && error.message().contains(words), "{begin}: {error}");
        assert!(endless.read < limit + 100_000, "{begin}: {} bytes were read", endless.read);
    }
    for (begin, code) in [("{\"key\":\"a\",\"expiration\":1", Code::Invalid), ("{\"more\":[1", Code::Invalid)] {
        let mut endless = Endless { begin: begin.into(), read: 0 };
        assert_eq!(namespace(Limits::Default).import(&mut endless, false).unwrap_err().code(), code, "{begin}");
    }
    let digits = format!("{{\"key\":\"a\",\"value\":\"\",\"expiration\":{}}}", "1".repeat(100_000));
    assert_eq!(refused(digits).code(), Code::Limit);
}

#[test]
fn a_value_at_its_limit_is_taken_in_any_form() {
    let limit = 25 * 1024 * 1024;
    let plain = "x".repeat(limit);
    // (Escapes are slow in a build without optimization.)
    let escaped = "x".repeat(limit - 100_000) + &"\\u0078".repeat(100_000);
    let lines = "eHh4\\r\\n".repeat(16) + "eHh4";
    for (value, len) in [(&plain, limit), (&escaped, limit), (&lines, 51)] {
        let n = namespace(Limits::Cloudflare);
        let base64 = len != limit;
        import(&n, format!(r#"{{"key":"a","value":"{value}","base64":{base64}}}"#), false).unwrap();
        assert!(n.get("a").unwrap().unwrap() == vec![b'x'; len]);
    }
    let wrapped = ["eHh4".repeat(19).as_str(), "\\r\\n"].concat().repeat(limit / 57);
    let n = namespace(Limits::Cloudflare);
    import(&n, format!(r#"{{"key":"a","value":"{wrapped}","base64":true}}"#), false).unwrap();
    assert_eq!(n.get("a").unwrap().unwrap().len(), limit / 57 * 57);
    let error = import(&n, format!(r#"{{"key":"b","value":"{plain}x"}}"#), false).unwrap_err();
    assert_eq!(error.code(), Code::Limit);
    let told = "line 1, key \"b\": the value is 26214401 bytes long; the limit is 26214400";
    assert_eq!(error.message(), told);
}

/// Parts of JSON, in valid and invalid orders.
fn tokens() -> impl Strategy<Value = String> {
    const TOKENS: [&str; 32] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"a\":",
        "\"",
        "1",
        "0",
        "-",
        "-1.5",
        "e5",
        ".5",
        "E-3",
        "true",
        "false",
        "null",
        " ",
        "\n",
        "\\",
        "\\n",
        "\\u0041",
        "\\ud83d",
        "\\ude00",
        "\u{1}",
        "é",
        "{\"a\":1}",
        "[1,2]",
        "[]",
        "{}",
    ];
    prop::collection::vec(prop::sample::select(&TOKENS[..]), 0..10).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// An ignored field must be JSON by serde_json's grammar, and so must metadata.
    #[test]
    fn what_is_no_json_is_refused(tokens in tokens()) {
        for field in ["more", "metadata"] {
            let text = format!("{{\"key\":\"k\",\"value\":\"\",\"{field}\":{tokens}}}");
            let is_json = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            let imported = import(&namespace(Limits::Default), &text, false);
            prop_assert_eq!(imported.is_ok(), is_json, "{}: {:?}", text, imported);
        }
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn a_path_with_a_nul_is_refused_with_the_same_words_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("kv.db"), &OpenOptions::default()).unwrap();
    let n = store.namespace("n").unwrap();
    let path = folder.path().join("x\0y");
    for (error, what) in [
        (n.export_file(&path, luat_kv::Format::Json).unwrap_err(), "exporting to"),
        (n.import_file(&path, false).unwrap_err(), "importing"),
        (store.backup(&path).unwrap_err(), "backing up to"),
        (Store::open(&path, &OpenOptions::default()).unwrap_err(), "opening"),
    ] {
        assert_eq!(error.code(), Code::Invalid, "{error}");
        assert!(error.message().starts_with(what) && error.message().ends_with("the path has a NUL in it"), "{error}");
    }
}
