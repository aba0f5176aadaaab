//! The networks that the daemon will make.

use std::net::Ipv4Addr;

use super::{Check, Docs, modules, nftables};
use crate::facts::kernel::{Kernel, Presence};
use crate::facts::network::{
    BRIDGE_FILTER, DEFAULT_BRIDGE, Network, RESOLV_CONF, ROUTES, Route, arp_ignore_path, is_loopback, rp_filter_path,
};
use crate::facts::{FactError, Facts};
use crate::finding::{Evidence, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::{BridgeFilter as BridgeFilterRule, IpForward, Profile};

/// network.devices
pub(super) struct Devices;

impl Check for Devices {
    fn id(&self) -> &'static str {
        "network.devices"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("loads `bridge` and `veth`, if the host may be changed")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "bridge and veth",
            motivation: "The default network is a bridge, and each container hangs on it by a veth pair. Where the \
                         kernel has no such thing, or refuses it, the daemon dies or no container gets a network.",
            looks_at: "A bridge with an address, a veth pair on it, and its other end moved to a second namespace: all \
                       made in a network namespace that vanishes.",
            remedy: "--privileged, and the modules bridge and veth on the host.",
            since: "1.0",
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

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        let kernel = facts.kernel.as_ref().ok()?;
        // One of them is of no use without the other.
        let absent = link_modules().iter().any(|name| kernel.module(name) == Presence::Absent);
        if absent { None } else { fix::kernel::load(self.id(), &facts.kernel, &link_modules()) }
    }
}

/// The modules of a bridge and of a veth pair.
fn link_modules() -> [String; 2] {
    ["bridge", "veth"].map(str::to_owned)
}

fn would_load(facts: &Facts, module: &str) -> bool {
    facts.kernel.as_ref().is_ok_and(|kernel| kernel.would_load(module))
}

/// network.ip-forward
pub(super) struct Forward;

impl Check for Forward {
    fn id(&self) -> &'static str {
        "network.ip-forward"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("turns it on, where the daemon does not")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "IP forwarding",
            motivation: "The daemon turns IP forwarding on. Where it cannot, most versions die, and the rest have \
                         containers that reach nobody.",
            looks_at: "net.ipv4.ip_forward, and whether it can be written, in a network namespace that vanishes; whether \
                       the daemon is told to leave it as it is.",
            remedy: "--privileged, or docker run --sysctl net.ipv4.ip_forward=1.",
            since: "1.0",
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
            if only_looks(facts) && network.ip_forward == Some(false) {
                return Ok(Verdict::fail(Severity::Blocking, "off, and the daemon does not turn it on with nftables")
                    .saw_wanted("/proc/sys/net/ipv4/ip_forward", "0", "1")
                    .because("With --firewall-backend=nftables the daemon only looks, and dies: \"IPv4 forwarding is disabled\".")
                    .remedy("docker run --sysctl net.ipv4.ip_forward=1 …")
                    .remedy("or let dindcheck --fix turn it on in this network namespace")
                    .source(profile.netfilter_nftables.source.clone()));
            }
            if network.daemon_leaves_forwarding && network.ip_forward == Some(false) {
                return Ok(Verdict::fail(Severity::Warning, "off, and the daemon is told to leave it so")
                    .saw_wanted("/proc/sys/net/ipv4/ip_forward", "0", "1, or no --ip-forward=false")
                    .because("Inner containers reach nobody, and nobody reaches their published ports.")
                    .remedy("leave --ip-forward=false out, or docker run --sysctl net.ipv4.ip_forward=1 …")
                    .remedy("or let dindcheck --fix turn it on in this network namespace")
                    .source(rule.source.clone()));
            }
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

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        let network = facts.network.as_ref().ok()?;
        let attempts = network.attempts.as_ref().ok()?;
        let writable = attempts.iter().any(|attempt| attempt.what.starts_with("write ") && attempt.error.is_none());
        let is_left = network.daemon_leaves_forwarding || only_looks(facts);
        (writable && is_left).then(|| fix::network::forward(self.id(), is_own(facts)))
    }
}

/// Whether the daemon leaves IP forwarding to others and dies where it is off: with nft it cannot drop what is not its
/// own.
fn only_looks(facts: &Facts) -> bool {
    let told_to_leave = facts.network.as_ref().is_ok_and(|network| network.daemon_leaves_forwarding);
    nftables::is_used(facts) && !told_to_leave
}

/// network.subnets
pub(super) struct Subnets;

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

impl Check for Subnets {
    fn id(&self) -> &'static str {
        "network.subnets"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("starts the daemon with networks that are free")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "a free subnet",
            motivation: "The default bridge takes the first network of the version's list that overlaps no route. \
                         Where all of them do, the daemon dies; where none of ours is left, user networks fail.",
            looks_at: "/proc/net/route against the version's address pools.",
            remedy: "dockerd --bip and --default-address-pool with networks that are free where the container runs.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
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

    fn fix(&self, facts: &Facts, profile: &Profile) -> Option<Fix> {
        let network = facts.network.as_ref().ok()?;
        // What the user has chosen stands, and the daemon takes no second word on it.
        if network.daemon_bip.is_some() || !may_add(facts, &["bip", "default-address-pools"]) {
            return None;
        }
        let free =
            |words: &str| subnet(words).is_some_and(|(_, address, bits)| route_into(network, address, bits).is_none());
        let (bip, pool) = OTHER_NETWORKS.iter().find(|(bip, pool)| free(bip) && free(pool))?;
        Some(fix::network::take_networks(self.id(), bip, pool, profile))
    }
}

/// Whether daemon.json leaves these keys to the flags: the daemon refuses what is said in both.
fn may_add(facts: &Facts, keys: &[&str]) -> bool {
    let configuration = facts.configuration.as_ref();
    configuration.is_ok_and(|configuration| !configuration.file.keys.iter().any(|key| keys.contains(&key.as_str())))
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

    fn mend(&self) -> Option<&'static str> {
        Some("leads what inner containers ask of this container's own address to the resolver on its loopback")
    }

    // The rules are written with what can write them.
    fn mend_needs_trials(&self) -> bool {
        true
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "name servers for inner containers",
            motivation: "A user network of the outer engine has 127.0.0.11 as its only name server. Inner containers \
                         cannot reach it: the daemon leaves it out and gives them 8.8.8.8 and 8.8.4.4 instead, which \
                         no private name is known to and many networks block.",
            looks_at: "The nameserver lines of /etc/resolv.conf, who listens there, and what the daemon is told.",
            remedy: "dockerd --dns with a server that inner containers reach; dindcheck --fix leads them to the resolver on \
                     the loopback. No public server is ever chosen for you.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let network = facts.network.as_ref()?;
        let (told, own) = (network.daemon_dns.iter(), network.nameservers.iter().map(|(_, server)| server));
        // What the daemon is told takes the place of what is in the file.
        let servers: Vec<&String> = if network.daemon_dns.is_empty() { own.collect() } else { told.collect() };
        let reachable: Vec<&str> =
            servers.into_iter().map(String::as_str).filter(|server| !is_loopback(server)).collect();
        if !reachable.is_empty() {
            return Ok(Verdict::pass(reachable.join(", ")));
        }
        let verdict = Verdict::fail(Severity::Warning, "inner containers will ask 8.8.8.8 and 8.8.4.4")
            .because("The daemon passes no name server of 127.0.0.0/8 on, and these take its place.")
            .remedy("dindcheck -- --dns ADDRESS, with a server that inner containers reach")
            .remedy("or let dindcheck --fix lead inner containers to the resolver that listens there, if one does")
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

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        let network = facts.network.as_ref().ok()?;
        let resolver = network.resolvers.first()?;
        let way_out = (network.default_mtu.as_ref()?.0.as_str(), network.address?);
        let netfilter = facts.netfilter.as_ref().ok()?;
        // What the daemon will write its own rules with.
        let program = &netfilter.candidates.iter().find(|candidate| candidate.writes_v4())?.iptables;
        let ours_to_say = network.daemon_dns.is_empty() && may_add(facts, &["dns"]);
        let shut: Vec<_> = network.route_localnet.iter().filter(|(_, value)| *value == 0).collect();
        ours_to_say.then(|| fix::network::lead_to_resolver(self.id(), program, way_out, resolver, &shut, is_own(facts)))
    }
}

/// network.mtu
pub(super) struct Mtu;

impl Check for Mtu {
    fn id(&self) -> &'static str {
        "network.mtu"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("starts the daemon with an MTU that fits")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "MTU of inner networks",
            motivation: "Inner networks have 1500 whatever the way out has. Behind a smaller one (overlay networks, \
                         VPNs) large packets vanish: small requests work, downloads and TLS hang.",
            looks_at: "The MTU of the interface that the default route goes by.",
            remedy: "dockerd --mtu, and --default-network-opt for the networks that users make.",
            since: "1.0",
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
            .remedy("or let dindcheck --fix add them")
            .source("moby daemon/config: mtu is of the default bridge alone; actions-runner-controller#393, #1046"))
    }

    fn fix(&self, facts: &Facts, profile: &Profile) -> Option<Fix> {
        let network = facts.network.as_ref().ok()?;
        let (_, mtu) = network.default_mtu.as_ref()?;
        let ours_to_say = network.daemon_mtu.is_none() && may_add(facts, &["mtu", "default-network-opts"]);
        ours_to_say.then(|| fix::network::fit_mtu(self.id(), *mtu, profile))
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
            looks_at: "Interfaces in /sys/class/net that are devices of the machine; a docker0 that no daemon of this \
                       container has made.",
            remedy: "Leave --network host (Kubernetes: hostNetwork: true) out.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
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
}

/// The bridge of an engine that is not of this container: none runs here, and none has left its networks in the
/// data-root.
fn foreign_bridge(facts: &Facts) -> Option<&str> {
    let network = facts.network.as_ref().ok()?;
    let (storage, leftovers) = (facts.storage.as_ref().ok()?, facts.leftovers.as_ref().ok()?);
    let ours = storage.has_networks || leftovers.pidfiles.iter().any(super::leftovers::is_engine);
    let bridge = network.bridges.iter().find(|name| *name == DEFAULT_BRIDGE)?;
    (!ours).then_some(bridge)
}

/// Whether the network namespace is this container's own, so that its sysctls and rules are.
fn is_own(facts: &Facts) -> bool {
    facts.network.as_ref().is_ok_and(|network| network.devices.is_empty()) && foreign_bridge(facts).is_none()
}

/// network.rp-filter
pub(super) struct ReversePath;

/// Drops what comes in by another way than its answer would take.
const STRICT: u32 = 1;

impl Check for ReversePath {
    fn id(&self) -> &'static str {
        "network.rp-filter"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("makes it loose")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "reverse path filter",
            motivation: "With a strict filter and more than one way out, packets whose answers would leave by another \
                         interface vanish: those that kube-proxy or a published port redirects, and those of overlay \
                         networks such as flannel. Small tests work, and some connections hang.",
            looks_at: "net.ipv4.conf.*.rp_filter, where there is more than one interface.",
            remedy: "docker run --sysctl net.ipv4.conf.all.rp_filter=2; dindcheck --fix sets it.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let network = facts.network.as_ref()?;
        let Some((_, all)) = network.rp_filter.iter().find(|(name, _)| name == "all") else {
            return Ok(Verdict::unknown(format!("{} cannot be read", rp_filter_path("all"))));
        };
        let effective = |own: u32| own.max(*all);
        let interfaces: Vec<_> = network.rp_filter.iter().filter(|(name, _)| name != "all").collect();
        let strict: Vec<&str> =
            interfaces.iter().filter(|(_, own)| effective(*own) == STRICT).map(|(name, _)| name.as_str()).collect();
        if strict.is_empty() {
            return Ok(Verdict::pass("off or loose"));
        }
        if interfaces.len() < 2 {
            return Ok(Verdict::pass("strict, and there is one way only"));
        }
        Ok(Verdict::fail(Severity::Warning, format!("strict on {}", strict.join(", ")))
            .evidence(network.rp_filter.iter().map(|(name, value)| Evidence {
                location: rp_filter_path(name),
                value: value.to_string(),
                wanted: (effective(*value) == STRICT).then(|| "2 (loose), here or for all".to_owned()),
            }))
            .because("What comes in by one interface and would be answered by another is dropped without a word.")
            .remedy("docker run --sysctl net.ipv4.conf.all.rp_filter=2 …")
            .remedy("or let dindcheck --fix set it in this network namespace")
            .source("kernel Documentation/networking/ip-sysctl.rst: rp_filter"))
    }

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        let network = facts.network.as_ref().ok()?;
        let (_, all) = network.rp_filter.iter().find(|(name, _)| name == "all")?;
        Some(fix::network::loosen(self.id(), *all, is_own(facts)))
    }
}

/// network.arp
pub(super) struct Arp;

/// Answers nobody (kernel Documentation/networking/ip-sysctl.rst: arp_ignore).
const SILENT: u32 = 8;

/// The settings with which no interface answers.
fn silent(network: &Network) -> Vec<&(String, u32)> {
    network.arp_ignore.iter().filter(|(_, value)| *value >= SILENT).collect()
}

impl Check for Arp {
    fn id(&self) -> &'static str {
        "network.arp"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("sets them to 0")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "answers to ARP",
            motivation: "A new network namespace has the sysctls of the host. On a host behind a load balancer that \
                         answers no ARP, neither does docker0, and inner containers do not even reach their gateway.",
            looks_at: "net.ipv4.conf.all.arp_ignore, and that of interfaces to be made.",
            remedy: "docker run --sysctl net.ipv4.conf.all.arp_ignore=0 --sysctl net.ipv4.conf.default.arp_ignore=0; \
                     dindcheck --fix sets them.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let network = facts.network.as_ref()?;
        if network.arp_ignore.is_empty() {
            return Ok(Verdict::unknown(format!("{} cannot be read", arp_ignore_path("all"))));
        }
        let silent = silent(network);
        if silent.is_empty() {
            return Ok(Verdict::pass("whoever asks is answered"));
        }
        let names: Vec<&str> = silent.iter().map(|(name, _)| name.as_str()).collect();
        Ok(Verdict::fail(Severity::Warning, format!("nobody who asks is answered: {}", names.join(", ")))
            .evidence(silent.iter().map(|(name, value)| Evidence {
                location: arp_ignore_path(name),
                value: value.to_string(),
                wanted: Some("0 to 2".to_owned()),
            }))
            .because("Inner containers ask for their gateway, docker0, and hear nothing.")
            .remedy("docker run --sysctl net.ipv4.conf.all.arp_ignore=0 --sysctl net.ipv4.conf.default.arp_ignore=0 …")
            .remedy("or let dindcheck --fix set them in this network namespace")
            .source("kernel Documentation/networking/ip-sysctl.rst: arp_ignore; kind's entrypoint sets it as well"))
    }

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        let silent = silent(facts.network.as_ref().ok()?);
        (!silent.is_empty()).then(|| fix::network::answer_arp(self.id(), &silent, is_own(facts)))
    }
}

/// network.bridge-filter
pub(super) struct BridgeFilter;

/// What filters there.
const BRIDGE_MODULE: &str = "br_netfilter";
/// The variable that lets the daemon go on without br_netfilter.
const IGNORE: &str = "DOCKER_IGNORE_BR_NETFILTER_ERROR";

impl Check for BridgeFilter {
    fn id(&self) -> &'static str {
        "network.bridge-filter"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("loads `br_netfilter`, if the host may be changed")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "iptables on bridges",
            motivation: "With --icc=false or --userland-proxy=false the daemon filters between the ports of a bridge. \
                         Without br_netfilter in the kernel it cannot, and dies; up to 27.2 it went on inside of a \
                         Docker container, and filtered nothing; from 27.5.1 on it can be told to.",
            looks_at: "/proc/sys/net/bridge/bridge-nf-call-iptables, where the daemon is told --icc=false or \
                       --userland-proxy=false.",
            remedy: "On the host: modprobe br_netfilter; or DOCKER_IGNORE_BR_NETFILTER_ERROR=1 for the daemon.",
            since: "1.8",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let network = facts.network.as_ref()?;
        let rule = &profile.network_bridge_filter;
        if rule.value == BridgeFilterRule::Ignored {
            return Ok(Verdict::not_applicable("this engine does not look at br_netfilter"));
        }
        let told: Vec<String> = network.daemon_without.iter().map(|name| format!("--{name}=false")).collect();
        if told.is_empty() {
            return Ok(Verdict::pass("the daemon is not told to filter between ports of a bridge"));
        }
        match network.bridge_filter {
            None => return Ok(Verdict::unknown("/proc/sys/net cannot be read")),
            Some(true) => return Ok(Verdict::pass("br_netfilter is there")),
            Some(false) => {}
        }
        let in_docker = facts.outer.as_ref()?.layers().any(|layer| layer == "docker");
        let goes_on = match rule.value {
            BridgeFilterRule::Ignored => true,
            BridgeFilterRule::WarnedInDocker => in_docker,
            BridgeFilterRule::Fatal => false,
            BridgeFilterRule::FatalUnlessTold => network.ignores_bridge_filter,
        };
        let severity = if goes_on { Severity::Warning } else { Severity::Blocking };
        if is_the_hosts_alone(facts) {
            let verdict = Verdict::fail(severity, "net.bridge is seen by the host alone on this kernel")
                .saw_wanted(BRIDGE_FILTER, "no such file, br_netfilter or not", "Linux 5.3 or later")
                .because(match severity {
                    Severity::Blocking => "The daemon cannot see whether bridges are filtered, and dies.",
                    _ => "Whether inner containers are filtered is the host's setting, whatever the daemon was told.",
                })
                .remedy("on the host, and for all of it: modprobe br_netfilter; sysctl -w net.bridge.bridge-nf-call-iptables=1")
                .remedy(format!("or leave {} out", told.join(" and ")))
                .source(rule.source.clone())
                .source("kernel net/bridge/br_netfilter_hooks.c: for each network namespace from 5.3 on, for the first alone before");
            return Ok(told_to_ignore(verdict, rule.value));
        }
        let verdict =
            Verdict::fail(severity, format!("no br_netfilter, and the daemon is told {}", told.join(" and ")))
                .saw_wanted(BRIDGE_FILTER, "no such file", "br_netfilter in the kernel")
                .evidence([modules::evidence(facts, "filtering on bridges", BRIDGE_MODULE)])
                .because(match severity {
                    Severity::Blocking => "The daemon cannot filter between the ports of its bridge, and dies.",
                    _ => "Nothing is filtered between inner containers, whatever the daemon was told.",
                })
                .remedy(modules::remedy(facts, &[BRIDGE_MODULE.to_owned()]))
                .remedy(format!("or leave {} out", told.join(" and ")))
                .source(rule.source.clone());
        Ok(told_to_ignore(verdict, rule.value))
    }

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        if is_the_hosts_alone(facts) {
            return None;
        }
        fix::kernel::load(self.id(), &facts.kernel, &[BRIDGE_MODULE.to_owned()])
    }
}

/// The remedy of versions that can be told to go on.
fn told_to_ignore(verdict: Verdict, rule: BridgeFilterRule) -> Verdict {
    match rule {
        BridgeFilterRule::FatalUnlessTold => verdict.remedy(format!("or set {IGNORE}=1 for the daemon")),
        _ => verdict,
    }
}

/// Whether the file is in the first network namespace alone, and this is another one.
fn is_the_hosts_alone(facts: &Facts) -> bool {
    is_own(facts) && facts.kernel.as_ref().is_ok_and(|kernel| kernel.is_before(5, 3))
}
