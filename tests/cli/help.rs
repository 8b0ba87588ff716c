//! Help, usage, completions, manual pages.

use crate::support::{BIN, Project, is_there};
use crate::tty::Tty;

const COMMANDS: [&str; 26] = [
    "get",
    "put",
    "has",
    "incr",
    "touch",
    "take",
    "delete",
    "clear",
    "list",
    "watch",
    "browse",
    "count",
    "bulk get",
    "bulk put",
    "bulk delete",
    "export",
    "import",
    "backup",
    "migrate",
    "namespaces",
    "stats",
    "sweep",
    "compact",
    "completions",
    "man",
    "",
];

#[test]
fn the_help_of_each_command_has_examples_that_fit() {
    let project = Project::new();
    for command in COMMANDS {
        for flag in ["--help", "-h"] {
            let help = project.run(&command.split_whitespace().chain([flag]).collect::<Vec<_>>()).ok();
            assert!(help.contains("\nExamples:\n  "), "{command}: {help}");
            assert!(help.contains("luat-kv"), "{command}: {help}");
            assert!(help.lines().all(|line| line.chars().count() <= 100), "{command}: {help}");
        }
    }
    let version = project.run(&["--version"]).ok();
    assert_eq!(version, concat!("luat-kv ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_wrong_command_line_is_status_2_with_a_hint() {
    let project = Project::new();
    for (args, hint) in [
        (&["lst"][..], "'list'"),
        (&["list", "--prefx", "a"], "'--prefix'"),
        (&["list", "--prefx", "a"], "luat-kv list --help"),
        (&["put"], "<KEY>"),
        (&["put", "a", "--zzz"], "-- --zzz"),
        (&["delete"], "KEY"),
        (&["delete", "--prefix", "p", "k"], "--prefix"),
        (&["delete", "--prefix", ""], "luat-kv clear"),
        (&["get", "k", "--raw", "--metadata"], "--raw"),
        (&["incr", "n", "1.5"], "'1.5' for '[BY]': it is not a whole number"),
        (&["list", "--limit", "0"], "it is a whole number, at least 1"),
        (&["touch", "k", "--ttl", "5", "--expiration", "4000000000"], "--ttl"),
        (&["bulk", "got"], "'get'"),
        (&["export", "--format", "xml"], "json"),
        (&["completions", "tcsh"], "zsh"),
        (&["sweep", "--max", "many"], "--max <COUNT>': it is not a whole number"),
        (&["get", "a", "b"], "'b'"),
    ] {
        let why = project.run(args).fails(2);
        assert!(why.contains(hint), "{args:?}: {why}");
    }
    // Without a command it prints the help, on stderr, since it was not requested.
    let done = project.shell("unset LUAT_KV_NAMESPACE; $K");
    assert_eq!((done.status, &*done.out), (Some(2), ""));
    assert!(done.err.contains("Usage: luat-kv"), "{done:?}");
    let odd = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff");
    let done = project.command(BIN).arg("get").arg::<&std::ffi::OsStr>(odd).output().unwrap();
    assert_eq!(done.status.code(), Some(2), "a key is UTF-8");
}

#[test]
fn the_names_that_other_tools_have_work_too() {
    let project = Project::new();
    project.run(&["set", "k", "v"]).ok();
    assert_eq!(project.run(&["get", "k"]).ok(), "v");
    project.run(&["rm", "k"]).ok();
    project.run(&["del", "k"]).ok();
    project.run(&["get", "k"]).fails(1);
}

#[test]
fn completions_are_scripts_that_shells_read() {
    let project = Project::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = project.run(&["completions", shell]).ok();
        for word in ["luat-kv", "namespaces", "busy-timeout"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        project.write(shell, script);
        // Of these shells, every Debian has only bash.
        if ["bash", "zsh", "fish"].contains(&shell) && (shell == "bash" || is_there(shell)) {
            project.shell(&format!("{shell} -n ./{shell}")).ok();
        }
    }
}

#[test]
fn bash_completes_what_is_typed() {
    let project = Project::new();
    project.write("script", project.run(&["completions", "bash"]).ok());
    project.shell("mkdir 'a folder'; touch 'a folder/in it' 'xx[y]z'").ok();
    let settings = "PS1='> '; HERE=.; shopt -s failglob; bind 'set show-all-if-ambiguous on'; \
                    bind 'set bell-style none'; source ./script; echo ready";
    let bash = "HISTFILE=/dev/null INPUTRC=/dev/null LC_ALL=C bash --norc --noprofile -i";
    let mut tty = Tty::start(&project, (80, 24), bash);
    tty.keys(&format!("{settings}\r"));
    tty.shows("\nready");
    // What is typed after the tab shows where that has led.
    let mut completed = |typed: &str| {
        let (remove_line, clear_screen) = ('\u{15}', '\u{c}');
        tty.keys(&format!("{remove_line}{clear_screen}"));
        tty.until(|seen| seen == ">");
        tty.keys(&format!("{typed}\t."));
        tty.until(|seen| seen.lines().last().is_some_and(|line| line.starts_with("> luat-kv") && line.ends_with('.')))
    };
    for (typed, line) in [
        ("luat-kv na", "namespaces ."),
        ("luat-kv put --m", "put --metadata ."),
        ("luat-kv --json put --m", "put --metadata ."),
        ("luat-kv -n blog li", "-n blog list ."),
        ("luat-kv -n blog list --re", "list --reverse ."),
        ("luat-kv bulk d", "bulk delete ."),
        ("luat-kv bulk put --busy", "bulk put --busy-timeout ."),
        ("luat-kv export --format jsonl", "export --format jsonl ."),
        ("luat-kv completions f", "completions fish ."),
    ] {
        let seen = completed(typed);
        assert!(seen.lines().last().unwrap().ends_with(line), "{typed}: {seen}");
    }
    for (typed, words) in [
        ("luat-kv bulk ", &["get", "put", "delete"][..]),
        ("luat-kv bulk put --", &["--db", "--json"]),
        ("luat-kv --limits ", &["default", "cloudflare"]),
        ("luat-kv put --file ", &["script", "a folder/"]),
    ] {
        let seen = completed(typed);
        assert!(words.iter().all(|word| seen.contains(word)), "{typed}: {seen}");
    }
    // These take paths.
    for typed in ["--db", "migrate --from", "migrate --to", "put -f", "put --file", "watch -r", "watch --resume"] {
        let seen = completed(&format!("luat-kv {typed} scr"));
        assert!(seen.ends_with(&format!("{typed} script .")), "{typed}: {seen}");
    }
    // Also with quotes, variables, and what is a pattern elsewhere.
    for (typed, line) in [
        ("a\\ f", r"a\ folder/."),
        ("\"a folder/i", "\"a folder/in it\" ."),
        ("\"$HERE/scr", "\"$HERE/script\" ."),
        ("xx", r"xx\[y\]z ."),
    ] {
        let seen = completed(&format!("luat-kv put --file {typed}"));
        assert_eq!(seen, format!("> luat-kv put --file {line}"));
    }
    // Neither a namespace nor a key, a number or another text is a path.
    for typed in ["-n", "--namespace", "--busy-timeout", "put --ttl", "list --prefix", "list --start", "watch --since"]
    {
        for word in ["", "scr"] {
            let seen = completed(&format!("luat-kv {typed} {word}"));
            assert_eq!(seen, format!("> luat-kv {typed} {word}."));
        }
    }
}

#[test]
fn each_command_has_a_manual_page() {
    let project = Project::new();
    project.run(&["man", "man/man1"]).ok();
    for command in COMMANDS {
        let name = ["luat-kv"].into_iter().chain(command.split_whitespace()).collect::<Vec<_>>().join("-");
        let page = std::fs::read_to_string(project.path(&format!("man/man1/{name}.1"))).unwrap();
        assert!(page.contains(&name.replace('-', "\\-")), "{name}: {page}");
        let sections: Vec<_> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        let last = sections.iter().position(|section| *section == "\"EXIT STATUS\"").unwrap();
        let expected: &[_] = match command {
            "completions" | "man" => &["EXAMPLES"],
            _ => &["ENVIRONMENT", "EXAMPLES"],
        };
        assert!(sections[..3] == ["NAME", "SYNOPSIS", "DESCRIPTION"] && sections[last + 1..] == *expected, "{page}");
        assert_eq!(page.contains("\n\\fBVISUAL, EDITOR"), ["", "browse"].contains(&command), "{page}");
        let notes =
            page.lines().filter(|line| line.starts_with("  luat")).filter_map(|line| line.trim().split_once("   "));
        notes.for_each(|(_, note)| assert!(note.trim().starts_with('#'), "{note}"));
        let title = format!(".TH {name} 1 \"\" \"luat-kv {}\"", env!("CARGO_PKG_VERSION"));
        assert!(page.contains(&title) && page.contains("LUAT_KV_NAMESPACE"), "{name}: {page}");
        if is_there("mandoc") {
            project.shell(&format!("mandoc -T lint -W error man/man1/{name}.1 >&2")).ok();
        }
    }
    for (name, synopsis) in [
        ("luat-kv", " [-n|--namespace NAME] [--db PATH|URL] [--json] [--limits SET] [--busy-timeout SECONDS] COMMAND"),
        ("luat-kv-put", " [--value TEXT] [-f|--file PATH] [--ttl TIME] "),
        ("luat-kv-put", " [--busy-timeout SECONDS] KEY [VALUE]"),
        ("luat-kv-delete", " [--prefix TEXT] [-y|--yes] "),
        ("luat-kv-delete", " [KEY...]"),
        ("luat-kv-migrate", " --to PATH|URL "),
    ] {
        let page = project.read(&format!("man/man1/{name}.1")).replace('\\', "");
        let line = page.lines().skip_while(|line| *line != ".SH SYNOPSIS").nth(1).unwrap();
        assert!(line.contains(synopsis), "{synopsis}: {line}");
    }
    // An example can be copied as it stands, with the note behind it.
    assert!(project.read("man/man1/luat-kv-put.1").contains("post:1 \\*(AqHello\\*(Aq \\-\\-metadata "));
    project.write("file", "");
    assert!(project.run(&["man", "file"]).fails(3).contains("file: "));
}

#[test]
fn the_examples_of_its_page_run() {
    let project = Project::new();
    let page = include_str!("../../docs/cli.md");
    let block = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    // What writes completions and manual pages.
    let written: String = page.split("## Examples").next().unwrap().split("but writes them:").skip(1).collect();
    let written: Vec<_> = written.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(block.lines().count() > 5 && block.contains("luat-kv put post:1"), "{block}");
    let with = "set -e; export HOME=\"$PWD\"; luat-kv() { \"$K\" \"$@\"; }; jq() { grep -o Hello; };";
    // bash, since the name of a function in sh has no hyphens.
    project.write("examples.sh", format!("{with}\n{block}\n{}", written.join("\n")));
    let out = project.shell("unset LUAT_KV_NAMESPACE; bash examples.sh").ok();
    assert!(out.starts_with("1\nHello\n"), "{out}");
    for file in ["bash-completion/completions/luat-kv", "man/man1/luat-kv-put.1"] {
        assert!(std::fs::metadata(project.path(".local/share").join(file)).unwrap().len() > 0, "{file}");
    }
    assert_eq!(std::fs::read(project.path("copy.bin")).unwrap(), std::fs::read(project.path("some.bin")).unwrap());
}
