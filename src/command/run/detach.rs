//! `--detach`: the main job in the background. This process waits until its daemon is proved, and returns.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use crate::cli::RunArgs;
use crate::command::{Misuse, health};
use crate::exit;
use crate::fact::Root;
use crate::facts::places::Places;
use crate::process;
use crate::process::level::{self, Level};
use crate::supervisor::own;

/// Where the log is, for root.
const LOG: &str = "/var/log/dindcheck.log";
/// The same below where a user's daemon keeps its data.
const LOG_NAME: &str = "dindcheck.log";
/// How often it is looked at, in milliseconds.
const AGAIN_MS: u16 = 100;
/// How long a report may be waited for, which has ten seconds itself: where /run is full, it is never told of.
const REPORTED_WITHIN: Duration = Duration::from_secs(15);

/// Starts the main job in the background, and waits until it serves or has ended; gives its exit status then.
///
/// # Errors
/// The log cannot be written, or no process can be started.
pub(super) fn start(args: &RunArgs) -> anyhow::Result<u8> {
    if std::process::id() == 1 {
        let text = "--detach: this is the container's first process, and the container would end with it";
        return Err(Misuse(text.to_owned()).into());
    }
    if health::is_served() {
        say(args, "a proved daemon serves already");
        return Ok(exit::OK);
    }
    let path = log_of(args);
    let mut log = Log::open(&path)?;
    let asked = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    asked.thread_block()?;
    let signals = SignalFd::with_flags(&asked, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    process::hand_none_on()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("dindcheck").arg("--detached").args(std::env::args_os().skip(1));
    command.stdin(Stdio::null()).stdout(log.writer.try_clone()?).stderr(log.writer.try_clone()?);
    process::in_background(&mut command);
    process::clean_signals(&mut command);
    let mut child = command.spawn().context("cannot start a process in the background")?;
    let mut served = None;
    let ended = loop {
        log.pass_on(args)?;
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if health::is_served() {
            served.get_or_insert_with(Instant::now);
        }
        if served.is_some_and(|since| health::is_reported() || since.elapsed() > REPORTED_WITHIN) {
            log.pass_on(args)?;
            let pid = child.id();
            say(
                args,
                &format!("it goes on in the background; `kill {pid}` stops it, and its log is {}", path.display()),
            );
            return Ok(exit::OK);
        }
        wait(&signals, &child)?;
    };
    log.pass_rest_on()?;
    Ok(status_of(ended))
}

/// Waits for a moment; what asks us to end asks the one in the background.
fn wait(signals: &SignalFd, child: &Child) -> io::Result<()> {
    poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], AGAIN_MS)?;
    while signals.read_signal()?.is_some() {
        if let Ok(pid) = i32::try_from(child.id()) {
            process::send_signal(Pid::from_raw(pid), Signal::SIGTERM as i32);
        }
    }
    Ok(())
}

fn status_of(ended: ExitStatus) -> u8 {
    let signal = || ended.signal().map_or(exit::INTERNAL, exit::of_signal);
    ended.code().and_then(|code| u8::try_from(code).ok()).unwrap_or_else(signal)
}

fn say(args: &RunArgs, text: &str) {
    if !args.look.output.quiet {
        level::write(Level::Info, text);
    }
}

fn is_own(line: &[u8]) -> bool {
    [level::PREFIX, own::JSON_PREFIX].iter().any(|prefix| line.starts_with(prefix.as_bytes()))
}

fn log_of(args: &RunArgs) -> PathBuf {
    if let Some(path) = &args.log {
        return path.clone();
    }
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from(LOG);
    }
    let data = PathBuf::from(Places::of(&Root::new("/")).translate("/var/lib/docker"));
    data.parent().unwrap_or(&data).join(LOG_NAME)
}

/// The log, which the one in the background writes and this process reads.
struct Log {
    writer: File,
    reader: File,
    /// Where it began.
    start: u64,
    /// The line that is not yet whole.
    line: Vec<u8>,
}

impl Log {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("--log: cannot write {}", path.display());
        path.parent().map_or(Ok(()), fs::create_dir_all).with_context(failed)?;
        let writer = OpenOptions::new().create(true).append(true).mode(0o640).open(path).with_context(failed)?;
        let mut reader = File::open(path).with_context(failed)?;
        let start = reader.seek(SeekFrom::End(0))?;
        Ok(Self { writer, reader, start, line: Vec::new() })
    }

    /// Writes our own new lines to standard error: the daemon's are for the log.
    fn pass_on(&mut self, args: &RunArgs) -> io::Result<()> {
        let mut new = Vec::new();
        self.reader.read_to_end(&mut new)?;
        for line in new.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(line);
            if self.line.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                if is_own(&line) && !args.look.output.quiet {
                    io::stderr().write_all(&line)?;
                }
            }
        }
        Ok(())
    }

    /// Writes the rest of it too, where it failed: the report, and the daemon's log.
    fn pass_rest_on(&mut self) -> io::Result<()> {
        self.reader.seek(SeekFrom::Start(self.start))?;
        let mut all = Vec::new();
        self.reader.read_to_end(&mut all)?;
        let rest = all.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_own(line));
        io::stderr().write_all(&rest.collect::<Vec<_>>().concat())
    }
}
