//! Tests in a process of their own, for what all threads of a process share: its environment, its children, its streams.
//! Such a test is marked to be ignored, and another one starts it by its name.

use std::io::Read as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::Sleeper;
use super::output::wait_until;

/// How long one may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command that runs the test of this name, with its module.
pub(crate) fn command(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", test]).stdin(Stdio::null());
    command
}

/// Runs it to its end: its status, and what it has written to standard output.
pub(crate) fn run(command: &mut Command) -> (ExitStatus, String) {
    let mut child = Sleeper(command.stdout(Stdio::piped()).spawn().unwrap());
    let status = wait_until(&mut child.0, None, Instant::now() + PATIENCE).unwrap();
    let mut text = String::new();
    if status.is_some() {
        child.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    }
    (status.expect("it does not end"), text)
}

/// Runs it, and fails where it fails.
pub(crate) fn passes(command: &mut Command) {
    let (status, text) = run(command);
    assert!(status.success() && text.contains("test result: ok. 1 passed;"), "{status}: {text}");
}
