//! Mounts that are not as the daemon needs them.

use crate::for_each_inner;
use crate::lab::{mends, run, run_script};

#[test]
fn a_read_only_proc_sys_is_remounted() {
    let fault = "mount --bind /proc/sys /proc/sys; mount -o remount,ro,bind /proc/sys";
    let finding = mends(&[], fault, "mounts.proc-sys");
    assert_eq!(
        (finding["severity"].as_str(), finding["summary"].as_str()),
        (Some("blocking"), Some("/proc/sys is read-only"))
    );
    // The daemon alone says the same, and dies of it.
    let plain = run_script("28.5.2", &[], &format!("sysctl -qw net.ipv4.ip_forward=0; {fault}; timeout 60 dockerd"));
    assert!(plain.expect_status(1).stderr.contains("read-only file system"));
}

#[test]
fn private_mounts_are_made_shared() {
    let finding = mends(&[], "true", "mounts.propagation");
    assert_eq!(finding["summary"], "/ is private");
}

#[test]
fn shared_mounts_can_be_given_to_inner_containers_then() {
    let script = "
        dindcheck fix --only mounts.propagation -q
        dockerd > /tmp/log 2>&1 &
        until docker version > /dev/null 2>&1; do sleep 0.1; done
        tar -C / -c bin/busybox | docker import - busybox > /dev/null
        docker run --rm -v /srv:/srv:shared busybox /bin/busybox true || exit
        kill $!; wait $!; dindcheck undo > /dev/null";
    run_script("28.5.2", &[], script).expect_status(0);
    let without = script.replace("dindcheck fix", "true");
    let run = run_script("28.5.2", &[], &without).expect_status(125);
    assert!(run.stderr.contains("is not a shared mount"), "{}", run.stderr);
}

const READ_ONLY: [&str; 2] = ["--docker-arg", "--read-only"];
const TMPFS: [&str; 4] = ["--docker-arg", "--tmpfs=/run", "--docker-arg", "--tmpfs=/tmp"];

for_each_inner!(a_read_only_root_is_found_and_its_remedy_works);
fn a_read_only_root_is_found_and_its_remedy_works(inner: &str) {
    const ID: &str = "mounts.writable";
    let job = ["dindcheck", "--fix", "--exit", "--format", "json"];
    let report = run(inner, &READ_ONLY, &job).expect_status(1).report();
    // Before 23.0 the daemon makes a key there.
    let key = if inner.starts_with("20.10") { ", /etc/docker" } else { "" };
    assert_eq!(report.expect_blocking(ID), format!("read-only: /run{key}, /tmp"));
    assert_eq!(report.0["fixes"], serde_json::json!([]), "the journal has no place");
    // The daemon alone says the same, and dies of it.
    let plain = run(inner, &READ_ONLY, &["dockerd"]).expect_status(1);
    assert!(plain.stderr.contains("/run/docker: read-only file system"), "{}", plain.stderr);

    let mut options = [&READ_ONLY[..], &TMPFS].concat();
    if !key.is_empty() {
        options.extend(["--docker-arg", "--tmpfs=/etc/docker"]);
    }
    let report = run(inner, &options, &job).expect_status(0).report();
    report.expect(ID, "pass");
    report.expect_verified();
}

#[test]
fn a_configuration_from_a_read_only_volume_is_found_where_it_matters() {
    let fault = "mkdir -p /etc/docker; echo {} > /etc/docker/daemon.json; mount --bind /etc/docker /etc/docker; mount -o remount,ro,bind /etc/docker";
    let check = format!("{fault}; exec dindcheck check --format json --only mounts.writable");
    let old = run_script("20.10.24", &[], &check).expect_status(1).report();
    assert_eq!(old.expect_blocking("mounts.writable"), "read-only: /etc/docker");
    let plain = run_script("20.10.24", &[], &format!("{fault}; timeout 60 dockerd")).expect_status(1);
    assert!(plain.stderr.contains("Error saving key file"), "{}", plain.stderr);
    run_script("28.5.2", &[], &check).expect_status(0).report().expect("mounts.writable", "pass");
    // A key that is there is only read.
    let key = "dockerd & until docker version; do sleep 0.1; done; kill $!; wait $!";
    run_script("20.10.24", &[], &format!("({key}) > /dev/null 2>&1; {check}")).expect_status(0);
}
