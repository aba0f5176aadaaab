//! Control groups: is there what this engine version needs, and can it be used.

use super::{Check, Docs};
use crate::facts::cgroup::{CGROUP_ROOT, Cgroup, Mode, PROC_CGROUP, Unified};
use crate::facts::mounts::MOUNTINFO;
use crate::facts::{FactError, Facts};
use crate::finding::{Evidence, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::{CgroupV1, Profile};

/// cgroup.version
pub(super) struct Version;

impl Check for Version {
    fn id(&self) -> &'static str {
        "cgroup.version"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "cgroup version",
            motivation: "Engines before 20.10 know version 1 only. On a host with version 2 alone they find no \
                         devices controller and die. From 29 on version 1 is on its way out.",
            looks_at: "/proc/self/cgroup: hierarchies with controllers are version 1.",
            remedy: "A newer engine inside, or a host booted with systemd.unified_cgroup_hierarchy=0.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let cgroup = facts.cgroup.as_ref()?;
        if cgroup.mode != Mode::Unified && profile.cgroup_v1.value == CgroupV1::Unsupported {
            return Ok(Verdict::fail(
                Severity::Blocking,
                "the host has cgroup v1, which this engine does not know any more",
            )
            .saw_wanted(PROC_CGROUP, memberships(cgroup), "0::/… alone")
            .because(format!("Docker {} needs a host with cgroup v2 alone.", profile.version))
            .remedy("boot the host with systemd.unified_cgroup_hierarchy=1, or use an older engine inside")
            .source(profile.cgroup_v1.source.clone()));
        }
        if cgroup.mode != Mode::Unified {
            let name = mode_name(cgroup.mode);
            let seen = |verdict: Verdict| {
                verdict
                    .saw_wanted(PROC_CGROUP, memberships(cgroup), "one line, 0::/…: version 2 alone")
                    .remedy("boot the host with systemd.unified_cgroup_hierarchy=1 (the default from systemd 247 on)")
                    .source(profile.cgroup_v1.source.clone())
            };
            return Ok(match profile.cgroup_v1.value {
                CgroupV1::Supported => Verdict::pass(format!("{name} host")),
                CgroupV1::Deprecated => seen(
                    Verdict::fail(Severity::Info, format!("{name} host: this engine works there, and warns")).because(
                        format!(
                            "Docker {} calls cgroup v1 deprecated; a later one will not work there.",
                            profile.version
                        ),
                    ),
                ),
                CgroupV1::Unsupported => seen(
                    Verdict::fail(Severity::Blocking, format!("{name} host, and this engine knows v2 alone"))
                        .because(format!("Docker {} needs a host with cgroup v2 alone.", profile.version))
                        .remedy("or use an older engine inside"),
                ),
            });
        }
        if profile.cgroup_v2.value {
            return Ok(Verdict::pass("unified host (v2), which this engine knows"));
        }
        Ok(Verdict::fail(Severity::Blocking, "the host has cgroup v2 only, which this engine does not know")
            .saw_wanted(PROC_CGROUP, memberships(cgroup), "hierarchies with v1 controllers")
            .because(format!(
                "Docker {} looks for v1 controllers and dies with \"{}\".",
                profile.version, profile.cgroup_missing_error.value
            ))
            .remedy("use Docker 20.10 or later inside")
            .remedy("or boot the host with systemd.unified_cgroup_hierarchy=0 (systemd before 258)")
            .source(profile.cgroup_v2.source.clone()))
    }
}

/// cgroup.hybrid
pub(super) struct Hybrid;

impl Check for Hybrid {
    fn id(&self) -> &'static str {
        "cgroup.hybrid"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("unmounts the v2 hierarchy")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "no v2 mount beside v1",
            motivation: "The runc of Docker 1.11 to 17.03.0 takes a cgroup2 mount for one of version 1 and looks for its \
                         subsystem. The daemon starts, and every container fails with \"no subsystem for mount\".",
            looks_at: "Mounts of type cgroup2 in /proc/self/mountinfo on a host with v1 controllers.",
            remedy: "dindcheck --fix unmounts them in this container's own mount namespace; or a later engine.",
            since: "1.11 to 17.03.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
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
            .because(format!(
                "The runc of Docker {} takes every type that begins with `cgroup` for version 1: \"no subsystem for mount\".",
                profile.version
            ))
            .remedy(format!("umount {}, in the outer container", points.join(" ")))
            .remedy("or let dindcheck --fix do it")
            .source(breaks.source.clone()))
    }

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        fix::cgroup::unmount_unified(self.id(), facts.cgroup.as_ref().ok()?)
    }
}

/// cgroup.mounted
pub(super) struct Mounted;

impl Check for Mounted {
    fn id(&self) -> &'static str {
        "cgroup.mounted"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("mounts this container's own part of each hierarchy")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "cgroup mounts",
            motivation: "Docker up to 1.7 gave its containers no /sys/fs/cgroup at all; 1.8.0 began to bind-mount it. \
                         An inner daemon of any version that finds no devices hierarchy dies with \"Devices cgroup \
                         isn't mounted\".",
            looks_at: "Mounts of type cgroup and cgroup2 in /proc/self/mountinfo, against the hierarchies of \
                       /proc/self/cgroup.",
            remedy: "docker run -v /sys/fs/cgroup:/sys/fs/cgroup, or dindcheck --fix, which mounts this container's \
                     own part of each hierarchy.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let cgroup = facts.cgroup.as_ref()?;
        if cgroup.mode == Mode::Unified {
            return Ok(match cgroup.unified_mount() {
                Some(mount) => Verdict::pass(format!("cgroup2 on {}", mount.point)),
                None => missing(
                    "no cgroup2 mount",
                    "The outer engine gave this container no cgroup mount.".to_owned(),
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
        let cause = if none {
            "Docker up to 1.7 mounts none in its containers; 1.8.0 was the first to do it, for privileged ones writable."
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
        Ok(missing(&summary, cause.to_owned(), profile)
            .saw(MOUNTINFO, format!("{} mounts of type cgroup", cgroup.legacy_mounts.len()))
            .evidence(seen))
    }

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        let cgroup = facts.cgroup.as_ref().ok()?;
        let mounts = facts.mounts.as_ref().ok()?;
        Some(fix::cgroup::mount_hierarchies(self.id(), cgroup, mounts))
    }
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

fn missing(summary: &str, cause: String, profile: &Profile) -> Verdict {
    Verdict::fail(Severity::Blocking, summary)
        .because(format!("{cause} Docker {} dies with \"{}\".", profile.version, profile.cgroup_missing_error.value))
        .remedy("docker run --privileged -v /sys/fs/cgroup:/sys/fs/cgroup …")
        .remedy("or let dindcheck --fix mount this container's own part of each hierarchy")
        .source("moby commit f18fb5b3ef (1.8.0): cgroup bind mount by default")
        .source(profile.cgroup_required.source.clone())
}

/// cgroup.writable
pub(super) struct Writable;

impl Check for Writable {
    fn id(&self) -> &'static str {
        "cgroup.writable"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("remounts the hierarchies writable")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "cgroup mounts writable",
            motivation: "On read-only hierarchies the daemon starts, and every container fails with \"mkdir … \
                         read-only file system\".",
            looks_at: "The ro option of each cgroup mount in /proc/self/mountinfo.",
            remedy: "--privileged, or no :ro on -v /sys/fs/cgroup; dindcheck --fix remounts them writable.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
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
            .because("The daemon starts, and every container fails when its cgroup is made.")
            .remedy("start the outer container with --privileged, and without :ro on /sys/fs/cgroup")
            .remedy("or let dindcheck --fix remount them writable")
            .source("moby 1.8.0 CHANGELOG: cgroup mounts are read-only unless privileged"))
    }

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        let cgroup = facts.cgroup.as_ref().ok()?;
        let read_only = relevant_mounts(cgroup).into_iter().filter(|mount| mount.is_read_only());
        Some(fix::mounts::make_writable(self.id(), "remount the cgroup hierarchies writable", read_only))
    }
}

/// The mounts that the engine will make cgroups in.
fn relevant_mounts(cgroup: &Cgroup) -> Vec<&crate::facts::mounts::Mount> {
    match cgroup.mode {
        Mode::Unified => cgroup.unified_mounts.iter().collect(),
        Mode::Legacy | Mode::Hybrid => cgroup.legacy_mounts.iter().collect(),
    }
}

/// cgroup.controllers
pub(super) struct Controllers;

impl Check for Controllers {
    fn id(&self) -> &'static str {
        "cgroup.controllers"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "cgroup controllers",
            motivation: "Without a controller the daemon switches its limits off with a warning: docker run --memory \
                         then sets nothing.",
            looks_at: "The mounted v1 hierarchies, or cgroup.controllers on v2, against what the profile wants.",
            remedy: "Mount or delegate the controllers named; on the host, boot with cgroup_enable=memory where it is \
                     memory.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let cgroup = facts.cgroup.as_ref()?;
        let wanted = &profile.cgroup_wanted;
        let (location, missing): (&str, Vec<&str>) = match (cgroup.mode, &cgroup.unified) {
            (Mode::Unified, Some(unified)) => {
                let has = |name: &str| unified.controllers.iter().any(|own| own == v2_name(name));
                let counts = |name: &&str| !NOT_ON_V2.contains(name);
                let wanted = wanted.value.iter().map(String::as_str).filter(counts);
                ("cgroup.controllers", wanted.filter(|name| !has(name)).collect())
            }
            (Mode::Legacy | Mode::Hybrid, _) if !cgroup.legacy_mounts.is_empty() => {
                let wanted = wanted.value.iter().map(String::as_str);
                (MOUNTINFO, wanted.filter(|name| cgroup.legacy_mount(name).is_none()).collect())
            }
            _ => return Ok(Verdict::not_applicable("nothing is mounted")),
        };
        if missing.is_empty() {
            return Ok(Verdict::pass("all that the engine sets limits with"));
        }
        Ok(Verdict::fail(Severity::Warning, format!("not available: {}", missing.join(", ")))
            .saw_wanted(location, format!("no {}", missing.join(", ")), wanted.value.join(" "))
            .because("The daemon warns and switches the limits of these controllers off.")
            .remedy("mount (v1) or delegate (v2) them to the outer container")
            .source(wanted.source.clone()))
    }
}

/// On v2 these are no controllers: a BPF program and a file of every cgroup do their work.
const NOT_ON_V2: [&str; 2] = ["devices", "freezer"];

/// The v2 controller that does the work of a v1 one.
fn v2_name(name: &str) -> &str {
    match name {
        "blkio" => "io",
        "cpuacct" => "cpu",
        other => other,
    }
}

/// cgroup.namespace
pub(super) struct Namespace;

impl Check for Namespace {
    fn id(&self) -> &'static str {
        "cgroup.namespace"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("shows this container's own cgroup in the place of the host's tree")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "own part of the cgroup tree",
            motivation: "With the host's view of the tree, inner containers are made beside the outer one instead of \
                         below it: they escape its limits and accounting, and outlive it.",
            looks_at: "The root of each cgroup mount against this process's path in /proc/self/cgroup.",
            remedy: "--cgroupns=private (v2), or no -v /sys/fs/cgroup:/sys/fs/cgroup with an outer engine from 1.8 on; \
                     dindcheck --fix shows this container's own cgroup in its place.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
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
            Mode::Unified => own.path != "/" && cgroup.unified.as_ref().is_some_and(|unified| unified.kind.is_none()),
            Mode::Legacy | Mode::Hybrid => mount.root == "/",
        };
        if !host_view {
            return Ok(Verdict::pass(format!("{} is the top of what is seen", mount.root)));
        }
        Ok(Verdict::fail(Severity::Warning, "the whole tree of the host is seen and writable")
            .saw_wanted(mount.location(), mount.describe(), format!("root {}", own.path))
            .saw(format!("{PROC_CGROUP}:{}", own.line), own.path.clone())
            .because("Inner containers are made outside of this container's cgroup: its limits do not hold for them.")
            .remedy("docker run --cgroupns=private … on a v2 host")
            .remedy("leave out -v /sys/fs/cgroup:/sys/fs/cgroup where the outer engine is 1.8 or later")
            .remedy("or let dindcheck --fix show this container's own cgroup in its place; nothing of the host's is touched")
            .source("cgroup_namespaces(7); containerd internal/cri/server/container_create.go: privileged pods get no cgroup namespace; moby#45378"))
    }

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        fix::cgroup::own_part(self.id(), facts.cgroup.as_ref().ok()?)
    }
}

/// cgroup.delegation
pub(super) struct Delegation;

impl Check for Delegation {
    fn id(&self) -> &'static str {
        "cgroup.delegation"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("moves the processes to a cgroup below and enables the controllers, one at a time")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "cgroup v2 delegation",
            motivation: "On v2 a cgroup with processes in it cannot hand controllers to its children. The container's \
                         own cgroup holds PID 1, so inner containers run, and each with a limit fails with \"cannot \
                         enter cgroupv2 … with domain controllers\".",
            looks_at: "cgroup.controllers, cgroup.subtree_control and cgroup.procs of the container's cgroup.",
            remedy: "dindcheck --fix moves the processes to a cgroup `init` below and enables the controllers.",
            since: "20.10",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let cgroup = facts.cgroup.as_ref()?;
        if cgroup.mode != Mode::Unified {
            return Ok(Verdict::not_applicable("v1 hierarchies need none"));
        }
        let Some(unified) = &cgroup.unified else { return Ok(Verdict::not_applicable("nothing is mounted")) };
        let wanted = fix::cgroup::delegable(unified, &profile.cgroup_wanted.value);
        let missing: Vec<&str> =
            wanted.iter().copied().filter(|name| !unified.subtree_control.iter().any(|own| own == name)).collect();
        if missing.is_empty() {
            return Ok(Verdict::pass(format!("enabled for children: {}", unified.subtree_control.join(" "))));
        }
        let control = format!("{}/cgroup.subtree_control", unified.point);
        let refusals = missing.iter().filter_map(|name| {
            Some(Evidence { location: format!("+{name}"), value: fix::cgroup::refusal(unified, name)?, wanted: None })
        });
        let is_threaded = unified.kind.as_deref() == Some("domain threaded");
        let cause = if is_threaded {
            "Threads are kept apart in a cgroup below: until that is gone the kernel refuses, and inner containers with a limit fail."
        } else if !cgroup.owns_unified_top() {
            "The tree that is seen is the host's, and its processes are not ours to move."
        } else if unified.processes.is_empty() {
            "Nobody has enabled them, or the kernel refused them."
        } else {
            "A v2 cgroup with processes in it cannot give controllers to its children, so each inner container with a limit fails."
        };
        Ok(Verdict::fail(Severity::Warning, format!("inner containers get no {}", missing.join(", ")))
            .saw_wanted(control, format!("`{}`", unified.subtree_control.join(" ")), wanted.join(" "))
            .saw(format!("{}/cgroup.procs", unified.point), occupants(unified))
            .evidence(refusals)
            .because(cause)
            .remedy(if is_threaded {
                format!(
                    "in {}: move the threads out of the cgroups whose cgroup.type is `threaded`, and remove those",
                    unified.point
                )
            } else {
                "let dindcheck --fix move the processes to a cgroup below and enable the controllers".to_owned()
            })
            .source("kernel Documentation/admin-guide/cgroup-v2.rst: no internal process constraint"))
    }

    fn fix(&self, facts: &Facts, profile: &Profile) -> Option<Fix> {
        let cgroup = facts.cgroup.as_ref().ok()?;
        fix::cgroup::delegate(self.id(), cgroup, &profile.cgroup_wanted.value)
    }
}

/// cgroup.operations
pub(super) struct Operations;

impl Check for Operations {
    fn id(&self) -> &'static str {
        "cgroup.operations"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "what a runtime does in cgroups",
            motivation: "A hierarchy that is mounted and writable can still refuse: a limit on descendants, a security \
                         module, a kernel without device programs. The daemon starts, and every container fails.",
            looks_at: "In each cgroup of this container's own: one is made below, frozen and thawed, given a rule for \
                       devices (a BPF program on v2), and removed. Nothing is made in a tree that is the host's.",
            remedy: "--privileged, and a host kernel with the controllers freezer and devices (v2: CONFIG_CGROUP_BPF).",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let attempts = facts.cgroup.as_ref()?.attempts.as_ref()?;
        if attempts.is_empty() {
            return Ok(Verdict::not_applicable("no cgroup of this container's own is mounted writable"));
        }
        // In a user namespace runc does without rules for devices (libcontainer/cgroups/fs2/devices.go: canSkipEBPFError).
        let by_root = facts.privileges.as_ref().map_or(true, |privileges| privileges.initial_user_namespace);
        let needed = attempts.iter().filter(|attempt| by_root || !attempt.what.starts_with("give a cgroup "));
        let (failed, worked): (Vec<_>, Vec<_>) = needed.partition(|attempt| attempt.error.is_some());
        let Some(first) = failed.first() else {
            return Ok(Verdict::pass(format!("all {} that are needed work", worked.len())));
        };
        // Without the freezer containers run, and cannot be paused.
        let needed = failed.iter().any(|attempt| !attempt.what.starts_with("freeze "));
        let severity = if needed { Severity::Blocking } else { Severity::Warning };
        Ok(Verdict::fail(severity, format!("cannot {}", first.what))
            .evidence(failed.iter().map(|attempt| Evidence {
                location: attempt.what.clone(),
                value: attempt.error.clone().unwrap_or_default(),
                wanted: Some("it works".to_owned()),
            }))
            .because(if needed {
                "The runtime does this for each container, and fails on it."
            } else {
                "Containers run, and cannot be paused; killing all processes of one is not safe."
            })
            .remedy("start the outer container with --privileged, without limits on cgroups below it")
            .source("runc libcontainer/cgroups; kernel Documentation/admin-guide/cgroup-v2.rst: Device controller, cgroup.freeze"))
    }
}

/// Who holds the top, in a few words.
fn occupants(unified: &Unified) -> String {
    let count = unified.processes.len();
    let named: Vec<String> = unified
        .occupants
        .iter()
        .filter(|process| process.group.is_empty())
        .take(5)
        .map(|process| format!("{} ({})", process.pid, process.name))
        .collect();
    match (count, named.as_slice()) {
        (0, _) => "no process".to_owned(),
        (_, []) => format!("{count} processes"),
        (_, named) => {
            format!("{count} processes: {}{}", named.join(", "), if count > named.len() { ", …" } else { "" })
        }
    }
}

fn memberships(cgroup: &Cgroup) -> String {
    let lines: Vec<String> =
        cgroup.own.iter().map(|own| format!("{}:{}:{}", own.hierarchy, own.controllers.join(","), own.path)).collect();
    lines.join(" ")
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Legacy => "v1",
        Mode::Hybrid => "hybrid (v1 controllers, v2 beside)",
        Mode::Unified => "unified (v2)",
    }
}
