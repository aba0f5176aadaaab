//! What goes wrong: kills, hangs, stops in every phase, a full disk, restarts. No hang, no stale state, the right exit
//! status. Each is done a few times over; FAULT_ROUNDS says how often.

use std::time::Duration;

use crate::for_each_inner;
use crate::lab::{Outer, docker, lab, run};

const SERVING: &str = " is ready, ";

fn rounds() -> usize {
    std::env::var("FAULT_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
}

for_each_inner!(every_kind_of_container_ends_in_time_and_leaves_nothing);
fn every_kind_of_container_ends_in_time_and_leaves_nothing(inner: &str) {
    let outer = Outer::start(inner, &[], &["dindcheck"]);
    outer.wait_for_log(SERVING);
    outer.script(
        "tar -C / -c bin/busybox | docker import - busybox > /dev/null
        docker run -d --name polite busybox /bin/busybox sh -c 'trap \"exit 3\" TERM; while :; do /bin/busybox sleep 0.1; done'
        docker run -d --name stubborn busybox /bin/busybox sh -c 'trap \"\" TERM; while :; do /bin/busybox sleep 1; done'
        docker run -d --name paused busybox /bin/busybox sh -c 'trap \"exit 4\" TERM; while :; do /bin/busybox sleep 0.1; done'
        docker run -d --name many --init busybox /bin/busybox sh -c 'for i in 1 2 3 4 5; do /bin/busybox sleep 1000 & done; wait'
        docker pause paused",
    );
    assert_eq!(outer.stop(), 0, "{}", outer.log());
    let log = outer.log();
    assert!(log.contains("container stubborn did not end within 5 s and was killed"), "{log}");
    assert!(!log.contains("container polite did") && !log.contains("what was left"), "{log}");
    outer.restart();
    outer.wait_for_logs(SERVING, 2);
    // Their own last words, which SIGKILL would have cut off.
    let ended = outer.script("docker inspect -f '{{.Name}} {{.State.ExitCode}}' polite paused");
    assert_eq!(ended, "/polite 3\n/paused 4\n");
}

#[test]
fn a_daemon_that_hangs_is_killed_in_time_and_the_next_start_is_clean() {
    for _ in 0..rounds() {
        let outer = Outer::start("28.5.2", &[], &["dindcheck"]);
        outer.wait_for_log(SERVING);
        outer.script(
            "tar -C / -c bin/busybox | docker import - busybox > /dev/null
            docker run -d busybox /bin/busybox sleep 1000
            kill -STOP $(cat /run/docker.pid)",
        );
        assert_eq!(outer.stop(), 137, "{}", outer.log());
        let log = outer.log();
        assert!(log.contains("the daemon did not end in time and was killed"), "{log}");
        assert!(log.contains("killed what was left: ") && log.contains("containerd-shim"), "{log}");
        outer.restart();
        outer.wait_for_logs(SERVING, 2);
        assert!(!outer.log().contains("stale: "), "{}", outer.log());
    }
}

#[test]
fn a_killed_daemon_ends_the_container_with_its_status_and_the_next_start_is_clean() {
    let outer = Outer::start("28.5.2", &[], &["dindcheck"]);
    for round in 1..=rounds() {
        outer.wait_for_logs(SERVING, round);
        outer.script("kill -9 $(cat /run/docker.pid)");
        assert_eq!(outer.wait(), 137, "{}", outer.log());
        // Not even --fix is needed.
        outer.restart();
    }
}

#[test]
fn a_killed_containerd_comes_back() {
    let outer = Outer::start("28.5.2", &[], &["dindcheck"]);
    outer.wait_for_log(SERVING);
    outer.script("tar -C / -c bin/busybox | docker import - busybox > /dev/null");
    for _ in 0..rounds() {
        outer.script("kill -9 $(cat /run/docker/containerd/containerd.pid)");
        outer.script(
            "for i in $(seq 100); do docker run --rm busybox /bin/busybox true 2> /tmp/why && exit; sleep 0.2; done
            cat /tmp/why; exit 1",
        );
    }
    outer.script("dindcheck health");
    assert_eq!(outer.stop(), 0, "{}", outer.log());
}

/// From the first moment on, through checking, starting and verifying, to serving.
#[test]
fn a_stop_in_any_phase_ends_in_time_with_the_signals_status() {
    for round in 0..rounds() {
        for delay_ms in [0, 20, 60, 150, 300, 500, 800, 1200, 2000].map(|delay| delay + 7 * round as u64) {
            let outer = Outer::start("28.5.2", &[], &["dindcheck", "--fix"]);
            std::thread::sleep(Duration::from_millis(delay_ms));
            let status = outer.stop();
            let served = outer.log().contains(SERVING);
            let expected = if served { 0 } else { 128 + 15 };
            assert_eq!(status, expected, "after {delay_ms} ms: {}", outer.log());
            // The report is there whatever happened.
            assert!(outer.log().contains("exit status 143") || served, "after {delay_ms} ms: {}", outer.log());
        }
    }
}

#[test]
fn a_daemon_that_never_answers_can_be_stopped_too() {
    let script = "
        printf '#!/bin/sh\\ncase $1 in --version) exec /usr/sbin/dockerd --version;; esac\\ntrap \"\" TERM; while :; do sleep 1; done\\n' > /usr/local/sbin/dockerd
        chmod +x /usr/local/sbin/dockerd
        exec dindcheck";
    let outer = Outer::start("28.5.2", &[], &["sh", "-c", script]);
    outer.wait_for_log("waiting for its API");
    assert_eq!(outer.stop(), 143, "{}", outer.log());
    assert!(outer.log().contains("the daemon did not end in time and was killed"), "{}", outer.log());
}

#[test]
fn a_full_disk_is_a_failed_verification() {
    let options = ["--data-root", "overlay", "--docker-arg", "--tmpfs=/var/lib/docker:size=4m"];
    let run = run("28.5.2", &options, &["dindcheck", "--format", "json", "--exit", "--skip", "storage.data-root"]);
    let run = run.expect_status(5);
    let scenario = &run.report().0["verification"]["scenarios"][0];
    assert!(
        scenario["evidence"][0]["value"].as_str().is_some_and(|said| said.contains("no space left")),
        "{scenario:#}"
    );
}

#[test]
fn a_report_that_cannot_be_written_keeps_no_daemon_from_its_work() {
    let options = ["--docker-arg", "--tmpfs=/full:size=4k"];
    let script = "cat /dev/zero > /full/fill 2> /dev/null; exec dindcheck --output /full/report --job true";
    let run = run("28.5.2", &options, &["sh", "-c", script]).expect_status(0);
    assert!(run.stderr.contains("No space left on device"), "{}", run.stderr);
}

for_each_inner!(killed_and_started_again);
fn killed_and_started_again(inner: &str) {
    let outer = Outer::start(inner, &[], &["dindcheck", "--fix"]);
    for round in 1..=rounds() {
        outer.wait_for_logs(SERVING, round);
        outer.script(
            "test -e /tmp/once || tar -C / -c bin/busybox | docker import - busybox > /dev/null; touch /tmp/once
            docker run -d busybox /bin/busybox sleep 1000",
        );
        outer.kill("KILL");
        assert_eq!(outer.wait(), 137);
        outer.restart();
    }
    outer.wait_for_logs(SERVING, rounds() + 1);
    assert_eq!(outer.stop(), 0, "{}", outer.log());
}

#[test]
fn a_container_that_was_committed_while_it_ran_starts_again() {
    let outer = Outer::start("28.5.2", &["--data-root", "overlay"], &["dindcheck", "--fix"]);
    outer.wait_for_log(SERVING);
    let image = format!("dindcheck-committed-{}", std::process::id());
    docker(&["commit", outer.name(), &image]);
    let run = lab(&[
        "docker",
        "--",
        "run",
        "--rm",
        "--privileged",
        "--volumes-from",
        outer.name(),
        &image,
        "dindcheck",
        "--fix",
        "--exit",
    ]);
    let log = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    lab(&["docker", "--", "rmi", "-f", &image]);
    assert!(run.status.success(), "{log}");
}

#[test]
fn a_containerd_that_is_slow_once_is_given_another_chance() {
    let script = "
        printf '#!/bin/sh\\nif test -e /tmp/once; then exec /usr/bin/containerd \"$@\"; fi\\ntouch /tmp/once; exec sleep 1000\\n' > /usr/local/bin/containerd
        chmod +x /usr/local/bin/containerd
        exec dindcheck --exit";
    let run = run("28.5.2", &[], &["sh", "-c", script]).expect_status(0);
    assert!(run.stderr.contains("its containerd was slow to start; it is restarted (1 of 2)"), "{}", run.stderr);
}

#[test]
fn a_thousand_orphans_leave_no_zombie() {
    let outer = Outer::start(
        "28.5.2",
        &[],
        &[
            "dindcheck",
            "--job",
            "--",
            "sh",
            "-c",
            "
        for i in $(seq 1000); do (true &); done; sleep 0.5
        ps -eo stat= | grep -c ^Z; exit 0",
        ],
    );
    assert_eq!(outer.wait(), 0);
    assert!(outer.log().lines().any(|line| line == "0"), "{}", outer.log());
}

#[test]
fn probes_that_are_killed_leave_an_unknown_and_the_job_goes_on() {
    // Every child of the process that looks, which is the supervisor's first, until the daemon is there.
    let killer = "(look=none; while ! [ -e /run/docker.pid ]; do
            for stat in /proc/[0-9]*/stat; do
                read -r pid name state parent rest < $stat || continue
                case $parent$name in
                '1(dindcheck)') [ $look != none ] || look=$pid ;;
                \"$look(dindcheck)\" | \"$look(exe)\" | \"$look(iptables)\") kill -9 $pid && echo $name >> /tmp/killed ;;
                esac
            done
        done; while [ -e /run/docker.pid ]; do sleep 1; done) 2> /dev/null &
        exec dindcheck --format json --output /report.json";
    let mut unknown = 0;
    for _ in 0..rounds() {
        let outer = Outer::start("28.5.2", &[], &["sh", "-c", killer]);
        // A start that is killed between fork and exec is a start that failed.
        let mut waited = 0;
        while !outer.log().contains(SERVING) && outer.exec(&["true"]).status == 0 {
            std::thread::sleep(Duration::from_millis(200));
            waited += 1;
            assert!(waited < 300, "{}", outer.log());
        }
        let report: serde_json::Value = serde_json::from_str(&outer.copy_out("/report.json")).expect("a whole report");
        unknown += report["summary"]["unknown"].as_u64().expect("a number");
        let status = report["exit_status"].as_i64();
        assert!(matches!(status, Some(0 | 1 | 4)), "{status:?}: {}", outer.log());
    }
    assert!(unknown > 0, "no probe was killed in any round");
}
