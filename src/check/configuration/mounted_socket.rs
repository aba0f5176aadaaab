//! configuration.mounted-socket: a socket of another daemon.

use crate::check::{Check, Docs};
use crate::configuration::Host;
use crate::fact::FactError;
use crate::facts::Facts;
use crate::finding::{Severity, Verdict};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "configuration.mounted-socket",
    docs: Docs {
        title: "a socket of another daemon",
        motivation: "With -v /var/run/docker.sock:/var/run/docker.sock the host's daemon answers where the inner one \
                 shall listen: the inner one cannot, and dies, and each client works on the host without \
                 knowing it.",
        looks_at: "Mounts on the unix sockets that the daemon will listen on.",
        remedy: "Leave the mount out, or have the daemon listen elsewhere: dindcheck -- -H unix:///run/inner.sock.",
        since: "1.0",
    },
    run,
    mend: None,
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let configuration = facts.configuration.as_ref()?;
    let mounts = facts.mounts.as_ref()?;
    let listens = configuration.listens();
    let mut sockets: Vec<&str> = listens.iter().filter_map(Host::unix).collect();
    if sockets.is_empty() {
        sockets.push(&configuration.defaults.socket);
    }
    // /var/run is a link to /run wherever there is a /run, and the mount table knows no links.
    let mount = sockets.iter().find_map(|path| {
        mounts.at(path).or_else(|| mounts.at(path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/"))?))
    });
    let Some(mount) = mount else {
        return Ok(Verdict::pass(format!("nothing is mounted on {}", sockets.join(", "))));
    };
    Ok(Verdict::fail(Severity::Blocking, format!("{} is mounted from outside", mount.point))
        .saw_wanted(mount.location(), mount.describe(), "no mount")
        .because("The daemon cannot put its socket there, and clients talk to what listens outside.")
        .remedy("leave -v /var/run/docker.sock out of the outer docker run")
        .remedy("or dindcheck -- -H unix:///run/inner.sock, and DOCKER_HOST for the clients")
        .source("moby daemon/listeners"))
}
