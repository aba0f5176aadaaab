//! Making what a daemon makes for its default network, in a network namespace that nothing else is in.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use super::Attempt;
use super::background::Background;
use super::child;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};

/// Its name on the hidden command line.
pub(super) const NAME: &str = "network";

/// Starts all of them.
pub fn start() -> Background<Vec<Attempt>> {
    child::start(NAME, &(), CloneFlags::CLONE_NEWNET)
}

const BRIDGE: &str = "dindcheck0";
const VETH: &str = "dindcheck1";
const PEER: &str = "dindcheck2";

/// One of the things that are tried.
type Step<'a> = &'a dyn Fn(&mut Link) -> io::Result<()>;

/// What runs in the child: each thing in its turn, until one that the others need does not work.
pub(super) fn run() -> Vec<Attempt> {
    let mut attempts = Vec::new();
    let mut link = match Link::open(SockProtocol::NetlinkRoute) {
        Ok(link) => link,
        Err(error) => {
            return vec![Attempt { what: "speak netlink".to_owned(), error: Some(error.to_string()) }];
        }
    };
    let steps: [(&str, Step<'_>); 5] = [
        ("make a bridge", &|link| link.add(BRIDGE, "bridge", &[])),
        ("give it an address", &|link| link.address(BRIDGE, [192, 0, 2, 1], 24)),
        ("make a veth pair", &|link| link.add(VETH, "veth", &veth_peer())),
        ("put one end on the bridge", &|link| {
            let bridge = index(BRIDGE)?;
            link.set(VETH, &attribute(IFLA_MASTER, &bridge.to_ne_bytes()))
        }),
        ("move the other end to another network namespace", &|link| {
            let other = another_namespace()?;
            link.set(PEER, &attribute(IFLA_NET_NS_FD, &other.as_raw_fd().to_ne_bytes()))
        }),
    ];
    for (what, step) in steps {
        let error = step(&mut link).err().map(|error| error.to_string());
        let failed = error.is_some();
        attempts.push(Attempt { what: what.to_owned(), error });
        if failed {
            break;
        }
    }
    // The file is that of the namespace of who writes: this one, not the container's.
    let forward = fs::write("/proc/sys/net/ipv4/ip_forward", "1").err().map(|error| error.to_string());
    attempts.push(Attempt { what: "write net.ipv4.ip_forward".to_owned(), error: forward });
    attempts
}

/// Sets an interface up or down.
///
/// # Errors
/// The kernel's error.
pub fn set_link(name: &str, up: bool) -> io::Result<()> {
    // linux/if.h: IFF_UP. In struct ifinfomsg: which flags, and of these the ones that change.
    const UP: u32 = 1;
    let flags = if up { UP } else { 0 };
    let head = [[0; 4], index(name)?.to_ne_bytes(), flags.to_ne_bytes(), UP.to_ne_bytes()].concat();
    Link::open(SockProtocol::NetlinkRoute)?.ask(RTM_NEWLINK, 0, &head)
}

/// A second scratch namespace; it is gone with its descriptor.
fn another_namespace() -> io::Result<OwnedFd> {
    let own: OwnedFd = fs::File::open("/proc/self/ns/net")?.into();
    unshare(CloneFlags::CLONE_NEWNET)?;
    let other: OwnedFd = fs::File::open("/proc/self/ns/net")?.into();
    setns(own.as_fd(), CloneFlags::CLONE_NEWNET)?;
    Ok(other)
}

fn index(name: &str) -> io::Result<u32> {
    Ok(nix::net::if_::if_nametoindex(name)?)
}

// rtnetlink(7), linux/if_link.h, linux/rtnetlink.h, linux/veth.h
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const NLM_F_REQUEST_ACK: u16 = 0x5;
const NLM_F_CREATE_EXCL: u16 = 0x600;
const NLMSG_ERROR: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// One attribute: length, type, value, and zeroes up to a multiple of 4.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The head of a link message (struct ifinfomsg): only the index matters to us.
fn link_head(index: u32) -> Vec<u8> {
    [[0; 4], index.to_ne_bytes(), [0; 4], [0; 4]].concat()
}

fn name(name: &str) -> Vec<u8> {
    attribute(IFLA_IFNAME, &[name.as_bytes(), &[0]].concat())
}

/// What a veth needs to know of its other end.
fn veth_peer() -> Vec<u8> {
    attribute(IFLA_INFO_DATA, &attribute(VETH_INFO_PEER, &[link_head(0), name(PEER)].concat()))
}

/// A netlink socket.
pub(super) struct Link {
    socket: OwnedFd,
}

impl Link {
    pub(super) fn open(protocol: SockProtocol) -> io::Result<Self> {
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self { socket })
    }

    /// Makes a link of a kind.
    fn add(&mut self, own: &str, kind: &str, data: &[u8]) -> io::Result<()> {
        let info = [attribute(IFLA_INFO_KIND, kind.as_bytes()), data.to_vec()].concat();
        let body = [link_head(0), name(own), attribute(IFLA_LINKINFO, &info)].concat();
        self.ask(RTM_NEWLINK, NLM_F_CREATE_EXCL, &body)
    }

    /// Changes a link.
    fn set(&mut self, own: &str, change: &[u8]) -> io::Result<()> {
        self.ask(RTM_NEWLINK, 0, &[link_head(index(own)?), change.to_vec()].concat())
    }

    /// Gives a link an address (struct ifaddrmsg: family, prefix length, flags, scope, index).
    fn address(&mut self, own: &str, address: [u8; 4], bits: u8) -> io::Result<()> {
        const AF_INET: u8 = 2;
        let head = [[AF_INET, bits, 0, 0], index(own)?.to_ne_bytes()].concat();
        let body = [head, attribute(IFA_LOCAL, &address), attribute(IFA_ADDRESS, &address)].concat();
        self.ask(RTM_NEWADDR, NLM_F_CREATE_EXCL, &body)
    }

    /// Sends a request and waits for its acknowledgement, which the kernel has ready when the send is over.
    pub(super) fn ask(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 16).map_err(io::Error::other)?;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&(NLM_F_REQUEST_ACK | flags).to_ne_bytes());
        message.extend_from_slice(&[0; 8]);
        message.extend_from_slice(body);
        send(self.socket.as_raw_fd(), &message, MsgFlags::empty())?;
        let mut answer = [0u8; 1024];
        let count = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        let field = |at: usize| -> io::Result<[u8; 4]> {
            let bytes = answer[..count].get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.ok_or_else(|| io::Error::other("the kernel's answer is too short"))
        };
        let [low, high, ..] = field(4)?;
        if u16::from_ne_bytes([low, high]) != NLMSG_ERROR {
            return Err(io::Error::other("the kernel's answer is no acknowledgement"));
        }
        match i32::from_ne_bytes(field(16)?) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error.saturating_neg())),
        }
    }
}
