//! What runs inside the test container.

use std::io::{self, Write as _};

use super::STATUS;

/// The hidden subcommand that the test container runs.
pub const COMMAND: &str = "inside";
/// What it says on standard output.
pub const STDOUT: &str = "dindcheck: out";
/// What it says on standard error.
pub const STDERR: &str = "dindcheck: err";

/// Says what it should on both streams; gives the exit status that is expected.
///
/// # Errors
/// What the writes gave.
pub fn run() -> io::Result<u8> {
    writeln!(io::stdout(), "{STDOUT}")?;
    writeln!(io::stderr(), "{STDERR}")?;
    Ok(STATUS)
}
