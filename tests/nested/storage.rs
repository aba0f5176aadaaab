//! A data-root on the outer container's own overlay: what is predicted is what happens.

use crate::for_each_inner;
use crate::lab::run;

for_each_inner!(data_root_on_overlay);
fn data_root_on_overlay(inner: &str) {
    let run = run(inner, &["--data-root", "overlay"], &["dindcheck", "--format", "json", "--exit"]).expect_status(0);
    let report = run.report();
    // Engines up to 28 try overlay, are refused, and fall back.
    let summary = report.expect("storage.data-root", "fail");
    assert!(summary.contains("fall back to vfs"), "{summary}");
    assert_eq!(report.finding("storage.data-root")["severity"], "warning");
    report.expect_verified();
    assert_eq!(report.0["verification"]["storage_driver"], "vfs");
}

for_each_inner!(data_root_on_tmpfs);
fn data_root_on_tmpfs(inner: &str) {
    let run = run(inner, &["--data-root", "tmpfs"], &["dindcheck", "--format", "json", "--exit"]).expect_status(0);
    let report = run.report();
    report.expect("storage.data-root", "pass");
    report.expect_verified();
    assert_eq!(report.0["verification"]["storage_driver"], "overlay2");
}

#[test]
fn a_driver_that_cannot_work_is_refused_before_the_daemon_is_started() {
    let command = ["dindcheck", "--format", "json", "--exit", "--", "--storage-driver", "overlay2"];
    let report = run("28.5.2", &["--data-root", "overlay"], &command).expect_status(1).report();
    let summary = report.expect_blocking("storage.data-root");
    assert!(summary.contains("refuse the driver overlay2"), "{summary}");
    // The daemon alone says the same, later.
    let plain = run("28.5.2", &["--data-root", "overlay"], &["dockerd", "--storage-driver", "overlay2"]);
    let plain = plain.expect_status(1);
    assert!(plain.stderr.contains("driver not supported: overlay2"), "{}", plain.stderr);
}
