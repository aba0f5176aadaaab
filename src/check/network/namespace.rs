//! network.namespace: own network namespace.

use super::foreign_bridge;
use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::network::Network;
use crate::finding::{Evidence, Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "network.namespace",
    docs: Docs {
        title: "own network namespace",
        motivation: "With --network host the daemon's bridge, rules and sysctls are the host's: it fights with the \
                     engine there over docker0 and deletes its chains.",
        looks_at: "Interfaces in /sys/class/net that are devices of the machine; a docker0 that no daemon of this \
                   container has made.",
        remedy: "Leave --network host (Kubernetes: hostNetwork: true) out.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let network: &Network = facts.network.as_ref()?;
    let devices = network.devices.iter().map(|name| {
        let location = format!("/sys/class/net/{name}/device");
        (name.as_str(), location, "a device of the machine", "virtual interfaces alone")
    });
    let bridge = foreign_bridge(facts).map(|name| {
        let location = format!("/sys/class/net/{name}/bridge");
        (name, location, "no daemon of this container has made it", "no bridge of another engine")
    });
    let seen: Vec<_> = devices.chain(bridge).collect();
    if seen.is_empty() {
        return Ok(Verdict::pass("no device of the machine is seen"));
    }
    let names: Vec<&str> = seen.iter().map(|(name, ..)| *name).collect();
    Ok(Verdict::fail(Severity::Warning, format!("this looks like the host's network: {}", names.join(", ")))
        .evidence(seen.into_iter().map(|(_, location, value, wanted)| Evidence {
            location,
            value: value.to_owned(),
            wanted: Some(wanted.to_owned()),
        }))
        .because("What the daemon does to its network it does to the host's: docker0, iptables, ip_forward.")
        .remedy("leave --network host (Kubernetes: hostNetwork: true) out of the outer container")
        .source("concourse and GitLab runner threads on dind with --network host; network_namespaces(7)"))
}
