//! The child that a probe runs in: this program again, in namespaces of its own, killed at its deadline.
//!
//! A program that is exec'ed, unlike a mere fork, may do anything: no lock of a thread that is not there is held.

use std::io::{self, Read as _, Write as _};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::CloneFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::background::{self, Background};
use super::{cgroup, ipset, network, privileges, rootless, storage};
use crate::fact::{Fact, FactError};
use crate::process;

/// The hidden subcommand that the child is started with.
pub const COMMAND: &str = "probe";
/// How long a probe may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Starts the probe `what` in new namespaces, with `input` to read.
pub fn start<T: DeserializeOwned + Send + 'static>(
    what: &'static str,
    input: &impl Serialize,
    namespaces: CloneFlags,
) -> Background<T> {
    let input = serde_json::to_vec(input);
    background::start(move || {
        let failed = |error: &dyn std::fmt::Display| FactError::new("try", what, error);
        run(what, &input.map_err(|error| failed(&error))?, namespaces)
    })
}

/// Runs a probe to its end.
pub(super) fn run<T: DeserializeOwned>(what: &str, input: &[u8], namespaces: CloneFlags) -> Fact<T> {
    let failed = |error: &dyn std::fmt::Display| FactError::new("try", what, error);
    let mut command = Command::new("/proc/self/exe");
    command.args([COMMAND, what]).env_clear();
    process::clean_signals(&mut command);
    process::in_namespaces(&mut command, namespaces);
    let output = process::output_until(&mut command, Some(input), Instant::now() + DEADLINE)
        .map_err(|error| failed(&format!("in {}: {error}", names(namespaces))))?;
    if !output.status.success() {
        return Err(failed(&format!("{}: {}", output.status, output.stderr.text())));
    }
    serde_json::from_str(output.stdout.raw()).map_err(|error| failed(&error))
}

fn names(namespaces: CloneFlags) -> String {
    let named =
        [(CloneFlags::CLONE_NEWNS, "mount"), (CloneFlags::CLONE_NEWNET, "network"), (CloneFlags::CLONE_NEWPID, "pid")];
    let own: Vec<&str> = named.iter().filter(|(flag, _)| namespaces.contains(*flag)).map(|(_, name)| *name).collect();
    format!("a {} namespace of its own", own.join(" and "))
}

/// What runs in the child: does the probe, and says what it found as JSON.
///
/// # Errors
/// Input that is none, a probe that is none, or what writing gave.
pub fn serve(what: &str) -> io::Result<u8> {
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    let found = match what {
        storage::NAME => {
            let (directories, no_overlay) = serde_json::from_slice::<(Vec<String>, Option<String>)>(&input)?;
            serde_json::to_vec(&storage::run(&directories, no_overlay.as_deref()))
        }
        cgroup::NAME => serde_json::to_vec(&cgroup::run(&serde_json::from_slice::<Vec<cgroup::Place>>(&input)?)),
        ipset::NAME => serde_json::to_vec(&ipset::run()),
        network::NAME => serde_json::to_vec(&network::run()),
        privileges::NAME => serde_json::to_vec(&privileges::run()),
        privileges::FRESH_PROC => serde_json::to_vec(&privileges::fresh_proc()),
        rootless::NAME => serde_json::to_vec(&rootless::run(&serde_json::from_slice::<Vec<rootless::Map>>(&input)?)?),
        rootless::WAIT => serde_json::to_vec(&()),
        _ => return Err(io::Error::other(format!("there is no probe {what}"))),
    }?;
    io::stdout().write_all(&found)?;
    Ok(0)
}
