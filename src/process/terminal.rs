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
