//! The networks that the daemon will make.

pub(super) mod arp;
pub(super) mod bridge_filter;
pub(super) mod devices;
pub(super) mod ip_forward;
pub(super) mod loopback;
pub(super) mod mtu;
pub(super) mod nameservers;
pub(super) mod namespace;
pub(super) mod rp_filter;
pub(super) mod subnets;

use crate::check::leftovers;
use crate::facts::Facts;
use crate::facts::network::DEFAULT_BRIDGE;

/// Whether daemon.json leaves these keys to the flags: the daemon refuses what is set in both.
fn may_add(facts: &Facts, keys: &[&str]) -> bool {
    let configuration = facts.configuration.as_ref();
    configuration.is_ok_and(|configuration| !configuration.file.keys.iter().any(|key| keys.contains(&key.as_str())))
}

/// The bridge of an engine that is not of this container: none runs here, and none has left its networks in the
/// data-root.
fn foreign_bridge(facts: &Facts) -> Option<&str> {
    let network = facts.network.as_ref().ok()?;
    let (storage, leftovers) = (facts.storage.as_ref().ok()?, facts.leftovers.as_ref().ok()?);
    let ours = storage.has_networks || leftovers.pidfiles.iter().any(leftovers::is_engine);
    let bridge = network.bridges.iter().find(|name| *name == DEFAULT_BRIDGE)?;
    (!ours).then_some(bridge)
}

/// Whether the network namespace is this container's own, so that its sysctls and rules are.
fn is_own(facts: &Facts) -> bool {
    facts.network.as_ref().is_ok_and(|network| network.devices.is_empty()) && foreign_bridge(facts).is_none()
}
