//! The other architecture: its program is run by qemu's user mode, its packages are unpacked.

use std::path::Path;
use std::process::Command;

use super::dist::{VERSION, expect_report, file, printed, sha256};

/// The program of a directory, run by qemu.
fn run(program: &Path, args: &[&str]) -> std::process::Output {
    let installed = Command::new("qemu-aarch64-static").arg("--version").output();
    if installed.is_err() {
        printed(Command::new("apt-get").args(["-q", "update"]));
        printed(Command::new("apt-get").args(["-qy", "install", "--no-install-recommends", "qemu-user-static"]));
    }
    Command::new("qemu-aarch64-static").arg(program).args(args).output().expect("qemu runs")
}

#[test]
#[ignore = "dist/ has the other architecture only if scripts/release was run for it"]
fn each_artefact_of_aarch64_has_the_program_and_it_runs() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| {
        let path = place.path().join(name);
        std::fs::create_dir(&path).expect("made");
        path
    };
    let name = format!("dindcheck-{VERSION}-aarch64-linux");
    let archive = at("archive");
    printed(Command::new("tar").arg("-C").arg(&archive).arg("-xf").arg(file(&format!("{name}.tar.gz"))));
    let program = archive.join(name).join("dindcheck");
    let version = run(&program, &["--version"]);
    assert!(
        String::from_utf8_lossy(&version.stdout).starts_with(&format!("dindcheck {VERSION} (commit ")),
        "{version:?}"
    );
    // Emulation shows this machine's kernel, so what is found is not asked.
    let report = run(&program, &["check", "--inner", "28.5.2", "--format", "json"]);
    expect_report(&String::from_utf8_lossy(&report.stdout));
    for args in [&["explain", "no.such.check"][..], &["inside", "hog", "18446744073709551615"]] {
        let output = run(&program, args);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.starts_with("dindcheck: ") && told.lines().count() == 1, "{told}");
    }

    let deb = at("deb");
    let package = file(&format!("dindcheck_{VERSION}_arm64.deb"));
    printed(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&deb));
    assert_eq!(printed(Command::new("dpkg-deb").arg("-f").arg(&package).arg("Architecture")), "arm64\n");
    let rpm = at("rpm");
    let unpack = "rpm2cpio \"$0\" | cpio -id --quiet";
    let package = file(&format!("dindcheck-{VERSION}-1.aarch64.rpm"));
    printed(Command::new("sh").args(["-c", unpack]).arg(package).current_dir(&rpm));
    let wheel = at("wheel");
    let package = file(&format!("dindcheck-{VERSION}-py3-none-manylinux2014_aarch64.musllinux_1_1_aarch64.whl"));
    printed(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(package).arg(&wheel));
    let npm = at("npm");
    let package = file(&format!("dindcheck-linux-arm64-{VERSION}.tgz"));
    printed(Command::new("tar").arg("-C").arg(&npm).arg("-xf").arg(package));
    let sum = sha256(&program);
    for path in [
        deb.join("usr/bin/dindcheck"),
        rpm.join("usr/bin/dindcheck"),
        wheel.join(format!("dindcheck-{VERSION}.data/scripts/dindcheck")),
        npm.join("package/bin/dindcheck"),
    ] {
        assert_eq!(sha256(&path), sum, "{}", path.display());
    }
}
