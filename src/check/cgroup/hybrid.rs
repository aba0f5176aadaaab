//! cgroup.hybrid: no v2 mount beside v1.

use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::cgroup::Mode;
use crate::finding::{Evidence, Fate, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "cgroup.hybrid",
    docs: Docs {
        title: "no v2 mount beside v1",
        motivation: "The runc of Docker 1.11 to 17.03.0 takes a cgroup2 mount for one of version 1 and looks for its \
                     subsystem. The daemon starts, and every container fails with \"no subsystem for mount\".",
        looks_at: "Mounts of type cgroup2 in /proc/self/mountinfo on a host with v1 controllers.",
        remedy: "dindcheck --fix unmounts them in this container's own mount namespace; or a later engine.",
        since: "1.11 to 17.03.0",
    },
    run,
    mend: Some(Mend { title: "unmounts the v2 hierarchy", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let cgroup = facts.cgroup.as_ref()?;
    let breaks = &profile.cgroup_unified_mount_breaks_runs;
    if cgroup.mode == Mode::Unified {
        return Ok(Verdict::not_applicable("there is no v1 hierarchy beside it"));
    }
    if cgroup.unified_mounts.is_empty() {
        return Ok(Verdict::pass("no cgroup2 mount"));
    }
    if !breaks.value {
        return Ok(Verdict::pass("a cgroup2 mount, which this engine passes over"));
    }
    let points: Vec<&str> = cgroup.unified_mounts.iter().map(|mount| mount.point.as_str()).collect();
    Ok(Verdict::fail(Severity::Blocking, format!("cgroup2 on {}: every run will fail", points.join(", ")))
        .evidence(cgroup.unified_mounts.iter().map(|mount| Evidence {
            location: mount.location(),
            value: mount.describe(),
            wanted: Some("no mount of type cgroup2".to_owned()),
        }))
        .foretells(Fate::EveryContainerFails)
        .because(format!(
            "The runc of Docker {} takes every type that begins with `cgroup` for version 1: \"no subsystem for mount\".",
            profile.version
        ))
        .remedy(format!("umount {}, in the outer container", points.join(" ")))
        .remedy("or let dindcheck --fix do it")
        .source(breaks.source.clone()))
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    fix::cgroup::unmount_unified(CHECK.id, facts.cgroup.as_ref().ok()?)
}
