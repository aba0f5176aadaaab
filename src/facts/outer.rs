//! What is around this container: engine, runtime, machine, by the marks of `profiles/outer`.

use serde::{Deserialize, Serialize};

use super::{Fact, Root, mounts};
use crate::profile::outer::{Condition, Kind, Mark, Outer as Known, recognise};
use crate::version::EngineVersion;

/// What is around.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outer {
    /// Whether this is a container: judged by what one cannot be without, not by files that a copy of its root has too.
    pub in_container: bool,
    /// Why it is not taken for one, or not without doubt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// The engine that was asked to run it: an id of `profiles/outer`.
    pub engine: Option<String>,
    /// The engine's version, where the user says it: nothing inside tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<EngineVersion>,
    /// What runs it in place of runc, where that changes what is seen: an id of `profiles/outer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// The machine, where it is a special one: an id of `profiles/outer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// What was seen, each in a line.
    pub marks: Vec<String>,
}

impl Outer {
    /// The layers that have a name, outermost last.
    pub fn layers(&self) -> impl Iterator<Item = &str> {
        [&self.runtime, &self.engine, &self.machine].into_iter().flatten().map(String::as_str)
    }
}

/// Looks for the marks of the known ones.
pub fn read(root: &Root, known: &[Known]) -> Fact<Outer> {
    let namespaces = Namespaces::read(root);
    let own_root = own_root(root);
    // PID 1 is the machine's init where the pid namespace is the machine's, and that of another container (a node that is
    // one, the pause container of a pod) where its root is another: only this process tells of its own container then.
    let shares_pids = namespaces.of("pid") == Some(true) || own_root;
    let place = |path: &str| {
        let own = path.strip_prefix("/proc/1/").filter(|_| shares_pids);
        own.map_or_else(|| path.to_owned(), |file| format!("/proc/self/{file}"))
    };
    let text = |path: &str| {
        let path = place(path);
        match root.read(&path) {
            Ok(text) => Some(text),
            Err(_) => root.exists(&path).then(String::new),
        }
    };
    let mut outer = Outer::default();
    let mut seen_by_cgroup = false;
    for layer in recognise(known, &text) {
        outer.slot(layer.kind).get_or_insert_with(|| layer.id.clone());
        if let Some(mark) = layer.mark(&text) {
            outer.marks.push(format!("{}: {}", layer.id, seen(mark, &place)));
        }
        // The cgroup is the one mark that a copied root does not bring along.
        let is_cgroup = |mark: &Mark| mark.all.iter().all(|condition| condition.file.ends_with("/cgroup"));
        seen_by_cgroup |= layer.kind != Kind::Machine && layer.marks_around(&text).any(is_cgroup);
    }
    // Marks of a container of any engine.
    if let Some(value) = text("/proc/1/environ").as_deref().and_then(container_variable)
        && outer.engine.is_none()
    {
        outer.marks.push(format!("{} has container={value}", place("/proc/1/environ")));
    }
    if text("/proc/1/mountinfo").is_some_and(|mountinfo| is_overlay_root(&mountinfo)) {
        outer.marks.push(format!("{} has an overlay on /", place("/proc/1/mountinfo")));
    }
    let seen = Seen {
        namespaces,
        names_engine: seen_by_cgroup,
        own_root,
        // A machine of a special kind is no container yet.
        marks: outer.marks.len() > usize::from(outer.machine.is_some()),
        machine: outer.machine.is_some(),
    };
    (outer.in_container, outer.doubt) = seen.judge();
    if !outer.in_container {
        (outer.engine, outer.runtime) = (None, None);
    }
    Ok(outer)
}

/// The inode numbers of the kernel's first namespaces (include/linux/proc_ns.h: PROC_*_INIT_INO, since 3.8; that of the
/// mount namespace since 6.18, include/uapi/linux/nsfs.h).
const FIRST: [(&str, u64); 6] = [
    ("pid", 0xEFFF_FFFC),
    ("uts", 0xEFFF_FFFE),
    ("ipc", 0xEFFF_FFFF),
    ("cgroup", 0xEFFF_FFFB),
    ("user", 0xEFFF_FFFD),
    ("mnt", 0xEFFF_FFF8),
];

/// Which namespaces of this process are the kernel's first ones; those that cannot be read are not listed.
#[derive(Debug, Clone, Default)]
struct Namespaces(Vec<(&'static str, bool)>);

impl Namespaces {
    fn read(root: &Root) -> Self {
        let first = |&(name, first): &(&'static str, u64)| Some((name, root.namespace(name)? == first));
        Self(FIRST.iter().filter_map(first).collect())
    }

    /// Whether this one is the first of its kind; `None` if that is not known.
    fn of(&self, name: &str) -> Option<bool> {
        self.0.iter().find(|(kind, _)| *kind == name).map(|(_, first)| *first)
    }

    /// Of those that a container has of its own beside its pids: whether any is not the first, and the names of those
    /// that are known.
    fn others(&self) -> (bool, Vec<&'static str>) {
        let kinds = || self.0.iter().filter(|(kind, _)| !["pid", "mnt"].contains(kind));
        (kinds().any(|(_, first)| !first), kinds().map(|(kind, _)| *kind).collect())
    }
}

/// What tells a container from a machine.
#[derive(Debug, Clone, Default)]
struct Seen {
    namespaces: Namespaces,
    /// Whether the own cgroup has an engine's name.
    names_engine: bool,
    /// Whether the root is another one than that of PID 1, where that is the machine's.
    own_root: bool,
    /// Marks of any kind: files, variables.
    marks: bool,
    /// Whether the machine is itself one that is in namespaces (WSL2).
    machine: bool,
}

impl Seen {
    /// Whether this is a container, and what makes that doubtful.
    fn judge(&self) -> (bool, Option<String>) {
        let (apart, known) = self.namespaces.others();
        let known = known.join(", ");
        let but =
            |reason: String| if self.marks { format!("{reason}, although there are marks of one") } else { reason };
        let no = |reason: String| (false, Some(but(reason)));
        match self.namespaces.of("pid") {
            // Nothing that a container cannot be without can be seen: a captured machine, or /proc is not there.
            None if self.names_engine => (true, None),
            None if self.marks => {
                let reason = "its namespaces cannot be read, and what is seen a copy of a container's root has, too";
                (true, Some(reason.to_owned()))
            }
            None => (false, None),
            Some(_) if self.namespaces.of("mnt") == Some(true) => {
                no("the mount namespace is the kernel's first".to_owned())
            }
            Some(true) if !apart => no(format!("the pid, {known} namespaces are the kernel's first")),
            // A pod with hostPID, docker run --pid=host.
            Some(true) if self.names_engine || self.own_root => (true, None),
            Some(true) => no("pids and root are the machine's, and other namespaces are not".to_owned()),
            // A distribution of WSL2 has pids, mounts, a host name and IPC of its own, and is a machine.
            Some(false) if self.machine => {
                let own = |kind| self.namespaces.of(kind) == Some(false);
                let inside = own("cgroup") || own("user") || self.names_engine;
                if inside { (true, None) } else { no("it is a machine in namespaces of its own".to_owned()) }
            }
            Some(false) if apart || self.names_engine => (true, None),
            Some(false) => no(format!("it has pids of its own, and the kernel's first namespaces ({known})")),
        }
    }
}

/// Whether this process's root is mounted from elsewhere than that of PID 1.
fn own_root(root: &Root) -> bool {
    let of = |path: &str| {
        let mountinfo = root.read(path).ok()?;
        let line = mountinfo.lines().rev().find(|line| line.split(' ').nth(4) == Some("/"))?;
        // The device and the directory of it (proc_pid_mountinfo(5): fields 3 and 4).
        let mut fields = line.split(' ').skip(2);
        Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
    };
    matches!((of("/proc/self/mountinfo"), of("/proc/1/mountinfo")), (Some(own), Some(first)) if own != first)
}

/// What the user says the outer engine is: `ENGINE` or `ENGINE:VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Which of `profiles/outer`.
    pub kind: Kind,
    /// Its id there.
    pub id: String,
    /// Its version.
    pub version: Option<EngineVersion>,
}

impl Said {
    /// Reads what was given; the id has to be one of the known ones.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str, known: &[Known]) -> Result<Self, String> {
        let (id, version) = match text.split_once(':') {
            Some((id, version)) => (id, Some(version.parse().map_err(|error| format!("{error}"))?)),
            None => (text, None),
        };
        match known.iter().find(|outer| outer.id == id) {
            Some(outer) => Ok(Self { kind: outer.kind, id: id.to_owned(), version }),
            None => {
                let ids: Vec<&str> = known.iter().map(|outer| outer.id.as_str()).collect();
                Err(format!("`{id}` is none of {}", ids.join(", ")))
            }
        }
    }
}

impl Outer {
    /// Takes the user's word for one layer.
    pub fn believe(&mut self, said: &Said) {
        *self.slot(said.kind) = Some(said.id.clone());
        self.in_container |= said.kind != Kind::Machine;
        self.doubt = None;
        self.version.clone_from(&said.version);
        self.marks.push(format!("{}: given with --outer", said.id));
    }

    fn slot(&mut self, kind: Kind) -> &mut Option<String> {
        match kind {
            Kind::Engine => &mut self.engine,
            Kind::Runtime => &mut self.runtime,
            Kind::Machine => &mut self.machine,
        }
    }
}

/// A mark in words; `place` tells where a file was read.
fn seen(mark: &Mark, place: &impl Fn(&str) -> String) -> String {
    let words = |condition: &Condition| Condition { file: place(&condition.file), ..condition.clone() }.to_string();
    mark.all.iter().map(words).collect::<Vec<_>>().join(", ")
}

/// What PID 1's `container=` says: podman, LXC and systemd-nspawn set it, and hack/dind does for systemd's sake.
fn container_variable(environment: &str) -> Option<&str> {
    environment.split('\0').find_map(|variable| variable.strip_prefix("container="))
}

/// A container's root is a mount of the engine's own; a machine's root comes from its disk.
fn is_overlay_root(mountinfo: &str) -> bool {
    mounts::parse(mountinfo).all.iter().any(|mount| mount.point == "/" && mount.fstype == "overlay")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_told_in_words() {
        let condition = |has: Option<&str>, lacks: Option<&str>| Condition {
            file: "/f".to_owned(),
            has: has.map(str::to_owned),
            lacks: lacks.map(str::to_owned),
            with: None,
        };
        let mark = |all| Mark { all, source: String::new() };
        let seen = |mark: &Mark| seen(mark, &str::to_owned);
        assert_eq!(seen(&mark(vec![condition(None, None)])), "/f exists");
        assert_eq!(
            seen(&mark(vec![condition(Some("a"), None), condition(None, Some("b"))])),
            "/f has `a`, /f has no `b`"
        );
    }

    #[test]
    fn a_container_is_what_it_cannot_be_without() {
        let all = |first: bool, kinds: &[&'static str]| kinds.iter().map(|kind| (*kind, first)).collect::<Vec<_>>();
        let seen = |first: &[&'static str], own: &[&'static str]| Seen {
            namespaces: Namespaces([all(true, first), all(false, own)].concat()),
            ..Seen::default()
        };
        let marked = |seen: Seen| Seen { marks: true, ..seen };
        let every = ["pid", "uts", "ipc", "cgroup", "user"];
        for (name, seen, wanted) in [
            ("a machine", seen(&every, &["mnt"]), false),
            ("a machine made from a container's root", marked(seen(&every, &["mnt"])), false),
            ("the same with its first mount namespace", marked(seen(&["mnt"], &every)), false),
            ("a service with a host name of its own", seen(&["pid", "ipc", "cgroup", "user"], &["uts", "mnt"]), false),
            ("docker run", seen(&["cgroup", "user"], &["pid", "uts", "ipc", "mnt"]), true),
            ("a user namespace", seen(&["cgroup"], &["pid", "uts", "ipc", "user", "mnt"]), true),
            ("unshare --pid --mount", seen(&["uts", "ipc", "cgroup", "user"], &["pid", "mnt"]), false),
            (
                "a pod on the host's network and IPC, v1",
                Seen { names_engine: true, ..seen(&["uts", "ipc", "cgroup", "user"], &["pid", "mnt"]) },
                true,
            ),
            (
                "a pod with hostPID",
                Seen { own_root: true, ..seen(&["pid", "user"], &["uts", "ipc", "cgroup", "mnt"]) },
                true,
            ),
            ("a chroot", Seen { own_root: true, ..seen(&every, &["mnt"]) }, false),
            (
                "a distribution of WSL2",
                Seen { machine: true, ..seen(&["cgroup", "user"], &["pid", "uts", "ipc"]) },
                false,
            ),
            (
                "a distribution of WSL2 with a container's cgroup",
                Seen { machine: true, names_engine: true, ..seen(&["cgroup", "user"], &["pid", "uts", "ipc"]) },
                true,
            ),
            (
                "pids of its own, and only an engine's cgroup",
                Seen { names_engine: true, ..seen(&["user", "uts"], &["pid"]) },
                true,
            ),
            (
                "the machine's pids, and an engine's cgroup",
                Seen { names_engine: true, ..seen(&["pid", "user"], &["uts", "mnt"]) },
                true,
            ),
            ("the same, and a root of its own alone", Seen { own_root: true, ..seen(&every, &[]) }, false),
            ("nothing is seen but the cgroup", Seen { names_engine: true, ..Seen::default() }, true),
            ("the same with marks", marked(Seen { names_engine: true, ..Seen::default() }), true),
            ("a container in it", Seen { machine: true, ..seen(&["user"], &["pid", "uts", "ipc", "cgroup"]) }, true),
        ] {
            let (inside, doubt) = seen.judge();
            assert_eq!((inside, doubt.is_none()), (wanted, wanted), "{name}: {doubt:?}");
        }
        // What is captured without namespaces is judged by its marks, and no guard is lifted by them.
        assert_eq!(Seen::default().judge(), (false, None));
        let (inside, doubt) = marked(Seen::default()).judge();
        assert!(inside && doubt.is_some());
    }

    #[test]
    fn only_an_overlay_on_the_root_is_a_mark() {
        assert!(is_overlay_root("1 0 0:9 / / rw - overlay overlay rw"));
        assert!(!is_overlay_root("1 0 0:9 / /x rw - overlay overlay rw"));
        assert!(!is_overlay_root("1 0 0:9 / / rw - ext4 /dev/sda rw"));
        assert!(!is_overlay_root(""));
    }
}
