//! get, put, take, delete, list, count.

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
    for value in ["-", "--", "--ttl", "-x", "-5", ""] {
        assert_eq!(project.run(&["put", "key", "--value", value]).ok(), "");
        assert_eq!(project.run(&["get", "key"]).ok(), value);
    }
    project.run(&["put", "key", "1", "--value", "2"]).fails(2);
    assert_eq!(project.run(&["count", "--prefix=--k"]).ok(), "1\n");
    for metadata in ["-5", "-1.5e3", "\"-\""] {
        assert_eq!(project.run(&["put", "key", "-1", "--metadata", metadata]).ok(), "");
        let told = project.run(&["get", "key", "--json"]).json()[0]["metadata"].to_string();
        assert_eq!(told.parse::<f64>().ok(), metadata.parse::<f64>().ok(), "{told}");
    }
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
    let stored = project.run(&["put", "a", "1", "--ttl", "2d", "--json"]).json().remove(0);
    let entry = project.run(&["get", "a", "--json"]).json().remove(0);
    assert_eq!(stored, json!({ "stored": true, "version": entry["version"] }));
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
fn take_prints_what_it_removes() {
    let project = Project::new();
    let value = b"\xff\0Hello";
    project.feed(value, &["put", "a", "--metadata", "[1]", "--expiration", "4000000000"]).ok();
    assert_eq!(project.run(&["take", "a"]).bytes, value);
    assert_eq!(project.run(&["take", "a"]).fails(1), "no key \"a\" in namespace \"blog\"");
    project.run(&["put", "a", "Hello", "--metadata", "[1]", "--expiration", "4000000000"]).ok();
    let before = project.run(&["get", "a", "--json"]).ok();
    assert_eq!(project.run(&["take", "a", "--json"]).ok(), before);
    assert_eq!(project.run(&["has", "a"]).status, Some(1));
    assert!(project.run(&["take", ""]).fails(2).contains("the key is empty"));
}

#[test]
fn a_value_that_take_cannot_print_is_put_back() {
    let project = Project::new();
    project.run(&["put", "a", "Hello", "--metadata", "[1]", "--expiration", "4000000000"]).ok();
    let before = without_version(project.run(&["get", "a", "--json"]).json().remove(0));
    project.shell("$K take a >/dev/full").fails(3);
    assert_eq!(without_version(project.run(&["get", "a", "--json"]).json().remove(0)), before);
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
fn has_answers_by_its_status_alone() {
    let project = Project::new();
    project.run(&["put", "a:1", "1"]).ok();
    assert_eq!(project.run(&["has", "a:1"]).ok(), "");
    for key in ["a:", "a", "a:12", "b"] {
        let done = project.run(&["has", key]);
        assert_eq!((done.status, &*done.out, &*done.err), (Some(1), "", ""), "{key}");
    }
    assert_eq!(project.run(&["has", "a:1", "--json"]).ok(), "{\"found\":true}\n");
    assert_eq!(project.run(&["has", "a:", "--json"]).out, "{\"found\":false}\n");
    assert!(project.run(&["has", ""]).fails(2).contains("the key is empty"));
    let longest = "k".repeat(4096);
    project.run(&["put", &longest, "1"]).ok();
    assert_eq!(project.run(&["has", &longest]).ok(), "");
    project.run(&["has", &(longest + "k")]).fails(2);
}

#[test]
fn incr_counts_and_prints_the_sum() {
    let project = Project::new();
    assert_eq!(project.run(&["incr", "n"]).ok(), "1\n", "it makes the store");
    assert_eq!(project.run(&["incr", "n", "-5"]).ok(), "-4\n");
    assert_eq!(project.run(&["incr", "n", "10", "--json"]).ok(), "{\"value\":6}\n");
    assert_eq!(project.run(&["incr", "m", "--initial", "-10", "--ttl", "1h"]).ok(), "-9\n");
    let left = project.run(&["get", "m", "--json"]).json()[0]["expiration"].as_i64();
    assert!(left.is_some());
    assert_eq!(project.run(&["get", "n"]).ok(), "6");
    project.run(&["put", "text", "five"]).ok();
    assert!(project.run(&["incr", "text"]).fails(3).contains("no whole number"));
    project.run(&["put", "n", "9223372036854775807"]).ok();
    assert!(project.run(&["incr", "n"]).fails(3).contains("64 bits"));
    assert!(project.run(&["incr", "n", "--expiration", "5"]).fails(2).contains("not in the future"));
    project.run(&["incr", "n", "--ttl", "0"]).fails(2);
    project.run(&["incr", ""]).fails(2);
}

#[test]
fn touch_changes_the_expiration_alone() {
    let project = Project::new();
    project.run(&["put", "a", "1", "--metadata", "[1]"]).ok();
    assert_eq!(project.run(&["touch", "a", "--expiration", "4000000000"]).ok(), "");
    let a = json!({ "key": "a", "value": "1", "expiration": 4_000_000_000_i64, "metadata": [1] });
    assert_eq!(without_version(project.run(&["get", "a", "--json"]).json().remove(0)), a);
    assert_eq!(project.run(&["touch", "a", "--json"]).ok(), "{\"touched\":true}\n");
    assert!(project.run(&["get", "a", "--json"]).json()[0].get("expiration").is_none());
    assert_eq!(project.run(&["touch", "b", "--ttl", "5"]).fails(1), "no key \"b\" in namespace \"blog\"");
    assert_eq!(project.run(&["touch", "b", "--json"]).out, "{\"touched\":false}\n");
}

#[test]
fn many_keys_are_removed_at_once() {
    let project = Project::new();
    let fill = || {
        for key in ["a", "p:1", "p:2", "q"] {
            project.run(&["put", key, "1"]).ok();
        }
    };
    fill();
    project.run(&["-n", "other", "put", "p:1", "1"]).ok();
    assert_eq!(project.run(&["delete", "--prefix", "p:"]).ok(), "removed\t2\n", "a script is not asked");
    assert_eq!(project.run(&["list"]).ok(), "a\nq\n");
    assert_eq!(project.run(&["delete", "--prefix", "p:", "--yes", "--json"]).ok(), "{\"removed\":0}\n");
    fill();
    assert_eq!(project.run(&["clear", "--json"]).ok(), "{\"removed\":4}\n");
    assert_eq!(project.run(&["clear"]).ok(), "removed\t0\n");
    assert_eq!(project.run(&["-n", "other", "count"]).ok(), "1\n");
}

#[test]
fn a_person_is_asked_before_many_keys_are_removed() {
    let project = Project::new();
    for (command, question, left) in [
        ("clear", "Remove 3 keys from namespace \"blog\"? [y/N] ", "0\n"),
        ("delete --prefix p:", "Remove 2 keys that begin with \"p:\" from namespace \"blog\"? [y/N] ", "1\n"),
    ] {
        for key in ["a", "p:1", "p:2"] {
            project.run(&["put", key, "1"]).ok();
        }
        for no in ["", "\n", "n\n", "yet\n"] {
            let seen = project.typed(no, &format!("$K {command}"));
            assert!(seen.out.contains(question) && seen.out.contains("nothing was removed"), "{no:?}: {seen:?}");
            assert_eq!(seen.status, Some(1), "{no:?}");
            assert_eq!(project.run(&["count"]).ok(), "3\n");
        }
        let seen = project.typed("y\n", &format!("$K {command}"));
        assert!(seen.status == Some(0) && seen.out.contains(question) && seen.out.contains("removed"), "{seen:?}");
        assert_eq!(project.run(&["count"]).ok(), left);
        let seen = project.typed("", &format!("$K {command} --yes"));
        assert!(seen.status == Some(0) && !seen.out.contains("[y/N]"), "{seen:?}");
    }
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
    assert!(project.run(&["list", "--stop", ""]).fails(2).contains("stop is empty"));
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
