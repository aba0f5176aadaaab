//! netfilter.iptables: iptables rules.

use super::{WITH_NFT, failures, is_off, name, nftables, refused, refused_modules, rule_modules};
use crate::check::{Check, Docs, Mend, modules};
use crate::configuration::Setting;
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::netfilter::{Candidate, Flavour};
use crate::finding::{Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "netfilter.iptables",
    docs: Docs {
        title: "iptables rules",
        motivation: "A daemon that cannot write its rules dies with \"failed to create NAT chain DOCKER\". That \
                     rules can be listed proves nothing: nat, addrtype or MASQUERADE may still be missing.",
        looks_at: "The chains and rules that this version writes are written, to filter, nat and raw, in a network \
                   namespace that vanishes; with the other flavour (legacy, nft) too where the daemon's own fails. \
                   A legacy program that would load kernel modules is not run.",
        remedy: "Load the kernel modules on the host, or use the iptables flavour that the kernel has; dindcheck \
                 --fix puts the flavour that works in front of the daemon's PATH; with --allow-host-changes, and \
                 none that works, it loads the modules.",
        since: "1.0",
    },
    run,
    mend: Some(Mend {
        title: "puts the flavour that works in front of the daemon's PATH, or loads modules, if the host may be changed",
        needs_trials: false,
        fix,
    }),
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let netfilter = facts.netfilter.as_ref()?;
    if nftables::is_used(facts) {
        return Ok(Verdict::not_applicable(WITH_NFT));
    }
    if let Some(off) = off(facts) {
        return Ok(Verdict::fail(Severity::Info, "no rules are written: the daemon is told to do without")
            .saw(off.origin.to_string(), "iptables=false")
            .because(
                "Nothing is masqueraded: inner containers reach other machines only where those know a way back. Ports \
                 are published by the userland proxy alone, and no network is kept apart from another.",
            )
            .source(profile.netfilter_rules.source.clone()));
    }
    let Some(own) = netfilter.own() else {
        return Ok(Verdict::fail(Severity::Blocking, "there is no iptables program")
            .saw_wanted("PATH", "no iptables", "iptables")
            .because("The daemon writes its NAT rules with it, and dies without.")
            .remedy("install iptables in the image")
            .source(profile.netfilter_tables.source.clone()));
    };
    let program = &own.iptables;
    let flavour = name(own.flavour);
    let other = working_other(facts);
    let advise = |verdict: Verdict| {
        match other {
        Some(other) => verdict.remedy(format!(
            "let dindcheck --fix put {} first, which writes all of them; or update-alternatives --set iptables {} in the image",
            other.iptables, other.iptables
        )),
        None => verdict,
    }
    };
    if own.flavour == Flavour::Legacy && !netfilter.legacy_in_kernel {
        let modules = rule_modules(own, profile, false);
        let verdict = Verdict::fail(Severity::Blocking, "iptables is the legacy one, and the kernel has no ip_tables")
            .saw_wanted("/proc/net/ip_tables_names", "no such file", "present: ip_tables is loaded or built in")
            .evidence(modules.iter().map(|module| modules::evidence(facts, "legacy iptables", module)))
            .because(format!(
                "{program} speaks to ip_tables alone; it is not tried here, because that would load modules on the host."
            ))
            .source(profile.netfilter_tables.source.clone());
        return Ok(advise(verdict).remedy("iptables-nft in the image").remedy(modules::remedy(facts, &modules)));
    }
    if let Some(reason) = &own.not_tried {
        return Ok(Verdict::unknown(format!("the rules were not tried: {reason}")));
    }
    let failed = failures(own, false);
    if failed.is_empty() {
        let tables: Vec<&str> =
            own.attempts.iter().filter(|attempt| !attempt.v6).map(|attempt| attempt.table.as_str()).collect();
        return Ok(Verdict::pass(format!("{program} ({flavour}) writes {}", tables.join(", "))));
    }
    let verdict = refused(facts, profile, &failed, own.flavour, Severity::Blocking)
        .because(format!("{program} ({flavour}) cannot write what the daemon writes at its start."));
    Ok(advise(verdict).remedy(modules::remedy(facts, &refused_modules(facts, &failed, own.flavour))))
}

fn fix(facts: &Facts, profile: &Profile) -> Option<Fix> {
    if is_off(facts, "iptables") {
        return None;
    }
    if let Some(other) = working_other(facts) {
        return Some(fix::netfilter::prefer(CHECK.id, other));
    }
    let own = facts.netfilter.as_ref().ok()?.own()?;
    fix::kernel::load(CHECK.id, &facts.kernel, &rule_modules(own, profile, false))
}

/// Where the daemon is told to write no rules.
fn off(facts: &Facts) -> Option<&Setting> {
    facts.configuration.as_ref().ok()?.setting("iptables").filter(|_| is_off(facts, "iptables"))
}

/// The other flavour's programs, where the daemon's own do not write the rules and these do.
fn working_other(facts: &Facts) -> Option<&Candidate> {
    let netfilter = facts.netfilter.as_ref().ok()?;
    let (own, others) = netfilter.candidates.split_first()?;
    if own.writes_v4() { None } else { others.iter().find(|other| other.writes_v4()) }
}
