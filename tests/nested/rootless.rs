//! A rootless daemon: the main job goes into a user namespace by RootlessKit.

use crate::lab::{Outer, Report, Run, docker, run_script};

pub(crate) const INNER: &str = "28.5.2-rootless";
const SERVING: &str = " is ready, ";
pub(crate) const OPTIONS: [&str; 4] =
    ["--docker-arg", "-v/home/rootless/.local/share/docker", "--docker-arg", "-eHOME=/home/rootless"];
/// As udev has it on a machine; the lab's may differ.
pub(crate) const TUN: &str = "chmod 0666 /dev/net/tun";

/// What becomes the user's command, as the container's first process. Images have a directory for those of users.
pub(crate) fn script(before: &str, command: &str) -> String {
    format!(
        "set -e\ninstall -d -m 1777 /run/user\n{before}\nexec setpriv --reuid=1000 --regid=1000 --init-groups {command}"
    )
}

/// Looks at a fault with the main job, which has to refuse to start.
fn refused(before: &str, command: &str) -> Report {
    let run = run_script(INNER, &OPTIONS, &script(before, &format!("{command} -v --format json"))).expect_status(1);
    assert!(!run.stderr.contains("going on in a user namespace"), "{}", run.stderr);
    run.report()
}

/// Runs a command beside the daemon, outside of its namespaces, as `docker exec` does.
fn beside(outer: &Outer, command: &str) -> Run {
    let user = format!("exec setpriv --reuid=1000 --regid=1000 --init-groups sh -ec '{command}'");
    outer.exec(&["sh", "-c", &user])
}

#[test]
fn a_rootless_daemon_is_proved_and_leaves_nothing() {
    let run = run_script(INNER, &OPTIONS, &script(TUN, "dindcheck -v --exit --format json")).expect_status(0);
    let report = run.report();
    for id in ["engine", "programs", "directories", "ids", "user-namespace", "id-map", "tun"] {
        report.expect(&format!("rootless.{id}"), "pass");
    }
    // The user namespace has the same pid namespace, where no fresh proc can be mounted; the containers have their own.
    assert_eq!(report.finding("privileges.operations")["severity"], "info");
    report.expect("cgroup.mounted", "not-applicable");
    report.expect_verified();
    report.expect_scenario("network.port", "pass");
    report.expect_scenario("network.outbound", "pass");
    report.expect_scenario("limits.memory", "not-applicable");
    assert_eq!(report.0["launch"]["socket"], "/run/user/1000/docker.sock");
    assert!(run.stderr.contains("--net=slirp4netns"), "{}", run.stderr);
    assert!(run.stderr.contains("Daemon shutdown complete") && !run.stderr.contains("killed"), "{}", run.stderr);
}

#[test]
fn a_rootless_daemon_serves_and_stops_in_order() {
    let outer = Outer::start(INNER, &OPTIONS, &["sh", "-c", &script(TUN, "dindcheck --fix")]);
    outer.wait_for_log(SERVING);
    let health = beside(&outer, "dindcheck health").expect_status(0);
    assert_eq!(health.stdout, "the daemon is proved and answers\n");
    beside(&outer, "dindcheck verify --quick").expect_status(0);
    let client = "export DOCKER_HOST=unix:///run/user/1000/docker.sock";
    let serve = "docker run -d -p 8080:80 seed busybox httpd -f -p 80 -h /bin";
    beside(&outer, &format!("{client}; tar -C / -c bin/busybox | docker import - seed; {serve}")).expect_status(0);
    outer.script("for try in 1 2 3 4 5 6 7 8 9; do busybox wget -q -O /tmp/got http://127.0.0.1:8080/busybox && break; sleep 0.2; done; cmp /tmp/got /bin/busybox");
    assert_eq!(
        outer.script("cat /proc/1/comm; grep ^Uid /proc/1/status").split_whitespace().collect::<Vec<_>>(),
        ["dindcheck", "Uid:", "1000", "1000", "1000", "1000"]
    );

    assert_eq!(outer.stop(), 0, "{}", outer.log());
    let log = outer.log();
    // The server has no handler for SIGTERM, and as the first process of its namespace it does not die of it.
    assert!(log.contains("Daemon shutdown complete") && !log.contains("killed what was left"), "{log}");
    assert!(!log.contains("the daemon did not end in time"), "{log}");
}

#[test]
fn a_rootless_daemon_restarts_after_a_kill() {
    let outer = Outer::start(INNER, &OPTIONS, &["sh", "-c", &script(TUN, "dindcheck --fix")]);
    outer.wait_for_log(SERVING);
    outer.kill("KILL");
    outer.restart();
    outer.wait_for_logs(SERVING, 2);
    beside(&outer, "dindcheck health").expect_status(0);
}

/// Where a user's containers have no cgroups, containerd takes them for lost once it was killed.
#[test]
fn a_rootless_daemon_cannot_restore_its_container_after_a_kill() {
    let run = run_script(INNER, &OPTIONS, &script(TUN, "dindcheck --exit --drill --format json")).expect_status(5);
    let summary = run.report().expect_scenario("drill.daemon", "fail");
    assert!(summary.contains("io.containerd.runtime.v2.task") && summary.contains("file exists"), "{summary}");
    assert!(run.stderr.contains("cleaning leaked shim process"), "{}", run.stderr);
}

#[test]
fn the_container_ends_with_the_job_of_a_rootless_daemon() {
    let job =
        "dindcheck -q --output /dev/null --job -- sh -c 'docker version > /dev/null && echo $DOCKER_HOST && exit 7'";
    let run = run_script(INNER, &OPTIONS, &script(TUN, job)).expect_status(7);
    assert_eq!(run.stdout, "unix:///run/user/1000/docker.sock\n");
}

#[test]
fn clients_reach_a_rootless_daemon_with_a_certificate() {
    let options = [&OPTIONS[..], &["--docker-arg", "-eDOCKER_TLS_CERTDIR=/certs"]].concat();
    let outer =
        Outer::start(INNER, &options, &["sh", "-c", &script(&format!("{TUN}; mkdir -m 1777 /certs"), "dindcheck")]);
    outer.wait_for_log(SERVING);
    let address = docker(&["inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", outer.name()]);
    for host in ["localhost", address.trim()] {
        let client =
            format!("DOCKER_HOST=tcp://{host}:2376 DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=/certs/client docker version");
        outer.script(&client);
    }
    let plain = outer.exec(&["docker", "-H", "tcp://localhost:2376", "version"]);
    assert!(plain.stderr.contains("HTTPS server"), "without TLS: {}", plain.stderr);
}

/// A daemon with a TCP address.
const BY_TCP: [&str; 2] = ["--docker-arg", "-eDOCKER_TLS_CERTDIR="];

/// Stops the daemon when it begins, does something, and lets it go on.
fn while_starting(what: &str) -> String {
    // `dockerd --version` is asked before, and has no such argument.
    let begins = "daemon=$(grep -ls fd:/[/] /proc/[0-9]*/cmdline | cut -d / -f 3 | grep .)";
    format!("{TUN}; (until {begins}; do :; done; kill -STOP $daemon; {what}; kill -CONT $daemon) &")
}

#[test]
fn the_port_opens_when_the_daemon_is_proved() {
    let options = [&OPTIONS[..], &BY_TCP].concat();
    let knock = while_starting("(exec 3<> /dev/tcp/127.0.0.1/2375) 2> /dev/null && echo open || echo closed");
    let outer = Outer::start(INNER, &options, &["bash", "-c", &script(&knock, "dindcheck")]);
    outer.wait_for_log(SERVING);
    assert!(outer.log().lines().any(|line| line == "closed"), "{}", outer.log());
    outer.script("docker -H tcp://127.0.0.1:2375 version");
}

#[test]
fn a_port_that_is_taken_is_reported_before_anything_is_started() {
    let options = [&OPTIONS[..], &BY_TCP].concat();
    let before = format!("{TUN}; busybox httpd -p 2375");
    let run = run_script(INNER, &options, &script(&before, "dindcheck")).expect_status(2);
    assert!(run.stderr.contains("cannot listen at tcp://0.0.0.0:2375: Address already in use"), "{}", run.stderr);
    assert!(!run.stderr.contains("level="), "{}", run.stderr);
}

#[test]
fn a_port_that_is_taken_meanwhile_ends_it() {
    let options = [&OPTIONS[..], &BY_TCP].concat();
    let before = while_starting("busybox httpd -p 2375");
    let run = run_script(INNER, &options, &script(&before, "dindcheck")).expect_status(4);
    assert!(run.stderr.contains("RootlessKit does not publish tcp://0.0.0.0:2375: 400"), "{}", run.stderr);
    assert!(run.stderr.contains("address already in use"), "{}", run.stderr);
    assert!(run.stderr.contains("Daemon shutdown complete"), "{}", run.stderr);
}

#[test]
fn a_user_without_ids_is_reported() {
    let report = refused(&format!("{TUN}; sed -i /rootless/d /etc/subuid"), "dindcheck");
    assert_eq!(report.expect_blocking("rootless.ids"), "too few ids for rootless in /etc/subuid");
    assert_eq!(report.finding("rootless.ids")["remedy"][0], "in the image: echo rootless:100000:65536 >> /etc/subuid");
    report.expect("rootless.user-namespace", "pass");
    report.expect("privileges.capabilities", "not-applicable");
}

#[test]
fn a_mapper_without_rights_is_reported() {
    let report = refused(&format!("{TUN}; chmod u-s /usr/bin/newuidmap"), "dindcheck");
    assert_eq!(report.expect_blocking("rootless.id-map"), "refused: /usr/bin/newuidmap");
    assert_eq!(
        report.finding("rootless.id-map")["remedy"][1],
        "in the image: chmod u-s /usr/bin/newuidmap && setcap cap_setuid=ep /usr/bin/newuidmap"
    );
    let report = refused(TUN, "--no-new-privs dindcheck");
    assert_eq!(report.expect_blocking("rootless.id-map"), "refused: /usr/bin/newuidmap, /usr/bin/newgidmap");
    let remedy = report.finding("rootless.id-map")["remedy"][0].as_str().expect("a remedy");
    assert!(remedy.contains("no-new-privileges"), "{remedy}");
}

/// Without --privileged: set-user-id root is not enough for the mappers, and capabilities of their own are.
#[test]
fn a_user_needs_no_privileged_container() {
    let open = ["seccomp", "apparmor", "systempaths"].map(|what| format!("--security-opt={what}=unconfined"));
    let mut options = [&OPTIONS[..], &["--unprivileged", "--docker-arg", "--device=/dev/net/tun"]].concat();
    options.extend(open.iter().flat_map(|option| ["--docker-arg", option]));
    let refused = run_script(INNER, &options, &script(TUN, "dindcheck --format json")).expect_status(1).report();
    assert_eq!(refused.expect_blocking("rootless.id-map"), "refused: /usr/bin/newuidmap, /usr/bin/newgidmap");
    let remedies = refused.finding("rootless.id-map")["remedy"].as_array().expect("remedies").clone();
    let mend: Vec<&str> =
        remedies.iter().filter_map(|remedy| remedy.as_str()?.strip_prefix("in the image: ")).collect();
    let before = format!("{TUN}\n{}", mend.join("\n"));
    let works =
        run_script(INNER, &options, &script(&before, "dindcheck --fix --exit --format json")).expect_status(0).report();
    works.expect("rootless.id-map", "pass");
    works.expect_verified();
}

#[test]
fn what_a_user_lacks_around_the_daemon_is_reported() {
    let before = "rm /usr/bin/rootlesskit /usr/bin/slirp4netns; chown 0:0 /home/rootless/.local/share/docker; chmod 0666 /dev/net/tun";
    let report = refused(before, "dindcheck");
    assert_eq!(report.expect_blocking("rootless.programs"), "not found: rootlesskit, slirp4netns");
    assert_eq!(report.expect_blocking("rootless.directories"), "cannot be written to: the data-root");
    report.expect("rootless.tun", "pass");
    let report = refused("chmod 0600 /dev/net/tun", "dindcheck --inner 18.09.9");
    assert_eq!(report.expect_blocking("rootless.tun"), "/dev/net/tun cannot be opened");
    assert_eq!(report.expect_blocking("rootless.engine"), "this version cannot be rootless");
}

#[test]
fn a_host_that_forbids_user_namespaces_is_reported() {
    // In a user namespace of its own the number has no other owner.
    let inside = "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --reuid=1000 --regid=1000 --clear-groups \
                  dindcheck check --format json";
    let script = format!(
        "unshare --user --map-users=0,0,200000 --map-groups=0,0,200000 --setuid=0 --setgid=0 sh -ec '{inside}'"
    );
    let report = run_script(INNER, &OPTIONS, &script).expect_status(1).report();
    assert_eq!(report.expect_blocking("rootless.user-namespace"), "no user namespace can be made");
    let remedies = report.finding("rootless.user-namespace")["remedy"].to_string();
    assert!(remedies.contains("sysctl -w user.max_user_namespaces=28633"), "{remedies}");
}
