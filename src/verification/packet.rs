//! Packets that are sent from both sides, out of the test container and out of the outer one: echo requests that must
//! not be fragmented, DNS questions, and what the kernel says about the way.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto, socket};
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};

use crate::facts::network as facts;
use crate::process;

/// The headers of an echo request: IPv4 without options, and ICMP.
const HEADERS: usize = 20 + 8;

/// Where packets go by default: an interface and the next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) interface: String,
    pub(super) gateway: Ipv4Addr,
}

/// The default route.
pub(super) fn default_route() -> Option<Route> {
    parse_routes(&fs::read_to_string(facts::ROUTES).ok()?)
}

fn parse_routes(text: &str) -> Option<Route> {
    facts::default_gateway(text).map(|(interface, gateway)| Route { interface, gateway })
}

/// Whether someone listens on a port, by /proc/net/tcp: the local address and port in hexadecimal are the second field,
/// and the state the fourth, 0A for LISTEN (proc_pid_net(5)).
pub(super) fn listens(table: &str, port: u16) -> bool {
    let wanted = format!(":{port:04X}");
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next().is_some_and(|local| local.ends_with(&wanted)) && fields.nth(1) == Some("0A")
    })
}

/// The own address on the way to another one.
pub(super) fn address_towards(other: Ipv4Addr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((other, 9))?;
    Ok(socket.local_addr()?.ip())
}

/// The largest packet of an interface, in bytes.
pub(super) fn mtu(interface: &str) -> Option<usize> {
    fs::read_to_string(format!("/sys/class/net/{interface}/mtu")).ok()?.trim().parse().ok()
}

/// The name servers of a resolv.conf (resolv.conf(5)); a scope after `%` is left out.
pub(crate) fn nameservers(text: &str) -> Vec<IpAddr> {
    let servers = facts::parse_nameservers(text).into_iter();
    servers.filter_map(|(_, server)| server.split('%').next()?.parse().ok()).collect()
}

/// Sends echo requests of these sizes (IP header included), none of which may be fragmented on the way or kept back
/// for what is known of it. Gives the sizes that came back in time.
pub(super) fn echo(to: Ipv4Addr, sizes: &[usize], wait: Duration) -> io::Result<BTreeSet<usize>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Inet, SockType::Raw, flags, SockProtocol::Icmp)?;
    // Each goes out whole or not at all, whatever is known of the way (ip(7)).
    set_ip_mtu_discover(&fd, Ipv4PathMtuDiscovery::PROBE)?;
    let target = SockaddrIn::from(SocketAddrV4::new(to, 0));
    // A raw socket hears the replies to others too: those to us have a number of our own, and the size that we sent.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // The clock makes it another one in each container, of which we are the first process: by number and address the
    // kernel would know an exchange again that it has translated before (nf_conntrack), whatever has become of the rules.
    let ident = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos() >> 4);
    let ident = u16::try_from(ident & 0xffff).unwrap_or_default() ^ NEXT.fetch_add(0x0101, Ordering::Relaxed);
    let mut failed = None;
    for (index, size) in sizes.iter().enumerate() {
        let packet = echo_request(ident, u16::try_from(index).unwrap_or_default(), size.saturating_sub(HEADERS));
        // One that is too large for the own interface is refused here, which is an answer too.
        if let Err(error) = sendto(fd.as_raw_fd(), &packet, &target, MsgFlags::empty()) {
            failed = Some(error);
        }
    }
    let deadline = Instant::now() + wait;
    let mut back = BTreeSet::new();
    let mut buffer = vec![0; 1 << 16];
    while back.len() < sizes.len() {
        if poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], process::timeout(deadline))? == 0 {
            break;
        }
        let Ok(count) = recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()) else { continue };
        let sent = echo_reply(&buffer[..count], ident).and_then(|sequence| sizes.get(usize::from(sequence)));
        back.extend(sent.filter(|size| **size == count).copied());
    }
    match failed {
        Some(error) if back.is_empty() => Err(error.into()),
        _ => Ok(back),
    }
}

/// An echo request (RFC 792).
fn echo_request(ident: u16, sequence: u16, payload: usize) -> Vec<u8> {
    let mut packet = vec![8, 0, 0, 0];
    packet.extend(ident.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.resize(8 + payload, 0x64);
    let sum = packet
        .chunks(2)
        .fold(0_u32, |sum, pair| sum + (u32::from(pair[0]) << 8) + pair.get(1).copied().map_or(0, u32::from));
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or_default();
    packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// The sequence number of a reply to a request of ours; a raw socket gives the IP header too.
fn echo_reply(packet: &[u8], ident: u16) -> Option<u16> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    let message = packet.get(header..header + 8)?;
    (message[0] == 0 && message[4..6] == ident.to_be_bytes()).then(|| u16::from_be_bytes([message[6], message[7]]))
}

/// How a DNS question is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }
}

/// Asks a name server for the IPv4 addresses of a name. An answer without one is an answer too.
pub(crate) fn ask(server: IpAddr, transport: Transport, name: &str, wait: Duration) -> io::Result<Vec<Ipv4Addr>> {
    let question = question(name);
    let server = SocketAddr::new(server, 53);
    let answer = match transport {
        Transport::Udp => {
            let any: IpAddr =
                if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
            let socket = UdpSocket::bind((any, 0))?;
            socket.set_read_timeout(Some(wait))?;
            socket.connect(server)?;
            socket.send(&question)?;
            let mut answer = vec![0; 4096];
            let count = socket.recv(&mut answer)?;
            answer.truncate(count);
            answer
        }
        Transport::Tcp => {
            let mut stream = TcpStream::connect_timeout(&server, wait)?;
            stream.set_read_timeout(Some(wait))?;
            let length = u16::try_from(question.len()).map_err(io::Error::other)?;
            stream.write_all(&[&length.to_be_bytes()[..], &question].concat())?;
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut answer)?;
            answer
        }
    };
    addresses(&answer).ok_or_else(|| io::Error::other("the answer is no DNS message"))
}

/// The number that our questions carry.
const QUESTION: u16 = 0xd1cd;

/// A question for the A records of a name, recursion desired (RFC 1035, 4.1).
fn question(name: &str) -> Vec<u8> {
    let mut message = Vec::new();
    message.extend(QUESTION.to_be_bytes());
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        message.push(u8::try_from(label.len()).unwrap_or_default());
        message.extend(label);
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// The A records of an answer to our question; `None` if it is no answer to it.
fn addresses(message: &[u8]) -> Option<Vec<Ipv4Addr>> {
    let number = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    if number(0)? != QUESTION || message.get(2)? & 0x80 == 0 {
        return None;
    }
    let (questions, answers) = (number(4)?, number(6)?);
    let mut at = 12;
    for _ in 0..questions {
        at = after_name(message, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..answers {
        at = after_name(message, at)?;
        let (kind, length) = (number(at)?, usize::from(number(at + 8)?));
        let data = message.get(at + 10..at + 10 + length)?;
        if let (1, [a, b, c, d]) = (kind, data) {
            found.push(Ipv4Addr::new(*a, *b, *c, *d));
        }
        at += 10 + length;
    }
    Some(found)
}

fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_is_told_from_who_talks() {
        let table = "  sl  local_address rem_address   st tx_queue\n   0: 00000000:1F90 00000000:0000 0A 0:0\n   \
                     1: 0100007F:1F91 0100007F:1F90 01 0:0\n 2:\n";
        assert!(listens(table, 8080));
        assert!(!listens(table, 8081) && !listens(table, 80) && !listens("", 8080));
    }

    #[test]
    fn the_default_route_is_found() {
        let table = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                     eth1 0012A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n\
                     eth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0\n";
        let gateway = Ipv4Addr::from(0x0100_11AC_u32.to_ne_bytes());
        assert_eq!(parse_routes(table), Some(Route { interface: "eth0".to_owned(), gateway }));
        assert_eq!(parse_routes(""), None);
    }

    #[test]
    fn name_servers_are_found() {
        let found = nameservers("# nameserver 1.1.1.1\nnameserver 127.0.0.11\nnameserver fe80::1%eth0\nnameserver x\n");
        assert_eq!(found, ["127.0.0.11".parse::<IpAddr>().unwrap(), "fe80::1".parse().unwrap()]);
    }

    #[test]
    fn the_checksum_of_a_request_makes_its_sum_whole() {
        for payload in [0, 1, 1472, 65_000] {
            let packet = echo_request(0xabcd, 3, payload);
            let mut sum: u32 = packet
                .chunks(2)
                .map(|pair| (u32::from(pair[0]) << 8) + pair.get(1).copied().map_or(0, u32::from))
                .sum();
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            assert_eq!(sum, 0xffff);
        }
    }

    #[test]
    fn answers_are_understood() {
        let mut answer = question("a.example");
        answer[2] |= 0x80;
        answer[7] = 2;
        answer.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 0xc0, 12]);
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 172, 18, 0, 2]);
        assert_eq!(addresses(&answer), Some(vec![Ipv4Addr::new(172, 18, 0, 2)]));
        assert_eq!(addresses(&question("a")), None, "a question is no answer");
    }

    proptest::proptest! {
        #[test]
        fn no_packet_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = echo_reply(&bytes, 0);
            let mut bytes = bytes;
            if bytes.len() > 3 {
                bytes[..2].copy_from_slice(&QUESTION.to_be_bytes());
                bytes[2] |= 0x80;
            }
            let _ = addresses(&bytes);
        }
    }
}
