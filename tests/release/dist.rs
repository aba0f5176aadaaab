//! The directory of the artefacts, and running things over it.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// The version they are of.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// dist/ of the checkout.
pub(crate) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dist")
}

/// An artefact.
pub(crate) fn file(name: &str) -> PathBuf {
    let path = directory().join(name);
    assert!(path.is_file(), "no {}; scripts/release makes it", path.display());
    path
}

/// What a program prints; it has to end with status 0.
pub(crate) fn printed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// A script of the checkout.
pub(crate) fn script(name: &str) -> Command {
    Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name))
}

/// What a shell line prints in a fresh root file system, where the artefacts are in /dist.
pub(crate) fn fresh(line: &str) -> String {
    printed(script("fresh-root").arg(directory()).arg(line))
}

/// The sum of a file.
pub(crate) fn sha256(path: &std::path::Path) -> String {
    let line = printed(Command::new("sha256sum").arg(path));
    line.split(' ').next().unwrap_or_default().to_owned()
}

/// Asserts that a report is of this version, in the profile that is published.
pub(crate) fn expect_report(text: &str) {
    let report: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(report["dindcheck"]["version"], VERSION);
    assert_eq!(report["dindcheck"]["profile"], "release");
    assert_eq!(report["dindcheck"]["commit"].as_str().map(str::len), Some(40), "{}", report["dindcheck"]);
    assert!(report["findings"].as_array().is_some_and(|findings| findings.len() > 20));
}
