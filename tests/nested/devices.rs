//! Device nodes that inner containers will miss.

use crate::lab::{look, mends, run_script};

const ID: &str = "devices.nodes";

#[test]
fn nodes_that_are_missing_are_made() {
    look(&[], "", ID).expect(ID, "pass");
    let finding = mends(&[], "rm -r /dev/fuse /dev/net", ID);
    assert_eq!(finding["summary"], "cannot be opened: /dev/fuse, /dev/net/tun");
}

/// What the mend is for: an inner container can be given them, and opens them.
#[test]
fn inner_containers_open_what_was_made() {
    let script = "
        rm -r /dev/fuse /dev/net
        cat > /tmp/job <<'END'
        tar -C / -c bin/busybox | docker import - busybox > /dev/null
        for node in /dev/fuse /dev/net/tun; do
            docker run --rm --device $node busybox /bin/busybox sh -c \": <> $node\" > /dev/null 2>&1 && echo opened || echo refused
        done
END
        dindcheck --job -q --no-verify --output /tmp/report -- sh /tmp/job
        dindcheck --fix --job -q --no-verify --output /tmp/report -- sh /tmp/job";
    let run = run_script("28.5.2", &[], script);
    assert_eq!(run.stdout, "refused\nrefused\nopened\nopened\n", "{}", run.stderr);
}

#[test]
fn a_device_that_the_cgroup_refuses_is_found() {
    // The outer engine allows a few devices alone; the node changes nothing about that.
    let options = ["--unprivileged", "--docker-arg", "--cap-add=MKNOD"];
    let report = look(&options, "mknod /dev/fuse c 10 229", ID);
    let summary = report.expect(ID, "fail");
    assert!(summary.contains("/dev/fuse"), "{summary}");
    assert!(report.finding(ID)["evidence"][0]["value"].as_str().is_some_and(|said| said.contains("not permitted")));
}
