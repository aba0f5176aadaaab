//! `diagnose --follow`: a log that grows.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

const HEALTHY: &str = "time=\"2026-01-02T03:04:05Z\" level=info msg=\"Starting up\"\n";
const SYMPTOM: &str =
    "failed to start daemon: Error initializing network controller: error obtaining controller instance\n";
const CAUSE: &str =
    "time=\"2026-01-02T03:04:06Z\" level=fatal msg=\"failed to start daemon: process with PID 30 is still running\"\n";

/// It ends with the test, however that ends.
struct Follower(Child);

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn follow(log: &Path) -> Follower {
    // One that never ends fails the test instead of holding it.
    let mut command = Command::new("timeout");
    command
        .args(["60", crate::binary::path(), "diagnose", "--follow", "--format", "json"])
        .arg(log)
        .stdout(Stdio::piped());
    Follower(command.stdin(Stdio::piped()).spawn().unwrap())
}

fn first_error(line: &str) -> (u64, String) {
    let answer: Value = serde_json::from_str(line).unwrap();
    let first = &answer["first_error"];
    (first["line"].as_u64().unwrap(), first["diagnosis"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn each_new_first_error_is_reported_until_the_log_is_moved_or_removed() {
    type End = fn(&Path);
    let ends: [End; 2] = [|log| fs::rename(log, log.with_extension("1")).unwrap(), |log| fs::remove_file(log).unwrap()];
    for end in ends {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("daemon.log");
        let mut writer = File::create(&log).unwrap();
        write!(writer, "{HEALTHY}").unwrap();
        let mut child = follow(&log);
        let mut told = BufReader::new(child.0.stdout.take().unwrap()).lines();
        write!(writer, "{SYMPTOM}").unwrap();
        assert_eq!(first_error(&told.next().unwrap().unwrap()).0, 2);
        write!(writer, "{CAUSE}").unwrap();
        assert_eq!(first_error(&told.next().unwrap().unwrap()), (3, "stale-docker-pid".to_owned()));
        end(&log);
        assert_eq!(child.0.wait().unwrap().code(), Some(0));
        assert!(told.next().is_none(), "nothing is told twice");
    }
}

#[test]
fn the_end_of_a_pipe_is_the_end_of_the_log() {
    let mut child = follow(Path::new("-"));
    let mut writer = child.0.stdin.take().unwrap();
    let mut told = BufReader::new(child.0.stdout.take().unwrap()).lines();
    write!(writer, "{HEALTHY}{CAUSE}").unwrap();
    assert_eq!(first_error(&told.next().unwrap().unwrap()), (2, "stale-docker-pid".to_owned()));
    drop(writer);
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}
