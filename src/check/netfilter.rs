//! The firewall that the daemon will write.

use std::collections::BTreeSet;
use std::iter;

use super::{Check, Docs, modules, nftables};
use crate::facts::kernel::Presence;
use crate::facts::netfilter::{Attempt, Candidate, Failure, Flavour};
use crate::facts::{FactError, Facts};
use crate::finding::{Evidence, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

/// Why iptables does not matter.
const WITH_NFT: &str = "the daemon writes its rules with nft";

/// netfilter.iptables
pub(super) struct Iptables;

impl Check for Iptables {
    fn id(&self) -> &'static str {
        "netfilter.iptables"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("puts the flavour that works in front of the daemon's PATH, or loads modules, if the host may be changed")
    }

    fn docs(&self) -> Docs {
        Docs {
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
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let netfilter = facts.netfilter.as_ref()?;
        if nftables::is_used(facts) {
            return Ok(Verdict::not_applicable(WITH_NFT));
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

    fn fix(&self, facts: &Facts, profile: &Profile) -> Option<Fix> {
        if let Some(other) = working_other(facts) {
            return Some(fix::netfilter::prefer(self.id(), other));
        }
        let own = facts.netfilter.as_ref().ok()?.own()?;
        fix::kernel::load(self.id(), &facts.kernel, &rule_modules(own, profile, false))
    }
}

/// netfilter.ip6tables
pub(super) struct Ip6tables;

impl Check for Ip6tables {
    fn id(&self) -> &'static str {
        "netfilter.ip6tables"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("loads modules, if the host may be changed")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "ip6tables rules",
            motivation: "From 27.0 the daemon writes its rules for IPv6 as well. Where that fails it warns, and \
                         networks with IPv6 cannot be made.",
            looks_at: "The same rules as for IPv4, written with ip6tables in a network namespace that vanishes.",
            remedy: "Load ip6_tables and ip6table_nat on the host, or start the daemon with --ip6tables=false.",
            since: "27.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let netfilter = facts.netfilter.as_ref()?;
        let default = &profile.netfilter_ip6tables_default;
        if !default.value {
            return Ok(Verdict::not_applicable("this engine writes no IPv6 rules by default"));
        }
        if nftables::is_used(facts) {
            return Ok(Verdict::not_applicable(WITH_NFT));
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

    fn fix(&self, facts: &Facts, profile: &Profile) -> Option<Fix> {
        let own = facts.netfilter.as_ref().ok()?.own()?;
        fix::kernel::load(self.id(), &facts.kernel, &rule_modules(own, profile, true))
    }
}

/// netfilter.ipset
pub(super) struct Ipset;

impl Check for Ipset {
    fn id(&self) -> &'static str {
        "netfilter.ipset"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "sets of networks",
            motivation: "Docker 28.0.0, and no other, keeps its bridges in an ipset of the kernel. Many hosts have none, and \
                         the daemon dies there.",
            looks_at: "A set of type hash:net, made in a network namespace that vanishes.",
            remedy: "28.0.1 or later; or on the host: modprobe ip_set ip_set_hash_net xt_set.",
            since: "28.0.0 to 28.0.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let netfilter = facts.netfilter.as_ref()?;
        let Some(attempt) = netfilter.ipset.as_ref().filter(|_| profile.netfilter_ipset.value) else {
            return Ok(Verdict::not_applicable("this engine needs none"));
        };
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
}

const fn name(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Legacy => "legacy",
        Flavour::Nft => "nft",
        Flavour::Unknown => "of unknown flavour",
    }
}

fn failures(candidate: &Candidate, v6: bool) -> Vec<(&Attempt, &Failure)> {
    candidate
        .attempts
        .iter()
        .filter(|attempt| attempt.v6 == v6)
        .filter_map(|attempt| Some((attempt, attempt.failure.as_ref()?)))
        .collect()
}

/// The other flavour's programs, where the daemon's own do not write the rules and these do.
fn working_other(facts: &Facts) -> Option<&Candidate> {
    let netfilter = facts.netfilter.as_ref().ok()?;
    let (own, others) = netfilter.candidates.split_first()?;
    if own.writes_v4() { None } else { others.iter().find(|other| other.writes_v4()) }
}

fn refused(
    facts: &Facts,
    profile: &Profile,
    failed: &[(&Attempt, &Failure)],
    flavour: Flavour,
    severity: Severity,
) -> Verdict {
    let tables: Vec<&str> = failed.iter().map(|(attempt, _)| attempt.table.as_str()).collect();
    let seen = failed.iter().map(|(attempt, failure)| Evidence {
        location: format!("{} -t {} {}", attempt.program, attempt.table, failure.rule).trim_end().to_owned(),
        value: failure.message.clone(),
        wanted: Some("the rule is written".to_owned()),
    });
    let parts = parts(facts, failed, flavour).into_iter().map(|(part, module)| modules::evidence(facts, part, &module));
    Verdict::fail(severity, format!("rules are refused in {}", tables.join(", ")))
        .evidence(seen)
        .evidence(parts)
        .source(profile.netfilter_rules.source.clone())
}

/// What the refused rules rest on, each with the kernel's module for it: the part that the program names, or else
/// each match and target of the rule, or the table itself.
fn parts(facts: &Facts, failed: &[(&Attempt, &Failure)], flavour: Flavour) -> Vec<(String, String)> {
    let is_absent = |module: &&str| facts.kernel.as_ref().is_ok_and(|kernel| kernel.module(module) == Presence::Absent);
    // Without these nothing is written, whatever the rule.
    let bases: &[&str] = if flavour == Flavour::Legacy { &["ip_tables"] } else { &["nf_tables", "nft_compat"] };
    let mut parts: Vec<(String, String)> = bases
        .iter()
        .copied()
        .find(is_absent)
        .map(|module| ("every rule".to_owned(), module.to_owned()))
        .into_iter()
        .collect();
    if !parts.is_empty() {
        return parts;
    }
    for (attempt, failure) in failed {
        let all = rule_parts(&failure.rule);
        let is_named =
            |part: &&(String, String)| part.0.rsplit(' ').next().is_some_and(|word| failure.message.contains(word));
        let named: Vec<_> = all.iter().filter(is_named).cloned().collect();
        let chosen = if named.is_empty() { all } else { named };
        let table = (format!("table {}", attempt.table), table_module(attempt, flavour));
        for (part, module) in if chosen.is_empty() { vec![table] } else { chosen } {
            if !parts.iter().any(|(known, _)| *known == part) {
                parts.push((part, module));
            }
        }
    }
    parts
}

/// The matches and targets of a rule, each with the kernel's module for it.
fn rule_parts(rule: &str) -> Vec<(String, String)> {
    let words: Vec<&str> = rule.split_whitespace().collect();
    let part = |pair: &[&str]| match pair {
        ["-m", name] if !["tcp", "udp"].contains(name) => Some((format!("match {name}"), format!("xt_{name}"))),
        // A target in lower case or with DOCKER in it is a chain; ACCEPT and DROP are always there.
        ["-j", name] if ["DNAT", "SNAT"].contains(name) => Some((format!("target {name}"), "xt_nat".to_owned())),
        ["-j", name] if ["MASQUERADE", "REJECT", "REDIRECT"].contains(name) => {
            Some((format!("target {name}"), format!("xt_{name}")))
        }
        _ => None,
    };
    words.windows(2).filter_map(part).collect()
}

fn refused_modules(facts: &Facts, failed: &[(&Attempt, &Failure)], flavour: Flavour) -> Vec<String> {
    let mut modules: Vec<String> = Vec::new();
    for (_, module) in parts(facts, failed, flavour) {
        if !modules.contains(&module) {
            modules.push(module);
        }
    }
    modules
}

/// What the programs themselves rest on, what others rest on first.
fn base_modules(flavour: Flavour, tables: &BTreeSet<&str>, v6: bool) -> Vec<String> {
    let family = if v6 { "ip6" } else { "ip" };
    match flavour {
        Flavour::Legacy => iter::once(format!("{family}_tables"))
            .chain(tables.iter().map(|table| format!("{family}table_{table}")))
            .collect(),
        Flavour::Nft | Flavour::Unknown => ["nf_tables", "nft_compat", "nft_chain_nat"].map(str::to_owned).to_vec(),
    }
}

/// All modules that this version's rules rest on with these programs, what others rest on first.
fn rule_modules(own: &Candidate, profile: &Profile, v6: bool) -> Vec<String> {
    let rules = &profile.netfilter_rules.value;
    let tables: BTreeSet<&str> = rules
        .iter()
        .map(|rule| rule.strip_prefix("-t ").and_then(|rest| rest.split(' ').next()).unwrap_or("filter"))
        .collect();
    let mut modules = base_modules(own.flavour, &tables, v6);
    for (_, module) in rules.iter().flat_map(|rule| rule_parts(rule)) {
        if !modules.contains(&module) {
            modules.push(module);
        }
    }
    modules
}

/// The module of a table: of one family with ip_tables, of both with nf_tables.
fn table_module(attempt: &Attempt, flavour: Flavour) -> String {
    match (flavour == Flavour::Legacy, attempt.v6) {
        (true, false) => format!("iptable_{}", attempt.table),
        (true, true) => format!("ip6table_{}", attempt.table),
        (false, _) => "nf_tables".to_owned(),
    }
}
