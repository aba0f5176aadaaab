//! Device nodes that inner containers will miss.

use crate::lab::{look, mends};

const ID: &str = "devices.nodes";

#[test]
fn nodes_that_are_missing_are_made() {
    look(&[], "", ID).expect(ID, "pass");
    let finding = mends(&[], "rm -r /dev/fuse /dev/net", ID);
    assert_eq!(finding["summary"], "cannot be opened: /dev/fuse, /dev/net/tun");
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
