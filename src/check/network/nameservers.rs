//! network.nameservers: name servers for inner containers.

use super::{is_own, may_add};
use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::network::{RESOLV_CONF, is_loopback};
use crate::finding::{Evidence, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "network.nameservers",
    docs: Docs {
        title: "name servers for inner containers",
        motivation: "A user network of the outer engine has 127.0.0.11 as its only name server. Inner containers \
                     cannot reach it: the daemon leaves it out and gives them 8.8.8.8 and 8.8.4.4 instead, which \
                     no private name is known to and many networks block.",
        looks_at: "The nameserver lines of /etc/resolv.conf, who listens there, and what the daemon is told.",
        remedy: "dockerd --dns with a server that inner containers reach; dindcheck --fix redirects their queries to the resolver on \
                 the loopback. No public server is ever chosen for you.",
        since: "1.0",
    },
    run,
    mend: Some(Mend {
        title: "redirects inner containers' DNS queries to the resolver on loopback",
        // The rules are written with what can write them.
        needs_trials: true,
        fix,
    }),
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let network = facts.network.as_ref()?;
    let (told, own) = (network.daemon_dns.iter(), network.nameservers.iter().map(|(_, server)| server));
    // What the daemon is told takes the place of what is in the file.
    let servers: Vec<&String> = if network.daemon_dns.is_empty() { own.collect() } else { told.collect() };
    let reachable: Vec<&str> = servers.into_iter().map(String::as_str).filter(|server| !is_loopback(server)).collect();
    if !reachable.is_empty() {
        return Ok(Verdict::pass(reachable.join(", ")));
    }
    let verdict = Verdict::fail(Severity::Warning, "inner containers will ask 8.8.8.8 and 8.8.4.4")
        .because("The daemon passes no name server of 127.0.0.0/8 on, and these take its place.")
        .remedy("dindcheck -- --dns ADDRESS, with a server that inner containers reach")
        .remedy("or let dindcheck --fix redirect inner containers' DNS queries to the resolver that listens there, if one does")
        .source("moby daemon/libnetwork/internal/resolvconf/resolvconf.go; moby#20037, docker-library/docker#132");
    Ok(if network.nameservers.is_empty() {
        verdict.saw_wanted(RESOLV_CONF, "no nameserver", "one that inner containers reach")
    } else {
        verdict.evidence(network.nameservers.iter().map(|(line, server)| Evidence {
            location: format!("{RESOLV_CONF}:{line}"),
            value: server.clone(),
            wanted: Some("an address that is not this container's own".to_owned()),
        }))
    })
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    let network = facts.network.as_ref().ok()?;
    let resolver = network.resolvers.first()?;
    let way_out = (network.default_mtu.as_ref()?.0.as_str(), network.address?);
    let netfilter = facts.netfilter.as_ref().ok()?;
    // What the daemon will write its own rules with.
    let program = &netfilter.candidates.iter().find(|candidate| candidate.writes_v4())?.iptables;
    let ours_to_say = network.daemon_dns.is_empty() && may_add(facts, &["dns"]);
    let shut: Vec<_> = network.route_localnet.iter().filter(|(_, value)| *value == 0).collect();
    ours_to_say.then(|| fix::network::lead_to_resolver(CHECK.id, program, way_out, resolver, &shut, is_own(facts)))
}
