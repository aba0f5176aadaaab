//! The network of this container, and what can be made in one.

use std::env;
use std::net::{IpAddr, Ipv4Addr};

use nix::ifaddrs::getifaddrs;
use serde::{Deserialize, Serialize};

use super::configuration::Configuration;
use super::kernel::Kernel;
use super::{Fact, FactError, Root, not_yet};
use crate::probe::background::Background;
use crate::probe::{Attempt, network as probe};

/// Where the resolver's servers are written.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where the routes are read from.
pub const ROUTES: &str = "/proc/net/route";

/// What there is with br_netfilter, and what the daemon looks for.
pub const BRIDGE_FILTER: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// Counters of this network namespace.
pub const NETSTAT: &str = "/proc/net/netstat";
/// The one of packets that the reverse path filter has dropped.
pub const RP_FILTER_DROPS: &str = "IPReversePathFilter";

/// Whether IPv4 packets are forwarded.
pub const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// What is tried.
const WHAT: &str = "a bridge and a veth pair";

/// An IPv4 route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The line of the file, from 1.
    pub line: usize,
    /// The interface.
    pub interface: String,
    /// The network.
    pub network: Ipv4Addr,
    /// The bits of it that count; 0 is the default route.
    pub bits: u8,
    /// Whether it needs no gateway.
    pub on_link: bool,
}

impl Route {
    /// Whether the route and a network have an address in common.
    pub fn overlaps(&self, network: Ipv4Addr, bits: u8) -> bool {
        let shared = u32::from(self.bits.min(bits)).min(32);
        let mask = u32::MAX.checked_shl(32 - shared).unwrap_or(0);
        self.network.to_bits() & mask == network.to_bits() & mask
    }
}

/// Who listens on an address of the loopback that is a name server: the outer engine's resolver, or systemd's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolver {
    /// The address, as resolv.conf has it.
    pub address: Ipv4Addr,
    /// The port on which questions arrive by UDP. The outer engine redirects port 53 of its own to another one.
    pub udp: u16,
    /// The same by TCP.
    pub tcp: Option<u16>,
}

/// The network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Name servers, each with its line in resolv.conf.
    pub nameservers: Vec<(usize, String)>,
    /// IPv4 routes.
    pub routes: Vec<Route>,
    /// The MTU of the interface that the default route goes by.
    pub default_mtu: Option<(String, u32)>,
    /// Interfaces that are devices of the machine: seen in the host's network namespace, or moved from it.
    pub devices: Vec<String>,
    /// The MTU that the daemon is given.
    pub daemon_mtu: Option<u32>,
    /// The address and network that the daemon is given for its bridge.
    #[serde(default)]
    pub daemon_bip: Option<String>,
    /// What rp_filter says for `all` and for each interface but the loopback; of these two the larger one holds
    /// (kernel Documentation/networking/ip-sysctl.rst).
    #[serde(default)]
    pub rp_filter: Vec<(String, u32)>,
    /// How many packets the reverse path filter has dropped in this network namespace (kernel net/ipv4/proc.c:
    /// IPReversePathFilter, since 2.6.39); `None` if that is not told.
    #[serde(default)]
    pub rp_filter_drops: Option<u64>,
    /// Which of `icc` and `userland-proxy` the daemon is told to do without.
    #[serde(default)]
    pub daemon_without: Vec<String>,
    /// Whether the daemon is told to leave net.ipv4.ip_forward as it is.
    #[serde(default)]
    pub daemon_leaves_forwarding: bool,
    /// The name servers that the daemon is told to give to its containers.
    #[serde(default)]
    pub daemon_dns: Vec<String>,
    /// Who listens where the name servers are, on the loopback.
    #[serde(default)]
    pub resolvers: Vec<Resolver>,
    /// The own address on the interface that the default route goes by.
    #[serde(default)]
    pub address: Option<Ipv4Addr>,
    /// Bridges that are there.
    #[serde(default)]
    pub bridges: Vec<String>,
    /// Whether the network namespace is the kernel's first one; `None` if that cannot be told.
    #[serde(default)]
    pub is_first: Option<bool>,
    /// Whether /etc/hosts has a line for one of our own addresses, as an engine writes it for a network of its own;
    /// `None` if that cannot be told.
    #[serde(default)]
    pub is_in_hosts: Option<bool>,
    /// What route_localnet says for interfaces that will be made, and for bridges that a daemon has made.
    #[serde(default)]
    pub route_localnet: Vec<(String, u32)>,
    /// What arp_ignore says for `all` and for interfaces that will be made.
    #[serde(default)]
    pub arp_ignore: Vec<(String, u32)>,
    /// Whether the loopback is up; `None` if it cannot be told.
    #[serde(default)]
    pub loopback_up: Option<bool>,
    /// Whether bridged packets go through iptables where that is asked for; `None` if it cannot be told.
    #[serde(default)]
    pub bridge_filter: Option<bool>,
    /// Whether the daemon is told to take no notice where they do not: DOCKER_IGNORE_BR_NETFILTER_ERROR.
    #[serde(default)]
    pub ignores_bridge_filter: bool,
    /// What net.ipv4.ip_forward says.
    pub ip_forward: Option<bool>,
    /// What forwarding says for IPv6: for interfaces to be made (`default`) and for `all`.
    #[serde(default)]
    pub ipv6_forward: Vec<(String, u32)>,
    /// Whether the daemon is told to give its default bridge IPv6.
    #[serde(default)]
    pub daemon_ipv6: bool,
    /// What was tried in a network namespace of its own.
    pub attempts: Fact<Vec<Attempt>>,
}

impl Network {
    /// The files of forwarding that say 0 where the daemon needs a 1: of IPv4, and with `--ipv6` of IPv6.
    pub fn forwarding_off(&self) -> Vec<String> {
        let v4 = (self.ip_forward == Some(false)).then(|| IP_FORWARD.to_owned());
        let v6 = self.ipv6_forward.iter().filter(|(_, value)| self.daemon_ipv6 && *value == 0);
        v4.into_iter().chain(v6.map(|(name, _)| ipv6_forward_path(name))).collect()
    }
}

/// Starts trying.
pub(super) fn start(root: &Root, kernel: &Fact<Kernel>) -> Background<Vec<Attempt>> {
    match would_load(kernel) {
        _ if !root.is_live() => Background::Done(Err(FactError::captured(WHAT))),
        Some(reason) => Background::Done(Err(FactError::new("try", WHAT, reason))),
        None => probe::start(),
    }
}

/// A link of a kind that the kernel does not have yet makes it load the module, on the host
/// (net/core/rtnetlink.c: request_module). What that would be.
fn would_load(kernel: &Fact<Kernel>) -> Option<String> {
    let kernel = kernel.as_ref().ok()?;
    let missing: Vec<&str> = ["bridge", "veth"].into_iter().filter(|name| kernel.would_load(name)).collect();
    (!missing.is_empty()).then(|| format!("it would load {} on the host", missing.join(" and ")))
}

/// Reads the files, and what the daemon is told.
pub(super) fn read(root: &Root, configuration: &Fact<Configuration>) -> Fact<Network> {
    let configuration = configuration.as_ref().ok();
    let without = |name: &&str| configuration.is_some_and(|configuration| configuration.is_off(name));
    let text = |name: &str| configuration.and_then(|configuration| configuration.text(name)).map(str::to_owned);
    let routes = parse_routes(&root.read(ROUTES)?);
    let default = routes.iter().find(|route| route.bits == 0).map(|route| route.interface.clone());
    let default_mtu = default.and_then(|interface| {
        let mtu = root.read_trimmed(&format!("/sys/class/net/{interface}/mtu")).ok()?.parse().ok()?;
        Some((interface, mtu))
    });
    let interfaces = root.list("/sys/class/net").unwrap_or_default();
    let with = |file: &str| {
        let has = |name: &&String| root.exists(&format!("/sys/class/net/{name}/{file}"));
        interfaces.iter().filter(has).cloned().collect::<Vec<_>>()
    };
    let nameservers = root.read(RESOLV_CONF).map(|text| parse_nameservers(&text)).unwrap_or_default();
    // The kernel walks all its tables to write these.
    let matter = nameservers.iter().any(|(_, server)| is_loopback(server));
    let sockets = |file: &str| {
        let text = matter.then(|| root.read(file).ok()).flatten();
        text.map(|text| parse_sockets(&text)).unwrap_or_default()
    };
    let (udp, tcp) = (sockets("/proc/net/udp"), sockets("/proc/net/tcp"));
    let address = default_mtu.as_ref().filter(|_| root.is_live()).and_then(|(interface, _)| own_address(interface));
    Ok(Network {
        resolvers: resolvers(&nameservers, &udp, &tcp),
        address,
        is_first: is_first(root),
        is_in_hosts: is_in_hosts(root),
        devices: with("device"),
        bridges: with("bridge"),
        loopback_up: loopback_is_up(root),
        arp_ignore: read_conf(root, ["all", "default"], arp_ignore_path),
        route_localnet: read_conf(
            root,
            ["default"].into_iter().chain(with("bridge").iter().map(String::as_str).filter(|name| is_a_daemons(name))),
            route_localnet_path,
        ),
        daemon_leaves_forwarding: without(&"ip-forward"),
        daemon_dns: configuration.map(|configuration| configuration.list("dns")).unwrap_or_default(),
        nameservers,
        routes,
        default_mtu,
        daemon_mtu: configuration.and_then(|configuration| configuration.number("mtu")),
        daemon_bip: text("bip"),
        daemon_without: ["icc", "userland-proxy"].into_iter().filter(without).map(str::to_owned).collect(),
        bridge_filter: root.exists("/proc/sys/net").then(|| root.exists(BRIDGE_FILTER)),
        ignores_bridge_filter: root.is_live()
            && env::var("DOCKER_IGNORE_BR_NETFILTER_ERROR").is_ok_and(|value| value == "1"),
        rp_filter: read_rp_filter(root),
        rp_filter_drops: root.read(NETSTAT).ok().and_then(|text| counter(&text, "TcpExt:", RP_FILTER_DROPS)),
        ip_forward: root.read_trimmed(IP_FORWARD).ok().map(|value| value == "1"),
        ipv6_forward: read_conf(root, ["default", "all"], ipv6_forward_path),
        daemon_ipv6: configuration.is_some_and(|configuration| configuration.switch("ipv6") == Some(true)),
        attempts: Err(not_yet(WHAT)),
    })
}

/// The first network namespace has a fixed inode number since Linux 6.18 (include/uapi/linux/nsfs.h: NET_NS_INIT_INO), and
/// has alone always had the sysctls that are the kernel's own (net/core/sysctl_net_core.c: net_core_table).
fn is_first(root: &Root) -> Option<bool> {
    const FIRST: u64 = 0xEFFF_FFF9;
    if root.namespace("net") == Some(FIRST) {
        return Some(true);
    }
    let core = root.exists("/proc/sys/net/core/somaxconn");
    core.then(|| root.exists("/proc/sys/net/core/netdev_max_backlog"))
}

fn is_in_hosts(root: &Root) -> Option<bool> {
    let hosts = root.read("/etc/hosts").ok().filter(|_| root.is_live())?;
    let own = getifaddrs().ok()?.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    Some(hosts_names(&hosts, own))
}

/// Whether a line of hosts(5) is of one of these addresses; those of the loopback are in every such file.
fn hosts_names(hosts: &str, own: impl IntoIterator<Item = IpAddr>) -> bool {
    let named: Vec<IpAddr> = hosts.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    own.into_iter().any(|address| !address.is_loopback() && named.contains(&address))
}

/// Where the loopback's flags are read from.
pub const LOOPBACK_FLAGS: &str = "/sys/class/net/lo/flags";

fn loopback_is_up(root: &Root) -> Option<bool> {
    // linux/if.h: IFF_UP
    const UP: u32 = 1;
    let flags = root.read_trimmed(LOOPBACK_FLAGS).ok()?;
    Some(u32::from_str_radix(flags.strip_prefix("0x")?, 16).ok()? & UP != 0)
}

/// Understands /proc/net/netstat: of each group a line of names, and one of values (kernel net/ipv4/proc.c).
fn counter(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(group)).map(str::split_whitespace);
    let (names, mut values) = (lines.next()?, lines.next()?);
    let index = names.into_iter().position(|own| own == name)?;
    values.nth(index)?.parse().ok()
}

fn read_rp_filter(root: &Root) -> Vec<(String, u32)> {
    let of = |name: String| Some((root.read_trimmed(&rp_filter_path(&name)).ok()?.parse().ok()?, name));
    let interfaces = root.list("/sys/class/net").unwrap_or_default();
    let interfaces = interfaces.into_iter().filter(|name| name != "lo");
    ["all".to_owned()].into_iter().chain(interfaces).filter_map(of).map(|(value, name)| (name, value)).collect()
}

/// A setting of interfaces, as far as it can be read.
fn read_conf<'n>(
    root: &Root,
    names: impl IntoIterator<Item = &'n str>,
    path: fn(&str) -> String,
) -> Vec<(String, u32)> {
    let read = |name: &'n str| Some((name.to_owned(), root.read_trimmed(&path(name)).ok()?.parse().ok()?));
    names.into_iter().filter_map(read).collect()
}

/// The daemon's own bridge.
pub const DEFAULT_BRIDGE: &str = "docker0";

/// Whether a bridge has a name as a daemon gives it: to the default one, and to those of users.
fn is_a_daemons(bridge: &str) -> bool {
    bridge == DEFAULT_BRIDGE || bridge.starts_with("br-")
}

/// The file of whether the kernel lets in what is for the loopback; `default` is that of interfaces to be made.
pub fn route_localnet_path(interface: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{interface}/route_localnet")
}

/// The file of an interface's reverse path filter; `all` is everybody's.
pub fn rp_filter_path(interface: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{interface}/rp_filter")
}

/// The file of how an interface answers ARP requests; `default` is that of interfaces to be made.
pub fn arp_ignore_path(interface: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{interface}/arp_ignore")
}

/// The file of whether IPv6 packets are forwarded; `default` is that of interfaces to be made, `all` sets every one.
pub fn ipv6_forward_path(interface: &str) -> String {
    format!("/proc/sys/net/ipv6/conf/{interface}/forwarding")
}

/// Whether a name server is on the loopback.
pub fn is_loopback(server: &str) -> bool {
    server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn own_address(interface: &str) -> Option<Ipv4Addr> {
    getifaddrs()
        .ok()?
        .filter(|own| own.interface_name == interface)
        .find_map(|own| Some(own.address?.as_sockaddr_in()?.ip()))
}

/// A socket that listens.
struct Listener {
    address: Ipv4Addr,
    port: u16,
}

/// Understands /proc/net/udp and /proc/net/tcp: local and remote address and port, in hexadecimal, addresses in the byte
/// order of the machine (proc_pid_net(5)). Those that wait have no remote port.
fn parse_sockets(text: &str) -> Vec<Listener> {
    let parse = |word: &str| {
        let (address, port) = word.split_once(':')?;
        let address = Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?.to_ne_bytes());
        Some(Listener { address, port: u16::from_str_radix(port, 16).ok()? })
    };
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (local, remote) = (parse(words.next()?)?, parse(words.next()?)?);
            (remote.port == 0).then_some(local)
        })
        .collect()
}

/// Who listens on those of the name servers that are of the loopback: on port 53, or else on the only port there.
fn resolvers(nameservers: &[(usize, String)], udp: &[Listener], tcp: &[Listener]) -> Vec<Resolver> {
    let port = |address: Ipv4Addr, listeners: &[Listener]| {
        let ports: Vec<u16> = listeners.iter().filter(|own| own.address == address).map(|own| own.port).collect();
        ports.iter().find(|port| **port == 53).or(ports.first().filter(|_| ports.len() == 1)).copied()
    };
    nameservers
        .iter()
        .filter_map(|(_, server)| {
            let address: Ipv4Addr = server.parse().ok().filter(Ipv4Addr::is_loopback)?;
            Some(Resolver { address, udp: port(address, udp)?, tcp: port(address, tcp) })
        })
        .collect()
}

/// The interface of the default route and its next hop, in /proc/net/route.
pub(crate) fn default_gateway(routes: &str) -> Option<(String, Ipv4Addr)> {
    let via = |(route, gateway): (Route, Ipv4Addr)| {
        (route.bits == 0 && route.network.is_unspecified() && !route.on_link).then_some((route.interface, gateway))
    };
    route_lines(routes).find_map(via)
}

/// Understands resolv.conf(5): each name server with its line.
pub(crate) fn parse_nameservers(text: &str) -> Vec<(usize, String)> {
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| {
            let mut words = line.split_whitespace();
            (words.next() == Some("nameserver")).then(|| Some((index + 1, words.next()?.to_owned())))?
        })
        .collect()
}

/// Understands /proc/net/route: a head line, then interface, destination, gateway, flags, …, mask, in hexadecimal and
/// the byte order of the machine (net/ipv4/fib_trie.c fib_route_seq_show).
fn route_lines(text: &str) -> impl Iterator<Item = (Route, Ipv4Addr)> {
    let address = |hex: &str| u32::from_str_radix(hex, 16).ok().map(|bits| Ipv4Addr::from(bits.to_ne_bytes()));
    text.lines().enumerate().skip(1).filter_map(move |(index, line)| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (gateway, mask) = (address(fields.get(2)?)?, address(fields.get(7)?)?);
        let route = Route {
            line: index + 1,
            interface: (*fields.first()?).to_owned(),
            network: address(fields.get(1)?)?,
            bits: u8::try_from(mask.to_bits().leading_ones()).ok()?,
            on_link: gateway.is_unspecified(),
        };
        Some((route, gateway))
    })
}

fn parse_routes(text: &str) -> Vec<Route> {
    route_lines(text).map(|(route, _)| route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES_TEXT: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
        odd\n";

    #[test]
    fn no_link_is_tried_whose_kind_would_load_a_module() {
        use crate::facts::kernel::Presence;
        let modules = [("bridge", Presence::Loadable), ("veth", Presence::Loaded)];
        let modules = modules.map(|(name, presence)| (name.to_owned(), presence)).into();
        let kernel = Ok(Kernel { release: "6.12".to_owned(), machine: None, modular: true, modules });
        let live = start(&Root::new("/"), &kernel).finish();
        assert_eq!(live, Err(FactError::new("try", WHAT, "it would load bridge on the host")));
        assert_eq!(start(&Root::new("/captured"), &kernel).finish(), Err(FactError::captured(WHAT)));
    }

    #[test]
    fn a_counter_is_found_by_the_name_above_it() {
        let text = "TcpExt: SyncookiesSent IPReversePathFilter ArpFilter\nTcpExt: 5 7 9\n\
                    IpExt: InNoRoutes IPReversePathFilter\nIpExt: 1 2\n";
        assert_eq!(counter(text, "TcpExt:", RP_FILTER_DROPS), Some(7));
        assert_eq!(counter(text, "IpExt:", "InNoRoutes"), Some(1));
        assert_eq!(counter(text, "TcpExt:", "InNoRoutes"), None);
        for odd in ["", "TcpExt: IPReversePathFilter\n", "TcpExt: A IPReversePathFilter\nTcpExt: 1\n"] {
            assert_eq!(counter(odd, "TcpExt:", RP_FILTER_DROPS), None, "{odd}");
        }
    }

    #[test]
    fn hosts_names_an_address_of_ours_where_a_line_of_it_does() {
        let hosts = "127.0.0.1 localhost\n::1 localhost\n# 10.0.0.9 old\n172.17.0.2 a b\nfd00::2 a\nodd\n\n";
        for (own, named) in [
            ("172.17.0.2", true),
            ("fd00::2", true),
            ("127.0.0.1", false),
            ("::1", false),
            ("10.0.0.9", false),
            ("172.17.0.3", false),
        ] {
            assert_eq!(hosts_names(hosts, [own.parse().unwrap()]), named, "{own}");
        }
        assert!(hosts_names(hosts, ["127.0.0.1", "172.17.0.2"].map(|own| own.parse().unwrap())));
        assert!(!hosts_names(hosts, []));
    }

    #[test]
    fn routes_and_overlaps_are_understood() {
        let routes = parse_routes(ROUTES_TEXT);
        assert_eq!(routes.len(), 2);
        assert_eq!((routes[1].network, routes[1].bits, routes[1].on_link), (Ipv4Addr::new(172, 17, 0, 0), 16, true));
        assert!(routes[1].overlaps(Ipv4Addr::new(172, 17, 42, 0), 24));
        assert!(routes[1].overlaps(Ipv4Addr::new(172, 16, 0, 0), 12));
        assert!(!routes[1].overlaps(Ipv4Addr::new(172, 18, 0, 0), 16));
        assert!(!routes[0].on_link);
    }

    #[test]
    fn networks_overlap_where_one_is_in_the_other() {
        let overlaps = |own: [u8; 4], bits: u8, other: [u8; 4], other_bits: u8| {
            let route = Route { line: 1, interface: "eth0".to_owned(), network: own.into(), bits, on_link: true };
            route.overlaps(other.into(), other_bits)
        };
        for (other, bits, overlap) in [
            ([10, 1, 2, 3], 32, true),
            ([10, 1, 2, 2], 32, false),
            ([10, 1, 2, 2], 31, true),
            ([10, 1, 2, 0], 31, false),
            ([10, 1, 0, 0], 22, true),
            ([10, 1, 4, 0], 22, false),
            ([0, 0, 0, 0], 0, true),
        ] {
            assert_eq!(overlaps([10, 1, 2, 3], 32, other, bits), overlap, "{other:?}/{bits}");
            assert_eq!(overlaps(other, bits, [10, 1, 2, 3], 32), overlap, "{other:?}/{bits}");
        }
        assert!(
            !overlaps([172, 17, 0, 0], 16, [172, 18, 0, 0], 16) && overlaps([172, 17, 0, 0], 15, [172, 16, 9, 0], 24)
        );
    }

    #[test]
    fn whose_a_bridge_or_an_address_is_its_name_says() {
        let daemons = ["docker0", "br-1", "br1", "virbr0", "docker01"].map(is_a_daemons);
        assert_eq!(daemons, [true, true, false, false, false]);
        let loopback = ["127.0.0.53", "::1", "10.0.0.1", "odd"].map(is_loopback);
        assert_eq!(loopback, [true, true, false, false]);
        let gateway = default_gateway(ROUTES_TEXT);
        assert_eq!(gateway, Some(("eth0".to_owned(), Ipv4Addr::new(172, 17, 0, 1))));
        assert_eq!(default_gateway("Iface\neth0\t00000000\t00000000\t1\t0\t0\t0\t00000000\n"), None);
    }

    #[test]
    fn nameservers_have_their_lines() {
        let text = "# x\nnameserver 127.0.0.11\nsearch a\n nameserver  8.8.8.8 \nnameserver\n";
        assert_eq!(parse_nameservers(text), [(2, "127.0.0.11".to_owned()), (4, "8.8.8.8".to_owned())]);
    }

    #[test]
    fn a_listener_on_a_name_servers_address_is_reported() {
        let udp = "  sl  local_address rem_address   st tx_queue\n  517: 0B00007F:8A05 00000000:0000 07 0\n odd\n";
        let tcp = "  sl  local_address rem_address   st\n   0: 0B00007F:9F2D 00000000:0000 0A\n   1: 0B00007F:0035 0100007F:1234 01\n";
        let servers = [(1, "127.0.0.11".to_owned()), (2, "127.0.0.53".to_owned()), (3, "8.8.8.8".to_owned())];
        let found = resolvers(&servers, &parse_sockets(udp), &parse_sockets(tcp));
        let resolver = Resolver { address: Ipv4Addr::new(127, 0, 0, 11), udp: 0x8a05, tcp: Some(0x9f2d) };
        assert_eq!(found, [resolver]);
        let listener = |port: u16| Listener { address: Ipv4Addr::new(127, 0, 0, 11), port };
        let udp = |ports: &[u16]| {
            let udp: Vec<Listener> = ports.iter().copied().map(listener).collect();
            resolvers(&servers, &udp, &[]).first().map(|resolver| resolver.udp)
        };
        assert_eq!(udp(&[9999, 53]), Some(53), "the port of name servers comes first");
        assert_eq!(udp(&[9999]), Some(9999));
        assert_eq!(udp(&[9999, 8888]), None, "which of them cannot be told");
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics(text in "(\\PC|[\n\t 0-9A-F])*") {
            let _ = parse_routes(&text);
            let _ = parse_nameservers(&text);
            let _ = parse_sockets(&text);
        }
    }
}
