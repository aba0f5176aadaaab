//! System calls of a thread, and of the programs that it starts, that fail or never return: each one of those in errnos.txt
//! is held by the kernel and told to us (seccomp_unotify(2)), and goes on, or fails as we say.
#![expect(unsafe_code, reason = "the filter and its listener")]

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// A system call: its name, and what it can give.
pub(super) struct Call {
    pub(super) name: &'static str,
    number: i64,
    /// The errors that are documented for it.
    pub(super) errors: Vec<Errno>,
    /// Whether it changes what others see.
    pub(super) changes: bool,
}

/// The calls' numbers, by their names in libc.
macro_rules! numbers {
    ($($name:ident $number:ident,)*) => { &[$((stringify!($name), libc::$number)),*] };
}

/// What this architecture has of them.
const NUMBERS: &[(&str, i64)] = numbers! {
    faccessat SYS_faccessat, faccessat2 SYS_faccessat2, bind SYS_bind, fchmodat SYS_fchmodat, clone SYS_clone,
    clone3 SYS_clone3, delete_module SYS_delete_module, execve SYS_execve, fcntl SYS_fcntl, fdatasync SYS_fdatasync,
    fsync SYS_fsync, ftruncate SYS_ftruncate, getdents64 SYS_getdents64, ioctl SYS_ioctl, listen SYS_listen,
    lseek SYS_lseek, mkdirat SYS_mkdirat, mknodat SYS_mknodat, mount SYS_mount, openat SYS_openat,
    pidfd_open SYS_pidfd_open, pipe2 SYS_pipe2, ppoll SYS_ppoll, pread64 SYS_pread64, read SYS_read,
    readlinkat SYS_readlinkat, recvfrom SYS_recvfrom, recvmsg SYS_recvmsg, renameat SYS_renameat,
    renameat2 SYS_renameat2, sendmsg SYS_sendmsg, sendto SYS_sendto, setpgid SYS_setpgid, socket SYS_socket,
    fstat SYS_fstat, newfstatat SYS_newfstatat, statx SYS_statx, symlinkat SYS_symlinkat, umount2 SYS_umount2,
    unlinkat SYS_unlinkat, unshare SYS_unshare, wait4 SYS_wait4, waitid SYS_waitid, write SYS_write,
};
#[cfg(target_arch = "x86_64")]
const OLD_NUMBERS: &[(&str, i64)] = numbers! {
    access SYS_access, chmod SYS_chmod, fork SYS_fork, vfork SYS_vfork, mkdir SYS_mkdir, mknod SYS_mknod,
    open SYS_open, poll SYS_poll, readlink SYS_readlink, rename SYS_rename, rmdir SYS_rmdir, stat SYS_stat,
    lstat SYS_lstat, symlink SYS_symlink, unlink SYS_unlink,
};
#[cfg(not(target_arch = "x86_64"))]
const OLD_NUMBERS: &[(&str, i64)] = &[];

/// The calls of errnos.txt that this architecture has.
pub(super) fn calls() -> Vec<Call> {
    let errors = |names: &str| -> Vec<Errno> {
        let by_name = |name: &str| (1..134).map(Errno::from_raw).find(|errno| format!("{errno:?}") == name);
        names.split_whitespace().map(|name| by_name(name).unwrap_or_else(|| panic!("no error is {name}"))).collect()
    };
    let lines = include_str!("errnos.txt").lines().filter(|line| !line.starts_with('#'));
    let rows = lines.map(|line| line.split_once(": ").expect("calls and their errors"));
    let all = rows.flat_map(|(names, row)| {
        let changes = names.ends_with('!');
        names.split_whitespace().filter(|name| *name != "!").map(move |name| (name, row, changes))
    });
    all.filter_map(|(name, row, changes)| {
        let (_, number) = NUMBERS.iter().chain(OLD_NUMBERS).find(|(own, _)| *own == name)?;
        Some(Call { name, number: *number, errors: errors(row), changes })
    })
    .collect()
}

/// Whether the thread is in a step, and not in the journal.
pub(super) static IN_STEP: AtomicBool = AtomicBool::new(false);

/// Which call: its place in [`calls`], the how-manieth of it, and whether of a child that is not yet another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point {
    pub(super) call: usize,
    pub(super) count: usize,
    pub(super) in_child: bool,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It fails, and does nothing.
    Fails(Errno),
    /// This process is killed instead.
    Kills,
}

/// Runs `act` in a thread of its own, whose call at `fault` has that fate. Gives what it gave, or none if it panicked;
/// and the calls that it made, in their order, each with
/// whether it was in a step.
pub(super) fn with_fault<T: Send>(
    calls: &[Call],
    fault: Option<(Point, Fate)>,
    act: impl FnOnce() -> T + Send,
) -> (Option<T>, Vec<(Point, bool)>) {
    std::thread::scope(|scope| {
        let (give, take) = channel();
        let worker = scope.spawn(move || {
            give.send(listen(calls).expect("a filter")).expect("the listener is taken");
            act()
        });
        let seen = hold(&take.recv().expect("a listener"), calls, fault).expect("calls are told");
        (worker.join().ok(), seen)
    })
}

/// Has the kernel tell us of the calls of this thread and of what it starts.
fn listen(calls: &[Call]) -> io::Result<OwnedFd> {
    let statement = |code: u32, k: u32, jt: usize| libc::sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt: u8::try_from(jt).unwrap_or_default(),
        jf: 0,
        k,
    };
    // The number of the call is the first word (struct seccomp_data).
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0)];
    program.extend(calls.iter().enumerate().map(|(index, call)| {
        let number = u32::try_from(call.number).unwrap_or_default();
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, number, calls.len() - index)
    }));
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0));
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF, 0));
    let program =
        libc::sock_fprog { len: u16::try_from(program.len()).unwrap_or_default(), filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies the program, which outlives the call.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    let listener = i32::try_from(Errno::result(listener)?).map_err(io::Error::other)?;
    // SAFETY: it is new, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(listener) })
}

/// Answers until nobody is left that has the filter.
fn hold(listener: &OwnedFd, calls: &[Call], fault: Option<(Point, Fate)>) -> io::Result<Vec<(Point, bool)>> {
    // linux/seccomp.h: SECCOMP_USER_NOTIF_FLAG_CONTINUE
    const CONTINUE: u32 = 1;
    // The thread may be held in a fork, in which nobody else is given memory: what is needed of it is there.
    let (mut counts, mut seen) = (vec![[0; 2]; calls.len()], Vec::with_capacity(1 << 16));
    let own = fs::read_link("/proc/self/exe")?;
    loop {
        let mut polled = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, PollTimeout::NONE)?;
        if !polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN)) {
            return Ok(seen);
        }
        // SAFETY: all bits zero are one, as the kernel demands.
        let mut told: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes a struct seccomp_notif there.
        if unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut told) } < 0 {
            match Errno::last() {
                // It was killed meanwhile.
                Errno::ENOENT | Errno::EINTR => continue,
                error => return Err(error.into()),
            }
        }
        let own_pid = nix::unistd::getpid();
        // SAFETY: the signal 0 is none.
        let in_child = unsafe { libc::syscall(libc::SYS_tgkill, own_pid.as_raw(), told.pid, 0) } != 0;
        let is_own = !in_child || fs::read_link(format!("/proc/{}/exe", told.pid)).is_ok_and(|exe| exe == own);
        let number = i64::from(told.data.nr);
        let mut answer = libc::seccomp_notif_resp { id: told.id, val: 0, error: 0, flags: CONTINUE };
        if let (true, Some(call)) = (is_own, calls.iter().position(|call| call.number == number)) {
            let count = &mut counts[call][usize::from(in_child)];
            *count += 1;
            let point = Point { call, count: *count, in_child };
            seen.push((point, IN_STEP.load(Ordering::SeqCst)));
            match fault {
                Some((wanted, Fate::Fails(errno))) if wanted == point => {
                    (answer.flags, answer.error) = (0, -(errno as i32));
                }
                Some((wanted, Fate::Kills)) if wanted == point => {
                    nix::sys::signal::kill(own_pid, nix::sys::signal::SIGKILL)?;
                }
                _ => {}
            }
        }
        // SAFETY: the kernel reads a struct seccomp_notif_resp.
        let sent = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
        // ENOENT: it was killed meanwhile.
        if sent < 0 && Errno::last() != Errno::ENOENT {
            return Err(Errno::last().into());
        }
    }
}
