//! The exit statuses: what a script or a CI job may rely on.

/// All that is required holds.
pub const OK: u8 = 0;
/// A blocking finding is left.
pub const BLOCKED: u8 = 1;
/// The command line, a profile or an input file is wrong.
pub const USAGE: u8 = 2;
/// A fix failed and was undone.
pub const FIX_FAILED: u8 = 3;
/// The inner daemon did not start, or its API did not answer in time.
pub const LAUNCH_FAILED: u8 = 4;
/// The daemon runs, and the test container failed.
pub const VERIFICATION_FAILED: u8 = 5;
/// dindcheck itself could not do its work.
pub const INTERNAL: u8 = 6;
/// A child ended by signal N ends us with this plus N, as shells and inits do.
pub const SIGNAL_BASE: u8 = 128;

/// The exit status that stands for a signal.
pub fn of_signal(signal: i32) -> u8 {
    SIGNAL_BASE.saturating_add(u8::try_from(signal).unwrap_or_default())
}
