//! The container that the others work with: it changes its files, greets who comes to its port, takes signals, and
//! ends when it is asked to.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::fd::AsFd as _;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::{files, identity, network, tell};

/// The port that it listens on.
pub(in crate::verification) const PORT: u16 = 7000;
/// What it says to who comes there.
pub(in crate::verification) const GREETING: &str = "dindcheck: hello";
/// What it prints when all is there.
pub(in crate::verification) const READY: &str = "dindcheck: ready";
/// What it prints for a SIGUSR1.
pub(in crate::verification) const SIGNALLED: &str = "dindcheck: SIGUSR1";
/// What it prints before it ends.
pub(in crate::verification) const ENDED: &str = "dindcheck: SIGTERM";

pub(super) fn run() -> io::Result<()> {
    // PID 1 gets only the signals that it asks for.
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGUSR1]);
    signals.thread_block()?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    // Over both versions of IP where the kernel has both.
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT))
        .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)))?;
    listener.set_nonblocking(true)?;
    tell("layers", files::change)?;
    tell("volumes", files::volumes)?;
    tell("security", identity::security)?;
    tell("threads", identity::threads)?;
    tell("network", network::own)?;
    writeln!(io::stderr(), "{READY}")?;
    writeln!(io::stdout(), "{READY}")?;
    loop {
        let mut ready = [signals.as_fd(), listener.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        poll(&mut ready, PollTimeout::NONE)?;
        while let Ok((mut stream, _)) = listener.accept() {
            // One who has gone needs no greeting.
            let _ = writeln!(stream, "{GREETING}");
        }
        while let Some(signal) = signals.read_signal()? {
            if signal.ssi_signo != Signal::SIGUSR1 as u32 {
                return writeln!(io::stdout(), "{ENDED}");
            }
            writeln!(io::stdout(), "{SIGNALLED}")?;
        }
    }
}

/// Does nothing until it is asked to end.
pub(super) fn stay() -> io::Result<()> {
    let signals = SigSet::from(Signal::SIGTERM);
    signals.thread_block()?;
    writeln!(io::stdout(), "{READY}")?;
    signals.wait()?;
    writeln!(io::stdout(), "{ENDED}")
}
