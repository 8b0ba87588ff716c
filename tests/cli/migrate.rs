//! Copying a whole store into another one.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use luat_kv::{Clock, Entry, ListOptions, OpenOptions, PutOptions, Store};

use crate::support::{BIN, Project};

fn open(project: &Project, name: &str) -> Store {
    Store::open(project.path(name), &OpenOptions::new()).unwrap()
}

/// Where a store is copied to: a file, or, in `make postgres-migrate`, a database on a server.
fn target(project: &Project) -> String {
    if std::env::var_os("LUAT_KV_TEST_POSTGRES").is_none() {
        return format!("file:{}", project.path("b.db").display());
    }
    let made = Command::new("tests/postgres/database").output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

fn open_url(url: &str) -> Store {
    Store::open_url(url, &OpenOptions::new()).unwrap()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// All entries of all namespaces, without their versions.
fn contents(store: &Store) -> Vec<(String, Entry)> {
    let namespaces = store.namespaces().unwrap();
    let entries = namespaces.iter().flat_map(|name| {
        let namespace = store.namespace(name).unwrap();
        namespace.scan(&ListOptions::new().values(true)).map(|entry| {
            let mut entry = entry.unwrap();
            entry.version = Default::default();
            (name.clone(), entry)
        })
    });
    entries.collect()
}

/// More keys than a page has.
fn fill(store: &Store, namespace: &str, keys: usize) {
    let lines: String = (0..keys).map(|i| format!("{{\"key\":\"k{i:05}\",\"value\":\"{i}\"}}\n")).collect();
    store.namespace(namespace).unwrap().import(&mut lines.as_bytes(), true).unwrap();
}

#[test]
fn a_store_is_copied_with_all_that_it_holds_and_back() {
    let project = Project::new();
    let store = open(&project, "a.db");
    fill(&store, "many", 2500);
    let kv = store.namespace("n/ä\0").unwrap();
    kv.put("empty", "").unwrap();
    kv.put("bytes", [0, 255, 10, 34]).unwrap();
    kv.put_with("meta", "\"\\\u{1}ü", &PutOptions::new().metadata(r#"{"a":[1.0,"\u00e4"],"b":9007199254740993}"#))
        .unwrap();
    kv.put_with("later", "v", &PutOptions::new().expires_at(now() + 3600)).unwrap();
    drop((kv, store));
    let past = OpenOptions::new().clock(Clock::manual(now() - 1000));
    let store = Store::open(project.path("a.db"), &past).unwrap();
    store.namespace("gone").unwrap().put_with("k", "v", &PutOptions::new().ttl(10)).unwrap();
    drop(store);

    let to = target(&project);
    let done = project.run(&["migrate", "--from", "a.db", "--to", &to, "--json"]).ok();
    assert_eq!(done, "{\"namespaces\":2,\"copied\":2504,\"kept\":0,\"compared\":2504}\n");
    project.run(&["--db", &to, "migrate", "--to", "new/c.db"]).ok();
    let [a, b, c] = [open(&project, "a.db"), open_url(&to), open(&project, "new/c.db")].map(|store| contents(&store));
    assert_eq!(a.len(), 2504);
    assert!(a == b && b == c);
    assert_eq!(open_url(&to).sweep(None).unwrap(), 0, "what has expired is not copied");
}

#[test]
fn keys_of_the_target_are_replaced_or_kept() {
    for (more, expected, counts) in [
        (&[][..], [("a", "new"), ("b", "new"), ("c", "old")], "copied\t2\nkept\t0\n"),
        (&["--if-missing"][..], [("a", "new"), ("b", "old"), ("c", "old")], "copied\t1\nkept\t1\n"),
    ] {
        let project = Project::new();
        let to = target(&project);
        let (source, target) = (open(&project, "a.db"), open_url(&to));
        for key in ["a", "b"] {
            source.namespace("n").unwrap().put(key, "new").unwrap();
        }
        for key in ["b", "c"] {
            target.namespace("n").unwrap().put_with(key, "old", &PutOptions::new().metadata("1")).unwrap();
        }
        let done = project.run(&[&["migrate", "--from", "a.db", "--to", &to], more].concat()).ok();
        assert!(done.contains(counts), "{done}");
        let found: Vec<_> = contents(&target).into_iter().map(|(_, entry)| entry).collect();
        assert_eq!(found.len(), 3);
        for (entry, (key, value)) in found.iter().zip(expected) {
            assert_eq!((entry.key.as_str(), entry.value()), (key, value.as_bytes()));
            assert_eq!(entry.metadata.is_some(), value == "old", "metadata is replaced too");
        }
        assert_eq!(target.namespaces().unwrap(), ["n"]);
    }
}

#[test]
fn a_store_is_not_copied_into_itself() {
    let project = Project::new();
    fill(&open(&project, "a.db"), "n", 3);
    std::os::unix::fs::symlink("a.db", project.path("link.db")).unwrap();
    let before = contents(&open(&project, "a.db"));
    for to in ["a.db", "link.db", "file:a.db", "./folder/../a.db"] {
        fs::create_dir_all(project.path("folder")).unwrap();
        let why = project.run(&["migrate", "--from", "a.db", "--to", to]).fails(2);
        assert!(why.contains("is the same store as"), "{why}");
    }
    assert!(contents(&open(&project, "a.db")) == before);
    let to = target(&project);
    fill(&open_url(&to), "n", 3);
    // In a file: URL %62 is a b, and a server is the same with another name of the application.
    let same = if to.starts_with("file:") { to.replace("b.db", "%62.db") } else { to.clone() + "&application_name=x" };
    assert!(project.run(&["migrate", "--from", &to, "--to", &same]).fails(2).contains("is the same store as"));
    assert_eq!(open_url(&to).namespaces().unwrap(), ["n"]);
}

#[test]
fn what_cannot_be_opened_is_told() {
    let project = Project::new();
    assert!(project.run(&["migrate", "--from", "none.db", "--to", "b.db"]).fails(3).contains("none.db"));
    assert!(!project.path("b.db").exists(), "the source is opened first");
    open(&project, "a.db");
    let why = project.run(&["migrate", "--from", "a.db", "--to", "postgresql://u:sec/secret@host/d"]).fails(3);
    assert!(why.contains("%40") && !why.contains("secret"), "{why}");
    project.run(&["--db", "a.db", "migrate", "--from", "a.db", "--to", "b.db"]).fails(2);
    project.run(&["migrate", "--from", "a.db"]).fails(2);
}

#[test]
fn an_entry_that_the_target_does_not_take_is_told_with_its_key() {
    let project = Project::new();
    open(&project, "a.db").namespace("n").unwrap().put(&"k".repeat(3000), "v").unwrap();
    let why = project.run(&["--limits", "cloudflare", "migrate", "--from", "a.db", "--to", &target(&project)]).fails(3);
    assert!(why.starts_with("namespace \"n\", key \"kkk") && why.contains("the limit is 512"), "{why}");
}

/// Metadata that cannot be read ends the copying of a store in its third page.
fn interrupted(project: &Project, to: &str) -> Store {
    let store = open(project, ".luat/data/kv.db");
    fill(&store, "a", 1);
    fill(&store, "n", 3500);
    project.sql("UPDATE kv SET metadata = '{oops' WHERE key = 'k02500'");
    let why = project.run(&["migrate", "--to", to]).fails(3);
    assert!(why.contains("k02500") && why.ends_with("; the same command goes on from there"), "{why}");
    assert_eq!(open_url(to).namespace("n").unwrap().count("").unwrap(), 2000);
    project.sql("UPDATE kv SET metadata = NULL WHERE key = 'k02500'");
    store
}

#[test]
fn an_interrupted_copy_goes_on_where_it_was() {
    let project = Project::new();
    let to = &target(&project);
    let (source, target) = (interrupted(&project, to), open_url(to));
    for (namespace, key) in [("a", "k00000"), ("n", "k01999")] {
        target.namespace(namespace).unwrap().put(key, "copied before").unwrap();
    }
    let done = project.run(&["migrate", "--to", to]).ok();
    assert_eq!(done, "namespaces\t2\ncopied\t3501\nkept\t0\ncompared\t3501\n");
    let (a, b) = (contents(&source), contents(&target));
    let changed: Vec<_> = a.iter().zip(&b).filter(|(a, b)| a != b).map(|(_, b)| b.1.value()).collect();
    assert_eq!((a.len(), b.len(), changed), (3501, 3501, vec![&b"copied before"[..]; 2]));
    // A run after a complete one copies everything.
    project.run(&["migrate", "--to", to]).ok();
    assert!(contents(&target) == a);
}

#[test]
fn another_option_begins_anew() {
    let project = Project::new();
    let to = &target(&project);
    interrupted(&project, to);
    let done = project.run(&["migrate", "--to", to, "--if-missing"]).ok();
    assert_eq!(done, "namespaces\t2\ncopied\t1500\nkept\t2001\ncompared\t3501\n");
}

#[test]
fn what_was_written_to_the_source_meanwhile_is_told_and_copied_by_another_run() {
    let project = Project::new();
    let to = &target(&project);
    let source = interrupted(&project, to);
    source.namespace("n").unwrap().put("k00000b", "late").unwrap();
    let why = project.run(&["migrate", "--to", to]).fails(3);
    assert!(why.contains("1 keys of the source are not in the target, the first of them \"k00000b\""), "{why}");
    project.run(&["migrate", "--to", to]).ok();
    assert!(contents(&open_url(to)) == contents(&source));
}

#[test]
fn a_copy_that_is_killed_is_completed_by_the_next() {
    let project = Project::new();
    let source = open(&project, "a.db");
    (0..5).for_each(|i| fill(&source, &format!("n{i}"), 3000));
    let to = &target(&project);
    let args = ["migrate", "--from", "a.db", "--to", to];
    for kills in 1..4 {
        let mut child = project.command(BIN).args(args).stdout(Stdio::null()).spawn().unwrap();
        // The position is of this run: the namespace that it copies is another one each time.
        while child.try_wait().unwrap().is_none() && !has(to, &format!("n{kills}")) {}
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let done = project.run(&args).ok();
    assert!(done.ends_with("compared\t15000\n"), "{done}");
    assert!(contents(&open_url(to)) == contents(&source));
}

/// Whether a store exists and has this namespace.
fn has(url: &str, namespace: &str) -> bool {
    let store = Store::open_url(url, &OpenOptions::new().readonly(true));
    store.is_ok_and(|store| store.namespaces().unwrap().iter().any(|name| name == namespace))
}

#[test]
fn a_terminal_shows_how_far_it_is() {
    let project = Project::new();
    fill(&open(&project, "a.db"), "n", 3);
    let done = project.terminal("$K migrate --from a.db --to b.db");
    assert!(done.out.contains("copying") && done.out.contains("/3") && done.out.contains("comparing"), "{done:?}");
}
