//! The keys of a profile and their types: one line a key.

use serde::{Deserialize, Serialize};

use crate::version::{ApiVersion, EngineVersion};

/// One value as a profile file gives it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sourced<T> {
    /// The value itself.
    pub value: T,
    /// Where it is written: a path at a tag, a commit, a pull request, a release note.
    pub source: String,
}

/// One value of a merged profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Value<T> {
    /// The value itself.
    pub value: T,
    /// The profile file that set it.
    pub from: String,
    /// Where it is written.
    pub source: String,
}

/// Makes the two shapes of a profile from one list of keys: `Layer`, a file (every key optional), and `Profile`,
/// the merged whole (every key set).
macro_rules! profile_keys {
    ($($(#[doc = $doc:literal])+ $name:literal $field:ident: $type:ty,)+) => {
        /// One profile file: what changed in the release line that begins at `since`.
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Layer {
            /// The first version that this holds for, all three numbers.
            pub since: EngineVersion,
            /// What changed for nesting, in a sentence.
            pub summary: String,
            $($(#[doc = $doc])+ #[serde(rename = $name)] pub $field: Option<Sourced<$type>>,)+
        }

        /// What one engine version needs and gives.
        #[derive(Debug, Clone, Serialize)]
        pub struct Profile {
            /// The version asked for.
            pub version: EngineVersion,
            /// The newest file that went into it.
            pub profile: String,
            $($(#[doc = $doc])+ #[serde(rename = $name)] pub $field: Value<$type>,)+
        }

        impl Profile {
            /// The names of all keys, in the order of the schema.
            pub const KEYS: &[&str] = &[$($name),+];

            /// Lays `layers` (file name and content, oldest first) over each other.
            ///
            /// # Errors
            /// The names of the keys that no layer sets.
            pub(super) fn merge(version: EngineVersion, layers: &[(&str, &Layer)]) -> Result<Self, Vec<&'static str>> {
                let mut missing = Vec::new();
                $(
                    let $field = layers.iter().rev().find_map(|(from, layer)| {
                        layer.$field.as_ref().map(|sourced| Value {
                            value: sourced.value.clone(),
                            from: (*from).to_owned(),
                            source: sourced.source.clone(),
                        })
                    });
                    if $field.is_none() {
                        missing.push($name);
                    }
                )+
                let profile = layers.last().map(|(from, _)| (*from).to_owned()).unwrap_or_default();
                match ($($field,)+) {
                    ($(Some($field),)+) => Ok(Self { version, profile, $($field,)+ }),
                    _ => Err(missing),
                }
            }
        }
    };
}

profile_keys! {
    /// The words that start the daemon.
    "launch.command" launch_command: Vec<String>,
    /// The flag that turns debug logging on.
    "launch.debug_flag" launch_debug_flag: String,
    /// The newest API version that the daemon speaks.
    "api.max" api_max: ApiVersion,
    /// The oldest API version that the daemon accepts.
    "api.min" api_min: ApiVersion,
    /// Programs without which the daemon does not start or its containers do not run.
    "binaries.required" binaries_required: Vec<String>,
    /// Programs whose absence costs a feature.
    "binaries.optional" binaries_optional: Vec<String>,
    /// Files with the number of a process, whose stale leftovers keep the daemon from starting.
    "pidfiles" pidfiles: Vec<String>,
    /// Sockets of other processes that the daemon takes for alive when the file is there.
    "sockets" sockets: Vec<String>,
    /// Whether the engine knows the unified hierarchy.
    "cgroup.v2" cgroup_v2: bool,
    /// cgroup v1 controllers without whose hierarchy the daemon dies.
    "cgroup.required" cgroup_required: Vec<String>,
    /// Controllers whose absence switches limits off with a warning.
    "cgroup.wanted" cgroup_wanted: Vec<String>,
    /// What is said when a hierarchy that is needed is not mounted: by the daemon as it dies, or, where it starts
    /// without (before 1.7), by the first run.
    "cgroup.missing_error" cgroup_missing_error: String,
    /// The order in which the daemon tries storage drivers on a fresh data-root.
    "storage.priority" storage_priority: Vec<String>,
    /// Where images live by default.
    "storage.image_store" storage_image_store: ImageStore,
    /// The directories that must be able to carry the storage driver.
    "storage.directories" storage_directories: Vec<String>,
    /// How the daemon finds out whether overlay works, before it settles on it.
    "storage.overlay_probe" storage_overlay_probe: OverlayProbe,
    /// What the daemon makes of a backing file system without d_type.
    "storage.d_type" storage_d_type: DType,
    /// The iptables tables that the daemon writes to.
    "netfilter.tables" netfilter_tables: Vec<String>,
    /// Whether ip6tables is used unless turned off.
    "netfilter.ip6tables_default" netfilter_ip6tables_default: bool,
    /// Whether the kernel's ipset is needed.
    "netfilter.ipset" netfilter_ipset: bool,
    /// Whether rules can be written by nftables.
    "netfilter.nftables" netfilter_nftables: Nftables,
    /// What the userland proxy is needed for.
    "netfilter.docker_proxy" netfilter_docker_proxy: DockerProxy,
    /// How long the start is held up when a TCP socket has no TLS, in seconds.
    "network.tcp_without_tls_delay_s" network_tcp_without_tls_delay_s: u32,
    /// The capabilities that `--privileged` asks for.
    "privileged.grants" privileged_grants: Grants,
    /// What the engine mounts on /sys/fs/cgroup of its containers on a cgroup v1 host.
    "outer.cgroup_mounts" outer_cgroup_mounts: CgroupMounts,
    /// Whose cgroup namespace its containers get by default.
    "outer.cgroup_namespace" outer_cgroup_namespace: CgroupNamespace,
}

/// Where images live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageStore {
    /// The engine's own graph drivers, under the data-root.
    Graphdriver,
    /// containerd's content store and snapshotters.
    Containerd,
}

/// How the daemon finds out whether overlay works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
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
#[serde(rename_all = "kebab-case")]
pub enum Nftables {
    /// iptables only.
    None,
    /// With `--firewall-backend nftables`.
    OptIn,
}

/// What the userland proxy is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
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
#[serde(rename_all = "kebab-case")]
pub enum CgroupNamespace {
    /// The host's.
    Host,
    /// Its own on a unified host, the host's elsewhere.
    PrivateOnV2,
}
