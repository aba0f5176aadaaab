//! network.namespace: own network namespace.

use super::foreign_bridge;
use crate::check::{Check, Docs};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::network::Network;
use crate::finding::{Evidence, Fate, Severity, Verdict};
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
    let first = network.is_first.filter(|first| *first).map(|_| {
        let location = "/proc/self/ns/net, /proc/sys/net/core/netdev_max_backlog".to_owned();
        ("its first namespace", location, "the kernel's first network namespace", "one of this container's own")
    });
    let proof = others_network(facts);
    let first = first.filter(|_| proof.is_some());
    let seen: Vec<_> = devices.chain(bridge).chain(first).collect();
    if seen.is_empty() {
        return Ok(Verdict::pass("no device of the machine is seen"));
    }
    let names: Vec<&str> = seen.iter().map(|(name, ..)| *name).collect();
    let (severity, proof) = match proof {
        Some(proof) => (Severity::Blocking, proof),
        None => (Severity::Warning, "this looks like the host's network"),
    };
    Ok(Verdict::fail(severity, format!("{proof}: {}", names.join(", ")))
        .foretells(Fate::Works)
        .evidence(seen.into_iter().map(|(_, location, value, wanted)| Evidence {
            location,
            value: value.to_owned(),
            wanted: Some(wanted.to_owned()),
        }))
        .because(
            "What the daemon does to its network it does to the host's: docker0, iptables, ip_forward. It removes the \
             rules of the engine there, and with them the network of its containers.",
        )
        .remedy("leave --network host (Kubernetes: hostNetwork: true) out of the outer container")
        .remedy("to start anyway and change the host's network: --allow-host-changes")
        .source("concourse and GitLab runner threads on dind with --network host; network_namespaces(7)"))
}

/// Why the network is certainly not this container's own, if it is not. A machine, and a kernel of the container's own
/// (Kata, gVisor), have nothing of anybody else's to lose.
fn others_network(facts: &Facts) -> Option<&'static str> {
    let network = facts.network.as_ref().ok()?;
    let outer = facts.outer.as_ref().ok().filter(|outer| outer.in_container && outer.runtime.is_none())?;
    if network.is_first == Some(true) {
        return Some("the network is the host's");
    }
    // Docker makes a network namespace at each start and writes its address to /etc/hosts. A pod's network outlives its
    // containers, so that a bridge there may be what an earlier daemon of this very container has left.
    let is_shared = outer.engine.as_deref() == Some("docker") && network.is_in_hosts == Some(false);
    (is_shared && foreign_bridge(facts).is_some()).then_some("the network is another engine's")
}
