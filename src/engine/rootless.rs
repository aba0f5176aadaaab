//! RootlessKit's command line, by the variables of moby's contrib/dockerd-rootless.sh.

use std::env;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;

use crate::configuration::{Configuration, Host};
use crate::facts::rootless::Rootless;

/// What the user wants otherwise, as the script reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// DOCKERD_ROOTLESS_ROOTLESSKIT_MTU.
    pub mtu: Option<String>,
    /// DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER.
    pub port_driver: Option<String>,
    /// DOCKERD_ROOTLESS_ROOTLESSKIT_STATE_DIR.
    pub state: Option<String>,
    /// DOCKERD_ROOTLESS_ROOTLESSKIT_DISABLE_HOST_LOOPBACK.
    pub disable_host_loopback: Option<String>,
    /// DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS.
    pub flags: Option<String>,
}

impl Environment {
    /// That of this process.
    pub fn read() -> Self {
        let of = |name: &str| {
            env::var(format!("DOCKERD_ROOTLESS_ROOTLESSKIT_{name}")).ok().filter(|value| !value.is_empty())
        };
        Self {
            mtu: of("MTU"),
            port_driver: of("PORT_DRIVER"),
            state: of("STATE_DIR"),
            disable_host_loopback: of("DISABLE_HOST_LOOPBACK"),
            flags: of("FLAGS"),
        }
    }
}

/// The program and its arguments, before the command that it shall run. `run` is what lives as long as the daemon.
pub fn command(facts: &Rootless, environment: &Environment, run: &str, listens: &Configuration) -> Vec<String> {
    let network = facts.network.0.as_str();
    let driver = if network == "pasta" { "implicit" } else { "builtin" };
    // The script's own values.
    let mtu = if ["slirp4netns", "pasta", "gvisor-tap-vsock"].contains(&network) { "65520" } else { "1500" };
    let or = |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.to_owned());
    let mut words = vec![
        facts.rootlesskit.clone().unwrap_or_default(),
        format!("--state-dir={}", or(&environment.state, &format!("{run}/dockerd-rootless"))),
        format!("--net={network}"),
        format!("--mtu={}", or(&environment.mtu, mtu)),
        format!("--port-driver={}", or(&environment.port_driver, driver)),
    ];
    if environment.disable_host_loopback.as_deref() != Some("false") {
        words.push("--disable-host-loopback".to_owned());
    }
    // /etc, so that nobody takes resolv.conf away; /run, so that the daemon can make its directories there.
    words.extend(["--copy-up=/etc", "--copy-up=/run", "--propagation=rslave"].map(str::to_owned));
    words.extend(listens.hosts().iter().filter_map(published).map(|port| format!("--publish={port}")));
    words.extend(environment.flags.iter().flat_map(|flags| flags.split_whitespace()).map(str::to_owned));
    words
}

/// How a TCP address of the daemon's is reached from outside: what listens in the network namespace of RootlessKit is
/// seen by nobody else.
fn published(host: &Host) -> Option<String> {
    let (host, port) = host.tcp()?;
    let outside = match host {
        "0.0.0.0" | "::" => "0.0.0.0",
        "localhost" | "127.0.0.1" => "127.0.0.1",
        // The address is of no interface in there; the daemon says so.
        _ => return None,
    };
    Some(format!("{outside}:{port}:{port}/tcp"))
}

/// The addresses that clients use: inside they are not seen, and the server's certificate has to name them.
pub fn names_outside() -> String {
    let addresses = getifaddrs().into_iter().flatten().filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
    });
    addresses.map(|address| format!("IP:{address}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemons_ports_are_reached_from_outside() {
        let published = |address: &str| published(&Configuration::of_words(&["-H", address]).hosts()[0]);
        assert_eq!(published("tcp://0.0.0.0:2376").as_deref(), Some("0.0.0.0:2376:2376/tcp"));
        assert_eq!(published("tcp://127.0.0.1:1").as_deref(), Some("127.0.0.1:1:1/tcp"));
        for address in ["unix:///x", "tcp://10.0.0.5:2376", "tcp://:x", "fd://"] {
            assert_eq!(published(address), None, "{address}");
        }
    }
}
