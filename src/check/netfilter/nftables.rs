//! netfilter.nftables: nftables rules.

use crate::check::{Check, Docs, modules};
use crate::fact::{Fact, FactError};
use crate::facts::Facts;
use crate::facts::netfilter::{Attempt, Failure};
use crate::facts::nftables::Nftables;
use crate::finding::{Evidence, Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "netfilter.nftables",
    docs: Docs {
        title: "nftables rules",
        motivation: "With --firewall-backend=nftables the daemon runs nft instead of iptables. Where there is no nft, \
                     or the kernel lacks a part, it dies.",
        looks_at: "The table docker-bridges as this version writes it, with its chains, verdict maps and rules, written \
                   with the nft of the image in a network namespace that vanishes, unless that would load modules \
                   on the host.",
        remedy: "Install nftables in the image; load the kernel modules on the host; or leave \
                 --firewall-backend=nftables out.",
        since: "29.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let Some(nftables) = used(facts)? else {
        return Ok(Verdict::not_applicable("the daemon writes its rules with iptables"));
    };
    let nftables = nftables.as_ref()?;
    let source = &profile.netfilter_nftables_rules.source;
    let iptables = "or leave nftables out of --firewall-backend, and it writes with iptables";
    let Some(program) = &nftables.program else {
        return Ok(Verdict::fail(Severity::Blocking, "there is no nft program")
            .saw_wanted("PATH", "no nft", "nft")
            .because("The daemon was told to write its rules with it, and dies without.")
            .remedy("install nftables in the image")
            .remedy(iptables)
            .source(source.clone()));
    };
    if let Some(reason) = &nftables.not_tried {
        return Ok(Verdict::unknown(format!("the rules were not tried: {reason}")));
    }
    let mut failed =
        nftables.attempts.iter().filter_map(|attempt| Some((attempt, attempt.failure.as_ref()?))).peekable();
    let Some((first, failure)) = failed.peek() else {
        return Ok(Verdict::pass(format!("{program} writes all of them")));
    };
    let (severity, effect) = if first.v6 {
        (Severity::Warning, "The daemon warns, and networks with IPv6 cannot be made.")
    } else {
        (Severity::Blocking, "The daemon writes the same at its start, and dies.")
    };
    let needs = refused_parts(nftables);
    let mut parts: Vec<&str> = needs.iter().map(|(part, _)| *part).collect();
    parts.dedup();
    let modules: Vec<&str> = needs.iter().map(|(_, module)| module.as_str()).collect();
    let remedy = match failure.message.ends_with("Operation not permitted") {
        true => "start the outer container with --privileged, or at least --cap-add NET_ADMIN".to_owned(),
        false => format!("on the host: modprobe -a {}, where the kernel has them", modules.join(" ")),
    };
    Ok(Verdict::fail(severity, format!("nft is refused: {}", parts.join(", ")))
        .evidence(failed.map(|(attempt, failure)| refused(attempt, failure)))
        .evidence(needs.iter().map(|(part, module)| modules::evidence(facts, *part, module)))
        .because(effect)
        .remedy(remedy)
        .remedy(iptables)
        .source(source.clone()))
}

/// What a rule needs from the kernel beside nf_tables, told by a word of it (kernel net/netfilter/Kconfig).
const PARTS: [(&str, &str, &str); 6] = [
    ("nat", "chain type nat", "nft_chain_nat"),
    ("fib", "expression fib", "nft_fib_ipv4"),
    ("ct", "expression ct", "nft_ct"),
    ("masquerade", "statement masquerade", "nft_masq"),
    ("dnat", "statement dnat", "nft_nat"),
    ("vmap", "verdict map", "nf_tables"),
];

/// What nft can do here; `None` if the daemon writes with iptables.
pub(in crate::check) fn used(facts: &Facts) -> Result<Option<&Fact<Nftables>>, &FactError> {
    Ok(facts.netfilter.as_ref()?.nftables.as_ref())
}

/// Whether the daemon writes with nft.
pub(in crate::check) fn is_used(facts: &Facts) -> bool {
    used(facts).is_ok_and(|used| used.is_some())
}

fn refused(attempt: &Attempt, failure: &Failure) -> Evidence {
    let rule = if failure.rule.is_empty() { format!("table {}", attempt.table) } else { failure.rule.clone() };
    Evidence {
        location: format!("{} -f: {rule}", attempt.program),
        value: failure.message.clone(),
        wanted: Some("it is written".to_owned()),
    }
}

/// What the refused rules rest on, each with the kernel's module for it.
fn refused_parts(nftables: &Nftables) -> Vec<(&'static str, String)> {
    let mut parts = Vec::new();
    for (v6, rule) in nftables.attempts.iter().filter_map(|own| Some((own.v6, own.failure.as_ref()?.rule.as_str()))) {
        let known = PARTS.iter().filter(|(word, ..)| rule.split_whitespace().any(|own| own == *word));
        parts.extend(
            known.map(|(_, part, module)| {
                (*part, if v6 { module.replace("ipv4", "ipv6") } else { (*module).to_owned() })
            }),
        );
    }
    // The first thing that it does, or none that is known.
    if parts.is_empty() {
        parts.push(("every rule", "nf_tables".to_owned()));
    }
    parts
}
