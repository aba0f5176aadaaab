//! What the test containers prove: all of it on a sound daemon, and each claim refuted where it is really broken.

use dindcheck::verification::scenario::CLAIMS;

use crate::for_each_inner;
use crate::lab::{Outer, Report, Run, run_script, share};

/// The daemon, without verification, and beside it a name server that answers each question with nothing, as the
/// outer container's own.
const SERVE: &str = "
    address=$(ip -4 -o address show eth0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/')
    echo nameserver $address > /etc/resolv.conf
    perl -e '
        use IO::Socket::INET; use IO::Select;
        my @at = (LocalAddr => shift, LocalPort => 53);
        my $udp = IO::Socket::INET->new(@at, Proto => \"udp\") or die;
        my $tcp = IO::Socket::INET->new(@at, Proto => \"tcp\", Listen => 9, ReuseAddr => 1) or die;
        my $both = IO::Select->new($udp, $tcp);
        while (1) {
            for my $socket ($both->can_read) {
                my $peer = $socket == $tcp ? $tcp->accept : $udp;
                my $question;
                if ($socket == $tcp) { sysread($peer, $question, 4096) } else { $udp->recv($question, 4096) }
                substr($question, $socket == $tcp ? 4 : 2, 1) = chr(0x81);
                if ($socket == $tcp) { syswrite($peer, $question); close $peer } else { $udp->send($question) }
            }
        }' $address &
    exec dindcheck --no-verify -- \"$@\"";

const SERVING: &str = " is ready, ";

#[test]
fn main_job_proves_as_much_as_is_asked() {
    let full = |ids: &[&str]| ids.contains(&"commit") && ids.contains(&"kill");
    let proved = |options: &str| {
        let script = format!("exec dindcheck --format json --output /report {options} -- cat /report");
        run_script("28.5.2", &[], &script).expect_status(0).report()
    };
    assert_eq!(ids(&proved("--job")), quick_claims(), "the default of a daemon that serves");
    assert!(full(&ids(&proved("--job --verify full"))));
    for none in ["--no-verify", "--verify none"] {
        assert!(proved(&format!("--job {none}")).0["verification"].is_null());
    }
    let exit = |options: &str| {
        run_script("28.5.2", &[], &format!("exec dindcheck --format json --exit {options}")).expect_status(0).report()
    };
    assert!(full(&ids(&exit(""))));
    assert_eq!(ids(&exit("--verify quick")), quick_claims());
}

/// A runtime in front of the real one: `$bundle`, `$process` and `$args` are set when `hook` runs.
fn runtime(hook: &str) -> String {
    format!(
        "cat > /usr/local/sbin/runc <<'END'\n#!/bin/sh\nargs=\"$*\"\n\
         bundle=$(echo \"$args\" | sed -n 's/.*--bundle \\([^ ]*\\).*/\\1/p')\n\
         process=$(echo \"$args\" | sed -n 's/.*--process \\([^ ]*\\).*/\\1/p')\n\
         {hook}\nexec /usr/sbin/runc \"$@\"\nEND\nchmod +x /usr/local/sbin/runc"
    )
}

/// A daemon that serves, and what is made of it.
struct Nest(Outer);

impl Nest {
    fn new(inner: &str, options: &[&str], daemon: &[&str]) -> Self {
        let outer = Outer::start(inner, options, &[&["sh", "-c", SERVE, "sh"], daemon].concat());
        outer.wait_for_log(SERVING);
        Self(outer)
    }

    fn verify(&self) -> Run {
        self.0.exec(&["dindcheck", "verify", "--format", "json"])
    }

    /// The report of a verification that has to end with this status.
    fn report(&self, status: i32) -> Report {
        self.verify().expect_status(status).report()
    }

    /// Everything that a verification could leave behind, in the engine and around it.
    fn state(&self) -> String {
        self.0.script(
            "docker ps -aq; docker images -aq; docker volume ls -q; docker network ls -q | sort
            find /sys/fs/cgroup -type d | sort; ls -A /run/dindcheck 2> /dev/null || true; ip -o link show type veth",
        )
    }
}

for_each_inner!(all_is_proved);
fn all_is_proved(inner: &str) {
    let nest = Nest::new(inner, &[], &["--ipv6", "--fixed-cidr-v6", "fd00:d1d:c::/64"]);
    nest.0.script("tar -C / -c bin/busybox | docker import - warm > /dev/null; docker run --rm warm /bin/busybox true");
    let before = nest.state();
    let report = nest.report(0);
    report.expect_verified();
    for scenario in report.scenarios() {
        // An engine before 23 asks for every capability, and this outer container may not have them all.
        let asks_for_all = inner.starts_with("20.") && scenario["id"] == "privileged";
        if !(asks_for_all && scenario["outcome"] == "fail") {
            assert_eq!(scenario["outcome"], "pass", "{scenario:#}");
        }
    }
    assert_eq!(before, nest.state());
}

#[test]
fn what_is_wrong_with_the_network_is_told_apart() {
    let nest = Nest::new("28.5.2", &[], &[]);

    nest.0.script("iptables -t nat -F POSTROUTING");
    let report = nest.report(5);
    let summary = report.expect_scenario("network.outbound", "fail");
    assert!(summary.contains("no answer instead of an answer"), "{summary}");
    assert!(report.scenario("network.outbound")["cause"].as_str().unwrap().contains("MASQUERADE"));
    report.expect_scenario("network.peer", "pass");
    report.expect_scenario("network.gateway", "pass");
    nest.0.script("iptables -t nat -A POSTROUTING -s 172.16.0.0/12 ! -o docker0 -j MASQUERADE");
    nest.report(0).expect_scenario("network.outbound", "pass");

    nest.0.script("iptables -I INPUT -i docker0 -p tcp ! --dport 53 -j DROP");
    let report = nest.report(5);
    report.expect_scenario("network.gateway", "fail");
    report.expect_scenario("network.outbound", "pass");
    nest.0.script("iptables -D INPUT -i docker0 -p tcp ! --dport 53 -j DROP");

    nest.0.script("iptables -I INPUT -i docker0 -p udp --dport 53 -j DROP");
    let report = nest.report(5);
    let summary = report.expect_scenario("network.dns", "fail");
    assert!(summary.contains("over UDP"), "{summary}");
    report.expect_scenario("network.gateway", "pass");
    nest.0.script("iptables -D INPUT -i docker0 -p udp --dport 53 -j DROP");

    nest.0.script("ip link set eth0 mtu 1400");
    let report = nest.report(5);
    let summary = report.expect_scenario("network.mtu", "fail");
    assert!(summary.contains("1400 instead of 1500"), "{summary}");
    assert_eq!(report.scenario("network.mtu")["remedy"][0], "start the daemon with --mtu 1400 (or less)");
    report.expect_scenario("network.outbound", "pass");
    nest.0.script("ip link set eth0 mtu 1500");

    nest.report(0).expect_verified();
}

#[test]
fn containers_that_cannot_reach_each_other() {
    let nest = Nest::new("26.1.5", &[], &["--ipv6", "--fixed-cidr-v6", "fd00:d1d:c::/64"]);
    // Ports of a bridge that are isolated see everybody but each other.
    nest.0.script(
        "(while :; do
            for port in /sys/class/net/*/brport/isolated; do echo 1 > $port || true; done
        done > /dev/null 2>&1 &)",
    );
    let report = nest.report(5);
    for id in ["network.peer", "network.name", "network.ipv6"] {
        report.expect_scenario(id, "fail");
    }
    let found = report.scenario("network.name")["evidence"].to_string();
    assert!(found.contains("\"an address\""), "the name itself is found: {found}");
    report.expect_scenario("network.outbound", "pass");
}

#[test]
fn a_daemon_without_firewall_rules_publishes_nothing() {
    let nest = Nest::new("20.10.24", &[], &["--iptables=false", "--userland-proxy=false"]);
    let report = nest.report(5);
    report.expect_scenario("network.port", "fail");
    report.expect_scenario("network.outbound", "fail");
    report.expect_scenario("network.peer", "pass");
}

#[test]
fn a_container_without_a_route() {
    let nest = Nest::new("28.5.2", &[], &[]);
    nest.0.script(&runtime(
        "case $args in *' start '*)
            pid=$(/usr/sbin/runc $(echo \"$args\" | sed 's/ start .*//') state \"${args##* }\" | sed -n 's/.*\"pid\": \\([0-9]*\\).*/\\1/p')
            nsenter -t $pid -n ip route del default || true;;
        esac",
    ));
    let report = nest.report(5);
    assert_eq!(report.expect_scenario("network.address", "fail"), "the container has no default route");
    report.expect_scenario("run", "pass");
}

#[test]
fn name_servers_that_are_not_the_outer_containers() {
    let script = "
        echo nameserver 127.0.0.1 > /etc/resolv.conf
        exec dindcheck --format json --exit";
    let report = run_script("28.5.2", &[], script).expect_status(5).report();
    let summary = report.expect_scenario("network.dns", "fail");
    assert_eq!(summary, "containers ask 8.8.8.8, 8.8.4.4, which the outer container does not");
}

#[test]
fn without_a_default_network_its_claims_do_not_apply() {
    let nest = Nest::new("20.10.5", &[], &["--bridge", "none"]);
    let report = nest.report(0);
    for id in ["network.address", "network.peer", "network.port", "network.outbound", "network.mtu"] {
        report.expect_scenario(id, "not-applicable");
    }
    report.expect_scenario("network.name", "pass");
}

#[test]
fn a_second_process_that_is_not_what_it_should_be() {
    let nest = Nest::new("26.1.5", &[], &[]);
    nest.0.script(&runtime("case $args in *' exec '*) sed -i 's/\"terminal\":true/\"terminal\":false/; s/\"uid\":1234/\"uid\":0/' $process;; esac"));
    let report = nest.report(5);
    report.expect_scenario("exec", "pass");
    let summary = report.expect_scenario("user", "fail");
    assert!(summary.contains("user: 0 instead of 1234"), "{summary}");
    report.expect_scenario("tty", "fail");

    nest.0.script(&runtime("case $args in *' exec '*) exit 1;; esac"));
    let report = nest.report(5);
    for id in ["exec", "tty", "user", "cp"] {
        report.expect_scenario(id, "fail");
    }
    for id in ["run", "kill", "stop", "logs"] {
        report.expect_scenario(id, "pass");
    }
}

#[test]
fn signals_that_do_not_arrive_and_logs_that_are_lost() {
    let nest = Nest::new("28.5.2", &[], &[]);
    nest.0.script(&runtime(
        "case $args in *' kill '*' 15'*) for log in /var/lib/docker/containers/*/*-json.log; do : > $log; done;; esac",
    ));
    let report = nest.report(5);
    report.expect_scenario("logs", "fail");
    report.expect_scenario("stop", "pass");

    nest.0.script(&runtime("case $args in *' kill '*' 15'*) exit 0;; esac"));
    let report = nest.report(5);
    assert_eq!(report.expect_scenario("stop", "fail"), "exit status: 137 instead of 42");
    report.expect_scenario("kill", "pass");

    nest.0.script(&runtime("case $args in *' kill '*' 10'*) exit 1;; esac"));
    let report = nest.report(5);
    report.expect_scenario("kill", "fail");
    report.expect_scenario("stop", "pass");
}

#[test]
fn a_mount_over_the_images_files() {
    let nest = Nest::new("26.1.5", &[], &[]);
    nest.0.script(&runtime(
        "case $args in *' create '*)
            sed -i 's#\"mounts\":\\[#\"mounts\":[{\"destination\":\"/image\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"},#' $bundle/config.json;;
        esac",
    ));
    let report = nest.report(5);
    let summary = report.expect_scenario("layers", "fail");
    assert!(summary.contains("remove a file of the image: No such file or directory"), "{summary}");
    report.expect_scenario("cp", "fail");
    report.expect_scenario("run", "pass");
}

#[test]
fn a_bind_mount_that_cannot_be_written() {
    let nest = Nest::new("28.5.2", &[], &[]);
    nest.0.script(&runtime(
        "case $args in *' create '*)
            sed -i 's#\\(\"destination\":\"/bind\"[^}]*\"options\":\\[\\)#\\1\"ro\",#' $bundle/config.json;;
        esac",
    ));
    let summary = nest.report(5).expect_scenario("volumes", "fail");
    assert!(summary.contains("write to /bind: Read-only file system"), "{summary}");
}

#[test]
fn images_that_cannot_be_made() {
    let nest = Nest::new("28.5.2", &[], &[]);
    nest.0.script(&runtime(
        "case $args in *' create '*)
            if grep -q '\"work\"' $bundle/config.json; then
                images=/var/lib/docker/image/overlay2/imagedb
                mount --bind $images $images && mount -o remount,bind,ro $images
            fi;;
        esac",
    ));
    let report = nest.report(5);
    let summary = report.expect_scenario("commit", "fail");
    assert!(summary.contains("read-only file system"), "{summary}");
    report.expect_scenario("build", "fail");

    nest.0.script("umount /var/lib/docker/image/overlay2/imagedb; rm /usr/local/sbin/runc");
    nest.report(0).expect_scenario("leftovers", "pass");
}

#[test]
fn what_cannot_be_removed_is_reported() {
    let nest = Nest::new("28.5.2", &[], &[]);
    // A container of another one's in our network holds it fast.
    nest.0.script(
        "tar -C / -c bin/busybox | docker import - busybox > /dev/null
        docker run -d --name foreign busybox /bin/busybox sleep 1000
        (until docker network connect \"$(docker network ls --format '{{.Name}}' | grep dindcheck)\" foreign; do :; done > /dev/null 2>&1 &)",
    );
    let summary = nest.report(5).expect_scenario("leftovers", "fail");
    assert!(summary.starts_with("cannot remove the test network: "), "{summary}");

    nest.0.script("docker rm -f foreign");
    nest.report(0).expect_scenario("leftovers", "pass");
    assert_eq!(nest.0.script("docker network ls -q | wc -l"), "3\n");
}

#[test]
fn limits_that_do_not_hold() {
    let nest = Nest::new("28.5.2", &[], &[]);
    nest.0.script(&runtime(
        "case $args in *' create '*)
            sed -i 's/\"limit\":50331648/\"limit\":-1/; s/\"swap\":50331648/\"swap\":-1/; s/\"limit\":24/\"limit\":-1/; s/\"quota\":10000/\"quota\":-1/' $bundle/config.json;;
        esac",
    ));
    let report = nest.report(5);
    let summary = report.expect_scenario("limits.memory", "fail");
    assert!(summary.contains("had it all (exit status 42) instead of killed by signal 9"), "{summary}");
    let summary = report.expect_scenario("limits.pids", "fail");
    assert!(summary.contains("started instead of refused"), "{summary}");
    let summary = report.expect_scenario("limits.cpu", "fail");
    assert!(summary.contains("cpu.cfs_quota_us: -1 instead of 10000"), "{summary}");
}

for_each_inner!(limits_that_cannot_be_set);
fn limits_that_cannot_be_set(inner: &str) {
    let script = "
        umount /sys/fs/cgroup/memory /sys/fs/cgroup/pids
        exec dindcheck --format json --exit";
    let report = run_script(inner, &[], script).expect_status(0).report();
    for id in ["limits.memory", "limits.pids"] {
        report.expect_scenario(id, "fail");
        assert_eq!(report.scenario(id)["severity"], "warning");
    }
    report.expect_scenario("limits.cpu", "pass");
}

#[test]
fn containers_that_escape_the_outer_cgroup() {
    // What entrypoints of the time did: each hierarchy as a whole.
    let script = "
        mount -t tmpfs cgroup /sys/fs/cgroup
        for name in $(cut -d : -f 2 /proc/self/cgroup); do
            mkdir /sys/fs/cgroup/$name && mount -t cgroup -o $name cgroup /sys/fs/cgroup/$name
        done
        exec dindcheck --format json --exit";
    let report = run_script("20.10.24", &["--no-cgroup-mounts"], script).expect_status(0).report();
    let summary = report.expect_scenario("cgroup", "fail");
    assert!(summary.starts_with("inner containers are outside of the outer container's cgroup: "), "{summary}");
    assert_eq!(report.scenario("cgroup")["severity"], "warning");
}

#[test]
fn a_daemon_without_a_system_call_filter() {
    let nest = Nest::new("28.5.2", &[], &["--seccomp-profile", "unconfined"]);
    let report = nest.report(0);
    report.expect_scenario("security", "fail");
    assert_eq!(report.scenario("security")["severity"], "warning");
}

#[test]
fn a_privileged_container_that_this_engine_cannot_make() {
    // 20.10 asks for all that it knows, and later ones for what they have. An outer engine's --cap-drop does nothing beside
    // --privileged.
    const WITHOUT: &str = "setpriv --bounding-set=-sys_resource";
    const PLAIN: &str = "
        dockerd > /tmp/log 2>&1 & until docker version > /dev/null 2>&1; do sleep 0.1; done
        tar -C / -c bin/busybox | docker import - plain > /dev/null
        exec docker run --rm --privileged plain /bin/busybox true";
    let plain = |inner: &str| run_script(inner, &[], &format!("exec {WITHOUT} sh -c '{PLAIN}'"));
    let proved = |inner: &str| {
        let job = format!("exec {WITHOUT} dindcheck --exit --format json");
        run_script(inner, &[], &job).expect_status(0).report()
    };
    let refused = plain("20.10.24").expect_status(125);
    assert!(refused.stderr.contains("unable to apply caps"), "{}", refused.stderr);
    let summary = proved("20.10.24").expect_scenario("privileged", "fail");
    assert!(
        summary.starts_with("this engine cannot make one without CAP_") && summary.contains("SYS_RESOURCE"),
        "{summary}"
    );
    plain("28.5.2").expect_status(0);
    proved("28.5.2").expect_scenario("privileged", "pass");
}

#[test]
fn a_full_disk() {
    let tmpfs = ["--data-root", "overlay", "--docker-arg", "--tmpfs", "--docker-arg", "/var/lib/docker:size=4m,exec"];
    let run = run_script("28.5.2", &tmpfs, "exec dindcheck --format json --exit").expect_status(5);
    let report = run.report();
    let summary = report.expect_scenario("run", "fail");
    assert!(summary.contains("no space left on device"), "{summary}");
    report.expect_scenario("network.peer", "unknown");
}

#[test]
fn a_runtime_that_does_not_work() {
    let nest = Nest::new("26.1.5", &[], &[]);
    nest.0.script("printf '#!/bin/sh\\nexit 1\\n' > /usr/local/sbin/runc; chmod +x /usr/local/sbin/runc");
    let report = nest.report(5);
    report.expect_scenario("run", "fail");
    report.expect_scenario("exec", "fail");
    report.expect_scenario("leftovers", "pass");
    let summary = report.expect_scenario("bisect", "fail");
    assert!(summary.starts_with("it breaks in the runtime: "), "{summary}");
}

for_each_inner!(a_daemon_that_breaks_above_containerd);
fn a_daemon_that_breaks_above_containerd(inner: &str) {
    let nest = Nest::new(inner, &[], &[]);
    // containerd keeps the daemon's containers apart from those of others by this name.
    nest.0.script(&runtime("case $bundle in */moby/*) exit 1;; esac"));
    let report = nest.report(5);
    report.expect_scenario("run", "fail");
    let summary = report.expect_scenario("bisect", "fail");
    assert_eq!(summary, "it breaks in dockerd: the runtime and containerd run it", "{:#}", report.scenario("bisect"));
    assert_eq!(nest.0.script("ls -d /run/dindcheck/dindcheck-* /run/runc/* 2> /dev/null || true"), "");
}

#[test]
fn an_image_of_the_users() {
    let nest = Nest::new("20.10.24", &[], &[]);
    nest.0.script(
        "tar -C / -cf /tmp/root.tar bin/busybox
        docker import --change 'CMD [\"/bin/busybox\", \"echo\", \"saved\"]' /tmp/root.tar saved > /dev/null
        docker save -o /tmp/saved.tar saved; docker rmi saved > /dev/null",
    );
    let verify =
        |image: &[&str]| nest.0.exec(&[&["dindcheck", "verify", "--quick", "--format", "json"], image].concat());
    let ran = verify(&["--test-image", "/tmp/saved.tar"]).expect_status(0).report();
    assert_eq!(ran.expect_scenario("test-image", "pass"), "/tmp/saved.tar ran");
    assert_eq!(ran.scenario("test-image")["evidence"][1]["value"], "saved");
    let command = ["--test-image", "/tmp/root.tar", "--test-command", "/bin/busybox false"];
    let summary = verify(&command).expect_status(5).report().expect_scenario("test-image", "fail");
    assert_eq!(summary, "/tmp/root.tar ran, and ended with exit status 1");
    let run = verify(&["--test-image", "127.0.0.1:1/nothing"]).expect_status(5);
    assert!(run.stderr.contains("dindcheck: pulling 127.0.0.1:1/nothing:latest"), "{}", run.stderr);
    let summary = run.report().expect_scenario("test-image", "fail");
    assert!(summary.starts_with("cannot pull 127.0.0.1:1/nothing:latest: "), "{summary}");
    assert_eq!(nest.0.script("docker images -aq; docker ps -aq"), "");
}

#[test]
fn what_a_killed_verification_leaves_the_next_one_removes() {
    let nest = Nest::new("28.5.2", &[], &[]);
    nest.report(0);
    let before = nest.state();
    for moment in ["created", "running", "dindcheck-.*-network"] {
        let script = format!(
            "dindcheck verify > /dev/null & verify=$!
            until {{ docker ps -a --format '{{{{.State}}}}'; docker network ls --format '{{{{.Name}}}}'; }} | grep -q '{moment}'; do :; done
            kill -9 $verify; wait $verify 2> /dev/null || true
            test -n \"$(docker ps -aq; docker network ls -qf name=dindcheck-)\""
        );
        nest.0.script(&script);
    }
    // One that is at work is left alone.
    nest.0.script("dindcheck verify --format json > /tmp/other & dindcheck verify -q; wait $!; grep -q '\"exit_status\": 0' /tmp/other");
    assert_eq!(before, nest.state());
}

/// The names of the allowed system calls in a file of tests/seccomp, as a profile for a daemon. What came later is named
/// too: runc refuses what it does not find in a profile with ENOSYS if it is newer than all that is in it.
fn system_call_profile(facts: &str) -> String {
    let facts: serde_json::Value = serde_json::from_str(facts).expect("JSON");
    let allowed: Vec<&str> =
        facts["allowed"].as_array().expect("a list").iter().filter_map(|name| name.as_str()).collect();
    let later = ["statx", "rseq", "pidfd_open", "clone3", "close_range", "openat2", "faccessat2", "epoll_pwait2"];
    let refused: Vec<&str> = later.into_iter().filter(|name| !allowed.contains(name)).collect();
    assert!(refused.contains(&"clone3"));
    let plain: Vec<&str> =
        allowed.into_iter().filter(|name| !["clone", "socket", "personality"].contains(name)).collect();
    // No new namespaces: of the flags of clone none of these.
    let no_namespaces =
        serde_json::json!([{ "index": 0, "value": 0x7e02_0000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }]);
    serde_json::json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
            { "names": plain, "action": "SCMP_ACT_ALLOW" },
            { "names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": no_namespaces },
            { "names": ["socket", "personality"], "action": "SCMP_ACT_ALLOW" },
            { "names": refused, "action": "SCMP_ACT_ERRNO" },
        ],
    })
    .to_string()
}

/// The full proof under the default profile of an engine of then.
fn proof_under(facts: &str) {
    let directory = tempfile::tempdir_in(share()).expect("a directory");
    let path = directory.path().join("profile.json");
    std::fs::write(&path, system_call_profile(facts)).expect("a file");
    let mount = format!("-v{}:/profile.json:ro", path.display());
    // runc from 1.2 on cannot itself live with the oldest ones: its init calls statx when the filter is on.
    let nest = Nest::new("20.10.24", &["--docker-arg", &mount], &["--seccomp-profile", "/profile.json"]);
    for report in [nest.report(0), nest.0.exec(&["dindcheck", "verify", "--quick", "--format", "json"]).report()] {
        let summary = report.expect_scenario("threads", "fail");
        assert!(summary.starts_with("programs of glibc 2.34 and later"), "{summary}");
        // An engine before 23 asks for every capability, and this outer container may not have them all.
        for scenario in report.scenarios().iter().filter(|one| one["id"] != "threads" && one["id"] != "privileged") {
            assert!(
                ["pass", "not-applicable"].contains(&scenario["outcome"].as_str().unwrap_or_default()),
                "{scenario:#}"
            );
        }
    }
}

#[test]
fn proof_under_the_profile_of_1_10() {
    proof_under(include_str!("../seccomp/1.10.0.json"));
}

#[test]
fn proof_under_the_profile_of_1_13() {
    proof_under(include_str!("../seccomp/1.13.1.json"));
}

#[test]
fn proof_under_the_profile_of_18_09() {
    proof_under(include_str!("../seccomp/18.09.9.json"));
}

#[test]
fn proof_under_the_profile_of_19_03() {
    proof_under(include_str!("../seccomp/19.03.15.json"));
}

#[test]
fn proof_under_the_profile_of_20_10() {
    proof_under(include_str!("../seccomp/20.10.0.json"));
}

for_each_inner!(no_error_of_ours_in_the_log);
fn no_error_of_ours_in_the_log(inner: &str) {
    // What the engine logs for a plain client too is not our doing. Its remarks come by chance, since engines race with
    // their own shims (20.10.24 logs "failed to remove runc container" for 93 of 240 containers of a plain client, 28.5.2
    // "cgroups: epoll wait" for about every fifth): the plain client goes on until it has met each remark that came in both
    // proofs, 30 rounds at most. A daemon's line may carry a shim's within its message: the first level is its own.
    let script = "
        log=/var/log/dockerd.log
        remarks() {
            tail -n +$1 $log | sed -E -n \\
                -e 's/[0-9a-f]{12,}/ID/g; s, /v[0-9.]+/, /,; s/[0-9]+/N/g' \\
                -e 's/^time=\"[^\"]*\" level=(warning|error|fatal) msg=\"?([^:=]*).*/\\1 \\2/p' | sort -u
        }
        plain() {
            docker run --rm busybox /bin/busybox true
            docker run --rm --privileged busybox /bin/busybox true || true
            docker run --rm -m 16m busybox /bin/busybox tail /dev/zero || true
            docker run -d --name plain busybox /bin/busybox sleep 100
            docker exec plain /bin/busybox true
            docker stop -t 1 plain; docker rm -f plain
        } >&2
        dockerd > $log 2>&1 &
        until docker version > /dev/null 2>&1; do sleep 0.1; done
        tar -C / -c bin/busybox | docker import - busybox > /dev/null
        plain
        sleep 1
        remarks 1 > /tmp/plain
        test -s /tmp/plain
        for proof in 1 2; do
            lines=$(wc -l < $log)
            dindcheck verify -q >&2
            dindcheck verify -q --quick >&2
            sleep 1
            remarks $((lines + 1)) > /tmp/$proof
        done
        comm -12 /tmp/1 /tmp/2 > /tmp/ours
        lines=$(wc -l < $log)
        for round in $(seq 30); do
            comm -13 /tmp/plain /tmp/ours > /tmp/left
            test -s /tmp/left || break
            plain
            sleep 1
            remarks $((lines + 1)) | sort -u - /tmp/plain -o /tmp/plain
        done
        comm -13 /tmp/plain /tmp/ours";
    let remarks = run_script(inner, &[], &format!("set -e{script}")).expect_status(0).stdout;
    assert_eq!(remarks, "");
}

#[test]
fn others_who_remove_all_are_no_failure() {
    let nest = Nest::new("28.5.2", &[], &[]);
    nest.0.script(
        "(set +e; while :; do docker rm -f $(docker ps -aq); docker system prune -af --volumes; done > /dev/null 2>&1 &)",
    );
    let mut undecided = 0;
    for depth in [&[][..], &["--quick"]] {
        for _ in 0..3 {
            let command = [&["dindcheck", "verify", "--format", "json"][..], depth].concat();
            let report = nest.0.exec(&command).expect_status(0).report();
            for scenario in report.scenarios().iter().filter(|scenario| scenario["outcome"] == "unknown") {
                let summary = scenario["summary"].as_str().expect("a summary");
                assert!(summary.contains("another client removed"), "{scenario:#}");
                undecided += 1;
            }
        }
    }
    assert!(undecided > 0, "nobody was in the way");
}

for_each_inner!(mapped_users);
fn mapped_users(inner: &str) {
    let script = "
        echo dockremap:165536:65536 | tee /etc/subuid > /etc/subgid
        echo dockremap:x:999:999::/:/bin/false >> /etc/passwd
        echo dockremap:x:999: >> /etc/group
        exec dindcheck --format json --exit -- --userns-remap=default";
    let report = run_script(inner, &[], script).expect_status(0).report();
    report.expect_verified();
    report.expect_scenario("volumes", "pass");
    // An engine before 23 asks for every capability, and this outer container may not have them all.
    if !inner.starts_with("20.") {
        report.expect_scenario("privileged", "pass");
    }
}

#[test]
fn a_daemon_that_does_not_find_its_cgroups() {
    let nest = Nest::new("28.5.2", &[], &[]);
    nest.0.script(&runtime(
        "for group in /sys/fs/cgroup/memory/docker/${args##* } /sys/fs/cgroup/cpuacct/docker/${args##* }; do
            hidden=/tmp/hidden$group
            case $args in
                *' start '*)
                    # Processes can be added, so that all but the accounting works.
                    mkdir -p $hidden; mount -t tmpfs hidden $hidden; touch $hidden/cgroup.procs
                    mount --bind $group/cgroup.procs $hidden/cgroup.procs; mount --rbind $hidden $group;;
                *' delete '*) umount -R -l $group $hidden 2> /dev/null || true;;
            esac
        done",
    ));
    let report = nest.report(0);
    let summary = report.expect_scenario("stats", "fail");
    assert!(summary.contains("memory_stats.usage: nothing instead of some"), "{summary}");
    report.expect_scenario("oom", "fail");
    report.expect_scenario("run", "pass");
}

/// The claims of the quick proof that are there whatever happens.
fn quick_claims() -> Vec<&'static str> {
    let sometimes = ["paths", "api.tcp", "test-image", "bisect"];
    CLAIMS.iter().filter(|claim| claim.quick && !sometimes.contains(&claim.id)).map(|claim| claim.id).collect()
}

fn ids(report: &Report) -> Vec<&str> {
    report.scenarios().iter().map(|one| one["id"].as_str().expect("an id")).collect()
}

for_each_inner!(quick_proof);
fn quick_proof(inner: &str) {
    let nest = Nest::new(inner, &[], &[]);
    let quick = || nest.0.exec(&["dindcheck", "verify", "--quick", "--format", "json"]);
    quick().expect_status(0);
    let before = nest.state();
    let report = quick().expect_status(0).report();
    assert_eq!(ids(&report), quick_claims());
    for scenario in report.scenarios() {
        assert_eq!(scenario["outcome"], "pass", "{scenario:#}");
    }
    assert_eq!(before, nest.state());
}

#[test]
fn quick_proof_of_a_broken_nest() {
    let nest = Nest::new("28.5.2", &[], &[]);
    let quick = || nest.0.exec(&["dindcheck", "verify", "--quick", "--format", "json"]).expect_status(5).report();

    nest.0.script(&runtime(
        "case $args in *' create '*)
            sed -i 's/\"limit\":50331648/\"limit\":-1/; s/\"swap\":50331648/\"swap\":-1/; s/\"limit\":24/\"limit\":-1/; s/\"quota\":90000/\"quota\":-1/' $bundle/config.json;;
        esac",
    ));
    let report = quick();
    for id in ["limits.memory", "limits.pids", "limits.cpu"] {
        report.expect_scenario(id, "fail");
    }
    report.expect_scenario("run", "pass");
    report.expect_scenario("user", "pass");

    // As where the runtime may not look at a process of another user's.
    nest.0
        .script(&runtime("case $args in *' create '*) ! grep -q '\"uid\":1234' $bundle/config.json || exit 1;; esac"));
    let report = quick();
    report.expect_scenario("user", "fail");
    report.expect_scenario("run", "pass");
    report.expect_scenario("network.outbound", "pass");
    nest.report(5).expect_scenario("user", "fail");
    nest.0.script("rm /usr/local/sbin/runc; ip link set eth0 mtu 1400");
    let report = quick();
    report.expect_scenario("network.mtu", "fail");
    report.expect_scenario("network.outbound", "pass");
    nest.0.script("iptables -t nat -F POSTROUTING");
    let report = quick();
    report.expect_scenario("network.outbound", "fail");
    report.expect_scenario("network.gateway", "pass");
    // Where nothing comes back at all, its size is not the reason.
    report.expect_scenario("network.mtu", "unknown");

    nest.0.script("printf '#!/bin/sh\\nexit 1\\n' > /usr/local/sbin/runc; chmod +x /usr/local/sbin/runc");
    nest.0.exec(&["dindcheck", "verify", "--quick"]).expect_status(5);
}
