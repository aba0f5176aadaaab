//! The daemon's addresses, as it reads them (moby daemon/pkg/opts/hosts.go).

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::{Defaults, Origin};

/// Where root's daemon listens by default.
pub(super) const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// Where a daemon with TLS listens when it is told no address.
pub(super) const DEFAULT_TLS: &str = "tcp://localhost:2376";
/// The host and the port of a TCP address that leaves them out.
const DEFAULT_HOST: &str = "localhost";
const DEFAULT_PORT: u16 = 2375;

/// What an address is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Address {
    /// A unix socket at this path.
    Unix(String),
    /// A TCP address.
    Tcp {
        /// The host or the address, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// Sockets that are handed over (systemd socket activation); `*` or a number.
    Fd(String),
    /// What the daemon does not understand.
    Other(String),
}

/// One address that the daemon will listen on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// As it was given.
    pub text: String,
    /// What it is.
    pub address: Address,
    /// Where it comes from.
    pub origin: Origin,
}

impl Host {
    /// Reads an address.
    pub(super) fn new(text: &str, origin: Origin, defaults: &Defaults) -> Self {
        Self { text: text.to_owned(), address: parse(text.trim(), defaults), origin }
    }

    /// The path of a unix socket.
    pub fn unix(&self) -> Option<&str> {
        match &self.address {
            Address::Unix(path) => Some(path),
            _ => None,
        }
    }

    /// Host and port of a TCP address.
    pub fn tcp(&self) -> Option<(&str, u16)> {
        match &self.address {
            Address::Tcp { host, port } => Some((host, *port)),
            _ => None,
        }
    }

    /// Whether only this machine reaches it.
    pub fn is_local(&self) -> bool {
        self.tcp().is_some_and(|(host, _)| {
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{path}"),
            Self::Tcp { host, port } if host.parse::<Ipv6Addr>().is_ok() => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Fd(which) => write!(f, "fd://{which}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

fn parse(text: &str, defaults: &Defaults) -> Address {
    let other = || Address::Other(text.to_owned());
    match text.split_once("://") {
        Some(("unix", "")) => Address::Unix(defaults.socket.clone()),
        Some(("unix", path)) if !path.contains("://") => Address::Unix(path.to_owned()),
        Some(("fd", which)) => Address::Fd(which.to_owned()),
        Some(("tcp", address)) => tcp(address).unwrap_or_else(other),
        None if !text.is_empty() => tcp(text).unwrap_or_else(other),
        _ => other(),
    }
}

fn tcp(address: &str) -> Option<Address> {
    if address.contains('/') {
        return None;
    }
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port = match port.filter(|port| !port.is_empty()) {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None => DEFAULT_PORT,
    };
    let host = if host.is_empty() { DEFAULT_HOST } else { host };
    Some(Address::Tcp { host: host.to_owned(), port })
}
