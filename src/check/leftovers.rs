//! What an earlier daemon left behind.

pub(super) mod containerd_socket;
pub(super) mod pidfile;

use crate::facts::leftovers::PidFile;

/// The names of the processes that the daemon's pid file speaks of.
const DAEMONS: [&str; 2] = ["dockerd", "docker"];

/// Those that containerd's does, under its names of all times. The kernel cuts names after 15 bytes.
const CONTAINERDS: [&str; 2] = ["containerd", "docker-containe"];

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
        names.contains(&process.name.raw()) && started_before
    })
}
