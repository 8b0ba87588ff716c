//! A million keys.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::{BIN, Project};

/// A million keys of a hundred bytes: to hold them all would take 100 MB at the least.
fn million() -> Project {
    let project = Project::new();
    project.run(&["put", "first", ""]).ok();
    project.sql(
        "INSERT INTO kv (namespace, key, value)
         WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 999999)
         SELECT 'blog', printf('key:%096d', n), x'' FROM numbers",
    );
    project
}

#[test]
fn a_million_keys_are_listed_and_transferred_in_the_memory_of_a_page() {
    let project = million();
    // In KiB: all that the process may have, its program and SQLite's cache of 16 MiB included.
    for list in ["list", "list --reverse --values --json"] {
        let done = project.shell(&format!("ulimit -v 65536; $K {list} | wc -l"));
        assert_eq!(done.ok().trim(), "1000000", "{list}");
    }

    let there_and_back = "ulimit -v 65536; $K export >all.json && $K --db copy.db import all.json >imported &&
        wc -l <all.json && $K --db copy.db count";
    assert_eq!(project.shell(there_and_back).ok().split_whitespace().collect::<Vec<_>>(), ["1000002", "1000000"]);

    // The first key comes while most of the others are still unread: a pipe holds few of them.
    let mut command = project.command(BIN);
    let mut child = command.arg("list").stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    assert_eq!(first, "first\n");
    assert_eq!(child.try_wait().unwrap(), None, "it waits for its reader");
    drop(out);
    assert!(child.wait().unwrap().success());
}
