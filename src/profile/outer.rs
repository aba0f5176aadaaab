//! Outer engines that are not Docker, and the runtimes and machines below them: how they are recognised from inside,
//! what they give, and what to change in them.
//!
//! What Docker itself gives depends on its version and is in `profiles/docker`, under `outer.*`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::document::{Document, Problem};
use super::load::LoadError;
use crate::embedded;

/// One file of `profiles/outer`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "an outer engine: id, title, kind, beats, marks, gives, seen, remedies")]
pub struct Outer {
    /// Its name here, that of the file.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What layer it is. A container has one engine, and may have a runtime and a machine of these kinds too.
    pub kind: Kind,
    /// Those of its kind whose marks it has as well, so that they give way to it.
    pub beats: Vec<String>,
    /// Any one is enough.
    pub marks: Vec<Mark>,
    /// What a container that is as privileged as it can be gets.
    pub gives: Gives,
    /// Whether the rest was seen in containers of it.
    pub seen: Seen,
    /// What to change, by subject.
    pub remedies: Vec<Remedy>,
}

/// The layers around the inner daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What was asked to run the container.
    Engine,
    /// What runs it in place of runc, and changes what is seen inside.
    Runtime,
    /// The machine and its kernel.
    Machine,
}

/// Conditions that hold together only there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// All must hold.
    pub all: Vec<Condition>,
    /// Where this is known from.
    pub source: String,
}

/// Something about one file. Without `has` and `lacks`: that it exists.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The file's path.
    pub file: String,
    /// A text in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has: Option<String>,
    /// A text in the same line as that of `has`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// A text that is not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<String>,
}

/// What a container gets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Gives {
    /// Whose cgroup namespace.
    pub cgroup_namespace: Namespace,
    /// How its cgroups are mounted.
    pub cgroup_mounts: Mounts,
    /// How far its root's rights go.
    pub privileges: Privileges,
    /// Where this is known from.
    pub source: String,
}

/// Whether dindcheck was run in containers of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// `never`, or the month in which that was done last, as `YYYY-MM`.
    pub run: String,
    /// Where and with what, or why not.
    pub source: String,
}

impl Seen {
    /// Whether [`Seen::run`] has one of its two forms.
    pub fn is_well_formed(&self) -> bool {
        let is_month = |(year, month): (&str, &str)| {
            year.len() == 4 && year.parse::<u16>().is_ok() && month.parse().is_ok_and(|month| (1..=12).contains(&month))
        };
        self.run == "never" || self.run.len() == 7 && self.run.split_once('-').is_some_and(is_month)
    }
}

/// Whose cgroup namespace a container gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Namespace {
    /// That depends on the version: see `outer.cgroup_namespace` of its profile.
    ByVersion,
    /// The host's.
    Host,
    /// Its own.
    Private,
    /// Its own on a unified host, the host's elsewhere.
    PrivateOnV2,
    /// The kernel is not the host's at all.
    OwnKernel,
}

/// How a container's cgroups are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mounts {
    /// That depends on the version: see `outer.cgroup_mounts` of its profile.
    ByVersion,
    /// Writable.
    Writable,
    /// The kernel is not the host's at all.
    OwnKernel,
}

/// How far the rights of a container's root go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Privileges {
    /// As far as the host's.
    Full,
    /// As far as what was asked for, piece by piece.
    Bounded,
    /// To the borders of a user namespace.
    UserNamespace,
    /// To the borders of a user namespace, and beyond them the runtime answers for the kernel.
    Emulated,
    /// As far as a kernel of its own goes.
    OwnKernel,
}

/// What to change for one subject: the words of a command line or of a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Remedy {
    /// What it helps with: the first word of the checks' ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// The id of the one check that it helps with, in place of its subject's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// What to change.
    pub change: String,
}

/// The subjects of checks that an outer engine can do something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// Control groups.
    Cgroup,
    /// Device nodes.
    Devices,
    /// The engine inside and its companions.
    Engine,
    /// The kernel.
    Kernel,
    /// Files that an earlier life left.
    Leftovers,
    /// Limits of processes and files.
    Limits,
    /// Mounts and their propagation.
    Mounts,
    /// The firewall.
    Netfilter,
    /// Capabilities, seccomp, security modules.
    Privileges,
    /// The data-root.
    Storage,
}

impl Subject {
    /// Its name: the first word of the ids of its checks.
    pub fn name(self) -> String {
        let name = serde_json::to_value(self).ok();
        name.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    }

    /// Whether a check of this id is about it.
    pub fn is_of(self, id: &str) -> bool {
        id.split('.').next() == Some(self.name().as_str())
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, has, with, lacks } = self;
        match (has, lacks) {
            (Some(has), _) => write!(f, "{file} has `{}`", has.trim())?,
            (None, Some(lacks)) => write!(f, "{file} has no `{}`", lacks.trim())?,
            (None, None) => write!(f, "{file} exists")?,
        }
        with.as_ref().map_or(Ok(()), |with| write!(f, " in a line with `{}`", with.trim()))
    }
}

impl Condition {
    /// Whether it holds, by `read`, which gives the text of a file, empty for one that is there and cannot be read as
    /// text (a socket, a directory), and nothing for one that is not there.
    fn holds(&self, read: &impl Fn(&str) -> Option<String>) -> bool {
        read(&self.file).is_some_and(|text| {
            let with = self.with.as_deref().unwrap_or_default();
            self.has.as_ref().is_none_or(|part| {
                // A text may go over lines, unless its line is asked for.
                if with.is_empty() {
                    text.contains(part)
                } else {
                    text.lines().any(|line| line.contains(part) && line.contains(with))
                }
            }) && self.lacks.as_ref().is_none_or(|part| !text.contains(part))
        })
    }
}

impl Outer {
    /// The mark by which it is recognised, if it is.
    pub fn mark(&self, read: &impl Fn(&str) -> Option<String>) -> Option<&Mark> {
        self.marks_around(read).next()
    }

    /// All marks by which it is recognised.
    pub fn marks_around(&self, read: &impl Fn(&str) -> Option<String>) -> impl Iterator<Item = &Mark> {
        self.marks.iter().filter(|mark| mark.all.iter().all(|condition| condition.holds(read)))
    }

    /// What to change about a subject.
    pub fn remedy(&self, subject: Subject) -> Option<&str> {
        self.remedies.iter().find(|remedy| remedy.subject == Some(subject)).map(|remedy| remedy.change.as_str())
    }

    /// What to change about a check: the remedy of that check, or else that of its subject.
    pub fn remedy_of(&self, id: &str) -> Option<&str> {
        let of_check = self.remedies.iter().find(|remedy| remedy.check.as_deref() == Some(id));
        let of_subject = || self.remedies.iter().find(|remedy| remedy.subject.is_some_and(|subject| subject.is_of(id)));
        of_check.or_else(of_subject).map(|remedy| remedy.change.as_str())
    }
}

/// Those of `outers` that are around, one of each kind where the files are right, without those that another one
/// beats. `read` gives the text of a file, empty for one that is there and has none, nothing for one that is not there.
pub fn recognise<'o>(outers: &'o [Outer], read: &impl Fn(&str) -> Option<String>) -> Vec<&'o Outer> {
    let found: Vec<&Outer> = outers.iter().filter(|outer| outer.mark(read).is_some()).collect();
    found.iter().filter(|outer| !found.iter().any(|other| other.beats.contains(&outer.id))).copied().collect()
}

/// All outer engines, by id.
///
/// # Errors
/// All problems of all files.
pub fn outers() -> Result<Vec<Outer>, LoadError> {
    let mut outers = Vec::new();
    let mut problems = Vec::new();
    for (name, text) in embedded::files(embedded::OUTER) {
        match parse(&name, &text) {
            Ok(outer) => outers.push(outer),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(outers) } else { Err(LoadError::Broken(problems)) }
}

/// Reads one file.
pub(super) fn parse(file: &str, text: &str) -> Result<Outer, Vec<Problem>> {
    Document::new(file, text).parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What containerd's snapshotter mounts as a container's root.
    const CONTAINERD_ROOT: &str = "812 700 0:61 / / rw,relatime master:310 - overlay overlay rw,\
        lowerdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs,\
        upperdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/9/fs,\
        workdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/9/work\n";

    /// A machine of these files.
    fn around(files: &[(&str, &str)]) -> Vec<String> {
        let read = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned());
        recognise(&outers().unwrap(), &read).iter().map(|outer| outer.id.clone()).collect()
    }

    #[test]
    fn each_is_recognised_by_what_it_leaves() {
        let first_namespace = ("/proc/self/uid_map", "         0          0 4294967295\n");
        for (files, expected) in [
            (vec![], vec![]),
            (vec![("/.dockerenv", "")], vec!["docker"]),
            (vec![("/proc/1/cgroup", "5:devices:/docker/1f2e\n")], vec!["docker"]),
            (
                vec![
                    ("/.dockerenv", ""),
                    ("/proc/self/uid_map", "         0       1000          1\n         1     100000      65536\n"),
                ],
                vec!["docker-rootless"],
            ),
            (
                vec![("/.dockerenv", ""), ("/proc/self/uid_map", "         0     100000      65536\n")],
                vec!["docker-remapped"],
            ),
            // A user namespace of one id, made in a container.
            (vec![("/.dockerenv", ""), ("/proc/self/uid_map", "         0          0          1\n")], vec!["docker"]),
            (vec![("/run/.containerenv", "engine=\"podman-4.3.1\"\nrootless=0\n"), first_namespace], vec!["podman"]),
            (
                vec![("/run/.containerenv", "engine=\"podman-5.6.2\"\nrootless=1\n"), first_namespace],
                vec!["podman-rootless"],
            ),
            (
                vec![("/run/.containerenv", ""), ("/proc/self/uid_map", "0 1000 1\n1 100000 65536\n")],
                vec!["podman-rootless"],
            ),
            (
                vec![("/proc/1/environ", "A=b\0KUBERNETES_SERVICE_HOST=10.0.0.1\0"), ("/run/.containerenv", "")],
                vec!["kubernetes"],
            ),
            (vec![("/proc/self/mountinfo", CONTAINERD_ROOT)], vec!["containerd"]),
            (vec![("/proc/self/mountinfo", CONTAINERD_ROOT), ("/.dockerenv", "")], vec!["docker"]),
            (
                vec![
                    ("/proc/self/mountinfo", CONTAINERD_ROOT),
                    ("/proc/1/environ", "KUBERNETES_SERVICE_HOST=10.0.0.1\0"),
                ],
                vec!["kubernetes"],
            ),
            // A container's root, in the eyes of the node that is one itself.
            (
                vec![
                    ("/proc/self/mountinfo", &*CONTAINERD_ROOT.replace(" / / ", " / /run/containerd/x/rootfs ")),
                    ("/proc/1/environ", "container=lxc\0"),
                ],
                vec!["lxc"],
            ),
            (vec![("/proc/1/environ", "container=lxc\0")], vec!["lxc"]),
            (vec![("/dev/incus/sock", "")], vec!["lxc"]),
            (vec![("/proc/1/environ", "container=systemd-nspawn\0")], vec!["systemd-nspawn"]),
            (
                vec![("/.dockerenv", ""), ("/proc/self/mountinfo", "7 6 0:4 /p /proc/sys ro - fuse sysboxfs rw\n")],
                vec!["docker", "sysbox"],
            ),
            (vec![("/proc/version", "Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016\n")], vec!["gvisor"]),
            (vec![("/proc/self/mountinfo", "9 8 0:3 / / rw - virtiofs kataShared rw\n")], vec!["kata"]),
            (vec![("/proc/version", "Linux version 6.6.87.2-microsoft-standard-WSL2 (root@x)\n")], vec!["wsl2"]),
        ] {
            // Without a user namespace's mark, a container of podman is root's.
            let mut files = files;
            if files.iter().all(|(name, _)| *name != "/proc/self/uid_map") {
                files.push(first_namespace);
            }
            assert_eq!(around(&files), expected, "{files:?}");
        }
    }

    #[test]
    fn every_one_says_what_privileges_and_storage_need() {
        for outer in outers().unwrap().iter().filter(|outer| outer.kind != Kind::Machine) {
            for subject in [Subject::Privileges, Subject::Storage] {
                assert!(outer.remedy(subject).is_some(), "{}: {subject:?}", outer.id);
            }
        }
    }

    #[test]
    fn a_month_or_never_is_when_it_was_run() {
        let is_well_formed = |run: &str| Seen { run: run.to_owned(), source: String::new() }.is_well_formed();
        assert!(is_well_formed("never") && is_well_formed("2026-11"));
        for odd in ["", "always", "2026", "2026-13", "2026-1", "26-11", "2026-111"] {
            assert!(!is_well_formed(odd), "{odd}");
        }
    }

    #[test]
    fn a_broken_file_is_named_with_its_position() {
        let text = "id: x\ntitle: X\nkind: engin\nbeats: []\nmarks: []\n";
        let problems = parse("x.yaml", text).unwrap_err();
        assert!(problems[0].to_string().starts_with("x.yaml:3:7: kind: unknown variant `engin`"), "{problems:?}");
    }
}
