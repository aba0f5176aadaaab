//! What an earlier daemon left behind in a /run that outlived it.

use crate::for_each_inner;
use crate::lab::{mends, run_script};

/// Pid files that name a live process which is no engine.
const STALE_PIDS: &str = "
    sleep 1000 &
    mkdir -p /run/docker/containerd
    echo $! > /run/docker.pid
    echo $! > /run/docker/containerd/containerd.pid
";

/// A socket that nothing listens on, as a killed containerd leaves it.
const DEAD_SOCKET: &str = "
    containerd > /dev/null 2>&1 &
    until test -S /run/containerd/containerd.sock; do sleep 0.1; done
    kill -9 $!
    wait $! 2> /dev/null || true
    test -S /run/containerd/containerd.sock || exit 9
";

for_each_inner!(stale_pid_files);
fn stale_pid_files(inner: &str) {
    let plain = run_script(inner, &[], &format!("{STALE_PIDS} timeout 60 dockerd")).expect_status(1);
    assert!(plain.stderr.contains("docker.pid"), "the daemon alone dies of it: {}", plain.stderr);

    let script = format!("{STALE_PIDS} dindcheck check --format json; exec dindcheck --format json --exit");
    let found = run_script(inner, &[], &script).expect_status(1);
    // Two reports, one after the other: both say the same of this.
    let reports: Vec<serde_json::Value> =
        serde_json::Deserializer::from_str(&found.stdout).into_iter().map(Result::unwrap).collect();
    assert_eq!(reports.len(), 2);
    for report in reports.into_iter().map(crate::lab::Report) {
        let summary = report.expect_blocking("leftovers.pidfile");
        assert!(summary.contains("docker.pid") && summary.contains("containerd.pid"), "{summary}");
    }

    let report = run_script(inner, &[], &format!("{STALE_PIDS} exec dindcheck --format json --exit --fix"))
        .expect_status(0)
        .report();
    assert!(report.mended().contains(&"leftovers.pidfile"));
    report.expect_verified();
}

for_each_inner!(dead_containerd_socket);
fn dead_containerd_socket(inner: &str) {
    let found = run_script(inner, &[], &format!("{DEAD_SOCKET} exec dindcheck --format json --exit")).expect_status(1);
    let report = found.report();
    assert_eq!(
        report.expect_blocking("leftovers.containerd-socket"),
        "nothing listens on /run/containerd/containerd.sock"
    );
    let report = run_script(inner, &[], &format!("{DEAD_SOCKET} exec dindcheck --format json --exit --fix"))
        .expect_status(0)
        .report();
    assert!(report.mended().contains(&"leftovers.containerd-socket"));
    report.expect_verified();
}

#[test]
fn a_pid_file_of_a_running_engine_is_none_of_ours_to_remove() {
    let script = "
        dockerd > /tmp/log 2>&1 &
        until docker version > /dev/null 2>&1; do sleep 0.1; done
        exec dindcheck fix --format json";
    let report = run_script("28.5.2", &[], script).expect_status(0).report();
    report.expect("leftovers.pidfile", "pass");
    assert!(!report.mended().contains(&"leftovers.pidfile"));
}

#[test]
fn what_was_removed_is_brought_back() {
    mends(&[], STALE_PIDS, "leftovers.pidfile");
    mends(&[], DEAD_SOCKET, "leftovers.containerd-socket");
}

#[test]
fn a_number_of_containerd_that_another_engine_process_has_now_is_found() {
    // The daemon's own name, in the file of its containerd: dockerd alone waits in vain for a containerd.
    let fault = "
        cp /usr/bin/sleep /tmp/dockerd; /tmp/dockerd 1000 &
        mkdir -p /run/docker/containerd; echo $! > /run/docker/containerd/containerd.pid";
    let plain = run_script("28.5.2", &[], &format!("{fault}; timeout 60 dockerd")).expect_status(1);
    assert!(plain.stderr.contains("timeout waiting for containerd to start"), "{}", plain.stderr);
    let finding = mends(&[], fault, "leftovers.pidfile");
    assert_eq!(finding["summary"], "stale: /var/run/docker/containerd/containerd.pid");
}
