//! Outside of any container nothing is changed unasked.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A root directory that holds the static binary, these files, and nothing else.
pub(crate) fn root(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let own = root.path().join("dindcheck");
    // By a process of its own: a child that another test forks meanwhile would keep the copy open for writing, and what
    // is open for writing cannot be run.
    assert!(Command::new("cp").arg(crate::binary::path()).arg(&own).status().unwrap().success());
    for (path, content) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root
}

/// Runs the binary in there.
pub(crate) fn run_in(root: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("/dindcheck");
    command.args(args).env_clear().env("DINDCHECK_INNER", "28.5.2");
    chroot(&mut command, root);
    command.output().expect("chroot needs root")
}

/// Runs it beside nothing but a captured PID 1 without any mark of a container.
fn on_a_bare_host(args: &[&str]) -> (Option<i32>, String) {
    on_a_host(args, &[])
}

/// The same with more files.
fn on_a_host(args: &[&str], more: &[(&str, &str)]) -> (Option<i32>, String) {
    let host = [
        ("proc/self/mountinfo", "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"),
        ("proc/1/cgroup", "0::/init.scope\n"),
        ("proc/self/cgroup", "0::/user.slice\n"),
    ];
    let output = run_in(root(&[&host, more].concat()).path(), args);
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
    for args in [&["fix"][..], &[], &["--fix"], &["--job", "true"], &["-H", "unix:///x"]] {
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

/// The daemon's answers to questions and other commands are no main job: nothing is looked at, and nothing refused.
#[test]
fn another_command_is_run_instead_and_a_job_needs_one() {
    for (args, status, reason) in [
        (&["true"][..], 127, "cannot run true: "),
        (&["dockerd", "--version"], 127, "cannot run dockerd: "),
        (&["--version-of-tomorrow", "--help"], 127, "cannot run dockerd: "),
        (&["/proc"], 126, "cannot run /proc: "),
        (&["--job"], 2, "--job needs a command"),
    ] {
        let (ended, told) = on_a_bare_host(args);
        assert_eq!(ended, Some(status), "{args:?}: {told}");
        assert!(told.contains(reason), "{args:?}: {told}");
    }
    // As a client it looks for the service.
    let output = run_in(root(&[]).path(), &["/dindcheck", "health"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "cannot use the daemon at tcp://docker:2375: docker is not in /etc/hosts, and /etc/resolv.conf names no server\n"
    );
}

/// There is no /proc/self/exe that could be started again.
#[test]
fn the_background_is_another_process() {
    let (status, told) = on_a_host(&["--detach", "--log", "/log"], &[("proc/self/fd/3", "")]);
    assert_eq!(status, Some(6), "{told}");
    assert!(told.contains("cannot start a process in the background"), "{told}");
    let (status, told) = on_a_bare_host(&["--detach", "--detached"]);
    assert_eq!(status, Some(2), "{told}");
    assert!(told.contains("this looks like no container"), "{told}");
}
