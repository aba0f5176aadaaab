//! Mends of networks: flags for the daemon, and sysctls of this network namespace.

use std::net::Ipv4Addr;

use super::step::Step;
use super::{Fix, Scope};
use crate::facts::network::{
    IP_FORWARD, Network, Resolver, arp_ignore_path, ipv6_forward_path, route_localnet_path, rp_filter_path,
};
use crate::profile::Profile;

/// Gives inner networks an MTU that fits through the way out: the default one, and from 24.0 on those of users.
pub fn fit_mtu(check: &'static str, mtu: u32, profile: &Profile) -> Fix {
    let mut flags = vec![format!("--mtu={mtu}")];
    if profile.version.release() >= [24, 0, 0] {
        flags.push(format!("--default-network-opt=bridge=com.docker.network.driver.mtu={mtu}"));
    }
    with_flags(check, format!("start the daemon with an MTU of {mtu}"), flags)
}

/// Gives the default bridge a network, and from 18.06 on those of users a pool.
pub fn take_networks(check: &'static str, bip: &str, pool: &str, profile: &Profile) -> Fix {
    let mut flags = vec![format!("--bip={bip}")];
    if profile.version.release() >= [18, 6, 0] {
        flags.push(format!("--default-address-pool=base={pool},size=24"));
    }
    with_flags(check, format!("start the daemon with networks in {pool}"), flags)
}

fn with_flags(check: &'static str, title: String, flags: Vec<String>) -> Fix {
    Fix::in_container(check, title, flags.into_iter().map(|flag| Step::AddFlag { flag }).collect())
}

/// Leads what inner containers ask of this container's own address to a resolver on its loopback, and tells the daemon
/// to give them that address: what kind does in its nodes. `shut`: the interfaces that let nothing in for the loopback;
/// `own`: whether the network namespace is the container's.
pub fn lead_to_resolver(
    check: &'static str,
    program: &str,
    way_out: (&str, Ipv4Addr),
    resolver: &Resolver,
    shut: &[&(String, u32)],
    own: bool,
) -> Fix {
    let (interface, address) = way_out;
    // Without it the kernel drops what comes in for the loopback. `default` is for the bridges that the daemon makes,
    // and not for the interfaces that are there: no one gets in by the way out.
    let mut steps: Vec<Step> = shut
        .iter()
        .map(|(name, before)| Step::SetSysctl {
            path: route_localnet_path(name),
            value: "1".to_owned(),
            before: before.to_string(),
        })
        .collect();
    for (protocol, port) in [("udp", Some(resolver.udp)), ("tcp", resolver.tcp)] {
        let Some(port) = port else { continue };
        let rule = format!(
            "PREROUTING -d {address}/32 ! -i {interface} -p {protocol} -m {protocol} --dport 53 -j DNAT --to-destination {}:{port}",
            resolver.address
        );
        steps.push(Step::AddRule { program: program.to_owned(), table: "nat".to_owned(), rule });
    }
    steps.push(Step::AddFlag { flag: format!("--dns={address}") });
    let scope = if own { Scope::Container } else { Scope::Host };
    Fix { check, title: format!("redirect inner containers' DNS queries to {}", resolver.address), scope, steps }
}

/// Turns IP forwarding on, where it is off: of IPv4, and where the daemon is to give IPv6 of that. `own`: whether the
/// network namespace is the container's.
pub fn forward(check: &'static str, network: &Network, own: bool) -> Fix {
    let set = |path: String, before: u32, value: u32| Step::SetSysctl {
        path,
        value: value.to_string(),
        before: before.to_string(),
    };
    let v4 = (network.ip_forward == Some(false)).then(|| set(IP_FORWARD.to_owned(), 0, 1));
    let of = |name: &str| network.ipv6_forward.iter().find(|(own, _)| own == name).map(|(_, value)| *value);
    let path = ipv6_forward_path;
    // `all` sets `default` as well, on the way back too (kernel net/ipv6/addrconf.c: addrconf_fixup_forwarding): what is
    // 0 before it can be set back after it.
    let v6 = match (of("default"), of("all")) {
        _ if !network.daemon_ipv6 => Vec::new(),
        (Some(0), Some(0)) => vec![set(path("all"), 0, 1)],
        (Some(default), Some(0)) => vec![set(path("default"), default, 0), set(path("all"), 0, 1)],
        (Some(0), _) => vec![set(path("default"), 0, 1)],
        _ => Vec::new(),
    };
    let scope = if own { Scope::Container } else { Scope::Host };
    Fix { check, title: "turn IP forwarding on".to_owned(), scope, steps: v4.into_iter().chain(v6).collect() }
}

/// Sets an interface up. `own`: whether the network namespace is the container's.
pub fn set_up(check: &'static str, name: &str, own: bool) -> Fix {
    let steps = vec![Step::SetLink { name: name.to_owned(), up: true }];
    let scope = if own { Scope::Container } else { Scope::Host };
    Fix { check, title: format!("set {name} up"), scope, steps }
}

/// Has interfaces answer requests for their addresses. `own`: whether the network namespace is the container's.
pub fn answer_arp(check: &'static str, settings: &[&(String, u32)], own: bool) -> Fix {
    let steps = settings
        .iter()
        .map(|(name, before)| Step::SetSysctl {
            path: arp_ignore_path(name),
            value: "0".to_owned(),
            before: before.to_string(),
        })
        .collect();
    let scope = if own { Scope::Container } else { Scope::Host };
    Fix { check, title: "answer ARP requests".to_owned(), scope, steps }
}

/// Lets packets in whose answers would leave by another interface, as long as their source is known at all. `own`:
/// whether the network namespace is the container's.
pub fn loosen(check: &'static str, before: u32, own: bool) -> Fix {
    let (value, before) = ("2".to_owned(), before.to_string());
    let steps = vec![Step::SetSysctl { path: rp_filter_path("all"), value, before }];
    let scope = if own { Scope::Container } else { Scope::Host };
    Fix { check, title: "make the reverse path filter loose".to_owned(), scope, steps }
}
