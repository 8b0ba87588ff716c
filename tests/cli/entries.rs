//! get, put, delete, list, count.

use serde_json::json;

use crate::support::{Project, missing, without_version};

#[test]
fn a_value_comes_back_byte_for_byte() {
    let project = Project::new();
    let all: Vec<u8> = (0..=255).chain([b'\n']).collect();
    for value in [&b""[..], b"Hello", b"Hello\n", &all] {
        assert_eq!(project.feed(value, &["put", "key"]).ok(), "");
        assert_eq!(project.run(&["get", "key"]).bytes, value);
        assert_eq!(project.feed(value, &["put", "dash", "-"]).ok(), "");
        assert_eq!(project.run(&["get", "dash"]).bytes, value);
        project.write("file", value);
        assert_eq!(project.run(&["put", "file", "--file", "file"]).ok(), "");
        assert_eq!(project.run(&["get", "file"]).bytes, value);
    }
    assert_eq!(project.run(&["put", "key", "as an argument"]).ok(), "");
    assert_eq!(project.run(&["get", "key"]).ok(), "as an argument");
    assert_eq!(project.run(&["put", "key", "-12"]).ok(), "");
    assert_eq!(project.run(&["get", "key"]).ok(), "-12");
    assert_eq!(project.run(&["put", "--", "--key", "--value"]).ok(), "");
    assert_eq!(project.run(&["get", "--", "--key"]).ok(), "--value");
}

#[test]
fn a_large_value_goes_through_pipes() {
    let project = Project::new();
    let value: Vec<u8> = (0..5_000_000_u32).flat_map(|number| number.to_le_bytes()).collect();
    assert_eq!(project.feed(&value, &["put", "large"]).ok(), "");
    assert!(project.run(&["get", "large"]).bytes == value);
    assert_eq!(
        project
            .shell("$K get large | $K put copy && $K get copy | cksum && $K get large | cksum")
            .ok()
            .lines()
            .collect::<std::collections::HashSet<_>>()
            .len(),
        1
    );
}

#[test]
fn get_shows_what_is_known_of_a_key() {
    let project = Project::new();
    project.run(&["put", "a", "Hello", "--expiration", "4000000000", "--metadata", "{\"by\":\n[1]}"]).ok();
    project.feed(b"\xff\0", &["put", "b"]).ok();
    let plain = project.run(&["get", "a", "--metadata"]).ok();
    assert!(plain.starts_with("bytes\t5\nexpires\t4000000000\nmetadata\t{\"by\":\\n[1]}\nversion\t"), "{plain}");
    let a = json!({ "key": "a", "value": "Hello", "expiration": 4_000_000_000_i64, "metadata": { "by": [1] } });
    assert_eq!(without_version(project.run(&["get", "a", "--json"]).json().remove(0)), a);
    let bare = json!({ "key": "a", "expiration": 4_000_000_000_i64, "metadata": { "by": [1] } });
    assert_eq!(without_version(project.run(&["--json", "get", "a", "--metadata"]).json().remove(0)), bare);
    let b = json!({ "key": "b", "value": "/wA=", "base64": true });
    assert_eq!(without_version(project.run(&["get", "b", "--json"]).json().remove(0)), b);
}

#[test]
fn a_missing_key_is_status_1() {
    let project = Project::new();
    project.run(&["put", "a", "1"]).ok();
    for args in [&["get", "b"][..], &["get", "b", "--json"], &["get", "b", "--metadata"]] {
        let done = project.run(args);
        assert_eq!(done.out, "");
        assert_eq!(done.fails(1), "no key \"b\" in namespace \"blog\"");
    }
    assert!(project.run(&["-n", "other", "get", "a"]).fails(1).contains("other"));
    assert_eq!(project.run(&["delete", "b"]).ok(), "");
    assert!(project.run(&["get", "x\ny\u{1b}[31m"]).fails(1).contains("x\\ny\\u{1b}[31m"));
}

#[test]
fn put_takes_its_options() {
    let project = Project::new();
    assert_eq!(project.run(&["put", "a", "1", "--ttl", "2d", "--json"]).ok(), "{\"stored\":true}\n");
    let entry = project.run(&["get", "a", "--json"]).json().remove(0);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
    let left = entry["expiration"].as_i64().unwrap() - now;
    assert!((172_700..=172_801).contains(&left), "{left}");
    // A put replaces everything.
    project.run(&["put", "a", "2"]).ok();
    assert!(project.run(&["get", "a", "--json"]).json()[0].get("expiration").is_none());
    for ttl in ["0", "-5", "1w", "1.5h", "h", "", "99999999999999999999", "9223372036854775807d"] {
        assert!(project.run(&["put", "a", "3", "--ttl", ttl]).fails(2).contains("whole"), "{ttl}");
    }
    project.run(&["put", "a", "3", "--ttl", "5", "--expiration", "4000000000"]).fails(2);
    assert!(project.run(&["put", "a", "3", "--expiration", "5"]).fails(2).contains("not in the future"));
    assert!(project.run(&["put", "a", "3", "--metadata", "{x"]).fails(2).contains("metadata is not JSON"));
    assert!(project.run(&["put", "", "3"]).fails(2).contains("the key is empty"));
    project.run(&["put", "a", "3", "--file", "luat.toml"]).fails(2);
    assert_eq!(project.run(&["get", "a"]).ok(), "2", "nothing of that was stored");
}

#[test]
fn if_missing_stores_once() {
    let project = Project::new();
    assert_eq!(project.run(&["put", "lock", "1", "--if-missing"]).ok(), "");
    assert!(project.run(&["put", "lock", "2", "--if-missing"]).fails(1).contains("\"lock\""));
    let done = project.run(&["put", "lock", "2", "--if-missing", "--json"]);
    assert_eq!(done.out, "{\"stored\":false}\n");
    done.fails(1);
    assert_eq!(project.run(&["get", "lock"]).ok(), "1");
}

#[test]
fn what_cannot_be_read_makes_no_store() {
    let project = Project::new();
    assert!(project.run(&["put", "a", "--file", "none"]).fails(3).contains("none"));
    project.run(&["import", "none"]).fails(3);
    project.run(&["bulk", "put", "none"]).fails(3);
    missing(&project.path(".luat"));
}

#[test]
fn delete_removes_all_that_are_named_or_none() {
    let project = Project::new();
    for key in ["a", "b", "c"] {
        project.run(&["put", key, "1"]).ok();
    }
    let too_long = "x".repeat(5000);
    project.run(&["delete", "a", &too_long]).fails(2);
    assert_eq!(project.run(&["count"]).ok(), "3\n");
    assert_eq!(project.run(&["delete", "a", "b", "missing"]).ok(), "");
    assert_eq!(project.run(&["list"]).ok(), "c\n");
    assert_eq!(project.run(&["delete", "c", "c", "--json"]).ok(), "{\"keys\":2}\n");
    assert_eq!(project.run(&["list"]).ok(), "");
}

#[test]
fn list_goes_where_it_is_told() {
    let project = Project::new();
    for key in ["a", "b:1", "b:2", "b:3", "c"] {
        project.run(&["put", key, &format!("v{key}")]).ok();
    }
    for (args, keys) in [
        ("", "a b:1 b:2 b:3 c"),
        ("--prefix b:", "b:1 b:2 b:3"),
        ("--prefix b: --limit 2", "b:1 b:2"),
        ("--start b:2", "b:2 b:3 c"),
        ("--start b:2 --stop c", "b:2 b:3"),
        ("--reverse", "c b:3 b:2 b:1 a"),
        ("-r --prefix b: --limit 1", "b:3"),
        ("--prefix none", ""),
    ] {
        let args: Vec<_> = std::iter::once("list").chain(args.split_whitespace()).collect();
        assert_eq!(project.run(&args).ok().split_whitespace().collect::<Vec<_>>().join(" "), keys, "{args:?}");
    }
    assert_eq!(project.run(&["list", "--limit", "1", "--values"]).ok(), "a\tva\n");
    project.run(&["list", "--limit", "0"]).fails(2);
    assert_eq!(project.run(&["count"]).ok(), "5\n");
    assert_eq!(project.run(&["count", "--prefix", "b:"]).ok(), "3\n");
    assert_eq!(project.run(&["count", "--json"]).ok(), "{\"count\":5}\n");
}

#[test]
fn list_tells_all_on_request() {
    let project = Project::new();
    project.run(&["put", "a", "x\ty\n", "--expiration", "4000000000", "--metadata", "{\"n\": 1}"]).ok();
    project.feed(b"\xfe", &["put", "b\nc"]).ok();
    assert_eq!(project.run(&["list"]).ok(), "a\nb\\nc\n");
    assert_eq!(
        project.run(&["list", "--long", "--values"]).ok(),
        "a\t4000000000\t{\"n\": 1}\tx\\ty\\n\nb\\nc\t\t\t\\xfe\n"
    );
    let lines = project.run(&["list", "--json"]).json();
    let lines: Vec<_> = lines.into_iter().map(without_version).collect();
    let a = json!({ "key": "a", "expiration": 4_000_000_000_i64, "metadata": { "n": 1 } });
    assert_eq!(lines, [a, json!({ "key": "b\nc" })]);
    let lines = project.run(&["list", "--json", "--values"]).json();
    assert_eq!((&lines[0]["value"], &lines[1]["value"]), (&json!("x\ty\n"), &json!("/g==")));
    assert_eq!(lines[1]["base64"], json!(true));
}
