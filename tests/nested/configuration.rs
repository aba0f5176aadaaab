//! Flags and daemon.json that the daemon does not take, and sockets that are not its own.

use crate::for_each_inner;
use crate::lab::{look, mends_with, run_script};

const ID: &str = "configuration.accepted";

/// Configurations that a daemon dies of, each with a word of the summary.
const REFUSED: [(&str, &str, &str); 4] = [
    ("{\"nonsense\": 1}", "", "nonsense"),
    ("{\"hosts\": [\"unix:///run/x.sock\"]}", "-H unix:///run/y.sock", "hosts"),
    ("{}", "--no-such-flag", "unknown flag: --no-such-flag"),
    ("{", "", "JSON"),
];

for_each_inner!(what_the_daemon_dies_of_is_reported_before);
fn what_the_daemon_dies_of_is_reported_before(inner: &str) {
    for (json, flags, says) in REFUSED {
        let configured = format!("mkdir -p /etc/docker; echo '{json}' > /etc/docker/daemon.json");
        let script = format!("{configured}; exec dindcheck check --only {ID} --format json -- {flags}");
        let report = run_script(inner, &[], &script).expect_status(1).report();
        let summary = report.expect_blocking(ID);
        assert!(summary.contains(says), "{summary}");
        let plain = run_script(inner, &[], &format!("{configured}; timeout 60 dockerd {flags}"));
        assert!(![0, 124].contains(&plain.status), "the daemon alone dies of it too: {}", plain.stderr);
    }
    let good = "mkdir -p /etc/docker; echo '{\"hosts\": [\"unix:///run/x.sock\"], \"log-opts\": {\"max-size\": \"1m\"}}' > /etc/docker/daemon.json
        exec dindcheck check --only configuration.accepted --format json -- -D --insecure-registry x --label a=b";
    let good = run_script(inner, &[], good).expect_status(0);
    good.report().expect(ID, "pass");
}

#[test]
fn certificates_that_are_made_later_are_not_missed() {
    let fault = "export DOCKER_TLS_CERTDIR=/certs";
    look(&[], fault, ID).expect(ID, "pass");
}

#[test]
fn a_socket_of_the_outer_engine_is_found() {
    const ID: &str = "configuration.mounted-socket";
    look(&[], "", ID).expect(ID, "pass");
    let fault = "touch /run/docker.sock; perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un(\"/tmp/outer.sock\"))'
        mount --bind /tmp/outer.sock /run/docker.sock";
    assert_eq!(look(&[], fault, ID).expect_blocking(ID), "/run/docker.sock is mounted from outside");
    let plain = run_script("28.5.2", &[], &format!("{fault}; timeout 60 dockerd")).expect_status(1);
    assert!(plain.stderr.contains("docker.sock: device or resource busy"), "{}", plain.stderr);
    // The inner one may listen elsewhere.
    let script = format!("{fault}; exec dindcheck check --only {ID} --format json -- -H unix:///run/inner.sock");
    run_script("28.5.2", &[], &script).expect_status(0).report().expect(ID, "pass");
}

#[test]
fn a_client_that_the_daemon_refuses_is_found() {
    const ID: &str = "configuration.client";
    look(&[], "", ID).expect(ID, "pass");
    let fault = "export DOCKER_API_VERSION=1.20";
    let summary = look(&[], fault, ID).expect(ID, "fail");
    assert_eq!(summary, "the client speaks 1.20, and the daemon takes 1.24 and later");
    let script = "dockerd > /tmp/log 2>&1 &
        until docker version > /dev/null 2>&1; do sleep 0.1; done
        DOCKER_API_VERSION=1.20 docker ps";
    let plain = run_script("28.5.2", &[], script).expect_status(1);
    assert!(plain.stderr.contains("client version 1.20 is too old"), "{}", plain.stderr);

    // The client of one engine with the daemon of another one.
    let script = |variables: &str| format!("{variables} exec dindcheck check --inner 29.0.0 --only {ID} --format json");
    let old = run_script("20.10.24", &[], &script("")).report();
    assert_eq!(old.expect(ID, "fail"), "the client speaks 1.41, and the daemon takes 1.44 and later");
    run_script("20.10.24", &[], &script("DOCKER_MIN_API_VERSION=1.41")).report().expect(ID, "pass");
    run_script("28.5.2", &[], &script("")).report().expect(ID, "pass");
}

#[test]
fn a_daemon_is_told_not_to_wait() {
    const ID: &str = "configuration.tcp-delay";
    look(&[], "", ID).expect(ID, "pass");
    let finding = mends_with(&[], "true", ID, "-Htcp://0.0.0.0:2375");
    assert_eq!(finding["summary"], "the daemon will wait 16 s before it starts");
    // The daemon alone says so itself, and waits.
    let script = "dockerd -H tcp://0.0.0.0:2375 > /tmp/log 2>&1 &
until grep -q 'slowed down' /tmp/log; do sleep 0.1; kill -0 $! || exit 9; done
        grep -q 'API listen' /tmp/log && exit 8; cat /tmp/log";
    let plain = run_script("28.5.2", &[], script).expect_status(0);
    assert!(plain.stdout.contains("without --tlsverify"), "{}", plain.stdout);
}

#[test]
fn passwords_are_in_no_report_and_in_no_log() {
    let configured = "export HTTPS_PROXY=http://user:in-a-variable@127.0.0.1:1";
    let flags = "--http-proxy=http://user:in-a-flag@127.0.0.1:1 --label=an-api-token=in-a-label";
    let commands = [
        ("facts", 0, format!("dindcheck facts -- {flags}")),
        ("a healthy start", 0, format!("dindcheck --fix --exit -v --format json -- {flags}")),
        ("a start that fails", 1, format!("dindcheck --fix --exit -v -- {flags} --no-such-flag")),
    ];
    for (what, status, command) in commands {
        let run = run_script("28.5.2", &[], &format!("{configured}; exec {command}")).expect_status(status);
        let all = format!("{}\n{}", run.stdout, run.stderr);
        // It is of these flags.
        assert!(all.contains("127.0.0.1:1"), "{what}: {all}");
        let told: Vec<&str> = all.lines().filter(|line| line.contains("in-a")).collect();
        assert!(told.is_empty(), "{what}: {told:?}");
    }
}
