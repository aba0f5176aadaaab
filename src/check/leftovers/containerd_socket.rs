//! leftovers.containerd-socket: dead containerd socket.

use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::leftovers::{Answer, Leftovers, Socket};
use crate::finding::{Evidence, Fate, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::{DeadSocket, Profile};

pub(in crate::check) const CHECK: Check = Check {
    id: "leftovers.containerd-socket",
    docs: Docs {
        title: "dead containerd socket",
        motivation: "From 18.09 dockerd uses the system's containerd when the file \
                     /run/containerd/containerd.sock is there. It looks at the file alone: where nothing listens, \
                     it starts no containerd of its own and dies dialing the dead one.",
        looks_at: "A connection to each socket that this version looks for.",
        remedy: "Remove the socket; dindcheck --fix does it.",
        since: "18.09",
    },
    run,
    mend: Some(Mend { title: "removes dead sockets", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let leftovers = facts.leftovers.as_ref()?;
    let dead: Vec<&str> = dead_sockets(leftovers).map(|socket| socket.path.as_str()).collect();
    if !dead.is_empty() {
        let fate = match profile.sockets_dead.value {
            DeadSocket::Dies => Fate::Dies,
            DeadSocket::EveryContainerFails => Fate::EveryContainerFails,
        };
        return Ok(Verdict::fail(Severity::Blocking, format!("nothing listens on {}", dead.join(", ")))
            .foretells(fate)
            .evidence(dead.iter().map(|path| Evidence {
                location: (*path).to_owned(),
                value: "connection refused".to_owned(),
                wanted: Some("no file, or a running containerd".to_owned()),
            }))
            .because("dockerd takes the file for a running containerd and never starts its own.")
            .remedy(format!("rm {}", dead.join(" ")))
            .remedy("keep /run on a tmpfs of the outer container (docker run --tmpfs /run …)")
            .source(profile.sockets.source.clone()));
    }
    if let Some((socket, reason)) = leftovers.sockets.iter().find_map(|socket| match &socket.answer {
        Answer::Untold(reason) => Some((socket, reason)),
        _ => None,
    }) {
        return Ok(Verdict::unknown(format!("{}: {reason}", socket.path)));
    }
    Ok(match leftovers.sockets.as_slice() {
        [] => Verdict::pass("none"),
        sockets => {
            Verdict::pass(format!("{} answers", sockets.iter().map(|s| s.path.as_str()).collect::<Vec<_>>().join(", ")))
        }
    })
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    let leftovers = facts.leftovers.as_ref().ok()?;
    dead_sockets(leftovers).next()?;
    Some(fix::leftovers::remove_sockets(CHECK.id, dead_sockets(leftovers)))
}

fn dead_sockets(leftovers: &Leftovers) -> impl Iterator<Item = &Socket> {
    leftovers.sockets.iter().filter(|socket| socket.answer == Answer::Refused)
}
