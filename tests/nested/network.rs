//! Networks that do not let the daemon make its own.

use crate::lab::run_script;

/// Runs a script that makes the fault, then a look.
fn check(fault: &str, status: i32) -> crate::lab::Report {
    run_script("28.5.2", &[], &format!("{fault}; exec dindcheck check --format json")).expect_status(status).report()
}

#[test]
fn without_the_capability_no_bridge_is_made() {
    let script = "exec setpriv --bounding-set=-net_admin dindcheck check --format json";
    let report = run_script("28.5.2", &[], script).expect_status(1).report();
    assert_eq!(report.expect_blocking("network.devices"), "cannot make a bridge");
    check("true", 0).expect("network.devices", "pass");
}

#[test]
fn forwarding_that_cannot_be_turned_on_is_found() {
    let fault =
        "sysctl -qw net.ipv4.ip_forward=0; mount --bind /proc/sys /proc/sys; mount -o remount,ro,bind /proc/sys";
    let report = check(fault, 1);
    assert_eq!(report.expect_blocking("network.ip-forward"), "IP forwarding cannot be turned on");
    check("sysctl -qw net.ipv4.ip_forward=0", 0).expect("network.ip-forward", "pass");
}

#[test]
fn networks_that_are_all_taken_are_found() {
    let fault = "for net in 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16; do ip route add $net dev eth0; done";
    let report = check(fault, 1);
    report.expect_blocking("network.subnets");
    // The daemon alone says the same, and dies of it.
    let plain = run_script("28.5.2", &[], &format!("{fault}; timeout 60 dockerd")).expect_status(1);
    assert!(plain.stderr.contains("address pool"), "{}", plain.stderr);
}

#[test]
fn a_name_server_of_this_container_alone_is_found() {
    let report = check("echo nameserver 127.0.0.11 > /etc/resolv.conf", 0);
    assert_eq!(report.expect("network.nameservers", "fail"), "inner containers will ask 8.8.8.8 and 8.8.4.4");
    check("echo nameserver 192.0.2.1 > /etc/resolv.conf", 0).expect("network.nameservers", "pass");
}

#[test]
fn a_small_way_out_is_found_unless_the_daemon_knows() {
    let fault = "ip link set eth0 mtu 1400";
    let summary = check(fault, 0).expect("network.mtu", "fail");
    assert_eq!(summary, "eth0 has 1400, and inner networks will have 1500");
    let script = format!("{fault}; exec dindcheck check --format json -- --mtu 1400");
    run_script("28.5.2", &[], &script).expect_status(0).report().expect("network.mtu", "pass");
}
