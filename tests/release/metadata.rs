//! What goes with the artefacts: sums, the list of what is linked, the notes; and the other ways to build it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::dist::{VERSION, directory, expect_report, file, printed};

fn cargo(args: &[&str]) -> String {
    printed(Command::new(env!("CARGO")).args(args).current_dir(env!("CARGO_MANIFEST_DIR")))
}

#[test]
fn the_sums_are_right_and_complete() {
    file("SHA256SUMS");
    let checked =
        printed(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(directory()));
    let files = std::fs::read_dir(directory()).expect("dist").count() - 1;
    assert_eq!(checked.lines().filter(|line| line.ends_with(": OK")).count(), files, "{checked}");
}

#[test]
fn the_bill_of_materials_is_valid_and_has_what_is_linked() {
    let path = file(&format!("dindcheck-{VERSION}.cdx.json"));
    let bill: Value = serde_json::from_str(&std::fs::read_to_string(&path).expect("readable")).expect("JSON");
    assert_eq!(bill["metadata"]["component"]["version"], VERSION);
    let components = bill["components"].as_array().expect("components");
    let tree = cargo(&["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]);
    for line in tree.lines().filter(|line| !line.starts_with("dindcheck ")) {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let version = version.trim_start_matches('v');
        let found = components.iter().find(|one| one["name"] == name && one["version"] == version);
        let found = found.unwrap_or_else(|| panic!("no {name} {version}"));
        assert!(found["hashes"][0]["content"].as_str().is_some_and(|sum| sum.len() == 64), "{found}");
    }
    assert!(!components.iter().any(|one| one["name"] == "insta"), "what only tests it is not in it");
    // CycloneDX's own schema, as its Python library has it.
    let place = tempfile::tempdir().expect("a directory");
    let library = place.path().join("library");
    printed(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
            .arg(&library)
            .arg("cyclonedx-python-lib[json-validation]==11.12.0"),
    );
    let script = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read())
sys.exit(str(error) if error else 0)";
    printed(Command::new("python3").args(["-c", script]).arg(path).env("PYTHONPATH", library));
}

#[test]
fn the_changelog_has_this_version_with_its_date() {
    let text = include_str!("../../CHANGELOG.md");
    let line = text.lines().find(|line| line.starts_with(&format!("## [{VERSION}] - ")));
    let date = line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
    assert_eq!(date.split('-').map(str::len).collect::<Vec<_>>(), [4, 2, 2], "{line:?}");
}

/// What is used of the standard library is held against the stated version by clippy (incompatible_msrv); this does it for
/// the crates. An older toolchain than the one here is not to be had.
#[test]
fn no_crate_needs_a_newer_rust_than_is_stated() {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--locked", "--format-version", "1"])).expect("JSON");
    let version = |text: &str| {
        let mut numbers = text.split('.').map(|number| number.parse::<u32>().expect("a number"));
        (numbers.next(), numbers.next())
    };
    let stated = version(env!("CARGO_PKG_RUST_VERSION"));
    let packages = metadata["packages"].as_array().expect("packages");
    let newer = packages.iter().filter(|one| one["rust_version"].as_str().is_some_and(|text| version(text) > stated));
    let newer: Vec<&Value> = newer.map(|one| &one["name"]).collect();
    assert!(newer.is_empty(), "{newer:?}");
}

/// The crate, as it would be published: what is in it, and that it builds with the commit known, without git.
#[test]
#[ignore = "it takes minutes: another build of all"]
fn the_published_crate_builds_and_knows_its_commit() {
    let place = tempfile::tempdir().expect("a directory");
    let target = place.path().to_str().expect("UTF-8");
    // Both want a tree without changes; what is packed is built below. The dry run keeps no archive in all versions of cargo.
    cargo(&["publish", "--dry-run", "--no-verify", "--locked", "--target-dir", target]);
    cargo(&["package", "--no-verify", "--locked", "--target-dir", target]);
    let crates = place.path().join("package");
    let name = format!("dindcheck-{VERSION}");
    let packed = crates.join(format!("{name}.crate"));
    let again = place.path().join("unpacked");
    std::fs::create_dir(&again).expect("made");
    printed(Command::new("tar").arg("-C").arg(&again).arg("-xf").arg(packed));
    let source = again.join(&name);
    assert!(!source.join(".git").exists() && !source.join("tests/logs").exists());
    install(&source, place.path());
}

#[test]
#[ignore = "it takes minutes: another build of all"]
fn cargo_install_works_in_the_checkout() {
    let place = tempfile::tempdir().expect("a directory");
    install(Path::new(env!("CARGO_MANIFEST_DIR")), place.path());
}

fn install(source: &Path, root: &Path) {
    let mut command = Command::new(env!("CARGO"));
    command.args(["install", "--locked", "--path", ".", "--root"]).arg(root).current_dir(source);
    printed(command.env("CARGO_TARGET_DIR", root.join("t")).env_remove("RUSTFLAGS"));
    let program = root.join("bin/dindcheck");
    let said =
        Command::new(program).args(["check", "--inner", "28.5.2", "--format", "json"]).output().expect("it runs");
    expect_report(&String::from_utf8_lossy(&said.stdout));
}
