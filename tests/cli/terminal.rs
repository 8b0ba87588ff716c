//! Output that only a terminal gets, and a pipe does not.

use crate::support::Project;

fn project() -> Project {
    let project = Project::new();
    project.run(&["put", "a", "Hello", "--ttl", "10d", "--metadata", "{\"by\":\"alice\"}"]).ok();
    project.run(&["put", "red \u{1b}[31m", "bell \u{7}\n"]).ok();
    project.run(&["put", "long", &"x".repeat(500)]).ok();
    project
}

#[test]
fn a_terminal_has_tables_and_colour_and_a_pipe_has_none() {
    let project = project();
    let seen = project.terminal("$K list --values");
    assert_eq!(seen.status, Some(0));
    let lines: Vec<_> = seen.out.lines().collect();
    assert!(lines[0].starts_with("\u{1b}[1m") && lines[0].contains("KEY"), "{seen:?}");
    assert!(lines[0].contains("EXPIRES") && lines[0].contains("METADATA") && lines[0].contains("VALUE"), "{seen:?}");
    assert!(lines[1].starts_with("a  ") && lines[1].contains(" in 10 days "), "{seen:?}");
    assert!(lines[1].ends_with("{\"by\":\"alice\"}  Hello"), "{seen:?}");
    assert!(lines[2].starts_with("long ") && lines[2].ends_with("x…") && lines[2].chars().count() == 80, "{seen:?}");
    assert!(lines[3].starts_with("red \\u{1b}[31m  ") && lines[3].ends_with("bell \\u{7}\\n"), "{seen:?}");

    let piped = project.terminal("$K list --values | cat").out;
    assert!(piped.starts_with("a\tHello\n") && !piped.contains('\u{1b}'), "{piped:?}");
    let json = project.terminal("$K list --json").out;
    assert!(json.starts_with("{\"key\":\"a\",") && !json.contains('\u{1b}'), "{json:?}");
}

#[test]
fn no_color_is_heeded() {
    let project = project();
    for command in ["$K list", "$K stats", "$K get a --metadata", "$K --help", "$K bulk get a"] {
        let seen = project.terminal(&format!("NO_COLOR=1 {command}")).out;
        assert!(!seen.contains('\u{1b}') && seen.lines().count() > 1, "{command}: {seen:?}");
    }
    for command in ["$K list", "$K stats", "$K get a --metadata", "$K --help", "$K bulk get a"] {
        assert!(project.terminal(command).out.contains('\u{1b}'), "{command}");
        let piped = project.shell(command).out;
        assert!(!piped.contains('\u{1b}'), "{command}: {piped:?}");
    }
}

#[test]
fn a_value_ends_its_line_on_a_terminal() {
    let project = project();
    assert_eq!(project.terminal("$K get a").out, "Hello\n");
    project.feed("Hello\n", &["put", "b"]).ok();
    assert_eq!(project.terminal("$K get b").out, "Hello\n");
    assert_eq!(project.shell("$K get a").ok(), "Hello");
}

#[test]
fn a_value_does_not_take_over_the_terminal() {
    let project = Project::new();
    // Unescaped, it would write to the clipboard, clear the screen, and reverse the text.
    let value = "\u{1b}]52;c;eA==\u{7}\ta\u{9b}2J\u{7f}\u{202e}b\r\nc\u{8}\n";
    project.feed(value, &["put", "a"]).ok();
    project.run(&["put", "b", "1", "--metadata", &serde_json::to_string(value).unwrap()]).ok();
    let seen = project.terminal("stty -opost; $K get a").out;
    assert_eq!(seen, "\\u{1b}]52;c;eA==\\u{7}\ta\\u{9b}2J\\u{7f}\\u{202e}b\nc\\u{8}\n");
    assert_eq!(project.terminal("stty -opost; $K get a --raw").out, value.replace('\r', ""));
    assert_eq!(project.run(&["get", "a"]).ok(), value, "a pipe gets what is there");
    assert_eq!(project.run(&["get", "a", "--raw"]).ok(), value);
    project.feed(b"\x9b2J\xff", &["put", "c"]).ok();
    assert_eq!(project.terminal("$K get c").out, "\\x9b2J\\xff\n");

    let is_harmful = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    for command in ["get a", "get b", "list --values", "bulk get a b", "export", "export --format jsonl"] {
        let json = project.terminal(&format!("$K {command} --json")).out;
        assert!(!json.contains(is_harmful), "{command}: {json:?}");
        assert!(json.contains("\\u009b2J\\u007f\\u202e"), "{command}: {json:?}");
    }
    for command in ["get a", "get b", "list --values", "bulk get a b"] {
        let json = project.shell(&format!("$K {command} --json")).ok();
        assert!(!json.contains(is_harmful), "{command}: {json:?}");
        let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().any(|entry| entry["value"] == value || entry["metadata"] == value), "{command}: {json:?}");
    }
}

#[test]
fn an_export_to_a_path_of_the_terminal_does_not_take_it_over() {
    let project = Project::new();
    project.run(&["put", "a", "\u{9b}2J\u{7f}\u{202e}"]).ok();
    let shown = project.terminal("$K export -").out;
    assert!(shown.contains("\\u009b2J\\u007f\\u202e"), "{shown:?}");
    for path in ["/dev/stdout", "/dev/tty", "$(tty)", "/proc/self/fd/1"] {
        assert_eq!(project.terminal(&format!("$K export {path}")).out, shown, "{path}");
    }
    assert_eq!(project.terminal("$K export /dev/tty >out").out, shown);
    assert_eq!(project.read("out"), "");
    // Output that is not a terminal gets the unchanged bytes.
    assert!(project.terminal("$K export - | cat").out.contains('\u{202e}'));
}

#[test]
fn stats_are_a_table_too() {
    let seen = project().terminal("$K stats").out;
    let lines: Vec<_> = seen.lines().collect();
    assert!(lines[0].contains("path") && lines[1].contains("KiB"), "{seen:?}");
    assert!(lines[3].contains("NAMESPACE") && lines[4].starts_with("blog "), "{seen:?}");
}

#[test]
fn long_work_shows_progress_on_a_terminal_only() {
    let project = project();
    project.write("more.jsonl", "{\"key\":\"x\",\"value\":\"1\"}\n".repeat(20_000));
    for (command, word) in [
        ("import more.jsonl", "importing"),
        ("bulk put more.jsonl", "importing"),
        ("export all.json", "exporting"),
        ("export", "exporting"),
        ("backup copy.db", "backing up"),
        ("sweep", "sweeping"),
        ("compact", "compacting"),
    ] {
        // The file has no bar, and the terminal shows only the bar.
        let seen = project.terminal(&format!("$K {command} >>out"));
        assert!(seen.status == Some(0) && seen.out.contains(word), "{command}: {seen:?}");
        let _ = std::fs::remove_file(project.path("copy.db"));
        project.shell(&format!("$K {command} >>out")).ok();
    }
    let printed = project.read("out");
    assert!(!printed.contains('\u{1b}') && printed.starts_with("stored\t1\nskipped\t19999\n"), "{printed:?}");
}

#[test]
fn a_bar_has_an_end_if_it_is_known() {
    let project = Project::new();
    for key in ["a1", "a2", "a3"] {
        project.run(&["put", key, "--value", "x"]).ok();
    }
    for (command, bar) in [
        ("export all.json", "0/3"),
        ("export", "0/3"),
        ("delete --prefix a1 --yes", "0/1"),
        ("bulk delete - <keys", "0/1"),
        ("clear --yes", "0/1"),
    ] {
        project.write("keys", r#"["a2"]"#);
        let seen = project.terminal(&format!("$K {command} >>out"));
        assert!(seen.status == Some(0) && seen.out.contains(bar), "{command}: {seen:?}");
    }
}

#[test]
fn a_pipe_that_closes_is_the_quiet_end() {
    let project = Project::new();
    let lines: String = (0..30_000).map(|number| format!("{{\"key\":\"key {number}\",\"value\":\"x\"}}\n")).collect();
    project.feed(lines, &["bulk", "put"]).ok();
    for command in ["list", "list --json", "list --values", "export", "export --format jsonl"] {
        // The exit status of the tool itself comes by the other way.
        let done = project.shell(&format!("{{ $K {command}; echo $? >status; }} | head -n 1"));
        assert_eq!(done.ok().lines().count(), 1, "{command}");
        assert_eq!(project.read("status"), "0\n", "{command}");
    }
    for command in ["get 'key 1'", "list", "export", "stats", "count", "completions bash"] {
        let why = project.shell(&format!("$K {command} >/dev/full")).fails(3);
        assert!(why.contains("No space left"), "{command}: {why}");
    }
    // No stderr for the message either.
    assert_eq!(project.shell("$K get none >&- 2>&-").status, Some(1));
}
