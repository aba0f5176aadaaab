//! Driving `scripts/lab vm`.

use std::process::Command;

use crate::matrix::Row;
use crate::report::{Report, part};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lab");

/// What one host did, in the order of [`THREE_RUNS`].
pub(crate) struct Runs {
    /// What the daemon alone did: `works`, or the end of what was reported.
    pub(crate) plain: String,
    /// The report of `dindcheck check`.
    pub(crate) check: Report,
    /// The report of the main job with `--fix`.
    pub(crate) fixed: Report,
    /// The exit status of that.
    pub(crate) status: i32,
    /// What of the host is another than before: processes in other cgroups, controllers that are handed down.
    pub(crate) moved: String,
    /// All that was written, for a failed assertion.
    pub(crate) all: String,
}

/// In one container after the other: the daemon alone, a look, and the main job with `--fix`; where there is a first
/// process, all in one beside it. Processes that come and go with a container are no part of the host.
const THREE_RUNS: &str = r#"
host() {
    ps --ppid 2 -p 2 -N -o comm=,cgroup= | grep -vE '^(ps|grep|sort|conmon|podman|containerd-shim)' | sort -u
    find /sys/fs/cgroup -maxdepth 2 -name cgroup.subtree_control | sort | xargs grep -H .
}
host > /run/before
inside() { outer "$@"; }
if [[ $FIRST ]]; then
    outer $FIRST > /run/first 2>&1 &
    inside() { docker exec outer "$@"; }
    until [[ $(inside systemctl is-active basic.target 2>&1) == active ]]; do sleep 0.5; done
fi
echo "=== plain"
inside sh -c "$PROLOGUE"'
    dockerd > /tmp/log 2>&1 &
    until docker version > /tmp/version 2>&1; do kill -0 $! 2> /tmp/gone || break; sleep 0.5; done
    tar -C / -c bin/busybox | docker import - busybox > /tmp/import 2>&1 || { tail -n 3 /tmp/log; exit; }
    docker run --rm -m 64m busybox /bin/busybox echo works 2>&1
    kill $!
    wait $!'
echo "=== check"
inside sh -c "$PROLOGUE exec dindcheck check --format json"
echo "=== fixed"
inside sh -c "$PROLOGUE exec dindcheck --fix $FLAGS --exit --format json"
echo "=== status $?"
[[ ! $FIRST ]] || { docker kill outer > /run/killed; wait; }
host > /run/after
echo "=== moved"
diff /run/before /run/after
"#;

/// A script on the host that the options of `scripts/lab vm` make: its output, and that with its errors.
pub(crate) fn on_host(options: &[&str], command: &[&str]) -> (String, String) {
    let head = ["vm", "--host", "--deadline", "1500", "--dindcheck", crate::binary::path()];
    let output = Command::new(SCRIPT)
        .args([&head, options, &["--"], command].concat())
        .output()
        .expect("scripts/lab can be run");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let all = format!("{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    (stdout, all)
}

/// The three runs on a row's host.
pub(crate) fn three_runs(row: &Row) -> Runs {
    let variables = [("PROLOGUE", row.prologue), ("FIRST", row.first), ("FLAGS", row.flags)];
    let variables = variables.map(|(name, value)| format!("{name}={value}"));
    let words = variables.each_ref().map(String::as_str);
    let (stdout, all) = on_host(row.options, &[&["env"], &words[..], &["bash", "-c", THREE_RUNS]].concat());
    let part = |name: &str| part(&stdout, name).unwrap_or_else(|| panic!("no {name}: {all}")).to_owned();
    let report = |name: &str| Report::parse(&part(name)).unwrap_or_else(|error| panic!("no report: {error}\n{all}"));
    Runs {
        plain: part("plain"),
        check: report("check"),
        fixed: report("fixed"),
        status: part("status").parse().expect("a status"),
        moved: part("moved"),
        all,
    }
}
