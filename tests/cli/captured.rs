//! Captured machines, judged for many engine versions: host × version × finding, without a machine.

use serde_json::Value;

use crate::common::{dindcheck, host};

/// What has to be tried on a running machine or is not in these captures, and what is true of the capabilities of all.
pub(crate) const NEEDS_A_MACHINE: [&str; 26] = [
    "engine.binaries",
    "engine.pairing",
    "privileges.operations",
    "privileges.grants",
    "limits.open-files",
    "limits.raising",
    "limits.tasks",
    "limits.memory",
    "limits.kernel",
    "cgroup.operations",
    "storage.d-type",
    "storage.space",
    "netfilter.iptables",
    "netfilter.ip6tables",
    "network.namespace",
    "network.devices",
    "network.loopback",
    "network.ip-forward",
    "network.subnets",
    "network.nameservers",
    "network.mtu",
    "network.rp-filter",
    "network.arp",
    "network.bridge-filter",
    "devices.nodes",
    "configuration.client",
];

/// The findings of a captured machine that are no pass: id, outcome, severity.
fn findings(host_name: &str, inner: &str) -> Vec<String> {
    let output = dindcheck()
        .args(["check", "--format", "json", "--inner", inner])
        .args(["--skip", &NEEDS_A_MACHINE.join(","), "--root"])
        .arg(host(host_name))
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| !["pass", "not-applicable"].contains(&finding["outcome"].as_str().unwrap()))
        .map(|finding| format!("{} {} {}", word(finding, "id"), word(finding, "outcome"), word(finding, "severity")))
        // The root is private on each of these, and the newest engines call cgroup v1 deprecated.
        .filter(|line| !line.ends_with("fail info"))
        .collect()
}

#[test]
fn a_healthy_container_is_healthy_for_each_era() {
    for inner in ["1.7.1", "1.9.1", "1.12.6", "17.03.2-ce", "18.09.9", "19.03.15", "20.10.24", "23.0.6", "28.5.2"] {
        assert_eq!(findings("healthy-28.5.2", inner), [""; 0], "{inner}");
    }
}

#[test]
fn without_cgroup_mounts_every_era_is_blocked() {
    for inner in ["1.7.1", "1.9.1", "1.12.6", "17.03.2-ce", "18.09.9", "19.03.15", "20.10.24", "28.5.2", "29.7.2"] {
        assert_eq!(findings("no-cgroup-mounts", inner), ["cgroup.mounted fail blocking"], "{inner}");
    }
}

#[test]
fn each_era_has_its_own_last_words() {
    for (inner, words) in [
        ("1.7.1", "mountpoint for devices not found"),
        ("1.9.1", "Error starting daemon: Devices cgroup isn't mounted"),
        ("17.03.2-ce", "Error starting daemon: Devices cgroup isn't mounted"),
        ("29.7.2", "failed to start daemon: Devices cgroup isn't mounted"),
    ] {
        let output = dindcheck()
            .args(["check", "--format", "json", "--only", "cgroup.mounted", "--inner", inner, "--root"])
            .arg(host("no-cgroup-mounts"))
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let cause = report["findings"][0]["cause"].as_str().unwrap();
        assert!(cause.contains(words), "{inner}: {cause}");
    }
}

#[test]
fn an_overlay_data_root_is_predicted_by_version() {
    for (inner, severity) in [
        ("1.7.1", "blocking"),
        ("1.9.1", "blocking"),
        ("1.13.1", "warning"),
        ("20.10.24", "warning"),
        ("28.5.2", "warning"),
        ("29.7.2", "blocking"),
    ] {
        assert_eq!(findings("data-root-on-overlay", inner), [format!("storage.data-root fail {severity}")], "{inner}");
    }
}

#[test]
fn without_privileges_the_reasons_are_named() {
    assert_eq!(
        findings("unprivileged", "28.5.2"),
        [
            "privileges.capabilities fail blocking",
            "privileges.seccomp fail warning",
            "cgroup.writable fail blocking",
            "mounts.proc-sys fail blocking"
        ]
    );
}

#[test]
fn a_unified_host_is_for_engines_that_know_it() {
    for inner in ["1.6.2", "1.9.1", "17.03.2-ce", "19.03.15"] {
        let found = findings("unified-6.12", inner);
        assert!(found.contains(&"cgroup.version fail blocking".to_owned()), "{inner}: {found:?}");
    }
    for inner in ["20.10.24", "28.5.2", "29.7.2"] {
        assert_eq!(findings("unified-6.12", inner), ["cgroup.delegation fail warning"], "{inner}");
        assert_eq!(findings("unified-host-view-6.12", inner), ["cgroup.namespace fail warning"], "{inner}");
    }
}

#[test]
fn a_host_with_version_1_alone_is_healthy_for_each_era() {
    for inner in ["1.7.1", "1.9.1", "1.12.6", "17.03.2-ce", "18.09.9", "19.03.15", "20.10.24", "23.0.6", "28.5.2"] {
        assert_eq!(findings("v1-5.10", inner), [""; 0], "{inner}");
    }
}

/// The findings of each recorded host of tests/kernels, with the engine that was recorded there and with newer ones.
#[test]
fn each_virtual_host_has_its_findings() {
    const DELEGATION: &str = "cgroup.delegation fail warning";
    const REFUSED: [&str; 3] = ["cgroup.writable fail blocking", DELEGATION, "mounts.proc-sys fail blocking"];
    let hosts: [(&str, &[&str]); 9] = [
        ("v1-5.10", &[]),
        ("hybrid-5.10", &[]),
        ("unified-6.1", &[DELEGATION]),
        ("unified-6.12", &[DELEGATION]),
        ("unified-7", &[DELEGATION]),
        ("unified-no-modules", &[DELEGATION, "storage.data-root fail warning"]),
        ("podman-6.12", &[DELEGATION]),
        ("user-namespace-6.12", &[DELEGATION]),
        ("app-armor-6.12", &REFUSED),
    ];
    for (host_name, expected) in hosts {
        for inner in ["20.10.24", "26.1.5", "28.5.2"] {
            assert_eq!(findings(host_name, inner), expected, "{host_name}, {inner}");
        }
    }
}

#[test]
fn a_module_that_a_host_does_not_have_is_named() {
    for (id, summary) in [
        ("storage.data-root", "the kernel has no overlay: the daemon will fall back to vfs"),
        ("network.devices", "the kernel has no veth"),
    ] {
        let output = dindcheck()
            .args(["check", "--format", "json", "--inner", "26.1.5", "--only", id, "--root"])
            .arg(host("unified-no-modules"))
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["findings"][0]["summary"], summary);
        assert!(report["findings"][0]["fix"].is_null(), "there is nothing to load: {report:#}");
    }
}

#[test]
fn five_eras_on_four_kinds_of_hosts() {
    const ERAS: [&str; 5] = ["1.6.2", "1.9.1", "17.03.2-ce", "19.03.15", "29.7.2"];
    let words = |host_name: &str| {
        ERAS.map(|inner| {
            let output = dindcheck()
                .args(["check", "--format", "json", "--inner", inner])
                .args(["--only", "cgroup.version,cgroup.mounted,cgroup.delegation", "--root"])
                .arg(host(host_name))
                .output()
                .unwrap();
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            let findings = report["findings"].as_array().unwrap().iter();
            let failed = findings.filter(|finding| finding["outcome"] == "fail");
            failed.map(|finding| finding["summary"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join("; ")
        })
    };
    let deprecated = "this engine works there, and warns";
    assert_eq!(words("v1-5.10"), ["", "", "", "", &format!("v1 host: {deprecated}")]);
    let hybrid = format!("hybrid (v1 controllers, v2 beside) host: {deprecated}");
    assert_eq!(words("healthy-28.5.2"), ["", "", "", "", &hybrid]);
    let none = "no cgroup hierarchy is mounted";
    assert_eq!(words("no-cgroup-mounts"), [none, none, none, none, &format!("{hybrid}; {none}")]);
    // What an engine wants of v2 grows with what it knows of limits.
    let unknown = "the host has cgroup v2 only, which this engine does not know";
    assert_eq!(
        words("unified-6.12"),
        [
            format!("{unknown}; inner containers get no memory"),
            format!("{unknown}; inner containers get no cpuset, cpu, io, memory"),
            format!("{unknown}; inner containers get no cpuset, cpu, io, memory, pids"),
            format!("{unknown}; inner containers get no cpuset, cpu, io, memory, pids"),
            "inner containers get no cpuset, cpu, io, memory, pids".to_owned(),
        ]
    );
}

/// Facts hold what was read for their own engine. What another one needs beside that was not looked for, which is no lack of it;
/// and a version that is given is the version, where none was read too.
#[test]
fn facts_tell_what_was_not_looked_for_for_another_version() {
    let facts = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hosts/lxc.json")).unwrap();
    let mut without: Value = serde_json::from_str(&facts).unwrap();
    without["engine"] = serde_json::json!({"Err": {"verb": "find", "path": "dockerd", "reason": "it is not there"}});
    let told = |facts: &str, inner: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, facts).unwrap();
        let mut command = dindcheck();
        command.args(["check", "--format", "json", "--only", "engine.profile,engine.binaries", "--inner", inner]);
        let output = command.arg("--facts").arg(file.path()).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let findings = report["findings"].as_array().unwrap().iter();
        findings.map(|found| format!("{}: {}", found["outcome"], found["summary"])).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!([
        told(&facts, "28.5.2"),
        told(&facts, "1.11.2"),
        told(&without.to_string(), "28.5.2"),
        told(&without.to_string(), "1.9.1"),
    ]
    .join("\n\n"), @r#"
    "fail": "not found, can be done without: fuse-overlayfs, git, xz"
    "pass": "Docker 28.5.2 (--inner), judged by profiles/docker/28.3.yaml"

    "unknown": "not looked for: docker-containerd, docker-containerd-shim, docker-runc"
    "pass": "Docker 1.11.2 (--inner; read for 28.5.2+dfsg4), judged by profiles/docker/1.11.yaml"

    "unknown": "not looked for: dockerd, containerd, containerd-shim-runc-v2, runc, docker-proxy, iptables"
    "pass": "Docker 28.5.2 (--inner), judged by profiles/docker/28.3.yaml"

    "unknown": "not looked for: docker, iptables"
    "pass": "Docker 1.9.1 (--inner), judged by profiles/docker/1.9.yaml"
    "#);
}

/// All that is told of each captured machine for two eras, and of each captured container: what passes, too, with its evidence.
#[test]
fn all_that_is_told_of_captured_machines() {
    const HOSTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hosts");
    let mut hosts: Vec<_> = std::fs::read_dir(HOSTS).unwrap().map(|entry| entry.unwrap().path()).collect();
    hosts.sort();
    let mut told = String::new();
    for (path, inner) in hosts.iter().flat_map(|path| [(path, "1.9.1"), (path, "28.5.2")]) {
        let mut command = dindcheck();
        command.args(["check", "--format", "json", "--inner", inner]);
        if path.is_dir() {
            command.args(["--skip", &NEEDS_A_MACHINE.join(","), "--root"]).arg(path);
        } else {
            command.arg("--facts").arg(path);
        }
        let output = command.output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{path:?}: {output:?}"));
        let name = path.file_name().unwrap().to_str().unwrap();
        told += &format!("{name}, {inner}: {} {} {}\n", report["host"], report["outer"], report["foretold"]);
        report["findings"].as_array().unwrap().iter().for_each(|finding| told += &all_of(finding));
    }
    let told = told.replace(HOSTS, "HOSTS");
    insta::assert_snapshot!("captured", told);
}

/// A finding in few lines; nothing where it does not apply.
fn all_of(finding: &Value) -> String {
    let word = |key: &str| finding[key].as_str().unwrap_or_default();
    let (id, outcome, severity, foretells) = (word("id"), word("outcome"), word("severity"), word("foretells"));
    if outcome == "not-applicable" {
        return String::new();
    }
    let mut told = format!("  {id}: {outcome}, {severity}, {foretells}: {}\n", word("summary"));
    for line in finding["evidence"].as_array().unwrap() {
        told += &format!("    {line}\n");
    }
    if outcome != "pass" {
        told += &format!("    remedy: {}; fix: {}\n", finding["remedy"], finding["fix"]);
    }
    told
}
