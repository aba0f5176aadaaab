//! A client's side: waiting for the daemon of another container, and why it cannot be used.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::lab::{Outer, Run, docker, run};

/// What a client beside the daemon's container says, in its network and with its volumes.
fn ask(daemon: &Outer, variables: &[&str], words: &[&str]) -> Run {
    let (network, volumes) =
        (format!("--network=container:{}", daemon.name()), format!("--volumes-from={}", daemon.name()));
    let variables: Vec<String> = variables.iter().map(|variable| format!("-e{variable}")).collect();
    let mut options = vec!["--docker-arg", &network, "--docker-arg", &volumes];
    options.extend(variables.iter().flat_map(|variable| ["--docker-arg", variable]));
    run("28.5.2", &options, &[&["dindcheck", "health"], words].concat())
}

const CLIENT: [&str; 3] = ["DOCKER_HOST=tcp://localhost:2376", "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=/certs/client"];

#[test]
fn a_client_waits_for_a_daemon_with_tls_and_learns_why_it_cannot_use_it() {
    let options = [
        "--docker-arg",
        "-eDOCKER_TLS_CERTDIR=/certs",
        "--docker-arg",
        "-v/certs",
        "--docker-arg",
        "--add-host=wrong:127.0.0.1",
    ];
    let script = "sleep 5; exec dindcheck --fix -- --host=tcp://0.0.0.0:1111";
    let daemon = Outer::start("28.5.2", &options, &["sh", "-c", script]);

    let early = ask(&daemon, &CLIENT, &[]).expect_status(1).stdout;
    assert!(early.contains("/certs/client/ca.pem is not there"), "{early}");
    let waited = ask(&daemon, &CLIENT, &["--wait", "60s"]).expect_status(0).stdout;
    assert!(waited.starts_with("the daemon at tcp://localhost:2376 answers (waited "), "{waited}");
    assert!(daemon.log().contains(" is ready, "), "before the proof: {}", daemon.log());
    // Every TCP address has TLS.
    ask(&daemon, &["DOCKER_HOST=tcp://localhost:1111", CLIENT[1], CLIENT[2]], &["-q"]).expect_status(0);

    // The right CA with a certificate without a key, and nothing but that.
    let own = tempfile::tempdir().expect("a directory");
    let at = |name: &str| own.path().join(name).display().to_string();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=other"])
        .args(["-keyout", &at("key.pem"), "-out", &at("cert.pem")])
        .output();
    assert!(made.expect("openssl").status.success());
    daemon.script("mkdir /certs/other /certs/none /certs/stranger; cp /certs/client/ca.pem /certs/other");
    for (file, to) in [("key.pem", "key.pem"), ("cert.pem", "cert.pem"), ("cert.pem", "ca.pem")] {
        docker(&["cp", &at(file), &format!("{}:/certs/stranger/{to}", daemon.name())]);
    }
    daemon.script("cp /certs/stranger/cert.pem /certs/stranger/key.pem /certs/other");
    for (variables, reason) in [
        (&["DOCKER_HOST=tcp://wrong:2376", CLIENT[1], CLIENT[2]][..], "its certificate is not for wrong, but for "),
        (&["DOCKER_HOST=tcp://localhost:2376"], "it wants TLS"),
        (&["DOCKER_HOST=tcp://localhost:2375"], "port 2376 is open, where clients connect with TLS"),
        (&["DOCKER_HOST=tcp://nowhere.invalid:2376"], "nowhere.invalid"),
        (&[CLIENT[0], CLIENT[1], "DOCKER_CERT_PATH=/certs/none"], "/certs/none/ca.pem is not there"),
        (&[CLIENT[0], CLIENT[1], "DOCKER_CERT_PATH=/certs/stranger"], "another CA than /certs/stranger/ca.pem"),
        (
            &[CLIENT[0], CLIENT[1], "DOCKER_CERT_PATH=/certs/other"],
            "it refuses the client's certificate /certs/other/cert.pem",
        ),
        (&["DOCKER_HOST=ssh://docker"], "only unix:// and tcp://"),
    ] {
        let start = Instant::now();
        let text = ask(&daemon, variables, &[]).expect_status(1).stdout;
        assert!(text.contains(reason) && text.lines().count() == 1, "{variables:?}: {text}");
        assert!(start.elapsed() < Duration::from_secs(20), "{variables:?}");
    }
    let text = ask(&daemon, &["DOCKER_HOST=tcp://localhost:2376"], &["--wait", "1s"]).expect_status(1).stdout;
    assert!(text.contains(" (waited "), "{text}");
    // Not verified, as the docker client has it, too.
    let careless = ["DOCKER_HOST=tcp://wrong:2376", "DOCKER_TLS=1", CLIENT[2]];
    ask(&daemon, &careless, &[]).expect_status(0);
}

#[test]
fn a_client_waits_for_a_daemon_without_tls() {
    let script = "sleep 3; exec dindcheck --fix";
    let daemon = Outer::start("28.5.2", &["--docker-arg", "-eDOCKER_TLS_CERTDIR="], &["sh", "-c", script]);
    let plain = ["DOCKER_HOST=tcp://localhost:2375"];
    let early = ask(&daemon, &plain, &[]).expect_status(1).stdout;
    assert!(early.contains("nothing listens at "), "{early}");
    ask(&daemon, &plain, &["--wait", "60s"]).expect_status(0);
    let tls = ask(&daemon, &[plain[0], CLIENT[1], "DOCKER_CERT_PATH=/nowhere"], &[]).expect_status(1).stdout;
    assert!(tls.contains("/nowhere/ca.pem is not there"), "{tls}");
    // By unix socket, and the other way round: the daemon's own container is asked for its own daemon.
    daemon.exec(&["env", "DOCKER_HOST=tcp://nowhere:2376", "dindcheck", "health", "--wait", "5s"]).expect_status(0);
}

#[test]
fn a_job_learns_whether_containers_get_its_directory() {
    let tls = ["-eDOCKER_TLS_CERTDIR=/certs", "-v/certs", "-v/builds", "-v/share"];
    let plain = ["-eDOCKER_TLS_CERTDIR=", "-v/builds", "-v/share"];
    for (options, client) in [(&tls[..], &CLIENT[..]), (&plain[..], &["DOCKER_HOST=tcp://localhost:2375"][..])] {
        let options: Vec<&str> = options.iter().flat_map(|option| ["--docker-arg", option]).collect();
        let flags = ["--host", "unix:///var/run/docker.sock", "--host", "unix:///share/docker.sock"];
        let daemon = Outer::start("28.5.2", &options, &[&["dindcheck", "--fix"], &flags[..]].concat());
        daemon.wait_for_log(" is ready, ");
        daemon.script("mkdir /own; echo > /own/file");
        let client: Vec<String> = client.iter().map(|variable| format!("-e{variable}")).collect();
        let by_socket = vec!["-eDOCKER_HOST=unix:///share/docker.sock".to_owned()];
        for variables in [&client, &by_socket] {
            // A job beside the daemon, with its volumes and a file system of its own.
            let (network, volumes) =
                (format!("--network=container:{}", daemon.name()), format!("--volumes-from={}", daemon.name()));
            let mut options = vec!["--docker-arg", &network, "--docker-arg", &volumes];
            options.extend(variables.iter().flat_map(|variable| ["--docker-arg", variable]));
            for (path, status, summary) in [
                ("/builds", 0, "/builds: a container sees the same directory"),
                ("/job", 5, "/job: a container cannot have it: it is not there where the daemon runs"),
                ("/own", 5, "/own: a container sees another directory, which the daemon has at that path"),
                ("/nowhere", 5, "/nowhere: cannot write to it: No such file or directory"),
            ] {
                let script = format!("mkdir /job /own; exec dindcheck verify --format json --path {path}");
                let run = run("28.5.2", &options, &["sh", "-c", &script]).expect_status(status);
                let report = run.report();
                let ids: Vec<&str> = report.scenarios().iter().filter_map(|one| one["id"].as_str()).collect();
                assert_eq!(ids, ["paths", "leftovers"], "{run}");
                let said = report.expect_scenario("paths", if status == 0 { "pass" } else { "fail" });
                assert!(said.starts_with(summary), "{variables:?}: {said}");
            }
        }
        // Nothing is made where the daemon is, and nothing of ours stays.
        let left = daemon.script("ls -A / /builds /own; docker ps -aq; docker images -q; docker volume ls -q");
        assert!(!left.contains("job") && !left.contains("dindcheck-"), "{left}");
        // Beside the daemon itself: the directories that CI systems name.
        let words =
            ["env", "CI_BUILDS_DIR=/builds", "GITHUB_WORKSPACE=/nowhere", "dindcheck", "verify", "--format", "json"];
        let run = daemon.exec(&[&words[..], &["--quick"]].concat()).expect_status(0);
        assert_eq!(run.report().expect_scenario("paths", "pass"), "/builds: a container sees the same directory");
    }
}
