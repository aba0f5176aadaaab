//! The quick proof: what the nest can get wrong, in two containers side by side. One is root's on the default network;
//! the other is started as another user, without a network, and has all limits.

use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};

use futures_util::future::join;

use super::inside;
use super::nest::{NO_NETWORK, Nest};
use super::network::{self, Outside};
use super::scenario::{Refused, judge};
use super::{Depth, files, limits, run, security};
use crate::engine::api::container::{Run, State};

/// Runs both, and judges what they told.
pub(super) async fn prove(nest: &Nest<'_>, outside: impl Future<Output = Outside>) {
    let order = limits::order(nest, Depth::Quick);
    let text = serde_json::to_string(&order).unwrap_or_default();
    let mut user = nest.spec("user", &["as-user", &text]);
    (user.user, user.network) = (Some(inside::USER.to_owned()), Some(NO_NETWORK.to_owned()));
    limits::set(&mut user, &order);

    let (as_root, as_user) = join(
        as_root(nest, outside),
        nest.ledger.prove_with("user", nest.run(&user), |(ran, _)| {
            Ok(judge(inside::IS_USER, nest.told(ran, "user")?.evidence))
        }),
    )
    .await;
    limits::write(nest, &order, &as_user);
    let changed = as_root.as_ref().map_err(Clone::clone).and_then(|(ran, _)| nest.told(ran, "layers"));
    let original = as_user.and_then(|(ran, _)| nest.told(&ran, "original"));
    security::threads(nest, as_root.as_ref().map_err(Clone::clone).and_then(|(ran, _)| nest.told(ran, "threads")));
    files::layers(nest, changed, original.as_ref());
}

/// The container of root's: the claims of its life and of the network.
async fn as_root(nest: &Nest<'_>, outside: impl Future<Output = Outside>) -> Result<(Run, State), Refused> {
    let outside = outside.await;
    // The kernel completes a connection that nothing accepts yet.
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).ok();
    let text = serde_json::to_string(&outside.order(listener.as_ref())).unwrap_or_default();
    let spec = nest.spec("quick", &["as-root", &text]);
    let ran = nest.ledger.prove_with("run", nest.run(&spec), |(ran, _)| {
        Ok(run::verdict(ran, ran.stdout.text().lines().next().unwrap_or_default()))
    });
    let ran = ran.await;
    let told = |subject: &str| match &ran {
        Ok((run, _)) => nest.told(run, subject),
        Err(refused) => Err(refused.clone()),
    };
    let resolv_conf = told("network").ok().and_then(|told| told.value("/etc/resolv.conf").map(str::to_owned));
    network::way_out(nest, &outside, listener.is_some(), resolv_conf.as_deref(), &told);
    ran
}
