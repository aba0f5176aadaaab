//! The one door for acting on the system: steps of fixes, and processes started with clean signals.
#![expect(unsafe_code, reason = "pre_exec and system calls that nix does not have")]

mod image;
pub mod memory;

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::kmod::{DeleteModuleFlags, delete_module};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::Pid;

use crate::fix::cgroup::INIT_CGROUP;
use crate::fix::step::{LOSES_DEVICES, STAGING, Step};

/// Why a step could not be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {verb} {path}: {reason}")]
pub struct StepError {
    /// What could not be done.
    pub verb: &'static str,
    /// On what.
    pub path: String,
    /// What the kernel said.
    pub reason: String,
}

impl StepError {
    fn new(verb: &'static str, path: &str, error: &dyn std::fmt::Display) -> Self {
        Self { verb, path: path.to_owned(), reason: error.to_string() }
    }
}

/// What carries out steps: the kernel, or in tests a recorder that can fail on purpose.
pub trait System {
    /// Carries out one step. A step is done as a whole or not at all.
    ///
    /// # Errors
    /// What could not be done, on which path, and what the kernel said.
    fn perform(&mut self, step: &Step) -> Result<(), StepError>;

    /// Takes away what a step that was killed in its midst has left, of what it needs for a moment.
    fn sweep(&mut self) {}

    /// Whether a file that [`Step::MakeImage`] has made holds what somebody has stored since.
    fn holds_data(&mut self, _image: &str) -> bool {
        false
    }
}

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
                fs::write(path, content).map_err(|e| StepError::new("write", path, &e))
            }
            Step::RemoveFile { path, .. }
            | Step::RemoveLink { path, .. }
            | Step::RemoveSocket { path, .. }
            | Step::RemoveImage { path, .. }
            | Step::RemoveNode { path, .. } => fs::remove_file(path).map_err(|e| StepError::new("remove", path, &e)),
            // Dropping the listener leaves the dead file, just as it was.
            Step::MakeDeadSocket { path, mode } => UnixListener::bind(path)
                .and_then(|_| fs::set_permissions(path, fs::Permissions::from_mode(*mode)))
                .map_err(|e| StepError::new("make the socket", path, &e)),
            Step::MakeNode { path, major, minor } => {
                let device = makedev((*major).into(), (*minor).into());
                mknod(path.as_str(), SFlag::S_IFCHR, Mode::from_bits_truncate(0o600), device)
                    .map_err(|e| StepError::new("make the node", path, &e))
            }
            Step::SetSysctl { path, value, .. } => {
                fs::write(path, value).map_err(|e| StepError::new("write to", path, &format!("`{value}`: {e}")))
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
            Step::MakeImage { path, bytes } => {
                image::make(path, *bytes).map_err(|e| StepError::new("make a file system in", path, &e))
            }
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

    fn holds_data(&mut self, path: &str) -> bool {
        image::holds_data(path)
    }
}

/// How long a program may take to write a rule.
const RULE_DEADLINE: Duration = Duration::from_secs(10);

fn change_rule(program: &str, table: &str, change: &str, rule: &str) -> Result<(), StepError> {
    let failed = |reason: &dyn std::fmt::Display| StepError::new("change a rule with", program, reason);
    let mut command = Command::new(program);
    command.args(["-t", table, change]).args(rule.split(' '));
    clean_signals(&mut command);
    let output = output_until(&mut command, None, Instant::now() + RULE_DEADLINE).map_err(|error| failed(&error))?;
    if output.status.success() { Ok(()) } else { Err(failed(&format!("{rule}: {}", output.stderr.trim()))) }
}

fn mount_filesystem(fstype: &str, target: &str, options: &str) -> Result<(), StepError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(fstype), target, Some(fstype), flags, Some(options))
        .map_err(|e| StepError::new("mount a file system on", target, &e))
}

/// Mounts a cgroup hierarchy with `root` (a cgroup in it) at its top, so that nothing above that cgroup is seen:
/// the whole hierarchy goes to a directory of ours, its part is bound, the whole is taken away again.
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
    result.and(removed)
}

fn remount(target: &str, flags: &BTreeSet<String>, read_only: bool) -> Result<(), StepError> {
    let mut all = MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
    // A bind remount sets all flags anew, so those that the mount has are said again.
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
/// when somebody who may load one asks for an interface of that name (net/core/dev_ioctl.c: dev_load).
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

/// Makes the child of a command start with no signal blocked: std hands our mask on, and a daemon (and every container
/// below it) would never see a signal.
pub fn clean_signals(command: &mut Command) {
    // SAFETY: only async-signal-safe calls (sigprocmask) happen between fork and exec.
    unsafe {
        command.pre_exec(|| {
            SigSet::empty().thread_set_mask()?;
            Ok(())
        });
    }
}

/// Makes the child of a command start in new namespaces.
pub fn in_namespaces(command: &mut Command, namespaces: CloneFlags) {
    // SAFETY: only async-signal-safe calls (unshare) happen between fork and exec.
    unsafe {
        command.pre_exec(move || {
            unshare(namespaces)?;
            Ok(())
        });
    }
}

/// Makes the child of a command start with other soft limits: name (`nofile`, `nproc`) and value, none for unlimited.
pub fn with_soft_limits(command: &mut Command, limits: &[(String, Option<u64>)]) {
    let known = [("nofile", Resource::RLIMIT_NOFILE), ("nproc", Resource::RLIMIT_NPROC)];
    let limits: Vec<(Resource, Option<u64>)> =
        limits.iter().filter_map(|(name, soft)| Some((known.iter().find(|(own, _)| own == name)?.1, *soft))).collect();
    // SAFETY: only async-signal-safe calls (getrlimit, setrlimit) happen between fork and exec.
    unsafe {
        command.pre_exec(move || {
            for (resource, soft) in &limits {
                let (_, hard) = getrlimit(*resource)?;
                setrlimit(*resource, soft.unwrap_or(RLIM_INFINITY).min(hard), hard)?;
            }
            Ok(())
        });
    }
}

/// Makes the child of a command get SIGTERM when the thread that started it ends: a daemon is not left alone.
pub fn dies_with_us(command: &mut Command) {
    // SAFETY: only async-signal-safe calls (prctl) happen between fork and exec.
    unsafe {
        command.pre_exec(|| {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)?;
            Ok(())
        });
    }
}

/// Makes the child of a command lead a process group of its own, in the foreground where standard input is a terminal:
/// so the terminal's signals and input are the child's (as tini does it).
pub fn takes_terminal(command: &mut Command) {
    command.process_group(0);
    // SAFETY: only async-signal-safe calls (getpid, sigprocmask, tcsetpgrp) happen between fork and exec.
    unsafe {
        command.pre_exec(|| {
            foreground(nix::unistd::getpid());
            Ok(())
        });
    }
}

/// Puts a process group of our session into the foreground. Without a terminal there is none to give.
pub fn foreground(group: Pid) {
    // Who is in the background may not do this unless it takes no notice of SIGTTOU (tcsetpgrp(3)).
    let mut refusal = SigSet::empty();
    refusal.add(nix::sys::signal::Signal::SIGTTOU);
    let Ok(before) = refusal.thread_swap_mask(SigmaskHow::SIG_BLOCK) else { return };
    let _ = nix::unistd::tcsetpgrp(io::stdin(), group);
    let _ = before.thread_set_mask();
}

/// Makes a variable of this process, and so of its children. Only for a time when there is one thread.
pub fn set_variable(name: &str, value: &str) {
    // SAFETY: called at the start, before any other thread exists that could read the environment.
    unsafe { std::env::set_var(name, value) };
}

/// Takes the variables whose names begin so, and that are empty, out of this process's environment. Only for a time when
/// there is one thread.
pub fn remove_empty_variables(prefix: &str) {
    for (name, value) in std::env::vars_os() {
        if value.is_empty() && name.as_encoded_bytes().starts_with(prefix.as_bytes()) {
            // SAFETY: called at the start, before any other thread exists that could read the environment.
            unsafe { std::env::remove_var(&name) };
        }
    }
}

/// Takes over a descriptor that whoever started us left open for us; children do not get it.
///
/// # Errors
/// There is no such descriptor.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl takes numbers and touches no memory.
    if number <= 2 || unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no open descriptor {number}")));
    }
    // SAFETY: it is open, and called before we open any of our own, it is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Gives memory back that was needed once: free heap, and pages of the program itself, which come back from its file
/// when they are run again.
pub fn shed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim touches only free memory.
    unsafe {
        libc::malloc_trim(0);
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for line in maps.lines() {
        // START-END PERMISSIONS OFFSET … Code and constants, which lie at the beginning of the file, are never written, so
        // that nothing can be lost. What the loader has relocated is read-only too, and would be.
        let mut fields = line.split_whitespace();
        let (Some(range), Some(permissions), Some(offset)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let is_constant = permissions == "r--p" && offset.bytes().all(|digit| digit == b'0');
        if !line.contains('/') || !(permissions == "r-xp" || is_constant) {
            continue;
        }
        let Some((Ok(start), Ok(end))) =
            range.split_once('-').map(|(a, b)| (usize::from_str_radix(a, 16), usize::from_str_radix(b, 16)))
        else {
            continue;
        };
        // SAFETY: a private mapping of a file that was never written to reads the same from the file again.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
    }
}

/// Sends a signal by its number, real-time ones included. A process that is gone needs none.
pub fn send_signal(pid: Pid, signal: i32) {
    // SAFETY: kill takes two numbers and touches no memory.
    unsafe { libc::kill(pid.as_raw(), signal) };
}

/// Reaps one child that has ended: its pid and exit status, 128+N for signal N. (nix's `waitpid` fails on one that a
/// real-time signal ended, and its status is lost.) None: there is none at the moment.
///
/// # Errors
/// What the kernel said.
pub fn reap() -> io::Result<Option<(Pid, u8)>> {
    loop {
        let mut status = 0;
        // SAFETY: waitpid writes to the number that it is given, and only there.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if pid == 0 {
            return Ok(None);
        }
        if pid < 0 {
            match Errno::last() {
                Errno::ECHILD => return Ok(None),
                Errno::EINTR => continue,
                error => return Err(error.into()),
            }
        }
        let status = if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) };
        return Ok(Some((Pid::from_raw(pid), u8::try_from(status).unwrap_or(u8::MAX))));
    }
}

/// A descriptor that becomes readable when the process ends (pidfd_open(2), Linux 5.3).
fn pidfd(child: &Child) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes a pid and flags and gives a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What a program printed, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// Standard output, bytes that are no UTF-8 replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// How it ended.
    pub status: ExitStatus,
}

/// Runs a command to its end, with `input` (small: it is written before anything is read) on its standard input.
/// At the deadline it is killed.
///
/// # Errors
/// `TimedOut` at the deadline; else what starting or reading gave.
pub fn output_until(command: &mut Command, input: Option<&[u8]>, deadline: Instant) -> io::Result<Output> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // A program that does not read is judged by its status.
        let _ = stdin.write_all(input);
    }
    let streams = collect(&mut child, deadline);
    if streams.is_err() {
        let _ = child.kill();
    }
    let status = child.wait()?;
    let [stdout, stderr] = streams?;
    Ok(Output { stdout, stderr, status })
}

fn collect(child: &mut Child, deadline: Instant) -> io::Result<[String; 2]> {
    let ended = pidfd(child).ok();
    let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("the program's output is not connected"));
    };
    let mut texts = [Vec::new(), Vec::new()];
    let mut open = [true, true];
    loop {
        let mut fds = Vec::with_capacity(3);
        if open[0] {
            fds.push(PollFd::new(stdout.as_fd(), PollFlags::POLLIN));
        }
        if open[1] {
            fds.push(PollFd::new(stderr.as_fd(), PollFlags::POLLIN));
        }
        if let Some(ended) = &ended {
            fds.push(PollFd::new(ended.as_fd(), PollFlags::POLLIN));
        }
        // Without a pidfd the end of both streams is the end.
        if fds.is_empty() {
            break;
        }
        if poll(&mut fds, timeout(deadline))? == 0 {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it did not end in time"));
        }
        let ready: BTreeSet<RawFd> =
            fds.iter().filter(|fd| fd.any().unwrap_or(false)).map(|fd| fd.as_fd().as_raw_fd()).collect();
        if ready.contains(&stdout.as_raw_fd()) && open[0] {
            open[0] = read_some(&mut stdout, &mut texts[0])?;
        }
        if ready.contains(&stderr.as_raw_fd()) && open[1] {
            open[1] = read_some(&mut stderr, &mut texts[1])?;
        }
        let has_ended = ended.as_ref().is_some_and(|ended| ready.contains(&ended.as_raw_fd()));
        // What the program left running may hold the streams open; what it wrote itself has been read by now.
        if has_ended && ready.len() == 1 {
            break;
        }
    }
    Ok(texts.map(|text| String::from_utf8_lossy(&text).into_owned()))
}

fn read_some(stream: &mut impl io::Read, text: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 8192];
    let count = stream.read(&mut buffer)?;
    text.extend_from_slice(&buffer[..count]);
    Ok(count > 0)
}

/// The time to a deadline, as poll wants it: in milliseconds, rounded up, so that a wait never ends early and spins.
pub fn timeout(deadline: Instant) -> PollTimeout {
    let left = deadline.saturating_duration_since(Instant::now());
    let millis = left.as_millis().saturating_add(u128::from(!left.is_zero()));
    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
}

/// Makes each packet of a socket go out whole or not at all, whatever is known of the way: IP_MTU_DISCOVER with
/// IP_PMTUDISC_PROBE (ip(7)), which nix does not have.
///
/// # Errors
/// What the kernel said.
pub fn never_fragment(socket: &OwnedFd) -> io::Result<()> {
    let value: libc::c_int = libc::IP_PMTUDISC_PROBE;
    let size = libc::socklen_t::try_from(size_of_val(&value)).map_err(io::Error::other)?;
    // SAFETY: the pointer and the size are those of `value`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, (&raw const value).cast(), size)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets an extended attribute of a file and reads it back (xattr(7)); neither std nor nix has them.
///
/// # Errors
/// What the kernel said.
pub fn set_and_get_xattr(path: &CStr, name: &CStr, value: &[u8]) -> io::Result<Vec<u8>> {
    // SAFETY: two strings that end with NUL, and a buffer with its length.
    let set = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut buffer = vec![0_u8; 256];
    // SAFETY: two strings that end with NUL, and a buffer with its length, of which no more is written.
    let count = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    buffer.truncate(usize::try_from(count).map_err(|_| io::Error::last_os_error())?);
    Ok(buffer)
}

/// Whether a file has an extended attribute of this name.
pub fn has_xattr(path: &Path, name: &CStr) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: two strings that end with NUL; with no buffer the length alone is told.
    unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) >= 0 }
}

/// Whether a file system path is there, links not followed.
pub fn exists(path: &str) -> bool {
    Path::new(path).symlink_metadata().is_ok()
}

/// Opens `/proc/self/exe`: the running binary, also when its file is gone.
///
/// # Errors
/// What the open gave.
pub fn own_binary() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open("/proc/self/exe")?.read_to_end(&mut bytes)?;
    Ok(bytes)
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
