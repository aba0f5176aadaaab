//! Driving `scripts/lab vm`.

use std::process::Command;

use serde_json::Value;

use crate::matrix::Row;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lab");

/// What one host did, in the order of [`THREE_RUNS`].
pub(crate) struct Runs {
    /// What the daemon alone did: `works`, or the end of what was said.
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

/// What follows a line `=== NAME`, up to the next of that kind.
pub(crate) fn part<'s>(stdout: &'s str, name: &str) -> Option<&'s str> {
    let (_, rest) = stdout.split_once(&format!("=== {name}"))?;
    rest.split("=== ").next().map(str::trim)
}

/// A JSON report.
pub(crate) struct Report(pub(crate) Value);

impl Report {
    pub(crate) fn parse(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text).map(Self)
    }

    /// The checks that found something which blocks or is a warning, or could not tell, in their order.
    pub(crate) fn found(&self) -> Vec<&str> {
        let findings = self.0["findings"].as_array().expect("findings").iter();
        findings
            .filter(|finding| ["fail", "unknown"].iter().any(|outcome| finding["outcome"] == *outcome))
            .filter(|finding| finding["severity"] != "info")
            .filter_map(|finding| finding["id"].as_str())
            .collect()
    }

    /// The whole finding of a check, as text.
    pub(crate) fn finding(&self, id: &str) -> String {
        let findings = self.0["findings"].as_array().expect("findings");
        findings.iter().find(|finding| finding["id"] == id).map(Value::to_string).unwrap_or_default()
    }

    /// The outcome of a claim of the proof; `None` if it was not proved.
    pub(crate) fn claim(&self, id: &str) -> Option<&str> {
        let claims = self.0["verification"]["scenarios"].as_array()?;
        claims.iter().find(|claim| claim["id"] == id)?["outcome"].as_str()
    }

    /// The checks that were mended, in order, mends of comfort left out.
    pub(crate) fn mended(&self) -> Vec<&str> {
        let fixes = self.0["fixes"].as_array().expect("fixes").iter();
        fixes
            .filter(|fix| fix["result"] == "done")
            .filter_map(|fix| fix["fix"]["check"].as_str())
            .filter(|check| *check != "mounts.propagation")
            .collect()
    }
}
