//! network.arp: answers to ARP.

use super::is_own;
use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::network::{Network, arp_ignore_path};
use crate::finding::{Evidence, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "network.arp",
    docs: Docs {
        title: "answers to ARP",
        motivation: "A new network namespace has the sysctls of the host. On a host behind a load balancer that \
                     answers no ARP, neither does docker0, and inner containers do not even reach their gateway.",
        looks_at: "net.ipv4.conf.all.arp_ignore, and that of interfaces to be made.",
        remedy: "docker run --sysctl net.ipv4.conf.all.arp_ignore=0 --sysctl net.ipv4.conf.default.arp_ignore=0; \
                 dindcheck --fix sets them.",
        since: "1.0",
    },
    run,
    mend: Some(Mend { title: "sets them to 0", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let network = facts.network.as_ref()?;
    if network.arp_ignore.is_empty() {
        return Ok(Verdict::unknown(format!("{} cannot be read", arp_ignore_path("all"))));
    }
    let silent = silent(network);
    if silent.is_empty() {
        return Ok(Verdict::pass("ARP requests are answered"));
    }
    let names: Vec<&str> = silent.iter().map(|(name, _)| name.as_str()).collect();
    Ok(Verdict::fail(Severity::Warning, format!("ARP requests are not answered on: {}", names.join(", ")))
        .evidence(silent.iter().map(|(name, value)| Evidence {
            location: arp_ignore_path(name),
            value: value.to_string(),
            wanted: Some("0 to 2".to_owned()),
        }))
        .because("Inner containers ask for their gateway, docker0, and hear nothing.")
        .remedy("docker run --sysctl net.ipv4.conf.all.arp_ignore=0 --sysctl net.ipv4.conf.default.arp_ignore=0 …")
        .remedy("or let dindcheck --fix set them in this network namespace")
        .source("kernel Documentation/networking/ip-sysctl.rst: arp_ignore; kind's entrypoint sets it as well"))
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    let silent = silent(facts.network.as_ref().ok()?);
    (!silent.is_empty()).then(|| fix::network::answer_arp(CHECK.id, &silent, is_own(facts)))
}

/// Answers no request (kernel Documentation/networking/ip-sysctl.rst: arp_ignore).
const SILENT: u32 = 8;

/// The settings with which no interface answers.
fn silent(network: &Network) -> Vec<&(String, u32)> {
    network.arp_ignore.iter().filter(|(_, value)| *value >= SILENT).collect()
}
