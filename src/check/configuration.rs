//! How the daemon is told to listen.

use super::{Check, Docs};
use crate::facts::configuration::Host;
use crate::facts::{FactError, Facts};
use crate::finding::{Evidence, Severity, Verdict};
use crate::profile::Profile;

/// configuration.open-tcp
pub(super) struct OpenTcp;

impl Check for OpenTcp {
    fn id(&self) -> &'static str {
        "configuration.open-tcp"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "API open to the network",
            motivation: "Whoever reaches the API of a daemon in a privileged container is root on its host. On a TCP \
                         address without client certificates that is everybody in its network.",
            looks_at: "The addresses and the TLS settings among the daemon's flags and in daemon.json.",
            remedy: "Set DOCKER_TLS_CERTDIR, which makes certificates and asks for them, or share the unix socket.",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let configuration = facts.configuration.as_ref()?;
        let tcp: Vec<&Host> = configuration.hosts.iter().filter(|host| host.address.starts_with("tcp:")).collect();
        if tcp.is_empty() {
            return Ok(Verdict::pass("the API is on no TCP address"));
        }
        if configuration.tls.as_ref().is_some_and(|tls| tls.verify) {
            return Ok(Verdict::pass("the API asks for client certificates"));
        }
        let open: Vec<&Host> = tcp.into_iter().filter(|host| !is_local(&host.address)).collect();
        if open.is_empty() {
            return Ok(Verdict::pass("the API is on a loopback address alone"));
        }
        let addresses: Vec<&str> = open.iter().map(|host| host.address.as_str()).collect();
        let how = match &configuration.tls {
            Some(tls) if tls.on => "with TLS, and asks no client for a certificate",
            _ => "without TLS",
        };
        let delay = profile.network_tcp_without_tls_delay_s.value;
        let mut verdict =
            Verdict::fail(Severity::Warning, format!("anybody may use the API at {} {how}", addresses.join(", ")))
                .evidence(open.iter().map(|host| Evidence {
                    location: host.said_by.clone(),
                    value: host.address.clone(),
                    wanted: Some("--tlsverify, a loopback address, or none".to_owned()),
                }))
                .because("Whoever reaches it is root in this container, and with --privileged on the host.")
                .remedy("set DOCKER_TLS_CERTDIR=/certs: certificates are made there, and clients are asked for theirs")
                .remedy("or share the unix socket in a volume instead")
                .source("moby docs/security: protect the Docker daemon socket");
        if configuration.tls.is_none() && delay > 0 {
            verdict = verdict
                .remedy(format!(
                    "if it has to be open: --tls=false says so, or the daemon waits {delay} s at each start"
                ))
                .source(profile.network_tcp_without_tls_delay_s.source.clone());
        }
        Ok(verdict)
    }
}

fn is_local(address: &str) -> bool {
    let host = address.strip_prefix("tcp://").unwrap_or_default();
    ["127.", "localhost", "[::1]"].iter().any(|local| host.starts_with(local))
}
