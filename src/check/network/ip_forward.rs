//! network.ip-forward: IP forwarding.

use super::is_own;
use crate::check::netfilter::nftables;
use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::network::IP_FORWARD;
use crate::finding::{Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::{IpForward, Profile};

pub(in crate::check) const CHECK: Check = Check {
    id: "network.ip-forward",
    docs: Docs {
        title: "IP forwarding",
        motivation: "The daemon turns IP forwarding on. Where it cannot, most versions die, and the rest have \
                     containers that reach nothing outside.",
        looks_at: "net.ipv4.ip_forward, and whether it can be written, in a network namespace that vanishes; with \
                   --ipv6 the forwarding of net.ipv6.conf.all and .default; whether the daemon is told to leave them \
                   as they are.",
        remedy: "--privileged, or docker run --sysctl net.ipv4.ip_forward=1.",
        since: "1.0",
    },
    run,
    mend: Some(Mend { title: "turns it on, where the daemon does not", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let network = facts.network.as_ref()?;
    let rule = &profile.network_ip_forward;
    let off = network.forwarding_off();
    let is_left = network.daemon_leaves_forwarding || only_looks(facts);
    let is_on = network.ip_forward == Some(true) && rule.value != IpForward::Written;
    if is_on && (!is_left || off.is_empty()) {
        return Ok(Verdict::pass("on"));
    }
    let attempts = network.attempts.as_ref()?;
    let Some(write) = attempts.iter().find(|attempt| attempt.what.starts_with("write ")) else {
        return Ok(Verdict::unknown("writing it was not tried"));
    };
    if is_left && !off.is_empty() && (is_on || write.error.is_none()) {
        let looks = only_looks(facts);
        let (severity, summary, cause, source) = if looks {
            (
                Severity::Blocking,
                "off, and the daemon does not turn it on with nftables",
                "With --firewall-backend=nftables the daemon only looks, and dies: \"forwarding is disabled\".",
                &profile.netfilter_nftables.source,
            )
        } else {
            (
                Severity::Warning,
                "off, and the daemon is told to leave it so",
                "Inner containers reach nothing outside, and their published ports cannot be reached.",
                &rule.source,
            )
        };
        let v6 = if network.ip_forward == Some(true) { "IPv6: " } else { "" };
        let wanted = if looks { "1" } else { "1, or no --ip-forward=false" };
        let flags: Vec<String> = off.iter().map(|path| format!("--sysctl {}=1", sysctl(path))).collect();
        let leave_out = if looks { "" } else { "leave --ip-forward=false out, or " };
        let mut verdict = Verdict::fail(severity, format!("{v6}{summary}"));
        for path in &off {
            verdict = verdict.saw_wanted(path.clone(), "0", wanted);
        }
        return Ok(verdict
            .because(cause)
            .remedy(format!("{leave_out}docker run {} …", flags.join(" ")))
            .remedy("or let dindcheck --fix turn it on in this network namespace")
            .source(source.clone()));
    }
    let Some(error) = &write.error else { return Ok(Verdict::pass("can be turned on")) };
    let severity = if rule.value == IpForward::Warned { Severity::Warning } else { Severity::Blocking };
    Ok(Verdict::fail(severity, "IP forwarding cannot be turned on")
        .saw_wanted(IP_FORWARD, error.clone(), "writable")
        .because(match rule.value {
            IpForward::Warned => "The daemon warns, and its containers reach nothing outside.",
            IpForward::Written => "The daemon writes it even where it is on, and dies.",
            IpForward::WrittenIfNeeded => "It is off, so the daemon writes it, and dies.",
        })
        .remedy("start the outer container with --privileged")
        .remedy("or docker run --sysctl net.ipv4.ip_forward=1 …")
        .source(rule.source.clone()))
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    let network = facts.network.as_ref().ok()?;
    let attempts = network.attempts.as_ref().ok()?;
    let writable = attempts.iter().any(|attempt| attempt.what.starts_with("write ") && attempt.error.is_none());
    let is_left = network.daemon_leaves_forwarding || only_looks(facts);
    let off = network.forwarding_off();
    (writable && is_left && !off.is_empty()).then(|| fix::network::forward(CHECK.id, network, is_own(facts)))
}

/// The name of a sysctl, from its file.
fn sysctl(path: &str) -> String {
    path.trim_start_matches("/proc/sys/").replace('/', ".")
}

/// Whether the daemon leaves IP forwarding to others and dies where it is off: with nft it cannot drop what is not its
/// own.
fn only_looks(facts: &Facts) -> bool {
    let told_to_leave = facts.network.as_ref().is_ok_and(|network| network.daemon_leaves_forwarding);
    nftables::is_used(facts) && !told_to_leave
}
