//! The engine's programs: which are there, and which version they are.

use std::collections::BTreeMap;
use std::env;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Fact, FactError, Root};
use crate::system;
use crate::version::EngineVersion;

/// Where programs are looked for when PATH is not set, as the kernel's own callers do.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a program may take to say its version.
const VERSION_DEADLINE: Duration = Duration::from_secs(10);

/// The inner engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// Its version.
    pub version: EngineVersion,
    /// How the version is known: the command that printed it, or the option that set it.
    pub said_by: String,
    /// The programs asked for, each with its path where it was found.
    pub binaries: BTreeMap<String, Option<String>>,
    /// The search path that was used.
    pub path: String,
}

/// Finds the engine and asks it for its version; `given` (the user's word) is believed instead.
pub fn read(root: &Root, given: Option<&EngineVersion>) -> Fact<Engine> {
    let path = search_path();
    let (version, said_by) = match given {
        Some(version) => (version.clone(), "--inner".to_owned()),
        None => ask(root, &path)?,
    };
    Ok(Engine { version, said_by, binaries: BTreeMap::new(), path })
}

impl Engine {
    /// Looks for the programs that the profile names.
    pub fn locate(&mut self, root: &Root, names: &[String]) {
        for name in names {
            self.binaries.insert(name.clone(), find(root, &self.path, name));
        }
    }
}

/// Where a fix puts the programs that the daemon shall find before others: it vanishes with /run.
pub const SHIM_DIRECTORY: &str = "/run/dindcheck-bin";

/// The PATH that the daemon gets: that of this process, with the shims of a fix in front where there are some.
pub fn search_path() -> String {
    let own = env::var("PATH").ok().filter(|path| !path.is_empty()).unwrap_or_else(|| DEFAULT_PATH.to_owned());
    if Path::new(SHIM_DIRECTORY).is_dir() { format!("{SHIM_DIRECTORY}:{own}") } else { own }
}

/// Finds an executable in a search path.
pub fn find(root: &Root, path: &str, name: &str) -> Option<String> {
    path.split(':').filter(|directory| directory.starts_with('/')).map(|directory| format!("{directory}/{name}")).find(
        |candidate| {
            root.path(candidate)
                .metadata()
                .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
        },
    )
}

/// Asks `dockerd`, or `docker` where the engine is one program (before 1.12), for its version.
fn ask(root: &Root, path: &str) -> Fact<(EngineVersion, String)> {
    let Some(program) = ["dockerd", "docker"].iter().find_map(|name| find(root, path, name)) else {
        return Err(FactError::new("find", "dockerd or docker", format!("not in {path}")));
    };
    if !root.is_live() {
        return Err(FactError::new("run", program, "this is a captured machine; say the version with --inner"));
    }
    let output = output_within(Command::new(&program).arg("--version"), VERSION_DEADLINE)
        .map_err(|error| FactError::new("run", format!("{program} --version"), error))?;
    let version = EngineVersion::from_output(&output)
        .ok_or_else(|| FactError::new("find a version in the output of", program.clone(), output.trim()))?;
    Ok((version, format!("{program} --version")))
}

/// Runs a command with clean signals and gives what it printed to both streams.
fn output_within(command: &mut Command, deadline: Duration) -> std::io::Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    system::clean_signals(command);
    let output = system::output_until(command, None, Instant::now() + deadline)?;
    Ok(format!("{}{}", output.stdout, output.stderr))
}
