//! What users of docker:dind images rely on: arguments, variables, commands, jobs, health.

use crate::for_each_inner;
use crate::lab::{Outer, run, run_script};

const SERVING: &str = " is ready, ";

for_each_inner!(flags_of_the_daemon_need_no_separator);
fn flags_of_the_daemon_need_no_separator(inner: &str) {
    let command = ["dindcheck", "--format", "json", "--exit", "--storage-driver=vfs", "--label", "a=b"];
    let report = run(inner, &[], &command).expect_status(0).report();
    assert_eq!(
        report.0["launch"]["command"].as_array().expect("a command")[1..],
        ["--host=fd://", "--storage-driver=vfs", "--label", "a=b"]
    );
    assert_eq!(report.0["verification"]["storage_driver"], "vfs");
}

#[test]
fn an_unknown_option_is_the_daemons_to_refuse_unless_it_is_nearly_ours() {
    let refused = run("28.5.2", &[], &["dindcheck", "--fix", "--storag-driver=vfs"]).expect_status(1);
    assert!(
        refused.stderr.contains("FAIL  configuration.accepted  unknown flag: --storag-driver"),
        "{}",
        refused.stderr
    );
    let mistyped = run("28.5.2", &[], &["dindcheck", "--fxi"]).expect_status(2);
    assert!(mistyped.stderr.contains("did you mean `--fix`"), "{}", mistyped.stderr);
}

for_each_inner!(questions_to_the_daemon_go_straight_through);
fn questions_to_the_daemon_go_straight_through(inner: &str) {
    for words in [["dockerd", "--version"], ["dockerd", "--help"]] {
        let plain = run(inner, &[], &words).expect_status(0);
        let ours = run(inner, &[], &["dindcheck", "--fix", words[0], words[1]]).expect_status(0);
        assert_eq!((ours.stdout, ours.stderr), (plain.stdout, plain.stderr));
    }
}

#[test]
fn a_subcommand_works_behind_the_options_of_an_image() {
    let run = run("28.5.2", &[], &["dindcheck", "--fix", "--timeout", "90s", "check", "--only", "engine.profile"]);
    assert!(run.expect_status(0).stdout.contains("1 check passed"));
}

#[test]
fn the_daemon_of_a_job_takes_flags() {
    let command = ["dindcheck", "--fix", "-q", "--job", "--label", "a=b", "docker", "info", "--format", "{{.Labels}}"];
    let run = run("28.5.2", &[], &command).expect_status(0);
    assert!(run.stdout.ends_with("[a=b]\n"), "{}", run.stdout);
}

for_each_inner!(every_tcp_address_is_tls_with_a_directory_for_certificates);
fn every_tcp_address_is_tls_with_a_directory_for_certificates(inner: &str) {
    let script = "dindcheck --fix -q --no-verify -Htcp://127.0.0.1:12376 --tls=false > /tmp/log 2>&1 &
        until docker -H unix:///var/run/docker.sock version > /dev/null 2>&1; do sleep 0.1; done
        docker -H tcp://127.0.0.1:12376 version && exit 9
        export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=/certs/client
        for port in 12376 2376; do docker -H tcp://127.0.0.1:$port version > /dev/null || exit 8; done
        tr '\\0' ' ' < /proc/$(cat /run/docker.pid)/cmdline";
    let run = run_script(inner, &["--docker-arg", "-eDOCKER_TLS_CERTDIR=/certs"], script).expect_status(0);
    assert!(run.stdout.contains("--tlsverify"), "{}", run.stdout);
}

for_each_inner!(another_configuration_file_is_followed);
fn another_configuration_file_is_followed(inner: &str) {
    let write = |json: &str| format!("echo '{json}' > /etc/d.json; ");
    let script = write(r#"{"hosts": ["unix:///run/x.sock"], "pidfile": "/run/x.pid", "exec-root": "/run/x"}"#)
        + "exec dindcheck --fix --exit --format json --config-file=/etc/d.json";
    let report = run_script(inner, &[], &script).expect_status(0).report();
    assert_eq!(report.0["launch"]["socket"], "/run/x.sock");
    let open = write(r#"{"hosts": ["tcp://0.0.0.0:2375"]}"#)
        + "exec dindcheck check --only configuration.open-tcp --format json -- --config-file=/etc/d.json";
    run_script(inner, &[], &open).report().expect("configuration.open-tcp", "fail");
}

for_each_inner!(tcp_addresses_of_daemon_json_alone_are_served);
fn tcp_addresses_of_daemon_json_alone_are_served(inner: &str) {
    let script =
        "mkdir -p /etc/docker; echo '{\"hosts\": [\"tcp://127.0.0.1:2375\"], \"mtu\": 1300}' > /etc/docker/daemon.json
        cp /etc/docker/daemon.json /before
        dindcheck --fix --exit -q dockerd || exit; cmp /before /etc/docker/daemon.json";
    run_script(inner, &[], script).expect_status(0);
}

#[test]
fn the_driver_and_the_socket_come_by_variables_too() {
    let options = ["--docker-arg", "-eDOCKER_DRIVER=vfs", "--docker-arg", "-eDOCKER_HOST=unix:///run/other.sock"];
    let report = run("28.5.2", &options, &["dindcheck", "--format", "json", "--exit"]).expect_status(0).report();
    assert_eq!(report.0["verification"]["storage_driver"], "vfs");
    assert_eq!(report.0["launch"]["socket"], "/run/other.sock");
}

for_each_inner!(the_daemons_flags_come_by_variables);
fn the_daemons_flags_come_by_variables(inner: &str) {
    let options = [
        "--docker-arg",
        "-eDINDCHECK_DAEMON_ARGS=--label 'a=b c' --label d=e",
        "--docker-arg",
        "-eDOCKER_REGISTRY_MIRROR=http://mirror:5000",
        "--docker-arg",
        "-eMTU=1400",
    ];
    // A key of the file goes before a single variable: the daemon would refuse both.
    let script = "
        cat > /job <<'END'
docker info 2> /dev/null | grep -A2 -e Labels: -e 'Registry Mirrors:'
docker network inspect -f 'mtu {{index .Options \"com.docker.network.driver.mtu\"}}' bridge
END
        dindcheck --fix -q --output /first --job sh /job || exit
        mkdir -p /etc/docker; echo '{\"mtu\": 1300}' > /etc/docker/daemon.json
        dindcheck --fix -q --output /second --job sh /job";
    let run = run_script(inner, &options, script).expect_status(0);
    let lines: Vec<&str> = run.stdout.lines().map(str::trim).collect();
    for wanted in ["a=b c", "d=e", "http://mirror:5000/"] {
        assert_eq!(lines.iter().filter(|line| **line == wanted).count(), 2, "{wanted}: {}", run.stdout);
    }
    let mtu: Vec<&str> = lines.into_iter().filter(|line| line.starts_with("mtu ")).collect();
    assert_eq!(mtu, ["mtu 1400", "mtu 1300"], "{}", run.stdout);
}

for_each_inner!(an_empty_certificate_directory_opens_2375_at_once_and_loudly);
fn an_empty_certificate_directory_opens_2375_at_once_and_loudly(inner: &str) {
    let outer = Outer::start(inner, &["--docker-arg", "-eDOCKER_TLS_CERTDIR="], &["dindcheck", "--format", "json"]);
    outer.wait_for_log(SERVING);
    outer.script("docker -H tcp://127.0.0.1:2375 version > /dev/null");
    let log = outer.log();
    let report: serde_json::Value =
        serde_json::Deserializer::from_str(&log).into_iter().next().expect("a report").expect("JSON");
    let report = crate::lab::Report(report);
    let summary = report.expect("configuration.open-tcp", "fail");
    assert_eq!(summary, "anybody may use the API at tcp://0.0.0.0:2375 without TLS");
    // The daemon sleeps for 15 s where no one says that it is meant to be open.
    assert!(report.0["launch"]["ready_ms"].as_u64().expect("it answers") < 15_000);
}

#[test]
fn the_choice_of_iptables_goes_to_the_daemon_by_its_path() {
    for (choice, flavour) in [("", "nf_tables"), ("1", "legacy")] {
        let variable = format!("-eDOCKER_IPTABLES_LEGACY={choice}");
        let options = ["--docker-arg", &variable];
        // Whether the kernel can do it is not the question here.
        let command = ["dindcheck", "--skip", "netfilter.iptables", "--no-verify", "--job", "sh", "-c"];
        let script =
            "env -i \"$(tr '\\0' '\\n' < /proc/$(cat /run/docker.pid)/environ | grep ^PATH=)\" iptables --version";
        let run = run("28.5.2", &options, &[&command[..], &[script]].concat());
        // A kernel without ip_tables stops the daemon, and the choice is then in what it says.
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains(&format!("({flavour})")), "{said}");
    }
}

#[test]
fn a_subcommand_of_the_client_is_run_by_the_client() {
    let run = run("28.5.2", &[], &["dindcheck", "--fix", "version"]).expect_status(1);
    assert!(run.stdout.starts_with("Client"), "{}", run.stdout);
    assert!(run.stderr.contains("docker:2375") || run.stderr.contains("lookup docker"), "{}", run.stderr);
}

#[test]
fn commands_that_cannot_be_run_end_as_they_do_in_a_shell() {
    run("28.5.2", &[], &["dindcheck", "no-such-program"]).expect_status(127);
    run("28.5.2", &[], &["dindcheck", "/etc/passwd"]).expect_status(126);
    run("28.5.2", &[], &["dindcheck", "sh", "-c", "kill -TERM $$; sleep 9; exit 3"]).expect_status(3);
}

#[test]
fn certificates_are_for_the_client_too() {
    let script = "
        mkdir -p /certs/client; for name in ca cert key; do echo x > /certs/client/$name.pem; done
        exec dindcheck sh -c 'echo $DOCKER_HOST $DOCKER_TLS_VERIFY $DOCKER_CERT_PATH'";
    let run = run_script("28.5.2", &["--docker-arg", "-eDOCKER_TLS_CERTDIR=/certs"], script).expect_status(0);
    assert_eq!(run.stdout, "tcp://docker:2376 1 /certs/client\n");
}

for_each_inner!(the_container_ends_with_its_job);
fn the_container_ends_with_its_job(inner: &str) {
    let script = "docker version > /dev/null && echo $DOCKER_HOST && exit 7";
    let run = run(inner, &[], &["dindcheck", "-q", "--output", "/dev/null", "--job", "sh", "-c", script]);
    let run = run.expect_status(7);
    assert_eq!(run.stdout, "unix:///var/run/docker.sock\n");
    assert!(run.stderr.contains("Daemon shutdown complete"), "in order: {}", run.stderr);
}

#[test]
fn a_jobs_client_is_that_of_the_proved_daemon_whatever_the_environment_says() {
    let variables =
        ["DOCKER_HOST=tcp://other:2376", "DOCKER_TLS=1", "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=/nowhere"];
    let options: Vec<String> = variables.iter().map(|variable| format!("-e{variable}")).collect();
    let options: Vec<&str> = options.iter().flat_map(|option| ["--docker-arg", option]).collect();
    let script = "env | grep ^DOCKER | sort; docker info > /dev/null";
    let run = run("28.5.2", &options, &["dindcheck", "--fix", "-q", "--job", "sh", "-ec", script]).expect_status(0);
    assert_eq!(run.stdout, "DOCKER_HOST=unix:///var/run/docker.sock\n");
}

#[test]
fn a_job_gets_every_signal_and_dies_of_those_that_it_does_not_want() {
    let script = "trap 'echo got it; exit 9' RTMIN+3; echo ready; while :; do sleep 0.1; done";
    let outer = Outer::start("28.5.2", &[], &["dindcheck", "--job", "--", "bash", "-c", script]);
    outer.wait_for_log("ready\n");
    outer.kill("37"); // 34 is RTMIN
    assert_eq!(outer.wait(), 9, "{}", outer.log());
    let outer = Outer::start("28.5.2", &[], &["dindcheck", "--job", "--", "sh", "-c", "echo ready; exec sleep 1000"]);
    outer.wait_for_log("ready\n");
    outer.kill("64");
    assert_eq!(outer.wait(), 128 + 64, "{}", outer.log());
}

#[test]
fn a_stubborn_job_and_its_daemon_end_in_time() {
    let script = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
    let outer = Outer::start("28.5.2", &[], &["dindcheck", "--job", "--", "sh", "-c", script]);
    outer.wait_for_log("ready\n");
    assert_eq!(outer.stop(), 137);
    assert!(!outer.was_killed(), "{}", outer.log());
    assert!(outer.log().contains("the job did not end in time"), "{}", outer.log());
    assert!(outer.log().contains("Daemon shutdown complete"), "{}", outer.log());
}

#[test]
fn a_job_has_the_terminal() {
    let script = "ps -o pgid=,tpgid= -p $$";
    let run = run("28.5.2", &["--docker-arg", "-t"], &["dindcheck", "-q", "--job", "--", "sh", "-c", script]);
    let run = run.expect_status(0);
    // On a terminal the daemon's log is among it.
    let lines = run.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let groups: Vec<_> = lines.filter(|words| words.len() == 2 && words[0].parse::<u32>().is_ok()).collect();
    assert!(groups.len() == 1 && groups[0][0] == groups[0][1], "{groups:?}: {}", run.stdout);
}

#[test]
fn health_is_told_only_once_the_daemon_is_proved() {
    let script = "
        touch /tmp/fifo; rm /tmp/fifo; mkfifo /tmp/fifo
        dindcheck health && exit 9
        dindcheck --ready-fd 3 3> /tmp/fifo &
        dindcheck health && exit 8
        read line < /tmp/fifo
        dindcheck health || exit
        kill -STOP $(cat /run/docker.pid)
        timeout 20 dindcheck health && exit 7
        kill -CONT $(cat /run/docker.pid)
        kill %1; wait %1; echo ended with $?
        dindcheck health && exit 6
        exit 0";
    let run = run("28.5.2", &[], &["bash", "-c", script]).expect_status(0);
    assert!(run.stdout.contains("ended with 0"), "{}\n{}", run.stdout, run.stderr);
}

#[test]
fn kubernetes_is_told_why_it_ended() {
    let script = "touch /dev/termination-log; dindcheck > /dev/null; status=$?; cat /dev/termination-log; exit $status";
    let run = run_script("28.5.2", &["--no-cgroup-mounts"], script).expect_status(1);
    assert!(run.stdout.starts_with("cgroup.mounted: no cgroup hierarchy is mounted; "), "{}", run.stdout);
}

for_each_inner!(images_are_loaded_before_it_is_ready);
fn images_are_loaded_before_it_is_ready(inner: &str) {
    let script = "
        mkdir /images
        make='tar -C / -c bin/busybox | docker import - seed:1 && docker save seed:1 > /images/seed.tar && docker rmi seed:1'
        dindcheck -q --output /tmp/first --job -- sh -ec \"$make\" || exit
        dindcheck --output /tmp/second --preload /images --job -- docker run --rm seed:1 /bin/busybox echo it runs || exit
        echo no image > /images/broken.tar
        dindcheck --output /tmp/third --preload /images --job -- echo never";
    // What was asked for is missing, which would show only much later.
    let run = run_script(inner, &[], script).expect_status(5);
    assert!(run.stdout.ends_with("it runs\n"), "{}\n{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("cannot load /images/broken.tar"), "{}", run.stderr);
}

/// Where the daemon logs JSON, all of standard error is JSON, a failure's report too.
#[test]
fn own_lines_are_json_where_the_daemons_are() {
    let script = r#"mkdir -p /etc/docker; echo '{"log-format": "json"}' > /etc/docker/daemon.json
        exec dindcheck -v --job true"#;
    for (options, status) in [(&[][..], 0), (&["--no-cgroup-mounts"], 1)] {
        let run = run_script("28.5.2", options, script).expect_status(status);
        let parsed = |line: &str| -> serde_json::Value {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        // A shim of containerd logs text in any case (v2.1.4 pkg/shim/shim.go: setLogger), and at times an error at its end.
        let of_shim = |line: &&str| line.starts_with("time=") && line.contains(" runtime=io.containerd.");
        let lines: Vec<serde_json::Value> = run.stderr.lines().filter(|line| !of_shim(line)).map(parsed).collect();
        let ours = lines.iter().filter(|line| line["module"] == "dindcheck").count();
        assert!(ours >= 3, "{}", run.stderr);
        assert_eq!(lines.len() > ours, status == 0, "the daemon's own: {}", run.stderr);
        // Each has the level that it was written with.
        let of = |level: &str| {
            let own = lines.iter().filter(|line| line["module"] == "dindcheck" && line["level"] == level);
            own.filter_map(|line| line["msg"].as_str()).collect::<Vec<_>>().join("\n")
        };
        let (errors, infos) = (of("error"), of("info"));
        assert!(infos.contains("dindcheck "), "the headline: {}", run.stderr);
        assert!(!infos.contains("FAIL") && !infos.contains("blocked: "), "{infos}");
        if status == 0 {
            assert_eq!(errors, "", "{}", run.stderr);
        } else {
            assert!(errors.contains("FAIL  cgroup.mounted") && errors.contains("blocked: cgroup.mounted"), "{errors}");
        }
    }
}

/// As moby's hack/dind has it: AppArmor's profiles would be loaded into the host. What is set already stays, and containers
/// inside have nothing of it.
#[test]
fn the_daemon_leaves_the_hosts_apparmor_alone() {
    let look = "tr '\\0' '\\n' < /proc/$(cat /run/docker.pid)/environ | grep ^container=; \
                tar -C / -c bin/busybox | docker import - busybox > /dev/null; docker run --rm busybox /bin/busybox env";
    let said = |options: &[&str]| {
        let run =
            run("28.5.2", options, &["dindcheck", "--fix", "-q", "--job", "--", "sh", "-c", look]).expect_status(0);
        run.stdout.lines().filter(|line| line.starts_with("container")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(said(&[]), ["container=docker"]);
    assert_eq!(said(&["--docker-arg", "-econtainer=other"]), ["container=other"]);
}
