//! A million keys.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::support::{BIN, Project};
use crate::tty::Tty;

/// A million keys of a hundred bytes: all of them together would take at least 100 MB.
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
    // In KiB, for the whole process, including its program and SQLite's cache of 16 MiB.
    for list in ["list", "list --reverse --values --json"] {
        let done = project.shell(&format!("ulimit -v 65536; $K {list} | wc -l"));
        assert_eq!(done.ok().trim(), "1000000", "{list}");
    }

    let there_and_back = "ulimit -v 65536; $K export >all.json && $K --db copy.db import all.json >imported &&
        wc -l <all.json && $K --db copy.db count";
    assert_eq!(project.shell(there_and_back).ok().split_whitespace().collect::<Vec<_>>(), ["1000002", "1000000"]);

    // The first key arrives while most of the others are still unread: a pipe holds few of them.
    let mut command = project.command(BIN);
    let mut child = command.arg("list").stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    assert_eq!(first, "first\n");
    assert_eq!(child.try_wait().unwrap(), None, "it waits for its reader");
    drop(out);
    assert!(child.wait().unwrap().success());

    browse_a_million(&project);
}

fn browse_a_million(project: &Project) {
    let mut tty = Tty::start(project, (250, 30), "$RUN browse; echo ended $?");
    tty.until(|seen| seen.contains("> first") && seen.contains("more than 200 keys"));
    tty.keys("G");
    tty.shows("999999");
    tty.keys("/key:00");
    tty.until(|seen| seen.contains("> key:00") && seen.contains("more than 200 keys"));
    tty.keys("\r");
    // More than one page of keys, down and up again. Before more keys are there, a page goes no further than the last.
    let selected = |seen: &str| seen.lines().nth(3)?.split("│ key:").nth(1)?.parse::<u64>().ok();
    let mut pages = 0;
    while selected(&tty.contents()).is_none_or(|number| number < 2000) {
        assert!(pages < 3000, "{}", tty.contents());
        pages += 1;
        tty.keys(" ");
        thread::sleep(Duration::from_millis(20));
    }
    tty.keys("g");
    tty.until(|seen| selected(seen) == Some(1));
    project.run(&["put", "key:000", "new"]).ok();
    tty.shows("  key:000 ");
    let status = std::fs::read_to_string(format!("/proc/{}/status", tty.process())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
    assert!(most.parse::<u64>().unwrap() < 65_536, "{most} KiB");
    tty.keys("q");
    tty.ended(0);
}

#[test]
fn a_line_of_300_mb_is_an_error_and_not_the_end() {
    let project = Project::new();
    let import = |memory: u32, begin: &str, options: &str| {
        let line = format!("printf '%s' '{begin}'; head -c 300000000 /dev/zero | tr '\\0' A; printf '\"}}'");
        project.shell(&format!("ulimit -v {memory}; {{ {line}; }} 2>/dev/null | $K {options} import"))
    };
    for (begin, what) in [
        ("{\"key\":\"", "the key"),
        ("{\"value\":\"1\",\"key\":\"a\",\"metadata\":\"", "the metadata"),
        ("{\"value\":\"1\",\"key\":\"a\",\"", "the name of a field"),
    ] {
        let why = import(700_000, begin, "").fails(3);
        assert!(why.contains(what) && why.contains("the limit is"), "{why}");
    }
    for begin in ["{\"key\":\"a\",\"value\":\"", "{\"key\":\"a\",\"base64\":true,\"value\":\""] {
        let why = import(700_000, begin, "--limits cloudflare").fails(3);
        assert!(why.contains("the value is more than"), "{why}");
        // Such a value may be stored, but there is no memory for it.
        assert!(import(400_000, begin, "").fails(3).contains("memory"));
    }
    // Ignored fields take no memory.
    assert_eq!(import(100_000, "{\"key\":\"a\",\"value\":\"1\",\"more\":\"", "").status, Some(0));
    assert_eq!(project.run(&["count"]).ok(), "1\n");
}
