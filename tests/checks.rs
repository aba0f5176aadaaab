//! Each check over facts of recorded hosts: a pass, a fail and an unknown.

#![expect(clippy::unwrap_used, reason = "a fact that is missing is a failed test")]

#[path = "checks/causes.rs"]
mod causes;
#[path = "common/machine.rs"]
mod machine;
#[path = "checks/facts.rs"]
mod machines;
#[path = "checks/reports.rs"]
mod reports;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use dindcheck::check::{self, CHECKS, Selection};
use dindcheck::configuration::{Configuration, Defaults, Environment, Sources};
use dindcheck::fact::{FactError, Root};
use dindcheck::facts::Facts;
use dindcheck::facts::cgroup::Occupant;
use dindcheck::facts::client::Client;
use dindcheck::facts::devices::{Device, Devices, Nvidia};
use dindcheck::facts::kernel::Presence;
use dindcheck::facts::leftovers::{Answer, PidFile, Process, Socket};
use dindcheck::facts::limits::{Limit, Limits, Setting};
use dindcheck::facts::mounts::Mount;
use dindcheck::facts::netfilter::{Attempt, Candidate, Failure, Flavour};
use dindcheck::facts::network::{Network, Resolver, Route};
use dindcheck::facts::nftables::Nftables as Nft;
use dindcheck::facts::rootless::{Directory as UserDirectory, Mapper, Rootless};
use dindcheck::facts::storage::Directory;
use dindcheck::facts::tls::{PemFile, TlsFiles};
use dindcheck::facts::validation::{Answer as Said, Remap, Validation};
use dindcheck::finding::{Evidence, Finding, Outcome, Severity, Verdict};
use dindcheck::fix::Fix;
use dindcheck::fix::Scope;
use dindcheck::probe::Attempt as Attempted;
use dindcheck::probe::privileges::{EROFS, MASK, SYSCTL};
use dindcheck::probe::storage::{Failure as Refused, Stage, Trial};
use dindcheck::profile::{ImageStore, Profile, Profiles, outers};
use dindcheck::version::{ApiVersion, EngineVersion};

fn profile(version: &str) -> Profile {
    Profiles::load(None).unwrap().resolve(&version.parse().unwrap()).unwrap()
}

/// The facts of a recorded host, with an engine and a firewall as the live container had them.
fn facts(host: &str, profile: &Profile) -> Facts {
    let root = Root::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts").join(host));
    let mut facts = machine::facts(root, profile, Configuration::of_words(&[]));
    let netfilter = facts.netfilter.as_mut().unwrap();
    netfilter.legacy_in_kernel = true;
    netfilter.candidates = vec![candidate(Flavour::Nft, "iptables", None)];
    let storage = facts.storage.as_mut().unwrap();
    // What lies on an overlay cannot carry another one: so it was when the host was recorded.
    storage.trials = Ok(storage.directories.iter().map(trial).collect());
    facts.privileges.as_mut().unwrap().attempts = Ok(vec![Attempted { what: "mknod".to_owned(), error: None }]);
    if let Ok(cgroup) = &mut facts.cgroup {
        let what = "make a cgroup in /sys/fs/cgroup/devices".to_owned();
        cgroup.attempts = Ok(vec![Attempted { what, error: None }]);
    }
    facts.network = Ok(network());
    facts.limits = Ok(limits());
    storage.mkfs = None;
    facts.validation = Ok(Validation { command: "dockerd --validate".to_owned(), answer: Said::Accepted, remap: None });
    let fuse = Device {
        path: "/dev/fuse".to_owned(),
        major: 10,
        minor: 229,
        is_there: true,
        has_directory: true,
        error: None,
        refused: false,
    };
    facts.devices = Ok(Devices { all: vec![fuse], nvidia: None });
    facts
}

fn not_mounted(error: &str, errno: i32) -> Refused {
    Refused { what: "mount an overlay".to_owned(), error: error.to_owned(), errno: Some(errno), stage: Stage::Mount }
}

fn trial(directory: &Directory) -> Trial {
    let refused = directory.fstype == "overlay";
    Trial {
        not_tried: None,
        path: directory.path.clone(),
        tried_in: directory.path.clone(),
        failure: refused.then(|| not_mounted("EINVAL", libc::EINVAL)),
        d_type: Some(true),
        free_bytes: Some(100 << 30),
        free_inodes: Some(1_000_000),
    }
}

fn network() -> Network {
    let attempts = ["make a bridge", "write net.ipv4.ip_forward"];
    let route = |network: [u8; 4], bits| Route {
        line: 2,
        interface: "eth0".to_owned(),
        network: network.into(),
        bits,
        on_link: bits > 0,
    };
    Network {
        nameservers: vec![(1, "192.0.2.53".to_owned())],
        routes: vec![route([0, 0, 0, 0], 0), route([172, 17, 0, 0], 16)],
        default_mtu: Some(("eth0".to_owned(), 1500)),
        daemon_mtu: None,
        daemon_bip: None,
        daemon_without: Vec::new(),
        daemon_leaves_forwarding: false,
        daemon_dns: Vec::new(),
        resolvers: Vec::new(),
        address: Some([172, 17, 0, 2].into()),
        bridges: Vec::new(),
        is_first: Some(false),
        is_in_hosts: Some(true),
        route_localnet: vec![("default".to_owned(), 0)],
        loopback_up: Some(true),
        arp_ignore: [("all", 0), ("default", 1)].map(|(name, value)| (name.to_owned(), value)).to_vec(),
        bridge_filter: Some(true),
        ignores_bridge_filter: false,
        rp_filter_drops: Some(0),
        rp_filter: [("all", 0), ("eth0", 0), ("flannel.1", 0)].map(|(name, value)| (name.to_owned(), value)).to_vec(),
        devices: Vec::new(),
        ip_forward: Some(false),
        ipv6_forward: [("default", 0), ("all", 0)].map(|(name, value)| (name.to_owned(), value)).to_vec(),
        daemon_ipv6: false,
        attempts: Ok(attempts.map(|what| Attempted { what: what.to_owned(), error: None }).to_vec()),
    }
}

fn limits() -> Limits {
    let setting = |path: &str, value| Some(Setting { path: path.to_owned(), value });
    Limits {
        open_files: Some(Limit { soft: Some(1_048_576), hard: Some(1_048_576) }),
        processes: Some(Limit { soft: None, hard: None }),
        pids_max: setting("/sys/fs/cgroup/pids/pids.max", None),
        memory_max: setting("/sys/fs/cgroup/memory/memory.limit_in_bytes", Some(u64::MAX >> 1)),
        inotify_instances: setting("/proc/sys/fs/inotify/max_user_instances", Some(128)),
        root_keys: setting("/proc/sys/kernel/keys/root_maxkeys", Some(1_000_000)),
        root_keys_used: Some(100),
    }
}

/// Programs that write filter and nat, or are refused in nat with a message.
fn candidate(flavour: Flavour, name: &str, message: Option<&str>) -> Candidate {
    let attempt = |v6: bool, table: &str, message: Option<&str>| Attempt {
        program: format!("/usr/sbin/{}", if v6 { name.replace("ip", "ip6") } else { name.to_owned() }),
        v6,
        table: table.to_owned(),
        failure: message.map(|message| Failure {
            rule: "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER".to_owned(),
            message: message.to_owned(),
        }),
    };
    Candidate {
        flavour,
        iptables: format!("/usr/sbin/{name}"),
        ip6tables: Some(format!("/usr/sbin/{}", name.replace("ip", "ip6"))),
        not_tried: None,
        attempts: vec![
            attempt(false, "filter", None),
            attempt(false, "nat", message),
            attempt(true, "filter", None),
            attempt(true, "nat", message),
        ],
    }
}

fn nft(program: Option<&str>) -> Nft {
    Nft { program: program.map(str::to_owned), not_tried: None, attempts: Vec::new() }
}

/// An nft that is refused the rule with fib of one family.
fn refuse_fib(facts: &mut Facts, v6: bool) {
    let attempt = |is_v6| Attempt {
        program: "nft".to_owned(),
        v6: is_v6,
        table: "docker-bridges".to_owned(),
        failure: (is_v6 == v6).then(|| Failure {
            rule: "add rule ip docker-bridges nat-PREROUTING fib daddr type local counter accept".to_owned(),
            message: "/dev/stdin:13:1-9: Error: Could not process rule: No such file or directory".to_owned(),
        }),
    };
    let attempts = vec![attempt(false), attempt(true)];
    facts.netfilter.as_mut().unwrap().nftables = Some(Ok(Nft { attempts, ..nft(Some("nft")) }));
}

/// A daemon that shall write with nft and give IPv6 to its bridge, where forwarding says this: IPv4's, IPv6's of `default`
/// and of `all`.
fn with_nft_and_ipv6(facts: &mut Facts, [v4, default, all]: [u32; 3]) {
    facts.netfilter.as_mut().unwrap().nftables = Some(Ok(nft(Some("nft"))));
    let network = facts.network.as_mut().unwrap();
    network.daemon_ipv6 = true;
    network.ip_forward = Some(v4 == 1);
    network.ipv6_forward = [("default", default), ("all", all)].map(|(name, value)| (name.to_owned(), value)).to_vec();
}

/// A daemon with TLS, whose files are as they should be but for what is changed.
fn tls_files(facts: &mut Facts, change: fn(&mut TlsFiles)) {
    let file = |name: &str| PemFile { path: format!("/x/{name}.pem"), is_named: false, problem: None };
    let mut files = TlsFiles { certificate: file("cert"), key: file("key"), ca: Some(file("ca")), fit: Some(true) };
    change(&mut files);
    facts.tls = Ok(Some(files));
}

/// A daemon that shall filter between the ports of its bridge, and a kernel that does not show how.
fn without_bridge_filter(facts: &mut Facts) {
    let network = facts.network.as_mut().unwrap();
    network.bridge_filter = Some(false);
    network.daemon_without.push("icc".to_owned());
}

fn judge(id: &str, facts: &Facts, profile: &Profile) -> (Finding, Option<Fix>) {
    let selection = Selection { only: vec![id.to_owned()], skip: Vec::new() };
    check::run(facts, profile, &selection).pop().unwrap_or_else(|| panic!("no check {id}"))
}

/// What makes a healthy host fail one check, and what the check then says of it.
struct Fault {
    id: &'static str,
    inner: &'static str,
    host: &'static str,
    make: fn(&mut Facts),
    severity: Severity,
    says: &'static str,
    mendable: bool,
}

const NOTHING: fn(&mut Facts) = |_| {};

#[rustfmt::skip]
const FAULTS: &[Fault] = &[
    Fault { id: "rootless.engine", inner: "18.09.9", host: "healthy-28.5.2", make: |facts| of_user(facts, |_| {}), severity: Severity::Blocking, says: "cannot be rootless", mendable: false },
    Fault { id: "rootless.programs", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| of_user(facts, |seen| { seen.mappers.clear(); seen.network.1 = None; }), severity: Severity::Blocking, says: "not found: newuidmap, newgidmap, slirp4netns", mendable: false },
    Fault { id: "rootless.directories", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| of_user(facts, |seen| seen.directories[0].error = Some("EACCES".to_owned())), severity: Severity::Blocking, says: "cannot be written to: HOME", mendable: false },
    Fault { id: "rootless.ids", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| of_user(facts, |seen| seen.gids = Ok(vec![(100_000, 1000)])), severity: Severity::Blocking, says: "too few ids for rootless in /etc/subgid", mendable: false },
    Fault { id: "rootless.user-namespace", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| of_user(facts, |seen| seen.attempts.as_mut().unwrap()[0].error = Some("EPERM".to_owned())), severity: Severity::Blocking, says: "no user namespace can be made", mendable: false },
    Fault { id: "rootless.id-map", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| of_user(facts, |seen| seen.attempts.as_mut().unwrap()[1].error = Some("EPERM".to_owned())), severity: Severity::Blocking, says: "refused: /usr/bin/newuidmap", mendable: false },
    Fault { id: "rootless.tun", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| of_user(facts, |seen| seen.tun = Some("EACCES".to_owned())), severity: Severity::Blocking, says: "/dev/net/tun cannot be opened", mendable: false },
    Fault { id: "privileges.capabilities", inner: "28.5.2", host: "unprivileged", make: NOTHING, severity: Severity::Blocking, says: "missing: CAP_SYS_ADMIN, CAP_NET_ADMIN", mendable: false },
    Fault { id: "privileges.capabilities", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| drop_capability(facts, "CAP_AUDIT_WRITE"), severity: Severity::Blocking, says: "missing: CAP_AUDIT_WRITE", mendable: false },
    Fault { id: "privileges.capabilities", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| drop_capability(facts, "CAP_SYS_PTRACE"), severity: Severity::Warning, says: "missing: CAP_SYS_PTRACE", mendable: false },
    Fault { id: "privileges.seccomp", inner: "28.5.2", host: "unprivileged", make: |facts| facts.privileges.as_mut().unwrap().attempts.as_mut().unwrap()[0].error = Some("EPERM".to_owned()), severity: Severity::Warning, says: "a system call filter is on", mendable: false },
    Fault { id: "privileges.seccomp", inner: "28.5.2", host: "unprivileged", make: NOTHING, severity: Severity::Info, says: "a system call filter is on", mendable: false },
    Fault { id: "privileges.no-new-privs", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.privileges.as_mut().unwrap().no_new_privs = Some(true), severity: Severity::Warning, says: "no_new_privs is set", mendable: false },
    Fault { id: "engine.binaries", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { facts.engine.as_mut().unwrap().binaries.insert("runc".to_owned(), None); }, severity: Severity::Blocking, says: "not found: runc", mendable: false },
    Fault { id: "network.ip-forward", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { let network = facts.network.as_mut().unwrap(); network.daemon_leaves_forwarding = true; network.attempts.as_mut().unwrap()[1].error = Some("EROFS".to_owned()); }, severity: Severity::Blocking, says: "cannot be turned on", mendable: false },
    Fault { id: "engine.profile", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.engine = Err(FactError::new("find", "dockerd or docker", "not in /bin")), severity: Severity::Blocking, says: "the engine's version is not known", mendable: false },
    Fault { id: "engine.pairing", inner: "29.7.2", host: "healthy-28.5.2", make: |facts| companion(facts, "1.1.15"), severity: Severity::Blocking, says: "runc 1.1.15 does not work", mendable: false },
    Fault { id: "engine.pairing", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { companion(facts, "1.3.3"); facts.outer.as_mut().unwrap().engine = Some("lxc".to_owned()); sysctl(facts, Some("Permission denied")); }, severity: Severity::Blocking, says: "runc 1.3.3 does not work in lxc", mendable: false },
    Fault { id: "engine.pairing", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { companion(facts, "1.3.3"); facts.outer.as_mut().unwrap().engine = Some("lxc".to_owned()); }, severity: Severity::Warning, says: "runc 1.3.3 may not work in lxc", mendable: false },
    Fault { id: "engine.pairing", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| sysctl(facts, Some("its root has the inode number 86")), severity: Severity::Warning, says: "runc may not work here", mendable: false },
    Fault { id: "cgroup.version", inner: "19.03.15", host: "healthy-28.5.2", make: |facts| facts.cgroup.as_mut().unwrap().mode = dindcheck::facts::cgroup::Mode::Unified, severity: Severity::Blocking, says: "the host has cgroup v2 only", mendable: false },
    Fault { id: "cgroup.mounted", inner: "1.7.1", host: "no-cgroup-mounts", make: NOTHING, severity: Severity::Blocking, says: "no cgroup hierarchy is mounted", mendable: true },
    Fault { id: "cgroup.mounted", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.cgroup.as_mut().unwrap().legacy_mounts.retain(|mount| !mount.point.ends_with("devices")), severity: Severity::Blocking, says: "not mounted: the hierarchy of devices", mendable: true },
    Fault { id: "cgroup.writable", inner: "28.5.2", host: "unprivileged", make: NOTHING, severity: Severity::Blocking, says: "9 of 9 are read-only", mendable: false },
    Fault { id: "cgroup.writable", inner: "28.5.2", host: "unprivileged", make: |facts| { facts.privileges.as_mut().unwrap().effective.insert("CAP_SYS_ADMIN".to_owned()); }, severity: Severity::Blocking, says: "9 of 9 are read-only", mendable: true },
    Fault { id: "cgroup.controllers", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.cgroup.as_mut().unwrap().legacy_mounts.retain(|mount| !mount.point.ends_with("memory")), severity: Severity::Warning, says: "not available: memory", mendable: false },
    Fault { id: "cgroup.namespace", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.cgroup.as_mut().unwrap().legacy_mounts.iter_mut().for_each(|mount| mount.root = "/".to_owned()), severity: Severity::Warning, says: "the whole tree of the host is seen", mendable: true },
    Fault { id: "cgroup.namespace", inner: "28.5.2", host: "unified-host-view-6.12", make: NOTHING, severity: Severity::Warning, says: "the whole tree of the host is seen", mendable: true },
    Fault { id: "cgroup.version", inner: "29.7.2", host: "healthy-28.5.2", make: NOTHING, severity: Severity::Info, says: "this engine works there, and warns", mendable: false },
    Fault { id: "cgroup.hybrid", inner: "17.03.0-ce", host: "healthy-28.5.2", make: |facts| facts.cgroup.as_mut().unwrap().unified_mounts.push(unified_mount("/")), severity: Severity::Blocking, says: "cgroup2 on /sys/fs/cgroup/unified: every run will fail", mendable: true },
    Fault { id: "cgroup.hybrid", inner: "1.11.0", host: "healthy-28.5.2", make: |facts| facts.cgroup.as_mut().unwrap().unified_mounts.push(unified_mount("/../..")), severity: Severity::Blocking, says: "cgroup2 on", mendable: false },
    Fault { id: "cgroup.delegation", inner: "28.5.2", host: "unified-6.12", make: |facts| facts.cgroup.as_mut().unwrap().unified.as_mut().unwrap().kind = Some("domain threaded".to_owned()), severity: Severity::Warning, says: "inner containers get no", mendable: false },
    Fault { id: "cgroup.delegation", inner: "28.5.2", host: "unified-6.12", make: |facts| facts.cgroup.as_mut().unwrap().unified.as_mut().unwrap().foreign = true, severity: Severity::Warning, says: "inner containers get no", mendable: false },
    Fault { id: "cgroup.delegation", inner: "28.5.2", host: "unified-6.12", make: NOTHING, severity: Severity::Warning, says: "inner containers get no cpuset, cpu, io, memory, pids", mendable: true },
    Fault { id: "mounts.proc-sys", inner: "28.5.2", host: "unprivileged", make: NOTHING, severity: Severity::Blocking, says: "/proc/sys is read-only", mendable: false },
    Fault { id: "mounts.proc-sys", inner: "28.5.2", host: "unprivileged", make: |facts| { facts.privileges.as_mut().unwrap().effective.insert("CAP_SYS_ADMIN".to_owned()); }, severity: Severity::Blocking, says: "/proc/sys is read-only", mendable: true },
    Fault { id: "mounts.writable", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| read_only(facts, "/"), severity: Severity::Blocking, says: "read-only: /run, /tmp", mendable: false },
    Fault { id: "mounts.writable", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| read_only(facts, "/tmp"), severity: Severity::Warning, says: "read-only: /tmp", mendable: false },
    Fault { id: "mounts.writable", inner: "22.06.0", host: "healthy-28.5.2", make: |facts| read_only(facts, "/etc/docker"), severity: Severity::Blocking, says: "read-only: /etc/docker", mendable: false },
    Fault { id: "mounts.propagation", inner: "28.5.2", host: "healthy-28.5.2", make: NOTHING, severity: Severity::Info, says: "/ is private", mendable: true },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "data-root-on-overlay", make: without_fuse, severity: Severity::Warning, says: "/var/lib/docker lies on overlay: the daemon will fall back to vfs", mendable: false },
    Fault { id: "storage.data-root", inner: "29.7.2", host: "data-root-on-overlay", make: NOTHING, severity: Severity::Blocking, says: "every container will fail", mendable: false },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "data-root-on-overlay", make: |facts| { without_fuse(facts); facts.storage.as_mut().unwrap().image_store = ImageStore::Containerd; }, severity: Severity::Blocking, says: "every container will fail", mendable: false },
    Fault { id: "storage.data-root", inner: "29.7.2", host: "data-root-on-overlay", make: |facts| { without_fuse(facts); facts.storage.as_mut().unwrap().image_store = ImageStore::Graphdriver; }, severity: Severity::Warning, says: "the daemon will fall back to vfs", mendable: false },
    Fault { id: "storage.data-root", inner: "29.7.2", host: "data-root-on-overlay", make: |facts| { without_fuse(facts); let storage = facts.storage.as_mut().unwrap(); storage.image_store = ImageStore::Graphdriver; storage.driver = Some(("overlay2".to_owned(), "DOCKER_DRIVER".to_owned())); }, severity: Severity::Blocking, says: "the daemon will refuse the driver overlay2", mendable: false },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { without_fuse(facts); loadable(facts, "overlay"); facts.storage.as_mut().unwrap().trials.as_mut().unwrap()[0].failure = Some(not_mounted("ENODEV: No such device", libc::ENODEV)) }, severity: Severity::Warning, says: "the kernel has no overlay: the daemon will fall back to vfs", mendable: true },
    Fault { id: "netfilter.iptables", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.netfilter.as_mut().unwrap().candidates = vec![candidate(Flavour::Nft, "iptables", Some("Table does not exist"))], severity: Severity::Blocking, says: "rules are refused in nat", mendable: false },
    Fault { id: "netfilter.iptables", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.netfilter.as_mut().unwrap().candidates = vec![candidate(Flavour::Nft, "iptables", Some("Table does not exist")), candidate(Flavour::Legacy, "iptables-legacy", None)], severity: Severity::Blocking, says: "rules are refused in nat", mendable: true },
    Fault { id: "netfilter.iptables", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.netfilter.as_mut().unwrap().candidates.clear(), severity: Severity::Blocking, says: "there is no iptables program", mendable: false },
    Fault { id: "netfilter.iptables", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { let netfilter = facts.netfilter.as_mut().unwrap(); netfilter.candidates[0].flavour = Flavour::Legacy; netfilter.legacy_in_kernel = false; }, severity: Severity::Blocking, says: "the kernel has no ip_tables", mendable: false },
    Fault { id: "netfilter.iptables", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { loadable(facts, "iptable_nat"); let netfilter = facts.netfilter.as_mut().unwrap(); netfilter.candidates[0].flavour = Flavour::Legacy; netfilter.legacy_in_kernel = false; }, severity: Severity::Blocking, says: "the kernel has no ip_tables", mendable: true },
    Fault { id: "netfilter.nftables", inner: "29.0.0", host: "healthy-28.5.2", make: |facts| facts.netfilter.as_mut().unwrap().nftables = Some(Ok(nft(None))), severity: Severity::Blocking, says: "there is no nft program", mendable: false },
    Fault { id: "netfilter.nftables", inner: "29.0.0", host: "healthy-28.5.2", make: |facts| { refuse_fib(facts, false); facts.kernel.as_mut().unwrap().modules.insert("nft_fib_ipv4".to_owned(), Presence::Absent); }, severity: Severity::Blocking, says: "nft is refused: expression fib", mendable: false },
    Fault { id: "netfilter.nftables", inner: "29.0.0", host: "healthy-28.5.2", make: |facts| refuse_fib(facts, true), severity: Severity::Warning, says: "nft is refused: expression fib", mendable: false },
    Fault { id: "netfilter.ip6tables", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { loadable(facts, "nf_tables"); facts.netfilter.as_mut().unwrap().candidates = vec![candidate(Flavour::Nft, "iptables", Some("No chain"))] }, severity: Severity::Warning, says: "rules are refused in nat", mendable: true },
    Fault { id: "netfilter.ip6tables", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.netfilter.as_mut().unwrap().candidates = vec![candidate(Flavour::Nft, "iptables", Some("No chain"))], severity: Severity::Warning, says: "rules are refused in nat", mendable: false },
    Fault { id: "netfilter.ip6tables", inner: "27.0.1", host: "healthy-28.5.2", make: |facts| facts.netfilter.as_mut().unwrap().candidates[0].ip6tables = None, severity: Severity::Warning, says: "there is no ip6tables program", mendable: false },
    Fault { id: "netfilter.ipset", inner: "28.0.0", host: "healthy-28.5.2", make: |facts| facts.netfilter.as_mut().unwrap().ipset = Some(Ok(Attempted { what: "make a set of networks (hash:net)".to_owned(), error: Some("EPERM".to_owned()) })), severity: Severity::Blocking, says: "the kernel makes no set of networks", mendable: false },
    Fault { id: "privileges.operations", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.privileges.as_mut().unwrap().attempts.as_mut().unwrap()[0].error = Some("EPERM: Operation not permitted".to_owned()), severity: Severity::Blocking, says: "refused: mknod", mendable: false },
    Fault { id: "privileges.operations", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { let privileges = facts.privileges.as_mut().unwrap(); privileges.initial_user_namespace = false; privileges.attempts.as_mut().unwrap()[0].error = Some("EPERM: Operation not permitted".to_owned()) }, severity: Severity::Info, says: "refused: mknod", mendable: false },
    Fault { id: "privileges.operations", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { let attempt = &mut facts.privileges.as_mut().unwrap().attempts.as_mut().unwrap()[0]; attempt.what = "clone3".to_owned(); attempt.error = Some("ENOSYS".to_owned()); }, severity: Severity::Info, says: "refused: clone3", mendable: false },
    Fault { id: "privileges.operations", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { let attempt = &mut facts.privileges.as_mut().unwrap().attempts.as_mut().unwrap()[0]; attempt.what = "clone3".to_owned(); attempt.error = Some("Operation not permitted (os error 1)".to_owned()); }, severity: Severity::Warning, says: "refused: clone3", mendable: false },
    Fault { id: "privileges.operations", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { let privileges = facts.privileges.as_mut().unwrap(); privileges.initial_user_namespace = false; privileges.uid_map = "0 0 1".to_owned(); privileges.docker_group = None; let attempt = &mut privileges.attempts.as_mut().unwrap()[0]; attempt.what = "give a file to another user".to_owned(); attempt.error = Some("Invalid argument (os error 22)".to_owned()); }, severity: Severity::Warning, says: "refused: give a file to another user", mendable: false },
    Fault { id: "privileges.operations", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { let privileges = facts.privileges.as_mut().unwrap(); privileges.initial_user_namespace = false; privileges.uid_map = "0 0 1".to_owned(); privileges.docker_group = Some(998); let attempt = &mut privileges.attempts.as_mut().unwrap()[0]; attempt.what = "give a file to another user".to_owned(); attempt.error = Some("Invalid argument (os error 22)".to_owned()); }, severity: Severity::Blocking, says: "refused: give a file to another user", mendable: false },
    Fault { id: "privileges.operations", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { let attempt = &mut facts.privileges.as_mut().unwrap().attempts.as_mut().unwrap()[0]; attempt.what = "keyctl".to_owned(); attempt.error = Some("Operation not permitted (os error 1)".to_owned()); }, severity: Severity::Blocking, says: "refused: keyctl", mendable: false },
    Fault { id: "privileges.operations", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { let attempt = &mut facts.privileges.as_mut().unwrap().attempts.as_mut().unwrap()[0]; attempt.what = "keyctl".to_owned(); attempt.error = Some("Function not implemented (os error 38)".to_owned()); }, severity: Severity::Info, says: "refused: keyctl", mendable: false },
    Fault { id: "cgroup.operations", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.cgroup.as_mut().unwrap().attempts.as_mut().unwrap()[0].error = Some("EROFS".to_owned()), severity: Severity::Blocking, says: "cannot make a cgroup in /sys/fs/cgroup/devices", mendable: false },
    Fault { id: "cgroup.operations", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { let attempt = &mut facts.cgroup.as_mut().unwrap().attempts.as_mut().unwrap()[0]; attempt.what = "freeze a cgroup in /x".to_owned(); attempt.error = Some("ENOENT".to_owned()); }, severity: Severity::Warning, says: "cannot freeze a cgroup", mendable: false },
    Fault { id: "devices.nodes", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.devices.as_mut().unwrap().nvidia = Some(Nvidia { nodes: vec!["/dev/nvidia0".to_owned()], driver: false, specifications: Vec::new() }), severity: Severity::Info, says: "inner containers get no GPU", mendable: false },
    Fault { id: "privileges.grants", inner: "20.10.24", host: "healthy-28.5.2", make: |facts| { facts.privileges.as_mut().unwrap().bounding.remove("CAP_SYS_RESOURCE"); }, severity: Severity::Warning, says: "inner --privileged will fail: no CAP_SYS_RESOURCE", mendable: false },
    Fault { id: "limits.raising", inner: "28.5.2", host: "v1-5.10", make: |facts| { facts.privileges.as_mut().unwrap().effective.remove("CAP_SYS_RESOURCE"); }, severity: Severity::Info, says: "no container is given more than the hard limits here", mendable: false },
    Fault { id: "limits.raising", inner: "28.5.2", host: "v1-5.10", make: |facts| { let privileges = facts.privileges.as_mut().unwrap(); privileges.initial_user_namespace = false; privileges.uid_map = "0 100000 65536".to_owned(); }, severity: Severity::Info, says: "no container is given more than the hard limits here", mendable: false },
    Fault { id: "limits.open-files", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.limits.as_mut().unwrap().open_files = Some(Limit { soft: Some(32), hard: Some(32) }), severity: Severity::Blocking, says: "32 at most", mendable: false },
    Fault { id: "limits.open-files", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.limits.as_mut().unwrap().open_files = Some(Limit { soft: Some(512), hard: Some(512) }), severity: Severity::Warning, says: "512 at most", mendable: false },
    Fault { id: "limits.open-files", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.limits.as_mut().unwrap().open_files = Some(Limit { soft: Some(1_073_741_816), hard: Some(1_073_741_816) }), severity: Severity::Warning, says: "1073741816 is too many", mendable: true },
    Fault { id: "limits.tasks", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.limits.as_mut().unwrap().pids_max.as_mut().unwrap().value = Some(100), severity: Severity::Warning, says: "100 at most", mendable: false },
    Fault { id: "limits.memory", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.limits.as_mut().unwrap().memory_max.as_mut().unwrap().value = Some(40 << 20), severity: Severity::Blocking, says: "40 MiB for the daemon", mendable: false },
    Fault { id: "limits.kernel", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.limits.as_mut().unwrap().root_keys.as_mut().unwrap().value = Some(200), severity: Severity::Warning, says: "low: kernel/keys/root_maxkeys", mendable: true },
    Fault { id: "limits.kernel", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.limits.as_mut().unwrap().root_keys_used = Some(999_900), severity: Severity::Warning, says: "low: kernel/keys/root_maxkeys", mendable: true },
    Fault { id: "limits.open-files", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.limits.as_mut().unwrap().open_files.as_mut().unwrap().soft = Some(256), severity: Severity::Warning, says: "256, where 1048576 would be allowed", mendable: true },
    Fault { id: "limits.tasks", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.limits.as_mut().unwrap().processes.as_mut().unwrap().soft = Some(100), severity: Severity::Warning, says: "100 at most", mendable: true },
    Fault { id: "storage.d-type", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.storage.as_mut().unwrap().trials.as_mut().unwrap()[0].d_type = Some(false), severity: Severity::Blocking, says: "has no d_type", mendable: false },
    Fault { id: "storage.d-type", inner: "1.13.1", host: "healthy-28.5.2", make: |facts| facts.storage.as_mut().unwrap().trials.as_mut().unwrap()[0].d_type = Some(false), severity: Severity::Warning, says: "has no d_type", mendable: false },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { without_fuse(facts); facts.storage.as_mut().unwrap().trials.as_mut().unwrap()[0].failure = Some(not_mounted("ENODEV: No such device", libc::ENODEV)); }, severity: Severity::Warning, says: "the kernel has no overlay: the daemon will fall back to vfs", mendable: false },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "data-root-on-overlay", make: |facts| with_loop(facts), severity: Severity::Warning, says: "will fall back to vfs", mendable: true },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "data-root-on-overlay", make: |facts| { with_loop(facts); facts.storage.as_mut().unwrap().data_root = "/var/lib/dock".to_owned(); }, severity: Severity::Warning, says: "will fall back to vfs", mendable: false },
    Fault { id: "storage.data-root", inner: "29.7.2", host: "data-root-on-overlay", make: |facts| with_loop(facts), severity: Severity::Blocking, says: "every container will fail", mendable: true },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "data-root-on-overlay", make: |facts| { with_loop(facts); facts.storage.as_mut().unwrap().has_networks = true; }, severity: Severity::Warning, says: "will fall back to vfs", mendable: false },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "data-root-on-overlay", make: |facts| { facts.engine.as_mut().unwrap().binaries.insert("fuse-overlayfs".to_owned(), Some("/usr/bin/fuse-overlayfs".to_owned())); facts.devices.as_mut().unwrap().all.retain(|device| device.path != "/dev/fuse"); }, severity: Severity::Blocking, says: "take fuse-overlayfs, and every container will fail", mendable: false },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "data-root-on-overlay", make: |facts| { with_loop(facts); facts.engine.as_mut().unwrap().binaries.insert("fuse-overlayfs".to_owned(), Some("/usr/bin/fuse-overlayfs".to_owned())); }, severity: Severity::Info, says: "will fall back to fuse-overlayfs", mendable: false },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { without_fuse(facts); refuse_overlay(facts, not_mounted("EACCES: Permission denied", libc::EACCES)); }, severity: Severity::Warning, says: "an overlay is refused: the daemon will fall back to vfs", mendable: false },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { without_fuse(facts); facts.privileges.as_mut().unwrap().label = Some("lxc-container (enforce)".to_owned()); refuse_overlay(facts, not_mounted("EACCES: Permission denied", libc::EACCES)); }, severity: Severity::Warning, says: "an overlay is refused under the security label lxc-container (enforce)", mendable: false },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| refuse_overlay(facts, Refused { what: "make a directory".to_owned(), stage: Stage::Directory, ..not_mounted("Permission denied (os error 13)", libc::EACCES) }), severity: Severity::Blocking, says: "/var/lib/docker cannot be written to", mendable: false },
    Fault { id: "cgroup.namespace", inner: "28.5.2", host: "unified-6.12", make: |facts| in_kind(facts, "/kubepods/besteffort/pod1/c1"), severity: Severity::Warning, says: "the whole tree of the host is seen", mendable: true },
    Fault { id: "storage.space", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.storage.as_mut().unwrap().trials.as_mut().unwrap()[0].free_bytes = Some(5 << 20), severity: Severity::Warning, says: "bytes free in", mendable: false },
    Fault { id: "storage.space", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.storage.as_mut().unwrap().trials.as_mut().unwrap()[0].free_inodes = Some(0), severity: Severity::Blocking, says: "0 inodes free", mendable: false },
    Fault { id: "storage.flags", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.storage.as_mut().unwrap().directories[0].noexec = true, severity: Severity::Warning, says: "is mounted noexec", mendable: false },
    Fault { id: "storage.driver", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.storage.as_mut().unwrap().used_drivers = vec!["overlay2".to_owned(), "btrfs".to_owned()], severity: Severity::Blocking, says: "has layers of overlay2 and btrfs", mendable: false },
    Fault { id: "storage.driver", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.storage.as_mut().unwrap().driver = Some(("aufs".to_owned(), "--storage-driver".to_owned())), severity: Severity::Blocking, says: "this engine has no driver aufs", mendable: false },
    Fault { id: "storage.driver", inner: "29.7.2", host: "healthy-28.5.2", make: |facts| facts.storage.as_mut().unwrap().used_drivers = vec!["vfs".to_owned()], severity: Severity::Warning, says: "made with vfs, and images live in containerd now", mendable: false },
    Fault { id: "storage.driver", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.storage.as_mut().unwrap().used_drivers = vec!["aufs".to_owned()], severity: Severity::Warning, says: "made with aufs, which this engine does not have", mendable: false },
    Fault { id: "storage.driver", inner: "20.10.24", host: "healthy-28.5.2", make: |facts| facts.storage.as_mut().unwrap().containerd_content = Some("/var/lib/docker/containerd/x".to_owned()), severity: Severity::Warning, says: "has images in containerd, which are not seen", mendable: false },
    Fault { id: "storage.driver", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { let storage = facts.storage.as_mut().unwrap(); storage.image_store = ImageStore::Containerd; storage.used_drivers = vec!["overlay2".to_owned(), "btrfs".to_owned()]; }, severity: Severity::Warning, says: "made with overlay2, btrfs, and images live in containerd now", mendable: false },
    Fault { id: "storage.driver", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.storage.as_mut().unwrap().used_drivers = vec!["overlay2".to_owned(), "aufs".to_owned()], severity: Severity::Warning, says: "made with aufs, which this engine does not have", mendable: false },
    Fault { id: "storage.driver", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { facts.storage.as_mut().unwrap().driver = Some(("zfs".to_owned(), "--storage-driver".to_owned())); facts.storage.as_mut().unwrap().left_out = vec!["zfs".to_owned()]; }, severity: Severity::Blocking, says: "this engine has no driver zfs", mendable: false },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.storage.as_mut().unwrap().used_drivers = vec!["btrfs".to_owned()], severity: Severity::Blocking, says: "the daemon will refuse the driver btrfs", mendable: false },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.storage.as_mut().unwrap().driver = Some(("zfs".to_owned(), "--storage-driver".to_owned())), severity: Severity::Blocking, says: "the daemon will refuse the driver zfs", mendable: false },
    Fault { id: "storage.data-root", inner: "20.10.24", host: "healthy-28.5.2", make: |facts| { facts.storage.as_mut().unwrap().used_drivers = vec!["aufs".to_owned()]; _ = facts.kernel.as_mut().unwrap().modules.insert("aufs".to_owned(), Presence::Absent); }, severity: Severity::Blocking, says: "the kernel has no aufs: the daemon will refuse the driver aufs", mendable: false },
    Fault { id: "storage.data-root", inner: "20.10.24", host: "healthy-28.5.2", make: |facts| facts.storage.as_mut().unwrap().used_drivers = vec!["devicemapper".to_owned()], severity: Severity::Blocking, says: "there is no udev: the daemon will refuse the driver devicemapper", mendable: false },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { without_fuse(facts); facts.storage.as_mut().unwrap().used_drivers = vec!["fuse-overlayfs".to_owned()]; }, severity: Severity::Blocking, says: "fuse-overlayfs is not in PATH: the daemon will refuse the driver fuse-overlayfs", mendable: false },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { facts.storage.as_mut().unwrap().used_drivers = vec!["fuse-overlayfs".to_owned()]; facts.engine.as_mut().unwrap().binaries.insert("fuse-overlayfs".to_owned(), Some("/usr/bin/fuse-overlayfs".to_owned())); facts.devices.as_mut().unwrap().all.retain(|device| device.path != "/dev/fuse"); }, severity: Severity::Blocking, says: "no /dev/fuse: every container will fail with the driver fuse-overlayfs", mendable: false },
    Fault { id: "storage.data-root", inner: "28.5.2", host: "data-root-on-overlay", make: |facts| facts.storage.as_mut().unwrap().used_drivers = vec!["overlay2".to_owned()], severity: Severity::Blocking, says: "the daemon will refuse the driver overlay2", mendable: false },
    Fault { id: "storage.in-use", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.storage.as_mut().unwrap().locked.push("/var/lib/docker/volumes/metadata.db".to_owned()), severity: Severity::Blocking, says: "in use by another daemon", mendable: false },
    Fault { id: "network.namespace", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.network.as_mut().unwrap().devices.push("eno1".to_owned()), severity: Severity::Warning, says: "the host's network: eno1", mendable: false },
    Fault { id: "network.devices", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.network.as_mut().unwrap().attempts.as_mut().unwrap()[0].error = Some("EPERM".to_owned()), severity: Severity::Blocking, says: "cannot make a bridge", mendable: false },
    Fault { id: "network.devices", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { loadable(facts, "bridge"); facts.network.as_mut().unwrap().attempts.as_mut().unwrap()[0].error = Some("EOPNOTSUPP".to_owned()) }, severity: Severity::Blocking, says: "cannot make a bridge", mendable: true },
    Fault { id: "network.devices", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| _ = facts.kernel.as_mut().unwrap().modules.insert("veth".to_owned(), Presence::Absent), severity: Severity::Blocking, says: "the kernel has no veth", mendable: false },
    Fault { id: "network.ip-forward", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.network.as_mut().unwrap().attempts.as_mut().unwrap()[1].error = Some("EPERM".to_owned()), severity: Severity::Blocking, says: "cannot be turned on", mendable: false },
    Fault { id: "network.ip-forward", inner: "1.0.0", host: "healthy-28.5.2", make: |facts| facts.network.as_mut().unwrap().attempts.as_mut().unwrap()[1].error = Some("EPERM".to_owned()), severity: Severity::Warning, says: "cannot be turned on", mendable: false },
    Fault { id: "network.subnets", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.network.as_mut().unwrap().routes[1] = Route { line: 3, interface: "eth0".to_owned(), network: [128, 0, 0, 0].into(), bits: 1, on_link: true }, severity: Severity::Blocking, says: "overlaps a route", mendable: true },
    Fault { id: "network.nameservers", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.network.as_mut().unwrap().nameservers = vec![(3, "127.0.0.11".to_owned())], severity: Severity::Warning, says: "will ask 8.8.8.8", mendable: false },
    Fault { id: "network.nameservers", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| resolver(facts.network.as_mut().unwrap()), severity: Severity::Warning, says: "will ask 8.8.8.8", mendable: true },
    Fault { id: "network.nameservers", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.network.as_mut().unwrap().daemon_dns = vec!["127.0.0.1".to_owned()], severity: Severity::Warning, says: "will ask 8.8.8.8", mendable: false },
    Fault { id: "network.namespace", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.network.as_mut().unwrap().is_first = Some(true), severity: Severity::Blocking, says: "the network is the host's: its first namespace", mendable: false },
    Fault { id: "network.namespace", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { let network = facts.network.as_mut().unwrap(); network.is_in_hosts = Some(false); network.bridges = vec!["docker0".to_owned()]; }, severity: Severity::Blocking, says: "the network is another engine's: docker0", mendable: false },
    Fault { id: "network.namespace", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.network.as_mut().unwrap().bridges = vec!["docker0".to_owned()], severity: Severity::Warning, says: "the host's network: docker0", mendable: false },
    Fault { id: "network.loopback", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.network.as_mut().unwrap().loopback_up = Some(false), severity: Severity::Warning, says: "lo is down", mendable: true },
    Fault { id: "network.arp", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.network.as_mut().unwrap().arp_ignore[1].1 = 8, severity: Severity::Warning, says: "ARP requests are not answered on: default", mendable: true },
    Fault { id: "network.ip-forward", inner: "29.0.0", host: "healthy-28.5.2", make: |facts| with_nft_and_ipv6(facts, [1, 0, 0]), severity: Severity::Blocking, says: "IPv6: off, and the daemon does not turn it on with nftables", mendable: true },
    Fault { id: "network.ip-forward", inner: "29.0.0", host: "healthy-28.5.2", make: |facts| with_nft_and_ipv6(facts, [0, 1, 0]), severity: Severity::Blocking, says: "off, and the daemon does not turn it on with nftables", mendable: true },
    Fault { id: "network.ip-forward", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.network.as_mut().unwrap().daemon_leaves_forwarding = true, severity: Severity::Warning, says: "off, and the daemon is told to leave it so", mendable: true },
    Fault { id: "network.mtu", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.network.as_mut().unwrap().default_mtu = Some(("eth0".to_owned(), 1450)), severity: Severity::Warning, says: "eth0 has 1450", mendable: true },
    Fault { id: "network.rp-filter", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { let network = facts.network.as_mut().unwrap(); network.rp_filter[0].1 = 1; network.rp_filter_drops = Some(7); }, severity: Severity::Warning, says: "strict on eth0, flannel.1; 7 dropped so far", mendable: true },
    Fault { id: "network.rp-filter", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.network.as_mut().unwrap().rp_filter[0].1 = 1, severity: Severity::Warning, says: "strict on eth0, flannel.1", mendable: true },
    Fault { id: "devices.nodes", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { let device = &mut facts.devices.as_mut().unwrap().all[0]; device.error = Some("ENOENT".to_owned()); device.is_there = false; device.refused = true; }, severity: Severity::Info, says: "cannot be opened: /dev/fuse", mendable: false },
    Fault { id: "devices.nodes", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { let device = &mut facts.devices.as_mut().unwrap().all[0]; device.error = Some("ENOENT".to_owned()); device.is_there = false; }, severity: Severity::Info, says: "cannot be opened: /dev/fuse", mendable: true },
    Fault { id: "devices.nodes", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.devices.as_mut().unwrap().all[0].error = Some("EPERM".to_owned()), severity: Severity::Info, says: "cannot be opened: /dev/fuse", mendable: false },
    Fault { id: "configuration.accepted", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.validation.as_mut().unwrap().answer = Said::Refused("unable to configure the Docker daemon with file /etc/docker/daemon.json: the following directives don't match any configuration option: x".to_owned()), severity: Severity::Blocking, says: "the following directives don't match", mendable: false },
    Fault { id: "configuration.accepted", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.validation = Err(FactError::new("parse", "/etc/docker/daemon.json", "EOF")), severity: Severity::Blocking, says: "/etc/docker/daemon.json is no JSON", mendable: false },
    Fault { id: "configuration.accepted", inner: "24.0.9", host: "healthy-28.5.2", make: |facts| remapped(facts, |remap| remap.name = None), severity: Severity::Blocking, says: "userns-remap: no user dockremap, and no program that adds users", mendable: false },
    Fault { id: "configuration.accepted", inner: "24.0.9", host: "healthy-28.5.2", make: |facts| remapped(facts, |remap| { remap.name = None; remap.is_added = false; }), severity: Severity::Blocking, says: "userns-remap: no user dockremap", mendable: false },
    Fault { id: "configuration.accepted", inner: "24.0.9", host: "healthy-28.5.2", make: |facts| remapped(facts, |remap| remap.has_group = false), severity: Severity::Blocking, says: "userns-remap: no group dockremap", mendable: false },
    Fault { id: "configuration.accepted", inner: "24.0.9", host: "healthy-28.5.2", make: |facts| remapped(facts, |remap| remap.without_range = vec!["/etc/subgid".to_owned()]), severity: Severity::Blocking, says: "userns-remap: no range for dockremap in /etc/subgid", mendable: false },
    Fault { id: "configuration.accepted", inner: "20.10.24", host: "healthy-28.5.2", make: |facts| not_asked(facts, r#"{"hosts": []}"#, &["-H", "unix:///x"]), severity: Severity::Blocking, says: "both a flag and a key: hosts", mendable: false },
    Fault { id: "configuration.accepted", inner: "20.10.24", host: "healthy-28.5.2", make: |facts| not_asked(facts, r#"{"features": {}, "nonsense": 1}"#, &[]), severity: Severity::Blocking, says: "unknown key: nonsense", mendable: false },
    Fault { id: "configuration.accepted", inner: "20.10.24", host: "healthy-28.5.2", make: |facts| not_asked(facts, r#"{"runtimes": {}}"#, &["--add-runtime=a=b", "--validate"]), severity: Severity::Blocking, says: "unknown flag: --validate", mendable: false },
    Fault { id: "configuration.mounted-socket", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.mounts.as_mut().unwrap().all.push(Mount { point: "/run/docker.sock".to_owned(), ..unified_mount("/") }), severity: Severity::Blocking, says: "/run/docker.sock is mounted from outside", mendable: false },
    Fault { id: "configuration.client", inner: "29.0.0", host: "healthy-28.5.2", make: |facts| facts.client = Ok(Client { api: Some(ApiVersion::new(1, 41)), held_to: None, daemon_takes: None }), severity: Severity::Warning, says: "the client speaks 1.41, and the daemon takes 1.44", mendable: false },
    Fault { id: "configuration.client", inner: "29.7.2", host: "healthy-28.5.2", make: |facts| facts.client = Ok(Client { api: Some(ApiVersion::new(1, 54)), held_to: None, daemon_takes: Some(ApiVersion::new(1, 55)) }), severity: Severity::Warning, says: "the client speaks 1.54, and the daemon takes 1.55", mendable: false },
    // Older than every kernel that the tests have.
    Fault { id: "network.bridge-filter", inner: "27.5.1", host: "healthy-28.5.2", make: |facts| { without_bridge_filter(facts); facts.kernel.as_mut().unwrap().release = "4.19.0-27-amd64".to_owned(); }, severity: Severity::Blocking, says: "seen by the host alone", mendable: false },
    Fault { id: "network.bridge-filter", inner: "28.5.2", host: "healthy-28.5.2", make: without_bridge_filter, severity: Severity::Blocking, says: "no br_netfilter, and the daemon is told --icc=false", mendable: false },
    Fault { id: "network.bridge-filter", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| { loadable(facts, "br_netfilter"); without_bridge_filter(facts); }, severity: Severity::Blocking, says: "no br_netfilter, and the daemon is told --icc=false", mendable: true },
    Fault { id: "network.bridge-filter", inner: "20.10.24", host: "healthy-28.5.2", make: without_bridge_filter, severity: Severity::Warning, says: "no br_netfilter", mendable: false },
    Fault { id: "network.bridge-filter", inner: "27.3.1", host: "healthy-28.5.2", make: |facts| { without_bridge_filter(facts); facts.network.as_mut().unwrap().ignores_bridge_filter = true; }, severity: Severity::Blocking, says: "no br_netfilter", mendable: false },
    Fault { id: "network.bridge-filter", inner: "20.10.24", host: "healthy-28.5.2", make: |facts| { facts.outer.as_mut().unwrap().engine = Some("podman".to_owned()); without_bridge_filter(facts); }, severity: Severity::Blocking, says: "no br_netfilter", mendable: false },
    Fault { id: "leftovers.pidfile", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.leftovers.as_mut().unwrap().pidfiles.push(pidfile(Some("sleep"))), severity: Severity::Blocking, says: "stale: /run/docker.pid", mendable: true },
    Fault { id: "leftovers.pidfile", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.leftovers.as_mut().unwrap().pidfiles.push(pidfile(None)), severity: Severity::Warning, says: "stale: /run/docker.pid", mendable: true },
    Fault { id: "leftovers.containerd-socket", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.leftovers.as_mut().unwrap().sockets.push(Socket { path: "/run/containerd/containerd.sock".to_owned(), mode: 0o660, answer: Answer::Refused }), severity: Severity::Blocking, says: "nothing listens on /run/containerd/containerd.sock", mendable: true },
    Fault { id: "configuration.tcp-delay", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.configuration = Ok(Configuration::of_words(&["-Htcp://0.0.0.0:2375"])), severity: Severity::Warning, says: "the daemon will wait 16 s", mendable: true },
    Fault { id: "configuration.tls-files", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| tls_files(facts, |files| (files.certificate.is_named, files.certificate.problem) = (true, Some("No such file or directory".to_owned()))), severity: Severity::Blocking, says: "the daemon cannot use /x/cert.pem (--tlscert)", mendable: false },
    Fault { id: "configuration.tls-files", inner: "20.10.24", host: "healthy-28.5.2", make: |facts| tls_files(facts, |files| { files.key.problem = Some("x".to_owned()); files.ca.as_mut().unwrap().problem = Some("y".to_owned()); }), severity: Severity::Blocking, says: "the daemon cannot use /x/key.pem, /x/ca.pem", mendable: false },
    Fault { id: "configuration.tls-files", inner: "1.7.1", host: "healthy-28.5.2", make: |facts| tls_files(facts, |files| files.fit = Some(false)), severity: Severity::Blocking, says: "the key /x/key.pem does not belong to the certificate /x/cert.pem", mendable: false },
    Fault { id: "configuration.open-tcp", inner: "28.5.2", host: "healthy-28.5.2", make: |facts| facts.configuration = Ok(Configuration::of_words(&["-DHtcp://0.0.0.0:2375"])), severity: Severity::Warning, says: "anybody may use the API at tcp://0.0.0.0:2375 without TLS", mendable: false },
    Fault { id: "configuration.open-tcp", inner: "1.7.1", host: "healthy-28.5.2", make: |facts| facts.configuration = Ok(Configuration::of_words(&["-H=tcp://0.0.0.0:2376", "--tlsverify=false"])), severity: Severity::Warning, says: "with TLS, and asks no client for a certificate", mendable: false },
];

/// Mounts something at a path that nothing can be written to.
fn read_only(facts: &mut Facts, point: &str) {
    let mounts = facts.mounts.as_mut().unwrap();
    let mut mount = mounts.at("/").unwrap().clone();
    mount.point = point.to_owned();
    mount.line = mounts.all.len() + 1;
    mount.options.insert("ro".to_owned(), None);
    mounts.all.push(mount);
}

/// A user who has all that it takes, but for one thing.
fn of_user(facts: &mut Facts, fault: fn(&mut Rootless)) {
    let mapper = |path: &str| Mapper { path: path.to_owned(), owner: 0, mode: 0o4755, capable: false };
    let attempt = |what: &str| Attempted { what: what.to_owned(), error: None };
    let mut seen = Rootless {
        inside: false,
        uid: 1000,
        user: Some("rootless".to_owned()),
        path: "/usr/bin".to_owned(),
        rootlesskit: Some("/usr/bin/rootlesskit".to_owned()),
        mappers: ["newuidmap", "newgidmap"].map(|name| (name.to_owned(), mapper(&format!("/usr/bin/{name}")))).into(),
        network: ("slirp4netns".to_owned(), Some("/usr/bin/slirp4netns".to_owned())),
        tun: None,
        uids: Ok(vec![(100_000, 65536)]),
        gids: Ok(vec![(100_000, 65536)]),
        no_new_privs: false,
        settings: vec![Setting { path: "/proc/sys/user/max_user_namespaces".to_owned(), value: Some(0) }],
        outside: 1,
        directories: vec![UserDirectory { what: "HOME".to_owned(), path: "/home/rootless".to_owned(), error: None }],
        attempts: Ok(["make a user namespace", "/usr/bin/newuidmap", "/usr/bin/newgidmap"].map(attempt).to_vec()),
    };
    fault(&mut seen);
    facts.rootless = Ok(Some(seen));
}

#[test]
fn a_user_who_has_all_that_it_takes_passes_and_the_rest_is_for_inside() {
    let profile = profile("28.5.2");
    let mut facts = facts("healthy-28.5.2", &profile);
    of_user(&mut facts, |_| {});
    for check in CHECKS {
        let (finding, _) = judge(check.id, &facts, &profile);
        match check.id.split('.').next().unwrap() {
            "rootless" => assert_eq!(finding.outcome, Outcome::Pass, "{finding:#?}"),
            "engine" | "configuration" => assert_ne!(finding.outcome, Outcome::Fail, "{finding:#?}"),
            _ => assert_eq!(finding.outcome, Outcome::NotApplicable, "{finding:#?}"),
        }
    }
    // Inside, only cgroups are of no use.
    of_user(&mut facts, |seen| seen.inside = true);
    assert_eq!(judge("cgroup.mounted", &facts, &profile).0.outcome, Outcome::NotApplicable);
    assert_eq!(judge("privileges.capabilities", &facts, &profile).0.outcome, Outcome::Pass);
}

/// The kernel loads modules, and this one is not loaded.
fn loadable(facts: &mut Facts, module: &str) {
    let kernel = facts.kernel.as_mut().unwrap();
    kernel.modular = true;
    kernel.modules.insert(module.to_owned(), Presence::Loadable);
}

/// Without the driver that the daemon falls back to before vfs.
fn without_fuse(facts: &mut Facts) {
    facts.engine.as_mut().unwrap().binaries.insert("fuse-overlayfs".to_owned(), None);
}

/// What it takes to make a file system in a file.
fn with_loop(facts: &mut Facts) {
    without_fuse(facts);
    facts.storage.as_mut().unwrap().mkfs = Some("/sbin/mkfs.ext4".to_owned());
    let devices = &mut facts.devices.as_mut().unwrap().all;
    devices.push(Device { path: "/dev/loop-control".to_owned(), minor: 237, ..devices[0].clone() });
}

/// The resolver of an outer engine's user network.
fn resolver(network: &mut Network) {
    network.nameservers = vec![(3, "127.0.0.11".to_owned())];
    network.resolvers = vec![Resolver { address: [127, 0, 0, 11].into(), udp: 40_000, tcp: Some(40_001) }];
}

fn refuse_overlay(facts: &mut Facts, failure: Refused) {
    facts.storage.as_mut().unwrap().trials.as_mut().unwrap()[0].failure = Some(failure);
}

/// A pod of a node that is a container itself: the top of what is seen is not the kernel's, and not the pod's.
fn in_kind(facts: &mut Facts, init: &str) {
    let cgroup = facts.cgroup.as_mut().unwrap();
    cgroup.init = Some(init.to_owned());
    cgroup.own[0].path = "/kubepods/besteffort/pod1/c1".to_owned();
    cgroup.unified_mounts[0].root = "/".to_owned();
}

fn drop_capability(facts: &mut Facts, name: &str) {
    facts.privileges.as_mut().unwrap().effective.remove(name);
}

/// What came of opening a sysctl as runc 1.3.3 does.
fn sysctl(facts: &mut Facts, error: Option<&str>) {
    tried(facts, SYSCTL, error);
}

fn tried(facts: &mut Facts, what: &str, error: Option<&str>) {
    let attempt = Attempted { what: what.to_owned(), error: error.map(str::to_owned) };
    facts.privileges.as_mut().unwrap().attempts.as_mut().unwrap().push(attempt);
}

fn companion(facts: &mut Facts, version: &str) {
    let companions = &mut facts.engine.as_mut().unwrap().companions;
    companions.insert("runc".to_owned(), Ok(version.parse().unwrap()));
}

#[test]
fn what_this_version_does_not_need_is_not_asked_for() {
    let judged = |id: &str, inner: &str, make: &dyn Fn(&mut Facts)| {
        let profile = profile(inner);
        let mut facts = facts("healthy-28.5.2", &profile);
        make(&mut facts);
        judge(id, &facts, &profile).0.outcome
    };
    // A pairing that was tried and works is no bad one, whatever its name; nor is what an older runc would not do.
    let lxc = |facts: &mut Facts, version: &str, error| {
        companion(facts, version);
        facts.outer.as_mut().unwrap().engine = Some("lxc".to_owned());
        sysctl(facts, error);
    };
    assert_eq!(judged("engine.pairing", "28.5.2", &|facts| lxc(facts, "1.3.3", None)), Outcome::Pass);
    assert_eq!(judged("engine.pairing", "28.5.2", &|facts| lxc(facts, "1.1.15", Some("EACCES"))), Outcome::Pass);
    // A service below an init of the container's own is far below the top, too.
    let unified = profile("28.5.2");
    let mut service = facts("unified-6.12", &unified);
    in_kind(&mut service, "/init.scope");
    assert_eq!(judge("cgroup.namespace", &service, &unified).0.outcome, Outcome::Pass);
    const ID: &str = "privileges.capabilities";
    for (inner, outcome) in [
        ("25.0.5", Outcome::Pass),
        ("26.0.0", Outcome::Fail),
        ("26.0.1", Outcome::Pass),
        ("27.5.1", Outcome::Pass),
        ("28.0.0", Outcome::Fail),
    ] {
        assert_eq!(judged(ID, inner, &|facts| drop_capability(facts, "CAP_SYS_PTRACE")), outcome, "{inner}");
    }
    assert_eq!(judged(ID, "1.1.2", &|facts| drop_capability(facts, "CAP_AUDIT_WRITE")), Outcome::Pass);
    assert_eq!(judged(ID, "1.2.0", &|facts| drop_capability(facts, "CAP_AUDIT_WRITE")), Outcome::Fail);
}

/// What some releases of runc and containerd cannot do without is judged by their version and by what was tried: neither
/// alone is a fault, and none of it is one of the container's privileges.
#[test]
fn releases_are_bad_where_what_they_need_was_refused() {
    for (program, version, what, error, wanted) in [
        ("runc", "1.5.0", MASK, Some("EINVAL"), (Outcome::Fail, Severity::Blocking)),
        ("runc", "1.4.3", MASK, Some("EINVAL"), (Outcome::Fail, Severity::Blocking)),
        ("runc", "1.3.6", MASK, Some("EINVAL"), (Outcome::Fail, Severity::Blocking)),
        ("runc", "1.5.1", MASK, Some("EINVAL"), (Outcome::Pass, Severity::Info)),
        ("runc", "1.3.5", MASK, Some("EINVAL"), (Outcome::Pass, Severity::Info)),
        ("runc", "1.5.0", MASK, None, (Outcome::Pass, Severity::Info)),
        ("containerd", "2.3.0", EROFS, Some("not in PATH"), (Outcome::Fail, Severity::Warning)),
        ("containerd", "2.3.1", EROFS, Some("not in PATH"), (Outcome::Pass, Severity::Info)),
        ("containerd", "2.3.0", EROFS, None, (Outcome::Pass, Severity::Info)),
    ] {
        let profile = profile("29.7.2");
        let mut facts = facts("healthy-28.5.2", &profile);
        tried(&mut facts, what, error);
        let asked = check::companions_in_question(&facts, &profile);
        assert_eq!(asked.contains(&program), error.is_some(), "{program} {version}: asked only where it matters");
        let companions = &mut facts.engine.as_mut().unwrap().companions;
        companions.insert("runc".to_owned(), Ok("1.3.5".parse().unwrap()));
        companions.insert(program.to_owned(), Ok(version.parse().unwrap()));
        let (finding, _) = judge("engine.pairing", &facts, &profile);
        let severity = if finding.outcome == Outcome::Fail { finding.severity } else { Severity::Info };
        assert_eq!((finding.outcome, severity), wanted, "{program} {version}, {what}: {error:?}");
        assert_ne!(judge("privileges.operations", &facts, &profile).0.outcome, Outcome::Fail);
    }
}

#[test]
fn what_an_engine_can_do_without_stops_nothing() {
    let profile = profile("28.5.2");
    let mut facts = facts("healthy-28.5.2", &profile);
    facts.engine.as_mut().unwrap().binaries.insert("git".to_owned(), None);
    let (finding, _) = judge("engine.binaries", &facts, &profile);
    assert_eq!((finding.outcome, finding.severity), (Outcome::Fail, Severity::Info));
    assert_eq!(finding.summary, "not found, can be done without: git");
    assert!(!finding.blocks(true));
    // What was not looked for is not known: a profile that asks for more than the facts were read for.
    facts.engine.as_mut().unwrap().binaries.remove("runc");
    let (finding, _) = judge("engine.binaries", &facts, &profile);
    assert_eq!((finding.outcome, finding.summary.as_str()), (Outcome::Unknown, "not looked for: runc"));
    facts.engine.as_mut().unwrap().binaries.insert("dockerd".to_owned(), None);
    let (finding, _) = judge("engine.binaries", &facts, &profile);
    assert_eq!((finding.outcome, finding.summary.as_str()), (Outcome::Fail, "not found: dockerd"));
}

#[test]
fn an_engine_s_remedies_are_about_checks_that_there_are() {
    for outer in outers().unwrap() {
        for id in outer.remedies.iter().filter_map(|remedy| remedy.check.as_deref()) {
            assert!(check::find(id).is_some(), "{}: {id}", outer.id);
        }
    }
}

#[test]
fn the_missing_match_is_named_with_what_the_kernel_has_of_it() {
    let profile = profile("28.5.2");
    let mut facts = facts("healthy-28.5.2", &profile);
    let kernel = facts.kernel.as_mut().unwrap();
    kernel.modular = true;
    for (presence, says) in [
        (Presence::Absent, "neither built in nor a module of this kernel"),
        (Presence::Loadable, "a module that is not loaded"),
        (Presence::Loaded, "is in the kernel"),
    ] {
        facts.kernel.as_mut().unwrap().modules.insert("xt_addrtype".to_owned(), presence);
        facts.netfilter.as_mut().unwrap().candidates = vec![candidate(Flavour::Nft, "iptables", Some("No match"))];
        let (finding, _) = judge("netfilter.iptables", &facts, &profile);
        let evidence = finding.evidence.iter().find(|evidence| evidence.location == "match addrtype").unwrap();
        assert_eq!(evidence.value, format!("xt_addrtype: {says}"));
    }
}

/// A cgroup2 mount as systemd makes it beside the v1 hierarchies.
fn unified_mount(root: &str) -> Mount {
    Mount {
        line: 99,
        id: 99,
        parent: 1,
        root: root.to_owned(),
        point: "/sys/fs/cgroup/unified".to_owned(),
        options: [("ro".to_owned(), None), ("nosuid".to_owned(), None)].into(),
        shared: None,
        fstype: "cgroup2".to_owned(),
        source: "cgroup2".to_owned(),
        super_options: [("rw".to_owned(), None), ("nsdelegate".to_owned(), None)].into(),
    }
}

#[test]
fn unmounting_the_v2_hierarchy_has_a_true_inverse() {
    let profile = profile("17.03.0-ce");
    let mut facts = facts("healthy-28.5.2", &profile);
    facts.cgroup.as_mut().unwrap().unified_mounts.push(unified_mount("/"));
    let fix = judge("cgroup.hybrid", &facts, &profile).1.unwrap();
    let back: Vec<String> = fix.steps.iter().rev().map(|step| step.inverse().shell()).collect();
    assert_eq!(
        back,
        [
            "mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate cgroup2 /sys/fs/cgroup/unified \
             && mount -o remount,bind,rw,nosuid /sys/fs/cgroup/unified",
            "mount -o remount,bind,ro,nosuid /sys/fs/cgroup/unified",
        ]
    );
    for step in &fix.steps {
        assert_eq!(step.inverse().inverse().shell(), step.shell());
    }
}

#[test]
fn with_the_hosts_view_only_mounts_of_our_own_change_and_nothing_is_moved() {
    let profile = profile("28.5.2");
    let facts = facts("unified-host-view-6.12", &profile);
    let fix = judge("cgroup.namespace", &facts, &profile).1.unwrap();
    let lines: Vec<String> = fix.steps.iter().map(dindcheck::fix::step::Step::shell).collect();
    let own = "docker-e0a4d70386f0d6e0f660ba6be1bf403703d70ce2b2c2d2bf7d920b5bf9e60fdb.scope";
    assert_eq!(lines.len(), 4);
    // The daemon is started in it: without, it would look for its containers' cgroups where the host has them.
    assert_eq!(lines[3], "unshare --cgroup=/run/dindcheck/cgroup-namespace true");
    assert_eq!(lines[0], "umount -l /sys/fs/cgroup");
    assert!(lines[1].contains(&format!("mount --bind /run/dindcheck/whole/system.slice/{own} /sys/fs/cgroup")));
}

#[test]
fn once_the_own_cgroup_is_bound_it_is_delegated() {
    let profile = profile("28.5.2");
    let mut facts = facts("unified-6.12", &profile);
    let cgroup = facts.cgroup.as_mut().unwrap();
    cgroup.own[0].path = "/system.slice/docker-1.scope".to_owned();
    cgroup.unified_mounts[0].root = "/system.slice/docker-1.scope".to_owned();
    assert!(judge("cgroup.delegation", &facts, &profile).1.is_some());
    // The same path two cgroups below what is seen: someone else manages what is between.
    facts.cgroup.as_mut().unwrap().unified_mounts[0].root = "/".to_owned();
    assert!(judge("cgroup.delegation", &facts, &profile).1.is_none());
}

#[test]
fn delegation_makes_a_cgroup_of_its_own_where_init_is_there_already() {
    let profile = profile("28.5.2");
    let mut facts = facts("unified-6.12", &profile);
    facts.cgroup.as_mut().unwrap().unified.as_mut().unwrap().children.push("init".to_owned());
    let fix = judge("cgroup.delegation", &facts, &profile).1.unwrap();
    assert_eq!(fix.steps[0].shell(), "mkdir /sys/fs/cgroup/init-2");
    let enabled: Vec<String> = fix.steps[2..].iter().map(dindcheck::fix::step::Step::shell).collect();
    assert_eq!(enabled.len(), 5, "one at a time: {enabled:?}");
}

#[test]
fn a_realtime_process_is_named_and_costs_its_controller_alone() {
    let profile = profile("28.5.2");
    let mut facts = facts("unified-6.12", &profile);
    facts.cgroup.as_mut().unwrap().unified.as_mut().unwrap().occupants.push(Occupant {
        pid: 42,
        name: "jackd".into(),
        group: String::new(),
        realtime: true,
    });
    let (finding, fix) = judge("cgroup.delegation", &facts, &profile);
    let evidence = finding.evidence.iter().find(|evidence| evidence.location == "+cpu").unwrap();
    assert_eq!(
        evidence.value,
        "process 42 (`jackd`) is scheduled in real time, which kernels with RT_GROUP_SCHED refuse"
    );
    let lines: Vec<String> = fix.unwrap().steps.iter().map(dindcheck::fix::step::Step::shell).collect();
    // Not each kernel refuses: it is asked for, by itself, so that a refusal costs no other.
    assert!(["+memory", "+cpu "].iter().all(|word| lines.iter().filter(|line| line.contains(word)).count() == 1));
}

#[test]
fn sysctls_of_the_hosts_network_are_the_hosts() {
    let profile = profile("28.5.2");
    let mut facts = facts("healthy-28.5.2", &profile);
    for (device, scope) in [(None, Scope::Container), (Some("eno1"), Scope::Host)] {
        let network = facts.network.as_mut().unwrap();
        network.devices = device.into_iter().map(str::to_owned).collect();
        network.rp_filter[0].1 = 1;
        let fix = judge("network.rp-filter", &facts, &profile).1.unwrap();
        assert_eq!(fix.scope, scope);
        assert_eq!(fix.steps[0].shell(), "echo 2 > /proc/sys/net/ipv4/conf/all/rp_filter");
    }
}

/// A daemon that maps root of its containers to another user, who has all that it needs but for what is changed.
fn remapped(facts: &mut Facts, change: fn(&mut Remap)) {
    let mut remap = Remap {
        user: "dockremap".to_owned(),
        name: Some("dockremap".to_owned()),
        group: "dockremap".to_owned(),
        has_group: true,
        is_added: true,
        adder: None,
        has_others: false,
        without_range: Vec::new(),
    };
    change(&mut remap);
    facts.validation.as_mut().unwrap().remap = Some(remap);
}

/// What a daemon without `--validate` is judged by.
fn not_asked(facts: &mut Facts, json: &str, given: &[&str]) {
    let given: Vec<String> = given.iter().map(|word| (*word).to_owned()).collect();
    let version = facts.engine.as_ref().unwrap().version.clone();
    let sources = Sources {
        given: &given,
        added: &[],
        environment: &Environment::default(),
        defaults: &Defaults::default(),
        version: Some(&version),
        read: &|_| Ok(Some(json.to_owned())),
    };
    facts.configuration = Ok(Configuration::read(sources).unwrap());
    facts.validation = Ok(Validation { command: "dockerd".to_owned(), answer: Said::NotAsked, remap: None });
}

/// A pid file written at 1000 that names pid 7, and who has that number now.
fn pidfile(name: Option<&str>) -> PidFile {
    PidFile {
        path: "/run/docker.pid".to_owned(),
        pid: Some(7),
        written_s: Some(1000),
        process: name.map(|name| Process { name: name.into(), started_s: Some(10) }),
    }
}

#[test]
fn each_fault_is_found() {
    for fault in FAULTS {
        let profile = profile(fault.inner);
        let mut facts = facts(fault.host, &profile);
        (fault.make)(&mut facts);
        let (finding, fix) = judge(fault.id, &facts, &profile);
        assert_eq!((finding.outcome, finding.severity), (Outcome::Fail, fault.severity), "{finding:#?}");
        assert!(finding.summary.contains(fault.says), "{}: {}", fault.id, finding.summary);
        assert_eq!(fix.is_some(), fault.mendable, "{}", fault.id);
        assert!(!fault.mendable || check::find(fault.id).unwrap().mend.is_some(), "{}: say what is mended", fault.id);
        assert!(!finding.evidence.is_empty(), "{} has no evidence", fault.id);
        assert!(finding.cause.is_some() && !finding.remedy.is_empty(), "{} has no cause or remedy", fault.id);
    }
}

/// All that is reported of each fault, and each step of its mend: it changes only on purpose.
#[test]
fn each_fault_has_its_finding_and_its_mend() {
    let mut text = String::new();
    for fault in FAULTS {
        let profile = profile(fault.inner);
        let mut facts = facts(fault.host, &profile);
        (fault.make)(&mut facts);
        let (finding, fix) = judge(fault.id, &facts, &profile);
        let said = format!("{}\n  {:?}: {}\n", finding.id, finding.severity, finding.summary);
        let saw = finding.evidence.iter().map(|saw| {
            let wanted = saw.wanted.as_ref().map(|wanted| format!(", wanted {wanted}")).unwrap_or_default();
            format!("  saw {}: {}{wanted}\n", saw.location, saw.value)
        });
        let why = finding.cause.iter().map(|cause| format!("  why {cause}\n"));
        let remedies = finding.remedy.iter().map(|remedy| format!("  do {remedy}\n"));
        let mend = fix.iter().flat_map(|fix| {
            let steps = fix.steps.iter().map(|step| format!("    {}\n", step.shell()));
            [format!("  mend {:?}: {}\n", fix.scope, fix.title)].into_iter().chain(steps)
        });
        text.extend([said].into_iter().chain(saw).chain(why).chain(remedies).chain(mend));
    }
    insta::assert_snapshot!("faults", text);
}

/// What each fault means to engines of each era, what it means to other checks, and what two faults of one check come to:
/// it changes only on purpose.
#[test]
fn what_a_fault_means_elsewhere() {
    const ERAS: [&str; 8] = ["1.6.2", "1.9.1", "1.13.1", "17.12.1-ce", "19.03.15", "20.10.24", "25.0.5", "29.7.2"];
    let short = |(finding, fix): &(Finding, Option<Fix>)| {
        let Finding { outcome, severity, summary, foretells, .. } = finding;
        let steps = fix.as_ref().map_or(0, |fix| fix.steps.len());
        format!("{outcome:?} {severity:?} {foretells:?} {steps}: {summary}")
    };
    let mut versions: Vec<&str> = ERAS.into_iter().chain(FAULTS.iter().map(|fault| fault.inner)).collect();
    let mut hosts: Vec<&str> = FAULTS.iter().map(|fault| fault.host).collect();
    versions.sort_unstable();
    versions.dedup();
    hosts.sort_unstable();
    hosts.dedup();
    let profiles: BTreeMap<&str, Profile> = versions.into_iter().map(|version| (version, profile(version))).collect();
    let healthy = |version: &str, host: &'static str| facts(host, &profiles[version]);
    let all: BTreeMap<(&str, &str), Facts> = profiles
        .keys()
        .flat_map(|version| hosts.iter().map(|host| ((*version, *host), healthy(version, host))))
        .collect();
    let made = |fault: &Fault, version: &str| {
        let mut facts = all[&(version, fault.host)].clone();
        (fault.make)(&mut facts);
        facts
    };
    let mut text = String::new();
    for (number, fault) in FAULTS.iter().enumerate() {
        text += &format!("{} {}, {}: {}\n", fault.id, fault.host, fault.inner, fault.says);
        let mut last = String::new();
        for version in ERAS {
            let now = short(&judge(fault.id, &made(fault, version), &profiles[version]));
            if now != last {
                text += &format!("  from {version} {now}\n");
                last = now;
            }
        }
        let profile = &profiles[fault.inner];
        let selection = Selection { only: Vec::new(), skip: Vec::new() };
        let before = check::run(&all[&(fault.inner, fault.host)], profile, &selection);
        let after = check::run(&made(fault, fault.inner), profile, &selection);
        for (before, after) in before.iter().zip(&after).filter(|(before, _)| before.0.id != fault.id) {
            if short(before) != short(after) && after.0.outcome != Outcome::NotApplicable {
                text += &format!("  also {} {}\n", after.0.id, short(after));
            }
        }
        let is_alike = |other: &&Fault| (other.id, other.host) == (fault.id, fault.host);
        for other in FAULTS[number + 1..].iter().filter(is_alike) {
            let mut facts = made(fault, fault.inner);
            // A fault that changes what another one has removed cannot be had beside it.
            if catch_unwind(AssertUnwindSafe(|| (other.make)(&mut facts))).is_ok() {
                text += &format!("  with `{}` {}\n", other.says, short(&judge(fault.id, &facts, profile)));
            }
        }
    }
    insta::assert_snapshot!("elsewhere", text);
}

/// The storage driver for each data-root, request and image store: it changes only on purpose.
#[test]
fn which_driver_for_which_data_root() {
    let mut text = String::new();
    for version in ["20.10.24", "28.5.2", "29.7.2"] {
        let profile = profile(version);
        let healthy = facts("healthy-28.5.2", &profile);
        let roots =
            ["", "overlay2", "vfs", "aufs", "containerd", "overlay2 vfs", "overlay2 btrfs", "aufs btrfs containerd"];
        for (used, asked) in roots.iter().flat_map(|used| ["", "overlay2", "vfs", "aufs"].map(|asked| (used, asked))) {
            for (store, left_out) in
                [(ImageStore::Graphdriver, ""), (ImageStore::Graphdriver, "vfs btrfs"), (ImageStore::Containerd, "")]
            {
                let mut facts = healthy.clone();
                let storage = facts.storage.as_mut().unwrap();
                let words = |names: &str| names.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                (storage.used_drivers, storage.left_out, storage.image_store) = (words(used), words(left_out), store);
                storage.driver = (!asked.is_empty()).then(|| (asked.to_owned(), "--storage-driver".to_owned()));
                let (finding, _) = judge("storage.driver", &facts, &profile);
                let Finding { outcome, severity, summary, .. } = finding;
                let situation = format!("{version} {store:?} without `{left_out}`: `{used}`, asked for `{asked}`");
                text += &format!("{situation}: {outcome:?} {severity:?}: {summary}\n");
            }
        }
    }
    insta::assert_snapshot!("drivers", text);
}

/// What each driver that the user asks for finds on each kind of data-root: it changes only on purpose.
#[test]
fn which_driver_finds_what_it_needs() {
    let mut text = String::new();
    let places = ["ext4", "btrfs", "zfs", "overlay"];
    let options: [&[&str]; 3] =
        [&[], &["--storage-opt", "zfs.fsname=x"], &["--storage-opt", "dm.override_udev_sync_check=1"]];
    for version in ["20.10.24", "28.5.2", "29.7.2"] {
        let profile = profile(version);
        let healthy = facts("healthy-28.5.2", &profile);
        for (driver, place) in ["btrfs", "zfs", "aufs", "devicemapper", "fuse-overlayfs", "overlay2", "vfs"]
            .iter()
            .flat_map(|driver| places.map(|place| (driver, place)))
        {
            for (given, is_there) in options.iter().flat_map(|given| [(given, false), (given, true)]) {
                let mut facts = healthy.clone();
                facts.configuration = Ok(Configuration::of_words(given));
                let program = is_there.then(|| "/usr/bin/fuse-overlayfs".to_owned());
                facts.engine.as_mut().unwrap().binaries.insert("fuse-overlayfs".to_owned(), program);
                if is_there {
                    loadable(&mut facts, "aufs");
                }
                let storage = facts.storage.as_mut().unwrap();
                storage.driver = Some(((*driver).to_owned(), "--storage-driver".to_owned()));
                storage.image_store = ImageStore::Graphdriver;
                storage.has_udev = is_there;
                let root = storage.data_root.clone();
                storage
                    .directories
                    .iter_mut()
                    .filter(|own| own.path == root)
                    .for_each(|own| own.fstype = place.to_owned());
                let (finding, fix) = judge("storage.data-root", &facts, &profile);
                let Finding { outcome, severity, summary, foretells, .. } = finding;
                let situation = format!("{version} {driver} on {place}, {}, {is_there}", given.join(" "));
                let steps = fix.map_or(0, |fix| fix.steps.len());
                text += &format!("{situation}: {outcome:?} {severity:?} {foretells:?} {steps}: {summary}\n");
            }
        }
    }
    insta::assert_snapshot!("wanted-drivers", text);
}

/// The flags that a mend gives are those that the version has.
#[test]
fn a_mend_gives_only_flags_that_there_are() {
    use dindcheck::fix::network::{fit_mtu, take_networks};
    let lines = |fix: Fix| fix.steps.iter().map(dindcheck::fix::step::Step::shell).collect::<Vec<_>>();
    let mtu = "set -- \"$@\" --mtu=1400".to_owned();
    let users = "set -- \"$@\" --default-network-opt=bridge=com.docker.network.driver.mtu=1400".to_owned();
    assert_eq!(lines(fit_mtu("x.y", 1400, &profile("23.0.6"))), std::slice::from_ref(&mtu));
    assert_eq!(lines(fit_mtu("x.y", 1400, &profile("24.0.0"))), [mtu, users]);
    let networks = |version: &str| lines(take_networks("x.y", "10.1.0.1/24", "10.1.0.0/16", &profile(version)));
    let bip = "set -- \"$@\" --bip=10.1.0.1/24".to_owned();
    let pool = "set -- \"$@\" --default-address-pool=base=10.1.0.0/16,size=24".to_owned();
    assert_eq!(networks("18.05.0-ce"), std::slice::from_ref(&bip));
    assert_eq!(networks("18.06.0-ce"), [bip, pool]);
}

/// Where the numbers are that the plain daemon was measured at: the last at which nothing runs, and the first that is
/// enough.
#[test]
fn bounds_are_where_they_are_documented() {
    let judged = |inner: &str, id: &str, make: &dyn Fn(&mut Facts)| {
        let profile = profile(inner);
        let mut facts = facts("healthy-28.5.2", &profile);
        make(&mut facts);
        let (finding, fix) = judge(id, &facts, &profile);
        ((finding.outcome == Outcome::Fail).then_some(finding.severity), fix.is_some())
    };
    let (blocking, warning, info) = (Some(Severity::Blocking), Some(Severity::Warning), Some(Severity::Info));
    let files = |inner: &str, soft: u64, hard: u64| {
        judged(inner, "limits.open-files", &|facts| {
            facts.limits.as_mut().unwrap().open_files = Some(Limit { soft: Some(soft), hard: Some(hard) });
        })
    };
    for (soft, hard, severity, mendable) in [
        (40, 40, blocking, false),
        (41, 41, warning, false),
        (1023, 1023, warning, false),
        (40, 1024, warning, true),
        (1023, 1024, warning, true),
        (1024, 1024, info, false),
        (1024, 63_999, info, false),
        (1024, 64_000, None, false),
        (1 << 24, 1 << 30, None, false),
        ((1 << 24) + 1, 1 << 30, warning, true),
    ] {
        assert_eq!(files("28.5.2", soft, hard), (severity, mendable), "{soft}, up to {hard}");
    }
    assert_eq!(files("20.10.24", 33, 33).0, warning);
    assert_eq!(files("1.7.1", 1, 1).0, warning, "what was not measured blocks nothing");
    let tasks = |inner: &str, limit: u64| {
        let make = |facts: &mut Facts| {
            facts.limits.as_mut().unwrap().processes = Some(Limit { soft: Some(limit), hard: Some(limit) });
        };
        judged(inner, "limits.tasks", &make).0
    };
    assert_eq!([50, 51, 511, 512].map(|limit| tasks("28.5.2", limit)), [blocking, warning, warning, None]);
    assert_eq!([60, 61].map(|limit| tasks("20.10.24", limit)), [blocking, warning]);
    let memory = |inner: &str, bytes: u64| {
        let make = |facts: &mut Facts| {
            let setting = Setting { path: "/x".to_owned(), value: Some(bytes) };
            facts.limits.as_mut().unwrap().memory_max = Some(setting);
        };
        judged(inner, "limits.memory", &make).0
    };
    let [least, usual] = [48 << 20, 256 << 20];
    let bounds = [least, least + 1, usual - 1, usual].map(|bytes| memory("28.5.2", bytes));
    assert_eq!(bounds, [blocking, warning, warning, None]);
    assert_eq!([80 << 20, (80 << 20) + 1].map(|bytes| memory("26.1.5", bytes)), [blocking, warning]);
    let space = |bytes: u64, inodes: u64| {
        let make = |facts: &mut Facts| {
            let trial = &mut facts.storage.as_mut().unwrap().trials.as_mut().unwrap()[0];
            (trial.free_bytes, trial.free_inodes) = (Some(bytes), Some(inodes));
        };
        judged("28.5.2", "storage.space", &make).0
    };
    let much = 1 << 40;
    assert_eq!([100, 101, 19_999, 20_000].map(|inodes| space(much, inodes)), [blocking, warning, warning, None]);
    let bytes = [1 << 20, (1 << 20) + 1, (1 << 30) - 1, 1 << 30];
    assert_eq!(bytes.map(|bytes| space(bytes, much)), [blocking, warning, warning, None]);
    assert_eq!(space(1 << 20, 5000), blocking, "what blocks comes first, whatever is scarcer");
}

#[test]
fn without_the_fault_nothing_is_found() {
    let profile = profile("28.5.2");
    let facts = facts("healthy-28.5.2", &profile);
    for check in CHECKS {
        let (finding, _) = judge(check.id, &facts, &profile);
        // The root of a container is private everywhere, a v1 host delegates nothing, and no bad pairing of
        // 28.5.2 is of Docker in Docker. The recorded host has no CAP_SYS_RESOURCE.
        let expected = match check.id {
            id if id.starts_with("rootless.") => Outcome::NotApplicable,
            "mounts.propagation" | "limits.raising" => Outcome::Fail,
            "cgroup.delegation" | "engine.pairing" | "netfilter.ipset" | "netfilter.nftables" => Outcome::NotApplicable,
            _ => Outcome::Pass,
        };
        assert_eq!(finding.outcome, expected, "{finding:#?}");
    }
}

#[test]
fn what_is_not_known_is_never_a_pass() {
    let profile = profile("28.5.2");
    let error = || FactError::new("read", "/proc/x", "on purpose");
    let mut facts = facts("healthy-28.5.2", &profile);
    facts.kernel = Err(error());
    facts.outer = Err(error());
    facts.privileges = Err(error());
    facts.mounts = Err(error());
    facts.cgroup = Err(error());
    facts.engine = Err(error());
    facts.storage = Err(error());
    facts.netfilter = Err(error());
    facts.network = Err(error());
    facts.limits = Err(error());
    facts.leftovers = Err(error());
    facts.configuration = Err(error());
    facts.tls = Err(error());
    facts.validation = Err(error());
    facts.devices = Err(error());
    facts.client = Err(error());
    facts.rootless = Err(error());
    for check in CHECKS {
        let (finding, fix) = judge(check.id, &facts, &profile);
        // That the engine does not report its version is itself what that check is about.
        let expected = if check.id == "engine.profile" { Outcome::Fail } else { Outcome::Unknown };
        assert_eq!(finding.outcome, expected, "{finding:#?}");
        assert!(fix.is_none(), "{}", check.id);
    }
}

#[test]
fn every_check_has_a_fault() {
    for check in CHECKS {
        assert!(FAULTS.iter().any(|fault| fault.id == check.id), "{}", check.id);
    }
}

/// Where each check is seen on a real system: a test in which its fault is made and found, and, for a mend, the one in
/// which it is mended, proved and taken back. In both it is also seen to pass.
#[rustfmt::skip]
const REAL: &[(&str, &str, &str)] = &[
    ("rootless.engine", "what_a_user_lacks_around_the_daemon_is_reported", ""),
    ("rootless.programs", "what_a_user_lacks_around_the_daemon_is_reported", ""),
    ("rootless.directories", "what_a_user_lacks_around_the_daemon_is_reported", ""),
    ("rootless.ids", "a_user_without_ids_is_reported", ""),
    ("rootless.user-namespace", "a_host_that_forbids_user_namespaces_is_reported", ""),
    ("rootless.id-map", "a_mapper_without_rights_is_reported", ""),
    ("rootless.tun", "what_a_user_lacks_around_the_daemon_is_reported", ""),
    ("privileges.capabilities", "without_privileged", ""),
    ("privileges.seccomp", "without_privileged", ""),
    ("privileges.no-new-privs", "no_new_privs_is_found_and_a_container_without_faults_has_none", ""),
    ("engine.binaries", "a_program_that_is_missing_is_named", ""),
    ("engine.profile", "an_engine_that_does_not_say_its_version_is_found", ""),
    ("engine.pairing", "a_bad_companion_is_found_by_what_it_says_its_version_is", ""),
    ("privileges.operations", "what_a_missing_capability_refuses_is_named", ""),
    ("privileges.grants", "an_old_engine_without_all_capabilities_cannot_run_privileged_containers", ""),
    ("limits.open-files", "what_blocks_is_what_the_plain_daemon_fails_of", "a_low_soft_limit_is_raised_for_the_daemon_and_its_containers"),
    // It passes where the host has CAP_SYS_RESOURCE: tests/cli/captured, tests/kernels.
    ("limits.raising", "more_than_the_hard_limits_is_refused_as_foretold", ""),
    ("limits.tasks", "what_blocks_is_what_the_plain_daemon_fails_of", "a_low_soft_limit_of_processes_is_raised"),
    ("limits.memory", "what_blocks_is_what_the_plain_daemon_fails_of", ""),
    ("limits.kernel", "few_inotify_instances_are_found", "settings_of_the_host_are_raised_only_where_that_is_allowed"),
    ("cgroup.version", "a_host_of_version_1_is_told_to_an_engine_that_wants_the_other", ""),
    ("cgroup.hybrid", "a_v2_mount_beside_v1_is_unmounted_and_comes_back", "a_v2_mount_beside_v1_is_unmounted_and_comes_back"),
    ("cgroup.mounted", "no_cgroup_mounts", "hierarchies_that_are_missing_are_mounted"),
    ("cgroup.writable", "read_only_hierarchies_are_remounted", "read_only_hierarchies_are_remounted"),
    ("cgroup.controllers", "a_controller_that_is_missing_is_named", ""),
    ("cgroup.namespace", "the_hosts_tree_is_covered_by_the_own_cgroup_and_nothing_of_it_moves", "the_hosts_tree_is_covered_by_the_own_cgroup_and_nothing_of_it_moves"),
    // On version 2, which takes a host of its own: tests/kernels.
    ("cgroup.delegation", "holds", "holds"),
    ("cgroup.operations", "a_cgroup_that_refuses_another_is_found", ""),
    ("mounts.proc-sys", "a_read_only_proc_sys_is_remounted", "a_read_only_proc_sys_is_remounted"),
    ("mounts.writable", "a_read_only_root_is_found_and_its_remedy_works", ""),
    ("mounts.propagation", "private_mounts_are_made_shared", "private_mounts_are_made_shared"),
    ("storage.data-root", "data_root_on_overlay", "a_data_root_on_overlay_gets_a_file_system_of_its_own"),
    ("storage.d-type", "a_file_system_without_types_in_its_directories_is_found", ""),
    ("storage.space", "little_space_and_few_inodes_are_found", ""),
    ("storage.flags", "a_data_root_without_exec_is_found", ""),
    ("storage.driver", "layers_of_two_drivers_are_found_before_the_daemon_dies_of_them", ""),
    ("storage.in-use", "a_data_root_of_another_daemon_is_found", ""),
    ("netfilter.iptables", "a_match_that_is_missing_is_named", "the_flavour_that_works_is_put_first_and_taken_back"),
    ("netfilter.ip6tables", "ip6tables_that_does_not_work_is_found_apart_from_iptables", "what_is_held_back_is_loaded_where_that_is_allowed_and_taken_out_again"),
    ("netfilter.ipset", "a_kernel_that_makes_no_sets_is_found_by_the_one_engine_that_needs_them", ""),
    ("netfilter.nftables", "an_image_without_nft_is_found_and_needs_no_iptables", ""),
    ("network.namespace", "what_is_the_hosts_is_not_touched_and_what_would_be_done_is_reported", ""),
    ("network.devices", "without_the_capability_no_bridge_is_made", "what_is_held_back_is_loaded_where_that_is_allowed_and_taken_out_again"),
    ("network.ip-forward", "forwarding_that_cannot_be_turned_on_is_found", "forwarding_that_the_daemon_is_told_to_leave_off_is_turned_on"),
    ("network.subnets", "networks_that_are_all_taken_are_found", "networks_that_are_all_taken_are_found"),
    ("network.nameservers", "a_name_server_of_this_container_alone_is_found", "names_of_the_outer_network_are_known_to_inner_containers"),
    ("network.mtu", "a_small_way_out_is_found_unless_the_daemon_knows", "a_small_way_out_is_found_unless_the_daemon_knows"),
    ("network.rp-filter", "a_strict_reverse_path_filter_is_loosened", "a_strict_reverse_path_filter_is_loosened"),
    ("network.loopback", "a_loopback_that_is_down_is_set_up", "a_loopback_that_is_down_is_set_up"),
    ("network.arp", "interfaces_that_do_not_answer_arp_are_made_to", "interfaces_that_do_not_answer_arp_are_made_to"),
    ("network.bridge-filter", "a_bridge_that_cannot_be_filtered_is_found_where_that_is_asked_for", "what_is_held_back_is_loaded_where_that_is_allowed_and_taken_out_again"),
    ("devices.nodes", "a_device_that_the_cgroup_refuses_is_found", "nodes_that_are_missing_are_made"),
    ("leftovers.pidfile", "stale_pid_files", "what_was_removed_is_brought_back"),
    ("leftovers.containerd-socket", "dead_containerd_socket", "what_was_removed_is_brought_back"),
    ("configuration.accepted", "what_the_daemon_dies_of_is_reported_before", ""),
    ("configuration.tls-files", "tls_files_that_the_daemon_cannot_use_are_found", ""),
    ("configuration.mounted-socket", "a_socket_of_the_outer_engine_is_found", ""),
    ("configuration.client", "a_client_that_the_daemon_refuses_is_found", ""),
    ("configuration.open-tcp", "an_empty_certificate_directory_opens_2375_at_once_and_loudly", ""),
    ("configuration.tcp-delay", "a_daemon_is_told_not_to_wait", "a_daemon_is_told_not_to_wait"),
];

#[test]
fn every_check_and_every_mend_is_seen_on_a_real_system() {
    let sources: String = ["nested", "kernels"]
        .iter()
        .flat_map(|of| std::fs::read_dir(format!("{}/tests/{of}", env!("CARGO_MANIFEST_DIR"))).unwrap())
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let is_there = |name: &str| sources.contains(&format!("fn {name}(")) || sources.contains(&format!("const {name}:"));
    for check in CHECKS {
        let id = check.id;
        let (_, found, mended) =
            REAL.iter().find(|(own, ..)| *own == id).unwrap_or_else(|| panic!("{id}: not in REAL"));
        assert!(is_there(found), "{id}: there is no test {found}");
        assert!(sources.contains(id), "{id}: no real test names it");
        assert_eq!(check.mend.is_some(), !mended.is_empty(), "{id}: a test of its mend");
        assert!(mended.is_empty() || is_there(mended), "{id}: there is no test {mended}");
    }
    assert_eq!(REAL.len(), CHECKS.len());
}

/// What a profile says about whether a check matters for its version, for each check that does not matter for all.
fn matters(id: &str, profile: &Profile) -> bool {
    use dindcheck::profile::{BridgeFilter, DType, Grants, Nftables};
    match id {
        "privileges.grants" => profile.privileged_grants.value != Grants::Bounding,
        "cgroup.hybrid" => profile.cgroup_unified_mount_breaks_runs.value,
        "cgroup.delegation" => profile.cgroup_v2.value,
        // The daemon looks at propagation since it hands volumes on with it (moby 1.10, mount propagation in volumes).
        "mounts.propagation" => profile.version.release() >= [1, 10, 0],
        "storage.data-root" => profile.storage_drivers.value.iter().any(|name| name.starts_with("overlay")),
        "storage.d-type" => profile.storage_d_type.value != DType::Ignored,
        "netfilter.ip6tables" => profile.netfilter_ip6tables_default.value,
        "netfilter.ipset" => profile.netfilter_ipset.value,
        "netfilter.nftables" => profile.netfilter_nftables.value == Nftables::OptIn,
        "network.bridge-filter" => profile.network_bridge_filter.value != BridgeFilter::Ignored,
        "leftovers.containerd-socket" => !profile.sockets.value.is_empty(),
        "configuration.client" => profile.api_min.value >= ApiVersion::new(1, 24),
        "configuration.tcp-delay" => profile.network_tcp_without_tls_delay_s.value > 0,
        _ => true,
    }
}

#[test]
fn the_engines_that_a_check_is_for_are_those_of_the_profiles() {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/docker")).unwrap();
    let mut versions: Vec<EngineVersion> = files
        .map(|file| {
            let name = file.unwrap().file_name().into_string().unwrap();
            let release = name.trim_end_matches(".yaml").to_owned();
            let release = if release.matches('.').count() == 1 { format!("{release}.0") } else { release };
            release.parse().unwrap()
        })
        .collect();
    versions.sort();
    let profiles = Profiles::load(None).unwrap();
    let profiles: Vec<Profile> = versions.iter().map(|version| profiles.resolve(version).unwrap()).collect();
    for check in CHECKS {
        let since = check.docs.since;
        let (first, last) = since.split_once(" to ").map_or((since, None), |(first, last)| (first, Some(last)));
        let number = |text: &str| {
            let text = if text.matches('.').count() == 1 { format!("{text}.0") } else { text.to_owned() };
            text.parse::<EngineVersion>().unwrap()
        };
        for (version, profile) in versions.iter().zip(&profiles) {
            // A range's end is a version, or all of a release line.
            let within = last.is_none_or(|last| version <= &number(last) || version.to_string().starts_with(last));
            let said = version >= &number(first) && within;
            assert_eq!(matters(check.id, profile), said, "{} for {version}: {since}", check.id);
        }
    }
}

#[test]
fn what_is_reported_as_mended_is_mended() {
    for check in CHECKS.iter().filter(|check| check.mend.is_some()) {
        assert!(FAULTS.iter().any(|fault| fault.id == check.id && fault.mendable), "{}", check.id);
    }
}

#[test]
fn a_pid_file_of_an_engine_is_stale_only_if_the_engine_is_younger() {
    let profile = profile("28.5.2");
    let mut facts = facts("healthy-28.5.2", &profile);
    for (started_s, outcome) in [(10, Outcome::Pass), (1001, Outcome::Pass), (2000, Outcome::Fail)] {
        let mut file = pidfile(Some("dockerd"));
        file.process.as_mut().unwrap().started_s = Some(started_s);
        facts.leftovers.as_mut().unwrap().pidfiles = vec![file];
        assert_eq!(judge("leftovers.pidfile", &facts, &profile).0.outcome, outcome, "started at {started_s}");
    }
}

#[test]
fn a_tree_that_is_the_hosts_is_never_delegated() {
    let profile = profile("28.5.2");
    let mut facts = facts("unified-host-view-6.12", &profile);
    // Even where the host's root had given nothing to its children.
    facts.cgroup.as_mut().unwrap().unified.as_mut().unwrap().subtree_control.clear();
    let (finding, fix) = judge("cgroup.delegation", &facts, &profile);
    assert_eq!(finding.outcome, Outcome::Fail);
    assert_eq!(fix, None);
}

#[test]
fn no_cgroup_is_made_in_a_tree_that_is_the_hosts() {
    let profile = profile("28.5.2");
    let own = facts("healthy-28.5.2", &profile).cgroup.unwrap();
    assert!(!own.own_places(true).is_empty());
    let mut host = own.clone();
    host.legacy_mounts.iter_mut().for_each(|mount| mount.root = "/".to_owned());
    assert_eq!(host.own_places(true), []);
    // A process of the host sees the same as one in a cgroup namespace.
    host.own.iter_mut().for_each(|own| own.path = "/".to_owned());
    assert_eq!(host.own_places(false), []);
    assert_eq!(host.own_places(true).len(), own.own_places(true).len());
    assert_eq!(facts("unified-host-view-6.12", &profile).cgroup.unwrap().own_places(true), []);
    assert_eq!(facts("unified-6.12", &profile).cgroup.unwrap().own_places(true).len(), 1);
}

#[test]
fn rules_for_devices_are_not_needed_in_a_user_namespace() {
    let profile = profile("28.5.2");
    let judged = |host: &str| {
        let mut facts = facts(host, &profile);
        let attempt =
            |what: &str, error: Option<&str>| Attempted { what: what.to_owned(), error: error.map(str::to_owned) };
        facts.cgroup.as_mut().unwrap().attempts = Ok(vec![
            attempt("make a cgroup in /x", None),
            attempt("give a cgroup a program for devices in /x", Some("EPERM")),
        ]);
        judge("cgroup.operations", &facts, &profile).0.outcome
    };
    assert_eq!(judged("podman-6.12"), Outcome::Fail);
    assert_eq!(judged("user-namespace-6.12"), Outcome::Pass);
}

#[test]
fn an_address_that_asks_for_certificates_or_is_local_is_not_open() {
    let profile = profile("28.5.2");
    let mut facts = facts("healthy-28.5.2", &profile);
    for given in
        [&["-H", "tcp://0.0.0.0:2376", "--tlsverify"][..], &["-H", "tcp://127.0.0.1:2375"], &["-H", "unix:///x"]]
    {
        facts.configuration = Ok(Configuration::of_words(given));
        assert_eq!(judge("configuration.open-tcp", &facts, &profile).0.outcome, Outcome::Pass, "{given:?}");
    }
}

/// From 20.10 on the daemon does not look in a user namespace, and before 1.7 nowhere.
#[test]
fn a_daemon_without_cgroup_mounts_dies_where_it_looks_for_them() {
    use dindcheck::finding::Fate::{Dies, EveryContainerFails};
    for (inner, initial, fate) in [
        ("1.6.2", Some(true), EveryContainerFails),
        ("1.7.1", Some(true), Dies),
        ("19.03.15", Some(false), Dies),
        ("20.10.0", Some(false), EveryContainerFails),
        ("20.10.0", Some(true), Dies),
        ("20.10.0", None, Dies),
        ("28.5.2", Some(false), EveryContainerFails),
        ("28.5.2", Some(true), Dies),
    ] {
        let profile = profile(inner);
        let mut facts = facts("no-cgroup-mounts", &profile);
        match initial {
            Some(initial) => facts.privileges.as_mut().unwrap().initial_user_namespace = initial,
            None => facts.privileges = Err(FactError::new("read", "/proc/self/status", "on purpose")),
        }
        let (finding, _) = judge("cgroup.mounted", &facts, &profile);
        assert_eq!((finding.outcome, finding.foretells), (Outcome::Fail, fate), "{inner}, {initial:?}");
        let cause = finding.cause.unwrap();
        assert_eq!(cause.contains(&format!("Docker {inner} dies with")), fate == Dies, "{cause}");
    }
}

#[test]
fn links_that_were_not_tried_are_told_with_the_modules_that_they_would_load() {
    let profile = profile("28.5.2");
    let error = FactError::new("try", "links", "on purpose");
    let untold = Verdict::from(&error).summary;
    let (is_there, is_not) = ("is in the kernel", "a module that is not loaded");
    for (bridge, veth, told) in [
        (Presence::Loaded, Presence::BuiltIn, None),
        (Presence::Loadable, Presence::Loaded, Some([is_not, is_there])),
        (Presence::Loaded, Presence::Loadable, Some([is_there, is_not])),
    ] {
        let mut facts = facts("healthy-28.5.2", &profile);
        let kernel = facts.kernel.as_mut().unwrap();
        kernel.modular = true;
        kernel.modules.extend([("bridge", bridge), ("veth", veth)].map(|(name, own)| (name.to_owned(), own)));
        facts.network.as_mut().unwrap().attempts = Err(error.clone());
        let (finding, _) = judge("network.devices", &facts, &profile);
        assert_eq!((finding.outcome, &finding.summary), (Outcome::Unknown, &untold));
        let mut wanted = (Vec::new(), Vec::new());
        if let Some([bridge, veth]) = told {
            let part = |(part, name, presence): (&str, &str, &str)| Evidence {
                location: part.to_owned(),
                value: format!("{name}: {presence}"),
                wanted: None,
            };
            wanted.0.extend([("bridges", "bridge", bridge), ("veth pairs", "veth", veth)].map(part));
            let remedy = "on the host: modprobe -a bridge veth, or let dindcheck --fix --allow-host-changes load it";
            wanted.1.push(remedy.to_owned());
        }
        assert_eq!((finding.evidence, finding.remedy), wanted, "{bridge:?}, {veth:?}");
    }
}

#[test]
fn a_socket_that_could_not_be_tried_is_not_known() {
    let profile = profile("28.5.2");
    let judged = |answers: &[Answer]| {
        let mut facts = facts("healthy-28.5.2", &profile);
        let socket = |(number, answer): (usize, &Answer)| Socket {
            path: format!("/run/{number}.sock"),
            mode: 0o660,
            answer: answer.clone(),
        };
        facts.leftovers.as_mut().unwrap().sockets = answers.iter().enumerate().map(socket).collect();
        let (finding, fix) = judge("leftovers.containerd-socket", &facts, &profile);
        (finding.outcome, finding.summary, fix.is_some())
    };
    let untold = || Answer::Untold("on purpose".to_owned());
    let is = |outcome, summary: &str, mends| (outcome, summary.to_owned(), mends);
    assert_eq!(judged(&[]), is(Outcome::Pass, "none", false));
    assert_eq!(judged(&[Answer::Listening]), is(Outcome::Pass, "/run/0.sock answers", false));
    assert_eq!(judged(&[Answer::Listening, untold()]), is(Outcome::Unknown, "/run/1.sock: on purpose", false));
    let dead = is(Outcome::Fail, "nothing listens on /run/1.sock", true);
    assert_eq!(judged(&[untold(), Answer::Refused]), dead);
}

#[test]
fn what_forbids_user_namespaces_is_named_with_the_value_that_allows_them() {
    let profile = profile("28.5.2");
    let mut facts = facts("healthy-28.5.2", &profile);
    let names = [
        "kernel/unprivileged_userns_clone",
        "user/max_user_namespaces",
        "kernel/apparmor_restrict_unprivileged_userns",
    ];
    for (values, wanted) in [
        ([Some(1), Some(15_000), Some(0)], &[][..]),
        ([None, None, None], &[]),
        ([Some(0), Some(1), None], &["kernel.unprivileged_userns_clone=1"]),
        ([None, Some(0), Some(0)], &["user.max_user_namespaces=28633"]),
        ([Some(1), Some(1), Some(1)], &["kernel.apparmor_restrict_unprivileged_userns=0"]),
        (
            [Some(0), Some(0), Some(1)],
            &[
                "kernel.unprivileged_userns_clone=1",
                "user.max_user_namespaces=28633",
                "kernel.apparmor_restrict_unprivileged_userns=0",
            ],
        ),
    ] {
        of_user(&mut facts, |seen| seen.attempts.as_mut().unwrap()[0].error = Some("EPERM".to_owned()));
        let setting = |(name, value): (&str, Option<u64>)| Setting { path: format!("/proc/sys/{name}"), value };
        let settings = names.into_iter().zip(values).map(setting).collect();
        facts.rootless.as_mut().unwrap().as_mut().unwrap().settings = settings;
        let (finding, _) = judge("rootless.user-namespace", &facts, &profile);
        let remedies: Vec<&str> =
            finding.remedy.iter().filter_map(|line| line.strip_prefix("on the host: sysctl -w ")).collect();
        assert_eq!(remedies, wanted, "{values:?}");
        let saw = |evidence: &Evidence| {
            let name = evidence.location.strip_prefix("/proc/sys/")?.replacen('/', ".", 1);
            Some(format!("{name}={}", evidence.wanted.as_deref().unwrap_or_default()))
        };
        assert_eq!(finding.evidence.iter().filter_map(saw).collect::<Vec<_>>(), wanted, "{values:?}");
    }
}

#[test]
fn the_ids_are_stable_and_unique() {
    let ids: Vec<&str> = CHECKS.iter().map(|check| check.id).collect();
    insta::assert_snapshot!(ids.join("\n"), @r"
    rootless.engine
    rootless.programs
    rootless.directories
    rootless.ids
    rootless.user-namespace
    rootless.id-map
    rootless.tun
    privileges.capabilities
    privileges.seccomp
    privileges.no-new-privs
    engine.binaries
    engine.profile
    engine.pairing
    privileges.operations
    privileges.grants
    limits.open-files
    limits.raising
    limits.tasks
    limits.memory
    limits.kernel
    cgroup.version
    cgroup.hybrid
    cgroup.mounted
    cgroup.writable
    cgroup.controllers
    cgroup.namespace
    cgroup.delegation
    cgroup.operations
    mounts.proc-sys
    mounts.writable
    mounts.propagation
    storage.data-root
    storage.d-type
    storage.space
    storage.flags
    storage.driver
    storage.in-use
    netfilter.iptables
    netfilter.ip6tables
    netfilter.ipset
    netfilter.nftables
    network.namespace
    network.devices
    network.loopback
    network.ip-forward
    network.subnets
    network.nameservers
    network.mtu
    network.rp-filter
    network.arp
    network.bridge-filter
    devices.nodes
    leftovers.pidfile
    leftovers.containerd-socket
    configuration.accepted
    configuration.tls-files
    configuration.mounted-socket
    configuration.client
    configuration.open-tcp
    configuration.tcp-delay
    ");
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len());
}
