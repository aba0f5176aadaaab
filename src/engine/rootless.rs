//! RootlessKit's command line, by the variables of moby's contrib/dockerd-rootless.sh.

use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use serde::Serialize;

use super::remote;
use crate::configuration::{Configuration, Host};
use crate::facts::rootless::Rootless;

/// Where RootlessKit tells its command its state directory (RootlessKit cmd/rootlesskit/main.go).
const STATE_VARIABLE: &str = "ROOTLESSKIT_STATE_DIR";
/// How long RootlessKit may take to publish a port.
const PUBLISH: Duration = Duration::from_secs(10);
/// HTTP's status of what was made.
const CREATED: u16 = 201;

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
        Self::of(|name| env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let of =
            |name: &str| variable(&format!("DOCKERD_ROOTLESS_ROOTLESSKIT_{name}")).filter(|value| !value.is_empty());
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
pub fn command(facts: &Rootless, environment: &Environment, run: &str) -> Vec<String> {
    let network = facts.network.0.as_str();
    // The script's own values.
    let mtu = if ["slirp4netns", "pasta", "gvisor-tap-vsock"].contains(&network) { "65520" } else { "1500" };
    let or = |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.to_owned());
    let mut words = vec![
        facts.rootlesskit.clone().unwrap_or_default(),
        format!("--state-dir={}", or(&environment.state, &format!("{run}/dockerd-rootless"))),
        format!("--net={network}"),
        format!("--mtu={}", or(&environment.mtu, mtu)),
        format!("--port-driver={}", port_driver(facts, environment)),
    ];
    if environment.disable_host_loopback.as_deref() != Some("false") {
        words.push("--disable-host-loopback".to_owned());
    }
    // /etc, so that no one takes resolv.conf away; /run, so that the daemon can make its directories there.
    words.extend(["--copy-up=/etc", "--copy-up=/run", "--propagation=rslave"].map(str::to_owned));
    words.extend(environment.flags.iter().flat_map(|flags| flags.split_whitespace()).map(str::to_owned));
    words
}

fn port_driver(facts: &Rootless, environment: &Environment) -> String {
    let default = if facts.network.0 == "pasta" { "implicit" } else { "builtin" };
    environment.port_driver.clone().unwrap_or_else(|| default.to_owned())
}

/// A port that RootlessKit takes outside for one inside: what listens in its network namespace is seen by no one else
/// (RootlessKit pkg/port/port.go, Spec).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    proto: &'static str,
    #[serde(rename = "parentIP")]
    parent_ip: Ipv4Addr,
    parent_port: u16,
    child_port: u16,
}

/// The ports of the daemon's TCP addresses; none where the port driver takes all of them by itself (`implicit`), or none
/// (`none`).
pub fn ports(facts: &Rootless, environment: &Environment, listens: &Configuration) -> Vec<Port> {
    if ["implicit", "none"].contains(&port_driver(facts, environment).as_str()) {
        return Vec::new();
    }
    listens.hosts().iter().filter_map(port_of).collect()
}

fn port_of(host: &Host) -> Option<Port> {
    let (host, port) = host.tcp()?;
    let parent_ip = match host {
        "0.0.0.0" | "::" => Ipv4Addr::UNSPECIFIED,
        "localhost" | "127.0.0.1" => Ipv4Addr::LOCALHOST,
        // The address is of no interface in there; the daemon says so.
        _ => return None,
    };
    Some(Port { proto: "tcp", parent_ip, parent_port: port, child_port: port })
}

impl Port {
    /// Whether it could be taken, as seen from outside.
    ///
    /// # Errors
    /// The address, and the kernel's error.
    pub fn probe(&self) -> Result<(), String> {
        let address = SocketAddr::from((self.parent_ip, self.parent_port));
        TcpListener::bind(address).map(drop).map_err(|error| format!("cannot listen at tcp://{address}: {error}"))
    }

    /// Has RootlessKit take it: asked for inside, of the API in its state directory (RootlessKit pkg/api/openapi.yaml,
    /// POST /v1/ports).
    ///
    /// # Errors
    /// The address, and what RootlessKit answered.
    pub fn publish(&self) -> Result<(), String> {
        let state = env::var_os(STATE_VARIABLE);
        self.publish_by(state.as_deref().map(Path::new))
    }

    fn publish_by(&self, state: Option<&Path>) -> Result<(), String> {
        let failed = |reason: String| {
            format!("RootlessKit does not publish tcp://{}:{}: {reason}", self.parent_ip, self.parent_port)
        };
        let state = state.ok_or_else(|| failed(format!("there is no {STATE_VARIABLE}")))?;
        let text = serde_json::to_string(self).map_err(|error| failed(error.to_string()))?;
        let socket = state.join("api.sock");
        match remote::post_unix(&socket, "/v1/ports", &text, Instant::now() + PUBLISH) {
            Ok((CREATED, _)) => Ok(()),
            Ok((status, text)) => Err(failed(format!("{status} {text}"))),
            Err(error) => Err(failed(format!("{}: {error}", socket.display()))),
        }
    }
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
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    use super::*;

    /// As moby's contrib/dockerd-rootless.sh starts it.
    #[test]
    fn the_command_line_is_the_scripts() {
        let line = |network: &str, environment: &Environment| {
            command(&Rootless::of(network), environment, "/run/user/7").join(" ")
        };
        let end = "--copy-up=/etc --copy-up=/run --propagation=rslave";
        for (network, mtu, driver) in [
            ("slirp4netns", 65520, "builtin"),
            ("pasta", 65520, "implicit"),
            ("gvisor-tap-vsock", 65520, "builtin"),
            ("vpnkit", 1500, "builtin"),
        ] {
            let expected = format!(
                "/bin/rootlesskit --state-dir=/run/user/7/dockerd-rootless --net={network} --mtu={mtu} \
                 --port-driver={driver} --disable-host-loopback {end}"
            );
            assert_eq!(line(network, &Environment::default()), expected);
        }
        let given = |text: &str| Some(text.to_owned());
        let environment = Environment {
            mtu: given("1400"),
            port_driver: given("slirp4netns"),
            state: given("/state"),
            disable_host_loopback: given("false"),
            flags: given("--ipv6  --debug"),
        };
        let expected = format!(
            "/bin/rootlesskit --state-dir=/state --net=pasta --mtu=1400 --port-driver=slirp4netns {end} --ipv6 --debug"
        );
        assert_eq!(line("pasta", &environment), expected);
    }

    #[test]
    fn ports_are_published_where_the_driver_does_not_do_it_by_itself() {
        let listens = Configuration::of_words(&["-Htcp://0.0.0.0:2375", "-Hunix:///x"]);
        let count = |network: &str, driver: Option<&str>| {
            let environment = Environment { port_driver: driver.map(str::to_owned), ..Environment::default() };
            ports(&Rootless::of(network), &environment, &listens).len()
        };
        assert_eq!([count("slirp4netns", None), count("pasta", None), count("pasta", Some("builtin"))], [1, 0, 1]);
        assert_eq!([count("slirp4netns", Some("none")), count("slirp4netns", Some("implicit"))], [0, 0]);
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let port = Port { proto: "tcp", parent_ip: Ipv4Addr::LOCALHOST, parent_port: port, child_port: port };
        let error = port.probe().unwrap_err();
        assert!(error.starts_with(&format!("cannot listen at tcp://127.0.0.1:{}: ", port.parent_port)), "{error}");
    }

    #[test]
    fn the_daemons_ports_are_reached_from_outside() {
        let port = |address: &str| port_of(&Configuration::of_words(&["-H", address]).hosts()[0]);
        let text = |address: &str| serde_json::to_string(&port(address).unwrap()).unwrap();
        let expected = r#"{"proto":"tcp","parentIP":"0.0.0.0","parentPort":2376,"childPort":2376}"#;
        assert_eq!(text("tcp://0.0.0.0:2376"), expected);
        assert!(text("tcp://127.0.0.1:1").contains(r#""parentIP":"127.0.0.1","parentPort":1,"#));
        for address in ["unix:///x", "tcp://10.0.0.5:2376", "tcp://:x", "fd://"] {
            assert_eq!(port(address), None, "{address}");
        }
    }

    #[test]
    fn an_empty_variable_is_none() {
        let read = Environment::of(|name| match name.strip_prefix("DOCKERD_ROOTLESS_ROOTLESSKIT_")? {
            "FLAGS" => Some(String::new()),
            other => Some(other.to_owned()),
        });
        let given = |text: &str| Some(text.to_owned());
        let wanted = Environment {
            mtu: given("MTU"),
            port_driver: given("PORT_DRIVER"),
            state: given("STATE_DIR"),
            disable_host_loopback: given("DISABLE_HOST_LOOPBACK"),
            flags: None,
        };
        assert_eq!(read, wanted);
        assert_eq!(Environment::of(|_| None), Environment::default());
    }

    #[test]
    fn a_port_is_published_once_rootlesskit_has_made_it() {
        let port = Port { proto: "tcp", parent_ip: Ipv4Addr::LOCALHOST, parent_port: 7, child_port: 7 };
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("api.sock");
        let publish = |state: Option<&Path>| port.publish_by(state);
        let failed = "RootlessKit does not publish tcp://127.0.0.1:7: ";
        assert_eq!(publish(None), Err(format!("{failed}there is no {STATE_VARIABLE}")));
        let error = publish(Some(directory.path())).unwrap_err();
        assert!(error.starts_with(&format!("{failed}{}: ", socket.display())), "{error}");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || {
            ["201 Created\r\n\r\n{}", "200 OK\r\n\r\nin use\n"].map(|answer| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                let count = stream.read(&mut request).unwrap();
                stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).unwrap();
                String::from_utf8_lossy(&request[..count]).into_owned()
            })
        });
        assert_eq!(publish(Some(directory.path())), Ok(()));
        assert_eq!(publish(Some(directory.path())), Err(format!("{failed}200 in use")));
        let [request, _] = server.join().unwrap();
        assert!(request.starts_with("POST /v1/ports HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with(&serde_json::to_string(&port).unwrap()), "{request}");
    }

    #[test]
    fn the_addresses_outside_are_names_of_the_certificate() {
        let names = names_outside();
        let addresses: Vec<IpAddr> =
            names.split(',').map(|name| name.strip_prefix("IP:").unwrap().parse().unwrap()).collect();
        assert!(addresses.contains(&Ipv4Addr::LOCALHOST.into()), "{names}");
    }
}
