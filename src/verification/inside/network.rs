//! The network as a container sees it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::{GREETING, PORT, files, saw, tell, want};
use crate::finding::Evidence;
use crate::process;
use crate::verification::packet::{self, Transport};

/// How long an answer may take: all who are asked are near.
const WAIT: Duration = Duration::from_millis(1500);
/// In the place of a size: not even the smallest packet came back.
pub(in crate::verification) const NO_ANSWER: &str = "no answer of any size";
/// Sizes that tunnels leave of an Ethernet packet, to tell how much gets through.
const SIZES: [usize; 12] = [1480, 1476, 1472, 1460, 1450, 1440, 1420, 1400, 1380, 1350, 1280, 576];

/// Whom to talk to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::verification) struct Order {
    /// The work container's address on the default bridge.
    pub(in crate::verification) peer: Option<Ipv4Addr>,
    /// Its IPv6 address there.
    pub(in crate::verification) peer_v6: Option<std::net::Ipv6Addr>,
    /// Its name, on a network with names.
    pub(in crate::verification) name: Option<String>,
    /// A port of the outer container's that is listened on.
    pub(in crate::verification) gateway_port: Option<u16>,
    /// Addresses of the outer container at which the published port is.
    pub(in crate::verification) published: Vec<SocketAddr>,
    /// Addresses beyond the outer container that answer it.
    pub(in crate::verification) beyond: Vec<Ipv4Addr>,
    /// The MTU of the outer container's way out.
    pub(in crate::verification) outer_mtu: Option<usize>,
    /// Name servers that answer the outer container.
    pub(in crate::verification) nameservers: Vec<(IpAddr, Transport)>,
    /// Whether there is a named volume to look at.
    pub(in crate::verification) volume: bool,
}

/// The own address, the way out and the name servers.
pub(super) fn own() -> Vec<Evidence> {
    let mut evidence = Vec::new();
    let route = packet::default_route();
    if let Some(route) = &route {
        let address = packet::address_towards(route.gateway);
        evidence.push(saw("default route", format!("{} by {}", route.gateway, route.interface)));
        evidence.push(saw("gateway", route.gateway));
        evidence.push(saw("address", address.map_or_else(|error| error.to_string(), |address| address.to_string())));
        evidence.push(saw("MTU", packet::mtu(&route.interface).map_or_else(String::new, |mtu| mtu.to_string())));
    }
    evidence.push(saw("/etc/resolv.conf", fs::read_to_string("/etc/resolv.conf").unwrap_or_default().trim()));
    evidence
}

/// Connects to all of them at once.
pub(super) fn run(order: &Order) -> io::Result<()> {
    if order.volume {
        tell("volume", files::volume_kept)?;
    }
    tell("network", own)?;
    let gateway = packet::default_route().map(|route| route.gateway);
    let mut beside = Children::default();
    if let (Some(gateway), Some(port)) = (gateway, order.gateway_port) {
        beside.tell("gateway", || {
            let reached = TcpStream::connect_timeout(&SocketAddr::from((gateway, port)), WAIT);
            vec![want(&format!("connect to {gateway}:{port}"), super::done(reached), "done")]
        })?;
    }
    if let Some(peer) = order.peer {
        beside.tell("peer", || vec![greeted(SocketAddr::from((peer, PORT)))])?;
    }
    if let Some(peer) = order.peer_v6 {
        beside.tell("ipv6", || vec![greeted(SocketAddr::from((peer, PORT)))])?;
    }
    if let Some(name) = &order.name {
        beside.tell("name", || by_name(name))?;
    }
    if !order.published.is_empty() {
        beside.tell("published", || order.published.iter().copied().map(greeted).collect())?;
    }
    if let Some(beyond) = order.beyond.first() {
        beside.tell("outbound", || outbound(&order.beyond))?;
        beside.tell("mtu", || full_size(*beyond, order.outer_mtu))?;
    }
    if !order.nameservers.is_empty() {
        beside.tell("dns", || ask_all(&order.nameservers))?;
    }
    beside.end()
}

/// Looks that go on side by side, each in a child.
#[derive(Default)]
struct Children(Vec<Pid>);

impl Children {
    fn tell(&mut self, subject: &str, look: impl FnOnce() -> Vec<Evidence>) -> io::Result<()> {
        self.0.push(process::fork(|| u8::from(tell(subject, look).is_err()))?);
        Ok(())
    }

    fn end(self) -> io::Result<()> {
        for child in self.0 {
            if !matches!(waitpid(child, None)?, WaitStatus::Exited(_, 0)) {
                return Err(io::Error::other("a probe broke"));
            }
        }
        Ok(())
    }
}

/// Goes to a port of the work container's and hears whether it is that.
fn greeted(address: SocketAddr) -> Evidence {
    want(&format!("connect to {address}"), heard(address).unwrap_or_else(|error| error.to_string()), GREETING)
}

fn heard(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

/// Asks the name servers of this container for a name, both ways, and goes to the address.
fn by_name(name: &str) -> Vec<Evidence> {
    let servers = packet::nameservers(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    let Some(server) = servers.first().copied() else {
        return vec![want("name servers in /etc/resolv.conf", "none", "one")];
    };
    let mut evidence = vec![saw("name server", server)];
    let mut found = BTreeSet::new();
    for transport in [Transport::Udp, Transport::Tcp] {
        let location = format!("ask for {name} over {}", transport.name());
        match packet::ask(server, transport, name, WAIT) {
            Ok(addresses) if !addresses.is_empty() => {
                evidence.push(want(&location, "an address", "an address"));
                found.extend(addresses);
            }
            Ok(_) => evidence.push(want(&location, "no address", "an address")),
            Err(error) => evidence.push(want(&location, error, "an address")),
        }
    }
    evidence.extend(found.into_iter().map(|address| greeted(SocketAddr::from((address, PORT)))));
    evidence
}

/// Sends to addresses beyond the outer container, which knows nothing of ours: only translated packets come back.
fn outbound(addresses: &[Ipv4Addr]) -> Vec<Evidence> {
    addresses
        .iter()
        .map(|address| {
            let answer = match packet::echo(*address, &[64], WAIT) {
                Ok(back) if back.is_empty() => "no answer".to_owned(),
                Ok(_) => "an answer".to_owned(),
                Err(error) => error.to_string(),
            };
            want(&format!("echo request to {address}"), answer, "an answer")
        })
        .collect()
}

/// Sends a packet as large as the own interface takes.
fn full_size(to: Ipv4Addr, outer_mtu: Option<usize>) -> Vec<Evidence> {
    let Some(mtu) = packet::default_route().and_then(|route| packet::mtu(&route.interface)) else {
        return vec![want("the interface's MTU", "unknown", "known")];
    };
    let sizes: Vec<usize> =
        [Some(mtu), outer_mtu].into_iter().flatten().chain(SIZES).filter(|size| *size <= mtu).collect();
    let sizes: Vec<usize> = sizes.into_iter().collect::<BTreeSet<_>>().into_iter().rev().collect();
    let mut back = packet::echo(to, &sizes, WAIT);
    // A busy machine may be late once. It is only when some come back, and larger ones do not, that the size is the reason.
    if matches!(&back, Ok(back) if back.is_empty()) {
        back = packet::echo(to, &sizes, WAIT);
    }
    let location = format!("the largest packet that comes back from {to} unfragmented, in bytes");
    match back.map(|back| back.last().copied()) {
        Ok(Some(largest)) => vec![want(&location, largest, mtu)],
        Ok(None) => vec![saw(&location, NO_ANSWER)],
        Err(error) => vec![want(&location, error, mtu)],
    }
}

/// Asks name servers that answer the outer container.
fn ask_all(servers: &[(IpAddr, Transport)]) -> Vec<Evidence> {
    // Each has answered the outer container; if they do not here, the first ones tell as much as all of them.
    let deadline = Instant::now() + 2 * WAIT;
    let ask = |(server, transport): &(IpAddr, Transport)| {
        let wait = deadline.saturating_duration_since(Instant::now()).clamp(WAIT / 8, WAIT);
        let answer = match packet::ask(*server, *transport, "localhost", wait) {
            Ok(_) => "an answer".to_owned(),
            Err(error) => error.to_string(),
        };
        want(&format!("ask {server} over {}", transport.name()), answer, "an answer")
    };
    servers.iter().map(ask).collect()
}
