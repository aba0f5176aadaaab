//! The networks that the daemon will make.

use std::net::Ipv4Addr;

use super::{Check, Docs};
use crate::facts::kernel::{Kernel, Presence};
use crate::facts::network::{Network, RESOLV_CONF, ROUTES};
use crate::facts::{FactError, Facts};
use crate::finding::{Evidence, Severity, Verdict};
use crate::profile::{IpForward, Profile};

/// network.devices
pub(super) struct Devices;

impl Check for Devices {
    fn id(&self) -> &'static str {
        "network.devices"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "bridge and veth",
            motivation: "The default network is a bridge, and each container hangs on it by a veth pair. Where the \
                         kernel has no such thing, or refuses it, the daemon dies or no container gets a network.",
            looks_at: "A bridge with an address, a veth pair on it, and its other end moved to a second namespace: all \
                       made in a network namespace that vanishes.",
            remedy: "--privileged, and the modules bridge and veth on the host.",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
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
        let attempts = facts.network.as_ref()?.attempts.as_ref()?;
        let failed = attempts.iter().find(|attempt| !attempt.what.starts_with("write ") && attempt.error.is_some());
        let Some(failed) = failed else {
            return Ok(Verdict::pass("made, addressed, joined and moved"));
        };
        Ok(Verdict::fail(Severity::Blocking, format!("cannot {}", failed.what))
            .saw_wanted(failed.what.clone(), failed.error.clone().unwrap_or_default(), "it works")
            .because("The daemon makes this for its default network and for each container.")
            .remedy("start the outer container with --privileged (CAP_NET_ADMIN)")
            .remedy("on the host: modprobe bridge veth")
            .source(SOURCE))
    }
}

/// network.ip-forward
pub(super) struct Forward;

impl Check for Forward {
    fn id(&self) -> &'static str {
        "network.ip-forward"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "IP forwarding",
            motivation: "The daemon turns IP forwarding on. Where it cannot, most versions die, and the rest have \
                         containers that reach nobody.",
            looks_at: "net.ipv4.ip_forward, and whether it can be written, in a network namespace that vanishes.",
            remedy: "--privileged, or docker run --sysctl net.ipv4.ip_forward=1.",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let network = facts.network.as_ref()?;
        let rule = &profile.network_ip_forward;
        if network.ip_forward == Some(true) && rule.value != IpForward::Written {
            return Ok(Verdict::pass("on"));
        }
        let attempts = network.attempts.as_ref()?;
        let Some(write) = attempts.iter().find(|attempt| attempt.what.starts_with("write ")) else {
            return Ok(Verdict::unknown("writing it was not tried"));
        };
        let Some(error) = &write.error else {
            return Ok(Verdict::pass("can be turned on"));
        };
        let severity = if rule.value == IpForward::Warned { Severity::Warning } else { Severity::Blocking };
        Ok(Verdict::fail(severity, "IP forwarding cannot be turned on")
            .saw_wanted("/proc/sys/net/ipv4/ip_forward", error.clone(), "writable")
            .because(match rule.value {
                IpForward::Warned => "The daemon warns, and its containers reach nobody.",
                IpForward::Written => "The daemon writes it even where it is on, and dies.",
                IpForward::WrittenIfNeeded => "It is off, so the daemon writes it, and dies.",
            })
            .remedy("start the outer container with --privileged")
            .remedy("or docker run --sysctl net.ipv4.ip_forward=1 …")
            .source(rule.source.clone()))
    }
}

/// network.subnets
pub(super) struct Subnets;

impl Check for Subnets {
    fn id(&self) -> &'static str {
        "network.subnets"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "a free subnet",
            motivation: "The default bridge takes the first network of the version's list that overlaps no route. \
                         Where all of them do, the daemon dies; where none of ours is left, user networks fail.",
            looks_at: "/proc/net/route against the version's address pools.",
            remedy: "dockerd --bip and --default-address-pool with networks that are free where the container runs.",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let network = facts.network.as_ref()?;
        let pools = &profile.network_address_pools;
        let known: Vec<(&str, Ipv4Addr, u8)> = pools.value.iter().filter_map(|pool| subnet(pool)).collect();
        if known.is_empty() {
            return Ok(Verdict::unknown("the profile has no IPv4 network"));
        }
        let taken = |address: Ipv4Addr, bits: u8| {
            network.routes.iter().find(|route| route.bits > 0 && route.overlaps(address, bits))
        };
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
            .source(pools.source.clone()))
    }
}

/// A pool as profiles write it (`172.17.42.1/16`): its words, network and bits.
fn subnet(pool: &str) -> Option<(&str, Ipv4Addr, u8)> {
    let (address, bits) = pool.split_once('/')?;
    Some((pool, address.parse().ok()?, bits.parse().ok().filter(|bits| *bits <= 32)?))
}

/// network.nameservers
pub(super) struct Nameservers;

impl Check for Nameservers {
    fn id(&self) -> &'static str {
        "network.nameservers"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "name servers for inner containers",
            motivation: "A user network of the outer engine has 127.0.0.11 as its only name server. Inner containers \
                         cannot reach it: the daemon leaves it out and gives them 8.8.8.8 and 8.8.4.4 instead, which \
                         no private name is known to and many networks block.",
            looks_at: "The nameserver lines of /etc/resolv.conf.",
            remedy: "dockerd --dns with a server that inner containers reach, or docker run --dns for the outer one.",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let network = facts.network.as_ref()?;
        let reachable: Vec<&str> = network
            .nameservers
            .iter()
            .map(|(_, server)| server.as_str())
            .filter(|server| !is_loopback(server))
            .collect();
        if !reachable.is_empty() {
            return Ok(Verdict::pass(reachable.join(", ")));
        }
        let verdict = Verdict::fail(Severity::Warning, "inner containers will ask 8.8.8.8 and 8.8.4.4")
            .because("The daemon passes no name server of 127.0.0.0/8 on, and these take its place.")
            .remedy("dindcheck -- --dns ADDRESS, with a server that inner containers reach")
            .remedy("or docker run --dns ADDRESS … for the outer container, on the default bridge network")
            .source("moby daemon/libnetwork/internal/resolvconf/resolvconf.go; moby#20037, docker-library/docker#132");
        Ok(if network.nameservers.is_empty() {
            verdict.saw_wanted(RESOLV_CONF, "no nameserver", "one that inner containers reach")
        } else {
            verdict.evidence(network.nameservers.iter().map(|(line, server)| Evidence {
                location: format!("{RESOLV_CONF}:{line}"),
                value: server.clone(),
                wanted: Some("an address that is not this container's own".to_owned()),
            }))
        })
    }
}

fn is_loopback(server: &str) -> bool {
    server.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// network.mtu
pub(super) struct Mtu;

impl Check for Mtu {
    fn id(&self) -> &'static str {
        "network.mtu"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "MTU of inner networks",
            motivation: "Inner networks have 1500 whatever the way out has. Behind a smaller one (overlay networks, \
                         VPNs) large packets vanish: small requests work, downloads and TLS hang.",
            looks_at: "The MTU of the interface that the default route goes by.",
            remedy: "dockerd --mtu, and --default-network-opt for the networks that users make.",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        const ETHERNET: u32 = 1500;
        let network = facts.network.as_ref()?;
        let Some((interface, mtu)) = &network.default_mtu else {
            return Ok(Verdict::not_applicable("there is no default route"));
        };
        if *mtu >= ETHERNET {
            return Ok(Verdict::pass(format!("{interface} has {mtu}")));
        }
        if let Some(set) = network.daemon_mtu.filter(|set| set <= mtu) {
            return Ok(Verdict::pass(format!("{interface} has {mtu}, and the daemon gets {set}")));
        }
        Ok(Verdict::fail(Severity::Warning, format!("{interface} has {mtu}, and inner networks will have {ETHERNET}"))
            .saw_wanted(format!("/sys/class/net/{interface}/mtu"), mtu.to_string(), format!("{ETHERNET}, or --mtu {mtu}"))
            .because("Packets of inner containers that are larger than the way out vanish.")
            .remedy(format!("dindcheck -- --mtu {mtu}"))
            .remedy(format!(
                "and for networks that users make: --default-network-opt=bridge=com.docker.network.driver.mtu={mtu}, where Docker {} has it (24.0 and later)",
                profile.version
            ))
            .source("moby daemon/config: mtu is of the default bridge alone; actions-runner-controller#393, #1046"))
    }
}

/// network.namespace
pub(super) struct Namespace;

impl Check for Namespace {
    fn id(&self) -> &'static str {
        "network.namespace"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "own network namespace",
            motivation: "With --network host the daemon's bridge, rules and sysctls are the host's: it fights with the \
                         engine there over docker0 and deletes its chains.",
            looks_at: "Interfaces in /sys/class/net that are devices of the machine.",
            remedy: "Leave --network host (Kubernetes: hostNetwork: true) out.",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let network: &Network = facts.network.as_ref()?;
        if network.devices.is_empty() {
            return Ok(Verdict::pass("no device of the machine is seen"));
        }
        Ok(Verdict::fail(
            Severity::Warning,
            format!("this looks like the host's network: {}", network.devices.join(", ")),
        )
        .evidence(network.devices.iter().map(|name| Evidence {
            location: format!("/sys/class/net/{name}/device"),
            value: "a device of the machine".to_owned(),
            wanted: Some("virtual interfaces alone".to_owned()),
        }))
        .because("What the daemon does to its network it does to the host's: docker0, iptables, ip_forward.")
        .remedy("leave --network host (Kubernetes: hostNetwork: true) out of the outer container")
        .source("concourse and GitLab runner threads on dind with --network host; network_namespaces(7)"))
    }
}
