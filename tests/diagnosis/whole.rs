//! All that is told of a log, and not the first cause alone: snapshots, and which of two lines counts.

use std::fmt::Write as _;

use dindcheck::diagnosis::{Diagnosis, Named, Options, diagnose};

use crate::recorded::logs;
use crate::{diagnosed, synthetic};

/// An answer in few lines: the first error, all named causes with their lines and weights, what is around the engine.
fn told(answer: &Diagnosis) -> String {
    let mut told = String::new();
    if let Some(first) = &answer.first_error {
        let text: String = first.text.line().chars().take(60).collect();
        let cause = first.diagnosis.as_deref().unwrap_or("unknown");
        let _ = writeln!(told, "  {}: {cause}, -{} +{}: {text}", first.line, first.before.len(), first.after.len());
        if first.component.is_some() || !first.checks.is_empty() {
            let _ = writeln!(told, "  by {:?}; checks: {}", first.component, first.checks.join(", "));
        }
        if let Some(candidates) = &first.candidates {
            let _ = writeln!(told, "  between {}: {}", candidates.between.join(", "), candidates.tell_apart);
        }
    }
    for named in &answer.diagnoses {
        let _ = writeln!(told, "  {} {:?} {}", named.line, named.weight, named.id);
    }
    let places: Vec<&str> = answer.places.iter().map(|place| place.id.as_str()).collect();
    if !places.is_empty() || answer.engine.is_some() {
        let _ = writeln!(
            told,
            "  places: {}; engine: {}",
            places.join(", "),
            answer.engine.as_deref().unwrap_or("unknown")
        );
    }
    told
}

#[test]
fn all_that_is_told_of_each_log() {
    let mut all = String::new();
    for log in logs() {
        let name = log.path.file_name().unwrap().to_str().unwrap();
        let _ = write!(all, "{}/{name}\n{}", log.cause, told(&diagnosed(&log.bytes)));
    }
    for (cause, log) in synthetic() {
        let _ = write!(all, "{cause}\n{}", told(&diagnosed(log.as_bytes())));
    }
    insta::assert_snapshot!("diagnosis", all);
}

/// What failed in the container, by our own report in the log or as told, comes first of what could tell more.
#[test]
fn of_the_checks_that_could_tell_more_those_that_failed_come_first() {
    let unknown = "level=fatal msg=\"runc: the frobnicator is lost\"\n";
    let row = " FAIL  engine.pairing  x\n";
    let as_json = "{\"module\":\"dindcheck\",\"msg\":\" FAIL  cgroup.writable  x\"}\n";
    let checks = |log: &str, failed: &[&str]| {
        let failed = failed.iter().map(|id| (*id).to_owned()).collect();
        let answer = diagnose(log.as_bytes(), Options { failed, ..Options::default() }).unwrap();
        answer.first_error.map(|error| error.checks.join(" ")).unwrap_or_default()
    };
    let (pairing, writable) = ("engine.pairing", "cgroup.writable");
    let (before, between) = ("privileges.operations cgroup.delegation", "privileges.seccomp");
    assert_eq!(checks(unknown, &[]), format!("{before} {writable} {between} {pairing}"));
    assert_eq!(checks(unknown, &[pairing]), format!("{pairing} {before} {writable} {between}"));
    assert_eq!(checks(&format!("{row}{unknown}"), &[]), format!("{pairing} {before} {writable} {between}"));
    assert_eq!(checks(&format!("{as_json}{unknown}"), &[]), format!("{writable} {before} {between} {pairing}"));
    assert_eq!(checks(&format!("{as_json}{unknown}"), &[pairing]), format!("{writable} {pairing} {before} {between}"));
}

/// A cause that our own report in the log names is named once, whether the daemon's own line tells it too or not.
#[test]
fn a_cause_that_our_own_report_names_is_told_once() {
    let report = " FAIL  launch              the inner daemon did not start\n                           why     Cgroups are not mounted [cgroup-not-mounted]: it is so\n";
    let line = "level=fatal msg=\"failed to start daemon: Devices cgroup isn't mounted\"\n";
    let other = "level=fatal msg=\"no space left on device\"\n";
    let named = |log: &str| {
        let answer = diagnosed(log.as_bytes());
        let named = answer.diagnoses.iter().map(|named| format!("{} {}", named.line, named.id)).collect::<Vec<_>>();
        (answer.first_error.and_then(|first| first.diagnosis), named.join(", "))
    };
    let cause = Some("cgroup-not-mounted".to_owned());
    assert_eq!(named(report), (cause.clone(), "1 cgroup-not-mounted".to_owned()));
    assert_eq!(named(&format!("{line}{report}")), (cause.clone(), "1 cgroup-not-mounted".to_owned()));
    assert_eq!(named(&format!("{report}{line}")), (cause, "3 cgroup-not-mounted".to_owned()));
    let (first, all) = named(&format!("{other}{report}"));
    assert_eq!((first.as_deref(), all.as_str()), (Some("no-space-left"), "1 no-space-left, 2 cgroup-not-mounted"));
    // What hangs under another program's line is not ours, whatever stands above that.
    let (row, why) = report.split_once('\n').unwrap();
    assert_eq!(named(&format!("{row}\nstarting\n{why}")).1, "");
    let deep = "      failed to start daemon: Devices cgroup isn't mounted\n";
    assert_eq!(named(&format!("{row}\n{deep}")).1, "");
    assert_eq!(named(&format!("{row}\nstarting\n{deep}")).1, "3 cgroup-not-mounted");
}

/// Where one of the checks between which a line does not decide failed, it is that one, and is told once.
#[test]
fn a_failed_check_decides_between_the_causes_of_a_line() {
    let open = "RuntimeError: can't start new thread\n";
    let other = "level=fatal msg=\"no space left on device\"\n";
    let own = "fork/exec /usr/bin/runc: resource temporarily unavailable\n";
    let told = |log: &str, failed: &[&str]| {
        let failed = failed.iter().map(|id| (*id).to_owned()).collect();
        let answer = diagnose(log.as_bytes(), Options { failed, ..Options::default() }).unwrap();
        let named = |named: &Named| format!("{} {} {}", named.line, named.weight.as_str(), named.id);
        answer.diagnoses.iter().map(named).collect::<Vec<_>>().join(", ")
    };
    let (tasks, seccomp) = ("limits.tasks", "privileges.seccomp");
    assert_eq!(told(open, &[]), "");
    assert_eq!(told(open, &[tasks]), "1 likely pids-limit");
    assert_eq!(told(open, &[seccomp]), "1 likely seccomp-syscall-eperm");
    assert_eq!(told(open, &[tasks, seccomp]), "", "both may be");
    assert_eq!(told(&format!("{other}{open}"), &[tasks]), "1 cause no-space-left, 2 likely pids-limit");
    assert_eq!(told(&format!("{own}{open}"), &[tasks]), "1 cause pids-limit");
}

/// A line of each kind that a log can have, from what says most to what says least.
const KINDS: [(&str, &str); 12] = [
    ("a cause", "level=fatal msg=\"failed to start daemon: Devices cgroup isn't mounted\""),
    ("an unknown end", "level=fatal msg=\"the frobnicator is lost\""),
    ("an unknown start", "failed to start daemon: the frobnicator is lost"),
    ("a hint", "level=warning msg=\"Your kernel does not support swap memory limit\""),
    ("an unknown answer", "docker: Error response from daemon: the frobnicator is lost."),
    ("a symptom", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"),
    ("an unknown error", "level=error msg=\"the frobnicator is lost\""),
    ("what looks like an error", "frobnicate: error: it is lost"),
    ("a script's", "/build.sh: line 7: FROB: unbound variable"),
    ("a job's end", "make: *** [Makefile:3: all] Error 2"),
    ("a warning", "level=warning msg=\"the frobnicator is late\""),
    ("nothing", "level=info msg=\"the frobnicator is here\""),
];

#[test]
fn which_of_two_lines_is_the_first_error() {
    let mut table = String::new();
    for (first, one) in KINDS {
        for (second, other) in KINDS {
            let answer = diagnosed(format!("{one}\n{other}\n").as_bytes());
            let chosen =
                answer.first_error.as_ref().map(|error| (error.line, error.diagnosis.as_deref().unwrap_or("unknown")));
            let _ = writeln!(table, "{first}, {second}: {chosen:?}");
        }
    }
    insta::assert_snapshot!("first-error", table);
}
