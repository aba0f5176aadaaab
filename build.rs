//! Lists the files of `profiles/` for embedding, so that a new engine version is a new file and nothing else.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    embed_diagnoses();
    let source = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("profiles/docker");
    println!("cargo::rerun-if-changed={}", source.display());
    let mut names: Vec<String> = fs::read_dir(&source)
        .expect("profiles/docker is there")
        .map(|entry| entry.expect("a readable entry").file_name().into_string().expect("a UTF-8 file name"))
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    let mut list = String::from("const EMBEDDED: &[(&str, &str)] = &[\n");
    for name in names {
        let path = source.join(&name);
        writeln!(list, "    ({name:?}, include_str!({path:?})),").expect("writing to a string");
    }
    list.push_str("];\n");
    let target = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("embedded_profiles.rs");
    fs::write(target, list).expect("OUT_DIR is writable");
}

/// Lists `profiles/diagnoses/*.yaml` as `EMBEDDED: &[(file name, text)]`, in the order of their names.
fn embed_diagnoses() {
    let source = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("profiles/diagnoses");
    println!("cargo::rerun-if-changed={}", source.display());
    let mut paths: Vec<_> = fs::read_dir(&source)
        .expect("profiles/diagnoses is there")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .collect();
    paths.sort();
    let mut list = String::from("const EMBEDDED: &[(&str, &str)] = &[\n");
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a UTF-8 file name");
        writeln!(list, "    ({name:?}, include_str!({path:?})),").expect("writing to a string");
    }
    list.push_str("];\n");
    let target = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("embedded_diagnoses.rs");
    fs::write(target, list).expect("OUT_DIR is writable");
}
