//! leftovers.pidfile: stale pid files.

use super::is_engine;
use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::leftovers::{Leftovers, PidFile};
use crate::finding::{Evidence, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "leftovers.pidfile",
    docs: Docs {
        title: "stale pid files",
        motivation: "A pid file that outlives its container names a number which some other process of the next \
                     one has. dockerd then refuses to start, or waits in vain for a containerd that it takes for \
                     running (\"timeout waiting for containerd to start\").",
        looks_at: "Each pid file of this version, and the name and start time of the process that has the number now.",
        remedy: "Remove the files before the daemon starts; dindcheck --fix removes those that name no engine.",
        since: "1.0",
    },
    run,
    mend: Some(Mend { title: "removes stale pid files", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
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

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    let leftovers = facts.leftovers.as_ref().ok()?;
    Some(fix::leftovers::remove_pidfiles(CHECK.id, stale(leftovers)))
}

fn stale(leftovers: &Leftovers) -> impl Iterator<Item = &PidFile> {
    leftovers.pidfiles.iter().filter(|file| !is_engine(file))
}

fn describe(file: &PidFile) -> String {
    match (&file.pid, &file.process) {
        (Some(pid), Some(process)) => format!("{pid}, which is `{}` now", process.name.line()),
        (Some(pid), None) => format!("{pid}, which is no process"),
        (None, _) => "no number".to_owned(),
    }
}
