//! Control groups that are there, and not as the engine wants them.

use crate::lab::run_script;

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
