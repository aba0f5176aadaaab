//! The types of a profile's values: closed lists, so that a typing error in a file is an error with its position.

use serde::{Deserialize, Serialize};

use crate::version::EngineVersion;

/// Where images live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ImageStore {
    /// The engine's own graph drivers, under the data-root.
    Graphdriver,
    /// containerd's content store and snapshotters.
    Containerd,
}

/// What becomes of a daemon that takes a dead socket for that of a containerd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DeadSocket {
    /// It waits for it, or asks it, and ends.
    Dies,
    /// It starts, and no container does.
    EveryContainerFails,
}

/// How the daemon finds out whether overlay works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OverlayProbe {
    /// Not at all: the first container fails where it does not.
    None,
    /// By the magic number of the file system below, against a list of known bad ones.
    Magic,
    /// By mounting one.
    Mount,
}

/// What the daemon makes of a file system without d_type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DType {
    /// It does not look.
    Ignored,
    /// It warns.
    Warning,
    /// It refuses a fresh data-root and warns on an old one.
    FatalNew,
    /// It refuses.
    Fatal,
}

/// Whether the firewall can be written by nftables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Nftables {
    /// iptables only.
    None,
    /// With `--firewall-backend nftables`.
    OptIn,
}

/// What the userland proxy is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DockerProxy {
    /// The daemon proxies by itself.
    None,
    /// Published ports work in part without it.
    Optional,
    /// The daemon does not start, or no port can be published, without it.
    Required,
}

/// The capabilities that `--privileged` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Grants {
    /// A fixed list that ends at CAP_BLOCK_SUSPEND (36), whatever the daemon itself has.
    UpToBlockSuspend,
    /// All that the kernel knows, CAP_AUDIT_READ (37) at most, whatever the daemon itself has.
    UpToAuditRead,
    /// Those that the daemon itself has.
    Bounding,
}

/// What an outer engine mounts on /sys/fs/cgroup on a cgroup v1 host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CgroupMounts {
    /// Nothing: the directory of sysfs is empty.
    None,
    /// A tmpfs with the container's own cgroup of each hierarchy bound below it, without the links of co-mounted
    /// controllers (`cpu` → `cpu,cpuacct`).
    BindWithoutSymlinks,
    /// The same with the links.
    Bind,
}

/// Whose cgroup namespace a container gets by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CgroupNamespace {
    /// The host's.
    Host,
    /// Its own on a unified host, the host's elsewhere.
    PrivateOnV2,
}

/// Whether the engine works with the v1 hierarchies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CgroupV1 {
    /// It does.
    Supported,
    /// It does, and warns that this will end.
    Deprecated,
    /// It does not: a unified host is needed.
    Unsupported,
}

/// Who makes the containers' cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CgroupDriver {
    /// systemd where it can be asked, the daemon itself elsewhere.
    SystemdIfRunning,
    /// The daemon itself.
    Cgroupfs,
    /// systemd on a unified host that runs it, the daemon itself elsewhere.
    SystemdOnV2,
}

/// Where the containers' cgroups lie in a cgroup v1 hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CgroupParent {
    /// The mount point, then PID 1's path, then `docker`: one level too deep under a bound cgroup, and harmless.
    BelowInit,
    /// PID 1's path relative to the root of the mount: wrong where PID 1 and the daemon are in different cgroups.
    BelowInitRelative,
    /// The daemon's own path relative to the root of the mount.
    BelowOwn,
    /// `/docker` at the top of the mount: outside the outer container's limits where the host's tree is mounted.
    Top,
}

/// What becomes of net.ipv4.ip_forward at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum IpForward {
    /// It is written; a failure is a warning.
    Warned,
    /// It is written even if it is on; a failure is the end.
    Written,
    /// It is written if it is off; a failure is the end.
    WrittenIfNeeded,
}

/// What becomes of a daemon that shall filter between the ports of a bridge, where the kernel has no br_netfilter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BridgeFilter {
    /// It does not look.
    Ignored,
    /// It warns where there is a /.dockerenv, and ends elsewhere.
    WarnedInDocker,
    /// It ends.
    Fatal,
    /// It ends, unless DOCKER_IGNORE_BR_NETFILTER_ERROR is 1.
    FatalUnlessTold,
}

/// How the daemon treats sockets that it is handed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SocketActivation {
    /// It takes them as they are, without TLS.
    Plain,
    /// The TCP ones get TLS where that is configured.
    Tls,
}

/// Whether the daemon can be rootless, started by RootlessKit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Rootless {
    /// It cannot.
    None,
    /// It can, if it is told `--experimental`.
    Experimental,
    /// It can.
    Supported,
}

/// The seccomp filter of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Seccomp {
    /// None.
    None,
    /// One that answers clone3 with EPERM, so that programs with glibc 2.34 and later cannot make threads.
    #[serde(rename = "without-clone3")]
    WithoutClone3,
    /// One that knows clone3.
    #[serde(rename = "knows-clone3")]
    KnowsClone3,
}

/// A program whose versions from `from` to before `before` the engine is known not to work with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BadPairing {
    /// The program.
    pub program: String,
    /// The first bad version; absent if bad from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<EngineVersion>,
    /// The first good version again; absent if not mended yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<EngineVersion>,
    /// The outer engines (ids of `profiles/outer`) in which it is bad; empty: in all. Where it can be tried, those in
    /// which that is worth it even if the program's version has to be asked for.
    pub outer: Vec<String>,
    /// What tells whether it is bad here; `None` if only the names can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<PairingTrial>,
    /// What happens.
    pub effect: String,
    /// What to do.
    pub remedy: String,
}

/// What tells whether a pairing is bad in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PairingTrial {
    /// Opening a sysctl for writing through a proc that is mounted nowhere.
    SysctlThroughOwnProc,
    /// Mounting a tmpfs with one block and one inode.
    MaskTmpfs,
    /// Finding mkfs.erofs, where the kernel has erofs.
    MkfsErofs,
    /// `/proc/self/setgroups` is there, which a kernel without user namespaces lacks.
    Setgroups,
}

impl BadPairing {
    /// Whether it is bad in one of these outer engines.
    pub fn holds_in(&self, outers: &[&str]) -> bool {
        self.outer.is_empty() || self.outer.iter().any(|id| outers.contains(&id.as_str()))
    }

    /// The good versions, for people.
    pub fn good(&self) -> String {
        match (&self.from, &self.before) {
            (Some(from), Some(before)) => format!("before {from}, or {before} and later"),
            (Some(from), None) => format!("before {from}"),
            (None, Some(before)) => format!("{before} and later"),
            (None, None) => "none".to_owned(),
        }
    }

    /// Whether this version of the program is a bad one.
    pub fn has(&self, version: &EngineVersion) -> bool {
        self.from.as_ref().is_none_or(|from| from <= version)
            && self.before.as_ref().is_none_or(|before| version < before)
    }
}
