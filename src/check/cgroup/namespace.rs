//! cgroup.namespace: own part of the cgroup tree.

use crate::check::{Check, Docs, Mend};
use crate::fact::FactError;
use crate::facts::Facts;
use crate::facts::cgroup::{KEPT_NAMESPACE, Mode, PROC_CGROUP};
use crate::finding::{Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

pub(in crate::check) const CHECK: Check = Check {
    id: "cgroup.namespace",
    docs: Docs {
        title: "own part of the cgroup tree",
        motivation: "With the host's view of the tree, inner containers are made beside the outer one instead of \
                     below it: they escape its limits and accounting, and outlive it.",
        looks_at: "The root of each cgroup mount against this process's path in /proc/self/cgroup.",
        remedy: "--cgroupns=private (v2), or no -v /sys/fs/cgroup:/sys/fs/cgroup with an outer engine from 1.8 on; \
                 dindcheck --fix shows this container's own cgroup in its place.",
        since: "1.0",
    },
    run,
    mend: Some(Mend {
        title: "shows this container's own cgroup in the place of the host's tree",
        needs_trials: false,
        fix,
    }),
};

fn run<'f>(facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
    let cgroup = facts.cgroup.as_ref()?;
    let (mount, own) = match cgroup.mode {
        Mode::Unified => (cgroup.unified_mount(), cgroup.unified_membership()),
        Mode::Legacy | Mode::Hybrid => {
            // Hierarchies that the outer engine did not join stay at `/` and tell nothing.
            let joined = cgroup.own.iter().find(|own| own.hierarchy != 0 && own.path != "/");
            let mount = joined.and_then(|own| cgroup.legacy_mount(own.controllers.first()?));
            (mount, joined)
        }
    };
    let (Some(mount), Some(own)) = (mount, own) else {
        return Ok(match cgroup.legacy_mounts.is_empty() && cgroup.unified_mounts.is_empty() {
            true => Verdict::not_applicable("nothing is mounted"),
            false => Verdict::pass("the container's own (a private cgroup namespace)"),
        });
    };
    // In an own namespace the path is `/`, or a cgroup below it that we made ourselves.
    let host_view = match cgroup.mode {
        Mode::Unified => cgroup.sees_unified_host(),
        Mode::Legacy | Mode::Hybrid => mount.root == "/",
    };
    if !host_view {
        return Ok(Verdict::pass(format!("{} is the top of what is seen", mount.root)));
    }
    let verdict = Verdict::fail(Severity::Warning, "the whole tree of the host is seen and writable")
        .saw_wanted(mount.location(), mount.describe(), format!("root {}", own.path))
        .saw(format!("{PROC_CGROUP}:{}", own.line), own.path.clone())
        .because("Inner containers are made outside of this container's cgroup: its limits do not hold for them.")
        .remedy("docker run --cgroupns=private … on a v2 host")
        .remedy("leave out -v /sys/fs/cgroup:/sys/fs/cgroup where the outer engine is 1.8 or later")
        .remedy("or let dindcheck --fix show this container's own cgroup in its place; nothing of the host's is touched")
        .source("cgroup_namespaces(7); containerd internal/cri/server/container_create.go: privileged pods get no cgroup namespace; moby#45378");
    Ok(match cgroup.mode {
        Mode::Unified => verdict.remedy(format!(
            "a daemon that is not started by dindcheck belongs into the namespace that the mend keeps: nsenter \
             --cgroup={KEPT_NAMESPACE} dockerd …"
        )),
        Mode::Legacy | Mode::Hybrid => verdict,
    })
}

fn fix(facts: &Facts, _profile: &Profile) -> Option<Fix> {
    fix::cgroup::own_part(CHECK.id, facts.cgroup.as_ref().ok()?)
}
