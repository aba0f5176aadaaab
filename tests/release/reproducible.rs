//! Two builds in two places give the same bytes.

use std::process::Command;

use super::dist::{directory, printed};

/// A clone of this commit in another directory, with sources of the crates in another directory, packed again.
#[test]
#[ignore = "it takes minutes: another build of all"]
fn another_build_elsewhere_is_the_same() {
    let place = tempfile::Builder::new().prefix("a-longer-name-than-the-other-").tempdir().expect("a directory");
    let clone = place.path().join("checkout");
    let home = place.path().join("cargo-home");
    printed(Command::new("git").args(["clone", "--quiet", env!("CARGO_MANIFEST_DIR")]).arg(&clone));
    // What is downloaded is the same; it is unpacked again.
    std::fs::create_dir_all(home.join("registry")).expect("made");
    let own =
        std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").expect("a home")));
    for part in ["cache", "index"] {
        printed(Command::new("cp").arg("-r").arg(format!("{own}/registry/{part}")).arg(home.join("registry")));
    }
    let mut release = Command::new(clone.join("scripts/release"));
    release.env("CARGO_HOME", &home).env("CARGO_TARGET_DIR", place.path().join("t")).env("TMPDIR", place.path());
    release.arg("--out").arg(place.path().join("dist"));
    // The architectures that the other ones are there for.
    for architecture in ["x86_64", "aarch64"] {
        if directory().join(format!("dindcheck-{}-{architecture}-linux.tar.gz", super::dist::VERSION)).exists() {
            release.arg(architecture);
        }
    }
    printed(&mut release);
    let sums = |path: std::path::PathBuf| std::fs::read_to_string(path.join("SHA256SUMS")).expect("sums");
    assert_eq!(sums(directory()), sums(place.path().join("dist")));
}
