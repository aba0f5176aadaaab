//! Processes: how one is started, told, waited for and reaped. The bottom of the house: nothing of ours is used here.
#![expect(unsafe_code, reason = "pre_exec, the environment, and descriptors that were handed over by number")]

pub mod level;
pub mod memory;
pub mod output;
pub mod stat;
pub mod terminal;

use std::fs;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, Pid};
use rustix::process::{WaitOptions, wait};

pub use output::{Output, output_until, timeout};
pub use terminal::{foreground, takes_terminal};

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

/// Takes over a descriptor that our parent process left open for us; children do not get it.
///
/// # Errors
/// There is no such descriptor.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl takes numbers and touches no memory.
    if number <= 2 || unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no open descriptor {number}")));
    }
    // SAFETY: it is open, and called before we open any of our own, it has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Keeps the descriptors that our parent process left open, but for the first three, from our children: one in the
/// background would hold a pipe open that its reader reads to the end.
///
/// # Errors
/// They cannot be listed.
pub fn hand_none_on() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let number: Option<RawFd> = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(number) = number.filter(|number| *number > 2) {
            // SAFETY: fcntl takes numbers and touches no memory; the number of a closed one is refused.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// Makes the child of a command lead a session of its own, which no terminal and no shell ends.
pub fn in_background(command: &mut Command) {
    // SAFETY: only async-signal-safe calls (setsid) happen between fork and exec.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            Ok(())
        });
    }
}

/// Sends a signal by its number, real-time ones included. A process that is gone needs none.
pub fn send_signal(pid: Pid, signal: i32) {
    // SAFETY: kill takes two numbers and touches no memory. (nix and rustix have no real-time signals to send.)
    unsafe { libc::kill(pid.as_raw(), signal) };
}

/// Runs `work` in a child of this process; gives its pid. The child ends with the status that `work` gives. For where
/// threads and other programs cannot be started: they take clone3(2), which the system call filters of old engines refuse,
/// and fork(2) does not.
///
/// # Errors
/// The kernel's error; `Unsupported` in a process with threads, whose locks might stay locked in the child.
pub fn fork(work: impl FnOnce() -> u8) -> io::Result<Pid> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: there is no other thread whose locks the child would inherit.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let status = work();
            // SAFETY: it ends the process and touches no memory.
            unsafe { libc::_exit(i32::from(status)) }
        }
    }
}

/// What clone3(2) says when nothing is asked of it: EINVAL, or ENOSYS of a kernel before 5.3, unless something forbids it.
pub fn clone3_of_nothing() -> Errno {
    // SAFETY: a size of 0 is refused before anything is read or made.
    unsafe { libc::syscall(libc::SYS_clone3, std::ptr::null::<u8>(), 0) };
    Errno::last()
}

/// Reaps one child that has ended: its pid and exit status, 128+N for signal N. (nix's `waitpid` fails on one that a
/// real-time signal ended, and its status is lost.) None: there is none at the moment.
///
/// # Errors
/// The kernel's error.
pub fn reap() -> io::Result<Option<(Pid, u8)>> {
    loop {
        let (pid, status) = match wait(WaitOptions::NOHANG) {
            Ok(Some(ended)) => ended,
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(None),
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let status = status.terminating_signal().map(|signal| 128 + signal).or(status.exit_status());
        let status = status.and_then(|status| u8::try_from(status).ok()).unwrap_or(u8::MAX);
        return Ok(Some((Pid::from_raw(pid.as_raw_nonzero().get()), status)));
    }
}

/// A process that does nothing, for tests: it ends with the test, however that ends.
#[cfg(test)]
pub(crate) struct Sleeper(pub(crate) std::process::Child);

#[cfg(test)]
impl Sleeper {
    /// Starts one, which has no stream of the test's.
    pub(crate) fn start() -> Self {
        use std::process::Stdio;
        let mut command = Command::new("sleep");
        command.arg("1000").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

#[cfg(test)]
impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
