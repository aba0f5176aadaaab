//! The end: in order, in time, and clean enough for the next start.

use crate::for_each_inner;
use crate::lab::Outer;

/// An inner container that takes no notice of SIGTERM.
const STUBBORN: &str = "
    tar -C / -c bin/busybox | docker import - busybox > /dev/null
    docker run -d busybox /bin/busybox sh -c 'trap \"\" TERM; while :; do /bin/busybox sleep 1; done'
";

const SERVING: &str = " is ready, ";

for_each_inner!(stopped_with_an_inner_container);
fn stopped_with_an_inner_container(inner: &str) {
    let outer = Outer::start(inner, &[], &["dindcheck"]);
    outer.wait_for_log(SERVING);
    outer.script(STUBBORN);
    let polite = "trap \"echo ended by itself; exit\" TERM; while :; do /bin/busybox sleep 0.1; done";
    outer.script(&format!(
        "docker run -d --name comes-back --restart unless-stopped busybox /bin/busybox sh -c '{polite}'"
    ));
    assert_eq!(outer.stop(), 0, "{}", outer.log());
    assert!(!outer.log().contains("daemon did not end") && !outer.log().contains("what was left"), "{}", outer.log());

    outer.restart();
    outer.wait_for_logs(SERVING, 2);
    // No one has stopped it: the daemon has ended, and so it runs again.
    assert_eq!(outer.script("docker ps --format '{{.Names}}'").trim(), "comes-back");
    assert_eq!(outer.script("docker ps -aq | wc -l").trim(), "2");
    assert!(outer.script("docker logs comes-back").contains("ended by itself"));
}

#[test]
fn a_stubborn_container_that_has_to_come_back_is_killed_in_time() {
    let outer = Outer::start("28.5.2", &[], &["dindcheck"]);
    outer.wait_for_log(SERVING);
    outer.script(&STUBBORN.replace("run -d", "run -d --name stubborn --stop-timeout 100 --restart unless-stopped"));
    assert_eq!(outer.stop(), 0, "{}", outer.log());
    assert!(outer.log().contains("container stubborn did not end in time and was killed"), "{}", outer.log());
    assert!(!outer.log().contains("daemon did not end") && !outer.log().contains("what was left"), "{}", outer.log());
    outer.restart();
    outer.wait_for_logs(SERVING, 2);
    assert_eq!(outer.script("docker ps --format '{{.Names}}'").trim(), "stubborn");
}

/// The kernel lists mounts by their real paths, and a data-root may be a link.
#[test]
fn what_a_killed_daemon_has_mounted_behind_a_link_is_unmounted() {
    let start = "
        mkdir -p /srv; ln -s /var/lib/docker /srv/docker
        dindcheck --fix --output /dev/null -- --data-root=/srv/docker; echo ended with $?; exec sleep 1000";
    let outer = Outer::start("28.5.2", &[], &["sh", "-c", start]);
    outer.wait_for_log(SERVING);
    outer.script(STUBBORN);
    // A process may call itself anything.
    let name = r#"printf "\n::e::\033" > /proc/$$/comm"#;
    outer.script(&format!(
        "docker run -d busybox /bin/busybox sh -c '{name}; while :; do /bin/busybox sleep 0.1; done'"
    ));
    outer.script("until grep -qs '^::e::' /proc/[0-9]*/comm; do sleep 0.1; done");
    let mounts = "grep -o ' /var/lib/docker/overlay2/[^ ]*' /proc/self/mountinfo || true";
    assert_eq!(outer.script(mounts).lines().count(), 2);
    outer.script("kill -9 $(cat /run/docker.pid)");
    outer.wait_for_log("ended with 137");
    assert_eq!(outer.script(mounts), "", "{}", outer.log());
    let log = outer.log();
    assert!(log.contains("\\n::e::\\u{1b} (") && !log.lines().any(|line| line.starts_with("::e::")), "{log}");
}

#[test]
fn what_outlives_the_daemon_ends_and_comes_back_too() {
    let told = "mkdir -p /etc/docker; echo '{\"live-restore\": true}' > /etc/docker/daemon.json; exec dindcheck --fix";
    let outer = Outer::start("28.5.2", &[], &["sh", "-c", told]);
    outer.wait_for_log(SERVING);
    outer.script(&STUBBORN.replace("run -d", "run -d --name stubborn --restart unless-stopped"));
    outer.script(
        "docker run -d --name polite --restart unless-stopped --stop-signal INT busybox /bin/busybox sh -c \
            'trap \"echo > /ended; exit\" INT; while :; do /bin/busybox sleep 0.1; done'",
    );
    assert_eq!(outer.stop(), 0, "{}", outer.log());
    assert!(outer.log().contains("container stubborn did not end in time and was killed"), "{}", outer.log());
    assert!(!outer.log().contains("container polite did not end"), "{}", outer.log());
    outer.restart();
    outer.wait_for_logs(SERVING, 2);
    assert_eq!(
        outer.script("docker ps --format '{{.Names}}' | sort").split_whitespace().collect::<Vec<_>>(),
        ["polite", "stubborn"]
    );
    outer.script("docker exec polite /bin/busybox test -e /ended");
}

#[test]
fn the_end_is_in_time_however_long_the_daemon_and_its_containers_are_told_to_take() {
    let told = "mkdir -p /etc/docker; echo '{\"shutdown-timeout\": 100}' > /etc/docker/daemon.json; exec dindcheck";
    let outer = Outer::start("28.5.2", &[], &["sh", "-c", told]);
    outer.wait_for_log(SERVING);
    outer.script(&STUBBORN.replace("run -d", "run -d --stop-timeout 100"));
    assert_eq!(outer.stop(), 0, "{}", outer.log());
    assert!(!outer.log().contains("daemon did not end") && !outer.log().contains("what was left"), "{}", outer.log());
}

#[test]
fn the_daemons_own_end_is_ours() {
    let outer = Outer::start("28.5.2", &[], &["dindcheck"]);
    outer.wait_for_log(SERVING);
    outer.script("kill -9 $(cat /run/docker.pid)");
    assert_eq!(outer.wait(), 128 + 9);
}

#[test]
fn other_signals_reach_the_daemon() {
    let outer = Outer::start("28.5.2", &[], &["dindcheck"]);
    outer.wait_for_log(SERVING);
    outer.kill("HUP");
    outer.wait_for_log("Got signal to reload configuration");
    outer.kill("USR1");
    outer.wait_for_log("goroutine stacks written to");
    assert_eq!(outer.stop(), 0);
}

#[test]
fn orphans_are_reaped() {
    let outer = Outer::start("28.5.2", &[], &["dindcheck"]);
    outer.wait_for_log(SERVING);
    outer.script("for i in $(seq 200); do (true &); done");
    let zombies = outer.script("sleep 0.5; ps -eo stat= | grep -c ^Z || true");
    assert_eq!(zombies.trim(), "0");
}

#[test]
fn a_stop_while_the_daemon_starts_ends_in_time() {
    // A daemon that never answers: its socket is a directory's name that it cannot make.
    let outer = Outer::start("28.5.2", &[], &["dindcheck", "-v", "--", "-H", "unix:///run/other.sock"]);
    outer.wait_for_log("waiting for its API");
    let status = outer.stop();
    assert!([0, 143].contains(&status), "status {status}: {}", outer.log());
}

#[test]
fn an_idle_supervisor_sleeps() {
    let outer = Outer::start("28.5.2", &[], &["dindcheck"]);
    outer.wait_for_log(SERVING);
    // What the daemon says just after its start passes through us.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let look = || outer.script("grep -E '^(Threads|.*ctxt_switches)' /proc/1/status");
    let before = look();
    assert!(before.contains("Threads:\t1\n"), "{before}");
    std::thread::sleep(std::time::Duration::from_secs(60));
    assert_eq!(before, look(), "it was woken up: {}", outer.log());
}
