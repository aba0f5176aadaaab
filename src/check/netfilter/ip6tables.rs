//! netfilter.ip6tables: ip6tables rules.

use super::{WITH_NFT, failures, is_off, nftables, refused, refused_modules, rule_modules};
use crate::check::{Check, Docs, Mend, modules};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "netfilter.ip6tables",
    docs: Docs {
        title: "ip6tables rules",
        motivation: "From 27.0 the daemon writes its rules for IPv6 as well. Where that fails it warns, and \
                     networks with IPv6 cannot be made.",
        looks_at: "The same rules as for IPv4, written with ip6tables in a network namespace that vanishes.",
        remedy: "Load ip6_tables and ip6table_nat on the host, or start the daemon with --ip6tables=false.",
        since: "27.0",
    },
    run,
    mend: Some(Mend { title: "loads modules, if the host may be changed", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let netfilter = facts.netfilter.as_ref()?;
    let default = &profile.netfilter_ip6tables_default;
    if !default.value {
        return Ok(Verdict::not_applicable("this engine writes no IPv6 rules by default"));
    }
    if nftables::is_used(facts) {
        return Ok(Verdict::not_applicable(WITH_NFT));
    }
    if is_off(facts, "ip6tables") {
        return Ok(Verdict::not_applicable("the daemon is told to write no IPv6 rules"));
    }
    let Some(own) = netfilter.own() else {
        return Ok(Verdict::not_applicable("there is no iptables program"));
    };
    let Some(program) = &own.ip6tables else {
        return Ok(Verdict::fail(Severity::Warning, "there is no ip6tables program")
            .saw_wanted("PATH", "no ip6tables", "ip6tables")
            .because("The daemon warns, and networks with IPv6 cannot be made.")
            .remedy("install ip6tables in the image, or start the daemon with --ip6tables=false")
            .source(default.source.clone()));
    };
    if let Some(reason) = &own.not_tried {
        return Ok(Verdict::unknown(format!("the rules were not tried: {reason}")));
    }
    let failed = failures(own, true);
    if !failed.is_empty() {
        return Ok(refused(facts, profile, &failed, own.flavour, Severity::Warning)
            .because("The daemon warns, and networks with IPv6 cannot be made.")
            .remedy("start the daemon with --ip6tables=false")
            .remedy(modules::remedy(facts, &refused_modules(facts, &failed, own.flavour))));
    }
    if !own.attempts.iter().any(|attempt| attempt.v6) {
        return Ok(Verdict::unknown("the rules were not tried"));
    }
    Ok(Verdict::pass(format!("{program} writes the same")))
}

fn fix(facts: &Facts, profile: &Profile) -> Option<Fix> {
    let own = facts.netfilter.as_ref().ok()?.own()?;
    fix::kernel::load(CHECK.id, &facts.kernel, &rule_modules(own, profile, true))
}
