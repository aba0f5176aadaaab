//! Making the set of networks that Docker 28.0.0 makes for its bridges, in a network namespace that nothing else is in.

use nix::sched::CloneFlags;
use nix::sys::socket::SockProtocol;

use super::background::Background;
use super::child;
use super::network::{Link, attribute};
use super::{Attempt, tried};

/// Its name on the hidden command line.
pub(super) const NAME: &str = "ipset";

/// Starts it.
pub fn start() -> Background<Attempt> {
    child::start(NAME, &(), CloneFlags::CLONE_NEWNET)
}

/// What runs in the child.
pub(super) fn run() -> Attempt {
    // linux/netfilter/nfnetlink.h, linux/netfilter/ipset/ip_set.h
    const CREATE: u16 = 6 << 8 | 2;
    const PROTOCOL: u16 = 1;
    const SET_NAME: u16 = 2;
    const TYPE_NAME: u16 = 3;
    const REVISION: u16 = 4;
    const FAMILY: u16 = 5;
    const DATA: u16 = 7 | 0x8000;
    const AF_INET: u8 = 2;
    let body = [
        vec![AF_INET, 0, 0, 0],
        attribute(PROTOCOL, &[6]),
        attribute(SET_NAME, b"dindcheck\0"),
        attribute(TYPE_NAME, b"hash:net\0"),
        attribute(REVISION, &[0]),
        attribute(FAMILY, &[AF_INET]),
        attribute(DATA, &[]),
    ];
    let made = Link::open(SockProtocol::NetlinkNetFilter).and_then(|mut link| link.ask(CREATE, 0, &body.concat()));
    tried("make a set of networks (hash:net)", made)
}
