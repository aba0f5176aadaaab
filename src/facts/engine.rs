//! The engine's programs: which are there, and which version they are.

use std::collections::BTreeMap;
use std::env;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Fact, FactError, Root, packages};
use crate::probe::background::{self, Background};
use crate::process;
use crate::state;
use crate::version::EngineVersion;

/// Where programs are looked for when PATH is not set, as the kernel's own callers do.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The variable in which an image says which engine it has.
const CLAIM: &str = "DOCKER_VERSION";
/// Where packages put programs; one that someone put elsewhere is another one.
const PACKAGED: [&str; 4] = ["/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"];
/// How long a program may take to say its version.
const VERSION_DEADLINE: Duration = Duration::from_secs(10);

/// What the user's word for a version is known by.
const GIVEN: &str = "--inner";

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
    /// The versions of those companions that are known not to work everywhere.
    #[serde(default)]
    pub companions: BTreeMap<String, Fact<EngineVersion>>,
}

/// Starts finding the engine and asking it for its version, most of which is waiting; `given` (the user's word) is
/// believed instead.
pub fn start(root: &Root, given: Option<&EngineVersion>) -> Background<Engine> {
    let (root, given) = (root.clone(), given.cloned());
    background::start(move || read(&root, given.as_ref()))
}

fn read(root: &Root, given: Option<&EngineVersion>) -> Fact<Engine> {
    let path = search_path();
    let (version, said_by) = match given {
        Some(version) => (version.clone(), GIVEN.to_owned()),
        None => {
            // The engine is one program before 1.12.
            let (command, output) = version_of(root, &path, &["dockerd", "docker"])?;
            (EngineVersion::from_output(&output).ok_or_else(|| no_version(&command, &output))?, command)
        }
    };
    Ok(Engine::new(version, said_by))
}

impl Engine {
    /// Of an engine of which nothing was read, the version that the user gives.
    pub fn given(version: &EngineVersion) -> Self {
        Self { path: String::new(), ..Self::new(version.clone(), GIVEN.to_owned()) }
    }

    /// Takes the user's word for the version. All else stays as it was read, for the version that was known then.
    pub fn believe(&mut self, given: &EngineVersion) {
        let read = std::mem::replace(&mut self.version, given.clone());
        self.said_by = if read == *given { GIVEN.to_owned() } else { format!("{GIVEN}; read for {read}") };
    }

    /// The engine that an image declares: docker:dind and what is made from it name it in DOCKER_VERSION
    /// (docker-library/docker, Dockerfile.template), others have it from a package.
    pub fn claimed(root: &Root) -> Option<Self> {
        Self::claimed_in(root, env::var(CLAIM).ok().as_deref())
    }

    fn claimed_in(root: &Root, variable: Option<&str>) -> Option<Self> {
        let by_image = || Some((variable?.parse().ok()?, CLAIM.to_owned()));
        let by_package = || {
            let program = find(root, &search_path(), "dockerd")?;
            let is_packaged = PACKAGED.iter().any(|directory| program.starts_with(directory));
            is_packaged.then(|| packages::version_of("dockerd", &|path| root.read(path).ok()))?
        };
        let (version, said_by) = by_image().or_else(by_package)?;
        Some(Self::new(version, said_by))
    }

    fn new(version: EngineVersion, said_by: String) -> Self {
        Self { version, said_by, binaries: BTreeMap::new(), path: search_path(), companions: BTreeMap::new() }
    }

    /// Looks for the programs that the profile names.
    pub fn locate(&mut self, root: &Root, names: &[String]) {
        for name in names {
            self.binaries.insert(name.clone(), find(root, &self.path, name));
        }
    }

    /// Asks companions for their versions.
    pub fn ask_companions<'n>(&mut self, root: &Root, names: impl Iterator<Item = &'n str>) {
        for name in names {
            if !self.companions.contains_key(name) {
                let version = version_of(root, &self.path, &[name]).and_then(|(command, output)| {
                    EngineVersion::from_companion(&output).ok_or_else(|| no_version(&command, &output))
                });
                self.companions.insert(name.to_owned(), version);
            }
        }
    }
}

/// Where a fix puts the programs that the daemon shall find before others: it vanishes with /run.
pub const SHIM_DIRECTORY: &str = "/run/dindcheck/bin";

/// The PATH that the daemon gets: that of this process, with the shims of a fix in front where there are some, and where
/// no one but a fix can have put them there.
pub fn search_path() -> String {
    let own = env::var("PATH").ok().filter(|path| !path.is_empty()).unwrap_or_else(|| DEFAULT_PATH.to_owned());
    if state::is_trusted(Path::new(SHIM_DIRECTORY)) { format!("{SHIM_DIRECTORY}:{own}") } else { own }
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

/// Has the first of these programs that is there say its version; gives the command and what it printed.
fn version_of(root: &Root, path: &str, programs: &[&str]) -> Fact<(String, String)> {
    let Some(program) = programs.iter().find_map(|name| find(root, path, name)) else {
        return Err(FactError::new("find", programs.join(" or "), format!("not in {path}")));
    };
    if !root.is_live() {
        return Err(FactError::new("run", program, "this is a captured machine; give the version with --inner"));
    }
    let command = format!("{program} --version");
    match output_within(Command::new(&program).arg("--version"), VERSION_DEADLINE) {
        Ok(output) => Ok((command, output)),
        Err(error) => Err(FactError::new("run", command, error)),
    }
}

fn no_version(command: &str, output: &str) -> FactError {
    FactError::new("find a version in the output of", command, output.trim())
}

/// Runs a command with clean signals and gives what it printed to both streams.
fn output_within(command: &mut Command, deadline: Duration) -> std::io::Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    process::clean_signals(command);
    let output = process::output_until(command, None, Instant::now() + deadline)?;
    Ok(format!("{}{}", output.stdout.raw(), output.stderr.raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(directory: &Path, path: &str, mode: u32) {
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn an_image_claims_its_engine_by_a_variable_or_by_the_package_that_it_came_in() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path());
        let claimed = |variable: Option<&str>| {
            let engine = Engine::claimed_in(&root, variable)?;
            assert_eq!(engine, Engine::new(engine.version.clone(), engine.said_by.clone()), "nothing else is known");
            Some((engine.version.to_string(), engine.said_by))
        };
        let is = |version: &str, by: &str| Some((version.to_owned(), by.to_owned()));
        std::fs::create_dir_all(directory.path().join("var/lib/dpkg")).unwrap();
        let status = "Package: docker.io\nStatus: install ok installed\nVersion: 26.1.5\n";
        std::fs::write(directory.path().join("var/lib/dpkg/status"), status).unwrap();
        assert_eq!(claimed(None), None, "its program is gone");
        make(directory.path(), "usr/local/bin/dockerd", 0o755);
        assert_eq!(claimed(None), None, "packages put nothing there");
        std::fs::remove_file(directory.path().join("usr/local/bin/dockerd")).unwrap();
        make(directory.path(), "usr/bin/dockerd", 0o755);
        let package = is("26.1.5", "/var/lib/dpkg/status: docker.io");
        assert_eq!([claimed(None), claimed(Some("no version"))], [package.clone(), package]);
        assert_eq!(claimed(Some("28.5.2")), is("28.5.2", CLAIM));
        assert!(Engine::claimed(&root).is_some(), "by the package, whatever this process has in its environment");
    }

    #[test]
    fn only_a_file_that_can_be_run_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let make = |path: &str, mode: u32| make(directory.path(), path, mode);
        make("a/dockerd", 0o644);
        make("b/dockerd/file", 0o755);
        make("c/dockerd", 0o755);
        let root = Root::new(directory.path());
        assert_eq!(find(&root, "relative:/a:/b:/c", "dockerd"), Some("/c/dockerd".to_owned()));
        assert_eq!(find(&root, "/a:/b", "dockerd"), None);
    }
}
