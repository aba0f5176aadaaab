//! What dindcheck keeps in /run, and what others can do to it there: nothing is believed that someone else can have
//! written, nothing is taken back that someone has replaced or that a daemon stands on.

use crate::lab::{Outer, run_script};

const SERVING: &str = " is ready, ";
/// /run as a tmpfs of mode 1777, and as the kubelet makes an emptyDir.
const WIDE_RUN: [[&str; 2]; 2] =
    [["--docker-arg", "--tmpfs=/run:rw,exec,mode=1777"], ["--docker-arg", "--tmpfs=/run:rw,exec,mode=0777"]];

/// As uid 1000, and then as root.
fn attack(options: &[&str], attacker: &str, root: &str) -> String {
    let outer = Outer::start("28.5.2", options, &["sleep", "1000"]);
    let name = outer.name();
    outer.script("echo precious > /root/victim");
    crate::lab::docker(&["exec", "-u", "1000", name, "sh", "-ec", attacker]);
    outer.exec(&["sh", "-c", root]).stdout
}

#[test]
fn programs_of_other_users_in_front_of_the_path_are_not_run() {
    let plant = "for at in /run/dindcheck-bin /run/dindcheck/bin /run/dindcheck/iptables; do
            mkdir -p $at
            printf '#!/bin/sh\\nid > /root/owned\\necho Docker version 28.5.2, build x\\n' | tee $at/dockerd > $at/iptables
            chmod 755 $at/*
        done";
    let look =
        "dindcheck check > /dev/null 2>&1; DOCKER_IPTABLES_LEGACY=1 timeout 60 dindcheck --fix --exit > /tmp/out 2>&1
        echo status $?; ls /root; grep -c 'no state is kept: /run/dindcheck is not used' /tmp/out";
    for options in &WIDE_RUN {
        let told = attack(options, plant, look);
        assert!(!told.contains("owned") && told.ends_with("\n1\n"), "{told}");
    }
}

#[test]
fn no_file_is_written_through_a_link_of_another_user() {
    let plant = "mkdir /run/dindcheck; cd /run/dindcheck
        for name in status status.new journal journal.new daemon.log daemon.log.new; do ln -s /root/victim $name; done
        ln -s /root/new /run/dindcheck-whole; ln -s /root/new whole";
    let start = "timeout 100 dindcheck --fix --exit > /tmp/out 2>&1; echo status $?; cat /root/victim; ls /root";
    let told = attack(&WIDE_RUN[0], plant, start);
    assert_eq!(told, "status 0\nprecious\nvictim\n");
}

#[test]
fn a_forged_journal_is_neither_taken_back_nor_does_it_give_flags() {
    let plant = r#"life="$(cat /proc/sys/kernel/random/boot_id) $(sed 's/.*) //' /proc/1/stat | cut -d' ' -f20) $(readlink /proc/self/ns/mnt)"
        mkdir /run/dindcheck
        cat > /run/dindcheck/journal <<END
{"life":"$life","check":"x.y","step":{"write-file":{"path":"/root/victim","content":"precious\n"}}}
{"life":"$life","check":"x.y","step":{"remove-file":{"path":"/root/keys","content":"ssh-ed25519 x\n"}}}
{"life":"$life","check":"x.y","step":{"add-flag":{"flag":"--host=tcp://0.0.0.0:2377"}}}
END"#;
    let undo = "dindcheck undo > /tmp/undone 2>&1; echo status $?; grep -o 'is not used: it belongs to another user' /tmp/undone
        ls /root; timeout 60 dindcheck --exit --no-verify > /tmp/out 2>&1; echo status $?; grep -c ':2377' /tmp/out";
    let told = attack(&WIDE_RUN[1], plant, undo);
    assert_eq!(told, "status 6\nis not used: it belongs to another user\nvictim\nstatus 0\n0\n");
}

#[test]
fn fifos_and_endless_files_hold_nothing_up() {
    for plant in [
        "mkfifo /run/docker.pid; mkdir /run/dindcheck; mkfifo /run/dindcheck/journal /run/dindcheck/status",
        "mkdir /run/dindcheck; ln -s /dev/zero /run/dindcheck/status; ln -s /dev/zero /run/docker.pid",
    ] {
        let look = "ulimit -v 4000000
            for what in check undo health; do timeout 20 dindcheck $what > /dev/null 2>&1; echo $what $?; done";
        let told = attack(&WIDE_RUN[0], plant, look);
        for hung in ["124", "137", "134"] {
            assert!(!told.contains(hung), "{plant}: {told}");
        }
        assert!(told.contains("undo 6") && told.contains("health 1"), "{told}");
    }
}

#[test]
fn nothing_is_taken_back_from_under_a_daemon() {
    let fault = "umount -l /sys/fs/cgroup; echo 4242 > /run/docker.pid; exec dindcheck --fix --no-verify";
    let outer = Outer::start("28.5.2", &[], &["sh", "-c", fault]);
    outer.wait_for_log(SERVING);
    let state = "cat /run/docker.pid; grep -c cgroup /proc/self/mountinfo; cat /run/dindcheck/journal";
    let before = outer.script(state);
    let undone = outer.exec(&["dindcheck", "undo"]).expect_status(2);
    assert!(undone.stderr.contains("dockerd runs (process "), "{}", undone.stderr);
    assert_eq!(before, outer.script(state));
    outer.script("tar -C / -c bin/busybox | docker import - warm > /dev/null; docker run --rm warm /bin/busybox true");
}

#[test]
fn what_was_replaced_since_is_left_and_reported() {
    let script = "
        echo 4242 > /run/docker.pid; rm /dev/fuse
        dindcheck fix --only leftovers.pidfile -q >&2 && dindcheck fix --only devices.nodes -q >&2 || exit 9
        echo theirs > /run/docker.pid; rm /dev/fuse; touch /dev/fuse
        dindcheck undo
        cat /run/docker.pid; test -f /dev/fuse; test ! -e /run/dindcheck/journal && echo empty";
    let told = run_script("28.5.2", &[], script).expect_status(0).stdout;
    for line in [
        "left: rm /dev/fuse: it is another one now",
        "left: printf %s 4242 > /var/run/docker.pid: another one has taken its place",
        "theirs\n",
        "empty\n",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
}

#[test]
fn a_torn_line_of_the_journal_costs_nothing_else() {
    let script = "
        ls -lR /dev > /tmp/before
        rm /dev/fuse; dindcheck fix --only devices.nodes -q >&2 || exit 9
        printf '{\"life\":\"x\",\"che' >> /run/dindcheck/journal
        echo 4242 > /run/docker.pid; dindcheck fix --only leftovers.pidfile -q >&2 || exit 8
        dindcheck undo && cat /run/docker.pid && test ! -e /dev/fuse && echo undone";
    let told = run_script("28.5.2", &[], script).expect_status(0).stdout;
    assert!(told.ends_with("4242undone\n"), "{told}");
}

#[test]
fn the_litter_of_killed_probes_changes_no_finding_and_goes() {
    let script = "mkdir $(seq -f /var/lib/docker/.dindcheck-%g 1 1000)
        mkdir -p /var/lib/docker/.dindcheck-probe-7-0123456789abcdef/upper; touch -d '1 hour ago' /var/lib/docker/.dindcheck-probe-*
        mkdir /var/lib/docker/.dindcheck-probe-8-0123456789abcdef
        dindcheck check --only storage.data-root --format json; ls -d /var/lib/docker/.dindcheck-probe-* >&2";
    let run = run_script("28.5.2", &[], script).expect_status(0);
    run.report().expect("storage.data-root", "pass");
    assert_eq!(
        run.stderr.trim(),
        "/var/lib/docker/.dindcheck-probe-8-0123456789abcdef",
        "one that is new may be in use"
    );
}

#[test]
fn the_network_of_another_engine_is_not_touched_unasked() {
    let options = ["--docker-arg", "--network=host"];
    let rules = || crate::lab::text(&crate::lab::lab(&["shell", "--", "iptables-save", "-t", "filter"]).stdout);
    let count = |rules: &str| rules.lines().filter(|line| line.contains("br-")).count();
    let network = format!("ours-{}", std::process::id());
    crate::lab::docker(&["network", "create", &network]);
    let before = count(&rules());
    let report = run_script("28.5.2", &options, "exec dindcheck --exit --format json").report();
    let after = count(&rules());
    crate::lab::docker(&["network", "rm", &network]);
    assert!(before > 0, "{before}");
    report.expect_blocking("network.namespace");
    assert_eq!(report.0["exit_status"], 1);
    assert_eq!(before, after);
}
