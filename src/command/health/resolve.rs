//! The addresses of a name: /etc/hosts, then the name servers of /etc/resolv.conf. The C library's own resolver loads code
//! of the image at run time, which a static program cannot.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use crate::facts::network::RESOLV_CONF;
use crate::verification::packet::{self, Transport};

/// How long one name server may take.
const WAIT: Duration = Duration::from_secs(1);

/// Gives the addresses of a name.
///
/// # Errors
/// There are none, in words.
pub(super) fn addresses(name: &str, deadline: Instant) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let [hosts, resolv_conf] = ["/etc/hosts", RESOLV_CONF].map(|path| fs::read_to_string(path).unwrap_or_default());
    let ask = |server, name: &str, wait| packet::ask(server, Transport::Udp, name, wait);
    resolved(name, &hosts, &resolv_conf, deadline, ask)
}

/// The same by the contents of both files; `ask` asks one name server, within a time.
fn resolved(
    name: &str,
    hosts: &str,
    resolv_conf: &str,
    deadline: Instant,
    ask: impl Fn(IpAddr, &str, Duration) -> io::Result<Vec<Ipv4Addr>>,
) -> Result<Vec<IpAddr>, String> {
    let own = in_hosts(hosts, name);
    if !own.is_empty() {
        return Ok(own);
    }
    let servers = packet::nameservers(resolv_conf);
    let mut silent = servers.clone();
    for name in candidates(name, resolv_conf) {
        for server in &servers {
            let left = deadline.saturating_duration_since(Instant::now()).min(WAIT);
            if left.is_zero() {
                break;
            }
            let Ok(found) = ask(*server, &name, left) else { continue };
            silent.retain(|other| other != server);
            if !found.is_empty() {
                return Ok(found.into_iter().map(IpAddr::V4).collect());
            }
            // The first that answers counts, as in the C library.
            break;
        }
    }
    Err(match (servers.is_empty(), silent.len() == servers.len()) {
        (true, _) => format!("{name} is not in /etc/hosts, and {RESOLV_CONF} names no server"),
        (false, true) => format!("no name server answers for {name}"),
        (false, false) => format!("there is no host {name}: is that the service's name, and both in one network?"),
    })
}

/// The addresses in hosts(5).
fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut fields = line.split('#').next().unwrap_or_default().split_whitespace();
        let address = fields.next()?.parse().ok()?;
        fields.any(|own| own.eq_ignore_ascii_case(name)).then_some(address)
    });
    lines.collect()
}

/// The full names to ask for (resolv.conf(5): `search`, `domain`): a name with a dot first as it is.
fn candidates(name: &str, resolv_conf: &str) -> Vec<String> {
    let mut search = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next()?, "search" | "domain").then(|| words.map(str::to_owned).collect::<Vec<_>>())
    });
    // The last line counts.
    let searched = search.next_back().unwrap_or_default().into_iter().map(|domain| format!("{name}.{domain}"));
    let (mut first, mut last) = (Vec::new(), Vec::new());
    if name.contains('.') {
        first.push(name.to_owned())
    } else {
        last.push(name.to_owned())
    }
    if !name.ends_with('.') {
        first.extend(searched);
    }
    first.extend(last);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read() {
        let text = "127.0.0.1 localhost Docker # x\n::1 localhost\n10.0.0.1 other#docker\nnonsense docker\n";
        assert_eq!(in_hosts(text, "docker"), ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(in_hosts(text, "localhost").len(), 2);
        assert!(in_hosts(text, "none").is_empty());
    }

    #[test]
    fn names_are_completed_as_the_c_library_does() {
        let text = "domain x\nsearch a.svc b\nnameserver 1.1.1.1\n";
        assert_eq!(candidates("docker", text), ["docker.a.svc", "docker.b", "docker"]);
        assert_eq!(candidates("docker.x", text), ["docker.x", "docker.x.a.svc", "docker.x.b"]);
        assert_eq!(candidates("docker.", text), ["docker."]);
        assert_eq!(candidates("docker", ""), ["docker"]);
    }

    #[test]
    fn an_address_needs_no_server() {
        let now = Instant::now();
        assert_eq!(addresses("192.0.2.1", now), Ok(vec![[192, 0, 2, 1].into()]));
        assert_eq!(addresses("::1", now), Ok(vec![std::net::Ipv6Addr::LOCALHOST.into()]));
    }

    #[test]
    fn hosts_come_first_then_the_first_server_that_answers() {
        const SERVERS: &str = "search a b\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n";
        let soon = || Instant::now() + Duration::from_secs(60);
        let found = Ipv4Addr::new(10, 0, 0, 7);
        // The first is silent; the second knows one name.
        let asked = std::cell::RefCell::new(Vec::new());
        let ask = |server: IpAddr, name: &str, wait: Duration| {
            assert!(!wait.is_zero() && wait <= WAIT, "{wait:?}");
            asked.borrow_mut().push(format!("{server} {name}"));
            match server.to_string().as_str() {
                "192.0.2.2" => Ok(if name == "docker.b" { vec![found] } else { Vec::new() }),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        };
        assert_eq!(resolved("docker", "10.0.0.1 docker\n", SERVERS, soon(), ask), Ok(vec![[10, 0, 0, 1].into()]));
        assert!(asked.borrow().is_empty());
        assert_eq!(resolved("docker", "10.0.0.1 other\n", SERVERS, soon(), ask), Ok(vec![found.into()]));
        let both = ["192.0.2.1 docker.a", "192.0.2.2 docker.a", "192.0.2.1 docker.b", "192.0.2.2 docker.b"];
        assert_eq!(asked.take(), both);
        // A server that answers is not passed over for the next one.
        let turned = SERVERS.replace("0.2.1", "0.2.3").replace("0.2.2", "0.2.1").replace("0.2.3", "0.2.2");
        assert_eq!(resolved("docker", "", &turned, soon(), ask), Ok(vec![found.into()]));
        assert_eq!(asked.take(), ["192.0.2.2 docker.a", "192.0.2.2 docker.b"]);
        for (resolv_conf, deadline, reason) in [
            ("search a\n", soon(), "other is not in /etc/hosts, and /etc/resolv.conf names no server"),
            ("nameserver 192.0.2.1\n", soon(), "no name server answers for other"),
            (SERVERS, Instant::now(), "no name server answers for other"),
            (SERVERS, soon(), "there is no host other: is that the service's name, and both in one network?"),
            (
                "nameserver 192.0.2.2\n",
                soon(),
                "there is no host other: is that the service's name, and both in one network?",
            ),
        ] {
            assert_eq!(resolved("other", "", resolv_conf, deadline, ask), Err(reason.to_owned()));
        }
    }
}
