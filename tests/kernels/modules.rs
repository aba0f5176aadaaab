//! Modules of the kernel that a host lacks, one after the other, and those that it has and has not loaded.

use crate::host::on_host;
use crate::matrix::HELD_BACK;
use crate::report::{Report, part};

/// For each `MODULE|SHELL LINES|FLAG OF THE DAEMON`: takes the module's file away and all that nothing uses out of the
/// kernel; looks, and starts the daemon.
const SCRIPT: &str = r#"
kernel=/lib/modules/$(uname -r)
mount -o remount,rw /lib/modules
unload() {
    for round in 1 2 3 4; do awk '$3 == 0 { print $1 }' /proc/modules | xargs -r -n 1 rmmod 2> /run/rmmod; done
}
for case; do
    IFS='|' read -r module prologue flag <<< "$case"
    file=$(find "$kernel" -name "$module.ko" -o -name "${module//_/-}.ko")
    mv "$file" /run/module
    depmod -a
    unload
    echo "=== look $module;"
    outer sh -c "$prologue dindcheck check --format json -- $flag
        echo '=== plain $module;'
        dockerd $flag"' > /tmp/log 2>&1 &
        until docker version > /tmp/version 2>&1; do kill -0 $! 2> /tmp/gone || break; sleep 0.5; done
        tar -C / -c bin/busybox | docker import - busybox > /tmp/import 2>&1 || { tail -n 3 /tmp/log; exit; }
        docker run --rm busybox /bin/busybox echo works 2>&1
        docker info -f "{{.Driver}}"'
    mv /run/module "$file"
    depmod -a
    unload
done
"#;

/// The image has the legacy iptables alone.
const LEGACY: &str =
    "update-alternatives --set iptables /usr/sbin/iptables-legacy >&2; rm /usr/sbin/xtables-nft-multi;";

/// One module: its name, what each container does first, the daemon's flag, what the daemon does, the check that
/// finds it, and its words.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

fn each_is_named(cases: &[Case]) {
    let lines: Vec<String> =
        cases.iter().map(|(module, prologue, flag, ..)| format!("{module}|{prologue}|{flag}")).collect();
    let words: Vec<&str> =
        ["bash", "-c", SCRIPT, "modules"].into_iter().chain(lines.iter().map(String::as_str)).collect();
    let modules = ["--docker-arg", "-v", "--docker-arg", "/lib/modules:/lib/modules:ro"];
    let (stdout, all) = on_host(&[&["--kernel", "6.12", "--no-networks"], &modules[..]].concat(), &words);
    for (module, _, _, plain, id, says) in cases {
        let part = |what: &str| {
            part(&stdout, &format!("{what} {module};")).unwrap_or_else(|| panic!("no {what} for {module}: {all}"))
        };
        assert!(part("plain").contains(plain), "{module}: {}", part("plain"));
        let report = Report::parse(part("look")).unwrap_or_else(|error| panic!("{module}: {error}\n{all}"));
        assert!(report.found().contains(id), "{module}: {:?}", report.found());
        let finding = report.finding(id);
        assert!(finding.contains(says), "{module}: {says} is not in {finding}");
    }
}

const NO_SUCH_RULE: &str = "(No such file or directory): rule in chain";
const NO_TABLE: &str = "can't initialize iptables table `nat'";

#[ignore = "minutes: scripts/test --kernels"]
#[test]
fn of_layers_networks_and_the_legacy_firewall() {
    each_is_named(&[
        ("overlay", "", "", "works\nvfs", "storage.data-root", "overlay: neither built in nor a module"),
        ("bridge", "", "", "operation not supported", "network.devices", "the kernel has no bridge"),
        ("veth", "", "", "operation not supported", "network.devices", "the kernel has no veth"),
        ("br_netfilter", "", "--icc=false", "works", "network.bridge-filter", "br_netfilter: neither built in"),
        ("ip_tables", LEGACY, "", NO_TABLE, "netfilter.iptables", "ip_tables: neither built in"),
        ("iptable_nat", LEGACY, "", NO_TABLE, "netfilter.iptables", "iptable_nat: neither built in"),
    ]);
}

#[ignore = "minutes: scripts/test --kernels"]
#[test]
fn of_the_firewall() {
    let absent = "Could not fetch rule set generation id";
    each_is_named(&[
        ("nf_tables", "", "", absent, "netfilter.iptables", "nf_tables: neither built in"),
        ("nft_compat", "", "", NO_SUCH_RULE, "netfilter.iptables", "nft_compat: neither built in"),
        ("xt_addrtype", "", "", NO_SUCH_RULE, "netfilter.iptables", "xt_addrtype: neither built in"),
        ("xt_conntrack", "", "", NO_SUCH_RULE, "netfilter.iptables", "xt_conntrack: neither built in"),
    ]);
}

/// In one container: a mend that may not touch the host, one that may, and what takes it back. Judged by a version that
/// writes rules for IPv6 too, with a flag for which bridges are filtered.
const LOADED_AND_TAKEN_OUT: &str = r#"
outer sh -c '
    loaded() { cut -d " " -f 1 /proc/modules; }
    fix() { dindcheck fix --inner 28.5.2 --format json "$@" -- --icc=false; }
    echo "=== refused;"; fix
    echo "=== then;"; loaded
    echo "=== allowed;"; fix --allow-host-changes
    echo "=== after;"; loaded
    dindcheck undo >&2
    echo "=== undone;"; loaded'
"#;

#[test]
fn what_is_held_back_is_loaded_where_that_is_allowed_and_taken_out_again() {
    let (stdout, all) = on_host(HELD_BACK, &["bash", "-c", LOADED_AND_TAKEN_OUT]);
    let part = |name: &str| part(&stdout, &format!("{name};")).unwrap_or_else(|| panic!("no {name}: {all}"));
    let report = |name: &str| Report::parse(part(name)).unwrap_or_else(|error| panic!("{name}: {error}\n{all}"));
    let loaded = |name: &str, module: &str| part(name).lines().any(|line| line == module);

    let missing =
        ["storage.data-root", "netfilter.iptables", "netfilter.ip6tables", "network.devices", "network.bridge-filter"];
    assert_eq!(report("refused").found(), missing, "{all}");
    let allowed = report("allowed");
    assert_eq!(allowed.found(), [""; 0], "{all}");
    assert_eq!(allowed.mended(), missing, "{all}");
    for module in HELD_BACK.iter().filter(|word| !word.starts_with("--") && !word.starts_with('6')) {
        assert!(!loaded("then", module), "{module} was loaded unasked: {all}");
        assert!(loaded("after", module), "{module} was not loaded: {all}");
        // Taking these out would take along the devices of others.
        let stays = ["bridge", "veth"].contains(module);
        assert_eq!(loaded("undone", module), stays, "{module}: {all}");
    }
}
