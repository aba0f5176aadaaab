//! Packs the files of `profiles/` for embedding, so that a new engine version is a new file and nothing else; and tells
//! the program which commit and profile it was built from.

#[path = "src/pages/html.rs"]
mod html;
#[expect(dead_code, unreachable_pub, reason = "what the program itself needs of them")]
#[path = "src/pages.rs"]
mod pages;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    for directory in ["docker", "outer", "diagnoses"] {
        pack(&root, directory);
    }
    pack_manual();
    let profile = profile();
    println!("cargo::rustc-env=BUILD_PROFILE={profile}");
    // A commit that changes no source would cost a build in the inner loop.
    let commit = if profile == "release" { commit(&root) } else { None };
    println!("cargo::rustc-env=BUILD_COMMIT={}", commit.as_deref().unwrap_or_default());
    let version = env::var("CARGO_PKG_VERSION").expect("cargo sets it");
    let commit = commit.as_deref().unwrap_or("unknown");
    println!("cargo::rustc-env=BUILD_LINE={version} (commit {commit}, profile {profile})");
}

/// The name of the profile: the directory below `target/TRIPLE` (cargo's PROFILE knows only `debug` and `release`).
fn profile() -> String {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let mut directories = out.ancestors().filter_map(Path::file_name);
    directories.find(|name| *name == "build").expect("OUT_DIR is below target/TRIPLE/PROFILE/build");
    directories.next().expect("OUT_DIR is below target/TRIPLE/PROFILE/build").to_string_lossy().into_owned()
}

/// The commit: given by whoever packages a source tree without one, written by `cargo package`, or git's.
fn commit(root: &Path) -> Option<String> {
    const GIVEN: &str = "DINDCHECK_BUILD_COMMIT";
    println!("cargo::rerun-if-env-changed={GIVEN}");
    if let Ok(given) = env::var(GIVEN) {
        return Some(given);
    }
    let packaged = root.join(".cargo_vcs_info.json");
    if let Ok(text) = fs::read_to_string(&packaged) {
        println!("cargo::rerun-if-changed={}", packaged.display());
        // { "git": { "sha1": "…" } }
        return text.split('"').skip_while(|word| *word != "sha1").nth(2).map(str::to_owned);
    }
    // Not that of another project which the source tree lies in.
    if !root.join(".git").exists() {
        return None;
    }
    // Each commit and checkout adds a line to this log.
    for name in ["HEAD", "logs/HEAD"] {
        let path = root.join(git(root, &["rev-parse", "--git-path", name])?);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(root, &["rev-parse", "HEAD"])
}

fn git(root: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
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
    let mut archive = archive(directory);
    for name in names {
        let inside = Path::new("profiles").join(directory).join(&name);
        archive.append_path_with_name(source.join(&name), inside).expect("a readable file");
    }
    archive.into_inner().and_then(GzEncoder::finish).expect("OUT_DIR is writable");
}

/// Packs the pages of the manual as HTML, by topic.
fn pack_manual() {
    println!("cargo::rerun-if-changed=src/pages.rs");
    println!("cargo::rerun-if-changed=src/pages");
    let mut archive = archive("manual");
    for (topic, _) in pages::PAGES {
        let text = html::from_markdown(&pages::page(topic).expect("it is one of them"));
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, topic, text.as_bytes()).expect("OUT_DIR is writable");
    }
    archive.into_inner().and_then(GzEncoder::finish).expect("OUT_DIR is writable");
}

/// An archive of what is embedded. The same files give the same bytes.
fn archive(name: &str) -> tar::Builder<GzEncoder<fs::File>> {
    let target = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join(format!("{name}.tar.gz"));
    let file = fs::File::create(target).expect("OUT_DIR is writable");
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::best()));
    archive.mode(tar::HeaderMode::Deterministic);
    archive
}
