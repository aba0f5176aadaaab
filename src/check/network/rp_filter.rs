//! network.rp-filter: reverse path filter.

use super::is_own;
use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::network::{NETSTAT, RP_FILTER_DROPS, rp_filter_path};
use crate::finding::{Evidence, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "network.rp-filter",
    docs: Docs {
        title: "reverse path filter",
        motivation: "With a strict filter and more than one way out, packets whose answers would leave by another \
                     interface vanish: those that kube-proxy or a published port redirects, and those of overlay \
                     networks such as flannel. Small tests work, and some connections hang.",
        looks_at: "net.ipv4.conf.*.rp_filter, where there is more than one interface; how many packets it has dropped \
                   (IPReversePathFilter in /proc/net/netstat).",
        remedy: "docker run --sysctl net.ipv4.conf.all.rp_filter=2; dindcheck --fix sets it.",
        since: "1.0",
    },
    run,
    mend: Some(Mend { title: "makes it loose", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let network = facts.network.as_ref()?;
    let Some((_, all)) = network.rp_filter.iter().find(|(name, _)| name == "all") else {
        return Ok(Verdict::unknown(format!("{} cannot be read", rp_filter_path("all"))));
    };
    let effective = |own: u32| own.max(*all);
    let interfaces: Vec<_> = network.rp_filter.iter().filter(|(name, _)| name != "all").collect();
    let strict: Vec<&str> =
        interfaces.iter().filter(|(_, own)| effective(*own) == STRICT).map(|(name, _)| name.as_str()).collect();
    if strict.is_empty() {
        return Ok(Verdict::pass("off or loose"));
    }
    if interfaces.len() < 2 {
        return Ok(Verdict::pass("strict, and there is one way only"));
    }
    let dropped = network.rp_filter_drops.filter(|count| *count > 0);
    let count = dropped.map(|count| format!("; {count} dropped so far")).unwrap_or_default();
    Ok(Verdict::fail(Severity::Warning, format!("strict on {}{count}", strict.join(", ")))
        .evidence(network.rp_filter.iter().map(|(name, value)| Evidence {
            location: rp_filter_path(name),
            value: value.to_string(),
            wanted: (effective(*value) == STRICT).then(|| "2 (loose), here or for all".to_owned()),
        }))
        .evidence(dropped.map(|count| Evidence {
            location: format!("{NETSTAT}: {RP_FILTER_DROPS}"),
            value: count.to_string(),
            wanted: Some("0".to_owned()),
        }))
        .because("What comes in by one interface and would be answered by another is dropped without a word.")
        .remedy("docker run --sysctl net.ipv4.conf.all.rp_filter=2 …")
        .remedy("or let dindcheck --fix set it in this network namespace")
        .source("kernel Documentation/networking/ip-sysctl.rst: rp_filter"))
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    let network = facts.network.as_ref().ok()?;
    let (_, all) = network.rp_filter.iter().find(|(name, _)| name == "all")?;
    Some(fix::network::loosen(CHECK.id, *all, is_own(facts)))
}

/// Drops what comes in by another way than its answer would take.
const STRICT: u32 = 1;
