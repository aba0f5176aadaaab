//! Limits that the outer container was given.

use crate::lab::{look, run, run_script};

const CHECK: [&str; 4] = ["dindcheck", "check", "--format", "json"];

#[test]
fn few_tasks_and_little_memory_are_found() {
    let options = ["--docker-arg", "--pids-limit=200", "--docker-arg", "--memory=128m"];
    let report = run("28.5.2", &options, &CHECK).expect_status(0).report();
    assert_eq!(report.expect("limits.tasks", "fail"), "200 at most");
    assert_eq!(report.expect("limits.memory", "fail"), "128 MiB for the daemon and all inner containers");
    let without = run("28.5.2", &[], &CHECK).expect_status(0).report();
    without.expect("limits.tasks", "pass");
    without.expect("limits.memory", "pass");
}

#[test]
fn few_open_files_are_found() {
    let report =
        run_script("28.5.2", &[], "ulimit -n 500; exec dindcheck check --format json").expect_status(1).report();
    assert_eq!(report.expect_blocking("limits.open-files"), "500 at most");
}

#[test]
fn few_inotify_instances_are_found() {
    look(&[], "", "limits.kernel").expect("limits.kernel", "pass");
    // Those of a user namespace of its own: the host's stay as they are.
    let script = "exec unshare -U -r sh -c 'echo 5 > /proc/sys/user/max_inotify_instances; exec dindcheck check --only limits.kernel --format json'";
    let report = run_script("28.5.2", &[], script).expect_status(0).report();
    assert_eq!(report.expect("limits.kernel", "fail"), "low: user/max_inotify_instances");
}
