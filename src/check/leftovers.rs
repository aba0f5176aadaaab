//! What an earlier daemon left behind.

use super::{Check, Docs};
use crate::facts::leftovers::{Answer, Leftovers, PidFile, Socket};
use crate::facts::{FactError, Facts};
use crate::finding::{Evidence, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

/// The names of the processes that the daemon's pid file speaks of.
const DAEMONS: [&str; 2] = ["dockerd", "docker"];
/// Those that containerd's does, under its names of all times. The kernel cuts names after 15 bytes.
const CONTAINERDS: [&str; 2] = ["containerd", "docker-containe"];

/// leftovers.pidfile
pub(super) struct PidFiles;

impl Check for PidFiles {
    fn id(&self) -> &'static str {
        "leftovers.pidfile"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("removes stale pid files")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "stale pid files",
            motivation: "A pid file that outlives its container names a number which some other process of the next \
                         one has. dockerd then refuses to start, or waits in vain for a containerd that it takes for \
                         running (\"timeout waiting for containerd to start\").",
            looks_at: "Each pid file of this version, and the name and start time of the process that has the number now.",
            remedy: "Remove the files before the daemon starts; dindcheck --fix removes those that name no engine.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let leftovers = facts.leftovers.as_ref()?;
        let stale: Vec<&PidFile> = stale(leftovers).collect();
        if stale.is_empty() {
            return Ok(match leftovers.pidfiles.as_slice() {
                [] => Verdict::pass("none"),
                files => Verdict::pass(format!("{} of a running engine", files.len())),
            });
        }
        let taken = stale.iter().any(|file| file.process.is_some());
        let severity = if taken { Severity::Blocking } else { Severity::Warning };
        let paths: Vec<&str> = stale.iter().map(|file| file.path.as_str()).collect();
        let cause = if taken {
            "The number is that of another process now; the engine looks at the number alone and takes itself for running."
        } else {
            "No process has the number now; one that gets it before the engine looks would keep the engine from starting."
        };
        Ok(Verdict::fail(severity, format!("stale: {}", paths.join(", ")))
            .evidence(stale.iter().map(|file| Evidence {
                location: file.path.clone(),
                value: describe(file),
                wanted: Some("no file, or the pid of a running engine".to_owned()),
            }))
            .because(cause)
            .remedy(format!("rm {}", paths.join(" ")))
            .remedy("keep /run on a tmpfs of the outer container (docker run --tmpfs /run …)")
            .source("moby pkg/pidfile; moby#46988, docker-library/docker#195"))
    }

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        let leftovers = facts.leftovers.as_ref().ok()?;
        Some(fix::leftovers::remove_pidfiles(self.id(), stale(leftovers)))
    }
}

fn stale(leftovers: &Leftovers) -> impl Iterator<Item = &PidFile> {
    leftovers.pidfiles.iter().filter(|file| !is_engine(file))
}

/// Whether the process that has the number is an engine that can have written the file: by name, and started before.
pub(super) fn is_engine(file: &PidFile) -> bool {
    file.process.as_ref().is_some_and(|process| {
        // The boot time is kept in whole seconds, and can be off by one.
        let started_before = match (process.started_s, file.written_s) {
            (Some(started), Some(written)) => started <= written + 2,
            _ => true,
        };
        // A number that containerd had can be the daemon's own in the next life of a container.
        let names = if file.path.contains("containerd") { CONTAINERDS } else { DAEMONS };
        names.contains(&process.name.as_str()) && started_before
    })
}

fn describe(file: &PidFile) -> String {
    match (&file.pid, &file.process) {
        (Some(pid), Some(process)) => format!("{pid}, which is `{}` now", process.name),
        (Some(pid), None) => format!("{pid}, which is no process"),
        (None, _) => "no number".to_owned(),
    }
}

/// leftovers.containerd-socket
pub(super) struct ContainerdSocket;

impl Check for ContainerdSocket {
    fn id(&self) -> &'static str {
        "leftovers.containerd-socket"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("removes dead sockets")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "dead containerd socket",
            motivation: "From 18.09 dockerd uses the system's containerd when the file \
                         /run/containerd/containerd.sock is there. It looks at the file alone: where nobody listens, \
                         it starts no containerd of its own and dies dialing the dead one.",
            looks_at: "A connection to each socket that this version looks for.",
            remedy: "Remove the socket; dindcheck --fix does it.",
            since: "18.09",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let leftovers = facts.leftovers.as_ref()?;
        let dead: Vec<&str> = dead_sockets(leftovers).map(|socket| socket.path.as_str()).collect();
        if !dead.is_empty() {
            return Ok(Verdict::fail(Severity::Blocking, format!("nobody listens on {}", dead.join(", ")))
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
            sockets => Verdict::pass(format!(
                "{} answers",
                sockets.iter().map(|s| s.path.as_str()).collect::<Vec<_>>().join(", ")
            )),
        })
    }

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        let leftovers = facts.leftovers.as_ref().ok()?;
        dead_sockets(leftovers).next()?;
        Some(fix::leftovers::remove_sockets(self.id(), dead_sockets(leftovers)))
    }
}

fn dead_sockets(leftovers: &Leftovers) -> impl Iterator<Item = &Socket> {
    leftovers.sockets.iter().filter(|socket| socket.answer == Answer::Refused)
}
