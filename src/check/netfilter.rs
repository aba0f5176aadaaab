//! The firewall that the daemon will write.

use super::{Check, Docs};
use crate::facts::netfilter::Flavour;
use crate::facts::{FactError, Facts};
use crate::finding::{Evidence, Severity, Verdict};
use crate::profile::Profile;

/// netfilter.iptables
pub(super) struct Iptables;

impl Check for Iptables {
    fn id(&self) -> &'static str {
        "netfilter.iptables"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "iptables rules",
            motivation: "A daemon that cannot write its rules dies with \"failed to create NAT chain DOCKER\". That \
                         rules can be listed proves nothing: nat, addrtype or MASQUERADE may still be missing.",
            looks_at: "The kinds of rules that this version writes are written, in a network namespace that vanishes.",
            remedy: "Load the kernel modules on the host, or use the iptables flavour that the kernel has.",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let netfilter = facts.netfilter.as_ref()?;
        let Some(program) = &netfilter.iptables else {
            return Ok(Verdict::fail(Severity::Blocking, "there is no iptables program")
                .saw_wanted("PATH", "no iptables", "iptables")
                .because("The daemon writes its NAT rules with it, and dies without.")
                .remedy("install iptables in the image")
                .source(profile.netfilter_tables.source.clone()));
        };
        let flavour = match netfilter.flavour {
            Flavour::Legacy => "legacy",
            Flavour::Nft => "nft",
            Flavour::Unknown => "of unknown flavour",
        };
        let failed: Vec<_> =
            netfilter.attempts.iter().filter_map(|attempt| Some((attempt, attempt.failure.as_ref()?))).collect();
        if !failed.is_empty() {
            let tables: Vec<&str> = failed.iter().map(|(attempt, _)| attempt.table.as_str()).collect();
            let seen = failed.iter().map(|(attempt, failure)| Evidence {
                location: format!("{} -t {} {}", attempt.program, attempt.table, failure.rule).trim_end().to_owned(),
                value: failure.message.clone(),
                wanted: Some("the rule is written".to_owned()),
            });
            return Ok(Verdict::fail(Severity::Blocking, format!("rules are refused in {}", tables.join(", ")))
                .evidence(seen)
                .because(format!("{program} ({flavour}) cannot write what the daemon writes at its start."))
                .remedy("on the host: modprobe ip_tables iptable_nat xt_addrtype xt_conntrack (legacy) or nf_tables nft_compat (nft)")
                .remedy("or put the other flavour first in the image's PATH (update-alternatives --config iptables)")
                .source(profile.netfilter_tables.source.clone()));
        }
        if netfilter.flavour == Flavour::Legacy && !netfilter.legacy_in_kernel {
            return Ok(Verdict::fail(Severity::Blocking, "iptables is the legacy one, and the kernel has no ip_tables")
                .saw_wanted("/proc/net/ip_tables_names", "no such file", "present: ip_tables is loaded or built in")
                .because(format!("{program} speaks to ip_tables alone; it is not tried here, because that would load modules on the host."))
                .remedy("use iptables-nft in the image")
                .remedy("or on the host: modprobe ip_tables iptable_nat")
                .source(profile.netfilter_tables.source.clone()));
        }
        if netfilter.attempts.is_empty() {
            return Ok(Verdict::unknown("the rules were not tried on this captured machine"));
        }
        let tables: Vec<&str> = netfilter.attempts.iter().map(|attempt| attempt.table.as_str()).collect();
        Ok(Verdict::pass(format!("{} ({flavour}) writes {}", program, tables.join(", "))))
    }
}
