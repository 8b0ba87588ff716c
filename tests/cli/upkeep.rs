//! backup, namespaces, stats, sweep, compact.

use serde_json::json;

use crate::support::Project;

#[test]
fn a_backup_is_a_store_and_replaces_nothing() {
    let project = Project::new();
    project.run(&["put", "a", "1"]).ok();
    project.run(&["-n", "other", "put", "b", "2"]).ok();
    let bytes = |name: &str| std::fs::metadata(project.path(name)).unwrap().len();
    assert_eq!(project.run(&["backup", "copy.db"]).ok(), format!("path\tcopy.db\nbytes\t{}\n", bytes("copy.db")));
    let done = project.run(&["backup", "more.db", "--json"]).json();
    assert_eq!(done, [json!({ "path": "more.db", "bytes": bytes("more.db") })]);
    assert_eq!(project.run(&["--db", "copy.db", "-n", "other", "get", "b"]).ok(), "2");
    assert!(project.run(&["backup", "copy.db"]).fails(3).contains("copy.db"));
    project.run(&["backup", "none/copy.db"]).fails(3);
    project.run(&["backup"]).fails(2);
}

#[test]
fn namespaces_and_stats_tell_what_there_is() {
    let project = Project::new();
    project.run(&["put", "a", "1"]).ok();
    project.run(&["put", "b", "1"]).ok();
    project.run(&["-n", "tab\there", "put", "b", "2"]).ok();
    project.sql("UPDATE kv SET expiration = 5 WHERE key = 'a'");
    let mut unnamed = project.command(crate::support::BIN);
    let named = unnamed.env_remove("LUAT_KV_NAMESPACE").arg("namespaces").output().unwrap();
    assert_eq!(String::from_utf8(named.stdout).unwrap(), "blog\ntab\\there\n", "none needs to be named");
    assert_eq!(project.run(&["namespaces", "--json"]).ok(), "{\"name\":\"blog\"}\n{\"name\":\"tab\\there\"}\n");
    let plain = project.run(&["stats"]).ok();
    let lines: Vec<_> = plain.lines().collect();
    assert!(lines[0].starts_with("path\t/") && lines[0].ends_with("/.luat/data/kv.db"), "{plain}");
    assert!(lines[1].strip_prefix("bytes\t").unwrap().parse::<u64>().unwrap() > 0, "{plain}");
    assert_eq!(lines[2..], ["namespace\tblog\t1\t1", "namespace\ttab\\there\t1\t0"]);
    let stats = project.run(&["stats", "--json"]).json().remove(0);
    assert_eq!(
        stats["namespaces"],
        json!([{ "name": "blog", "live": 1, "expired": 1 }, { "name": "tab\there", "live": 1, "expired": 0 }])
    );
    assert!(stats["path"].is_string() && stats["bytes"].is_u64(), "{stats}");
}

#[test]
fn sweep_removes_what_has_expired() {
    let project = Project::new();
    let lines: String = (0..25_000).map(|number| format!("{{\"key\":\"{number}\",\"value\":\"x\"}}\n")).collect();
    project.feed(lines, &["bulk", "put"]).ok();
    project.run(&["put", "lives", "1"]).ok();
    project.sql("UPDATE kv SET expiration = 5 WHERE key != 'lives'");
    assert_eq!(project.run(&["count"]).ok(), "1\n");
    assert_eq!(project.run(&["sweep", "--max", "10"]).ok(), "removed\t10\n");
    assert_eq!(project.run(&["sweep", "--json"]).ok(), "{\"removed\":24990}\n");
    assert_eq!(project.run(&["sweep"]).ok(), "removed\t0\n");
    assert_eq!(project.run(&["list"]).ok(), "lives\n");
}

#[test]
fn compact_says_how_much_room_it_takes_and_takes_no_more() {
    let project = Project::new();
    let entry = |number| format!("{{\"key\":\"{number:03}\",\"value\":\"{}\"}}\n", "x".repeat(10_000));
    project.feed((0..400).map(entry).collect::<String>(), &["bulk", "put"]).ok();
    project.run(&["delete", "--prefix", "0", "--yes"]).ok();
    // dash counts blocks of 512 bytes.
    let compact = |blocks: usize| project.shell(&format!("trap '' XFSZ; ulimit -f {blocks}; $K compact"));
    let why = compact(2000).fails(3);
    let (_, room) = why.split_once("takes up to ").unwrap_or_else(|| panic!("{why}"));
    let room: usize = room.split_once(' ').unwrap().0.parse().unwrap();
    assert!((3_000_000..3_500_000).contains(&room), "{why}");
    assert_eq!(project.run(&["count"]).ok(), "300\n");
    compact(room.div_ceil(512)).ok();
    assert_eq!(project.run(&["count"]).ok(), "300\n");
}

#[test]
fn compact_gives_room_back() {
    let project = Project::new();
    project.feed(vec![b'x'; 3_000_000], &["put", "large"]).ok();
    project.run(&["delete", "large"]).ok();
    let sizes = project.run(&["compact", "--json"]).json().remove(0);
    let (before, after) = (sizes["before"].as_u64().unwrap(), sizes["after"].as_u64().unwrap());
    assert!(before > 3_000_000 && after < 100_000, "{sizes}");
    let plain = project.run(&["compact"]).ok();
    assert_eq!(plain, format!("before\t{after}\nafter\t{after}\n"));
}
