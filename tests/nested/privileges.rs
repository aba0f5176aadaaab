//! A container without --privileged.

use crate::for_each_inner;
use crate::lab::run;

for_each_inner!(without_privileged);
fn without_privileged(inner: &str) {
    let report = run(inner, &["--unprivileged"], &["dindcheck", "--format", "json"]).expect_status(1).report();
    let summary = report.expect_blocking("privileges.capabilities");
    assert!(summary.contains("CAP_SYS_ADMIN") && summary.contains("CAP_NET_ADMIN"), "{summary}");
    assert_eq!(report.finding("privileges.capabilities")["remedy"][0], "start the outer container with --privileged");
    report.expect("privileges.seccomp", "fail");
    report.expect_blocking("mounts.proc-sys");
}

#[test]
fn fixing_what_is_not_permitted_fails_whole_and_says_so() {
    let run = run("28.5.2", &["--unprivileged"], &["dindcheck", "fix", "--format", "json"]).expect_status(3);
    let report = run.report();
    assert!(report.mended().is_empty());
    let fixes = report.0["fixes"].as_array().unwrap();
    let remount = fixes.iter().find(|fix| fix["fix"]["check"] == "mounts.proc-sys").unwrap();
    let error = remount["result"]["taken-back"]["error"].as_str().unwrap();
    assert!(error.starts_with("cannot remount /proc/sys: "), "{error}");
}
