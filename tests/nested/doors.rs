//! Closed doors: no client gets in before the daemon is proved, and none meets the proof.

use crate::for_each_inner;
use crate::lab::{Outer, run, run_script};

const SERVING: &str = " is ready, ";

/// What the first lines of many CI jobs do, in a loop, from the moment the container exists; and what a client sees when
/// it is let in for the first time: only a fresh daemon's own networks.
const EAGER: &str = "
    first() {
        until seen=$(echo $(docker ps -aq | wc -l) $(docker images -aq | wc -l) $(docker volume ls -q | wc -l) \
            $(docker network ls --format '{{.Name}}' | sort) $(docker builder du 2> /dev/null | grep -c dindcheck)) \
            && [ \"${seen#* bridge}\" != \"$seen\" ]; do :; done 2> /dev/null
        echo \"first contact: $seen\"
    }
    sweep() {
        while :; do
            docker rm -f $(docker ps -aq); docker system prune -af --volumes
        done > /dev/null 2>&1
    }
";
const FRESH: &str = "first contact: 0 0 0 bridge host none 0\n";

/// What a plain daemon logs in some of its ends: with 20.10.24, no client and nothing of ours, it was in 19 of 389. It
/// closes its connection to containerd before it ends what reads from it (moby v20.10.24 daemon/daemon.go, Shutdown).
const AT_ITS_END: &str = "Failed to get event";
/// What a shim logs of an answer that nothing reads any more (containerd's ttrpc, server.go): with a plain daemon and client it
/// came 3 times in 705 runs.
const OF_A_SHIM: &str = "failed sending message on channel";
/// What a daemon (seen with 20.10) logs of a containerd that is slow to start, as on a busy machine, before there is any
/// client: it kills it and starts another one, which it says (moby v20.10.24 libcontainerd/supervisor/remote_daemon.go,
/// monitorDaemon and startContainerd).
const OF_ITS_CONTAINERD: [&str; 2] = ["failed connecting to containerd", "containerd did not exit successfully"];

for_each_inner!(eager_clients_meet_a_fresh_daemon_and_leave_it_alone);
fn eager_clients_meet_a_fresh_daemon_and_leave_it_alone(inner: &str) {
    let script = format!("{EAGER} sweep & first; exec sleep 1000");
    let outer = Outer::start(inner, &[], &["sh", "-c", &format!("({script}) & exec dindcheck --fix")]);
    outer.wait_for_log(SERVING);
    outer.wait_for_log("first contact:");
    assert!(outer.log().contains(FRESH), "{}", outer.log());
    outer.script("dindcheck health");
    let errors = |log: &str| -> Vec<String> {
        // A shim's line stands within the daemon's: the first level is the line's own.
        let is_error = |line: &&str| line.split_once("level=").is_some_and(|(_, rest)| rest.starts_with("error"));
        let start = log.find(SERVING).unwrap_or(log.len());
        let restarted = log[..start].contains("killing and restarting containerd");
        let of_its_containerd = |line: &str| restarted && OF_ITS_CONTAINERD.iter().any(|words| line.contains(words));
        let (start, rest) = log.split_at(start);
        let at_start = start.lines().filter(is_error).filter(|line| !of_its_containerd(line));
        let errors = at_start.chain(rest.lines().filter(is_error)).filter(|line| !line.contains(OF_A_SHIM));
        errors.map(str::to_owned).collect()
    };
    let served = outer.log();
    assert!(errors(&served).is_empty(), "{served}");
    assert_eq!(outer.stop(), 0, "{}", outer.log());
    let log = outer.log();
    assert!(errors(&log).iter().all(|line| line.contains(AT_ITS_END)), "{log}");
}

#[test]
fn eager_clients_by_tcp_and_by_tls_wait_for_the_proof() {
    let tls = "export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=/certs/client;";
    for (variable, port, client) in [("DOCKER_TLS_CERTDIR=", 2375, ""), ("DOCKER_TLS_CERTDIR=/certs", 2376, tls)] {
        let client =
            format!("export DOCKER_HOST=tcp://127.0.0.1:{port}; {client} {EAGER} sweep & first; exec sleep 1000");
        let command = format!("({client}) & exec dindcheck --fix");
        let outer = Outer::start("28.5.2", &["--docker-arg", &format!("-e{variable}")], &["sh", "-c", &command]);
        outer.wait_for_log("first contact:");
        assert!(outer.log().contains(FRESH), "{}", outer.log());
        outer.wait_for_log(SERVING);
        assert_eq!(outer.stop(), 0, "{}", outer.log());
    }
}

#[test]
fn eager_clients_do_not_see_a_daemon_that_is_stopped_again_for_a_mend() {
    // Only trying tells of this one: what the daemon needs is there, and does not work.
    let fault = "printf '#!/bin/sh\\nexit 3\\n' | tee /usr/local/sbin/iptables > /usr/local/sbin/iptables-restore;
        chmod +x /usr/local/sbin/*";
    let command = format!("{fault}; ({EAGER} sweep & first; exec sleep 1000) & exec dindcheck --fix");
    let outer = Outer::start("28.5.2", &["--docker-arg", "-eDOCKER_VERSION=28.5.2"], &["sh", "-c", &command]);
    outer.wait_for_log("first contact:");
    assert!(outer.log().contains(FRESH), "{}", outer.log());
    assert!(outer.log().contains("found meanwhile: netfilter.iptables"), "{}", outer.log());
    outer.wait_for_log(SERVING);
    assert_eq!(outer.stop(), 0, "{}", outer.log());
}

for_each_inner!(a_tcp_client_that_dials_before_the_daemon_exists_is_answered);
fn a_tcp_client_that_dials_before_the_daemon_exists_is_answered(inner: &str) {
    // One connection, as long as it takes: neither refused nor reset.
    let client = "
        until ss -Hltn 'sport = :2375' | grep -q 2375; do :; done
        test -S /var/run/docker.sock && echo too late
        printf 'GET /_ping HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' > /tmp/request
        bash -c 'exec 3<> /dev/tcp/127.0.0.1/2375 && cat /tmp/request >&3 && head -n 1 <&3'";
    let command = format!("({client}) & exec dindcheck --fix");
    let outer = Outer::start(inner, &["--docker-arg", "-eDOCKER_TLS_CERTDIR="], &["sh", "-c", &command]);
    outer.wait_for_log(SERVING);
    outer.wait_for_log("HTTP/1.1 200 OK");
    assert!(!outer.log().contains("too late"), "{}", outer.log());
}

#[test]
fn a_port_that_is_taken_is_reported_before_anything_is_started() {
    let script = "
        perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Listen => 1, LocalPort => 2375) or die; sleep 1000' &
        until ss -Hltn | grep -q :2375; do sleep 0.1; done
        DOCKER_TLS_CERTDIR= dindcheck -v --exit";
    let run = run_script("28.5.2", &[], script);
    let run = run.expect_status(2);
    assert!(run.stderr.contains("cannot listen on tcp://0.0.0.0:2375: EADDRINUSE"), "{}", run.stderr);
    assert!(!run.stderr.contains("started dockerd"), "{}", run.stderr);
}

#[test]
fn the_socket_is_as_the_daemon_would_have_made_it() {
    let script = "
        look() { stat -c '%F %a %U %G' \"$1\"; }
        dockerd > /dev/null 2>&1 & until docker version > /dev/null 2>&1; do sleep 0.1; done
        look /var/run/docker.sock; kill $!; wait
        dindcheck --job --output /dev/null -q -- sh -c 'stat -c \"%F %a %U %G\" /var/run/docker.sock' 2> /dev/null
        echo ci:x:4242: >> /etc/group
        dockerd -G ci > /dev/null 2>&1 & until docker version > /dev/null 2>&1; do sleep 0.1; done
        look /var/run/docker.sock; kill $!; wait
        mkdir -p /etc/docker; echo '{\"group\": \"ci\"}' > /etc/docker/daemon.json
        dindcheck --job --output /dev/null -q -- sh -c 'stat -c \"%F %a %U %G\" /var/run/docker.sock' 2> /dev/null";
    let run = run("28.5.2", &[], &["bash", "-c", script]).expect_status(0);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{}\n{}", run.stdout, run.stderr);
    assert_eq!((lines[0], lines[2]), (lines[1], lines[3]), "the daemon's, and ours");
    assert!(lines[3].ends_with(" ci"), "{}", lines[3]);
}

#[test]
fn addresses_in_the_configuration_are_closed_too_and_read_again_with_it() {
    let script = "
        mkdir -p /etc/docker
        echo '{\"hosts\": [\"unix:///var/run/docker.sock\", \"unix:///run/x.sock\"], \"debug\": false}' > /etc/docker/daemon.json
        exec dindcheck --format json";
    let outer = Outer::start("28.5.2", &[], &["sh", "-c", script]);
    outer.wait_for_log(SERVING);
    outer.script("docker -H unix:///run/x.sock version; docker version");
    outer.script("sed -i 's/false/true/' /etc/docker/daemon.json");
    outer.kill("HUP");
    outer.wait_for_log("Reloaded configuration");
    assert!(outer.script("docker info --format '{{.Debug}}'").contains("true"), "{}", outer.log());
    let log = outer.log();
    let report: serde_json::Value =
        serde_json::Deserializer::from_str(&log).into_iter().next().expect("a report").expect("JSON");
    let addresses = &report["launch"]["addresses"];
    assert_eq!(addresses[1]["address"], "unix:///run/x.sock");
    assert_eq!(addresses[1]["closed_until_proved"], true);
}

/// What the official images project runs on every docker:dind image, in our words: a client that waits for nothing but an
/// answer finds nothing, and what it loads runs.
#[test]
fn the_first_contact_of_the_official_images_check() {
    let outer = Outer::start("28.5.2", &["--docker-arg", "-eDOCKER_TLS_CERTDIR="], &["dindcheck", "--fix"]);
    let script = "
        tar -C / -c bin/busybox | docker import - seed:1 && docker save seed:1 > /seed.tar && docker rmi seed:1";
    // The image that is loaded is made by another daemon, which is gone then.
    let client = "
        export DOCKER_HOST=tcp://127.0.0.1:2375
        until docker version > /dev/null 2>&1; do sleep 0.1; done
        test \"$(docker images -q)\" = '' && test \"$(docker ps -aq)\" = ''";
    outer.script(client);
    outer.script(script);
    outer.script(
        "docker load -i /seed.tar
        docker run --rm seed:1 /bin/busybox true
        docker create --name first seed:1 /bin/busybox sleep 1000
        docker start first && docker stop -t 1 first && docker rm first",
    );
}

#[test]
fn the_way_in_by_tcp_is_proved_behind_closed_doors() {
    let start = |variable: &str, flags: &[&str]| {
        let command =
            [&["dindcheck", "--fix", "--exit", "--verify", "quick", "--format", "json", "--"], flags].concat();
        run("28.5.2", &["--docker-arg", &format!("-eDOCKER_TLS_CERTDIR={variable}")], &command)
            .expect_status(0)
            .report()
    };
    let report = start("/certs", &["--host=tcp://127.0.0.1:1111"]);
    let summary = report.expect_scenario("api.tcp", "pass");
    assert!(summary.contains("tcp://0.0.0.0:2376") && summary.contains("tcp://127.0.0.1:1111"), "{summary}");
    assert!(summary.contains("with the clients' certificates, by "), "{summary}");
    let report = start("", &[]);
    assert_eq!(report.expect_scenario("api.tcp", "pass"), "tcp://0.0.0.0:2375 answers");
    // Without an address of TCP there is nothing to prove.
    let report = run("28.5.2", &[], &["dindcheck", "--exit", "--format", "json"]).expect_status(0).report();
    assert!(report.scenarios().iter().all(|scenario| scenario["id"] != "api.tcp"));

    // A daemon that asks its clients for certificates of another CA.
    let script = "
        DOCKER_TLS_CERTDIR=/other dindcheck --fix --exit --no-verify -q > /dev/null
        DOCKER_TLS_CERTDIR=/certs exec dindcheck --fix --exit --format json -- --tlscacert=/other/server/ca.pem";
    let report = run_script("28.5.2", &[], script).expect_status(0).report();
    let summary = report.expect_scenario("api.tcp", "fail");
    assert!(summary.contains("it refuses the client's certificate /certs/client/cert.pem"), "{summary}");
}
