//! A program that is run for what it prints, with a deadline and within bounds.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::foreign::Foreign;

/// How much of each stream is kept, in bytes; what comes after that is read and dropped.
const MAX_BYTES: usize = 1 << 20;
/// How long a program that was killed may take to be gone: one that hangs in the kernel (state D) is left behind.
const LAST_WAIT: Duration = Duration::from_secs(1);
/// Between two looks at a program's end, on kernels before 5.3, where nothing tells of it.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What a program printed, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// Standard output, at most 1 MiB of it, bytes that are no UTF-8 replaced.
    pub stdout: Foreign,
    /// Standard error, likewise.
    pub stderr: Foreign,
    /// How it ended.
    pub status: ExitStatus,
}

/// Runs a command to its end, with `input` on its standard input, in a process group of its own. At the deadline the
/// whole group is killed; this returns within a second after it, whatever the program does.
///
/// # Errors
/// `TimedOut` at the deadline; else what starting or reading gave.
pub fn output_until(command: &mut Command, input: Option<&[u8]>, deadline: Instant) -> io::Result<Output> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let ended = pidfd(&child).ok();
    let ended = ended.as_ref().map(AsFd::as_fd);
    let result = collect(&mut child, ended, input.unwrap_or_default(), deadline)
        .and_then(|streams| Ok((streams, wait_until(&mut child, ended, deadline)?.ok_or_else(late)?)));
    match result {
        Ok(([stdout, stderr], status)) => Ok(Output { stdout, stderr, status }),
        Err(error) => {
            // It has not been reaped, so that its number, and its group's, is still its own.
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            wait_until(&mut child, ended, Instant::now() + LAST_WAIT)?;
            Err(error)
        }
    }
}

/// A descriptor that becomes readable when the process ends (pidfd_open(2), Linux 5.3).
fn pidfd(child: &Child) -> io::Result<OwnedFd> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::ESRCH)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it did not end in time")
}

/// Waits for a process's end; `None` if it has not ended by then.
pub(super) fn wait_until(
    child: &mut Child,
    ended: Option<BorrowedFd<'_>>,
    deadline: Instant,
) -> io::Result<Option<ExitStatus>> {
    loop {
        let status = child.try_wait()?;
        if status.is_some() || Instant::now() >= deadline {
            return Ok(status);
        }
        match ended {
            Some(ended) => {
                wait_for(&mut [PollFd::new(ended, PollFlags::POLLIN)], deadline)?;
            }
            None => thread::sleep(LOOK_AGAIN),
        }
    }
}

/// Writes the input and reads both streams until they end, or the program does.
fn collect(
    child: &mut Child,
    ended: Option<BorrowedFd<'_>>,
    input: &[u8],
    deadline: Instant,
) -> io::Result<[Foreign; 2]> {
    let mut stdin = child.stdin.take();
    if let Some(stdin) = &stdin {
        // The other end of the pipe is another open file: the program's reads block as ever.
        fcntl(stdin, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let mut left = input;
    let mut texts = [Vec::new(), Vec::new()];
    while Instant::now() < deadline {
        if left.is_empty() {
            stdin = None;
        }
        // Without a pidfd the end of both streams is the end.
        if ended.is_none() && stdout.is_none() && stderr.is_none() {
            return Ok(texts.map(|text| Foreign::of_bytes(&text)));
        }
        let sources = [
            (stdin.as_ref().map(AsFd::as_fd), PollFlags::POLLOUT),
            (stdout.as_ref().map(AsFd::as_fd), PollFlags::POLLIN),
            (stderr.as_ref().map(AsFd::as_fd), PollFlags::POLLIN),
            (ended, PollFlags::POLLIN),
        ];
        let mut fds: Vec<PollFd<'_>> =
            sources.iter().filter_map(|(fd, flags)| Some(PollFd::new((*fd)?, *flags))).collect();
        wait_for(&mut fds, deadline)?;
        let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(false));
        let [writes, out, err, has_ended] = sources.map(|(fd, _)| fd.is_some() && ready.next().unwrap_or(false));
        if writes {
            left = write_some(stdin.as_mut(), left);
        }
        if out {
            read_some(&mut stdout, &mut texts[0])?;
        }
        if err {
            read_some(&mut stderr, &mut texts[1])?;
        }
        // What the program left running may hold the streams open; what it wrote itself has been read by now.
        if has_ended && !out && !err {
            return Ok(texts.map(|text| Foreign::of_bytes(&text)));
        }
    }
    Err(late())
}

fn wait_for(fds: &mut [PollFd<'_>], deadline: Instant) -> io::Result<()> {
    match poll(fds, timeout(deadline)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes what the pipe takes; gives what is left. A program that does not read is judged by its status.
fn write_some<'i>(stdin: Option<&mut ChildStdin>, left: &'i [u8]) -> &'i [u8] {
    match stdin.map(|stdin| stdin.write(left)) {
        Some(Ok(count)) => left.get(count..).unwrap_or_default(),
        Some(Err(error)) if [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind()) => left,
        Some(Err(_)) | None => &[],
    }
}

/// Reads what is there, and takes the stream away at its end.
fn read_some(stream: &mut Option<impl io::Read>, text: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 8192];
    let count = match stream.as_mut().map_or(Ok(0), |stream| stream.read(&mut buffer)) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
        result => result?,
    };
    let kept = count.min(MAX_BYTES.saturating_sub(text.len()));
    text.extend_from_slice(&buffer[..kept]);
    if count == 0 {
        *stream = None;
    }
    Ok(())
}

/// The time to a deadline, as poll wants it: in milliseconds, rounded up, so that a wait never ends early and spins.
pub fn timeout(deadline: Instant) -> PollTimeout {
    let left = deadline.saturating_duration_since(Instant::now());
    let millis = left.as_millis().saturating_add(u128::from(!left.is_zero()));
    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::stat::Stat;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(300)
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn a_program_that_never_stops_printing_ends_at_its_deadline() {
        let begun = Instant::now();
        let error = output_until(&mut shell("exec yes"), None, soon()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }

    #[test]
    fn what_is_printed_is_kept_to_its_bound_and_the_program_ends_as_it_would() {
        let output = output_until(&mut shell("head -c 3000000 /dev/zero; echo x >&2; exit 7"), None, later()).unwrap();
        assert_eq!(output.stdout.raw().len(), MAX_BYTES);
        assert_eq!(output.stderr.raw(), "x\n");
        assert_eq!(output.status.code(), Some(7));
    }

    #[test]
    fn at_the_deadline_what_the_program_has_started_goes_too() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let script = format!("sleep 300 & echo $! > {}; wait", file.display());
        assert_eq!(output_until(&mut shell(&script), None, soon()).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let pid = std::fs::read_to_string(file).unwrap();
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).ok();
        let runs = || stat().as_deref().and_then(Stat::parse).is_some_and(|stat| !stat.is_over());
        let patience = Instant::now() + Duration::from_secs(5);
        while runs() && Instant::now() < patience {
            thread::sleep(LOOK_AGAIN);
        }
        assert!(!runs());
    }

    #[test]
    fn input_that_is_not_read_blocks_nothing() {
        let input = vec![b'x'; 1 << 20];
        let error = output_until(&mut shell("exec sleep 300"), Some(&input), soon()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let output = output_until(&mut shell("exit 3"), Some(&input), later()).unwrap();
        assert_eq!(output.status.code(), Some(3));
        let output = output_until(&mut shell("wc -c"), Some(&input), later()).unwrap();
        assert_eq!(output.stdout.text(), "1048576");
    }

    #[test]
    fn what_a_program_leaves_running_is_not_waited_for() {
        let begun = Instant::now();
        let output = output_until(&mut shell("echo done; sleep 10 &"), None, later()).unwrap();
        assert_eq!(output.stdout.raw(), "done\n");
        assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_wait_never_ends_early() {
        assert_eq!(timeout(Instant::now()), PollTimeout::ZERO);
        let millis = |left| timeout(Instant::now() + left).as_millis();
        assert!([Some(1), Some(2)].contains(&millis(Duration::from_micros(1500))));
        assert!(millis(Duration::from_millis(50)).is_some_and(|millis| (40..=50).contains(&millis)));
    }

    #[test]
    fn a_read_that_a_signal_interrupts_is_no_end_and_no_error() {
        struct Failing(io::ErrorKind);
        impl io::Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
        }
        let mut text = b"before".to_vec();
        let mut interrupted = Some(Failing(io::ErrorKind::Interrupted));
        read_some(&mut interrupted, &mut text).unwrap();
        assert!(interrupted.is_some());
        let error = read_some(&mut Some(Failing(io::ErrorKind::BrokenPipe)), &mut text).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(text, b"before");
    }
}
