//! Mends of control groups.

use std::collections::BTreeSet;

use super::Fix;
use super::step::Step;
use crate::facts::cgroup::{CGROUP_ROOT, Cgroup, KEPT_NAMESPACE, Mode, Unified, of_controller};
use crate::facts::mounts::{Mount, Mounts};

/// Where the container's own processes go, as moby's hack/dind and the tools that learnt from it have it.
pub const INIT_CGROUP: &str = "init";

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
            flags: None,
            target: CGROUP_ROOT.to_owned(),
        });
        return Fix::in_container(check, "mount the unified hierarchy", steps);
    }
    let fresh = mounts.at(CGROUP_ROOT).is_none_or(|mount| mount.fstype != "tmpfs");
    // What a mount that is gone has left is used again.
    let is_there = |name: &str| !fresh && cgroup.entries.iter().any(|entry| entry == name);
    if fresh {
        steps.push(Step::MountFilesystem {
            fstype: "tmpfs".to_owned(),
            target: CGROUP_ROOT.to_owned(),
            options: "mode=755".to_owned(),
        });
    }
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
        if !is_there(&directory) {
            steps.push(Step::MakeDirectory { path: target.clone() });
        }
        steps.push(Step::MountHierarchy {
            fstype: "cgroup".to_owned(),
            options,
            root: own.path.clone(),
            flags: None,
            target,
        });
        if own.controllers.len() > 1 {
            steps.extend(
                own.controllers
                    .iter()
                    .filter(|name| !is_there(name))
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

/// Takes the version 2 mounts away from beside the version 1 hierarchies, in this mount namespace alone.
///
/// None where one of them could not be mounted again: its top lies outside of this cgroup namespace.
pub fn unmount_unified(check: &'static str, cgroup: &Cgroup) -> Option<Fix> {
    if cgroup.unified_mounts.iter().any(|mount| mount.root.starts_with("/..")) {
        return None;
    }
    let mut steps = Vec::new();
    for mount in cgroup.unified_mounts.iter().rev() {
        // Taken back in the other order: mounted again, then read-only again.
        if mount.is_read_only() {
            steps.push(Step::Remount { target: mount.point.clone(), flags: mount.flags(), read_only: false });
        }
        steps.push(Step::UnmountHierarchy {
            fstype: mount.fstype.clone(),
            options: hierarchy_options(mount),
            root: mount.root.clone(),
            flags: Some(mount.flags()),
            target: mount.point.clone(),
        });
    }
    Some(Fix::in_container(check, "unmount the v2 hierarchy from beside the v1 ones", steps))
}

/// Puts this container's own cgroup in the place of what is seen of the host's tree, in this mount namespace alone.
/// Nothing that is the host's is written to or moved. The host's mount has to go: runc takes the first mount of a
/// hierarchy that the table lists, be it covered or not.
pub fn own_part(check: &'static str, cgroup: &Cgroup) -> Option<Fix> {
    let mounts = match cgroup.mode {
        Mode::Unified => cgroup.unified_mounts.iter().collect::<Vec<_>>(),
        Mode::Legacy | Mode::Hybrid => cgroup.legacy_mounts.iter().chain(&cgroup.unified_mounts).collect(),
    };
    let mut steps = Vec::new();
    for mount in mounts.into_iter().filter(|mount| mount.root == "/") {
        let own = cgroup.own.iter().find(|own| match mount.fstype.as_str() {
            "cgroup2" => own.hierarchy == 0,
            _ => own.controllers.first().is_some_and(|name| of_controller(mount, name)),
        });
        // A path outside of our cgroup namespace (`/../x`) is none that could be mounted.
        let Some(own) = own.filter(|own| own.path != "/" && !own.path.starts_with("/..")) else { continue };
        let (fstype, options) = (mount.fstype.clone(), hierarchy_options(mount));
        let target = mount.point.clone();
        steps.push(Step::UnmountHierarchy {
            fstype: fstype.clone(),
            options: options.clone(),
            root: mount.root.clone(),
            flags: Some(mount.flags()),
            target: target.clone(),
        });
        steps.push(Step::MountHierarchy { fstype, options, root: own.path.clone(), flags: None, target });
    }
    if steps.is_empty() {
        return None;
    }
    // On a unified host containerd finds a container's files by its path in /proc/PID/cgroup, which has to begin where
    // the mount does (containerd/cgroups v3 cgroup2: PidGroupPath).
    if cgroup.mode == Mode::Unified && cgroup.namespaces {
        let path = KEPT_NAMESPACE.to_owned();
        steps.push(Step::WriteFile { path: path.clone(), content: String::new() });
        steps.push(Step::KeepCgroupNamespace { path });
    }
    Some(Fix::in_container(check, "show this container's own cgroup in the place of the host's tree", steps))
}

/// The options that mount the same hierarchy again. Without those of version 2 a mount from the first cgroup namespace
/// would change them for the whole host (kernel/cgroup/cgroup.c apply_cgroup_root_flags).
fn hierarchy_options(mount: &Mount) -> String {
    let named = mount.super_options.contains_key("name").then_some("none".to_owned());
    let own = mount.file_system_options().map(|(name, value)| match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    });
    named.into_iter().chain(own).collect::<Vec<_>>().join(",")
}

/// Why a controller that is there may not be given to children, where the facts tell.
pub fn refusal(unified: &Unified, controller: &str) -> Option<String> {
    // The kernel's own list (cgroup-v2.rst, "Threads"): these may be given within a threaded subtree.
    const OF_THREADS: [&str; 4] = ["cpu", "cpuset", "perf_event", "pids"];
    match unified.kind.as_deref() {
        Some("domain invalid") => {
            return Some("EOPNOTSUPP: the cgroup is `domain invalid`, and gives nothing to others".to_owned());
        }
        Some(kind @ ("domain threaded" | "threaded")) if !OF_THREADS.contains(&controller) => {
            return Some(format!(
                "EOPNOTSUPP: the cgroup is `{kind}`, and gives no more than {} to others",
                OF_THREADS.join(", ")
            ));
        }
        _ => {}
    }
    let mut realtime = unified.occupants.iter().filter(|process| process.realtime);
    if let ("cpu", Some(process)) = (controller, realtime.next()) {
        return Some(format!(
            "process {} (`{}`) is scheduled in real time, which kernels with RT_GROUP_SCHED refuse",
            process.pid,
            process.name.line()
        ));
    }
    None
}

/// Empties the container's own v2 cgroup and gives its controllers to its children, one at a time.
///
/// None where the tree is not ours: in the true root, one that is seen with the host's eyes, or one of another user.
pub fn delegate(check: &'static str, cgroup: &Cgroup, wanted: &[String]) -> Option<Fix> {
    let unified = cgroup.unified.as_ref()?;
    if unified.kind.as_deref() != Some("domain") || unified.foreign || !cgroup.owns_unified_top() {
        return None;
    }
    let top = unified.point.clone();
    let mut steps = Vec::new();
    let mut limits = Vec::new();
    let given = delegable(unified, wanted);
    if !unified.processes.is_empty() {
        // One of our own making even where `init` is there already (a restart, an earlier entrypoint): so that taking
        // it back moves what we moved, and no one else.
        let name = [INIT_CGROUP.to_owned(), format!("{INIT_CGROUP}-2")]
            .into_iter()
            .find(|name| !unified.children.contains(name))?;
        let init = format!("{top}/{name}");
        steps.push(Step::MakeDirectory { path: init.clone() });
        steps.push(Step::MoveProcesses { from: top.clone(), to: init.clone() });
        // Its files are there once the controllers are given.
        let of_given = |name: &str| given.iter().any(|given| name.split('.').next() == Some(given));
        limits.extend(unified.limits.iter().filter(|(name, _)| of_given(name)).map(|(name, value)| {
            let before = if name == "cpu.max" { "max 100000" } else { "max" };
            Step::SetGroupLimit { path: format!("{init}/{name}"), value: value.clone(), before: before.to_owned() }
        }));
    }
    steps.extend(
        given
            .into_iter()
            .filter(|name| !unified.subtree_control.iter().any(|own| own == name))
            .map(|name| Step::EnableController { group: top.clone(), controller: name.to_owned() }),
    );
    if steps.is_empty() {
        return None;
    }
    steps.extend(limits);
    Some(Fix::in_container(check, "move the processes to a cgroup below and enable the controllers", steps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::cgroup::parse_memberships;
    use crate::facts::mounts;

    #[test]
    fn what_a_mount_that_is_gone_has_left_is_used_again() {
        let table = "30 20 0:25 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw,mode=755\n";
        let made = |table: &str, entries: &[&str]| {
            let cgroup = Cgroup {
                mode: Mode::Legacy,
                own: parse_memberships("4:cpu,cpuacct:/docker/a\n3:pids:/docker/a\n"),
                init: None,
                legacy_mounts: Vec::new(),
                unified_mounts: Vec::new(),
                unified: None,
                namespaces: false,
                entries: entries.iter().map(|name| (*name).to_owned()).collect(),
                attempts: Ok(Vec::new()),
            };
            let steps = mount_hierarchies("x.y", &cgroup, &mounts::parse(table)).steps;
            let names = steps.iter().filter_map(|step| match step {
                Step::MakeDirectory { path } | Step::MakeLink { path, .. } => path.strip_prefix("/sys/fs/cgroup/"),
                _ => None,
            });
            let mounted = steps.iter().filter_map(|step| match step {
                Step::MountFilesystem { fstype, .. } | Step::MountHierarchy { fstype, .. } => Some(fstype.as_str()),
                _ => None,
            });
            (names.map(str::to_owned).collect::<Vec<_>>(), mounted.collect::<Vec<_>>().join(" "))
        };
        let all = ["cpu,cpuacct", "cpu", "cpuacct", "pids"].map(str::to_owned);
        assert_eq!(made(table, &[]), (all.to_vec(), "cgroup cgroup".to_owned()));
        let left = made(table, &["cpu,cpuacct", "cpuacct"]);
        assert_eq!(left, (vec!["cpu".to_owned(), "pids".to_owned()], "cgroup cgroup".to_owned()));
        // Below a mount of our own nothing is left.
        assert_eq!(made("", &["cpu,cpuacct", "pids"]), (all.to_vec(), "tmpfs cgroup cgroup".to_owned()));
    }
}
