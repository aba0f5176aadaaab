//! The one door that acts on this machine: it carries out the steps of fixes.

mod image;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::kmod::{DeleteModuleFlags, delete_module};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::cgroup::INIT_CGROUP;
use super::step::{LOSES_DEVICES, STAGING, Step};
use super::system::{Found, StepError, System};
use crate::probe::network;
use crate::process::{clean_signals, output_until};

/// This machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Linux;

impl System for Linux {
    fn perform(&mut self, step: &Step) -> Result<(), StepError> {
        match step {
            Step::MakeDirectory { path } => {
                fs::create_dir(path).map_err(|e| StepError::new("make the directory", path, &e))
            }
            Step::RemoveDirectory { path } => {
                fs::remove_dir(path).map_err(|e| StepError::new("remove the directory", path, &e))
            }
            Step::MakeLink { path, target } => {
                std::os::unix::fs::symlink(target, path).map_err(|e| StepError::new("make the link", path, &e))
            }
            Step::WriteFile { path, content } => {
                whole(path, |beside| fs::write(beside, content)).map_err(|e| StepError::new("write", path, &e))
            }
            Step::RemoveFile { path, .. }
            | Step::RemoveLink { path, .. }
            | Step::RemoveSocket { path, .. }
            | Step::RemoveNode { path, .. } => fs::remove_file(path).map_err(|e| StepError::new("remove", path, &e)),
            // Dropping the listener leaves the dead file, just as it was.
            Step::MakeDeadSocket { path, mode } => whole(path, |beside| {
                drop(UnixListener::bind(beside)?);
                fs::set_permissions(beside, fs::Permissions::from_mode(*mode))
            })
            .map_err(|e| StepError::new("make the socket", path, &e)),
            Step::MakeNode { path, major, minor } => {
                let device = makedev((*major).into(), (*minor).into());
                mknod(path.as_str(), SFlag::S_IFCHR, Mode::from_bits_truncate(0o600), device)
                    .map_err(|e| StepError::new("make the node", path, &e))
            }
            Step::SetSysctl { path, value, .. } | Step::SetGroupLimit { path, value, .. } => {
                fs::write(path, value).map_err(|e| StepError::new("write to", path, &format!("`{value}`: {e}")))
            }
            Step::SetLink { name, up } => {
                network::set_link(name, *up).map_err(|e| StepError::new("set the state of", name, &e))
            }
            // Nothing to do here and now: who starts the daemon reads the journal.
            Step::AddFlag { .. } | Step::DropFlag { .. } | Step::SetLimit { .. } => Ok(()),
            Step::AddRule { program, table, rule } => change_rule(program, table, "-A", rule),
            Step::DropRule { program, table, rule } => change_rule(program, table, "-D", rule),
            Step::MountFilesystem { fstype, target, options } => mount_filesystem(fstype, target, options),
            Step::MountHierarchy { fstype, options, root, flags, target } => {
                mount_hierarchy(fstype, options, root, target)?;
                flags.as_ref().map_or(Ok(()), |flags| remount(target, flags, false))
            }
            Step::KeepCgroupNamespace { path } => {
                keep_cgroup_namespace(path).map_err(|e| StepError::new("keep a cgroup namespace in", path, &e))
            }
            Step::MakeImage { path, bytes } => {
                image::make(path, *bytes).map_err(|e| StepError::new("make a file system in", path, &e))
            }
            Step::RemoveImage { path, .. } => image::remove(path).map_err(|e| StepError::new("remove", path, &e)),
            Step::MountImage { path, target } => {
                image::mount_on(path, target).map_err(|e| StepError::new("mount", path, &e))
            }
            Step::Unmount { target } | Step::UnmountHierarchy { target, .. } => {
                umount2(target.as_str(), MntFlags::MNT_DETACH).map_err(|e| StepError::new("unmount", target, &e))
            }
            Step::Remount { target, flags, read_only } => remount(target, flags, *read_only),
            Step::SetPropagation { target, shared } => {
                let kind = if *shared { MsFlags::MS_SHARED } else { MsFlags::MS_SLAVE };
                mount(None::<&str>, target.as_str(), None::<&str>, kind, None::<&str>)
                    .map_err(|e| StepError::new("change the propagation of", target, &e))
            }
            Step::EnableController { group, controller } => enable_controller(group, controller),
            Step::DisableController { group, controller } => {
                write_control(group, "cgroup.subtree_control", &format!("-{controller}"))
            }
            Step::LoadModule { name } => load_module(name),
            Step::UnloadModule { name } => unload_module(name),
            Step::MoveProcesses { from, to } => move_processes(from, to),
        }
    }

    fn sweep(&mut self) {
        // Nothing is there most of the time.
        let _ = umount2(STAGING, MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(STAGING);
    }

    fn found(&mut self, step: &Step) -> Result<Found, StepError> {
        crate::fix::replaced::found(step).map_err(|e| StepError::new("tell what has become of", &step.shell(), &e))
    }

    fn holds_data(&mut self, path: &str) -> bool {
        image::holds_data(path)
    }
}

/// How long a program may take to write a rule.
pub(super) const RULE_DEADLINE: Duration = Duration::from_secs(10);

fn change_rule(program: &str, table: &str, change: &str, rule: &str) -> Result<(), StepError> {
    let failed = |reason: &dyn std::fmt::Display| StepError::new("change a rule with", program, reason);
    let mut command = Command::new(program);
    command.args(["-t", table, change]).args(rule.split(' '));
    clean_signals(&mut command);
    let output = output_until(&mut command, None, Instant::now() + RULE_DEADLINE).map_err(|error| failed(&error))?;
    if output.status.success() { Ok(()) } else { Err(failed(&format!("{rule}: {}", output.stderr.text()))) }
}

fn mount_filesystem(fstype: &str, target: &str, options: &str) -> Result<(), StepError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(fstype), target, Some(fstype), flags, Some(options))
        .map_err(|e| StepError::new("mount a file system on", target, &e))
}

/// A namespace of the thread's, which is gone with it but for the mount (cgroup_namespaces(7)).
fn keep_cgroup_namespace(path: &str) -> io::Result<()> {
    let kept = || {
        unshare(CloneFlags::CLONE_NEWCGROUP)?;
        mount(Some("/proc/thread-self/ns/cgroup"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
    };
    // `scope.spawn` would panic where no thread can be had.
    let kept =
        std::thread::scope(|scope| Ok::<_, io::Error>(std::thread::Builder::new().spawn_scoped(scope, kept)?.join()))?;
    Ok(kept.map_err(|_| io::Error::other("the thread panicked"))??)
}

/// Mounts a cgroup hierarchy with `root` (a cgroup in it) at its top, so that nothing above that cgroup is seen:
/// the whole hierarchy goes to a directory of ours, its part is bound, the whole is removed again.
fn mount_hierarchy(fstype: &str, options: &str, root: &str, target: &str) -> Result<(), StepError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let whole = |point: &str| {
        mount(Some(fstype), point, Some(fstype), flags, Some(options))
            .map_err(|e| StepError::new("mount the hierarchy on", point, &e))
    };
    if root == "/" {
        return whole(target);
    }
    let staging = STAGING;
    Linux.sweep();
    fs::create_dir_all(staging).map_err(|e| StepError::new("make the directory", staging, &e))?;
    let part = format!("{staging}{root}");
    let result = whole(staging).and_then(|()| {
        let bound = mount(Some(part.as_str()), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .map_err(|e| StepError::new("bind the own cgroup from", &part, &e));
        let taken_away = umount2(staging, MntFlags::MNT_DETACH).map_err(|e| StepError::new("unmount", staging, &e));
        bound.and(taken_away)
    });
    let removed = fs::remove_dir(staging).map_err(|e| StepError::new("remove the directory", staging, &e));
    let all = result.and(removed);
    if all.is_err() {
        Linux.sweep();
    }
    all
}

fn remount(target: &str, flags: &BTreeSet<String>, read_only: bool) -> Result<(), StepError> {
    let mut all = MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
    // A bind remount sets all flags, so those that the mount has are repeated.
    for (name, flag) in [
        ("nosuid", MsFlags::MS_NOSUID),
        ("nodev", MsFlags::MS_NODEV),
        ("noexec", MsFlags::MS_NOEXEC),
        ("noatime", MsFlags::MS_NOATIME),
        ("nodiratime", MsFlags::MS_NODIRATIME),
        ("relatime", MsFlags::MS_RELATIME),
    ] {
        if flags.contains(name) {
            all |= flag;
        }
    }
    if read_only {
        all |= MsFlags::MS_RDONLY;
    }
    mount(None::<&str>, target, None::<&str>, all, None::<&str>).map_err(|e| StepError::new("remount", target, &e))
}

fn write_control(group: &str, file: &str, value: &str) -> Result<(), StepError> {
    let path = format!("{group}/{file}");
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut control| control.write_all(value.as_bytes()))
        .map_err(|e| StepError::new("write to", &path, &format!("`{value}`: {e}")))
}

/// Gives a controller to a cgroup's children. A process that came into the cgroup since it was emptied (a `docker exec`)
/// makes the kernel say EBUSY; it is moved after the others, a few times and no more.
fn enable_controller(group: &str, controller: &str) -> Result<(), StepError> {
    let enable = || write_control(group, "cgroup.subtree_control", &format!("+{controller}"));
    let refuge = [format!("{group}/{INIT_CGROUP}"), format!("{group}/{INIT_CGROUP}-2")];
    for refuge in refuge.iter().filter(|refuge| exists(refuge)) {
        if enable().is_ok() {
            return Ok(());
        }
        // What cannot be moved shows up as the reason that the kernel gives below.
        let _ = move_processes(group, refuge);
    }
    enable()
}

/// Makes the kernel call the host's modprobe, which has the host's modules and configuration: it looks for a module
/// when someone who may load one asks for an interface of that name (net/core/dev_ioctl.c: dev_load).
fn load_module(name: &str) -> Result<(), StepError> {
    if nix::net::if_::if_nametoindex(name).is_ok() {
        return Err(StepError::new("load the module", name, &"a network interface has that name"));
    }
    if exists(&format!("/sys/module/{name}")) {
        return Ok(());
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let may = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok());
    let reason = match may {
        Some(set) if set & (1 << CAP_SYS_MODULE) == 0 => "CAP_SYS_MODULE is missing (docker run --privileged)",
        _ => "the host's modprobe did not load it: no such module there, or held back in modprobe.d",
    };
    Err(StepError::new("load the module", name, &reason))
}

/// The number of the capability (linux/capability.h).
const CAP_SYS_MODULE: u32 = 16;

/// Takes a module out. One that is in use by now, or gone, is no longer ours to take.
fn unload_module(name: &str) -> Result<(), StepError> {
    if LOSES_DEVICES.contains(&name) {
        return Ok(());
    }
    let failed = |error: &dyn std::fmt::Display| StepError::new("unload the module", name, error);
    let word = CString::new(name).map_err(|error| failed(&error))?;
    match delete_module(&word, DeleteModuleFlags::O_NONBLOCK) {
        Ok(()) | Err(Errno::EWOULDBLOCK | Errno::ENOENT) => Ok(()),
        Err(error) => Err(failed(&error)),
    }
}

/// Moves every process of a version 2 cgroup to another one. New processes can appear while we move, so it goes on
/// until none is left; ten rounds without an end mean that one cannot be moved.
fn move_processes(from: &str, to: &str) -> Result<(), StepError> {
    let list = format!("{from}/cgroup.procs");
    let target = format!("{to}/cgroup.procs");
    let mut last_error = None;
    for _ in 0..10 {
        let pids = fs::read_to_string(&list).map_err(|e| StepError::new("read", &list, &e))?;
        // 0 stands for a process outside of our pid namespace; writing it would move ourselves.
        let pids: Vec<&str> = pids.lines().filter(|pid| *pid != "0").collect();
        if pids.is_empty() {
            return Ok(());
        }
        for pid in pids {
            match fs::write(&target, pid) {
                // It has ended meanwhile.
                Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => {}
                Err(error) => last_error = Some(format!("process {pid}: {error}")),
                Ok(()) => {}
            }
        }
    }
    let reason = last_error.unwrap_or_else(|| "new processes keep appearing there".to_owned());
    Err(StepError::new("move all processes out of", from, &reason))
}

/// Where a file is written before it has its name.
pub(super) fn beside(path: &str) -> String {
    format!("{path}.new")
}

/// Makes a file as a whole or not at all: beside, where a kill may leave it for the next one, and then renamed.
fn whole(path: &str, make: impl FnOnce(&str) -> io::Result<()>) -> io::Result<()> {
    if is_there(path)? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let beside = beside(path);
    remove_if_there(&beside)?;
    let made = make(&beside).and_then(|()| fs::rename(&beside, path));
    if made.is_err() {
        let _ = fs::remove_file(&beside);
    }
    made
}

fn remove_if_there(path: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether a file system path is there, links not followed.
fn is_there(path: &str) -> io::Result<bool> {
    match Path::new(path).symlink_metadata() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        looked => Ok(looked.is_ok()),
    }
}

/// The same, where what cannot be looked at is as good as not there.
fn exists(path: &str) -> bool {
    is_there(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_that_is_refused_for_ever_is_given_up() {
        // A cgroup whose process cannot be moved and that has nothing to enable: shell entrypoints turn round for ever.
        let directory = tempfile::tempdir().unwrap();
        let group = directory.path().join("group");
        fs::create_dir_all(group.join(INIT_CGROUP)).unwrap();
        fs::write(group.join("cgroup.procs"), "1\n").unwrap();
        let group = group.display().to_string();
        let error = enable_controller(&group, "cpu").unwrap_err();
        assert_eq!(error.path, format!("{group}/cgroup.subtree_control"));
        let moved = fs::read_to_string(format!("{group}/{INIT_CGROUP}/cgroup.procs")).unwrap();
        assert_eq!(moved, "1");
        let error = move_processes(&group, &format!("{group}/{INIT_CGROUP}")).unwrap_err();
        assert_eq!(error.reason, "new processes keep appearing there");
    }
}
