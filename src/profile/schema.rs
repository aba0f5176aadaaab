//! The keys of a profile and their types: one line a key.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::values::{
    BadPairing, BridgeFilter, CgroupDriver, CgroupMounts, CgroupNamespace, CgroupParent, CgroupV1, DType, DeadSocket,
    DockerProxy, Grants, ImageStore, IpForward, Nftables, OverlayProbe, Rootless, Seccomp, SocketActivation,
};
use crate::version::{ApiVersion, EngineVersion};

/// One value as a profile file gives it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Sourced_{T}"))]
#[serde(deny_unknown_fields, expecting = "a value and its source")]
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

/// One key of a profile with its value, for those who treat all keys alike: `show`, `diff`, `lint`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The dotted name.
    pub key: &'static str,
    /// The value.
    pub value: Json,
    /// The profile file that set it.
    pub from: String,
    /// Where it is written.
    pub source: String,
}

/// A value as JSON. All types of values can be written so, which the tests see for every key.
fn json(value: &impl Serialize) -> Json {
    serde_json::to_value(value).unwrap_or_default()
}

/// Makes the two shapes of a profile from one list of keys: `Layer`, a file (every key optional), and `Profile`,
/// the merged whole (every key set).
macro_rules! profile_keys {
    ($($(#[doc = $doc:literal])+ $name:literal $field:ident: $type:ty,)+) => {
        /// One profile file: what changed in the release line that begins at `since`.
        #[derive(Debug, Clone, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema), schemars(title = "Docker profile"))]
        #[serde(deny_unknown_fields, expecting = "a profile: since, summary, and keys with a value and its source")]
        pub struct Layer {
            /// The first version that this holds for, all three numbers.
            pub since: EngineVersion,
            /// What changed for nesting, in a sentence.
            pub summary: String,
            /// The day on which this was last compared with the newest sources, as YEAR-MONTH-DAY; so that the age of
            /// what is known shows.
            #[serde(default)]
            pub checked: Option<String>,
            $($(#[doc = $doc])+ #[serde(rename = $name)] pub $field: Option<Sourced<$type>>,)+
        }

        /// What one engine version needs and gives.
        #[derive(Debug, Clone, Serialize)]
        pub struct Profile {
            /// The version asked for.
            pub version: EngineVersion,
            /// The newest file that went into it.
            pub profile: String,
            /// Whether no profile was made for this release line yet, so that the newest stands in for it.
            #[serde(skip)]
            pub stands_in: bool,
            $($(#[doc = $doc])+ #[serde(rename = $name)] pub $field: Value<$type>,)+
        }

        impl Layer {
            /// What the file sets, in the order of the schema; `from` is its name.
            pub fn entries(&self, from: &str) -> Vec<Entry> {
                let mut entries = Vec::new();
                $(
                    if let Some(sourced) = &self.$field {
                        let (value, source) = (json(&sourced.value), sourced.source.clone());
                        entries.push(Entry { key: $name, value, from: from.to_owned(), source });
                    }
                )+
                entries
            }
        }

        impl Profile {
            /// All keys, in the order of the schema.
            pub fn entries(&self) -> Vec<Entry> {
                vec![$(Entry {
                    key: $name,
                    value: json(&self.$field.value),
                    from: self.$field.from.clone(),
                    source: self.$field.source.clone(),
                }),+]
            }

            /// Whether two versions have all values in common.
            pub fn wants_the_same(&self, other: &Self) -> bool {
                $(self.$field.value == other.$field.value &&)+ true
            }

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
                    ($(Some($field),)+) => Ok(Self { version, profile, stands_in: false, $($field,)+ }),
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
    /// The files that the daemon reads its options from. An option that is given there and as a flag stops the start.
    "launch.config_files" launch_config_files: Vec<String>,
    /// Whether `--validate` checks the configuration and ends.
    "launch.can_validate" launch_can_validate: bool,
    /// Whether the daemon takes listening sockets that are handed to it, as systemd does (`-H fd://`).
    "launch.socket_activation" launch_socket_activation: SocketActivation,
    /// The environment variables that change what the daemon does.
    "launch.environment" launch_environment: Vec<String>,
    /// What the daemon writes to its own oom_score_adj by default; less than 0 needs CAP_SYS_RESOURCE.
    "launch.oom_score_adjust" launch_oom_score_adjust: i32,
    /// Whether the daemon can be rootless, started by RootlessKit.
    "launch.rootless" launch_rootless: Rootless,
    /// The newest API version that the daemon speaks.
    "api.max" api_max: ApiVersion,
    /// The oldest API version that the daemon accepts by default.
    "api.min" api_min: ApiVersion,
    /// Programs without which the daemon does not start or its containers do not run.
    "binaries.required" binaries_required: Vec<String>,
    /// Programs whose absence costs a feature.
    "binaries.optional" binaries_optional: Vec<String>,
    /// Programs without which a rootless daemon does not start, beside RootlessKit and what that needs.
    "binaries.rootless" binaries_rootless: Vec<String>,
    /// Directories beside the data-root in which the daemon has to make something before it starts.
    "directories.required" directories_required: Vec<String>,
    /// Directories in which programs that it starts make something: where they cannot, a feature is missing.
    "directories.wanted" directories_wanted: Vec<String>,
    /// Files with the number of a process, whose stale leftovers keep the daemon from starting.
    "pidfiles" pidfiles: Vec<String>,
    /// Sockets of other processes that the daemon takes for alive when the file is there.
    "sockets" sockets: Vec<String>,
    /// What becomes of a daemon that takes such a file for a containerd that runs.
    "sockets.dead" sockets_dead: DeadSocket,
    /// Whether the engine works with the v1 hierarchies.
    "cgroup.v1" cgroup_v1: CgroupV1,
    /// Whether the engine knows the unified hierarchy.
    "cgroup.v2" cgroup_v2: bool,
    /// cgroup v1 controllers without whose hierarchy the daemon dies.
    "cgroup.required" cgroup_required: Vec<String>,
    /// cgroup v1 controllers without whose hierarchy no container starts, or none is confined.
    "cgroup.required_to_run" cgroup_required_to_run: Vec<String>,
    /// Controllers whose absence switches limits off with a warning.
    "cgroup.wanted" cgroup_wanted: Vec<String>,
    /// What is reported when a hierarchy that is needed is not mounted: by the daemon as it dies, or, where it starts
    /// without (before 1.7), by the first run.
    "cgroup.missing_error" cgroup_missing_error: String,
    /// Who makes the containers' cgroups by default.
    "cgroup.driver" cgroup_driver: CgroupDriver,
    /// Where the containers' cgroups lie in a cgroup v1 hierarchy.
    "cgroup.parent" cgroup_parent: CgroupParent,
    /// Whether a cgroup2 mount beside v1 hierarchies makes every run fail.
    "cgroup.unified_mount_breaks_runs" cgroup_unified_mount_breaks_runs: bool,
    /// The order in which the daemon tries storage drivers on a fresh data-root, without those that it skips.
    "storage.priority" storage_priority: Vec<String>,
    /// The storage drivers that can be asked for with `-s`.
    "storage.drivers" storage_drivers: Vec<String>,
    /// Where images live by default.
    "storage.image_store" storage_image_store: ImageStore,
    /// The directories that must be able to carry the storage driver.
    "storage.directories" storage_directories: Vec<String>,
    /// How the daemon finds out whether overlay works, before it settles on it.
    "storage.overlay_probe" storage_overlay_probe: OverlayProbe,
    /// The file systems on which the overlay drivers refuse to work, by name.
    "storage.overlay_refuses" storage_overlay_refuses: Vec<String>,
    /// What the daemon makes of a backing file system without d_type.
    "storage.d_type" storage_d_type: DType,
    /// The iptables tables that the daemon writes to.
    "netfilter.tables" netfilter_tables: Vec<String>,
    /// The chains that the daemon makes, as table/CHAIN.
    "netfilter.chains" netfilter_chains: Vec<String>,
    /// Rules as the daemon writes them, one for each kind of thing that the kernel must be able to do, as arguments of
    /// iptables. The chains come first; the addresses are those of a default bridge.
    "netfilter.rules" netfilter_rules: Vec<String>,
    /// Whether ip6tables is used unless turned off.
    "netfilter.ip6tables_default" netfilter_ip6tables_default: bool,
    /// Whether the kernel's ipset is needed.
    "netfilter.ipset" netfilter_ipset: bool,
    /// Whether rules can be written by nftables.
    "netfilter.nftables" netfilter_nftables: Nftables,
    /// What is written with nft, one for each kind of thing that the kernel must be able to do, as commands of nft. The
    /// table comes first; the addresses are those of a default bridge.
    "netfilter.nftables_rules" netfilter_nftables_rules: Vec<String>,
    /// What the userland proxy is needed for.
    "netfilter.docker_proxy" netfilter_docker_proxy: DockerProxy,
    /// What becomes of net.ipv4.ip_forward at the start.
    "network.ip_forward" network_ip_forward: IpForward,
    /// What becomes of a daemon with --icc=false or --userland-proxy=false where the kernel has no br_netfilter.
    "network.bridge_filter" network_bridge_filter: BridgeFilter,
    /// The networks that the default bridge is taken from, in order; the first that overlaps no route.
    "network.address_pools" network_address_pools: Vec<String>,
    /// How long the start is held up when a TCP socket has no TLS, in seconds.
    "network.tcp_without_tls_delay_s" network_tcp_without_tls_delay_s: u32,
    /// The capabilities of a container that asks for none, without the CAP_ in front.
    "containers.capabilities" containers_capabilities: Vec<String>,
    /// The seccomp filter of a container that is not privileged.
    "containers.seccomp" containers_seccomp: Seccomp,
    /// Whether the daemon itself binds the network namespace of a container's first process, for which the kernel asks
    /// for CAP_SYS_PTRACE where that process is not root's. Otherwise the runtime does, before it becomes that user.
    "containers.network_by_daemon" containers_network_by_daemon: bool,
    /// Whether each container gets a session keyring of its own, and none runs where keyctl is forbidden.
    "containers.session_keyring" containers_session_keyring: bool,
    /// Whether containers get a time namespace, which the runtime has to know.
    "containers.time_namespace" containers_time_namespace: bool,
    /// The most open files with which no container of the plain daemon was seen to run; 0: not measured.
    "limits.open_files" limits_open_files: u32,
    /// The most processes and threads with which none was seen to run; 0: not measured.
    "limits.tasks" limits_tasks: u32,
    /// The most memory with which none was seen to run, in MiB; 0: not measured.
    "limits.memory" limits_memory: u32,
    /// Versions of other programs with which the engine is known not to work.
    "runtime.bad_pairings" runtime_bad_pairings: Vec<BadPairing>,
    /// The capabilities that `--privileged` asks for.
    "privileged.grants" privileged_grants: Grants,
    /// What the engine mounts on /sys/fs/cgroup of its containers on a cgroup v1 host.
    "outer.cgroup_mounts" outer_cgroup_mounts: CgroupMounts,
    /// Whose cgroup namespace its containers get by default.
    "outer.cgroup_namespace" outer_cgroup_namespace: CgroupNamespace,
}
