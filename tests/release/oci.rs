//! The image with nothing but the program in it, in a real engine.

use std::process::Command;

use super::dist::{VERSION, file, printed, script};

fn docker(args: &[&str]) -> String {
    printed(script("lab").args(["docker", "--"]).args(args))
}

#[test]
fn the_image_is_loaded_runs_and_is_copied_from() {
    let archive = file(&format!("dindcheck-{VERSION}-oci.tar"));
    // Where the client is: it reads the archive itself.
    let loaded = docker(&["load", "--input", archive.to_str().expect("UTF-8")]);
    let image = format!("dindcheck:{VERSION}-amd64");
    assert!(loaded.contains(&image), "{loaded}");
    let version = docker(&["run", "--rm", &image, "--version"]);
    assert!(version.starts_with(&format!("dindcheck {VERSION} ")), "{version}");
    let files = docker(&["image", "inspect", "--format", "{{len .RootFS.Layers}} {{.Architecture}}", &image]);
    assert_eq!(files.trim(), "1 amd64");

    // As the README has it.
    let context = tempfile::tempdir().expect("a directory");
    let dockerfile = format!(
        "FROM dindcheck-lab:28.5.2\nCOPY --from={image} /dindcheck /usr/local/bin/\nENTRYPOINT [\"dindcheck\"]\n"
    );
    std::fs::write(context.path().join("Dockerfile"), dockerfile).expect("written");
    let own = format!("dindcheck-release-{}", std::process::id());
    let directory = context.path().to_str().expect("UTF-8");
    printed(
        script("lab").args(["docker", "--", "build", "--quiet", "--tag", &own, directory]).env("DOCKER_BUILDKIT", "0"),
    );
    let said = docker(&["run", "--rm", "--privileged", "-v", "/var/lib/docker", &own, "--exit", "--format", "json"]);
    docker(&["rmi", "--force", &own]);
    let report: serde_json::Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(report["exit_status"], 0, "{said}");
}

#[test]
fn the_layout_is_what_its_digests_say() {
    let directory = tempfile::tempdir().expect("a directory");
    let archive = file(&format!("dindcheck-{VERSION}-oci.tar"));
    printed(Command::new("tar").arg("-C").arg(directory.path()).arg("-xf").arg(archive));
    let blobs = directory.path().join("blobs/sha256");
    let mut count = 0;
    for blob in std::fs::read_dir(&blobs).expect("blobs") {
        let path = blob.expect("an entry").path();
        assert_eq!(path.file_name().and_then(|name| name.to_str()), Some(super::dist::sha256(&path).as_str()));
        count += 1;
    }
    // An index, and for each architecture a manifest, a configuration and a layer.
    assert!(count == 4 || count == 7, "{count} blobs");
}
