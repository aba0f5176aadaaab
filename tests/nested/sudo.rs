//! The main job of a user who may become root by sudo: the daemon is root's, and a job is the user's.

use crate::lab::{Outer, Run, run_script};
use crate::rootless;

const INNER: &str = "28.5.2";
/// Sudo for a user with this line in /etc/sudoers, whose command comes next.
const SUDO: &str = r#"
    cp -a /tools/usr/bin/sudo /usr/bin/; cp -a /tools/usr/libexec/sudo /usr/libexec/
    cp -a /tools/etc/pam.d/sudo /etc/pam.d/; cp -an /tools/usr/lib/x86_64-linux-gnu/libapparmor.* /usr/lib/x86_64-linux-gnu/
    printf '%s\n' 'Defaults secure_path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin"' 'Defaults use_pty' "RULE" > /etc/sudoers
    chmod 0440 /etc/sudoers
    grep -q :1000:1000: /etc/passwd || {
        echo dev:x:1000:1000::/home/dev:/bin/sh >> /etc/passwd; echo 'dev:*:19000:0:99999:7:::' >> /etc/shadow
        echo dev:x:1000: >> /etc/group
    }
    export HOME=/home/dev USER=dev OWN=kept PATH=$PATH:/home/dev/bin
"#;
const ANYTHING: &str = "#1000 ALL=(ALL) NOPASSWD:ALL";

fn script(rule: &str, command: &str) -> String {
    rootless::script(&SUDO.replace("RULE", rule), command)
}

fn run(inner: &str, rule: &str, command: &str) -> Run {
    run_script(inner, &["--tools"], &script(rule, command))
}

/// What a job sees: who it is, its variables, whose daemon it has.
const LOOK: &str = "sh -c 'id -u; id -G; echo $HOME $USER $OWN ${PATH##*:} ${SUDO_UID-no}; grep CapPrm /proc/self/status; \
    docker info -f \"{{.DockerRootDir}}\"; exit 7'";
const SEEN: &str =
    "1000\n1000 SOCKET\n/home/dev dev kept /home/dev/bin no\nCapPrm:\t0000000000000000\n/var/lib/docker\n";

/// Without the groups: the socket's has another number on each engine.
fn seen(run: &Run) -> String {
    let with_socket =
        |line: &str| if line.starts_with("1000 ") { "1000 SOCKET\n".to_owned() } else { format!("{line}\n") };
    run.stdout.lines().map(with_socket).collect()
}

#[test]
fn a_job_of_a_user_has_a_root_daemon_where_sudo_needs_no_password() {
    let run = run(INNER, ANYTHING, &format!("dindcheck --fix -q --job -- {LOOK}")).expect_status(7);
    assert_eq!(seen(&run), SEEN, "{run}");
}

#[test]
fn with_rootlesskit_it_is_by_sudo_when_asked() {
    let inner = rootless::INNER;
    let asked = run(inner, ANYTHING, &format!("dindcheck --fix --sudo --job -- {LOOK}")).expect_status(7);
    assert_eq!(seen(&asked), SEEN, "{asked}");
    // That user has no home there.
    let rootless = run(inner, ANYTHING, "dindcheck --fix --format json").expect_status(1);
    rootless.report().expect_blocking("rootless.directories");
}

#[test]
fn the_rule_that_is_printed_allows_it() {
    let refused = run(INNER, "#0 ALL=(ALL) ALL", "dindcheck --fix --sudo").expect_status(2);
    assert!(refused.stderr.contains("password is required"), "{refused}");
    let rule = refused.stderr.split("/etc/sudoers: ").nth(1).expect("a rule").trim();
    run(INNER, rule, "dindcheck --fix --exit --verify none").expect_status(0);
    // Not asked for, it is no fault of its own.
    let report = run(INNER, "#0 ALL=(ALL) ALL", "dindcheck --format json -v").expect_status(1);
    assert!(report.stderr.contains("not by sudo: "), "{report}");
    report.report().expect_blocking("rootless.programs");
}

#[test]
fn a_script_of_a_user_has_a_root_daemon_which_stops_in_order() {
    let detach = "dindcheck --detach --fix; touch /tmp/done; while :; do sleep 0.1; done";
    let command = format!("sh -ec 'trap \"\" TERM; {detach}'");
    let outer = Outer::start(INNER, &["--tools"], &["sh", "-c", &script(ANYTHING, &command)]);
    outer.wait_for_log("it goes on in the background");
    let log = outer.log();
    let pid = log.split("`kill ").nth(1).and_then(|rest| rest.split('`').next()).expect("a number");
    outer.script(&format!("grep -q '^Uid:.0' /proc/{pid}/status; docker version; dindcheck health; kill {pid}"));
    outer.script("until grep 'Daemon shutdown complete' /var/log/dindcheck.log; do sleep 0.1; done");

    let outer = Outer::start(INNER, &["--tools"], &["sh", "-c", &script(ANYTHING, "dindcheck --fix")]);
    outer.wait_for_log(" is ready, ");
    // Orphans of others are reaped.
    outer.script(
        "i=0; while [ $i -lt 50 ]; do (setsid sleep 0.2 &); i=$((i + 1)); done
        i=0; while grep -qE '^[0-9]+ \\((sleep|setsid)\\) ' /proc/[0-9]*/stat 2> /dev/null; do i=$((i + 1)); [ $i -lt 600 ]; sleep 0.1; done",
    );
    assert_eq!(outer.stop(), 0, "{}", outer.log());
    assert!(outer.log().contains("Daemon shutdown complete"), "{}", outer.log());
}
