//! A data-root on the outer container's own overlay: what is predicted is what happens.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::for_each_inner;
use crate::lab::{Outer, Report, mends, run, run_script};

for_each_inner!(data_root_on_overlay);
fn data_root_on_overlay(inner: &str) {
    let run = run(inner, &["--data-root", "overlay"], &["dindcheck", "--format", "json", "--exit"]).expect_status(0);
    let report = run.report();
    // Engines up to 28 try overlay, are refused, and fall back.
    let summary = report.expect("storage.data-root", "fail");
    assert!(summary.contains("fall back to vfs"), "{summary}");
    let finding = report.finding("storage.data-root");
    assert_eq!(finding["severity"], "warning");
    let tried = finding["evidence"][0]["location"].as_str().unwrap_or_default();
    assert!(tried.starts_with("mount an overlay"), "{finding:#}");
    report.expect_verified();
    assert_eq!(report.0["verification"]["storage_driver"], "vfs");
    let summary = report.expect_scenario("storage", "fail");
    assert!(summary.contains("vfs"), "{summary}");
}

for_each_inner!(data_root_on_tmpfs);
fn data_root_on_tmpfs(inner: &str) {
    let run = run(inner, &["--data-root", "tmpfs"], &["dindcheck", "--format", "json", "--exit"]).expect_status(0);
    let report = run.report();
    report.expect("storage.data-root", "pass");
    report.expect_verified();
    assert_eq!(report.0["verification"]["storage_driver"], "overlay2");
}

#[test]
fn a_driver_that_cannot_work_is_refused_before_the_daemon_is_started() {
    let command = ["dindcheck", "--format", "json", "--exit", "--", "--storage-driver", "overlay2"];
    let report = run("28.5.2", &["--data-root", "overlay"], &command).expect_status(1).report();
    let summary = report.expect_blocking("storage.data-root");
    assert!(summary.contains("refuse the driver overlay2"), "{summary}");
    // The daemon alone says the same, later.
    let plain = run("28.5.2", &["--data-root", "overlay"], &["dockerd", "--storage-driver", "overlay2"]);
    let plain = plain.expect_status(1);
    assert!(plain.stderr.contains("driver not supported: overlay2"), "{}", plain.stderr);
}

/// Makes a fault and looks.
fn check(fault: &str, status: i32) -> Report {
    run_script("28.5.2", &[], &format!("{fault}; exec dindcheck check --format json")).expect_status(status).report()
}

#[test]
fn an_overlay_is_mounted_where_layers_will_be() {
    let report = check("true", 0);
    let summary = report.expect("storage.data-root", "pass");
    assert!(summary.contains("an overlay was mounted there"), "{summary}");
    for id in ["storage.d-type", "storage.space", "storage.flags", "storage.driver", "storage.in-use"] {
        report.expect(id, "pass");
    }
}

#[test]
fn little_space_and_few_inodes_are_found() {
    let report = check("mount -t tmpfs -o size=16m,nr_inodes=5000 tmpfs /var/lib/docker", 0);
    let finding = report.finding("storage.space");
    assert_eq!(finding["outcome"], "fail");
    assert_eq!(finding["evidence"].as_array().map(Vec::len), Some(2), "bytes and inodes: {finding:#}");
}

#[test]
fn a_data_root_without_exec_is_found() {
    let summary = check("mount -t tmpfs -o noexec tmpfs /var/lib/docker", 0).expect("storage.flags", "fail");
    assert_eq!(summary, "/var/lib/docker is mounted noexec");
}

#[test]
fn layers_of_two_drivers_are_found_before_the_daemon_dies_of_them() {
    let fault = "mkdir -p /var/lib/docker/overlay2/x /var/lib/docker/btrfs/x";
    assert_eq!(check(fault, 1).expect_blocking("storage.driver"), "/var/lib/docker has layers of overlay2 and btrfs");
    let plain = run_script("28.5.2", &[], &format!("{fault}; timeout 60 dockerd")).expect_status(1);
    assert!(plain.stderr.contains("contains several valid graphdrivers"), "{}", plain.stderr);
}

/// Images in containerd's store are there, and an engine that keeps its own by a driver shows none of them.
#[test]
fn images_that_the_engine_will_not_see_are_found() {
    let script = "set -e
        mkdir -p /etc/docker; feature() { echo '{\"features\": {\"containerd-snapshotter\": '$1'}}' > /etc/docker/daemon.json; }
        up() { dockerd > /tmp/log 2>&1 & until docker version > /dev/null 2>&1; do sleep 0.1; done; }
        down() { kill $(cat /run/docker.pid); while test -e /run/docker.pid; do sleep 0.1; done; }
        dindcheck check --only storage.driver --format json
        feature true; up; tar -C / -c bin/busybox | docker import - seed > /dev/null; down
        dindcheck check --only storage.driver --format json
        feature false; dindcheck check --only storage.driver --format json
        up; test -z \"$(docker images -q)\"; tar -C / -c bin/busybox | docker import - other > /dev/null; down
        feature true; dindcheck check --only storage.driver --format json
        up; docker image inspect seed > /dev/null; ! docker image inspect other > /dev/null 2>&1";
    let run = run_script("28.5.2", &[], script).expect_status(0);
    let reports = serde_json::Deserializer::from_str(&run.stdout).into_iter().map(Result::unwrap);
    let reports: Vec<Report> = reports.map(Report).collect();
    let [fresh, seen, unseen, both] = reports.as_slice() else { panic!("four reports: {}", run.stdout) };
    const ID: &str = "storage.driver";
    assert_eq!(fresh.expect(ID, "pass"), "a fresh data-root");
    seen.expect(ID, "pass");
    assert_eq!(unseen.expect(ID, "fail"), "/var/lib/docker has images in containerd, which are not seen");
    let both = both.expect(ID, "fail");
    assert_eq!(both, "/var/lib/docker was made with overlay2, and images live in containerd now");
    // An older engine knows no other store.
    let script = "mkdir -p /var/lib/docker/containerd/daemon/io.containerd.content.v1.content/blobs/sha256/x
        exec dindcheck check --only storage.driver --format json";
    let old = run_script("20.10.24", &[], script).expect_status(0).report();
    old.expect(ID, "fail");
}

#[test]
fn a_data_root_of_another_daemon_is_found() {
    // Its pid files elsewhere, as if it were in another container with the same volume.
    let fault = "dockerd -p /tmp/other.pid --exec-root /tmp/other -H unix:///tmp/other.sock > /tmp/log 2>&1 &
        until docker -H unix:///tmp/other.sock version > /dev/null 2>&1; do sleep 0.1; done";
    let report = check(fault, 1);
    assert_eq!(report.expect_blocking("storage.in-use"), "/var/lib/docker is in use by another daemon");
}

#[test]
fn a_file_system_without_types_in_its_directories_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    std::fs::File::create(&image).unwrap().set_len(2 << 20).unwrap();
    let made =
        std::process::Command::new("mkfs.ext4").args(["-q", "-O", "^filetype,^has_journal"]).arg(&image).status();
    assert!(made.unwrap().success());
    let packed =
        std::process::Command::new("sh").arg("-c").arg("gzip -9 < $0 | base64 -w 0").arg(&image).output().unwrap();
    let packed = String::from_utf8(packed.stdout).unwrap();
    let fault = format!(
        "echo {packed} | base64 -d | gzip -d > /tmp/image
        mount -o loop /tmp/image /var/lib/docker"
    );
    let report = crate::lab::look(&[], &fault, "storage.d-type");
    assert_eq!(report.expect_blocking("storage.d-type"), "/var/lib/docker has no d_type");
}

#[test]
fn what_others_have_left_to_write_is_not_written_for_the_trial() {
    // Unmounting an overlay writes all of the file system below, unless it was told not to. What a file system in a file
    // has written is what that file takes.
    let image = tempfile::NamedTempFile::new_in(crate::lab::share()).unwrap();
    image.as_file().set_len(256 << 20).unwrap();
    let made = std::process::Command::new("mkfs.ext4").arg("-q").arg(image.path()).status();
    assert!(made.unwrap().success());
    let volume = format!("-v{}:/image", image.path().display());
    let script = "mount -o loop /image /var/lib/docker && sync && before=$(stat -c %b /image) || exit 9
        dd if=/dev/zero of=/var/lib/docker/big bs=1M count=64 2> /dev/null
        dindcheck check --format json --only storage.data-root || exit
        echo $(($(stat -c %b /image) - before)) >&2";
    let run = run_script("28.5.2", &["--docker-arg", &volume], script).expect_status(0);
    let summary = run.report().expect("storage.data-root", "pass");
    assert!(summary.contains("an overlay was mounted there"), "{summary}");
    let written: u64 = run.stderr.lines().last().and_then(|line| line.parse().ok()).expect("blocks of 512 bytes");
    assert!(written < 1 << 11, "{written} blocks of 512 bytes were written");
}

/// mkfs.ext4 of this machine with the libraries that it needs, where containers of the lab can have it mounted; gone
/// with the test.
pub(crate) struct Mkfs(std::path::PathBuf);

impl Mkfs {
    /// The argument for `docker run` that has containers find it.
    pub(crate) const PATH: &str = "-ePATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/mkfs";

    /// The argument for `docker run` that mounts it.
    pub(crate) fn volume(&self) -> String {
        format!("-v{}:/mkfs", self.0.display())
    }

    pub(crate) fn pack() -> Self {
        // One for each test: they run side by side, and each removes its own.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = crate::lab::share().join(format!("mkfs-{}-{number}", std::process::id()));
        let script = "mkdir -p $0 && cd $0 && program=$(command -v mkfs.ext4) && cp -L $program mke2fs
            cp -L $(ldd $program | grep -o '/[^ ]*') .
            printf '#!/bin/sh\nexec /mkfs/ld-linux-x86-64.so.2 --library-path /mkfs /mkfs/mke2fs -t ext4 \"$@\"\n' > mkfs.ext4
            chmod +x mkfs.ext4";
        let packed = std::process::Command::new("sh").args(["-ec", script]).arg(&directory).status();
        assert!(packed.is_ok_and(|status| status.success()));
        Self(directory)
    }
}

impl Drop for Mkfs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_data_root_on_overlay_gets_a_file_system_of_its_own() {
    const ID: &str = "storage.data-root";
    let mkfs = Mkfs::pack();
    let volume = mkfs.volume();
    let options = ["--data-root", "overlay", "--docker-arg", &volume, "--docker-arg", Mkfs::PATH];
    let finding = mends(&options, "true", ID);
    assert_eq!(finding["fix"], "mount an ext4 of its own on /var/lib/docker, in a file there");

    // Images are there again after a restart, and the driver is a fast one.
    let job = "docker image inspect seed > /dev/null 2>&1 && echo still there
        tar -C / -c bin/busybox | docker import - seed > /dev/null; docker info -f 'driver {{.Driver}}'; sleep 1000";
    let outer = Outer::start("28.5.2", &options, &["dindcheck", "--fix", "--job", "--", "sh", "-c", job]);
    outer.wait_for_log("driver overlay2");
    outer.stop();
    outer.restart();
    outer.wait_for_log("still there");
    outer.wait_for_logs("driver overlay2", 2);

    // What the daemon has stored is not taken back: the next mend goes on with it. And no one is left with an error.
    let script = "set -e
        rmdir /var/lib/docker 2> /dev/null || true
        job() { dindcheck --fix --job -q --output /tmp/report --only storage.data-root -- sh -ec \"$1\" 2> /tmp/log || { cat /tmp/log >&2; exit 9; }; }
        job 'tar -C / -c bin/busybox | docker import - seed > /dev/null'
        dindcheck undo > /tmp/undone
        grep -q '^kept /var/lib/docker/dindcheck.ext4: ' /tmp/undone || { cat /tmp/undone >&2; exit 8; }
        test \"$(ls /var/lib/docker)\" = dindcheck.ext4
        dindcheck undo | grep -q 'nothing to undo'
        job 'docker image inspect seed > /dev/null; docker info -f {{.Driver}}'";
    let run = run_script("28.5.2", &options, script).expect_status(0);
    assert_eq!(run.stdout.trim(), "overlay2");

    // What is kept there already is not hidden.
    let kept = crate::lab::look(&options, "mkdir -p /var/lib/docker/vfs/x", ID);
    assert!(kept.finding(ID)["fix"].is_null(), "{:#}", kept.finding(ID));
}

/// A data-root on the outer container's overlay, and a mkfs.ext4 of its own.
fn on_overlay(mkfs: &str) -> [String; 6] {
    let path = "-ePATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/mkfs";
    ["--data-root", "overlay", "--docker-arg", mkfs, "--docker-arg", path].map(str::to_owned)
}

#[test]
fn an_image_that_a_killed_mkfs_has_left_is_made_again() {
    let mkfs = Mkfs::pack();
    let options = on_overlay(&format!("-v{}:/mkfs", mkfs.0.display()));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    for litter in ["dindcheck.ext4", "dindcheck.ext4.new"] {
        let script = format!(
            "mkdir -p /var/lib/docker; truncate -s 2G /var/lib/docker/{litter}
            exec dindcheck --fix --exit --format json"
        );
        let report = run_script("28.5.2", &options, &script).expect_status(0).report();
        assert!(report.mended().contains(&"storage.data-root"), "{:#}", report.0["fixes"]);
        report.expect_verified();
    }
}

/// Without the mend of a warning the daemon works as it did before.
#[test]
fn a_failed_mend_of_a_warning_does_not_stop_the_start() {
    let options = on_overlay("-eX=");
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let script = "printf '#!/bin/sh\nexit 1\n' > /usr/local/sbin/mkfs.ext4; chmod +x /usr/local/sbin/mkfs.ext4
        exec dindcheck --fix --exit --no-verify --format json";
    let report = run_script("28.5.2", &options, script).expect_status(0).report();
    assert_eq!(report.finding("storage.data-root")["severity"], "warning");
    assert!(report.0["fixes"].to_string().contains("taken-back"), "{:#}", report.0["fixes"]);
}

#[test]
fn a_daemon_without_overlay_takes_fuse_overlayfs_once_its_device_is_there() {
    const ID: &str = "storage.data-root";
    let script = "set -e
        rm /dev/fuse
        ! dindcheck check --format json || exit 9
        dindcheck --fix --exit --format json
        test -c /dev/fuse
        dindcheck undo >&2
        test ! -e /dev/fuse
        rm -rf /var/lib/docker
        dindcheck --exit --format json --skip storage.data-root > /tmp/started || test $? = 5
        grep -q 'fuse: device not found' /tmp/started
        dindcheck check --format json --only storage.data-root || test $? = 1";
    let run = run_script("28.5.2", &["--data-root", "overlay", "--tools"], script).expect_status(0);
    let reports = serde_json::Deserializer::from_str(&run.stdout).into_iter().map(Result::unwrap);
    let reports: Vec<Report> = reports.map(Report).collect();
    let [red, green, undone] = reports.as_slice() else { panic!("three reports: {}", run.stdout) };
    let summary = red.expect_blocking(ID);
    assert!(summary.ends_with("the daemon will take fuse-overlayfs, and every container will fail"), "{summary}");
    // The data-root was made with it meanwhile.
    assert_eq!(undone.expect_blocking(ID), "no /dev/fuse: every container will fail with the driver fuse-overlayfs");
    let summary = green.expect(ID, "fail");
    assert!(summary.ends_with("the daemon will fall back to fuse-overlayfs"), "{summary}");
    assert_eq!(green.finding(ID)["severity"], "info");
    assert!(green.mended().contains(&"devices.nodes"), "{:?}", green.mended());
    green.expect_verified();
    assert_eq!(green.0["verification"]["storage_driver"], "fuse-overlayfs");
}

#[test]
fn in_a_user_namespace_an_overlay_has_attributes_of_users() {
    let script = "exec unshare -U -r -m dindcheck check --only storage.data-root --format json";
    let report = run_script("28.5.2", &[], script).expect_status(0).report();
    let summary = report.expect("storage.data-root", "pass");
    assert!(summary.contains("an overlay was mounted there"), "{summary}");
}
