//! `--drain`: when the daemon is asked to stop, those who are at work end first, and no new client is let in.

use std::time::{Duration, Instant};

use crate::for_each_inner;
use crate::lab::Outer;
use crate::rootless;

const SERVING: &str = " is ready, ";

/// Images without a registry.
const IMAGE: &str = "tar -C / -c bin/busybox | docker import - busybox > /dev/null";

/// A container whose client is gone, a build and a container of clients by socket and by TCP; each says when it is done.
/// And a service, which never is.
const WORK: &str = "
    docker run -d --name service --restart always busybox /bin/busybox sleep 1000000 > /dev/null
    docker run -d --name job -v /done:/done busybox /bin/busybox sh -c '/bin/busybox sleep 20; echo > /done/job' > /dev/null
    mkdir /build
    printf 'FROM busybox\\nRUN [\"/bin/busybox\", \"sleep\", \"15\"]\\n' > /build/Dockerfile
    (DOCKER_BUILDKIT=0 docker build -t built /build && touch /done/build) > /tmp/build 2>&1 &
    (docker -H tcp://127.0.0.1:2375 run --rm busybox /bin/busybox sleep 15 && touch /done/run) > /tmp/run 2>&1 &
    i=0
    until [ $(docker ps -q | wc -l) = 4 ]; do i=$((i + 1)); [ $i -lt 300 ]; sleep 0.1; done
";

fn at_work(inner: &str, options: &[&str]) -> Outer {
    let flags = ["--", "-H", "unix:///var/run/docker.sock", "-H", "tcp://127.0.0.1:2375", "--tls=false"];
    let outer = Outer::start(inner, &[], &[&["dindcheck", "--fix"], options, &flags].concat());
    outer.wait_for_log(SERVING);
    outer.script(IMAGE);
    outer.script(&format!("mkdir /done\n{WORK}"));
    outer
}

/// What was done to its end, of all that ended.
fn done(outer: &Outer) -> Vec<&'static str> {
    let is_done = |name: &&str| {
        let directory = tempfile::tempdir().expect("a directory");
        let copy =
            ["docker", "--", "cp", &format!("{}:/done/{name}", outer.name()), &directory.path().display().to_string()];
        crate::lab::lab(&copy).status.success()
    };
    ["job", "build", "run"].into_iter().filter(is_done).collect()
}

for_each_inner!(work_in_progress_ends_first_and_no_new_client_is_let_in);
fn work_in_progress_ends_first_and_no_new_client_is_let_in(inner: &str) {
    let outer = at_work(inner, &["--drain", "300s"]);
    let start = Instant::now();
    outer.kill("TERM");
    outer.wait_for_log("no new clients are let in; waiting up to 300 s for ");
    let waits: String = outer.log().lines().filter(|line| line.contains("no new clients")).collect();
    assert!(waits.contains("container job") && waits.contains("client") && !waits.contains("service"), "{waits}");
    let late = outer.exec(&["docker", "ps"]);
    assert!(late.status != 0 && late.stderr.contains("Cannot connect"), "{late}");
    // Neither refused nor served.
    outer.exec(&["timeout", "3", "docker", "-H", "tcp://127.0.0.1:2375", "ps"]).expect_status(124);
    assert!(outer.exec(&["dindcheck", "health"]).status != 0);

    assert_eq!(outer.wait(), 0, "{}", outer.log());
    assert_eq!(done(&outer), ["job", "build", "run"], "{}", outer.log());
    assert!(start.elapsed() < Duration::from_secs(200), "the service was waited for");
    assert!(outer.log().contains("everybody was done after "), "{}", outer.log());
    // As any other end: nothing is left for the next start to mend.
    outer.restart();
    outer.wait_for_logs(SERVING, 2);
    assert_eq!(outer.script("docker ps --format '{{.Names}}'").trim(), "service");
}

/// Clients of a rootless daemon are in another network namespace than the daemon, as `docker exec` is here; these have no
/// container that would be waited for anyway.
#[test]
fn clients_of_a_rootless_daemon_end_first() {
    let options = [&rootless::OPTIONS[..], &["--docker-arg", "-eDOCKER_TLS_CERTDIR="]].concat();
    let command = rootless::script(rootless::TUN, "dindcheck --fix --drain 300s");
    let outer = Outer::start(rootless::INNER, &options, &["sh", "-c", &command]);
    outer.wait_for_log(SERVING);
    let hosts = ["unix:///run/user/1000/docker.sock", "tcp://127.0.0.1:2375"];
    outer.script(&format!(
        "mkdir /done
        import() {{ (tar -C / -c bin/busybox; until [ -e /go ]; do sleep 0.1; done) | docker -H $1 import - && touch /done/$2; }}
        (import {} run) > /tmp/run 2>&1 &
        (import {} build) > /tmp/build 2>&1 &
        until grep -q ' 03 .*docker.sock' /proc/net/unix; do sleep 0.1; done
        until grep -q ':0947 01 ' /proc/net/tcp; do sleep 0.1; done",
        hosts[0], hosts[1]
    ));
    outer.kill("TERM");
    outer.wait_for_log("no new clients are let in; waiting up to 300 s for ");
    assert!(outer.log().contains("300 s for 2 connections of clients"), "{}", outer.log());
    for host in hosts {
        let late = outer.exec(&["timeout", "5", "docker", "-H", host, "version"]);
        assert!(late.status != 0 && !late.stdout.contains("Server:"), "{host}: {late}");
    }
    outer.script("touch /go");
    assert_eq!(outer.wait(), 0, "{}", outer.log());
    assert_eq!(done(&outer), ["build", "run"], "{}", outer.log());
    assert!(outer.log().contains("everybody was done after "), "{}", outer.log());
}

#[test]
fn without_it_nothing_is_waited_for() {
    let outer = at_work("28.5.2", &[]);
    outer.kill("TERM");
    assert_eq!(outer.wait(), 0, "{}", outer.log());
    assert_eq!(done(&outer), [""; 0], "{}", outer.log());
}

#[test]
fn draining_ends_in_time_or_when_asked_again() {
    let outer = at_work("28.5.2", &["--drain", "5s"]);
    outer.kill("TERM");
    assert_eq!(outer.wait(), 0, "{}", outer.log());
    assert!(outer.log().contains("not done in 5 s: container "), "{}", outer.log());

    let outer = at_work("28.5.2", &["--drain", "60m"]);
    outer.kill("TERM");
    outer.wait_for_log("no new clients are let in");
    outer.kill("TERM");
    assert_eq!(outer.wait(), 0, "{}", outer.log());
    assert!(outer.log().contains("asked to stop again: no longer waiting"), "{}", outer.log());
    assert_eq!(done(&outer), [""; 0], "{}", outer.log());
}

#[test]
fn who_is_idle_ends_at_once() {
    let outer = Outer::start("28.5.2", &[], &["dindcheck", "--fix", "--drain", "60m"]);
    outer.wait_for_log(SERVING);
    assert_eq!(outer.stop(), 0, "{}", outer.log());
}

#[test]
fn a_job_has_that_time_to_end() {
    let script = "trap 'sleep 12; docker ps > /dev/null && echo in order; exit 7' TERM; echo at work; while :; do sleep 0.1; done";
    let outer =
        Outer::start("28.5.2", &[], &["dindcheck", "--fix", "--drain", "10m", "--job", "--", "bash", "-c", script]);
    outer.wait_for_log("at work");
    outer.kill("TERM");
    assert_eq!(outer.wait(), 7, "{}", outer.log());
    assert!(outer.log().contains("in order"), "{}", outer.log());
}
