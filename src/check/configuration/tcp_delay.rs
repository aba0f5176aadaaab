//! configuration.tcp-delay: a start without a wait.

use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "configuration.tcp-delay",
    docs: Docs {
        title: "a start without a wait",
        motivation: "Where a TCP address has no TLS and no flag says that it shall have none, the daemon waits 16 s at \
                 each start, to warn of it: health checks and jobs give up meanwhile.",
        looks_at: "The addresses and the TLS settings among the daemon's flags and in daemon.json.",
        remedy: "DOCKER_TLS_CERTDIR, which makes certificates; or --tls=false, which dindcheck --fix adds.",
        since: "20.10",
    },
    run,
    mend: Some(Mend {
        title: "starts the daemon with --tls=false, which is what it does anyway",
        needs_trials: false,
        fix,
    }),
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let configuration = facts.configuration.as_ref()?;
    let delay = &profile.network_tcp_without_tls_delay_s;
    if delay.value == 0 {
        return Ok(Verdict::not_applicable("this engine does not wait"));
    }
    let hosts = configuration.hosts();
    let tcp = hosts.iter().find(|host| host.tcp().is_some() && !host.is_local());
    let Some(host) = tcp.filter(|_| configuration.tls().is_none()) else {
        return Ok(Verdict::pass("no TCP address whose TLS is left open"));
    };
    Ok(Verdict::fail(Severity::Warning, format!("the daemon will wait {} s before it starts", delay.value))
        .saw_wanted(host.origin.to_string(), host.text.clone(), "--tlsverify, or --tls=false")
        .because("It warns of an address without TLS unless a flag says that this is meant.")
        .remedy("set DOCKER_TLS_CERTDIR=/certs: certificates are made there, and clients are asked for theirs")
        .remedy("or dindcheck -- --tls=false, or let dindcheck --fix add it: the address is as open as before")
        .source(delay.source.clone()))
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    facts.configuration.as_ref().ok()?.tls().is_none().then(|| fix::configuration::say_no_tls(CHECK.id))
}
