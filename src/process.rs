//! Processes: how one is started, told, waited for and reaped. The bottom of the house: nothing of ours is used here.
#![expect(unsafe_code, reason = "pre_exec, the environment, and descriptors that were handed over by number")]

#[cfg(test)]
pub(crate) mod alone;
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

/// Whether it is so within ten seconds. What a test has closed is open for a moment longer where another one is just
/// starting a child: that has copies of all descriptors until its exec(2).
#[cfg(test)]
pub(crate) fn soon(mut is_so: impl FnMut() -> bool) -> bool {
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        if is_so() || std::time::Instant::now() >= patience {
            return is_so();
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// A process of a test's, for the most part one that does nothing: it ends with the test, however that ends.
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::os::unix::process::ExitStatusExt as _;
    use std::time::{Duration, Instant};

    use nix::fcntl::{FcntlArg, fcntl};
    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;

    /// A descriptor that children would get; what it is of does no harm there.
    fn open_for_children() -> RawFd {
        fcntl(fs::File::open("/dev/null").unwrap(), FcntlArg::F_DUPFD(3)).unwrap()
    }

    fn closes_at_exec(number: RawFd) -> bool {
        let flags = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
        let flags = flags.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        i32::from_str_radix(flags, 8).unwrap() & libc::O_CLOEXEC != 0
    }

    /// The signal that ends it.
    fn signal_at_end(sleeper: &mut Sleeper) -> Option<i32> {
        output::wait_until(&mut sleeper.0, None, Instant::now() + Duration::from_secs(10)).unwrap()?.signal()
    }

    #[test]
    fn soft_limits_are_those_that_are_asked_for_and_no_higher_than_the_hard_ones() {
        let run = |asked: &[(&str, Option<u64>)]| {
            let asked: Vec<_> = asked.iter().map(|(name, soft)| ((*name).to_owned(), *soft)).collect();
            let mut command = Command::new("cat");
            with_soft_limits(command.arg("/proc/self/limits"), &asked);
            let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
            ["Max open files", "Max processes"].map(|name| {
                let row = text.lines().find_map(|line| line.strip_prefix(name)).unwrap().split_whitespace();
                row.take(2).map(str::to_owned).collect::<Vec<_>>()
            })
        };
        let [files, processes] = run(&[]);
        let soft = |soft: &str, row: &[String]| vec![soft.to_owned(), row[1].clone()];
        let asked = run(&[("nofile", Some(64)), ("nproc", Some(4000))]);
        assert_eq!(asked, [soft("64", &files), soft("4000", &processes)]);
        let of_hard = |row: &[String]| soft(&row[1], row);
        assert_eq!(run(&[("nofile", None), ("core", Some(0))]), [of_hard(&files), processes.clone()]);
        assert_eq!(run(&[("nproc", None), ("nofile", Some(u64::MAX - 1))]), [of_hard(&files), of_hard(&processes)]);
    }

    #[test]
    fn a_child_ends_with_the_thread_that_started_it() {
        let start = || {
            let mut command = Command::new("sleep");
            dies_with_us(command.arg("1000"));
            Sleeper(command.spawn().unwrap())
        };
        let mut child = std::thread::spawn(start).join().unwrap();
        assert_eq!(signal_at_end(&mut child), Some(libc::SIGTERM));
    }

    #[test]
    fn signals_are_sent_by_their_numbers() {
        for signal in [libc::SIGHUP, 40] {
            let mut child = Sleeper::start();
            send_signal(Pid::from_raw(i32::try_from(child.0.id()).unwrap()), signal);
            assert_eq!(signal_at_end(&mut child), Some(signal));
        }
    }

    #[test]
    fn what_runs_in_the_background_leads_a_session() {
        let mut command = Command::new("sh");
        in_background(command.args(["-c", "echo $$; cat /proc/$$/stat"]));
        let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let (pid, stat) = text.split_once('\n').unwrap();
        // The group and the session (proc_pid_stat(5)), counted from the end of the name.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        assert_eq!(fields[2..4], [pid, pid]);
    }

    #[test]
    fn a_descriptor_that_was_left_open_is_taken_over() {
        let number = open_for_children();
        assert!(!closes_at_exec(number));
        let taken = inherited(number).unwrap();
        assert_eq!(taken.as_raw_fd(), number);
        assert!(closes_at_exec(number));
        for number in [i32::MAX, -1, 2] {
            let error = inherited(number).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            assert_eq!(error.to_string(), format!("there is no open descriptor {number}"));
        }
    }

    #[test]
    fn children_get_the_first_three_descriptors_and_no_other() {
        alone::passes(&mut alone::command(|| {
            let number = open_for_children();
            let flags = || [0, 1, 2, number].map(closes_at_exec);
            assert_eq!(flags(), [false; 4]);
            hand_none_on().unwrap();
            assert_eq!(flags(), [false, false, false, true]);
        }));
    }

    #[test]
    fn variables_are_made_and_empty_ones_of_a_prefix_taken_out() {
        let mut command = alone::command(|| {
            set_variable("OWN_NEW", "y");
            remove_empty_variables("OWN_");
            let values = ["OWN_NEW", "OWN_EMPTY", "OWN_FULL", "OTHER_EMPTY"].map(|name| std::env::var(name).ok());
            assert_eq!(values.each_ref().map(Option::as_deref), [Some("y"), None, Some("x"), Some("")]);
        });
        alone::passes(command.env("OWN_EMPTY", "").env("OWN_FULL", "x").env("OTHER_EMPTY", ""));
    }

    #[test]
    fn a_process_with_threads_is_not_forked() {
        let result = std::thread::scope(|scope| scope.spawn(|| fork(|| 0)).join().unwrap());
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn children_are_reaped_with_their_statuses() {
        alone::passes(&mut alone::command(|| {
            assert_eq!(reap().unwrap(), None, "there is no child");
            let _other = Sleeper::start();
            for (script, status) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -40 $$", 168)] {
                let child = Sleeper(Command::new("sh").args(["-c", script]).spawn().unwrap());
                let pid = i32::try_from(child.0.id()).unwrap();
                let id = WaitId::Pid(rustix::process::Pid::from_raw(pid).unwrap());
                waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
                assert_eq!(reap().unwrap(), Some((Pid::from_raw(pid), status)), "{script}");
                assert_eq!(reap().unwrap(), None, "none has ended");
            }
        }));
    }
}
