//! cgroup.writable: cgroup mounts writable.

use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::cgroup::{Cgroup, Mode};
use crate::finding::{Evidence, Fate, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "cgroup.writable",
    docs: Docs {
        title: "cgroup mounts writable",
        motivation: "On read-only hierarchies the daemon starts, and every container fails with \"mkdir … \
                     read-only file system\".",
        looks_at: "The ro option of each cgroup mount in /proc/self/mountinfo.",
        remedy: "--privileged, or no :ro on -v /sys/fs/cgroup; dindcheck --fix remounts them writable.",
        since: "1.0",
    },
    run,
    mend: Some(Mend { title: "remounts the hierarchies writable", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let cgroup = facts.cgroup.as_ref()?;
    let mounts = relevant_mounts(cgroup);
    if mounts.is_empty() {
        return Ok(Verdict::not_applicable("nothing is mounted"));
    }
    let read_only: Vec<_> = mounts.iter().filter(|mount| mount.is_read_only()).collect();
    if read_only.is_empty() {
        return Ok(Verdict::pass(format!("{} of {}", mounts.len(), mounts.len())));
    }
    let seen = read_only.iter().map(|mount| Evidence {
        location: mount.location(),
        value: mount.describe(),
        wanted: Some("rw".to_owned()),
    });
    Ok(Verdict::fail(Severity::Blocking, format!("{} of {} are read-only", read_only.len(), mounts.len()))
        .evidence(seen)
        .foretells(Fate::EveryContainerFails)
        .because("The daemon starts, and every container fails when its cgroup is made.")
        .remedy("start the outer container with --privileged, and without :ro on /sys/fs/cgroup")
        .remedy("or let dindcheck --fix remount them writable")
        .source("moby 1.8.0 CHANGELOG: cgroup mounts are read-only unless privileged"))
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    let cgroup = facts.cgroup.as_ref().ok()?;
    let read_only = relevant_mounts(cgroup).into_iter().filter(|mount| mount.is_read_only());
    Some(fix::mounts::make_writable(CHECK.id, "remount the cgroup hierarchies writable", read_only))
}

/// The mounts that the engine will make cgroups in.
fn relevant_mounts(cgroup: &Cgroup) -> Vec<&crate::facts::mounts::Mount> {
    match cgroup.mode {
        Mode::Unified => cgroup.unified_mounts.iter().collect(),
        Mode::Legacy | Mode::Hybrid => cgroup.legacy_mounts.iter().collect(),
    }
}
