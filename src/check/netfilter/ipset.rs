//! netfilter.ipset: sets of networks.

use super::is_off;
use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "netfilter.ipset",
    docs: Docs {
        title: "sets of networks",
        motivation: "Docker 28.0.0, and no other, keeps its bridges in an ipset of the kernel. Many hosts have none, and \
                     the daemon dies there.",
        looks_at: "A set of type hash:net, made in a network namespace that vanishes.",
        remedy: "28.0.1 or later; or on the host: modprobe ip_set ip_set_hash_net xt_set.",
        since: "28.0.0 to 28.0.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let netfilter = facts.netfilter.as_ref()?;
    let Some(attempt) = netfilter.ipset.as_ref().filter(|_| profile.netfilter_ipset.value) else {
        return Ok(Verdict::not_applicable("this engine needs none"));
    };
    if is_off(facts, "iptables") {
        return Ok(Verdict::not_applicable("the daemon is told to write no rules"));
    }
    let attempt = attempt.as_ref()?;
    let Some(error) = &attempt.error else {
        return Ok(Verdict::pass("made"));
    };
    Ok(Verdict::fail(Severity::Blocking, "the kernel makes no set of networks")
        .saw_wanted(attempt.what.clone(), error.clone(), "it works")
        .because(format!("Docker {} makes one for its bridges, and dies without.", profile.version))
        .remedy("use 28.0.1 or later, which needs none")
        .remedy("or on the host: modprobe ip_set ip_set_hash_net xt_set")
        .source(profile.netfilter_ipset.source.clone()))
}
