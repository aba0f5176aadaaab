//! A mend of each kind of step, on things of its own.

use std::collections::BTreeSet;

use dindcheck::fix::step::Step;
use serde_json::{Value, json};

/// Where they are, on a file system of its own.
pub(super) const PLACE: &str = "/inject";
/// The version 2 hierarchy, with the cgroup of these tests at its top.
pub(super) const HIERARCHY: &str = "/inject-cgroup";

/// What is mended, and what is there before.
pub(super) struct Mend {
    pub(super) name: &'static str,
    /// Makes it, as a shell script.
    pub(super) before: &'static str,
    pub(super) steps: Vec<Step>,
    /// Files whose content is part of what is mended.
    pub(super) watched: &'static [&'static str],
    /// Whether it starts programs.
    pub(super) programs: bool,
    /// Whether each call of the journal fails with each of its errors; else with one of them, by turns.
    pub(super) journal: bool,
}

pub(super) fn mends() -> Vec<Mend> {
    let mend = |name, before, steps, watched| {
        let steps = serde_json::from_value(steps).unwrap_or_else(|error| panic!("{name}: {error}"));
        let journal = ["devices", "pid-files"].contains(&name);
        Mend { name, before, steps, watched, programs: ["rules", "storage"].contains(&name), journal }
    };
    let usual = json!(["nosuid", "nodev", "noexec"]);
    let hierarchy = |root: &str, target: &str, flags: Value| json!({ "fstype": "cgroup2", "options": "", "root": root, "target": target, "flags": flags });
    vec![
        mend(
            "hierarchies",
            "mkdir /inject/cgroup",
            json!([
                { "mount-filesystem": { "fstype": "tmpfs", "target": "/inject/cgroup", "options": "mode=755" } },
                { "make-directory": { "path": "/inject/cgroup/part" } },
                { "mount-hierarchy": hierarchy("/group", "/inject/cgroup/part", Value::Null) },
                { "make-link": { "path": "/inject/cgroup/name", "target": "part" } },
            ]),
            &[],
        ),
        mend(
            "own-part",
            "mkdir /inject/cgroup
            mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /inject/cgroup
            mount -o remount,bind,ro,nosuid,nodev,noexec /inject/cgroup",
            json!([
                { "remount": { "target": "/inject/cgroup", "flags": usual, "read_only": false } },
                { "unmount-hierarchy": hierarchy("/", "/inject/cgroup", usual.clone()) },
                { "mount-hierarchy": hierarchy("/group", "/inject/cgroup", usual.clone()) },
            ]),
            &[],
        ),
        mend(
            "delegation",
            "echo $OWN > /inject-cgroup/group/cgroup.procs
            mkdir /inject/group
            printf %s -cpu > /inject/group/cgroup.subtree_control
            echo 3 > /proc/sys/net/ipv4/tcp_retries1",
            json!([
                { "make-directory": { "path": "/inject-cgroup/group/init" } },
                { "move-processes": { "from": "/inject-cgroup/group", "to": "/inject-cgroup/group/init" } },
                // A plain file, and a sysctl: containers of the lab are given no controllers of version 2.
                { "enable-controller": { "group": "/inject/group", "controller": "cpu" } },
                { "set-group-limit": { "path": "/proc/sys/net/ipv4/tcp_retries1", "value": "4", "before": "3" } },
            ]),
            &[
                "/inject-cgroup/group/cgroup.procs",
                "/inject-cgroup/group/init/cgroup.procs",
                "/proc/sys/net/ipv4/tcp_retries1",
            ],
        ),
        mend(
            "namespace",
            "touch /inject/namespace",
            json!([{ "keep-cgroup-namespace": { "path": "/inject/namespace" } }]),
            &[],
        ),
        mend(
            "propagation",
            "for name in a b; do mkdir /inject/$name; mount -t tmpfs $name /inject/$name; done
            mount --make-rprivate /inject",
            json!([
                { "set-propagation": { "target": "/inject/a", "shared": true } },
                { "set-propagation": { "target": "/inject/b", "shared": true } },
            ]),
            &[],
        ),
        mend(
            "devices",
            "true",
            json!([
                { "make-directory": { "path": "/inject/net" } },
                { "make-node": { "path": "/inject/net/tun", "major": 10, "minor": 200 } },
                { "make-node": { "path": "/inject/fuse", "major": 10, "minor": 229 } },
            ]),
            &[],
        ),
        mend(
            "pid-files",
            "printf 99999 > /inject/docker.pid
            printf 99998 > /inject/containerd.pid",
            json!([
                { "remove-file": { "path": "/inject/docker.pid", "content": "99999" } },
                { "remove-file": { "path": "/inject/containerd.pid", "content": "99998" } },
            ]),
            &[],
        ),
        mend(
            "sockets",
            "perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => $_, Listen => 1) || die $! for @ARGV' \\
                /inject/docker.sock /inject/containerd.sock
            chmod 660 /inject/*.sock",
            json!([
                { "remove-socket": { "path": "/inject/docker.sock", "mode": 0o660 } },
                { "remove-socket": { "path": "/inject/containerd.sock", "mode": 0o660 } },
            ]),
            &[],
        ),
        mend(
            "storage",
            "true",
            json!([
                { "make-directory": { "path": "/inject/root" } },
                { "make-image": { "path": "/inject/root/inject.image", "bytes": 8 << 20 } },
                { "mount-image": { "path": "/inject/root/inject.image", "target": "/inject/root" } },
            ]),
            &[],
        ),
        mend(
            "sysctls",
            "echo 0 > /proc/sys/net/ipv4/conf/lo/route_localnet
            echo 0 > /proc/sys/net/ipv4/ip_forward",
            json!([
                { "set-sysctl": { "path": "/proc/sys/net/ipv4/conf/lo/route_localnet", "value": "1", "before": "0" } },
                { "set-sysctl": { "path": "/proc/sys/net/ipv4/ip_forward", "value": "1", "before": "0" } },
            ]),
            &["/proc/sys/net/ipv4/conf/lo/route_localnet", "/proc/sys/net/ipv4/ip_forward"],
        ),
        mend(
            "modules",
            "true",
            json!([
                { "load-module": { "name": "no-such-module" } },
                { "make-directory": { "path": "/inject/after" } },
            ]),
            &[],
        ),
        // A program of few calls, with what iptables gives: 1 where there is no such rule.
        mend(
            "rules",
            r#"touch /inject/rules
            cat > /inject/iptables << 'END'
#!/bin/sh
change=$3 table=$2
shift 3
rule="$table $*" found=1
while read -r line; do
    if [ "$line" = "$rule" ]; then found=0; fi
done < /inject/rules
case $change in
-A) echo "$rule" >> /inject/rules ;;
-C) exit $found ;;
-D) [ $found = 0 ] && : > /inject/rules ;;
esac
END
            chmod +x /inject/iptables"#,
            json!([
                { "add-rule": { "program": "/inject/iptables", "table": "nat", "rule": "PREROUTING -j RETURN" } },
                { "add-flag": { "flag": "--dns=192.0.2.1" } },
                { "set-limit": { "name": "nofile", "soft": 1024, "before": null } },
            ]),
            &[],
        ),
        mend(
            "programs",
            "true",
            json!([
                { "make-directory": { "path": "/inject/bin" } },
                { "make-link": { "path": "/inject/bin/iptables", "target": "/usr/sbin/iptables-legacy" } },
                { "make-link": { "path": "/inject/bin/iptables-save", "target": "/usr/sbin/iptables-legacy-save" } },
            ]),
            &[],
        ),
        mend(
            "loopback",
            "ip link set lo down",
            json!([
                { "set-link": { "name": "lo", "up": true } },
                { "make-directory": { "path": "/inject/after" } },
            ]),
            &["/sys/class/net/lo/flags"],
        ),
    ]
}

/// The kinds of steps that mends consist of, and that take them back.
pub(super) fn kinds(mends: &[Mend]) -> BTreeSet<String> {
    let steps = mends.iter().flat_map(|mend| mend.steps.iter().flat_map(|step| [step.clone(), step.inverse()]));
    steps
        .map(|step| {
            let value = serde_json::to_value(step).expect("a step is JSON");
            value.as_object().and_then(|object| object.keys().next().cloned()).expect("its kind")
        })
        .collect()
}

/// All kinds of steps that there are, from their source.
pub(super) fn all_kinds() -> BTreeSet<String> {
    let source = include_str!("../../../src/fix/step.rs");
    let list = source.split("pub enum Step {").nth(1).and_then(|rest| rest.split("\n}").next()).expect("the list");
    let names = list.lines().filter_map(|line| line.strip_prefix("    ")?.strip_suffix(" {"));
    let kebab = |name: &str| {
        let words = name.chars().enumerate().map(|(at, c)| match c {
            c if c.is_uppercase() && at > 0 => format!("-{}", c.to_ascii_lowercase()),
            c => c.to_ascii_lowercase().to_string(),
        });
        words.collect::<String>()
    };
    names.filter(|name| name.starts_with(|c: char| c.is_uppercase())).map(kebab).collect()
}
