//! The engine around: recognised, or said by the user, and what it changes in the findings.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::{dindcheck, host};

fn check(root: &Path, args: &[&str]) -> Value {
    let output = dindcheck()
        .args(["check", "--format", "json", "--inner", "28.5.2"])
        .args(args)
        .arg("--root")
        .arg(root)
        .output();
    serde_json::from_slice(&output.unwrap().stdout).unwrap()
}

#[test]
fn an_engine_is_recognised_by_its_marks_and_has_its_own_remedy() {
    let root = tempfile::tempdir().unwrap();
    let file = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    file("run/.containerenv", "engine=\"podman-5.4.2\"\nrootless=1\n");
    file("proc/self/uid_map", "0 1000 1\n1 100000 65536\n");
    for same in ["proc/self/status", "proc/sys/kernel/cap_last_cap"] {
        file(same, &fs::read_to_string(host("unprivileged").join(same)).unwrap());
    }
    let report = check(root.path(), &["--only", "privileges.capabilities"]);
    assert_eq!(report["outer"]["engine"], "podman-rootless");
    assert_eq!(report["outer"]["marks"][0], "podman-rootless: /run/.containerenv has `rootless=1`");
    let remedy = report["findings"][0]["remedy"][0].as_str().unwrap();
    assert!(remedy.starts_with("Podman, run by a user: sudo podman run --privileged"), "{report:#}");
}

#[test]
fn a_container_of_root_s_podman_in_a_user_namespace_is_not_taken_for_a_user_s() {
    for captured in ["podman-6.12", "user-namespace-6.12"] {
        let report = check(&host(captured), &["--only", "privileges.capabilities"]);
        assert_eq!(report["outer"]["engine"], "podman", "{captured}");
    }
}

#[test]
fn what_the_user_says_is_believed() {
    let root = host("no-cgroup-mounts");
    let only = ["--only", "cgroup.mounted"];
    let finding = |args: &[&str]| check(&root, &[&only, args].concat())["findings"][0].clone();
    // Docker gives its containers no cgroup mounts before 1.8, and from then on it does.
    for (outer, gives) in [
        ("docker:1.7.1", "cgroup mounts: none; cgroup namespace: host"),
        ("docker:28.5.2", "cgroup mounts: bind; cgroup namespace: private-on-v2"),
    ] {
        let evidence = finding(&["--outer", outer])["evidence"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(evidence["value"], gives, "{outer}");
        assert!(evidence["location"].as_str().unwrap().starts_with("what Docker "), "{evidence}");
    }
    let kubernetes = finding(&["--outer", "kubernetes"]);
    assert!(kubernetes["remedy"][0].as_str().unwrap().starts_with("Kubernetes"), "{kubernetes:#}");
}

#[test]
fn an_unknown_engine_is_refused_with_the_known_ones() {
    let output = dindcheck().args(["check", "--outer", "rocket"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains(
            "`rocket` is none of containerd, docker-remapped, docker-rootless, docker, gvisor, kata, kubernetes, lxc, podman"
        ),
        "{error}"
    );
    let output = dindcheck().args(["check", "--outer", "docker:one"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
