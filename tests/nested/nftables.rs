//! A daemon that shall write its firewall with nft.

use crate::lab::{Report, Run, run_script};

const ID: &str = "netfilter.nftables";
const FORWARD: &str = "network.ip-forward";

/// Has 29.0 asked for nftables; then runs a script.
fn asked(script: &str) -> Run {
    let script = format!(
        "mkdir -p /etc/docker; echo '{{\"firewall-backend\": \"nftables\"}}' > /etc/docker/daemon.json
        export DINDCHECK_INNER=29.0.0
        {script}"
    );
    run_script("28.5.2", &["--tools"], &script)
}

#[test]
fn what_29_writes_is_written_with_the_nft_of_the_image() {
    let report = asked("exec dindcheck check --format json --only netfilter.nftables --only netfilter.iptables")
        .expect_status(0)
        .report();
    assert_eq!(report.expect(ID, "pass"), "/tools/bin/nft writes all of them");
    report.expect("netfilter.iptables", "not-applicable");
}

#[test]
fn an_image_without_nft_is_found_and_needs_no_iptables() {
    let script = "PATH=${PATH%:/tools/bin}; find / -xdev -name 'iptables*' -delete
        exec dindcheck check --format json";
    let report = asked(script).expect_status(1).report();
    assert_eq!(report.expect_blocking(ID), "there is no nft program");
    report.expect("netfilter.iptables", "not-applicable");
    report.expect("engine.binaries", "fail");
    assert_eq!(report.finding("engine.binaries")["severity"], "info", "{:#}", report.finding("engine.binaries"));
}

#[test]
fn what_the_kernel_refuses_is_named() {
    let script = "exec setpriv --bounding-set=-net_admin dindcheck check --only netfilter.nftables --format json";
    let report = asked(script).expect_status(1).report();
    assert_eq!(report.expect_blocking(ID), "nft is refused: every rule");
    let seen = &report.finding(ID)["evidence"][0];
    assert_eq!(seen["location"], "/tools/bin/nft -f: table docker-bridges", "{seen:#}");
    assert!(seen["value"].as_str().unwrap().ends_with("Operation not permitted"), "{seen:#}");
}

#[test]
fn forwarding_that_29_only_looks_at_is_turned_on() {
    let script = "
        echo 0 > /proc/sys/net/ipv4/ip_forward
        ! dindcheck check --only network.ip-forward --format json || exit 9
        dindcheck fix --only network.ip-forward -q >&2
        test $(cat /proc/sys/net/ipv4/ip_forward) = 1
        dindcheck check --only network.ip-forward --format json
        dindcheck undo >&2
        test $(cat /proc/sys/net/ipv4/ip_forward) = 0";
    let run = asked(&format!("set -e{script}")).expect_status(0);
    let reports = serde_json::Deserializer::from_str(&run.stdout).into_iter().map(Result::unwrap);
    let reports: Vec<Report> = reports.map(Report).collect();
    assert_eq!(reports[0].expect_blocking(FORWARD), "off, and the daemon does not turn it on with nftables");
    assert_eq!(reports[1].expect(FORWARD, "pass"), "on");
    // The same engine turns it on by itself with iptables.
    let script = "rm /etc/docker/daemon.json; echo 0 > /proc/sys/net/ipv4/ip_forward
        exec dindcheck check --only network.ip-forward --format json";
    asked(script).expect_status(0).report().expect(FORWARD, "pass");
}

#[test]
fn forwarding_of_ipv6_is_turned_on_too() {
    let script = "set -e
        echo '{\"firewall-backend\": \"nftables\", \"ipv6\": true}' > /etc/docker/daemon.json
        v6() { cat /proc/sys/net/ipv6/conf/$1/forwarding; }
        echo 1 > /proc/sys/net/ipv4/ip_forward
        test $(v6 all) = 0; echo 1 > /proc/sys/net/ipv6/conf/default/forwarding
        ! dindcheck check --only network.ip-forward --format json || exit 9
        dindcheck fix --only network.ip-forward -q >&2
        test $(v6 all) = 1; test $(v6 default) = 1
        dindcheck check --only network.ip-forward --format json
        dindcheck undo >&2
        test $(v6 all) = 0; test $(v6 default) = 1; test $(cat /proc/sys/net/ipv4/ip_forward) = 1";
    let run = asked(script).expect_status(0);
    let reports = serde_json::Deserializer::from_str(&run.stdout).into_iter().map(Result::unwrap);
    let reports: Vec<Report> = reports.map(Report).collect();
    assert_eq!(reports[0].expect_blocking(FORWARD), "IPv6: off, and the daemon does not turn it on with nftables");
    assert_eq!(reports[1].expect(FORWARD, "pass"), "on");
}
