//! Looking changes nothing.

use crate::lab::Outer;

/// Everything that a look could leave behind, as text: mounts, namespaces, files, processes, rules, interfaces,
/// modules, cgroups. What makes this text is none of it, and has its name in brackets while it ends.
const STATE: &str = "
    sed 's/^[0-9]* [0-9]* //' /proc/self/mountinfo
    for process in /proc/[0-9]*; do readlink $process/ns/*; done 2> /dev/null | sort -u
    find / /var/lib/docker -xdev ! -path '/proc/*' ! -path '/sys/*' -printf '%p %s %T@\\n' | sort
    ps -eo args= | grep -v '^\\[\\?\\(ps\\|grep\\|find\\|sh\\|sort\\)\\b' | sort
    iptables-save | grep -v '^#' | sed 's/\\[[0-9:]*\\]//'
    ip -o link show
    cat /proc/net/ip_tables_names /proc/net/ip6_tables_names
    cat /proc/modules 2> /dev/null | cut -d ' ' -f 1 | sort
    find /sys/fs/cgroup -type d | sort
";

#[test]
fn check_leaves_no_trace() {
    let outer = Outer::start("28.5.2", &[], &["sleep", "1000"]);
    let before = outer.script(STATE);
    outer.script("for i in $(seq 100); do dindcheck check -q > /dev/null; done");
    // What is asked only where something is configured.
    outer.exec(&["sh", "-c", "DOCKER_API_VERSION=1.40 dindcheck check -q -- -D --mtu 1400"]).expect_status(0);
    outer.exec(&["dindcheck", "facts"]).expect_status(0);
    outer.exec(&["dindcheck", "fix", "--dry-run"]).expect_status(0);
    let after = outer.script(STATE);
    if before != after {
        let new: Vec<&str> = after.lines().filter(|line| !before.lines().any(|old| old == *line)).collect();
        let gone: Vec<&str> = before.lines().filter(|line| !after.lines().any(|new| new == *line)).collect();
        panic!("new: {new:#?}\ngone: {gone:#?}");
    }
}

#[test]
fn facts_judge_elsewhere_what_check_judges_here() {
    let outer = Outer::start("28.5.2", &["--no-cgroup-mounts"], &["sleep", "1000"]);
    let script = "dindcheck facts > /tmp/facts; dindcheck check --format json --facts /tmp/facts > /tmp/there
        dindcheck check --format json > /tmp/here; cmp /tmp/here /tmp/there && echo same";
    assert_eq!(outer.exec(&["sh", "-c", script]).expect_status(0).stdout, "same\n");
}
