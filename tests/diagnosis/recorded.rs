//! Logs that real engines wrote in the lab when they were made to fail (scripts/record-logs).

use std::fs;
use std::path::{Path, PathBuf};

use dindcheck::diagnosis::{Options, Scanner};

use crate::{diagnosed, first};

/// A recorded log.
pub(crate) struct Log {
    pub(crate) cause: String,
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

/// All of `tests/logs`; the folder is the cause, or `healthy`.
pub(crate) fn logs() -> Vec<Log> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logs");
    let mut logs = Vec::new();
    for folder in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let cause = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let bytes = fs::read(&path).unwrap();
            logs.push(Log { cause: cause.clone(), path, bytes });
        }
    }
    logs.sort_by(|a, b| a.path.cmp(&b.path));
    logs
}

/// The expected line of each log, by `cause/name`.
fn expected(log: &Log) -> u64 {
    let name = format!("{}/{}", log.cause, log.path.file_name().unwrap().to_str().unwrap());
    include_str!("../logs/expected.tsv")
        .lines()
        .find_map(|line| line.split_once('\t').filter(|(path, _)| *path == name))
        .unwrap_or_else(|| panic!("{name} is not in expected.tsv"))
        .1
        .parse()
        .unwrap()
}

#[test]
fn recorded_failures_are_named_at_their_line() {
    let mut wrong = Vec::new();
    for log in logs().iter().filter(|log| log.cause != "healthy") {
        let answer = diagnosed(&log.bytes);
        let wanted = (Some(log.cause.as_str()), Some(expected(log)));
        if first(&answer) != wanted {
            wrong.push(format!("{}: {:?} instead of {wanted:?}", log.path.display(), first(&answer)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn healthy_logs_name_no_cause() {
    for log in logs().iter().filter(|log| log.cause == "healthy") {
        let answer = diagnosed(&log.bytes);
        assert_eq!(answer.diagnoses, [], "{}", log.path.display());
    }
}

/// However a log arrives, it says the same.
#[test]
fn pieces_of_any_size_say_the_same() {
    for log in logs() {
        let whole = diagnosed(&log.bytes);
        for size in [1, 7, 100, 5000] {
            if size < 100 && log.bytes.len() > 20_000 {
                continue;
            }
            let mut scanner = Scanner::new(Options::default()).unwrap();
            for piece in log.bytes.chunks(size) {
                scanner.feed(piece);
            }
            assert_eq!(scanner.so_far(), whole, "{} in pieces of {size}", log.path.display());
            assert_eq!(scanner.finish(), whole, "{} in pieces of {size}", log.path.display());
        }
    }
}
