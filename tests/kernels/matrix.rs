//! Host × (the daemon alone | dindcheck | dindcheck --fix): what each row says is what its test sees, and the page on kernels
//! has the same table.

use std::fmt::Write as _;

use crate::host::three_runs;
use crate::rows::{DELEGATION, Fixed, Found, finds, rows};

/// What the daemon does when it is started with nothing before it.
enum Plain {
    /// It starts, and runs a container with a memory limit.
    Works,
    /// It starts, and that container, or the import of its image, fails with this.
    RunsNone(&'static str),
    /// It does not start, and says this.
    Dies(&'static str),
}

/// A host, and what happens on it.
pub(crate) struct Row {
    /// The host, as the table names it.
    host: &'static str,
    /// The same as options of `scripts/lab vm`.
    pub(crate) options: &'static [&'static str],
    /// Shell lines that each of its containers begins with.
    pub(crate) prologue: &'static str,
    /// The container's first process, where all is done beside it.
    pub(crate) first: &'static str,
    /// The daemon alone.
    plain: Plain,
    /// What the look finds.
    found: Found,
    /// What `--fix` is given along.
    pub(crate) flags: &'static str,
    /// With `--fix`.
    fixed: Fixed,
}

/// Asserts that a host does what its row says.
fn holds(row: &Row) {
    let runs = three_runs(row);
    let all = &runs.all;
    match row.plain {
        Plain::Works => assert_eq!(runs.plain, "works", "{all}"),
        Plain::RunsNone(error) | Plain::Dies(error) => assert!(runs.plain.contains(error), "{all}"),
    }
    finds(&runs.check, row.found, all);
    row.fixed.holds(&runs.fixed, runs.status, all);
    match row.fixed {
        // A daemon that stayed in the host's cgroup namespace runs all, and sees nothing of it.
        Fixed::Proved(mended) if mended.contains(&"cgroup.namespace") => {
            for id in ["stats", "oom"] {
                assert_eq!(runs.fixed.claim(id), Some("pass"), "{id}: {all}");
            }
        }
        Fixed::Proved(_) => {}
        Fixed::Left(_, left) => assert_eq!(runs.fixed.found(), left, "{all}"),
    }
    assert_eq!(runs.moved, "", "{all}");
}

/// What most rows have.
const DEFAULT: Row = Row {
    host: "",
    options: &[],
    prologue: "",
    first: "",
    plain: Plain::Works,
    found: &[],
    flags: "",
    fixed: Fixed::Proved(&[]),
};
/// What the daemon does on each v2 host: it is up, and no container with a limit starts.
const NO_LIMITS: Plain = Plain::RunsNone("cannot enter cgroupv2");
const V2: &[&str] = &["--kernel", "6.12"];
const PODMAN: &[&str] = &["--kernel", "6.12", "--outer", "podman"];

rows! {
    v2_6_12: Row {
        host: "6.12, v2, Docker 26.1.5",
        options: V2,
        plain: NO_LIMITS,
        found: &[DELEGATION],
        fixed: Fixed::Proved(&["cgroup.delegation"]),
        ..DEFAULT
    },
    v1_5_10: Row {
        host: "5.10, v1, Docker 20.10.24",
        options: &["--kernel", "5.10", "--cgroup", "v1", "--outer", "docker-20.10.24", "--inner", "20.10.24"],
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --kernels"]
    modules_held_back: Row {
        host: "6.12, v2, Docker 26.1.5 without networks; `overlay`, `bridge`, `veth`, `nf_tables` and what rests on it \
               not loaded, and held back in modprobe.d",
        options: HELD_BACK,
        plain: Plain::Dies("Could not fetch rule set generation id"),
        found: &[
            DELEGATION,
            ("storage.data-root", "overlay"),
            ("netfilter.iptables", "nf_tables"),
            ("network.devices", "bridge and veth"),
        ],
        flags: "--allow-host-changes",
        // What can be read is mended first, and what had to be tried after that.
        fixed: Fixed::Proved(&["cgroup.delegation", "storage.data-root", "network.devices", "netfilter.iptables"]),
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --kernels"]
    v2_6_1: Row {
        host: "6.1, v2, Docker 20.10.24",
        options: &["--kernel", "6.1", "--outer", "docker-20.10.24", "--inner", "20.10.24"],
        plain: NO_LIMITS,
        found: &[DELEGATION],
        fixed: Fixed::Proved(&["cgroup.delegation"]),
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --kernels"]
    v2_7: Row {
        host: "7.x, v2, Docker 28.5.2",
        options: &["--kernel", "7.x", "--outer", "docker-28.5.2", "--inner", "28.5.2"],
        plain: NO_LIMITS,
        found: &[DELEGATION],
        fixed: Fixed::Proved(&["cgroup.delegation"]),
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --kernels"]
    hybrid_5_10: Row {
        host: "5.10, hybrid, Docker 20.10.24",
        options: &["--kernel", "5.10", "--cgroup", "hybrid", "--outer", "docker-20.10.24", "--inner", "20.10.24"],
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --kernels"]
    host_cgroup_namespace: Row {
        host: "6.12, v2, Docker 26.1.5, `--cgroupns=host`",
        options: &["--kernel", "6.12", "--docker-arg", "--cgroupns=host"],
        found: &[("cgroup.namespace", "--cgroupns=private")],
        fixed: Fixed::Proved(&["cgroup.namespace", "cgroup.delegation"]),
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --kernels"]
    podman: Row {
        host: "6.12, v2, Podman 5.4; inside Docker 26.1.5",
        options: PODMAN,
        plain: NO_LIMITS,
        found: &[DELEGATION],
        fixed: Fixed::Proved(&["cgroup.delegation"]),
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --kernels"]
    user_namespace: Row {
        host: "6.12, v2, Podman 5.4, a user namespace (`--uidmap=0:100000:65536`); inside Docker 26.1.5",
        options: &[
            "--kernel", "6.12", "--outer", "podman",
            "--docker-arg", "--uidmap=0:100000:65536", "--docker-arg", "--gidmap=0:100000:65536",
        ],
        plain: NO_LIMITS,
        found: &[DELEGATION],
        fixed: Fixed::Proved(&["cgroup.delegation"]),
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --kernels"]
    app_armor: Row {
        host: "6.12, v2, Docker 26.1.5, every capability and no seccomp filter, but AppArmor's docker-default",
        options: &[
            "--kernel", "6.12", "--unprivileged",
            "--docker-arg", "--cap-add=ALL", "--docker-arg", "--security-opt=seccomp=unconfined",
        ],
        plain: Plain::RunsNone("permission denied"),
        found: &[
            ("privileges.operations", "docker-default"),
            ("cgroup.writable", "read-only"),
            DELEGATION,
            ("mounts.proc-sys", "read-only"),
            ("storage.d-type", "no directory could be read"),
            ("storage.space", "does not say"),
        ],
        fixed: Fixed::Left(3, &[
            "privileges.operations",
            "cgroup.writable",
            "cgroup.delegation",
            "mounts.proc-sys",
            "storage.d-type",
            "storage.space",
        ]),
        ..DEFAULT
    },
    // It is seen and named, and refused nowhere here: no kernel of Debian's from 5.10 on has RT_GROUP_SCHED.
    #[ignore = "minutes: scripts/test --kernels"]
    realtime: Row {
        host: "6.12, v2, Docker 26.1.5, a process in real time in the container",
        options: V2,
        prologue: "chrt -f 1 sleep 1000 &",
        plain: NO_LIMITS,
        found: &[("cgroup.delegation", "(`sleep`) is scheduled in real time")],
        fixed: Fixed::Proved(&["cgroup.delegation"]),
        ..DEFAULT
    },
    // Whoever writes `+memory` gets EOPNOTSUPP, as often as it is tried.
    #[ignore = "minutes: scripts/test --kernels"]
    refused_controller: Row {
        host: "6.12, v2, Docker 26.1.5, a thread kept apart in a threaded cgroup of the container",
        options: V2,
        prologue: "mkdir /sys/fs/cgroup/apart; echo threaded > /sys/fs/cgroup/apart/cgroup.type; sleep 1000 & \
                   echo $! > /sys/fs/cgroup/apart/cgroup.threads; \
                   echo +memory > /tmp/memory; \
                   cat /tmp/memory 2> /tmp/refused > /sys/fs/cgroup/cgroup.subtree_control && exit 9; \
                   grep -q 'Operation not supported' /tmp/refused || exit 8;",
        plain: NO_LIMITS,
        found: &[("cgroup.delegation", "\"location\":\"+memory\",\"value\":\"EOPNOTSUPP: the cgroup is `domain threaded`")],
        fixed: Fixed::Left(5, &["cgroup.delegation"]),
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --kernels"]
    systemd: Row {
        host: "6.12, v2, Docker 26.1.5, systemd as the first process, and the rest beside it",
        options: &[
            "--kernel", "6.12", "--inner", "26.1.5-systemd", "--docker-arg", "-e", "--docker-arg", "container=docker",
            "--docker-arg", "--tmpfs", "--docker-arg", "/run", "--docker-arg", "--tmpfs", "--docker-arg", "/tmp",
        ],
        first: "/sbin/init --unit=basic.target",
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --kernels"]
    legacy_iptables_without_its_module: Row {
        host: "6.12, v2, Docker 26.1.5, iptables-legacy in the image, `ip_tables` not loaded",
        options: V2,
        prologue: "update-alternatives --set iptables /usr/sbin/iptables-legacy >&2;",
        plain: Plain::Dies("can't initialize iptables table `nat'"),
        found: &[DELEGATION, ("netfilter.iptables", "ip_tables")],
        fixed: Fixed::Proved(&["cgroup.delegation", "netfilter.iptables"]),
        ..DEFAULT
    },
    #[ignore = "minutes: scripts/test --kernels"]
    legacy_iptables_alone: Row {
        host: "6.12, v2, Docker 26.1.5, no other iptables than the legacy one, `ip_tables` not loaded",
        options: V2,
        prologue: "update-alternatives --set iptables /usr/sbin/iptables-legacy >&2; rm /usr/sbin/xtables-nft-multi;",
        plain: Plain::Dies("can't initialize iptables table `nat'"),
        found: &[DELEGATION, ("netfilter.iptables", "iptable_nat")],
        flags: "--allow-host-changes",
        fixed: Fixed::Proved(&["cgroup.delegation", "netfilter.iptables"]),
        ..DEFAULT
    },
}

/// All that a daemon's layers, networks and rules rest on, held back.
pub(crate) const HELD_BACK: &[&str] = &[
    "--kernel",
    "6.12",
    "--hold-module",
    "overlay",
    "--hold-module",
    "bridge",
    "--hold-module",
    "veth",
    "--hold-module",
    "nf_tables",
    "--hold-module",
    "nft_compat",
    "--hold-module",
    "nft_chain_nat",
    "--hold-module",
    "xt_addrtype",
    "--hold-module",
    "xt_conntrack",
    "--hold-module",
    "xt_MASQUERADE",
    "--hold-module",
    "xt_nat",
];

const BEGIN: &str = "<!-- generated from what tests/kernels asserts; it says when this is out of date -->\n";
const END: &str = "<!-- end of the generated matrix -->";

#[test]
fn the_matrix_in_the_readme_is_current() {
    let ids = |ids: &[&str]| ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    let mut table = String::from("| host | the daemon alone | dindcheck | dindcheck --fix |\n|---|---|---|---|\n");
    for row in ROWS {
        let plain = match row.plain {
            Plain::Works => "works".to_owned(),
            Plain::RunsNone(error) => format!("starts, and runs no container with a limit: \"{error}\""),
            Plain::Dies(error) => format!("dies: \"{error}\""),
        };
        let found = match row.found {
            [] => "nothing is wrong".to_owned(),
            found => ids(&found.iter().map(|(id, _)| *id).collect::<Vec<_>>()),
        };
        let fixed = match row.fixed {
            Fixed::Proved([]) => "proved".to_owned(),
            Fixed::Proved(mended) => format!("mends {}; proved", ids(mended)),
            Fixed::Left(_, left) => format!("refuses: {}", ids(left)),
        };
        let fixed = match row.flags {
            "" => fixed,
            flags => format!("with `{flags}`: {fixed}"),
        };
        writeln!(table, "| {} | {plain} | {found} | {fixed} |", row.host).expect("writing to a string");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/pages/kernels.md");
    let readme = std::fs::read_to_string(path).expect("there is a page");
    let (head, rest) = readme.split_once(BEGIN).expect("the matrix's beginning");
    let (current, tail) = rest.split_once(END).expect("the matrix's end");
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(path, format!("{head}{BEGIN}{table}{END}{tail}")).expect("the README can be written");
        return;
    }
    assert_eq!(current, table, "UPDATE_README=1 cargo test --test kernels matrix_in_the_readme writes it");
}
