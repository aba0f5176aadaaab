//! A container of which there are files alone: its facts, what is mended in it, and what is undone.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::outside::{root, run_in};

/// What tells its life from others: no number of a boot, the start of its first process, its mounts.
const LIFE: &str = " 7 mnt:[1]";
const JOURNAL: &str = "run/dindcheck/journal";
const PIDFILE: &str = "var/run/docker.pid";
/// Nothing else is judged, and nothing else mended.
const ONLY: [&str; 2] = ["--only", "leftovers.pidfile"];

/// A container of Docker's with further files.
fn container(more: &[(&str, &str)]) -> TempDir {
    const CGROUP: &str = "0::/docker/0212499ca66c49cbd874401158703df33f3144f698267f504205e4cc767c0f68\n";
    let files = [
        (".dockerenv", ""),
        ("proc/1/cgroup", CGROUP),
        ("proc/1/stat", "1 (init) S 0 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 7 0 0\n"),
        ("proc/self/cgroup", CGROUP),
        ("proc/self/mountinfo", "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"),
    ];
    let root = root(&[&files, more].concat());
    fs::create_dir(root.path().join("proc/self/ns")).unwrap();
    symlink("mnt:[1]", root.path().join("proc/self/ns/mnt")).unwrap();
    root
}

/// The exit status and what was printed.
fn printed(root: &Path, args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = run_in(root, args);
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

fn status(code: i32, text: &str) -> (Option<i32>, String) {
    (Some(code), text.to_owned())
}

#[test]
fn facts_are_printed_as_json() {
    let output = run_in(container(&[(PIDFILE, "99999")]).path(), &["facts"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let facts: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(facts["outer"]["Ok"]["engine"], "docker");
    assert_eq!(facts["leftovers"]["Ok"]["pidfiles"][0]["pid"], 99999);
}

#[test]
fn a_mend_is_planned_done_and_undone() {
    let root = container(&[(PIDFILE, "99999")]);
    let root = root.path();
    let content = || fs::read_to_string(root.join(PIDFILE)).ok();
    let plan = printed(root, &[&["fix", "--dry-run"], &ONLY[..]].concat());
    assert_eq!(plan, status(0, "# leftovers.pidfile: remove stale pid files\nrm /var/run/docker.pid\n"));
    assert!(content().is_some() && !root.join(JOURNAL).exists(), "a plan changes nothing");
    let fixed = run_in(root, &[&["fix", "--format", "json"], &ONLY[..]].concat());
    assert_eq!(fixed.status.code(), Some(0), "{fixed:?}");
    let report: Value = serde_json::from_slice(&fixed.stdout).unwrap();
    assert_eq!(report["fixes"][0]["result"], "done");
    assert_eq!(report["findings"][0]["outcome"], "pass");
    assert_eq!(content(), None);
    let (code, undone) = printed(root, &["undo"]);
    assert_eq!(code, Some(0), "{undone}");
    assert!(undone.ends_with("> /var/run/docker.pid\n") && undone.lines().count() == 1, "{undone}");
    assert_eq!(content().as_deref(), Some("99999"));
    assert_eq!(printed(root, &["undo"]), status(0, "there is nothing to undo\n"));
}

#[test]
fn a_mend_that_fails_is_the_end_even_of_what_blocks_nothing() {
    let root = container(&[(PIDFILE, "99999"), (JOURNAL, "")]);
    let directory = root.path().join(JOURNAL).parent().unwrap().to_owned();
    // Others could write to the journal.
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    let fixed = run_in(root.path(), &[&["fix", "--format", "json"], &ONLY[..]].concat());
    assert_eq!(fixed.status.code(), Some(3), "{fixed:?}");
    let report: Value = serde_json::from_slice(&fixed.stdout).unwrap();
    let error = report["fixes"][0]["result"]["taken-back"]["error"].as_str().unwrap();
    assert!(error.starts_with("cannot read the journal /run/dindcheck/journal: "), "{error}");
    assert_eq!((&report["findings"][0]["severity"], &report["exit_status"]), (&json!("warning"), &json!(3)));
    assert!(root.path().join(PIDFILE).exists());
}

/// A line of the journal.
fn entry(life: &str, step: Value) -> String {
    format!("{}\n", json!({"life": life, "check": "x.y", "step": step}))
}

fn made(directory: &str) -> String {
    entry(LIFE, json!({"make-directory": {"path": directory}}))
}

#[test]
fn what_is_undone_is_told_line_by_line() {
    let mounted = json!({"mount-filesystem": {"fstype": "tmpfs", "target": "/made", "options": ""}});
    let broken = "not an entry of /run/dindcheck/journal: line 1: ";
    for (journal, code, told) in [
        (made("/made"), 0, vec!["rmdir /made"]),
        (made("/made") + &made("/never-made"), 0, vec!["rmdir /made"]),
        (made("/gone") + &made("/made"), 0, vec!["rmdir /made", "left: rmdir /gone: it is gone"]),
        (made("/gone") + &made("/never-made"), 0, vec!["left: rmdir /gone: it is gone"]),
        ("{\n".to_owned(), 0, vec![broken, "there is nothing to undo"]),
        (made("/full"), 3, vec!["stopped: cannot remove the directory /full: "]),
        (made("/full") + &made("/made"), 3, vec!["rmdir /made", "stopped: cannot remove the directory /full: "]),
        // What went with an earlier life.
        (entry(" 7 mnt:[2]", mounted), 0, vec!["there is nothing to undo"]),
    ] {
        let root = container(&[(JOURNAL, &journal), ("full/file", "")]);
        fs::create_dir(root.path().join("made")).unwrap();
        let (ended, text) = printed(root.path(), &["undo"]);
        assert_eq!(ended, Some(code), "{journal}: {text}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), told.len(), "{journal}: {text}");
        assert!(lines.iter().zip(&told).all(|(line, told)| line.starts_with(told)), "{journal}: {text}");
        assert_eq!(root.path().join("made").exists(), !told.contains(&"rmdir /made"), "{journal}");
    }
    let root = container(&[(JOURNAL, &made("/made"))]);
    fs::create_dir(root.path().join("made")).unwrap();
    let output = run_in(root.path(), &["undo", "--format", "json"]);
    let undone: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), undone), (Some(0), json!({"done": ["rmdir /made"], "failed": null})));
}

#[test]
fn nothing_is_undone_under_a_daemon_that_runs() {
    let root = container(&[(JOURNAL, &made("/made")), ("proc/9/comm", "dockerd\n")]);
    fs::create_dir(root.path().join("made")).unwrap();
    let (code, text) = printed(root.path(), &["undo"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("dockerd runs (process 9)"), "{text}");
    assert!(root.path().join("made").exists());
}
