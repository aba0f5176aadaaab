//! A message leads to its cause whatever wrote it down.

use serde_json::json;

use crate::{diagnosed, first, synthetic};

type Shape = (&'static str, fn(&str) -> String);

/// What is put around whole lines of any kind.
const PREFIXES: &[Shape] = &[
    ("plain", str::to_owned),
    ("windows", |line| format!("{line}\r")),
    ("journal", |line| format!("Mar 04 05:06:07 host dockerd[812]: {line}")),
    ("journal-without-host", |line| format!("Mar 04 05:06:07 dockerd[812]: {line}")),
    ("kubernetes", |line| format!("2024-03-04T05:06:07.123456789Z stderr F {line}")),
    ("github", |line| format!("2024-03-04T05:06:07.1234567Z {line}")),
    ("gitlab", |line| format!("2024-03-04T05:06:07.123456Z 01E {line}")),
    ("jenkins", |line| format!("[2024-03-04T05:06:07.123Z] {line}")),
    ("compose", |line| format!("\u{1b}[36mdocker_1  |\u{1b}[0m {line}")),
    ("earthly", |line| format!("        +test-docker | {line}")),
    ("coloured", |line| format!("\u{1b}[31m{line}\u{1b}[0m")),
    ("json-file", |line| {
        json!({"log": format!("{line}\n"), "stream": "stderr", "time": "2024-03-04T05:06:07Z"}).to_string()
    }),
    ("journal-json", |line| json!({"MESSAGE": line, "PRIORITY": "3", "_COMM": "dockerd"}).to_string()),
    ("raw-stream", |line| format!("\u{2}\0\0\0\0\0\0Z{line}")),
];

/// How loggers write a bare message.
const LOGGERS: &[Shape] = &[
    ("logfmt", |line| format!("time=\"2024-03-04T05:06:07.123456789Z\" level=error msg={}", json!(line))),
    ("terminal", |line| format!("ERRO[0007] {line:<44} ")),
    ("terminal-time", |line| format!("ERRO[2024-03-04T05:06:07.123456789+01:00] {line:<44} ")),
    ("json", |line| json!({"level": "error", "msg": line, "time": "2024-03-04T05:06:07Z"}).to_string()),
    ("error-field", |line| {
        format!("time=\"2024-03-04T05:06:07Z\" level=error msg=\"it failed\" error={}", json!(line))
    }),
    ("fatal", |line| format!("time=\"2024-03-04T05:06:07Z\" level=fatal msg={}", json!(line))),
    ("nested", |line| format!("docker: Error response from daemon: runtime said {}.", json!(line))),
];

fn shaped(log: &str, shape: fn(&str) -> String) -> String {
    log.lines().map(|line| shape(line) + "\n").collect()
}

#[test]
fn every_shape_leads_to_the_cause() {
    let mut wrong = Vec::new();
    for (cause, log) in synthetic() {
        // A line that a logger wrote already is not written by another once more.
        let one = log.lines().count() == 1;
        let bare = !log.contains("level=") && !log.contains("[0") && !log.starts_with("open: ");
        // Several lines that all are fatal are no log.
        let loggers = if bare && one { LOGGERS } else { &[] };
        let twice = |line: &str| PREFIXES[4].1(&LOGGERS[0].1(line));
        let stacked: &[Shape] = if bare { &[("kubernetes-logfmt", twice)] } else { &[] };
        for (name, shape) in PREFIXES.iter().chain(loggers).chain(stacked) {
            let shaped = shaped(&log, *shape);
            let answer = diagnosed(shaped.as_bytes());
            let said = first(&answer).0;
            if said != Some(cause) {
                wrong.push(format!("{cause} as {name}: {said:?} for {shaped}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_log_without_its_last_newline_is_whole() {
    for (cause, log) in synthetic() {
        assert_eq!(first(&diagnosed(log.trim_end().as_bytes())).0, Some(cause), "{log}");
    }
}
