//! bulk, export, import.

use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::support::{Project, without_version};

/// Possible contents of Wrangler's bulk file.
const POSTS: &str = r#"[
  { "key": "post:1", "value": "One", "metadata": { "author": "alice" } },
  { "key": "post:2", "value": "Two", "expiration": 4000000000 },
  { "key": "raw", "value": "AP8=", "base64": true },
  { "key": "short", "value": "x", "expiration_ttl": 600 },
  { "key": "gone", "value": "x", "expiration": 5 }
]"#;

#[test]
fn bulk_put_stores_wranglers_file_and_replaces() {
    let project = Project::new();
    project.run(&["put", "post:1", "old"]).ok();
    project.write("posts.json", POSTS);
    assert_eq!(project.run(&["bulk", "put", "posts.json"]).ok(), "stored\t4\nskipped\t1\n");
    assert_eq!(project.run(&["get", "post:1"]).ok(), "One");
    assert_eq!(project.run(&["get", "raw"]).bytes, b"\0\xff");
    assert_eq!(project.run(&["list"]).ok(), "post:1\npost:2\nraw\nshort\n");
    for dash in [&["bulk", "put", "--json"][..], &["bulk", "put", "-", "--json"]] {
        assert_eq!(project.feed(POSTS, dash).ok(), "{\"stored\":4,\"skipped\":1}\n");
    }
}

#[test]
fn bulk_get_prints_what_is_there() {
    let project = Project::new();
    project.feed(POSTS, &["bulk", "put"]).ok();
    assert_eq!(project.run(&["bulk", "get", "raw", "post:1", "raw"]).ok(), "post:1\tOne\nraw\t\\u{0}\\xff\n");
    let lines = project.run(&["bulk", "get", "post:2", "post:1", "--json"]).json();
    assert_eq!(
        without_version(lines[1].clone()),
        json!({ "key": "post:2", "value": "Two", "expiration": 4_000_000_000_i64 })
    );
    let done = project.run(&["bulk", "get", "post:1", "none"]);
    assert_eq!(done.out, "post:1\tOne\n");
    assert!(done.fails(1).contains("\"none\""));
    assert!(project.run(&["bulk", "get", "x", "y"]).fails(1).starts_with("2 of the keys"));
    project.run(&["bulk", "get"]).fails(2);
}

#[test]
fn bulk_delete_takes_keys_in_every_form() {
    for keys in [
        r#"["post:1", "raw", "none"]"#,
        r#"[{"name":"post:1"},{"name":"raw","expiration":5}]"#,
        "{\"key\":\"post:1\"}\n{\"key\":\"raw\"}\n",
    ] {
        let project = Project::new();
        project.feed(POSTS, &["bulk", "put"]).ok();
        assert_eq!(project.feed(keys, &["bulk", "delete"]).ok(), "");
        assert_eq!(project.run(&["list"]).ok(), "post:2\nshort\n", "{keys}");
    }
    let project = Project::new();
    project.feed(POSTS, &["bulk", "put"]).ok();
    for list in ["list --json", "list --values --json"] {
        project.feed(POSTS, &["bulk", "put"]).ok();
        project.shell(&format!("$K {list} --prefix post: | $K bulk delete")).ok();
        assert_eq!(project.run(&["list"]).ok(), "raw\nshort\n", "{list}");
    }
    // Plain lines are not keys: the first of these would name another one. An error keeps all the others.
    project.run(&["put", "\"raw\"", "1"]).ok();
    for list in ["list --stop \\#", "list --prefix raw", "list --long"] {
        assert!(project.shell(&format!("$K {list} | $K bulk delete")).fails(3).contains("as a JSON array"), "{list}");
    }
    project.run(&["delete", "\"raw\""]).ok();
    project.write("keys.json", "[\"raw\",\n 7]");
    let why = project.run(&["bulk", "delete", "keys.json"]).fails(3);
    assert!(why.starts_with("keys.json: ") && why.contains("line 2") && why.ends_with("nothing was deleted"), "{why}");
    assert_eq!(project.run(&["count"]).ok(), "2\n");
    assert_eq!(project.feed("[\"raw\"]", &["bulk", "delete", "--json"]).ok(), "{\"keys\":1}\n");
    assert_eq!(project.feed("", &["bulk", "delete"]).ok(), "");
}

#[test]
fn an_export_goes_round() {
    let project = Project::new();
    project.feed(POSTS, &["bulk", "put"]).ok();
    project.run(&["put", "line\nbreak", "é"]).ok();
    let all = project.run(&["list", "--values", "--json"]).json();
    for (file, format, is_array) in [
        ("x.json", &[][..], true),
        ("x.jsonl", &[], false),
        ("x.NDJSON", &[], false),
        ("x", &[], true),
        ("y.json", &["--format", "jsonl"], false),
        ("y.jsonl", &["--format", "json"], true),
    ] {
        assert_eq!(project.run(&[&["export", file], format].concat()).ok(), "exported\t5\n");
        let text = project.read(file);
        assert_eq!(serde_json::from_str::<Value>(&text).is_ok_and(|value| value.is_array()), is_array, "{file}");
        assert_eq!(project.run(&["-n", file, "import", file]).ok(), "stored\t5\nskipped\t0\n");
        let copy = project.run(&["-n", file, "list", "--values", "--json"]).json();
        let bare = |list: &[Value]| list.iter().cloned().map(without_version).collect::<Vec<_>>();
        assert_eq!(bare(&copy), bare(&all));
    }
    assert_eq!(project.run(&["export"]).ok(), project.read("x.json"));
    assert_eq!(project.run(&["export", "-", "--format", "jsonl"]).ok(), project.read("x.jsonl"));
    assert_eq!(project.run(&["export", "z.json", "--json"]).ok(), "{\"exported\":5}\n");
    project.shell("$K export | $K --db other/copy.db import").ok();
    assert_eq!(project.run(&["--db", "other/copy.db", "count"]).ok(), "5\n");
}

#[test]
fn import_leaves_what_is_there_unless_told() {
    let project = Project::new();
    project.run(&["put", "post:1", "mine"]).ok();
    assert_eq!(project.feed(POSTS, &["import", "--json"]).ok(), "{\"stored\":3,\"skipped\":2}\n");
    assert_eq!(project.run(&["get", "post:1"]).ok(), "mine");
    assert_eq!(project.feed(POSTS, &["import", "--replace"]).ok(), "stored\t4\nskipped\t1\n");
    assert_eq!(project.run(&["get", "post:1"]).ok(), "One");
}

#[test]
fn unknown_fields_are_told_once() {
    let project = Project::new();
    let lines = "{\"key\":\"a\",\"value\":\"1\",\"ttl\":5}\n{\"key\":\"b\",\"value\":\"1\",\"ttl\":5,\"x\\n\":{}}\n";
    for command in ["import", "bulk put"] {
        project.write("more.jsonl", lines);
        let done = project.shell(&format!("$K {command} more.jsonl"));
        assert_eq!(done.status, Some(0));
        assert_eq!(done.err, "luat-kv: more.jsonl: ignored the unknown fields \"ttl\", \"x\\n\"\n");
    }
    assert_eq!(project.run(&["count"]).ok(), "2\n");
    let many: String = (0..30).map(|at| format!(",\"f{at:02}\":{at}")).collect();
    let done = project.feed(format!("{{\"key\":\"a\",\"value\":\"1\"{many}}}"), &["import"]);
    assert!(done.err.contains("\"f09\" and more\n") && done.err.lines().count() == 1, "{done:?}");
}

#[test]
fn an_empty_file_is_no_export() {
    let project = Project::new();
    for text in ["", "\n \n"] {
        for command in [&["import"][..], &["bulk", "put"]] {
            let why = project.feed(text, command).fails(3);
            assert!(why.contains("empty") && why.ends_with("nothing was stored"), "{why}");
        }
    }
    assert_eq!(project.feed("[]", &["import"]).ok(), "stored\t0\nskipped\t0\n");
}

#[test]
fn a_broken_import_names_its_line_and_stores_nothing() {
    let project = Project::new();
    let good = "{\"key\":\"a\",\"value\":\"1\"}\n";
    for (what, line) in [
        ("{\"key\":\"b\"", "line 3"),
        ("{\"key\":\"b\",\"value\":7}", "line 2"),
        ("{\"key\":\"\",\"value\":\"\"}", "line 2"),
        ("{\"key\":\"b\",\"value\":\"!\",\"base64\":true}", "line 2"),
        ("{\"key\":\"b\",\"value\":\"\",\"expiration_ttl\":0}", "line 2"),
        ("{\"key\":\"b\",\"ttl\":5}", "line 2"),
        ("nonsense", "line 2"),
    ] {
        project.write("broken.jsonl", format!("{good}{what}\n"));
        for command in [&["import", "broken.jsonl"][..], &["bulk", "put", "broken.jsonl"]] {
            let why = project.run(command).fails(3);
            assert!(why.starts_with("importing broken.jsonl: "), "{why}");
            assert!(why.contains(line) && why.ends_with("nothing was stored"), "{what}: {why}");
        }
    }
    assert_eq!(project.run(&["count"]).ok(), "0\n");
}

#[test]
fn the_database_is_no_file_to_export_to_or_import_from() {
    let project = Project::new();
    project.run(&["put", "a", "1"]).ok();
    let database = project.database();
    let inode = std::fs::metadata(&database).unwrap().ino();
    project.run(&["export", database.to_str().unwrap()]).fails(3);
    project.run(&["import", database.to_str().unwrap()]).fails(3);
    assert_eq!(std::fs::metadata(&database).unwrap().ino(), inode);
    assert_eq!(project.run(&["get", "a"]).ok(), "1");
}
