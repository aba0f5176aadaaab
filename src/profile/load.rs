//! Reading profile files: the embedded ones, and those of `--profile-dir` over them.

use std::fmt;
use std::fs;
use std::path::Path;

use super::schema::{Layer, Profile};
use crate::version::EngineVersion;

include!(concat!(env!("OUT_DIR"), "/embedded_profiles.rs"));

/// One thing wrong in one profile file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as given.
    pub file: String,
    /// Line and column, from 1, where known.
    pub position: Option<(usize, usize)>,
    /// What is wrong and what was expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// Why no profile could be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Profile files are broken: all problems found, not the first alone.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Broken(Vec<Problem>),
    /// The version is older than the oldest profile.
    #[error("no profile for Docker {version}: the oldest known is {oldest}")]
    TooOld {
        /// The version asked for.
        version: EngineVersion,
        /// The first version of the oldest file.
        oldest: EngineVersion,
    },
}

/// All profile files, oldest first.
#[derive(Debug, Clone)]
pub struct Profiles {
    layers: Vec<(String, Layer)>,
}

impl Profiles {
    /// Reads the embedded files, then lays the `*.yaml` files of `directory` over them: a file with the same `since`
    /// goes on top of ours.
    ///
    /// # Errors
    /// All problems of all files.
    pub fn load(directory: Option<&Path>) -> Result<Self, LoadError> {
        let mut files: Vec<(String, String)> =
            EMBEDDED.iter().map(|(name, text)| (format!("profiles/docker/{name}"), (*text).to_owned())).collect();
        let mut problems = Vec::new();
        if let Some(directory) = directory {
            match read_directory(directory) {
                Ok(own) => files.extend(own),
                Err(problem) => problems.push(problem),
            }
        }
        let mut layers = Vec::new();
        for (name, text) in files {
            match parse(&name, &text) {
                Ok(layer) => layers.push((name, layer)),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(LoadError::Broken(problems));
        }
        // A stable sort: files of the user come after ours of the same version, and so win.
        layers.sort_by(|(_, a), (_, b)| a.since.cmp(&b.since));
        let profiles = Self { layers };
        profiles.check_complete()?;
        Ok(profiles)
    }

    /// The merged profile of a version. One that is newer than the newest file gets the newest; a pre-release gets
    /// that of its release, whose code it mostly is.
    ///
    /// # Errors
    /// `TooOld` when no file reaches back so far.
    pub fn resolve(&self, version: &EngineVersion) -> Result<Profile, LoadError> {
        let layers: Vec<(&str, &Layer)> = self
            .layers
            .iter()
            .filter(|(_, layer)| layer.since.release() <= version.release())
            .map(|(name, layer)| (name.as_str(), layer))
            .collect();
        if layers.is_empty() {
            return Err(LoadError::TooOld { version: version.clone(), oldest: self.oldest() });
        }
        Profile::merge(version.clone(), &layers).map_err(|missing| self.incomplete(&missing))
    }

    /// The files, oldest first: name and content.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &Layer)> {
        self.layers.iter().map(|(name, layer)| (name.as_str(), layer))
    }

    /// The first version of the newest file.
    pub fn newest(&self) -> EngineVersion {
        self.layers.last().map_or_else(unreachable_version, |(_, layer)| layer.since.clone())
    }

    fn oldest(&self) -> EngineVersion {
        self.layers.first().map_or_else(unreachable_version, |(_, layer)| layer.since.clone())
    }

    /// The oldest file has to set every key; then every later version has them all.
    fn check_complete(&self) -> Result<(), LoadError> {
        self.resolve(&self.oldest()).map(|_| ())
    }

    fn incomplete(&self, missing: &[&str]) -> LoadError {
        let file = self.layers.first().map(|(name, _)| name.clone()).unwrap_or_default();
        let message = format!("the oldest profile must set every key; missing: {}", missing.join(", "));
        LoadError::Broken(vec![Problem { file, position: None, message }])
    }
}

/// The embedded list is never empty (a test reads it), so there is always a first and a last file.
fn unreachable_version() -> EngineVersion {
    "dev".parse().expect("`dev` is a version")
}

fn read_directory(directory: &Path) -> Result<Vec<(String, String)>, Problem> {
    let problem = |path: &Path, error: std::io::Error| Problem {
        file: path.display().to_string(),
        position: None,
        message: format!("cannot be read: {error}"),
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| problem(directory, error))? {
        let path = entry.map_err(|error| problem(directory, error))?.path();
        if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).map_err(|error| problem(&path, error))?;
            Ok((path.display().to_string(), text))
        })
        .collect()
}

fn parse(file: &str, text: &str) -> Result<Layer, Problem> {
    let layer: Layer = serde_yaml::from_str(text).map_err(|error| {
        let position = error.location().map(|location| (location.line(), location.column()));
        // The library repeats the position at the end of its message.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
        Problem { file: file.to_owned(), position, message }
    })?;
    if !layer.since.is_plain_release() {
        let message = format!("since: `{}` is not a release with all three numbers, such as 20.10.0", layer.since);
        return Err(Problem { file: file.to_owned(), position: None, message });
    }
    Ok(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(version: &str) -> Profile {
        Profiles::load(None).unwrap().resolve(&version.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_version_gets_the_newest_file_that_is_not_newer() {
        for (version, file) in [
            ("1.0.0", "1.0"),
            ("1.8.1", "1.8"),
            ("1.8.3", "1.8.2"),
            ("19.03.6", "19.03"),
            ("19.03.8", "19.03.7"),
            ("20.10.24+dfsg1", "20.10"),
            ("29.0.0-rc.1", "29.0"),
            ("29.7.2", "29.7"),
            ("dev", "29.7"),
        ] {
            assert_eq!(profile(version).profile, format!("profiles/docker/{file}.yaml"), "{version}");
        }
    }

    #[test]
    fn a_value_names_the_file_that_set_it() {
        let profile = profile("19.03.15");
        assert_eq!(profile.launch_command.value, ["dockerd"]);
        assert_eq!(profile.launch_command.from, "profiles/docker/1.12.yaml");
        assert!(profile.launch_command.source.contains("v1.12.0"));
    }

    #[test]
    fn what_is_older_than_the_oldest_is_refused() {
        let error = Profiles::load(None).unwrap().resolve(&"0.9.1".parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "no profile for Docker 0.9.1: the oldest known is 1.0.0");
    }
}
