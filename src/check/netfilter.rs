//! The firewall that the daemon will write.

pub(super) mod ip6tables;
pub(super) mod ipset;
pub(super) mod iptables;
pub(super) mod nftables;

use std::collections::BTreeSet;
use std::iter;

use crate::check::modules;
use crate::facts::Facts;
use crate::facts::kernel::Presence;
use crate::facts::netfilter::{Attempt, Candidate, Failure, Flavour};
use crate::finding::{Evidence, Severity, Verdict};
use crate::profile::Profile;

/// Why iptables does not matter.
const WITH_NFT: &str = "the daemon writes its rules with nft";

/// Whether the daemon is told to write no rules of a family: `iptables`, `ip6tables`.
pub(in crate::check) fn is_off(facts: &Facts, flag: &str) -> bool {
    facts.configuration.as_ref().is_ok_and(|configuration| configuration.is_off(flag))
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
