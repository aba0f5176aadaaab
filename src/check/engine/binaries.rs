//! engine.binaries: engine programs.

use crate::check::netfilter::{self, nftables};
use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "engine.binaries",
    docs: Docs {
        title: "engine programs",
        motivation: "From 1.11 the engine is several programs, and their names changed twice. A missing one shows \
                     up late, as a start that times out or a first container that fails.",
        looks_at: "Each program that the profile names, in PATH.",
        remedy: "Install the packages that the image leaves out, or fix PATH.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let engine = facts.engine.as_ref()?;
    let embeds_containerd = facts.configuration.as_ref().is_ok_and(|configuration| configuration.embeds_containerd);
    let needless = |name: &&String| match name.as_str() {
        // netfilter.nftables says what it is then; and a daemon that writes no rules needs no program for them.
        "iptables" => nftables::is_used(facts) || netfilter::is_off(facts, "iptables"),
        "containerd" => embeds_containerd,
        _ => false,
    };
    let absent = |names: &[String]| -> Vec<String> {
        let missing = names.iter().filter(|name| engine.binaries.get(*name) == Some(&None));
        missing.filter(|name| !needless(name)).cloned().collect()
    };
    let (needed, missing) = (&profile.binaries_required, absent(&profile.binaries_required.value));
    if !missing.is_empty() {
        return Ok(Verdict::fail(Severity::Blocking, format!("not found: {}", missing.join(", ")))
            .saw_wanted(format!("PATH={}", engine.path), "no such program", needed.value.join(" "))
            .because(format!("Docker {} does not start, or runs no container, without them.", engine.version))
            .remedy(format!("install {} in the image, or put their directory into PATH", missing.join(", ")))
            .source(needed.source.clone()));
    }
    let unasked: Vec<String> =
        needed.value.iter().filter(|name| !engine.binaries.contains_key(*name) && !needless(name)).cloned().collect();
    if !unasked.is_empty() {
        return Ok(Verdict::unknown(format!("not looked for: {}", unasked.join(", ")))
            .because("The facts were read for an engine of another version, or where there was none."));
    }
    let optional = absent(&profile.binaries_optional.value);
    if !optional.is_empty() {
        return Ok(Verdict::fail(Severity::Info, format!("not found, can be done without: {}", optional.join(", ")))
            .saw(format!("PATH={}", engine.path), "no such program")
            .source(profile.binaries_optional.source.clone()));
    }
    Ok(Verdict::pass(needed.value.join(", ")))
}
