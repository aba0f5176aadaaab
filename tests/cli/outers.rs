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
    /// Words of the first remedy of the first of them; empty if there is none to paste.
    remedy: &'static str,
}

const CAPTURED: &[Captured] = &[
    Captured { facts: "pod", engine: "kubernetes", foretold: "works", found: &[], remedy: "" },
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
        remedy: "keep runc 1.3.2",
    },
    Captured {
        facts: "docker-rootless",
        engine: "docker-rootless",
        foretold: "every-container-fails",
        found: &["cgroup.operations fail blocking"],
        remedy: "a host with cgroup v2, on which the controllers are delegated to the user",
    },
    Captured {
        facts: "lxc",
        engine: "lxc",
        foretold: "dies",
        found: &["cgroup.mounted fail blocking", "network.nameservers fail warning"],
        remedy: "let dindcheck --fix mount them",
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
            .collect();
        let words: Vec<_> =
            found.iter().map(|f| ["id", "outcome", "severity"].map(|key| word(f, key)).join(" ")).collect();
        assert_eq!(words, captured.found, "{name}");
        assert_eq!(report["outer"]["engine"], captured.engine, "{name}");
        assert_eq!(report["foretold"], captured.foretold, "{name}");
        let remedy = found.first().map(|finding| finding["remedy"][0].as_str().unwrap_or_default()).unwrap_or_default();
        assert!(remedy.contains(captured.remedy), "{name}: {}", remedy);
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
        for word in ["/root/", "/home/", "/work/", ".cache", "dindcheck-lab"] {
            assert!(!text.contains(word), "{name} has {word}");
        }
    }
}
