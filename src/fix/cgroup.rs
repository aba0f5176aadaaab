//! Mends of control groups.

use std::collections::BTreeSet;

use super::Fix;
use super::step::Step;
use crate::facts::cgroup::{CGROUP_ROOT, Cgroup, Mode, Unified};
use crate::facts::mounts::Mounts;

/// Where the container's own processes go, as moby's hack/dind and the tools that learnt from it have it.
const INIT_CGROUP: &str = "init";

/// Mounts each hierarchy that is not mounted, with this container's own cgroup at its top: the same that Docker 1.8
/// and later give to their containers.
pub fn mount_hierarchies(check: &'static str, cgroup: &Cgroup, mounts: &Mounts) -> Fix {
    let mut steps = Vec::new();
    if cgroup.mode == Mode::Unified {
        let root = cgroup.unified_membership().map_or("/", |own| own.path.as_str()).to_owned();
        steps.push(Step::MountHierarchy {
            fstype: "cgroup2".to_owned(),
            options: String::new(),
            root,
            target: CGROUP_ROOT.to_owned(),
        });
        return Fix::in_container(check, "mount the unified hierarchy", steps);
    }
    if mounts.at(CGROUP_ROOT).is_none_or(|mount| mount.fstype != "tmpfs") {
        steps.push(Step::MountFilesystem {
            fstype: "tmpfs".to_owned(),
            target: CGROUP_ROOT.to_owned(),
            options: "mode=755".to_owned(),
        });
    }
    // Directories and links that are there already came with mounts that are there already.
    let mounted: BTreeSet<&str> = cgroup.legacy_mounts.iter().map(|mount| mount.point.as_str()).collect();
    for own in cgroup.own.iter().filter(|own| own.hierarchy != 0) {
        if own.controllers.iter().any(|name| cgroup.legacy_mount(name).is_some()) {
            continue;
        }
        let directory = own.directory();
        let target = format!("{CGROUP_ROOT}/{directory}");
        if mounted.contains(target.as_str()) {
            continue;
        }
        let options = match own.controllers.as_slice() {
            [named] if named.starts_with("name=") => format!("none,{named}"),
            controllers => controllers.join(","),
        };
        steps.push(Step::MakeDirectory { path: target.clone() });
        steps.push(Step::MountHierarchy { fstype: "cgroup".to_owned(), options, root: own.path.clone(), target });
        if own.controllers.len() > 1 {
            steps.extend(
                own.controllers
                    .iter()
                    .map(|name| Step::MakeLink { path: format!("{CGROUP_ROOT}/{name}"), target: directory.clone() }),
            );
        }
    }
    Fix::in_container(check, "mount this container's own part of each cgroup hierarchy", steps)
}

/// The wanted controllers (v1 names) that a v2 cgroup has to give, by their v2 names.
pub fn delegable<'u>(unified: &'u Unified, wanted: &[String]) -> Vec<&'u str> {
    let wanted: BTreeSet<&str> = wanted
        .iter()
        .map(|name| match name.as_str() {
            "blkio" => "io",
            "cpuacct" => "cpu",
            other => other,
        })
        .collect();
    unified.controllers.iter().map(String::as_str).filter(|name| wanted.contains(name)).collect()
}

/// Empties the container's own v2 cgroup and gives its controllers to its children, one at a time.
///
/// None where the tree is not ours: in the true root, or one that is seen with the host's eyes.
pub fn delegate(check: &'static str, cgroup: &Cgroup, wanted: &[String]) -> Option<Fix> {
    let unified = cgroup.unified.as_ref()?;
    let own = cgroup.unified_membership()?;
    let below_own_top = own.path == "/" || own.path == format!("/{INIT_CGROUP}");
    if unified.kind.as_deref() != Some("domain") || !below_own_top {
        return None;
    }
    let top = unified.point.clone();
    let init = format!("{top}/{INIT_CGROUP}");
    let mut steps = Vec::new();
    if !unified.processes.is_empty() {
        steps.push(Step::MakeDirectory { path: init.clone() });
        steps.push(Step::MoveProcesses { from: top.clone(), to: init });
    }
    steps.extend(
        delegable(unified, wanted)
            .into_iter()
            .filter(|name| !unified.subtree_control.iter().any(|own| own == name))
            .map(|name| Step::EnableController { group: top.clone(), controller: name.to_owned() }),
    );
    Some(Fix::in_container(check, "move the processes to a cgroup below and enable the controllers", steps))
}
