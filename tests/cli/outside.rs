//! Outside of any container nothing is changed unasked.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Runs the static binary in a root directory that holds nothing else but a captured PID 1 without any mark of a
/// container.
fn on_a_bare_host(args: &[&str]) -> (Option<i32>, String) {
    on_a_host(args, &[])
}

/// The same with more files.
fn on_a_host(args: &[&str], more: &[(&str, &str)]) -> (Option<i32>, String) {
    let root = tempfile::tempdir().unwrap();
    let own = root.path().join("dindcheck");
    // By a process of its own: a child that another test forks meanwhile would keep the copy open for writing, and what
    // is open for writing cannot be run.
    assert!(Command::new("cp").arg(crate::binary::path()).arg(&own).status().unwrap().success());
    for (path, content) in [
        ("proc/self/mountinfo", "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"),
        ("proc/1/cgroup", "0::/init.scope\n"),
        ("proc/self/cgroup", "0::/user.slice\n"),
    ]
    .iter()
    .chain(more)
    {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let mut command = Command::new("/dindcheck");
    command.args(args).env_clear().env("DINDCHECK_INNER", "28.5.2");
    let directory = root.path().to_owned();
    chroot(&mut command, &directory);
    let output = command.output().expect("chroot needs root");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[expect(unsafe_code, reason = "std has no stable chroot for a child")]
fn chroot(command: &mut Command, directory: &Path) {
    let directory = directory.to_owned();
    // SAFETY: chroot and chdir are system calls; nothing is allocated between fork and exec.
    unsafe {
        command.pre_exec(move || {
            std::os::unix::fs::chroot(&directory)?;
            std::env::set_current_dir("/")
        });
    }
}

#[test]
fn fix_and_the_main_job_refuse() {
    for args in [&["fix"][..], &[], &["--fix"]] {
        let (status, said) = on_a_bare_host(args);
        assert_eq!(status, Some(2), "{args:?}: {said}");
        assert!(said.contains("this looks like no container"), "{args:?}: {said}");
        assert!(said.contains("--force overrides this"), "{args:?}: {said}");
    }
}

/// A machine that was made from an exported container has the files of one, and perhaps an overlay as its root.
#[test]
fn a_machine_with_the_files_of_a_container_is_none() {
    let overlay = "27 1 0:25 / / rw,relatime - overlay overlay rw,lowerdir=/a,upperdir=/b,workdir=/c\n";
    let marks = [(".dockerenv", ""), ("run/.containerenv", ""), ("proc/1/mountinfo", overlay)];
    let namespaces = [
        ("proc/self/ns/pid", "pid:[4026531836]"),
        ("proc/self/ns/uts", "uts:[4026531838]"),
        ("proc/self/ns/ipc", "ipc:[4026531839]"),
        ("proc/self/ns/cgroup", "cgroup:[4026531835]"),
        ("proc/self/ns/user", "user:[4026531837]"),
    ];
    for args in [&["fix"][..], &[], &["--fix"]] {
        let (status, said) = on_a_host(args, &[marks.as_slice(), &namespaces].concat());
        assert_eq!(status, Some(2), "{args:?}: {said}");
        let reason =
            "the pid, uts, ipc, cgroup, user namespaces are the kernel's first, although there are marks of one";
        assert!(said.contains(reason), "{args:?}: {said}");
        // Where that cannot be told, the files alone do not lift the guard either.
        let (status, said) = on_a_host(args, &marks);
        assert_eq!(status, Some(2), "{args:?}: {said}");
        assert!(said.contains("a copy of a container's root has, too"), "{args:?}: {said}");
    }
}

#[test]
fn check_looks_all_the_same() {
    // In an empty root directory: the binary needs nothing but itself.
    let (status, said) = on_a_bare_host(&["check"]);
    assert_eq!((status, said.as_str()), (Some(1), ""));
}
