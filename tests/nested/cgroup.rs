//! Control groups that are there, and not as the engine wants them.

use crate::lab::{look, mends, run_script};

/// What a fix of mounts may change: the mount table without its numbers, and what is seen of the cgroups.
const STATE: &str = "
    state() { sed 's/^[0-9]* [0-9]* //' /proc/self/mountinfo; ls -R /sys/fs/cgroup; }
    works() { dindcheck --format json --exit > /tmp/works 2> /tmp/log || { cat /tmp/works /tmp/log >&2; exit 9; }; }
";

#[test]
fn a_v2_mount_beside_v1_is_unmounted_and_comes_back() {
    let script = format!(
        "{STATE}
        set -e
        mkdir /sys/fs/cgroup/unified
        mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /sys/fs/cgroup/unified
        state > /tmp/before
        # An engine that looks the type up in full is not bothered.
        dindcheck check --inner 17.03.1-ce --only cgroup.hybrid -q >&2
        ! dindcheck check --inner 17.03.0-ce --only cgroup.hybrid --format json > /tmp/found
        dindcheck fix --inner 17.03.0-ce --only cgroup.hybrid -q >&2
        dindcheck check --inner 17.03.0-ce --only cgroup.hybrid -q >&2
        ! grep cgroup2 /proc/self/mountinfo >&2
        works
        dindcheck undo >&2
        # The daemon leaves cgroups of its own; the mounts are as they were.
        grep ' - cgroup' /tmp/before | sort > /tmp/mounts-before
        state | grep ' - cgroup' | sort | diff /tmp/mounts-before - >&2
        cat /tmp/found"
    );
    let report = run_script("28.5.2", &[], &script).expect_status(0).report();
    let summary = report.expect_blocking("cgroup.hybrid");
    assert_eq!(summary, "cgroup2 on /sys/fs/cgroup/unified: every run will fail");
}

/// Where one mend takes a mount away, the next one is planned for what is left.
#[test]
fn a_mend_is_planned_after_the_one_before_it() {
    let options = ["--docker-arg", "-v/sys/fs/cgroup:/sys/fs/cgroup"];
    let script = "
        export DINDCHECK_INNER=17.03.0-ce
        grep -q ' /sys/fs/cgroup/unified .* - cgroup2 ' /proc/self/mountinfo || exit 9
        dindcheck fix --only cgroup.hybrid,cgroup.namespace,mounts.propagation --dry-run > /tmp/plan
        ! grep -q 'make-shared /sys/fs/cgroup/unified' /tmp/plan || exit 8
        test $(grep -c 'umount -l /sys/fs/cgroup/unified' /tmp/plan) = 1 || exit 7
        dindcheck fix --only cgroup.hybrid,cgroup.namespace,mounts.propagation --format json
        dindcheck undo >&2";
    let report = run_script("28.5.2", &options, script).expect_status(0).report();
    assert_eq!(report.mended(), ["cgroup.hybrid", "cgroup.namespace", "mounts.propagation"]);
}

#[test]
fn the_hosts_tree_is_covered_by_the_own_cgroup_and_nothing_of_it_moves() {
    let script = format!(
        "{STATE}
        set -e
        own=$(grep :memory: /proc/self/cgroup | cut -d : -f 3)
        state > /tmp/before
        dindcheck check --format json > /tmp/found || exit
        dindcheck fix -q --only cgroup.namespace >&2
        dindcheck check --only cgroup.namespace -q --strict >&2
        test \"$(grep :memory: /proc/self/cgroup | cut -d : -f 3)\" = \"$own\"
        works
        dindcheck undo >&2
        # What the inner daemon made lies below this container's cgroup in the host's tree, nowhere else.
        test -d /sys/fs/cgroup/memory$own/docker
        rmdir /sys/fs/cgroup/*$own/docker 2> /dev/null || true
        grep ' - cgroup' /tmp/before | sort > /tmp/mounts-before
        state | grep ' - cgroup' | sort | diff /tmp/mounts-before - >&2
        cat /tmp/found"
    );
    let report =
        run_script("28.5.2", &["--docker-arg", "-v/sys/fs/cgroup:/sys/fs/cgroup"], &script).expect_status(0).report();
    assert_eq!(report.expect("cgroup.namespace", "fail"), "the whole tree of the host is seen and writable");
}

#[test]
fn read_only_hierarchies_are_remounted() {
    let fault =
        "for at in $(grep ' - cgroup ' /proc/self/mountinfo | cut -d ' ' -f 5); do mount -o remount,ro,bind $at; done";
    let finding = mends(&[], fault, "cgroup.writable");
    assert_eq!(finding["severity"], "blocking");
    // The daemon alone starts, and no container runs.
    let script = format!(
        "{fault}
        dockerd > /tmp/log 2>&1 &
        until docker version > /dev/null 2>&1; do sleep 0.1; done
        tar -C / -c bin/busybox | docker import - busybox > /dev/null
        docker run --rm busybox /bin/busybox true"
    );
    let plain = run_script("28.5.2", &[], &script).expect_status(125);
    assert!(plain.stderr.contains("read-only file system"), "{}", plain.stderr);
}

#[test]
fn hierarchies_that_are_missing_are_mounted() {
    let finding = mends(&["--no-cgroup-mounts"], "true", "cgroup.mounted");
    assert_eq!(finding["summary"], "no cgroup hierarchy is mounted");
    let finding = mends(&[], "umount /sys/fs/cgroup/devices", "cgroup.mounted");
    assert_eq!(finding["summary"], "not mounted: the hierarchy of devices");
}

#[test]
fn a_controller_that_is_missing_is_named() {
    look(&[], "", "cgroup.controllers").expect("cgroup.controllers", "pass");
    let report = look(&[], "umount /sys/fs/cgroup/memory", "cgroup.controllers");
    assert_eq!(report.expect("cgroup.controllers", "fail"), "not available: memory");
}

#[test]
fn a_host_of_version_1_is_told_to_an_engine_that_wants_the_other() {
    let look = |inner: &str| look(&[], &format!("export DINDCHECK_INNER={inner}"), "cgroup.version");
    look("28.5.2").expect("cgroup.version", "pass");
    let summary = look("29.7.2").expect("cgroup.version", "fail");
    assert!(summary.ends_with("host: this engine works there, and warns"), "{summary}");
}

#[test]
fn a_cgroup_that_refuses_another_is_found() {
    const ID: &str = "cgroup.operations";
    let summary = look(&[], "", ID).expect(ID, "pass");
    assert!(summary.starts_with("all "), "{summary}");
    let refused = "
        chmod a-w /sys/fs/cgroup/freezer
        exec setpriv --bounding-set=-dac_override dindcheck check --only cgroup.operations --format json";
    let report = look(&[], refused, ID);
    assert_eq!(report.expect_blocking(ID), "cannot make a cgroup in /sys/fs/cgroup/freezer");
    // What is read-only is another check's.
    look(&[], "mount -o remount,ro,bind /sys/fs/cgroup/freezer", ID).expect(ID, "pass");
    // Nothing is made in a tree that is the host's.
    let report = look(&["--docker-arg", "-v/sys/fs/cgroup:/sys/fs/cgroup"], "", ID);
    report.expect(ID, "not-applicable");
}

#[test]
fn what_a_runtime_does_on_version_2_is_tried_and_leaves_nothing() {
    // The hierarchy that is there beside version 1, below this container's own cgroup of it.
    let script = |how: &str| {
        format!(
            "
            mkdir /tmp/all && mount -t cgroup2 cgroup2 /tmp/all || exit 9
            own=/tmp/all$(grep ^0:: /proc/self/cgroup | cut -d : -f 3)
            find $own > /tmp/before
            echo '[{{\"path\": \"'$own'\", \"controllers\": []}}]' | {how} dindcheck probe cgroup || exit 8
            find $own | diff /tmp/before - >&2"
        )
    };
    let tried = |how: &str| -> Vec<(String, bool)> {
        let run = run_script("28.5.2", &[], &script(how)).expect_status(0);
        let attempts: Vec<serde_json::Value> = serde_json::from_str(&run.stdout).expect("attempts");
        let first_words = |what: &serde_json::Value| {
            what.as_str().and_then(|what| what.split(" in /").next()).unwrap_or_default().to_owned()
        };
        attempts.iter().map(|attempt| (first_words(&attempt["what"]), attempt["error"].is_null())).collect()
    };
    let expected = |device: bool| {
        [
            ("make a cgroup", true),
            ("freeze a cgroup", true),
            ("give a cgroup a program for devices", device),
            ("remove a cgroup", true),
        ]
        .map(|(what, works)| (what.to_owned(), works))
    };
    assert_eq!(tried(""), expected(true));
    assert_eq!(tried("setpriv --bounding-set=-sys_admin,-bpf,-perfmon"), expected(false));
}
