//! Starting children: by fork and exec with nothing between them that could wait, since there is one thread.
#![expect(unsafe_code, reason = "fork(2)")]

use std::convert::Infallible;
use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::sched::{CloneFlags, setns};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Gid, Pid, Uid, execve, fork, getpid, pipe2, setgid, setgroups, setpgid, setuid};

use super::message::Identity;

/// The first descriptor that a program gets which is started with its sockets open (sd_listen_fds(3)).
const LISTEN_FDS_START: RawFd = 3;

/// Above all numbers that a program gets, and no higher: there may be few.
fn above(program: &Program) -> RawFd {
    LISTEN_FDS_START + RawFd::try_from(program.sockets.len()).unwrap_or_default()
}

/// A program that is to be started.
#[derive(Debug, Default)]
pub(super) struct Program<'a> {
    /// Its file.
    pub(super) file: PathBuf,
    /// Its name and arguments.
    pub(super) words: &'a [String],
    /// Variables beside ours.
    pub(super) set: &'a [(String, String)],
    /// Variables of ours that it does not get.
    pub(super) unset: &'a [String],
    /// Soft limits: name and value; `None` for unlimited.
    pub(super) soft_limits: &'a [(String, Option<u64>)],
    /// Standard input; `None` for nothing to read.
    pub(super) stdin: Option<BorrowedFd<'a>>,
    /// Standard output; `None` for ours.
    pub(super) stdout: Option<BorrowedFd<'a>>,
    /// Standard error; `None` for ours.
    pub(super) stderr: Option<BorrowedFd<'a>>,
    /// Listening sockets, which it is told of by LISTEN_FDS and LISTEN_PID.
    pub(super) sockets: &'a [BorrowedFd<'a>],
    /// A cgroup namespace to be in; `None` for ours.
    pub(super) cgroup_namespace: Option<BorrowedFd<'a>>,
    /// Descriptors that it keeps under their numbers.
    pub(super) keep: &'a [BorrowedFd<'a>],
    /// Who it is run as; `None` for who we are.
    pub(super) identity: Option<&'a Identity>,
    /// What it gets when we end; nothing for a job, whose end is ours.
    pub(super) dies_with_us: Option<Signal>,
    /// Whether it gets the terminal on standard input, where there is one.
    pub(super) takes_terminal: bool,
}

/// Where the file of a program is: a path as it stands, a name in the PATH that the program gets.
pub(super) fn file(word: &str, set: &[(String, String)]) -> io::Result<PathBuf> {
    if word.contains('/') {
        return Ok(PathBuf::from(word));
    }
    let own = set.iter().find(|(name, _)| name == "PATH").map(|(_, value)| OsString::from(value));
    let path = own
        .or_else(|| env::var_os("PATH"))
        .unwrap_or_else(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
    env::split_paths(&path)
        .map(|directory| directory.join(word))
        .find(|file| nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).is_ok() && !file.is_dir())
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

/// Starts it, in a process group of its own, with clean signals. It has been exec'ed when this returns.
pub(super) fn spawn(program: &Program) -> io::Result<Pid> {
    let (errors, theirs) = pipe2(OFlag::O_CLOEXEC)?;
    let mut errors = File::from(errors);
    let number = fcntl(&theirs, FcntlArg::F_DUPFD_CLOEXEC(above(program)))?;
    // The end below would be held open here, and in a program that gets that number.
    drop(theirs);
    // SAFETY: it has just been made, and has no other owner.
    let theirs = unsafe { OwnedFd::from_raw_fd(number) };
    // SAFETY: there is one thread, so that no lock can be held by another one, and the child may do anything.
    match unsafe { fork() }? {
        ForkResult::Child => {
            let Err(error) = exec(program);
            let _ = nix::unistd::write(&theirs, &(error as i32).to_ne_bytes());
            // SAFETY: ends the child alone, without what belongs to its parent being run or flushed.
            unsafe { nix::libc::_exit(127) }
        }
        ForkResult::Parent { child } => {
            drop(theirs);
            let mut error = [0; 4];
            match errors.read_exact(&mut error) {
                // It was closed by exec.
                Err(_) => Ok(child),
                Ok(()) => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(error))),
            }
        }
    }
}

/// The child's part.
fn exec(program: &Program) -> Result<Infallible, Errno> {
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    if program.takes_terminal {
        crate::process::foreground(getpid());
    }
    if let Some(namespace) = program.cgroup_namespace {
        setns(namespace, CloneFlags::CLONE_NEWCGROUP)?;
    }
    for (name, soft) in program.soft_limits {
        let resource = match name.as_str() {
            "nofile" => Resource::RLIMIT_NOFILE,
            "nproc" => Resource::RLIMIT_NPROC,
            _ => continue,
        };
        let (_, hard) = getrlimit(resource)?;
        setrlimit(resource, soft.unwrap_or(RLIM_INFINITY).min(hard), hard)?;
    }
    let count = RawFd::try_from(program.sockets.len()).unwrap_or(0);
    place(program, count)?;
    let listen = [("LISTEN_FDS".to_owned(), count.to_string()), ("LISTEN_PID".to_owned(), getpid().to_string())];
    let listen = if count > 0 { &listen[..] } else { &[] };
    let environment = environment(program, listen);
    let words: Vec<CString> = program.words.iter().filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
    let file = CString::new(program.file.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    if let Some(Identity { uid, gid, groups }) = program.identity {
        let groups: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
        setgroups(&groups)?;
        setgid(Gid::from_raw(*gid))?;
        setuid(Uid::from_raw(*uid))?;
    }
    // A change of the user would take it back (prctl(2), PR_SET_PDEATHSIG).
    if let Some(signal) = program.dies_with_us {
        nix::sys::prctl::set_pdeathsig(signal)?;
    }
    clean_signals()?;
    execve(&file, &words, &environment)
}

/// Puts the descriptors in their places. All are moved out of the way first, so that none is written over.
fn place(program: &Program, count: RawFd) -> Result<(), Errno> {
    let moved = |fd: BorrowedFd| fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(above(program)));
    let sockets = program.sockets.iter().map(|fd| moved(*fd)).collect::<Result<Vec<RawFd>, Errno>>()?;
    let null = program.stdin.is_none().then(|| open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()));
    let null = null.and_then(Result::ok);
    let stdin = program.stdin.or(null.as_ref().map(AsFd::as_fd));
    let streams = [stdin, program.stdout, program.stderr].map(|stream| stream.map(moved).transpose());
    for (number, stream) in (0..).zip(streams) {
        if let Some(fd) = stream? {
            dup_to(fd, number)?;
        }
    }
    for (number, fd) in (LISTEN_FDS_START..LISTEN_FDS_START + count).zip(sockets) {
        dup_to(fd, number)?;
    }
    for fd in program.keep {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    Ok(())
}

/// dup2(2), which leaves the new descriptor open across exec.
fn dup_to(fd: RawFd, number: RawFd) -> Result<(), Errno> {
    // SAFETY: takes two numbers; what had the second one is closed in the child alone, which is about to exec.
    Errno::result(unsafe { nix::libc::dup2(fd, number) }).map(drop)
}

/// Our environment without what is for us alone, and with what the program gets beside it.
fn environment(program: &Program, listen: &[(String, String)]) -> Vec<CString> {
    let more: Vec<(&OsStr, &OsStr)> = program
        .set
        .iter()
        .chain(listen)
        .map(|(name, value)| (OsStr::new(name.as_str()), OsStr::new(value.as_str())))
        .collect();
    let is_ours = |name: &OsStr| {
        name == super::VARIABLE
            || program.unset.iter().any(|unset| name == unset.as_str())
            || more.iter().any(|(other, _)| *other == name)
    };
    let own = env::vars_os().filter(|(name, _)| !is_ours(name));
    let join = |name: &OsStr, value: &OsStr| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok();
    let own: Vec<CString> = own
        .filter_map(|(name, value)| CString::new([name.into_vec(), b"=".to_vec(), value.into_vec()].concat()).ok())
        .collect();
    own.into_iter().chain(more.into_iter().filter_map(|(name, value)| join(name, value))).collect()
}

/// No signal blocked, and SIGPIPE as the kernel has it: Rust's start takes no notice of it, which would be handed on.
fn clean_signals() -> Result<(), Errno> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler of ours is replaced.
    unsafe { sigaction(Signal::SIGPIPE, &default)? };
    SigSet::empty().thread_set_mask()
}
