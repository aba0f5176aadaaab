//! Networks that do not let the daemon make its own.

use crate::lab::{Outer, Report, docker, mends, mends_with, run, run_script};

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
    mends(&[], fault, "network.subnets");
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
    mends(&[], fault, "network.mtu");
}

#[test]
fn networks_of_users_get_the_mtu_too() {
    let script = "
        ip link set eth0 mtu 1400
        dindcheck --fix --job -- sh -c '
            tar -C / -c bin/busybox | docker import - busybox > /dev/null
            docker network create own > /dev/null
            for net in bridge own; do docker run --rm --network $net busybox /bin/busybox ip link show eth0; done' > /tmp/seen 2> /tmp/log
        grep -c 'mtu 1400' /tmp/seen";
    assert_eq!(run_script("28.5.2", &[], script).expect_status(0).stdout, "2\n");
}

#[test]
fn a_strict_reverse_path_filter_is_loosened() {
    // A second way, as an overlay network has it.
    let fault = "ip link add flannel.1 type bridge; ip addr add 10.44.0.1/24 dev flannel.1; ip link set flannel.1 up
        sysctl -qw net.ipv4.conf.all.rp_filter=1";
    let finding = mends(&[], fault, "network.rp-filter");
    assert_eq!(finding["summary"], "strict on eth0, flannel.1");
    let one_way = check("sysctl -qw net.ipv4.conf.all.rp_filter=1", 0);
    one_way.expect("network.rp-filter", "pass");
}

/// What the mend is for: a packet whose answer would leave by another interface gets in.
#[test]
fn a_packet_by_another_way_gets_in_once_the_filter_is_loose() {
    let script = "set -e
        ip netns add far
        ip link add flannel.1 type veth peer name far0 netns far
        ip addr add 10.44.0.1/24 dev flannel.1; ip link set flannel.1 up
        ip -n far addr add 10.44.0.2/24 dev far0; ip -n far addr add 10.55.0.9/32 dev lo
        ip -n far link set lo up; ip -n far link set far0 up; ip -n far route add default via 10.44.0.1
        iptables -I INPUT -i flannel.1 -s 10.55.0.9
        came() {
            iptables -Z INPUT
            ip netns exec far busybox ping -c 1 -W 1 -I 10.55.0.9 10.44.0.1 > /dev/null || true
            iptables -nvxL INPUT 1 | awk '{ print $1 }'
        }
        sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.flannel/1.rp_filter=0
        came; sysctl -qw net.ipv4.conf.all.rp_filter=1; came
        dindcheck fix --only network.rp-filter -q >&2; came
        dindcheck undo >&2; came";
    assert_eq!(run_script("28.5.2", &[], script).expect_status(0).stdout, "1\n0\n1\n0\n");
}

/// Two nodes, joined by an ordinary network and by an overlay. A client on one asks for the address of a service, which is
/// translated to an endpoint behind the bridge of the other: it asks from its address on the ordinary network, and by the
/// overlay. A strict filter drops that on the second node, and once it is loose there, the answer on the first.
#[test]
fn a_connection_to_a_service_comes_up_once_both_nodes_are_loose() {
    const SCRIPT: &str = r#"set -e
        ip netns add two; ip netns add end
        two() { ip netns exec two "$@"; }
        ip link add ether type veth peer name ether netns two
        ip link add flannel.1 type veth peer name flannel.1 netns two
        ip addr add 192.0.2.1/24 dev ether; ip addr add 10.42.0.0/32 dev flannel.1
        two ip addr add 192.0.2.2/24 dev ether; two ip addr add 10.42.1.0/32 dev flannel.1
        two ip link add cni0 type bridge; two ip addr add 10.42.1.1/24 dev cni0
        two ip link add veth1 type veth peer name eth0 netns end; two ip link set veth1 master cni0
        ip -n end addr add 10.42.1.9/24 dev eth0
        for name in ether flannel.1; do ip link set $name up; done
        for name in lo ether flannel.1 cni0 veth1; do two ip link set $name up; done
        ip -n end link set lo up; ip -n end link set eth0 up; ip -n end route add default via 10.42.1.1
        ip route add 10.42.1.0/24 dev flannel.1; ip route replace default via 192.0.2.2 dev ether
        # An overlay knows the others' hardware addresses by itself.
        ip neigh add 10.42.1.9 lladdr $(two cat /sys/class/net/flannel.1/address) dev flannel.1
        two sysctl -qw net.ipv4.ip_forward=1
        iptables -t nat -A OUTPUT -d 10.43.0.7 -p tcp --dport 80 -j DNAT --to-destination 10.42.1.9:80
        mkdir /tmp/page; echo answered > /tmp/page/index.html
        ip netns exec end busybox httpd -p 80 -h /tmp/page
        strict() { sysctl -qw net.ipv4.conf.all.rp_filter=$1; two sysctl -qw net.ipv4.conf.all.rp_filter=$1; }
        count() { awk '/^TcpExt:/ { if (n++) print $i; else for (i = 1; $i != "IPReversePathFilter"; i++); }'; }
        asks() { # SECONDS
            busybox wget -q -T $1 -O - http://10.43.0.7/ 2> /dev/null || echo nothing
            echo "$(count < /proc/net/netstat) $(two cat /proc/net/netstat | count)" | awk '{ print ($1 > 0) " " ($2 > 0) }'
        }
        for name in ether flannel.1; do
            sysctl -qw net.ipv4.conf.$(echo $name | tr . /).rp_filter=0
            two sysctl -qw net.ipv4.conf.$(echo $name | tr . /).rp_filter=0
        done
        echo "=== loose"; strict 0; asks 60
        echo "=== strict"; strict 1; asks 5
        echo "=== two"; two dindcheck check --only network.rp-filter --format json
        two dindcheck fix --only network.rp-filter -q >&2
        echo "=== answer"; asks 5
        echo "=== one"; dindcheck check --only network.rp-filter --format json
        dindcheck fix --only network.rp-filter -q >&2
        echo "=== mended"; asks 60"#;
    let run = run_script("28.5.2", &[], SCRIPT).expect_status(0);
    let part = |name: &str| {
        let (_, rest) = run.stdout.split_once(&format!("=== {name}\n")).unwrap_or_else(|| panic!("no {name}: {run}"));
        rest.split("=== ").next().unwrap().trim()
    };
    let says = |name: &str| Report(serde_json::from_str(part(name)).unwrap()).expect("network.rp-filter", "fail");
    assert_eq!(part("loose"), "answered\n0 0", "{run}");
    // The question is dropped on the second node, and then the answer on the first.
    assert_eq!(part("strict"), "nothing\n0 1", "{run}");
    let two = says("two");
    assert!(two.starts_with("strict on ") && two.contains("flannel.1") && two.ends_with(" dropped so far"), "{two}");
    assert_eq!(part("answer"), "nothing\n1 1", "{run}");
    let one = says("one");
    assert!(one.contains("ether, ") && one.ends_with(" dropped so far"), "{one}");
    assert_eq!(part("mended"), "answered\n1 1", "{run}");
}

#[test]
fn the_network_of_a_machine_is_told_from_that_of_a_container() {
    check("true", 0).expect("network.namespace", "pass");
    // Here and now, without a container.
    let here = std::process::Command::new(crate::binary::path())
        .args(["check", "--only", "network.namespace", "--inner", "28.5.2", "--format", "json"])
        .output()
        .unwrap();
    let report = crate::lab::Report(serde_json::from_slice(&here.stdout).unwrap());
    let summary = report.expect("network.namespace", "fail");
    assert!(summary.starts_with("this looks like the host's network: "), "{summary}");
}

#[test]
fn a_bridge_that_cannot_be_filtered_is_found_where_that_is_asked_for() {
    const ID: &str = "network.bridge-filter";
    let fault = "mount -t tmpfs tmpfs /proc/sys/net/bridge";
    check(fault, 0).expect(ID, "pass");
    let script =
        |variable: &str| format!("{fault}; {variable} exec dindcheck check --format json --only {ID} -- --icc=false");
    let report = run_script("28.5.2", &[], &script("")).expect_status(1).report();
    assert_eq!(report.expect_blocking(ID), "no br_netfilter, and the daemon is told --icc=false");
    let ignored = run_script("28.5.2", &[], &script("DOCKER_IGNORE_BR_NETFILTER_ERROR=1")).expect_status(0).report();
    ignored.expect(ID, "fail");
    let plain = run_script("28.5.2", &[], &format!("{fault}; timeout 60 dockerd --icc=false")).expect_status(1);
    assert!(
        plain.stderr.contains("set environment variable DOCKER_IGNORE_BR_NETFILTER_ERROR=1 to ignore"),
        "{}",
        plain.stderr
    );
}

#[test]
fn forwarding_that_the_daemon_is_told_to_leave_off_is_turned_on() {
    let finding = mends_with(&[], "sysctl -qw net.ipv4.ip_forward=0", "network.ip-forward", "--ip-forward=false");
    assert_eq!(finding["summary"], "off, and the daemon is told to leave it so");
}

#[test]
fn a_loopback_that_is_down_is_set_up() {
    const ID: &str = "network.loopback";
    check("true", 0).expect(ID, "pass");
    // Without the mend a published port cannot be reached by 127.0.0.1.
    let script = format!("ip link set lo down; exec dindcheck --exit --skip {ID} --format json");
    run_script("28.5.2", &[], &script).expect_status(5).report().expect_scenario("network.port", "fail");
    let finding = mends(&[], "ip link set lo down", ID);
    assert_eq!(finding["summary"], "lo is down");
}

#[test]
fn interfaces_that_do_not_answer_arp_are_made_to() {
    const ID: &str = "network.arp";
    let fault = "sysctl -qw net.ipv4.conf.default.arp_ignore=8";
    check("true", 0).expect(ID, "pass");
    // Without the mend an inner container does not even reach its gateway.
    let script = format!("{fault}; exec dindcheck --exit --skip {ID} --format json");
    let report = run_script("28.5.2", &[], &script).report();
    report.expect_scenario("network.gateway", "fail");
    let finding = mends(&[], fault, ID);
    assert_eq!(finding["summary"], "ARP requests are not answered on: default");
}

/// A network of the outer engine as users make them, gone with the test.
struct UserNetwork(String);

impl UserNetwork {
    fn make() -> Self {
        let name = format!("nested-{}", std::process::id());
        docker(&["network", "create", &name]);
        Self(name)
    }
}

impl Drop for UserNetwork {
    fn drop(&mut self) {
        crate::lab::lab(&["docker", "--", "network", "rm", &self.0]);
    }
}

#[test]
fn names_of_the_outer_network_are_known_to_inner_containers() {
    const ID: &str = "network.nameservers";
    let network = UserNetwork::make();
    let option = format!("--network={}", network.0);
    let options = ["--docker-arg", &option];
    let finding = mends(&options, "true", ID);
    assert_eq!(finding["evidence"][0]["value"], "127.0.0.11", "{finding:#}");

    // A neighbour whom no one knows but the outer engine's resolver; and again after a restart, with its new ports.
    let neighbour = Outer::start("28.5.2", &options, &["sleep", "1000"]);
    let job = "tar -C / -c bin/busybox | docker import - busybox > /dev/null
        docker network create own > /dev/null 2>&1
        for net in bridge own; do docker run --rm --network $net busybox /bin/busybox nslookup NAME && echo known on $net; done
        sleep 1000";
    let job = job.replace("NAME", neighbour.name());
    let outer = Outer::start("28.5.2", &options, &["dindcheck", "--fix", "--job", "--", "sh", "-c", &job]);
    for times in 1..=2 {
        outer.wait_for_logs("known on bridge", times);
        outer.wait_for_logs("known on own", times);
        if times == 1 {
            outer.stop();
            outer.restart();
        }
    }
    // The daemon stands on these rules.
    let undone = outer.exec(&["dindcheck", "undo"]).expect_status(2);
    assert!(undone.stderr.contains("dockerd runs (process "), "{}", undone.stderr);
    outer.script("iptables -t nat -S PREROUTING | grep -q 127.0.0.11");

    let plain = run("28.5.2", &options, &["dindcheck", "--exit", "--format", "json"]).expect_status(5).report();
    let summary = plain.expect_scenario("network.dns", "fail");
    assert_eq!(summary, "containers ask 8.8.8.8, 8.8.4.4, which the outer container does not");
}

#[test]
fn what_is_the_hosts_is_not_touched_and_what_would_be_done_is_reported() {
    // The network of the lab host, whose own docker0 is there; and a bridge with a strict filter of its own.
    let options = [
        "--docker-arg",
        "--network=host",
        "--docker-arg",
        "--cgroupns=host",
        "--docker-arg",
        "-v/sys/fs/cgroup:/sys/fs/cgroup",
    ];
    let name = format!("strict{}", std::process::id() % 100_000);
    let script = format!(
        "
        # Other tests have containers and networks of that engine meanwhile: their interfaces, bridges and addresses.
        state() {{ {{ sysctl -a 2> /dev/null | grep -E 'rp_filter|ip_forward|route_localnet'; ip -o link show | cut -d : -f 2; iptables-save | grep -v '^#' | sed 's/\\[[0-9:]*\\]//'; }} | grep -vE 'veth|br-|172[.]17[.]0[.][0-9]+/32'; }}
        own=$(grep :memory: /proc/self/cgroup | cut -d : -f 3)
        trap 'ip link del {name}' EXIT
        ip link add {name} type bridge && ip link set {name} up && sysctl -qw net.ipv4.conf.{name}.rp_filter=1
        state > /tmp/before; grep ' - cgroup' /proc/self/mountinfo > /tmp/mounts
        dindcheck fix --only network.rp-filter,network.namespace,cgroup.namespace --dry-run >&2
        dindcheck fix --only network.rp-filter,network.namespace,cgroup.namespace --format json
        state | diff /tmp/before - >&2 || exit 9
        test \"$(grep :memory: /proc/self/cgroup | cut -d : -f 3)\" = \"$own\" || exit 8
        dindcheck undo >&2
        grep ' - cgroup' /proc/self/mountinfo | cut -d ' ' -f 4- | sort > /tmp/now
        cut -d ' ' -f 4- /tmp/mounts | sort | diff - /tmp/now >&2"
    );
    let run = run_script("28.5.2", &options, &script).expect_status(0);
    let report: Report = run.report();
    let summary = report.expect("network.namespace", "fail");
    assert!(summary.contains("docker0"), "{summary}");
    assert_eq!(report.expect("network.rp-filter", "fail"), format!("strict on {name}"));
    let fixes = report.0["fixes"].as_array().unwrap();
    let refused = fixes.iter().find(|fix| fix["fix"]["check"] == "network.rp-filter").unwrap();
    assert_eq!((&refused["result"], &refused["fix"]["scope"]), (&"not-allowed".into(), &"host".into()));
    assert!(run.stderr.contains("echo 2 > /proc/sys/net/ipv4/conf/all/rp_filter"), "{}", run.stderr);
    // Its own cgroup takes the place of the host's tree in its own mount namespace: that is its own.
    assert_eq!(report.mended(), ["cgroup.namespace"]);
}
