//! The processes of the main job beside the supervisor and the look process: what the supervisor and the look process
//! start of this binary.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use super::run;
use crate::cli::Part;
use crate::configuration;
use crate::engine::{drain, end};
use crate::exit;
use crate::process::level;

/// Does one part.
///
/// # Errors
/// As [`super::dispatch`].
pub(super) fn run(part: &Part) -> anyhow::Result<u8> {
    level::mark_lines();
    // The supervisor hands the plan over as standard input.
    let plan = || io::stdin().as_fd().try_clone_to_owned().map(File::from);
    match part {
        Part::Prove { profile_dir } => return run::prover(profile_dir.clone()),
        Part::End { within_ms, .. } => end::stop_containers(&plan()?, Duration::from_millis(*within_ms))?,
        Part::Drain { within_ms, .. } => drain::wait(&plan()?, Duration::from_millis(*within_ms))?,
        Part::Refresh { source, copy, without } => {
            let content = configuration::without(&fs::read_to_string(source)?, without)?;
            // Renamed, so that the daemon never reads half of it.
            let beside = format!("{copy}.new");
            fs::write(&beside, content)?;
            fs::rename(beside, copy)?;
        }
        Part::Clear { within_ms, nest } => end::clear(&plan()?, Duration::from_millis(*within_ms), nest)?,
    }
    Ok(exit::OK)
}
