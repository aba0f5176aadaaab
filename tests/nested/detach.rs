//! `--detach`: from the script of a job that runs already.

use crate::for_each_inner;
use crate::lab::{Outer, run_script};

for_each_inner!(a_script_goes_on_with_a_proved_daemon);
fn a_script_goes_on_with_a_proved_daemon(inner: &str) {
    // What reads the script's output reads to its end, and descriptor 7 as well.
    let script = "
        set -e
        exec 7> /tmp/seven
        said=$(dindcheck --detach --fix --label a=b 2>&1 7>&1) || { status=$?; echo \"$said\" >&2; exit $status; }
        echo \"$said\"
        docker info --format '{{.Labels}}'
        tar -C / -c bin/busybox | docker import - busybox > /dev/null
        docker run --rm busybox /bin/busybox echo it runs
        dindcheck health
        dindcheck --detach 2>&1
        grep -c 'API listen on' /var/log/dindcheck.log
        pid=$(echo \"$said\" | sed -n 's/.*`kill \\([0-9]*\\)`.*/\\1/p')
        test \"$(cut -d' ' -f6 /proc/$pid/stat)\" = $pid
        kill $pid
        i=0
        while [ -e /run/docker.pid ]; do i=$((i + 1)); [ $i -lt 600 ]; sleep 0.1; done
        grep -c 'Daemon shutdown complete' /var/log/dindcheck.log";
    let run = run_script(inner, &[], script).expect_status(0);
    let lines: Vec<&str> = run.stdout.lines().filter(|line| !line.contains(" level=")).collect();
    let has = |wanted: &str| assert!(lines.iter().any(|line| line.contains(wanted)), "{wanted}: {run}");
    for wanted in [" is ready, ", "it goes on in the background; ", "[a=b]", "it runs", "proved and answers"] {
        has(wanted);
    }
    has("dindcheck: a proved daemon serves already");
    assert_eq!(lines.last(), Some(&"1"), "{run}");
}

#[test]
fn it_is_reported_that_the_daemon_is_ready_however_late_the_report_is() {
    // Clients are let in before: the report waits for its reader.
    let script = "
        mkfifo /tmp/report
        (while ! dindcheck health -q; do sleep 0.1; done; sleep 3; exec cat /tmp/report > /dev/null) &
        dindcheck --detach --no-verify --output /tmp/report";
    let run = run_script("28.5.2", &[], script).expect_status(0);
    assert!(run.stderr.contains(" is ready, "), "{run}");
}

#[test]
fn what_failed_ends_it_with_the_report_and_the_status() {
    let script = "
        dindcheck --detach --log /tmp/a/log --no-verify -- --storage-opt overlay2.nothing=1; echo $?
        dindcheck --detach --only cgroup.mounted --hold-on-failure; echo $?
        test -e /run/docker.pid; echo $?
        ps -ef | grep -c '[d]ockerd'";
    let run = run_script("28.5.2", &[], script);
    assert_eq!(run.stdout, "4\n2\n1\n0\n", "{run}");
    assert!(run.stderr.contains("overlay2.nothing"), "{run}");
    assert!(run.stderr.contains("--hold-on-failure"), "{run}");

    let first = crate::lab::run("28.5.2", &[], &["dindcheck", "--detach"]).expect_status(2);
    assert!(first.stderr.contains("the container would end with it"), "{first}");
}

#[test]
fn a_stop_meanwhile_ends_both() {
    // A daemon that never answers.
    let script = "
        printf '#!/bin/sh\\nexec sleep 12345\\n' > $(command -v dockerd)
        dindcheck --detach --inner 28.5.2 & wait $!; echo ended $?; exec sleep 1000";
    let outer = Outer::start("28.5.2", &[], &["bash", "-c", script]);
    outer.script("i=0; until pgrep -f '^sleep 12345'; do i=$((i + 1)); [ $i -lt 1200 ]; sleep 0.1; done");
    outer.script("kill -TERM $(pgrep -P 1 -x dindcheck)");
    outer.wait_for_log("ended 143");
    assert_eq!(
        outer.script("pgrep -c -f '^(sleep 12345|dindcheck|/proc/self/exe)' || true").trim(),
        "0",
        "{}",
        outer.log()
    );
}
