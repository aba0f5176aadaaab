//! Driving `scripts/lab` and reading reports.

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lab");

/// Runs `scripts/lab` with the engine up.
pub(crate) fn lab(args: &[&str]) -> Output {
    address();
    Command::new(SCRIPT).args(args).output().expect("scripts/lab can be run")
}

/// Where the outer engine is, which is up then: a value for DOCKER_HOST.
pub(crate) fn address() -> &'static str {
    static UP: OnceLock<String> = OnceLock::new();
    UP.get_or_init(|| up(&[]))
}

/// Where the outer engine of a version is.
pub(crate) fn address_of(outer: &str) -> String {
    up(&["--outer", outer])
}

fn up(args: &[&str]) -> String {
    let up = Command::new(SCRIPT).arg("up").args(args).output().expect("scripts/lab can be run");
    assert!(up.status.success(), "scripts/lab up failed:\n{}", text(&up.stderr));
    let said = text(&up.stdout);
    said.lines().find_map(|line| line.strip_prefix("DOCKER_HOST=")).expect("it says where").to_owned()
}

/// A directory that has the same path in a lab host, so that it can be mounted into containers.
pub(crate) fn share() -> PathBuf {
    address();
    let lab = std::env::var_os("LAB_DIR").map(PathBuf::from).unwrap_or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        cache.unwrap_or_else(|| std::env::home_dir().expect("a home").join(".cache")).join("dindcheck-lab")
    });
    lab.join("share")
}

/// Runs the docker client against the outer engine; it has to succeed.
pub(crate) fn docker(args: &[&str]) -> String {
    let output = lab(&[&["docker", "--"], args].concat());
    assert!(output.status.success(), "docker {}:\n{}", args.join(" "), text(&output.stderr));
    text(&output.stdout)
}

/// What a run in an outer container gave.
pub(crate) struct Run {
    /// Its exit status.
    pub(crate) status: i32,
    /// What it wrote to standard output.
    pub(crate) stdout: String,
    /// What it wrote to standard error.
    pub(crate) stderr: String,
}

impl Run {
    /// The JSON report on standard output.
    pub(crate) fn report(&self) -> Report {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => Report(value),
            Err(error) => panic!("no report: {error}\n{self}"),
        }
    }

    /// Asserts the exit status, with all that was written when it is another one.
    pub(crate) fn expect_status(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }
}

impl fmt::Display for Run {
    /// What a reader of a test's failure needs, the telling first: a log of CI is cut after its first lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report: Value = serde_json::from_str(&self.stdout).unwrap_or_default();
        let told = [&report["findings"], &report["verification"]["scenarios"]].into_iter().filter_map(Value::as_array);
        for one in told.flatten().filter(|one| one["outcome"] != "pass" && one["outcome"] != "not-applicable") {
            writeln!(f, "{}: {} ({}): {}", one["id"], one["outcome"], one["severity"], one["summary"])?;
        }
        write!(f, "status: {}\nstderr: {}\nstdout: {}", self.status, self.stderr, self.stdout)
    }
}

/// A JSON report.
pub(crate) struct Report(pub(crate) Value);

impl Report {
    /// The finding of a check.
    pub(crate) fn finding(&self, id: &str) -> &Value {
        let findings = self.0["findings"].as_array().expect("findings");
        findings.iter().find(|finding| finding["id"] == id).unwrap_or_else(|| panic!("no finding {id}"))
    }

    /// Asserts a finding's outcome; gives its summary.
    pub(crate) fn expect(&self, id: &str, outcome: &str) -> String {
        let finding = self.finding(id);
        assert_eq!(finding["outcome"], outcome, "{finding:#}");
        finding["summary"].as_str().expect("a summary").to_owned()
    }

    /// Asserts that a check failed and blocks; gives its summary.
    pub(crate) fn expect_blocking(&self, id: &str) -> String {
        assert_eq!(self.finding(id)["severity"], "blocking", "{:#}", self.finding(id));
        self.expect(id, "fail")
    }

    /// The ids of the checks that were mended, in order.
    pub(crate) fn mended(&self) -> Vec<&str> {
        let fixes = self.0["fixes"].as_array().expect("fixes");
        fixes.iter().filter(|fix| fix["result"] == "done").filter_map(|fix| fix["fix"]["check"].as_str()).collect()
    }

    /// All that verification looked at.
    pub(crate) fn scenarios(&self) -> &[Value] {
        self.0["verification"]["scenarios"].as_array().expect("scenarios")
    }

    /// One scenario.
    pub(crate) fn scenario(&self, id: &str) -> &Value {
        self.scenarios().iter().find(|scenario| scenario["id"] == id).unwrap_or_else(|| panic!("no scenario {id}"))
    }

    /// Asserts a scenario's outcome; gives its summary.
    pub(crate) fn expect_scenario(&self, id: &str, outcome: &str) -> String {
        let scenario = self.scenario(id);
        assert_eq!(scenario["outcome"], outcome, "{scenario:#}");
        scenario["summary"].as_str().expect("a summary").to_owned()
    }

    /// Asserts that the test containers ran as they should: nothing that is required failed.
    pub(crate) fn expect_verified(&self) {
        self.expect_scenario("run", "pass");
        self.expect_scenario("leftovers", "pass");
        for scenario in self.scenarios() {
            assert!(scenario["outcome"] != "fail" || scenario["severity"] != "blocking", "{scenario:#}");
        }
    }
}

/// Runs a command in an outer container that is gone afterwards; `options` are of `lab run`.
pub(crate) fn run(inner: &str, options: &[&str], command: &[&str]) -> Run {
    let head = ["run", "--inner", inner, "--dindcheck", crate::binary::path()];
    let output = lab(&[&head, options, &["--"], command].concat());
    let status = output.status.code().expect("an exit status");
    Run { status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// Runs a shell script in an outer container.
pub(crate) fn run_script(inner: &str, options: &[&str], script: &str) -> Run {
    run(inner, options, &["sh", "-c", script])
}

/// Makes a fault and looks at it with one check alone; gives the report.
pub(crate) fn look(options: &[&str], fault: &str, id: &str) -> Report {
    let script = format!("{fault}\nexec dindcheck check --only {id} --format json");
    let run = run_script("28.5.2", options, &script);
    assert!([0, 1].contains(&run.status), "{run}");
    run.report()
}

/// What becomes of the plain daemon with these arguments, without dindcheck, where a shell script has made a fault: the
/// oracle of every prediction, in the words of a report's `foretold`. And what it and its client wrote.
pub(crate) fn plain(inner: &str, options: &[&str], fault: &str, args: &str) -> (String, String) {
    let fate = include_str!("../../scripts/lab-fate");
    let run = run_script(inner, options, &format!("set -- {args}\n{fault}\n{fate}"));
    // Where the container was killed for its memory, all that was in it was.
    let fate = if run.status == 137 { "dies" } else { run.stdout.lines().last().unwrap_or_default() };
    let known = ["dies", "every-container-fails", "falls-back", "works"];
    assert!(known.contains(&fate), "no fate: {} {}{}", run.status, run.stdout, run.stderr);
    (fate.to_owned(), run.stderr)
}

/// Red, fix, green, the same fix changes nothing more, undo, all as before, red; then the main job mends it, an inner
/// container runs, and undo brings the fault back; then the lines of a dry run are pasted, and do what the fix does.
/// Which loop device is free is the whole machine's matter. Gives the finding before.
pub(crate) fn mends(options: &[&str], fault: &str, id: &str) -> Value {
    mends_with(options, fault, id, "")
}

/// The same with arguments for the daemon.
pub(crate) fn mends_with(options: &[&str], fault: &str, id: &str, args: &str) -> Value {
    let script = format!(
        "
        found() {{ dindcheck check --only {id} --format json -- {args} > /tmp/found || true; grep -q '\"outcome\": \"'$1'\"' /tmp/found; }}
        same() {{ state > /tmp/now; diff $1 /tmp/now >&2; }}
        state() {{
            sed 's/^[0-9]* [0-9]* [0-9]*:[0-9]* //; s/\\(shared\\|master\\):[0-9]*/\\1/; s|/dev/loop[0-9]*|/dev/loop|' /proc/self/mountinfo | sort
            find / /var/lib/docker -xdev ! -path '/proc/*' ! -path '/sys/*' ! -path '/tmp/*' ! -path /run/dindcheck \\
                ! -path '/run/dindcheck/*' ! -path '/run/mount*' -printf '%p %y %m %l\\n' | sort
            find /run -type f -name '*.pid' -exec grep -H . {{}} +
            find /sys/fs/cgroup -type d | sort
            sysctl -a 2> /dev/null | grep -E '^net.ipv[46].(conf|ip_forward)'
            iptables-save 2>&1 | grep -v '^#' | sed 's/\\[[0-9:]*\\]//'
            # Without the carrier: the kernel looks later whether a bridge still has a port that is up.
            ip -o link show | sed 's/NO-CARRIER,//; s/,LOWER_UP//; s/ state [A-Z]*//'
        }}
        set -e
        {fault}
        state > /tmp/before
        found fail
        cp /tmp/found /tmp/red
        dindcheck fix --only {id} -q -- {args} >&2
        found pass
        state > /tmp/mended
        dindcheck fix --only {id} -q -- {args} >&2
        same /tmp/mended
        dindcheck undo >&2
        same /tmp/before
        found fail
        dindcheck --fix --exit --format json --only {id} -- {args} > /tmp/works || {{ cat /tmp/works >&2; exit 9; }}
        dindcheck undo >&2
        test ! -e /run/dindcheck/journal
        found fail
        dindcheck fix --only {id} --dry-run -- {args} > /tmp/plan
        state > /tmp/before
        dindcheck fix --only {id} -q -- {args} >&2
        state > /tmp/mended
        dindcheck undo >&2
        same /tmp/before
        set -- {args}
        . /tmp/plan
        same /tmp/mended
        dindcheck check --only {id} --format json -- \"$@\" > /tmp/found || true
        grep -q '\"outcome\": \"pass\"' /tmp/found || {{ cat /tmp/plan /tmp/found >&2; exit 8; }}
        cat /tmp/red /tmp/works"
    );
    let run = run_script("28.5.2", options, &script).expect_status(0);
    let mut reports = serde_json::Deserializer::from_str(&run.stdout).into_iter().map(|value| match value {
        Ok(value) => Report(value),
        Err(error) => panic!("no report: {error}"),
    });
    let (Some(red), Some(works)) = (reports.next(), reports.next()) else { panic!("two reports: {}", run.stdout) };
    assert_eq!(works.mended(), [id]);
    works.expect(id, "pass");
    works.expect_verified();
    red.finding(id).clone()
}

/// An outer container that goes on until the test ends.
pub(crate) struct Outer {
    name: String,
}

impl Outer {
    /// Starts a command in one.
    pub(crate) fn start(inner: &str, options: &[&str], command: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("nested-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let detached = ["--name", &name, "--keep", "--docker-arg", "-d"];
        run(inner, &[&detached, options].concat(), command).expect_status(0);
        Self { name }
    }

    /// Runs a command in it.
    pub(crate) fn exec(&self, command: &[&str]) -> Run {
        let output = lab(&[&["docker", "--", "exec", &self.name], command].concat());
        let status = output.status.code().expect("an exit status");
        Run { status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Runs a shell script in it, which has to succeed.
    pub(crate) fn script(&self, script: &str) -> String {
        self.exec(&["sh", "-ec", script]).expect_status(0).stdout
    }

    /// Its name in the outer engine.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Waits until a line with this text is in its log.
    pub(crate) fn wait_for_log(&self, wanted: &str) {
        self.wait_for_logs(wanted, 1);
    }

    /// Waits until this text is in its log so many times.
    pub(crate) fn wait_for_logs(&self, wanted: &str, times: usize) {
        for _ in 0..1200 {
            if self.log().matches(wanted).count() >= times {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let log = self.log();
        let end: Vec<&str> = log.lines().rev().take(60).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        panic!("`{wanted}` came {} of {times} times; the log ends:\n{}", log.matches(wanted).count(), end.join("\n"));
    }

    /// Everything that it wrote so far.
    pub(crate) fn log(&self) -> String {
        let output = lab(&["docker", "--", "logs", &self.name]);
        text(&output.stdout) + &text(&output.stderr)
    }

    /// A text file of it, whether it still runs or not.
    pub(crate) fn copy_out(&self, path: &str) -> String {
        let directory = tempfile::tempdir().expect("a directory");
        let copy = directory.path().join("copy");
        docker(&["cp", &format!("{}:{path}", self.name), &copy.display().to_string()]);
        std::fs::read_to_string(copy).expect("a text")
    }

    /// Stops it as the outer engine does, with its usual 10 s; gives the exit status, which is 137 once those are over.
    /// That is the judge of what ends in time: a clock around it measures the client's own start as well.
    pub(crate) fn stop(&self) -> i64 {
        docker(&["stop", &self.name]);
        self.exit_status()
    }

    /// Whether the outer engine has sent it SIGKILL so far, as it does once its patience with a stop is over: for what ends
    /// with 137 anyway.
    pub(crate) fn was_killed(&self) -> bool {
        let signal = "{{.Actor.Attributes.signal}}";
        let filter = format!("container={}", self.name);
        // Up to now: it ends by itself.
        let sent = docker(&[
            "events",
            "--since",
            "1h",
            "--until",
            "0s",
            "--filter",
            &filter,
            "--filter",
            "event=kill",
            "--format",
            signal,
        ]);
        let mut sent = sent.split_whitespace().peekable();
        assert!(sent.peek().is_some(), "the engine tells of no signal at all");
        sent.any(|signal| signal == "9")
    }

    /// Starts it again.
    pub(crate) fn restart(&self) {
        docker(&["start", &self.name]);
    }

    /// Sends a signal to its first process.
    pub(crate) fn kill(&self, signal: &str) {
        docker(&["kill", "--signal", signal, &self.name]);
    }

    /// Waits for its end; gives the exit status.
    pub(crate) fn wait(&self) -> i64 {
        docker(&["wait", &self.name]).trim().parse().expect("a status")
    }

    fn exit_status(&self) -> i64 {
        docker(&["inspect", "-f", "{{.State.ExitCode}}", &self.name]).trim().parse().expect("a status")
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        lab(&["docker", "--", "rm", "-fv", &self.name]);
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
