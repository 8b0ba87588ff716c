//! Which store is used, who may open it, and what is created.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::support::{BIN, Project, missing};

/// Every command that needs an existing store.
const NEEDY: [&[&str]; 12] = [
    &["get", "a"],
    &["delete", "a"],
    &["take", "a"],
    &["list"],
    &["count"],
    &["bulk", "get", "a"],
    &["bulk", "delete", "luat.toml"],
    &["export"],
    &["backup", "copy.db"],
    &["stats"],
    &["sweep"],
    &["compact"],
];

#[test]
fn what_only_reads_or_changes_makes_no_database() {
    let project = Project::new();
    for args in NEEDY.into_iter().chain([&["namespaces"][..]]) {
        let why = project.run(args).fails(3);
        assert!(why.contains("kv.db") && why.contains("luat-kv put") && why.contains("--db"), "{args:?}: {why}");
        let why = project.run(&[&["--db", "none/x.db"], args].concat()).fails(3);
        assert!(why.contains("none/x.db"), "{args:?}: {why}");
    }
    missing(&project.path(".luat"));
    missing(&project.path("none"));
    missing(&project.path("copy.db"));
}

#[test]
fn the_store_of_luat_serve_is_mentioned() {
    let project = Project::new();
    let why = project.run(&["list"]).fails(3);
    assert!(!why.contains("luat serve"), "{why}");
    project.run(&["--db", ".luat/kv/kv.db", "put", "a", "1"]).ok();
    let why = project.run(&["list"]).fails(3);
    assert!(why.contains("there is no store") && why.contains("luat serve") && why.contains(".luat/kv/kv.db"), "{why}");
    for line in ["$K --db none.db list", "LUAT_KV_DB=none.db $K list"] {
        let why = project.shell(line).fails(3);
        assert!(!why.contains("luat serve"), "{line}: {why}");
    }
    // A folder of the project, and another project in it.
    let why = project.shell("mkdir -p part/other; cd part; $K list").fails(3);
    assert!(why.contains("luat serve"), "{why}");
    let why = project.shell("cd part/other; touch luat.toml; $K list").fails(3);
    assert!(!why.contains("luat serve"), "{why}");
    project.run(&["put", "a", "1"]).ok();
    project.run(&["list"]).ok();
}

#[test]
fn what_puts_something_in_makes_the_database() {
    for args in [&["put", "a", "1"][..], &["import", "none.json"], &["bulk", "put", "none.json"]] {
        let project = Project::new();
        project.write("none.json", "[]");
        project.run(args).ok();
        assert_eq!(fs::metadata(project.database()).unwrap().permissions().mode() & 0o777, 0o600, "{args:?}");
        project.run(&[&["--db", "new/folder/x.db"], args].concat()).ok();
        assert!(project.path("new/folder/x.db").exists(), "{args:?}");
    }
}

#[test]
fn the_projects_store_is_found_from_within_it() {
    let project = Project::new();
    project.write("luat.toml", "[routing]\ndata_dir = 'elsewhere'\n");
    fs::create_dir_all(project.path("deep/down")).unwrap();
    let below =
        |args: &[&str]| project.command(BIN).current_dir(project.path("deep/down")).args(args).output().unwrap();
    assert!(below(&["put", "a", "1"]).status.success());
    assert!(project.path("elsewhere/kv.db").exists());
    assert_eq!(project.run(&["get", "a"]).ok(), "1");
    project.write("luat.toml", "\n[routing]\ndata_dir = 7\n");
    assert!(project.run(&["get", "a"]).fails(3).contains("luat.toml:3: "));
    assert_eq!(project.run(&["get", "a", "--db", "elsewhere/kv.db"]).ok(), "1", "--db needs no project");
    let by_env = project.command(BIN).env("LUAT_KV_DB", "elsewhere/kv.db").args(["get", "a"]).output().unwrap();
    assert_eq!(by_env.stdout, b"1");
}

#[test]
fn a_url_chooses_the_store() {
    let project = Project::new();
    project.run(&["--db", "file:new/a%20b.db", "put", "a", "1"]).ok();
    assert_eq!(project.run(&["--db", "new/a b.db", "get", "a"]).ok(), "1");
    let by_env = project.command(BIN).env("LUAT_KV_DB", "file:new/a%20b.db").args(["get", "a"]).output().unwrap();
    assert_eq!(by_env.stdout, b"1");
    project.write("luat.toml", "[kv]\nurl = 'file:new/a%20b.db'\n[routing]\ndata_dir = 'elsewhere'\n");
    assert_eq!(project.run(&["get", "a"]).ok(), "1");
    assert_eq!(project.run(&["--db", "memory:", "put", "a", "1"]).ok(), "");
    missing(&project.path("memory:"));
    for (url, words) in [
        ("mysql://user:secret@host/database", "it can be postgresql:, postgres:, file: or memory:"),
        ("postgresql://user:secret@secret@host/database", "%40"),
        ("file:kv.db?mode=ro", "no query"),
    ] {
        let why = project.run(&["--db", url, "put", "a", "1"]).fails(3);
        assert!(why.contains(words) && !why.contains("secret"), "{why}");
        let by_env = project.command(BIN).env("LUAT_KV_DB", url).args(["put", "a", "1"]).output().unwrap();
        let why = String::from_utf8(by_env.stderr).unwrap();
        assert!(why.contains("LUAT_KV_DB: ") && why.contains(words) && !why.contains("secret"), "{why}");
        project.write("luat.toml", format!("[kv]\nurl = '{url}'\n"));
        let why = project.run(&["put", "a", "1"]).fails(3);
        assert!(why.contains("luat.toml:2: kv.url: ") && why.contains(words) && !why.contains("secret"), "{why}");
    }
}

#[test]
fn a_namespace_must_be_named_before_anything_is_made() {
    let project = Project::new();
    let done = project.shell("unset LUAT_KV_NAMESPACE; $K put a 1");
    assert!(done.fails(2).contains("--namespace"));
    missing(&project.path(".luat"));
    project.shell("unset LUAT_KV_NAMESPACE; $K put --namespace x a 1 && $K -n x get a").ok();
    assert_eq!(project.run(&["-n", "x", "count"]).ok(), "1\n", "the option wins over the variable");
    assert!(project.run(&["-n", "", "count"]).fails(2).contains("the namespace is empty"));
}

#[test]
fn limits_are_cloudflares_on_request() {
    let project = Project::new();
    let key = "k".repeat(600);
    project.run(&["put", &key, "1"]).ok();
    assert!(project.run(&["--limits", "cloudflare", "put", &key, "1"]).fails(2).contains("512"));
    project.run(&["--limits", "cloudflare", "put", "a", "1", "--ttl", "30"]).fails(2);
    assert_eq!(project.run(&["--limits", "cloudflare", "list", "--prefix", "k"]).ok().len(), 601);
    project.run(&["--limits", "wide", "list"]).fails(2);
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let project = Project::new();
    project.write("notes.txt", "no database, but a text of some length\n".repeat(100));
    let before = project.read("notes.txt");
    for args in NEEDY.into_iter().chain([&["put", "a", "1"][..]]) {
        let why = project.run(&[&["--db", "notes.txt"], args].concat()).fails(3);
        assert!(why.contains("notes.txt"), "{why}");
    }
    assert_eq!(project.read("notes.txt"), before);
    assert!(project.run(&["--db", ".", "list"]).fails(3).contains("Is a directory"));
}

#[test]
fn who_waits_in_vain_is_told_what_to_do() {
    let project = Project::new();
    project.run(&["put", "a", "1"]).ok();
    let writer = rusqlite::Connection::open(project.database()).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let why = project.run(&["--busy-timeout", "0.05", "put", "a", "2"]).fails(3);
    assert!(why.contains("--busy-timeout"), "{why}");
    assert_eq!(project.run(&["get", "a"]).ok(), "1", "readers do not wait");
    drop(writer);
    project.run(&["--busy-timeout", "soon", "put", "a", "2"]).fails(2);
    project.run(&["--busy-timeout=-1", "put", "a", "2"]).fails(2);
}

#[test]
fn a_folder_that_may_not_be_written_is_an_error() {
    let project = Project::new();
    project.run(&["put", "a", "1", "--db", "closed/x.db"]).ok();
    for name in ["closed/x.db-wal", "closed/x.db-shm"] {
        let _ = fs::remove_file(project.path(name));
    }
    fs::set_permissions(project.path("closed"), Permissions::from_mode(0o555)).unwrap();
    // Root may do everything, unless it drops that right.
    let drop = "[ $(id -u) != 0 ] || drop='setpriv --inh-caps=-all --bounding-set=-all'; $drop";
    assert_eq!(project.shell(&format!("{drop} $K --db closed/x.db get a")).ok(), "1", "reading makes nothing there");
    for args in ["put a 2", "delete a"] {
        let why = project.shell(&format!("{drop} $K --db closed/x.db {args}")).fails(3);
        assert!(why.contains("closed/x.db"), "{args}: {why}");
    }
    let why = project.shell(&format!("{drop} $K --db closed/new.db put a 1")).fails(3);
    assert!(why.contains("closed/new.db") && why.contains("Permission denied"), "{why}");
    project.run(&["put", "a", "1"]).ok();
    assert!(project.shell(&format!("{drop} $K export closed/x.json")).fails(3).contains("closed/x.json"));
    assert!(project.shell(&format!("{drop} $K backup closed/copy.db")).fails(3).contains("closed/copy.db"));
    fs::set_permissions(project.path("closed"), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fs::read_dir(project.path("closed")).unwrap().count(), 1, "nothing was left there");
    assert_eq!(project.run(&["--db", "closed/x.db", "get", "a"]).ok(), "1");
}
