//! cgroup.mounted: cgroup mounts.

use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::cgroup::{CGROUP_ROOT, Mode, PROC_CGROUP};
use crate::facts::mounts::MOUNTINFO;
use crate::finding::{Evidence, Fate, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "cgroup.mounted",
    docs: Docs {
        title: "cgroup mounts",
        motivation: "Docker up to 1.7 gave its containers no /sys/fs/cgroup at all; 1.8.0 began to bind-mount it. \
                     An inner daemon of any version that finds no devices hierarchy dies with \"Devices cgroup \
                     isn't mounted\".",
        looks_at: "Mounts of type cgroup and cgroup2 in /proc/self/mountinfo, against the hierarchies of \
                   /proc/self/cgroup.",
        remedy: "docker run -v /sys/fs/cgroup:/sys/fs/cgroup, or dindcheck --fix, which mounts this container's \
                 own part of each hierarchy.",
        since: "1.0",
    },
    run,
    mend: Some(Mend { title: "mounts this container's own part of each hierarchy", needs_trials: false, fix }),
};

fn run<'f>(facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
    let cgroup = facts.cgroup.as_ref()?;
    if cgroup.mode == Mode::Unified {
        return Ok(match cgroup.unified_mount() {
            Some(mount) => Verdict::pass(format!("cgroup2 on {}", mount.point)),
            None => missing(
                "no cgroup2 mount",
                "The outer engine gave this container no cgroup mount.".to_owned(),
                facts,
                profile,
            )
            .saw_wanted(MOUNTINFO, "no mount of type cgroup2", format!("cgroup2 on {CGROUP_ROOT}")),
        });
    }
    let kernel = cgroup.legacy_controllers();
    let needed: Vec<&str> = required(profile).into_iter().filter(|name| kernel.contains(name)).collect();
    let unmounted: Vec<&str> = needed.iter().copied().filter(|name| cgroup.legacy_mount(name).is_none()).collect();
    if unmounted.is_empty() {
        let count = cgroup.legacy_mounts.len();
        return Ok(Verdict::pass(format!("{count} hierarchies mounted, {} among them", needed.join(", "))));
    }
    let none = cgroup.legacy_mounts.is_empty();
    let summary = if none {
        "no cgroup hierarchy is mounted".to_owned()
    } else {
        format!("not mounted: the hierarchy of {}", unmounted.join(", "))
    };
    let is_docker = facts.outer.as_ref().is_ok_and(|outer| outer.engine.as_deref() == Some("docker"));
    let cause = if none && is_docker {
        "Docker up to 1.7 mounts none in its containers; 1.8.0 was the first to do it, for privileged ones writable."
    } else if none {
        "The outer engine leaves them to the init of the container, or was told to mount none."
    } else {
        "The outer container was given some hierarchies, and not this one."
    };
    let seen = unmounted.iter().filter_map(|name| cgroup.legacy_membership(name)).map(|own| Evidence {
        location: format!("{PROC_CGROUP}:{}", own.line),
        value: format!("{}:{}:{}", own.hierarchy, own.controllers.join(","), own.path),
        wanted: Some(format!(
            "a mount of type cgroup with {}, on {CGROUP_ROOT}/{}",
            own.controllers.join(","),
            own.directory()
        )),
    });
    Ok(missing(&summary, cause.to_owned(), facts, profile)
        .saw(MOUNTINFO, format!("{} mounts of type cgroup", cgroup.legacy_mounts.len()))
        .evidence(seen))
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    let cgroup = facts.cgroup.as_ref().ok()?;
    let mounts = facts.mounts.as_ref().ok()?;
    Some(fix::cgroup::mount_hierarchies(CHECK.id, cgroup, mounts))
}

/// The controllers without whose hierarchy the daemon dies or no container runs.
fn required(profile: &Profile) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for name in profile.cgroup_required.value.iter().chain(&profile.cgroup_required_to_run.value) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

fn missing(summary: &str, cause: String, facts: &Facts, profile: &Profile) -> Verdict {
    // From 20.10 on the daemon does not look in a user namespace (moby daemon/daemon.go: NewDaemon).
    let looks = facts.privileges.as_ref().map_or(true, |privileges| privileges.initial_user_namespace)
        || profile.version.release() < [20, 10, 0];
    // Before 1.7 the daemon starts without.
    let (fate, effect) = if looks && !profile.cgroup_required.value.is_empty() {
        let error = &profile.cgroup_missing_error.value;
        (Fate::Dies, format!("Docker {} dies with \"{error}\".", profile.version))
    } else {
        (Fate::EveryContainerFails, "The daemon starts, and no container does.".to_owned())
    };
    Verdict::fail(Severity::Blocking, summary)
        .foretells(fate)
        .because(format!("{cause} {effect}"))
        .remedy("docker run --privileged -v /sys/fs/cgroup:/sys/fs/cgroup …")
        .remedy("or let dindcheck --fix mount this container's own part of each hierarchy")
        .source("moby commit f18fb5b3ef (1.8.0): cgroup bind mount by default")
        .source(profile.cgroup_required.source.clone())
}
