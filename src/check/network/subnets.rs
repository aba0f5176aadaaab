//! network.subnets: a free subnet.

use std::net::Ipv4Addr;

use super::may_add;
use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::network::{Network, ROUTES, Route};
use crate::finding::{Evidence, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "network.subnets",
    docs: Docs {
        title: "a free subnet",
        motivation: "The default bridge takes the first network of the version's list that overlaps no route. \
                     Where all of them do, the daemon dies; where none of ours is left, user networks fail.",
        looks_at: "/proc/net/route against the version's address pools.",
        remedy: "dockerd --bip and --default-address-pool with networks that are free where the container runs.",
        since: "1.0",
    },
    run,
    mend: Some(Mend { title: "starts the daemon with networks that are free", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let network = facts.network.as_ref()?;
    let pools = &profile.network_address_pools;
    let known: Vec<(&str, Ipv4Addr, u8)> = pools.value.iter().filter_map(|pool| subnet(pool)).collect();
    if known.is_empty() {
        return Ok(Verdict::unknown("the profile has no IPv4 network"));
    }
    let taken = |address: Ipv4Addr, bits: u8| route_into(network, address, bits);
    if let Some((bip, address, bits)) = network.daemon_bip.as_deref().and_then(subnet) {
        return Ok(match taken(address, bits) {
            None => Verdict::pass(format!("{bip} overlaps no route")),
            Some(route) => Verdict::fail(Severity::Warning, format!("{bip} overlaps a route"))
                .saw_wanted(
                    format!("{ROUTES}:{}", route.line),
                    format!("{}/{} on {}", route.network, route.bits, route.interface),
                    format!("no route into {bip}"),
                )
                .because("Inner containers cannot reach what lies behind that route.")
                .remedy("dindcheck -- --bip with a network that is free there")
                .source(pools.source.clone()),
        });
    }
    if let Some((pool, ..)) = known.iter().find(|(_, address, bits)| taken(*address, *bits).is_none()) {
        return Ok(Verdict::pass(format!("{pool} overlaps no route")));
    }
    let seen = known.iter().filter_map(|(pool, address, bits)| {
        let route = taken(*address, *bits)?;
        Some(Evidence {
            location: format!("{ROUTES}:{}", route.line),
            value: format!("{}/{} on {}", route.network, route.bits, route.interface),
            wanted: Some(format!("no route into {pool}")),
        })
    });
    Ok(Verdict::fail(Severity::Blocking, "every network that the default bridge could take overlaps a route")
        .evidence(seen)
        .because("The daemon finds no network for its bridge, says so of its address pools, and dies.")
        .remedy("dindcheck -- --bip 10.213.0.1/24 --default-address-pool base=10.214.0.0/16,size=24, with what is free there")
        .remedy("or let dindcheck --fix choose")
        .source(pools.source.clone()))
}

fn fix(facts: &Facts, profile: &Profile) -> Option<Fix> {
    let network = facts.network.as_ref().ok()?;
    // What the user has chosen stands, and the daemon takes no second word on it.
    if network.daemon_bip.is_some() || !may_add(facts, &["bip", "default-address-pools"]) {
        return None;
    }
    let free =
        |words: &str| subnet(words).is_some_and(|(_, address, bits)| route_into(network, address, bits).is_none());
    let (bip, pool) = OTHER_NETWORKS.iter().find(|(bip, pool)| free(bip) && free(pool))?;
    Some(fix::network::take_networks(CHECK.id, bip, pool, profile))
}

/// Networks for the bridge and for those of users where the usual ones are taken: one in each of the ranges for use
/// inside of a site (RFC 1918), for carriers (RFC 6598) and for benchmarks (RFC 2544).
const OTHER_NETWORKS: [(&str, &str); 5] = [
    ("10.213.0.1/24", "10.214.0.0/16"),
    ("172.30.0.1/24", "172.31.0.0/16"),
    ("192.168.213.1/24", "192.168.208.0/22"),
    ("100.99.0.1/24", "100.100.0.0/16"),
    ("198.18.0.1/24", "198.19.0.0/16"),
];

/// The route that overlaps a network, the default one apart.
fn route_into(network: &Network, address: Ipv4Addr, bits: u8) -> Option<&Route> {
    network.routes.iter().find(|route| route.bits > 0 && route.overlaps(address, bits))
}

/// A pool as profiles write it (`172.17.42.1/16`): its words, network and bits.
fn subnet(pool: &str) -> Option<(&str, Ipv4Addr, u8)> {
    let (address, bits) = pool.split_once('/')?;
    Some((pool, address.parse().ok()?, bits.parse().ok().filter(|bits| *bits <= 32)?))
}
