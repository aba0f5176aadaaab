//! `diagnose` with what is known beside the log: --outer, --inner (and --facts in tests/nested).

use serde_json::Value;

use crate::common::dindcheck;

const REFUSED: &str = "failed to start daemon: Error initializing network controller: error obtaining controller \
                       instance: failed to create NAT chain DOCKER: iptables failed: iptables -t nat -N DOCKER: \
                       Permission denied (you must be root)\n";

fn diagnose(args: &[&str], log: &str) -> String {
    let output = dindcheck().arg("diagnose").args(args).write_stdin(log).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn cause(args: &[&str], log: &str) -> Value {
    let answer: Value = serde_json::from_str(&diagnose(&[&["--format", "json"], args].concat(), log)).unwrap();
    answer["first_error"]["diagnosis"].clone()
}

/// The lines to paste are those of a report, in the words of the engine around: told, or given away by the log.
#[test]
fn the_engine_around_decides_the_lines_to_paste() {
    let told = |outer: &str| diagnose(&["--outer", outer], REFUSED);
    assert!(diagnose(&[], REFUSED).contains("\n  docker run --privileged IMAGE\n"));
    assert!(told("podman").contains("\n  podman run --privileged IMAGE\n"));
    let pod = told("kubernetes");
    assert!(pod.contains("\n  securityContext: {privileged: true}\n") && !pod.contains("docker run"), "{pod}");
    for (line, words) in [
        ("12:cpuset:/kubepods/burstable/pod1/2\n", "securityContext: {privileged: true}"),
        ("Kernel Version: 6.8.12-2-pve\n", "security.nesting=true"),
    ] {
        let shown = diagnose(&[], &(line.to_owned() + REFUSED));
        assert!(shown.contains(words) && !shown.contains("docker run"), "{shown}");
    }
    // A step of a build has neither a command line nor a volume.
    let overlay = "ERROR: failed to mount /tmp/containerd-mount1: mount source: \"overlay\", target: \"/tmp/c\", fstype: \
                   overlay, flags: 0, data: \"workdir=/w\", err: invalid argument\n";
    assert!(diagnose(&[], overlay).contains("\n  docker run -v /var/lib/docker IMAGE\n"));
    let step = diagnose(&[], &format!("#8 0.1 mount: buildkitsandbox\n{overlay}"));
    assert!(step.contains("--storage-driver=vfs") && !step.contains("docker run"), "{step}");
}

#[test]
fn the_version_decides_where_the_words_are_the_same() {
    let log = "runc create failed: unable to start container process: unable to apply caps: operation not permitted\n";
    assert_eq!(cause(&["--inner", "20.10.24"], log), "apply-caps-eperm");
    assert_eq!(cause(&["--inner", "28.5.2"], log), "default-capability-missing");
}
