//! Running the binary as a user would, and reading what came.

use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

/// The binary, with nothing in its environment but a PATH.
pub(crate) fn dindcheck() -> Command {
    let mut command = Command::new(crate::binary::path());
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// A captured machine of tests/hosts.
pub(crate) fn host(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts").join(name);
    assert!(path.join("proc").is_dir(), "there is no captured machine {name}");
    path
}

/// Exit status and both streams, as one text for a snapshot.
pub(crate) fn all(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let status = output.status.code().map_or_else(|| "a signal".to_owned(), |code| code.to_string());
    format!("exit status {status}\n--- stdout\n{}--- stderr\n{}", text(&output.stdout), text(&output.stderr))
}
