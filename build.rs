//! Packs the files of `profiles/` for embedding, so that a new engine version is a new file and nothing else; and leaves
//! out of a release what it cannot use.

use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    for directory in ["docker", "outer", "diagnoses"] {
        pack(&root, directory);
    }
    // A release ends at a panic, so that nobody reads the tables for unwinding, a tenth of the binary.
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        let script = root.join(".cargo/no-unwind-tables.ld");
        println!("cargo::rerun-if-changed={}", script.display());
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}

/// Packs the YAML files of a directory below `profiles/`, in the order of their names.
fn pack(root: &Path, directory: &str) {
    let source = root.join("profiles").join(directory);
    println!("cargo::rerun-if-changed={}", source.display());
    let mut names: Vec<String> = fs::read_dir(&source)
        .expect("the directory is there")
        .map(|entry| entry.expect("a readable entry").file_name().into_string().expect("a UTF-8 file name"))
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    let target = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join(format!("{directory}.tar.gz"));
    let file = fs::File::create(target).expect("OUT_DIR is writable");
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::best()));
    // The same files give the same bytes.
    archive.mode(tar::HeaderMode::Deterministic);
    for name in names {
        let inside = Path::new("profiles").join(directory).join(&name);
        archive.append_path_with_name(source.join(&name), inside).expect("a readable file");
    }
    archive.into_inner().and_then(GzEncoder::finish).expect("OUT_DIR is writable");
}
