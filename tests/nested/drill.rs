//! The restart drill: what is killed comes back; and a daemon that cannot come back is told.

use crate::for_each_inner;
use crate::lab::{run, run_script};

for_each_inner!(what_is_killed_comes_back);
fn what_is_killed_comes_back(inner: &str) {
    let report = run(inner, &[], &["dindcheck", "--exit", "--drill", "--format", "json"]).expect_status(0).report();
    report.expect_verified();
    for round in ["drill.daemon", "drill.containerd", "drill.all"] {
        report.expect_scenario(round, "pass");
    }
}

#[test]
fn a_daemon_that_cannot_come_back_is_reported_with_its_first_error() {
    // It works as long as it runs: its configuration was broken meanwhile.
    let script = "(until grep -q verifying /run/dindcheck/status; do sleep 0.05; done; mkdir -p /etc/docker; echo '{' > /etc/docker/daemon.json) &
        exec dindcheck --exit --drill --format json";
    let report = run_script("28.5.2", &[], script).expect_status(5).report();
    report.expect_scenario("run", "pass");
    let summary = report.expect_scenario("drill.daemon", "fail");
    assert!(summary.starts_with("started again, the daemon ended before its API answered"), "{summary}");
    let evidence = report.scenario("drill.daemon")["evidence"][0]["value"].as_str().unwrap_or_default().to_owned();
    assert!(evidence.contains("/etc/docker/daemon.json"), "{evidence}");
    assert!(report.scenarios().iter().all(|scenario| scenario["id"] != "drill.all"), "it ends with the first failure");
}
