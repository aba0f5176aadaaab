//! The mounts that a daemon relies on.

use super::{Check, Docs};
use crate::facts::leftovers::KEY;
use crate::facts::{FactError, Facts};
use crate::finding::{Evidence, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

/// mounts.proc-sys
pub(super) struct ProcSys;

impl Check for ProcSys {
    fn id(&self) -> &'static str {
        "mounts.proc-sys"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("remounts /proc/sys writable")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "/proc/sys writable",
            motivation: "The daemon turns IP forwarding on by writing below /proc/sys. Where that is read-only it \
                         dies, or its containers reach nobody.",
            looks_at: "The mount below /proc/sys in /proc/self/mountinfo.",
            remedy: "--privileged; dindcheck --fix remounts it writable.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let mounts = facts.mounts.as_ref()?;
        let Some(mount) = mounts.of("/proc/sys") else {
            return Ok(Verdict::unknown("no mount below /proc/sys is listed"));
        };
        if !mount.is_read_only() {
            return Ok(Verdict::pass(format!("{} is writable", mount.point)));
        }
        Ok(Verdict::fail(Severity::Blocking, "/proc/sys is read-only")
            .saw_wanted(mount.location(), mount.describe(), "rw")
            .because("The daemon cannot turn IP forwarding on, and runc cannot set a container's sysctls.")
            .remedy("start the outer container with --privileged")
            .source("moby libnetwork: enabling IP forwarding for the default bridge"))
    }

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        let mount = facts.mounts.as_ref().ok()?.of("/proc/sys").filter(|mount| mount.is_read_only())?;
        // A read-only /proc itself is somebody's decision, not a mask of the runtime's.
        (mount.point == "/proc/sys")
            .then(|| fix::mounts::make_writable(self.id(), "remount /proc/sys writable", [mount]))
    }
}

/// mounts.writable
pub(super) struct Writable;

impl Check for Writable {
    fn id(&self) -> &'static str {
        "mounts.writable"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "places to write to",
            motivation: "In a container with a read-only root (--read-only, readOnlyRootFilesystem) the daemon has no \
                         place for its socket and its state below /run, and dies; without /tmp no `docker exec` works; \
                         and before 23.0 it makes a key in /etc/docker, which may be a read-only ConfigMap.",
            looks_at: "The mounts below the directories beside the data-root that this version and its programs write \
                       to, in /proc/self/mountinfo.",
            remedy: "A tmpfs on each: --tmpfs /run --tmpfs /tmp, before 23.0 --tmpfs /etc/docker; on Kubernetes an \
                     emptyDir.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let mounts = facts.mounts.as_ref()?;
        let has_key = facts.leftovers.as_ref().is_ok_and(|leftovers| leftovers.has_key);
        let (required, wanted) = (&profile.directories_required, &profile.directories_wanted);
        let read_only: Vec<_> = required
            .value
            .iter()
            .chain(&wanted.value)
            .filter(|path| !(has_key && KEY.starts_with(path.as_str())))
            .filter_map(|path| Some((path, mounts.of(path).filter(|mount| mount.is_read_only())?)))
            .collect();
        let paths: Vec<&str> = read_only.iter().map(|(path, _)| path.as_str()).collect();
        if paths.is_empty() {
            let all: Vec<&str> = required.value.iter().chain(&wanted.value).map(String::as_str).collect();
            return Ok(Verdict::pass(all.join(", ")));
        }
        let blocks = read_only.iter().any(|(path, _)| required.value.contains(path));
        let (severity, reason) = if blocks {
            (Severity::Blocking, "The daemon makes something there before it starts, and dies.")
        } else {
            (Severity::Warning, "What `docker exec` shall run is written there: it fails.")
        };
        let tmpfs: Vec<String> = paths.iter().map(|path| format!("--tmpfs {path}")).collect();
        Ok(Verdict::fail(severity, format!("read-only: {}", paths.join(", ")))
            .evidence(read_only.iter().map(|(path, mount)| Evidence {
                location: mount.location(),
                value: format!("{path}: {}", mount.describe()),
                wanted: Some("rw".to_owned()),
            }))
            .because(reason)
            .remedy(format!("docker run {} …", tmpfs.join(" ")))
            .remedy("on Kubernetes: an emptyDir on each, or no readOnlyRootFilesystem")
            .source(required.source.as_str())
            .source(wanted.source.as_str()))
    }
}

/// mounts.propagation
pub(super) struct Propagation;

impl Check for Propagation {
    fn id(&self) -> &'static str {
        "mounts.propagation"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("makes the mounts shared")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "mount propagation of /",
            motivation: "A bind mount with :shared or :rshared into an inner container needs a shared mount below it; \
                         an outer engine makes the container's root private. \"path / is mounted on / but it is not a \
                         shared mount\".",
            looks_at: "shared:N of / in /proc/self/mountinfo.",
            remedy: "mount --make-rshared / before the daemon starts; dindcheck --fix does it.",
            since: "1.10",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let mounts = facts.mounts.as_ref()?;
        let Some(root) = mounts.at("/") else { return Ok(Verdict::unknown("no mount on / is listed")) };
        if let Some(group) = root.shared {
            return Ok(Verdict::pass(format!("shared (peer group {group})")));
        }
        Ok(Verdict::fail(Severity::Info, "/ is private")
            .saw_wanted(root.location(), root.describe(), "shared")
            .because("Inner containers cannot be given mounts with shared propagation.")
            .remedy("mount --make-rshared / before the daemon starts, as moby's hack/dind does since 2022")
            .source("moby commit 1f32e3c95d; mount_namespaces(7)"))
    }

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        // In a mount namespace that is not the host's own, a new peer group has nobody else in it.
        let in_container = facts.outer.as_ref().is_ok_and(|outer| outer.in_container);
        let mounts = facts.mounts.as_ref().ok()?;
        in_container.then(|| fix::mounts::make_shared(self.id(), mounts))
    }
}
