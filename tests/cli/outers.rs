//! Captured containers of other outer engines: the facts of `scripts/record-facts`, judged without that engine.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::dindcheck;

/// A container, and what tests/outers has seen in it.
struct Captured {
    /// The file in tests/hosts, without its end.
    facts: &'static str,
    /// Whose container it is.
    engine: &'static str,
    /// What becomes of the plain daemon.
    foretold: &'static str,
    /// The findings that block or are warnings.
    found: &'static [&'static str],
    /// A check, and words of its first remedy; empty where nothing is found.
    remedy: (&'static str, &'static str),
}

const CAPTURED: &[Captured] = &[
    Captured { facts: "pod", engine: "kubernetes", foretold: "works", found: &[], remedy: ("", "") },
    Captured {
        facts: "pod-users-6.12",
        engine: "kubernetes",
        foretold: "every-container-fails",
        found: &["cgroup.delegation fail warning", "cgroup.operations fail blocking"],
        remedy: ("cgroup.operations", "SystemdCgroup = true, or crun"),
    },
    Captured {
        facts: "pod-users-crun-6.12",
        engine: "kubernetes",
        foretold: "works",
        found: &["cgroup.delegation fail warning"],
        remedy: ("cgroup.delegation", "no field of the pod"),
    },
    Captured {
        facts: "docker-gvisor",
        engine: "docker",
        foretold: "dies",
        found: &[
            "engine.pairing fail blocking",
            "limits.kernel unknown warning",
            "cgroup.controllers fail warning",
            "netfilter.iptables fail blocking",
            "netfilter.ip6tables fail warning",
            "network.loopback unknown warning",
            "network.rp-filter unknown warning",
            "network.arp unknown warning",
            "devices.nodes unknown warning",
        ],
        remedy: ("engine.pairing", "keep runc 1.3.2"),
    },
    Captured {
        facts: "docker-rootless",
        engine: "docker-rootless",
        foretold: "every-container-fails",
        found: &["cgroup.operations fail blocking"],
        remedy: ("cgroup.operations", "a host with cgroup v2, on which the controllers are delegated to the user"),
    },
    Captured {
        facts: "lxc",
        engine: "lxc",
        foretold: "dies",
        found: &["cgroup.mounted fail blocking", "network.nameservers fail warning"],
        remedy: ("cgroup.mounted", "let dindcheck --fix mount them"),
    },
    Captured {
        facts: "incus-6.12",
        engine: "lxc",
        foretold: "works",
        found: &[
            "privileges.seccomp fail warning",
            "cgroup.delegation fail warning",
            "network.nameservers fail warning",
        ],
        remedy: ("privileges.seccomp", "a filter of its own remains"),
    },
    Captured {
        facts: "podman-6-6.12",
        engine: "podman",
        foretold: "works",
        found: &["cgroup.delegation fail warning"],
        remedy: ("cgroup.delegation", "no option: let dindcheck --fix do it"),
    },
    Captured {
        facts: "podman-6-rootless-6.12",
        engine: "podman-rootless",
        foretold: "works",
        found: &["cgroup.delegation fail warning"],
        remedy: ("cgroup.delegation", "no option: let dindcheck --fix do it"),
    },
];

fn hosts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts")
}

#[test]
fn each_captured_container_has_its_findings() {
    for captured in CAPTURED {
        let name = captured.facts;
        let file = hosts().join(format!("{name}.json"));
        let output = dindcheck().args(["check", "--format", "json", "--facts"]).arg(file).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{name}: {output:?}"));
        let word = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let all = report["findings"].as_array().unwrap();
        let found: Vec<_> = all
            .iter()
            .filter(|finding| ["fail", "unknown"].contains(&word(finding, "outcome").as_str()))
            .filter(|finding| finding["severity"] != "info")
            .map(|finding| ["id", "outcome", "severity"].map(|key| word(finding, key)).join(" "))
            .collect();
        assert_eq!(found, captured.found, "{name}");
        assert_eq!(report["outer"]["engine"], captured.engine, "{name}");
        assert_eq!(report["foretold"], captured.foretold, "{name}");
        let (id, words) = captured.remedy;
        let remedy = all.iter().find(|finding| finding["id"] == id).and_then(|finding| finding["remedy"][0].as_str());
        assert!(remedy.unwrap_or_default().contains(words), "{name}: {words} is not what {id} says");
    }
}

/// Each file is judged above, and none tells on what machine it was made.
#[test]
fn each_captured_container_is_used_and_of_nowhere() {
    let mut there: Vec<String> = fs::read_dir(hosts())
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .collect();
    there.sort();
    let mut used: Vec<_> = CAPTURED.iter().map(|captured| captured.facts.to_owned()).collect();
    used.sort();
    assert_eq!(there, used);
    for name in used {
        let text = fs::read_to_string(hosts().join(format!("{name}.json"))).unwrap();
        for word in ["\"/root/", ":/root/", "/home/", ".cache", "dindcheck-lab"] {
            assert!(!text.contains(word), "{name} has {word}");
        }
    }
}
