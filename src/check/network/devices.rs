//! network.devices: bridge and veth.

use crate::check::{Check, Docs, Mend, modules};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::kernel::{Kernel, Presence};
use crate::finding::{Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "network.devices",
    docs: Docs {
        title: "bridge and veth",
        motivation: "The default network is a bridge, and each container hangs on it by a veth pair. Where the \
                     kernel has no such thing, or refuses it, the daemon dies or no container gets a network.",
        looks_at: "A bridge with an address, a veth pair on it, and its other end moved to a second namespace: all \
                   made in a network namespace that vanishes.",
        remedy: "--privileged, and the modules bridge and veth on the host.",
        since: "1.0",
    },
    run,
    mend: Some(Mend { title: "loads `bridge` and `veth`, if the host may be changed", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    const SOURCE: &str = "moby daemon/libnetwork/drivers/bridge/bridge_linux.go: createNetwork, CreateEndpoint";
    let absent = |kernel: &Kernel, name: &str| kernel.module(name) == Presence::Absent;
    if let Ok(kernel) = &facts.kernel
        && let Some(module) = ["bridge", "veth"].into_iter().find(|name| absent(kernel, name))
    {
        return Ok(Verdict::fail(Severity::Blocking, format!("the kernel has no {module}"))
            .saw_wanted(format!("/lib/modules/{}/modules.dep", kernel.release), "no such module", module)
            .because("The daemon makes one for its default network, and a veth pair for each container.")
            .remedy(format!("a host kernel that has {module}"))
            .source(SOURCE));
    }
    let network = facts.network.as_ref()?;
    let parts =
        [("bridges", "bridge"), ("veth pairs", "veth")].map(|(part, name)| modules::evidence(facts, part, name));
    let attempts = match &network.attempts {
        Ok(attempts) => attempts,
        Err(error) if !link_modules().iter().any(|name| would_load(facts, name)) => return Err(error),
        Err(error) => {
            return Ok(Verdict::from(error)
                .evidence(parts)
                .because("The daemon will make both. Where the host's modprobe does not load them then, it fails.")
                .remedy(modules::remedy(facts, &link_modules())));
        }
    };
    let failed = attempts.iter().find(|attempt| !attempt.what.starts_with("write ") && attempt.error.is_some());
    let Some(failed) = failed else {
        return Ok(Verdict::pass("made, addressed, joined and moved"));
    };
    let error = failed.error.clone().unwrap_or_default();
    let forbidden = error.contains("(os error 1)");
    let verdict = Verdict::fail(Severity::Blocking, format!("cannot {}", failed.what))
        .saw_wanted(failed.what.clone(), error, "it works")
        .because("The daemon makes this for its default network and for each container.")
        .remedy("start the outer container with --privileged (CAP_NET_ADMIN)")
        .source(SOURCE);
    if forbidden {
        return Ok(verdict);
    }
    Ok(verdict.evidence(parts).remedy(modules::remedy(facts, &link_modules())))
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    let kernel = facts.kernel.as_ref().ok()?;
    // One of them is of no use without the other.
    let absent = link_modules().iter().any(|name| kernel.module(name) == Presence::Absent);
    if absent { None } else { fix::kernel::load(CHECK.id, &facts.kernel, &link_modules()) }
}

/// The modules of a bridge and of a veth pair.
fn link_modules() -> [String; 2] {
    ["bridge", "veth"].map(str::to_owned)
}

fn would_load(facts: &Facts, module: &str) -> bool {
    facts.kernel.as_ref().is_ok_and(|kernel| kernel.would_load(module))
}
