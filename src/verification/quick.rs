//! The quick proof: what the nest can get wrong, in one container that is started as a user, on the default network, with
//! all limits. Where that does not do its work, two containers side by side tell what of it fails: one is root's on the
//! default network; the other is started as another user, without a network, and has all limits.

use std::collections::HashMap;
use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use futures_util::future::join;

use super::files::{self, Seen};
use super::inside::{self, LimitsOrder, PeerOrder};
use super::nest::{NO_NETWORK, Nest};
use super::network::{self, Outside};
use super::scenario::{Refused, judge, within_deadline};
use super::{Depth, limits, run, security};
use crate::engine::api::container::{Run, Spec, State};
use crate::version::ApiVersion;

/// HostConfig.Sysctls came with API 1.24 (moby docs/reference/api/docker_remote_api.md, v1.24).
const SYSCTLS_SINCE: ApiVersion = ApiVersion::new(1, 24);
/// Who may send echo requests without a capability: a range of groups (kernel
/// Documentation/networking/ip-sysctl.rst). From 20.10 on it has all of them unless users are mapped (moby v20.10.0
/// daemon/oci_linux.go, WithCommonOptions).
const MAY_PING: &str = "net.ipv4.ping_group_range";

/// A container that ran to its end.
type Ran = Result<(Run, State), Refused>;

/// What is asked of the containers.
struct Order {
    peers: PeerOrder,
    limits: LimitsOrder,
}

impl Order {
    fn peers(&self) -> String {
        serde_json::to_string(&self.peers).unwrap_or_default()
    }

    fn limits(&self) -> String {
        serde_json::to_string(&self.limits).unwrap_or_default()
    }
}

/// Runs what is needed, and judges what was told.
pub(super) async fn prove(nest: &Nest<'_>, outside: impl Future<Output = Outside>) {
    let outside = outside.await;
    // The kernel completes a connection that nothing accepts yet.
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).ok();
    let order = Order { peers: outside.order(listener.as_ref()), limits: limits::order(nest, Depth::Quick) };
    let start = Instant::now();
    let (as_root, as_user, seen) = match in_one(nest, &order).await {
        Ok(ran) => (timed(Ok(ran.clone()), start), timed(Ok(ran), start), Seen::Before),
        Err(_) => {
            let (as_root, as_user) = in_two(nest, &order).await;
            (as_root, as_user, Seen::Beside)
        }
    };
    write(nest, &order, &outside, (as_root, as_user, seen));
}

/// A container that ran, and how long that took.
struct Timed {
    ran: Ran,
    took: Duration,
}

fn timed(ran: Ran, start: Instant) -> Timed {
    Timed { ran, took: start.elapsed() }
}

async fn in_one(nest: &Nest<'_>, order: &Order) -> Ran {
    nest.has(SYSCTLS_SINCE, "settings of a container's namespaces")?;
    let mut spec = nest.spec("both", &["as-both", &order.peers(), &order.limits()]);
    as_user(&mut spec, order);
    let (_, group) = inside::USER.split_once(':').unwrap_or_default();
    spec.sysctls = HashMap::from([(MAY_PING.to_owned(), format!("{group} {group}"))]);
    within_deadline("run", nest.run(&spec)).await
}

async fn in_two(nest: &Nest<'_>, order: &Order) -> (Timed, Timed) {
    let root = nest.spec("quick", &["as-root", &order.peers()]);
    let mut user = nest.spec("user", &["as-user", &order.limits()]);
    as_user(&mut user, order);
    user.network = Some(NO_NETWORK.to_owned());
    let run = async |claim, spec| {
        let start = Instant::now();
        timed(within_deadline(claim, nest.run(spec)).await, start)
    };
    join(run("run", &root), run("user", &user)).await
}

fn as_user(spec: &mut Spec, order: &Order) {
    spec.user = Some(inside::USER.to_owned());
    limits::set(spec, &order.limits);
}

/// Writes all claims down.
fn write(nest: &Nest<'_>, order: &Order, outside: &Outside, (as_root, as_user, seen): (Timed, Timed, Seen)) {
    let told_by =
        |ran: &Ran, subject: &str| ran.as_ref().map_err(Clone::clone).and_then(|(run, _)| nest.told(run, subject));
    let told = |subject: &str| told_by(&as_root.ran, subject);
    let verdict = as_root.ran.as_ref().map_err(Clone::clone);
    let verdict = verdict.map(|(ran, _)| run::verdict(ran, ran.stdout.text().lines().next().unwrap_or_default()));
    nest.ledger.write("run", verdict.unwrap_or_else(|Refused(verdict)| *verdict), as_root.took);
    let user = told_by(&as_user.ran, "user").map(|told| judge(inside::IS_USER, told.evidence));
    nest.ledger.write("user", user.unwrap_or_else(|Refused(verdict)| *verdict), as_user.took);
    let resolv_conf = told("network").ok().and_then(|told| told.value("/etc/resolv.conf").map(str::to_owned));
    network::way_out(nest, outside, order.peers.gateway_port.is_some(), resolv_conf.as_deref(), &told);
    limits::write(nest, &order.limits, &as_user.ran);
    security::threads(nest, told("threads"));
    files::layers(nest, told("layers"), told_by(&as_user.ran, "original").as_ref(), seen);
}
