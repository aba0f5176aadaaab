//! The gate, over real images through the real outer engine: what is fit passes, each broken one is refused for what it
//! is broken in, and nothing is left, whatever happens to the gate.

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::for_each_inner;
use crate::lab::{address, address_of, docker, text};

fn command(image: &str, args: &[&str]) -> Command {
    let mut command = Command::new(crate::binary::path());
    command.args(["gate", "--format", "json", image]).args(args).env("DOCKER_HOST", address());
    command
}

/// Runs the gate; gives its report and its exit status.
fn gate(image: &str, args: &[&str]) -> (Value, i32) {
    judged(&mut command(image, args))
}

fn judged(command: &mut Command) -> (Value, i32) {
    let Output { status, stdout, stderr } = command.output().expect("dindcheck can be run");
    let report = serde_json::from_slice(&stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&stderr)));
    (report, status.code().expect("a status"))
}

/// A file with a matrix.
fn matrix(cells: &str) -> (tempfile::NamedTempFile, String) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(cells.as_bytes()).expect("written");
    let path = file.path().to_str().expect("UTF-8").to_owned();
    (file, path)
}

/// The ids of what blocks, of the image itself and in the cells.
fn blocking(report: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let cells = list(&report["cells"]).into_iter().flat_map(|cell| list(&cell["items"]));
    let items = list(&report["findings"]).into_iter().chain(cells);
    let blocking = items.filter(|item| item["outcome"] == "fail" && item["severity"] == "blocking");
    blocking.map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}

/// What a gate process has in the outer engine: containers, volumes, networks. Their names tell whose they are.
fn made_by(pid: u32) -> Vec<String> {
    let kinds = [
        ["ps", "-a", "--format={{.Names}}"].as_slice(),
        &["volume", "ls", "--format={{.Name}}"],
        &["network", "ls", "--format={{.Name}}"],
    ];
    let names = kinds.into_iter().map(docker).collect::<String>();
    let own = format!("-{pid}-");
    names.lines().filter(|name| name.starts_with("dindcheck-gate-") && name.contains(&own)).map(str::to_owned).collect()
}

#[test]
fn a_cell_without_privileges_is_one_annotation_with_all_that_follows() {
    let (_file, path) = matrix("[{name: bare, privileged: false}]");
    let output = Command::new(crate::binary::path())
        .args(["gate", "dindcheck-lab:28.5.2", "--format", "github", "--matrix", &path])
        .env("DOCKER_HOST", address())
        .env_remove("GITHUB_STEP_SUMMARY")
        .output()
        .expect("dindcheck can be run");
    let annotations = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{annotations}{}", text(&output.stderr));
    let of_cell: Vec<&str> = annotations.lines().filter(|line| line.contains(" (bare)::")).collect();
    let root = of_cell.iter().find(|line| line.starts_with("::error title=not-privileged (bare)::")).expect("the root");
    assert!(root.contains("because of it: privileges.capabilities: "), "{root}");
    assert!(root.contains(" cannot be told because of it: "), "{root}");
    assert!(of_cell.iter().filter(|line| line.starts_with("::error ")).count() <= 2, "{annotations}");
    assert!(of_cell.len() < 10, "{annotations}");
}

/// An image that is made from one of the lab's, and removed at the end.
struct Made(String);

impl Made {
    fn new(script: &str, changes: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("dindcheck-made-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        docker(&["run", "--name", &name, "dindcheck-lab:28.5.2", "sh", "-ec", script]);
        let changes: Vec<String> = changes.iter().map(|change| format!("--change={change}")).collect();
        let words: Vec<&str> = changes.iter().map(String::as_str).collect();
        docker(&[&["commit"], words.as_slice(), &[name.as_str(), name.as_str()]].concat());
        docker(&["rm", &name]);
        Self(name)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        crate::lab::lab(&["docker", "--", "rmi", "-f", &self.0]);
    }
}

for_each_inner!(a_fit_image_passes);
fn a_fit_image_passes(inner: &str) {
    let (_file, path) = matrix("[{name: private, cgroup-namespace: private}]");
    let (report, status) = gate(&format!("dindcheck-lab:{inner}"), &["--matrix", &path]);
    assert_eq!((blocking(&report), status), (vec![], 0), "{report:#}");
    // What the files say and what the running engine says is one thing.
    let said = report["inner"]["version"].as_str().expect("a version").to_owned();
    let inside = report["cells"][0]["report"]["inner"]["version"].as_str().expect("a version").to_owned();
    assert!(said.starts_with(&inside), "{said} and {inside}");
    let items = report["cells"][0]["items"].as_array().expect("items");
    assert!(items.iter().any(|item| item["id"] == "verification.run" && item["outcome"] == "pass"), "{report:#}");
}

#[test]
fn fit_images_pass_under_an_older_engine_too() {
    let outer = address_of("26.1.5");
    let (_file, path) = matrix("[{name: private, cgroup-namespace: private}]");
    for inner in ["20.10.5", "20.10.24", "26.1.5", "28.5.2"] {
        let mut command = command(&format!("dindcheck-lab:{inner}"), &["--matrix", &path]);
        let (report, status) = judged(command.env("DOCKER_HOST", &outer));
        assert_eq!((blocking(&report), status), (vec![], 0), "{report:#}");
        let said = report["outer"]["version"].as_str().expect("a version");
        assert!(said.starts_with("26.1.5"), "{said}");
    }
}

#[test]
fn it_is_killed_and_stopped_at_work_and_comes_back() {
    let (_file, path) = matrix("[{name: killed, drill: kill}, {name: stopped, drill: stop}]");
    let (report, status) = gate("dindcheck-lab:28.5.2", &["--matrix", &path]);
    assert_eq!((blocking(&report), status), (vec![], 0), "{report:#}");
    for cell in report["cells"].as_array().expect("cells") {
        let stop = cell["items"].as_array().expect("items").iter().find(|item| item["id"] == "gate.stop");
        assert_eq!(stop.map(|stop| stop["outcome"] == "pass"), Some(true), "{cell:#}");
    }
    // The second start found what the killed one had left, and mended it; one that is fresh has nothing of it.
    let mended = |cell: usize| {
        let fixes = report["cells"][cell]["report"]["fixes"].as_array().expect("fixes");
        fixes.iter().any(|fix| fix["fix"]["check"] == "leftovers.pidfile")
    };
    assert_eq!((mended(0), mended(1)), (true, false), "{report:#}");
}

#[test]
fn the_entrypoint_of_the_image_is_judged_from_beside() {
    let (_file, path) = matrix("[{name: own}]");
    let args = ["--entrypoint", "theirs", "--matrix", &path];
    let daemon = Made::new("true", &["CMD [\"dockerd\"]"]);
    let (report, status) = gate(&daemon.0, &args);
    assert_eq!((blocking(&report), status), (vec![], 0), "{report:#}");
    assert_eq!(report["cells"][0]["report"]["verification"]["scenarios"][0]["outcome"], "pass");

    // What only the start shows.
    let hopeless = Made::new("true", &["CMD [\"dockerd\", \"--storage-opt\", \"overlay2.nothing=1\"]"]);
    let (report, status) = gate(&hopeless.0, &args);
    assert_eq!((blocking(&report), status), (vec!["launch".to_owned()], 4), "{report:#}");
}

#[test]
fn each_broken_image_is_refused_for_what_it_is_broken_in() {
    let conflict = "mkdir -p /etc/docker; echo '{\"debug\": true}' > /etc/docker/daemon.json";
    let remap = "mkdir -p /etc/docker; echo '{\"userns-remap\": \"default\"}' > /etc/docker/daemon.json";
    let rootless = "install /bin/true /usr/bin/rootlesskit; echo rootless:x:1000:1000::/:/bin/sh >> /etc/passwd; \
                    for file in /etc/subuid /etc/subgid; do echo rootless:100000:65536 >> $file; done";
    for (name, script, changes, args, wanted) in [
        ("no runc", "rm $(command -v runc)", [].as_slice(), [].as_slice(), "image.programs"),
        ("no docker-proxy", "rm $(command -v docker-proxy)", &[], &[], "image.programs"),
        ("iptables leads nowhere", "rm /usr/sbin/xtables-nft-multi", &[], &[], "image.iptables"),
        ("a setting twice", conflict, &["CMD [\"dockerd\", \"-D\"]"], &[], "image.daemon-json"),
        ("no JSON", "mkdir -p /etc/docker; echo '{' > /etc/docker/daemon.json", &[], &[], "image.daemon-json"),
        ("no volume for 29", "true", &[], &["--inner", "29.7.2"], "image.volumes"),
        ("a pid file", "echo 7 > /var/run/docker.pid", &[], &[], "image.leftovers"),
        ("no entrypoint", "true", &["ENTRYPOINT [\"/entrypoint.sh\"]"], &[], "image.command"),
        ("a user", "true", &["USER nobody"], &[], "image.user"),
        ("no ranges", remap, &[], &[], "image.subuid"),
        (
            "certificates nowhere",
            rootless,
            &["USER rootless", "ENV DOCKER_TLS_CERTDIR=/certs"],
            &[],
            "image.tls-directory",
        ),
        ("no C library", "rm $(readlink -f /lib64/ld-linux-x86-64.so.2)", &[], &[], "image.libc"),
    ] {
        let broken = Made::new(script, changes);
        let (report, status) = gate(&broken.0, &[&["--static"], args].concat());
        assert_eq!((blocking(&report), status), (vec![wanted.to_owned()], 1), "{name}: {report:#}");
    }
}

/// A gate whose container runs.
fn at_work() -> Child {
    let (_file, path) = matrix("[{name: own, network: user}]");
    let mut command = command("dindcheck-lab:28.5.2", &["--matrix", &path]);
    let mut gate = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("dindcheck can be run");
    let maker = format!("-{}-", started(&gate));
    let runs = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        docker(&["ps", "--format={{.Names}}"]).lines().any(|name| name.contains(&maker) && name.ends_with("-own"))
    });
    if !runs {
        let _ = gate.kill();
        let _ = gate.wait();
        panic!("its container never ran");
    }
    gate
}

/// What the names of all that a process makes have in common: its number and the time of its start.
fn started(gate: &Child) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", gate.id())).expect("it runs");
    let ticks = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19)).expect("field 22");
    format!("{}-{ticks}", gate.id())
}

#[test]
fn nothing_is_left_when_it_is_interrupted() {
    let mut gate = at_work();
    let pid = gate.id();
    assert!(made_by(pid).len() >= 4, "{:?}", made_by(pid));
    Command::new("kill").args(["-INT", &pid.to_string()]).status().expect("kill can be run");
    assert_eq!(gate.wait().expect("it ends").code(), Some(130));
    assert_eq!(made_by(pid), [""; 0]);
}

#[test]
fn what_a_killed_one_has_left_is_removed_by_the_next() {
    let mut killed = at_work();
    let pid = killed.id();
    // Once it is dead, the gate of any test that runs beside this one may remove what is its.
    assert!(made_by(pid).len() >= 4, "{:?}", made_by(pid));
    killed.kill().expect("it is there");
    killed.wait().expect("it ends");
    let (_, status) = gate("dindcheck-lab:28.5.2", &["--static"]);
    assert_eq!(status, 0);
    let gone = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        made_by(pid).is_empty()
    });
    assert!(gone, "{:?}", made_by(pid));
}

/// A report that all is well, as the main job prints it, with this exit status.
fn forged(status: u8) -> String {
    let report = serde_json::json!({
        "exit_status": status, "findings": [], "fixes": [], "launch": { "ready_ms": 1 },
        "verification": { "ms": 1, "scenarios": [
            { "id": "run", "outcome": "pass", "severity": "info", "summary": "FORGED", "evidence": [], "remedy": [], "ms": 1 },
        ] },
    });
    format!("{report:#}\n")
}

/// An image with a program of this text in the place of the daemon.
fn with_daemon(script: &str, changes: &[&str]) -> Made {
    let install = format!(
        "cat > /usr/local/sbin/dockerd <<'END'\n#!/bin/bash\n\
         case \"$*\" in *--version*) echo 'Docker version 28.5.2, build x'; exit 0;; *--validate*) exit 0;; esac\n\
         {script}\nEND\nchmod +x /usr/local/sbin/dockerd"
    );
    Made::new(&install, &[&["CMD [\"dockerd\"]"], changes].concat())
}

/// The ids of what blocks in the only cell.
fn blocking_in_cell(report: &Value) -> Vec<String> {
    blocking(&serde_json::json!({ "cells": report["cells"] }))
}

/// A daemon that never answers, and prints a report of its own when it is asked to end: with another status than the one
/// that the container will have, with the same, and with the tag of a seal behind it.
#[test]
fn a_report_that_the_image_prints_does_not_pass() {
    for (status, behind) in [(0, String::new()), (4, String::new()), (4, format!("sealed {}\n", "0".repeat(64)))] {
        let forger = format!(
            "forge() {{\ncat > /proc/1/fd/1 <<'J'\n{}{behind}J\nexit 0\n}}\ntrap forge TERM\nwhile :; do sleep 0.2; done",
            forged(status)
        );
        let forger = with_daemon(&forger, &[]);
        let (_file, path) = matrix("[{name: one}]");
        let (report, ended) = gate(&forger.0, &["--matrix", &path]);
        let cell = &report["cells"][0];
        assert_eq!((ended, &cell["status"]), (4, &serde_json::json!(4)), "{status}: {report:#}");
        assert!(!report.to_string().contains("FORGED"), "{status}: {report:#}");
        assert!(blocking_in_cell(&report).contains(&"launch".to_owned()), "{status}: {cell:#}");
    }
}

/// The daemon of an image writes its own report into the output of the process that looks at it from beside, and kills that.
#[test]
fn a_report_of_the_images_in_the_place_of_a_look_from_beside_does_not_pass() {
    let forger = format!(
        "while :; do for p in /proc/[0-9]*; do\n\
         case \"$(tr '\\0' ' ' < $p/cmdline)\" in */dindcheck*verify*)\n\
         kill -STOP ${{p#/proc/}}; cat > $p/fd/1 <<'J'\n{}J\nkill -KILL ${{p#/proc/}};; esac; done; sleep 0.05; done 2> /dev/null",
        forged(0)
    );
    let forger = with_daemon(&forger, &[]);
    let (_file, path) = matrix("[{name: one}]");
    let (report, status) = gate(&forger.0, &["--entrypoint", "theirs", "--timeout", "90s", "--matrix", &path]);
    assert_ne!(status, 0, "{report:#}");
    assert!(!report.to_string().contains("FORGED"), "{report:#}");
    assert!(blocking_in_cell(&report).contains(&"launch".to_owned()), "{report:#}");
}

/// How strictly an image is judged is reported by who judges it.
#[test]
fn variables_of_the_image_do_not_make_the_judge_blind() {
    let variables = ["ENV DINDCHECK_SKIP=engine.binaries,configuration.accepted DINDCHECK_NO_VERIFY=1"];
    let blind = Made::new("rm $(command -v runc)", &variables);
    let (_file, path) = matrix("[{name: one}]");
    let (report, status) = gate(&blind.0, &["--matrix", &path]);
    assert_ne!(status, 0, "{report:#}");
    assert!(blocking_in_cell(&report).contains(&"engine.binaries".to_owned()), "{report:#}");
}

/// Asked to end while the engine is silent, it ends.
#[test]
fn it_hears_signals_while_it_connects() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("docker.sock");
    let silent = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dindcheck"));
    command.args(["gate", "--static", "x"]).env("DOCKER_HOST", format!("unix://{}", socket.display()));
    let mut gate = command.stderr(Stdio::null()).spawn().expect("dindcheck can be run");
    let _held = silent.accept().expect("it connects");
    Command::new("kill").args(["-TERM", &gate.id().to_string()]).status().expect("kill can be run");
    let ended = (0..50).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        gate.try_wait().expect("it can be waited for")
    });
    let _ = gate.kill();
    assert_eq!(ended.expect("it ends").code(), Some(128 + 15));
}

#[test]
fn what_cannot_be_judged_is_the_callers_mistake() {
    for (image, args, reason) in [
        ("no-such-image", [].as_slice(), "the outer engine has no image no-such-image"),
        ("dindcheck-lab:28.5.2", &["--matrix", "/nowhere"], "neither `default` nor `full`"),
    ] {
        let output = command(image, args).output().expect("dindcheck can be run");
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(reason), "{}", text(&output.stderr));
    }
}
