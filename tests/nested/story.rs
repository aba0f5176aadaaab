//! The founding story: an outer Docker 1.7 gives its containers no cgroup mounts, and an inner daemon of any version
//! dies of it.

use crate::for_each_inner;
use crate::lab::{run, run_script};

const JOB: [&str; 4] = ["dindcheck", "--format", "json", "--exit"];

for_each_inner!(healthy);
fn healthy(inner: &str) {
    let report = run(inner, &[], &JOB).expect_status(0).report();
    report.expect("cgroup.mounted", "pass");
    report.expect("netfilter.iptables", "pass");
    assert_eq!(report.0["summary"]["blocking"], 0);
    assert_eq!(report.0["fixes"].as_array().map(Vec::len), Some(0));
    assert_eq!(report.0["exit_status"], 0);
    report.expect_verified();
}

for_each_inner!(no_cgroup_mounts);
fn no_cgroup_mounts(inner: &str) {
    // The daemon alone dies of it, with the line that the profile knows.
    let plain = run_script(inner, &["--no-cgroup-mounts"], "timeout 60 dockerd").expect_status(1);
    assert!(plain.stderr.contains("Devices cgroup isn't mounted"), "{}", plain.stderr);

    let report = run(inner, &["--no-cgroup-mounts"], &JOB).expect_status(1).report();
    assert_eq!(report.expect_blocking("cgroup.mounted"), "no cgroup hierarchy is mounted");
    let finding = report.finding("cgroup.mounted");
    assert!(finding["cause"].as_str().is_some_and(|cause| cause.contains("1.8.0")), "{finding:#}");
    assert!(finding["remedy"][0].as_str().is_some_and(|remedy| remedy.contains("-v /sys/fs/cgroup:/sys/fs/cgroup")));
    assert!(report.0.get("launch").is_none(), "the daemon is not started");
}

for_each_inner!(no_cgroup_mounts_mended);
fn no_cgroup_mounts_mended(inner: &str) {
    let report = run(inner, &["--no-cgroup-mounts"], &[&JOB[..], &["--fix"]].concat()).expect_status(0).report();
    report.expect("cgroup.mounted", "pass");
    assert!(report.mended().contains(&"cgroup.mounted"));
    report.expect_verified();
    // What was mounted is this container's own part: nothing above it is seen.
    report.expect("cgroup.namespace", "pass");
}

#[test]
fn mending_twice_changes_nothing_the_second_time_and_undo_restores() {
    let script = "
        set -e
        table() { sed 's/^[0-9]* [0-9]* //' /proc/self/mountinfo; ls -R /sys/fs/cgroup; }
        table > /tmp/before
        dindcheck fix --format json > /tmp/first
        table > /tmp/mended
        dindcheck fix --format json > /tmp/second
        table > /tmp/again
        cmp /tmp/mended /tmp/again
        ! cmp -s /tmp/before /tmp/mended
        dindcheck undo >&2
        table > /tmp/after
        cmp /tmp/before /tmp/after
        test ! -e /run/dindcheck
        cat /tmp/second";
    let second = run_script("28.5.2", &["--no-cgroup-mounts"], script).expect_status(0).report();
    assert!(second.mended().is_empty());
    second.expect("cgroup.mounted", "pass");
}

#[test]
fn a_dry_run_prints_lines_that_do_the_same() {
    let script = "
        dindcheck fix --dry-run > /tmp/plan || exit
        dindcheck check --only cgroup.mounted -q >&2 && exit 9
        cat /tmp/plan >&2
        sh -e /tmp/plan || exit
        exec dindcheck --format json --exit";
    let run = run_script("28.5.2", &["--no-cgroup-mounts"], script).expect_status(0);
    assert!(run.stderr.contains("mount -t cgroup "), "{}", run.stderr);
    run.report().expect_verified();
}

#[test]
fn a_mend_that_is_killed_in_its_midst_is_taken_back() {
    // The mend with the most steps, killed after more and more of them.
    let script = "
        table() { sed 's/^[0-9]* [0-9]* //' /proc/self/mountinfo; ls -R /sys/fs/cgroup; find /run; }
        table > /tmp/before
        for round in $(seq 0 24); do
            dindcheck fix --only cgroup.mounted -q > /dev/null 2>&1 &
            until test -s /run/dindcheck/journal; do kill -0 $! 2> /dev/null || break; done
            usleep() { i=0; while test $i -lt $1; do i=$((i + 1)); done; }
            usleep $((round * round * 20))
            kill -9 $! 2> /dev/null; wait $! 2> /dev/null
            wc -l < /run/dindcheck/journal
            dindcheck undo > /tmp/undone 2>&1 || { cat /tmp/undone >&2; exit 9; }
            table > /tmp/after
            diff /tmp/before /tmp/after >&2 || { cat /tmp/undone >&2; exit 8; }
        done";
    let run = run_script("28.5.2", &["--no-cgroup-mounts"], script).expect_status(0);
    // Some were killed early, and some late.
    let steps: std::collections::BTreeSet<&str> = run.stdout.lines().collect();
    assert!(steps.len() > 3, "{steps:?}");
}

#[test]
fn a_mend_that_fails_in_its_midst_is_taken_back() {
    let fault = "rm -r /dev/fuse /dev/net/tun; mount -t tmpfs -o ro tmpfs /dev/net; ls -R /dev > /tmp/before";
    let script = format!(
        "{fault}
        dindcheck fix --only devices.nodes --format json; status=$?
        ls -R /dev | diff /tmp/before - >&2 || exit 9
        test ! -e /run/dindcheck/journal || exit 8
        exit $status"
    );
    let report = run_script("28.5.2", &[], &script).expect_status(3).report();
    let error = report.0["fixes"][0]["result"]["taken-back"]["error"].as_str().unwrap_or_default();
    assert!(error.starts_with("cannot make the node /dev/net/tun: EROFS"), "{:#}", report.0["fixes"]);
}

#[test]
fn only_what_is_selected_is_mended() {
    let fault = "rm /dev/fuse; sleep 1000 & echo $! > /run/docker.pid";
    let script = format!(
        "{fault}
        dindcheck fix --skip leftovers.pidfile,mounts.propagation --format json
        test -e /run/docker.pid && test -e /dev/fuse || exit 9
        dindcheck fix --only leftovers.pidfile --format json
        test ! -e /run/docker.pid || exit 8"
    );
    let run = run_script("28.5.2", &[], &script).expect_status(0);
    let reports = serde_json::Deserializer::from_str(&run.stdout).into_iter().map(Result::unwrap);
    let reports: Vec<crate::lab::Report> = reports.map(crate::lab::Report).collect();
    assert_eq!(reports[0].mended(), ["devices.nodes"]);
    assert_eq!(reports[1].mended(), ["leftovers.pidfile"]);
    assert_eq!(reports[1].0["findings"].as_array().map(Vec::len), Some(1));
}
