//! Which projects are trusted. Much of this needs root, since only root can give files to other users.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::PathBuf;

use crate::support::{BIN, Done, Project, missing};

/// User numbers that belong to no user.
const OWNER: u32 = 64_321;
const STRANGER: u32 = 64_322;

/// A folder that all users may enter, with the tool in it, and without a luat.toml.
fn place() -> Project {
    let project = Project::new();
    fs::remove_file(project.path("luat.toml")).unwrap();
    mode(&project, ".", 0o755);
    project
}

fn is_root(project: &Project) -> bool {
    fs::metadata(project.path(".")).unwrap().uid() == 0
}

fn mode(project: &Project, name: &str, mode: u32) {
    fs::set_permissions(project.path(name), Permissions::from_mode(mode)).unwrap();
}

/// A folder that belongs to a user.
fn folder(project: &Project, name: &str, user: u32) -> PathBuf {
    fs::create_dir_all(project.path(name)).unwrap();
    chown(project.path(name), Some(user), Some(user)).unwrap();
    project.path(name)
}

fn file(project: &Project, name: &str, text: &str, user: u32) {
    project.write(name, text);
    chown(project.path(name), Some(user), Some(user)).unwrap();
}

fn link(project: &Project, to: &str, name: &str, user: u32) {
    symlink(to, project.path(name)).unwrap();
    lchown(project.path(name), Some(user), Some(user)).unwrap();
}

/// Runs a shell command in a folder, as root, or as another user.
fn within(project: &Project, folder: &str, user: u32, line: &str) -> Done {
    // Other users may lack access to the path of the tool.
    if !project.path("luat-kv").exists() {
        fs::copy(BIN, project.path("luat-kv")).unwrap();
    }
    let tool = project.path("luat-kv").display().to_string();
    let line = line.replace("$K", &tool);
    let become_user = if user == 0 { String::new() } else { format!("setpriv --reuid={user} --clear-groups -- ") };
    project.shell(&format!("cd {folder} && {become_user}sh -c '{line}'"))
}

#[test]
fn what_everybody_may_write_is_not_trusted() {
    let project = place();
    project.write("luat.toml", "");
    project.run(&["put", "a", "1"]).ok();
    mode(&project, "luat.toml", 0o666);
    let why = project.run(&["get", "a"]).fails(3);
    assert!(why.contains("everybody may write to ") && why.contains("/luat.toml; if "), "{why}");
    assert!(why.contains("set LUAT_KV_TRUSTED_PROJECT=/"), "{why}");
    mode(&project, "luat.toml", 0o664);
    assert_eq!(project.run(&["get", "a"]).ok(), "1", "a group is trusted");
    mode(&project, ".", 0o777);
    assert!(project.run(&["get", "a"]).fails(3).contains("everybody may replace "));
    assert_eq!(project.shell("LUAT_KV_TRUSTED_PROJECT=/none:$PWD/ $K get a").ok(), "1");
    project.shell("LUAT_KV_TRUSTED_PROJECT=.:/:$PWD/.luat $K get a").fails(3);
    assert_eq!(project.shell("LUAT_KV_DB=.luat/data/kv.db $K get a").ok(), "1", "a path is the caller's decision");
    mode(&project, ".", 0o1777);
    assert_eq!(project.run(&["get", "a"]).ok(), "1", "nobody may replace what is another's there");
}

#[test]
fn nothing_is_sent_to_the_server_of_a_luat_toml_that_is_not_trusted() {
    let project = place();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let url = format!("postgresql://user:secret@{}/database", server.local_addr().unwrap());
    project.write("luat.toml", format!("[kv]\nurl = '{url}'\n"));
    mode(&project, "luat.toml", 0o666);
    let why = project.run(&["put", "a", "1"]).fails(3);
    assert!(why.contains("everybody may write to ") && !why.contains("secret"), "{why}");
    assert_eq!(server.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    missing(&project.path(".luat"));
    project.write("luat.toml", "[kv]\nurl = 'memory:'\n");
    project.run(&["put", "a", "1"]).fails(3);
}

#[test]
fn a_strangers_luat_toml_is_refused() {
    let project = place();
    if !is_root(&project) {
        return;
    }
    folder(&project, "open", 0);
    mode(&project, "open", 0o1777);
    file(&project, "open/luat.toml", "[routing]\ndata_dir = \"stolen\"", STRANGER);
    for user in [0, OWNER] {
        folder(&project, "open/mine", user);
        let why = within(&project, "open/mine", user, "$K put a 1").fails(3);
        let told = [
            "open/luat.toml belongs to user 64322, which is not",
            &format!("user ({user}), root, or the owner of "),
            &format!("open/mine ({user}); if"),
            "set LUAT_KV_TRUSTED_PROJECT=/",
        ];
        assert!(told.iter().all(|told| why.contains(told)), "{why}");
        missing(&project.path("open/stolen"));
    }
    // A link to something trusted is not trusted either.
    fs::remove_file(project.path("open/luat.toml")).unwrap();
    file(&project, "rooted", "", 0);
    link(&project, "../rooted", "open/luat.toml", STRANGER);
    assert!(within(&project, "open/mine", OWNER, "$K put a 1").fails(3).contains("belongs to user 64322"));
    missing(&project.path("open/.luat"));
    within(&project, "open/mine", OWNER, "LUAT_KV_TRUSTED_PROJECT=$(realpath ..) $K put a 1").ok();
    within(&project, "open/mine", OWNER, "LUAT_KV_DB=own.db $K put a 1").ok();
    assert!(project.path("open/.luat/data/kv.db").exists() && project.path("open/mine/own.db").exists());
}

#[test]
fn a_project_that_is_mounted_under_another_users_number_goes_on_working() {
    let project = place();
    if !is_root(&project) {
        return;
    }
    folder(&project, "app", OWNER);
    folder(&project, "app/src", OWNER);
    file(&project, "app/luat.toml", "", OWNER);
    for user in [OWNER, 0] {
        for from in ["app", "app/src"] {
            within(&project, from, user, "$K put a 1").ok();
            assert_eq!(within(&project, from, user, "$K get a").ok(), "1");
        }
    }
    folder(&project, "app/rooted", 0);
    let why = within(&project, "app/rooted", 0, "$K get a").fails(3);
    assert!(why.contains("belongs to user 64321"), "{why}");
    // Every user trusts root's luat.toml.
    file(&project, "app/luat.toml", "", 0);
    folder(&project, "app/theirs", STRANGER);
    file(&project, "app/luat.toml", "[routing]\ndata_dir = \"theirs/data\"", 0);
    within(&project, "app/theirs", STRANGER, "$K put a 2").ok();
    assert_eq!(within(&project, "app/theirs", STRANGER, "$K get a").ok(), "2");
}

#[test]
fn a_strangers_link_is_not_followed() {
    let project = place();
    if !is_root(&project) {
        return;
    }
    for (at, (name, to)) in
        [(".luat", "../trap"), (".luat/data", "../../trap"), (".luat/data/kv.db", "../../../trap/new.db")]
            .into_iter()
            .enumerate()
    {
        for config in [true, false] {
            let root = format!("app{at}{config}");
            folder(&project, &root, OWNER);
            if config {
                file(&project, &format!("{root}/luat.toml"), "", OWNER);
            }
            let parent = format!("{root}/{name}");
            let parent = parent.rsplit_once('/').unwrap().0;
            for part in [".luat", ".luat/data"] {
                if parent.ends_with(part) || parent.contains(&format!("{part}/")) {
                    folder(&project, &format!("{root}/{part}"), OWNER);
                }
            }
            let link_name = format!("{root}/{name}");
            // A dangling link creates nothing at its target, and other links are not followed either.
            for exists in [false, true] {
                if exists {
                    folder(&project, "trap", STRANGER);
                }
                link(&project, to, &link_name, STRANGER);
                let why = within(&project, &root, 0, "$K put a 1").fails(3);
                assert!(why.contains(name) && why.contains("a symbolic link that belongs to user 64322"), "{why}");
                assert!(within(&project, &root, 0, "$K get a").fails(3).contains("symbolic link"), "{why}");
                assert!(!exists || fs::read_dir(project.path("trap")).unwrap().next().is_none());
                fs::remove_file(project.path(&link_name)).unwrap();
                missing(&project.path(&format!("trap{}", if exists { "/new.db" } else { "" })));
            }
            // Links of trusted users are followed.
            link(&project, to, &link_name, OWNER);
            within(&project, &root, 0, "$K put a 1").ok();
            assert_eq!(within(&project, &root, 0, "$K get a").ok(), "1");
            fs::remove_dir_all(project.path("trap")).unwrap();
        }
    }
}

#[test]
fn a_strangers_folder_is_taken_only_where_not_everybody_could_put_it() {
    let project = place();
    if !is_root(&project) {
        return;
    }
    folder(&project, "app", 0);
    folder(&project, "app/.luat", STRANGER);
    within(&project, "app", 0, "$K put a 1").ok();
    mode(&project, "app", 0o1777);
    let why = within(&project, "app", 0, "$K put a 2").fails(3);
    assert!(why.contains("app/.luat is in a folder that everybody may write to, and belongs to user 64322"), "{why}");
    // The owner of the database does not matter.
    folder(&project, "app/.luat", 0);
    file(&project, "app/.luat/data/kv.db", "", STRANGER);
    within(&project, "app", 0, "$K put a 2").ok();
}

#[test]
fn a_luat_toml_that_cannot_be_read_does_not_block_a_store_that_is_named() {
    let project = place();
    link(&project, "luat.toml", "luat.toml", fs::metadata(project.path(".")).unwrap().uid());
    let why = project.run(&["put", "a", "1"]).fails(3);
    assert!(why.contains("/luat.toml: Too many levels") && why.contains("set LUAT_KV_DB to the path"), "{why}");
    assert_eq!(project.shell("LUAT_KV_DB=own.db $K put a 1 && LUAT_KV_DB=own.db $K get a").ok(), "1");
    if !is_root(&project) {
        return;
    }
    fs::remove_file(project.path("luat.toml")).unwrap();
    file(&project, "luat.toml", "", STRANGER);
    mode(&project, "luat.toml", 0o600);
    folder(&project, "mine", OWNER);
    let why = within(&project, "mine", OWNER, "$K put a 1").fails(3);
    assert!(why.contains("/luat.toml: Permission denied") && why.contains("set LUAT_KV_DB to the path"), "{why}");
    within(&project, "mine", OWNER, "LUAT_KV_DB=own.db $K put a 1").ok();
}

#[test]
fn a_change_is_checked_as_every_opening_is() {
    let project = place();
    if !is_root(&project) {
        return;
    }
    mode(&project, ".", 0o1777);
    within(&project, ".", 0, "$K put a 1").ok();
    chown(project.path(".luat"), Some(STRANGER), None).unwrap();
    for command in ["delete a", "take a", "incr a", "touch a --ttl 60", "clear --yes", "sweep", "compact"] {
        let why = within(&project, ".", 0, &format!("$K {command}")).fails(3);
        assert!(why.contains("/.luat is in a folder that everybody may write to"), "{command}: {why}");
    }
}

#[test]
fn a_large_luat_toml_is_refused() {
    let project = Project::new();
    project.write("luat.toml", "#".repeat(64 * 1024));
    project.run(&["put", "a", "1"]).ok();
    project.write("luat.toml", "=".repeat(64 * 1024 + 1));
    let why = project.run(&["get", "a"]).fails(3);
    assert!(why.ends_with("/luat.toml: it is larger than 65536 bytes"), "{why}");
    project.shell("truncate --size 20G luat.toml").ok();
    assert_eq!(project.shell("ulimit -v 200000; $K get a").fails(3), why);
    for make in ["mkfifo luat.toml", "mkdir luat.toml"] {
        project.shell(&format!("rm luat.toml; {make}")).ok();
        assert!(project.run(&["get", "a"]).fails(3).ends_with("/luat.toml: it is not a regular file"));
    }
}

#[test]
fn the_environment_names_the_projects_store() {
    let project = Project::new();
    project.shell("LUAT_KV_DB=other/x.db $K put a other").ok();
    missing(&project.path(".luat"));
    project.shell("LUAT_KV_DB= $K put a own").ok();
    assert_eq!(project.run(&["get", "a"]).ok(), "own");
    assert_eq!(project.shell("LUAT_KV_DB=other/x.db $K get a").ok(), "other");
    assert_eq!(project.shell("LUAT_KV_DB=other/x.db $K get a --db .luat/data/kv.db").ok(), "own");
    // No luat.toml is searched for then.
    project.write("luat.toml", "[");
    assert_eq!(project.shell("LUAT_KV_DB=other/x.db $K get a").ok(), "other");
}
