//! All that is read of machines that are made for it, each fact with a value of its own: readers are tested by what
//! they read, and not by what a check makes of it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use dindcheck::configuration::Configuration;
use dindcheck::fact::{FactError, Root};
use dindcheck::facts::engine::Engine;
use dindcheck::facts::netfilter::Wanted;
use dindcheck::facts::places::Places;
use dindcheck::facts::storage::Storage;
use dindcheck::facts::{EarlyProbes, Facts, Request, configuration, outer};
use dindcheck::profile::outers;
use serde_json::Value;

use super::{Refused, Trial, machine, profile};

/// What a file is: a text, a link to elsewhere, a program (true) or a text that is named like one (false), a directory.
#[derive(Clone, Copy)]
enum Made {
    Text(&'static str),
    Link(&'static str),
    Program(bool),
    Directory,
}
use Made::{Directory, Link, Program, Text};

/// A machine with version 2 alone, whose daemon is told most by its file, and which an earlier daemon has left.
const UNIFIED: &[(&str, Made)] = &[
    ("proc/sys/kernel/osrelease", Text("6.12.1-test\n")),
    ("proc/sys/kernel/cap_last_cap", Text("40\n")),
    ("proc/modules", Text("veth 40960 0 - Live 0x0\n")),
    ("proc/filesystems", Text("nodev\tsysfs\nnodev\toverlay\n\text4\n")),
    ("lib/modules/6.12.1-test/modules.builtin", Text("kernel/net/bridge/bridge.ko\n")),
    ("lib/modules/6.12.1-test/modules.dep", Text("kernel/net/netfilter/xt-nat.ko.xz: kernel/x.ko\n")),
    (
        "proc/self/status",
        Text(
            "Name:\tx\nUid:\t1\t0\t2\t3\nNoNewPrivs:\t1\nSeccomp:\t2\nCapEff:\t0000000000000003\nCapBnd:\t8000000000200007\n",
        ),
    ),
    ("proc/self/uid_map", Text("         0     100000      65536\n")),
    ("proc/self/attr/current", Text("docker-default (enforce)\n")),
    (
        "proc/self/mountinfo",
        Text(
            "1 0 0:20 / / rw,relatime shared:5 master:6 - overlay overlay rw,lowerdir=/a:/b\n\
         2 1 0:21 / /proc ro,nosuid - proc proc rw\n\
         3 1 0:22 /../.. /sys/fs/cgroup rw,nosuid,nodev - cgroup2 cgroup rw,nsdelegate\n\
         4 1 8:1 /data /srv/docker\\040root rw,noexec,nodev - ext4 /dev/sda1 ro,errors=continue\n\
         odd\n",
        ),
    ),
    ("proc/self/cgroup", Text("0::/../c1\n")),
    ("proc/1/cgroup", Text("0::/init.scope\n")),
    ("proc/self/ns/cgroup", Text("")),
    ("proc/1/environ", Text("A=b\0container=podman\0")),
    ("sys/fs/cgroup/cgroup.controllers", Text("cpu memory pids\n")),
    ("sys/fs/cgroup/cgroup.subtree_control", Text("pids\n")),
    ("sys/fs/cgroup/cgroup.type", Text("domain\n")),
    ("sys/fs/cgroup/cgroup.procs", Text("0\n7\nodd\n")),
    ("sys/fs/cgroup/cpu.max", Text("50000 100000\n")),
    ("sys/fs/cgroup/memory.max", Text("1073741824\n")),
    ("sys/fs/cgroup/pids.max", Text("max\n")),
    ("sys/fs/cgroup/init/cgroup.procs", Text("8\n9\n")),
    (
        "proc/7/stat",
        Text(
            "7 (a (b) c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4200 1 2 3 4 5 6 7 8 9 10 11 12 0 0 0 17 0 0 0 0 0 0\n",
        ),
    ),
    (
        "proc/8/stat",
        Text(
            "8 (jackd) S 1 8 8 0 -1 4194560 1 2 3 4 5 6 7 8 -2 0 1 0 100 1 2 3 4 5 6 7 8 9 10 11 12 0 0 0 17 0 1 1 0 0 0\n",
        ),
    ),
    ("proc/stat", Text("cpu 1 2 3\nbtime 1000000\n")),
    ("var/run/docker.pid", Text("7\n")),
    ("run/docker/containerd/containerd.pid", Text("none\n")),
    ("run/containerd/containerd.sock", Text("")),
    ("etc/docker/key.json", Text("{}")),
    (
        "proc/self/limits",
        Text(
            "Limit   Soft Limit   Hard Limit   Units\nMax processes  500  unlimited  processes\nMax open files  1024  4096  files\n",
        ),
    ),
    ("proc/sys/fs/inotify/max_user_instances", Text("128\n")),
    ("proc/sys/user/max_inotify_instances", Text("64\n")),
    ("proc/sys/kernel/keys/root_maxkeys", Text("200\n")),
    ("proc/key-users", Text("    0:   159 158/158 102/200 3217/25000\n")),
    (
        "etc/docker/daemon.json",
        Text(
            r#"{"data-root": "/srv/docker root/", "storage-driver": "btrfs", "mtu": 1400, "bip": "10.9.0.1/24", "dns": ["9.9.9.9"],
            "icc": false, "ip-forward": false, "ipv6": true, "hosts": ["unix:///run/x.sock"]}"#,
        ),
    ),
    ("srv/docker root/overlay2/l/x", Text("")),
    ("srv/docker root/btrfs", Directory),
    ("srv/docker root/vfs/dir/x", Text("")),
    ("srv/docker root/network/files/local-kv.db", Text("")),
    ("srv/docker root/containerd/daemon/io.containerd.content.v1.content/blobs/sha256/x", Text("")),
    ("srv/docker root/dindcheck.ext4", Text("x")),
    (
        "proc/net/route",
        Text(
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
         eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
         eth1\t000010AC\t00000000\t0001\t0\t0\t0\t0000F0FF\t0\t0\t0\n",
        ),
    ),
    ("sys/class/net/eth0/mtu", Text("1450\n")),
    ("sys/class/net/eth0/device", Text("")),
    ("sys/class/net/br-1/bridge", Text("")),
    ("sys/class/net/lo/mtu", Text("65536\n")),
    ("etc/resolv.conf", Text("search x\nnameserver 127.0.0.11\nnameserver 9.9.9.9\n")),
    ("proc/net/udp", Text("  sl  local_address rem_address   st\n  517: 0B00007F:8A05 00000000:0000 07\n")),
    ("proc/net/tcp", Text("  sl  local_address rem_address   st\n   0: 0B00007F:9F2D 00000000:0000 0A\n")),
    ("proc/sys/net/core/somaxconn", Text("4096\n")),
    ("proc/sys/net/ipv4/ip_forward", Text("1\n")),
    ("proc/sys/net/ipv4/conf/all/rp_filter", Text("2\n")),
    ("proc/sys/net/ipv4/conf/eth0/rp_filter", Text("1\n")),
    ("proc/sys/net/ipv4/conf/lo/rp_filter", Text("1\n")),
    ("proc/sys/net/ipv4/conf/all/arp_ignore", Text("1\n")),
    ("proc/sys/net/ipv4/conf/default/arp_ignore", Text("2\n")),
    ("proc/sys/net/ipv4/conf/default/route_localnet", Text("0\n")),
    ("proc/sys/net/ipv4/conf/br-1/route_localnet", Text("1\n")),
    ("proc/sys/net/ipv6/conf/all/forwarding", Text("1\n")),
    ("proc/sys/net/ipv6/conf/default/forwarding", Text("0\n")),
    ("usr/sbin/iptables", Link("xtables-nft-multi")),
    ("usr/sbin/xtables-nft-multi", Program(true)),
    ("usr/sbin/iptables-legacy", Link("xtables-legacy-multi")),
    ("usr/sbin/xtables-legacy-multi", Program(true)),
    ("usr/sbin/ip6tables-legacy", Link("xtables-legacy-multi")),
    ("usr/sbin/mkfs.ext4", Program(true)),
    ("usr/bin/dockerd", Program(true)),
    ("usr/local/bin/runc", Program(false)),
    ("usr/bin/runc", Program(true)),
];

/// A machine with version 1 and 2, whose daemon is told most by flags, and where nothing was left.
const HYBRID: &[(&str, Made)] = &[
    ("proc/sys/kernel/osrelease", Text("4.19.0\n")),
    ("proc/self/status", Text("Uid:\t0\t1000\t0\t0\nCapEff:\tffffffffffffffff\nCapBnd:\t0\n")),
    ("proc/self/uid_map", Text("         0          0 4294967295\n")),
    (
        "proc/self/mountinfo",
        Text(
            "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
         2 1 0:22 / /sys/fs/cgroup ro - tmpfs tmpfs rw,mode=755\n\
         3 2 0:23 /docker/a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
         4 2 0:24 /docker/a /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
         5 2 0:25 /docker/a /sys/fs/cgroup/systemd ro - cgroup cgroup rw,xattr,name=systemd\n\
         6 2 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup rw\n",
        ),
    ),
    ("proc/self/cgroup", Text("3:memory:/docker/a\n2:pids:/docker/a\n1:name=systemd:/docker/a\n0::/docker/a\n")),
    ("sys/fs/cgroup/memory/memory.limit_in_bytes", Text("536870912\n")),
    ("sys/fs/cgroup/pids/pids.max", Text("400\n")),
    ("sys/fs/cgroup/cpu", Link("cpu,cpuacct")),
    ("proc/self/limits", Text("Max open files  x  4096  files\n")),
    ("proc/net/ip_tables_names", Text("filter\n")),
    ("proc/net/route", Text("Iface\n")),
    ("proc/sys/net/core/somaxconn", Text("128\n")),
    ("proc/sys/net/core/netdev_max_backlog", Text("1000\n")),
    ("proc/sys/net/bridge/bridge-nf-call-iptables", Text("1\n")),
    ("proc/sys/net/ipv4/ip_forward", Text("0\n")),
    ("usr/sbin/iptables", Link("xtables-multi")),
    ("usr/sbin/ip6tables", Link("xtables-multi")),
    ("usr/sbin/xtables-multi", Program(true)),
    ("usr/sbin/iptables-nft", Link("xtables-nft-multi")),
    ("usr/sbin/xtables-nft-multi", Program(true)),
    ("var/lib/docker/overlay2/l/x", Text("")),
];

fn make(root: &Path, files: &[(&str, Made)]) {
    for (path, made) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match made {
            Text(text) => {
                let file = std::fs::File::create_new(&path).unwrap();
                std::io::Write::write_all(&mut &file, text.as_bytes()).unwrap();
                file.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
                file.set_permissions(std::fs::Permissions::from_mode(0o640)).unwrap();
            }
            Link(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            Program(runs) => {
                std::fs::write(&path, "").unwrap();
                let mode = if *runs { 0o755 } else { 0o644 };
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            }
            Directory => std::fs::create_dir(path).unwrap(),
        }
    }
}

/// Each fact in a line, by its path; parts of the kernel of which nothing is known, and settings of the daemon's, are
/// left out.
fn lines(path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, value)| self::lines(&format!("{path}.{name}"), value, lines));
        }
        Value::Array(values) if values.iter().any(|value| value.is_object() || value.is_array()) => {
            values.iter().enumerate().for_each(|(at, value)| self::lines(&format!("{path}[{at}]"), value, lines));
        }
        _ if value == "untold" => {}
        _ => lines.push(format!("{}: {value}", path.trim_start_matches('.'))),
    }
}

fn facts_of(files: &[(&str, Made)], inner: &str, given: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), files);
    let (root, profile) = (Root::new(directory.path()), profile(inner));
    let given: Vec<String> = given.iter().map(|word| (*word).to_owned()).collect();
    let configuration = configuration::read(&root, &Places::of(&root), &given, &[], Some(&profile.version));
    let mut engine = Engine {
        version: profile.version.clone(),
        said_by: "--inner".to_owned(),
        binaries: Default::default(),
        path: "/usr/local/bin:/usr/bin".to_owned(),
        companions: Default::default(),
    };
    engine.locate(&root, &profile.binaries_required.value);
    let request = Request {
        configuration,
        soft_limits: vec![("nproc".to_owned(), Some(600))],
        netfilter: Wanted { ipset: true, ..Wanted::default() },
        ask_client: true,
        ..machine::request(root, &profile)
    };
    let outer = outer::read(&request.root, &outers().unwrap());
    let facts = Facts::read(&request, Ok(engine), outer).finish(Some(EarlyProbes::start(&request.root)), &request);
    let mut told = Vec::new();
    lines("", &serde_json::to_value(&facts).unwrap(), &mut told);
    told.join("\n")
}

#[test]
fn all_of_a_machine_with_version_2_is_read() {
    insta::assert_snapshot!("unified", facts_of(UNIFIED, "28.5.2", &[]));
}

#[test]
fn all_of_a_machine_with_version_1_is_read() {
    let given = ["--data-root=/var/lib/docker/", "-s", "overlay2", "--userland-proxy=false", "--bip=10.8.0.1/16"];
    insta::assert_snapshot!("hybrid", facts_of(HYBRID, "20.10.24", &given));
}

/// What was tried is as good as new where all of it worked and nothing around it is another one.
#[test]
fn an_overlay_is_tried_again_unless_it_worked_where_nothing_has_changed() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), HYBRID);
    let (root, profile) = (Root::new(directory.path()), profile("28.5.2"));
    let request = machine::request(root.clone(), &profile);
    let first = machine::facts(root, &profile, Configuration::of_words(&[]));
    let trial = |failure: Option<Refused>, not_tried: Option<&str>| Trial {
        failure,
        not_tried: not_tried.map(str::to_owned),
        ..super::trial(&first.storage.as_ref().unwrap().directories[0])
    };
    let worked = trial(None, None);
    let again = |trials: &[Trial], change: &dyn Fn(&mut Storage)| {
        let mut earlier = first.clone();
        let storage = earlier.storage.as_mut().unwrap();
        storage.trials = Ok(trials.to_vec());
        change(storage);
        let read = earlier.read_again(&request).finish(None, &request);
        assert_eq!((&read.engine, &read.outer, &read.mounts), (&first.engine, &first.outer, &first.mounts));
        read.storage.unwrap()
    };
    let fresh = first.storage.clone().unwrap();
    assert!(fresh.trials.is_err(), "nothing is tried in a captured machine");
    let known = Storage { trials: Ok(vec![worked.clone()]), ..fresh.clone() };
    assert_eq!(again(std::slice::from_ref(&worked), &|_| {}), known);
    let failed = trial(Some(super::not_mounted("EINVAL", libc::EINVAL)), None);
    assert_eq!(again(&[worked.clone(), failed], &|_| {}), fresh);
    assert_eq!(again(&[worked.clone(), trial(None, Some("on purpose"))], &|_| {}), fresh);
    assert_eq!(again(std::slice::from_ref(&worked), &|storage| storage.has_udev = !storage.has_udev), fresh);
    assert_eq!(again(&[worked], &|storage| storage.trials = fresh.trials.clone()), fresh);
}

/// Facts that were captured before there was one of them: it is not known, and the rest is as it was.
#[test]
fn facts_of_old_are_read_without_what_they_do_not_have() {
    let whole = include_str!("../hosts/pod.json");
    let facts: Facts = serde_json::from_str(whole).unwrap();
    let without = |name: &str| -> Facts {
        let mut value: Value = serde_json::from_str(whole).unwrap();
        assert!(value.as_object_mut().unwrap().remove(name).is_some(), "{name}");
        serde_json::from_value(value).unwrap()
    };
    let error = |what: &str, captured: &str| FactError::new("find", what, captured);
    let (it, they) = ("it was not captured", "they were not captured");
    let configuration = Err(error("the daemon's configuration", it));
    assert_eq!(without("configuration"), Facts { configuration, ..facts.clone() });
    let tls = Err(error("the files of the daemon's TLS", they));
    assert_eq!(without("tls"), Facts { tls, ..facts.clone() });
    let validation = Err(error("the daemon's word on its configuration", it));
    assert_eq!(without("validation"), Facts { validation, ..facts.clone() });
    assert_eq!(without("client"), Facts { client: Err(error("the client's API", it)), ..facts.clone() });
    assert_eq!(without("devices"), Facts { devices: Err(error("device nodes", they)), ..facts.clone() });
    // Before users could have a daemon of their own, it was root's.
    assert_eq!(without("rootless"), Facts { rootless: Ok(None), ..facts });
}
