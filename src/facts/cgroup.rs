//! Control groups: the hierarchies that the kernel has, where they are mounted, and where this process is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::statfs::{NSFS_MAGIC, statfs};
use nix::unistd::{AccessFlags, access};
use serde::{Deserialize, Serialize};

use super::mounts::{Mount, Mounts};
use super::outer::Outer;
use super::{Fact, FactError, Root, not_yet};
use crate::foreign::Foreign;
use crate::probe::Attempt;
use crate::probe::background::Background;
use crate::probe::cgroup::{self as probe, Place};
use crate::process::stat::Stat;
use crate::state::State;

/// What is tried.
const WHAT: &str = "a cgroup";
/// Where the process's place is read from.
pub const PROC_CGROUP: &str = "/proc/self/cgroup";
/// Where a fix keeps the cgroup namespace that the daemon is started in: it vanishes with /run.
pub const KEPT_NAMESPACE: &str = "/run/dindcheck/cgroup-namespace";

/// Whether a namespace is kept at a path, where no one but a fix can have put it.
pub fn keeps_namespace(path: &str) -> bool {
    let directory = Path::new(path).parent();
    directory.is_some_and(|directory| matches!(State::open(directory), Ok(Some(_))))
        && statfs(path).is_ok_and(|fs| fs.filesystem_type() == NSFS_MAGIC)
}
/// Where hierarchies are expected.
pub const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// One line of /proc/self/cgroup: this process's place in one hierarchy (cgroups(7)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The line's number in the file, from 1.
    pub line: usize,
    /// The hierarchy's number; 0 is the unified one.
    pub hierarchy: u32,
    /// Its controllers (`cpu`, `cpuacct`), or one `name=…` for a named hierarchy; empty for the unified one.
    pub controllers: Vec<String>,
    /// The cgroup's path, as seen from this cgroup namespace.
    pub path: String,
}

impl Membership {
    /// The directory name that the hierarchy has by convention: `cpu,cpuacct`, and `systemd` for `name=systemd`.
    pub fn directory(&self) -> String {
        let joined = self.controllers.join(",");
        joined.strip_prefix("name=").map(str::to_owned).unwrap_or(joined)
    }
}

/// How a kernel's controllers are spread over the two versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Version 1 hierarchies only.
    Legacy,
    /// Version 1 hierarchies with controllers, and a version 2 hierarchy beside them.
    Hybrid,
    /// Version 2 only.
    Unified,
}

/// What a mounted version 2 hierarchy says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unified {
    /// Where it is mounted.
    pub point: String,
    /// Controllers that it has.
    pub controllers: Vec<String>,
    /// Controllers that its children have.
    pub subtree_control: Vec<String>,
    /// `domain`, `threaded`, …; `None` if this is the true root of the hierarchy, which alone has no such file.
    pub kind: Option<String>,
    /// The processes directly in it, as pids of this pid namespace; 0 stands for one that is outside of it.
    pub processes: Vec<u32>,
    /// The cgroups directly below it.
    #[serde(default)]
    pub children: Vec<String>,
    /// Who is in it or directly below it, as far as this pid namespace sees them.
    #[serde(default)]
    pub occupants: Vec<Occupant>,
    /// The limits that it has itself, by the names of their files in [`LIMITS`]. What is not limited (`max`) is left out.
    #[serde(default)]
    pub limits: BTreeMap<String, String>,
    /// Whether it belongs to a user who is not root here, so that nothing can be made in it: a user namespace to which
    /// no one has handed it over (kernel Documentation/admin-guide/cgroup-v2.rst, Delegation).
    #[serde(default)]
    pub foreign: bool,
}

/// The limits that programs read in their own cgroup to know how much there is (kernel
/// Documentation/admin-guide/cgroup-v2.rst): the Go runtime from 1.25 on, the JVM and .NET size themselves by them.
pub const LIMITS: [&str; 3] = ["cpu.max", "memory.max", "pids.max"];

/// A process that holds a version 2 cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occupant {
    /// Its pid.
    pub pid: u32,
    /// Its name.
    pub name: Foreign,
    /// The cgroup below the top that it is in; empty: the top itself.
    pub group: String,
    /// Whether it is scheduled in real time, which the cpu controller refuses below the root where the kernel has
    /// RT_GROUP_SCHED (kernel Documentation/admin-guide/cgroup-v2.rst, CPU).
    pub realtime: bool,
}

/// Control groups as this process sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// How the kernel's controllers are spread.
    pub mode: Mode,
    /// This process's place in each hierarchy.
    pub own: Vec<Membership>,
    /// PID 1's place in the unified hierarchy; `None` if it is not told.
    #[serde(default)]
    pub init: Option<String>,
    /// Version 1 mounts, in the order of the mount table.
    pub legacy_mounts: Vec<Mount>,
    /// Version 2 mounts.
    pub unified_mounts: Vec<Mount>,
    /// What the topmost version 2 mount says of itself.
    pub unified: Option<Unified>,
    /// Whether the kernel has cgroup namespaces.
    pub namespaces: bool,
    /// What is there in the directory for hierarchies, mounted or not.
    #[serde(default)]
    pub entries: Vec<String>,
    /// What came of making a cgroup in each that is ours.
    #[serde(default = "not_tried")]
    pub attempts: Fact<Vec<Attempt>>,
}

fn not_tried() -> Fact<Vec<Attempt>> {
    Err(FactError::captured(WHAT))
}

impl Cgroup {
    /// The topmost version 1 mount that carries a controller (or `name=…`).
    pub fn legacy_mount(&self, controller: &str) -> Option<&Mount> {
        self.legacy_mounts.iter().rev().find(|mount| of_controller(mount, controller))
    }

    /// This process's place in the hierarchy of a version 1 controller.
    pub fn legacy_membership(&self, controller: &str) -> Option<&Membership> {
        self.own.iter().find(|own| own.hierarchy != 0 && own.controllers.iter().any(|name| name == controller))
    }

    /// Every version 1 controller that the kernel has in a hierarchy, `name=…` included.
    pub fn legacy_controllers(&self) -> BTreeSet<&str> {
        self.own.iter().filter(|own| own.hierarchy != 0).flat_map(|own| &own.controllers).map(String::as_str).collect()
    }

    /// The topmost version 2 mount.
    pub fn unified_mount(&self) -> Option<&Mount> {
        self.unified_mounts.last()
    }

    /// Whether the top of what is seen of the unified hierarchy is this container's own cgroup: this process is in it
    /// or in one directly below it, and it is not the true root.
    pub fn owns_unified_top(&self) -> bool {
        let (Some(mount), Some(own), Some(unified)) =
            (self.unified_mount(), self.unified_membership(), self.unified.as_ref())
        else {
            return false;
        };
        unified.kind.is_some() && is_near_top(mount, &own.path)
    }

    /// Whether what is seen of the unified hierarchy is the tree of a host: the true root, or one in which this
    /// container's first process is far below the top (a node that is a container itself). A process of a service below
    /// an init of the container's own says nothing.
    pub fn sees_unified_host(&self) -> bool {
        let (Some(mount), Some(own), Some(unified)) =
            (self.unified_mount(), self.unified_membership(), self.unified.as_ref())
        else {
            return false;
        };
        let near = |path: &String| is_near_top(mount, path);
        own.path != "/" && (unified.kind.is_none() || !(near(&own.path) || self.init.as_ref().is_none_or(near)))
    }

    /// The cgroups that are this container's own, among what is mounted writable: nothing is made in a tree that is the
    /// host's.
    pub fn own_places(&self, in_container: bool) -> Vec<Place> {
        let below_the_top = |path: &str| path != "/" && !path.starts_with("/..");
        let legacy = self.own.iter().filter(|own| own.hierarchy != 0).filter_map(|own| {
            let mount = self.legacy_mount(own.controllers.first()?)?;
            // With a cgroup namespace of its own it is `/` in both, as it is for a process of the host itself.
            let in_namespace = in_container && self.own.iter().all(|own| own.path == "/");
            let is_own = mount.root == own.path && !mount.is_read_only() && (below_the_top(&own.path) || in_namespace);
            is_own.then(|| Place { path: mount.point.clone(), controllers: own.controllers.clone() })
        });
        let unified = self
            .unified_mount()
            .filter(|mount| self.mode == Mode::Unified && !mount.is_read_only() && self.owns_unified_top());
        let unified = unified.map(|mount| Place { path: mount.point.clone(), controllers: Vec::new() });
        legacy.chain(unified).collect()
    }

    /// This process's place in the unified hierarchy.
    pub fn unified_membership(&self) -> Option<&Membership> {
        self.own.iter().find(|own| own.hierarchy == 0)
    }
}

/// Whether a cgroup is the one at the top of a mount, or directly below it: entrypoints put processes there.
fn is_near_top(mount: &Mount, path: &str) -> bool {
    let below = path.strip_prefix(mount.root.trim_end_matches('/')).map(|rest| rest.trim_matches('/'));
    below.is_some_and(|rest| !rest.contains('/'))
}

/// Whether a version 1 mount is of the hierarchy of a controller, or the named one of `name=…`.
pub fn of_controller(mount: &Mount, controller: &str) -> bool {
    mount.super_options.contains_key(controller) || named(mount, controller)
}

/// Whether a mount is the named hierarchy `name=…`; procfs gives the option as key and value.
fn named(mount: &Mount, controller: &str) -> bool {
    controller
        .strip_prefix("name=")
        .is_some_and(|name| mount.super_options.get("name").is_some_and(|value| value.as_deref() == Some(name)))
}

/// Starts trying to make a cgroup in each that is ours.
pub(super) fn start(root: &Root, cgroup: &Fact<Cgroup>, outer: &Fact<Outer>) -> Background<Vec<Attempt>> {
    if !root.is_live() {
        return Background::Done(not_tried());
    }
    match cgroup {
        Ok(own) => probe::start(&own.own_places(outer.as_ref().is_ok_and(|outer| outer.in_container))),
        Err(error) => Background::Done(Err(error.clone())),
    }
}

/// Reads everything about control groups.
pub fn read(root: &Root, mounts: &Mounts) -> Fact<Cgroup> {
    let own = parse_memberships(&root.read(PROC_CGROUP)?);
    if own.is_empty() {
        return Err(FactError::new(
            "find",
            format!("a hierarchy in {PROC_CGROUP}"),
            "the kernel has no control groups",
        ));
    }
    let of_type = |fstype: &str| mounts.all.iter().filter(|mount| mount.fstype == fstype).cloned().collect::<Vec<_>>();
    let unified_mounts = of_type("cgroup2");
    Ok(Cgroup {
        mode: mode(&own),
        init: root
            .read("/proc/1/cgroup")
            .ok()
            .and_then(|text| parse_memberships(&text).into_iter().find(|own| own.hierarchy == 0).map(|own| own.path)),
        legacy_mounts: of_type("cgroup"),
        unified: unified_mounts.last().and_then(|mount| read_unified(root, &mount.point)),
        unified_mounts,
        namespaces: root.exists("/proc/self/ns/cgroup"),
        entries: root.list(CGROUP_ROOT).unwrap_or_default(),
        own,
        attempts: Err(not_yet(WHAT)),
    })
}

fn mode(own: &[Membership]) -> Mode {
    let legacy = own.iter().any(|own| own.controllers.iter().any(|name| !name.starts_with("name=")));
    let unified = own.iter().any(|own| own.hierarchy == 0);
    match (legacy, unified) {
        (true, true) => Mode::Hybrid,
        (true, false) => Mode::Legacy,
        (false, _) => Mode::Unified,
    }
}

/// Understands /proc/PID/cgroup: `HIERARCHY:CONTROLLERS:PATH` a line; odd lines are passed over.
pub fn parse_memberships(text: &str) -> Vec<Membership> {
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| {
            let mut fields = line.splitn(3, ':');
            let hierarchy = fields.next()?.parse().ok()?;
            let controllers = fields.next()?.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            Some(Membership { line: index + 1, hierarchy, controllers, path: fields.next()?.to_owned() })
        })
        .collect()
}

fn read_unified(root: &Root, point: &str) -> Option<Unified> {
    let words = |name: &str| -> Option<Vec<String>> {
        Some(root.read(&format!("{point}/{name}")).ok()?.split_whitespace().map(str::to_owned).collect())
    };
    let children: Vec<String> = root
        .list(point)
        .unwrap_or_default()
        .into_iter()
        .filter(|name| root.path(format!("{point}/{name}")).is_dir())
        .collect();
    // Not readable in a threaded cgroup (EOPNOTSUPP): none then.
    let processes = |group: &str| -> Vec<u32> {
        let list = words(&format!("{group}cgroup.procs")).unwrap_or_default();
        list.iter().filter_map(|pid| pid.parse().ok()).collect()
    };
    let mut occupants: Vec<Occupant> = processes("").into_iter().filter_map(|pid| occupant(root, pid, "")).collect();
    for child in &children {
        occupants.extend(processes(&format!("{child}/")).into_iter().filter_map(|pid| occupant(root, pid, child)));
    }
    let limits = LIMITS.iter().filter_map(|name| {
        let value = root.read_trimmed(&format!("{point}/{name}")).ok()?;
        (!value.starts_with("max")).then(|| ((*name).to_owned(), value))
    });
    Some(Unified {
        point: point.to_owned(),
        controllers: words("cgroup.controllers")?,
        subtree_control: words("cgroup.subtree_control")?,
        kind: root.read_trimmed(&format!("{point}/cgroup.type")).ok(),
        processes: processes(""),
        children,
        occupants,
        limits: limits.collect(),
        // A mount that is only read-only (EROFS) can be mended.
        foreign: root.is_live() && access(point, AccessFlags::W_OK) == Err(Errno::EACCES),
    })
}

/// Who a pid is; none for one that is gone, or of another pid namespace.
fn occupant(root: &Root, pid: u32, group: &str) -> Option<Occupant> {
    let stat = root.read(&format!("/proc/{pid}/stat")).ok()?;
    let stat = Stat::parse(&stat)?;
    Some(Occupant { pid, realtime: stat.is_realtime()?, name: stat.name, group: group.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memberships_of_all_kinds_are_understood() {
        let own = parse_memberships("11:cpu,cpuacct:/docker/a\n2:name=systemd:/\nodd\n0::/x:y\n");
        assert_eq!(own.len(), 3);
        assert_eq!(own[0].directory(), "cpu,cpuacct");
        assert_eq!(own[1].directory(), "systemd");
        assert_eq!((own[2].hierarchy, own[2].path.as_str()), (0, "/x:y"));
        assert_eq!(mode(&own), Mode::Hybrid);
        assert_eq!(mode(&own[1..]), Mode::Unified);
        assert_eq!(mode(&own[..2]), Mode::Legacy);
    }

    #[test]
    fn a_namespace_is_kept_where_no_one_else_can_have_put_it() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(path("file"), "").unwrap();
        symlink("/proc/self/ns/net", path("namespace")).unwrap();
        assert!(keeps_namespace(&path("namespace")) && keeps_namespace("/proc/self/ns/net"));
        assert!(!keeps_namespace(&path("file")) && !keeps_namespace(&path("none")));
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(!keeps_namespace(&path("namespace")), "anybody may have put it there");
    }

    #[test]
    fn a_cgroup_at_the_top_or_just_below_it_is_near() {
        let mount = |root: &str| {
            let line = format!("1 0 0:1 {root} /sys/fs/cgroup rw - cgroup2 cgroup rw");
            super::super::mounts::parse(&line).all.remove(0)
        };
        for (root, path, near) in [
            ("/", "/", true),
            ("/", "/init", true),
            ("/", "/a/b", false),
            ("/a", "/a", true),
            ("/a", "/a/init", true),
            ("/a", "/a/b/c", false),
            ("/a", "/b", false),
        ] {
            assert_eq!(is_near_top(&mount(root), path), near, "{path} in {root}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics(text in "(\\PC|[\n:,0-9])*") {
            let _ = parse_memberships(&text);
        }
    }
}
