//! A container without --privileged.

use crate::for_each_inner;
use crate::lab::{Report, look, run, run_script};

for_each_inner!(without_privileged);
fn without_privileged(inner: &str) {
    let report = run(inner, &["--unprivileged"], &["dindcheck", "--format", "json"]).expect_status(1).report();
    let summary = report.expect_blocking("privileges.capabilities");
    assert!(summary.contains("CAP_SYS_ADMIN") && summary.contains("CAP_NET_ADMIN"), "{summary}");
    assert_eq!(report.finding("privileges.capabilities")["remedy"][0], "start the outer container with --privileged");
    report.expect("privileges.seccomp", "fail");
    report.expect_blocking("mounts.proc-sys");
    // Nothing is tried for which the capability is missing: that is what has to be read.
    let fixing = run(inner, &["--unprivileged"], &["dindcheck", "--fix", "--format", "json"]).expect_status(1).report();
    assert!(fixing.finding("mounts.proc-sys")["fix"].is_null());
    assert_eq!(fixing.0["fixes"], serde_json::json!([]));
}

#[test]
fn fixing_what_is_not_permitted_fails_whole_and_says_so() {
    let profile = tempfile::NamedTempFile::new_in(crate::lab::share()).unwrap();
    let no_mounts =
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_ERRNO"}]}"#;
    std::fs::write(&profile, no_mounts).unwrap();
    let seccomp = format!("--security-opt=seccomp={}", profile.path().display());
    let options = ["--unprivileged", "--docker-arg", "--cap-add=SYS_ADMIN", "--docker-arg", &seccomp];
    let run = run("28.5.2", &options, &["dindcheck", "fix", "--format", "json"]).expect_status(3);
    let report = run.report();
    assert!(!report.mended().contains(&"mounts.proc-sys"), "{:?}", report.mended());
    let fixes = report.0["fixes"].as_array().unwrap();
    let remount = fixes.iter().find(|fix| fix["fix"]["check"] == "mounts.proc-sys").unwrap();
    let error = remount["result"]["taken-back"]["error"].as_str().unwrap();
    assert!(error.starts_with("cannot remount /proc/sys: "), "{error}");
}

#[test]
fn what_a_missing_capability_refuses_is_named() {
    let script = "exec setpriv --bounding-set=-mknod dindcheck check --format json";
    let report = run_script("28.5.2", &[], script).expect_status(1).report();
    assert_eq!(report.expect_blocking("privileges.operations"), "refused: mknod");
    let healthy = run("28.5.2", &[], &["dindcheck", "check", "--format", "json"]).expect_status(0).report();
    healthy.expect("privileges.operations", "pass");
}

#[test]
fn a_masked_proc_refuses_a_fresh_one_in_a_user_namespace() {
    let script = "mount -t tmpfs tmpfs /proc/fs; exec unshare -U -r -m dindcheck check --format json";
    let report = run_script("28.5.2", &[], script).expect_status(1).report();
    let summary = report.expect_blocking("privileges.operations");
    assert!(summary.contains("mount a fresh proc"), "{summary}");
}

#[test]
fn an_old_engine_without_all_capabilities_cannot_run_privileged_containers() {
    let script = "exec setpriv --bounding-set=-sys_resource dindcheck check --format json";
    let report = run_script("20.10.24", &[], script).expect_status(0).report();
    let summary = report.expect("privileges.grants", "fail");
    assert_eq!(summary, "inner --privileged will fail: no CAP_SYS_RESOURCE");
    run_script("28.5.2", &[], script).expect_status(0).report().expect("privileges.grants", "pass");
}

#[test]
fn no_new_privs_is_found_and_a_container_without_faults_has_none() {
    for id in ["privileges.no-new-privs", "privileges.seccomp", "privileges.capabilities"] {
        look(&[], "", id).expect(id, "pass");
    }
    let options = ["--docker-arg", "--security-opt=no-new-privileges"];
    let report = look(&options, "", "privileges.no-new-privs");
    assert_eq!(report.expect("privileges.no-new-privs", "fail"), "no_new_privs is set and cannot be unset");
}

#[test]
fn a_filter_that_forbids_clone3_is_told_from_one_that_does_not_know_it() {
    const ID: &str = "privileges.operations";
    for (errno, severity) in [(1, "warning"), (38, "info")] {
        let rule = format!(r#"{{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": {errno}}}"#);
        let filter = format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}"#);
        let directory = tempfile::tempdir_in(crate::lab::share()).unwrap();
        let file = directory.path().join("filter.json");
        std::fs::write(&file, filter).unwrap();
        let option = format!("--security-opt=seccomp={}", file.display());
        let report = look(&["--docker-arg", &option], "", ID);
        assert_eq!(report.expect(ID, "fail"), "refused: clone3");
        assert_eq!(report.finding(ID)["severity"], severity);
    }
}

/// A user namespace of one id, as bubblewrap and `unshare --map-root-user` make it: the daemon dies of the group of its socket,
/// and without that it unpacks no layer that has a file of another user.
#[test]
fn a_user_namespace_of_one_id_is_found() {
    const ID: &str = "privileges.operations";
    const SCRIPT: &str = r#"exec unshare --user --map-root-user --mount --net --pid --fork --mount-proc bash -euc '
        mount -t tmpfs tmpfs /run; ip link set lo up
        echo "=== plain"; dindcheck check --only privileges.operations --format json || true
        timeout 60 dockerd >&2 || true
        echo "=== group"; dindcheck check --only privileges.operations --format json -- --group 0
        dockerd --group 0 > /tmp/log 2>&1 & daemon=$!
        until docker version > /dev/null 2>&1; do kill -0 $daemon; sleep 0.1; done
        mkdir /tmp/layer; echo x > /tmp/layer/x
        for owner in 0 7; do
            { tar -C /tmp/layer --owner $owner --group $owner -c x | docker import - layer-$owner; } >> /tmp/import 2>&1 || true
        done
        cat /tmp/import >&2; kill $daemon; wait $daemon || true'"#;
    let run = run_script("28.5.2", &[], SCRIPT).expect_status(0);
    let (plain, group) = run.stdout.split_once("=== group").unwrap();
    let report = |text: &str| Report(serde_json::from_str(text.trim_start_matches("=== plain")).unwrap());
    let (plain, group) = (report(plain), report(group));
    assert!(run.stderr.contains("can't create unix socket /var/run/docker.sock: chown"), "{run}");
    assert!(plain.expect_blocking(ID).contains("give a file to another user"), "{run}");
    assert_eq!(plain.0["foretold"], "dies", "{run}");
    group.expect(ID, "fail");
    assert_eq!((&group.finding(ID)["severity"], &group.0["foretold"]), (&"warning".into(), &"works".into()), "{run}");
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("sha256:")), "{run}");
    assert!(lines.iter().any(|line| line.contains("failed to Lchown")), "{run}");
}
