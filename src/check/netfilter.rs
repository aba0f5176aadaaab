//! The firewall that the daemon will write.

use super::{Check, Docs};
use crate::facts::kernel::Presence;
use crate::facts::netfilter::{Attempt, Candidate, Failure, Flavour};
use crate::facts::{FactError, Facts};
use crate::finding::{Evidence, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

/// netfilter.iptables
pub(super) struct Iptables;

impl Check for Iptables {
    fn id(&self) -> &'static str {
        "netfilter.iptables"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("puts the flavour that works in front of the daemon's PATH")
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
                     --fix puts the flavour that works in front of the daemon's PATH.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let netfilter = facts.netfilter.as_ref()?;
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
            let verdict = Verdict::fail(Severity::Blocking, "iptables is the legacy one, and the kernel has no ip_tables")
                .saw_wanted("/proc/net/ip_tables_names", "no such file", "present: ip_tables is loaded or built in")
                .because(format!(
                    "{program} speaks to ip_tables alone; it is not tried here, because that would load modules on the host."
                ))
                .source(profile.netfilter_tables.source.clone());
            return Ok(
                advise(verdict).remedy("on the host: modprobe ip_tables iptable_nat, or iptables-nft in the image")
            );
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
        let verdict = refused(facts, profile, &failed, Severity::Blocking)
            .because(format!("{program} ({flavour}) cannot write what the daemon writes at its start."));
        Ok(advise(verdict).remedy(modules_remedy(facts, &failed)))
    }

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        working_other(facts).map(|other| fix::netfilter::prefer(self.id(), other))
    }
}

/// netfilter.ip6tables
pub(super) struct Ip6tables;

impl Check for Ip6tables {
    fn id(&self) -> &'static str {
        "netfilter.ip6tables"
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
            return Ok(refused(facts, profile, &failed, Severity::Warning)
                .because("The daemon warns, and networks with IPv6 cannot be made.")
                .remedy("start the daemon with --ip6tables=false")
                .remedy(modules_remedy(facts, &failed)));
        }
        if !own.attempts.iter().any(|attempt| attempt.v6) {
            return Ok(Verdict::unknown("the rules were not tried"));
        }
        Ok(Verdict::pass(format!("{program} writes the same")))
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

fn refused(facts: &Facts, profile: &Profile, failed: &[(&Attempt, &Failure)], severity: Severity) -> Verdict {
    let tables: Vec<&str> = failed.iter().map(|(attempt, _)| attempt.table.as_str()).collect();
    let seen = failed.iter().map(|(attempt, failure)| Evidence {
        location: format!("{} -t {} {}", attempt.program, attempt.table, failure.rule).trim_end().to_owned(),
        value: failure.message.clone(),
        wanted: Some("the rule is written".to_owned()),
    });
    let parts = parts(failed).into_iter().map(|(part, module)| Evidence {
        location: part,
        value: format!("{module}: {}", presence(facts, &module)),
        wanted: None,
    });
    Verdict::fail(severity, format!("rules are refused in {}", tables.join(", ")))
        .evidence(seen)
        .evidence(parts)
        .source(profile.netfilter_rules.source.clone())
}

/// What the refused rules rest on, each with the kernel's module for it: the part that the program names, or else
/// each match and target of the rule, or the table itself.
fn parts(failed: &[(&Attempt, &Failure)]) -> Vec<(String, String)> {
    let mut parts: Vec<(String, String)> = Vec::new();
    for (attempt, failure) in failed {
        let words: Vec<&str> = failure.rule.split_whitespace().collect();
        let of_rule = words.windows(2).filter_map(|pair| match pair {
            ["-m", name] if !["tcp", "udp"].contains(name) => {
                Some((format!("match {name}"), (*name).to_owned(), format!("xt_{name}")))
            }
            // A target in lower case or with DOCKER in it is a chain; ACCEPT and DROP are always there.
            ["-j", name] if ["DNAT", "SNAT"].contains(name) => {
                Some((format!("target {name}"), (*name).to_owned(), "xt_nat".to_owned()))
            }
            ["-j", name] if ["MASQUERADE", "REJECT", "REDIRECT"].contains(name) => {
                Some((format!("target {name}"), (*name).to_owned(), format!("xt_{name}")))
            }
            _ => None,
        });
        let all: Vec<(String, String, String)> = of_rule.collect();
        let named: Vec<_> =
            all.iter().filter(|(_, word, _)| failure.message.contains(word.as_str())).cloned().collect();
        let chosen = if named.is_empty() { all } else { named };
        let table = (format!("table {}", attempt.table), String::new(), table_module(attempt));
        let chosen = if chosen.is_empty() { vec![table] } else { chosen };
        for (part, _, module) in chosen {
            if !parts.iter().any(|(known, _)| *known == part) {
                parts.push((part, module));
            }
        }
    }
    parts
}

/// The module of a table: of one family with ip_tables, of both with nf_tables.
fn table_module(attempt: &Attempt) -> String {
    match (attempt.program.contains("legacy"), attempt.v6) {
        (true, false) => format!("iptable_{}", attempt.table),
        (true, true) => format!("ip6table_{}", attempt.table),
        (false, _) => "nf_tables".to_owned(),
    }
}

fn presence(facts: &Facts, module: &str) -> &'static str {
    let Ok(kernel) = &facts.kernel else { return "not known" };
    match kernel.module(module) {
        Presence::BuiltIn | Presence::Loaded => "is in the kernel",
        Presence::Loadable => "a module that is not loaded",
        Presence::Absent => "neither built in nor a module of this kernel",
        Presence::Untold if !kernel.modular => "built in or not there: this kernel loads no modules",
        Presence::Untold => "not told: /lib/modules is not seen here",
    }
}

fn modules_remedy(facts: &Facts, failed: &[(&Attempt, &Failure)]) -> String {
    let modules: Vec<String> = parts(failed).into_iter().map(|(_, module)| module).collect();
    let absent = facts
        .kernel
        .as_ref()
        .is_ok_and(|kernel| modules.iter().any(|module| kernel.module(module) == Presence::Absent || !kernel.modular));
    if absent {
        format!("a host kernel that has {}", modules.join(", "))
    } else {
        format!("on the host: modprobe {}", modules.join(" "))
    }
}
