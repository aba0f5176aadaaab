//! Mounts that are not as the daemon needs them.

use crate::lab::{mends, run_script};

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
        docker run --rm -v /srv:/srv:shared busybox /bin/busybox true && dindcheck undo > /dev/null";
    run_script("28.5.2", &[], script).expect_status(0);
    let without = script.replace("dindcheck fix", "true");
    let run = run_script("28.5.2", &[], &without).expect_status(125);
    assert!(run.stderr.contains("is not a shared mount"), "{}", run.stderr);
}
