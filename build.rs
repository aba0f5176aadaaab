//! Lists the files of `profiles/` for embedding, so that a new engine version is a new file and nothing else.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    embed(&["docker", "outer"], "embedded_profiles.rs");
    embed(&["diagnoses"], "embedded_diagnoses.rs");
}

/// Lists the YAML files of directories below `profiles/` as `EMBEDDED: &[(name, text)]`, in the order of their names.
fn embed(directories: &[&str], target: &str) {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("profiles");
    let mut list = String::from("const EMBEDDED: &[(&str, &str)] = &[\n");
    for directory in directories {
        let source = root.join(directory);
        println!("cargo::rerun-if-changed={}", source.display());
        let mut names: Vec<String> = fs::read_dir(&source)
            .expect("the directory is there")
            .map(|entry| entry.expect("a readable entry").file_name().into_string().expect("a UTF-8 file name"))
            .filter(|name| name.ends_with(".yaml"))
            .collect();
        names.sort();
        for name in names {
            let path = source.join(&name);
            writeln!(list, "    (\"{directory}/{name}\", include_str!({path:?})),").expect("writing to a string");
        }
    }
    list.push_str("];\n");
    let target = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join(target);
    fs::write(target, list).expect("OUT_DIR is writable");
}
