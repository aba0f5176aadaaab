//! network.bridge-filter: iptables on bridges.

use super::is_own;
use crate::check::{Check, Docs, Mend, modules};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::network::BRIDGE_FILTER;
use crate::finding::{Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::{BridgeFilter, Profile};

pub(in crate::check) const CHECK: Check = Check {
    id: "network.bridge-filter",
    docs: Docs {
        title: "iptables on bridges",
        motivation: "With --icc=false or --userland-proxy=false the daemon filters between the ports of a bridge. \
                     Without br_netfilter in the kernel it cannot, and dies; up to 27.2 it went on inside of a \
                     Docker container, and filtered nothing; from 27.5.1 on it can be told to.",
        looks_at: "/proc/sys/net/bridge/bridge-nf-call-iptables, where the daemon is told --icc=false or \
                   --userland-proxy=false.",
        remedy: "On the host: modprobe br_netfilter; or DOCKER_IGNORE_BR_NETFILTER_ERROR=1 for the daemon.",
        since: "1.8",
    },
    run,
    mend: Some(Mend { title: "loads `br_netfilter`, if the host may be changed", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let network = facts.network.as_ref()?;
    let rule = &profile.network_bridge_filter;
    if rule.value == BridgeFilter::Ignored {
        return Ok(Verdict::not_applicable("this engine does not look at br_netfilter"));
    }
    let told: Vec<String> = network.daemon_without.iter().map(|name| format!("--{name}=false")).collect();
    if told.is_empty() {
        return Ok(Verdict::pass("the daemon is not told to filter between ports of a bridge"));
    }
    match network.bridge_filter {
        None => return Ok(Verdict::unknown("/proc/sys/net cannot be read")),
        Some(true) => return Ok(Verdict::pass("br_netfilter is there")),
        Some(false) => {}
    }
    let in_docker = facts.outer.as_ref()?.layers().any(|layer| layer == "docker");
    let goes_on = match rule.value {
        BridgeFilter::Ignored => true,
        BridgeFilter::WarnedInDocker => in_docker,
        BridgeFilter::Fatal => false,
        BridgeFilter::FatalUnlessTold => network.ignores_bridge_filter,
    };
    let severity = if goes_on { Severity::Warning } else { Severity::Blocking };
    if is_the_hosts_alone(facts) {
        let verdict = Verdict::fail(severity, "net.bridge is seen by the host alone on this kernel")
            .saw_wanted(BRIDGE_FILTER, "no such file, br_netfilter or not", "Linux 5.3 or later")
            .because(match severity {
                Severity::Blocking => "The daemon cannot see whether bridges are filtered, and dies.",
                _ => "Whether inner containers are filtered is the host's setting, whatever the daemon was told.",
            })
            .remedy("on the host, and for all of it: modprobe br_netfilter; sysctl -w net.bridge.bridge-nf-call-iptables=1")
            .remedy(format!("or leave {} out", told.join(" and ")))
            .source(rule.source.clone())
            .source("kernel net/bridge/br_netfilter_hooks.c: for each network namespace from 5.3 on, for the first alone before");
        return Ok(told_to_ignore(verdict, rule.value));
    }
    let verdict = Verdict::fail(severity, format!("no br_netfilter, and the daemon is told {}", told.join(" and ")))
        .saw_wanted(BRIDGE_FILTER, "no such file", "br_netfilter in the kernel")
        .evidence([modules::evidence(facts, "filtering on bridges", BRIDGE_MODULE)])
        .because(match severity {
            Severity::Blocking => "The daemon cannot filter between the ports of its bridge, and dies.",
            _ => "Nothing is filtered between inner containers, whatever the daemon was told.",
        })
        .remedy(modules::remedy(facts, &[BRIDGE_MODULE.to_owned()]))
        .remedy(format!("or leave {} out", told.join(" and ")))
        .source(rule.source.clone());
    Ok(told_to_ignore(verdict, rule.value))
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    if is_the_hosts_alone(facts) {
        return None;
    }
    fix::kernel::load(CHECK.id, &facts.kernel, &[BRIDGE_MODULE.to_owned()])
}

/// What filters there.
const BRIDGE_MODULE: &str = "br_netfilter";

/// The variable that lets the daemon go on without br_netfilter.
const IGNORE: &str = "DOCKER_IGNORE_BR_NETFILTER_ERROR";

/// The remedy of versions that can be told to go on.
fn told_to_ignore(verdict: Verdict, rule: BridgeFilter) -> Verdict {
    match rule {
        BridgeFilter::FatalUnlessTold => verdict.remedy(format!("or set {IGNORE}=1 for the daemon")),
        _ => verdict,
    }
}

/// Whether the file is in the first network namespace alone, and this is another one.
fn is_the_hosts_alone(facts: &Facts) -> bool {
    is_own(facts) && facts.kernel.as_ref().is_ok_and(|kernel| kernel.is_before(5, 3))
}
