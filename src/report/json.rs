//! The report for machines.

use std::io::{self, Write};

use super::Report;

/// Writes the report as one JSON object.
///
/// # Errors
/// What the write gave.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}
