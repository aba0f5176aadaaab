//! The container that most scenarios share: it is made once, and each looks at one side of it.

use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::future::join;

use super::inside::{self, Told};
use super::nest::Nest;
use super::network::Outside;
use super::scenario::{Refused, blocking};
use super::scratch::Scratch;
use super::{build, cgroup, lifecycle, limits, network, security};
use crate::engine::api::container::{Follow, State};
use crate::finding::Verdict;
use crate::state;
use crate::version::ApiVersion;

/// Networks and volumes came with API 1.21, and labels, by which ours are found again, with 1.23 (moby
/// docs/reference/api/docker_remote_api.md, v1.23).
const NETWORKS_SINCE: ApiVersion = ApiVersion::new(1, 23);
/// HostConfig.Tmpfs came with API 1.22 (same, v1.22).
const TMPFS_SINCE: ApiVersion = ApiVersion::new(1, 22);

/// How long the container may take to start and look around.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The claims that cannot be looked at when the container is not there.
const NEEDS_IT: [&str; 23] = [
    "exec",
    "tty",
    "user",
    "cp",
    "kill",
    "stop",
    "logs",
    "layers",
    "commit",
    "volumes",
    "cgroup",
    "security",
    "stats",
    "threads",
    "network.address",
    "network.gateway",
    "network.peer",
    "network.name",
    "network.port",
    "network.outbound",
    "network.mtu",
    "network.dns",
    "network.ipv6",
];

/// The container, at work.
pub(super) struct Work {
    pub(super) id: String,
    pub(super) state: State,
    /// The network with names, if the engine has any.
    pub(super) network: Option<String>,
    /// Why there is none, if it could not be made.
    pub(super) network_error: Option<String>,
    /// The named volume, if the engine has any.
    pub(super) volume: Option<String>,
    pub(super) output: Follow,
    directory: Scratch,
}

impl Work {
    /// What it told of a subject when it began.
    pub(super) fn told(&self, subject: &str) -> Result<Told, Refused> {
        inside::told(&self.output.text, subject)
            .ok_or_else(|| blocking(format!("the test container said nothing of {subject}")).into())
    }

    /// Its address on the default bridge.
    pub(super) fn address(&self) -> Option<Ipv4Addr> {
        self.told("network").ok()?.value("address")?.parse().ok()
    }

    /// What it wrote to the directory that it shares with us.
    pub(super) fn came_from_inside(&self) -> io::Result<String> {
        let content = state::read_small(&self.directory.0.join("from-inside"), 4096)?;
        String::from_utf8(content).map_err(io::Error::other)
    }
}

/// All scenarios that share the container.
pub(super) async fn prove(nest: &Nest<'_>, outside: impl Future<Output = Outside>) {
    let (work, outside) = join(begin(nest), outside).await;
    let mut work = match work {
        Ok(work) => work,
        Err(Refused(verdict)) => return spoiled(nest, &verdict),
    };
    // The daemon has to carry out all of them at once, as in life.
    {
        let work = &work;
        futures_util::future::join5(
            lifecycle::exec(nest, work),
            join(lifecycle::copy(nest, work), limits::stats(nest, work)),
            network::prove(nest, work, &outside),
            build::commit(nest, work),
            async {
                cgroup::prove(nest, work);
                security::prove(nest, work);
                security::threads(nest, work.told("threads"));
            },
        )
        .await;
    }
    lifecycle::end(nest, &mut work).await;
}

/// Makes the container, and waits until it has looked around.
async fn begin(nest: &Nest<'_>) -> Result<Work, Refused> {
    let directory = shared_directory(nest)
        .map_err(|error| blocking(format!("cannot make a directory for a bind mount: {error}")))?;
    let (volume, network) = match nest.has(NETWORKS_SINCE, "networks and volumes with labels") {
        Ok(()) => (Some(nest.name("volume")), Some(nest.name("network"))),
        Err(_) => (None, None),
    };
    let mut spec = nest.spec("work", &["work"]);
    spec.publish = Some(inside::PORT);
    spec.binds.push(format!("{}:/bind", directory.0.display()));
    if nest.has(TMPFS_SINCE, "tmpfs").is_ok() {
        spec.tmpfs.insert("/tmpfs".to_owned(), "size=64k".to_owned());
    }
    if let Some(volume) = &volume {
        nest.create_volume(volume).await?;
        spec.binds.push(format!("{volume}:/volume"));
    }
    let start = async {
        // Where containers have no network by default, ours is made first, and they are made on it.
        if let (false, Some(network)) = (nest.default_network, &network) {
            nest.create_network(network).await?;
            spec.network = Some(network.clone());
        }
        let id = nest.create(&spec).await?;
        nest.api.start(&id).await?;
        let mut output = nest.api.follow(&id);
        output.line(inside::READY).await?;
        let state = nest.api.state(&id).await?;
        Ok::<_, Refused>((id, output, state))
    };
    let make_network = async {
        match &network {
            Some(network) if nest.default_network => nest.create_network(network).await,
            _ => Ok(()),
        }
    };
    let begun = tokio::time::timeout(READY_WITHIN, join(start, make_network)).await;
    let Ok((started, made)) = begun else {
        return Err(blocking(format!("the test container was not ready within {} s", READY_WITHIN.as_secs())).into());
    };
    let (id, output, state) = started?;
    // Whether there is a network is for the scenarios of the network to say.
    let network_error = made.err().map(|error| error.to_string());
    let network = network.filter(|_| network_error.is_none());
    Ok(Work { id, state, network, network_error, volume, output, directory })
}

/// Whether the engine has networks of its own.
pub(super) fn has_networks(nest: &Nest<'_>) -> Result<(), Refused> {
    nest.has(NETWORKS_SINCE, "networks and volumes with labels")
}

/// Without the container nothing can be said of what it would have shown.
fn spoiled(nest: &Nest<'_>, verdict: &Verdict) {
    for id in NEEDS_IT {
        nest.ledger.write(id, verdict.clone(), Duration::ZERO);
    }
}

/// The directory that the container shares with us.
fn shared_directory(nest: &Nest<'_>) -> io::Result<Scratch> {
    let directory = Scratch::new(&nest.name("bind"), &[("from-outside", "from outside")])?;
    if let Some((user, group)) = nest.info.remapped_root() {
        std::os::unix::fs::chown(&directory.0, Some(user), Some(group))?;
    }
    Ok(directory)
}
