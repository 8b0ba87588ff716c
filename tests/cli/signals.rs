//! What a signal leaves behind of a backup and an export.

use std::fs;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::{BIN, Project};

fn drafts(project: &Project) -> usize {
    let names = fs::read_dir(project.path(".")).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with(".luat_kv.")).count()
}

/// Lets this process run only while the system has nothing else to do, so that a busy system delays it and not the
/// test that watches it. Signals have their default actions, even if the tests were started with `nohup`.
fn prepare() -> io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the default action is none of this program's functions.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    #[cfg(target_os = "linux")]
    {
        let none = libc::sched_param { sched_priority: 0 };
        // SAFETY: it reads the struct.
        if unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &none) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Runs a command that makes a file, and sends it a signal as soon as it has begun. Returns how it ended.
fn interrupt(project: &Project, args: &[&str], signal: i32) -> ExitStatus {
    let mut command = project.command(BIN);
    command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: it makes system calls and allocates nothing.
    let mut child = unsafe { command.pre_exec(prepare) }.spawn().unwrap();
    while drafts(project) == 0 && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_micros(200));
    }
    // SAFETY: the child was not waited for yet, or is a zombie, so its number is still its own.
    unsafe { libc::kill(child.id() as i32, signal) };
    child.wait().unwrap()
}

/// The same, repeated until the signal arrives before the command is done.
fn interrupt_at_work(project: &Project, args: &[&str], signal: i32) {
    for _ in 0..50 {
        let ended = interrupt(project, args, signal);
        if !project.path(args[1]).exists() {
            assert_eq!(ended.signal(), Some(signal), "{ended:?}");
            return;
        }
        assert_eq!(drafts(project), 0);
        fs::remove_file(project.path(args[1])).unwrap();
    }
    panic!("{args:?} was always done before signal {signal} came");
}

/// A project whose backup and export take some time.
fn large() -> Project {
    let project = Project::new();
    for key in ["a", "b", "c"] {
        project.feed(vec![b'x'; 20_000_000], &["put", key]).ok();
    }
    project
}

#[test]
fn a_signal_leaves_neither_a_draft_nor_a_target() {
    let project = large();
    for args in [["backup", "copy.db"], ["export", "copy.json"]] {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            interrupt_at_work(&project, &args, signal);
            assert_eq!(drafts(&project), 0, "{args:?} {signal}");
        }
    }
}

#[test]
fn a_shell_sees_the_usual_status() {
    let project = large();
    let line = "for try in 1 2 3 4 5 6 7 8 9 10; do
        chrt -i 0 $K backup copy.db >/dev/null & tool=$!
        until ls .luat_kv.* >/dev/null 2>&1 || ! kill -0 $tool 2>/dev/null; do :; done
        kill -TERM $tool; wait $tool; status=$?
        if [ $status != 0 ]; then echo $status; exit; fi
        rm -f copy.db
    done";
    assert_eq!(project.shell(line).out, "143\n");
}

#[test]
fn what_a_kill_leaves_goes_with_the_next_backup_or_export() {
    let project = large();
    for next in [["backup", "next.db"], ["export", "next.json"]] {
        interrupt_at_work(&project, &["backup", "copy.db"], libc::SIGKILL);
        assert!(drafts(&project) > 0);
        project.run(&next).ok();
        assert_eq!(drafts(&project), 0);
    }
}
