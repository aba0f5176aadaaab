//! The network: a second container talks to the work container, to the outer one, through it and beyond it. What the
//! outer container itself cannot reach is not asked of an inner one.

use std::fs;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::files;
use super::inside::{self, PeerOrder, Told};
use super::nest::{Nest, worked};
use super::packet::{self, Route, Transport};
use super::scenario::{Refused, blocking, judge};
use super::work::Work;
use crate::engine::api::container::Run;
use crate::facts::rootless;
use crate::finding::{Evidence, Outcome, Verdict};

/// How long those beyond the outer container may take to answer it. They are asked while the containers start.
const WAIT: Duration = Duration::from_millis(500);
/// How long that holds.
const FRESH: Duration = Duration::from_secs(10);
/// How long a published port may take to answer.
const PORT_WAIT: Duration = Duration::from_secs(3);
/// The name servers that a daemon takes when it finds none that its containers could reach (moby v20.10.0
/// libnetwork/resolvconf/resolvconf.go, defaultIPv4Dns).
const FALLBACK: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

/// The network as the outer container has it.
#[derive(Debug, Default)]
pub(super) struct Outside {
    route: Option<Route>,
    /// The outer container's own address on the way out.
    address: Option<IpAddr>,
    mtu: Option<usize>,
    resolv_conf: String,
    /// Neighbours that answered an echo request.
    beyond: Vec<Ipv4Addr>,
    /// Name servers that answered.
    nameservers: Vec<(IpAddr, Transport)>,
}

/// A look at the network around the daemon, in a thread: a question may have to wait until its time is up.
#[derive(Debug)]
pub struct Around {
    since: Instant,
    /// None: there was no thread to be had.
    look: Option<JoinHandle<Outside>>,
}

impl Around {
    /// Looks from now on: as early as possible, since a proof waits for it.
    pub fn look() -> Self {
        let look = thread::Builder::new().spawn(Outside::look).ok();
        Self { since: Instant::now(), look }
    }

    /// What was seen. What was seen long ago is looked at again.
    pub(super) async fn seen(self) -> Outside {
        let look = self.look.filter(|_| self.since.elapsed() < FRESH);
        let seen =
            tokio::task::spawn_blocking(|| look.map_or_else(Outside::look, |look| look.join().unwrap_or_default()));
        seen.await.unwrap_or_default()
    }
}

impl Outside {
    /// What a container is to reach: a port of ours that is listened on, and what answers us.
    pub(super) fn order(&self, listener: Option<&TcpListener>) -> PeerOrder {
        PeerOrder {
            gateway_port: listener.and_then(|listener| Some(listener.local_addr().ok()?.port())),
            beyond: self.beyond.clone(),
            outer_mtu: self.mtu,
            nameservers: self.nameservers.clone(),
            ..PeerOrder::default()
        }
    }

    fn look() -> Self {
        let Some(route) = packet::default_route() else { return Self::default() };
        let resolv_conf = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let servers = packet::nameservers(&resolv_conf);
        let (beyond, nameservers) = thread::scope(|scope| {
            let gateway = route.gateway;
            let near = scope.spawn(move || packet::echo(gateway, &[64], WAIT).is_ok_and(|back| !back.is_empty()));
            let asked: Vec<_> = servers
                .iter()
                // A loopback address is the outer container's own; an inner one has another loopback.
                .filter(|server| !server.is_loopback())
                .flat_map(|server| [(*server, Transport::Udp), (*server, Transport::Tcp)])
                .map(|(server, transport)| {
                    (server, transport, scope.spawn(move || packet::ask(server, transport, "localhost", WAIT).is_ok()))
                })
                .collect();
            let beyond = if near.join().unwrap_or(false) { vec![gateway] } else { Vec::new() };
            let answered = asked
                .into_iter()
                .filter_map(|(server, transport, asked)| asked.join().unwrap_or(false).then_some((server, transport)));
            (beyond, answered.collect())
        });
        Self {
            // Around a rootless daemon is RootlessKit's network, and no port is published there.
            address: match rootless::from_outside() {
                Some(_) => None,
                None => packet::address_towards(route.gateway).ok(),
            },
            mtu: packet::mtu(&route.interface),
            route: Some(route),
            resolv_conf,
            beyond,
            nameservers,
        }
    }
}

/// All scenarios of the network.
pub(super) async fn prove(nest: &Nest<'_>, work: &Work, outside: &Outside) {
    // The kernel completes a connection that nothing accepts yet.
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).ok();
    let (ran, published) =
        futures_util::future::join(second(nest, work, outside, listener.as_ref()), from_outside(nest, work, outside))
            .await;
    let told = |subject: &str| match &ran {
        Ok((run, _)) => nest.told(run, subject),
        Err(refused) => Err(refused.clone()),
    };
    let named = ran.as_ref().map_or(Ok(()), |(_, named)| named.clone());
    files::layers(nest, work.told("layers"), told("original").as_ref());
    files::volumes(nest, work, told("volume").ok().as_ref());

    way_out(nest, outside, listener.is_some(), resolv_conf(work).as_deref(), &told);
    let bridged = |subject: &str| if nest.default_network { told(subject) } else { Err(no_default_network().into()) };
    write(nest, "network.peer", bridged("peer"), |evidence| judge("containers reach each other by address", evidence));
    write(nest, "network.name", named.and_then(|()| told("name")), |evidence| {
        judge("a container was found by its name, over UDP and TCP, and reached", evidence)
    });
    // Without an address of the outer container's own there is none to go to through the bridge.
    let through = match outside.address {
        Some(_) => told("published"),
        None => Ok(Told { subject: "published".to_owned(), evidence: Vec::new(), ms: 0 }),
    };
    write(nest, "network.port", published.as_ref().map_err(Clone::clone).and(through), |through| {
        let direct = published.clone().unwrap_or_default();
        let through =
            through.into_iter().map(|one| Evidence { location: format!("{} through the bridge", one.location), ..one });
        judge(
            "a published port is reached from the outer container, and through its bridge",
            direct.into_iter().chain(through).collect(),
        )
    });
    let ipv6 = match work.state.ipv6.as_slice() {
        [] => {
            Err(Verdict::not_applicable("the daemon gives its containers no IPv6 addresses (--ipv6 turns them on)")
                .into())
        }
        _ => bridged("ipv6"),
    };
    write(nest, "network.ipv6", ipv6, |evidence| judge("containers reach each other by IPv6", evidence));
}

/// The own address of a container of the default network, and what it reaches: the outer container, and what is beyond
/// it. `told` is what it said of a subject, `heard` whether the port that it is to reach is listened on.
pub(super) fn way_out(
    nest: &Nest<'_>,
    outside: &Outside,
    heard: bool,
    resolv_conf: Option<&str>,
    told: &impl Fn(&str) -> Result<Told, Refused>,
) {
    let unless = |reason: Option<Verdict>, subject: &str| match reason {
        Some(verdict) => Err(verdict.into()),
        None if !nest.default_network => Err(no_default_network().into()),
        None => told(subject),
    };
    write(nest, "network.address", unless(None, "network"), address);
    let elsewhere = "the daemon's network is RootlessKit's, and this process is outside of it";
    let unheard = if rootless::is_outside() {
        Some(Verdict::not_applicable(elsewhere))
    } else {
        (!heard).then(|| Verdict::unknown("no port could be listened on"))
    };
    write(nest, "network.gateway", unless(unheard, "gateway"), |evidence| {
        judge("a container reaches the outer container", evidence)
    });
    let nobody = outside.beyond.is_empty().then(|| match &outside.route {
        None => Verdict::not_applicable("the outer container has no default route"),
        Some(route) => Verdict::not_applicable(format!(
            "the outer container itself gets no answer from its gateway {}",
            route.gateway
        )),
    });
    write(nest, "network.outbound", unless(nobody.clone(), "outbound"), |evidence| {
        judge("packets get out of the outer container, and their answers in", evidence)
            .unless_passed("The daemon's MASQUERADE rule (nat, POSTROUTING) or its FORWARD rules do not work.")
    });
    write(nest, "network.mtu", unless(nobody, "mtu"), |evidence| {
        if evidence.iter().any(|one| one.value == inside::NO_ANSWER) {
            return Verdict::unknown("not even the smallest packet came back in time").evidence(evidence);
        }
        judge("packets as large as the container's interface takes get out", evidence)
            .unless_passed(&format!(
                "The way out of the outer container takes {} bytes; what is larger and may not be fragmented vanishes.",
                outside.mtu.map_or_else(|| "an unknown number of".to_owned(), |mtu| mtu.to_string())
            ))
            .remedy_unless_passed(outside.mtu.map(|mtu| format!("start the daemon with --mtu {mtu} (or less)")))
    });
    dns(nest, resolv_conf, outside, told("dns"));
}

/// Writes a claim down that rests on what a container told.
fn write(
    nest: &Nest<'_>,
    id: &'static str,
    told: Result<Told, Refused>,
    verdict: impl FnOnce(Vec<Evidence>) -> Verdict,
) {
    let ms = told.as_ref().map_or(0, |told| told.ms);
    let verdict = told.map_or_else(|Refused(verdict)| *verdict, |told| verdict(told.evidence));
    nest.ledger.write(id, verdict, Duration::from_millis(ms));
}

/// The name servers that a container of the default network has.
fn resolv_conf(work: &Work) -> Option<String> {
    work.told("network").ok()?.value("/etc/resolv.conf").map(str::to_owned)
}

fn no_default_network() -> Verdict {
    Verdict::not_applicable("containers of this daemon have no default network (--bridge none)")
}

/// Runs the container that talks to all others. Gives what it said, and whether there is a network with names.
async fn second(
    nest: &Nest<'_>,
    work: &Work,
    outside: &Outside,
    listener: Option<&TcpListener>,
) -> Result<(Run, Result<(), Refused>), Refused> {
    let named = named(nest, work).await;
    let published = outside
        .address
        .into_iter()
        .flat_map(|address| work.state.published.iter().map(move |port| SocketAddr::new(address, *port)));
    let order = PeerOrder {
        peer: work.address(),
        peer_v6: work.state.ipv6.iter().find_map(|address| address.parse().ok()),
        name: named.is_ok().then(|| nest.name("work")),
        published: published.collect(),
        volume: work.volume.is_some(),
        ..outside.order(listener)
    };
    let text = serde_json::to_string(&order).map_err(|error| blocking(error.to_string()))?;
    let mut spec = nest.spec("second", &["peer", &text]);
    if !nest.default_network {
        spec.network.clone_from(&work.network);
    }
    spec.binds.extend(work.volume.as_ref().map(|volume| format!("{volume}:/volume")));
    let container = nest.create(&spec).await?;
    let joined = match (&named, &work.network) {
        (Ok(()), Some(network)) if nest.default_network => nest.api.connect_network(network, &container).await,
        _ => Ok(()),
    };
    let (ran, _) = nest.run_made(&container).await?;
    worked(&ran)?;
    let named = named.and_then(|()| joined.map_err(Refused::from));
    Ok((ran, named))
}

/// Joins the running work container to a network with names.
async fn named(nest: &Nest<'_>, work: &Work) -> Result<(), Refused> {
    super::work::has_networks(nest)?;
    let Some(network) = &work.network else {
        return Err(match &work.network_error {
            Some(error) => blocking(error.clone()).into(),
            None => Verdict::unknown("there is no network").into(),
        });
    };
    if !nest.default_network {
        return Ok(());
    }
    nest.api.connect_network(network, &work.id).await.map_err(Refused::from)
}

fn address(evidence: Vec<Evidence>) -> Verdict {
    let value = |location: &str| evidence.iter().find(|one| one.location == location).map(|one| one.value.clone());
    match (value("address"), value("default route")) {
        (Some(address), Some(route)) => Verdict::pass(format!("{address}, default route by {route}")),
        _ => blocking("the container has no default route"),
    }
    .evidence(evidence)
}

/// Goes to the published port from here: by loopback, and by the address of the way out.
async fn from_outside(nest: &Nest<'_>, work: &Work, outside: &Outside) -> Result<Vec<Evidence>, Refused> {
    if !nest.default_network {
        return Err(no_default_network().into());
    }
    let Some(port) = work.state.published.first().copied() else {
        return Err(blocking("the daemon published no port").into());
    };
    let addresses: Vec<IpAddr> = std::iter::once(Ipv4Addr::LOCALHOST.into()).chain(outside.address).collect();
    let asked = addresses.into_iter().map(|address| {
        let address = SocketAddr::new(address, port);
        async move {
            let heard = tokio::task::spawn_blocking(move || heard(address)).await;
            let heard = heard.map_err(io::Error::other).and_then(|heard| heard);
            Evidence {
                location: format!("connect to {address}"),
                value: heard.unwrap_or_else(|error| error.to_string()),
                wanted: Some(inside::GREETING.to_owned()),
            }
        }
    });
    let mut evidence = futures_util::future::join_all(asked).await;
    if let Some(Ok(seen)) = rootless::from_outside() {
        evidence.push(listens_outside(seen.outside, port));
    }
    Ok(evidence)
}

/// RootlessKit listens in the outer container for a rootless daemon. From inside no one gets there: its networks are
/// mostly the same as ours.
fn listens_outside(pid: u32, port: u16) -> Evidence {
    let listens = ["tcp", "tcp6"].into_iter().any(|table| {
        fs::read_to_string(format!("/proc/{pid}/net/{table}")).is_ok_and(|text| packet::listens(&text, port))
    });
    Evidence {
        location: format!("/proc/{pid}/net/tcp: port {port}"),
        value: if listens { "LISTEN" } else { "nothing listens" }.to_owned(),
        wanted: Some("LISTEN".to_owned()),
    }
}

fn heard(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PORT_WAIT)?;
    stream.set_read_timeout(Some(PORT_WAIT))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

/// Judges the name servers that a container of the default network has.
fn dns(nest: &Nest<'_>, resolv_conf: Option<&str>, outside: &Outside, told: Result<Told, Refused>) {
    let (own, theirs) =
        (packet::nameservers(&outside.resolv_conf), packet::nameservers(resolv_conf.unwrap_or_default()));
    let list = |servers: &[IpAddr]| match servers {
        [] => "none".to_owned(),
        servers => servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let compared = |verdict: Verdict| {
        verdict
            .saw("name servers of a container", list(&theirs))
            .saw("name servers of the outer container: /etc/resolv.conf", list(&own))
    };
    // Where the outer container has none at all, its containers lose nothing.
    let fallen_back = !own.is_empty()
        && theirs.iter().any(|server| FALLBACK.iter().any(|name| name.parse() == Ok(*server)) && !own.contains(server));
    let ms = told.as_ref().map_or(0, |told| told.ms);
    let verdict = if outside.route.is_none() {
        compared(Verdict::not_applicable("the outer container has no default route"))
    } else if fallen_back {
        compared(blocking(format!("containers ask {}, which the outer container does not", list(&theirs))))
            .because("The daemon can hand on no loopback address, and takes public servers when no other is left.")
            .remedy("give the outer container a name server of its own: docker run --dns ADDRESS …")
            .remedy("or start the daemon with --dns ADDRESS")
    } else if outside.nameservers.is_empty() {
        compared(Verdict::not_applicable("no name server answers the outer container either"))
    } else {
        match told {
            Ok(told) => compared(judge("the name servers of the outer container answer in a container", told.evidence)),
            Err(Refused(verdict)) => *verdict,
        }
    };
    nest.ledger.write("network.dns", verdict, Duration::from_millis(ms));
}

/// What is reported only of what did not pass.
trait UnlessPassed {
    fn unless_passed(self, cause: &str) -> Verdict;
    fn remedy_unless_passed(self, remedy: Option<String>) -> Verdict;
}

impl UnlessPassed for Verdict {
    fn unless_passed(self, cause: &str) -> Verdict {
        if self.outcome == Outcome::Pass { self } else { self.because(cause) }
    }

    fn remedy_unless_passed(self, remedy: Option<String>) -> Verdict {
        match remedy {
            Some(remedy) if self.outcome != Outcome::Pass => self.remedy(remedy),
            _ => self,
        }
    }
}
