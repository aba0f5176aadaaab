//! Daemons that do not start, and commands that are no daemon.

use std::time::{Duration, Instant};

use crate::lab::{Outer, Run, run, run_script};

#[test]
fn a_daemon_that_dies_is_noticed_at_once_with_its_last_words() {
    let command = ["dindcheck", "--format", "json", "--skip", "configuration.accepted", "--", "--no-such-flag"];
    let run = run("28.5.2", &[], &command).expect_status(4);
    let failure = &run.report().0["launch"]["failure"];
    assert_eq!(failure["summary"], "the daemon ended before its API answered, with exit status 1");
    assert!(run.stderr.contains("unknown flag: --no-such-flag"), "its log is on standard error: {}", run.stderr);
}

#[test]
fn the_first_error_leads() {
    // The check that would have told is left out, so that the daemon's own words have to.
    let command = ["dindcheck", "--format", "json", "--skip", "cgroup.mounted"];
    let run = run("20.10.24", &["--no-cgroup-mounts"], &command).expect_status(4);
    let report = run.report();
    let failure = &report.0["launch"]["failure"];
    assert_eq!(failure["summary"], "the daemon ended before its API answered, with exit status 1");
    assert_eq!(failure["first_error"]["diagnosis"], "cgroup-not-mounted", "{failure:#}");
    assert_eq!(failure["cause"]["check"], "cgroup.mounted", "{failure:#}");
}

/// The engine's version and what is around it, which the main job knows and the log does not tell, decide between causes
/// that write the same line.
#[test]
fn the_main_job_tells_the_diagnosis_what_it_knows() {
    let of = |engine: &str, outer: &[&str], line: &str| {
        let script = format!(
            "
            printf '#!/bin/sh\\ncase $1 in --version) exec /usr/sbin/dockerd --version;; esac\\necho \"{line}\" >&2; exit 1\\n' \
                > /usr/local/sbin/dockerd
            chmod +x /usr/local/sbin/dockerd
            exec \"$@\""
        );
        let command = ["dindcheck", "--format", "json", "--report-only"];
        let run = run(engine, &[], &[&["sh", "-c", &script, "sh"], &command[..], outer].concat()).expect_status(4);
        run.report().0["launch"]["failure"]["first_error"]["diagnosis"].clone()
    };
    let caps = "failed to start daemon: unable to apply caps: operation not permitted";
    assert_eq!(of("20.10.24", &[], caps), "apply-caps-eperm");
    assert_eq!(of("28.5.2", &[], caps), "default-capability-missing");
    let table = "failed to start daemon: iptables: can't initialize iptables table nat: Table does not exist";
    assert_eq!(of("28.5.2", &[], &table.replace('\'', ".")), "iptables-legacy-modules-missing");
    assert_eq!(of("28.5.2", &["--outer", "gvisor"], &table.replace('\'', ".")), "gvisor-netfilter-unsupported");
}

/// Facts that were taken in the container give `diagnose` the engine's version and what failed there.
#[test]
fn facts_of_the_container_narrow_what_a_log_leaves_open() {
    let script = "
        rm $(command -v iptables)*
        dindcheck facts > /tmp/facts
        echo 'runc create failed: unable to apply caps: operation not permitted' > /tmp/caps
        echo 'iptables (legacy): can.t initialize iptables table .filter.: Table does not exist' > /tmp/filter
        for log in caps filter; do
            dindcheck diagnose --format json /tmp/$log
            dindcheck diagnose --format json --facts /tmp/facts /tmp/$log
        done
        exit 0";
    let run = run("28.5.2", &[], &["sh", "-c", script]).expect_status(0);
    let answers: Vec<serde_json::Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let first = |n: usize| &answers[n]["first_error"];
    assert_eq!(first(1)["diagnosis"], "default-capability-missing", "{}", run.stdout);
    assert!(answers[1]["engine"].as_str().unwrap().starts_with("28.5.2"), "{}", run.stdout);
    assert_ne!(first(0)["diagnosis"], "default-capability-missing", "the log alone does not tell");
    // No emulation is at work where the check of iptables itself failed.
    let between = |n: usize| first(n)["candidates"]["between"].as_array().unwrap().len();
    assert!(between(3) < between(2), "{}", run.stdout);
}

#[test]
fn a_daemon_whose_api_does_not_answer_in_time_is_stopped() {
    let command = ["dindcheck", "--format", "json", "--timeout", "1s", "--", "-H", "unix:///run/a.sock"];
    // Not our daemon's socket: a program that is called dockerd and does nothing.
    let script = "
        printf '#!/bin/sh\\ncase $1 in --version) exec /usr/sbin/dockerd --version;; esac\\nexec sleep 1000\\n' > /usr/local/sbin/dockerd
        chmod +x /usr/local/sbin/dockerd
        exec \"$@\"";
    let run = run("28.5.2", &[], &[&["sh", "-c", script, "sh"], &command[..]].concat()).expect_status(4);
    let failure = &run.report().0["launch"]["failure"];
    assert_eq!(failure["summary"], "the daemon's API did not answer within 1 s");
}

#[test]
fn another_command_is_run_instead() {
    let run = run("28.5.2", &[], &["dindcheck", "--", "sh", "-c", "echo host=$DOCKER_HOST; exit 7"]).expect_status(7);
    assert_eq!(run.stdout, "host=tcp://docker:2375\n");
}

#[test]
fn the_api_is_found_where_the_user_puts_it() {
    let command = ["dindcheck", "--format", "json", "--exit", "--", "dockerd", "-H", "unix:///run/elsewhere.sock"];
    let report = run("26.1.5", &[], &command).expect_status(0).report();
    assert_eq!(report.0["launch"]["socket"], "/run/elsewhere.sock");
    report.expect_verified();
}

#[test]
fn a_running_daemon_can_be_verified() {
    let script = "
        dockerd > /tmp/log 2>&1 &
        until docker version > /dev/null 2>&1; do sleep 0.1; done
        dindcheck verify --format json || exit
        docker images -q >&2
        docker ps -aq >&2";
    let run = run("26.1.5", &[], &["sh", "-c", script]).expect_status(0);
    let report = run.report();
    report.expect_verified();
    assert_eq!(report.0["inner"]["said_by"], "the daemon at /var/run/docker.sock");
    assert_eq!(run.stderr, "", "nothing is left behind");
}

#[test]
fn a_failed_container_can_be_held_for_a_look() {
    let outer = Outer::start("28.5.2", &["--no-cgroup-mounts"], &["dindcheck", "--hold-on-failure"]);
    outer.wait_for_log("holding the container");
    // Compose and `docker inspect` show no more than this.
    let health = outer.exec(&["dindcheck", "health"]).expect_status(1);
    assert!(health.stdout.starts_with("not ready: failed: cgroup.mounted: no cgroup hierarchy"), "{}", health.stdout);
    outer.exec(&["dindcheck", "check", "-q"]).expect_status(1);
    outer.script("dindcheck fix > /dev/null");
    outer.exec(&["dindcheck", "check", "-q"]).expect_status(0);
    assert_eq!(outer.stop(), 1);
}

#[test]
fn strict_lets_a_warning_block() {
    let command = ["dindcheck", "--strict", "--exit"];
    let run = run("28.5.2", &["--data-root", "overlay"], &command).expect_status(1);
    assert!(run.stdout.contains("dindcheck: blocked: storage.data-root: "), "{}", run.stdout);
    assert!(run.stdout.contains("docker run --privileged -v /var/lib/docker IMAGE"), "{}", run.stdout);
}

/// What DOCKER_VERSION says is believed until the engine itself was asked.
fn claims(version: &str, script: &str) -> Run {
    run_script("28.5.2", &["--docker-arg", "-e", "--docker-arg", &format!("DOCKER_VERSION={version}")], script)
}

#[test]
fn an_image_that_names_its_engine_has_its_daemon_started_before_the_engine_is_asked() {
    // The package manager's word counts for its own programs; what is elsewhere has to be named by the image.
    for (claim, program) in [("28.5.2", "/usr/local/sbin/dockerd"), ("", "/usr/sbin/dockerd")] {
        // The engine says its version once a daemon was started, and not before.
        let script = format!(
            "
            mv /usr/sbin/dockerd /real
            printf '#!/bin/sh\n[ \"$1\" = --version ] || touch /tmp/started; \
                while [ ! -e /tmp/started ]; do sleep 0.1; done; exec /real \"$@\"\n' > {program}
            chmod +x {program}
            exec dindcheck --fix --exit --format json"
        );
        let run = claims(claim, &script).expect_status(0);
        let report = run.report();
        report.expect_verified();
        assert_eq!(report.0["inner"]["said_by"], format!("{program} --version"));
        assert!(!run.stderr.contains("stopping the daemon again"), "{}", run.stderr);
    }
}

#[test]
fn an_image_that_names_another_engine_is_not_believed_for_long() {
    let status = "/var/lib/dpkg/status";
    let other = format!("sed -i '/^Package: docker.io$/,/^$/s/^Version: .*/Version: 20.10.24-1/' {status};");
    for (claim, before, by) in
        [("20.10.24", "", "DOCKER_VERSION".to_owned()), ("", other.as_str(), format!("{status}: docker.io"))]
    {
        let run = claims(claim, &format!("{before} exec dindcheck --fix --exit --format json")).expect_status(0);
        let report = run.report();
        report.expect_verified();
        assert_eq!(report.0["inner"]["profile"], "profiles/docker/28.3.yaml");
        let said = format!("found meanwhile: the engine is not what {by} says");
        assert!(run.stderr.contains(&said), "{}", run.stderr);
    }
}

#[test]
fn what_ended_the_daemon_is_found_and_mended_before_the_next_start() {
    let script = "
        printf '#!/bin/sh\nexit 3\n' | tee /usr/local/sbin/iptables > /usr/local/sbin/iptables-restore
        chmod +x /usr/local/sbin/iptables /usr/local/sbin/iptables-restore
        dindcheck --exit --format json > /tmp/without; echo $? $(ls /run/docker.pid) $(pgrep -c containerd) >&2
        exec dindcheck --fix --exit --format json";
    let run = claims("28.5.2", script).expect_status(0);
    let report = run.report();
    report.expect_verified();
    assert!(report.mended().contains(&"netfilter.iptables"), "{:?}", report.mended());
    let said = "the daemon has ended, found meanwhile: netfilter.iptables";
    assert_eq!(run.stderr.matches(said).count(), 2, "{}", run.stderr);
    assert!(run.stderr.contains("\n1 0\n"), "blocked, and nothing is left of what was started: {}", run.stderr);
}

#[test]
fn what_keeps_the_daemon_waiting_is_found_while_it_waits() {
    let script = "
        printf '#!/bin/sh\nexit 3\n' | tee /usr/local/sbin/iptables > /usr/local/sbin/iptables-restore
        printf '#!/bin/sh\n[ \"$1\" = --version ] || iptables --version || sleep 1000; exec /usr/sbin/dockerd \"$@\"\n' \
            > /usr/local/sbin/dockerd
        chmod +x /usr/local/sbin/*
        exec dindcheck --fix --exit --format json --timeout 900s";
    let start = Instant::now();
    let run = claims("28.5.2", script).expect_status(0);
    // Not only when its time is up.
    assert!(start.elapsed() < Duration::from_secs(600), "{:?}", start.elapsed());
    run.report().expect_verified();
    let said = "stopping the daemon again, found meanwhile: netfilter.iptables";
    assert!(run.stderr.contains(said), "{}", run.stderr);
}

#[test]
fn nothing_is_tried_while_the_daemon_starts() {
    // The daemon itself does not use this program. What asks the API gets its answer at once, or it is too early.
    let script = "
        cat > /ask <<'END'
use IO::Socket::UNIX;
my $api = IO::Socket::UNIX->new('/run/.docker.sock.dindcheck') or exit 1;
print $api \"GET /_ping HTTP/1.0\\r\\n\\r\\n\";
my $ready = ''; vec($ready, fileno($api), 1) = 1;
exit !select($ready, undef, undef, 0.1);
END
        printf '#!/bin/sh\nperl /ask || touch /tmp/early; touch /tmp/tried; exec /usr/sbin/iptables-restore \"$@\"\n' \
            > /usr/local/sbin/iptables-restore
        chmod +x /usr/local/sbin/iptables-restore
        ln -s /usr/sbin/iptables /usr/local/sbin/
        dindcheck --fix --exit || exit
        ls /tmp/tried && ! ls /tmp/early";
    claims("28.5.2", script).expect_status(0);
}

#[test]
fn a_signal_that_comes_while_something_is_tried_reaches_the_daemon() {
    let script = "
        printf '#!/bin/sh\nkill -USR1 1; exec /usr/sbin/iptables-restore \"$@\"\n' > /usr/local/sbin/iptables-restore
        chmod +x /usr/local/sbin/iptables-restore
        ln -s /usr/sbin/iptables /usr/local/sbin/
        exec dindcheck --fix --exit";
    let run = claims("28.5.2", script).expect_status(0);
    assert!(run.stderr.contains("goroutine stacks written to"), "{}", run.stderr);
}

#[test]
fn a_configuration_that_cannot_be_read_is_a_finding_with_and_without_a_claim() {
    for claim in ["", "28.5.2"] {
        let script = "mkdir -p /etc/docker; echo { > /etc/docker/daemon.json; exec dindcheck --exit --format json";
        let run = claims(claim, script).expect_status(1);
        run.report().expect_blocking("configuration.accepted");
        assert!(!run.stderr.contains("stopping the daemon again"), "{}", run.stderr);
    }
}

#[test]
fn with_report_only_a_job_runs_whatever_is_missing() {
    let job = "echo \"[$DINDCHECK_FAILED] [$DOCKER_HOST]\"; exit 7";
    let command = ["dindcheck", "--report-only", "-q", "--output", "/report", "--job", "sh", "-c", job];
    // Not privileged: what a plain daemon dies of.
    let run_ = run("28.5.2", &["--unprivileged"], &command).expect_status(7);
    assert!(run_.stdout.starts_with("[not-privileged: ") && run_.stdout.ends_with("] []\n"), "{}", run_.stdout);
    // A daemon that cannot even be told what to do.
    let options = ["--docker-arg", "-eDINDCHECK_DAEMON_ARGS=--label 'a"];
    let run_ = run("28.5.2", &options, &command).expect_status(7);
    assert!(run_.stdout.contains("DINDCHECK_DAEMON_ARGS"), "{}", run_.stdout);
    // Nothing is missing; what failed in the container around is not inherited.
    let healthy = run("28.5.2", &["--docker-arg", "-eDINDCHECK_FAILED=x"], &command).expect_status(7);
    assert_eq!(healthy.stdout, "[] [unix:///var/run/docker.sock]\n");
}

#[test]
fn with_report_only_clients_get_in_whatever_is_found() {
    // A finding that blocks, and images that are not loaded: the daemon serves as it does without us.
    for (options, status) in [("--strict", 1), ("--preload /broken.tar", 5)] {
        let script =
            format!("echo broken > /broken.tar; exec dindcheck --report-only --format json --output /report {options}");
        let outer = Outer::start("28.5.2", &["--data-root", "overlay"], &["sh", "-c", &script]);
        outer.wait_for_log(" is ready, ");
        outer.script("docker version > /dev/null && test -S /var/run/docker.sock");
        let report = outer.exec(&["cat", "/report"]).report();
        assert_eq!(report.0["exit_status"], status, "{:#}", report.0["verification"]);
        assert_eq!(outer.stop(), 0, "{}", outer.log());
    }
}

/// 24.0 to 28 wait a minute for a containerd that does not answer, and log nothing meanwhile.
#[test]
fn a_check_that_was_left_out_explains_what_no_log_does() {
    let script = "
        mkdir -p /run/containerd
        perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un(\"/run/containerd/containerd.sock\"))'
        exec dindcheck --exit --skip leftovers.containerd-socket --timeout 20s";
    let run = run_script("26.1.5", &[], script).expect_status(4);
    assert!(run.stdout.contains("[leftovers.containerd-socket]"), "{}", run.stdout);
    assert!(run.stdout.contains("rm /run/containerd/containerd.sock"), "{}", run.stdout);
}
