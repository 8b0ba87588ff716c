//! How browse ends, stops, and refuses to begin.

use std::fs;

use crate::browse::{editor, project};
use crate::tty::Tty;

#[test]
fn every_way_out_restores_the_terminal() {
    let project = project();
    for (keys, signal, status) in [
        ("q", 0, 0),
        ("\u{3}", 0, 0),
        ("", libc::SIGTERM, 143),
        ("", libc::SIGINT, 130),
        ("", libc::SIGQUIT, 131),
        ("", libc::SIGHUP, 129),
    ] {
        let mut tty = Tty::start(&project, (80, 24), "ulimit -c 0; $RUN browse; echo ended $?");
        tty.shows("Hello");
        tty.see(|screen| assert!(screen.alternate_screen() && screen.hide_cursor() && screen.bracketed_paste()));
        tty.keys(keys);
        if signal != 0 {
            tty.signal(signal);
        }
        tty.ended(status);
        for file in ["pid", "after"] {
            fs::remove_file(project.path(file)).unwrap();
        }
    }
}

#[test]
fn a_signal_in_an_editor_ends_both_and_keeps_the_text() {
    let project = project();
    let script = "shift; echo mine >$1; echo $1 >path; trap 'touch told; exit 0' TERM; touch edits; while :; do sleep 0.05; done";
    let mut tty = Tty::start(&project, (80, 24), &editor(&project, script));
    tty.shows("Hello");
    tty.keys("e");
    tty.file("edits");
    tty.signal(libc::SIGTERM);
    tty.ended(143);
    tty.file("told");
    let path = project.read("path").trim().to_owned();
    assert!(tty.contents().replace('\n', "").contains(&path));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    fs::remove_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
}

#[test]
fn an_editor_that_is_not_found_loses_no_text() {
    let project = project();
    for line in ["EDITOR=none-such", "EDITOR=vi VISUAL='none-such -w'", "EDITOR='\"/a/long/path/of/an/editor\"'"] {
        let mut tty = Tty::start(&project, (80, 24), &format!("{line} $RUN browse; echo ended $?"));
        tty.shows("Hello");
        tty.keys("e");
        tty.shows("nothing was stored: the editor was not found: set VISUAL or EDITOR (tried: ");
        tty.keys("q");
        tty.ended(0);
        project.shell("rm pid after").ok();
    }
    let line =
        editor(&project, "shift; $K delete post:1; echo mine >$1; rm editor").replace("EDITOR", "TMPDIR=texts EDITOR");
    project.shell("mkdir texts").ok();
    let mut tty = Tty::start(&project, (80, 24), &line);
    tty.shows("Hello");
    tty.keys("e");
    tty.shows("was removed, or has expired");
    tty.keys("e");
    tty.until(|seen| seen.contains("not found: set") && seen.contains("k  keep your text in a file"));
    tty.keys("k");
    tty.shows("kept in /");
    assert_eq!(project.shell("cat texts/*/*").ok(), "mine");
}

#[test]
fn an_editor_that_was_there_is_found() {
    let project = project();
    let mut tty = Tty::start(&project, (80, 24), &editor(&project, "shift; echo mine >$1; exit 127"));
    tty.shows("Hello");
    tty.keys("e");
    tty.until(|seen| seen.contains("failed (exit status: 127)") && seen.contains("k  keep your text in a file"));
}

#[test]
fn a_text_that_cannot_be_kept_stays_in_the_view() {
    let project = project();
    let line = editor(&project, "shift; $K delete post:1; echo mine >$1").replace("EDITOR", "TMPDIR=texts EDITOR");
    project.shell("mkdir texts").ok();
    let mut tty = Tty::start(&project, (80, 24), &line);
    tty.shows("Hello");
    tty.keys("e");
    tty.shows("was removed, or has expired");
    project.shell("rm -r texts; touch texts").ok();
    for (key, why) in
        [("k", "cannot be kept in a file"), ("e", "a temporary file: "), ("\u{3}", "cannot be kept in a file")]
    {
        tty.keys(key);
        tty.shows(why);
    }
    project.shell("rm texts; mkdir texts").ok();
    tty.keys("k");
    tty.shows("kept in /");
    assert_eq!(project.shell("cat texts/*/*").ok(), "mine");
    tty.keys("qq");
    tty.ended(0);
}

#[test]
fn what_an_editor_saves_at_a_signal_stays() {
    let project = project();
    // As vi does, which then fails.
    let script =
        "shift; trap 'echo typed >$1.save; exit 1' TERM; echo $$ >editing; touch edits; while :; do sleep 0.05; done";
    for is_ended in [true, false] {
        let line = editor(&project, script).replace("EDITOR", "TMPDIR=texts EDITOR");
        project.shell("mkdir texts").ok();
        let mut tty = Tty::start(&project, (80, 24), &line);
        tty.shows("Hello");
        tty.keys("e");
        tty.file("edits");
        if is_ended {
            tty.signal(libc::SIGTERM);
            tty.ended(143);
        } else {
            project.shell("kill $(cat editing)").ok();
            tty.shows("Nothing was stored");
            tty.keys("qq");
            tty.ended(0);
        }
        let printed = tty.contents().replace('\n', "");
        assert!(printed.contains("what it left is in /") && printed.contains("texts/luat-kv-"), "{printed}");
        assert_eq!(project.shell("cat texts/*/*.save; rm -r texts edits editing pid after").ok(), "typed\n");
    }
    assert_eq!(project.run(&["get", "post:1"]).ok(), "Hello");
}

#[test]
fn an_editor_that_is_killed_leaves_no_modes_of_its_own() {
    let project = project();
    let mut tty = Tty::start(&project, (80, 24), &editor(&project, "stty raw -echo; kill -KILL $$"));
    tty.shows("Hello");
    tty.keys("e");
    tty.shows("nothing was stored: the editor");
    tty.keys("q");
    tty.ended(0);
}

#[test]
fn the_end_of_the_terminal_is_the_end_of_the_view() {
    let project = project();
    for prepare in ["", "trap '' HUP; "] {
        let mut tty = Tty::start(&project, (80, 24), &format!("{prepare}$RUN browse"));
        tty.shows("Hello");
        let process = format!("/proc/{}", tty.process());
        assert!(fs::exists(&process).unwrap());
        tty.hang_up();
        tty.until(|_| !fs::exists(&process).unwrap());
        fs::remove_file(project.path("pid")).unwrap();
    }
}

#[test]
fn a_terminal_that_nobody_reads_does_not_hold_up_the_end() {
    let project = project();
    let mut tty = Tty::browse(&project, "blog");
    tty.shows("Hello");
    let process = format!("/proc/{}", tty.process());
    tty.block();
    tty.signal(libc::SIGTERM);
    tty.until(|_| !fs::exists(&process).unwrap());
}

#[test]
fn it_can_be_stopped_and_continued() {
    let project = project();
    let line = "set -m; $RUN browse; stty -g >during; echo stopped; read line; fg; echo ended $?";
    let mut tty = Tty::start(&project, (80, 24), line);
    tty.shows("Hello");
    tty.keys("\u{1a}");
    tty.shows("stopped");
    assert_eq!(project.read("before"), project.read("during"));
    tty.see(|screen| assert!(!screen.alternate_screen() && !screen.hide_cursor()));
    project.run(&["put", "post:1", "meanwhile"]).ok();
    tty.keys("\n");
    tty.until(|seen| seen.contains("meanwhile") && seen.contains("> post:1"));
    tty.see(|screen| assert!(screen.alternate_screen() && screen.hide_cursor()));
    tty.keys("q");
    tty.ended(0);
}

#[test]
fn it_needs_a_terminal_and_a_store() {
    let project = project();
    for line in ["$K browse", "$K browse blog | cat; exit 2"] {
        let why = project.shell(line).err;
        assert!(why.contains("browse needs a terminal") && why.contains("list, get and watch"), "{why}");
        assert_eq!(project.shell(line).status, Some(2));
    }
    for (line, status, words) in [
        ("TERM=dumb $K browse", 2, "TERM is dumb"),
        ("$K browse </dev/null", 2, "browse needs a terminal"),
        ("$K browse >/dev/null", 2, "browse needs a terminal"),
        ("$K browse --json", 2, "prints no JSON"),
        ("$K browse ''", 2, "the namespace is empty"),
        ("$K --db none.db browse", 3, "there is no store"),
    ] {
        let seen = project.terminal(line);
        assert!(seen.status == Some(status) && seen.out.contains(words), "{line}: {seen:?}");
        assert!(!seen.out.contains("\u{1b}[?1049h"), "{line}: {seen:?}");
    }
    assert!(!project.path("none.db").exists());
}
