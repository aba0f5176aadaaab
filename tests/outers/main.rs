//! Outer engines other than Docker: containers of `scripts/lab outer`, with the plain daemon as the oracle of each.
//!
//! Those that are not ignored are the core that each run of `scripts/test` has; `scripts/test --outers` runs all.

#[path = "../common/binary.rs"]
mod binary;
#[path = "../common/report.rs"]
mod report;
#[path = "../common/rows.rs"]
mod rows;

use std::fmt::Write as _;
use std::process::Command;

use report::{Report, part};
use rows::{DELEGATION, Fixed, Found, finds, rows};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lab");

/// In three containers of one host: a look, the daemon alone, and the main job with `--fix`. A daemon leaves its network
/// on the host where the two share it, so that the look comes first.
const THREE_RUNS: &str = r#"
echo "=== check"
outer dindcheck check --format json
echo "=== plain"
outer sh -c "$FATE"
echo "=== fixed"
outer dindcheck --fix --exit --format json
echo "=== status $?"
"#;

/// A container of an outer engine, and what happens in it.
struct Row {
    /// The container, as the table names it.
    container: &'static str,
    /// The kind of `scripts/lab outer`.
    kind: &'static str,
    /// The kernel of the virtual host with cgroup v2; empty: in namespaces of this machine.
    kernel: &'static str,
    /// Whose container it is taken for; empty: some container's.
    outer: &'static str,
    /// What becomes of the plain daemon, in the words of scripts/lab-fate.
    fate: &'static str,
    /// What it says then; empty where it works.
    says: &'static str,
    /// The checks that find something which blocks or is a warning, and a word that each finding must have.
    found: Found,
    /// What is printed first of what to do about them: a check, and words of its first remedy.
    remedies: &'static [(&'static str, &'static str)],
    /// With `--fix`.
    fixed: Fixed,
    /// The claims that do not hold where the daemon is proved, each a warning.
    unproved: &'static [&'static str],
}

/// Asserts that a container does what its row says, and that no finding blocks where the plain daemon works, and some
/// finding where it does not.
fn holds(row: &Row) {
    let fate = concat!("FATE=", include_str!("../../scripts/lab-fate"));
    let host: &[&str] = match row.kernel {
        "" => &["outer", row.kind],
        kernel => &["vm", "--outer", row.kind, "--kernel", kernel, "--inner", "28.5.2", "--deadline", "1500"],
    };
    let output = Command::new(SCRIPT)
        .args(host)
        .args(["--host", "--dindcheck", binary::path()])
        .args(["--", "env", fate, "bash", "-c", THREE_RUNS])
        .output()
        .expect("scripts/lab can be run");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let all = format!("{stdout}\n{stderr}");
    let part = |name: &str| part(&stdout, name).unwrap_or_else(|| panic!("no {name}: {all}"));
    let report = |name: &str| Report::parse(part(name)).unwrap_or_else(|error| panic!("no report: {error}\n{all}"));

    assert_eq!(part("plain"), row.fate, "{all}");
    assert!(stderr.contains(row.says), "{} is not in {stderr}", row.says);

    let check = report("check");
    assert_eq!(check.0["foretold"], row.fate, "{all}");
    let blocks = check.0["summary"]["blocking"].as_u64().expect("a number") != 0;
    let works = ["works", "falls-back"].contains(&row.fate);
    assert_ne!(blocks, works, "a false block, or a false pass: {all}");
    assert_eq!(check.0["outer"]["engine"].as_str().unwrap_or_default(), row.outer, "{all}");
    finds(&check, row.found, &all);
    for (id, words) in row.remedies {
        let remedy = first_remedy(&check, id);
        assert!(remedy.contains(words), "{words} is not in {remedy}");
    }

    let fixed = report("fixed");
    let status: i32 = part("status").parse().expect("a status");
    row.fixed.holds(&fixed, status, &all);
    if let Fixed::Proved(_) = row.fixed {
        assert_eq!(failed_claims(&fixed), row.unproved, "{all}");
    }
}

/// The first remedy of a check's finding.
fn first_remedy<'r>(report: &'r Report, id: &str) -> &'r str {
    let findings = report.0["findings"].as_array().expect("findings");
    let finding = findings.iter().find(|finding| finding["id"] == id);
    finding.and_then(|finding| finding["remedy"][0].as_str()).unwrap_or_default()
}

/// The claims of the proof that do not hold.
fn failed_claims(report: &Report) -> Vec<&str> {
    let claims = report.0["verification"]["scenarios"].as_array().into_iter().flatten();
    claims.filter(|claim| claim["outcome"] == "fail").filter_map(|claim| claim["id"].as_str()).collect()
}

/// What most rows have.
const DEFAULT: Row = Row {
    container: "",
    kind: "",
    kernel: "",
    outer: "kubernetes",
    fate: "works",
    says: "",
    found: &[],
    remedies: &[],
    fixed: Fixed::Proved(&[]),
    unproved: &[],
};
/// What is found where no one gives a container a resolv.conf.
const NO_NAME_SERVER: (&str, &str) = ("network.nameservers", "8.8.8.8");
/// And where the cgroups are left to an init.
const NO_CGROUPS: (&str, &str) = ("cgroup.mounted", "no cgroup hierarchy");

rows! {
    pod: Row {
        container: "a pod through containerd's CRI, `privileged: true`",
        kind: "pod",
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    pod_host_pid: Row {
        container: "the same with `hostPID: true` and no service account's token, on a node that is a container itself",
        kind: "pod-host-pid",
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    pod_host_network: Row {
        container: "the same with `hostNetwork: true`",
        kind: "pod-host-network",
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    pod_no_devices: Row {
        container: "the same, and the node has `privileged_without_host_devices = true`",
        kind: "pod-no-devices",
        fate: "every-container-fails",
        says: "devices.allow: operation not permitted",
        found: &[("cgroup.operations", "c 5:1 rwm")],
        remedies: &[("cgroup.operations", "privileged_without_host_devices_all_devices_allowed = true")],
        fixed: Fixed::Left(1, &["cgroup.operations"]),
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    pod_crun: Row {
        container: "the same with crun as the runtime",
        kind: "pod-crun",
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    pod_no_volume: Row {
        container: "the same without a volume on /var/lib/docker, which the others have",
        kind: "pod-no-volume",
        fate: "falls-back",
        found: &[("storage.data-root", "vfs")],
        remedies: &[("storage.data-root", "emptyDir: {}")],
        unproved: &["storage"],
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    pod_read_only: Row {
        container: "the same with `readOnlyRootFilesystem: true`, and an emptyDir on /tmp",
        kind: "pod-read-only",
        fate: "dies",
        says: "mkdir /var/run/docker: read-only file system",
        found: &[("mounts.writable", "/run")],
        remedies: &[("mounts.writable", "an emptyDir on each of these directories")],
        fixed: Fixed::Left(1, &["mounts.writable"]),
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    pod_default: Row {
        container: "a pod without privileges, seccomp profile `RuntimeDefault`",
        kind: "pod-default",
        fate: "dies",
        says: "failed to create NAT chain DOCKER",
        found: &[
            ("privileges.capabilities", "SYS_ADMIN"),
            ("privileges.seccomp", ""),
            ("privileges.operations", "not permitted"),
            ("cgroup.writable", ""),
            ("cgroup.operations", ""),
            ("mounts.proc-sys", ""),
            ("storage.d-type", ""),
            ("storage.space", ""),
            ("netfilter.iptables", ""),
            ("netfilter.ip6tables", ""),
            ("netfilter.ipset", ""),
            ("netfilter.nftables", ""),
            ("network.devices", ""),
            ("network.ip-forward", ""),
        ],
        remedies: &[("privileges.capabilities", "securityContext: {privileged: true}")],
        fixed: Fixed::Left(1, &["privileges.capabilities", "privileges.operations"]),
        ..DEFAULT
    },
    pod_users: Row {
        container: "a pod with `hostUsers: false` and the recipe for it, on v1, where containerd mounts no cgroup writable",
        kind: "pod-users",
        fate: "every-container-fails",
        says: "mkdir /sys/fs/cgroup/cpuset/docker: read-only file system",
        found: &[("cgroup.writable", "")],
        remedies: &[("cgroup.writable", "with hostUsers: false, on a node with cgroup v2: cgroup_writable = true")],
        // Mounted writable the cgroups are still the node's.
        fixed: Fixed::Left(1, &["cgroup.operations"]),
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    pod_users_crun: Row {
        container: "the same with crun as the runtime",
        kind: "pod-users-crun",
        fate: "every-container-fails",
        says: "mkdir /sys/fs/cgroup/cpuset/docker: read-only file system",
        found: &[("cgroup.writable", "")],
        remedies: &[("cgroup.writable", "with hostUsers: false, on a node with cgroup v2: cgroup_writable = true")],
        fixed: Fixed::Left(1, &["cgroup.operations"]),
        ..DEFAULT
    },
    containerd: Row {
        container: "containerd alone: `ctr run --privileged --cni`",
        kind: "containerd",
        outer: "containerd",
        fate: "dies",
        says: "Devices cgroup isn't mounted",
        found: &[("privileges.no-new-privs", ""), NO_CGROUPS, NO_NAME_SERVER],
        remedies: &[
            ("privileges.no-new-privs", "ctr run --allow-new-privs"),
            ("cgroup.mounted", "ctr run --mount type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=rw:nosuid"),
            ("network.nameservers", "ctr run --mount type=bind,src=/etc/resolv.conf"),
        ],
        fixed: Fixed::Proved(&["cgroup.mounted"]),
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    containerd_cgroups: Row {
        container: "the same with a mount of the cgroups and `--allow-new-privs`, as nerdctl has it",
        kind: "containerd-cgroups",
        outer: "containerd",
        found: &[NO_NAME_SERVER],
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    nspawn: Row {
        container: "systemd-nspawn 252, `--capability=all --private-network`",
        kind: "nspawn",
        outer: "systemd-nspawn",
        fate: "every-container-fails",
        says: "read-only file system",
        found: &[
            ("privileges.seccomp", ""),
            ("privileges.operations", "keyctl"),
            ("cgroup.writable", ""),
            NO_NAME_SERVER,
        ],
        remedies: &[("privileges.operations", "--system-call-filter=\"add_key keyctl bpf\"")],
        // Without a session keyring runc starts nothing, even where the cgroups are mended.
        fixed: Fixed::Left(1, &["privileges.operations"]),
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    nspawn_keyring: Row {
        container: "the same with `--system-call-filter=\"add_key keyctl bpf\"`",
        kind: "nspawn-keyring",
        outer: "systemd-nspawn",
        fate: "every-container-fails",
        says: "read-only file system",
        found: &[("cgroup.writable", ""), NO_NAME_SERVER],
        fixed: Fixed::Proved(&["cgroup.writable", "devices.nodes"]),
        ..DEFAULT
    },
    lxc: Row {
        container: "LXC 7.0, privileged, `nesting.conf`, with the loopback up",
        kind: "lxc",
        outer: "lxc",
        fate: "dies",
        says: "Devices cgroup isn't mounted",
        found: &[NO_CGROUPS, NO_NAME_SERVER],
        // LXC 7.0 does not start a container with lxc.mount.auto = cgroup:rw:force on v1: unsupported cgroup layout.
        remedies: &[("cgroup.mounted", "let dindcheck --fix mount them")],
        fixed: Fixed::Proved(&["cgroup.mounted", "devices.nodes"]),
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    lxc_unprivileged: Row {
        container: "the same in a user namespace, with the loopback up",
        kind: "lxc-unprivileged",
        outer: "lxc",
        fate: "every-container-fails",
        says: "no cgroup mount found in mountinfo",
        found: &[("privileges.seccomp", ""), NO_CGROUPS, NO_NAME_SERVER],
        fixed: Fixed::Proved(&["cgroup.mounted"]),
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    lxc_bare: Row {
        container: "LXC 7.0, privileged, as it leaves all that to an init, with the loopback down",
        kind: "lxc-bare",
        outer: "lxc",
        fate: "dies",
        says: "Devices cgroup isn't mounted",
        found: &[NO_CGROUPS, ("network.loopback", "down"), NO_NAME_SERVER],
        fixed: Fixed::Proved(&["cgroup.mounted", "network.loopback", "devices.nodes"]),
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    docker_capabilities: Row {
        container: "Docker 28.5.2, SYS_ADMIN, NET_ADMIN and SYS_PTRACE, nothing confined, instead of `--privileged`",
        kind: "docker-capabilities",
        outer: "docker",
        fate: "every-container-fails",
        says: "mkdir /sys/fs/cgroup/cpuset/docker: read-only file system",
        found: &[("cgroup.writable", "")],
        remedies: &[("cgroup.writable", "--privileged")],
        // Of the nodes that are missing the device cgroup lets it open /dev/net/tun alone.
        fixed: Fixed::Proved(&["cgroup.writable", "devices.nodes"]),
        // The device cgroup lets nothing below have all devices.
        unproved: &["privileged"],
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    docker_remap: Row {
        container: "Docker with userns-remap, all capabilities, nothing confined",
        kind: "docker-remap",
        outer: "docker-remapped",
        fate: "every-container-fails",
        says: "mkdir /sys/fs/cgroup/cpuset/docker: permission denied",
        found: &[("cgroup.operations", "")],
        remedies: &[("cgroup.operations", "docker run --privileged --userns=host")],
        fixed: Fixed::Left(1, &["cgroup.operations"]),
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    docker_remap_host: Row {
        container: "the same engine, `--privileged --userns=host`",
        kind: "docker-remap-host",
        outer: "docker",
        ..DEFAULT
    },
    docker_rootless: Row {
        container: "Rootless Docker 28.5.2, `--privileged`",
        kind: "docker-rootless",
        outer: "docker-rootless",
        fate: "every-container-fails",
        says: "mkdir /sys/fs/cgroup/cpuset/docker: permission denied",
        found: &[("cgroup.operations", "make a cgroup")],
        remedies: &[("cgroup.operations", "a host with cgroup v2, on which the controllers are delegated to the user")],
        fixed: Fixed::Left(1, &["cgroup.operations"]),
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    podman: Row {
        container: "rootful Podman 5.4, `--privileged`",
        kind: "podman",
        outer: "podman",
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    podman_rootless: Row {
        container: "the same, rootless",
        kind: "podman-rootless",
        outer: "podman-rootless",
        fate: "every-container-fails",
        says: "mkdir /sys/fs/cgroup/cpuset/docker: permission denied",
        found: &[("cgroup.operations", "make a cgroup")],
        remedies: &[("cgroup.operations", "a host with cgroup v2, on which the controllers are delegated to the user")],
        fixed: Fixed::Left(1, &["cgroup.operations"]),
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --outers"]
    podman_6: Row {
        container: "rootful Podman 6.1, `--privileged`, on a host with 6.12 and v2",
        kind: "podman-6",
        kernel: "6.12",
        outer: "podman",
        found: &[DELEGATION],
        fixed: Fixed::Proved(&["cgroup.delegation"]),
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --outers"]
    podman_6_rootless: Row {
        container: "the same, rootless, in a cgroup that is the user's",
        kind: "podman-6-rootless",
        kernel: "6.12",
        outer: "podman-rootless",
        found: &[DELEGATION],
        fixed: Fixed::Proved(&["cgroup.delegation"]),
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --outers"]
    podman_6_rootless_undelegated: Row {
        container: "the same in a cgroup that is root's",
        kind: "podman-6-rootless-undelegated",
        kernel: "6.12",
        outer: "podman-rootless",
        fate: "every-container-fails",
        says: "mkdir /sys/fs/cgroup/docker: permission denied",
        found: &[DELEGATION, ("cgroup.operations", "make a cgroup")],
        remedies: &[("cgroup.operations", "a host with cgroup v2, on which the controllers are delegated to the user")],
        fixed: Fixed::Left(1, &["cgroup.operations"]),
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --outers"]
    pod_v2: Row {
        container: "a pod, `privileged: true`, on a host with 6.12 and v2, whose cgroups it sees",
        kind: "pod",
        kernel: "6.12",
        found: &[("cgroup.namespace", "the whole tree of the host")],
        remedies: &[("cgroup.namespace", "no field of the pod: let dindcheck --fix do it")],
        fixed: Fixed::Proved(&["cgroup.namespace", "cgroup.delegation"]),
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --outers"]
    pod_users_v2: Row {
        container: "a pod with `hostUsers: false` and the recipe for it, on a host with 6.12 and v2, but runc without \
                    `SystemdCgroup`",
        kind: "pod-users",
        kernel: "6.12",
        fate: "every-container-fails",
        says: "mkdir /sys/fs/cgroup/docker: permission denied",
        found: &[DELEGATION, ("cgroup.operations", "make a cgroup")],
        remedies: &[("cgroup.operations", "SystemdCgroup = true, or crun")],
        fixed: Fixed::Left(1, &["cgroup.operations"]),
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --outers"]
    pod_users_crun_v2: Row {
        container: "the same with crun as the runtime",
        kind: "pod-users-crun",
        kernel: "6.12",
        found: &[DELEGATION],
        fixed: Fixed::Proved(&["cgroup.delegation"]),
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --outers"]
    incus: Row {
        container: "Incus 7.0, `security.nesting=true`, beside the init, on a host with 6.12 and v2",
        kind: "incus",
        kernel: "6.12",
        outer: "lxc",
        found: &[("privileges.seccomp", ""), DELEGATION, NO_NAME_SERVER],
        fixed: Fixed::Proved(&["cgroup.delegation"]),
        ..DEFAULT
    },
    #[ignore = "half a minute: scripts/test --outers"]
    docker_gvisor: Row {
        container: "Docker 26.1.5 with gVisor 20240729 (systrap, `--net-raw`) as the runtime, all capabilities, a tmpfs on \
                    /var/lib/docker",
        kind: "docker-gvisor",
        outer: "docker",
        fate: "dies",
        says: "Failed to initialize nft: Protocol not supported",
        found: &[
            ("engine.pairing", "inode number"),
            ("limits.kernel", ""),
            ("cgroup.controllers", "blkio"),
            ("netfilter.iptables", "refused"),
            ("netfilter.ip6tables", ""),
            ("network.loopback", ""),
            ("network.rp-filter", ""),
            ("network.arp", ""),
            ("devices.nodes", ""),
        ],
        remedies: &[
            ("engine.pairing", "keep runc 1.3.2"),
            ("netfilter.iptables", "gVisor: dockerd --iptables=false --ip6tables=false"),
        ],
        fixed: Fixed::Left(1, &["engine.pairing", "netfilter.iptables"]),
        ..DEFAULT
    },
}

const BEGIN: &str = "<!-- generated from what tests/outers asserts; it says when this is out of date -->\n";
const END: &str = "<!-- end of the generated rows -->";

#[test]
fn the_rows_on_the_page_are_current() {
    let ids = |ids: &[&str]| ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    let mut table = String::from("| container | the daemon alone | dindcheck | dindcheck --fix |\n|---|---|---|---|\n");
    for row in ROWS {
        let fate = match (row.fate, row.says) {
            ("works", _) => "works".to_owned(),
            ("falls-back", _) => "works, with vfs".to_owned(),
            ("dies", says) => format!("dies: \"{says}\""),
            (_, says) => format!("starts, and runs no container: \"{says}\""),
        };
        let found = match row.found {
            [] => "nothing is wrong".to_owned(),
            found => ids(&found.iter().map(|(id, _)| *id).collect::<Vec<_>>()),
        };
        let fixed = match row.fixed {
            Fixed::Proved([]) => "proved".to_owned(),
            Fixed::Proved(mended) => format!("mends {}; proved", ids(mended)),
            Fixed::Left(5, left) => format!("not proved: {}", ids(left)),
            Fixed::Left(_, left) => format!("refuses: {}", ids(left)),
        };
        writeln!(table, "| {} | {fate} | {found} | {fixed} |", row.container).expect("writing to a string");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/pages/kernels.md");
    let page = std::fs::read_to_string(path).expect("there is a page");
    let (head, rest) = page.split_once(BEGIN).expect("the rows' beginning");
    let (current, tail) = rest.split_once(END).expect("the rows' end");
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(path, format!("{head}{BEGIN}{table}{END}{tail}")).expect("the page can be written");
        return;
    }
    assert_eq!(current, table, "UPDATE_README=1 cargo test --test outers rows_on_the_page writes it");
}
