//! The container that the others work with: it changes its files, greets who comes to its port, takes signals, and
//! ends when it is asked to.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::thread;

use nix::sys::signal::{SigSet, Signal};

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
    // Before any thread exists: PID 1 gets only the signals that it asks for.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGUSR1);
    signals.thread_block()?;
    greet()?;
    tell("layers", files::change)?;
    tell("volumes", files::volumes)?;
    tell("security", identity::security)?;
    tell("network", network::own)?;
    writeln!(io::stderr(), "{READY}")?;
    writeln!(io::stdout(), "{READY}")?;
    loop {
        match signals.wait()? {
            Signal::SIGUSR1 => writeln!(io::stdout(), "{SIGNALLED}")?,
            _ => return writeln!(io::stdout(), "{ENDED}"),
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

/// Greets everybody, over both versions of IP where the kernel has both.
fn greet() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT))
        .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)))?;
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // One who has gone needs no greeting.
            let _ = writeln!(stream, "{GREETING}");
        }
    });
    Ok(())
}
