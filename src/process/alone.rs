//! Tests in a process of their own, for what all threads of a process share: its environment, its children, its streams.
//! Such a test starts itself in a child, and its body runs there.

use std::io::Read as _;
use std::process::{Command, ExitStatus, Stdio, exit};
use std::time::{Duration, Instant};

use super::Sleeper;
use super::output::wait_until;

/// How long one may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The variable that has the test's name in its child.
const MARK: &str = "TEST_ALONE";

/// The exit status of a child whose body has passed. libtest has 101 for a test that fails, and 0 if there is no test.
const PASSED: i32 = 42;

/// The command that starts the calling test in a child; in that child, runs the body and ends the process. The test's
/// name is taken from the type of the body, a closure in the test: with a wrong one, the child finds no test and fails.
#[must_use = "the body runs in the child alone"]
#[expect(clippy::exit, reason = "what the test does next is for the parent")]
pub(crate) fn command<F: FnOnce()>(body: F) -> Command {
    let closure = std::any::type_name::<F>();
    let test = closure.trim_end_matches("::{{closure}}").split_once("::").unwrap().1;
    if std::env::var_os(MARK).is_some_and(|mark| mark == test) {
        body();
        exit(PASSED);
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]).env(MARK, test).stdin(Stdio::null());
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

/// Runs it, and fails unless its body has passed.
pub(crate) fn passes(command: &mut Command) {
    let (status, text) = run(command);
    assert_eq!(status.code(), Some(PASSED), "{status}: {text}");
}
