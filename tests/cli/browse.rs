//! browse, as it is seen and used on a terminal.

use std::fs;

use crate::support::Project;
use crate::tty::Tty;

const ESC: &str = "\u{1b}";
const DOWN: &str = "\u{1b}[B";

pub fn project() -> Project {
    let project = Project::new();
    project.run(&["put", "post:1", "Hello", "--ttl", "865800", "--metadata", "{\"author\":\"alice\"}"]).ok();
    project.run(&["put", "post:2", "{\"title\":\"Zwei\",\"n\":1.50}"]).ok();
    project.run(&["put", "user:1", "x"]).ok();
    project.run(&["-n", "other", "put", "a", "1"]).ok();
    project
}

#[test]
fn the_first_screen_has_the_keys_and_a_value() {
    let project = project();
    let tty = Tty::browse(&project, "blog");
    let seen = tty.until(|seen| seen.contains("Hello") && seen.contains("3 keys"));
    let lines: Vec<_> = seen.lines().collect();
    assert!(lines[0].starts_with(" luat-kv  /") && lines[0].ends_with("kv.db"), "{seen}");
    assert!(lines[1].starts_with(" namespace blog ") && lines[1].ends_with(" 3 keys"), "{seen}");
    assert_eq!(lines[3], "  KEY                   EXPIRES │ post:1", "{seen}");
    assert!(lines[4].starts_with("> post:1                10d 00h │ 5 bytes, text, expires in 10d 00h"), "{seen}");
    assert!(lines[5].starts_with("  post:2                        │ version   "), "{seen}");
    assert_eq!(lines[6], "  user:1                        │ metadata  {\"author\":\"alice\"}", "{seen}");
    assert_eq!(lines[8].trim_start_matches([' ', '│']), "Hello");
    assert!(lines[23].starts_with(" ↑↓ move  / filter ") && lines[23].ends_with("q quit"), "{seen}");
}

#[test]
fn a_large_terminal_is_used_and_a_small_one_says_so() {
    let project = project();
    project.run(&["put", "long", &"x".repeat(180)]).ok();
    let mut tty = Tty::start(&project, (200, 60), "$RUN browse blog; echo ended $?");
    let seen = tty.shows(&"x".repeat(118));
    assert!(seen.lines().nth(59).unwrap().contains("q quit"), "{seen}");
    assert!(seen.lines().nth(3).unwrap().find('│').unwrap() == 80, "{seen}");
    tty.resize(80, 24);
    let seen = tty.until(|seen| seen.lines().nth(23).is_some_and(|line| line.contains("q quit")));
    assert!(seen.contains("> long") && !seen.contains(&"x".repeat(47)), "{seen}");
    for (columns, rows) in [(79, 24), (80, 23), (10, 3), (1, 1)] {
        tty.resize(columns, rows);
        if columns > 10 {
            tty.shows(&format!("the terminal has {columns} × {rows}"));
        }
    }
    // What cannot be seen cannot be removed.
    tty.keys("dyv");
    tty.resize(100, 30);
    tty.until(|seen| seen.contains("> long") && seen.lines().nth(29).is_some_and(|line| line.contains("q quit")));
    tty.resize(40, 10);
    tty.shows("Make it larger");
    tty.keys("q");
    tty.ended(0);
    project.run(&["has", "long"]).ok();
}

#[test]
fn a_key_that_comes_with_a_resize_is_not_lost() {
    let project = Project::new();
    let entries: String = (0..30).map(|n| format!("{{\"key\":\"k{n:02}\",\"value\":\"\"}}\n")).collect();
    project.feed(entries, &["bulk", "put"]).ok();
    let mut tty = Tty::browse(&project, "");
    tty.shows("> k00");
    for n in 1..30 {
        let columns = 80 + n % 2;
        tty.resize(columns, 24);
        tty.until(|seen| seen.lines().nth(2).is_some_and(|rule| rule.chars().count() == usize::from(columns)));
        tty.keys(DOWN);
        tty.shows(&format!("> k{n:02}"));
    }
}

#[test]
fn keys_are_filtered_while_one_types() {
    let project = project();
    let mut tty = Tty::browse(&project, "");
    tty.shows("3 keys");
    tty.keys("/po");
    let seen = tty.until(|seen| seen.contains("2 keys") && seen.contains("prefix: po"));
    assert!(seen.contains("> post:1") && !seen.contains("user:1"), "{seen}");
    tty.keys("st:2");
    tty.until(|seen| seen.contains(" 1 key") && seen.contains("> post:2") && seen.contains("\"n\": 1.50"));
    tty.keys("é");
    tty.shows("no such keys");
    tty.keys("\u{7f}\r");
    tty.until(|seen| seen.contains("> post:2") && seen.contains("/ filter"));
    tty.keys(ESC);
    tty.until(|seen| seen.contains("3 keys") && !seen.contains("prefix"));
    // A paste is no command, and is taken while one types.
    tty.keys("\u{1b}[200~dy\u{1b}[201~/\u{1b}[200~user:\n\u{1b}[201~");
    tty.until(|seen| seen.contains("prefix: user:") && seen.contains(" 1 key"));
    project.run(&["has", "post:1"]).ok();
}

#[test]
fn namespaces_are_opened_and_left() {
    let project = project();
    let mut tty = Tty::start(&project, (80, 24), "env -u LUAT_KV_NAMESPACE $RUN browse; echo ended $?");
    tty.until(|seen| seen.contains("> blog") && seen.contains("  other"));
    project.run(&["-n", "new", "put", "a", "1"]).ok();
    tty.shows("  new");
    tty.keys(&format!("{DOWN}{DOWN}"));
    tty.shows("> other");
    tty.keys("\r");
    tty.until(|seen| seen.contains("namespace other") && seen.contains("> a") && seen.contains("1 byte, text"));
    tty.keys(ESC);
    tty.until(|seen| seen.contains("> other") && seen.contains("NAMESPACE"));
    tty.keys("?");
    tty.shows("$VISUAL, $EDITOR or vi");
    tty.keys("?q");
    tty.ended(0);
}

#[test]
fn left_and_escape_go_one_step_back() {
    let project = project();
    for back in [ESC, "\u{1b}[D"] {
        let mut tty = Tty::browse(&project, "");
        tty.shows("3 keys");
        tty.keys("/post:\r\t");
        tty.until(|seen| seen.contains("prefix: post:") && seen.contains("← keys"));
        tty.keys(back);
        tty.until(|seen| seen.contains("prefix: post:") && seen.contains("← back"));
        tty.keys(back);
        tty.until(|seen| seen.contains("3 keys") && seen.contains("namespace blog") && !seen.contains("prefix"));
        tty.keys(back);
        tty.until(|seen| seen.contains("> blog") && seen.contains("NAMESPACE"));
    }
}

#[test]
fn what_others_change_appears_by_itself() {
    let project = project();
    let tty = Tty::browse(&project, "");
    tty.shows("Hello");
    project.run(&["put", "post:0", "before"]).ok();
    // What was selected stays so.
    tty.until(|seen| seen.contains("  post:0") && seen.contains("> post:1"));
    project.run(&["put", "post:1", "Bye"]).ok();
    tty.until(|seen| seen.contains("Bye") && seen.contains("3 bytes, text"));
    project.run(&["delete", "post:1"]).ok();
    tty.until(|seen| !seen.contains("post:1") && seen.contains("> post:2") && seen.contains("\"Zwei\""));
    project.run(&["clear", "--yes"]).ok();
    tty.until(|seen| seen.contains("no keys") && !seen.contains("Zwei"));
}

#[test]
fn expirations_come_nearer_and_expired_keys_vanish() {
    let project = project();
    project.run(&["put", "a", "soon", "--ttl", "4"]).ok();
    let tty = Tty::browse(&project, "");
    tty.shows("> a ");
    let (mut first, mut nearer) = (None, false);
    tty.until(|seen| {
        let line = seen.lines().find(|line| line.starts_with("> a "));
        let left = line.and_then(|line| line.split_whitespace().nth(2)?.strip_suffix('s')?.parse::<u32>().ok());
        if let Some(left) = left {
            nearer |= left < *first.get_or_insert(left);
        }
        seen.contains("> post:1") && seen.contains("Hello")
    });
    assert!(nearer, "the last of it was seen at {first:?} s");
    assert!(!tty.contents().contains(" a "));
}

/// An editor that runs a shell script on the file `$1`.
pub fn editor(project: &Project, script: &str) -> String {
    project.write("editor", format!("#!/bin/sh\n{script}\n"));
    project.shell("chmod +x editor").ok();
    // A command with an argument, as `code --wait` is.
    format!("EDITOR='{} --wait' $RUN browse; echo ended $?", project.path("editor").display())
}

#[test]
fn a_value_is_edited_and_keeps_the_rest() {
    let project = project();
    let before = project.run(&["get", "post:1", "--json"]).json();
    let script = "echo $1 >args; shift; stty -g >during; stat -c %a $1 $(dirname $1) >modes; echo $1 >path
        cat $1 >old; echo 'Bye bye' >$1.new; mv $1.new $1";
    let mut tty = Tty::start(&project, (80, 24), &editor(&project, script));
    tty.shows("Hello");
    tty.keys("e");
    tty.until(|seen| seen.contains("stored: \"post:1\"") && seen.contains("Bye bye"));
    let after = project.run(&["get", "post:1", "--json"]).json();
    // The value had no line break at its end.
    assert_eq!(after[0]["value"], "Bye bye");
    assert!(after[0]["expiration"] == before[0]["expiration"] && after[0]["metadata"] == before[0]["metadata"]);
    assert_eq!(
        (&*project.read("old"), &*project.read("modes"), &*project.read("args")),
        ("Hello", "600\n700\n", "--wait\n")
    );
    assert_eq!(project.read("before"), project.read("during"));
    assert!(!fs::exists(project.read("path").trim()).unwrap());
    tty.keys("q");
    tty.ended(0);
}

#[test]
fn an_editor_may_end_a_text_with_a_line_break_of_its_own() {
    let project = project();
    for (old, added, new) in [
        ("a\r\nb", "\\r\\n", None),
        ("a\nb", "\\n", None),
        ("a\r", "\\n", None),
        ("a\r\nb", "c\\r\\n", Some("a\r\nbc")),
        ("a\r\n", "b\\r\\n", Some("a\r\nb\r\n")),
    ] {
        project.feed(old, &["put", "a"]).ok();
        let mut tty = Tty::start(&project, (80, 24), &editor(&project, &format!("shift; printf '{added}' >>$1")));
        tty.shows("> a ");
        tty.keys("e");
        tty.shows(if new.is_some() { "stored: \"a\"" } else { "the text has not changed" });
        assert_eq!(project.run(&["get", "a"]).ok(), new.unwrap_or(old));
    }
}

#[test]
fn an_editor_that_fails_or_changes_nothing_stores_nothing() {
    let project = project();
    for (script, words) in [
        ("true", "the text has not changed"),
        ("shift; echo x >$1; exit 3", "nothing was stored: the editor"),
        ("shift; rm $1", "nothing was stored: reading what was edited"),
        ("kill -KILL $$", "nothing was stored: the editor"),
    ] {
        let mut tty = Tty::start(&project, (80, 24), &editor(&project, script));
        tty.shows("Hello");
        tty.keys("e");
        tty.shows(words);
        tty.keys("q");
        tty.ended(0);
        assert_eq!(project.run(&["get", "post:1"]).ok(), "Hello");
    }
}

#[test]
fn the_change_of_another_writer_is_not_overwritten() {
    let project = project();
    let script = "shift; $K put post:1 theirs --metadata '\"new\"'; echo mine >$1";
    let mut tty = Tty::start(&project, (80, 24), &editor(&project, script));
    tty.shows("Hello");
    tty.keys("e");
    tty.until(|seen| seen.contains("Another program has stored") && seen.contains("theirs"));
    assert_eq!(project.run(&["get", "post:1"]).ok(), "theirs");
    tty.keys("d");
    tty.shows("the text was discarded");
    assert_eq!(project.run(&["get", "post:1"]).ok(), "theirs");
    tty.keys("e");
    tty.shows("Another program has stored");
    // Ctrl-D and Alt-D are no d.
    tty.keys("\u{4}\u{1b}do");
    tty.shows(" stored: \"post:1\"");
    let entry = project.run(&["get", "post:1", "--json"]).json();
    assert_eq!((&entry[0]["value"], &entry[0]["metadata"]), (&"mine".into(), &"new".into()));
    tty.keys("q");
    tty.ended(0);
}

#[test]
fn an_edited_text_outlives_its_key_and_the_view() {
    let project = project();
    let mut tty = Tty::start(&project, (80, 24), &editor(&project, "shift; $K delete post:1; echo mine >$1"));
    tty.shows("Hello");
    tty.keys("e");
    tty.shows("was removed, or has expired");
    tty.keys("k");
    tty.shows("kept in /");
    tty.keys("qq");
    tty.ended(0);
    // The end says it again.
    let printed = tty.contents().replace('\n', "");
    let path = printed.split("kept in ").nth(1).unwrap().split(':').next().unwrap().to_owned();
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    fs::remove_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();

    project.run(&["put", "post:1", "Hello", "--metadata", "[1]"]).ok();
    let mut tty = Tty::start(&project, (80, 24), &editor(&project, "shift; $K delete post:1; echo mine >$1"));
    tty.shows("Hello");
    tty.keys("e");
    tty.shows("was removed, or has expired");
    // The way out keeps it too.
    tty.keys("\u{3}");
    tty.ended(3);
    let printed = tty.contents().replace('\n', "");
    let path = printed.split("kept in ").nth(1).unwrap().split(':').next().unwrap().to_owned();
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    fs::remove_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
}

#[test]
fn a_store_in_use_is_tried_again() {
    let project = project();
    let script = "shift; echo mine >$1; touch edits; until [ -e go ]; do sleep 0.01; done";
    let line = editor(&project, script).replace("browse", "--busy-timeout 0 browse");
    let mut tty = Tty::start(&project, (80, 24), &line);
    tty.shows("Hello");
    tty.keys("e");
    tty.file("edits");
    let other = rusqlite::Connection::open(project.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    project.write("go", "");
    tty.until(|seen| seen.contains("Not stored") && seen.contains("BUSY"));
    other.execute_batch("ROLLBACK").unwrap();
    tty.shows(" stored: \"post:1\"");
    assert_eq!(project.run(&["get", "post:1"]).ok(), "mine");
}

#[test]
fn an_end_while_a_text_is_stored_keeps_it() {
    let project = project();
    let line = editor(&project, "shift; echo mine >$1; touch edits; until [ -e go ]; do sleep 0.01; done");
    let mut tty = Tty::start(&project, (80, 24), &line.replace("browse", "--busy-timeout 1000 browse"));
    tty.shows("Hello");
    tty.keys("e");
    tty.file("edits");
    let other = rusqlite::Connection::open(project.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    project.write("go", "");
    tty.shows("Storing \"post:1\"");
    tty.keys("q\u{3}");
    tty.ended(3);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(project.run(&["get", "post:1"]).ok(), "Hello");
    let printed = tty.contents().replace('\n', "");
    let path = printed.split("kept in ").nth(1).unwrap().split(':').next().unwrap().to_owned();
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    fs::remove_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
}

#[test]
fn a_store_that_is_away_is_read_again_when_it_is_back() {
    let project = project();
    let mut tty = Tty::browse(&project, "");
    tty.shows("Hello");
    project.shell("mv .luat away").ok();
    tty.keys("/p");
    tty.until(|seen| seen.contains("! trying again: ") && seen.contains("No such file"));
    project.shell("mv away .luat").ok();
    project.run(&["put", "post:0", "back"]).ok();
    tty.until(|seen| seen.contains(" post:0") && !seen.contains("trying again"));
}

#[test]
fn a_key_is_removed_after_a_question() {
    let project = project();
    let mut tty = Tty::browse(&project, "");
    tty.shows("Hello");
    tty.keys("d");
    tty.shows("Remove \"post:1\"?");
    tty.keys("n");
    tty.until(|seen| seen.contains("nothing was removed") && !seen.contains("Remove \""));
    project.run(&["has", "post:1"]).ok();
    tty.keys("d");
    tty.shows("Remove \"post:1\"?");
    // It is removed only as it was seen.
    project.run(&["put", "post:1", "newer"]).ok();
    tty.keys("y");
    tty.shows("not removed, since it has changed meanwhile");
    tty.shows("newer");
    tty.keys("d");
    tty.shows("Remove \"post:1\"?");
    tty.keys("y");
    tty.until(|seen| seen.contains("removed: \"post:1\"") && !seen.contains("  post:1") && seen.contains("> post:2"));
    assert_eq!(project.run(&["has", "post:1"]).status, Some(1));
}

#[test]
fn a_store_that_cannot_be_written_says_why() {
    let project = project();
    project.shell("rm -f .luat/data/kv.db-*; chmod 444 .luat/data/kv.db").ok();
    // Root may do everything, unless it drops that right.
    let drop = "[ $(id -u) != 0 ] || drop='setpriv --inh-caps=-all --bounding-set=-all'; $drop";
    let mut tty = Tty::start(&project, (80, 24), &format!("{drop} $RUN browse; echo ended $?"));
    tty.shows("Hello");
    tty.keys("e");
    tty.shows("it cannot be edited: READONLY");
    tty.keys("d");
    tty.shows("it cannot be removed: READONLY");
    tty.keys("q");
    tty.ended(0);
}

#[test]
fn bytes_are_shown_as_hex_and_long_values_by_their_beginning() {
    let project = project();
    project.feed(b"\0\x01ABC\xff\x1b[31m", &["put", "a"]).ok();
    let mut tty = Tty::browse(&project, "");
    tty.shows("00000000  00 01 41 42 43 ff 1b 5b  ..ABC..[");
    tty.keys("e");
    tty.shows("not UTF-8: an editor could damage it");
    tty.keys("v");
    tty.shows("\\u{0}\\u{1}ABC\\xff\\u{1b}[31m");
    tty.keys("vvv");
    tty.shows("00000000  00");
    project.shell("{ printf begin; head -c 100000000 /dev/zero | tr '\\0' x; } | $K put a").ok();
    tty.until(|seen| seen.contains("beginxxxxx") && seen.contains("95.37 MiB, text"));
    tty.keys("\tG");
    tty.shows("… 99737861 bytes more");
}

#[test]
fn no_key_and_no_value_takes_over_the_terminal() {
    let project = Project::new();
    let harm = "\u{1b}]52;c;eA==\u{7}\u{1b}[2J\u{9b}31m\u{202e}\u{8}\r\n\tend";
    let entry = serde_json::json!({ "key": format!("a{harm}"), "value": harm, "metadata": { harm: harm } });
    project.feed(entry.to_string(), &["bulk", "put"]).ok();
    project.run(&["-n", &format!("n{harm}"), "put", "b", "1"]).ok();
    for text in ["漢字漢字", "e\u{301}e\u{301}", "👩‍👩‍👧"] {
        project.run(&["put", text, text]).ok();
    }
    let mut tty = Tty::browse(&project, "");
    tty.shows("\\u{1b}]52;c;eA==\\u{7}\\u{1b}[2J\\u{9b}31m\\u{20");
    tty.keys(&format!("{DOWN}{DOWN}v"));
    tty.until(|seen| seen.contains("> 漢字漢字") && seen.matches("漢字漢字").count() == 3);
    tty.keys("gd");
    tty.shows("Remove \"a\\u{1b}");
    tty.keys("n");
    tty.shows("nothing was removed");
    tty.keys(ESC);
    tty.shows("  n\\u{1b}]52");
    tty.keys("q");
    tty.ended(0);
    let printed = tty.printed();
    let printed = str::from_utf8(&printed).unwrap();
    for part in ["\u{1b}]", "\u{7}", "\u{9b}", "\u{202e}", "\u{8}", "\t"] {
        assert!(!printed.contains(part), "{part:?} in {printed:?}");
    }
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let project = project();
    project.run(&["put", "a", "soon", "--ttl", "59"]).ok();
    for (setting, has_colours) in [("NO_COLOR=1", false), ("A=1", true)] {
        let tty = Tty::start(&project, (80, 24), &format!("{setting} $RUN browse; echo ended $?"));
        tty.shows("soon");
        // Without them the selection has a mark, and is reversed.
        tty.see(|screen| {
            let cells = (0..24).flat_map(|row| (0..80).filter_map(move |column| screen.cell(row, column)));
            let is_coloured = |cell: &vt100::Cell| [cell.fgcolor(), cell.bgcolor()] != [vt100::Color::Default; 2];
            assert_eq!(cells.into_iter().any(is_coloured), has_colours, "{setting}");
            assert!(screen.cell(4, 2).unwrap().inverse() && screen.contents().contains("> a"), "{setting}");
        });
    }
}
