//! The terminal that we may have been given.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::Pid;

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
    // Not std's: that takes a lock and memory, which a child must not do between fork and exec.
    let _ = nix::unistd::tcsetpgrp(rustix::stdio::stdin(), group);
    let _ = before.thread_set_mask();
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::os::unix::fs::OpenOptionsExt as _;

    use nix::fcntl::OFlag;
    use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
    use nix::unistd::{getpgrp, tcgetpgrp};

    use super::*;
    use crate::process::{Sleeper, alone, in_background};

    #[test]
    fn the_foreground_of_a_terminal_is_given_and_taken_back() {
        let mut command = alone::command(|| {
            let in_foreground = || tcgetpgrp(rustix::stdio::stdin()).unwrap();
            assert_eq!(in_foreground(), getpgrp());
            let mut command = Command::new("sleep");
            takes_terminal(command.arg("1000"));
            let child = Sleeper(command.spawn().unwrap());
            assert_eq!(u32::try_from(in_foreground().as_raw()).unwrap(), child.0.id());
            // We are in the background now.
            foreground(getpgrp());
            assert_eq!(in_foreground(), getpgrp());
        });
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits());
        let terminal = options.open(ptsname_r(&master).unwrap()).unwrap();
        in_background(command.stdin(terminal));
        // SAFETY: only an async-signal-safe call (ioctl) happens between fork and exec.
        unsafe {
            command.pre_exec(|| Ok(rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?));
        }
        alone::passes(&mut command);
    }
}
