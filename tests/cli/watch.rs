//! watch.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use crate::support::{BIN, Project};

/// The tool while it watches, which ends with the test.
struct Watching(Child, BufReader<ChildStdout>);

impl Watching {
    /// Starts it. It watches already when this returns, since it has told of a first change.
    fn start(project: &Project, args: &[&str]) -> Self {
        let mut child = project.command(BIN).arg("watch").args(args).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut watching = Watching(child, output);
        let (first, told) = std::thread::scope(|scope| {
            let first = scope.spawn(|| watching.line());
            let mut count = 0;
            while !first.is_finished() {
                project.run(&["put", "k0", &count.to_string()]).ok();
                count += 1;
            }
            (first.join().unwrap(), count)
        });
        assert!(first.contains("k0"), "{first}");
        project.run(&["put", "k1", "the last"]).ok();
        // The first changes may have been told one by one.
        for _ in 0..=told {
            if watching.line().contains("k1") {
                return watching;
            }
        }
        panic!("it has not told of k1");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn watch_prints_what_other_processes_change() {
    let project = Project::new();
    project.run(&["put", "old", "1"]).ok();
    let mut plain = Watching::start(&project, &[]);
    let mut values = Watching::start(&project, &["k", "--values"]);
    let mut json = Watching::start(&project, &["--json", "--key", "k0", "--key", "k1", "--values"]);
    while !plain.line().contains("k1") {} // those of the other two
    while !plain.line().contains("k1") {}
    while !values.line().contains("k1") {}
    project.run(&["put", "k1", "a\tb", "--metadata", "[1]", "--ttl", "1h"]).ok();
    assert_eq!(plain.line(), "put\tk1\n");
    assert_eq!(values.line(), "put\tk1\ta\\tb\n");
    let entry = project.run(&["get", "k1", "--json"]).json();
    let mut told: serde_json::Value = serde_json::from_str(&json.line()).unwrap();
    assert_eq!(told.as_object_mut().unwrap().remove("type"), Some("put".into()));
    assert_eq!(told, entry[0]);
    project.run(&["delete", "k1"]).ok();
    assert_eq!(plain.line(), "delete\tk1\n");
    assert_eq!(json.line(), "{\"type\":\"delete\",\"key\":\"k1\"}\n");
    project.run(&["delete", "old"]).ok();
    assert_eq!(plain.line(), "delete\told\n");
    project.sql("UPDATE kv SET expiration = 1 WHERE key = 'k0'");
    project.run(&["sweep"]).ok();
    let told = plain.line();
    assert!(told == "delete\tk0\n" || told == "expire\tk0\n", "{told}");
}

#[test]
fn watch_goes_on_from_a_token() {
    let project = Project::new();
    let watch = |args: &[&str]| project.run(&[&["watch", "--resume", "seen", "--timeout", "0"], args].concat());
    project.run(&["put", "a", "1"]).ok();
    watch(&[]).fails(1);
    for (key, value) in [("a", "2"), ("b", "1"), ("c", "1")] {
        project.run(&["put", key, value]).ok();
    }
    project.run(&["delete", "b"]).ok();
    project.run(&["put", "d", "1"]).ok();
    let token = project.read("seen");
    // It contains keys, which may be secret.
    assert_eq!(project.shell("find seen -perm 600").ok(), "seen\n");
    assert_eq!(watch(&["--max", "1"]).ok(), "put\ta\n");
    assert_eq!(watch(&["--max", "1", "--existing"]).ok(), "put\tc\n");
    assert_eq!(watch(&["--max", "1"]).ok(), "put\td\n");
    watch(&[]).fails(1);
    assert_eq!(project.run(&["watch", "--max", "3", "--since", token.trim()]).ok(), "put\ta\nput\tc\nput\td\n");
    assert_eq!(project.shell("$K watch --resume new --existing --max 1").ok(), "put\ta\n");
    assert!(project.shell("true >none; $K watch --resume none").fails(2).contains("none is empty"));
    assert!(project.shell("echo x >none; $K watch --resume none").fails(2).contains("the token is malformed"));
    assert!(project.run(&["watch", "--resume", "none/none"]).fails(3).contains("none/none"));
    assert!(project.run(&["watch", "--since", &token, "--existing"]).fails(2).contains("cannot be used with"));
    let elsewhere = project.run(&["-n", "other", "watch", "--since", token.trim()]);
    assert!(elsewhere.fails(2).contains("the token comes from the namespace"));
}

#[test]
fn watch_replaces_only_the_file_of_its_token() {
    let project = Project::new();
    project.run(&["put", "a", "1"]).ok();
    let made = "mv new real; ln -s real link; mkfifo fifo; $K watch --resume link --timeout 0 2>&1; find link -type l";
    project.run(&["watch", "--resume", "new", "--timeout", "0"]).fails(1);
    assert!(project.shell(made).ok().ends_with("\nlink\n"));
    project.run(&["put", "a", "2"]).ok();
    assert_eq!(project.run(&["watch", "--resume", "real", "--max", "1"]).ok(), "put\ta\n");
    for file in ["fifo", "."] {
        assert!(project.run(&["watch", "--resume", file]).fails(3).contains("it is no regular file"), "{file}");
    }
}

#[test]
fn watch_ends_when_it_should() {
    let project = Project::new();
    project.run(&["put", "key", "1"]).ok();
    assert!(project.run(&["watch", "--timeout", "0.1"]).fails(1).contains("nothing has changed for 0.1 s"));
    project.run(&["watch", "--timeout", "0"]).fails(1);
    assert_eq!(project.run(&["watch", "--existing", "--timeout", "0"]).ok(), "put\tkey\n");
    assert_eq!(project.run(&["watch", "--existing", "--prefix", "k", "--max", "1"]).ok(), "put\tkey\n");
    let line = "($K watch --max 2 & while kill -0 $! 2>/dev/null; do $K incr n >&2; $K incr m >&2; done) 2>/dev/null";
    assert_eq!(project.shell(line).ok().lines().count(), 2);
    // The reader of the output ends.
    assert_eq!(project.shell("$K watch | true").ok(), "");
    for (args, words) in [
        (&["--timeout", "-1"][..], "-1"),
        (&["--timeout", "x"], "it is a number of seconds"),
        (&["--max", "0"], "it is a whole number, at least 1"),
        (&["a", "--key", "b"], "cannot be used with"),
        (&["a", "--prefix", "b"], "cannot be used with"),
        (&["--key", ""], "the key is empty"),
    ] {
        let args: Vec<_> = ["watch"].iter().chain(args).copied().collect();
        assert!(project.run(&args).fails(2).contains(words), "{args:?}");
    }
}

#[test]
fn two_watches_may_use_one_file() {
    let project = Project::new();
    project.run(&["put", "a", "1"]).ok();
    let both = "for i in 1 2; do $K watch --resume seen --max 20 >out$i & eval p$i=\\$!; done
        while kill -0 $p1 2>/dev/null || kill -0 $p2 2>/dev/null; do $K incr n >/dev/null; done
        wait $p1 && wait $p2 && cat out1 out2";
    assert_eq!(project.shell(both).ok().lines().count(), 40);
    assert!(project.run(&["watch", "--resume", "seen", "--timeout", "0"]).status.is_some_and(|status| status < 2));
}
