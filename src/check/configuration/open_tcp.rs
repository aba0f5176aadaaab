//! configuration.open-tcp: API open to the network.

use crate::check::{Check, Docs};
use crate::configuration::Host;
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Evidence, Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "configuration.open-tcp",
    docs: Docs {
        title: "API open to the network",
        motivation: "Any client that reaches the API of a daemon in a privileged container is root on its host. On a TCP \
                 address without client certificates that is everybody in its network.",
        looks_at: "The addresses and the TLS settings among the daemon's flags and in daemon.json.",
        remedy: "Set DOCKER_TLS_CERTDIR, which makes certificates and asks for them, or share the unix socket.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let configuration = facts.configuration.as_ref()?;
    let listens = configuration.listens();
    let tcp: Vec<&Host> = listens.iter().filter(|host| host.tcp().is_some()).collect();
    let tls = configuration.tls();
    if tcp.is_empty() {
        return Ok(Verdict::pass("the API is on no TCP address"));
    }
    if tls.as_ref().is_some_and(|tls| tls.verify) {
        return Ok(Verdict::pass("the API asks for client certificates"));
    }
    let open: Vec<&Host> = tcp.into_iter().filter(|host| !host.is_local()).collect();
    if open.is_empty() {
        return Ok(Verdict::pass("the API is on a loopback address alone"));
    }
    let addresses: Vec<&str> = open.iter().map(|host| host.text.as_str()).collect();
    let how = match &tls {
        Some(tls) if tls.on => "with TLS, and asks no client for a certificate",
        _ => "without TLS",
    };
    Ok(Verdict::fail(Severity::Warning, format!("anybody may use the API at {} {how}", addresses.join(", ")))
        .evidence(open.iter().map(|host| Evidence {
            location: host.origin.to_string(),
            value: host.text.clone(),
            wanted: Some("--tlsverify, a loopback address, or none".to_owned()),
        }))
        .because("Any client that reaches it is root in this container, and with --privileged on the host.")
        .remedy("set DOCKER_TLS_CERTDIR=/certs: certificates are made there, and clients are asked for theirs")
        .remedy("or share the unix socket in a volume instead")
        .source("moby docs/security: protect the Docker daemon socket"))
}
