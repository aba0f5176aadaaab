//! What outer engines other than a plain privileged Docker do to a container, made with Docker: each time the plain
//! daemon says what is true.

use crate::lab::{Report, Run, run, run_script};

/// Shell functions: `plain [FLAG...]` starts the plain daemon and waits for it, `runs [OPTION...]` runs a container of
/// it, and `end` stops it. Their output goes to standard error.
const PLAIN: &str = "
    plain() {
        \"$@\" > /tmp/plain.log 2>&1 & daemon=$!
        for i in $(seq 100); do
            docker version > /dev/null 2>&1 && break
            kill -0 $daemon 2> /dev/null || { tail -n 2 /tmp/plain.log >&2; return 1; }
            sleep 0.2
        done
        mkdir -p /tmp/image/bin; cp \"$(command -v busybox)\" /tmp/image/bin/
        tar -C /tmp/image -c . | docker import - plain > /dev/null
    }
    runs() { timeout 30 docker run --rm \"$@\" plain /bin/busybox echo ran >&2; }
    end() { kill $daemon; wait $daemon || true; rm -rf /run/containerd /run/docker/containerd; }
";

/// A container in which the plain daemon was run first.
fn after_plain(options: &[&str], script: &str) -> Run {
    run_script("28.5.2", options, &format!("{PLAIN}\n{script}"))
}

/// The report of `check` behind a plain run.
fn judged(options: &[&str], script: &str) -> (Report, String) {
    let run = after_plain(options, script);
    assert!([0, 1].contains(&run.status), "{run}");
    (run.report(), run.stderr)
}

#[test]
fn a_capability_that_every_container_is_given_is_needed() {
    const ID: &str = "privileges.capabilities";
    let script = |name: &str| {
        format!(
            "plain setpriv --bounding-set=-{name} dockerd; runs; runs --user 1000; end
            exec setpriv --bounding-set=-{name} dindcheck check --only {ID} --format json"
        )
    };
    for name in ["fowner", "audit_write"] {
        let (report, plain) = judged(&[], &script(name));
        assert!(plain.contains("unable to apply caps") && !plain.contains("ran\n"), "{plain}");
        assert_eq!(report.expect_blocking(ID), format!("missing: CAP_{}", name.to_uppercase()));
    }
    // The fourteen of today, one by one.
    for name in ["fsetid", "kill", "setpcap", "setfcap", "net_raw", "net_bind_service"] {
        let script = format!("exec setpriv --bounding-set=-{name} dindcheck check --only {ID} --format json");
        let report = run_script("28.5.2", &[], &script).expect_status(1).report();
        assert_eq!(report.expect_blocking(ID), format!("missing: CAP_{}", name.to_uppercase()));
    }
    // Root's containers run, and those of users do not: the daemon of 28 looks into their /proc/PID/ns.
    let (report, plain) = judged(&[], &script("sys_ptrace"));
    assert!(plain.contains("ran\n") && plain.contains("bind-mount /proc/"), "{plain}");
    assert_eq!(report.expect(ID, "fail"), "missing: CAP_SYS_PTRACE");
    assert_eq!(report.finding(ID)["severity"], "warning");
    let older = format!("exec setpriv --bounding-set=-sys_ptrace dindcheck check --only {ID} --format json");
    run_script("26.1.5", &[], &older).expect_status(0).report().expect(ID, "pass");
}

#[test]
fn a_pairing_that_can_be_tried_is_not_refused_by_name() {
    const ID: &str = "engine.pairing";
    let named = ["dindcheck", "--outer", "lxc", "--exit", "--format", "json"];
    let report = run("28.5.2", &[], &named).expect_status(0).report();
    report.expect(ID, "pass");
    report.expect_verified();
}

#[test]
fn a_daemon_that_is_told_to_write_no_rules_needs_no_iptables() {
    let script = "rm -f /usr/sbin/ip*tables*
        plain dockerd --iptables=false --ip6tables=false; runs; runs -p 8080:80; end
        exec dindcheck --exit --format json -- --iptables=false --ip6tables=false";
    let run = after_plain(&[], script).expect_status(0);
    assert_eq!(run.stderr.matches("ran\n").count(), 2, "{}", run.stderr);
    let report = run.report();
    // Programs that can be done without are reported with it.
    assert_eq!(report.finding("engine.binaries")["severity"], "info");
    report.expect_scenario("network.outbound", "fail");
    report.expect("netfilter.iptables", "fail");
    assert_eq!(report.finding("netfilter.iptables")["severity"], "info");
    report.expect("netfilter.ip6tables", "not-applicable");
    // The file says the same.
    let script = "rm -f /usr/sbin/ip*tables*; mkdir -p /etc/docker
        echo '{\"iptables\": false, \"ip6tables\": false}' > /etc/docker/daemon.json
        exec dindcheck check --format json";
    run_script("28.5.2", &[], script).expect_status(0).report().expect("netfilter.iptables", "fail");
}

#[test]
fn only_the_part_of_proc_sys_that_the_daemon_writes_has_to_be_writable() {
    const ID: &str = "mounts.proc-sys";
    // As LXC (proc:mixed) and systemd-nspawn (--private-network) mount it.
    let mixed = "mount --bind /proc/sys /proc/sys; mount --bind /proc/sys/net /proc/sys/net
        mount -o remount,bind,ro /proc/sys";
    let script = format!("{mixed}\nplain dockerd; runs; runs -p 8080:80; end; exec dindcheck check --format json");
    let (report, plain) = judged(&[], &script);
    assert_eq!(plain.matches("ran\n").count(), 2, "{plain}");
    assert_eq!(report.expect(ID, "pass"), "/proc/sys/net is writable");
    let read_only = format!("{mixed}; mount -o remount,bind,ro /proc/sys/net\ndindcheck --fix --exit --format json");
    let report = run_script("28.5.2", &[], &read_only).expect_status(0).report();
    assert!(report.mended().contains(&ID), "{:?}", report.mended());
}

#[test]
fn a_device_that_every_container_is_given_and_this_one_has_not_is_found() {
    const ID: &str = "cgroup.operations";
    // As containerd's CRI gives them to a pod without the host's devices, on a v1 host.
    let fault = "cd /sys/fs/cgroup/devices; echo a > devices.deny
        for rule in 'b *:* m' 'c *:* m' 'c 1:3 rwm' 'c 1:5 rwm' 'c 1:7 rwm' 'c 1:8 rwm' 'c 1:9 rwm' 'c 5:0 rwm' \\
            'c 5:2 rwm' 'c 10:200 rwm' 'c 136:* rwm'; do echo \"$rule\" > devices.allow; done; cd /";
    let script = format!("{fault}\nplain dockerd; runs; end; exec dindcheck check --only {ID} --format json");
    let (report, plain) = judged(&[], &script);
    assert!(plain.contains("c 5:1 rwm") && !plain.contains("ran\n"), "{plain}");
    report.expect_blocking(ID);
    assert!(report.finding(ID)["evidence"][0]["value"].as_str().is_some_and(|value| value.starts_with("c 5:1 rwm: ")));
    // With that one all containers run but privileged ones.
    let fault = format!("{fault}\necho 'c 5:1 rwm' > /sys/fs/cgroup/devices/devices.allow");
    let script =
        format!("{fault}\nplain dockerd; runs; runs --privileged; end; exec dindcheck check --only {ID} --format json");
    let (report, plain) = judged(&[], &script);
    assert!(plain.matches("ran\n").count() == 1 && plain.contains("not permitted"), "{plain}");
    report.expect(ID, "fail");
    assert_eq!(report.finding(ID)["severity"], "warning");
}

#[test]
fn a_data_root_of_another_owner_is_no_place_for_any_driver() {
    const ID: &str = "storage.data-root";
    // As it is with `docker run -v DIRECTORY:/var/lib/docker` under userns-remap, and in a pod with hostUsers: false.
    let script = format!(
        "
        chown 5000:5000 /var/lib/docker; chmod 700 /var/lib/docker
        in_user_namespace() {{
            unshare -U -m -p -n -f sh -c '
                while ! grep -q . /proc/self/uid_map; do sleep 0.1; done
                mount -t proc proc /proc
                exec \"$@\"' sh \"$@\" & outside=$!
            sleep 1
            inside=$(cat /proc/$outside/task/$outside/children | tr -d ' ')
            echo '0 0 1000' > /proc/$inside/uid_map; echo '0 0 1000' > /proc/$inside/gid_map
            wait $outside
        }}
        in_user_namespace sh -c dockerd >&2 || true
        in_user_namespace dindcheck check --only {ID} --format json"
    );
    let run = run_script("28.5.2", &[], &script).expect_status(1);
    assert!(run.stderr.contains("chmod /var/lib/docker: operation not permitted"), "{}", run.stderr);
    assert_eq!(run.report().expect_blocking(ID), "/var/lib/docker cannot be written to");
}
